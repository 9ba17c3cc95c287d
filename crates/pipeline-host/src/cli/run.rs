//! `pipeline run FILE`: runs a pipeline, shows its progress, and ends with the closing table.

use super::{FAILED, Failure, When, load, print, system_clock};
use pipeline_core::Registry;
use pipeline_host::report;
use pipeline_host::telemetry::Telemetry;
use pipeline_host::topology::{self, Running, StartOptions};
use pipeline_host::StopHandle;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often progress is shown.
const PROGRESS_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    file: PathBuf,
    /// When to show progress on standard error
    #[arg(long, value_enum, default_value = "auto")]
    progress: When,
}

pub(super) async fn run(arguments: &Arguments, registry: &Registry) -> Result<ExitCode, Failure> {
    let pipeline = load(&arguments.file, registry, &system_clock()).await?;
    for sink in &pipeline.sinks {
        for notice in &sink.notices {
            tracing::warn!(sink = %sink.name, "{notice}");
        }
    }
    let running = topology::start(pipeline, StartOptions::default()).await?;
    for (source, address) in running.addresses() {
        tracing::info!(%source, %address, "listening");
    }
    let signals = tokio::spawn(stop_on_signals(running.stop_handle())?);
    let progress = shows_progress(arguments.progress).then(|| tokio::spawn(show_progress(running.telemetry())));
    let ending = finish(running, progress).await;
    signals.abort();
    print(&report::closing_table(&ending))?;
    Ok(if ending.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}
