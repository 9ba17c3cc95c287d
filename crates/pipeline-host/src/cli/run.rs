//! `pipeline run FILE`: runs a pipeline, shows its progress, and ends with the closing table.

use super::progress::{self, print_line};
use super::{FAILED, Failure, When, load, print, sandbox, system_clock};
use pipeline_core::Registry;
use pipeline_host::StopHandle;
use pipeline_host::reload::Reloader;
use pipeline_host::report;
use pipeline_host::telemetry::Telemetry;
use pipeline_host::topology::{self, StartOptions};
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
pub(super) struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    file: PathBuf,
    /// When to show progress on standard error, once a second
    #[arg(long, value_enum, default_value = "auto")]
    progress: When,
    /// Reload the pipeline file when it changes, as SIGHUP does: sinks whose options changed go on with the new ones
    #[arg(long)]
    watch_config: bool,
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
    let running = topology::start(pipeline, StartOptions::default()).await?;
    for (source, address) in running.addresses() {
        tracing::info!(%source, %address, "listening");
    }
    let telemetry = running.telemetry();
    let stopping = tokio::spawn(stop_on_signals(signals, running.stop_handle(), telemetry));
    let reloader = running.reloader();
    let reloading = Reloading {
        arguments,
        registry,
        reloader: &reloader,
        hangup: signal(SignalKind::hangup())?,
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
        progress::clear();
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

/// Stops a pipeline at the first signal, and ends it at the second. Says meanwhile what is left.
pub(super) async fn stop_on_signals(mut signals: Signals, stop: StopHandle, telemetry: Telemetry) {
    signals.next().await;
    print_line(
        "stopping: no more is read, requests on their way finish, memory buffers drain, disk buffers stay; a second \
         signal quits at once",
    );
    let mut ticks = interval(REMAINING_PAUSE);
    ticks.tick().await;
    print_line(&report::remaining(&telemetry.snapshot()));
    stop.drain();
    loop {
        tokio::select! {
            () = signals.next() => break,
            _ = ticks.tick() => print_line(&report::remaining(&telemetry.snapshot())),
        }
    }
    print_line(
        "quitting: what is on disk stays, what a source can read again is read again, the rest goes to the dead letters",
    );
    stop.quit();
}

/// Takes up a changed pipeline file while the pipeline runs.
struct Reloading<'a> {
    arguments: &'a Arguments,
    registry: &'a Registry,
    reloader: &'a Reloader,
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

    async fn reload(&self) {
        let loaded = load(&self.arguments.file, self.registry, &system_clock()).await;
        let changed = loaded.and_then(|pipeline| Ok(self.reloader.reload(&pipeline)?));
        match changed {
            Ok(changed) if changed.is_empty() => {
                tracing::info!("the configuration was read again; no sink has changed");
            }
            Ok(changed) => tracing::info!(
                sinks = changed.join(", "),
                "the configuration was read again; these sinks go on with their new options"
            ),
            Err(failure) => {
                tracing::error!(
                    "the new configuration is not used, and the pipeline goes on with the old one: {failure}"
                );
                for problem in failure.problems() {
                    tracing::error!("{problem}");
                }
            }
        }
    }

    /// The files that the options come from, with what tells a change.
    fn files(&self) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
        let mut files = self.reloader.files();
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

/// The path as one would type it: without detours, and from the current folder where it lies below.
pub(super) fn readable(path: &Path) -> PathBuf {
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
