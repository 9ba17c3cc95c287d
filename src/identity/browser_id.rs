//! `fbp` and `fbc`: the browser id and the click id, as Meta's "fbp and fbc parameters" page describes them.
//!
//! Takes cookie values, page URLs and the anonymous id; returns values of the form
//! `fb.<subdomain index>.<milliseconds>.<payload>`, to which Meta's own builder adds `.<appendix>`. Invariant: an existing value stays
//! unchanged, byte for byte; a click id is never lowercased, shortened or decoded twice; a generated `fbp` is the same for one
//! visitor on every machine.

use std::{borrow::Cow, fmt::Write as _};

use sha2::{Digest as _, Sha256};

use super::{digest::is_appendix, entity, text};
use crate::byte_search::{self, Block};
use crate::omitted::Omitted;
use crate::placeholder::{Role, is_placeholder};

/// Longest click id, in characters; Meta's own script ignores longer ones.
pub(crate) const MAX_CLICK_ID_LEN: usize = 500;
/// Longest cookie value, in bytes: a click id and the other parts.
const MAX_COOKIE_BYTES: usize = MAX_CLICK_ID_LEN + 64;
/// How long Meta keeps a click, in milliseconds.
const MAX_CLICK_AGE_MS: i64 = 90 * 24 * 60 * 60 * 1000;
/// How far two clocks may disagree before a click counts as later than its event, in milliseconds.
const MAX_CLOCK_SKEW_MS: i64 = 5 * 60 * 1000;
/// Digits of a creation time: milliseconds from 2001 to 2286. With fewer it is in seconds, which the format does not allow, and with
/// more in microseconds.
const CREATION_DIGITS: usize = 13;
/// Start of the four years in which generated browser ids claim to be created: 2020-01-01, in milliseconds.
const GENERATED_FROM_MS: u64 = 1_577_836_800_000;
/// Length of these four years, which end at 2023-12-31, always in the past.
const GENERATED_SPAN_MS: u64 = 4 * 365 * 24 * 60 * 60 * 1000;
/// The random part of a generated browser id has ten digits.
const GENERATED_MIN: u64 = 1_000_000_000;

/// The parts of a click cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fbc<'a> {
    /// The whole value, as it is sent.
    pub(crate) value: &'a str,
    /// The click id: the fourth segment, without an appendix.
    pub(crate) click_id: &'a str,
    /// When the click was first seen, in milliseconds.
    pub(crate) created_ms: i64,
}

/// A browser id cookie.
///
/// # Errors
///
/// It is malformed, or holds a word for a missing value.
pub(crate) fn fbp(raw: &str) -> Result<&str, Omitted> {
    Ok(cookie(raw)?.value)
}

/// A click cookie.
///
/// # Errors
///
/// It is malformed, or holds a word for a missing value.
pub(crate) fn fbc(raw: &str) -> Result<Fbc<'_>, Omitted> {
    match cookie(raw)? {
        fbc if fbc.click_id.len() > MAX_CLICK_ID_LEN => Err(Omitted::MalformedCookie),
        fbc => Ok(fbc),
    }
}

/// The value of the first cookie of this name in the header `Cookie`.
pub(crate) fn in_header<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        (text::trim(known) == name).then(|| text::trim(value).trim_matches('"'))
    })
}

/// A well-formed cookie with a value.
fn cookie(raw: &str) -> Result<Fbc<'_>, Omitted> {
    match segments(raw) {
        Some(cookie) if is_placeholder(cookie.click_id, Role::Click) => Err(Omitted::Placeholder),
        Some(cookie) => Ok(cookie),
        None if is_placeholder(raw, Role::Click) => Err(Omitted::Placeholder),
        None => Err(Omitted::MalformedCookie),
    }
}

/// Appends the browser id of a visitor without a cookie, made from the anonymous id: its SHA-256 with a prefix of its own, so that the
/// id cannot be recovered, reduced to a time and ten digits.
///
/// # Errors
///
/// The anonymous id is empty, or a word for a missing one.
pub(crate) fn fbp_for(anonymous_id: &str, out: &mut String) -> Result<(), Omitted> {
    let id = text::trim(anonymous_id);
    if id.is_empty() {
        return Err(Omitted::Empty);
    }
    if is_placeholder(id, Role::Id) {
        return Err(Omitted::Placeholder);
    }
    let hash = Sha256::new()
        .chain_update(b"meta_conversions.fbp\0")
        .chain_update(id.as_bytes())
        .finalize();
    let number = |at: usize| {
        hash.iter()
            .skip(at)
            .take(8)
            .fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let created = GENERATED_FROM_MS + number(0) % GENERATED_SPAN_MS;
    let digits = GENERATED_MIN + number(8) % (9 * GENERATED_MIN);
    write!(out, "fb.1.{created}.{digits}").map_err(|_| Omitted::Empty)
}

/// Appends the click cookie that the pixel would have set for this click. The subdomain index of a value made on a server is 1.
///
/// # Errors
///
/// The text cannot be a click id.
pub(crate) fn fbc_from_click(click_id: &str, at_ms: i64, out: &mut String) -> Result<(), Omitted> {
    check_click_id(click_id)?;
    write!(out, "fb.1.{at_ms}.{click_id}").map_err(|_| Omitted::MalformedClickId)
}

/// Checks that a text can be a click id.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn check_click_id(text: &str) -> Result<(), Omitted> {
    if text.len() > MAX_CLICK_ID_LEN {
        return Err(Omitted::TooLong);
    }
    if is_placeholder(text, Role::Click) {
        return Err(Omitted::Placeholder);
    }
    is_base64url(text)
        .then_some(())
        .ok_or(Omitted::MalformedClickId)
}

/// The click id in the query of a URL, or in a query without a URL: the parameter `fbclid`, percent-decoded once. Of several, the
/// first one that can be a click id. The URL may have been printed for a web page, with `&amp;` or `&#038;` between its parameters.
///
/// # Errors
///
/// There is no such parameter ([`Omitted::Empty`]), or it cannot be a click id.
pub(crate) fn fbclid_in_url(url_or_query: &str) -> Result<Cow<'_, str>, Omitted> {
    if url_or_query.contains("&#") {
        let decoded = entity::decoded(url_or_query);
        return click_id_in(&decoded).map(|id| Cow::Owned(id.into_owned()));
    }
    click_id_in(url_or_query)
}

/// The click id in a URL or a query without numeric entities.
fn click_id_in(url_or_query: &str) -> Result<Cow<'_, str>, Omitted> {
    let text = url_or_query.split('#').next().unwrap_or_default();
    let query = match text.split_once('?') {
        Some((_, query)) => query,
        None if text.contains("://") || text.starts_with('/') => return Err(Omitted::Empty),
        None => text,
    };
    let mut none = Omitted::Empty;
    for written in query
        .split('&')
        .filter_map(|pair| {
            let pair = pair.strip_prefix("amp;").unwrap_or(pair);
            pair.strip_prefix("fbclid=")
        })
        .filter(|written| !written.is_empty())
    {
        let id = percent_decoded(written).ok_or(Omitted::MalformedClickId);
        match id.and_then(|id| check_click_id(&id).map(|()| id)) {
            Ok(id) => return Ok(id),
            Err(why) if none == Omitted::Empty => none = why,
            Err(_) => {}
        }
    }
    Err(none)
}

/// Appends the click to send: the cookie's if the page has the same click id or no click id, else the page's with the event's time.
///
/// # Errors
///
/// There is no click, or it is too old or too new to have led to this event.
pub(crate) fn choose(
    cookie: Option<Fbc<'_>>,
    click_id: Option<&str>,
    event_ms: i64,
    out: &mut String,
) -> Result<(), Omitted> {
    let Some(known) = cookie else {
        let click_id = click_id.ok_or(Omitted::Empty)?;
        return fbc_from_click(click_id, event_ms, out);
    };
    if let Some(click_id) = click_id
        && click_id != known.click_id
        && fbc_from_click(click_id, event_ms, out).is_ok()
    {
        return Ok(());
    }
    let age_ms = event_ms.saturating_sub(known.created_ms);
    if age_ms > MAX_CLICK_AGE_MS {
        return Err(Omitted::ClickTooOld);
    }
    if age_ms < -MAX_CLOCK_SKEW_MS {
        // The page has the same click id, so the click was before the event, and only the cookie was written later.
        return match click_id {
            Some(click_id) if click_id == known.click_id => fbc_from_click(click_id, event_ms, out),
            _ => Err(Omitted::ClickInFuture),
        };
    }
    out.push_str(known.value);
    Ok(())
}

/// `fb`, digits, milliseconds, payload, and perhaps an appendix.
fn segments(raw: &str) -> Option<Fbc<'_>> {
    if raw.len() > MAX_COOKIE_BYTES {
        return None;
    }
    let value = text::trim(raw);
    let next = |text| byte_search::split_once(text, b'.');
    let (fb, rest) = next(value)?;
    let (index, rest) = next(rest)?;
    let (created, rest) = next(rest)?;
    let (payload, appendix) = next(rest).map_or((rest, None), |(payload, appendix)| {
        (payload, Some(appendix))
    });
    let appendix_is_fine = appendix.is_none_or(|text| is_appendix(text.as_bytes()));
    let index_is_fine = (1..=2).contains(&index.len()) && index.bytes().all(|b| b.is_ascii_digit());
    let created_ms = Some(created)
        .filter(|digits| digits.len() == CREATION_DIGITS)
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())?;
    (fb == "fb" && index_is_fine && is_base64url(payload) && appendix_is_fine).then_some(Fbc {
        value,
        click_id: payload,
        created_ms,
    })
}

fn is_base64url(text: &str) -> bool {
    let are_others = |bytes: Block| {
        let letters = bytes.is_in(b'a', b'z') | bytes.is_in(b'A', b'Z');
        !(letters | bytes.is_in(b'0', b'9') | bytes.is(b'-') | bytes.is(b'_'))
    };
    !text.is_empty() && !byte_search::has(text, are_others)
}

/// The text without one layer of percent encoding, for ASCII; `None` if an escape is broken.
pub(super) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = String::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let hex = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        };
        // A click id and an address are ASCII; their alphabets exclude anything else anyway.
        decoded.push(char::from(byte));
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    const CLICK_MS: i64 = 1_762_902_000_000;
    const COOKIE: &str = "fb.1.1762902000000.IwAR_a-B9";
    const WITH_APPENDIX: &str = "fb.1.1762902000000.IwAR_a-B9.AQQCAQIB";

    fn chosen(cookie: Option<&str>, click: Option<&str>, event_ms: i64) -> Result<String, Omitted> {
        let mut out = String::new();
        choose(
            cookie.and_then(|cookie| fbc(cookie).ok()),
            click,
            event_ms,
            &mut out,
        )
        .map(|()| out)
    }

    #[test]
    fn the_click_id_is_the_fourth_segment_whatever_follows() {
        let cookie = fbc(WITH_APPENDIX).unwrap();
        assert_eq!(cookie.click_id, "IwAR_a-B9");
        assert_eq!(cookie.created_ms, CLICK_MS);
    }

    #[test]
    fn a_generated_browser_id_is_the_same_everywhere() {
        let mut out = String::new();
        fbp_for(" 2b6f3f0c-6f8e-4c8e-9a54-2d1c1f5f9d11 ", &mut out).unwrap();
        // From Python's hashlib, with the derivation that the doc comment states.
        assert_eq!(out, "fb.1.1596710501120.3543703450");
        assert_eq!(fbp(&out), Ok(out.as_str()));
        assert_eq!(fbp_for("  ", &mut out), Err(Omitted::Empty));
    }

    #[test]
    fn the_cookie_wins_while_its_click_id_is_the_same() {
        let now = CLICK_MS + DAY_MS;
        let new = format!("fb.1.{now}.Other");
        assert_eq!(chosen(Some(COOKIE), None, now).as_deref(), Ok(COOKIE));
        assert_eq!(
            chosen(Some(COOKIE), Some("IwAR_a-B9"), now).as_deref(),
            Ok(COOKIE)
        );
        assert_eq!(
            chosen(Some(WITH_APPENDIX), Some("IwAR_a-B9"), now).as_deref(),
            Ok(WITH_APPENDIX)
        );
        assert_eq!(chosen(Some(COOKIE), Some("Other"), now), Ok(new.clone()));
        assert_eq!(chosen(None, Some("Other"), now), Ok(new.clone()));
        assert_eq!(chosen(Some("junk"), Some("Other"), now), Ok(new));
        assert_eq!(
            chosen(Some(COOKIE), Some("not one"), now).as_deref(),
            Ok(COOKIE)
        );
        assert_eq!(chosen(Some("junk"), None, now), Err(Omitted::Empty));
        assert_eq!(
            chosen(None, Some("not one"), now),
            Err(Omitted::MalformedClickId)
        );
        assert_eq!(chosen(None, None, now), Err(Omitted::Empty));
    }

    #[test]
    fn a_click_older_than_90_days_or_later_than_the_event_is_dropped() {
        let oldest = CLICK_MS + MAX_CLICK_AGE_MS;
        assert!(chosen(Some(COOKIE), None, oldest).is_ok());
        assert_eq!(
            chosen(Some(COOKIE), None, oldest + 1),
            Err(Omitted::ClickTooOld)
        );
        assert_eq!(
            chosen(Some(COOKIE), Some("IwAR_a-B9"), oldest + 1),
            Err(Omitted::ClickTooOld)
        );
        let earliest = CLICK_MS - MAX_CLOCK_SKEW_MS;
        assert!(chosen(Some(COOKIE), None, earliest).is_ok());
        assert_eq!(
            chosen(Some(COOKIE), None, earliest - 1),
            Err(Omitted::ClickInFuture)
        );
        assert_eq!(
            chosen(Some(COOKIE), Some("IwAR_a-B9"), earliest - 1),
            Ok(format!("fb.1.{}.IwAR_a-B9", earliest - 1))
        );
        assert_eq!(
            chosen(Some(COOKIE), None, i64::MIN),
            Err(Omitted::ClickInFuture)
        );
    }
}
