//! The meaning of a path, written as simply as possible: each path is resolved by itself, over a text that serde_json has
//! parsed. For tests and fuzzing, which compare the readers with it.
//!
//! In go a path and a text that the readers accept, out comes the raw JSON that they must find.

use crate::folding::eq_folded;
use crate::path::{Path, Segment};
use crate::rows::MAX_ELEMENTS;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A list as it must be found.
#[derive(Debug, Default)]
pub(crate) struct ListValue<'a> {
    pub(crate) elements: Vec<&'a str>,
    pub(crate) is_cut: bool,
    pub(crate) is_not_a_list: bool,
}

/// For each step, whether the key is spelled differently.
type Deviations = Vec<bool>;

/// The value at a path.
pub(crate) fn value<'a>(path: &Path, text: &'a str) -> Option<&'a str> {
    let mut found = Vec::new();
    collect(path.segments(), text, &mut Vec::new(), &mut found);
    best(found, |_| true)
}

/// The list at a path.
pub(crate) fn list<'a>(path: &Path, text: &'a str) -> ListValue<'a> {
    let mut found = Vec::new();
    collect(path.segments(), text, &mut Vec::new(), &mut found);
    found.retain(|(_, raw)| *raw != "null");
    let is_list = |raw: &str| raw.starts_with('[');
    let mut elements = best(found.clone(), is_list).map_or_else(Vec::new, items);
    let is_cut = elements.len() > MAX_ELEMENTS;
    elements.truncate(MAX_ELEMENTS);
    ListValue {
        elements,
        is_cut,
        is_not_a_list: best(found, |_| true).is_some_and(|raw| !is_list(raw)),
    }
}

/// The value that deviates least among those that are wanted; the last one of equals.
fn best<'a>(
    found: Vec<(Deviations, &'a str)>,
    is_wanted: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    let wanted = found.into_iter().filter(|(_, raw)| is_wanted(raw));
    let best = wanted.reduce(|best, other| if other.0 <= best.0 { other } else { best });
    best.map(|(_, raw)| raw)
}

/// Every value that a path may mean, in the order of the text.
fn collect<'a>(
    path: &[Segment],
    raw: &'a str,
    deviations: &mut Deviations,
    found: &mut Vec<(Deviations, &'a str)>,
) {
    let Some((step, rest)) = path.split_first() else {
        found.push((deviations.clone(), raw));
        return;
    };
    let values: Vec<_> = match step {
        Segment::Key(key) => members(raw)
            .into_iter()
            .filter(|(name, _)| eq_folded(name, key))
            .map(|(name, value)| (*name != **key, value))
            .collect(),
        Segment::Index(index) => {
            let item = items(raw).get(*index).copied();
            item.map(|item| (false, item)).into_iter().collect()
        }
        Segment::Where { key, value } => {
            let key = Path::of_key(key);
            let has_text = |item: &&str| {
                let text = self::value(&key, item);
                let text = text.and_then(|raw| serde_json::from_str::<String>(raw).ok());
                text.is_some_and(|text| text.eq_ignore_ascii_case(value))
            };
            let item = items(raw).into_iter().take(MAX_ELEMENTS).find(has_text);
            item.map(|item| (false, item)).into_iter().collect()
        }
    };
    for (deviates, value) in values {
        deviations.push(deviates);
        collect(rest, value, deviations, found);
        deviations.pop();
    }
}

/// The elements of a list.
fn items(raw: &str) -> Vec<&str> {
    let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    items.into_iter().map(RawValue::get).collect()
}

/// The keys of an object and their values, in the order of the text.
fn members(raw: &str) -> Vec<(String, &str)> {
    let members: Members<'_> = serde_json::from_str(raw).unwrap_or_default();
    members.0
}

#[derive(Default)]
struct Members<'a>(Vec<(String, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            members.push((key, value.get()));
        }
        Ok(Members(members))
    }
}
