//! What the sinks have done over the last hour, in steps of ten seconds, and over the last day, in minutes.
//!
//! In: the counters of the sinks, looked at every ten seconds and whenever somebody asks. Out: what was added in each step. The hour is
//! in memory; the day is in a small database beside the buffers, written once a minute, so that it outlives a restart.
//!
//! Invariant: the sum of all steps is what the counters say; a step in which the counters were not read is unknown and not zero. Memory is bounded
//! by [`MAX_SINKS`] times [`MAX_STEPS`], and the database as its file says.

mod history;
mod minutes;

use history::History;
pub(crate) use history::{Counts, Reasons, Steps};
use minutes::Minutes;
use pipeline_host::telemetry::Status;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a step of the hour is, in milliseconds.
pub(crate) const STEP_MS: i64 = 10_000;
/// How long a minute is, in milliseconds.
pub(crate) const MINUTE_MS: i64 = 60_000;
/// Steps of the hour.
const MAX_STEPS: i64 = 360;
/// Minutes of the day.
const MAX_MINUTES: i64 = 1_440;
/// Sinks that are told apart; a reload can bring new names.
const MAX_SINKS: usize = 64;
/// Reasons of one step that are told apart; they come from closed sets, so only what was written by another version has more.
const MAX_REASONS: usize = 64;

/// The series of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Series {
    history: Mutex<History>,
    /// The day; `None` before the pipeline runs.
    minutes: Mutex<Option<Minutes>>,
}

impl Series {
    /// Keeps the day below this folder; in memory where that is `None`.
    pub(crate) fn open(&self, data_dir: Option<&Path>) {
        *self.minutes() = Some(Minutes::open(data_dir));
    }

    /// Looks at the counters.
    pub(crate) fn look(&self, now_ms: i64, status: &Status) {
        let mut totals: BTreeMap<String, Counts> = BTreeMap::new();
        for sink in &status.sinks {
            let counts = Counts::of(sink);
            match totals.get_mut(&sink.counts.name) {
                // A reload has removed one of this name and added another.
                Some(earlier) => earlier.add(&counts),
                None => {
                    totals.insert(sink.counts.name.clone(), counts);
                }
            }
        }
        self.history().look(now_ms, totals);
    }

    /// Writes the minutes that are over; at the end of the run also the one that is not. Blocks.
    pub(crate) fn write(&self, is_end: bool) {
        let mut minutes = self.minutes();
        let Some(minutes) = minutes.as_mut() else {
            return;
        };
        let due = self.history().take_due(is_end);
        if !due.is_empty() {
            minutes.write(&due);
        }
    }

    /// The steps of the last hour.
    pub(crate) fn hour(&self, sink: Option<&str>) -> Steps {
        self.history().hour(sink)
    }

    /// The minutes of the last day, and why they are not kept on disk where they are not. Blocks.
    pub(crate) fn day(&self, sink: Option<&str>) -> (Steps, Option<String>) {
        let mut minutes = self.minutes();
        let (mut steps, problem) = match minutes.as_mut() {
            Some(minutes) => (minutes.read(sink), minutes.problem()),
            None => (Steps::new(), None),
        };
        self.history().add_unwritten(sink, &mut steps);
        if let Some((newest, _)) = steps.last_key_value() {
            let oldest = newest.saturating_sub(MAX_MINUTES);
            steps = steps.split_off(&(oldest + 1));
        }
        (steps, problem)
    }

    /// No code panics while it holds a lock, so that a poisoned one still guards good figures.
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn minutes(&self) -> MutexGuard<'_, Option<Minutes>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
