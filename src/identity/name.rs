//! `fn`, `ln` and `ct`: lowercase, no punctuation, no white space, letters of any script kept.
//!
//! Returns the letters of a name, composed (NFC) so that both encodings of `é` have the same hash. Honorifics and suffixes stay: the
//! page does not ask for their removal. What is no part of the name goes: one layer of HTML entities, a nickname in brackets or
//! quotes, a last name in front of a comma, an initial behind a first name. Invariant: the result has a letter or digit, and
//! normalizing it again does not change it.

use super::Field;
use super::entity;
use super::text::{fold_wide, is_letter_or_digit, is_space, trim};
use crate::byte_search::{self, Block, Hits};
use crate::omitted::Omitted;
use std::borrow::Cow;

/// First and last names. Emoji are not punctuation, so they stay, as in Meta's library; so do the joiners that some scripts need.
pub(super) fn normalize_person(field: Field, raw: &str, out: &mut String) -> Result<(), Omitted> {
    let name = if byte_search::has(raw, are_marks) {
        essential(field, raw)
    } else {
        Cow::Borrowed(raw)
    };
    fold_wide(
        &name,
        |c| is_letter_or_digit(c) || is_joiner_or_symbol(c),
        out,
    );
    out.chars()
        .any(char::is_alphanumeric)
        .then_some(())
        .ok_or(Omitted::Empty)
}

/// Which bytes can begin or end something that is no part of a name. Curly quotes begin with 0xe2.
fn are_marks(bytes: Block) -> Hits {
    bytes.is(b'&')
        | bytes.is(b'(')
        | bytes.is(b'"')
        | bytes.is(b',')
        | bytes.is(b'.')
        | bytes.is(0xe2)
}

/// The name without what is no part of it.
#[cold]
fn essential(field: Field, raw: &str) -> Cow<'_, str> {
    let mut name = entity::decoded(raw);
    for (open, close) in [('(', ')'), ('"', '"'), ('“', '”'), ('„', '“')] {
        if let Some(without) = without_enclosed(&name, open, close) {
            name = Cow::Owned(without);
        }
    }
    if field != Field::Fn {
        return name;
    }
    if let Some((first, _)) = last_name_first(&name) {
        name = Cow::Owned(first.to_owned());
    }
    match without_initial(&name) {
        Some(first) => Cow::Owned(first.to_owned()),
        None => name,
    }
}

/// The text without the part between two marks, if there is a letter outside.
fn without_enclosed(text: &str, open: char, close: char) -> Option<String> {
    let (before, rest) = text.split_once(open)?;
    let (_, after) = rest.split_once(close)?;
    let has_letter = |part: &str| part.contains(char::is_alphabetic);
    (has_letter(before) || has_letter(after)).then(|| format!("{before} {after}"))
}

/// First and last name of `Smith, John`, but not of `Smith, Jr.`
fn last_name_first(text: &str) -> Option<(&str, &str)> {
    const SUFFIXES: [&str; 8] = ["jr", "sr", "ii", "iii", "iv", "md", "phd", "esq"];
    let (last, first) = text.split_once(',')?;
    let (last, first) = (trim(last), trim(first));
    let bare: String = first.chars().filter(|c| c.is_alphanumeric()).collect();
    let is_suffix = SUFFIXES
        .iter()
        .any(|suffix| bare.eq_ignore_ascii_case(suffix));
    let has_letter = |part: &str| part.contains(char::is_alphabetic);
    (has_letter(last) && has_letter(first) && !first.contains(',') && !is_suffix)
        .then_some((first, last))
}

/// The name in front of an initial: `John` of `John Q.`
fn without_initial(text: &str) -> Option<&str> {
    let (name, initial) = trim(text).strip_suffix('.')?.rsplit_once(is_space)?;
    let mut letters = initial.chars();
    let is_initial = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
    let is_name = |word: &str| word.chars().filter(|c| c.is_alphabetic()).count() > 1;
    (is_initial && is_name(name) && !name.ends_with('.')).then_some(name)
}

fn is_joiner_or_symbol(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}')
}

/// A full name as first and last name: split at its comma, or else at its last space.
pub(crate) fn split_name(full: &str) -> (Option<&str>, Option<&str>) {
    let full = trim(full);
    if let Some((first, last)) = last_name_first(full) {
        return (Some(first), Some(last));
    }
    let present = |part: &'_ str| !part.is_empty();
    // A suffix belongs to the last name: `Mary Smith, Jr.`
    let without_suffix = full.split_once(',').map_or(full, |(names, _)| trim(names));
    match without_suffix.rsplit_once(is_space) {
        Some((first, _)) => {
            let last = trim(&full[first.len()..]);
            (Some(trim(first)).filter(|p| present(p)), Some(last))
        }
        None => (Some(full).filter(|p| present(p)), None),
    }
}
