//! Amounts of money, and currencies.

use super::number::{finite, number};
use crate::json_text;
use crate::omitted::Omitted;
use std::borrow::Cow;

/// An amount of money as a JSON number: from a number, or from text as people write it (`$1,299.00`, `1.299,00 €`).
pub(crate) fn money(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    if let Ok(number) = number(raw) {
        return Ok(number);
    }
    let text = json_text::text(raw)?;
    written_amount(&text)
        .or_else(|| accounted_loss(&text))
        .map(Cow::Owned)
        .ok_or(Omitted::NotAnAmount)
}

/// Reads an amount in parentheses, which accountants write for an amount below zero.
fn accounted_loss(text: &str) -> Option<String> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let amount = written_amount(inner).filter(|amount| !amount.starts_with('-'))?;
    Some(format!("-{amount}"))
}

/// Reads digits with separators between them and a currency around them.
///
/// Where both `,` and `.` occur, the last one is the decimal separator. A single separator before exactly three digits groups
/// thousands if it is a comma, and is the decimal separator if it is a point. A point right before the digits belongs to them
/// (`$.99`), unless it ends a word (`Rs.5`). A minus sign comes before the digits; after them only `5.-` has a dash.
fn written_amount(text: &str) -> Option<String> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (before, digits, after) = (&text[..start], &text[start..end], &text[end..]);
    let negative = before.contains(['-', '\u{2212}']);
    let is_fraction = before
        .strip_suffix('.')
        .is_some_and(|sign| !sign.ends_with(char::is_alphabetic));
    if after.contains(['-', '\u{2212}']) && !after.starts_with('.') {
        return None;
    }
    let around = |c: char| {
        c.is_whitespace()
            || c.is_alphabetic()
            || is_currency_sign(c)
            || matches!(c, '-' | '\u{2212}' | '.')
    };
    if !before.chars().chain(after.chars()).all(around) {
        return None;
    }
    let grouping = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '\u{2019}');
    let digits: String = digits.chars().filter(|c| !grouping(*c)).collect();
    let decimal = match (digits.rfind(','), digits.rfind('.')) {
        (Some(comma), Some(point)) => Some(comma.max(point)),
        (Some(comma), None) => {
            (digits.matches(',').count() == 1 && digits.len() - comma != 4).then_some(comma)
        }
        (None, Some(point)) => (digits.matches('.').count() == 1).then_some(point),
        (None, None) => None,
    };
    let (whole, fraction) = match decimal {
        None if is_fraction => ("", digits.as_str()),
        None => (digits.as_str(), ""),
        Some(at) => (&digits[..at], &digits[at + 1..]),
    };
    if is_fraction && !whole.is_empty() {
        return None;
    }
    let groups: Vec<&str> = whole.split([',', '.']).collect();
    let grouped = groups.len() == 1
        || (groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let whole = groups.concat();
    if !grouped || !all_digits(&whole) || !all_digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let mut amount = String::with_capacity(text.len());
    amount.push_str(if negative { "-" } else { "" });
    amount.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        amount.push('.');
        amount.push_str(fraction);
    }
    finite(&amount).is_ok().then_some(amount)
}

fn is_currency_sign(c: char) -> bool {
    matches!(c, '$' | '¢'..='¥' | '\u{20a0}'..='\u{20cf}' | '＄' | '￠' | '￡' | '￥' | '￦')
}

/// An ISO 4217 code in upper case.
pub(crate) fn currency(raw: &str) -> Result<&'static str, Omitted> {
    /// In the standard, but Meta refused it when tried.
    const REFUSED: &str = "MRU";
    /// The currencies of most events, found without a search.
    const FREQUENT: [(&str, &str); 4] = [
        ("\"USD\"", "USD"),
        ("\"EUR\"", "EUR"),
        ("\"GBP\"", "GBP"),
        ("\"BRL\"", "BRL"),
    ];
    if let Some((_, code)) = FREQUENT.iter().find(|(json, _)| *json == raw) {
        return Ok(code);
    }
    let text = json_text::text(raw)?;
    let mut upper = [0; 3];
    let code = text.as_bytes();
    if code.len() != upper.len() {
        return Err(Omitted::NotACurrency);
    }
    upper.copy_from_slice(code);
    upper.make_ascii_uppercase();
    std::str::from_utf8(&upper)
        .ok()
        .and_then(iso_currency::Currency::from_code)
        .map(|currency| currency.code())
        .filter(|code| *code != REFUSED)
        .ok_or(Omitted::NotACurrency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_as_people_write_it() {
        for (raw, expected) in [
            ("129.99", "129.99"),
            ("0", "0"),
            ("-5", "-5"),
            ("1e2", "1e2"),
            (r#""129.99""#, "129.99"),
            (r#"" 12 ""#, "12"),
            (r#""$1,299.00""#, "1299.00"),
            (r#""1.299,00 €""#, "1299.00"),
            (r#""1,299""#, "1299"),
            (r#""1,299,000""#, "1299000"),
            (r#""1.299.000,5""#, "1299000.5"),
            (r#""12,5""#, "12.5"),
            (r#""CHF 1'299.95""#, "1299.95"),
            (r#""1 299,00 zł""#, "1299.00"),
            (r#""-$3.50""#, "-3.50"),
            (r#""Rs. 007""#, "7"),
            (r#""\u20ac 5""#, "5"),
            (r#""USD 0.99""#, "0.99"),
            (r#"".5""#, "0.5"),
            (r#""-.5""#, "-0.5"),
            (r#""$.99""#, "0.99"),
            (r#""Rs.5""#, "5"),
            (r#""5.-""#, "5"),
            (r#""(20.00)""#, "-20.00"),
            (r#""($1,299.00)""#, "-1299.00"),
            (r#""( 5 € )""#, "-5"),
        ] {
            assert_eq!(money(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn nonsense_is_not_an_amount() {
        for raw in [
            r#""free""#,
            r#""(-5)""#,
            r#""(5""#,
            r#""()""#,
            r#""NaN""#,
            r#""Infinity""#,
            r#""1-2""#,
            r#""12/5""#,
            r#""1,2,3""#,
            r#"".1.2""#,
            r#"".1,2""#,
            r#""5-""#,
            r#""1.2.3,4.5""#,
            r#""""#,
            "true",
            "[1]",
            r#"{"a":1}"#,
            "1e999",
            r#""1e999""#,
            r#""0x10""#,
            r#""+""#,
        ] {
            assert!(money(raw).is_err(), "{raw}: {:?}", money(raw));
        }
    }

    #[test]
    fn a_currency_is_an_iso_4217_code() {
        assert_eq!(currency(r#"" usd ""#), Ok("USD"));
        assert_eq!(currency(r#""XXQ""#), Err(Omitted::NotACurrency));
        assert_eq!(currency(r#""€""#), Err(Omitted::NotACurrency));
        assert_eq!(currency("840"), Err(Omitted::NotACurrency));
        assert_eq!(currency(r#""mru""#), Err(Omitted::NotACurrency));
    }
}
