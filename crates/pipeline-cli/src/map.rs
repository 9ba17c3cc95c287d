//! `pipeline map`: what a sink would send for the events on standard input. Nothing is sent.
//!
//! In: JSON values, however they are framed. Out: what became of each, in the same order, in bounded memory; or one summary.

mod answer;
mod as_of;
mod json;
mod summary;
mod table;
mod wait;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::print_line;
use answer::{Answer, Mapper};
use as_of::AsOf;
use jiff::Timestamp;
use json::Json;
use json_framing::{Found, Values};
use pipeline_core::{Clock, ManualClock, Sink, SinkContext, SystemClock};
use pipeline_host::config::SinkPlan;
use std::cell::RefCell;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use summary::Summary;
use table::Table;
use wait::FlushFirst;

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
    /// How each event is shown: `json`, one object a line; or `table`, for people: where each field came from, what was left
    /// out and why, without values
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Json, hide_possible_values = true)]
    format: Format,
    /// Show no events, but how many there are of each name, what they become, and which are not sent, and why
    #[arg(long, conflicts_with_all = ["explain", "format"])]
    summary: bool,
    /// The time to take for now, for events that are old: `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "RFC3339")]
    now: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Table,
}

/// The sources that read lines, by their types. Events of others come at the time at which they happen.
const SOURCES_OF_LINES: [&str; 2] = ["file", "stdin"];

/// What the command writes.
trait Report {
    /// Whether answers need an explanation.
    fn needs_explanations(&self) -> bool {
        true
    }

    /// Takes what became of one value.
    fn add(&mut self, answer: &Answer, output: &mut dyn Write) -> io::Result<()>;

    /// The input has ended.
    fn end(&mut self, _output: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// What `map --explain` prints for this event, as the first of its input: one JSON object, in which the payload is as the sink made
/// it, byte for byte. `kinds` are the types of the sources of the pipeline.
///
/// # Errors
///
/// Never: it writes to memory.
pub fn map_event<'k>(
    sink: Arc<dyn Sink>,
    raw: &[u8],
    kinds: impl IntoIterator<Item = &'k str>,
) -> io::Result<String> {
    let mut mapper = Mapper::new(sink, Arc::new(SystemClock), AsOf::new(false));
    if reads_lines(kinds) {
        mapper.read_as_lines();
    }
    let answer = mapper.answer(1, Found::Value(raw), true);
    let mut line = Vec::new();
    Json::new(true).add(&answer, &mut line)?;
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end().to_owned())
}

/// What there is to say of transforms between the sources and the sink: what they remember must not depend on who looks at an event, so
/// they are not applied here.
pub fn skipped(transforms: &[&str]) -> Option<String> {
    if transforms.is_empty() {
        return None;
    }
    let names = transforms.join("`, `");
    Some(format!(
        "transforms are not applied here: `{names}`; what they remember must not depend on a trial, so give events as they \
         leave them"
    ))
}

/// Whether events of sources of these types are lines.
fn reads_lines<'k>(kinds: impl IntoIterator<Item = &'k str>) -> bool {
    let mut kinds = kinds.into_iter();
    kinds.all(|kind| SOURCES_OF_LINES.contains(&kind))
}

pub(crate) async fn run(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    let clock: Arc<dyn Clock> = match arguments.now {
        Some(now) => Arc::new(ManualClock::at(now.as_millisecond())),
        None => Arc::new(SystemClock),
    };
    let pipeline = cx.load(&arguments.config)?;
    let plan = choose(&pipeline.sinks, arguments.sink.as_deref())?;
    let made = plan.make(SinkContext::new(plan.name.clone()).with_clock(Arc::clone(&clock)));
    let sink: Arc<dyn Sink> = made.await?;
    let mut report: Box<dyn Report + Send> = match arguments.format {
        _ if arguments.summary => Box::new(Summary::of(&plan.name, Arc::clone(&sink))),
        Format::Json => Box::new(Json::new(arguments.explain)),
        Format::Table => Box::new(Table::default()),
    };
    if let Some(note) = skipped(&pipeline.transforms_before(&plan.inputs)) {
        print_line(&format!("note: {note}"));
    }
    let mut mapper = Mapper::new(sink, clock, AsOf::new(arguments.now.is_none()));
    // Events of files are judged as such: their time of receipt says nothing about them.
    let kinds = pipeline.sources.iter().map(|source| source.kind.as_str());
    if reads_lines(kinds) {
        mapper.read_as_lines();
    }
    let mapping = tokio::task::spawn_blocking(move || {
        map(
            mapper,
            &mut *report,
            io::stdin().lock(),
            io::stdout().lock(),
        )
    });
    let Ok(result) = mapping.await else {
        return Err(Failure::Run(
            "the sink failed on an event; please report it".to_owned(),
        ));
    };
    if let Some(note) = result? {
        print_line(&note);
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

/// Maps everything; what there is to say about it at the end.
fn map(
    mut mapper: Mapper,
    report: &mut dyn Report,
    input: impl Read,
    output: impl Write,
) -> io::Result<Option<String>> {
    let output = RefCell::new(BufWriter::new(output));
    let mut values = Values::new(FlushFirst::new(input, &output));
    while let Some((line, found)) = values.next_value()? {
        let answer = mapper.answer(line, found, report.needs_explanations());
        report.add(&answer, &mut *output.borrow_mut())?;
    }
    report.end(&mut *output.borrow_mut())?;
    output.borrow_mut().flush()?;
    Ok(mapper.note())
}
