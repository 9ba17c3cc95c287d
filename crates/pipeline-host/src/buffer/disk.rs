//! A buffer on disk: what was acknowledged outlives the process, and memory holds a bounded part of it.
//!
//! ```text
//! push ──► writer ──► store ──► feeder ──► queue in memory ──► batches
//!          one thread, many records a commit        a window on the oldest records
//! ```
//!
//! A record is finished in memory first; the store learns of it with the next commit. For a chunk with some records
//! done, the marks are stored, so that a restart sends only the others again.
//!
//! Invariant: a record leaves the store only after it was delivered or written to the dead letters.

mod chunk;
mod error;
mod files;
mod format;
mod log;
mod pages;
mod rebuild;
mod reserve;
mod salvage;
mod store;
mod stored;
#[cfg(test)]
mod tests;
mod writer;

use super::queue::{Queue, QueueLimit};
use crate::batch::{BatchLimit, Queued, Slot};
use crate::config::option::Sync;
use crate::status::BufferLevel;
use crate::stop::StopSignal;
pub use error::{Cause, DiskBufferError};
pub use salvage::{BufferCheck, Salvaged, check, salvage};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use store::{Found, Gap, Inventory, Store};
pub use stored::{Stored, stored};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use writer::{Append, Command, Writer};

/// Smallest disk buffer, in bytes.
pub const MIN_DISK_BYTES: u64 = 32 * 1024 * 1024;
/// The part of a disk buffer after which its log is brought into the file, within bounds in bytes.
const LOG_PART: u64 = 16;
const MIN_LOG_BYTES: u64 = 4 * 1024 * 1024;
const MAX_LOG_BYTES: u64 = 64 * 1024 * 1024;
/// What one commit may add to a log that is full, in bytes.
const COMMIT_BYTES: u64 = 4 * 1024 * 1024;
/// Records in memory, waiting to be sent or on their way.
const WINDOW_EVENTS: usize = 20_000;
/// Bytes of records in memory, unless one batch is larger.
const WINDOW_BYTES: usize = 24 * 1024 * 1024;
/// Bytes of records that have just been written and are kept in memory until the window has room.
const CACHED_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of records that wait to be written, unless one request is larger.
const PENDING_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of records that go to the writer as one.
const PIECE_BYTES: usize = 512 * 1024;

/// The mark of a record that is done. Any other mark is the number of attempts so far, plus one.
const DONE: u32 = 0;

/// How a disk buffer is opened.
pub(crate) struct DiskOptions {
    /// The sink's name, for messages.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) max_bytes: u64,
    pub(crate) sync: Sync,
    pub(crate) batch: BatchLimit,
    /// Called when the thread that writes panics.
    pub(crate) writer_panicked: Box<dyn FnOnce() + Send>,
}

/// Closes the buffer when the writer's thread panics, so that no caller waits for it.
struct WriterPanicked(Arc<Shared>, Box<dyn FnOnce() + Send>);

impl Drop for WriterPanicked {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // First, so that whoever is woken finds the failure told.
            std::mem::replace(&mut self.1, Box::new(|| {}))();
            self.0.lock().closed = true;
            self.0.room.notify_waiters();
        }
    }
}

/// The disk buffer of one sink.
#[derive(Debug)]
pub(crate) struct DiskBuffer {
    queue: Queue,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    writer: Mutex<Option<JoinHandle<Vec<Queued>>>>,
    /// Records that were there when it was opened.
    found: u64,
    /// The number of the first chunk that is new.
    first: u64,
    /// The oldest record that was there when it was opened.
    oldest: Option<Queued>,
}

/// What the writer's thread shares with everybody else.
#[derive(Debug)]
struct Shared {
    name: String,
    state: Mutex<State>,
    room: Notify,
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    max_bytes: u64,
    /// Bytes of the file in use, as of the last commit.
    used: u64,
    /// Bytes set aside for records that are not in the file yet.
    pending: u64,
    /// Records in the file that are not done.
    events: u64,
    /// The number of the last chunk in the file.
    last: u64,
    cached: BTreeMap<u64, Vec<Queued>>,
    cached_bytes: usize,
    /// Chunks with some records in memory.
    open: BTreeMap<u64, Open>,
    /// Open chunks whose marks have changed since the last commit.
    touched: BTreeSet<u64>,
    /// Chunks that can go with the next commit.
    finished: Vec<u64>,
    is_failing: bool,
    inputs: usize,
    /// Nothing is sent any more.
    abandoned: bool,
    closed: bool,
}

/// A chunk with some records in memory.
#[derive(Debug)]
struct Open {
    marks: Vec<u32>,
    left: usize,
}

/// Records that were there when the buffer was opened, as far as the feeder has come.
#[derive(Debug, Default)]
struct Tally {
    /// Read, or known to be lost.
    read: Cell<u64>,
    /// A page was stepped over whose records were not counted.
    has_gap: Cell<bool>,
}

impl Tally {
    fn add(&self, events: u64) {
        self.read.set(self.read.get() + events);
    }
}

enum Next {
    Chunk(u64, Vec<Queued>),
    /// It has to be read, where there is one up to this number.
    Stored(u64),
    Later,
    End,
}

/// Room that has been set aside. Given back when dropped unused.
#[derive(Debug)]
pub(crate) struct DiskRoom<'a> {
    buffer: &'a DiskBuffer,
    bytes: u64,
}

impl DiskRoom<'_> {
    /// Puts in the records that the room was made for. Their acknowledgements speak once they are on disk.
    pub(crate) fn fill(mut self, records: Vec<Queued>) -> Result<(), Vec<Queued>> {
        let bytes = std::mem::take(&mut self.bytes);
        self.buffer.send(records, bytes)
    }
}

impl Drop for DiskRoom<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.buffer.shared.lock().pending -= self.bytes;
            self.buffer.shared.room.notify_waiters();
        }
    }
}

impl DiskBuffer {
    /// Opens the buffer, or makes a new one. Blocks on the disk.
    pub(crate) fn open(options: DiskOptions) -> Result<Self, DiskBufferError> {
        let log_bytes = log_bytes(options.max_bytes);
        let (store, inventory) = Store::open(&options.folder, options.sync, log_bytes)?;
        let name = options.name;
        for notice in &inventory.notices {
            tracing::warn!(sink = %name, "{notice}");
        }
        if inventory.cut_bytes > 0 {
            tracing::warn!(sink = %name, bytes = inventory.cut_bytes, "the end of the disk buffer was not written whole and is left out: the last run did not end in an orderly way");
        }
        let shared = Arc::new(Shared {
            name,
            state: Mutex::new(State {
                max_bytes: capacity(options.max_bytes),
                used: store.used_bytes()?,
                pending: 0,
                events: inventory.events,
                last: inventory.next.saturating_sub(1),
                cached: BTreeMap::new(),
                cached_bytes: 0,
                open: BTreeMap::new(),
                touched: BTreeSet::new(),
                finished: Vec::new(),
                is_failing: false,
                inputs: 0,
                abandoned: false,
                closed: false,
            }),
            room: Notify::new(),
            arrived: Notify::new(),
        });
        let oldest = oldest(&store, &inventory);
        let (commands, receiver) = mpsc::channel();
        let writer = Writer::new(store, options.folder, Arc::clone(&shared), receiver);
        let thread = std::thread::Builder::new().name("disk-buffer".to_owned());
        let failed = WriterPanicked(Arc::clone(&shared), options.writer_panicked);
        let thread = thread
            .spawn(move || {
                let _failed = failed;
                writer.run()
            })
            .map_err(|error| DiskBufferError::Refused(Cause::of(&error)))?;
        let queue = Queue::new(window(&options.batch), options.batch);
        // The feeder is its only input.
        queue.add_input();
        Ok(Self {
            queue,
            shared,
            commands,
            writer: Mutex::new(Some(thread)),
            found: inventory.events,
            first: inventory.next,
            oldest,
        })
    }

    /// When the oldest event that was there when it was opened was first seen, in milliseconds since the Unix epoch.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.oldest.as_ref().map(|oldest| oldest.meta.first_ms)
    }

    /// The partition of the oldest record that was there when it was opened, where it can be read.
    pub(crate) fn oldest_partition(&self) -> Option<Arc<str>> {
        self.oldest
            .as_ref()
            .map(|oldest| Arc::clone(&oldest.record.partition))
    }

    /// Records that were there when it was opened.
    pub(crate) fn found(&self) -> u64 {
        self.found
    }

    /// The queue that batches come from.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// How full it is. The window in memory holds its oldest records.
    pub(crate) fn level(&self) -> BufferLevel {
        let oldest_ms = self.queue.level().oldest_ms;
        let state = self.shared.lock();
        let bytes = state.used + state.pending;
        let usual = bytes / state.events.max(1);
        BufferLevel {
            events: state.events,
            bytes,
            max_events: None,
            max_bytes: state.max_bytes,
            oldest_ms,
            is_full: state.events > 0 && bytes + usual > state.max_bytes,
            is_failing: state.is_failing,
        }
    }

    /// Changes the limits.
    pub(crate) fn set_limits(&self, max_bytes: u64, batch: BatchLimit) {
        self.shared.lock().max_bytes = capacity(max_bytes);
        let log_bytes = log_bytes(max_bytes);
        // Fails only when the writer has ended; its log is closed then.
        let _ = self.commands.send(Command::Limit { log_bytes });
        self.shared.room.notify_waiters();
        self.queue.set_limits(window(&batch), batch);
    }

    /// Moves records to the writer, waiting for room as often as needed. What is left in `rest` when it returns is not taken,
    /// because the buffer was closed; so is what is left when the caller stops waiting.
    pub(crate) async fn push(&self, rest: &mut VecDeque<Queued>) {
        while !rest.is_empty() {
            let (events, bytes) = next_piece(rest.iter());
            let Some(room) = self.room(bytes, None).await else {
                return;
            };
            if let Err(refused) = room.fill(rest.drain(..events).collect()) {
                for queued in refused.into_iter().rev() {
                    rest.push_front(queued);
                }
                return;
            }
        }
    }

    /// Hands over what fits now, and gives back the rest.
    pub(crate) fn try_push(&self, records: Vec<Queued>) -> Vec<Queued> {
        let mut rest = records;
        while !rest.is_empty() {
            let (events, bytes) = next_piece(rest.iter());
            if !self.shared.lock().set_aside(bytes) {
                break;
            }
            let later = rest.split_off(events);
            if let Err(mut refused) = self.send(rest, bytes) {
                refused.extend(later);
                return refused;
            }
            rest = later;
        }
        rest
    }

    /// Reserves capacity; `None` if the deadline passes first, or the disk refuses writes.
    pub(crate) async fn reserve(&self, bytes: usize, deadline: Instant) -> Option<DiskRoom<'_>> {
        self.room(bytes as u64, Some(deadline)).await
    }

    async fn room(&self, bytes: u64, deadline: Option<Instant>) -> Option<DiskRoom<'_>> {
        loop {
            let room = self.shared.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let mut state = self.shared.lock();
                if state.closed {
                    return None;
                }
                if state.set_aside(bytes) {
                    return Some(DiskRoom {
                        buffer: self,
                        bytes,
                    });
                }
            }
            match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, room).await.ok()?,
                None => room.await,
            }
        }
    }

    fn send(&self, records: Vec<Queued>, bytes: u64) -> Result<(), Vec<Queued>> {
        let command = Command::Append(Append { records, bytes });
        self.commands.send(command).map_err(|refused| {
            self.shared.lock().pending -= bytes;
            match refused.0 {
                Command::Append(append) => append.records,
                _ => Vec::new(),
            }
        })
    }

    /// Moves chunks from the store into the window, until every input has ended and all is there, or the pipeline stops.
    /// What cannot be read is set aside, and `damaged` is called with the number of lost records; `found` is called with
    /// those that were there when the buffer was opened.
    pub(crate) async fn feed(
        &self,
        mut stop: StopSignal,
        damaged: impl Fn(u64),
        found: impl Fn(&[Queued]),
    ) {
        let mut after = 0;
        let tally = Tally::default();
        loop {
            let arrived = self.shared.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let next = self.shared.lock().next(after);
            let records = match next {
                Next::Chunk(number, records) => {
                    after = number;
                    records
                }
                Next::Stored(last) => match self.read_after(after).await {
                    Some(Ok(Some(chunk))) => {
                        if chunk.id >= self.first {
                            self.count_gaps(&tally, &damaged);
                        }
                        after = chunk.id;
                        let count = |events| {
                            damaged(events);
                            tally.add(events);
                        };
                        let records = self.unpack_or_skip(chunk, &tally, &count);
                        if after < self.first {
                            tally.add(records.len() as u64);
                            found(&records);
                        }
                        if after + 1 >= self.first {
                            self.count_gaps(&tally, &damaged);
                        }
                        records
                    }
                    Some(Ok(None)) => {
                        self.count_gaps(&tally, &damaged);
                        after = last;
                        continue;
                    }
                    // The writer has said what is wrong.
                    Some(Err(_)) | None => tokio::select! {
                        () = stop.stopped() => return,
                        () = tokio::time::sleep(writer::RETRY_PAUSE) => continue,
                    },
                },
                Next::Later => tokio::select! {
                    () = stop.stopped() => return,
                    () = arrived => continue,
                },
                Next::End => {
                    self.queue.end_input();
                    return;
                }
            };
            let mut records = records.into();
            tokio::select! {
                () = stop.stopped() => return,
                // What the window does not take at the end stays in the store.
                () = self.queue.push(&mut records) => {}
            }
        }
    }

    /// The records of a chunk that are not done; none where it cannot be read.
    fn unpack_or_skip(&self, chunk: Found, tally: &Tally, lost: &impl Fn(u64)) -> Vec<Queued> {
        if chunk.is_noted_gap() && chunk.events == 0 {
            tally.has_gap.set(true);
        }
        let Some(gap) = chunk.gap else {
            return self.shared.unpack(chunk, &self.commands, lost);
        };
        let (id, sink) = (chunk.id, &self.shared.name);
        match gap {
            Gap::Chunk => {
                let events = chunk.events;
                tracing::error!(%sink, chunk = id, events, "a page of the disk buffer is damaged, and a chunk in it is lost; it stays in `records.db`, and reading resumes behind it");
                lost(events);
                let _ = self.commands.send(Command::Lost(events));
            }
            Gap::Page => {
                tracing::error!(%sink, "a page of the disk buffer is damaged; it stays in `records.db`, reading resumes behind chunk {id}, and what is lost is counted when all is read");
                tally.has_gap.set(true);
            }
        }
        Vec::new()
    }

    /// Counts what was lost with pages that say nothing of themselves: what was there when the buffer was opened, and was
    /// not read.
    fn count_gaps(&self, tally: &Tally, damaged: &impl Fn(u64)) {
        if tally.has_gap.replace(false) {
            let lost = self.found.saturating_sub(tally.read.get());
            if lost == 0 {
                return;
            }
            tally.add(lost);
            tracing::error!(sink = %self.shared.name, events = lost, "events are lost with damaged pages of the disk buffer");
            damaged(lost);
            let _ = self.commands.send(Command::Lost(lost));
        }
    }

    async fn read_after(&self, after: u64) -> Option<writer::Reading> {
        let (reply, found) = oneshot::channel();
        self.commands.send(Command::Read { after, reply }).ok()?;
        found.await.ok()
    }

    /// Records are done: delivered, or in the dead letters.
    pub(crate) fn finish(&self, slots: &[Slot]) {
        let mut state = self.shared.lock();
        for slot in slots {
            state.finish(*slot);
        }
        drop(state);
        // Fails only when the writer has ended, and then there is nothing left to write.
        let _ = self.commands.send(Command::Settle);
    }

    /// Records were tried that often and are to be tried again.
    pub(crate) fn tried(&self, records: impl Iterator<Item = (Slot, u32)>) {
        let mut state = self.shared.lock();
        for (slot, attempts) in records {
            state.mark(slot, attempts.saturating_add(1));
        }
        drop(state);
        let _ = self.commands.send(Command::Settle);
    }

    /// Sends nothing any more: the records stay on disk, and who waits for their final fate is told to come again.
    pub(crate) fn abandon(&self) {
        let mut state = self.shared.lock();
        state.abandoned = true;
        state.cached_bytes = 0;
        let cached = std::mem::take(&mut state.cached);
        drop(state);
        drop(cached);
        drop(self.queue.abandon());
    }

    /// One more input has started.
    pub(crate) fn add_input(&self) {
        self.shared.lock().inputs += 1;
    }

    /// One input has ended.
    pub(crate) fn end_input(&self) {
        self.shared.lock().inputs -= 1;
        self.shared.arrived.notify_one();
    }

    /// Writes what was taken, and lets the store go. Gives back what the disk did not take. Blocks on the disk.
    pub(crate) fn close(&self) -> Vec<Queued> {
        self.shared.lock().closed = true;
        self.shared.room.notify_waiters();
        let _ = self.commands.send(Command::Close);
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        writer
            .and_then(|writer| writer.join().ok())
            .unwrap_or_default()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way, so the state behind a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records of a chunk that are not done.
    fn unpack(
        &self,
        found: Found,
        commands: &mpsc::Sender<Command>,
        damaged: &impl Fn(u64),
    ) -> Vec<Queued> {
        let marks: Option<Vec<u32>> = found
            .marks
            .as_deref()
            .and_then(|marks| postcard::from_bytes(marks).ok());
        let (id, events) = (found.id, found.events);
        let records = match chunk::decode(id, &found.data) {
            Ok(records) => records,
            Err(_) if found.is_noted_gap() => {
                tracing::error!(sink = %self.name, chunk = id, events, "a part of the disk buffer was lost with damaged pages; reading continues behind it");
                damaged(events);
                let _ = commands.send(Command::SetAside { found, events });
                return Vec::new();
            }
            Err(error) => {
                let done = marks.iter().flatten().filter(|mark| **mark == DONE).count();
                let lost = events.saturating_sub(done as u64);
                tracing::error!(sink = %self.name, chunk = id, events = lost, "{error}; it is set aside in the buffer's folder, and reading continues behind it");
                damaged(lost);
                let _ = commands.send(Command::SetAside {
                    found,
                    events: lost,
                });
                return Vec::new();
            }
        };
        let marks = marks
            .filter(|marks| marks.len() == records.len())
            .unwrap_or_else(|| vec![1; records.len()]);
        let mut left = Vec::with_capacity(records.len());
        for (mut queued, mark) in records.into_iter().zip(&marks) {
            if *mark != DONE {
                queued.meta.attempts = mark - 1;
                left.push(queued);
            }
        }
        let open = Open {
            left: left.len(),
            marks,
        };
        self.lock().open.insert(id, open);
        left
    }
}

impl State {
    /// Sets bytes aside where they fit. One record that is larger than the whole buffer is taken when nothing is there.
    fn set_aside(&mut self, bytes: u64) -> bool {
        let is_empty = self.events == 0 && self.pending == 0;
        let fits = self.used + self.pending + bytes <= self.max_bytes;
        // A source that is faster than the disk must not fill memory instead.
        let writer_keeps_up = self.pending == 0 || self.pending + bytes <= PENDING_BYTES;
        let taken = !self.closed && !self.is_failing && writer_keeps_up && (fits || is_empty);
        if taken {
            self.pending += bytes;
        }
        taken
    }

    /// What follows on the chunk of this number.
    fn next(&mut self, after: u64) -> Next {
        if after >= self.last {
            let ended = self.inputs == 0 && self.pending == 0;
            return if ended { Next::End } else { Next::Later };
        }
        // Chunks that were written while this process runs have no gaps between them.
        let Some(records) = self.cached.remove(&(after + 1)) else {
            return Next::Stored(self.last);
        };
        self.cached_bytes -= records
            .iter()
            .map(|queued| queued.record.size_bytes())
            .sum::<usize>();
        let open = Open {
            marks: vec![1; records.len()],
            left: records.len(),
        };
        self.open.insert(after + 1, open);
        Next::Chunk(after + 1, records)
    }

    fn finish(&mut self, slot: Slot) {
        let Some(open) = self.open.get_mut(&slot.chunk) else {
            return;
        };
        match open.marks.get_mut(slot.index) {
            Some(mark) if *mark != DONE => *mark = DONE,
            _ => return,
        }
        open.left -= 1;
        // Of a damaged buffer, more may be read than was known of.
        self.events = self.events.saturating_sub(1);
        if open.left == 0 {
            self.open.remove(&slot.chunk);
            self.touched.remove(&slot.chunk);
            self.finished.push(slot.chunk);
        } else {
            self.touched.insert(slot.chunk);
        }
    }

    fn mark(&mut self, slot: Slot, mark: u32) {
        let open = self.open.get_mut(&slot.chunk);
        if let Some(old) = open.and_then(|open| open.marks.get_mut(slot.index)) {
            *old = mark;
            self.touched.insert(slot.chunk);
        }
    }
}

/// The oldest record that can be read, where there are records. Without its payload, which would keep its chunk in memory.
fn oldest(store: &Store, inventory: &Inventory) -> Option<Queued> {
    if inventory.events == 0 {
        return None;
    }
    let found = store
        .read_after(0, inventory.next.saturating_sub(1))
        .ok()??;
    let records = chunk::decode(found.id, &found.data).ok()?;
    let marks = found
        .marks
        .and_then(|marks| postcard::from_bytes::<Vec<u32>>(&marks).ok());
    let is_done = |index: usize| {
        marks
            .as_ref()
            .is_some_and(|marks| marks.get(index) == Some(&DONE))
    };
    let oldest = records
        .into_iter()
        .enumerate()
        .find(|(index, _)| !is_done(*index))?;
    let mut oldest = oldest.1;
    oldest.record.payload = bytes::Bytes::new();
    Some(oldest)
}

/// What the log of a buffer of that size has when it is brought into the file.
fn log_bytes(max_bytes: u64) -> u64 {
    (max_bytes / LOG_PART).clamp(MIN_LOG_BYTES, MAX_LOG_BYTES)
}

/// What the file itself may take of a buffer of that size: the log and the reserve have as much as each other.
fn capacity(max_bytes: u64) -> u64 {
    max_bytes.saturating_sub(2 * log_bytes(max_bytes) + COMMIT_BYTES)
}

/// How much of a buffer is in memory: more than is on its way at a time, and no less than one batch.
fn window(batch: &BatchLimit) -> QueueLimit {
    QueueLimit {
        max_events: WINDOW_EVENTS.max(batch.max_events),
        max_bytes: WINDOW_BYTES.max(batch.max_bytes),
    }
}

/// How many records go to the writer as one, and their bytes.
fn next_piece<'a>(records: impl Iterator<Item = &'a Queued>) -> (usize, u64) {
    let (mut events, mut bytes) = (0, 0);
    for queued in records {
        let size = queued.record.size_bytes();
        if events > 0 && bytes + size > PIECE_BYTES {
            break;
        }
        events += 1;
        bytes += size;
    }
    (events, bytes as u64)
}
