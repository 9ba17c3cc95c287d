//! Reads dead letters back, one at a time, however many there are.
//!
//! Invariant: an invalid line is reported in its place and does not affect the others.

use super::letter::StoredLetter;
use super::segment::{Access, Segment};
use super::{DeadLetterError, DeadLetters, marks};
use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Take};
use std::path::{Path, PathBuf};

/// Longest line that is read as a letter, in bytes; what hosts write is far shorter.
pub const MAX_LETTER_BYTES: usize = 32 * 1024 * 1024;

impl DeadLetters {
    /// All letters, those of a replay that is not finished first. Letters that are added later are not among them.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn letters(&self) -> Result<Letters, DeadLetterError> {
        let segments = self.all_segments();
        segments
            .map(Letters::of)
            .map_err(|error| self.failed("read", error))
    }

    /// How much of the room is taken, in percent, rounded down; what a replay has taken does not count.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn percent_full(&self) -> Result<u64, DeadLetterError> {
        let bytes = self.bytes().map_err(|error| self.failed("read", error))?;
        Ok(bytes.saturating_mul(100) / self.max_bytes.max(1))
    }

    /// Bytes that they take now, without those that a replay has taken; `None` where the folder cannot be read. Blocks.
    pub(crate) fn taken_bytes(&self) -> Option<u64> {
        self.bytes().ok()
    }

    /// The bytes that they may take.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Bytes of all letters but those that a replay has taken.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        let segments = self.folder.segments()?;
        let plain = self.folder.plain()?;
        Ok(segments
            .iter()
            .chain(&plain)
            .map(|segment| segment.bytes)
            .sum())
    }

    /// The newest segments, and the file of letters without a payload.
    pub(super) fn newest(&self, segments: usize) -> io::Result<Vec<Segment>> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let mut all = self.folder.segments()?;
        let mut newest = all.split_off(all.len().saturating_sub(segments));
        newest.extend(self.folder.plain()?);
        Ok(newest)
    }

    pub(super) fn all_segments(&self) -> io::Result<Vec<Segment>> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        // Under the lock no segment ends in the middle of a line. A reader without write permission cannot lock, and may see that.
        let _lock = self.folder.lock(Access::Look).ok();
        let mut segments = self.folder.taken()?;
        segments.extend(self.folder.segments()?);
        segments.extend(self.folder.plain()?);
        Ok(segments)
    }
}

/// The letters of some segments, in order. Holds one letter at a time.
#[derive(Debug)]
pub struct Letters {
    segments: VecDeque<Segment>,
    open: Option<Lines>,
}

impl Letters {
    pub(super) fn of(segments: Vec<Segment>) -> Self {
        Self {
            segments: segments.into(),
            open: None,
        }
    }
}

impl Iterator for Letters {
    /// A letter, or why this line is not one; the next ones can still be read.
    type Item = Result<StoredLetter, DeadLetterError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(lines) = &mut self.open else {
                let segment = self.segments.pop_front()?;
                match Lines::open(&segment) {
                    Ok(lines) => self.open = lines,
                    Err(error) => return Some(Err(unreadable(&segment.path, error))),
                }
                continue;
            };
            match lines.next_line() {
                Ok(Some(Line::Letter(letter))) => return Some(Ok(*letter)),
                Ok(Some(Line::Other)) => return Some(Err(lines.no_letter())),
                Ok(Some(Line::Empty | Line::More)) => {}
                Ok(None) => self.open = None,
                Err(error) => {
                    let error = unreadable(&lines.path, error);
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> DeadLetterError {
    DeadLetterError::Io {
        action: "read",
        path: path.to_owned(),
        error,
    }
}

/// The lines of one segment.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    input: Take<BufReader<File>>,
    number: u64,
    bytes: Vec<u8>,
    is_inside: bool,
    /// Lines of letters that a replay has finished: they are no longer there.
    finished: HashSet<u64>,
}

/// What a line is.
pub(super) enum Line {
    /// Boxed: it is far larger than the others.
    Letter(Box<StoredLetter>),
    /// No letter.
    Other,
    /// The next part of a line that is too long to be a letter.
    More,
    Empty,
}

impl Lines {
    /// Opens a segment as it was when it was listed; `None` where it is gone, because it was purged, replayed or moved.
    pub(super) fn open(segment: &Segment) -> io::Result<Option<Self>> {
        let file = match File::open(&segment.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            path: segment.path.clone(),
            input: BufReader::new(file).take(segment.bytes),
            number: 0,
            bytes: Vec::new(),
            is_inside: false,
            finished: marks::read(segment)?,
        }))
    }

    /// How many lines of a segment are such; none where it is gone.
    pub(super) fn count(
        segment: &Segment,
        mut is_such: impl FnMut(&Line) -> bool,
    ) -> io::Result<u64> {
        let mut count = 0;
        if let Some(mut lines) = Self::open(segment)? {
            while let Some(line) = lines.next_line()? {
                count += u64::from(is_such(&line));
            }
        }
        Ok(count)
    }

    /// The next line, read and told apart.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.bytes.clear();
        let mut input = self.input.by_ref().take(MAX_LETTER_BYTES as u64);
        if input.read_until(b'\n', &mut self.bytes)? == 0 {
            return Ok(None);
        }
        let is_cut = self.bytes.len() == MAX_LETTER_BYTES && !self.bytes.ends_with(b"\n");
        if std::mem::replace(&mut self.is_inside, is_cut) {
            return Ok(Some(Line::More));
        }
        self.number += 1;
        if self.finished.contains(&self.number) || self.bytes.trim_ascii().is_empty() {
            return Ok(Some(Line::Empty));
        }
        let letter = StoredLetter::read(&self.bytes).filter(|_| !is_cut);
        Ok(Some(letter.map_or(Line::Other, |letter| {
            Line::Letter(Box::new(letter))
        })))
    }

    /// The line that was read last, newline and all.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn no_letter(&self) -> DeadLetterError {
        DeadLetterError::Line {
            path: self.path.clone(),
            line: self.number,
        }
    }
}
