//! Why the fields of an event are what they are, kept small: parameter, path and rule; what was left out, why, and where it was looked
//! for.
//!
//! Explanations of events of one kind consist of the same entries, so each entry is kept once and an explanation is a list of
//! pointers: some hundred bytes instead of eight thousand.
//!
//! Invariant: names, paths and rules, never a value; and what is not shared counts in full against the memory of the feed.

use crate::withheld::{WITHHELD, is_personal};
use pipeline_core::{Explanation, Field, FieldFate, Identifiers};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// Entries that are shared.
const MAX_SHARED: usize = 4_096;
/// Bytes of the entries that are shared.
const MAX_SHARED_BYTES: usize = 2 * 1024 * 1024;
/// The longest path that is shown, in bytes.
const MAX_PATH_BYTES: usize = 200;
/// Entries of one explanation.
const MAX_ENTRIES: usize = 512;

/// One entry of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Entry {
    Field(Field),
    Carried(String, Cow<'static, str>),
    Absent(String, Cow<'static, str>, Vec<String>),
}

/// An explanation, kept small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    entries: Box<[Arc<Entry>]>,
    has_identifiers: bool,
    /// Bytes that are its own.
    bytes: usize,
}

/// The entries that explanations share.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    entries: HashSet<Arc<Entry>>,
    bytes: usize,
}

impl Pool {
    /// Keeps an explanation.
    pub(crate) fn keep(&mut self, explanation: &Explanation) -> Kept {
        let fields = explanation.fields.iter();
        let mut entries: Vec<Entry> = fields.map(|field| Entry::Field(shown(field))).collect();
        if let Some(identifiers) = &explanation.identifiers {
            let carried = identifiers.carried.iter();
            entries
                .extend(carried.map(|(name, label)| Entry::Carried(name.clone(), label.clone())));
            let absent = identifiers.absent.iter();
            entries.extend(absent.map(|(name, label, paths)| {
                let paths = paths.iter().map(|path| path_of(path)).collect();
                Entry::Absent(name.clone(), label.clone(), paths)
            }));
        }
        entries.truncate(MAX_ENTRIES);
        let mut bytes = size_of::<Kept>() + entries.len() * size_of::<Arc<Entry>>();
        let entries = entries.into_iter().map(|entry| {
            let (entry, own) = self.share(entry);
            bytes += own;
            entry
        });
        Kept {
            entries: entries.collect(),
            has_identifiers: explanation.identifiers.is_some(),
            bytes,
        }
    }

    /// Bytes of the entries that are shared.
    #[cfg(test)]
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// The shared form of an entry, and how many bytes it takes where it is not shared.
    fn share(&mut self, entry: Entry) -> (Arc<Entry>, usize) {
        if let Some(known) = self.entries.get(&entry) {
            return (Arc::clone(known), 0);
        }
        let (bytes, entry) = (entry.size_bytes(), Arc::new(entry));
        if self.entries.len() >= MAX_SHARED || self.bytes + bytes > MAX_SHARED_BYTES {
            return (entry, bytes);
        }
        self.bytes += bytes;
        self.entries.insert(Arc::clone(&entry));
        (entry, 0)
    }
}

impl Kept {
    /// Bytes that it takes beyond what it shares.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// The parameters that were sent, with where their values came from; places in lists without their numbers.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        self.entries.iter().filter_map(|entry| match &**entry {
            Entry::Field(field) => match &field.fate {
                FieldFate::Sent { from, .. } => {
                    let from = from.iter().map(|path| without_numbers(path)).collect();
                    Some((without_numbers(&field.name), from))
                }
                _ => None,
            },
            _ => None,
        })
    }

    /// As `map --explain` prints it.
    pub(crate) fn to_json(&self) -> Value {
        let (mut fields, mut carried, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for entry in &self.entries {
            match &**entry {
                Entry::Field(field) => fields.push(field.clone()),
                Entry::Carried(name, label) => carried.push((name.clone(), label.clone())),
                Entry::Absent(name, label, paths) => {
                    absent.push((name.clone(), label.clone(), paths.clone()));
                }
            }
        }
        let explanation = Explanation::new(fields);
        let explanation = if self.has_identifiers {
            explanation.with_identifiers(Identifiers::new(carried, absent))
        } else {
            explanation
        };
        explanation.to_json()
    }
}

impl Entry {
    fn size_bytes(&self) -> usize {
        let paths = |paths: &[String]| -> usize {
            let each = paths.iter().map(|path| size_of::<String>() + path.len());
            each.sum()
        };
        let text = match self {
            Self::Field(field) => {
                field.name.len()
                    + match &field.fate {
                        FieldFate::Sent { from, rule } => paths(from) + rule.len(),
                        FieldFate::Omitted { from, detail, .. } => from.len() + detail.len(),
                        FieldFate::Absent { looked_in } => paths(looked_in),
                        FieldFate::NotListed { .. } | _ => 0,
                    }
            }
            Self::Carried(name, label) => name.len() + label.len(),
            Self::Absent(name, label, looked_in) => name.len() + label.len() + paths(looked_in),
        };
        size_of::<Self>() + text
    }
}

/// A field whose paths hold nothing that a sender has put there.
fn shown(field: &Field) -> Field {
    let each = |paths: &[String]| paths.iter().map(|path| path_of(path)).collect();
    let fate = match &field.fate {
        FieldFate::Sent { from, rule } => FieldFate::Sent {
            from: each(from),
            rule: rule.clone(),
        },
        FieldFate::Omitted { from, code, detail } => FieldFate::Omitted {
            from: path_of(from),
            code: code.clone(),
            detail: detail.clone(),
        },
        FieldFate::Absent { looked_in } => FieldFate::Absent {
            looked_in: each(looked_in),
        },
        other => other.clone(),
    };
    Field::new(path_of(&field.name), fate)
}

/// `contents[3].id` as `contents[].id`.
fn without_numbers(path: &str) -> String {
    let mut is_inside = false;
    let kept = path.chars().filter(|&c| {
        is_inside = match c {
            '[' => true,
            ']' => false,
            _ => is_inside,
        };
        !(is_inside && c.is_ascii_digit())
    });
    kept.collect()
}

/// A path, unless a key in it may be personal.
fn path_of(path: &str) -> String {
    if path.len() > MAX_PATH_BYTES || is_personal(path) {
        return WITHHELD.to_owned();
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(name: &str, from: &str) -> Field {
        let fate = FieldFate::Sent {
            from: vec![from.to_owned()],
            rule: "SHA-256".to_owned(),
        };
        Field::new(name, fate)
    }

    fn explanation(fields: Vec<Field>) -> Explanation {
        let carried = vec![("em".to_owned(), "highest".into())];
        let absent = vec![("ph".to_owned(), "high".into(), vec!["phone".to_owned()])];
        Explanation::new(fields).with_identifiers(Identifiers::new(carried, absent))
    }

    #[test]
    fn the_second_explanation_of_a_kind_takes_pointers_only() {
        let mut pool = Pool::default();
        let fields: Vec<_> = (0..60)
            .map(|number| sent(&format!("custom_data.field_{number}"), "properties.a"))
            .collect();
        let explanation = explanation(fields);
        let first = pool.keep(&explanation);
        let shared = pool.bytes;
        let second = pool.keep(&explanation);
        assert_eq!((first, pool.bytes), (second.clone(), shared));
        assert!(second.size_bytes() < 1_000, "{}", second.size_bytes());
        assert_eq!(second.to_json(), explanation.to_json());
    }

    #[test]
    fn a_key_that_may_be_personal_is_not_in_a_path() {
        let kept = Pool::default().keep(&Explanation::new(vec![
            sent("em", "traits.jane@example.com"),
            sent("ph", "people.+49 170 1234567.phone"),
            sent("ln", &"x".repeat(300)),
        ]));
        let told = kept.to_json().to_string();
        assert_eq!(told.matches(WITHHELD).count(), 3, "{told}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The pool against explanations that share nothing.
        #[test]
        fn whatever_is_shared_each_explanation_reads_as_it_was_given(
            names in prop::collection::vec(prop::collection::vec(0_usize..6_000, 0..80), 1..80),
        ) {
            let mut pool = Pool::default();
            let given: Vec<_> = names
                .iter()
                .map(|names| {
                    let fields = names.iter().map(|name| sent(&format!("f{name}"), "a.b"));
                    explanation(fields.collect())
                })
                .collect();
            let kept: Vec<_> = given.iter().map(|it| pool.keep(it)).collect();
            for (given, kept) in given.iter().zip(&kept) {
                prop_assert_eq!(kept.to_json(), given.to_json());
            }
            prop_assert!(pool.entries.len() <= MAX_SHARED && pool.bytes <= MAX_SHARED_BYTES);
        }
    }

    #[test]
    fn what_does_not_fit_into_the_pool_counts_for_its_event() {
        let mut pool = Pool::default();
        for number in 0..2 * MAX_SHARED {
            pool.keep(&Explanation::new(vec![sent(&format!("f{number}"), "a")]));
        }
        assert!(pool.entries.len() <= MAX_SHARED);
        let late = pool.keep(&Explanation::new(vec![sent("late", "a")]));
        let early = pool.keep(&Explanation::new(vec![sent("f0", "a")]));
        assert!(late.size_bytes() > early.size_bytes());
    }
}
