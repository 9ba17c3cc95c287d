//! What the parts of a running pipeline are doing now, beyond the counters of the sinks: how full the buffers are, whether the disk takes what it is
//! given, which sources still run, how long deliveries take.
//!
//! Plain data, made when somebody asks [`Telemetry::status`](crate::telemetry::Telemetry::status).
//!
//! Invariant: nothing here costs the way of an event more than one addition for each chunk or batch, and nothing holds a
//! value of an event.

use pipeline_core::{Coverage, Sink};
use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of [`DurationCounts`]: each bound is the one before it times √2, from 1 ms to more than 60 s.
pub const DURATION_BUCKETS: usize = 33;

/// How full a buffer is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferLevel {
    /// Events in it, with those on their way to the destination.
    pub events: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// The most events that it takes; `None` where only bytes count.
    pub max_events: Option<u64>,
    /// The most bytes that it takes.
    pub max_bytes: u64,
    /// When the oldest of its events was first seen, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<i64>,
    /// Whether another event of the usual size would have to wait for room.
    pub is_full: bool,
    /// Whether the disk refuses what is written to it.
    pub is_failing: bool,
}

impl BufferLevel {
    /// How full it is, by events or bytes, whichever is more; at most 100.
    pub fn percent(&self) -> u64 {
        let share = |part: u64, whole: u64| (part.saturating_mul(100) / whole.max(1)).min(100);
        let events = self.max_events.map_or(0, |max| share(self.events, max));
        events.max(share(self.bytes, self.max_bytes))
    }
}

/// One source at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceStatus {
    /// Its name in the pipeline file.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Where it listens, if it does.
    pub address: Option<SocketAddr>,
    /// Events that it has sent.
    pub received: u64,
    /// When the last event came in, in milliseconds since the Unix epoch.
    pub last_received_ms: Option<i64>,
    /// How often it could not read something.
    pub problems: u64,
    /// What it is doing.
    pub state: SourceState,
}

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SourceState {
    /// Reading, or waiting for something to read.
    #[default]
    Running,
    /// It has come to the end of its input, or was told to stop.
    Ended,
    /// It had to end before its input.
    Failed,
}

/// What a source has done so far.
#[derive(Debug, Default)]
pub(crate) struct SourceCounters {
    /// Events that it has sent.
    pub(crate) received: AtomicU64,
    /// When the last of them came in, in milliseconds since the Unix epoch; 0 before the first.
    pub(crate) last_received_ms: AtomicI64,
    /// How often it could not read something.
    pub(crate) problems: AtomicU64,
    /// It had to end before its input.
    pub(crate) has_failed: AtomicBool,
    pub(crate) has_ended: AtomicBool,
}

impl SourceCounters {
    /// Counts events; the last came in at this time.
    pub(crate) fn receive(&self, events: usize, last_ms: Option<i64>) {
        self.received.fetch_add(events as u64, Ordering::Relaxed);
        if let Some(last_ms) = last_ms {
            self.last_received_ms.store(last_ms, Ordering::Relaxed);
        }
    }

    pub(crate) fn state(&self) -> SourceState {
        if self.has_failed.load(Ordering::Acquire) {
            SourceState::Failed
        } else if self.has_ended.load(Ordering::Acquire) {
            SourceState::Ended
        } else {
            SourceState::Running
        }
    }
}

/// A sink that runs, for who asks what it is doing. Whoever knows what it is can have it whole.
pub(crate) trait LiveSink: Any + Send + Sync {
    /// How full its buffer is.
    fn level(&self) -> BufferLevel;

    /// Which identifiers its events carried, where it counts them.
    fn coverage(&self) -> Option<Coverage>;

    /// The sink as it is now.
    fn sink(&self) -> Arc<dyn Sink>;

    /// Whether a person has paused its delivery.
    fn is_paused(&self) -> bool;

    /// Pauses its delivery, or lets it resume.
    fn set_paused(&self, is_paused: bool);
}

/// How many deliveries took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurationCounts {
    /// For each bucket, deliveries that took no longer than its bound and longer than the bound before it.
    pub buckets: [u64; DURATION_BUCKETS],
    /// Deliveries that took longer than the last bound.
    pub longer: u64,
    /// All of them together, in microseconds.
    pub sum_micros: u64,
}

impl Default for DurationCounts {
    fn default() -> Self {
        Self {
            buckets: [0; DURATION_BUCKETS],
            longer: 0,
            sum_micros: 0,
        }
    }
}

impl DurationCounts {
    /// The bounds of the buckets, in seconds.
    pub fn bounds() -> [f64; DURATION_BUCKETS] {
        let mut bound = 0.001;
        std::array::from_fn(|_| {
            // Whole microseconds read better, and cost nothing.
            let this = (bound * 1e6_f64).round() / 1e6;
            bound *= std::f64::consts::SQRT_2;
            this
        })
    }

    /// Adds those of another sink.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += more;
        }
        self.longer += other.longer;
        self.sum_micros += other.sum_micros;
    }

    /// All deliveries.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.longer
    }
}

/// Counts durations on many tasks at once.
#[derive(Debug)]
pub(crate) struct Durations {
    buckets: [AtomicU64; DURATION_BUCKETS],
    longer: AtomicU64,
    sum_micros: AtomicU64,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            longer: AtomicU64::new(0),
            sum_micros: AtomicU64::new(0),
        }
    }
}

impl Durations {
    pub(crate) fn add(&self, took: Duration) {
        let secs = took.as_secs_f64();
        let bounds = DurationCounts::bounds();
        let bucket = bounds.iter().position(|bound| secs <= *bound);
        let counter = bucket.map_or(&self.longer, |bucket| &self.buckets[bucket]);
        counter.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> DurationCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DurationCounts {
            buckets: std::array::from_fn(|bucket| read(&self.buckets[bucket])),
            longer: read(&self.longer),
            sum_micros: read(&self.sum_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_first_bucket_that_is_not_too_short() {
        let durations = Durations::default();
        for micros in [0, 999, 1_000, 1_001, 1_500, 60_000_000, 90_000_000] {
            durations.add(Duration::from_micros(micros));
        }
        let counts = durations.counts();
        assert_eq!(counts.buckets[..3], [3, 1, 1]);
        assert_eq!((counts.buckets[32], counts.longer), (1, 1));
        assert_eq!((counts.count(), counts.sum_micros), (7, 150_004_500));
        let bounds = DurationCounts::bounds();
        assert!(bounds[31] < 60.0 && bounds[32] >= 60.0, "{bounds:?}");
    }

    #[test]
    fn a_buffer_is_as_full_as_the_limit_that_is_nearest() {
        let level = |events, bytes, max_events| BufferLevel {
            events,
            bytes,
            max_events,
            max_bytes: 1_000,
            ..BufferLevel::default()
        };
        assert_eq!(level(5, 100, Some(10)).percent(), 50);
        assert_eq!(level(5, 900, Some(10)).percent(), 90);
        assert_eq!(level(5, 5_000, None).percent(), 100);
        assert_eq!(BufferLevel::default().percent(), 0);
    }
}
