//! A list of letters in parts, the newest first.
//!
//! Invariant: no letter comes twice, and none that fits is left out, while nothing is replayed or purged between two parts.

use super::filter::Filter;
use super::letter::StoredLetter;
use super::taken::TakenLetter;
use super::{DeadLetterError, DeadLetters};
use std::collections::VecDeque;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// Where a letter is, for who reads a list in parts. A replay moves letters to other places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterPlace {
    segment: u64,
    line: u64,
}

impl fmt::Display for LetterPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.segment, self.line)
    }
}

impl FromStr for LetterPlace {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (segment, line) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self {
            segment: segment.parse()?,
            line: line.parse()?,
        })
    }
}

/// A part of a list of letters.
#[derive(Debug, Default)]
pub struct LetterPage {
    /// The letters and their places, the newest first.
    pub letters: Vec<(LetterPlace, StoredLetter)>,
    /// Where the next part begins, if there is one.
    pub next: Option<LetterPlace>,
}

impl DeadLetters {
    /// The newest letters that fit, the newest first: those in front of `before`, at most so many. Blocks.
    ///
    /// # Errors
    ///
    /// When the folder or a segment cannot be read.
    pub fn newest_first(
        &self,
        filter: &Filter,
        before: Option<LetterPlace>,
        limit: usize,
    ) -> Result<LetterPage, DeadLetterError> {
        let mut segments = self
            .all_segments()
            .map_err(|error| self.failed("read", error))?;
        segments.sort();
        let mut page = LetterPage::default();
        for segment in segments.iter().rev() {
            if page.letters.len() > limit {
                break;
            }
            let wanted = limit + 1 - page.letters.len();
            let mut newest = VecDeque::new();
            let mut taken = segment.open()?;
            while let Some(TakenLetter { line, letter }) = taken.next_chunk(1, usize::MAX)?.pop() {
                let place = LetterPlace {
                    segment: segment.number,
                    line,
                };
                if before.is_some_and(|before| place >= before) {
                    break;
                }
                if filter.fits(&letter) {
                    newest.push_back((place, letter));
                    if newest.len() > wanted {
                        newest.pop_front();
                    }
                }
            }
            page.letters.extend(newest.into_iter().rev());
        }
        if page.letters.len() > limit {
            page.letters.truncate(limit);
            page.next = page.letters.last().map(|(place, _)| *place);
        }
        Ok(page)
    }
}
