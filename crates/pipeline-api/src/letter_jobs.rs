//! Replays that were started over HTTP, and how far they have come.
//!
//! Invariant: at most one runs for each sink, and at most [`MAX_JOBS`] are remembered, those that run among them.

use pipeline_host::replay::{Progress, ReplayError, Replayed, Replaying};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, watch};

/// Replays that are remembered; of those that have ended, the oldest are forgotten.
pub(crate) const MAX_JOBS: usize = 100;
/// Requests that read or change letters at the same time; a further one waits.
const MAX_READERS: usize = 2;

/// The replays of a pipeline.
#[derive(Debug)]
pub(crate) struct LetterJobs {
    state: Arc<Mutex<State>>,
    /// A permit for each request that may use the disk.
    pub(crate) readers: Arc<Semaphore>,
    /// How many run.
    running: Arc<watch::Sender<usize>>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    last: u64,
}

#[derive(Debug)]
struct Job {
    id: u64,
    sink: String,
    /// `None` until it runs.
    progress: Option<Arc<Progress>>,
    end: Option<End>,
}

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Stopped,
    Failed,
}

/// The place of a replay that is about to run. Given back when dropped.
pub(crate) struct Reserved {
    id: u64,
    sink: String,
    state: Arc<Mutex<State>>,
    running: Arc<watch::Sender<usize>>,
    is_used: bool,
}

impl Default for LetterJobs {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            running: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl LetterJobs {
    /// A place for a replay of this sink; `None` while another one runs, or too many sinks are being replayed.
    pub(crate) fn reserve(&self, sink: &str) -> Option<Reserved> {
        let mut state = lock(&self.state);
        let is_running = |job: &Job| job.end.is_none();
        if state
            .jobs
            .iter()
            .any(|job| job.sink == sink && is_running(job))
        {
            return None;
        }
        if state.jobs.len() >= MAX_JOBS {
            let oldest = state.jobs.iter().position(|job| !is_running(job))?;
            state.jobs.remove(oldest);
        }
        state.last += 1;
        let id = state.last;
        state.jobs.push_back(Job {
            id,
            sink: sink.to_owned(),
            progress: None,
            end: None,
        });
        Some(Reserved {
            id,
            sink: sink.to_owned(),
            state: Arc::clone(&self.state),
            running: Arc::clone(&self.running),
            is_used: false,
        })
    }

    /// The replay of this sink that runs.
    pub(crate) fn running(&self, sink: &str) -> Option<u64> {
        let state = lock(&self.state);
        let mut jobs = state.jobs.iter();
        let found =
            jobs.find(|job| job.sink == sink && job.end.is_none() && job.progress.is_some());
        found.map(|job| job.id)
    }

    /// How far a replay has come.
    pub(crate) fn find(&self, id: u64) -> Option<Value> {
        let state = lock(&self.state);
        let job = state.jobs.iter().find(|job| job.id == id)?;
        let now = job.progress.as_ref().map(|progress| progress.now());
        let now = now.unwrap_or_default();
        let word = match job.end {
            None => "running",
            Some(End::Done) => "done",
            Some(End::Stopped) => "stopped",
            Some(End::Failed) => "failed",
        };
        Some(json!({
            "job": job.id,
            "sink": job.sink,
            "state": word,
            "total": now.total,
            "done": now.done,
            "delivered": now.delivered,
            "rejected": now.rejected,
            "held": now.held,
            "unfit": now.unfit,
        }))
    }

    /// Waits until no replay runs.
    pub(crate) async fn ended(&self) {
        // The sender is here.
        let _ = self
            .running
            .subscribe()
            .wait_for(|running| *running == 0)
            .await;
    }
}

impl Reserved {
    /// Runs a replay in the background; its number.
    pub(crate) fn run(mut self, replaying: Replaying) -> u64 {
        let (id, progress) = (self.id, replaying.progress());
        self.is_used = true;
        let mut state = lock(&self.state);
        if let Some(job) = state.jobs.iter_mut().find(|job| job.id == id) {
            job.progress = Some(Arc::clone(&progress));
        }
        drop(state);
        self.running.send_modify(|running| *running += 1);
        let (sink, state, running) = (
            self.sink.clone(),
            Arc::clone(&self.state),
            Arc::clone(&self.running),
        );
        tokio::spawn(async move {
            // A task of its own, so that a panic ends the replay as failed.
            let ended = tokio::spawn(replaying.run()).await;
            let end = end_of(&sink, &progress, ended.ok());
            if let Some(job) = lock(&state).jobs.iter_mut().find(|job| job.id == id) {
                job.end = Some(end);
            }
            running.send_modify(|running| *running -= 1);
        });
        id
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_used {
            let id = self.id;
            lock(&self.state).jobs.retain(|job| job.id != id);
        }
    }
}

fn end_of(sink: &str, progress: &Progress, ended: Option<Result<Replayed, ReplayError>>) -> End {
    let now = progress.now();
    match ended {
        Some(Ok(_)) => {
            let (delivered, rejected) = (now.delivered, now.rejected);
            let (held, unfit) = (now.held, now.unfit);
            tracing::info!(
                sink,
                delivered,
                rejected,
                unfit,
                held,
                "the replay of dead letters has ended"
            );
            if now.done < now.total {
                End::Stopped
            } else {
                End::Done
            }
        }
        Some(Err(error)) => {
            tracing::error!(sink, "the replay of dead letters failed: {error}");
            End::Failed
        }
        None => {
            tracing::error!(sink, "the replay of dead letters failed; please report it");
            End::Failed
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing under the lock can panic half-way.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_replay_of_a_sink_has_a_place_at_a_time_and_old_ones_are_forgotten() {
        let jobs = LetterJobs::default();
        let first = jobs.reserve("meta").unwrap();
        assert!(jobs.reserve("meta").is_none());
        assert_eq!(jobs.running("meta"), None, "it does not run yet");
        let other = jobs.reserve("other").unwrap();
        assert_eq!((first.id, other.id), (1, 2));
        drop(first);
        assert!(jobs.find(1).is_none());
        assert!(jobs.find(2).is_some());
        for _ in 0..2 * MAX_JOBS {
            let mut reserved = jobs.reserve("meta").unwrap();
            reserved.is_used = true;
            let id = reserved.id;
            let mut state = lock(&jobs.state);
            let job = state.jobs.iter_mut().find(|job| job.id == id).unwrap();
            job.end = Some(End::Done);
        }
        assert_eq!(lock(&jobs.state).jobs.len(), MAX_JOBS);
        assert!(jobs.find(2).is_some(), "it runs");
        assert_eq!(jobs.find(u64::MAX), None);
    }
}
