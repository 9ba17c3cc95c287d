//! What was found in one text: slices of it, undecoded.

use crate::paths::Paths;
use crate::prediction::Memory;
use crate::root::Root;
use crate::rows::{ListRows, Row};
use crate::scratch::{Parts, Scratch};
use crate::slot::{List, Slot, WORD_BITS};

/// What was found in one text, as slices of it.
///
/// Holds memory of the thread, which its next text gets when this is dropped.
#[derive(Debug)]
pub struct Found<'a> {
    text: &'a str,
    /// In a box, because what was found is moved around more often than it is looked into. Always there, until this is
    /// dropped.
    scratch: Option<Box<Scratch>>,
}

impl<'a> Found<'a> {
    /// Nothing yet.
    pub(crate) fn new(text: &'a str, paths: &Paths, root: Root, memory: Memory) -> Self {
        let scratch = Some(Scratch::take(paths, root, memory));
        Self { text, scratch }
    }

    /// The memory that a walk fills.
    #[inline]
    pub(crate) fn parts(&mut self) -> Parts<'_> {
        self.scratch.get_or_insert_default().parts()
    }

    #[inline]
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The JSON at the path of this slot; `None` if it was not found.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&'a str> {
        self.object().get(slot)
    }

    /// What was found in the text's own object.
    #[inline]
    pub fn object(&self) -> ObjectView<'_, 'a> {
        ObjectView {
            text: self.text,
            row: self.scratch.as_deref().map_or(Row::EMPTY, Scratch::object),
        }
    }

    /// Values of the text's own object that do not count, because another one came behind them under the same key, spelled as
    /// in the paths; each with its slot, at most 64. Empty for nearly every text.
    #[inline]
    pub fn repeats(&self) -> impl Iterator<Item = (Slot, &'a str)> + use<'_, 'a> {
        let scratch = self.scratch.as_deref();
        let values = scratch.map_or(&[][..], |scratch| scratch.repeats().values());
        let text = self.text;
        values
            .iter()
            .filter_map(move |(slot, span)| Some((*slot, span.of(text)?)))
    }

    /// Whether there are more than [`repeats`](Self::repeats) lists.
    pub fn has_more_repeats(&self) -> bool {
        let scratch = self.scratch.as_deref();
        scratch.is_some_and(|scratch| scratch.repeats().is_cut())
    }

    /// How many elements of the list were looked at, and whether it has more. At most [`MAX_ELEMENTS`](crate::MAX_ELEMENTS)
    /// are; 0 if there is no list.
    #[inline]
    pub fn rows(&self, list: List) -> (usize, bool) {
        self.list(list).map_or((0, false), ListRows::count)
    }

    /// Whether the value at the list's path is text, a number or a boolean: neither a list, nor an object, which is read as
    /// one, nor null.
    pub fn is_not_a_list(&self, list: List) -> bool {
        self.list(list).is_some_and(ListRows::is_not_a_list)
    }

    /// What was found in one element of the list, counted from 0. An element that is not an object holds nothing but
    /// [itself](crate::ElementPaths::element_slot), and one at [`rows`](Self::rows) or beyond holds nothing at all.
    #[inline]
    pub fn element(&self, list: List, row: usize) -> ObjectView<'_, 'a> {
        let rows = self.list(list);
        let rows = rows.filter(|rows| row < rows.count().0);
        ObjectView {
            text: self.text,
            row: rows.map_or(Row::EMPTY, |rows| rows.row(row)),
        }
    }

    /// What was found in each element of the list that was looked at, in their order.
    pub fn elements(&self, list: List) -> impl ExactSizeIterator<Item = ObjectView<'_, 'a>> {
        (0..self.rows(list).0).map(move |row| self.element(list, row))
    }

    #[inline]
    fn list(&self, list: List) -> Option<&ListRows> {
        self.scratch.as_deref()?.list(list.0)
    }

    #[cfg(test)]
    pub(crate) fn scratch(&self) -> &Scratch {
        self.scratch.as_deref().expect("not dropped yet")
    }
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            scratch.give_back();
        }
    }
}

/// What was found in one object: the text's own, or an element of a list.
#[derive(Debug, Clone, Copy)]
pub struct ObjectView<'f, 'a> {
    text: &'a str,
    row: Row<'f>,
}

impl<'f, 'a> ObjectView<'f, 'a> {
    /// The JSON at the path of this slot, undecoded and without white space around it; `None` if it was not found.
    #[inline]
    pub fn get(self, slot: Slot) -> Option<&'a str> {
        self.row.get(slot)?.of(self.text)
    }

    /// Those of these slots at whose paths there is a value, in their order, each with its JSON as [`get`](Self::get) returns it.
    #[inline]
    pub fn filled<'s>(self, slots: &'s SlotSequence) -> Filled<'s, 'f, 'a> {
        Filled {
            object: self,
            runs: &slots.0,
            place: 0,
            left: 0,
        }
    }

    /// The bits of all of these slots at whose paths there is a value.
    #[inline]
    pub fn bits_of(self, slots: &SlotBits) -> u64 {
        let mut bits = 0;
        for word in &slots.0 {
            let mut left = self.row.word(word.place) & word.wanted;
            while left != 0 {
                bits |= word.of_slot[left.trailing_zeros() as usize];
                left &= left - 1;
            }
        }
        bits
    }
}

/// Slots in an order of preference. Those with a value are found without a look at each of the others
/// ([`ObjectView::filled`]).
#[derive(Debug, Clone, Default)]
pub struct SlotSequence(Box<[Run]>);

/// Slots that come in their order of preference as in one word of the bit set.
#[derive(Debug, Clone, Copy)]
struct Run {
    place: usize,
    wanted: u64,
}

impl FromIterator<Slot> for SlotSequence {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for Slot(slot) in slots {
            let (place, bit) = (slot / WORD_BITS, 1 << (slot % WORD_BITS));
            match runs.last_mut() {
                Some(run) if run.place == place && run.wanted < bit => run.wanted |= bit,
                _ => runs.push(Run { place, wanted: bit }),
            }
        }
        Self(runs.into())
    }
}

/// The slots of a sequence with a value, and these values: see [`ObjectView::filled`].
#[derive(Debug, Clone)]
pub struct Filled<'s, 'f, 'a> {
    object: ObjectView<'f, 'a>,
    /// Those not begun yet.
    runs: &'s [Run],
    /// Of the current run: its word, and the slots that hold a value and are not visited yet.
    place: usize,
    left: u64,
}

impl<'a> Iterator for Filled<'_, '_, 'a> {
    type Item = (Slot, &'a str);

    #[expect(clippy::inline_always, reason = "a call costs as much as the search")]
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let ObjectView { text, row } = self.object;
        while self.left == 0 {
            let (run, others) = self.runs.split_first()?;
            (self.runs, self.place) = (others, run.place);
            self.left = row.word(run.place) & run.wanted;
        }
        let slot = Slot(self.place * WORD_BITS + self.left.trailing_zeros() as usize);
        self.left &= self.left - 1;
        Some((slot, row.span(slot)?.of(text)?))
    }
}

/// Up to 64 flags that slots set when they hold a value ([`ObjectView::bits_of`]).
///
/// Most slots of an object are empty, and the words of its bit set tell which are not. So one look at those words answers
/// for all of these slots, and only slots with a value cost more.
#[derive(Debug, Default)]
pub struct SlotBits(Vec<WordBits>);

/// The slots of one word of the bit set.
#[derive(Debug)]
struct WordBits {
    place: usize,
    /// The slots that have bits.
    wanted: u64,
    of_slot: [u64; WORD_BITS],
}

impl SlotBits {
    /// Adds bits to those that a slot sets.
    pub fn add(&mut self, Slot(slot): Slot, bits: u64) {
        let place = slot / WORD_BITS;
        let known = self.0.iter().position(|word| word.place == place);
        let at = known.unwrap_or_else(|| {
            self.0.push(WordBits {
                place,
                wanted: 0,
                of_slot: [0; WORD_BITS],
            });
            self.0.len() - 1
        });
        let word = &mut self.0[at];
        word.wanted |= 1 << (slot % WORD_BITS);
        word.of_slot[slot % WORD_BITS] |= bits;
    }
}
