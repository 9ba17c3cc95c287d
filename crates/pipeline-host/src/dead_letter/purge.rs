//! Deletes dead letters that are no longer needed.
//!
//! Invariant: a letter that does not fit the filter survives, whenever the process is killed: a segment is written anew
//! beside the old one, and takes its place once it is on the disk.

use super::letter::StoredLetter;
use super::reader::{Line, Lines};
use super::segment::{Access, Segment};
use super::{DeadLetterError, DeadLetters};
use std::io;

/// Which letters are meant. The default means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of this reason code.
    pub reason: Option<String>,
    /// Those that became dead letters before this time, in milliseconds since the Unix epoch.
    pub before_ms: Option<i64>,
}

impl Filter {
    /// Whether this letter is meant.
    pub fn fits(&self, letter: &StoredLetter) -> bool {
        let is_reason = |reason: &String| *reason == letter.reason;
        self.reason.as_ref().is_none_or(is_reason)
            && self.before_ms.is_none_or(|before| letter.last_ms < before)
    }

    fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// What became of the letters of a sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Letters that are gone.
    pub deleted: u64,
    /// Letters that are still there.
    pub kept: u64,
    /// Whether letters that a replay is sending were left to it.
    pub left_to_replay: bool,
}

impl DeadLetters {
    /// Deletes the letters that fit. A filter that means all deletes unreadable lines as well; any other leaves them.
    ///
    /// A running pipeline that has letters to write waits meanwhile.
    ///
    /// # Errors
    ///
    /// When the disk refuses; the letters of the segments that were not reached are still there.
    pub fn purge(&self, filter: &Filter) -> Result<Purged, DeadLetterError> {
        self.purge_all(filter)
            .map_err(|error| self.failed("purged", error))
    }

    fn purge_all(&self, filter: &Filter) -> io::Result<Purged> {
        let mut purged = Purged::default();
        if !self.folder.exists() {
            return Ok(purged);
        }
        self.folder.create()?;
        let no_replay = self.folder.lock_replay()?;
        let _lock = self.folder.lock(Access::Change)?;
        let taken = self.folder.taken()?;
        purged.left_to_replay = no_replay.is_none() && !taken.is_empty();
        let mut segments = self.folder.segments()?;
        segments.extend(self.folder.plain()?);
        if no_replay.is_some() {
            segments.extend(taken);
        }
        for segment in &segments {
            self.purge_segment(segment, filter, &mut purged)?;
        }
        Ok(purged)
    }

    fn purge_segment(
        &self,
        segment: &Segment,
        filter: &Filter,
        purged: &mut Purged,
    ) -> io::Result<()> {
        let is_kept = |line: &Line| match line {
            Line::Letter(letter) => !filter.fits(letter),
            Line::Other | Line::More => !filter.is_everything(),
            Line::Empty => false,
        };
        let (mut deleted, mut kept) = (0, 0);
        let lines_kept = Lines::count(segment, |line| {
            let is_kept = is_kept(line);
            if matches!(line, Line::Letter(_)) {
                *(if is_kept { &mut kept } else { &mut deleted }) += 1;
            }
            is_kept
        })?;
        if lines_kept == 0 {
            segment.delete()?;
        } else if deleted > 0 {
            self.folder.rewrite(segment, &segment.path, is_kept)?;
        }
        purged.deleted += deleted;
        purged.kept += kept;
        Ok(())
    }
}
