//! Where the positions of found values are stored: one row per object, one span per slot.
//!
//! The storage is reused from text to text. A bit per slot says whether its span belongs to the current text.

use crate::deviation::Deviation;
use crate::paths::Paths;
use crate::prediction::{KeyPrediction, Memory};
use crate::slot::{Cell, Slot, WORD_BITS};
use std::ops::Range;

/// Elements of one list that are looked at. A longer list is cut there, and [`Found::rows`](crate::Found::rows) says so.
pub const MAX_ELEMENTS: usize = 2_000;
/// Bytes of a text, at most: positions in it are stored in 31 bits.
pub const MAX_TEXT_BYTES: usize = i32::MAX as usize;

/// Words of a bit set of so many slots.
pub(crate) fn words_for(slots: usize) -> usize {
    slots.div_ceil(WORD_BITS)
}

/// The position of a value in its text, and whether it was found under the spelling of its path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    /// Where it ends, and [`DEVIATES`].
    end: u32,
}

/// Set in a [`Span`] if a key on the way was spelled differently in the text. The highest bit, so that exact spans cost
/// nothing more.
const DEVIATES: u32 = 1 << 31;

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
        text.get(self.start as usize..(self.end & !DEVIATES) as usize)
    }
}

/// The spans of some objects, row after row, with the same number of slots in each.
#[derive(Debug, Default)]
pub(crate) struct RowStore {
    /// Spans whose bit is not set are left over from earlier texts.
    spans: Vec<Span>,
    /// One bit per slot; each row begins with a new word.
    found: Vec<u64>,
    /// How exactly the values of the row that is being filled were found: one for each slot whose span [`DEVIATES`].
    deviations: Vec<Deviation>,
    repeats: Repeats,
}

/// Values of the row that was filled last which others of the same key, as the paths spell it, have replaced.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    values: Vec<(Slot, Span)>,
    /// Whether there were more than [`MAX_REPEATS`].
    is_cut: bool,
}

/// Replaced values of one object that are kept.
pub(crate) const MAX_REPEATS: usize = 64;

impl Repeats {
    #[inline]
    fn clear(&mut self) {
        if !self.values.is_empty() {
            self.values.clear();
            self.is_cut = false;
        }
    }

    fn add(&mut self, slot: Slot, span: Span) {
        if self.values.len() < MAX_REPEATS {
            self.values.push((slot, span));
        } else {
            self.is_cut = true;
        }
    }

    pub(crate) fn values(&self) -> &[(Slot, Span)] {
        &self.values
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// The row that is being filled.
#[derive(Debug)]
pub(crate) struct RowMut<'m> {
    spans: &'m mut [Span],
    found: &'m mut [u64],
    deviations: &'m mut [Deviation],
    repeats: &'m mut Repeats,
}

/// A row that has been filled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'f> {
    spans: &'f [Span],
    found: &'f [u64],
}

impl RowStore {
    /// Begins a row with so many slots, all of them empty.
    #[inline]
    pub(crate) fn start(&mut self, row: usize, slots: usize) -> RowMut<'_> {
        let words = words_for(slots);
        let (first_span, first_word) = (row * slots, row * words);
        if self.spans.len() < first_span + slots || self.deviations.len() < slots {
            self.grow(first_span + slots, slots);
        }
        self.repeats.clear();
        self.found.truncate(first_word);
        self.found.resize(first_word + words, 0);
        RowMut {
            spans: &mut self.spans[first_span..first_span + slots],
            found: &mut self.found[first_word..],
            deviations: &mut self.deviations[..slots],
            repeats: &mut self.repeats,
        }
    }

    /// Makes room for so many spans, in rows of so many slots.
    #[cold]
    fn grow(&mut self, spans: usize, slots: usize) {
        let spans = spans.max(self.spans.len());
        self.spans.resize(spans, Span::default());
        let slots = slots.max(self.deviations.len());
        self.deviations.resize(slots, Deviation::NONE);
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

    pub(crate) fn repeats(&self) -> &Repeats {
        &self.repeats
    }
}

impl RowMut<'_> {
    /// Stores a value that was found under the spelling of its path. The last one counts.
    #[inline]
    pub(crate) fn set(&mut self, cell: Cell, span: Span) {
        if self.found[cell.word] & cell.bit != 0 {
            self.note_repeat(cell.slot);
        }
        self.spans[cell.slot.0] = span;
        self.found[cell.word] |= cell.bit;
    }

    /// Keeps a value that another one of the same key replaces. One under another spelling is another key.
    #[cold]
    fn note_repeat(&mut self, slot: Slot) {
        let span = self.spans[slot.0];
        if span.end & DEVIATES == 0 {
            self.repeats.add(slot, span);
        }
    }

    /// Stores a value that was found under another spelling, unless there is one that deviates less.
    #[inline]
    pub(crate) fn set_deviating(&mut self, cell: Cell, span: Span, deviation: Deviation) {
        let Slot(slot) = cell.slot;
        if self.found[cell.word] & cell.bit != 0 && self.deviates_less(slot, deviation) {
            return;
        }
        self.found[cell.word] |= cell.bit;
        self.deviations[slot] = deviation;
        self.spans[slot] = Span {
            end: span.end | DEVIATES,
            ..span
        };
    }

    /// Whether the value of a slot deviates less than another one.
    #[cold]
    fn deviates_less(&self, slot: usize, than: Deviation) -> bool {
        self.spans[slot].end & DEVIATES == 0 || self.deviations[slot] < than
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
        self.span(slot)
    }

    /// The span of a slot whose bit is set.
    #[inline]
    pub(crate) fn span(self, slot: Slot) -> Option<Span> {
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
    /// How exactly the list was found, if one was.
    of_list: Option<Deviation>,
    /// How exactly a value was found that counts instead, and is neither a list nor null.
    of_other_value: Option<Deviation>,
}

impl ListRows {
    pub(crate) fn clear(&mut self) {
        (self.count, self.is_cut) = (0, false);
        (self.of_list, self.of_other_value) = (None, None);
    }

    /// Prepares for the elements of a list; those of an earlier list are discarded. False if the earlier one deviates
    /// less, and counts.
    pub(crate) fn start(&mut self, paths: &Paths, memory: Memory, deviation: Deviation) -> bool {
        if self.of_list.is_some_and(|known| known < deviation) {
            return false;
        }
        (self.count, self.is_cut) = (0, false);
        self.of_list = Some(deviation);
        if self.of_other_value.is_some_and(|known| known >= deviation) {
            self.of_other_value = None;
        }
        self.slots = paths.slots;
        self.prediction.start(paths, memory);
        true
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

    /// Notes a value at the list's path that is neither a list nor null.
    pub(crate) fn note_other_value(&mut self, deviation: Deviation) {
        let known = [self.of_list, self.of_other_value];
        if known.iter().flatten().all(|known| *known >= deviation) {
            self.of_other_value = Some(deviation);
        }
    }

    pub(crate) fn is_not_a_list(&self) -> bool {
        self.of_other_value.is_some()
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
