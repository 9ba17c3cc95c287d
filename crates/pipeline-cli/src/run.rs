//! `pipeline run FILE`: runs a pipeline, shows its progress, and ends with the closing table.

use crate::context::Context;
use crate::extension::Companion;
use crate::failure::{FAILED, Failure, problems};
use crate::output::{self, print};
use crate::progress;
use crate::signals::Signals;
use clap::ValueEnum;
use pipeline_core::options::Problem;
use pipeline_host::config::ConfigError;
use pipeline_host::telemetry::Telemetry;
use pipeline_host::topology::{self, Reloader};
use pipeline_host::{Pipeline, StartOptions, StopHandle, report};
use std::convert::Infallible;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::interval;

/// How often the files of the configuration are looked at.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// How often a pipeline that is stopping says what is left.
const REMAINING_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    file: PathBuf,
    /// When to show progress on standard error, once a second
    #[arg(long, value_enum, default_value = "auto")]
    progress: When,
    /// Reload the pipeline file when it changes, as SIGHUP does: what was added, changed or removed in it takes effect
    #[arg(long)]
    watch_config: bool,
}

/// When something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// Always, also into a file.
    Always,
    /// On a terminal.
    Auto,
    /// Never.
    Never,
}

pub(crate) async fn run(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    // Before anything says that it runs: a signal from then on must find its handler.
    let (signals, hangup) = (Signals::new()?, signal(SignalKind::hangup())?);
    let pipeline = cx.load(&arguments.file)?;
    let unwritable = pipeline.check_data_dir();
    if !unwritable.is_empty() {
        return Err(ConfigError::Invalid(unwritable).into());
    }
    let noted = pipeline.notices();
    log_notes(&noted);
    log_notes(&pipeline.leftovers());
    let companions = start_companions(&pipeline, cx).await?;
    let files = pipeline.files();
    let mut options = StartOptions::default();
    options.checks_destinations = true;
    tell_start(&arguments.file, &pipeline);
    let running = topology::start(pipeline, options).await?;
    let telemetry = running.telemetry();
    let stopping = tokio::spawn(stop_on_signals(signals, running.stop_handle(), telemetry));
    let reloading = Reloading {
        arguments,
        cx,
        reloader: running.reloader(),
        files,
        noted,
        hangup,
    };
    let shows_progress = match arguments.progress {
        When::Always => true,
        When::Auto => io::stderr().is_terminal(),
        When::Never => false,
    };
    let progress = shows_progress.then(|| tokio::spawn(progress::show(running.telemetry())));
    let mut ending = tokio::select! {
        ending = running.finish() => ending,
        never = reloading.run() => match never {},
    };
    stopping.abort();
    if let Some(progress) = progress {
        progress.abort();
        // Only once it has ended can it no longer write a line.
        let _ = progress.await;
        output::clear();
    }
    for path in ending.dead_letters.values_mut() {
        *path = readable(path);
    }
    let mut table = report::closing(&ending);
    let coverage = report::coverage(&ending.coverage);
    if !coverage.is_empty() {
        table.push('\n');
        table.push_str(&coverage);
    }
    for companion in companions {
        table.push('\n');
        table.push_str(&companion.describe());
        companion.stop().await;
    }
    print(&table)?;
    Ok(if ending.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Tells the log what is started.
fn tell_start(file: &Path, pipeline: &Pipeline) {
    let sources = pipeline
        .sources
        .iter()
        .map(|source| format!("{} ({})", source.name, source.kind));
    let transforms = pipeline
        .transforms
        .iter()
        .map(|it| format!("{} ({})", it.name, it.kind));
    let sinks = pipeline
        .sinks
        .iter()
        .map(|sink| format!("{} ({})", sink.name, sink.kind()));
    let all = |names: Vec<String>| names.join(", ");
    let version = env!("CARGO_PKG_VERSION");
    let file = file.display().to_string();
    tracing::info!(
        version,
        file,
        sources = all(sources.collect()),
        transforms = all(transforms.collect()),
        sinks = all(sinks.collect()),
        "starting"
    );
}

/// Starts what the sections of the program ask for.
async fn start_companions(
    pipeline: &Pipeline,
    cx: &Context<'_>,
) -> Result<Vec<Box<dyn Companion>>, Failure> {
    let mut companions = Vec::new();
    for extension in cx.extensions {
        let Some(section) = extension.section() else {
            continue;
        };
        if let Some(options) = pipeline.sections.get(section.name) {
            companions.extend(extension.start(options).await?);
        }
    }
    Ok(companions)
}

/// Stops a pipeline at the first signal, and ends it at the second. Says meanwhile what is left.
pub(crate) async fn stop_on_signals(mut signals: Signals, stop: StopHandle, telemetry: Telemetry) {
    signals.next().await;
    tracing::info!(
        "stopping: no more is read, requests on their way finish, memory buffers drain, disk buffers stay; a second \
         signal quits at once",
    );
    let mut ticks = interval(REMAINING_PAUSE);
    ticks.tick().await;
    tracing::info!("{}", report::remaining(&telemetry.snapshot()));
    stop.drain();
    loop {
        tokio::select! {
            () = signals.next() => break,
            _ = ticks.tick() => tracing::info!("{}", report::remaining(&telemetry.snapshot())),
        }
    }
    tracing::info!(
        "quitting: what is on disk stays, what a source can read again is read again, the rest goes to the dead letters",
    );
    stop.quit();
}

/// Applies a changed pipeline file while the pipeline runs.
struct Reloading<'a> {
    arguments: &'a Arguments,
    cx: &'a Context<'a>,
    reloader: Reloader,
    /// Files besides the pipeline file that options were read from.
    files: Vec<PathBuf>,
    /// The notes that have been logged on the configuration that runs.
    noted: Vec<Problem>,
    hangup: Signal,
}

impl Reloading<'_> {
    async fn run(mut self) -> Infallible {
        let mut known = self.files();
        let mut seen = known.clone();
        let mut looks = interval(WATCH_PAUSE);
        loop {
            let watched = tokio::select! {
                _ = self.hangup.recv() => false,
                _ = looks.tick(), if self.arguments.watch_config => true,
            };
            let now = self.files();
            // A file that still changes is not whole yet.
            let is_settled = now == seen && now != known;
            seen.clone_from(&now);
            if !watched || is_settled {
                self.reload().await;
                known = self.files();
            }
        }
    }

    async fn reload(&mut self) {
        let pipeline = match self.cx.load(&self.arguments.file) {
            Ok(pipeline) => pipeline,
            Err(failure) => {
                refused(&failure);
                if let Failure::Config(error) = &failure {
                    list_problems(error);
                }
                return;
            }
        };
        let (files, mut notes) = (pipeline.files(), pipeline.notices());
        match self.reloader.reload(pipeline).await {
            Ok(changes) => {
                self.files = files;
                for change in &changes {
                    tracing::info!("{change}");
                }
                if changes.is_empty() {
                    tracing::info!("the configuration was read again; nothing has changed");
                }
                std::mem::swap(&mut self.noted, &mut notes);
                log_notes(self.noted.iter().filter(|note| !notes.contains(note)));
            }
            Err(error) => refused(&error),
        }
    }

    /// The files that the options come from, with what tells a change.
    fn files(&self) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
        let mut files = self.files.clone();
        files.push(self.arguments.file.clone());
        let state = |file: &Path| {
            let metadata = file.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        files
            .into_iter()
            .map(|file| (file.clone(), state(&file)))
            .collect()
    }
}

/// Logs what is perhaps not meant.
fn log_notes<'a>(notes: impl IntoIterator<Item = &'a Problem>) {
    for note in notes {
        tracing::warn!("{note}");
    }
}

fn refused(error: &dyn std::error::Error) {
    tracing::error!(
        "the new configuration is not used, and the pipeline continues with the old one: {error}"
    );
}

fn list_problems(error: &ConfigError) {
    for problem in problems(error) {
        tracing::error!("{problem}");
    }
}

/// The path as one would type it: without detours, and from the current folder where it lies below.
pub(crate) fn readable(path: &Path) -> PathBuf {
    let Ok(full) = path.canonicalize() else {
        return path.to_owned();
    };
    let below = std::env::current_dir()
        .and_then(|folder| folder.canonicalize())
        .ok()
        .and_then(|folder| full.strip_prefix(folder).ok().map(Path::to_owned));
    below.unwrap_or(full)
}
