//! Removes sealed copies of events from their letters once they are as old as they may be.
//!
//! Invariant: the letters stay, but for the copy byte for byte; a crash leaves a segment as it was.

use super::letter::{StoredLetter, without_copy};
use super::reader::{Line, Lines};
use super::segment::{Access, Segment};
use super::{DeadLetterError, DeadLetters, marks};
use std::io;

impl DeadLetters {
    /// Takes the copies out of all letters that may keep them no longer; how many. The letters stay. Blocks on the disk; where no letter
    /// ever had a copy, for one look at the folder.
    pub(crate) fn forget_raw(&self, now_ms: i64) -> Result<u64, DeadLetterError> {
        self.forget_raw_until(now_ms)
            .map_err(|error| self.failed("rewritten", error))
    }

    fn forget_raw_until(&self, now_ms: i64) -> io::Result<u64> {
        if !self.folder.has_copies()? {
            return Ok(0);
        }
        // What a replay has taken it gives back, and the next look finds it; what a killed one has left is looked at now.
        let has_taken = !self.folder.taken()?.is_empty();
        let no_replay = has_taken.then(|| self.folder.lock_replay()).transpose()?;
        let _lock = self.folder.lock(Access::Change)?;
        let mut segments = self.folder.segments()?;
        let mut are_left = false;
        match no_replay.as_ref().map(Option::is_some) {
            Some(true) => segments.extend(self.folder.taken()?),
            Some(false) => are_left = true,
            None => {}
        }
        let mut forgotten = 0;
        for segment in &segments {
            let (old, kept) = copies(segment, now_ms)?;
            are_left |= kept > 0;
            if old > 0 {
                self.folder
                    .rewrite_lines(segment, |line, bytes| match line {
                        Line::Letter(letter) if is_old(letter, now_ms) => without_copy(bytes),
                        // Finished by a replay that was killed: its marks are void for the new file.
                        Line::Empty => None,
                        _ => Some(bytes.to_vec()),
                    })?;
                marks::remove(segment)?;
                forgotten += old;
            }
        }
        if !are_left {
            self.folder.note_copies(false)?;
        }
        Ok(forgotten)
    }
}

fn is_old(letter: &StoredLetter, now_ms: i64) -> bool {
    let sealed = letter.sealed.as_ref();
    sealed.is_some_and(|sealed| sealed.until_ms <= now_ms)
}

/// How many copies of a segment are to be removed, and how many are not.
fn copies(segment: &Segment, now_ms: i64) -> io::Result<(u64, u64)> {
    let mut all = 0;
    let old = Lines::count(segment, |line| {
        let Line::Letter(letter) = line else {
            return false;
        };
        all += u64::from(letter.sealed.is_some());
        is_old(letter, now_ms)
    })?;
    Ok((old, all - old))
}
