//! The task that owns everything that runs.
//!
//! Invariant: a task that fails or panics is told about in the log, ends the run, and makes it incomplete.

use super::diff::Change;
use super::ending::Ending;
use super::error::ReloadError;
use super::part::{Addresses, RunningSink, RunningSource};
use crate::config::Pipeline;
use crate::intake::TransformNode;
use crate::runtime::{Failure, Failures, StartOptions};
use crate::stop::{Phase, StopHandle, StopSignal};
use crate::telemetry::Telemetry;
use pipeline_core::Coverage;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Failures that the end of a run lists. A file that stays unreadable for months is reported again and again; the log has them
/// all.
const MAX_FAILURES_KEPT: usize = 1_000;

/// A change that is asked for.
#[derive(Debug)]
pub(super) struct Reload {
    pub(super) pipeline: Pipeline,
    pub(super) reply: oneshot::Sender<Result<Vec<Change>, ReloadError>>,
}

/// Owns everything that runs.
pub(super) struct Supervisor {
    pub(super) options: StartOptions,
    pub(super) random: fastrand::Rng,
    pub(super) stop: StopHandle,
    pub(super) signal: StopSignal,
    pub(super) telemetry: Telemetry,
    pub(super) addresses: Addresses,
    pub(super) failures: Failures,
    failed: mpsc::UnboundedReceiver<Failure>,
    pub(super) ends: mpsc::UnboundedSender<()>,
    ended: mpsc::UnboundedReceiver<()>,
    /// What runs now, as data.
    pub(super) pipeline: Pipeline,
    /// The sources of `pipeline`. Those that have ended stay here.
    pub(super) sources: Vec<RunningSource>,
    /// Removed sources that still end.
    pub(super) leaving: JoinSet<()>,
    pub(super) transforms: Vec<Arc<TransformNode>>,
    pub(super) sinks: Vec<RunningSink>,
    pub(super) dead_letters: BTreeMap<String, PathBuf>,
    /// Removed sinks that still deliver what they hold, by name.
    pub(super) draining: JoinSet<(String, Option<(String, Coverage)>)>,
    pub(super) draining_names: Vec<String>,
    seen: Vec<Failure>,
    coverage: Vec<(String, Coverage)>,
}

impl Supervisor {
    /// A supervisor of nothing; `pipeline` says where its data is.
    pub(super) fn new(
        pipeline: &Pipeline,
        options: StartOptions,
        stop: StopHandle,
        signal: StopSignal,
        telemetry: Telemetry,
        addresses: Addresses,
    ) -> Self {
        let (failures, failed) = Failures::channel();
        let (ends, ended) = mpsc::unbounded_channel();
        Self {
            random: fastrand::Rng::with_seed(options.seed),
            options,
            stop,
            signal,
            telemetry,
            addresses,
            failures,
            failed,
            ends,
            ended,
            pipeline: Pipeline {
                sources: Vec::new(),
                transforms: Vec::new(),
                sinks: Vec::new(),
                ..pipeline.clone()
            },
            sources: Vec::new(),
            leaving: JoinSet::new(),
            transforms: Vec::new(),
            sinks: Vec::new(),
            dead_letters: BTreeMap::new(),
            draining: JoinSet::new(),
            draining_names: Vec::new(),
            seen: Vec::new(),
            coverage: Vec::new(),
        }
    }

    /// Runs until every source has ended and every sink has finished; where the pipeline stays, until it is told to stop as well.
    pub(super) async fn run(mut self, mut reloads: mpsc::Receiver<Reload>) -> Ending {
        let mut signal = self.signal.clone();
        while self.has_input() || self.stays() {
            tokio::select! {
                () = signal.stopped(), if self.stays() => {}
                Some(failure) = self.failed.recv() => self.note(failure),
                Some(()) = self.ended.recv() => {}
                Some(_) = self.leaving.join_next() => {}
                Some(drained) = self.draining.join_next() => self.drained(drained),
                Some(Reload { pipeline, reply }) = reloads.recv() => {
                    let changed = self.apply(pipeline).await;
                    // The caller may have gone.
                    let _ = reply.send(changed);
                }
            }
        }
        drop(reloads);
        for source in std::mem::take(&mut self.sources) {
            source.ended().await;
        }
        self.finish_sinks().await;
        while let Ok(failure) = self.failed.try_recv() {
            self.note(failure);
        }
        self.coverage.sort_by_key(|(name, _)| {
            let sinks = &self.pipeline.sinks;
            sinks.iter().position(|sink| sink.name == *name)
        });
        Ending {
            sinks: self.telemetry.snapshot(),
            failures: self.seen,
            dead_letters: self.dead_letters,
            coverage: self.coverage,
        }
    }

    /// Whether events can still come in.
    fn has_input(&self) -> bool {
        self.sources.iter().any(|source| !source.has_ended()) || !self.leaving.is_empty()
    }

    /// Whether the pipeline waits to be told to stop.
    fn stays(&self) -> bool {
        self.options.stays && self.signal.now() == Phase::Run
    }

    /// Takes note of a failure. A task that failed ends the run: what it was doing is not done.
    fn note(&mut self, failure: Failure) {
        match &failure {
            Failure::Source(_) => tracing::error!("{failure}"),
            Failure::Task { .. } => {
                tracing::error!("{failure}; the pipeline stops");
                for source in &self.sources {
                    source.intake.refuse_offers();
                }
                self.stop.drain();
            }
        }
        if self.seen.len() < MAX_FAILURES_KEPT {
            self.seen.push(failure);
        }
    }

    fn drained(
        &mut self,
        drained: Result<(String, Option<(String, Coverage)>), tokio::task::JoinError>,
    ) {
        match drained {
            Ok((name, coverage)) => {
                tracing::info!(sink = %name, "the removed sink has ended");
                self.draining_names.retain(|draining| *draining != name);
                self.coverage.extend(coverage);
            }
            Err(error) => self.sink_panicked(&error),
        }
    }

    fn sink_panicked(&mut self, error: &tokio::task::JoinError) {
        if error.is_panic() {
            self.note(Failure::panicked("the end of a sink"));
        }
    }

    /// Waits for all sinks, and notes what fails meanwhile.
    async fn finish_sinks(&mut self) {
        let mut ending = std::mem::take(&mut self.draining);
        for mut sink in std::mem::take(&mut self.sinks) {
            sink.let_end();
            let name = sink.plan.name.clone();
            ending.spawn(async move { (name, sink.ended().await) });
        }
        loop {
            tokio::select! {
                Some(failure) = self.failed.recv() => self.note(failure),
                ended = ending.join_next() => match ended {
                    Some(Ok((_, coverage))) => self.coverage.extend(coverage),
                    Some(Err(error)) => self.sink_panicked(&error),
                    None => break,
                },
            }
        }
    }
}
