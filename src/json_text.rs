//! One JSON value of an event's text: whether it is empty, the text it holds, its elements.
//!
//! In: a slice of the event's text that is one JSON value. Out: text and elements that borrow from it wherever they can.
//! Invariant: nothing here panics, whatever the value is.

use crate::byte_search::{self, Block, Hits};
use crate::omitted::Omitted;
use crate::payload::MAX_TEXT_BYTES;
use crate::whole_number::{self, Writer};
use json_paths::MAX_ELEMENTS;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Whether a value is empty: null, blank text, an empty list or object.
#[inline]
pub(crate) fn is_empty(raw: &str) -> bool {
    match raw.as_bytes()[0] {
        b'n' => true,
        b'"' | b'[' | b'{' => match raw.as_bytes()[1] {
            first if first.is_ascii_alphanumeric() => false,
            _ => is_blank(&raw[1..raw.len() - 1]),
        },
        _ => false,
    }
}

/// Whether there is only white space between the quotes or brackets.
#[inline(never)]
fn is_blank(inside: &str) -> bool {
    let first = inside.bytes().find(|byte| *byte != b' ');
    !first.is_some_and(|first| first.is_ascii_graphic()) && inside.trim().is_empty()
}

/// Text without the white space around it, never empty. Numbers count as text; other kinds do not.
pub(crate) fn text(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match decoded(raw)? {
        text if text.is_empty() => Err(Omitted::Blank),
        text => Ok(text),
    }
}

/// The text of a JSON string that has no escape, exactly as the sender wrote it: that of most values. `None` for any other value.
#[inline]
pub(crate) fn unescaped(raw: &str) -> Option<&str> {
    let text = raw.strip_prefix('"')?.strip_suffix('"')?;
    let has_escape = byte_search::has(text, |bytes| bytes.is(b'\\'));
    (text.len() <= MAX_TEXT_BYTES && !has_escape).then_some(text)
}

/// Text exactly as the sender wrote it: for values that have rules of their own, and for Meta's ids, which one character more
/// or less turns into another id. Numbers count as text; other kinds do not.
pub(crate) fn text_as_written(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match raw.as_bytes()[0] {
        b'"' if raw.len() > MAX_TEXT_BYTES + 2 => Err(Omitted::TooLong),
        b'"' if byte_search::has(raw, |bytes| bytes.is(b'\\')) => serde_json::from_str(raw)
            .map(Cow::Owned)
            .map_err(|_| Omitted::NotText),
        b'"' => Ok(Cow::Borrowed(&raw[1..raw.len() - 1])),
        b'-' | b'0'..=b'9' => Ok(Cow::Borrowed(raw)),
        _ => Err(Omitted::WrongType),
    }
}

/// The text of an id, without the white space around it, never empty. A number counts by its value, not by its spelling:
/// `12345.0` is `12345`.
///
/// # Errors
///
/// It is no text, or a floating-point number that has lost digits.
pub(crate) fn id_text(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    if raw.starts_with('"') {
        return text(raw);
    }
    id_as_written(raw)
}

/// The text of an id exactly as the sender wrote it; a number as in [`id_text`].
///
/// # Errors
///
/// As those of [`id_text`].
#[inline]
pub(crate) fn id_as_written(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    let text = text_as_written(raw)?;
    if raw.starts_with('"') {
        return Ok(text);
    }
    let can_be_a_float = |bytes: Block| bytes.is(b'.') | bytes.is(b'e') | bytes.is(b'E');
    if !byte_search::has(raw, can_be_a_float) {
        return Ok(text);
    }
    Ok(match whole_number::whole(raw, Writer::Program)? {
        Some(number) => Cow::Owned(number),
        None => text,
    })
}

/// The text without surrounding white space. Most text has none, which its first and last bytes show.
fn trimmed(text: &str) -> &str {
    if byte_search::has_nothing_around(text) {
        return text;
    }
    text.trim()
}

fn decoded(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match raw.as_bytes()[0] {
        b'"' => {}
        b'-' | b'0'..=b'9' => return Ok(Cow::Borrowed(raw)),
        _ => return Err(Omitted::WrongType),
    }
    if raw.len() > MAX_TEXT_BYTES + 2 {
        return Err(Omitted::TooLong);
    }
    let inner = &raw[1..raw.len() - 1];
    if !byte_search::has(raw, may_hide_a_control) {
        return Ok(Cow::Borrowed(trimmed(inner)));
    }
    let mut decoded: String = serde_json::from_str(raw).map_err(|_| Omitted::NotText)?;
    decoded.retain(|c| !c.is_control());
    Ok(Cow::Owned(decoded.trim().to_owned()))
}

/// Which bytes of JSON text can be part of an escape or of a control character: DEL, or the first byte of those beyond
/// ASCII. JSON does not allow the other control characters unescaped.
fn may_hide_a_control(bytes: Block) -> Hits {
    bytes.is(b'\\') | bytes.is(0x7f) | bytes.is(0xc2)
}

/// The elements of a list, or the value itself.
pub(crate) fn elements(raw: &str) -> Elements<'_> {
    if !raw.starts_with('[') {
        return Elements::One(Some(raw));
    }
    let list: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    Elements::Several(list.into_iter())
}

/// One value or several, as slices of the event's text.
pub(crate) enum Elements<'a> {
    One(Option<&'a str>),
    Several(std::vec::IntoIter<&'a RawValue>),
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::One(value) => value.take(),
            Self::Several(list) => list.next().map(RawValue::get),
        }
    }
}

/// The entries of an object in their order, keys decoded, with those that are written twice. Empty for any other value, and for
/// an object with a key that is not valid text.
pub(crate) fn entries(raw: &str) -> Vec<(String, &str)> {
    struct Entries;

    impl<'a> Visitor<'a> for Entries {
        type Value = Vec<(String, &'a str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                entries.push((key, value.get()));
            }
            Ok(entries)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(raw);
    reader.deserialize_map(Entries).unwrap_or_default()
}

/// The texts of a list, without the blank ones; at most [`MAX_ELEMENTS`].
pub(crate) fn texts(raw: &str) -> impl Iterator<Item = Cow<'_, str>> {
    elements(raw)
        .filter_map(|element| text(element).ok())
        .take(MAX_ELEMENTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_loses_control_characters() {
        assert_eq!(text(r#"" a b ""#).as_deref(), Ok("a b"));
        assert_eq!(text(r#"" \u0000é\t""#).as_deref(), Ok("é"));
        assert_eq!(text(r#""\ud800""#), Err(Omitted::NotText));
        assert_eq!(text("42").as_deref(), Ok("42"));
        assert_eq!(text("true"), Err(Omitted::WrongType));
        assert_eq!(text(r#"" \u0000 ""#), Err(Omitted::Blank));
        let long = format!("\"{}\"", "x".repeat(MAX_TEXT_BYTES));
        assert!(text(&long).is_ok());
        assert_eq!(text(&long.replace('"', "\"x")), Err(Omitted::TooLong));
    }

    #[test]
    fn text_without_an_escape_is_that_of_the_full_reading() {
        let longest = format!("\"{}\"", "x".repeat(MAX_TEXT_BYTES));
        for raw in [r#""a""#, "\"\"", r#"" é ""#, &longest] {
            let text = unescaped(raw).expect("no escape");
            assert_eq!(text_as_written(raw), Ok(Cow::Borrowed(text)));
            assert_eq!(id_as_written(raw), Ok(Cow::Borrowed(text)));
        }
        let too_long = longest.replace('"', "\"x");
        let list = r#"["a"]"#;
        for raw in [
            r#""a\n""#,
            r#""\u0061""#,
            "1",
            "true",
            list,
            "null",
            &too_long,
        ] {
            assert_eq!(unescaped(raw), None, "{raw}");
        }
    }

    #[test]
    fn a_number_as_an_id_counts_by_its_value() {
        for (raw, expected) in [
            ("12345.0", "12345"),
            ("1.2345e4", "12345"),
            ("12345", "12345"),
            ("12345678901234567890", "12345678901234567890"),
            ("-0.5", "-0.5"),
            (r#""12345.0""#, "12345.0"),
            (r#"" 000001 ""#, "000001"),
        ] {
            assert_eq!(id_text(raw).as_deref(), Ok(expected), "{raw}");
        }
        assert_eq!(id_as_written(r#"" a ""#).as_deref(), Ok(" a "));
        assert_eq!(id_text("1.2345678901234567e16"), Err(Omitted::DigitsLost));
        for raw in ["true", "{}", "[1]"] {
            assert_eq!(id_text(raw), Err(Omitted::WrongType), "{raw}");
        }
        assert_eq!(id_text(r#""  ""#), Err(Omitted::Blank));
    }

    #[test]
    fn a_value_can_be_empty_in_many_ways() {
        for raw in ["null", r#""""#, r#""  ""#, "[]", "[ ]", "{}", "{ }"] {
            assert!(is_empty(raw), "{raw}");
        }
        for raw in ["0", "false", r#""x""#, "[null]"] {
            assert!(!is_empty(raw), "{raw}");
        }
    }

    #[test]
    fn the_entries_of_an_object_include_those_that_are_written_twice() {
        let raw = r#"{ "a": 1e999, "\u0061": {"b": [ ]}, "c": null }"#;
        let expected = [("a", "1e999"), ("a", r#"{"b": [ ]}"#), ("c", "null")];
        let found = entries(raw);
        let found: Vec<_> = found.iter().map(|(key, raw)| (&**key, *raw)).collect();
        assert_eq!(found, expected);
        for raw in ["[1]", "null", "{}", r#""a""#, r#"{"\ud800":1}"#] {
            assert!(entries(raw).is_empty(), "{raw}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
        assert_eq!(entries(&deep).len(), 1);
    }

    #[test]
    fn control_characters_are_removed_from_text() {
        assert_eq!(text("\" a\u{7f}b\u{85} \"").as_deref(), Ok("ab"));
        assert_eq!(text(r#""a\u0000b\n""#).as_deref(), Ok("ab"));
        assert_eq!(text("\"\u{7f}\""), Err(Omitted::Blank));
        assert_eq!(text("\"10 £ ©\"").as_deref(), Ok("10 £ ©"));
    }
}
