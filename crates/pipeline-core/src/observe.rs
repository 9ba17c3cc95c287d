//! The contract between a host and something that watches a pipeline: a metrics exporter, a live view.

use crate::{Encoded, Event, Exchange, Explained, Origin, Outcome, Reason, Record, Sink};
use std::sync::Arc;

/// Watches what happens to events. Called on the hot path, on many threads at once: it must be quick and must not block.
///
/// A host asks [`is_watching`](Self::is_watching) once for each group of events, and calls nothing else when it is false.
pub trait Observer: Send + Sync {
    /// Whether something is listening now.
    fn is_watching(&self) -> bool {
        true
    }

    /// The sink of this name is this one from now on: at the start, and when its options change. What it says of payloads can be
    /// asked for later. Not on the hot path, and called also while nothing is watched.
    fn opened(&self, _sink: &str, _is: &Arc<dyn Sink>) {}

    /// Whether it wants to know where the fields of the next event of this sink come from. That costs many times what encoding
    /// does, so an observer says yes rarely, and only while a person looks.
    fn wants_explanation(&self, _sink: &str) -> bool {
        false
    }

    /// The explanation that it wanted; [`encoded`](Self::encoded) follows for the same event.
    fn explained(&self, _sink: &str, _event: &Event, _explained: &Explained) {}

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
    /// The request that carried the record last, and its answer, where the sink says so.
    pub exchange: Option<&'a Arc<Exchange>>,
    /// When its event came in, in milliseconds since the Unix epoch.
    pub received_ms: Option<i64>,
}

impl<'a> Settlement<'a> {
    /// The end of the attempt of this number.
    pub fn new(record: &'a Record, origin: &'a Origin, attempt: u32, outcome: &'a Outcome) -> Self {
        Self {
            record,
            origin,
            attempt,
            outcome,
            exchange: None,
            received_ms: None,
        }
    }

    /// The same with the request that carried the record last.
    #[must_use]
    pub fn with_exchange(mut self, exchange: Option<&'a Arc<Exchange>>) -> Self {
        self.exchange = exchange;
        self
    }

    /// The same of an event that came in then, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn received_at(mut self, received_ms: i64) -> Self {
        self.received_ms = Some(received_ms);
        self
    }
}
