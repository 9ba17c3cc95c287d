//! The contract between a host and something that watches a pipeline: a metrics exporter, a live view.

use crate::{Encoded, Event, Origin, Outcome, Reason, Record};

/// Watches what happens to events. Called on the hot path, on many threads at once: it must be quick and must not block.
///
/// A host asks [`is_watching`](Self::is_watching) once for each group of events, and calls nothing else when it is false.
pub trait Observer: Send + Sync {
    /// Whether something is listening now.
    fn is_watching(&self) -> bool {
        true
    }

    /// A sink has encoded an event.
    fn encoded(&self, sink: &str, event: &Event, encoded: &Encoded);

    /// An attempt to deliver a record has ended.
    fn attempted(&self, sink: &str, settlement: &Settlement<'_>);

    /// An event or a record became a dead letter.
    fn rejected(&self, _sink: &str, _origin: &Origin, _reason: &Reason) {}
}

/// One record after an attempt to deliver it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settlement<'a> {
    /// The record as it was sent.
    pub record: &'a Record,
    /// Where its event was read.
    pub origin: &'a Origin,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// What the sink answered.
    pub outcome: &'a Outcome,
}

impl<'a> Settlement<'a> {
    /// The end of the attempt of this number.
    pub fn new(record: &'a Record, origin: &'a Origin, attempt: u32, outcome: &'a Outcome) -> Self {
        Self {
            record,
            origin,
            attempt,
            outcome,
        }
    }
}
