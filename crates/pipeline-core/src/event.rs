//! An event as it came in: bytes that a source read, and when.

use bytes::Bytes;
use std::fmt;

/// One analytics event as a source received it, before anything has looked inside.
///
/// It may hold personal data in the clear, so it is never written anywhere: not to disk, not to a log. Its `Debug`
/// shows its size only.
#[derive(Clone)]
pub struct Event {
    raw: Bytes,
    received_ms: i64,
    time_shift_ms: i64,
}

impl Event {
    /// An event of these bytes (one JSON document, if all is well), received `received_ms` milliseconds after the
    /// Unix epoch.
    pub fn new(raw: impl Into<Bytes>, received_ms: i64) -> Self {
        Self {
            raw: raw.into(),
            received_ms,
            time_shift_ms: 0,
        }
    }

    /// The same event with every time in it to be read as that many milliseconds later.
    ///
    /// For demonstrations and replays of old files; live sources leave it at zero.
    #[must_use]
    pub fn with_time_shift(mut self, time_shift_ms: i64) -> Self {
        self.time_shift_ms = time_shift_ms;
        self
    }

    /// The bytes as received.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// When the source received it, in milliseconds since the Unix epoch.
    pub fn received_ms(&self) -> i64 {
        self.received_ms
    }

    /// How many milliseconds later than written the times inside are to be read.
    pub fn time_shift_ms(&self) -> i64 {
        self.time_shift_ms
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("bytes", &self.raw.len())
            .field("received_ms", &self.received_ms)
            .finish_non_exhaustive()
    }
}
