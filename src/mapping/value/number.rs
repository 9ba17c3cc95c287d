//! Numbers, as JSON numbers or as text.

use crate::json_text;
use crate::omitted::Omitted;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Whether a value is a number that every receiver can hold. A quick test: it may say no to such a number.
#[inline]
pub(crate) fn is_plain(raw: &str) -> bool {
    /// All below 10^16.
    const DIGITS: usize = 16;
    raw.len() <= DIGITS && raw.bytes().all(|b| matches!(b, b'-' | b'.' | b'0'..=b'9'))
}

/// A JSON number, from a number or from text that is one.
pub(crate) fn number(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    if matches!(raw.as_bytes()[0], b'-' | b'0'..=b'9') {
        return finite(raw).map(Cow::Borrowed);
    }
    match json_text::text(raw)? {
        Cow::Borrowed(text) => json_number(text).map(Cow::Borrowed),
        Cow::Owned(text) => json_number(&text).map(|text| Cow::Owned(text.to_owned())),
    }
}

fn json_number(text: &str) -> Result<&str, Omitted> {
    let number: &RawValue = serde_json::from_str(text).map_err(|_| Omitted::NotANumber)?;
    if matches!(text.as_bytes()[0], b'-' | b'0'..=b'9') {
        return finite(number.get());
    }
    Err(Omitted::NotANumber)
}

/// The number, unless no receiver can hold it. Such a number has an exponent or hundreds of digits.
pub(super) fn finite(text: &str) -> Result<&str, Omitted> {
    /// The largest double has 309 digits.
    const ALWAYS_FINITE_DIGITS: usize = 308;
    if text.len() <= ALWAYS_FINITE_DIGITS && !text.bytes().any(|b| matches!(b, b'e' | b'E')) {
        return Ok(text);
    }
    // Nor a number that is so small that they would read zero.
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = digits.bytes().all(|b| !matches!(b, b'1'..=b'9'));
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && (is_zero || number != 0.0) => Ok(text),
        _ => Err(Omitted::NotANumber),
    }
}

/// A whole number of zero or more, also from `2.0` and `"2"`.
pub(crate) fn integer(raw: &str) -> Result<u64, Omitted> {
    /// The largest whole number below which a double is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = number(raw).map_err(|_| Omitted::NotAnInteger)?;
    if let Ok(whole) = number.parse() {
        return Ok(whole);
    }
    let float: f64 = number.parse().map_err(|_| Omitted::NotAnInteger)?;
    if float.fract() == 0.0 && (0.0..=EXACT).contains(&float) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked just above"
        )]
        return Ok(float as u64);
    }
    Err(Omitted::NotAnInteger)
}

/// How many of an item: a fraction is rounded up, since a part of a pack is bought as a pack. `None` for a number below zero.
///
/// Text is read with a point or a comma as the decimal separator; text with any other character is not a quantity.
pub(crate) fn quantity(raw: &str) -> Result<Option<u64>, Omitted> {
    /// Far above any real quantity, and far below where a double is no longer exact.
    const MAX_QUANTITY: f64 = 1e12;
    if let Ok(whole) = raw.parse::<u32>() {
        return Ok(Some(whole.into()));
    }
    let text = json_text::text(raw).map_err(|_| Omitted::NotAQuantity)?;
    let is_number =
        |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'-' | b'+' | b'e' | b'E');
    if !text.bytes().all(is_number) {
        return Err(Omitted::NotAQuantity);
    }
    let decimal = text.replace(',', ".");
    let number: f64 = decimal.parse().map_err(|_| Omitted::NotAQuantity)?;
    if number < 0.0 {
        return Ok(None);
    }
    if number > MAX_QUANTITY || number.is_nan() {
        return Err(Omitted::NotAQuantity);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked just above"
    )]
    Ok(Some(number.ceil() as u64))
}

/// A year of four digits.
pub(crate) fn year(raw: &str) -> Result<u64, Omitted> {
    match integer(raw) {
        Ok(year @ 1_000..=9_999) => Ok(year),
        _ => Err(Omitted::NotAYear),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_that_receivers_would_read_as_zero_is_none() {
        for raw in [
            "1e-400",
            "\"2.5E-999\"",
            "-1e-1000",
            &format!("0.{}1", "0".repeat(400)),
        ] {
            assert_eq!(number(raw), Err(Omitted::NotANumber), "{raw}");
        }
        for raw in ["0", "0.0", "0e0", "0E-999", "-0.00e5", "1e-300", "5e-324"] {
            assert_eq!(number(raw).as_deref(), Ok(raw));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn only_finite_numbers_are_finite(digits in "-?[0-9]{1,310}(\\.[0-9]{1,20})?") {
            let is_finite = digits.parse().is_ok_and(f64::is_finite);
            prop_assert_eq!(finite(&digits).is_ok(), is_finite);
        }
    }

    #[test]
    fn a_whole_number_stays_exact() {
        assert_eq!(integer("9007199254740993"), Ok(9_007_199_254_740_993));
        assert_eq!(integer("2.0"), Ok(2));
        assert_eq!(integer(r#""3""#), Ok(3));
        for raw in ["1.5", "-1", "1e300", r#""two""#, "null", "[2]"] {
            assert_eq!(integer(raw), Err(Omitted::NotAnInteger), "{raw}");
        }
    }

    #[test]
    fn a_quantity_is_rounded_up_and_never_guessed() {
        for (raw, expected) in [
            ("2", Ok(Some(2))),
            (r#"" 2 ""#, Ok(Some(2))),
            ("2.0", Ok(Some(2))),
            ("0.5", Ok(Some(1))),
            (r#""2,5""#, Ok(Some(3))),
            ("0", Ok(Some(0))),
            ("-2", Ok(None)),
            (r#""-0.5""#, Ok(None)),
            (r#""2 pcs""#, Err(Omitted::NotAQuantity)),
            (r#""many""#, Err(Omitted::NotAQuantity)),
            (r#""1,000,000""#, Err(Omitted::NotAQuantity)),
            ("true", Err(Omitted::NotAQuantity)),
            ("[2]", Err(Omitted::NotAQuantity)),
            ("1e300", Err(Omitted::NotAQuantity)),
            (r#""inf""#, Err(Omitted::NotAQuantity)),
        ] {
            assert_eq!(quantity(raw), expected, "{raw}");
        }
    }

    #[test]
    fn a_year_has_four_digits() {
        assert_eq!(year(r#""2024""#), Ok(2024));
        assert_eq!(year("24"), Err(Omitted::NotAYear));
    }
}
