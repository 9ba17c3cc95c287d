//! `ge`: `f` or `m`, from the words that Meta's library knows; any other value is omitted.

use super::text::{fold, is_letter_or_digit};
use crate::omitted::Omitted;

/// Longest word below, in bytes.
const MAX_WORD_BYTES: usize = 16;

#[rustfmt::skip]
const FEMALE: [&str; 38] = [
    "f", "female", "woman", "girl", "lady", "miss", "ms", "mrs", "madam", "maam", "daughter", "mother", "mom", "mama", "mommy",
    "aunt", "niece", "sister", "wife", "girlfriend", "bride", "widow", "queen", "princess", "duchess", "countess", "empress",
    "goddess", "maiden", "lass", "gal", "chick", "dame", "belle", "she", "her", "hers", "herself",
];
#[rustfmt::skip]
const MALE: [&str; 37] = [
    "m", "male", "man", "boy", "gentleman", "guy", "sir", "mister", "mr", "son", "father", "dad", "daddy", "papa", "uncle",
    "nephew", "brother", "husband", "boyfriend", "groom", "widower", "king", "prince", "duke", "count", "emperor", "god", "lord",
    "lad", "fellow", "chap", "bloke", "dude", "he", "him", "his", "himself",
];

pub(super) fn normalize(raw: &str, out: &mut String) -> Result<(), Omitted> {
    if raw.len() > MAX_WORD_BYTES {
        return Err(Omitted::NotAGender);
    }
    fold(raw, is_letter_or_digit, out);
    let letter = if FEMALE.contains(&out.as_str()) {
        'f'
    } else if MALE.contains(&out.as_str()) {
        'm'
    } else {
        return Err(Omitted::NotAGender);
    };
    out.clear();
    out.push(letter);
    Ok(())
}
