//! `sonic_rs::get_many`. It has no paths into the elements of a list, so the lists are looked up as values, and then a tree
//! of paths in each element.

use super::Reader;
use crate::retail_paths::RetailPaths;
use sonic_rs::{LazyValue, PointerTree};

pub(crate) struct SonicGetMany<'a> {
    tree: PointerTree,
    /// Values of the object; the lists come after them.
    values: usize,
    elements: Vec<(PointerTree, usize)>,
    found: Vec<Option<LazyValue<'a>>>,
    of_elements: Vec<Option<LazyValue<'a>>>,
}

impl SonicGetMany<'_> {
    pub(crate) fn new(retail: &RetailPaths) -> Self {
        let tree = |paths: &mut dyn Iterator<Item = &'static str>| {
            let mut tree = PointerTree::new();
            for path in paths {
                tree.add_path(path.split('.').collect::<Vec<_>>());
            }
            tree
        };
        let values = retail.values.iter().copied();
        let lists = retail.lists.iter().map(|list| list.path);
        let elements = retail.lists.iter().map(|list| {
            let elements = tree(&mut list.values.iter().copied());
            (elements, list.values.len())
        });
        Self {
            tree: tree(&mut values.chain(lists)),
            values: retail.values.len(),
            elements: elements.collect(),
            found: Vec::new(),
            of_elements: Vec::new(),
        }
    }
}

impl<'a> Reader<'a> for SonicGetMany<'a> {
    fn read(&mut self, text: &'a str) -> bool {
        self.of_elements.clear();
        let Ok(found) = sonic_rs::get_many(text, &self.tree) else {
            return false;
        };
        self.found = found;
        for (list, (tree, slots)) in self.found[self.values..].iter().zip(&self.elements) {
            let elements = list.clone().and_then(LazyValue::into_array_iter);
            for element in elements.into_iter().flatten() {
                let Ok(element) = element else {
                    return false;
                };
                // An element that is not an object holds nothing.
                match get_many(&element, tree) {
                    Some(found) => self.of_elements.extend(found),
                    None => self.of_elements.extend((0..*slots).map(|_| None)),
                }
            }
        }
        true
    }

    fn found(&self) -> Vec<Option<String>> {
        let of_object = self.found[..self.values].iter();
        let values = of_object.chain(&self.of_elements);
        values
            .map(|value| value.as_ref().map(|value| value.as_raw_str().to_owned()))
            .collect()
    }
}

fn get_many<'a>(element: &LazyValue<'a>, tree: &PointerTree) -> Option<Vec<Option<LazyValue<'a>>>> {
    let std::borrow::Cow::Borrowed(raw) = element.as_raw_cow() else {
        return None;
    };
    sonic_rs::get_many(raw, tree).ok()
}
