//! The short cut for most events: every value at `context.consent` that is read is JSON's `true`.
//!
//! In: what was found in an event whose only place of consent is `context.consent`. Out: whether that grants every needed
//! category. Invariant: a yes here is a yes of the full reading; a no here decides nothing.

use super::google;
use super::needed::Needed;
use super::places::{CONSENT, slot_at};
use super::reader::{CANONICAL, CATEGORIES, DENIED, GRANTED, GRANTED_IDS, GROUPS, PREFERENCES};
use crate::alike::alike;
use crate::byte_search;
use json_paths::{ObjectView, Paths, Slot, SlotBits};

/// Values that the short cut looks at; with more codes than that, events that have them are read in full.
const MAX_SLOTS: usize = u64::BITS as usize;

/// The values that the short cut looks at.
#[derive(Debug, Default)]
pub(super) struct Plain {
    consent: Option<Slot>,
    /// Objects with such values; as something else they are read in full.
    containers: Vec<Slot>,
    /// Values that speak about a needed category.
    slots: Vec<Slot>,
    /// A bit for each of `slots`, by its index.
    given: SlotBits,
    /// For each needed category, the bits of its slots.
    of_needed: Vec<u64>,
    /// The keys of such values: names and codes of the needed categories.
    keys: Vec<Box<str>>,
}

impl Plain {
    /// Compiles the short cut, with the slots of values that always need the full reading.
    pub(super) fn compile(needed: &[Needed], paths: &mut Paths) -> (Self, Vec<Slot>) {
        let mut plain = Self::default();
        let mut in_full = Vec::new();
        let containers = [CANONICAL, CATEGORIES, PREFERENCES].map(|key| format!("{CONSENT}.{key}"));
        plain.consent = slot_at(CONSENT, paths);
        plain.containers = containers
            .iter()
            .filter_map(|written| slot_at(written, paths))
            .collect();
        let lists = GRANTED_IDS.iter().chain(&GROUPS).chain(&DENIED);
        let google = google::KEYS.iter().chain(&google::SHORT_KEYS);
        let keys = lists
            .chain(google)
            .chain(&google::CONTAINERS)
            .chain([&GRANTED]);
        for key in keys {
            in_full.extend(slot_at(&format!("{CONSENT}.{key}"), paths));
        }
        for needed in needed {
            let mut bits = 0;
            for written in places(needed) {
                if let Some(slot) = slot_at(&written, paths) {
                    match plain.bit(slot) {
                        Some(bit) => bits |= bit,
                        None => in_full.push(slot),
                    }
                }
            }
            plain.of_needed.push(bits);
            let names = needed.names.iter().map(|name| Box::from(*name));
            plain.keys.extend(names.chain(needed.codes.iter().cloned()));
        }
        (plain, in_full)
    }

    /// The bit of a slot, which is added if it is new.
    fn bit(&mut self, slot: Slot) -> Option<u64> {
        let known = self.slots.iter().position(|known| *known == slot);
        let index = known.or_else(|| {
            let index = self.slots.len();
            let has_room = index < MAX_SLOTS;
            has_room.then(|| {
                self.slots.push(slot);
                self.given.add(slot, 1 << index);
                index
            })
        })?;
        Some(1 << index)
    }

    /// Whether every needed category is granted, and nothing else is said about it.
    #[inline]
    pub(super) fn is_granted(&self, cells: ObjectView<'_, '_>) -> bool {
        let Some(consent) = self.consent.and_then(|slot| cells.get(slot)) else {
            return false;
        };
        let given = cells.bits_of(&self.given);
        let mut left = given;
        while left != 0 {
            let slot = self.slots[left.trailing_zeros() as usize];
            left &= left - 1;
            // Of an object that is written twice, values of the first one can be found.
            if !cells
                .get(slot)
                .is_some_and(|raw| raw == "true" && is_part(raw, consent))
            {
                return false;
            }
        }
        let is_object = |slot: &Slot| cells.get(*slot).is_none_or(|raw| raw.starts_with('{'));
        self.of_needed.iter().all(|bits| given & bits != 0)
            && self.containers.iter().all(is_object)
            && (is_all_true(consent) || !self.is_contradicted(consent))
    }

    /// Whether one of the keys has another value than `true`, anywhere in an object: a key can be written twice, or in another
    /// case.
    fn is_contradicted(&self, object: &str) -> bool {
        if byte_search::has(object, |bytes| bytes.is(b'\\')) {
            return true;
        }
        let mut rest = object;
        while let Some((_, text)) = byte_search::split_once(rest, b'"') {
            let Some((text, after)) = byte_search::split_once(text, b'"') else {
                return true;
            };
            rest = after;
            let value = after.trim_start().strip_prefix(':');
            let is_other = value.is_some_and(|value| !value.trim_start().starts_with("true"));
            if is_other && self.keys.iter().any(|key| alike(key, text)) {
                return true;
            }
        }
        false
    }
}

/// Where an object of consent can have a value about a category.
fn places(needed: &Needed) -> impl Iterator<Item = String> {
    let names = needed.names.iter().flat_map(|name| {
        [
            format!("{CONSENT}.{CANONICAL}.{name}"),
            format!("{CONSENT}.{name}"),
        ]
    });
    let codes = needed.codes.iter().flat_map(|code| {
        [
            format!("{CONSENT}.{CATEGORIES}[\"{code}\"]"),
            format!("{CONSENT}.{PREFERENCES}[\"{code}\"]"),
            format!("{CONSENT}[\"{code}\"]"),
        ]
    });
    names.chain(codes)
}

/// Whether every value of an object, and of the objects in it, is `true`. A quick test, without a branch for each byte: it may
/// say no because of white space or the name of a key, never yes to any other value.
fn is_all_true(object: &str) -> bool {
    let object = object.as_bytes();
    let next = object.get(1..).unwrap_or_default();
    let next_but_one = object.get(2..).unwrap_or_default();
    let starts_true = |byte: u8| (byte == b't') | (byte == b'{');
    let is_other = |colon: u8, first: u8, second: u8| {
        let is_value = starts_true(first) | ((first == b' ') & starts_true(second));
        (colon == b':') & !is_value
    };
    let triples = object.iter().zip(next).zip(next_but_one);
    !triples.fold(false, |found, ((a, b), c)| found | is_other(*a, *b, *c))
}

/// Whether one slice of a text is a part of another.
#[inline]
fn is_part(part: &str, whole: &str) -> bool {
    whole.as_bytes().as_ptr_range().contains(&part.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_all_true_only_if_no_value_is_anything_else() {
        for object in [
            "{}",
            r#"{"a":true}"#,
            r#"{"a": true, "b":{"c": true}, "d": {}}"#,
        ] {
            assert!(is_all_true(object), "{object}");
        }
        for value in ["false", "null", "1", "0", r#""true""#, "[true]"] {
            for object in [
                format!("{{\"a\":{value}}}"),
                format!("{{\"a\": {value}}}"),
                format!("{{\"a\": true, \"b\": {{\"c\": {value}}}}}"),
            ] {
                assert!(!is_all_true(&object), "{object}");
            }
        }
    }
}
