//! `pipeline run FILE`: runs a pipeline, shows its progress, and ends with the closing table.

use crate::context::{Context, PipelineFile};
use crate::extension::{Companion, Extension, Overlay, RunOrder, StartedPipeline};
use crate::failure::{FAILED, Failure, problems, shown_lines};
use crate::output::{self, print_ending};
use crate::program::{Ask, Program, ReloadRefused};
use crate::progress::{self, When};
use crate::signals::{RunSignals, Signals};
use pipeline_core::options::Problem;
use pipeline_core::{Registry, shown};
use pipeline_host::config::ConfigError;
use pipeline_host::telemetry::Telemetry;
use pipeline_host::topology::{self, ReloadError, Reloader};
use pipeline_host::{Pipeline, StartOptions, StopHandle, report};
use serde_json::Value;
use std::convert::Infallible;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::time::interval;

/// How often the files of the configuration are looked at.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// How often a pipeline that is stopping says what is left.
const REMAINING_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    file: PipelineFile,
    /// When to show progress on standard error, once a second
    #[arg(long, value_enum, default_value = "auto")]
    progress: When,
    /// Reload the pipeline file when it changes, as SIGHUP does: what was added, changed or removed in it takes effect
    #[arg(long)]
    watch_config: bool,
}

/// What is run, and how.
#[derive(Debug)]
pub(crate) struct Order {
    file: PathBuf,
    progress: When,
    watch_config: bool,
    overlay: Option<Overlay>,
}

impl Arguments {
    /// What the command line asks for.
    pub(crate) fn order(&self) -> Order {
        Order {
            file: self.file.path().to_owned(),
            progress: self.progress,
            watch_config: self.watch_config,
            overlay: None,
        }
    }
}

impl From<RunOrder> for Order {
    fn from(order: RunOrder) -> Self {
        Self {
            file: order.file,
            progress: order.progress,
            watch_config: order.watch_config,
            overlay: Some(order.overlay),
        }
    }
}

/// Runs a pipeline. The signals have been listened to since the process started.
pub(crate) async fn run(
    order: &Order,
    registry: Registry,
    extensions: &[&'static dyn Extension],
    signals: RunSignals,
) -> Result<ExitCode, Failure> {
    let RunSignals { stop, hangup } = signals;
    let cx = &Context {
        overlay: order.overlay.as_ref(),
        ..Context::new(&registry, extensions)
    };
    let (program, asked) = program(order, cx, extensions);
    let pipeline = cx.load(&order.file)?;
    let unwritable = pipeline.check_data_dir();
    if !unwritable.is_empty() {
        return Err(ConfigError::Invalid(unwritable).into());
    }
    let noted = pipeline.notices();
    log_notes(&noted);
    log_notes(&pipeline.leftovers());
    let mut companions = start_companions(&pipeline, cx).await?;
    let files = pipeline.files();
    tell_start(&order.file, &pipeline);
    let data_dir = pipeline.data_dir.clone();
    let running = topology::start(pipeline, start_options(&companions)).await?;
    for companion in &mut companions {
        let program = program.clone();
        let started = StartedPipeline::new(program, running.telemetry());
        companion.started(started.with_data_dir(&data_dir));
    }
    let telemetry = running.telemetry();
    let stopping = tokio::spawn(stop_on_signals(stop, running.stop_handle(), telemetry));
    let reloading = Reloading {
        order,
        cx,
        asked,
        reloader: running.reloader(),
        files,
        noted,
        hangup,
    };
    let progress = order
        .progress
        .is_now()
        .then(|| tokio::spawn(progress::show(running.telemetry())));
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
        let told = companion.describe();
        if !told.is_empty() {
            table.push('\n');
            table.push_str(&told);
        }
        companion.stop().await;
    }
    let code = u8::from(!ending.is_complete()) * FAILED;
    print_ending(&table, ExitCode::from(code))
}

/// What the program can do with pipeline files while this one runs.
fn program(
    order: &Order,
    cx: &Context<'_>,
    extensions: &[&'static dyn Extension],
) -> (Program, mpsc::Receiver<Ask>) {
    let (registry, overlay) = (cx.registry.clone(), order.overlay.clone());
    let (extensions, file) = (extensions.to_vec(), order.file.clone());
    let load = move |raw: &Value| {
        let mut cx = Context::new(&registry, &extensions);
        cx.overlay = overlay.as_ref();
        cx.load_value(raw, &file)
    };
    Program::new(cx.registry, &cx.sections, &order.file, load)
}

/// How the pipeline is started: watched by everything that the program adds, and with a look at its destinations.
fn start_options(companions: &[Box<dyn Companion>]) -> StartOptions {
    let mut options = StartOptions::default();
    options.checks_destinations = true;
    options.stays = companions.iter().any(|companion| companion.stays());
    let observers = companions.iter();
    let observers = observers.flat_map(|companion| companion.observers());
    options.observers = observers.collect();
    options
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
    let file = pipeline_core::shown(file).to_string();
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
    order: &'a Order,
    cx: &'a Context<'a>,
    /// Reloads that what runs beside the pipeline asks for.
    asked: mpsc::Receiver<Ask>,
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
                _ = looks.tick(), if self.order.watch_config => true,
                Some(reply) = self.asked.recv() => {
                    let reloaded = self.reload().await;
                    known = self.files();
                    // Who asked may have gone.
                    let _ = reply.send(reloaded);
                    continue;
                }
            };
            let now = self.files();
            // A file that still changes is not whole yet.
            let is_settled = now == seen && now != known;
            seen.clone_from(&now);
            if !watched || is_settled {
                // The log tells it.
                let _ = self.reload().await;
                known = self.files();
            }
        }
    }

    /// Reads the file again, and changes what runs; says what changed.
    async fn reload(&mut self) -> Result<Vec<String>, ReloadRefused> {
        let pipeline = match self.cx.load(&self.order.file) {
            Ok(pipeline) => pipeline,
            Err(failure) => {
                refused(&failure);
                if let Failure::Config(error) = &failure {
                    list_problems(error);
                }
                return Err(ReloadRefused::new(&failure, false));
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
                Ok(changes.iter().map(ToString::to_string).collect())
            }
            Err(error) => {
                refused(&error);
                let needs_restart = matches!(
                    error,
                    ReloadError::NeedsRestart(_) | ReloadError::StoredEvents { .. }
                );
                Err(ReloadRefused::new(&error, needs_restart))
            }
        }
    }

    /// The files that the options come from, with what tells a change.
    fn files(&self) -> Vec<(PathBuf, Option<FileState>)> {
        let mut files = self.files.clone();
        files.push(self.order.file.clone());
        let files = files.into_iter();
        files
            .map(|file| (file.clone(), FileState::of(&file)))
            .collect()
    }
}

/// What tells that a file has changed, or that a link leads to another one: two may be alike in size and time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl FileState {
    fn of(file: &Path) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// Logs what is perhaps not meant.
fn log_notes<'a>(notes: impl IntoIterator<Item = &'a Problem>) {
    for note in notes {
        tracing::warn!("{}", shown(&note.to_string()));
    }
}

fn refused(error: &dyn std::error::Error) {
    tracing::error!(
        "the new configuration is not used, and the pipeline continues with the old one: {}",
        shown_lines(&error.to_string())
    );
}

fn list_problems(error: &ConfigError) {
    for problem in problems(error) {
        tracing::error!("{}", shown(&problem.to_string()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_another_file_of_the_same_size_and_time_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let link = |to: &str| {
            let _ = std::fs::remove_file(path("link"));
            std::os::unix::fs::symlink(path(to), path("link")).unwrap();
            FileState::of(&path("link"))
        };
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        for name in ["a", "b"] {
            std::fs::write(path(name), "1234").unwrap();
            let file = std::fs::File::options()
                .write(true)
                .open(path(name))
                .unwrap();
            file.set_modified(time).unwrap();
        }
        let first = link("a");
        assert!(first.is_some());
        assert_eq!(link("a"), first);
        assert_ne!(link("b"), first);
        assert_eq!(link("missing"), None);
    }
}
