//! How far a replay has come, for who asks while it runs.

use super::Left;
use crate::telemetry::SinkTelemetry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a replay; they only grow.
#[derive(Debug)]
pub struct Progress {
    telemetry: Arc<SinkTelemetry>,
    total: AtomicU64,
    sent: AtomicU64,
    unfit: AtomicU64,
    /// Letters that a replay which was killed had written again.
    written_again: AtomicU64,
}

/// A replay at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayProgress {
    /// Letters that were meant when it began.
    pub total: u64,
    /// Letters that have met their fate.
    pub done: u64,
    /// Letters that the destination has.
    pub delivered: u64,
    /// Letters that are dead letters again.
    pub rejected: u64,
    /// Letters that were sent and have no fate yet; at the end, those that stay as they were.
    pub held: u64,
    /// Letters that the destination would refuse, so that they stay as they were.
    pub unfit: u64,
}

impl Progress {
    pub(super) fn of(telemetry: &Arc<SinkTelemetry>) -> Self {
        Self {
            telemetry: Arc::clone(telemetry),
            total: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            unfit: AtomicU64::new(0),
            written_again: AtomicU64::new(0),
        }
    }

    pub(super) fn set_total(&self, letters: u64) {
        self.total.store(letters, Ordering::Relaxed);
    }

    pub(super) fn add(&self, left: &Left, sent: usize, written_again: usize) {
        let written_again = written_again as u64;
        self.written_again
            .fetch_add(written_again, Ordering::Relaxed);
        self.unfit.fetch_add(left.unfit_total(), Ordering::Relaxed);
        self.sent.fetch_add(sent as u64, Ordering::Relaxed);
    }

    /// Letters that were put on their way.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The counters as they are now.
    pub fn now(&self) -> ReplayProgress {
        let counts = self.telemetry.snapshot();
        let delivered = counts.delivered;
        let again = self.written_again.load(Ordering::Relaxed);
        let rejected = counts.rejected_total() + again;
        let unfit = self.unfit.load(Ordering::Relaxed);
        let done = delivered + rejected + unfit;
        ReplayProgress {
            // More letters may have come since they were counted.
            total: self.total.load(Ordering::Relaxed).max(done),
            done,
            delivered,
            rejected,
            held: self.sent().saturating_sub(delivered + rejected - again),
            unfit,
        }
    }
}
