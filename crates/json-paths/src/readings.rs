//! Everything that was found in a text, in a form that can be compared with other readings of it. For tests and fuzzing.

use crate::cursor::walk;
use crate::fallback;
use crate::found::Found;
use crate::path::Path;
use crate::paths::Paths;
use crate::prediction::Memory;
use crate::reference::{ListValue, Parsed};
use crate::root::Root;
use crate::scan::Broken;
use crate::slot::{List, Slot};

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
    /// What the paths mean in the texts that serde_json reads.
    pub by_reference: Vec<Option<Seen>>,
    /// How many of the texts in sequence needed the fallback parser: 0, unless the walk has a fault.
    pub fallback_reads: u64,
}

impl Paths {
    /// Reads texts in every way. All texts are first read in sequence, because the other ways discard what the thread has
    /// learned.
    pub fn readings(&self, texts: &[&str]) -> Readings {
        self.readings_as(Root::Object, texts)
    }

    /// Reads texts that are lists in every way.
    pub fn readings_of_list(&self, list: List, texts: &[&str]) -> Readings {
        self.readings_as(Root::List(list), texts)
    }

    fn readings_as(&self, root: Root, texts: &[&str]) -> Readings {
        let before = self.fallback_reads();
        let in_sequence = texts.iter().map(|text| {
            let found = match root {
                Root::Object => self.read(text),
                Root::List(list) => self.read_list(list, text),
            };
            Some(found.ok()?.seen(self))
        });
        let in_sequence = in_sequence.collect();
        let fallback_reads = self.fallback_reads() - before;
        let seen = |found: Result<Found<'_>, Broken>| {
            let found = found.ok()?;
            root.check(found.text()).ok()?;
            Some(found.seen(self))
        };
        let by_serde_json: Vec<_> = texts
            .iter()
            .map(|text| seen(fallback::by_serde_json(self, root, text)))
            .collect();
        Readings {
            in_sequence,
            stateless: texts
                .iter()
                .map(|text| seen(walk(self, root, text, Memory::Off)))
                .collect(),
            by_reference: texts
                .iter()
                .zip(&by_serde_json)
                .map(|(text, read)| read.is_some().then(|| self.seen_by_reference(root, text)))
                .collect(),
            by_serde_json,
            fallback_reads,
        }
    }
}

impl Found<'_> {
    /// Everything that was found along these paths, which are those of the reading.
    pub fn seen(&self, paths: &Paths) -> Seen {
        let mut seen = values(paths, "", |slot| self.get(slot));
        for list in (0..paths.lists.len()).map(List) {
            seen.push(about_list(list, self.rows(list), self.is_not_a_list(list)));
            for (row, element) in self.elements(list).enumerate() {
                seen.extend(values_of_element(paths, list, row, |slot| {
                    element.get(slot)
                }));
            }
        }
        seen
    }
}

impl Paths {
    /// What a reading must find in a text.
    fn seen_by_reference(&self, root: Root, text: &str) -> Seen {
        let text = Parsed::new(text.trim_matches([' ', '\n', '\t', '\r']));
        let mut seen = match root {
            Root::Object => values(self, "", |slot| text.value(self.path(slot))),
            Root::List(_) => Seen::new(),
        };
        for list in (0..self.lists.len()).map(List) {
            let found = match root {
                Root::Object => text.list(self.list_path(list)),
                Root::List(only) if only == list => text.list(&Path::of_element()),
                Root::List(_) => ListValue::default(),
            };
            let rows = (found.elements.len(), found.is_cut);
            seen.push(about_list(list, rows, found.is_not_a_list));
            for (row, element) in found.elements.iter().enumerate() {
                seen.extend(values_of_element(self, list, row, |slot| {
                    element.value(self.of_list(list).path(slot))
                }));
            }
        }
        seen
    }
}

fn about_list(List(number): List, (count, is_cut): (usize, bool), is_not_a_list: bool) -> String {
    format!("list {number}: {count} elements, cut: {is_cut}, not a list: {is_not_a_list}")
}

fn values_of_element<'a>(
    paths: &Paths,
    list: List,
    row: usize,
    get: impl Fn(Slot) -> Option<&'a str>,
) -> Seen {
    let prefix = format!("list {} [{row}].", list.0);
    values(&paths.of_list(list).0, &prefix, get)
}

fn values<'a>(paths: &Paths, prefix: &str, get: impl Fn(Slot) -> Option<&'a str>) -> Seen {
    let found = (0..paths.slots)
        .map(Slot)
        .filter_map(|slot| Some((slot, get(slot)?)));
    let line = |(slot, raw)| format!("{prefix}{}: {raw}", paths.path(slot));
    found.map(line).collect()
}
