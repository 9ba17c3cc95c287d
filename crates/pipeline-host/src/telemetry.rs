//! What has happened so far, counted per sink.
//!
//! Counters only grow. What is held follows from the others, so an event that goes missing shows up as held.

use pipeline_core::{Origin, Reason};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// The counters of all sinks.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    sinks: Arc<Mutex<Vec<Arc<SinkTelemetry>>>>,
}

impl Telemetry {
    /// The counters of all sinks as they are now, in the order of the pipeline file; those of sinks that a reload has added
    /// or removed stay where they are.
    pub fn snapshot(&self) -> Vec<SinkSnapshot> {
        let sinks = lock(&self.sinks);
        sinks.iter().map(|sink| sink.snapshot()).collect()
    }

    /// Adds the counters of a sink.
    pub(crate) fn add(&self, sink: Arc<SinkTelemetry>) {
        lock(&self.sinks).push(sink);
    }
}

/// The counters of one sink.
#[derive(Debug)]
pub(crate) struct SinkTelemetry {
    name: String,
    on_disk: Option<u64>,
    pub(crate) received: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) given_up: AtomicU64,
    filtered: Mutex<BTreeMap<&'static str, u64>>,
    rejected: Mutex<BTreeMap<&'static str, Rejections>>,
    dropped: AtomicU64,
    state: Mutex<SinkState>,
}

/// How often one reason was the cause of a rejection, and the first case of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejections {
    /// How many events.
    pub count: u64,
    /// Where the first of them stood.
    pub place: String,
    /// The sentence that says why the first was rejected.
    pub detail: String,
}

/// What a sink is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SinkState {
    /// Sending, or waiting for something to send.
    #[default]
    Sending,
    /// Waiting after a failure.
    BackingOff {
        /// Until then.
        until: Instant,
        /// Why the last attempt failed.
        reason: String,
    },
    /// Waiting for a person.
    Blocked {
        /// What is wrong and what to do.
        reason: String,
    },
}

/// The counters of one sink at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SinkSnapshot {
    /// The sink's name in the pipeline file.
    pub name: String,
    /// Events that reached the sink.
    pub received: u64,
    /// Events that the destination has.
    pub delivered: u64,
    /// Attempts that have to be made again, counted per event.
    pub retried: u64,
    /// Events not meant for the destination, by reason.
    pub filtered: BTreeMap<&'static str, u64>,
    /// Events that became dead letters, by reason.
    pub rejected: BTreeMap<&'static str, Rejections>,
    /// Events dropped because the buffer was full.
    pub dropped: u64,
    /// Whether its buffer is on disk.
    pub is_on_disk: bool,
    /// Events that an earlier run left in the disk buffer.
    pub resumed: u64,
    /// Events not accounted for otherwise: in the buffer, on their way, or left at the end.
    pub held: u64,
    /// Events among those held that are safe when the process ends: they are on disk, or their source reads them again.
    pub kept: u64,
    /// What the sink is doing.
    pub state: SinkState,
}

impl SinkSnapshot {
    /// Events filtered, whatever the reason.
    pub fn filtered_total(&self) -> u64 {
        self.filtered.values().sum()
    }

    /// Events rejected, whatever the reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected
            .values()
            .map(|rejections| rejections.count)
            .sum()
    }
}

impl SinkTelemetry {
    /// Counters of the sink of this name; `on_disk` says how many events its disk buffer held, where it has one.
    pub(crate) fn new(name: &str, on_disk: Option<u64>) -> Self {
        Self {
            name: name.to_owned(),
            on_disk,
            received: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            filtered: Mutex::default(),
            rejected: Mutex::default(),
            dropped: AtomicU64::new(0),
            state: Mutex::new(SinkState::Sending),
        }
    }

    pub(crate) fn add(counter: &AtomicU64, events: usize) {
        counter.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn drop_newest(&self, events: usize) {
        Self::add(&self.dropped, events);
    }

    pub(crate) fn filter(&self, counts: &BTreeMap<&'static str, u64>) {
        let mut filtered = lock(&self.filtered);
        for (code, events) in counts {
            *filtered.entry(code).or_default() += events;
        }
    }

    pub(crate) fn reject(&self, reason: &Reason, origin: &Origin) {
        let mut rejected = lock(&self.rejected);
        let entry = rejected.entry(reason.code).or_insert_with(|| Rejections {
            count: 0,
            place: origin.to_string(),
            detail: reason.detail.to_string(),
        });
        entry.count += 1;
    }

    /// Counts events lost to disk corruption, for which no dead letter exists.
    pub(crate) fn lose(&self, reason: &Reason, events: u64) {
        let mut rejected = lock(&self.rejected);
        let entry = rejected.entry(reason.code).or_insert_with(|| Rejections {
            count: 0,
            place: "disk buffer".to_owned(),
            detail: reason.detail.to_string(),
        });
        entry.count += events;
    }

    pub(crate) fn set_state(&self, state: SinkState) {
        *lock(&self.state) = state;
    }

    pub(crate) fn snapshot(&self) -> SinkSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Received last: an event that is counted in between is held, never negative.
        let mut snapshot = SinkSnapshot {
            name: self.name.clone(),
            delivered: read(&self.delivered),
            retried: read(&self.retried),
            filtered: lock(&self.filtered).clone(),
            rejected: lock(&self.rejected).clone(),
            dropped: read(&self.dropped),
            state: lock(&self.state).clone(),
            is_on_disk: self.on_disk.is_some(),
            resumed: self.on_disk.unwrap_or(0),
            received: 0,
            held: 0,
            kept: 0,
        };
        snapshot.received = read(&self.received);
        let settled = snapshot.delivered
            + snapshot.filtered_total()
            + snapshot.rejected_total()
            + snapshot.dropped;
        snapshot.held = (snapshot.received + snapshot.resumed).saturating_sub(settled);
        snapshot.kept = if self.on_disk.is_some() {
            snapshot.held
        } else {
            read(&self.given_up).min(snapshot.held)
        };
        snapshot
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
