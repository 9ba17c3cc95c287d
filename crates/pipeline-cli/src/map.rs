//! `pipeline map`: what a sink would send for the events on standard input. Nothing is sent.
//!
//! One JSON object a line in, one out, in the same order, in bounded memory.

mod values;

use crate::context::Context;
use crate::failure::Failure;
use values::{Found,Values,MAX_VALUE_BYTES};
use jiff::Timestamp;
use pipeline_core::{Clock, Encoded, Event, ManualClock, Reason, Sink, SinkContext, SystemClock};
use pipeline_host::config::SinkPlan;
use serde_json::json;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The sink, by its name in the pipeline file; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Say of every field where it came from, and of every field left out why
    #[arg(long)]
    explain: bool,
    /// The time to take for now: `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "RFC3339")]
    now: Option<Timestamp>,
}

pub(crate) async fn run(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    let clock: Arc<dyn Clock> = match arguments.now {
        Some(now) => Arc::new(ManualClock::at(now.as_millisecond())),
        None => Arc::new(SystemClock),
    };
    let pipeline = cx.load(&arguments.config)?;
    let plan = choose(&pipeline.sinks, arguments.sink.as_deref())?;
    let sink = plan
        .make(SinkContext::new(plan.name.clone()).with_clock(Arc::clone(&clock)))
        .await?;
    let explain = arguments.explain;
    let mapping = tokio::task::spawn_blocking(move || {
        map(
            &*sink,
            &*clock,
            explain,
            io::stdin().lock(),
            io::stdout().lock(),
        )
    });
    match mapping.await {
        Ok(result) => result?,
        Err(_) => {
            return Err(Failure::Run(
                "the sink failed on an event; please report it".to_owned(),
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn choose<'a>(sinks: &'a [SinkPlan], name: Option<&str>) -> Result<&'a SinkPlan, Failure> {
    let found = match (name, sinks) {
        (Some(name), _) => sinks.iter().find(|sink| sink.name == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let names: Vec<_> = sinks.iter().map(|sink| sink.name.as_str()).collect();
        Failure::Usage(format!("`--sink` must be one of `{}`", names.join("`, `")))
    })
}

fn map(
    sink: &dyn Sink,
    clock: &dyn Clock,
    explain: bool,
    input: impl Read,
    output: impl Write,
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let mut output = io::BufWriter::new(output);
    skip_byte_order_mark(&mut input)?;
    let (mut line, mut number) = (Vec::new(), 0);
    while let Some(found) = line::next(&mut input, &mut line)? {
        number += 1;
        let event = match found {
            Line::Empty => continue,
            Line::TooLong => Err(too_large()),
            Line::Whole(bytes) => Ok(Event::new(bytes.to_vec(), clock.now_ms())),
        };
        match event {
            Ok(event) if explain => {
                let explained = sink.explain(&event);
                let explanation = explained.explanation.to_json();
                write_object(&mut output, number, explained.encoded, Some(&explanation))?;
            }
            Ok(event) => write_object(&mut output, number, sink.encode(&event), None)?,
            Err(reason) => {
                let object = json!({"outcome": "rejected", "reason": reason.code, "detail": reason.detail, "line": number});
                writeln!(output, "{object}")?;
            }
        }
        // A person may wait for this answer before typing the next event.
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
    }
    output.flush()
}

fn skip_byte_order_mark(input: &mut impl BufRead) -> io::Result<()> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if input.fill_buf()?.starts_with(MARK) {
        input.consume(MARK.len());
    }
    Ok(())
}

fn too_large() -> Reason {
    let detail = format!("the line is longer than {MAX_LINE_BYTES} bytes");
    Reason::new("too_large", detail)
}

fn write_object(
    output: &mut impl Write,
    line: u64,
    encoded: Encoded,
    explain: Option<&serde_json::Value>,
) -> io::Result<()> {
    match encoded {
        Encoded::Record(record) => {
            // The payload as it is, byte for byte.
            output.write_all(b"{\"outcome\":\"mapped\",\"event\":")?;
            output.write_all(&record.payload)?;
        }
        Encoded::Filtered(filtered) => {
            let reason = filtered.reason;
            write!(
                output,
                "{{\"outcome\":\"filtered\",\"reason\":{},\"detail\":{},\"line\":{line}",
                json!(reason.code),
                json!(reason.detail)
            )?;
        }
        Encoded::Rejected(rejection) => {
            let reason = rejection.reason;
            let detail = match reason.code {
                "malformed_json" => format!("line {line}: {}", reason.detail),
                _ => reason.detail.into_owned(),
            };
            let (code, detail) = (json!(reason.code), json!(detail));
            write!(
                output,
                "{{\"outcome\":\"rejected\",\"reason\":{code},\"detail\":{detail},\"line\":{line}"
            )?;
        }
        _ => output.write_all(b"{\"outcome\":\"unknown\"")?,
    }
    if let Some(explain) = explain {
        write!(output, ",\"explain\":{explain}")?;
    }
    output.write_all(b"}\n")
}
