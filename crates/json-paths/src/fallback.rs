//! Reads texts that the walk rejects although they are JSON, so that a fault of the walk never costs an event.
//!
//! In goes a text that the walk has rejected. serde_json decides whether it is JSON. If it is, it is walked once more
//! without predictions ([`Memory::Off`]); if that walk rejects it too, serde_json splits it value by value along the same
//! paths. Neither depth nor the size of numbers matters for that, because values are kept as raw text. Each text that is
//! read here is counted.
//!
//! Invariant: what is still rejected is what the walk rejects on purpose: a key that is not valid text, in an object through which a
//! path leads.

use crate::cursor::{Cursor, DEVIATING, EXACT, walk};
use crate::deviation::Deviation;
use crate::error::ReadError;
use crate::found::Found;
use crate::items::is_number;
use crate::node::Node;
use crate::paths::Paths;
use crate::prediction::Memory;
use crate::root::Root;
use crate::rows::MAX_ELEMENTS;
use crate::scan::{Broken, Scanner};
use crate::selector::{Selector, Sought};
use crate::slot::List;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;
use std::fmt;
use std::sync::atomic::Ordering;

/// Reads a text that the walk has rejected.
///
/// # Errors
///
/// When it is not JSON, not of the right kind, or contains what is rejected on purpose. The error has serde_json's position.
#[cold]
pub(crate) fn read<'a>(paths: &Paths, root: Root, text: &'a str) -> Result<Found<'a>, ReadError> {
    let rejected = |error: serde_json::Error| ReadError::of_json(text, &error);
    serde_json::from_str::<IgnoredAny>(text).map_err(rejected)?;
    root.check(text)?;
    let found = walk(paths, root, text, Memory::Off);
    if let Ok(found) = found.or_else(|Broken| by_serde_json(paths, root, text)) {
        paths.fallback_reads.fetch_add(1, Ordering::Relaxed);
        return Ok(found);
    }
    // A tree of values decodes keys and numbers, so its error says which of them was rejected on purpose.
    let rejection = serde_json::from_str::<serde_json::Value>(text).map(drop);
    let byte = text.len();
    Err(rejection.map_or_else(rejected, |()| ReadError::Malformed { byte }))
}

/// Reads a text with serde_json only. Finds the same values as the walk.
pub(crate) fn by_serde_json<'a>(
    paths: &Paths,
    root: Root,
    text: &'a str,
) -> Result<Found<'a>, Broken> {
    let mut found = Found::new(text, paths, root, Memory::Off);
    let whole: &RawValue = serde_json::from_str(text).map_err(|_| Broken)?;
    let mut cursor = Cursor::of_text(&mut found, paths);
    match (root, whole.get().as_bytes()) {
        (Root::Object, _) => cursor.raw_value(text, whole, 0)?,
        (Root::List(list), [b'[' | b'{', ..]) => cursor.raw_elements(text, whole, list)?,
        (Root::List(_), _) => {}
    }
    Ok(found)
}

impl Cursor<'_, '_> {
    /// Reads the value of a node, and of those of other spellings; `value` is a part of `text`. Recurses once per step of
    /// a path.
    fn raw_value<'a>(
        &mut self,
        text: &'a str,
        value: &'a RawValue,
        at: usize,
    ) -> Result<(), Broken> {
        self.raw_value_of_one(text, value, at)?;
        let (node, deviation) = (&self.paths.nodes[at], self.deviation);
        for other in &node.also {
            self.deviation = deviation.and(node.step);
            self.raw_value_of_one(text, value, *other)?;
        }
        self.deviation = deviation;
        Ok(())
    }

    fn raw_value_of_one<'a>(
        &mut self,
        text: &'a str,
        value: &'a RawValue,
        at: usize,
    ) -> Result<(), Broken> {
        let node = &self.paths.nodes[at];
        match value.get().as_bytes().first() {
            Some(b'{') if !node.keys.is_empty() => {
                each_entry(value, |key, value| match node.at_key(key) {
                    Some(child) => self.raw_value(text, value, child),
                    None => Ok(()),
                })?;
            }
            _ => {}
        }
        if matches!(value.get().as_bytes().first(), Some(b'{' | b'[')) {
            self.raw_list(text, value, node)?;
        }
        let (start, end) = ends(text, value).ok_or(Broken)?;
        let span = self.span(start, end);
        self.note_for_list(node, start);
        if self.deviation == Deviation::NONE {
            self.set::<EXACT>(node, span);
        } else {
            self.set::<DEVIATING>(node, span);
        }
        Ok(())
    }

    fn raw_list<'a>(
        &mut self,
        text: &'a str,
        value: &'a RawValue,
        node: &Node,
    ) -> Result<(), Broken> {
        if !node.indexes.is_empty() {
            let mut index = 0;
            each_item(value, |value| {
                let child = node.at_index(index);
                index += 1;
                child.map_or(Ok(()), |child| self.raw_value(text, value, child))
            })?;
        }
        for (selector, child) in &node.selectors {
            let mut left = MAX_ELEMENTS;
            each_item(value, |value| {
                let is_sought = left > 0;
                left = left.saturating_sub(1);
                if is_sought && is_selected(value, selector)? {
                    left = 0;
                    self.raw_value(text, value, *child)?;
                }
                Ok(())
            })?;
        }
        node.list
            .map_or(Ok(()), |list| self.raw_elements(text, value, list))
    }

    fn raw_elements<'a>(
        &mut self,
        text: &'a str,
        value: &'a RawValue,
        list: List,
    ) -> Result<(), Broken> {
        let (paths, rows) = (&self.paths.lists[list.0].0, &mut self.lists[list.0]);
        if !rows.start(paths, Memory::Off, self.deviation) {
            return Ok(());
        }
        each_item(value, |value| match rows.next() {
            Some(row) => Cursor::of_element(row, paths, text.len()).raw_value(text, value, 0),
            None => Ok(()),
        })
    }
}

/// Whether a selector selects this element.
fn is_selected(element: &RawValue, selector: &Selector) -> Result<bool, Broken> {
    if !element.get().starts_with('{') {
        return Ok(false);
    }
    let mut sought = Sought::new(&selector.key);
    each_entry(element, |key, value| {
        sought.offer(key.as_bytes(), value.get());
        Ok(())
    })?;
    let found = sought.found();
    Ok(found.is_some_and(|raw| selector.selects(raw.as_bytes())))
}

/// The positions in `text` where a value that is a part of it starts and ends.
fn ends<'a>(text: &'a str, value: &'a RawValue) -> Option<(Scanner<'a>, Scanner<'a>)> {
    let raw = value.get();
    let start = raw.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = text.get(start + raw.len()..)?;
    Some((Scanner::new(&text[start..]), Scanner::new(end)))
}

/// Calls `visit` with each key, decoded, and its value, until `visit` fails.
fn each_entry<'a>(
    object: &'a RawValue,
    visit: impl FnMut(&str, &'a RawValue) -> Result<(), Broken>,
) -> Result<(), Broken> {
    Deserializer::from_str(object.get())
        .deserialize_map(Entries(visit))
        .map_err(|_| Broken)
}

/// Calls `visit` with each element of a list, or of an object that is read as one, until `visit` fails.
fn each_item<'a>(
    list: &'a RawValue,
    mut visit: impl FnMut(&'a RawValue) -> Result<(), Broken>,
) -> Result<(), Broken> {
    if list.get().starts_with('[') {
        return Deserializer::from_str(list.get())
            .deserialize_seq(Elements(visit))
            .map_err(|_| Broken);
    }
    let mut is_one = false;
    // Stops at the first key. One that cannot be decoded makes the next pass fail.
    let _ = each_entry(list, |key, _| {
        is_one = !is_number(key);
        Err(Broken)
    });
    if is_one {
        return visit(list);
    }
    each_entry(
        list,
        |key, value| {
            if is_number(key) { visit(value) } else { Ok(()) }
        },
    )
}

struct Entries<F>(F);

impl<'a, F: FnMut(&str, &'a RawValue) -> Result<(), Broken>> Visitor<'a> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            (self.0)(&key, value).map_err(|Broken| A::Error::custom("rejected"))?;
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'a, F: FnMut(&'a RawValue) -> Result<(), Broken>> Visitor<'a> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element()? {
            (self.0)(value).map_err(|Broken| A::Error::custom("rejected"))?;
        }
        Ok(())
    }
}
