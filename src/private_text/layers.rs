//! One layer of encoding taken off a text: percent, entities of HTML, escapes of JSON and JavaScript, compatibility forms of Unicode,
//! `(at)`; and Base64.
//!
//! In: a text. Out: the text that it is an encoding of, or nothing if it has no encoding. Invariant: the result is never longer than a small
//! multiple of the text, and nothing here fails on a broken encoding.

use crate::identity::{entity, is_invisible};
use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfkc_quick};

/// The text without one layer of each encoding; `None` if it has none.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut now = Cow::Borrowed(text);
    let steps: [fn(&str) -> Option<String>; 5] = [
        without_percent,
        without_entities,
        without_escapes,
        plain_forms,
        without_words,
    ];
    for step in steps {
        if let Some(next) = step(&now) {
            now = Cow::Owned(next);
        }
    }
    match now {
        Cow::Owned(next) if next != text => Some(next),
        _ => None,
    }
}

fn without_percent(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, behind @ ..])
                if let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) =>
            {
                bytes.push(high << 4 | low);
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    (bytes.len() < text.len()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The value of a digit of a number in hex.
pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

fn without_entities(text: &str) -> Option<String> {
    match entity::decoded(text) {
        Cow::Owned(decoded) => Some(decoded),
        Cow::Borrowed(_) => None,
    }
}

/// `\u0040` and `\x40`, as they are in JSON inside JSON.
fn without_escapes(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = match escape.as_bytes().first() {
            Some(b'u') => escape.get(1..5),
            Some(b'x') => escape.get(1..3),
            _ => None,
        };
        let code = digits.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match (digits, code.and_then(char::from_u32)) {
            (Some(digits), Some(c)) => {
                out.push(c);
                rest = &escape[1 + digits.len()..];
            }
            // A backslash that escapes nothing that is looked for.
            _ => rest = escape,
        }
    }
    out.push_str(rest);
    Some(out)
}

/// Compatibility forms made plain, without invisible characters.
fn plain_forms(text: &str) -> Option<String> {
    let is_plain = text.is_ascii()
        || (is_nfkc_quick(text.chars()) == IsNormalized::Yes
            && !text.contains(|c| is_invisible(c) || c == '。'));
    if is_plain {
        return None;
    }
    let visible = text.nfkc().filter(|c| !is_invisible(*c));
    Some(visible.map(|c| if c == '。' { '.' } else { c }).collect())
}

/// `mary (at) example [dot] com`.
fn without_words(text: &str) -> Option<String> {
    const WORDS: [(&str, char); 3] = [("at", '@'), ("dot", '.'), ("a", '@')];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_changed = false;
    while let Some(open) = rest.find(['(', '[', '{']) {
        let (before, from) = rest.split_at(open);
        let sign = WORDS.iter().find_map(|(word, sign)| {
            let inside = from.get(1..=word.len())?;
            let behind = from.get(1 + word.len()..)?.strip_prefix([')', ']', '}'])?;
            inside.eq_ignore_ascii_case(word).then_some((*sign, behind))
        });
        if let Some((sign, behind)) = sign {
            out.push_str(before.trim_end_matches(' '));
            out.push(sign);
            rest = behind.trim_start_matches(' ');
            is_changed = true;
        } else {
            out.push_str(before);
            out.push_str(&from[..1]);
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    is_changed.then_some(out)
}

/// What Base64 of either alphabet holds, if that is text that can be seen.
pub(super) fn from_base64(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let byte = (bits >> count) & 0xff;
            bytes.push(u8::try_from(byte).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    let decoded = String::from_utf8(bytes).ok()?;
    let is_seen = |c: char| !c.is_control() || c.is_whitespace();
    decoded.chars().all(is_seen).then_some(decoded)
}
