//! Everything that was found in a text, in a form that can be compared with other readings of it. For tests and fuzzing.

use crate::cursor::walk;
use crate::fallback;
use crate::found::{Found, ObjectView};
use crate::paths::{List, Paths, Slot};
use crate::prediction::Memory;
use crate::scan::{Broken, is_object};

/// What one reading found: paths with their raw values, and how long each list is.
pub type Seen = Vec<String>;

/// The results of reading the same texts in every way; `None` for a rejected text.
#[derive(Debug, PartialEq, Eq)]
pub struct Readings {
    /// With memory, one after the other, as in production.
    pub in_sequence: Vec<Option<Seen>>,
    /// Walked without memory.
    pub stateless: Vec<Option<Seen>>,
    /// Read by serde_json only.
    pub by_serde_json: Vec<Option<Seen>>,
    /// How many of the texts in sequence needed the fallback parser: 0, unless the walk has a fault.
    pub fallback_reads: u64,
}

impl Paths {
    /// Reads texts in every way. All texts are first read in sequence, because the other ways discard what the thread has
    /// learned.
    pub fn readings(&self, texts: &[&str]) -> Readings {
        let before = self.fallback_reads();
        let in_sequence = texts.iter().map(|text| self.read(text).ok());
        let in_sequence = in_sequence.map(|found| found.map(|found| found.seen(self)));
        let in_sequence = in_sequence.collect();
        let fallback_reads = self.fallback_reads() - before;
        let object = |found: Result<Found<'_>, Broken>| {
            let found = found.ok()?;
            is_object(found.text()).then(|| found.seen(self))
        };
        let stateless = texts
            .iter()
            .map(|text| object(walk(self, text, Memory::Off)));
        let by_serde_json = texts
            .iter()
            .map(|text| object(fallback::by_serde_json(self, text)));
        Readings {
            in_sequence,
            stateless: stateless.collect(),
            by_serde_json: by_serde_json.collect(),
            fallback_reads,
        }
    }
}

impl Found<'_> {
    /// Everything that was found along these paths, which are those of the reading.
    pub fn seen(&self, paths: &Paths) -> Seen {
        let mut seen = Vec::new();
        self.object().seen(paths, "", &mut seen);
        for number in 0..paths.lists.len() {
            let list = List(number);
            let ((count, cut), is_not_a_list) = (self.rows(list), self.is_not_a_list(list));
            seen.push(format!(
                "list {number}: {count} elements, cut: {cut}, not a list: {is_not_a_list}"
            ));
            for row in 0..count {
                let prefix = format!("list {number} [{row}].");
                let element = self.element(list, row);
                element.seen(&paths.of_list(list).0, &prefix, &mut seen);
            }
        }
        seen
    }
}

impl ObjectView<'_, '_> {
    fn seen(self, paths: &Paths, prefix: &str, seen: &mut Seen) {
        for slot in (0..paths.slots).map(Slot) {
            if let Some(raw) = self.get(slot) {
                seen.push(format!("{prefix}{}: {raw}", paths.path(slot)));
            }
        }
    }
}
