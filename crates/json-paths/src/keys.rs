//! A small set of texts known beforehand, in which others are looked up without hashing: the keys of one object that lead
//! somewhere.
//!
//! In goes a text, out comes the number it was inserted with.

use crate::bytes::{WORD_BYTES, head};
use crate::folding::folded_bytes;

/// Some texts and a number for each, looked up without hashing.
///
/// The texts are grouped by length, so that a text that is not one of them mostly costs one comparison of words. Made for
/// dozens of texts: inserting takes time in proportion to those that are there.
#[derive(Debug, Default)]
pub struct Keys {
    entries: Vec<Entry>,
    /// `starts[n]..starts[n + 1]` are the entries of length `n`; no entry is longer than these lengths.
    starts: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    /// The first bytes of the text as one number.
    head: u64,
    text: Box<str>,
    value: usize,
}

impl Keys {
    /// Whether nothing has been inserted.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of a text whose [`head`] is known.
    #[inline]
    pub(crate) fn find(&self, text: &[u8], head: u64) -> Option<usize> {
        let range = *self.starts.get(text.len())?..*self.starts.get(text.len() + 1)?;
        self.entries[range]
            .iter()
            .find(|entry| {
                entry.head == head
                    && (text.len() <= WORD_BYTES
                        || entry.text.as_bytes()[WORD_BYTES..] == text[WORD_BYTES..])
            })
            .map(|entry| entry.value)
    }

    /// The number that this text was inserted with.
    #[inline]
    pub fn find_text(&self, text: &str) -> Option<usize> {
        let text = text.as_bytes();
        self.find(text, head(text, text.len()))
    }

    /// The number of the text that is the folded form of this key.
    pub(crate) fn find_folded(&self, key: &[u8]) -> Option<usize> {
        let folded = folded_bytes(key);
        let (mut length, mut head) = (0, 0);
        for byte in folded.clone() {
            if length < WORD_BYTES {
                head |= u64::from(byte) << (u8::BITS as usize * length);
            }
            length += 1;
        }
        let range = *self.starts.get(length)?..*self.starts.get(length + 1)?;
        self.entries[range]
            .iter()
            .find(|entry| entry.head == head && folded.clone().eq(entry.text.bytes()))
            .map(|entry| entry.value)
    }

    /// Inserts a text and its number. The text must not have been inserted before: of two equal texts, only one would be
    /// found.
    pub fn insert(&mut self, text: &str, value: usize) {
        let at = self
            .entries
            .partition_point(|entry| (entry.text.len(), &*entry.text) < (text.len(), text));
        let entry = Entry {
            head: head(text.as_bytes(), text.len()),
            text: text.into(),
            value,
        };
        self.entries.insert(at, entry);
        let longest = self.entries.last().map_or(0, |entry| entry.text.len());
        self.starts = (0..longest + 2)
            .map(|n| self.entries.partition_point(|entry| entry.text.len() < n))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folding::fold;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_inserted_is_found_and_nothing_else(
            inserted in prop::collection::hash_map("[ab\u{e9}]{0,12}", 0..100_usize, 0..20),
            others in prop::collection::vec("[ab\u{e9}]{0,14}", 0..20),
        ) {
            let mut keys = Keys::default();
            prop_assert!(keys.is_empty());
            for (text, value) in &inserted {
                keys.insert(text, *value);
            }
            let inserted: HashMap<_, _> = inserted;
            for text in inserted.keys().chain(&others) {
                prop_assert_eq!(keys.find_text(text), inserted.get(text).copied(), "{}", text);
            }
        }

        #[test]
        fn a_folded_text_is_found_by_every_spelling_and_by_nothing_else(
            inserted in prop::collection::hash_map("[ab\u{e9}]{0,12}", 0..100_usize, 0..20),
            sought in prop::collection::vec("[aAbB_\\- \u{e9}]{0,16}", 0..20),
        ) {
            let mut keys = Keys::default();
            for (text, value) in &inserted {
                keys.insert(text, *value);
            }
            let spelled = inserted.keys().map(|text| format!("_{}-", text.to_ascii_uppercase()));
            for key in spelled.chain(sought) {
                let mut folded = String::new();
                fold(&key, &mut folded);
                prop_assert_eq!(keys.find_folded(key.as_bytes()), inserted.get(&folded).copied(), "{}", key);
            }
        }
    }
}
