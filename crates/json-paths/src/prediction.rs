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

use crate::paths::Paths;
use crate::scan::Scanner;
use wide::u8x16;

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

/// A key that may come next. It fills one line of the processor's cache, so that its address is a shift of its place.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(crate) struct Entry {
    /// The bytes from the value before it to its own value.
    pub(crate) separator: Separator,
    /// The node that it leads to, which can be a link, or [`NO_NODE`]. 0, which no key leads to, where nothing has been learned.
    pub(crate) child: usize,
    /// The place of what comes after this key.
    pub(crate) after: usize,
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
        (entry.child, entry.separator, entry.after) = (child, separator, child);
        if child == NO_NODE {
            let is_new = entry.after_unmapped == NOWHERE;
            let has_room = end < 2 * self.of.1 + MAX_UNMAPPED_KEYS;
            if is_new && has_room {
                entry.after_unmapped = end;
            }
            entry.after = entry.after_unmapped;
            if is_new && has_room {
                self.entries.push(Entry::default());
            }
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
/// compared as a fixed number of blocks: a loop whose length changes from key to key would be mispredicted by the
/// processor.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Separator {
    bytes: [u8; SEPARATOR_BYTES],
    /// A bit for each of its bytes, that of the first byte in the lowest.
    wanted: u32,
    length: u32,
}

/// Blocks of the longest separator that is remembered.
const SEPARATOR_BLOCKS: usize = 2;
const BLOCK: usize = 16;
const SEPARATOR_BYTES: usize = SEPARATOR_BLOCKS * BLOCK;

impl Separator {
    /// The bytes between two positions; `None` if there are too many.
    pub(crate) fn between(start: Scanner<'_>, end: Scanner<'_>) -> Option<Self> {
        let length = start.rest().len().checked_sub(end.rest().len())?;
        let mut bytes = [0; SEPARATOR_BYTES];
        bytes
            .get_mut(..length)?
            .copy_from_slice(start.rest().get(..length)?);
        let length = u32::try_from(length).ok()?;
        Some(Self {
            bytes,
            wanted: u32::MAX.checked_shr(u32::BITS - length).unwrap_or(0),
            length,
        })
    }

    /// Passes this separator, if the text continues with it, and any further white space: text with more white space after
    /// the colon matches as well. Within the last bytes of a text nothing matches.
    #[inline]
    pub(crate) fn pass<'a>(&self, here: Scanner<'a>) -> Option<Scanner<'a>> {
        let [first, second] = blocks_of(here.rest().first_chunk()?);
        let [own_first, own_second] = blocks_of(&self.bytes);
        let equal = first.simd_eq(own_first).to_bitmask()
            | second.simd_eq(own_second).to_bitmask() << BLOCK;
        if !equal & self.wanted != 0 {
            return None;
        }
        Some(here.skip(self.length as usize)?.token())
    }
}

#[inline]
fn blocks_of(bytes: &[u8; SEPARATOR_BYTES]) -> [u8x16; SEPARATOR_BLOCKS] {
    let mut blocks = [u8x16::default(); SEPARATOR_BLOCKS];
    for (block, bytes) in blocks.iter_mut().zip(bytes.as_chunks().0) {
        *block = u8x16::new(*bytes);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_entry_fills_one_line_of_the_cache() {
        assert_eq!(size_of::<Entry>(), 64);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The former formulation: the text begins with the bytes, and has as many as the longest separator.
        #[test]
        fn a_separator_is_passed_where_the_text_begins_with_its_bytes(
            bytes in "[ ,\"a-c:]{0,36}",
            changed in prop::option::of((0..40_usize, "[ ab]")),
            behind in "[ 1]{0,40}",
        ) {
            let before = format!("{bytes}{behind}");
            let (start, end) = (Scanner::new(&before), Scanner::new(&behind));
            let separator = Separator::between(start, end);
            prop_assert_eq!(separator.is_some(), bytes.len() <= SEPARATOR_BYTES);
            let Some(separator) = separator else {
                return Ok(());
            };
            let mut text = before.clone();
            if let Some((at, other)) = changed && at < text.len() {
                text.replace_range(at..=at, &other);
            }
            let expected = text
                .strip_prefix(&bytes)
                .filter(|_| text.len() >= SEPARATOR_BYTES)
                .map(|rest| rest.trim_start_matches(' ').len());
            let passed = separator.pass(Scanner::new(&text));
            prop_assert_eq!(passed.map(|scanner| scanner.rest().len()), expected, "{:?}", text);
        }
    }
}
