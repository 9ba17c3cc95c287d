//! What waits in front of one sink: in memory, or on disk with a window in memory.
//!
//! Invariant: a record that was taken in comes out as part of a batch, or of `Buffer::abandon`, or stays on disk.

mod disk;
mod queue;

use crate::batch::{Batch, BatchLimit, Queued, Slot};
use crate::status::BufferLevel;
pub use disk::{
    BufferCheck, Cause, DiskBufferError, MIN_DISK_BYTES, Salvaged, Stored, check, salvage, stored,
};
pub(crate) use disk::{DiskBuffer, DiskOptions};
pub(crate) use queue::{Queue, QueueLimit};
use std::collections::VecDeque;
use tokio::time::Instant;

/// The buffer of one sink.
#[derive(Debug)]
pub(crate) enum Buffer {
    /// Does not outlive the process.
    Memory(Queue),
    /// Outlives the process.
    Disk(Box<DiskBuffer>),
}

/// Room that has been set aside in a buffer. Given back when dropped unused.
#[derive(Debug)]
pub(crate) enum Room<'a> {
    Memory(queue::Room<'a>),
    Disk(disk::DiskRoom<'a>),
}

impl Room<'_> {
    /// Puts in the records that the room was made for. Gives them back where the buffer was closed.
    pub(crate) fn fill(self, records: Vec<Queued>) -> Result<(), Vec<Queued>> {
        match self {
            Self::Memory(room) => room.fill(records),
            Self::Disk(room) => room.fill(records),
        }
    }
}

/// Records that are done: delivered, or in the dead letters.
#[derive(Debug, Default)]
pub(crate) struct Done {
    events: usize,
    bytes: usize,
    slots: Vec<Slot>,
}

impl Done {
    pub(crate) fn add(&mut self, queued: &Queued) {
        self.events += 1;
        self.bytes += queued.record.size_bytes();
        self.slots.extend(queued.meta.slot);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.slots.extend(other.slots);
    }

    /// Whether the records are on disk as well.
    pub(crate) fn is_on_disk(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Only the room in memory: what is on disk is not done.
    pub(crate) fn only_in_memory(mut self) -> Self {
        self.slots.clear();
        self
    }
}

impl Buffer {
    fn queue(&self) -> &Queue {
        match self {
            Self::Memory(queue) => queue,
            Self::Disk(disk) => disk.queue(),
        }
    }

    /// When a batch is full.
    pub(crate) fn batch_limit(&self) -> BatchLimit {
        self.queue().batch_limit()
    }

    /// The buffer on disk, where it is one.
    pub(crate) fn disk(&self) -> Option<&DiskBuffer> {
        match self {
            Self::Memory(_) => None,
            Self::Disk(disk) => Some(disk),
        }
    }

    /// Moves records in, waiting for room as often as needed. What is left in `rest` when it returns is not taken, because the
    /// buffer was closed; so is what is left when the caller stops waiting.
    pub(crate) async fn push(&self, rest: &mut VecDeque<Queued>) {
        match self {
            Self::Memory(queue) => queue.push(rest).await,
            Self::Disk(disk) => disk.push(rest).await,
        }
    }

    /// Puts in what fits now, and gives back the rest.
    pub(crate) fn try_push(&self, records: Vec<Queued>) -> Vec<Queued> {
        match self {
            Self::Memory(queue) => queue.try_push(records),
            Self::Disk(disk) => disk.try_push(records),
        }
    }

    /// Reserves capacity; `None` if the deadline passes first.
    pub(crate) async fn reserve(
        &self,
        events: usize,
        bytes: usize,
        deadline: Instant,
    ) -> Option<Room<'_>> {
        match self {
            Self::Memory(queue) => {
                let room = queue.reserve(events, bytes, deadline).await;
                room.map(Room::Memory)
            }
            Self::Disk(disk) => disk.reserve(bytes, deadline).await.map(Room::Disk),
        }
    }

    /// The next batch that is full or old enough; all that is left once every input has ended; then `None`.
    pub(crate) async fn next_batch(&self) -> Option<Batch> {
        self.queue().next_batch().await
    }

    /// Puts records that are to be tried again in front of all others, in their order.
    pub(crate) fn put_back(&self, records: Vec<Queued>) {
        self.tried(records.iter());
        self.queue().put_back(records.into_iter());
    }

    /// Remembers how often records were tried that are to be tried again.
    pub(crate) fn tried<'a>(&self, records: impl Iterator<Item = &'a Queued>) {
        if let Self::Disk(disk) = self {
            let tried = |queued: &Queued| Some((queued.meta.slot?, queued.meta.attempts));
            disk.tried(records.filter_map(tried));
        }
    }

    /// Gives the room of records that are done with back to the sources.
    pub(crate) fn finish(&self, done: &Done) {
        if let Self::Disk(disk) = self
            && !done.slots.is_empty()
        {
            disk.finish(&done.slots);
        }
        self.queue().finish(done.events, done.bytes);
    }

    /// One more input has started.
    pub(crate) fn add_input(&self) {
        match self {
            Self::Memory(queue) => queue.add_input(),
            Self::Disk(disk) => disk.add_input(),
        }
    }

    /// One input has ended. After the last, batches no longer wait for more.
    pub(crate) fn end_input(&self) {
        match self {
            Self::Memory(queue) => queue.end_input(),
            Self::Disk(disk) => disk.end_input(),
        }
    }

    /// How full it is, in percent.
    pub(crate) fn percent(&self) -> u64 {
        self.level().percent()
    }

    /// When the oldest event that waits to be sent was first seen, in milliseconds since the Unix epoch.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.queue().oldest_ms()
    }

    /// How full it is.
    pub(crate) fn level(&self) -> BufferLevel {
        match self {
            Self::Memory(queue) => queue.level(),
            Self::Disk(disk) => disk.level(),
        }
    }

    /// Whether nothing waits to be sent now. More may be on disk, and is on its way into memory then.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue().is_empty()
    }

    /// Whether every input has ended and nothing is left to be sent.
    pub(crate) fn is_drained(&self) -> bool {
        self.queue().is_drained()
    }

    /// Changes the limits; `max_events` counts in memory only.
    pub(crate) fn set_limits(&self, limit: QueueLimit, batch: BatchLimit) {
        match self {
            Self::Memory(queue) => queue.set_limits(limit, batch),
            Self::Disk(disk) => disk.set_limits(limit.max_bytes as u64, batch),
        }
    }

    /// Takes no more records for sending, and hands over all that would be lost with the process. Records on disk stay
    /// there.
    pub(crate) fn abandon(&self) -> Vec<Queued> {
        match self {
            Self::Memory(queue) => queue.abandon(),
            Self::Disk(disk) => {
                disk.abandon();
                Vec::new()
            }
        }
    }
}
