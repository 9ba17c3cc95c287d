//! Whether a text that would leave as it is holds an e-mail address, a phone number or a token: the one test for ids, words, names of
//! events and URLs.
//!
//! In: a text and what it is for, because an id of digits is no phone number, and words about a phone are. Out: what it holds. Encodings
//! are decoded before the test, layer by layer: percent, entities, escapes, full-width forms, `(at)`, Base64. Invariant: nothing here
//! panics, whatever the text is, and the usual text is decided by one pass over its bytes without memory of its own.

mod layers;
mod names;
mod numbers;

pub(crate) use names::{Key, is_personal_in_url, key_of};

use crate::omitted::Omitted;
use std::borrow::Cow;
use std::ops::Range;

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
/// Digits of words from which on they can hold a phone number without a plus.
const MANY_DIGITS: u32 = 8;

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

/// Whether a byte occurs in addresses, in phone numbers with a plus or brackets, or in what an encoding writes for their signs. All of
/// full-width forms begin with 0xef.
#[inline]
pub(crate) const fn needs_a_look(byte: u8) -> bool {
    // `%` and `&`; `(`, `)`, `*` and `+`; `[` and `\`; `{`, `|`, `}`, `~` and DEL.
    (byte == b'@')
        | (byte.wrapping_sub(b'%') < 2)
        | (byte.wrapping_sub(b'(') < 4)
        | (byte.wrapping_sub(b'[') < 2)
        | (byte.wrapping_sub(b'{') < 5)
        | (byte == 0xef)
}

/// What the bytes of a text say about it, found in one pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    /// All bits of [`CLASSES`] that its bytes have.
    classes: u16,
    digits: u32,
}

/// A byte that [`needs_a_look`].
const LOOK: u16 = 1;
/// The same in the signature of a browser, which always has brackets.
const LOOK_IN_BROWSER: u16 = 1 << 1;
/// Not a digit of Base64, in either of its alphabets.
const NOT_BASE64: u16 = 1 << 2;
/// The first byte of a control character beyond ASCII.
const CONTROL: u16 = 1 << 3;
const SLASH: u16 = 1 << 4;
const BRACKET: u16 = 1 << 5;
/// A digit; the highest bit, so that shifting the class gives the number to add.
const DIGIT: u16 = 1 << 15;

/// What each byte says about a text.
#[expect(clippy::cast_possible_truncation, reason = "an index below 256")]
const CLASSES: [u16; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < classes.len() {
        let byte = at as u8;
        let mut class = 0;
        if needs_a_look(byte) {
            class |= LOOK;
            if !matches!(byte, b'(' | b')' | b'*') {
                class |= LOOK_IN_BROWSER;
            }
        }
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')) {
            class |= NOT_BASE64;
        }
        match byte {
            0xc2 => class |= CONTROL,
            b'/' => class |= SLASH,
            b'(' => class |= BRACKET,
            b'0'..=b'9' => class |= DIGIT,
            _ => {}
        }
        classes[at] = class;
        at += 1;
    }
    classes
};

const fn class(byte: u8) -> u16 {
    CLASSES[byte as usize]
}

impl Scan {
    #[inline]
    pub(crate) fn of(text: &str) -> Self {
        let (mut classes, mut digits) = (0, 0);
        for byte in text.bytes() {
            let class = class(byte);
            classes |= class;
            digits += u32::from(class >> DIGIT.trailing_zeros());
        }
        Self { classes, digits }
    }

    /// Whether there may be an escape or a control character in it.
    #[inline]
    pub(crate) fn may_hide_a_control(self) -> bool {
        // The other bytes of those, DEL and the backslash, need a look everywhere.
        self.classes & (CONTROL | LOOK_IN_BROWSER) != 0
    }

    /// Whether the text has nothing that needs a look.
    #[inline]
    pub(crate) fn is_usual(self, text: &str, of: Use) -> bool {
        let look = match of {
            Use::Browser => LOOK_IN_BROWSER,
            _ => LOOK,
        };
        self.classes & look == 0 && self.has_usual_parts(text, of)
    }

    /// Whether a text has neither tokens, nor Base64, nor the digits of a phone number. Its signs have been looked at.
    pub(crate) fn has_usual_parts(self, text: &str, of: Use) -> bool {
        let bytes = text.as_bytes();
        let may_hold_phone = match of {
            Use::Words | Use::Url => self.has_many_digits(),
            Use::Id => numbers::is_grouped_as_in_north_america(bytes),
            Use::ItemId | Use::Browser => false,
        };
        if may_hold_phone || names::may_be_token(bytes) {
            return false;
        }
        if of == Use::Browser && self.classes & BRACKET != 0 && may_hold_bracketed_sign(bytes) {
            return false;
        }
        if self.classes & (NOT_BASE64 | SLASH) == 0 {
            return !may_be_base64(bytes);
        }
        let mut start = 0;
        while let Some(part) = next_part(bytes, start) {
            if self.is_unusual_at(bytes, part.start, part.end) {
                return false;
            }
            start = part.end + 1;
        }
        true
    }

    /// Whether the part of a text in this range is unusual. The digits of an escape, behind its percent sign, are not a part of it.
    fn is_unusual_at(self, text: &[u8], start: usize, end: usize) -> bool {
        const ESCAPE_DIGITS: usize = 2;
        let part = &text[start..end];
        let is_behind_percent = start.checked_sub(1).is_some_and(|at| text[at] == b'%');
        let behind = part.get(ESCAPE_DIGITS..).filter(|_| is_behind_percent);
        self.is_unusual(part) || behind.is_some_and(|part| self.is_unusual(part))
    }

    /// Whether a part of a text begins as tokens do, or can be Base64; also behind a slash, which is a digit of Base64.
    fn is_unusual(self, part: &[u8]) -> bool {
        let is_step_unusual = |step: &[u8]| may_be_base64(step) || names::may_be_token(step);
        if part.len() < MIN_BASE64 {
            return false;
        }
        if is_step_unusual(part) {
            return true;
        }
        if self.classes & SLASH == 0 {
            return false;
        }
        let mut start = 0;
        for (at, byte) in part.iter().enumerate() {
            if *byte == b'/' {
                if at - start >= MIN_BASE64 && is_step_unusual(&part[start..at]) {
                    return true;
                }
                start = at + 1;
            }
        }
        start > 0 && is_step_unusual(&part[start..])
    }

    #[inline]
    pub(crate) fn has_many_digits(self) -> bool {
        self.digits >= MANY_DIGITS
    }
}

/// The next part of a text from here on that is long enough for Base64, and ends with the text or in front of another byte.
#[inline]
fn next_part(bytes: &[u8], mut start: usize) -> Option<Range<usize>> {
    // Looking backward from where the shortest part would end skips most bytes of shorter ones.
    let is_other = |byte: &u8| class(*byte) & NOT_BASE64 != 0;
    while let Some(shortest) = bytes.get(start..start + MIN_BASE64) {
        let Some(other) = shortest.iter().rposition(is_other) else {
            let behind = &bytes[start + MIN_BASE64..];
            let more = behind.iter().position(is_other);
            let length = MIN_BASE64 + more.unwrap_or(behind.len());
            return Some(start..start + length);
        };
        start += other + 1;
    }
    None
}

/// Whether a bracket begins what may be `(at)`, `(a)` or `(dot)`.
fn may_hold_bracketed_sign(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| match three {
        [b'(', first, second] => match first | 0x20 {
            b'a' => matches!(second | 0x20, b't' | b')'),
            b'd' => second | 0x20 == b'o',
            _ => false,
        },
        _ => false,
    })
}

/// Characters of the shortest address, `a@b.co`, in Base64.
const MIN_BASE64: usize = 8;

/// Whether a text can be the Base64 of ASCII with full-width signs in it: the first of four characters holds the first six bits of a
/// byte, which are below 32 in ASCII and above 7 in what can be seen, and few others in the three bytes of such a sign.
#[inline]
fn may_be_base64(bytes: &[u8]) -> bool {
    let is_first =
        |b: &u8| matches!(b, b'I'..=b'Z' | b'a'..=b'f' | b'i' | b'o' | b'q' | b'u' | b'v' | b'7');
    bytes.len() >= MIN_BASE64 && bytes.iter().step_by(4).all(is_first)
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
    let words = text.split(|c: char| u8::try_from(c).map_or(NOT_BASE64, class) & NOT_BASE64 != 0);
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
