//! The meaning of a path, written as simply as possible: each path is resolved by itself, over a text that serde_json has
//! parsed. For tests and fuzzing, which compare the readers with it.
//!
//! In go a path and a text that the readers accept, out comes the raw JSON that they must find.

use crate::folding::eq_folded;
use crate::path::{Path, Segment};
use crate::rows::MAX_ELEMENTS;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::cell::OnceCell;
use std::fmt;

/// A value of a text. What is inside it is parsed when a path leads there.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) raw: &'a str,
    members: OnceCell<Vec<(String, Self)>>,
    items: OnceCell<Vec<Self>>,
}

/// A list as it must be found.
#[derive(Debug, Default)]
pub(crate) struct ListValue<'p, 'a> {
    pub(crate) elements: Vec<&'p Parsed<'a>>,
    pub(crate) is_cut: bool,
    pub(crate) is_not_a_list: bool,
}

/// For each step, whether the key is spelled differently.
type Deviations = Vec<bool>;

impl<'a> Parsed<'a> {
    pub(crate) fn new(raw: &'a str) -> Self {
        Self {
            raw,
            members: OnceCell::new(),
            items: OnceCell::new(),
        }
    }

    /// The value at a path.
    pub(crate) fn value(&self, path: &Path) -> Option<&'a str> {
        let all = self.all(path);
        best(&all, |_| true).map(|found| found.raw)
    }

    /// The list at a path.
    pub(crate) fn list(&self, path: &Path) -> ListValue<'_, 'a> {
        let mut all = self.all(path);
        all.retain(|(_, found)| found.raw != "null");
        let list = best(&all, Self::is_list);
        let items = list.map_or(&[][..], Self::items);
        ListValue {
            elements: items.iter().take(MAX_ELEMENTS).collect(),
            is_cut: items.len() > MAX_ELEMENTS,
            is_not_a_list: best(&all, |_| true).is_some_and(|found| !found.is_list()),
        }
    }

    fn is_list(&self) -> bool {
        self.raw.starts_with(['[', '{'])
    }

    /// Every value that a path may mean, in the order of the text.
    fn all(&self, path: &Path) -> Vec<(Deviations, &Self)> {
        let mut all = Vec::new();
        self.collect(path.segments(), &mut Vec::new(), &mut all);
        all
    }

    fn collect<'p>(
        &'p self,
        path: &[Segment],
        deviations: &mut Deviations,
        all: &mut Vec<(Deviations, &'p Self)>,
    ) {
        let Some((step, rest)) = path.split_first() else {
            all.push((deviations.clone(), self));
            return;
        };
        let mut visit = |deviates: bool, value: &'p Self| {
            deviations.push(deviates);
            value.collect(rest, deviations, all);
            deviations.pop();
        };
        match step {
            Segment::Key(key) => {
                let members = self.members().iter();
                for (name, value) in members.filter(|(name, _)| eq_folded(name, key)) {
                    visit(*name != **key, value);
                }
            }
            Segment::Index(index) => {
                if let Some(item) = self.items().get(*index) {
                    visit(false, item);
                }
            }
            Segment::Where { key, value } => {
                let key = Path::of_key(key);
                let has_text = |item: &&Self| {
                    let text = item.value(&key);
                    let text = text.and_then(|raw| serde_json::from_str::<String>(raw).ok());
                    text.is_some_and(|text| text.eq_ignore_ascii_case(value))
                };
                let mut items = self.items().iter().take(MAX_ELEMENTS);
                if let Some(item) = items.find(has_text) {
                    visit(false, item);
                }
            }
        }
    }

    /// The elements of a list, or of an object that is read as one.
    fn items(&self) -> &[Self] {
        self.items.get_or_init(|| {
            let is_number = |key: &str| !key.is_empty() && key.bytes().all(|c| c.is_ascii_digit());
            if self.raw.starts_with('{') {
                let members = self.members();
                if members.first().is_some_and(|(key, _)| !is_number(key)) {
                    return vec![Self::new(self.raw)];
                }
                let items = members.iter().filter(|(key, _)| is_number(key));
                return items.map(|(_, value)| Self::new(value.raw)).collect();
            }
            let items: Vec<&RawValue> = serde_json::from_str(self.raw).unwrap_or_default();
            items.into_iter().map(|raw| Self::new(raw.get())).collect()
        })
    }

    /// The keys of an object and their values, in the order of the text. A key that is not valid text has an empty name;
    /// where a path leads to a key of the object, readers reject such a text.
    fn members(&self) -> &[(String, Self)] {
        self.members.get_or_init(|| {
            let members: Members<'a> = serde_json::from_str(self.raw).unwrap_or_default();
            let members = members.0.into_iter();
            members.map(|(key, raw)| (key, Self::new(raw))).collect()
        })
    }
}

/// The value that deviates least among those that are wanted; the last one of equals.
fn best<'p, 'a>(
    all: &[(Deviations, &'p Parsed<'a>)],
    is_wanted: impl Fn(&Parsed<'a>) -> bool,
) -> Option<&'p Parsed<'a>> {
    let wanted = all.iter().filter(|(_, found)| is_wanted(found));
    let best = wanted.reduce(|best, other| if other.0 <= best.0 { other } else { best });
    best.map(|(_, found)| *found)
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
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let key = serde_json::from_str(key.get()).unwrap_or_default();
            members.push((key, value.get()));
        }
        Ok(Members(members))
    }
}
