//! Records on their way together, and what the host remembers of each.

use crate::ack::Ack;
use crate::dead_letter::Past;
use pipeline_core::{Origin, Record};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// When a batch is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchLimit {
    /// Records.
    pub(crate) max_events: usize,
    /// Payload bytes. A single larger record goes alone.
    pub(crate) max_bytes: usize,
    /// How long the first record waits for others.
    pub(crate) timeout: Duration,
}

/// What the host remembers of a record that waits.
#[derive(Debug, Clone)]
pub(crate) struct RecordMeta {
    /// Where the event stood.
    pub(crate) origin: Origin,
    /// Attempts to deliver it so far that count: those without others, and those where nothing passed.
    pub(crate) attempts: u32,
    /// Failed attempts with others, any one may have been the cause.
    pub(crate) failures: u32,
    /// When it came into the buffer.
    pub(crate) since: Instant,
    /// When the event was first seen, in milliseconds since the Unix epoch.
    pub(crate) first_ms: i64,
    /// How it ended before it was replayed.
    pub(crate) history: Arc<[Past]>,
    /// The share of its source in its fate.
    pub(crate) ack: Ack,
    /// Its place in a disk buffer.
    pub(crate) slot: Option<Slot>,
}

impl RecordMeta {
    /// Failed attempts with others count, because nothing passed; and so many more.
    pub(crate) fn charge(&mut self, more: u32) {
        let failures = std::mem::take(&mut self.failures);
        self.attempts = self.attempts.saturating_add(failures).saturating_add(more);
    }

    /// How often it was sent, as far as is known.
    pub(crate) fn sent(&self) -> u32 {
        self.attempts.saturating_add(self.failures)
    }
}

/// The place of a record in a disk buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The number of the chunk.
    pub(crate) chunk: u64,
    /// Which of its records, from 0.
    pub(crate) index: usize,
}

/// A record that waits.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) record: Record,
    pub(crate) meta: RecordMeta,
}

/// Records of one partition that are delivered together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    /// What the sink sees.
    pub(crate) records: Vec<Record>,
    /// What the host remembers of each, in the same order.
    pub(crate) tickets: Vec<RecordMeta>,
}

impl Batch {
    pub(crate) fn push(&mut self, queued: Queued) {
        self.records.push(queued.record);
        self.tickets.push(queued.meta);
    }

    pub(crate) fn into_queued(self) -> impl DoubleEndedIterator<Item = Queued> {
        let pairs = self.records.into_iter().zip(self.tickets);
        pairs.map(|(record, meta)| Queued { record, meta })
    }
}
