//! The members of a JSON object found in its text, and text added to it, without reading it into values.
//!
//! Names are compared as people write them: `sentAt`, `sent_at` and `SentAt` are the same.
//!
//! Invariant: what is not edited stays byte by byte.

use super::values::{is_space, read_sound, read_value};
use json_paths::ObjectEnd;
use std::ops::Range;

/// The longest name that is compared.
const MAX_NAME_BYTES: usize = 64;

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name in quotation marks, as it is written.
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// Shows every member of the object that starts at `start` until `visit` says `false`; `None` where it is not a whole object
/// or not all of it was looked at.
pub(crate) fn each(
    text: &[u8],
    start: usize,
    mut visit: impl FnMut(Member) -> bool,
) -> Option<ObjectEnd> {
    walk(text, start, |name, at| {
        let Ok(end) = read_value(text, at) else {
            // Whoever looks for it may know what to do with a damaged value.
            let value = at..at;
            visit(Member { name, value });
            return None;
        };
        let value = at..end;
        visit(Member { name, value }).then_some(end)
    })
}

/// Passes the object that starts at `start`: `value` gets the name of each member and where its value starts, and answers
/// where that ends. `None` where `value` says so, or where it is not a whole object.
#[inline]
pub(crate) fn walk(
    text: &[u8],
    start: usize,
    value: impl FnMut(Range<usize>, usize) -> Option<usize>,
) -> Option<ObjectEnd> {
    walk_by(text, start, |at| read_value(text, at).ok(), value)
}

/// The same in a text that is known to be UTF-8.
#[inline]
pub(crate) fn walk_sound(
    text: &str,
    start: usize,
    value: impl FnMut(Range<usize>, usize) -> Option<usize>,
) -> Option<ObjectEnd> {
    walk_by(text.as_bytes(), start, |at| read_sound(text, at), value)
}

#[inline]
fn walk_by(
    text: &[u8],
    start: usize,
    end_of: impl Fn(usize) -> Option<usize>,
    mut value: impl FnMut(Range<usize>, usize) -> Option<usize>,
) -> Option<ObjectEnd> {
    if text.get(start) != Some(&b'{') {
        return None;
    }
    let mut at = past_blank(text, start + 1);
    if text.get(at) == Some(&b'}') {
        return Some(ObjectEnd {
            close: at,
            is_empty: true,
        });
    }
    loop {
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let name = at..end_of(at)?;
        at = past_blank(text, name.end);
        if text.get(at) != Some(&b':') {
            return None;
        }
        at = past_blank(text, at + 1);
        at = past_blank(text, value(name, at)?);
        match text.get(at)? {
            b',' => at = past_blank(text, at + 1),
            b'}' => {
                return Some(ObjectEnd {
                    close: at,
                    is_empty: false,
                });
            }
            _ => return None,
        }
    }
}

/// The next place that is not white space of JSON.
#[inline]
pub(crate) fn past_blank(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The next place that is neither white space nor a record separator.
#[inline]
pub(crate) fn past_space(text: &[u8], start: usize) -> usize {
    let mut at = start.min(text.len());
    while text.get(at).is_some_and(|byte| is_space(*byte)) {
        at += 1;
    }
    at
}

/// A name as it is compared: its letters and digits in lower case. Empty for one that is too long.
#[derive(Clone, Copy)]
pub(crate) struct Folded {
    letters: [u8; MAX_NAME_BYTES],
    count: usize,
}

impl Folded {
    pub(crate) fn as_str(&self) -> &str {
        // Only letters and digits of ASCII are in it.
        std::str::from_utf8(&self.letters[..self.count]).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn of(name: &[u8]) -> Self {
        let (mut letters, mut count) = ([0; MAX_NAME_BYTES], 0);
        for letter in name.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            letters[count] = letter.to_ascii_lowercase();
            count += 1;
        }
        Self { letters, count }
    }
}

impl PartialEq for Folded {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// The form in which a name is compared.
#[inline]
pub(crate) fn folded(quoted: &[u8]) -> Folded {
    if quoted.len() > MAX_NAME_BYTES {
        return Folded::of(b"");
    }
    if quoted.contains(&b'\\') {
        return folded_of_escaped(quoted);
    }
    Folded::of(quoted)
}

/// Whether a name, as it is written, has this folded form.
#[inline]
pub(crate) fn is_named(quoted: &[u8], form: &str) -> bool {
    if quoted.len() < form.len() {
        return false;
    }
    if quoted.len() > MAX_NAME_BYTES || quoted.contains(&b'\\') {
        return folded(quoted).as_str() == form;
    }
    let mut letters = quoted.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let mut alike = form.bytes().map(|letter| {
        letters
            .next()
            .is_some_and(|other| other.to_ascii_lowercase() == letter)
    });
    alike.all(|is| is) && letters.next().is_none()
}

/// The first letter or digit of a name as it is compared; 0 for a name that has to be looked at more closely.
#[inline]
pub(crate) fn initial(quoted: &[u8]) -> u8 {
    match quoted {
        [_, first, ..] if first.is_ascii_alphanumeric() => first.to_ascii_lowercase(),
        _ => 0,
    }
}

/// The same for a name with escapes, which is shorter without them.
#[cold]
fn folded_of_escaped(quoted: &[u8]) -> Folded {
    let plain = serde_json::from_slice::<String>(quoted).unwrap_or_default();
    Folded::of(plain.as_bytes())
}

/// Text that replaces a part of another; an empty part is only a place.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) part: Range<usize>,
    pub(crate) with: Vec<u8>,
}

/// The text with its edits, which touch different parts.
pub(crate) fn edited(text: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| edit.part.start);
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut edited = Vec::with_capacity(text.len() + added);
    let mut at = 0;
    for Edit { part, with } in edits {
        edited.extend_from_slice(&text[at..part.start]);
        edited.extend_from_slice(&with);
        at = part.end;
    }
    edited.extend_from_slice(&text[at..]);
    edited
}

/// Appends `"name":value` to the members that will be spliced into an object.
pub(crate) fn push(members: &mut Vec<u8>, quoted_name: &[u8], value: &[u8]) {
    if !members.is_empty() {
        members.push(b',');
    }
    members.extend_from_slice(quoted_name);
    members.push(b':');
    members.extend_from_slice(value);
}

/// The edit that adds members at the end of an object.
pub(crate) fn append(object: ObjectEnd, members: Vec<u8>) -> Option<Edit> {
    if members.is_empty() {
        return None;
    }
    let mut with = members;
    if !object.is_empty {
        with.insert(0, b',');
    }
    Some(Edit {
        part: object.close..object.close,
        with,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    #[test]
    fn names_are_compared_as_people_write_them() {
        for name in [
            "\"sentAt\"",
            "\"sent_at\"",
            "\"SENT-AT\"",
            "\"sent At\"",
            r#""sent\u0041t""#,
        ] {
            assert_eq!(folded(name.as_bytes()).as_str(), "sentat", "{name}");
        }
        assert!(folded(format!("\"{}\"", "a".repeat(100)).as_bytes()).is_empty());
    }

    #[test]
    fn what_is_no_whole_object_has_no_end() {
        for text in [
            "",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":1 2}",
            "{a:1}",
            "[1]",
            "{\"a\":nul}",
        ] {
            assert_eq!(each(text.as_bytes(), 0, |_| true), None, "{text}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_are_those_that_a_parser_finds_and_an_appended_one_is_the_only_change(
            object in prop::collection::btree_map(".{0,6}", value(), 0..5),
            is_pretty in any::<bool>(),
        ) {
            let object: Map<String, Value> = object.into_iter().collect();
            let text = if is_pretty {
                serde_json::to_string_pretty(&object).unwrap()
            } else {
                serde_json::to_string(&object).unwrap()
            };
            let text = text.as_bytes();
            let mut found = Map::new();
            let whole = each(text, 0, |member| {
                let name = serde_json::from_slice(&text[member.name]).unwrap();
                found.insert(name, serde_json::from_slice(&text[member.value]).unwrap());
                true
            });
            prop_assert_eq!(&found, &object);
            let mut members = Vec::new();
            push(&mut members, b"\"the added one\"", b"[1]");
            let edits = append(whole.unwrap(), members).into_iter().collect();
            let mut read: Map<String, Value> = serde_json::from_slice(&edited(text, edits)).unwrap();
            prop_assert_eq!(read.remove("the added one"), Some(serde_json::json!([1])));
            prop_assert_eq!(read, object);
        }
    }
}
