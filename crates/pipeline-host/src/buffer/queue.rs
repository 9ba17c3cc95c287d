//! A bounded queue of records in memory, and the batches that come out of it.
//!
//! Records go in from many sources and come out as batches of one partition. A record counts against the limits until
//! the sink is done with it, so what is on its way is bounded too.
//!
//! Invariant: a record that was taken in comes out as part of a batch, or of [`Queue::abandon`]; never neither.

use crate::batch::{Batch, BatchLimit, Queued};
use crate::status::BufferLevel;
use pipeline_core::AckLevel;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What waits in front of one sink.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    work: Notify,
    room: Notify,
}

/// How much a queue holds. One record larger than `max_bytes` is taken when nothing else is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimit {
    /// Records.
    pub(crate) max_events: usize,
    /// Bytes, see `Record::size_bytes`.
    pub(crate) max_bytes: usize,
}

#[derive(Debug)]
struct State {
    limit: QueueLimit,
    batch: BatchLimit,
    partitions: VecDeque<Partition>,
    /// Queued, reserved and on their way.
    events: usize,
    bytes: usize,
    inputs: usize,
    abandoned: bool,
}

#[derive(Debug)]
struct Partition {
    key: Arc<str>,
    queue: VecDeque<Queued>,
    payload_bytes: usize,
}

/// Room that has been set aside. Given back when dropped unused.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    queue: &'a Queue,
    events: usize,
    bytes: usize,
}

impl Room<'_> {
    /// Puts in the records that the room was made for.
    pub(crate) fn fill(mut self, records: Vec<Queued>) -> Result<(), Vec<Queued>> {
        let mut state = self.queue.lock();
        if state.abandoned {
            return Err(records);
        }
        (self.events, self.bytes) = (0, 0);
        for queued in records {
            state.queue(queued);
        }
        drop(state);
        self.queue.work.notify_one();
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.events > 0 {
            self.queue.finish(self.events, self.bytes);
        }
    }
}

enum Next {
    Batch(Batch),
    Wait(Option<Instant>),
    End,
}

impl Queue {
    pub(crate) fn new(limit: QueueLimit, batch: BatchLimit) -> Self {
        Self {
            state: Mutex::new(State {
                limit,
                batch,
                partitions: VecDeque::new(),
                events: 0,
                bytes: 0,
                inputs: 0,
                abandoned: false,
            }),
            work: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Moves records in, waiting for room as often as needed. What is left in `rest` when it returns is not taken, because the
    /// queue was abandoned; so is what is left when the caller stops waiting.
    pub(crate) async fn push(&self, rest: &mut VecDeque<Queued>) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut state = self.lock();
                if state.abandoned {
                    return;
                }
                state.queue_some(rest);
            }
            self.work.notify_one();
            if rest.is_empty() {
                return;
            }
            room.await;
        }
    }

    /// Puts in what fits now, and gives back the rest.
    pub(crate) fn try_push(&self, records: Vec<Queued>) -> Vec<Queued> {
        let mut rest: VecDeque<Queued> = records.into();
        self.lock().queue_some(&mut rest);
        self.work.notify_one();
        rest.into()
    }

    /// Reserves capacity; `None` if the deadline passes first.
    pub(crate) async fn reserve(
        &self,
        events: usize,
        bytes: usize,
        deadline: Instant,
    ) -> Option<Room<'_>> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut state = self.lock();
                if state.abandoned {
                    return None;
                }
                if state.fits(events, bytes) {
                    state.events += events;
                    state.bytes += bytes;
                    return Some(Room {
                        queue: self,
                        events,
                        bytes,
                    });
                }
            }
            tokio::time::timeout_at(deadline, room).await.ok()?;
        }
    }

    /// The next batch that is full or old enough; all that is left once every input has ended; then `None`.
    pub(crate) async fn next_batch(&self) -> Option<Batch> {
        loop {
            let work = self.work.notified();
            match self.take() {
                Next::Batch(batch) => return Some(batch),
                Next::End => return None,
                Next::Wait(None) => work.await,
                Next::Wait(Some(until)) => {
                    let _ = tokio::time::timeout_at(until, work).await;
                }
            }
        }
    }

    /// Puts records that are to be tried again in front of all others, in their order.
    pub(crate) fn put_back(&self, records: impl DoubleEndedIterator<Item = Queued>) {
        let mut state = self.lock();
        for queued in records.rev() {
            state.queue_first(queued);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Gives the room of records that are done with back to the sources.
    pub(crate) fn finish(&self, events: usize, bytes: usize) {
        let mut state = self.lock();
        state.events -= events;
        state.bytes -= bytes;
        drop(state);
        self.room.notify_waiters();
    }

    /// Changes the limits. What is there already stays, also where it is more than the new limits allow.
    pub(crate) fn set_limits(&self, limit: QueueLimit, batch: BatchLimit) {
        let mut state = self.lock();
        (state.limit, state.batch) = (limit, batch);
        drop(state);
        self.room.notify_waiters();
        self.work.notify_one();
    }

    /// When a batch is full.
    pub(crate) fn batch_limit(&self) -> BatchLimit {
        self.lock().batch
    }

    /// One more input has started.
    pub(crate) fn add_input(&self) {
        self.lock().inputs += 1;
    }

    /// One input has ended. After the last, batches no longer wait for more.
    pub(crate) fn end_input(&self) {
        self.lock().inputs -= 1;
        self.work.notify_one();
    }

    /// When the oldest event that is queued was first seen, in milliseconds since the Unix epoch.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        let state = self.lock();
        let firsts = state
            .partitions
            .iter()
            .filter_map(|partition| partition.queue.front());
        firsts.map(|queued| queued.meta.first_ms).min()
    }

    /// How full it is.
    pub(crate) fn level(&self) -> BufferLevel {
        let state = self.lock();
        let usual = state.bytes / state.events.max(1);
        let firsts = state.partitions.iter().map(|part| part.queue.front());
        let oldest_ms = firsts.flatten().map(|queued| queued.meta.first_ms).min();
        BufferLevel {
            events: state.events as u64,
            bytes: state.bytes as u64,
            max_events: Some(state.limit.max_events as u64),
            max_bytes: state.limit.max_bytes as u64,
            oldest_ms,
            is_full: !state.fits(1, usual),
            is_failing: false,
        }
    }

    /// Whether nothing is queued now.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().partitions.is_empty()
    }

    /// Whether every input has ended and nothing is queued.
    pub(crate) fn is_drained(&self) -> bool {
        let state = self.lock();
        state.inputs == 0 && state.partitions.is_empty()
    }

    /// Takes no more records, and hands over all that are queued.
    pub(crate) fn abandon(&self) -> Vec<Queued> {
        let mut state = self.lock();
        state.abandoned = true;
        let left = std::mem::take(&mut state.partitions);
        drop(state);
        self.room.notify_waiters();
        left.into_iter()
            .flat_map(|partition| partition.queue)
            .collect()
    }

    fn take(&self) -> Next {
        let mut state = self.lock();
        let now = Instant::now();
        let mut earliest: Option<Instant> = None;
        for index in 0..state.partitions.len() {
            let partition = &state.partitions[index];
            let Some(first) = partition.queue.front() else {
                continue;
            };
            let due = first.meta.since + state.batch.timeout;
            let ready = due <= now
                || state.inputs == 0
                || partition.queue.len() >= state.batch.max_events
                || partition.payload_bytes >= state.batch.max_bytes;
            if ready {
                return Next::Batch(state.take_batch(index));
            }
            earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
        }
        if state.inputs == 0 {
            return Next::End;
        }
        Next::Wait(earliest)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way, so the state behind a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fits(&self, events: usize, bytes: usize) -> bool {
        self.events == 0
            || (self.events + events <= self.limit.max_events
                && self.bytes + bytes <= self.limit.max_bytes)
    }

    fn queue_some(&mut self, rest: &mut VecDeque<Queued>) {
        while let Some(queued) = rest.front() {
            let bytes = queued.record.size_bytes();
            if self.abandoned || !self.fits(1, bytes) {
                break;
            }
            self.events += 1;
            self.bytes += bytes;
            if let Some(queued) = rest.pop_front() {
                self.queue(queued);
            }
        }
    }

    fn partition(&mut self, key: &Arc<str>) -> &mut Partition {
        let found = self
            .partitions
            .iter()
            .position(|partition| partition.key == *key);
        let index = found.unwrap_or_else(|| {
            self.partitions.push_back(Partition {
                key: Arc::clone(key),
                queue: VecDeque::new(),
                payload_bytes: 0,
            });
            self.partitions.len() - 1
        });
        &mut self.partitions[index]
    }

    fn queue(&mut self, mut queued: Queued) {
        // A source that waits for nothing more is told at once.
        queued.meta.ack.reached(AckLevel::Buffered);
        let partition = self.partition(&queued.record.partition);
        partition.payload_bytes += queued.record.payload.len();
        partition.queue.push_back(queued);
    }

    fn queue_first(&mut self, queued: Queued) {
        let partition = self.partition(&queued.record.partition);
        partition.payload_bytes += queued.record.payload.len();
        partition.queue.push_front(queued);
    }

    /// Takes a batch from one partition, and lets the others go first next time.
    fn take_batch(&mut self, index: usize) -> Batch {
        let limit = self.batch;
        let mut batch = Batch::default();
        let Some(mut partition) = self.partitions.remove(index) else {
            return batch;
        };
        let mut bytes = 0;
        while let Some(queued) = partition.queue.pop_front() {
            let size = queued.record.payload.len();
            let full = batch.records.len() >= limit.max_events || bytes + size > limit.max_bytes;
            if full && !batch.records.is_empty() {
                partition.queue.push_front(queued);
                break;
            }
            bytes += size;
            batch.push(queued);
        }
        partition.payload_bytes -= bytes;
        if !partition.queue.is_empty() {
            self.partitions.push_back(partition);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::Ack;
    use crate::batch::RecordMeta;
    use pipeline_core::Origin;
    use pipeline_core::Record;
    use std::time::Duration;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn queue() -> Queue {
        let limit = QueueLimit {
            max_events: 10,
            max_bytes: 100_000,
        };
        let batch = BatchLimit {
            max_events: 5,
            max_bytes: 10_000,
            timeout: TIMEOUT,
        };
        let queue = Queue::new(limit, batch);
        queue.add_input();
        queue
    }

    fn queued(id: &str) -> Queued {
        Queued {
            record: Record::new("{}", id)
                .in_partition("one")
                .at(0)
                .labeled("a -> b"),
            meta: RecordMeta {
                origin: Origin::line("events".into(), 1),
                attempts: 0,
                failures: 0,
                since: Instant::now(),
                first_ms: 0,
                history: Arc::default(),
                ack: Ack::none(),
                slot: None,
            },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_partial_batch_goes_once_its_first_record_has_waited_long_enough() {
        let (queue, started) = (queue(), Instant::now());
        queue.push(&mut [queued("a")].into()).await;
        tokio::time::sleep(TIMEOUT / 2).await;
        queue.push(&mut [queued("b")].into()).await;
        let batch = queue.next_batch().await.unwrap();
        assert_eq!(batch.records.len(), 2);
        let waited = started.elapsed();
        assert!(
            waited >= TIMEOUT && waited < TIMEOUT + Duration::from_millis(10),
            "{waited:?}"
        );
        assert!(!queue.is_drained(), "the input is still open");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_does_not_wait() {
        let (queue, started) = (queue(), Instant::now());
        let mut records = ["a", "b", "c", "d", "e", "f"].map(queued).into();
        queue.push(&mut records).await;
        assert_eq!(queue.next_batch().await.unwrap().records.len(), 5);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_given_back_when_records_are_done_with_and_not_before() {
        let queue = queue();
        let records = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(queued);
        let size = records[0].record.size_bytes();
        queue.push(&mut records.into()).await;
        let on_its_way = queue.next_batch().await.unwrap();
        assert_eq!(queue.try_push(vec![queued("k")]).len(), 1, "it is full");
        let soon = Instant::now() + Duration::from_secs(1);
        assert!(queue.reserve(1, size, soon).await.is_none());
        queue.finish(on_its_way.records.len(), 5 * size);
        let room = queue.reserve(5, 5 * size, soon).await.unwrap();
        assert_eq!(
            queue.try_push(vec![queued("k")]).len(),
            1,
            "it is set aside"
        );
        drop(room);
        assert!(queue.try_push(vec![queued("k")]).is_empty());
    }
}
