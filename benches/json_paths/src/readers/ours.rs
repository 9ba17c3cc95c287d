//! `json-paths`.

use super::Reader;
use crate::retail_paths::RetailPaths;
use json_paths::{Found, List, Path, Paths, Slot};

pub(crate) struct Ours<'a> {
    paths: Paths,
    slots: Vec<Slot>,
    lists: Vec<(List, Vec<Slot>)>,
    found: Option<Found<'a>>,
}

impl Ours<'_> {
    pub(crate) fn new(retail: &RetailPaths) -> Self {
        let path = |written: &str| Path::parse(written).expect("a good path");
        let mut paths = Paths::default();
        let slots = retail.values.iter().map(|value| paths.slot(&path(value)));
        let slots = slots.collect();
        let lists = retail.lists.iter().map(|list| {
            let (number, element) = paths.list(&path(list.path));
            let slots = list.values.iter().map(|value| element.slot(&path(value)));
            (number, slots.collect())
        });
        Self {
            slots,
            lists: lists.collect(),
            paths,
            found: None,
        }
    }
}

impl<'a> Reader<'a> for Ours<'a> {
    fn read(&mut self, text: &'a str) -> bool {
        // Dropped before the next text is read, which then gets its memory.
        self.found = None;
        self.found = self.paths.read(text).ok();
        self.found.is_some()
    }

    fn found(&self) -> Vec<Option<String>> {
        let found = self.found.as_ref().expect("a text that was read");
        let owned = |raw: Option<&str>| raw.map(str::to_owned);
        let mut values: Vec<_> = self
            .slots
            .iter()
            .map(|slot| owned(found.get(*slot)))
            .collect();
        for (list, slots) in &self.lists {
            for element in found.elements(*list) {
                values.extend(slots.iter().map(|slot| owned(element.get(*slot))));
            }
        }
        values
    }
}
