//! Times and dates.

use super::number::number;
use crate::json_text;
use crate::omitted::Omitted;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, civil, fmt};
use std::borrow::Cow;

/// A time of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Milliseconds since the Unix epoch.
    pub(crate) millis: i64,
    /// Whether it was written without an offset, so that a time zone had to be assumed.
    pub(crate) is_local: bool,
}

impl Moment {
    const fn certain(millis: i64) -> Self {
        Self {
            millis,
            is_local: false,
        }
    }

    fn of(time: Timestamp) -> Self {
        Self::certain(time.as_millisecond())
    }

    /// A time that was written without an offset.
    fn local(time: civil::DateTime, zone: &TimeZone) -> Option<Self> {
        Some(Self {
            is_local: true,
            ..Self::of(zone.to_timestamp(time).ok()?)
        })
    }
}

/// No clock on earth is further from UTC: 14 hours.
const MAX_OFFSET_SECS: i32 = 14 * 60 * 60;

/// The time zone of this name (IANA) or offset, from the database that is part of the program.
pub(crate) fn time_zone(written: &str) -> Option<TimeZone> {
    let written = written.trim();
    if written.starts_with(['+', '-']) {
        let parser = fmt::temporal::DateTimeParser::new();
        let zone = parser.parse_time_zone_with(&TimeZoneDatabase::none(), written);
        return zone.ok().filter(|zone| {
            let offset = zone.to_fixed_offset().map(Offset::seconds);
            offset.is_ok_and(|seconds| seconds.abs() <= MAX_OFFSET_SECS)
        });
    }
    let is_utc = ["UTC", "GMT", "Z"]
        .iter()
        .any(|word| written.eq_ignore_ascii_case(word));
    if is_utc {
        return Some(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled()
        .get(written)
        .ok()
        .filter(|zone| !zone.is_unknown())
}

/// The names of all time zones.
pub(crate) fn time_zone_names() -> Vec<String> {
    let database = TimeZoneDatabase::bundled();
    database.available().map(|name| name.to_string()).collect()
}

/// A time: ISO 8601, RFC 2822 and some forms that languages print, or a number of seconds, milliseconds, microseconds or
/// nanoseconds since the Unix epoch. `zone` is for those without an offset.
///
/// # Errors
///
/// The value is no time, or could be two.
pub(crate) fn moment(raw: &str, zone: &TimeZone) -> Result<Moment, Omitted> {
    if let Some(millis) = usual_time_ms(raw) {
        return Ok(Moment::certain(millis));
    }
    unusual_moment(raw, zone)
}

#[cold]
fn unusual_moment(raw: &str, zone: &TimeZone) -> Result<Moment, Omitted> {
    if let Ok(number) = number(raw) {
        return match compact(&number) {
            Some(time) => Moment::local(time, zone).ok_or(Omitted::NotATime),
            None => since_epoch(&number).map(Moment::certain),
        };
    }
    let text = json_text::text(raw)?;
    if let Some(moment) = iso_8601(&text, zone).or_else(|| printed(&text)) {
        return Ok(moment);
    }
    if is_ambiguous(&text) {
        Err(Omitted::AmbiguousTime)
    } else {
        Err(Omitted::NotATime)
    }
}

/// Digits of a date, or of a date and a time: `YYYYMMDD` and `YYYYMMDDhhmmss`. As a Unix time they would mean the year 1970 or
/// the 27th century.
fn compact(digits: &str) -> Option<civil::DateTime> {
    let is_of_a_date = matches!(digits.len(), 8 | 14)
        && (digits.starts_with("19") || digits.starts_with("20"))
        && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_of_a_date {
        return None;
    }
    let (date, time) = digits.split_at(8);
    let date: civil::Date = date.parse().ok()?;
    if time.is_empty() {
        return Some(date.to_datetime(civil::Time::midnight()));
    }
    let time: civil::Time = format!("T{time}").parse().ok()?;
    Some(date.to_datetime(time))
}

/// Milliseconds from a number of seconds, milliseconds, microseconds or nanoseconds, which its size tells apart.
fn since_epoch(number: &str) -> Result<i64, Omitted> {
    /// Seconds reach this in the year 5138; each smaller unit did so in 1973.
    const LEAST_MILLIS: u128 = 10_u128.pow(11);
    const LEAST_MICROS: u128 = 10_u128.pow(14);
    const LEAST_NANOS: u128 = 10_u128.pow(17);
    /// The year 5138 in nanoseconds.
    const END: u128 = 10_u128.pow(20);
    let thousandths = thousandths(number).ok_or(Omitted::NotATime)?;
    let millis = match thousandths / 1_000 {
        seconds if seconds < LEAST_MILLIS => thousandths,
        millis if millis < LEAST_MICROS => millis,
        micros if micros < LEAST_NANOS => micros / 1_000,
        nanos if nanos < END => nanos / 1_000_000,
        _ => return Err(Omitted::NotATime),
    };
    i64::try_from(millis).map_err(|_| Omitted::NotATime)
}

/// A number of zero or more, times a thousand, without the rest. Exact unless the number has an exponent: a double does not hold
/// nanoseconds.
fn thousandths(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if let Ok(whole) = whole.parse::<u64>()
        && fraction.bytes().all(|b| b.is_ascii_digit())
    {
        let digits = fraction.bytes().chain("000".bytes()).take(3);
        let rest = digits.fold(0, |sum, digit| sum * 10 + u128::from(digit & 0xf));
        return Some(u128::from(whole) * 1_000 + rest);
    }
    let number: f64 = number.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not below zero, and far below the largest number"
    )]
    (0.0..1e20)
        .contains(&number)
        .then_some((number * 1e3) as u128)
}

/// ISO 8601 with what programs add to it: a space before the offset, and `UTC` or `GMT` as the offset or after it; also with
/// slashes in a date that begins with the year.
fn iso_8601(text: &str, zone: &TimeZone) -> Option<Moment> {
    if let Ok(time) = text.parse() {
        return Some(Moment::of(time));
    }
    if text.as_bytes().get(4) == Some(&b'/') {
        let (date, time) = text.split_at_checked(10)?;
        return iso_8601(&format!("{}{time}", date.replace('/', "-")), zone);
    }
    for word in ["UTC", "GMT", "Z"] {
        let Some(at) = text.len().checked_sub(word.len()) else {
            continue;
        };
        if let Some((time, last)) = text.split_at_checked(at)
            && last.eq_ignore_ascii_case(word)
        {
            return with_offset(time.trim_end()).or_else(|| local(time.trim_end(), &TimeZone::UTC));
        }
    }
    with_offset(text).or_else(|| local(text, zone))
}

/// A time with an offset after a space: `2026-01-15 12:00:00 +0000`.
fn with_offset(text: &str) -> Option<Moment> {
    if let Ok(time) = text.parse() {
        return Some(Moment::of(time));
    }
    let (time, offset) = text.rsplit_once(' ')?;
    if !offset.starts_with(['+', '-']) {
        return None;
    }
    format!("{}{offset}", time.trim_end())
        .parse()
        .ok()
        .map(Moment::of)
}

fn local(text: &str, zone: &TimeZone) -> Option<Moment> {
    let local = Moment::local(text.parse().ok()?, zone)?;
    Some(local)
}

/// RFC 2822, and what JavaScript, Java and C print.
fn printed(text: &str) -> Option<Moment> {
    /// With an offset.
    const JAVASCRIPT: &str = "%a %b %d %Y %H:%M:%S GMT%z";
    /// In UTC.
    const JAVA: [&str; 2] = ["%a %b %d %H:%M:%S UTC %Y", "%a %b %d %H:%M:%S GMT %Y"];
    let rfc_2822 = fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    if let Ok(time) = rfc_2822.parse_timestamp(text) {
        return Some(Moment::of(time));
    }
    let without_zone_name = text.split_once(" (").map_or(text, |(time, _)| time);
    if let Ok(time) = Timestamp::strptime(JAVASCRIPT, without_zone_name) {
        return Some(Moment::of(time));
    }
    let mut in_utc = JAVA
        .iter()
        .filter_map(|form| civil::DateTime::strptime(form, text).ok());
    let time = Offset::UTC.to_timestamp(in_utc.next()?).ok()?;
    Some(Moment::of(time))
}

/// Whether a text begins with a date whose day and month could be either way round: `11/26/2026`, `1.2.26`.
fn is_ambiguous(text: &str) -> bool {
    let date = text.split([' ', 'T', ',']).next().unwrap_or_default();
    let parts: Vec<_> = date.split(['/', '.', '-']).collect();
    let is_number = |part: &&str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    matches!(&parts[..], [one, other, year]
        if is_number(one, 1..=2) && is_number(other, 1..=2) && is_number(year, 2..=4))
}

/// The time in the form that most browsers and servers write, `"YYYY-MM-DDThh:mm:ss.sssZ"` with or without the fraction. Reads
/// it as the general parser does, with less work.
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

/// One of `YYYYMMDD`, `YYYY-MM-DD`, `YYYY-MM-DDThh:mmTZD`, `YYYY-MM-DDThh:mm:ssTZD`, as it was written.
pub(crate) fn date(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    let text = json_text::text(raw)?;
    if is_documented_date(&text) {
        let is_in_calendar = match text.len() {
            8 | 10 => text.parse::<jiff::civil::Date>().is_ok(),
            _ => text.parse::<jiff::Timestamp>().is_ok(),
        };
        return is_in_calendar.then_some(text).ok_or(Omitted::NotADate);
    }
    documented_date(&text)
        .map(Cow::Owned)
        .ok_or(Omitted::NotADate)
}

/// Whether a text has one of the forms that Meta documents, whatever its digits are: `YYYYMMDD`, `YYYY-MM-DD`, and the latter with
/// `Thh:mm` or `Thh:mm:ss` and a zone of `Z` or `±hh:mm`.
fn is_documented_date(text: &str) -> bool {
    let is_of = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(byte, wanted)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    b'+' => matches!(byte, b'+' | b'-'),
                    _ => byte == wanted,
                })
    };
    let Some((day, time)) = text.split_once('T') else {
        return is_of(text, "00000000") || is_of(text, "0000-00-00");
    };
    let clock = time.strip_suffix('Z').unwrap_or_else(|| {
        let zone = time.len().saturating_sub("+00:00".len());
        let has_zone = time.get(zone..).is_some_and(|zone| is_of(zone, "+00:00"));
        if has_zone { &time[..zone] } else { "" }
    });
    is_of(day, "0000-00-00") && (is_of(clock, "00:00") || is_of(clock, "00:00:00"))
}

/// A point in time that is written in another form, as JavaScript and databases do: with fractions of a second, with a zone of another
/// spelling. Its day, time and zone stay.
#[cold]
fn documented_date(text: &str) -> Option<String> {
    let is_long = text.contains(['T', 't']) && text.parse::<jiff::Timestamp>().is_ok();
    let pieces = jiff::fmt::temporal::Pieces::parse(text)
        .ok()
        .filter(|_| is_long)?;
    let (day, time) = (pieces.date(), pieces.time()?);
    let zone = match pieces.offset()? {
        jiff::fmt::temporal::PiecesOffset::Zulu => "Z".to_owned(),
        offset => {
            let seconds = match offset {
                jiff::fmt::temporal::PiecesOffset::Numeric(offset) => offset.offset().seconds(),
                _ => 0,
            };
            let minutes = seconds.abs() / 60;
            let sign = if seconds < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    };
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    Some(format!("{day}T{hour:02}:{minute:02}:{second:02}{zone}"))
        .filter(|date| is_documented_date(date))
}

/// A day as `YYYY-MM-DD`.
pub(crate) fn day(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match date(raw) {
        Ok(day) if day.len() == 10 => Ok(day),
        _ => Err(Omitted::NotADay),
    }
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
    }

    #[test]
    fn a_date_is_sent_in_a_documented_form() {
        for same in [
            "20260115",
            "2026-01-15",
            "2026-01-15T12:00Z",
            "2026-01-15T12:00:00Z",
            "2026-01-15T12:00+01:00",
            "2026-01-15T12:00:59-05:30",
        ] {
            assert_eq!(date(&format!("\"{same}\"")).as_deref(), Ok(same));
        }
        for (written, expected) in [
            ("2026-11-23T18:18:54.000Z", "2026-11-23T18:18:54Z"),
            (
                "2026-11-23T18:18:54.123456+02:00",
                "2026-11-23T18:18:54+02:00",
            ),
            ("2026-11-23T18:18:54z", "2026-11-23T18:18:54Z"),
            ("2026-11-23t18:18:54+0200", "2026-11-23T18:18:54+02:00"),
            ("20261123T181854Z", "2026-11-23T18:18:54Z"),
            (
                "2026-11-23T18:18:54+02:00[Europe/Berlin]",
                "2026-11-23T18:18:54+02:00",
            ),
            ("2026-11-23T18:18-08", "2026-11-23T18:18:00-08:00"),
        ] {
            let raw = format!("\"{written}\"");
            assert_eq!(date(&raw).as_deref(), Ok(expected), "{written}");
        }
        for wrong in [
            "2026-02-30",
            "20260230",
            "2026-01-15T25:00Z",
            "2026-01-15T12:00:00",
            "2026-W03-4",
            "15.01.2026",
            "2026-1-5",
            "-002026-01-15",
            "2026-01-15 12:00Z",
            "T",
            "",
        ] {
            assert!(date(&format!("\"{wrong}\"")).is_err(), "{wrong}");
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

    /// 2026-01-15T12:00:00Z.
    const NOON: i64 = 1_768_478_400_000;

    fn time_ms(raw: &str) -> Result<i64, Omitted> {
        moment(raw, &TimeZone::UTC).map(|moment| moment.millis)
    }

    #[test]
    fn a_time_is_iso_8601_or_a_unix_time() {
        for raw in [
            r#""2026-01-15T12:00:00Z""#,
            r#""2026-01-15T12:00:00.000Z""#,
            r#""2026-01-15T14:00:00+02:00""#,
            r#""2026-01-15T12:00:00""#,
            r#""2026-01-15 12:00:00""#,
            r#""2026-01-15T12:00Z""#,
            "1768478400",
            "1768478400000",
            "1768478400.0",
            "1.7684784e9",
            r#""1768478400""#,
            "1768478400000000",
            r#""1768478400000000""#,
            "1768478400000000000",
            "20260115120000",
        ] {
            assert_eq!(time_ms(raw), Ok(NOON), "{raw}");
        }
        for raw in [
            r#""yesterday""#,
            "-1",
            "1e20",
            "1e300",
            "true",
            r#""""#,
            r#""2026-02-30T12:00:00Z""#,
            r#""2026-01-15T12:00:00 PST""#,
            r#""undefined""#,
            r#"["2026-01-15T12:00:00Z"]"#,
            r#"{"$date":"2026-01-15T12:00:00Z"}"#,
        ] {
            assert_eq!(time_ms(raw).map_err(|_| ()), Err(()), "{raw}");
        }
    }

    #[test]
    fn a_time_may_be_written_as_programs_print_it() {
        for text in [
            "Thu, 15 Jan 2026 12:00:00 GMT",
            "Thu, 15 Jan 2026 14:00:00 +0200",
            "15 Jan 2026 12:00:00 +0000",
            "2026-01-15 12:00:00 UTC",
            "2026-01-15 12:00:00 GMT",
            "2026-01-15 12:00:00 Z",
            "2026-01-15 12:00:00 utc",
            "2026-01-15T12:00:00UTC",
            "2026-01-15 12:00:00 +0000",
            "2026-01-15 12:00:00 +00:00",
            "2026-01-15 14:00:00.000 +02:00",
            "2026-01-15T07:00:00 -0500",
            "2026-01-15 12:00:00 +0000 UTC",
            "2026/01/15 12:00:00",
            "2026/01/15 12:00:00 UTC",
            "Thu Jan 15 2026 21:00:00 GMT+0900 (Japan Standard Time)",
            "Thu Jan 15 2026 12:00:00 GMT+0000",
            "Thu Jan 15 12:00:00 UTC 2026",
        ] {
            assert_eq!(time_ms(&format!("\"{text}\"")), Ok(NOON), "{text}");
        }
    }

    #[test]
    fn a_date_that_could_be_two_is_no_time() {
        for text in [
            "11/26/2026 11:00",
            "01/02/2026",
            "1/2/26 11:00:00",
            "15.01.2026",
            "15-01-2026T11:00:00Z",
        ] {
            let read = time_ms(&format!("\"{text}\""));
            assert_eq!(read, Err(Omitted::AmbiguousTime), "{text}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_read_in_the_time_zone() {
        for (zone, text, utc) in [
            ("Asia/Tokyo", "2026-11-26T20:00:00", "2026-11-26T11:00:00Z"),
            ("+09:00", "2026-11-26T20:00:00", "2026-11-26T11:00:00Z"),
            (
                "America/New_York",
                "2026-11-26 06:30:00",
                "2026-11-26T11:30:00Z",
            ),
            // Summer.
            (
                "America/New_York",
                "2026-07-26 06:30:00",
                "2026-07-26T10:30:00Z",
            ),
            ("europe/berlin", "2026-11-26", "2026-11-25T23:00:00Z"),
            // The hour that is skipped in spring.
            (
                "Europe/Berlin",
                "2026-03-29 02:30:00",
                "2026-03-29T01:30:00Z",
            ),
            ("Europe/Berlin", "20261126120000", "2026-11-26T11:00:00Z"),
            ("utc", "2026-11-26 11:00:00", "2026-11-26T11:00:00Z"),
        ] {
            let zone = time_zone(zone).expect("a zone");
            let utc: Timestamp = utc.parse().expect("a time");
            let expected = Moment {
                millis: utc.as_millisecond(),
                is_local: true,
            };
            assert_eq!(
                moment(&format!("\"{text}\""), &zone),
                Ok(expected),
                "{text}"
            );
            // An offset of its own counts more.
            let own = moment(&format!("\"{utc}\""), &zone);
            assert_eq!(own, Ok(Moment::of(utc)), "{utc}");
        }
    }

    #[test]
    fn a_time_zone_has_a_name_or_an_offset() {
        for good in ["Europe/Berlin", "UTC", "+09:00", "-0330", "Etc/GMT+5"] {
            assert!(time_zone(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "Berlin",
            "CEST",
            "9",
            "+25:00",
            "EST5EDT,M3.2.0,M11.1.0",
            "Etc/Unknown",
        ] {
            assert!(time_zone(bad).is_none(), "{bad}");
        }
        assert!(time_zone_names().iter().any(|name| name == "Asia/Tokyo"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// jiff writes the time; what is read must be the same to the precision of the form.
        #[test]
        fn every_form_is_read_as_it_was_written(
            millis in 100_000_000_000_i64..4_000_000_000_000, quarters in -48_i32..=56,
        ) {
            let time = Timestamp::from_millisecond(millis).expect("in range");
            let second = Timestamp::from_second(millis / 1_000).expect("in range");
            let offset = Offset::from_seconds(quarters * 900).expect("in range");
            let there = |time: Timestamp| time.to_zoned_datetime(TimeZone::fixed(offset));
            let zoned = there(time);
            for form in [
                "%Y-%m-%dT%H:%M:%S%.3f%:z",
                "%Y-%m-%dT%H:%M:%S%.3f%z",
                "%Y-%m-%d %H:%M:%S%.3f%:z",
                "%Y-%m-%d %H:%M:%S%.3f %z",
                "%Y-%m-%d %H:%M:%S%.6f %:z",
                "%Y/%m/%d %H:%M:%S%.3f %z",
            ] {
                let text = zoned.strftime(form).to_string();
                prop_assert_eq!(time_ms(&format!("\"{text}\"")), Ok(millis), "{}", text);
            }
            for form in ["%Y-%m-%d %H:%M:%S%.3f UTC", "%Y-%m-%dT%H:%M:%S%.3f", "%Y-%m-%d %H:%M:%S%.3fGMT", "%Y-%m-%d %H:%M:%S%.3f Z"] {
                let text = time.to_zoned_datetime(TimeZone::UTC).strftime(form).to_string();
                prop_assert_eq!(time_ms(&format!("\"{text}\"")), Ok(millis), "{}", text);
            }
            for form in ["%a, %d %b %Y %H:%M:%S %z", "%a %b %d %Y %H:%M:%S GMT%z (There)"] {
                let text = there(second).strftime(form).to_string();
                prop_assert_eq!(time_ms(&format!("\"{text}\"")), Ok(second.as_millisecond()), "{}", text);
            }
            for form in ["%a %b %d %H:%M:%S UTC %Y", "%a, %d %b %Y %H:%M:%S GMT", "%Y%m%d%H%M%S"] {
                let text = second.to_zoned_datetime(TimeZone::UTC).strftime(form).to_string();
                prop_assert_eq!(time_ms(&format!("\"{text}\"")), Ok(second.as_millisecond()), "{}", text);
            }
            for number in [format!("{millis}"), format!("{millis}000"), format!("{millis}000000")] {
                prop_assert_eq!(time_ms(&number), Ok(millis), "{}", number);
            }
            prop_assert_eq!(time_ms(&second.as_second().to_string()), Ok(second.as_millisecond()));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[0-9TZ:/. +,a-zA-Z\u{e9}-]{0,40}") {
            let raw = serde_json::Value::from(text).to_string();
            let _ = moment(&raw, &TimeZone::UTC);
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
            assert_eq!(date(&format!("\"{bad}\"")), Err(Omitted::NotADate), "{bad}");
        }
    }

    #[test]
    fn a_day_has_one_form() {
        assert_eq!(day(r#""2026-02-28""#).as_deref(), Ok("2026-02-28"));
        for raw in [r#""20260228""#, r#""2026-02-30""#, r#""2026-02-28T10:00Z""#] {
            assert_eq!(day(raw), Err(Omitted::NotADay), "{raw}");
        }
    }
}
