//! What a sink makes of an event, and what a buffer stores.

use bytes::Bytes;
use std::sync::Arc;

/// One event in the form its destination will see, with what a host needs to store, group and show it.
///
/// Holds no personal data in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The encoded event: one JSON object.
    pub payload: Bytes,
    /// Records of one request share this key (for Meta: the pixel id).
    pub partition: Arc<str>,
    /// When the event happened, in seconds since the Unix epoch.
    pub event_time: i64,
    /// From this time on, in seconds since the Unix epoch, the destination would refuse the event as too old.
    pub expires_at: i64,
    /// The id under which the destination recognizes a repetition.
    pub event_id: Box<str>,
    /// A few words for people: source event name → destination event name.
    pub label: Arc<str>,
}

impl Record {
    /// Bytes this record takes in a buffer: payload, id and a fixed share for the rest.
    pub fn size_bytes(&self) -> usize {
        const FIXED: usize = 96;
        self.payload.len() + self.event_id.len() + FIXED
    }
}
