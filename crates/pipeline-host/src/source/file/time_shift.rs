//! The newest time of files, for `shift_times`.

use super::open;
use crate::source::line::{Line, LineReader};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Numbers from here on are milliseconds, not seconds.
const LEAST_MILLISECONDS: f64 = 1e11;

/// The times that an event may have, the best first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stamps {
    timestamp: Option<Value>,
    original_timestamp: Option<Value>,
    sent_at: Option<Value>,
}

/// How many milliseconds the newest event of these files lies in the past; 0 where none has a time.
///
/// What cannot be read is passed over here; it is reported when the events are read.
pub(crate) fn shift_ms<'a>(paths: impl Iterator<Item = &'a Path>, now_ms: i64) -> i64 {
    let mut newest = None;
    for path in paths {
        let Ok(reader) = open(path) else { continue };
        let mut lines = LineReader::new(reader);
        while let Ok(Some(line)) = lines.next_line() {
            if let Line::Whole(bytes) = line {
                newest = newest.max(time_ms(bytes));
            }
        }
    }
    newest.map_or(0, |newest| now_ms.saturating_sub(newest))
}

/// The time of an event: `timestamp`, else `originalTimestamp`, else `sentAt`, the first that can be read.
fn time_ms(event: &[u8]) -> Option<i64> {
    let stamps: Stamps = serde_json::from_slice(event).ok()?;
    [stamps.timestamp, stamps.original_timestamp, stamps.sent_at]
        .iter()
        .flatten()
        .find_map(stamp_ms)
}

/// ISO 8601, in UTC where it names no offset, or a number of seconds or milliseconds.
fn stamp_ms(stamp: &Value) -> Option<i64> {
    match stamp {
        Value::String(text) => {
            let exact = text.parse::<Timestamp>().ok();
            let utc = || {
                TimeZone::UTC
                    .to_timestamp(text.parse::<DateTime>().ok()?)
                    .ok()
            };
            Some(exact.or_else(utc)?.as_millisecond())
        }
        Value::Number(number) => {
            let number = number.as_f64()?;
            let ms = if number < LEAST_MILLISECONDS {
                number * 1000.0
            } else {
                number
            };
            #[expect(
                clippy::cast_possible_truncation,
                reason = "saturates, and no time is that far away"
            )]
            Some(ms as i64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_event_is_the_first_of_its_stamps_that_can_be_read() {
        let cases = [
            (
                r#"{"timestamp":"1970-01-01T01:00:00+01:00","sentAt":9}"#,
                Some(0),
            ),
            (r#"{"timestamp":"1970-01-01T00:00:02.5"}"#, Some(2_500)),
            (r#"{"timestamp":"1970-01-01 00:00:03Z"}"#, Some(3_000)),
            (r#"{"timestamp":1700000000}"#, Some(1_700_000_000_000)),
            (r#"{"timestamp":1700000000123}"#, Some(1_700_000_000_123)),
            (
                r#"{"timestamp":"soon","originalTimestamp":4,"sentAt":5}"#,
                Some(4_000),
            ),
            (
                r#"{"timestamp":null,"sentAt":"1970-01-01T00:00:05Z"}"#,
                Some(5_000),
            ),
            (r#"{"properties":{"timestamp":1}}"#, None),
            (r#"{"timestamp":{}}"#, None),
            ("[", None),
        ];
        for (event, expected) in cases {
            assert_eq!(time_ms(event.as_bytes()), expected, "{event}");
        }
    }
}
