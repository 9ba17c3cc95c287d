//! `pipeline run FILE`: runs a pipeline, shows its progress, and ends with the closing table.

use super::{FAILED, Failure, When, load, print, sandbox, system_clock};
use pipeline_core::Registry;
use pipeline_host::StopHandle;
use pipeline_host::telemetry::Telemetry;
use pipeline_host::topology::{self, StartOptions};
use pipeline_host::{coverage, report};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often progress is shown.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    file: PathBuf,
    /// When to show progress on standard error, one line a second
    #[arg(long, value_enum, default_value = "auto")]
    progress: When,
}

pub(super) async fn run(arguments: &Arguments, registry: &Registry) -> Result<ExitCode, Failure> {
    let signals = Signals::new()?;
    let pipeline = load(&arguments.file, registry, &system_clock()).await?;
    for sink in &pipeline.sinks {
        for notice in &sink.notices {
            tracing::warn!(sink = %sink.name, "{notice}");
        }
    }
    let sandbox = match &pipeline.sandbox {
        Some(plan) => Some(sandbox::start(plan).await?),
        None => None,
    };
    let sinks: Vec<_> = pipeline
        .sinks
        .iter()
        .map(|plan| (plan.name.clone(), Arc::clone(&plan.sink)))
        .collect();
    let running = topology::start(pipeline, StartOptions::default()).await?;
    for (source, address) in running.addresses() {
        tracing::info!(%source, %address, "listening");
    }
    let stopping = tokio::spawn(stop_on_signals(signals, running.stop_handle()));
    let progress = match arguments.progress {
        When::Always => true,
        When::Auto => io::stderr().is_terminal(),
        When::Never => false,
    };
    let progress = progress.then(|| tokio::spawn(show_progress(running.telemetry())));
    let ending = running.finish().await;
    stopping.abort();
    if let Some(progress) = progress {
        progress.abort();
    }
    let mut table = report::closing_table(&ending);
    for (name, sink) in sinks {
        if let Some(coverage) = sink.coverage() {
            table.push_str(&coverage::table(&name, &coverage));
        }
    }
    if let Some(sandbox) = sandbox {
        table.push_str(&sandbox::describe(&sandbox.summary()));
        sandbox.stop().await;
    }
    print(&table)?;
    Ok(if ending.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

async fn stop_on_signals(mut signals: Signals, stop: StopHandle) {
    signals.next().await;
    print_line("stopping: no more is read, buffers drain; a second signal quits at once");
    stop.drain();
    signals.next().await;
    print_line("quitting: what is held goes to the dead letters");
    stop.quit();
}

async fn show_progress(telemetry: Telemetry) {
    let started = Instant::now();
    let mut ticks = interval(PROGRESS_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = telemetry.snapshot();
    loop {
        ticks.tick().await;
        let now = telemetry.snapshot();
        print_line(report::progress(&now, &before, started.elapsed()).trim_end());
        before = now;
    }
}

/// Writes a line for people to standard error. When nobody listens there, the pipeline goes on.
pub(super) fn print_line(text: &str) {
    let _ = io::stderr()
        .lock()
        .write_all(format!("{text}\n").as_bytes());
}

/// The signals that ask a process to stop.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
