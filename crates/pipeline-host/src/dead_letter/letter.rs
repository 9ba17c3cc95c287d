//! One dead letter, and the line that it is on the disk.
//!
//! Lines of earlier versions are read as well: the first had no `partition`, `expires_at`, `history` and destination codes,
//! the second had the destination's code as two integers.
//!
//! Invariant: a line ends with its newline, has no other, and its payload is byte for byte what the destination would
//! have seen, also after it was read.

use super::sealed::Sealed;
use super::trace::Trace;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jiff::Timestamp;
use pipeline_core::{Origin, Reason, Record};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

/// Earlier ends that a letter remembers; of more, the oldest are forgotten.
pub const MAX_HISTORY: usize = 10;

/// An event that could not be delivered.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) reason: Reason,
    pub(crate) origin: Origin,
    /// Attempts to deliver it, since it came in or was replayed.
    pub(crate) attempts: u32,
    /// When the event was first seen, in milliseconds since the Unix epoch.
    pub(crate) first_ms: i64,
    pub(crate) record: Option<Record>,
    /// Which kind of event it was, where there is no record that says so.
    pub(crate) label: Option<Arc<str>>,
    /// How it ended before it was replayed.
    pub(crate) history: Arc<[Past]>,
    /// What is known of an event that did not become a record.
    pub(crate) trace: Option<Box<Trace>>,
    /// The event itself, sealed.
    pub(crate) sealed: Option<Box<Sealed>>,
}

/// An earlier end of an event that was replayed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Past {
    /// The reason's code.
    pub reason: Box<str>,
    /// The destination's own code, where it gave one.
    pub destination: Option<Box<str>>,
    /// Attempts to deliver it until then.
    pub attempts: u32,
    /// When it became a dead letter, in milliseconds since the Unix epoch.
    pub time_ms: i64,
}

/// A letter as it was found on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLetter {
    /// The reason's code.
    pub reason: String,
    /// One sentence for people.
    pub detail: String,
    /// The destination's own code, where it gave one.
    pub destination: Option<Box<str>>,
    /// Attempts to deliver the event, since it came in or was replayed.
    pub attempts: u32,
    /// When the event was first seen, in milliseconds since the Unix epoch.
    pub first_ms: i64,
    /// When it became this dead letter, in milliseconds since the Unix epoch.
    pub last_ms: i64,
    /// Where the event stood: the source, and the place in it.
    pub source: String,
    /// How it ended before it was replayed, the latest last; at most [`MAX_HISTORY`].
    pub history: Arc<[Past]>,
    /// What can be sent again, where there is a payload.
    pub record: Option<Record>,
    /// How an event without a payload began, masked, and how many bytes it had.
    pub(super) shape: Option<(Box<str>, usize)>,
    /// The event itself, sealed, where it is kept.
    pub sealed: Option<Sealed>,
    /// The line itself, without its newline.
    pub line: Bytes,
}

/// A letter as it is written.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    sink: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    detail: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    destination_code: Option<Code<'a>>,
    /// Of earlier versions.
    #[serde(skip_serializing)]
    destination_subcode: Option<i64>,
    attempts: u32,
    first_time: Option<Cow<'a, str>>,
    last_time: Option<Cow<'a, str>>,
    event_id: Option<Cow<'a, str>>,
    event_time: Option<i64>,
    expires_at: Option<i64>,
    partition: Option<Cow<'a, str>>,
    label: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    history: Vec<PastLine<'a>>,
    /// The first bytes of an event that did not become a record, masked, and how many bytes it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    /// A payload that is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<Cow<'a, str>>,
    /// The event itself, sealed: a file of age in base64.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    sealed: Option<Cow<'a, str>>,
    /// When that is to be removed.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    sealed_until: Option<Cow<'a, str>>,
}

/// The destination's own code: text, and in earlier versions an integer.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Code<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Number(i64),
}

impl<'a> Code<'a> {
    fn of(code: Option<&'a str>) -> Option<Self> {
        code.map(|code| Self::Text(code.into()))
    }
}

#[derive(Serialize, Deserialize)]
struct PastLine<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    destination_code: Option<Code<'a>>,
    #[serde(default, skip_serializing)]
    destination_subcode: Option<i64>,
    attempts: u32,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl Letter {
    /// Which kind of event it was.
    pub(crate) fn label(&self) -> Option<&Arc<str>> {
        let of_record = self.record.as_ref().map(|record| &record.label);
        of_record.or(self.label.as_ref())
    }

    /// Adds the letter's line.
    pub(super) fn write_line(
        &self,
        sink: &str,
        now_ms: i64,
        lines: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let record = self.record.as_ref();
        let trace = self.trace.as_deref().filter(|_| record.is_none());
        let now = iso(now_ms);
        let payload: Option<&RawValue> =
            record.and_then(|record| serde_json::from_slice(&record.payload).ok());
        let line = Line {
            time: now.as_str().into(),
            sink: sink.into(),
            reason: self.reason.code.into(),
            detail: (&*self.reason.detail).into(),
            destination_code: Code::of(self.reason.destination.as_deref()),
            destination_subcode: None,
            attempts: self.attempts,
            first_time: Some(iso(self.first_ms).into()),
            last_time: Some(now.as_str().into()),
            event_id: record.map(|record| (&*record.event_id).into()),
            event_time: record.map(|record| record.event_time),
            expires_at: record.map(|record| record.expires_at),
            partition: record.map(|record| (&*record.partition).into()),
            label: self.label().map(|label| (&**label).into()),
            source: self.origin.to_string().into(),
            history: latest(&self.history).iter().map(PastLine::of).collect(),
            shape: trace.map(|trace| trace.shape.as_str().into()),
            bytes: trace.map(|trace| trace.bytes),
            payload,
            payload_base64: record
                .filter(|_| payload.is_none())
                .map(|record| BASE64.encode(&record.payload).into()),
            sealed: self.sealed.as_ref().map(|sealed| (&*sealed.text).into()),
            sealed_until: (self.sealed.as_ref()).map(|sealed| iso(sealed.until_ms).into()),
        };
        serde_json::to_writer(&mut *lines, &line)?;
        lines.push(b'\n');
        Ok(())
    }
}

impl<'a> PastLine<'a> {
    fn of(past: &'a Past) -> Self {
        Self {
            reason: (&*past.reason).into(),
            destination_code: Code::of(past.destination.as_deref()),
            destination_subcode: None,
            attempts: past.attempts,
            time: iso(past.time_ms).into(),
        }
    }
}

impl StoredLetter {
    /// Reads a line, with or without its newline; `None` if it is not a letter.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let read: Line<'_> = serde_json::from_slice(line).ok()?;
        let last_ms = milliseconds(read.last_time.as_ref().unwrap_or(&read.time))?;
        let first_ms = match &read.first_time {
            Some(time) => milliseconds(time)?,
            None => last_ms,
        };
        let past = |past: &PastLine<'_>| {
            Some(Past {
                reason: (&*past.reason).into(),
                destination: code(past.destination_code.as_ref(), past.destination_subcode),
                attempts: past.attempts,
                time_ms: milliseconds(&past.time)?,
            })
        };
        let history: Option<Vec<_>> = read.history.iter().map(past).collect();
        let payload = match (read.payload, &read.payload_base64) {
            (Some(payload), _) => Some(Bytes::copy_from_slice(payload.get().as_bytes())),
            (None, Some(text)) => Some(BASE64.decode(text.as_bytes()).ok()?.into()),
            (None, None) => None,
        };
        let record = payload.map(|payload| {
            Record::new(payload, read.event_id.as_deref().unwrap_or_default())
                .in_partition(read.partition.as_deref().unwrap_or_default())
                .at(read.event_time.unwrap_or_default())
                // The destination still knows what is too old for it.
                .expiring_at(read.expires_at.unwrap_or(Record::NEVER_EXPIRES))
                .labeled(read.label.as_deref().unwrap_or_default())
        });
        let letter = Self {
            destination: code(read.destination_code.as_ref(), read.destination_subcode),
            reason: read.reason.into_owned(),
            detail: read.detail.into_owned(),
            attempts: read.attempts,
            first_ms,
            last_ms,
            source: read.source.into_owned(),
            history: latest(&history?).into(),
            record,
            shape: read.shape.as_deref().map(Into::into).zip(read.bytes),
            // One that does not say how long it may be kept is kept no longer.
            sealed: read.sealed.as_deref().map(|text| Sealed {
                text: text.into(),
                until_ms: read
                    .sealed_until
                    .as_deref()
                    .and_then(milliseconds)
                    .unwrap_or(0),
            }),
            line: Bytes::copy_from_slice(line),
        };
        Some(letter).filter(|letter| !letter.reason.is_empty())
    }

    /// Tells the letter from others, for who picks it from a list: it follows from the line, and changes when the letter is written
    /// again.
    pub fn id(&self) -> String {
        // Its keys are fixed, so that it is the same in every process.
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.line);
        format!("{:016x}", hasher.finish())
    }

    /// The history of the event once this letter is sent again: its history so far, and the letter itself.
    pub fn history_when_replayed(&self) -> Arc<[Past]> {
        let this = Past {
            reason: self.reason.as_str().into(),
            destination: self.destination.clone(),
            attempts: self.attempts,
            time_ms: self.last_ms,
        };
        let all: Vec<_> = self.history.iter().cloned().chain([this]).collect();
        latest(&all).into()
    }
}

/// The line of a letter without the sealed copy of its event; `None` where there is no letter on it.
pub(super) fn without_copy(line: &[u8]) -> Option<Vec<u8>> {
    let mut read: Line<'_> = serde_json::from_slice(line).ok()?;
    (read.sealed, read.sealed_until) = (None, None);
    let mut written = serde_json::to_vec(&read).ok()?;
    written.push(b'\n');
    Some(written)
}

fn code(code: Option<&Code<'_>>, subcode: Option<i64>) -> Option<Box<str>> {
    let text = match (code?, subcode) {
        (Code::Text(text), _) => (**text).into(),
        (Code::Number(code), Some(subcode)) => format!("{code}/{subcode}").into(),
        (Code::Number(code), None) => code.to_string().into(),
    };
    Some(text)
}

fn milliseconds(time: &str) -> Option<i64> {
    let time: Timestamp = time.parse().ok()?;
    Some(time.as_millisecond())
}

/// As much of a history as is kept.
fn latest(history: &[Past]) -> &[Past] {
    &history[history.len().saturating_sub(MAX_HISTORY)..]
}

/// A time as people and machines read it; one beyond the calendar is the epoch.
fn iso(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(extra: &str) -> String {
        format!("{{\"time\":\"2026-01-31T12:00:00Z\",\"reason\":\"too_old\"{extra}}}\n")
    }

    #[test]
    fn a_line_of_the_first_version_is_a_letter() {
        let line = line(
            r#","sink":"meta","detail":"older than seven days","attempts":2,"event_id":"a","event_time":7,"label":"a → b","source":"events line 17","payload":{"n": 1.50}"#,
        );
        let letter = StoredLetter::read(line.as_bytes()).unwrap();
        assert_eq!(letter.first_ms, letter.last_ms);
        assert_eq!((letter.attempts, letter.history.len()), (2, 0));
        let record = letter.record.unwrap();
        assert_eq!(record.payload, r#"{"n": 1.50}"#);
        assert_eq!((&*record.partition, record.expires_at), ("", i64::MAX));
        assert_eq!(letter.line, line.trim_end());
    }

    #[test]
    fn what_is_no_letter_is_not_read_as_one() {
        assert!(StoredLetter::read(line("").as_bytes()).is_some());
        let torn = line("");
        let cases = [
            "",
            "\n",
            "{}",
            "[]",
            "null",
            &torn[..torn.len() - 3],
            r#"{"time":"yesterday","reason":"too_old"}"#,
            r#"{"time":"2026-01-31T12:00:00Z"}"#,
            r#"{"time":"2026-01-31T12:00:00Z","reason":7}"#,
        ];
        for text in cases {
            assert_eq!(StoredLetter::read(text.as_bytes()), None, "{text}");
        }
        for extra in [
            r#","last_time":"x""#,
            r#","first_time":"x""#,
            r#","history":[{}]"#,
            r#","payload":{"#,
        ] {
            assert_eq!(StoredLetter::read(line(extra).as_bytes()), None, "{extra}");
        }
        assert_eq!(StoredLetter::read(b"\xff\xfe\0\0\n"), None);
    }

    #[test]
    fn a_replay_adds_to_the_history_and_forgets_the_oldest() {
        let mut letter = StoredLetter::read(line(r#","attempts":1"#).as_bytes()).unwrap();
        for attempts in 2..20 {
            letter.history = letter.history_when_replayed();
            letter.attempts = attempts;
        }
        let attempts: Vec<_> = letter.history.iter().map(|past| past.attempts).collect();
        assert_eq!(attempts, (9..19).collect::<Vec<_>>());
        assert_eq!(letter.history[0].time_ms, letter.last_ms);
    }

    #[test]
    fn the_code_of_an_earlier_version_reads_as_text() {
        for (extra, expected) in [
            (
                r#","destination_code":100,"destination_subcode":2804003"#,
                Some("100/2804003"),
            ),
            (r#","destination_code":190"#, Some("190")),
            (r#","destination_code":"100/33""#, Some("100/33")),
            (r#","destination_code":null"#, None),
        ] {
            let letter = StoredLetter::read(line(extra).as_bytes()).unwrap();
            assert_eq!(letter.destination.as_deref(), expected, "{extra}");
        }
    }

    #[test]
    fn a_payload_that_is_not_json_is_readable_and_comes_back_byte_for_byte() {
        for payload in [&b"\x00\xffbinary\n"[..], b"plain text", b"{broken", b""] {
            let letter = Letter {
                reason: Reason::new("refused", "no"),
                origin: Origin::line("events".into(), 1),
                attempts: 1,
                first_ms: 0,
                record: Some(Record::new(payload.to_vec(), "a")),
                label: None,
                history: Arc::default(),
                trace: None,
                sealed: None,
            };
            let mut written = Vec::new();
            letter.write_line("out", 0, &mut written).unwrap();
            let read = StoredLetter::read(&written).unwrap();
            assert_eq!(read.record.unwrap().payload, payload);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), extra in ".*") {
            let _ = StoredLetter::read(&bytes);
            let _ = StoredLetter::read(line(&extra).as_bytes());
        }
    }
}
