//! `ph`: digits only, no leading zeros, always with the country code.
//!
//! In goes a number as people write it, out comes E.164 without its plus. An international form (`+`, `00`) needs no country; a national
//! one is read in the address country, then in `default_country`; digits without a plus are tried as international last. Extensions are
//! dropped, letters are not digits. Invariant: every number that comes out is possible in libphonenumber's numbering plans.

use std::fmt::Write as _;

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, Region};

use super::{Alpha2, LeftOut, Locale, text};

/// More digits than any number, trunk and exit codes included.
const MAX_DIGITS: usize = 20;
/// With this many digits read, a letter or a mark begins an extension or a second number.
const MIN_DIGITS_BEFORE_EXTENSION: usize = 7;
/// Longest calling code, in digits.
const MAX_CALLING_CODE_DIGITS: usize = 3;
/// Calling codes of plans that dial nothing but `0` or `1` in front of a national number, so that one of the right length is no other in
/// disguise. In other plans (`+54 11 15 …`, `+86 12593 …`) only a valid number is sure to be.
const ZERO_TRUNK_CODES: [i32; 4] = [1, 33, 44, 49];

pub(super) fn normalize(raw: &str, locale: Locale, out: &mut String) -> Result<(), LeftOut> {
    let written = read(raw, out)?;
    if written.plus || out.starts_with("00") {
        return international(out);
    }
    let north_american = |country| matches!(country, Alpha2::US | Alpha2::CA);
    if locale.known().is_some_and(north_american) && out.len() == 11 && out.starts_with('1') {
        return international(out);
    }
    if locale.known().is_none() {
        return without_country(written, out);
    }
    national(locale, out)
}

/// What a number looks like beyond its digits.
#[derive(Clone, Copy)]
struct Written {
    plus: bool,
    /// `1-650-…`, `1 (650) …`: a one by itself in front, which is how North America writes its country code.
    lone_one: bool,
}

/// Collects the digits in `out`.
fn read(raw: &str, out: &mut String) -> Result<Written, LeftOut> {
    let mut written = Written {
        plus: false,
        lone_one: false,
    };
    for c in raw.chars() {
        if let Some(value) = text::digit(c) {
            if out.len() == MAX_DIGITS {
                return Err(LeftOut::ImpossibleNumber);
            }
            out.push(char::from(b'0' + value));
        } else if out.is_empty() {
            written.plus |= matches!(c, '+' | '＋');
        } else if out.len() >= MIN_DIGITS_BEFORE_EXTENSION
            && (c.is_alphabetic() || matches!(c, '#' | ';' | ',' | '/' | '~' | '*' | '+'))
        {
            break;
        } else {
            written.lone_one |= out.trim_start_matches('0') == "1";
        }
    }
    if out.is_empty() {
        return Err(LeftOut::NotAPhone);
    }
    Ok(written)
}

/// Digits that begin with a country code, perhaps after zeros.
fn international(out: &mut String) -> Result<(), LeftOut> {
    let zeros = out.len() - out.trim_start_matches('0').len();
    out.drain(..zeros);
    if out.is_empty() {
        return Err(LeftOut::NotAPhone);
    }
    if is_plainly_possible(out) {
        return Ok(());
    }
    let number = parse_international(out).filter(is_possible);
    write(number.as_ref(), out)
}

/// Whether these digits are calling code and national number already, with no trunk prefix in between. Saves the library's parser for
/// the numbers that need it.
fn is_plainly_possible(digits: &str) -> bool {
    let split = (1..=MAX_CALLING_CODE_DIGITS).find_map(|len| {
        let (code, national) = digits.split_at_checked(len)?;
        let code = code.parse().ok()?;
        PHONE_NUMBER_UTIL.get_region_for_country_code(code)?;
        Some((code, national))
    });
    let Some((country_code, national)) = split else {
        return false;
    };
    let Ok(national_number) = national.parse() else {
        return false;
    };
    let number = PhoneNumber {
        country_code,
        national_number,
        ..PhoneNumber::default()
    };
    !national.starts_with('0')
        && if ZERO_TRUNK_CODES.contains(&country_code) {
            is_possible(&number)
        } else {
            number.is_valid()
        }
}

/// Digits without a plus where no country is known: only what is international beyond doubt.
fn without_country(written: Written, out: &mut String) -> Result<(), LeftOut> {
    if written.lone_one && out.trim_start_matches('0').len() == 11 {
        return international(out);
    }
    let number = parse_international(out).filter(PhoneNumber::is_valid);
    if number.is_none() || out.starts_with('0') {
        return Err(LeftOut::NoCountryCode);
    }
    write(number.as_ref(), out)
}

/// Digits read in the country of the address, then in the default one; valid readings go before possible ones, and between them stands
/// the chance that the country code is there and only the plus is missing.
fn national(locale: Locale, out: &mut String) -> Result<(), LeftOut> {
    let mut possible = None;
    for country in [locale.country, locale.default_country]
        .into_iter()
        .flatten()
    {
        let Some(number) = parse(out, Some(country)) else {
            continue;
        };
        if number.is_valid() {
            return write(Some(&number), out);
        }
        possible = possible.or(Some(number).filter(is_possible));
    }
    let number = parse_international(out)
        .filter(PhoneNumber::is_valid)
        .or(possible);
    write(number.as_ref(), out)
}

fn parse(digits: &str, country: Option<Alpha2>) -> Option<PhoneNumber> {
    let region = match country {
        Some(country) => Some(Region::try_from(country.as_str()).ok()?),
        None => None,
    };
    PHONE_NUMBER_UTIL.parse(digits, region).ok()
}

fn parse_international(digits: &str) -> Option<PhoneNumber> {
    let mut text = String::with_capacity(MAX_DIGITS + 1);
    text.push('+');
    text.push_str(digits);
    parse(&text, None)
}

fn is_possible(number: &PhoneNumber) -> bool {
    matches!(
        number.is_possible_with_reason(),
        Ok(NumberLengthType::IsPossible)
    )
}

/// The number as E.164 without the plus.
fn write(number: Option<&PhoneNumber>, out: &mut String) -> Result<(), LeftOut> {
    let number = number.ok_or(LeftOut::ImpossibleNumber)?;
    out.clear();
    let zeros = match number.italian_leading_zero {
        Some(true) => usize::try_from(number.number_of_leading_zeros.unwrap_or(1)).unwrap_or(1),
        _ => 0,
    };
    write!(
        out,
        "{}{}{}",
        number.country_code,
        &"0000000000"[..zeros.min(10)],
        number.national_number
    )
    .map_err(|_| LeftOut::ImpossibleNumber)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_plainly_possible_is_what_the_library_reads(
            digits in prop_oneof!["[1-9][0-9]{6,14}", "(1|33|44|49)[1-9][0-9]{6,10}"],
        ) {
            if is_plainly_possible(&digits) {
                let mut read = String::new();
                let number = parse_international(&digits);
                prop_assert_eq!(write(number.as_ref(), &mut read), Ok(()));
                prop_assert_eq!(read, digits);
            }
        }
    }
}
