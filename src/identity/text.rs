//! Reading text of any script: white space, digits, letter case, composed and decomposed forms.
//!
//! Takes borrowed values and writes characters into a caller's buffer. Invariant: plain ASCII is handled by loops over bytes, all other
//! text by Unicode rules, and both give the same result for ASCII.

use unicode_normalization::{
    IsNormalized, UnicodeNormalization, char::is_combining_mark, is_nfc_quick, is_nfkc_quick,
};

use crate::byte_search::{self, Block};
use crate::omitted::Omitted;
use crate::whole_number::{self, Writer};
use std::borrow::Cow;

/// White space as JavaScript defines it, as Meta's library does in browsers: Unicode's, and the byte order mark.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// An invisible character, which copied text can contain and which has no meaning.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The value without white space and invisible characters around it.
#[inline]
pub(super) fn trim(raw: &str) -> &str {
    if byte_search::has_nothing_around(raw) {
        return raw;
    }
    trimmed(raw)
}

fn trimmed(raw: &str) -> &str {
    // Most other values have only spaces to remove.
    let text = raw.trim_ascii();
    if byte_search::has_nothing_around(text) {
        return text;
    }
    raw.trim_matches(|c| is_space(c) || is_invisible(c))
}

/// The value of a decimal digit of the scripts in common use: Latin, full-width, Arabic, Persian, Devanagari, Bengali, Thai …
pub(super) fn digit(c: char) -> Option<u8> {
    /// Each script's zero; the other nine follow it.
    const ZEROS: [char; 19] = [
        '\u{0660}', '\u{06f0}', '\u{07c0}', '\u{0966}', '\u{09e6}', '\u{0a66}', '\u{0ae6}',
        '\u{0b66}', '\u{0be6}', '\u{0c66}', '\u{0ce6}', '\u{0d66}', '\u{0e50}', '\u{0ed0}',
        '\u{0f20}', '\u{1040}', '\u{17e0}', '\u{1810}', '\u{ff10}',
    ];
    if c.is_ascii() {
        return c.is_ascii_digit().then(|| c as u8 - b'0');
    }
    ZEROS.iter().find_map(|&zero| {
        let value = (c as u32).checked_sub(zero as u32)?;
        u8::try_from(value).ok().filter(|value| *value < 10)
    })
}

/// A letter or digit of any script, or a mark on one.
pub(super) fn is_letter_or_digit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    !is_modifier_apostrophe(c) && (c.is_alphanumeric() || is_combining_mark(c))
}

/// Apostrophes, okinas and primes that Unicode counts as letters.
fn is_modifier_apostrophe(c: char) -> bool {
    matches!(c, '\u{2b9}'..='\u{2bf}' | '\u{2c8}' | '\u{2ca}'..='\u{2cb}')
}

/// Writes the lowercase, composed (NFC) form of `raw` into the empty `out`, and of it only the characters for which `keep` is true,
/// as it must be for the small letters of ASCII.
pub(super) fn fold(raw: &str, keep: impl Fn(char) -> bool + Copy, out: &mut String) {
    if raw.is_ascii() {
        lowercase_ascii(raw, keep, out);
    } else if raw.chars().all(is_western) {
        let letters = raw.chars().map(lowercase_western);
        out.extend(letters.filter(|c| keep(*c)));
    } else {
        fold_unicode(raw.chars(), keep, out);
    }
}

/// Whether a character is of ASCII or a letter of Western European languages: composed, and in lower case one character.
fn is_western(c: char) -> bool {
    c.is_ascii() || matches!(c, '\u{c0}'..='\u{ff}')
}

/// The lowercase form of such a character.
fn lowercase_western(c: char) -> char {
    /// What a small letter has more than its capital.
    const SMALL: u8 = 0x20;
    match c {
        'A'..='Z' | 'À'..='Ö' | 'Ø'..='Þ' => {
            u8::try_from(c).map_or(c, |letter| char::from(letter | SMALL))
        }
        _ => c,
    }
}

/// Like [`fold`], but first replaces full-width letters and half-width kana with plain ones. Other compatibility forms stay, because a
/// spacing accent, which people type for an apostrophe, would become one on the next letter.
pub(super) fn fold_wide(raw: &str, keep: impl Fn(char) -> bool + Copy, out: &mut String) {
    /// The first byte of all of these in UTF-8.
    const WIDE: u8 = 0xef;
    if !byte_search::has(raw, |bytes| bytes.is(WIDE)) {
        return fold(raw, keep, out);
    }
    let plain = |c: char| {
        let wide = Some(c).filter(|c| matches!(c, '\u{ff00}'..='\u{ffef}'));
        let other = Some(c).filter(|_| wide.is_none());
        wide.into_iter().nfkc().chain(other)
    };
    fold_unicode(raw.chars().flat_map(plain), keep, out);
}

/// Like [`fold`], but first replaces compatibility forms with plain ones (NFKC): full-width letters and digits, ligatures, circled digits.
pub(super) fn fold_compatible(raw: &str, keep: impl Fn(char) -> bool + Copy, out: &mut String) {
    if raw.is_ascii() || is_nfkc_quick(raw.chars()) == IsNormalized::Yes {
        fold(raw, keep, out);
    } else {
        fold_unicode(raw.nfkc(), keep, out);
    }
}

/// Writes ASCII in lowercase into the empty `out`. Most values have nothing to remove, and are copied at once.
fn lowercase_ascii(raw: &str, keep: impl Fn(char) -> bool + Copy, out: &mut String) {
    /// Tells the compiler that `keep` is called for these characters only.
    const ASCII: u8 = 0x7f;
    out.push_str(raw);
    out.make_ascii_lowercase();
    debug_assert!((b'a'..=b'z').all(|letter| keep(char::from(letter))));
    let are_others = |bytes: Block| !bytes.is_in(b'a', b'z');
    if byte_search::has(&*out, are_others) && !out.bytes().all(|b| keep(char::from(b & ASCII))) {
        out.retain(keep);
    }
}

fn fold_unicode(
    chars: impl Iterator<Item = char>,
    keep: impl Fn(char) -> bool + Copy,
    out: &mut String,
) {
    for c in lowercase(chars) {
        // The dot that is left of a Turkish `İ`: a small `i` has it already.
        let is_second_dot = c == '\u{307}' && out.ends_with('i');
        if keep(c) && !is_second_dot {
            out.push(c);
        }
    }
    if is_nfc_quick(out.chars()) != IsNormalized::Yes {
        *out = out.nfc().collect();
    }
}

/// Lowercase, with a final sigma at the end of a Greek word, so that `ΓΙΩΡΓΟΣ` and `Γιώργος` end alike.
fn lowercase(chars: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut chars = chars.peekable();
    let mut after_letter = false;
    std::iter::from_fn(move || {
        let c = chars.next()?;
        let ends_word = after_letter && !chars.peek().is_some_and(|next| next.is_alphabetic());
        after_letter = c.is_alphabetic() || (after_letter && is_combining_mark(c));
        Some(if c == 'Σ' && ends_word { 'ς' } else { c })
    })
    .flat_map(char::to_lowercase)
}

/// Writes the value in lowercase without its white space into the empty `out`: the rule for `external_id`. It gives exactly what Meta's
/// library gives in a browser, so that both send the same hash.
#[expect(clippy::unnecessary_wraps, reason = "one signature for every rule")]
pub(super) fn squeeze(raw: &str, out: &mut String) -> Result<(), Omitted> {
    if raw.is_ascii() {
        out.push_str(raw);
        out.make_ascii_lowercase();
        if byte_search::has(raw, |bytes| bytes.is_at_most(b' ')) {
            out.retain(|c| !is_space(c));
        }
    } else {
        let dense: String = raw.chars().filter(|c| !is_space(*c)).collect();
        out.push_str(&dense.to_lowercase());
    }
    Ok(())
}

/// The digits of a whole number that a table has spelled as `12345.0` or `1.2345E+4`; other text as it is.
///
/// # Errors
///
/// The table has lost the number's last digits.
pub(super) fn without_decimals(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    // An `e` alone can be a part of an id.
    let are_signs = |bytes: Block| bytes.is(b'.') | bytes.is(b'+');
    if !byte_search::has(raw, are_signs) {
        return Ok(Cow::Borrowed(raw));
    }
    Ok(match whole_number::whole(raw, Writer::Table)? {
        Some(number) => Cow::Owned(number),
        None => Cow::Borrowed(raw),
    })
}

/// The text without case and accents, for looking up names.
pub(super) fn plain(raw: &str) -> String {
    raw.nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn letters_of_western_languages_fold_as_all_others(text in "[ -~À-ÿ]{0,12}|[a-zÀ-ÿ\u{300}\u{307}ıİœŠ]{0,8}") {
            let all: fn(char) -> bool = |_| true;
            for keep in [all, is_letter_or_digit] {
                let (mut folded, mut expected) = (String::new(), String::new());
                fold(&text, keep, &mut folded);
                fold_unicode(text.chars(), keep, &mut expected);
                prop_assert_eq!(folded, expected);
            }
        }
    }

    #[test]
    fn every_letter_of_western_languages_has_its_own_small_letter() {
        for c in ('\0'..='\u{ff}').filter(|c| is_western(*c)) {
            assert!(c.to_lowercase().eq([lowercase_western(c)]), "{c}");
        }
    }
}
