//! Letters of earlier runs, so that events which a source reads again after a crash are not written a second time.
//!
//! In: the newest letters on the disk when this process writes its first one. Out: which of the letters to write are among them.
//!
//! Invariant: a letter is recognized only where its place, its reason and every byte of what can be sent again are the same; and
//! each stored letter accounts for one new letter, so that a second event which is alike is written.

use super::reader::Letters;
use super::{DeadLetters, Letter, StoredLetter};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Letters that are remembered at most.
pub(crate) const MAX_KNOWN: usize = 50_000;
/// Segments that are looked at, besides that of letters without a payload.
const NEWEST_SEGMENTS: usize = 2;

/// What tells a letter from another one, in 128 bits with a key of this process.
type Mark = (u64, u64);

/// The letters of earlier runs, shared by all handles on one folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// `None` until they are read.
    left: Option<HashMap<Mark, u32>>,
    keys: (RandomState, RandomState),
}

/// Letters that were recognized. They count as written once this is told.
pub(super) struct Recognized<'k> {
    state: MutexGuard<'k, State>,
    marks: Vec<Mark>,
}

/// What is compared: reason, detail, place, and payload or shape.
type Content<'a> = (
    &'a str,
    &'a str,
    &'a str,
    Option<&'a [u8]>,
    Option<(&'a str, usize)>,
);

impl Known {
    /// Knows no letter, whatever is on the disk.
    pub(super) fn nothing() -> Self {
        let state = State {
            left: Some(HashMap::new()),
            ..State::default()
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Prepares for a look at letters. Blocks on the disk the first time.
    pub(super) fn look(&self, letters: &DeadLetters) -> Recognized<'_> {
        // Nothing under the lock can panic half-way.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.left.is_none() {
            let mut left = HashMap::new();
            // A folder that cannot be read has no known letters; that it cannot be written is told elsewhere.
            let newest = letters.newest(NEWEST_SEGMENTS).unwrap_or_default();
            for letter in Letters::of(newest).flatten().take(MAX_KNOWN) {
                *left.entry(state.mark(&of_stored(&letter))).or_insert(0) += 1;
            }
            state.left = Some(left);
        }
        let marks = Vec::new();
        Recognized { state, marks }
    }
}

impl State {
    fn mark(&self, content: &Content<'_>) -> Mark {
        (self.keys.0.hash_one(content), self.keys.1.hash_one(content))
    }
}

impl Recognized<'_> {
    /// Whether a letter is on the disk already.
    pub(super) fn has(&mut self, letter: &Letter) -> bool {
        if self.state.left.as_ref().is_none_or(HashMap::is_empty) {
            return false;
        }
        let source = letter.origin.to_string();
        let mark = self.state.mark(&of_letter(letter, &source));
        let taken = self.marks.iter().filter(|known| **known == mark).count();
        let left = self.state.left.as_ref().and_then(|left| left.get(&mark));
        let is_known = left.is_some_and(|left| *left as usize > taken);
        if is_known {
            self.marks.push(mark);
        }
        is_known
    }

    /// The other letters are written too: those that were recognized account for no further ones.
    pub(super) fn done(mut self) {
        let Some(left) = &mut self.state.left else {
            return;
        };
        for mark in &self.marks {
            if let Some(count) = left.get_mut(mark) {
                *count -= 1;
                if *count == 0 {
                    left.remove(mark);
                }
            }
        }
    }
}

fn of_stored(letter: &StoredLetter) -> Content<'_> {
    let payload = letter.record.as_ref().map(|record| &record.payload[..]);
    let shape = letter.shape.as_ref();
    let shape = shape.map(|(shape, bytes)| (&**shape, *bytes));
    (
        &letter.reason,
        &letter.detail,
        &letter.source,
        payload,
        shape,
    )
}

fn of_letter<'a>(letter: &'a Letter, source: &'a str) -> Content<'a> {
    let payload = letter.record.as_ref().map(|record| &record.payload[..]);
    let trace = letter.trace.as_deref().filter(|_| payload.is_none());
    let shape = trace.map(|trace| (&*trace.shape, trace.bytes));
    (
        letter.reason.code,
        &letter.reason.detail,
        source,
        payload,
        shape,
    )
}
