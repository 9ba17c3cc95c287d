//! Whether a text that would leave as it is holds an e-mail address, a phone number or a token: the one test for ids, words, names of
//! events and URLs.
//!
//! In: a text and what it is for, because an id of digits is no phone number, and words about a phone are. Out: what it holds. Encodings
//! are decoded before the test, layer by layer: percent, entities, escapes, full-width forms, `(at)`, Base64. Invariant: nothing here
//! panics, whatever the text is, and the usual text is decided by one pass over its bytes without memory of its own.

mod layers;
mod names;
mod numbers;
mod scan;

pub(crate) use names::{Key, is_personal_in_url, key_of};
pub(crate) use scan::{Scan, need_a_look_in_urls};
use scan::{is_other, may_be_base64};

use crate::omitted::Omitted;
use std::borrow::Cow;

/// What a text holds that must not leave as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Private {
    Email,
    Phone,
    Token,
}

impl Private {
    /// Why a text that holds it is omitted.
    pub(crate) const fn why(self) -> Omitted {
        match self {
            Self::Email => Omitted::AnEmail,
            Self::Phone => Omitted::APhone,
            Self::Token => Omitted::AToken,
        }
    }
}

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Words that people write and read. Digits that are grouped like a phone number are one.
    Words,
    /// An id of a person, an event or an order. A phone number has a plus, or is grouped as in North America.
    Id,
    /// An id of an item of a catalog. A phone number has a plus or brackets, because codes of products are grouped in all ways.
    ItemId,
    /// The name and the versions of a browser, which have digits in all groups.
    Browser,
    /// A part of a URL. There, any `@` counts as that of an address.
    Url,
}

/// How often a text may be encoded. One that is encoded more often is taken for private without being read: no program writes it.
const MAX_LAYERS: usize = 8;
/// How often Base64 may be in Base64.
const MAX_NESTING: usize = 3;

/// What a text holds that must not leave as it is.
#[inline]
pub(crate) fn found(text: &str, of: Use) -> Option<Private> {
    if is_usual(text, of) {
        return None;
    }
    look(text, of, 0)
}

/// Whether a text has nothing that needs a look, which is so for most texts.
#[inline]
pub(crate) fn is_usual(text: &str, of: Use) -> bool {
    Scan::of(text).is_usual(text, of)
}

/// Looks at a text and at everything that it is an encoding of.
#[cold]
fn look(text: &str, of: Use, nesting: usize) -> Option<Private> {
    let mut decoded = None;
    for _ in 0..=MAX_LAYERS {
        let layer = decoded.as_deref().unwrap_or(text);
        if let Some(private) = in_layer(layer, of, nesting) {
            return Some(private);
        }
        decoded = Some(layers::decoded(layer)?);
    }
    Some(Private::Email)
}

/// A text with its encodings taken off.
pub(crate) fn without_encoding(text: &str) -> Cow<'_, str> {
    let mut now = Cow::Borrowed(text);
    for _ in 0..MAX_LAYERS {
        match layers::decoded(&now) {
            Some(next) => now = Cow::Owned(next),
            None => break,
        }
    }
    now
}

/// What a text holds without being decoded, or in Base64.
fn in_layer(text: &str, of: Use, nesting: usize) -> Option<Private> {
    if (of == Use::Url && text.contains('@')) || holds_email(text) {
        return Some(Private::Email);
    }
    if numbers::holds_phone(text, of)
        || (of == Use::Url && text.contains('+') && numbers::holds_phone(&spaced(text), of))
    {
        return Some(Private::Phone);
    }
    if names::is_token(text) {
        return Some(Private::Token);
    }
    if nesting == MAX_NESTING {
        return None;
    }
    let words = text.split(|c: char| u8::try_from(c).map_or(true, is_other));
    let words = words.flat_map(|word| {
        let parts = word.split('/').filter(move |part| part.len() < word.len());
        std::iter::once(word).chain(parts)
    });
    words
        .filter(|word| may_be_base64(word.as_bytes()))
        .find_map(|word| {
            let inside = layers::from_base64(word)?;
            look(&inside, Use::Words, nesting + 1)
        })
}

/// A part of a query with its spaces, which are pluses there. A plus in front of everything else is that of a phone number.
fn spaced(text: &str) -> String {
    let mut before = None;
    let plain = text.chars().map(|c| {
        let is_space = c == '+' && before.is_some_and(char::is_alphanumeric);
        before = Some(c);
        if is_space { ' ' } else { c }
    });
    plain.collect()
}

/// Whether a text contains an e-mail address.
fn holds_email(text: &str) -> bool {
    text.match_indices('@').any(|(at, sign)| {
        let (before, after) = (&text[..at], &text[at + sign.len()..]);
        is_address_around(before, after)
            || (before.ends_with(' ') && after.starts_with(' ') && is_whole_address(before, after))
    })
}

/// Whether a local part ends and a domain begins here.
fn is_address_around(before: &str, after: &str) -> bool {
    let is_of_local = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-\"".contains(c);
    let domain_end = after
        .find(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '-'))
        .unwrap_or(after.len());
    before.ends_with(is_of_local) && is_domain(&after[..domain_end])
}

/// Whether `mary @ example.com` is all of a text: in a longer one, the sign can mean a place or a price.
fn is_whole_address(before: &str, after: &str) -> bool {
    let (local, domain) = (before.trim(), after.trim());
    !local.is_empty() && !local.contains(char::is_whitespace) && is_domain(domain)
}

/// Whether it is a domain with a top level, and not the size of a picture (`logo@2x.png`).
fn is_domain(text: &str) -> bool {
    let domain = text.trim_end_matches(['.', '-']);
    let Some((name, top)) = domain.rsplit_once('.') else {
        return false;
    };
    // Behind the top level, there may be more of an id: `mary@example.com-17`.
    let is_top = top.starts_with("xn--")
        || top
            .chars()
            .take_while(|c| c.is_alphabetic())
            .nth(1)
            .is_some();
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-');
    let is_size = matches!(name.as_bytes(), [b'1'..=b'9', b'x']);
    is_top && !is_size && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
