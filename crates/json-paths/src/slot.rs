//! The numbers under which values are found.

/// The number of one path's value in [`Found`](crate::Found) and [`ObjectView`](crate::ObjectView).
///
/// It belongs to the [`Paths`](crate::Paths) that made it; with others it gives the value at another path, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) usize);

/// The number of one list in [`Found`](crate::Found). It belongs to the [`Paths`](crate::Paths) that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct List(pub(crate) usize);

/// Bits of a word of the bit sets of slots.
pub(crate) const WORD_BITS: usize = u64::BITS as usize;

/// A slot, and where the bit set of a row has its bit: known before texts are read, because it is needed for each value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) slot: Slot,
    pub(crate) word: usize,
    pub(crate) bit: u64,
}

impl Cell {
    pub(crate) fn of(slot: Slot) -> Self {
        Self {
            slot,
            word: slot.0 / WORD_BITS,
            bit: 1 << (slot.0 % WORD_BITS),
        }
    }
}
