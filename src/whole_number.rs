//! Whole numbers that were spelled as floating-point numbers: `12345.0`, `1.2345e4`.
//!
//! Tables with a gap in a column, and languages with one kind of number, turn ids, phone numbers and postcodes into such spellings. In:
//! the spelling. Out: the digits of the whole number, or that digits were lost. Invariant: a number that is returned is the only one
//! that can have been meant.

use crate::omitted::Omitted;
use std::borrow::Cow;

/// Whole numbers from here on are rounded by floating-point numbers: 2^53.
const FIRST_ROUNDED: u64 = 1 << 53;
/// More digits than any whole number below [`FIRST_ROUNDED`] has.
const MAX_DIGITS: usize = 17;
/// More bytes than any spelling of such a number has.
const MAX_BYTES: usize = 64;

/// Who wrote a number, which says what a missing digit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// A program that writes JSON: all digits that matter, so that `1.0E7` is ten million.
    Program,
    /// A spreadsheet: as many digits as fit into a column, so that the last ones of `1.23457E+15` are unknown.
    Table,
}

impl Writer {
    /// Whether digits in front of the decimal point can have been left out because they were rounded, of a number with so many
    /// written and so many missing.
    fn can_have_rounded(self, written: usize, missing: usize) -> bool {
        /// As many digits as C and C++ write by default.
        const OF_C: usize = 6;
        /// Fewer digits than PHP and spreadsheets keep.
        const KEPT: usize = 14;
        missing > 0 && (self == Self::Table || written >= OF_C || written + missing > KEPT)
    }
}

/// The whole number that a floating-point spelling means; `None` if it means none, or is spelled as a whole number already.
///
/// # Errors
///
/// It is a whole number whose last digits are not known.
pub(crate) fn whole(spelled: &str, writer: Writer) -> Result<Option<String>, Omitted> {
    if spelled.len() > MAX_BYTES {
        return Ok(None);
    }
    let (sign, rest) = match spelled.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", spelled),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_number = !whole.is_empty() && is_digits(whole) && is_digits(fraction);
    let is_float = exponent.is_some() || mantissa.contains('.') && !fraction.is_empty();
    let Some(shift) = exponent
        .map_or(Some(0), shift_of)
        .filter(|_| is_number && is_float)
    else {
        return Ok(None);
    };
    let digits: Cow<'_, str> = [whole, fraction].concat().into();
    let Some(point) = whole.len().checked_add_signed(shift) else {
        return Ok(None);
    };
    let (front, behind) = digits.split_at(point.min(digits.len()));
    if behind.bytes().any(|b| b != b'0') || point == 0 {
        return Ok(None);
    }
    let missing = point - front.len();
    let significant = front.trim_start_matches('0').len();
    if significant > 0 && significant + missing > MAX_DIGITS {
        return Err(Omitted::DigitsLost);
    }
    let number = format!(
        "{front}{}",
        "0".repeat(if significant > 0 { missing } else { 0 })
    );
    if number
        .parse()
        .is_ok_and(|number: u64| number >= FIRST_ROUNDED)
        || writer.can_have_rounded(significant, missing)
    {
        return Err(Omitted::DigitsLost);
    }
    Ok(Some(format!("{sign}{number}")))
}

/// How far an exponent moves the decimal point to the right.
fn shift_of(exponent: &str) -> Option<isize> {
    /// Beyond this, no digit of a spelling stays in front of the point, or the number is far too large.
    const MAX_SHIFT: isize = 400;
    let shift: isize = exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse()
        .ok()?;
    let is_digits = exponent
        .trim_start_matches(['+', '-'])
        .bytes()
        .all(|b| b.is_ascii_digit());
    is_digits.then_some(shift.clamp(-MAX_SHIFT, MAX_SHIFT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(spelled: &str, writer: Writer) -> Result<Option<String>, Omitted> {
        whole(spelled, writer)
    }

    #[test]
    fn a_whole_number_spelled_as_a_float_is_the_whole_number() {
        for (spelled, expected) in [
            ("12345.0", "12345"),
            ("12345.00", "12345"),
            ("1.2345e4", "12345"),
            ("1.6505551212E10", "16505551212"),
            ("1.6505551212E+10", "16505551212"),
            ("0.0", "0"),
            ("-1.0", "-1"),
            ("00123.0", "00123"),
            ("9007199254740991.0", "9007199254740991"),
            ("120e-1", "12"),
        ] {
            for writer in [Writer::Program, Writer::Table] {
                assert_eq!(
                    read(spelled, writer),
                    Ok(Some(expected.to_owned())),
                    "{spelled}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_float_or_no_whole_number_is_left_alone() {
        for spelled in [
            "", "12345", "12345.", ".5", "12345.5", "1.5e0", "5e-1", "abc", "1e", "1e+", "1.2.0",
            "1e5.0", "-", "--1.0", "1e--2", "1.0 ", "+1.0",
        ] {
            for writer in [Writer::Program, Writer::Table] {
                assert_eq!(read(spelled, writer), Ok(None), "{spelled}");
            }
        }
    }

    #[test]
    fn digits_that_a_spreadsheet_or_a_double_has_rounded_are_lost() {
        for spelled in [
            "1.23457E+15",
            "1.23e+15",
            "9007199254740992.0",
            "1e16",
            "1.2345678901235e+15",
            "1.23457e+07",
            "1e300",
        ] {
            for writer in [Writer::Program, Writer::Table] {
                assert_eq!(
                    read(spelled, writer),
                    Err(Omitted::DigitsLost),
                    "{spelled} {writer:?}"
                );
            }
        }
        // A program that drops zeros keeps every other digit, a spreadsheet does not.
        for (spelled, of_program) in [
            ("1e5", "100000"),
            ("1.0E7", "10000000"),
            ("1.5e6", "1500000"),
        ] {
            assert_eq!(
                read(spelled, Writer::Program),
                Ok(Some(of_program.to_owned()))
            );
            assert_eq!(read(spelled, Writer::Table), Err(Omitted::DigitsLost));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_number_is_read_as_the_double_that_it_is(number in 1..FIRST_ROUNDED, exponent in 0..16_usize) {
            prop_assert_eq!(read(&format!("{number}.0"), Writer::Table), Ok(Some(number.to_string())));
            // With every digit written, wherever the point is.
            let digits = number.to_string();
            let at = digits.len().saturating_sub(exponent).max(1);
            let (front, behind) = digits.split_at(at);
            let dot = if behind.is_empty() { "" } else { "." };
            let spelled = format!("{front}{dot}{behind}e{}", digits.len() - at);
            prop_assert_eq!(read(&spelled, Writer::Table), Ok(Some(digits)), "{}", spelled);
        }

        #[test]
        fn nothing_panics(spelled in any::<String>(), number in "[-+0-9.eE]{0,24}") {
            for writer in [Writer::Program, Writer::Table] {
                let _ = (read(&spelled, writer), read(&number, writer));
            }
        }
    }
}
