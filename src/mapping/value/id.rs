//! Ids that have a form.

use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::MAX_STORE_CODE_CHARS;
use crate::placeholder::{Role, is_placeholder};
use crate::whole_number::{self, Writer};
use std::borrow::Cow;

/// Digits as text: ids exceed what a double can hold.
pub(crate) fn digits(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    digits_of(json_text::id_text(raw)?)
}

/// A lead id, also with the letter that tables of Meta's lead forms put in front of it: `l:1234567890123456`. Meta refuses the whole
/// event when it is malformed.
pub(crate) fn lead_id(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    let text = json_text::id_text(raw)?;
    let digits = match text.strip_prefix("l:") {
        Some(id) => digits_of(Cow::Owned(id.trim().to_owned())),
        None => digits_of(text),
    };
    match digits {
        Ok(digits) if (15..=17).contains(&digits.len()) => Ok(digits),
        Err(why @ (Omitted::DigitsLost | Omitted::Placeholder)) => Err(why),
        _ => Err(Omitted::NotALeadId),
    }
}

fn digits_of(text: Cow<'_, str>) -> Result<Cow<'_, str>, Omitted> {
    /// More than the largest id has.
    const MAX_DIGITS: usize = 24;
    let text = known(whole(text)?)?;
    let good =
        !text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    if good {
        Ok(text)
    } else {
        Err(Omitted::NotDigits)
    }
}

/// The text without the decimals of a table.
fn whole(text: Cow<'_, str>) -> Result<Cow<'_, str>, Omitted> {
    Ok(match whole_number::whole(&text, Writer::Table)? {
        Some(number) => Cow::Owned(number),
        None => text,
    })
}

/// An id that is text of any form: a person's, of a click on an ad that leads to a conversation, the name of a browser.
pub(crate) fn identifier(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    known(json_text::id_text(raw)?)
}

/// Whether the text between the quotes of a plain JSON string may mean nothing.
pub(crate) fn may_be_placeholder(raw: &str) -> bool {
    raw.get(1..raw.len().saturating_sub(1))
        .is_none_or(|text| is_placeholder(text, Role::Id))
}

/// The id, unless it is a word that senders write for a missing one.
pub(super) fn known(id: Cow<'_, str>) -> Result<Cow<'_, str>, Omitted> {
    if is_placeholder(&id, Role::Id) {
        return Err(Omitted::Placeholder);
    }
    Ok(id)
}

/// The id of a device. All devices on which tracking is off have the same all-zero id, so that it would merge their owners into
/// one person.
pub(crate) fn device_id(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match json_text::id_text(raw)? {
        id if id.bytes().all(|b| matches!(b, b'0' | b'-')) => Err(Omitted::NoDevice),
        id => known(id),
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
        assert!(lead_id("123456789012345").is_ok());
        for raw in ["12345678901234", "123456789012345678"] {
            assert_eq!(lead_id(raw), Err(Omitted::NotALeadId), "{raw}");
        }
        for raw in ["1.5", "\"12a\"", "-2.0"] {
            assert_eq!(digits(raw), Err(Omitted::NotDigits), "{raw}");
        }
    }

    #[test]
    fn digits_of_a_float_are_those_of_the_whole_number_or_lost() {
        for raw in [
            "1234567890123456.0",
            r#""1234567890123456.0""#,
            "1.234567890123456e15",
            r#""l:1234567890123456""#,
        ] {
            assert_eq!(lead_id(raw).as_deref(), Ok("1234567890123456"), "{raw}");
        }
        for raw in [
            "1.2e16",
            r#""1.23457E+15""#,
            r#""l:1.23457E+15""#,
            "1.23e+15",
            "12345678901234567.0",
        ] {
            assert_eq!(lead_id(raw), Err(Omitted::DigitsLost), "{raw}");
            assert_eq!(
                digits(&raw.replace("l:", "")),
                Err(Omitted::DigitsLost),
                "{raw}"
            );
        }
    }

    #[test]
    fn a_word_for_a_missing_id_is_no_id() {
        for raw in [
            r#""undefined""#,
            r#""N/A""#,
            r#""0""#,
            "0",
            "0.0",
            r#""(not set)""#,
            r#"" null ""#,
        ] {
            assert_eq!(digits(raw), Err(Omitted::Placeholder), "{raw}");
            assert_eq!(lead_id(raw), Err(Omitted::Placeholder), "{raw}");
            assert_eq!(identifier(raw), Err(Omitted::Placeholder), "{raw}");
            assert!(!raw.starts_with('"') || device_id(raw).is_err(), "{raw}");
        }
        assert_eq!(device_id(r#""unknown""#), Err(Omitted::Placeholder));
        assert_eq!(identifier("12345.0").as_deref(), Ok("12345"));
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
