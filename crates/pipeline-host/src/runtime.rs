//! What a pipeline is started with, and the tasks of the host: each has a name, and none can fail in silence.

use pipeline_core::{Clock, Observer, SourceContext, SystemClock};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError};

/// What a pipeline is started with, apart from its configuration.
#[derive(Clone)]
#[non_exhaustive]
pub struct StartOptions {
    /// Where the host reads the time.
    pub clock: Arc<dyn Clock>,
    /// The seed of all chance (the pauses between attempts).
    pub seed: u64,
    /// How long a client of a source waits for room in the buffers, and for its answer when the pipeline stops.
    pub room_limit: Duration,
    /// What watches the events.
    pub observers: Vec<Arc<dyn Observer>>,
    /// Whether each new sink is asked for its health once, and the log told where that fails.
    pub checks_destinations: bool,
    /// Whether the pipeline runs on after the end of its input, with its sinks open, until it is told to stop.
    pub stays: bool,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            seed: fastrand::u64(..),
            room_limit: SourceContext::ROOM_LIMIT,
            observers: Vec::new(),
            checks_destinations: false,
            stays: false,
        }
    }
}

impl fmt::Debug for StartOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartOptions")
            .field("seed", &self.seed)
            .field("room_limit", &self.room_limit)
            .field("observers", &self.observers.len())
            .finish_non_exhaustive()
    }
}

/// What is watching now; empty where nothing is.
pub(crate) fn watching(observers: &[Arc<dyn Observer>]) -> impl Iterator<Item = &dyn Observer> {
    observers
        .iter()
        .map(|observer| &**observer)
        .filter(|observer| observer.is_watching())
}

/// Why a run is incomplete: something that a source could not read, or a task of the host that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A source could not read something.
    #[error(transparent)]
    Source(#[from] pipeline_core::SourceError),
    /// A task failed or panicked.
    #[error("{task} {problem}")]
    Task {
        /// The task: ``the worker of sink `meta` ``.
        task: String,
        /// What happened to it.
        problem: String,
    },
}

impl Failure {
    pub(crate) fn task(task: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Task {
            task: task.into(),
            problem: problem.into(),
        }
    }

    /// A task that panicked. The panic's own text stays out: it may quote an event.
    pub(crate) fn panicked(task: impl Into<String>) -> Self {
        Self::task(task, "panicked; please report it")
    }
}

/// Failures on their way to the supervisor of the pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Failures(mpsc::UnboundedSender<Failure>);

impl Failures {
    /// Failures, and where they arrive. Each task fails once, and a source reports no more than its files.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Failure>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Reports a failure.
    pub(crate) fn report(&self, failure: Failure) {
        // The supervisor is gone only after every task has ended.
        let _ = self.0.send(failure);
    }

    /// Reports what became of a task, if it panicked.
    pub(crate) fn watch<T>(&self, task: &str, ended: Result<T, JoinError>) -> Option<T> {
        match ended {
            Ok(value) => Some(value),
            Err(error) => {
                if error.is_panic() {
                    self.report(Failure::panicked(task));
                }
                None
            }
        }
    }

    /// Starts a task whose panic is a failure of the run. The handle aborts it.
    pub(crate) fn spawn<F>(&self, task: String, run: F) -> (AbortHandle, Watched<F::Output>)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let running = tokio::spawn(run);
        let abort = running.abort_handle();
        let failures = self.clone();
        let watched = tokio::spawn(async move { failures.watch(&task, running.await) });
        (abort, Watched(watched))
    }
}

/// The end of a task that is watched.
#[derive(Debug)]
pub(crate) struct Watched<T>(tokio::task::JoinHandle<Option<T>>);

impl<T> Watched<T> {
    /// Waits for the end; `None` when the task panicked or was aborted.
    pub(crate) async fn ended(self) -> Option<T> {
        // The task that watches does nothing that can panic.
        self.0.await.ok().flatten()
    }
}
