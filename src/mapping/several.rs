//! Several values in one text: `a@example.com; b@example.com`, `["u-1","u-2"]`.
//!
//! In: the text of a value. Out: its parts, or that it is one value. Invariant: a text is split only where each part can be a value by
//! itself, so that no value is taken apart.

use crate::byte_search::{self, Block};
use crate::identity::Field;
use crate::json_text;
use crate::payload::MAX_VALUES;
use std::borrow::Cow;

/// Fewest digits of a phone number in a list: more than an extension has.
const MIN_PHONE_DIGITS: usize = 7;

/// The values in a text, at most [`MAX_VALUES`]; `None` if it is one value.
#[inline]
pub(crate) fn several(field: Field, text: &str) -> Option<Vec<Cow<'_, str>>> {
    let can_be_several = |bytes: Block| {
        bytes.is(b',') | bytes.is(b';') | bytes.is(b'|') | bytes.is(b'\n') | bytes.is(b'[')
    };
    match field {
        Field::Em | Field::Ph if byte_search::has(text, can_be_several) => {
            of_json(text).or_else(|| separated(field, text))
        }
        // White space around an address separates nothing. Usually that is spaces, which cost less to remove.
        Field::Em
            if byte_search::has(text.trim_ascii(), |bytes| bytes.is(b' '))
                && text.trim().contains(' ') =>
        {
            separated(field, text)
        }
        _ if text.starts_with('[') => of_json(text),
        _ => None,
    }
}

/// The texts and numbers of a list in JSON.
#[cold]
fn of_json(text: &str) -> Option<Vec<Cow<'_, str>>> {
    let text = text.trim();
    if !text.starts_with('[') || !text.ends_with(']') {
        return None;
    }
    let elements = json_text::elements(text).take(MAX_VALUES);
    let values: Vec<_> = elements
        .filter_map(|element| json_text::id_as_written(element).ok())
        .collect();
    (!values.is_empty()).then_some(values)
}

/// The parts between separators, if at least two of them can be values.
#[cold]
fn separated(field: Field, text: &str) -> Option<Vec<Cow<'_, str>>> {
    let is_value = |part: &str| match field {
        Field::Em => part.contains('@'),
        _ => part.chars().filter(|c| c.is_numeric()).count() >= MIN_PHONE_DIGITS,
    };
    let split = |is_separator: fn(char) -> bool| -> Option<Vec<Cow<'_, str>>> {
        let parts = text.split(is_separator).map(str::trim);
        let parts: Vec<&str> = parts
            .filter(|part| !part.is_empty())
            .take(MAX_VALUES)
            .collect();
        let values = parts.iter().filter(|part| is_value(part)).count();
        // A part of a phone list that is no number is an extension, or the list is one number with commas in it.
        let is_list = values > 1 && (field == Field::Em || values == parts.len());
        is_list.then(|| parts.into_iter().map(Cow::Borrowed).collect())
    };
    let by_mark = split(|c| matches!(c, ',' | ';' | '|' | '\n' | '\r'));
    if by_mark.is_some() || field == Field::Ph {
        return by_mark;
    }
    // Behind a display name, an address is in brackets.
    if text.contains('<') || text.contains('"') {
        return None;
    }
    split(char::is_whitespace)
}
