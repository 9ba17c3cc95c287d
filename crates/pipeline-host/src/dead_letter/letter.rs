//! One dead letter, and the line that it is on the disk.
//!
//! Invariant: a line ends with its newline, has no other, and its payload is byte for byte what the destination would
//! have seen.

use crate::event::Position;
use jiff::Timestamp;
use pipeline_core::{DestinationCode, Reason, Record};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// Earlier ends that a letter remembers; of more, the oldest are forgotten.
pub const MAX_HISTORY: usize = 10;

/// An event that could not be delivered.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) reason: Reason,
    pub(crate) position: Position,
    /// Attempts to deliver it, since it came in or was replayed.
    pub(crate) attempts: u32,
    /// When the event was first seen, in milliseconds since the Unix epoch.
    pub(crate) first_ms: i64,
    pub(crate) record: Option<Record>,
    /// How it ended before it was replayed.
    pub(crate) history: Arc<[Past]>,
}

/// An earlier end of an event that was replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The reason's code.
    pub reason: Box<str>,
    /// The destination's own code, where it gave one.
    pub destination: Option<DestinationCode>,
    /// Attempts to deliver it until then.
    pub attempts: u32,
    /// When it became a dead letter, in milliseconds since the Unix epoch.
    pub time_ms: i64,
}

/// A letter as it is written.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    sink: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    detail: Cow<'a, str>,
    destination_code: Option<i64>,
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
    #[serde(default)]
    history: Vec<PastLine<'a>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct PastLine<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    destination_code: Option<i64>,
    destination_subcode: Option<i64>,
    attempts: u32,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl Letter {
    /// Adds the letter's line.
    pub(super) fn write_line(
        &self,
        sink: &str,
        now_ms: i64,
        lines: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let record = self.record.as_ref();
        let now = iso(now_ms);
        let line = Line {
            time: now.as_str().into(),
            sink: sink.into(),
            reason: self.reason.code.into(),
            detail: (&*self.reason.detail).into(),
            destination_code: self.reason.destination.map(|given| given.code),
            destination_subcode: self.reason.destination.and_then(|given| given.subcode),
            attempts: self.attempts,
            first_time: Some(iso(self.first_ms).into()),
            last_time: Some(now.as_str().into()),
            event_id: record.map(|record| (&*record.event_id).into()),
            event_time: record.map(|record| record.event_time),
            expires_at: record.map(|record| record.expires_at),
            partition: record.map(|record| (&*record.partition).into()),
            label: record.map(|record| (&*record.label).into()),
            source: self.position.to_string().into(),
            history: latest(&self.history).iter().map(PastLine::of).collect(),
            payload: record.and_then(|record| serde_json::from_slice(&record.payload).ok()),
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
            destination_code: past.destination.map(|given| given.code),
            destination_subcode: past.destination.and_then(|given| given.subcode),
            attempts: past.attempts,
            time: iso(past.time_ms).into(),
        }
    }
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
