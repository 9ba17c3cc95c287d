//! Where the positions of found values are stored: one row per object, one span per slot.
//!
//! The storage is reused from text to text. A bit per slot says whether its span belongs to the current text.

use crate::paths::{Paths, Slot};
use crate::prediction::{KeyPrediction, Memory};
use std::ops::Range;

/// Elements of one list that are looked at. A longer list is cut there, and [`Found::rows`](crate::Found::rows) says so.
pub const MAX_ELEMENTS: usize = 2_000;
/// Bytes of a text, at most: positions in it are stored in 32 bits.
pub const MAX_TEXT_BYTES: usize = u32::MAX as usize;

/// Bits of a word of the bit sets of slots.
pub(crate) const WORD_BITS: usize = u64::BITS as usize;

/// Words of a bit set of so many slots.
pub(crate) fn words_for(slots: usize) -> usize {
    slots.div_ceil(WORD_BITS)
}

/// The position of a value in its text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a longer text than MAX_TEXT_BYTES is not read"
    )]
    #[inline]
    pub(crate) fn new(range: Range<usize>) -> Self {
        Self {
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    /// The value in its text.
    #[inline]
    pub(crate) fn of(self, text: &str) -> Option<&str> {
        text.get(self.start as usize..self.end as usize)
    }
}

/// The spans of some objects, row after row, with the same number of slots in each.
#[derive(Debug, Default)]
pub(crate) struct RowStore {
    /// Spans whose bit is not set are left over from earlier texts.
    spans: Vec<Span>,
    /// One bit per slot; each row begins with a new word.
    found: Vec<u64>,
}

/// The row that is being filled.
#[derive(Debug)]
pub(crate) struct RowMut<'m> {
    spans: &'m mut [Span],
    found: &'m mut [u64],
}

/// A row that has been filled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'f> {
    spans: &'f [Span],
    found: &'f [u64],
}

impl RowStore {
    /// Holds no rows yet.
    pub(crate) const EMPTY: Self = Self {
        spans: Vec::new(),
        found: Vec::new(),
    };

    /// Begins a row with so many slots, all of them empty.
    pub(crate) fn start(&mut self, row: usize, slots: usize) -> RowMut<'_> {
        let words = words_for(slots);
        let (first_span, first_word) = (row * slots, row * words);
        if self.spans.len() < first_span + slots {
            self.spans.resize(first_span + slots, Span::default());
        }
        self.found.truncate(first_word);
        self.found.resize(first_word + words, 0);
        RowMut {
            spans: &mut self.spans[first_span..first_span + slots],
            found: &mut self.found[first_word..],
        }
    }

    /// A row that has been filled; an empty one where there is no such row.
    #[inline]
    pub(crate) fn row(&self, row: usize, slots: usize) -> Row<'_> {
        let words = words_for(slots);
        let spans = self.spans.get(row * slots..(row + 1) * slots);
        let found = self.found.get(row * words..(row + 1) * words);
        Row {
            spans: spans.unwrap_or_default(),
            found: found.unwrap_or_default(),
        }
    }

    /// Spans that there is memory for.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }
}

impl RowMut<'_> {
    #[inline]
    pub(crate) fn set(&mut self, slot: Slot, span: Span) {
        self.spans[slot.0] = span;
        self.found[slot.0 / WORD_BITS] |= 1 << (slot.0 % WORD_BITS);
    }
}

impl Row<'_> {
    /// A row without slots.
    pub(crate) const EMPTY: Self = Self {
        spans: &[],
        found: &[],
    };

    #[inline]
    pub(crate) fn get(self, slot: Slot) -> Option<Span> {
        if self.word(slot.0 / WORD_BITS) >> (slot.0 % WORD_BITS) & 1 == 0 {
            return None;
        }
        self.spans.get(slot.0).copied()
    }

    /// One word of the bits of the slots that hold a value.
    #[inline]
    pub(crate) fn word(self, place: usize) -> u64 {
        self.found.get(place).copied().unwrap_or(0)
    }
}

/// The elements of one list, a row for each.
#[derive(Debug, Default)]
pub(crate) struct ListRows {
    store: RowStore,
    slots: usize,
    prediction: KeyPrediction,
    count: usize,
    is_cut: bool,
    /// The value at the list's path is something else than a list or null.
    is_not_a_list: bool,
}

impl ListRows {
    pub(crate) fn clear(&mut self) {
        (self.count, self.is_cut, self.is_not_a_list) = (0, false, false);
    }

    /// Prepares for the elements of a list; those of an earlier list are discarded.
    pub(crate) fn start(&mut self, paths: &Paths, memory: Memory) {
        self.clear();
        self.slots = paths.slots;
        self.prediction.start(paths, memory);
    }

    /// The row for the next element; `None` from [`MAX_ELEMENTS`] on, where the list is cut.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<(RowMut<'_>, &mut KeyPrediction)> {
        if self.count == MAX_ELEMENTS {
            self.is_cut = true;
            return None;
        }
        let row = self.store.start(self.count, self.slots);
        self.count += 1;
        Some((row, &mut self.prediction))
    }

    pub(crate) fn note_other_value(&mut self) {
        self.is_not_a_list = true;
    }

    pub(crate) fn is_not_a_list(&self) -> bool {
        self.is_not_a_list
    }

    /// How many rows there are, and whether the list has more elements.
    #[inline]
    pub(crate) fn count(&self) -> (usize, bool) {
        (self.count, self.is_cut)
    }

    #[inline]
    pub(crate) fn row(&self, row: usize) -> Row<'_> {
        self.store.row(row, self.slots)
    }

    /// Spans that there is memory for.
    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }
}
