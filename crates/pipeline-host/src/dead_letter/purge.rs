//! Deletes dead letters that are no longer needed.
//!
//! Invariant: a letter that does not fit the filter survives, whenever the process is killed: a segment is written anew
//! beside the old one, and takes its place once it is on the disk.

use super::filter::Filter;
use super::reader::{Line, Lines};
use super::segment::{Access, Segment};
use super::{DeadLetterError, DeadLetters};
use std::io;

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
