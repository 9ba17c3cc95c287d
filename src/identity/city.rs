//! `ct`: lowercase, no punctuation, no special characters, no white space, letters of any script kept.
//!
//! Reads the city as people write it, also with what belongs to other fields: a postcode in front or behind, a state or a country behind
//! a comma, a code in brackets. Invariant: the result has a letter, and normalizing it again does not change it.

use super::text::{fold_wide, is_letter_or_digit, is_space, trim};
use super::{Alpha2, country, entity, state};
use crate::byte_search::{self, Block, Hits};
use crate::omitted::Omitted;
use std::borrow::Cow;

/// Fewest digits in front of a city that can be a postcode: `29 Palms` and `100 Mile House` are names.
const MIN_POSTCODE_DIGITS: usize = 4;

pub(super) fn normalize(
    raw: &str,
    country: Option<Alpha2>,
    out: &mut String,
) -> Result<(), Omitted> {
    let city = if byte_search::has(raw, are_marks) {
        essential(raw, country)
    } else {
        Cow::Borrowed(raw)
    };
    fold_wide(&city, is_letter_or_digit, out);
    out.chars()
        .any(char::is_alphabetic)
        .then_some(())
        .ok_or(Omitted::NoLetter)
}

/// Which bytes can be part of something that is no part of a city.
fn are_marks(bytes: Block) -> Hits {
    bytes.is(b'&') | bytes.is(b'(') | bytes.is(b',') | bytes.is_in(b'0', b'9')
}

/// The city without what belongs to other fields.
#[cold]
fn essential(raw: &str, country: Option<Alpha2>) -> Cow<'_, str> {
    let text = entity::decoded(raw);
    let mut city = trim(&text);
    while let Some((before, after)) = city.rsplit_once(',') {
        if !has_letter(before) || !is_of_another_field(trim(after), country) {
            break;
        }
        city = trim(before);
    }
    if let Some((before, code)) = city
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('))
        && has_letter(before)
        && is_code(trim(code))
    {
        city = trim(before);
    }
    let city = without_postcode(city, country);
    if city.len() == raw.len() {
        return text;
    }
    Cow::Owned(city.to_owned())
}

fn has_letter(text: &str) -> bool {
    text.contains(char::is_alphabetic)
}

/// A canton, a province or a state in brackets: `ZH`. `Frankfurt (Oder)` is a name.
fn is_code(text: &str) -> bool {
    (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// Whether what follows a comma is a state, a postcode or the country.
fn is_of_another_field(text: &str, country: Option<Alpha2>) -> bool {
    let is_country =
        country::country_of(text).is_some_and(|named| text.len() > 2 || Some(named) == country);
    let region = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || is_space(c));
    is_country || region.is_empty() || state::is_state(region, country)
}

/// The city without the digits of a postcode in front of it, and without any digits behind it.
fn without_postcode(city: &str, country: Option<Alpha2>) -> &str {
    let mut rest = city;
    let mut digits = 0;
    while let Some((word, after)) = rest.split_once(is_space) {
        // `D-10115` and `SE-411 05`.
        let number = word.trim_start_matches(|c: char| c.is_ascii_uppercase());
        let number = if number.len() + 2 >= word.len() {
            number.trim_start_matches('-')
        } else {
            word
        };
        if !is_digits(number) {
            break;
        }
        digits += number.len();
        rest = trim(after);
    }
    if country == Some(Alpha2::NL)
        && digits == MIN_POSTCODE_DIGITS
        && let Some((letters, after)) = rest.split_once(is_space)
        && letters.len() == 2
        && letters.bytes().all(|b| b.is_ascii_uppercase())
    {
        rest = trim(after);
    }
    let mut city = if digits >= MIN_POSTCODE_DIGITS && has_letter(rest) {
        rest
    } else {
        city
    };
    while let Some((before, word)) = city.rsplit_once(is_space) {
        if !is_digits(word) || !has_letter(before) {
            break;
        }
        city = trim(before);
    }
    city
}

fn is_digits(word: &str) -> bool {
    let digits = word.trim_matches(|c| c == ',' || c == '-');
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}
