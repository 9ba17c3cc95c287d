//! The memory of one reading, which the thread keeps for the next.
//!
//! It holds positions and keys of paths, never a value of a text.

use crate::paths::Paths;
use crate::prediction::{KeyPrediction, Memory};
use crate::root::Root;
use crate::rows::{ListRows, Repeats, Row, RowMut, RowStore};
use std::cell::Cell;

/// The positions of everything that was found in a text, and the predictions for the next one.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    object: RowStore,
    slots: usize,
    prediction: KeyPrediction,
    lists: Vec<ListRows>,
    root: Root,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    /// For lists that a text holds as text. They are read while the text's own memory is in use, and what was learned from
    /// texts must outlast them.
    static SCRATCH_OF_LISTS: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// The parts of a [`Scratch`] that a walk fills.
pub(crate) struct Parts<'m> {
    pub(crate) row: RowMut<'m>,
    pub(crate) prediction: &'m mut KeyPrediction,
    pub(crate) lists: &'m mut [ListRows],
}

impl Scratch {
    /// Takes the thread's memory, and prepares it for a text.
    pub(crate) fn take(paths: &Paths, root: Root, memory: Memory) -> Box<Self> {
        // A thread that is ending has none, nor has one that reads its first text.
        let kept = match root {
            Root::Object => SCRATCH.try_with(Cell::take),
            Root::List(_) => SCRATCH_OF_LISTS.try_with(Cell::take),
        };
        let mut scratch = kept.unwrap_or_default().unwrap_or_default();
        scratch.root = root;
        scratch.slots = paths.slots;
        scratch.prediction.start(paths, memory);
        scratch.lists.iter_mut().for_each(ListRows::clear);
        scratch
            .lists
            .resize_with(paths.lists.len(), ListRows::default);
        scratch
    }

    /// Gives the memory back to the thread, unless a rare text has made it large.
    pub(crate) fn give_back(self: Box<Self>) {
        /// Enough for lists of hundreds of elements.
        const MAX_KEPT_SPANS: usize = 64 * 1_024;
        if self.lists.iter().map(ListRows::len).sum::<usize>() <= MAX_KEPT_SPANS {
            // A thread that is ending keeps nothing.
            let _ = match self.root {
                Root::Object => SCRATCH.try_with(|scratch| scratch.set(Some(self))),
                Root::List(_) => SCRATCH_OF_LISTS.try_with(|scratch| scratch.set(Some(self))),
            };
        }
    }

    /// Begins the row of the object itself.
    #[inline]
    pub(crate) fn parts(&mut self) -> Parts<'_> {
        Parts {
            row: self.object.start(0, self.slots),
            prediction: &mut self.prediction,
            lists: &mut self.lists,
        }
    }

    /// The row of the object itself.
    #[inline]
    pub(crate) fn object(&self) -> Row<'_> {
        self.object.row(0, self.slots)
    }

    pub(crate) fn repeats(&self) -> &Repeats {
        self.object.repeats()
    }

    #[inline]
    pub(crate) fn list(&self, list: usize) -> Option<&ListRows> {
        self.lists.get(list)
    }

    #[cfg(test)]
    pub(crate) fn prediction(&self) -> &KeyPrediction {
        &self.prediction
    }
}
