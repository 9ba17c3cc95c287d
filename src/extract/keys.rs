//! Texts that are known beforehand, found among others without hashing: the keys of an object that lead somewhere, the names of
//! events.

use super::scan::head;
use crate::words::WIDTH;

/// Some texts and what each stands for, grouped by length so that most other texts cost one comparison of words.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    entries: Vec<Entry>,
    /// `starts[n]..starts[n + 1]` are the entries of length `n`; longer texts than any here are not known.
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
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What a text stands for whose first bytes are this number.
    #[inline]
    pub(super) fn find(&self, text: &[u8], head: u64) -> Option<usize> {
        let range = *self.starts.get(text.len())?..*self.starts.get(text.len() + 1)?;
        self.entries[range]
            .iter()
            .find(|entry| {
                entry.head == head
                    && (text.len() <= WIDTH || entry.text.as_bytes()[WIDTH..] == text[WIDTH..])
            })
            .map(|entry| entry.value)
    }

    /// What a text stands for, if it is known.
    pub(crate) fn find_text(&self, text: &str) -> Option<usize> {
        let text = text.as_bytes();
        self.find(text, head(text, text.len()))
    }

    /// Adds a text that is not known yet.
    pub(crate) fn insert(&mut self, text: &str, value: usize) {
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
