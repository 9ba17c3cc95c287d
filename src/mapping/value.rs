//! From a JSON value of an event to the form that Meta wants, or to the reason why it has none.
//!
//! In: a slice of the event's text that is one JSON value. Out: its form, appended to bytes by [`append`], or by itself from
//! the functions of the files below. Invariant: nothing here panics or fails an event; an unusable value is omitted.

mod code;
mod id;
mod ids;
mod limited_data_use;
mod money;
mod number;
mod time;

pub(super) use code::{boolean, is_placeholder, one_of, platform, position_of, tracking, word};
pub(super) use id::identifier;
#[cfg(test)]
pub(super) use limited_data_use::STATE_CODES;
pub(super) use limited_data_use::{LimitedDataUse, country_code, limited_data_use, state_code};
pub(super) use money::{currency, money};
pub(super) use number::{integer, quantity};
pub(super) use time::{Moment, moment};
pub(crate) use time::{time_zone, time_zone_names};

use super::{json, url};
use crate::byte_search;
use crate::identity;
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::rule::{HASHED_ID, rule};
use crate::payload::{Kind, MAX_TEXT_BYTES};
use crate::private_text::{self, Scan, Use};
use json_paths::MAX_ELEMENTS;
use std::borrow::Cow;

/// Whether a value can be copied: it already has the form of its kind, and contains nothing that must not leave. Most text and
/// numbers can.
#[inline]
pub(super) fn can_copy(kind: Kind, raw: &str) -> bool {
    let of = match kind {
        Kind::Text | Kind::Status => Use::Words,
        Kind::Identifier => Use::Id,
        Kind::ItemId => Use::ItemId,
        Kind::Browser => Use::Browser,
        // A character has at least one byte.
        Kind::TextUpTo(chars) if raw.len() <= chars + "\"\"".len() => Use::Words,
        Kind::Number | Kind::Money => return number::is_plain(raw),
        _ => return false,
    };
    is_usual(raw, of) && (of == Use::Words || !id::may_be_placeholder(raw))
}

/// Whether a value is plain text that contains nothing that must not leave.
fn is_usual(raw: &str, of: Use) -> bool {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    inner.is_some_and(|text| {
        if !byte_search::has_nothing_around(text) || raw.len() > MAX_TEXT_BYTES {
            return false;
        }
        let scan = Scan::of(text);
        !scan.may_hide_a_control() && scan.is_usual(text, of)
    })
}

/// Appends a value in the form of its kind. Returns the rule that was applied.
///
/// # Errors
///
/// The reason why it cannot be used. `out` may then end with a part of it, which the caller removes.
pub(super) fn append(kind: Kind, raw: &str, out: &mut Vec<u8>) -> Result<&'static str, Omitted> {
    let is_hashed = match kind {
        Kind::Identifier => append_id(&id::identifier(raw)?, Use::Id, out)?,
        Kind::ItemId => append_id(&id::identifier(raw)?, Use::ItemId, out)?,
        Kind::DeviceId => append_id(&id::device_id(raw)?, Use::Id, out)?,
        Kind::IdList => ids::append_list(raw, out)?,
        _ => {
            append_other(kind, raw, out)?;
            false
        }
    };
    Ok(if is_hashed { HASHED_ID } else { rule(kind) })
}

/// Appends an id, hashed if it must not leave as it is. Answers whether it is hashed.
pub(super) fn append_id(id: &str, of: Use, out: &mut Vec<u8>) -> Result<bool, Omitted> {
    if private_text::found(id, of).is_none() {
        json::text(id, out);
        return Ok(false);
    }
    append_hashed_id(id, out)?;
    Ok(true)
}

/// Appends the hash of an id.
#[cold]
pub(super) fn append_hashed_id(id: &str, out: &mut Vec<u8>) -> Result<(), Omitted> {
    out.push(b'"');
    identity::hash_id(id, &mut String::new(), out)?;
    out.push(b'"');
    Ok(())
}

/// The hash of an id that must not leave as it is.
#[cold]
pub(super) fn hashed_id(id: &str) -> Option<Box<str>> {
    let mut hash = Vec::new();
    identity::hash_id(id, &mut String::new(), &mut hash).ok()?;
    Some(String::from_utf8(hash).ok()?.into())
}

/// The text, unless it contains what must not leave.
pub(super) fn may_leave(text: Cow<'_, str>, of: Use) -> Result<Cow<'_, str>, Omitted> {
    private_text::found(&text, of).map_or(Ok(text), |private| Err(private.why()))
}

/// Appends a value of a kind that is not an id.
fn append_other(kind: Kind, raw: &str, out: &mut Vec<u8>) -> Result<(), Omitted> {
    match kind {
        Kind::TextUpTo(chars) => {
            let text = words(raw)?;
            let end = text
                .char_indices()
                .nth(chars)
                .map_or(text.len(), |(at, _)| at);
            json::text(&text[..end], out);
        }
        Kind::Browser => json::decoded_text(may_leave(id::identifier(raw)?, Use::Browser)?, out),
        Kind::Digits => json::text(&id::digits(raw)?, out),
        Kind::LeadId => json::text(&id::lead_id(raw)?, out),
        Kind::Year => json::integer(number::year(raw)?, out),
        Kind::Status if matches!(raw, "true" | "false") => json::raw(raw, out),
        Kind::Text | Kind::Status => json::decoded_text(words(raw)?, out),
        Kind::Date => json::text(&time::date(raw)?, out),
        Kind::Day => json::text(&time::day(raw)?, out),
        Kind::Platform => json::text(code::platform(raw)?, out),
        Kind::StoreCode => json::text(&id::store_code(raw)?, out),
        Kind::Count => {
            let count = integer(raw)?;
            json::text(itoa::Buffer::new().format(count), out);
        }
        Kind::Currency => json::plain_text(money::currency(raw)?, out),
        Kind::OneOf(allowed) => json::text(one_of(raw, allowed)?, out),
        Kind::Url => json::decoded_text(url::page_url(raw)?, out),
        Kind::Number => json::raw(&number::number(raw)?, out),
        Kind::Money => json::raw(&money(raw)?, out),
        Kind::Integer => json::integer(integer(raw)?, out),
        Kind::Boolean => json::boolean(boolean(raw)?, out),
        Kind::Tracking => json::boolean(tracking(raw, false)?, out),
        Kind::TextList => append_text_list(raw, out)?,
        Kind::Scalar => append_scalar(raw, out)?,
        // Parameters of the other kinds have writers of their own, and never get here.
        _ => return Err(Omitted::WrongType),
    }
    Ok(())
}

/// Words that may leave.
fn words(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    may_leave(json_text::text(raw)?, Use::Words)
}

/// Appends a list of texts, or one text as a list.
fn append_text_list(raw: &str, out: &mut Vec<u8>) -> Result<(), Omitted> {
    out.push(b'[');
    let start = out.len();
    for text in json_text::texts(raw) {
        json::comma(out);
        json::text(&may_leave(text, Use::Words)?, out);
    }
    if out.len() == start {
        return Err(Omitted::WrongType);
    }
    out.push(b']');
    Ok(())
}

/// Appends a scalar or a list of scalars unchanged, with text decoded and encoded again.
fn append_scalar(raw: &str, out: &mut Vec<u8>) -> Result<(), Omitted> {
    match raw.as_bytes()[0] {
        b'"' => json::text(&words(raw)?, out),
        b'[' => {
            out.push(b'[');
            for element in json_text::elements(raw).take(MAX_ELEMENTS) {
                json::comma(out);
                if element.starts_with('[') {
                    return Err(Omitted::WrongType);
                }
                append_scalar(element, out).map_err(|why| match why {
                    Omitted::AnEmail | Omitted::APhone | Omitted::AToken => why,
                    _ => Omitted::WrongType,
                })?;
            }
            out.push(b']');
        }
        b'{' => return Err(Omitted::WrongType),
        b't' | b'f' => json::raw(raw, out),
        _ => json::raw(&number::number(raw)?, out),
    }
    Ok(())
}
