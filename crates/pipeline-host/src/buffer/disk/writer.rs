//! The one thread that uses the store: many records share a commit.
//!
//! While one commit waits for the disk, the next ones gather. When the disk refuses, what was to be written is kept and
//! tried again, no more room is given out, and records that are done still leave the store.
//!
//! Invariant: an acknowledgement reaches [`AckLevel::Stored`] only after the commit that holds its record.

use super::error::DiskBufferError;
use super::files::open_private;
use super::rebuild::rebuild;
use super::store::{Change, Found, Gap, Row, Store};
use super::{CACHED_BYTES, Shared, chunk};
use crate::batch::{Queued, Slot};
use pipeline_core::AckLevel;
use std::collections::VecDeque;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long to wait before a disk that refused is tried again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often a refusing disk is reported.
const REPORT_PAUSE: Duration = Duration::from_secs(10);
/// How often the database is looked for in its place.
const LOOK_PAUSE: Duration = Duration::from_millis(400);
/// A buffer that is gone is noticed within a second: the writer waits no longer than this for what there is to do.
const _: () = assert!(LOOK_PAUSE.as_millis() + IDLE_PAUSE.as_millis() < 1_000);
/// How long nothing has to happen before space is given back to the file system.
const IDLE_PAUSE: Duration = Duration::from_millis(500);
/// How long a small commit waits for company when the last one was just now.
const LINGER: Duration = Duration::from_millis(1);
/// How long what is done waits for more of its kind. After a crash it is sent again, with the same event ids; without the
/// wait, small batches would each cost a commit.
const SETTLE_PAUSE: Duration = Duration::from_millis(20);
/// Bytes from which a commit does not wait for company.
const LINGER_BYTES: u64 = 256 * 1024;
/// Bytes after which a commit takes no more records.
const COMMIT_BYTES: u64 = 3 * 1024 * 1024;
/// Bytes and records after which a chunk takes no more.
const CHUNK_BYTES: u64 = 512 * 1024;
const CHUNK_EVENTS: usize = 1024;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Command {
    Append(Append),
    /// Some records are done, or were tried: the state has the marks.
    Settle,
    /// The first chunk after this one.
    Read {
        after: u64,
        reply: oneshot::Sender<Reading>,
    },
    /// A chunk that is damaged, and how many records are lost with it.
    SetAside {
        found: Found,
        events: u64,
    },
    /// Records that cannot be read and stay in the file; they are lost.
    Lost(u64),
    /// The log has another bound from now on.
    Limit {
        log_bytes: u64,
    },
    Close,
    /// The writer panics.
    #[cfg(test)]
    Panic,
}

/// A chunk, or `None` behind the last one.
pub(super) type Reading = Result<Option<Found>, DiskBufferError>;

/// Records to be written, and the room that was set aside for them.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) records: Vec<Queued>,
    pub(super) bytes: u64,
}

/// Chunks of one commit, as records and as bytes.
#[derive(Debug, Default)]
struct Group {
    chunks: Vec<Vec<Queued>>,
    rows: Vec<Row>,
    bytes: u64,
}

/// What is done, as of a moment.
#[derive(Debug, Default)]
struct Settled {
    finished: Vec<u64>,
    progress: Vec<(u64, Vec<u8>)>,
    /// Records in the file that are not done.
    events: u64,
}

/// Whether a damaged database can be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    Possible,
    Failed,
}

pub(super) struct Writer {
    store: Store,
    folder: PathBuf,
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    next: u64,
    waiting: VecDeque<Append>,
    /// What the disk has refused so far.
    group: Option<Group>,
    unsettled: bool,
    closing: bool,
    last_commit: Instant,
    retry_at: Option<Instant>,
    reported: Option<Instant>,
    /// The database is no longer where it was opened.
    is_gone: bool,
    looked: Instant,
    repair: Repair,
}

impl Writer {
    pub(super) fn new(
        store: Store,
        folder: PathBuf,
        shared: Arc<Shared>,
        commands: Receiver<Command>,
    ) -> Self {
        let next = shared.lock().last + 1;
        Self {
            store,
            folder,
            shared,
            commands,
            next,
            waiting: VecDeque::new(),
            group: None,
            unsettled: false,
            closing: false,
            last_commit: Instant::now(),
            retry_at: None,
            reported: None,
            is_gone: false,
            looked: Instant::now(),
            repair: Repair::Possible,
        }
    }

    /// Runs until it is told to close; gives back what the disk did not take.
    pub(super) fn run(mut self) -> Vec<Queued> {
        loop {
            self.receive();
            self.look();
            let is_due = self.due_at().is_none_or(|at| at <= Instant::now()) || self.closing;
            let written = !self.has_work() || (is_due && self.commit());
            if self.closing && (!written || !self.has_work()) {
                return self.refused();
            }
        }
    }

    /// Takes no more records once the database was deleted or moved, until it is back.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK_PAUSE {
            return;
        }
        self.looked = Instant::now();
        let place = self.store.check_place();
        let was_gone = std::mem::replace(&mut self.is_gone, place.is_err());
        if was_gone == self.is_gone {
            return;
        }
        if let Err(error) = place {
            tracing::error!(sink = %self.shared.name, "{error}");
        } else {
            tracing::info!(sink = %self.shared.name, "the disk buffer is back in its place");
        }
        self.shared.lock().is_failing = self.is_gone;
        self.shared.room.notify_waiters();
    }

    fn has_work(&self) -> bool {
        self.group.is_some() || !self.waiting.is_empty() || self.unsettled
    }

    /// When the next commit may be made; at once where nothing is said.
    fn due_at(&self) -> Option<Instant> {
        let is_settling = self.group.is_none() && self.waiting.is_empty();
        let pause = is_settling.then(|| self.last_commit + SETTLE_PAUSE);
        self.retry_at.or(pause)
    }

    /// Takes the commands that are there, waiting for the first.
    fn receive(&mut self) {
        let now = Instant::now();
        let wait = if self.has_work() {
            let due_at = self.due_at().unwrap_or(now);
            due_at.saturating_duration_since(now)
        } else {
            IDLE_PAUSE
        };
        match self.commands.recv_timeout(wait) {
            Ok(command) => self.take(command),
            Err(RecvTimeoutError::Timeout) => {
                if !self.has_work() {
                    self.tidy();
                }
            }
            Err(RecvTimeoutError::Disconnected) => self.closing = true,
        }
        self.take_more();
        let waiting: u64 = self.waiting.iter().map(|append| append.bytes).sum();
        let is_busy = self.last_commit.elapsed() < 2 * LINGER;
        if is_busy && waiting > 0 && waiting < LINGER_BYTES && !self.closing {
            std::thread::sleep(LINGER);
            self.take_more();
        }
    }

    fn take_more(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.take(command);
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Append(append) => self.waiting.push_back(append),
            Command::Settle => self.unsettled = true,
            Command::Read { after, reply } => {
                let mut found = self.store.read_after(after, self.next - 1);
                let is_damaged = match &found {
                    Ok(Some(found)) => found.gap == Some(Gap::Page),
                    Ok(None) => false,
                    Err(error) => matches!(error, DiskBufferError::Damaged(_)),
                };
                if is_damaged && self.mend() {
                    found = self.store.read_after(after, self.next - 1);
                }
                if let Err(error) = &found {
                    self.report(error);
                }
                // Where the pipeline has stopped, nothing waits for it.
                let _ = reply.send(found);
            }
            Command::SetAside { found, events } => self.set_aside(&found, events),
            Command::Lost(events) => {
                let mut state = self.shared.lock();
                state.events -= events.min(state.events);
                drop(state);
                self.unsettled = true;
            }
            Command::Limit { log_bytes } => {
                if let Err(error) = self.store.set_log(log_bytes) {
                    self.report(&error);
                }
            }
            Command::Close => self.closing = true,
            #[cfg(test)]
            Command::Panic => panic!("on request"),
        }
    }

    /// Writes what is waiting and what is settled. Says whether the disk took it.
    fn commit(&mut self) -> bool {
        let group = self.group.take().unwrap_or_else(|| self.gather());
        let settled = self.settled();
        let mut result = self.write(&group.rows, &settled);
        if result.is_ok() {
            self.hand_over(group);
        } else {
            let made_room = self.make_room(settled);
            if !group.rows.is_empty() {
                self.group = Some(group);
            } else if made_room {
                result = Ok(());
            }
        }
        if matches!(result, Err(DiskBufferError::Damaged(_))) && self.mend() {
            return self.commit();
        }
        self.last_commit = Instant::now();
        self.shared.lock().is_failing = result.is_err() || self.is_gone;
        self.shared.room.notify_waiters();
        match result {
            Ok(()) => {
                if self.retry_at.take().is_some() {
                    self.reported = None;
                    self.store.keep_reserve();
                    tracing::info!(sink = %self.shared.name, "the disk buffer can be written again");
                }
                true
            }
            Err(error) => {
                self.retry_at = Some(Instant::now() + RETRY_PAUSE);
                self.looked -= LOOK_PAUSE;
                self.report(&error);
                false
            }
        }
    }

    /// Makes a damaged database anew; says whether that was possible. It is not tried again where it was not.
    fn mend(&mut self) -> bool {
        if self.repair == Repair::Failed {
            return false;
        }
        let events = self.shared.lock().events;
        match rebuild(&mut self.store, self.next - 1, events) {
            Ok(aside) => {
                let aside = pipeline_core::shown(&aside).to_string();
                tracing::error!(sink = %self.shared.name, "the disk buffer had damaged pages: it was made anew from what can be read, and the damaged database is now `{aside}`");
                let mut state = self.shared.lock();
                let open: Vec<u64> = state.open.keys().copied().collect();
                // Marks may be among what was lost.
                state.touched.extend(open);
                drop(state);
                self.unsettled = true;
                true
            }
            Err(error) => {
                self.repair = Repair::Failed;
                tracing::error!(sink = %self.shared.name, "the disk buffer has damaged pages and cannot be made anew while it is in use: {error}; stop this process, and run `pipeline buffer salvage`");
                false
            }
        }
    }

    /// Writes what is done where nothing else finds room, and lets the disk have the room that it queued. Says whether the
    /// disk took it.
    fn make_room(&mut self, settled: Settled) -> bool {
        self.store.make_room();
        let is_written = self
            .write(&[], &settled)
            .and_then(|()| self.store.give_room_back());
        if is_written.is_err() {
            self.unsettle(settled);
        }
        self.store.keep_reserve();
        if let Ok(used) = self.store.used_bytes() {
            self.shared.lock().used = used;
        }
        is_written.is_ok()
    }

    fn write(&mut self, rows: &[Row], settled: &Settled) -> Result<(), DiskBufferError> {
        let added: u64 = rows.iter().map(|row| row.events).sum();
        self.store.commit(&Change {
            added: rows,
            finished: &settled.finished,
            progress: &settled.progress,
            events: settled.events + added,
            next: rows.last().map_or(self.next, |row| row.id + 1),
        })
    }

    /// Groups what is waiting into chunks for one commit.
    fn gather(&mut self) -> Group {
        let mut group = Group::default();
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while group.bytes < COMMIT_BYTES {
            let Some(append) = self.waiting.pop_front() else {
                break;
            };
            let full = bytes + append.bytes > CHUNK_BYTES
                || chunk.len() + append.records.len() > CHUNK_EVENTS;
            if full {
                self.add(&mut group, std::mem::take(&mut chunk));
                bytes = 0;
            }
            group.bytes += append.bytes;
            bytes += append.bytes;
            chunk.extend(append.records);
        }
        self.add(&mut group, chunk);
        group
    }

    fn add(&self, group: &mut Group, records: Vec<Queued>) {
        if records.is_empty() {
            return;
        }
        let data = chunk::encode(&records);
        group.rows.push(Row {
            id: self.next + group.rows.len() as u64,
            events: records.len() as u64,
            data,
        });
        group.chunks.push(records);
    }

    /// Lets the sources and the feeder know what is on disk now.
    fn hand_over(&mut self, group: Group) {
        let used = self.store.used_bytes();
        let mut state = self.shared.lock();
        // Both at once, so that the room of these records is always either reserved or used.
        state.pending -= group.bytes;
        state.used = used.unwrap_or(state.used);
        for (row, mut records) in group.rows.iter().zip(group.chunks) {
            for (index, queued) in records.iter_mut().enumerate() {
                queued.meta.ack.reached(AckLevel::Stored);
                let chunk = row.id;
                queued.meta.slot = Some(Slot { chunk, index });
            }
            state.events += row.events;
            state.last = row.id;
            let bytes: usize = records
                .iter()
                .map(|queued| queued.record.size_bytes())
                .sum();
            // What finds no place is read again when its turn comes. Whoever waits for its final fate is told to come again.
            if state.cached_bytes + bytes <= CACHED_BYTES && !state.abandoned {
                state.cached_bytes += bytes;
                state.cached.insert(row.id, records);
            }
        }
        drop(state);
        self.next += group.rows.len() as u64;
        if !group.rows.is_empty() {
            self.shared.arrived.notify_one();
        }
    }

    /// Takes what is done out of the state.
    fn settled(&mut self) -> Settled {
        self.unsettled = false;
        let mut state = self.shared.lock();
        let touched = std::mem::take(&mut state.touched);
        let marks = |id: u64| Some((id, state.open.get(&id)?.marks.as_slice()));
        let progress = touched
            .into_iter()
            .filter_map(marks)
            .filter_map(|(id, marks)| Some((id, postcard::to_allocvec(marks).ok()?)))
            .collect();
        Settled {
            progress,
            finished: std::mem::take(&mut state.finished),
            events: state.events,
        }
    }

    /// Puts back what could not be written.
    fn unsettle(&mut self, settled: Settled) {
        self.unsettled = true;
        let mut state = self.shared.lock();
        state.finished.extend(settled.finished);
        let touched = settled.progress.into_iter().map(|(id, _)| id);
        let still_open: Vec<u64> = touched.filter(|id| state.open.contains_key(id)).collect();
        state.touched.extend(still_open);
    }

    /// Moves a damaged chunk out of the way, into a file beside the store.
    fn set_aside(&mut self, found: &Found, events: u64) {
        if !found.is_noted_gap() && !self.keep_aside(found) {
            return;
        }
        let mut state = self.shared.lock();
        state.finished.push(found.id);
        state.events -= events.min(state.events);
        drop(state);
        self.unsettled = true;
    }

    /// Writes a damaged chunk into a file; says whether that was possible.
    fn keep_aside(&self, found: &Found) -> bool {
        let path = self.folder.join(format!("damaged-{}.bin", found.id));
        let written = open_private(&path, true).and_then(|mut file| {
            file.set_len(0)?;
            file.write_all(&found.data)
        });
        if let Err(error) = written {
            // It stays in the store, and is met again at the next start.
            tracing::error!(sink = %self.shared.name, "the damaged chunk cannot be set aside: {error}");
            return false;
        }
        true
    }

    /// What was not written, at the end.
    fn refused(self) -> Vec<Queued> {
        let group = self.group.into_iter().flat_map(|group| group.chunks);
        let waiting = self.waiting.into_iter().map(|append| append.records);
        group.chain(waiting).flatten().collect()
    }

    /// Gives space back to the file system while there is nothing else to do.
    fn tidy(&mut self) {
        // There may have been no room for it so far.
        self.store.keep_reserve();
        loop {
            match self.store.tidy() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.report(&error);
                    break;
                }
            }
            self.take_more();
            if self.has_work() || self.closing {
                break;
            }
        }
    }

    fn report(&mut self, error: &DiskBufferError) {
        // Said once, where it is noticed.
        if matches!(error, DiskBufferError::Gone(_)) {
            return;
        }
        let now = Instant::now();
        if self.reported.is_none_or(|last| now >= last + REPORT_PAUSE) {
            self.reported = Some(now);
            tracing::error!(sink = %self.shared.name, "{error}; it is tried again every second");
        }
    }
}
