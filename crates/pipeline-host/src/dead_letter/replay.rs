//! Takes dead letters out to be sent again.
//!
//! A replay takes whole segments, reads them at its pace, marks each letter that was delivered or became a dead letter again,
//! and gives a segment back once all of its letters have been looked at: without those that are marked, in its old place.
//! What it has not given back stays in `replaying/`, for the next replay.
//!
//! Taken segments do not count against `max_bytes`: full dead letters could never be replayed if they did. What there is no room
//! for when it is to go back stays in `replaying/`, and while more than `max_bytes` are left there, the next replay takes no others.
//!
//! Invariant: a taken letter is on the disk until it is finished, so that a crash repeats only what was on its way, under the
//! same event ids, and loses none; and no letter is ever in two places.

use super::letter::StoredLetter;
use super::reader::{Letters, Line, Lines};
use super::segment::{Access, Segment, sync_parent};
use super::{DeadLetterError, DeadLetters, marks};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher as _;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Letters that were written since a replay was killed, and that are remembered, so that what it had written again is recognized.
pub const MAX_SUCCESSORS: usize = 200_000;

/// The segments that a replay has taken. There is one replay of a sink at a time, as long as this lives.
#[derive(Debug)]
pub struct Replay {
    letters: DeadLetters,
    segments: Vec<Segment>,
    successors: Mutex<Successors>,
    _lock: File,
}

/// Letters that may have taken the place of one that a killed replay has not marked.
#[derive(Debug, Default)]
struct Successors {
    left: HashMap<(u64, u64), u32>,
    keys: (RandomState, RandomState),
}

impl DeadLetters {
    /// The same letters for what replays them. Nothing that it writes counts as written by an earlier run.
    pub(crate) fn for_replay(&self) -> Self {
        Self {
            known: super::Known::nothing(),
            ..self.clone()
        }
    }

    /// Takes all letters there are, and those that an earlier replay has not finished.
    ///
    /// # Errors
    ///
    /// [`DeadLetterError::Replaying`] while another replay has them; otherwise when the disk refuses.
    pub fn take_for_replay(&self) -> Result<Replay, DeadLetterError> {
        let taken = self.folder.create().and_then(|()| {
            let Some(no_other) = self.folder.lock_replay()? else {
                return Ok(None);
            };
            let _lock = self.folder.lock(Access::Change)?;
            let before = self.folder.taken()?;
            marks::remove_others(self.folder.replaying(), &before)?;
            let mut successors = Successors::default();
            if !before.is_empty() {
                successors.read([before.clone(), self.folder.segments()?].concat());
            }
            if before.iter().map(|segment| segment.bytes).sum::<u64>() <= self.max_bytes {
                self.folder.take()?;
            }
            Ok(Some((no_other, self.folder.taken()?, successors)))
        });
        match taken {
            Ok(Some((lock, segments, successors))) => Ok(Replay {
                letters: self.clone(),
                segments,
                successors: Mutex::new(successors),
                _lock: lock,
            }),
            Ok(None) => Err(DeadLetterError::Replaying {
                sink: self.sink.clone(),
            }),
            Err(error) => Err(self.failed("taken", error)),
        }
    }
}

impl Replay {
    /// What was taken, the oldest first.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether an earlier replay, which was killed, has written this letter again already.
    pub fn is_written_again(&self, letter: &StoredLetter) -> bool {
        let record = letter.record.as_ref();
        record.is_some_and(|record| self.is_written_again_as(letter, &record.event_id))
    }

    /// Whether one has written it again under this event id.
    pub(crate) fn is_written_again_as(&self, letter: &StoredLetter, event_id: &str) -> bool {
        let mut successors = self
            .successors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        successors.take(letter, event_id)
    }

    /// Marks letters of a segment as finished: they were delivered, or are dead letters again. Blocks.
    ///
    /// # Errors
    ///
    /// When the disk refuses; the next replay sends them again then.
    pub fn mark(&self, segment: &Segment, lines: &[u64]) -> Result<(), DeadLetterError> {
        if lines.is_empty() {
            return Ok(());
        }
        marks::add(segment, lines).map_err(|error| self.letters.failed("marked", error))
    }

    /// Gives a segment back without the letters that are marked, or deletes it where nothing is left of it. Says whether there
    /// was room for it; otherwise the next replay finds it. Blocks.
    ///
    /// # Errors
    ///
    /// When the disk refuses; the next replay finds it then, too.
    pub fn give_back(&self, segment: &Segment) -> Result<bool, DeadLetterError> {
        self.try_give_back(segment)
            .map_err(|error| self.letters.failed("given back", error))
    }

    fn try_give_back(&self, segment: &Segment) -> io::Result<bool> {
        let folder = &self.letters.folder;
        let _lock = folder.lock(Access::Change)?;
        let is_left = |line: &Line| !matches!(line, Line::Empty);
        if Lines::count(segment, is_left)? == 0 {
            segment.delete()?;
            marks::remove(segment)?;
            return Ok(true);
        }
        if !marks::read(segment)?.is_empty() {
            // The marks are void once it has another length.
            folder.rewrite(segment, &segment.path, is_left)?;
        }
        marks::remove(segment)?;
        let bytes = match segment.path.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        let taken = self.letters.bytes()?;
        if taken > 0 && taken + bytes > self.letters.max_bytes {
            return Ok(false);
        }
        // Numbers are never given twice, so it keeps its own, and is older than what was written meanwhile.
        let target = folder.segment_path(segment.number);
        std::fs::rename(&segment.path, &target)?;
        sync_parent(&target)?;
        sync_parent(&segment.path)?;
        Ok(true)
    }
}

impl Successors {
    /// Remembers what was written while the segments of an earlier replay were taken.
    fn read(&mut self, segments: Vec<Segment>) {
        let letters = Letters::of(segments).flatten();
        for letter in letters
            .filter(|letter| !letter.history.is_empty())
            .take(MAX_SUCCESSORS)
        {
            if let Some(record) = &letter.record {
                let mark = self.mark(&record.event_id, &letter, &letter.history);
                *self.left.entry(mark).or_default() += 1;
            }
        }
    }

    fn take(&mut self, letter: &StoredLetter, event_id: &str) -> bool {
        if self.left.is_empty() {
            return false;
        }
        let mark = self.mark(event_id, letter, &letter.history_when_replayed());
        let left = self.left.get_mut(&mark);
        let Some(left) = left.filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }

    /// What tells a letter from others, with a history.
    fn mark(&self, id: &str, letter: &StoredLetter, history: &[super::Past]) -> (u64, u64) {
        let content = (id, &letter.source, history);
        (self.keys.0.hash_one(content), self.keys.1.hash_one(content))
    }
}
