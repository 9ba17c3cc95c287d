//! Takes the values at a known set of paths out of a JSON text, in one pass.
//!
//! All paths a preset names are compiled into one tree ([`Paths`]). Reading an event walks the text once along that
//! tree: what no path names is skipped without being looked at, and what a path names is kept as a slice of the text,
//! undecoded ([`Found`]). No tree of values is built, and nothing is copied.
//!
//! Invariant: whatever JSON comes in, a value of an unexpected kind is simply not found; only text that is not JSON is
//! an error.

use crate::path::{Path, Segment};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Elements of one list that are looked at. A longer list is cut, and says so.
pub(crate) const MAX_ELEMENTS: usize = 2_000;

/// The place of one path's value in [`Found`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(usize);

/// The place of one list's rows in [`Found`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct List(usize);

/// A set of paths, compiled.
#[derive(Debug)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
    slots: usize,
    /// What is looked for in the elements of each list. Lists within lists are not.
    lists: Vec<Paths>,
    known: Vec<Path>,
}

#[derive(Debug, Default)]
struct Node {
    slot: Option<Slot>,
    list: Option<List>,
    keys: Keys,
    places: Vec<(usize, usize)>,
}

impl Node {
    fn has_children(&self) -> bool {
        self.list.is_some() || !self.keys.entries.is_empty() || !self.places.is_empty()
    }

    fn is_list_with_places(&self) -> bool {
        self.list.is_some() && !self.places.is_empty()
    }
}

/// The keys of one object that lead somewhere, grouped by length so that most other keys cost one comparison.
#[derive(Debug, Default)]
struct Keys {
    entries: Vec<(Box<str>, usize)>,
    /// `starts[n]..starts[n + 1]` are the entries of length `n`; longer keys than any here lead nowhere.
    starts: Vec<usize>,
}

impl Keys {
    fn find(&self, key: &str) -> Option<usize> {
        let range = *self.starts.get(key.len())?..*self.starts.get(key.len() + 1)?;
        self.entries[range]
            .iter()
            .find(|(name, _)| **name == *key)
            .map(|(_, node)| *node)
    }

    fn insert(&mut self, key: &str, node: usize) {
        let at = self
            .entries
            .partition_point(|(name, _)| (name.len(), &**name) < (key.len(), key));
        self.entries.insert(at, (key.into(), node));
        let longest = self.entries.last().map_or(0, |(name, _)| name.len());
        self.starts = (0..longest + 2)
            .map(|n| self.entries.partition_point(|(name, _)| name.len() < n))
            .collect();
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            slots: 0,
            lists: Vec::new(),
            known: Vec::new(),
        }
    }
}

impl Paths {
    /// The slot that will hold the value at `path`; the same path always gets the same slot.
    pub(crate) fn slot(&mut self, path: &Path) -> Slot {
        let node = self.node(path);
        if let Some(slot) = self.nodes[node].slot {
            return slot;
        }
        let slot = Slot(self.slots);
        self.slots += 1;
        self.known.push(path.clone());
        self.nodes[node].slot = Some(slot);
        slot
    }

    /// The rows of the list at `path`, and the paths that are looked for in each of its elements.
    pub(crate) fn list(&mut self, path: &Path) -> (List, &mut Paths) {
        let node = self.node(path);
        let list = *self.nodes[node].list.get_or_insert_with(|| {
            self.lists.push(Self::default());
            List(self.lists.len() - 1)
        });
        (list, &mut self.lists[list.0])
    }

    /// The paths that are looked for in the elements of a list.
    pub(crate) fn of_list(&self, list: List) -> &Self {
        &self.lists[list.0]
    }

    /// The path a slot belongs to.
    pub(crate) fn path(&self, slot: Slot) -> &Path {
        &self.known[slot.0]
    }

    /// Reads one JSON text.
    ///
    /// # Errors
    ///
    /// When it is not JSON, or not an object.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Result<Found<'a>, Unreadable> {
        let mut found = Found {
            values: vec![None; self.slots],
            lists: vec![Rows::default(); self.lists.len()],
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let seen = json.deserialize_any(Walk {
            paths: self,
            node: 0,
            values: &mut found.values,
            lists: &mut found.lists,
            places_only: false,
        })?;
        json.end()?;
        match seen {
            Seen::Object => Ok(found),
            Seen::Other => Err(Unreadable::NotAnObject),
        }
    }

    fn node(&mut self, path: &Path) -> usize {
        let mut at = 0;
        for segment in path.segments() {
            let known = match segment {
                Segment::Key(key) => self.nodes[at].keys.find(key),
                Segment::Index(place) => self.nodes[at]
                    .places
                    .iter()
                    .find(|(p, _)| p == place)
                    .map(|(_, node)| *node),
            };
            at = known.unwrap_or_else(|| {
                let new = self.nodes.len();
                self.nodes.push(Node::default());
                match segment {
                    Segment::Key(key) => self.nodes[at].keys.insert(key, new),
                    Segment::Index(place) => self.nodes[at].places.push((*place, new)),
                }
                new
            });
        }
        at
    }
}

/// What was found in one text: slices of it, undecoded.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    values: Vec<Option<&'a str>>,
    lists: Vec<Rows<'a>>,
}

#[derive(Debug, Clone, Default)]
struct Rows<'a> {
    /// Row after row, as many values each as the list's paths have slots.
    values: Vec<Option<&'a str>>,
    count: usize,
    cut: bool,
    /// Something else stands where the list should.
    is_other: bool,
}

impl<'a> Rows<'a> {
    /// Reads the elements of a list. An element that is no object becomes an empty row, so that places keep their
    /// numbers.
    fn read<S: SeqAccess<'a>>(&mut self, paths: &Paths, mut seq: S) -> Result<(), S::Error> {
        *self = Self::default();
        while self.count < MAX_ELEMENTS {
            let start = self.values.len();
            self.values.resize(start + paths.slots, None);
            let walk = Walk {
                paths,
                node: 0,
                values: &mut self.values[start..],
                lists: &mut [],
                places_only: false,
            };
            if seq.next_element_seed(walk)?.is_none() {
                self.values.truncate(start);
                return Ok(());
            }
            self.count += 1;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            self.cut = true;
        }
        Ok(())
    }
}

impl<'a> Found<'a> {
    /// The JSON text at this slot's path.
    pub(crate) fn get(&self, slot: Slot) -> Option<&'a str> {
        self.values[slot.0]
    }

    /// How many elements the list has that were looked at, and whether there were more.
    pub(crate) fn rows(&self, list: List) -> (usize, bool) {
        let rows = &self.lists[list.0];
        (rows.count, rows.cut)
    }

    /// Whether something that is no list stands in the list's place.
    pub(crate) fn is_other(&self, list: List) -> bool {
        self.lists[list.0].is_other
    }

    /// The JSON text at this slot's path within one element of the list.
    pub(crate) fn cell(&self, list: List, row: usize, slot: Slot) -> Option<&'a str> {
        let rows = &self.lists[list.0];
        let width = rows.values.len() / rows.count.max(1);
        rows.values.get(row * width + slot.0).copied().flatten()
    }
}

/// Why a text could not be read. Carries places and kinds, never a piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the event is not a JSON object")]
    NotAnObject,
    #[error("the event is not valid UTF-8 from byte {valid} on")]
    NotUtf8 { valid: usize },
    #[error("the event ends in the middle of its JSON, after {column} bytes")]
    Cut { column: usize },
    #[error("the event is not valid JSON at byte {column}")]
    Malformed { column: usize },
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        let column = error.column();
        if error.is_eof() {
            Self::Cut { column }
        } else {
            Self::Malformed { column }
        }
    }
}

/// What kind of value a walk came upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Object,
    Other,
}

/// Reads one value that stands at `node` of the tree.
struct Walk<'p, 'f, 'a> {
    paths: &'p Paths,
    node: usize,
    values: &'f mut [Option<&'a str>],
    lists: &'f mut [Rows<'a>],
    places_only: bool,
}

impl<'p, 'a> Walk<'p, '_, 'a> {
    fn below(&mut self, node: usize) -> Walk<'p, '_, 'a> {
        Walk {
            paths: self.paths,
            node,
            values: self.values,
            lists: self.lists,
            places_only: false,
        }
    }

    /// Takes note of a value that is neither null nor a list.
    fn no_list(&mut self) {
        if let Some(list) = self.paths.nodes[self.node].list {
            self.lists[list.0].is_other = true;
        }
    }

    fn scalar(mut self) -> Seen {
        self.no_list();
        Seen::Other
    }
}

impl<'a> DeserializeSeed<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(mut self, deserializer: D) -> Result<(), D::Error> {
        let node = &self.paths.nodes[self.node];
        if node.slot.is_none() && !node.is_list_with_places() {
            return deserializer.deserialize_any(self).map(drop);
        }
        let raw: &'a RawValue = serde::Deserialize::deserialize(deserializer)?;
        if let Some(slot) = node.slot {
            self.values[slot.0] = Some(raw.get());
        }
        // Something inside the value is wanted too, or it is read both as a list and by places: rare, so a second look
        // at this piece is fine. It has just been read as JSON; what can fail here is a number out of range, which then
        // is not found.
        let again = || serde_json::Deserializer::from_str(raw.get());
        if node.is_list_with_places() {
            let mut places = self.below(self.node);
            places.places_only = true;
            let _ = again().deserialize_any(places);
        }
        if node.has_children() {
            let _ = again().deserialize_any(self);
        }
        Ok(())
    }
}

impl<'a> Visitor<'a> for Walk<'_, '_, 'a> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<Seen, M::Error> {
        self.no_list();
        let node = &self.paths.nodes[self.node];
        while let Some(child) = map.next_key_seed(Key(&node.keys))? {
            match child {
                Some(child) => map.next_value_seed(self.below(child))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Seen::Object)
    }

    fn visit_seq<S: SeqAccess<'a>>(mut self, mut seq: S) -> Result<Seen, S::Error> {
        let node = &self.paths.nodes[self.node];
        if let Some(list) = node.list
            && !self.places_only
        {
            let paths = &self.paths.lists[list.0];
            return self.lists[list.0].read(paths, seq).map(|()| Seen::Other);
        }
        let mut place = 0;
        loop {
            let child = node.places.iter().find(|(p, _)| *p == place);
            let more = match child {
                Some((_, child)) => seq.next_element_seed(self.below(*child))?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(Seen::Other);
            }
            place += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
        Ok(self.scalar())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(self.scalar())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Ok(self.scalar())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(self.scalar())
    }
    fn visit_str<E>(self, _: &str) -> Result<Seen, E> {
        Ok(self.scalar())
    }
    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }
}

/// Reads a key and says which node it leads to.
struct Key<'k>(&'k Keys);

impl<'a> DeserializeSeed<'a> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(written: &str) -> Path {
        Path::parse(written).expect("good path")
    }

    fn get<'a>(written: &str, text: &'a str) -> Option<&'a str> {
        let mut paths = Paths::default();
        let slot = paths.slot(&path(written));
        paths.read(text).expect("JSON object").get(slot)
    }

    #[test]
    fn a_value_is_found_as_it_was_written() {
        let text = r#"{"a": {"b": [1, {"c": "x\n"}], "d": 1.50}, "e":true}"#;
        assert_eq!(get("a.d", text), Some("1.50"));
        assert_eq!(get("a.b[1].c", text), Some(r#""x\n""#));
        assert_eq!(get("e", text), Some("true"));
        assert_eq!(get("a.b", text), Some(r#"[1, {"c": "x\n"}]"#));
        for absent in ["x", "a.x", "e.x", "a.b.c", "a.b[7]", "a.d[0]"] {
            assert_eq!(get(absent, text), None, "{absent}");
        }
    }

    #[test]
    fn a_value_and_something_inside_it_can_both_be_wanted() {
        let mut paths = Paths::default();
        let outer = paths.slot(&path("m"));
        let inner = paths.slot(&path("m.value"));
        let found = paths.read(r#"{"m":{"value":3}}"#).expect("JSON");
        assert_eq!(
            (found.get(outer), found.get(inner)),
            (Some(r#"{"value":3}"#), Some("3"))
        );
        let found = paths.read(r#"{"m":7}"#).expect("JSON");
        assert_eq!((found.get(outer), found.get(inner)), (Some("7"), None));
    }

    #[test]
    fn a_list_gives_rows_and_an_element_that_is_no_object_an_empty_one() {
        let mut paths = Paths::default();
        let (list, item) = paths.list(&path("items"));
        let (id, price) = (item.slot(&path("id")), item.slot(&path("price")));
        let found = paths
            .read(r#"{"items":[{"price":2,"id":"a"}, 5, {"id":"b"}]}"#)
            .expect("JSON");
        assert_eq!(found.rows(list), (3, false));
        assert_eq!(found.cell(list, 0, price), Some("2"));
        assert_eq!(found.cell(list, 1, id), None);
        assert_eq!(found.cell(list, 2, id), Some(r#""b""#));
        assert_eq!(found.cell(list, 2, price), None);
        assert_eq!(
            paths
                .read(r#"{"items":{"id":"a"}}"#)
                .expect("JSON")
                .rows(list),
            (0, false)
        );
    }

    #[test]
    fn a_list_can_be_read_by_places_as_well() {
        let mut paths = Paths::default();
        let (list, item) = paths.list(&path("items"));
        let id = item.slot(&path("id"));
        let second = paths.slot(&path("items[1].id"));
        let found = paths
            .read(r#"{"items":[{"id":1},{"id":2}]}"#)
            .expect("JSON");
        assert_eq!(found.get(second), Some("2"));
        assert_eq!(
            (found.rows(list), found.cell(list, 0, id)),
            ((2, false), Some("1"))
        );
    }

    #[test]
    fn a_list_is_cut_at_its_bound() {
        let mut paths = Paths::default();
        let (list, item) = paths.list(&path("items"));
        item.slot(&path("id"));
        for (length, expected) in [(MAX_ELEMENTS, false), (MAX_ELEMENTS + 1, true)] {
            let text = format!(r#"{{"items":[{}]}}"#, vec!["{}"; length].join(","));
            let found = paths.read(&text).expect("JSON");
            assert_eq!(found.rows(list), (MAX_ELEMENTS, expected));
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(get("a.b", r#"{"a":{"b":1},"a":{"b":2}}"#), Some("2"));
    }

    #[test]
    fn keys_with_escapes_are_compared_decoded() {
        assert_eq!(get("ä.b", "{\"\\u00e4\":{\"b\":1}}"), Some("1"));
    }

    #[test]
    fn what_is_not_an_object_or_not_json_is_said_without_quoting_it() {
        let paths = Paths::default();
        for (text, expected) in [
            ("[1]", Unreadable::NotAnObject),
            ("null", Unreadable::NotAnObject),
            ("\"EAAB\"", Unreadable::NotAnObject),
            ("{\"a\":", Unreadable::Cut { column: 5 }),
            ("", Unreadable::Cut { column: 0 }),
            ("{\"a\":1} x", Unreadable::Malformed { column: 9 }),
            ("{'a':1}", Unreadable::Malformed { column: 2 }),
        ] {
            assert_eq!(paths.read(text).expect_err(text), expected, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_skipped_without_recursion() {
        let deep = 2_500_000;
        let text = format!(r#"{{"x":{}{},"a":1}}"#, "[".repeat(deep), "]".repeat(deep));
        assert_eq!(get("a", &text), Some("1"));
        assert_eq!(get("x[0][0]", &text).map(str::len), Some(2 * (deep - 2)));
    }
}
