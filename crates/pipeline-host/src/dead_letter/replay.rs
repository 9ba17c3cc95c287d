//! Takes dead letters out to be sent again.
//!
//! A replay takes whole segments, reads them at its pace, and finishes a segment once every letter of it was delivered,
//! became a dead letter again, or was put back. What it has not finished stays in `replaying/`, for the next replay.
//!
//! Taken segments do not count against `max_bytes`: full dead letters could never be replayed if they did.
//!
//! Invariant: a taken letter is on the disk until its segment is finished, so that a crash repeats letters, under the
//! same event ids, and loses none.

use super::letter::StoredLetter;
use super::reader::{Letters, Line, Lines};
use super::segment::{Access, Segment};
use super::{DeadLetterError, DeadLetters};
use std::fs::File;
use std::io;
use std::path::Path;

/// The segments that a replay has taken. There is one replay of a sink at a time, as long as this lives.
#[derive(Debug)]
pub struct Replay {
    letters: DeadLetters,
    segments: Vec<Segment>,
    _lock: File,
}

impl DeadLetters {
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
            self.folder.take()?;
            Ok(Some((no_other, self.folder.taken()?)))
        });
        match taken {
            Ok(Some((lock, segments))) => Ok(Replay {
                letters: self.clone(),
                segments,
                _lock: lock,
            }),
            Ok(None) => Err(DeadLetterError::Replaying {
                sink: self.sink.clone(),
            }),
            Err(error) => Err(self.failed("taken", error)),
        }
    }

    /// Puts letters back as they were, whole or not at all: those without a payload, or that a filter leaves out.
    ///
    /// # Errors
    ///
    /// As when a pipeline writes them: [`DeadLetterError::Full`], or the disk refuses.
    pub fn put_back(&self, letters: &[StoredLetter]) -> Result<(), DeadLetterError> {
        let lines: Vec<&[u8]> = letters.iter().map(|letter| &*letter.line).collect();
        if lines.is_empty() {
            return Ok(());
        }
        self.append_lines(&[&lines.join(&b'\n'), &b"\n"[..]].concat())
    }
}

impl Replay {
    /// What was taken, the oldest first.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Deletes a segment whose letters are all finished. Its invalid lines go back as they are.
    ///
    /// # Errors
    ///
    /// When the disk refuses; the segment is then replayed again.
    pub fn finish(&self, segment: &Segment) -> Result<(), DeadLetterError> {
        self.keep_others(segment)
            .and_then(|()| segment.delete())
            .map_err(|error| self.letters.failed("deleted", error))
    }

    /// Writes the invalid lines of a segment to a segment of their own.
    fn keep_others(&self, segment: &Segment) -> io::Result<()> {
        let folder = &self.letters.folder;
        let is_other = |line: &Line| matches!(line, Line::Other | Line::More);
        if Lines::count(segment, is_other)? == 0 {
            return Ok(());
        }
        let _lock = folder.lock(Access::Change)?;
        folder.rewrite(segment, &folder.following()?, is_other)
    }
}

impl Segment {
    /// The letters of the segment, in order.
    pub fn letters(&self) -> Letters {
        Letters::of(vec![self.clone()])
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
