//! `pipeline run FILE`: runs a pipeline, shows its progress, and ends with the closing table.

use super::progress::{self, print_line};
use super::{FAILED, Failure, When, load, print, sandbox, system_clock};
use pipeline_core::Registry;
use pipeline_host::StopHandle;
use pipeline_host::report;
use pipeline_host::topology::{self, StartOptions};
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    file: PathBuf,
    /// When to show progress on standard error, once a second
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
    let shows_progress = match arguments.progress {
        When::Always => true,
        When::Auto => io::stderr().is_terminal(),
        When::Never => false,
    };
    let progress = shows_progress.then(|| tokio::spawn(progress::show(running.telemetry())));
    let mut ending = running.finish().await;
    stopping.abort();
    if let Some(progress) = progress {
        progress.abort();
        // Only once it has ended can it no longer write a line.
        let _ = progress.await;
        progress::clear();
    }
    for path in ending.dead_letters.values_mut() {
        *path = readable(path);
    }
    let mut table = report::closing(&ending);
    let coverage: Vec<_> = sinks
        .into_iter()
        .filter_map(|(name, sink)| Some((name, sink.coverage()?)))
        .collect();
    let coverage = report::coverage(&coverage);
    if !coverage.is_empty() {
        table.push('\n');
        table.push_str(&coverage);
    }
    if let Some(sandbox) = sandbox {
        table.push('\n');
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
    print_line("quitting: what is held is read again by the next run, or goes to the dead letters");
    stop.quit();
}

/// The path as one would type it: without detours, and from the current folder where it lies below.
fn readable(path: &Path) -> PathBuf {
    let Ok(full) = path.canonicalize() else {
        return path.to_owned();
    };
    let below = std::env::current_dir()
        .and_then(|folder| folder.canonicalize())
        .ok()
        .and_then(|folder| full.strip_prefix(folder).ok().map(Path::to_owned));
    below.unwrap_or(full)
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
