//! JSON appended to bytes.

use crate::byte_search::{self, Block};
use std::borrow::Cow;

/// Appends a comma, unless an object or a list begins here.
pub(super) fn comma(out: &mut Vec<u8>) {
    if !is_start(out) {
        out.push(b',');
    }
}

/// Whether an object or a list begins here.
#[inline]
pub(super) fn is_start(out: &[u8]) -> bool {
    matches!(out.last(), Some(b'{' | b'['))
}

/// Appends what is JSON already.
pub(super) fn raw(json: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(json.as_bytes());
}

/// Appends text as a JSON string.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    let needs_escape = |bytes: Block| bytes.is_at_most(0x1f) | bytes.is(b'"') | bytes.is(b'\\');
    if !byte_search::has(text, needs_escape) {
        return plain_text(text, out);
    }
    // Writing to a vector does not fail, and text is always JSON.
    let _ = serde_json::to_writer(out, text);
}

/// Appends text that needs no escape: words of the tables.
pub(super) fn plain_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + "\"\"".len());
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends text that was decoded from a JSON string. Borrowed text was between quotes without an escape there, so that it
/// needs none here.
pub(super) fn decoded_text(decoded: Cow<'_, str>, out: &mut Vec<u8>) {
    match decoded {
        Cow::Borrowed(decoded) => plain_text(decoded, out),
        Cow::Owned(decoded) => text(&decoded, out),
    }
}

pub(super) fn integer(number: impl itoa::Integer, out: &mut Vec<u8>) {
    raw(itoa::Buffer::new().format(number), out);
}

pub(super) fn boolean(value: bool, out: &mut Vec<u8>) {
    raw(if value { "true" } else { "false" }, out);
}
