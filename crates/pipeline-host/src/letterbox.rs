//! Letters of one sink on their way to the disk: written in the background, many at a time, and kept until the disk takes them.
//!
//! In: rejected events with what waits for them. Out: dead letters, counted and told. While they are full or cannot be written,
//! the letters wait aside, and events that have nothing to do with them pass.
//!
//! Invariant: who waits for an event that became a letter is told only when the letter is on the disk; what waits in memory
//! is bounded by [`MAX_WAITING_LETTERS`] and [`MAX_WAITING_BYTES`], and by the buffer for records that came out of it.

use crate::ack::Ack;
use crate::buffer::Done;
use crate::dead_letter::{DeadLetters, Letter, Shares};
use crate::pulse::{HIGH_PERCENT, LOW_PERCENT};
use crate::telemetry::{LetterRoom, SinkTelemetry};
use pipeline_core::{Clock, Pace};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// Letters that wait for the disk. Sources that send more wait, too; records on disk are left there for the next run.
pub(crate) const MAX_WAITING_LETTERS: usize = 10_000;
/// Bytes of the events in these letters, unless one is larger.
pub(crate) const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;
/// Letters after which one append takes no more.
const MAX_APPENDED: usize = 1_000;
/// How long to wait before letters that could not be written are tried again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How long letters without a payload may take.
const PLAIN_LIMIT: Duration = Duration::from_secs(2);
/// How long no more of them are tried once there is no room.
const PLAIN_PAUSE: Duration = Duration::from_millis(100);
const SLOW: &str = "the disk has not taken the dead letters in time";

/// Events that became letters together, and what waits for them.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) letters: Vec<Letter>,
    pub(crate) acks: Vec<Ack>,
    /// Their places in the buffer, where they have some.
    pub(crate) done: Done,
}

impl Group {
    fn bytes(&self) -> usize {
        let bytes = |letter: &Letter| {
            let record = letter.record.as_ref();
            let sealed = letter.sealed.as_ref();
            record.map_or(0, pipeline_core::Record::size_bytes)
                + sealed.map_or(0, |sealed| sealed.size_bytes())
        };
        self.letters.iter().map(bytes).sum()
    }
}

/// The letters of one sink.
pub(crate) struct Letterbox {
    sink: String,
    file: Arc<DeadLetters>,
    shares: Arc<Mutex<Shares>>,
    clock: Arc<dyn Clock>,
    telemetry: Arc<SinkTelemetry>,
    /// Held by the one append that is under way, also when its caller has gone.
    writing: Arc<Semaphore>,
    state: Mutex<State>,
    /// Notified when letters arrive, and at the end.
    changed: Notify,
    /// Notified when letters have left.
    room: Notify,
    /// Whether it is being looked how much of their room the letters take.
    is_looking: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Group>,
    letters: usize,
    bytes: usize,
    is_closed: bool,
    /// What keeps letters from being written.
    has_problem: bool,
    pace: Pace,
    /// Whether the log was told that the room for letters fills.
    is_high: bool,
    /// Letters without a payload are not tried again before this time.
    plain_from: Option<Instant>,
}

/// What there is to do.
pub(crate) enum Work {
    Write(Group),
    Wait,
    End,
}

impl Letterbox {
    pub(crate) fn new(
        sink: &str,
        file: Arc<DeadLetters>,
        clock: Arc<dyn Clock>,
        telemetry: Arc<SinkTelemetry>,
    ) -> Self {
        Self {
            sink: sink.to_owned(),
            file,
            shares: Arc::default(),
            clock,
            telemetry,
            writing: Arc::new(Semaphore::new(1)),
            state: Mutex::default(),
            changed: Notify::new(),
            room: Notify::new(),
            is_looking: AtomicBool::new(false),
        }
    }

    /// Puts letters in, however many wait. Gives them back once the letterbox is closed.
    pub(crate) fn post(&self, group: Group) -> Result<(), Group> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(group);
        }
        state.add(group);
        self.telemetry.set_waiting_letters(state.letters);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Whether so many wait that no more are to be put in.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.lock();
        state.letters >= MAX_WAITING_LETTERS || state.bytes >= MAX_WAITING_BYTES
    }

    /// Waits until the letterbox is not full.
    pub(crate) async fn has_room(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if !self.is_full() || self.lock().is_closed {
                return;
            }
            room.await;
        }
    }

    /// The oldest letters, as many as are written at a time.
    pub(crate) fn work(&self) -> Work {
        let mut state = self.lock();
        let Some(mut work) = state.take() else {
            return if state.is_closed {
                Work::End
            } else {
                Work::Wait
            };
        };
        while let Some(next) = state.waiting.front() {
            if work.letters.len() + next.letters.len() > MAX_APPENDED {
                break;
            }
            if let Some(next) = state.take() {
                work.letters.extend(next.letters);
                work.acks.extend(next.acks);
                work.done.extend(next.done);
            }
        }
        Work::Write(work)
    }

    /// Waits until there may be more to do.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Puts letters back that could not be written.
    pub(crate) fn put_back(&self, group: Group) {
        let mut state = self.lock();
        state.letters += group.letters.len();
        state.bytes += group.bytes();
        state.waiting.push_front(group);
    }

    /// Takes note that letters have left.
    pub(crate) fn has_left(&self) {
        self.telemetry.set_waiting_letters(self.lock().letters);
        self.room.notify_waiters();
    }

    /// Takes no more letters.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
        self.room.notify_waiters();
    }

    /// Takes out what is left.
    pub(crate) fn take_all(&self) -> Vec<Group> {
        let mut state = self.lock();
        let groups = std::iter::from_fn(|| state.take()).collect();
        self.telemetry.set_waiting_letters(0);
        groups
    }

    /// Appends letters, once. Says whether they are on the disk; not if `limit` comes first, although they may still get there.
    pub(crate) async fn append(
        &self,
        letters: &Arc<Vec<Letter>>,
        limit: impl Future<Output = ()>,
    ) -> bool {
        if letters.is_empty() {
            return true;
        }
        let (file, batch, now_ms) = (
            Arc::clone(&self.file),
            Arc::clone(letters),
            self.clock.now_ms(),
        );
        let append = self.write(move || {
            let appended = file.append(&batch, now_ms);
            appended.map_err(|error| error.to_string())?;
            Ok(file.taken_bytes())
        });
        let written = tokio::select! {
            biased;
            written = append => written,
            () = limit => Err(SLOW.to_owned()),
        };
        if let Ok(bytes) = written {
            self.note_room(bytes);
        }
        self.note(written.map(drop))
    }

    /// Appends letters without a payload, as many as their part of the room has place for; says how many are not kept. This is
    /// done for people only, so it fails nothing.
    pub(crate) async fn append_plain(
        &self,
        letters: &Arc<Vec<Letter>>,
        limit: impl Future<Output = ()>,
    ) -> usize {
        let now = Instant::now();
        if letters.is_empty() {
            return 0;
        }
        if self.lock().plain_from.is_some_and(|from| now < from) {
            return letters.len();
        }
        let (file, batch, now_ms) = (
            Arc::clone(&self.file),
            Arc::clone(letters),
            self.clock.now_ms(),
        );
        let shares = Arc::clone(&self.shares);
        let append = self.write(move || {
            let mut shares = shares.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = file.append_plain(&batch, &mut shares, now_ms);
            let kept = kept.map_err(|error| error.to_string())?;
            Ok((kept, file.taken_bytes()))
        });
        let kept = tokio::select! {
            biased;
            kept = append => kept,
            () = limit => Err(SLOW.to_owned()),
            () = tokio::time::sleep(PLAIN_LIMIT) => Err(SLOW.to_owned()),
        };
        let (kept, pause) = match kept {
            // Another client may have room, but not in every request of a flood.
            Ok((0, _)) => (0, PLAIN_PAUSE),
            Ok((kept, bytes)) => {
                self.note_room(bytes);
                return letters.len() - kept;
            }
            Err(problem) => {
                self.note(Err(problem));
                (0, RETRY_PAUSE)
            }
        };
        self.lock().plain_from = Some(now + pause);
        letters.len() - kept
    }

    /// Looks how much of their room the letters take: others write, replay and purge them, too. One look at a time.
    pub(crate) async fn look(&self) {
        if self.is_looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let file = Arc::clone(&self.file);
        let looked = tokio::task::spawn_blocking(move || file.taken_bytes()).await;
        self.note_room(looked.unwrap_or_default());
        self.is_looking.store(false, Ordering::Release);
    }

    /// Takes sealed copies of events that may be kept no longer out of their letters.
    pub(crate) async fn forget_raw(&self) {
        let (file, now_ms) = (Arc::clone(&self.file), self.clock.now_ms());
        let forgotten = tokio::task::spawn_blocking(move || file.forget_raw(now_ms)).await;
        match forgotten {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(copies)) => {
                tracing::info!(sink = %self.sink, copies, "sealed copies of events were removed from the dead letters, as old as they may be");
            }
            Ok(Err(error)) => {
                tracing::warn!(sink = %self.sink, "sealed copies of events are older than they may be and cannot be removed: {error}");
            }
        }
    }

    /// Takes note of how much of their room the letters take, and tells the log when it fills, and when that is over.
    fn note_room(&self, bytes: Option<u64>) {
        let Some(bytes) = bytes else {
            return;
        };
        let room = LetterRoom {
            bytes,
            max_bytes: self.file.max_bytes(),
        };
        self.telemetry.set_letter_room(room);
        let (percent, sink) = (room.percent(), &self.sink);
        let mut state = self.lock();
        let was_high = state.is_high;
        state.is_high = percent >= if was_high { LOW_PERCENT } else { HIGH_PERCENT };
        let is_high = state.is_high;
        drop(state);
        if is_high && !was_high {
            tracing::warn!(%sink, "the dead letters have taken {percent} % of their room; when it is full, events that become letters wait: look at them with `pipeline dead-letters list`, then `replay` or `purge` them, or raise `dead_letters.max_bytes`");
        } else if was_high && !is_high {
            tracing::info!(%sink, "the dead letters have room again: they take {percent} % of it");
        }
    }

    /// Runs one append at a time on a thread that may block.
    async fn write<T: Send + 'static>(
        &self,
        append: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let failed = || "the writer of dead letters failed".to_owned();
        let writing = Arc::clone(&self.writing).acquire_owned();
        let permit = writing.await.map_err(|_| failed())?;
        let written = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            append()
        });
        written.await.unwrap_or_else(|_| Err(failed()))
    }

    /// Takes note of how an append went, and tells the log: the first failure, then one a minute, and the end.
    fn note(&self, written: Result<(), String>) -> bool {
        let now = Instant::now().into_std();
        let (waiting, sink) = (self.lock().letters, &self.sink);
        let is_written = written.is_ok();
        let mut state = self.lock();
        let had_problem = std::mem::replace(&mut state.has_problem, !is_written);
        let is_due = !is_written && state.pace.take(now);
        if is_written && had_problem {
            state.pace = Pace::default();
        }
        drop(state);
        match written {
            Ok(()) if had_problem => {
                self.telemetry.set_letter_problem(None);
                tracing::info!(%sink, "dead letters can be written again");
            }
            Ok(()) => {}
            Err(problem) => {
                if is_due {
                    tracing::error!(%sink, waiting, "{problem}");
                }
                self.telemetry.set_letter_problem(Some(problem));
            }
        }
        is_written
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, group: Group) {
        self.letters += group.letters.len();
        self.bytes += group.bytes();
        self.waiting.push_back(group);
    }

    fn take(&mut self) -> Option<Group> {
        let group = self.waiting.pop_front()?;
        self.letters -= group.letters.len();
        self.bytes -= group.bytes();
        Some(group)
    }
}
