//! What a sink makes of an event, and what a buffer stores.

use bytes::Bytes;
use std::sync::Arc;

/// One event in the form its destination will see, with what a host needs to store, group and show it.
///
/// Holds no personal data in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The encoded event, as the destination takes it. JSON, usually; a host stores any bytes.
    pub payload: Bytes,
    /// Records of one request share this key, such as the account that receives them. Empty where one key is enough.
    pub partition: Arc<str>,
    /// When the event happened, in seconds since the Unix epoch.
    pub event_time: i64,
    /// From this time on, in seconds since the Unix epoch, the destination would refuse the event as too old.
    /// [`NEVER_EXPIRES`](Self::NEVER_EXPIRES) where it takes events of any age.
    pub expires_at: i64,
    /// The id under which the destination recognizes a repetition. Empty where it recognizes none.
    pub event_id: Box<str>,
    /// A few words for people: source event name → destination event name.
    pub label: Arc<str>,
}

impl Record {
    /// The `expires_at` of a record that never becomes too old.
    pub const NEVER_EXPIRES: i64 = i64::MAX;

    /// A record of this payload and event id, which never expires, of partition "", at time 0, without a label.
    pub fn new(payload: impl Into<Bytes>, event_id: impl Into<Box<str>>) -> Self {
        Self {
            payload: payload.into(),
            partition: Arc::default(),
            event_time: 0,
            expires_at: Self::NEVER_EXPIRES,
            event_id: event_id.into(),
            label: Arc::default(),
        }
    }

    /// A record of all its parts, for sinks that encode many: it makes no defaults first.
    pub fn from_parts(
        payload: Bytes,
        event_id: Box<str>,
        partition: Arc<str>,
        label: Arc<str>,
        event_time: i64,
        expires_at: i64,
    ) -> Self {
        Self {
            payload,
            partition,
            event_time,
            expires_at,
            event_id,
            label,
        }
    }

    /// The same record, sent with those of this partition.
    #[must_use]
    pub fn in_partition(mut self, partition: impl Into<Arc<str>>) -> Self {
        self.partition = partition.into();
        self
    }

    /// The same record of an event that happened then, in seconds since the Unix epoch.
    #[must_use]
    pub fn at(mut self, event_time: i64) -> Self {
        self.event_time = event_time;
        self
    }

    /// The same record, too old for its destination from then on, in seconds since the Unix epoch.
    #[must_use]
    pub fn expiring_at(mut self, expires_at: i64) -> Self {
        self.expires_at = expires_at;
        self
    }

    /// The same record with a few words for people.
    #[must_use]
    pub fn labeled(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = label.into();
        self
    }

    /// Bytes this record takes in a buffer: payload, id and a fixed share for the rest.
    pub fn size_bytes(&self) -> usize {
        const FIXED: usize = 96;
        self.payload.len() + self.event_id.len() + FIXED
    }
}
