//! From a value as it stands in the event's JSON to the form that Meta wants, or to the reason why it has none.
//!
//! In: a slice of the event's text that is one JSON value. Out: text, numbers and lists that borrow from it wherever
//! they can. Invariant: nothing here panics or fails an event; a value that cannot be used is left out.

use crate::payload::{MAX_STORE_CODE_CHARS, MAX_TEXT_BYTES, MAX_VALUES};
use crate::words;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Why a value was not sent: a stable code, and one sentence without the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) code: &'static str,
    pub(crate) sentence: &'static str,
}

macro_rules! left_out {
    ($($name:ident = $code:literal, $sentence:literal;)*) => {
        $(pub(crate) const $name: LeftOut = LeftOut { code: $code, sentence: $sentence };)*
    };
}

left_out! {
    BLANK = "blank", "nothing is left of it without white space and control characters";
    WRONG_TYPE = "wrong_type", "it is not the kind of JSON value that this parameter takes";
    TOO_LONG = "too_long", "it is longer than 4096 bytes";
    NOT_TEXT = "not_text", "its JSON escapes do not make valid text";
    NOT_A_NUMBER = "not_a_number", "it cannot be read as a number";
    NOT_AN_INTEGER = "not_an_integer", "it is not a whole number that is zero or more";
    NOT_AN_AMOUNT = "not_an_amount", "it cannot be read as an amount of money";
    NOT_A_CURRENCY = "not_a_currency", "it is not an ISO 4217 currency code that Meta takes";
    NOT_A_BOOLEAN = "not_a_boolean", "it is neither true nor false";
    NOT_ALLOWED = "not_an_allowed_value", "it is not one of the values that Meta documents";
    NOT_A_DATE = "not_a_date", "it is in none of the date formats that Meta documents";
    NOT_A_TIME = "not_a_time", "it is neither ISO 8601 nor a Unix time";
    NOT_A_URL = "not_a_url", "it is not an absolute URL";
    NOT_DIGITS = "not_digits", "it is not made of digits";
    NOT_A_LEAD_ID = "not_a_lead_id", "a lead id has 15 to 17 digits";
    NOT_A_DAY = "not_a_day", "it is not a day as YYYY-MM-DD";
    NOT_A_PLATFORM = "not_a_platform", "app events have a device information of Android and iOS only";
    NOT_A_STORE_CODE = "not_a_store_code", "a store code has up to 64 letters and digits";
    NOT_LIMITED = "not_limited", "the place of limited data use means nothing where data use is not limited";
    NO_DEVICE = "no_device", "zeros are what every device says that does not want to be recognized";
    NOT_IOS = "not_ios", "a vendor id is of an iOS device";
    NOT_A_YEAR = "not_a_year", "a year has four digits";
    NO_CURRENCY = "no_currency", "an amount means nothing to Meta without a currency";
}

/// Whether there is nothing in a value: null, blank text, an empty list or object.
#[inline]
pub(crate) fn is_empty(raw: &str) -> bool {
    match raw.as_bytes()[0] {
        b'n' => true,
        b'"' | b'[' | b'{' => match raw.as_bytes()[1] {
            first if first.is_ascii_alphanumeric() => false,
            _ => raw[1..raw.len() - 1].trim().is_empty(),
        },
        _ => false,
    }
}

/// Text without the white space around it, never empty. Numbers count as text; other kinds do not.
pub(crate) fn text(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    match decoded(raw)? {
        text if text.is_empty() => Err(BLANK),
        text => Ok(text),
    }
}

/// Whether a value is text with nothing around it, no escape, no control character and no `@`. Says no to some that is.
#[inline]
pub(crate) fn is_plain_text(raw: &str) -> bool {
    let needs_a_look = |byte| may_hide_a_control(byte) | (byte == b'@');
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    inner.is_some_and(words::has_nothing_around)
        && raw.len() <= MAX_TEXT_BYTES
        && !words::has(raw, needs_a_look)
}

/// Whether a value is a number that every receiver can hold. Says no to some that are.
#[inline]
pub(crate) fn is_plain_number(raw: &str) -> bool {
    /// All below 10^16.
    const DIGITS: usize = 16;
    raw.len() <= DIGITS && raw.bytes().all(|b| matches!(b, b'-' | b'.' | b'0'..=b'9'))
}

/// Text as the sender wrote it, with nothing taken off: for values that have rules of their own, and for ids of Meta's,
/// which another character more or less makes another id of. Numbers count as text; other kinds do not.
pub(crate) fn text_as_written(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    match raw.as_bytes()[0] {
        b'"' if raw.len() > MAX_TEXT_BYTES + 2 => Err(TOO_LONG),
        b'"' if words::has(raw, |byte| byte == b'\\') => serde_json::from_str(raw)
            .map(Cow::Owned)
            .map_err(|_| NOT_TEXT),
        b'"' => Ok(Cow::Borrowed(&raw[1..raw.len() - 1])),
        b'-' | b'0'..=b'9' => Ok(Cow::Borrowed(raw)),
        _ => Err(WRONG_TYPE),
    }
}

/// The text without white space around it. Most has none, which its first and last bytes tell.
fn trimmed(text: &str) -> &str {
    if words::has_nothing_around(text) {
        return text;
    }
    text.trim()
}

fn decoded(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    match raw.as_bytes()[0] {
        b'"' => {}
        b'-' | b'0'..=b'9' => return Ok(Cow::Borrowed(raw)),
        _ => return Err(WRONG_TYPE),
    }
    if raw.len() > MAX_TEXT_BYTES + 2 {
        return Err(TOO_LONG);
    }
    let inner = &raw[1..raw.len() - 1];
    if !words::has(raw, may_hide_a_control) {
        return Ok(Cow::Borrowed(trimmed(inner)));
    }
    let mut decoded: String = serde_json::from_str(raw).map_err(|_| NOT_TEXT)?;
    decoded.retain(|c| !c.is_control());
    Ok(Cow::Owned(decoded.trim().to_owned()))
}

/// Whether a byte of JSON text can be part of an escape or of a control character: DEL, and what leads in those beyond
/// ASCII. The others never stand in JSON as they are.
fn may_hide_a_control(byte: u8) -> bool {
    (byte == b'\\') | (byte == 0x7f) | (byte == 0xc2)
}

/// The elements of a list, or the value itself. At most [`MAX_VALUES`].
pub(crate) fn elements(raw: &str) -> Elements<'_> {
    if !raw.starts_with('[') {
        return Elements::One(Some(raw));
    }
    let list: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    Elements::Several(list.into_iter())
}

/// One value or several, as slices of the event's text.
pub(crate) enum Elements<'a> {
    One(Option<&'a str>),
    Several(std::vec::IntoIter<&'a RawValue>),
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::One(value) => value.take(),
            Self::Several(list) => list.next().map(RawValue::get),
        }
    }
}

/// A JSON number, from a number or from text that is one.
pub(crate) fn number(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    if matches!(raw.as_bytes()[0], b'-' | b'0'..=b'9') {
        return finite(raw).map(Cow::Borrowed);
    }
    let text = text(raw)?;
    match text {
        Cow::Borrowed(text) => json_number(text).map(Cow::Borrowed),
        Cow::Owned(text) => json_number(&text).map(|text| Cow::Owned(text.to_owned())),
    }
}

fn json_number(text: &str) -> Result<&str, LeftOut> {
    let number: &RawValue = serde_json::from_str(text).map_err(|_| NOT_A_NUMBER)?;
    if matches!(text.as_bytes()[0], b'-' | b'0'..=b'9') {
        return finite(number.get());
    }
    Err(NOT_A_NUMBER)
}

/// JSON allows numbers that no receiver can hold. It takes an exponent, or hundreds of digits, to write one.
fn finite(text: &str) -> Result<&str, LeftOut> {
    /// The largest double has 309 digits.
    const ALWAYS_FINITE_DIGITS: usize = 308;
    if text.len() <= ALWAYS_FINITE_DIGITS && !text.bytes().any(|b| matches!(b, b'e' | b'E')) {
        return Ok(text);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(text),
        _ => Err(NOT_A_NUMBER),
    }
}

/// A whole number that is zero or more; `2.0` and `"2"` count.
pub(crate) fn integer(raw: &str) -> Result<u64, LeftOut> {
    /// The largest whole number below which a double is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = number(raw).map_err(|_| NOT_AN_INTEGER)?;
    if let Ok(whole) = number.parse() {
        return Ok(whole);
    }
    let float: f64 = number.parse().map_err(|_| NOT_AN_INTEGER)?;
    if float.fract() == 0.0 && (0.0..=EXACT).contains(&float) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked just above"
        )]
        return Ok(float as u64);
    }
    Err(NOT_AN_INTEGER)
}

/// An amount of money as a JSON number: from a number, or from text as people write it (`$1,299.00`, `1.299,00 €`).
pub(crate) fn money(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    match number(raw) {
        Ok(number) => Ok(number),
        Err(_) => written_amount(&text(raw)?)
            .map(Cow::Owned)
            .ok_or(NOT_AN_AMOUNT),
    }
}

/// Reads digits with separators between them and a currency around them.
///
/// Where both `,` and `.` occur, the last one is the decimal separator; a lone separator that is followed by exactly
/// three digits groups thousands when it is a comma, and is a decimal point when it is a point. A point in front of the
/// digits belongs to them (`$.99`), unless it ends a word (`Rs.5`). A minus comes first; behind, it is only the dash of
/// `5.-`.
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

/// `true` or `false`, also as text or as 1 and 0.
pub(crate) fn boolean(raw: &str) -> Result<bool, LeftOut> {
    match raw {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => match text(raw).map_err(|_| NOT_A_BOOLEAN)? {
            text if text.eq_ignore_ascii_case("true") => Ok(true),
            text if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(NOT_A_BOOLEAN),
        },
    }
}

/// An ISO 4217 code in upper case.
pub(crate) fn currency(raw: &str) -> Result<&'static str, LeftOut> {
    /// In the standard, but Meta has been seen to refuse it.
    const REFUSED: &str = "MRU";
    /// What most events say, found without a search.
    const FREQUENT: [(&str, &str); 4] = [
        ("\"USD\"", "USD"),
        ("\"EUR\"", "EUR"),
        ("\"GBP\"", "GBP"),
        ("\"BRL\"", "BRL"),
    ];
    if let Some((_, code)) = FREQUENT.iter().find(|(json, _)| *json == raw) {
        return Ok(code);
    }
    let text = text(raw)?;
    let mut upper = [0; 3];
    let code = text.as_bytes();
    if code.len() != upper.len() {
        return Err(NOT_A_CURRENCY);
    }
    upper.copy_from_slice(code);
    upper.make_ascii_uppercase();
    std::str::from_utf8(&upper)
        .ok()
        .and_then(iso_currency::Currency::from_code)
        .map(|currency| currency.code())
        .filter(|code| *code != REFUSED)
        .ok_or(NOT_A_CURRENCY)
}

/// The allowed value that this one is, whatever its case, spaces and hyphens.
pub(crate) fn one_of(raw: &str, allowed: &[&'static str]) -> Result<&'static str, LeftOut> {
    let text = text(raw)?;
    let written = |b: u8| {
        if b == b' ' || b == b'-' {
            b'_'
        } else {
            b.to_ascii_lowercase()
        }
    };
    allowed
        .iter()
        .copied()
        .find(|known| {
            known.len() == text.len()
                && known
                    .bytes()
                    .zip(text.bytes())
                    .all(|(a, b)| a.to_ascii_lowercase() == written(b))
        })
        .ok_or(NOT_ALLOWED)
}

/// Digits as text: ids exceed what a double holds.
pub(crate) fn digits(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    /// Decimal digits of the largest id, with room.
    const MAX_DIGITS: usize = 24;
    let text = text(raw)?;
    let good =
        !text.is_empty() && text.len() <= MAX_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
    if good { Ok(text) } else { Err(NOT_DIGITS) }
}

/// A lead id, which Meta refuses the whole event for when it is malformed.
pub(crate) fn lead_id(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    match digits(raw) {
        Ok(digits) if (15..=17).contains(&digits.len()) => Ok(digits),
        _ => Err(NOT_A_LEAD_ID),
    }
}

/// A year of four digits.
pub(crate) fn year(raw: &str) -> Result<u64, LeftOut> {
    match integer(raw) {
        Ok(year @ 1_000..=9_999) => Ok(year),
        _ => Err(NOT_A_YEAR),
    }
}

/// One of `YYYYMMDD`, `YYYY-MM-DD`, `YYYY-MM-DDThh:mmTZD`, `YYYY-MM-DDThh:mm:ssTZD`, as it was written.
pub(crate) fn date(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    let text = text(raw)?;
    let day = match text.len() {
        8 if text.bytes().all(|b| b.is_ascii_digit()) => {
            return text
                .parse::<jiff::civil::Date>()
                .is_ok()
                .then_some(text)
                .ok_or(NOT_A_DATE);
        }
        10 => text.parse::<jiff::civil::Date>().is_ok(),
        _ => text.contains('T') && text.parse::<jiff::Timestamp>().is_ok(),
    };
    if day { Ok(text) } else { Err(NOT_A_DATE) }
}

/// A day as `YYYY-MM-DD`.
pub(crate) fn day(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    match date(raw) {
        Ok(day) if day.len() == 10 => Ok(day),
        _ => Err(NOT_A_DAY),
    }
}

/// Meta's code of the system that a device runs, from the system's name.
pub(crate) fn platform(raw: &str) -> Result<&'static str, LeftOut> {
    const PLATFORMS: &[(&str, &str)] = &[
        ("android", "a2"),
        ("a2", "a2"),
        ("ios", "i2"),
        ("iphone os", "i2"),
        ("ipados", "i2"),
        ("iphone", "i2"),
        ("ipad", "i2"),
        ("i2", "i2"),
    ];
    let name = text(raw)?;
    PLATFORMS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        .map(|(_, code)| *code)
        .ok_or(NOT_A_PLATFORM)
}

/// Whether tracking is allowed: a boolean, or what the visitor answered to Apple's question. No answer is a no.
pub(crate) fn tracking(raw: &str) -> Result<bool, LeftOut> {
    const ANSWERS: &[&str] = &[
        "authorized",
        "denied",
        "restricted",
        "notDetermined",
        "not_determined",
    ];
    boolean(raw).or_else(|_| Ok(one_of(raw, ANSWERS)? == "authorized"))
}

/// The id of a device. Zeros would make one person of all who did not want to be recognized.
pub(crate) fn device_id(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    match text(raw)? {
        id if id.bytes().all(|b| matches!(b, b'0' | b'-')) => Err(NO_DEVICE),
        id => Ok(id),
    }
}

/// The code by which a business calls a store.
pub(crate) fn store_code(raw: &str) -> Result<Cow<'_, str>, LeftOut> {
    match text(raw)? {
        code if code.len() <= MAX_STORE_CODE_CHARS
            && code.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            Ok(code)
        }
        _ => Err(NOT_A_STORE_CODE),
    }
}

/// A time in milliseconds since the Unix epoch, from ISO 8601 (without an offset: UTC) or a number of seconds or
/// milliseconds.
pub(crate) fn time_ms(raw: &str) -> Result<i64, LeftOut> {
    /// Seconds reach this in the year 5138, milliseconds did in 1973.
    const LEAST_MILLIS: f64 = 1e11;
    /// The year 9999, in milliseconds.
    const LATEST: f64 = 253_402_300_799_000.0;
    if let Some(millis) = usual_time_ms(raw) {
        return Ok(millis);
    }
    if let Ok(number) = number(raw) {
        let number: f64 = number.parse().map_err(|_| NOT_A_TIME)?;
        let millis = if number.abs() < LEAST_MILLIS {
            number * 1_000.0
        } else {
            number
        };
        if !(0.0..=LATEST).contains(&millis) {
            return Err(NOT_A_TIME);
        }
        #[expect(clippy::cast_possible_truncation, reason = "in range, as just checked")]
        return Ok(millis as i64);
    }
    let text = text(raw)?;
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    text.parse::<jiff::civil::DateTime>()
        .ok()
        .and_then(|time| jiff::tz::Offset::UTC.to_timestamp(time).ok())
        .map(jiff::Timestamp::as_millisecond)
        .ok_or(NOT_A_TIME)
}

/// The time in the form that browsers and servers write, `"YYYY-MM-DDThh:mm:ss.sssZ"` with or without a fraction: what
/// the parser of all forms says of it, without that parser.
fn usual_time_ms(raw: &str) -> Option<i64> {
    const FORM: &[u8; 20] = b"\"0000-00-00T00:00:00";
    let (time, rest) = raw.as_bytes().split_first_chunk::<20>()?;
    let is_of_form = time.iter().zip(FORM).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    });
    let number = |digits: &[u8]| {
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + i16::from(digit - b'0'))
    };
    let millis = match rest {
        b"Z\"" => 0,
        [b'.', digits @ .., b'Z', b'"']
            if digits.len() == 3 && digits.iter().all(u8::is_ascii_digit) =>
        {
            number(digits)
        }
        _ => return None,
    };
    if !is_of_form {
        return None;
    }
    let two = |at: usize| i8::try_from(number(&time[at..at + 2])).ok();
    let date = jiff::civil::Date::new(number(&time[1..5]), two(6)?, two(9)?).ok()?;
    let time =
        jiff::civil::Time::new(two(12)?, two(15)?, two(18)?, i32::from(millis) * 1_000_000).ok()?;
    let time = jiff::tz::Offset::UTC
        .to_timestamp(date.to_datetime(time))
        .ok()?;
    Some(time.as_millisecond())
}

/// Text values of a list, blanks left out.
pub(crate) fn texts(raw: &str) -> impl Iterator<Item = Cow<'_, str>> {
    elements(raw)
        .filter_map(|element| text(element).ok())
        .take(MAX_VALUES.max(crate::extract::MAX_ELEMENTS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_usual_form_of_a_time_is_read_as_any_form_is(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,4})?[Zz+]?",
        ) {
            let expected = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
            let usual = usual_time_ms(&format!("\"{text}\""));
            prop_assert!(usual.is_none() || usual == expected, "{}: {:?} {:?}", text, usual, expected);
        }

        #[test]
        fn what_is_said_to_be_finite_is(digits in "-?[0-9]{1,310}(\\.[0-9]{1,20})?") {
            let is_finite = digits.parse().is_ok_and(f64::is_finite);
            prop_assert_eq!(finite(&digits).is_ok(), is_finite);
        }
    }

    #[test]
    fn the_usual_form_of_a_time_is_known() {
        assert_eq!(
            usual_time_ms(r#""2026-01-15T12:00:00Z""#),
            Some(1_768_478_400_000)
        );
        assert_eq!(
            usual_time_ms(r#""2026-01-15T12:00:00.007Z""#),
            Some(1_768_478_400_007)
        );
        for other in [
            r#""2026-02-30T12:00:00Z""#,
            r#""2026-01-15T12:00:60Z""#,
            r#""2026-01-15T12:00:00""#,
            r#""2026"#,
            "",
        ] {
            assert_eq!(usual_time_ms(other), None, "{other}");
        }
    }

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
        ] {
            assert_eq!(money(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn nonsense_is_no_amount() {
        for raw in [
            r#""free""#,
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
    fn a_whole_number_stays_exact() {
        assert_eq!(integer("9007199254740993"), Ok(9_007_199_254_740_993));
        assert_eq!(integer("2.0"), Ok(2));
        assert_eq!(integer(r#""3""#), Ok(3));
        for raw in ["1.5", "-1", "1e300", r#""two""#, "null", "[2]"] {
            assert_eq!(integer(raw), Err(NOT_AN_INTEGER), "{raw}");
        }
        assert_eq!(
            digits("12345678901234567").as_deref(),
            Ok("12345678901234567")
        );
        assert_eq!(
            digits(r#""12345678901234567""#).as_deref(),
            Ok("12345678901234567")
        );
        assert_eq!(digits("1.2e16"), Err(NOT_DIGITS));
        assert!(lead_id("123456789012345").is_ok());
        assert_eq!(lead_id("12345678901234"), Err(NOT_A_LEAD_ID));
        assert_eq!(lead_id("123456789012345678"), Err(NOT_A_LEAD_ID));
        assert_eq!(year(r#""2024""#), Ok(2024));
        assert_eq!(year("24"), Err(NOT_A_YEAR));
    }

    #[test]
    fn text_is_trimmed_and_loses_control_characters() {
        assert_eq!(text(r#"" a b ""#).as_deref(), Ok("a b"));
        assert_eq!(text(r#"" \u0000é\t""#).as_deref(), Ok("é"));
        assert_eq!(text(r#""\ud800""#), Err(NOT_TEXT));
        assert_eq!(text("42").as_deref(), Ok("42"));
        assert_eq!(text("true"), Err(WRONG_TYPE));
        assert_eq!(text(r#"" \u0000 ""#), Err(BLANK));
        let long = format!("\"{}\"", "x".repeat(MAX_TEXT_BYTES));
        assert!(text(&long).is_ok());
        assert_eq!(text(&long.replace('"', "\"x")), Err(TOO_LONG));
    }

    #[test]
    fn a_time_is_iso_8601_or_a_unix_time() {
        let noon = 1_768_478_400_000;
        for raw in [
            r#""2026-01-15T12:00:00Z""#,
            r#""2026-01-15T12:00:00.000Z""#,
            r#""2026-01-15T14:00:00+02:00""#,
            r#""2026-01-15T12:00:00""#,
            r#""2026-01-15 12:00:00""#,
            "1768478400",
            "1768478400000",
            "1768478400.0",
            r#""1768478400""#,
        ] {
            assert_eq!(time_ms(raw), Ok(noon), "{raw}");
        }
        for raw in [
            r#""yesterday""#,
            "-1",
            "1e300",
            "true",
            r#""""#,
            r#""15.01.2026""#,
        ] {
            assert_eq!(time_ms(raw).map_err(|_| ()), Err(()), "{raw}");
        }
    }

    #[test]
    fn a_date_is_one_of_four_forms() {
        for good in [
            "20260115",
            "2026-01-15",
            "2026-01-15T12:00Z",
            "2026-01-15T12:00:00+01:00",
        ] {
            assert_eq!(date(&format!("\"{good}\"")).as_deref(), Ok(good));
        }
        for bad in [
            "15.01.2026",
            "2026-13-01",
            "20261301",
            "2026-01-15T12:00",
            "soon",
        ] {
            assert_eq!(date(&format!("\"{bad}\"")), Err(NOT_A_DATE), "{bad}");
        }
    }

    #[test]
    fn an_enumerated_value_is_found_whatever_its_case() {
        assert_eq!(
            one_of(r#""Home Delivery""#, &["in_store", "home_delivery"]),
            Ok("home_delivery")
        );
        assert_eq!(one_of(r#""suv""#, &["SUV"]), Ok("SUV"));
        assert_eq!(one_of(r#""tank""#, &["SUV"]), Err(NOT_ALLOWED));
    }

    #[test]
    fn a_currency_is_an_iso_4217_code() {
        assert_eq!(currency(r#"" usd ""#), Ok("USD"));
        assert_eq!(currency(r#""XXQ""#), Err(NOT_A_CURRENCY));
        assert_eq!(currency(r#""€""#), Err(NOT_A_CURRENCY));
        assert_eq!(currency("840"), Err(NOT_A_CURRENCY));
        assert_eq!(currency(r#""mru""#), Err(NOT_A_CURRENCY));
    }

    #[test]
    fn nothing_is_empty_in_many_ways() {
        for raw in ["null", r#""""#, r#""  ""#, "[]", "[ ]", "{}", "{ }"] {
            assert!(is_empty(raw), "{raw}");
        }
        for raw in ["0", "false", r#""x""#, "[null]"] {
            assert!(!is_empty(raw), "{raw}");
        }
    }

    #[test]
    fn control_characters_do_not_stay_in_text() {
        assert_eq!(text("\" a\u{7f}b\u{85} \"").as_deref(), Ok("ab"));
        assert_eq!(text(r#""a\u0000b\n""#).as_deref(), Ok("ab"));
        assert_eq!(text("\"\u{7f}\""), Err(BLANK));
        assert_eq!(text("\"10 £ ©\"").as_deref(), Ok("10 £ ©"));
    }

    #[test]
    fn a_system_is_known_by_its_name() {
        for (raw, expected) in [
            (r#""iOS""#, Ok("i2")),
            (r#""iPhone OS""#, Ok("i2")),
            (r#""Android""#, Ok("a2")),
            (r#""a2""#, Ok("a2")),
            (r#""Windows""#, Err(NOT_A_PLATFORM)),
            ("2", Err(NOT_A_PLATFORM)),
            ("true", Err(WRONG_TYPE)),
        ] {
            assert_eq!(platform(raw), expected, "{raw}");
        }
    }

    #[test]
    fn tracking_is_allowed_by_a_yes_alone() {
        for (raw, expected) in [
            ("true", Ok(true)),
            ("1", Ok(true)),
            ("0", Ok(false)),
            (r#""authorized""#, Ok(true)),
            (r#""denied""#, Ok(false)),
            (r#""notDetermined""#, Ok(false)),
            (r#""maybe""#, Err(NOT_ALLOWED)),
            ("2", Err(NOT_ALLOWED)),
            ("[true]", Err(WRONG_TYPE)),
        ] {
            assert_eq!(tracking(raw), expected, "{raw}");
        }
    }

    #[test]
    fn an_id_of_zeros_is_no_device() {
        let zeros = r#""00000000-0000-0000-0000-000000000000""#;
        assert_eq!(device_id(zeros), Err(NO_DEVICE));
        assert_eq!(device_id("0"), Err(NO_DEVICE));
        assert_eq!(device_id(r#""0000-000a""#).as_deref(), Ok("0000-000a"));
    }

    #[test]
    fn a_day_has_one_form_and_a_store_code_no_punctuation() {
        assert_eq!(day(r#""2026-02-28""#).as_deref(), Ok("2026-02-28"));
        for raw in [r#""20260228""#, r#""2026-02-30""#, r#""2026-02-28T10:00Z""#] {
            assert_eq!(day(raw), Err(NOT_A_DAY), "{raw}");
        }
        let longest = format!("\"{}\"", "A1".repeat(MAX_STORE_CODE_CHARS / 2));
        assert!(store_code(&longest).is_ok());
        for raw in [&*longest.replace("A1A1", "A1A1A"), r#""A-1""#, r#""Ä1""#] {
            assert_eq!(store_code(raw), Err(NOT_A_STORE_CODE), "{raw}");
        }
    }
}
