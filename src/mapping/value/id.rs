//! Ids that have a form.

use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::MAX_STORE_CODE_CHARS;
use std::borrow::Cow;

/// Digits as text: ids exceed what a double can hold.
pub(crate) fn digits(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    /// More than the largest id has.
    const MAX_DIGITS: usize = 24;
    let text = json_text::text(raw)?;
    let good =
        !text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    if good {
        Ok(text)
    } else {
        Err(Omitted::NotDigits)
    }
}

/// A lead id. Meta refuses the whole event when it is malformed.
pub(crate) fn lead_id(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match digits(raw) {
        Ok(digits) if (15..=17).contains(&digits.len()) => Ok(digits),
        _ => Err(Omitted::NotALeadId),
    }
}

/// The id of a device. All devices on which tracking is off have the same all-zero id, so that it would merge their owners into
/// one person.
pub(crate) fn device_id(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match json_text::text(raw)? {
        id if id.bytes().all(|b| matches!(b, b'0' | b'-')) => Err(Omitted::NoDevice),
        id => Ok(id),
    }
}

/// The code that a business has given to a store.
pub(crate) fn store_code(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match json_text::text(raw)? {
        code if code.len() <= MAX_STORE_CODE_CHARS
            && code.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            Ok(code)
        }
        _ => Err(Omitted::NotAStoreCode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_digits_stays_exact() {
        for raw in ["12345678901234567", r#""12345678901234567""#] {
            assert_eq!(digits(raw).as_deref(), Ok("12345678901234567"));
        }
        assert_eq!(digits("1.2e16"), Err(Omitted::NotDigits));
        assert!(lead_id("123456789012345").is_ok());
        for raw in ["12345678901234", "123456789012345678"] {
            assert_eq!(lead_id(raw), Err(Omitted::NotALeadId), "{raw}");
        }
    }

    #[test]
    fn an_all_zero_id_is_not_a_device() {
        let zeros = r#""00000000-0000-0000-0000-000000000000""#;
        assert_eq!(device_id(zeros), Err(Omitted::NoDevice));
        assert_eq!(device_id("0"), Err(Omitted::NoDevice));
        assert_eq!(device_id(r#""0000-000a""#).as_deref(), Ok("0000-000a"));
    }

    #[test]
    fn a_store_code_has_no_punctuation() {
        let longest = format!("\"{}\"", "A1".repeat(MAX_STORE_CODE_CHARS / 2));
        assert!(store_code(&longest).is_ok());
        for raw in [&*longest.replace("A1A1", "A1A1A"), r#""A-1""#, r#""Ä1""#] {
            assert_eq!(store_code(raw), Err(Omitted::NotAStoreCode), "{raw}");
        }
    }
}
