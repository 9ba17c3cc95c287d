//! Predicts which key comes next, from the texts that were read before.
//!
//! Texts of one origin have their keys in one order, with the same white space. So the bytes that were between two values
//! the last time are compared with the text first, which takes a handful of instructions; reading a separator and a key,
//! and looking it up, takes two hundred. A wrong prediction costs one comparison and changes no result.
//!
//! Measured in instructions per event of the whole mapping of `meta-conversions` (`benches/README.md`): separators and
//! predictions −5 %, predictions behind keys that lead nowhere another −7 %.
//!
//! Invariant: a matching prediction gives the same result as reading, because
//!
//! * it is learned only from a separator and a key that were read at its place, never from another prediction;
//! * a place belongs to one object of one tree of paths, so its key is always looked up among the same keys, and all
//!   predictions are discarded when another tree is read;
//! * a key leads to one node whatever its spelling: that of the spelling, or the link of all others
//!   ([`Node`](crate::node::Node)). How exactly the keys above it are spelled changes nothing about that;
//! * it contains every byte from the end of the previous value (or from the opening brace) to the colon, so equal bytes
//!   mean the same key. Only the white space after the colon can be longer than predicted; [`Separator::pass`] passes the
//!   rest of it, so that the position is the same as after reading;
//! * it never closes an object or a list: closing brackets are always read.

use crate::bytes::{MASK_OF_LENGTH, WORD_BYTES, head};
use crate::paths::Paths;
use crate::scan::Scanner;

/// Whether a walk uses and learns predictions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Memory {
    #[default]
    Kept,
    /// Nothing is learned, so nothing is predicted.
    Off,
}

/// Which key came after which, and how the bytes between their values were written.
///
/// The entries are in three regions: the key after node `i`; the first key in the object of node `i`; the rest, for what
/// follows keys that lead nowhere. The number of an entry is its place.
#[derive(Debug, Default)]
pub(crate) struct KeyPrediction {
    /// The id of the tree of paths, and its number of nodes.
    of: (u64, usize),
    entries: Vec<Entry>,
    memory: Memory,
}

/// A key that may come next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entry {
    /// The bytes from the value before it to its own value.
    pub(crate) separator: Separator,
    /// The node that it leads to, which can be a link, or [`NO_NODE`]. 0, which no key leads to, where nothing has been learned.
    pub(crate) child: usize,
    /// The place of what comes after a key that leads nowhere, or [`NOWHERE`].
    after_unmapped: usize,
}

/// The node of a key that leads nowhere.
pub(crate) const NO_NODE: usize = usize::MAX;
/// The place of a prediction that is never made: the whole text does not come after a key.
const NOWHERE: usize = 0;
/// Keys that lead nowhere and that are remembered, in one tree of paths.
pub(crate) const MAX_UNMAPPED_KEYS: usize = 256;

impl KeyPrediction {
    /// Prepares for a text; discards what was learned with other paths.
    pub(crate) fn start(&mut self, paths: &Paths, memory: Memory) {
        let of = (paths.id, paths.nodes.len());
        if self.of != of || self.memory != memory {
            (self.of, self.memory) = (of, memory);
            self.entries.clear();
            self.entries.resize(2 * of.1, Entry::default());
        }
    }

    #[inline]
    pub(crate) fn memory(&self) -> Memory {
        self.memory
    }

    /// The prediction of a place.
    #[inline]
    pub(crate) fn at(&self, place: usize) -> &Entry {
        &self.entries[place]
    }

    /// The place of the first key in the object of a node.
    #[inline]
    pub(crate) fn first(&self, object: usize) -> usize {
        self.of.1 + object
    }

    /// The place of what comes after a key; the key itself is at `place` and leads to `child`.
    #[inline]
    pub(crate) fn after(&self, place: usize, child: usize) -> usize {
        if child == NO_NODE {
            self.entries[place].after_unmapped
        } else {
            child
        }
    }

    /// Remembers the key that was read at a place.
    pub(crate) fn learn(&mut self, place: usize, child: usize, separator: Separator) {
        if place == NOWHERE || self.memory == Memory::Off {
            return;
        }
        let end = self.entries.len();
        let entry = &mut self.entries[place];
        (entry.child, entry.separator) = (child, separator);
        if child == NO_NODE
            && entry.after_unmapped == NOWHERE
            && end < 2 * self.of.1 + MAX_UNMAPPED_KEYS
        {
            entry.after_unmapped = end;
            self.entries.push(Entry::default());
        }
    }

    /// How many keys have been learned.
    #[cfg(test)]
    pub(crate) fn learned(&self) -> usize {
        let learned = self.entries.iter().filter(|entry| entry.child != 0);
        learned.count()
    }

    /// How many entries the third region has.
    #[cfg(test)]
    pub(crate) fn unmapped(&self) -> usize {
        self.entries.len() - 2 * self.of.1
    }
}

/// The bytes between two values: a comma or an opening brace, a key, its colon, and the white space around them. They are
/// compared as a fixed number of words: a loop whose length changes from key to key would be mispredicted by the
/// processor.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Separator {
    words: [u64; SEPARATOR_WORDS],
    length: u8,
}

/// Words of the longest separator that is remembered.
const SEPARATOR_WORDS: usize = 4;
const SEPARATOR_BYTES: usize = SEPARATOR_WORDS * WORD_BYTES;

impl Separator {
    /// The bytes between two positions; `None` if there are too many.
    pub(crate) fn between(start: Scanner<'_>, end: Scanner<'_>) -> Option<Self> {
        let length = start.rest().len().checked_sub(end.rest().len())?;
        let mut words = [0; SEPARATOR_WORDS];
        let chunks = start.rest().get(..length)?.chunks(WORD_BYTES);
        for (word, bytes) in words.iter_mut().zip(chunks) {
            *word = head(bytes, bytes.len());
        }
        (length <= SEPARATOR_BYTES).then_some(Self {
            words,
            length: u8::try_from(length).ok()?,
        })
    }

    /// Passes this separator, if the text continues with it, and any further white space: text with more white space after
    /// the colon matches as well. Within the last bytes of a text nothing matches.
    #[inline]
    pub(crate) fn pass<'a>(&self, here: Scanner<'a>) -> Option<Scanner<'a>> {
        let bytes = here.rest().first_chunk::<SEPARATOR_BYTES>()?;
        let bytes = bytes.as_chunks::<WORD_BYTES>().0;
        let masks = &Self::MASKS[usize::from(self.length)];
        let difference = (0..SEPARATOR_WORDS).fold(0, |difference, i| {
            difference | (u64::from_le_bytes(bytes[i]) ^ self.words[i]) & masks[i]
        });
        if difference != 0 {
            return None;
        }
        Some(here.skip(usize::from(self.length))?.token())
    }

    /// For each length of a separator, the bits of each word that are compared.
    const MASKS: [[u64; SEPARATOR_WORDS]; SEPARATOR_BYTES + 1] = {
        let mut masks = [[0; SEPARATOR_WORDS]; SEPARATOR_BYTES + 1];
        let mut length = 0;
        while length <= SEPARATOR_BYTES {
            let mut word = 0;
            while word < SEPARATOR_WORDS {
                let rest = length.saturating_sub(word * WORD_BYTES);
                let rest = if rest < WORD_BYTES { rest } else { WORD_BYTES };
                masks[length][word] = MASK_OF_LENGTH[rest];
                word += 1;
            }
            length += 1;
        }
        masks
    };
}
