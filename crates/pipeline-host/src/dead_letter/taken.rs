//! The letters of one segment, read some at a time.
//!
//! Invariant: a letter comes with the number of its line, by which it is marked; one that is marked does not come.

use super::DeadLetterError;
use super::letter::StoredLetter;
use super::reader::{Letters, Line, Lines, unreadable};
use super::segment::Segment;
use std::path::Path;

/// The letters of a taken segment, without those that are marked, some at a time.
#[derive(Debug)]
pub struct TakenLetters {
    lines: Option<Lines>,
}

/// A letter of a taken segment.
#[derive(Debug)]
pub struct TakenLetter {
    /// Its line in the segment.
    pub line: u64,
    /// The letter.
    pub letter: StoredLetter,
}

impl TakenLetters {
    /// The next letters, at most so many, and so many bytes unless one is larger; none at the end. An invalid line is told to the
    /// log and stays where it is. Blocks.
    ///
    /// # Errors
    ///
    /// When the segment cannot be read.
    pub fn next_chunk(
        &mut self,
        max_letters: usize,
        max_bytes: usize,
    ) -> Result<Vec<TakenLetter>, DeadLetterError> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        let Some(lines) = &mut self.lines else {
            return Ok(chunk);
        };
        while chunk.len() < max_letters && bytes < max_bytes {
            match lines.next_line() {
                Ok(Some(Line::Letter(letter))) => {
                    bytes += letter.line.len();
                    chunk.push(TakenLetter {
                        line: lines.number(),
                        letter: *letter,
                    });
                }
                Ok(Some(Line::Other)) => tracing::warn!("{}", lines.no_letter()),
                Ok(Some(Line::Empty | Line::More)) => {}
                Ok(None) => {
                    self.lines = None;
                    break;
                }
                Err(error) => return Err(unreadable(lines.path(), error)),
            }
        }
        Ok(chunk)
    }
}

impl Segment {
    /// The letters of the segment, in order.
    pub fn letters(&self) -> Letters {
        Letters::of(vec![self.clone()])
    }

    /// The same, some at a time. Blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(&self) -> Result<TakenLetters, DeadLetterError> {
        let lines = Lines::open(self).map_err(|error| unreadable(&self.path, error))?;
        Ok(TakenLetters { lines })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
