//! `fn`, `ln` and `ct`: lowercase, no punctuation, no white space, letters of any script kept.
//!
//! Returns the letters of a name, composed (NFC) so that both encodings of `é` have the same hash. Honorifics and suffixes stay: the
//! page does not ask for their removal. Invariant: the result has a letter or digit (for a city: a letter), and normalizing it again
//! does not change it.

use super::text::{fold, is_letter_or_digit, is_space};
use crate::omitted::Omitted;

/// First and last names. Emoji are not punctuation, so they stay, as in Meta's library; so do the joiners that some scripts need.
pub(super) fn normalize_person(raw: &str, out: &mut String) -> Result<(), Omitted> {
    fold(
        raw,
        |c| is_letter_or_digit(c) || is_joiner_or_symbol(c),
        out,
    );
    out.chars()
        .any(char::is_alphanumeric)
        .then_some(())
        .ok_or(Omitted::Empty)
}

/// Cities: the page also forbids special characters.
pub(super) fn normalize_city(raw: &str, out: &mut String) -> Result<(), Omitted> {
    fold(raw, is_letter_or_digit, out);
    out.chars()
        .any(char::is_alphabetic)
        .then_some(())
        .ok_or(Omitted::NoLetter)
}

fn is_joiner_or_symbol(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}')
}

/// A full name as first and last name, split at its last space.
pub(crate) fn split_name(full: &str) -> (Option<&str>, Option<&str>) {
    let full = super::text::trim(full);
    let present = |part: &'_ str| !part.is_empty();
    match full.rsplit_once(is_space) {
        Some((first, last)) => (
            Some(super::text::trim(first)).filter(|p| present(p)),
            Some(last),
        ),
        None => (Some(full).filter(|p| present(p)), None),
    }
}
