//! Shifts the times of events, for `shift_times`: finds the newest time of files, and rewrites the times in each event.
//!
//! In: lines of JSON. Out: the same bytes, but for the top-level times of [`Key`] and the times inside cookie values. Text becomes RFC 3339 in UTC with
//! milliseconds; a number stays a number of seconds or milliseconds.
//!
//! Invariant: a rewritten time reads as the old time plus the shift, and every other byte of an event is unchanged.

use super::cookie_time;
use super::opened::open;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use json_framing::{Found, Values};
use pipeline_core::{Event, Input};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;
use std::path::Path;

/// Numbers from here on are milliseconds, not seconds.
const LEAST_MILLISECONDS: f64 = 1e11;
/// The first time that a number of seconds cannot express, in milliseconds.
const SECONDS_END_MS: i64 = 100_000_000_000_000;
/// The first time that a number of milliseconds can express, in milliseconds.
const MILLISECONDS_START_MS: i64 = 100_000_000_000;

/// Bytes by which a time may grow: a short number of seconds gets a fraction, a date a time of day.
const GROWTH_BYTES: usize = 32;

/// How many milliseconds the newest event of these files lies in the past; 0 if none has a time.
///
/// What cannot be read is skipped here; it is reported when the events are read.
pub(super) fn shift_ms<'a>(paths: impl Iterator<Item = &'a Path>, now_ms: i64) -> i64 {
    let mut newest = None;
    for path in paths {
        let Ok(reader) = open(path) else { continue };
        let mut values = Values::new(reader);
        while let Ok(Some((_, found))) = values.next_value() {
            if let Found::Value(bytes) = found {
                newest = newest.max(time_ms(bytes));
            }
        }
    }
    newest.map_or(0, |newest| now_ms.saturating_sub(newest))
}

/// The same inputs with all times of their events shifted.
pub(super) fn shift_events(mut inputs: Vec<Input>, shift_ms: i64) -> Vec<Input> {
    if shift_ms != 0 {
        for input in &mut inputs {
            if let Input::Event(event) = input
                && let Some(raw) = shifted_with_cookies(event.raw(), shift_ms)
            {
                let old = std::mem::replace(event, Event::new("", 0));
                *event = old.with_raw(raw);
            }
        }
    }
    inputs
}

/// The bytes of an event with its times and those of its cookies shifted; `None` if there is nothing to shift.
fn shifted_with_cookies(event: &[u8], shift_ms: i64) -> Option<Vec<u8>> {
    let mut shifted = shifted(event, shift_ms)?;
    if let Some(event_ms) = time_ms(event) {
        cookie_time::shift(&mut shifted, event_ms, shift_ms);
    }
    Some(shifted)
}

/// The bytes of an event with its times shifted; `None` if there is nothing to shift.
fn shifted(event: &[u8], shift_ms: i64) -> Option<Vec<u8>> {
    let times = times(event)?;
    let mut out = Vec::with_capacity(event.len() + times.len() * GROWTH_BYTES);
    let mut copied = 0;
    for (_, raw) in times {
        let old = raw.get();
        let Some(new) = Time::read(old).and_then(|time| time.shifted(shift_ms)) else {
            continue;
        };
        // `RawValue` borrows from the event.
        let start = old.as_ptr().addr().checked_sub(event.as_ptr().addr())?;
        out.extend_from_slice(event.get(copied..start)?);
        out.extend_from_slice(new.as_bytes());
        copied = start + old.len();
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(event.get(copied..)?);
    Some(out)
}

/// The time of an event: `timestamp`, else `originalTimestamp`, else `sentAt`, the first that can be read.
fn time_ms(event: &[u8]) -> Option<i64> {
    let times = times(event)?;
    let own = times.iter().filter(|(key, _)| *key != Key::ReceivedAt);
    let read = own.filter_map(|(key, raw)| Some((*key, Time::read(raw.get())?.ms)));
    read.min_by_key(|(key, _)| *key).map(|(_, ms)| ms)
}

/// The times that an event may have at its top level, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Key {
    Timestamp,
    OriginalTimestamp,
    SentAt,
    ReceivedAt,
    #[serde(other)]
    Other,
}

/// The times of an event; `None` if the event is not a JSON object.
fn times(event: &[u8]) -> Option<Vec<(Key, &RawValue)>> {
    let text = std::str::from_utf8(event).ok()?;
    let Times(times) = serde_json::from_str(text).ok()?;
    Some(times)
}

/// The times of an event as written, in their order.
struct Times<'e>(Vec<(Key, &'e RawValue)>);

impl<'de> Deserialize<'de> for Times<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Times<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut times = Vec::new();
                while let Some(key) = map.next_key()? {
                    if key == Key::Other {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        times.push((key, map.next_value()?));
                    }
                }
                Ok(Times(times))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A time that an event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time {
    /// Milliseconds since the Unix epoch.
    ms: i64,
    form: Form,
    is_quoted: bool,
}

/// How an event writes a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// ISO 8601, in UTC if it names no offset.
    Text,
    Seconds,
    Milliseconds,
}

impl Time {
    /// A time from its JSON. A number may be quoted, as sinks read it in that form too.
    fn read(json: &str) -> Option<Self> {
        let (number, text) = match serde_json::from_str(json).ok()? {
            Value::Number(number) => (number.as_f64(), None),
            Value::String(text) => (serde_json::from_str(&text).ok(), Some(text)),
            _ => return None,
        };
        let is_quoted = text.is_some();
        let (ms, form) = match (number, text) {
            (Some(number), _) => Self::of_number(number),
            (None, text) => (Self::of_text(&text?)?, Form::Text),
        };
        let is_possible = Timestamp::from_millisecond(ms).is_ok();
        is_possible.then_some(Self {
            ms,
            form,
            is_quoted,
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and the result is then out of range"
    )]
    fn of_number(number: f64) -> (i64, Form) {
        if number < LEAST_MILLISECONDS {
            ((number * 1000.0).round() as i64, Form::Seconds)
        } else {
            (number as i64, Form::Milliseconds)
        }
    }

    fn of_text(text: &str) -> Option<i64> {
        let exact = text.parse::<Timestamp>().ok();
        let utc = || {
            TimeZone::UTC
                .to_timestamp(text.parse::<DateTime>().ok()?)
                .ok()
        };
        Some(exact.or_else(utc)?.as_millisecond())
    }

    /// The JSON of this time plus `shift_ms`, in the same form; `None` if there is no such time.
    fn shifted(self, shift_ms: i64) -> Option<String> {
        let ms = self.ms.checked_add(shift_ms)?;
        let time = Timestamp::from_millisecond(ms).ok()?;
        // A number of the other unit only where one of the same unit would be read as the other.
        let text = match self.form {
            Form::Text => format!("{time:.3}"),
            Form::Seconds if ms < SECONDS_END_MS => seconds(ms),
            Form::Milliseconds if ms < MILLISECONDS_START_MS => seconds(ms),
            Form::Seconds | Form::Milliseconds => ms.to_string(),
        };
        Some(if self.is_quoted {
            format!("\"{text}\"")
        } else {
            text
        })
    }
}

fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let (seconds, fraction) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
    if fraction == 0 {
        format!("{sign}{seconds}")
    } else {
        format!("{sign}{seconds}.{fraction:03}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::{Origin, Reason};
    use proptest::prelude::*;

    #[test]
    fn the_time_of_an_event_is_the_first_of_its_stamps_that_can_be_read() {
        let cases = [
            (
                r#"{"timestamp":"1970-01-01T01:00:00+01:00","sentAt":9}"#,
                Some(0),
            ),
            (
                r#"{"sentAt":9,"timestamp":"1970-01-01T00:00:02.5"}"#,
                Some(2_500),
            ),
            (r#"{"timestamp":"1970-01-01 00:00:03Z"}"#, Some(3_000)),
            (r#"{"timestamp":1700000000}"#, Some(1_700_000_000_000)),
            (r#"{"timestamp":1700000000123}"#, Some(1_700_000_000_123)),
            (r#"{"timestamp":"1700000000"}"#, Some(1_700_000_000_000)),
            (
                r#"{"timestamp":"soon","originalTimestamp":4,"sentAt":5}"#,
                Some(4_000),
            ),
            (
                r#"{"timestamp":null,"sentAt":"1970-01-01T00:00:05Z"}"#,
                Some(5_000),
            ),
            (r#"{"timestamp":1e300,"sentAt":6}"#, Some(6_000)),
            (r#"{"receivedAt":1}"#, None),
            (r#"{"properties":{"timestamp":1}}"#, None),
            (r#"{"timestamp":{}}"#, None),
            ("[", None),
        ];
        for (event, expected) in cases {
            assert_eq!(time_ms(event.as_bytes()), expected, "{event}");
        }
    }

    #[test]
    fn every_time_at_the_top_level_is_rewritten_and_nothing_else() {
        /// An hour and 1.5 seconds.
        const SHIFT_MS: i64 = 3_601_500;
        let cases = [
            (
                r#" { "a" : 1.0 , "timestamp" : "2026-01-14T00:00:00.000Z" } "#,
                r#" { "a" : 1.0 , "timestamp" : "2026-01-14T01:00:01.500Z" } "#,
            ),
            (
                r#"{"sentAt":"2026-01-14T02:00:00+02:00","receivedAt":"2026-01-14 00:00:00"}"#,
                r#"{"sentAt":"2026-01-14T01:00:01.500Z","receivedAt":"2026-01-14T01:00:01.500Z"}"#,
            ),
            (
                r#"{"originalTimestamp":1700000000,"timestamp":1700000000123}"#,
                r#"{"originalTimestamp":1700003601.500,"timestamp":1700003601623}"#,
            ),
            (r#"{"timestamp":1.7e9}"#, r#"{"timestamp":1700003601.500}"#),
            (
                r#"{"timestamp":"1700000000"}"#,
                r#"{"timestamp":"1700003601.500"}"#,
            ),
            (
                r#"{"timest\u0061mp":"2026-01-14T00:00:00Z"}"#,
                r#"{"timest\u0061mp":"2026-01-14T01:00:01.500Z"}"#,
            ),
            (
                r#"{"timestamp":0,"timestamp":1}"#,
                r#"{"timestamp":3601.500,"timestamp":3602.500}"#,
            ),
            (
                r#"{"timestamp":"soon","sentAt":-1.5,"properties":{"timestamp":1}}"#,
                r#"{"timestamp":"soon","sentAt":3600,"properties":{"timestamp":1}}"#,
            ),
        ];
        for (event, expected) in cases {
            let found = shifted(event.as_bytes(), SHIFT_MS).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
        for event in [
            "",
            "{",
            "7",
            "{broken",
            r#"["timestamp",1]"#,
            r#"[{"timestamp":1}]"#,
            r#"{"timestamp":1} x"#,
            r#"{"timestamp":null,"sentAt":"","receivedAt":true}"#,
            r#"{"timestamp":1e300,"sentAt":"9999-12-30T21:59:59Z"}"#,
            r#"{"context":{"timestamp":1}}"#,
        ] {
            assert_eq!(shifted(event.as_bytes(), SHIFT_MS), None, "{event}");
        }
        assert_eq!(shifted(b"{\"timestamp\":1,\"a\":\"\xff\"}", 1), None);
    }

    #[test]
    fn a_number_changes_its_unit_only_where_it_would_be_misread() {
        let cases = [
            ("100000000001", -2, "99999999.999"),
            ("99999999999", 1_000, "100000000000000"),
            ("99999999999", 999, "99999999999.999"),
            ("1", -1_500, "-0.500"),
        ];
        for (number, shift_ms, expected) in cases {
            let time = Time::read(number).unwrap();
            let found = time.shifted(shift_ms).unwrap();
            assert_eq!(found, expected, "{number}");
            assert_eq!(Time::read(&found).unwrap().ms, time.ms + shift_ms);
        }
    }

    #[test]
    fn shifted_events_keep_their_origin_and_time_of_receipt() {
        let origin = Origin::line("events".into(), 7);
        let event = Event::new("{\"timestamp\":1}", 5).with_origin(origin.clone());
        let unreadable = || Input::unreadable(origin.clone(), Reason::new("odd", "it is odd"));
        let inputs = vec![
            event.clone().into(),
            unreadable(),
            Event::new("x", 5).into(),
        ];
        let found = shift_events(inputs.clone(), 2_000);
        let Input::Event(first) = &found[0] else {
            panic!("an event stays an event");
        };
        assert_eq!(first.raw(), b"{\"timestamp\":3}");
        assert_eq!((first.received_ms(), first.origin()), (5, &origin));
        assert!(matches!(&found[1], Input::Unreadable { .. }));
        assert!(matches!(&found[2], Input::Event(event) if event.raw() == b"x"));
        let unchanged = shift_events(inputs, 0);
        assert!(matches!(&unchanged[0], Input::Event(same) if same.raw() == event.raw()));
    }

    /// The JSON of a time in one of the forms that events use.
    fn written(ms: i64, form: u8) -> String {
        let time = Timestamp::from_millisecond(ms).unwrap();
        let east = jiff::tz::offset(5).to_time_zone();
        match form {
            0 => format!("\"{time}\""),
            1 => format!("\"{}\"", TimeZone::UTC.to_datetime(time)),
            2 => format!("\"{}\"", time.display_with_offset(jiff::tz::offset(5))),
            3 => format!("\"{}\"", east.to_datetime(time)),
            4 => seconds(ms),
            5 => ms.to_string(),
            _ => format!("\"{}\"", seconds(ms)),
        }
    }

    /// From 1974, where a number of milliseconds can be told from seconds, to 2100.
    const TIMES_MS: std::ops::Range<i64> = 126_230_400_000..4_102_444_800_000;
    /// Thirty years, in milliseconds.
    const SHIFT_LIMIT_MS: i64 = 946_728_000_000;

    proptest! {
        #[test]
        fn a_time_is_read_back_as_the_old_time_plus_the_shift(
            ms in TIMES_MS,
            form in 0_u8..7,
            shift_ms in -SHIFT_LIMIT_MS..SHIFT_LIMIT_MS,
            key in "timestamp|originalTimestamp|sentAt",
        ) {
            let before = format!("{{\"a\":[1.0, \"ü\"],\"{key}\": ");
            let after = " , \"properties\":{\"timestamp\":1}}";
            let event = format!("{before}{}{after}", written(ms, form));
            let old = time_ms(event.as_bytes()).unwrap();
            if shift_ms != 0 {
                let found = shifted(event.as_bytes(), shift_ms).unwrap();
                prop_assert!(found.starts_with(before.as_bytes()) && found.ends_with(after.as_bytes()));
                prop_assert_eq!(time_ms(&found), Some(old + shift_ms));
            }
            let unchanged = shift_events(vec![Event::new(event.clone(), 0).into()], 0);
            let is_same = matches!(&unchanged[0], Input::Event(same) if same.raw() == event.as_bytes());
            prop_assert!(is_same);
        }

        #[test]
        fn no_input_panics_and_what_is_no_object_is_unchanged(
            text in r#"[{"\[]?("timestamp"|"sentAt"|[ :,0-9eE.+-]|[\]}]|\PC){0,12}"#,
            shift_ms: i64,
        ) {
            let found = shifted(text.as_bytes(), shift_ms);
            let is_object = serde_json::from_str::<serde_json::Map<String, Value>>(&text).is_ok();
            prop_assert!(found.is_none() || is_object);
        }
    }
}
