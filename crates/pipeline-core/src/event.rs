//! An event as a source received it: its bytes, the time of receipt, where it was read, and what the transport said.

use crate::Origin;
use bytes::Bytes;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// One analytics event as a source received it, before anything has parsed it.
///
/// It may hold personal data in the clear, so it is never written to disk or to a log. Its `Debug` shows its size only.
#[derive(Clone)]
pub struct Event {
    raw: Bytes,
    received_ms: i64,
    origin: Origin,
    meta: Option<Arc<Meta>>,
}

/// What the transport said about an event, apart from its bytes.
///
/// Events of one connection or message share it. It holds personal data (an address), so `Debug` shows which parts are
/// present and no values.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// The address of the client that sent the event.
    pub peer: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub user_agent: Option<Box<str>>,
    /// The key under which a partitioned stream keeps the order of events (for Kafka the message key).
    pub partition_key: Option<Box<[u8]>>,
}

impl Event {
    /// An event of these bytes (one JSON document, if all is well), received `received_ms` milliseconds after the Unix
    /// epoch. Its origin is unknown until [`with_origin`](Self::with_origin) sets it.
    pub fn new(raw: impl Into<Bytes>, received_ms: i64) -> Self {
        Self {
            raw: raw.into(),
            received_ms,
            origin: Origin::unknown(),
            meta: None,
        }
    }

    /// The same event, read at this place.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The same event with what the transport said about it.
    #[must_use]
    pub fn with_meta(mut self, meta: Arc<Meta>) -> Self {
        self.meta = Some(meta);
        self
    }

    /// The same event with other bytes, as a transform makes it. Origin, time of receipt and meta stay.
    #[must_use]
    pub fn with_raw(mut self, raw: impl Into<Bytes>) -> Self {
        self.raw = raw.into();
        self
    }

    /// The bytes as received.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The bytes as received; a clone shares the memory.
    pub fn bytes(&self) -> &Bytes {
        &self.raw
    }

    /// When the source received it, in milliseconds since the Unix epoch.
    pub fn received_ms(&self) -> i64 {
        self.received_ms
    }

    /// Where the source read it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What the transport said about it, if the source passes that on.
    pub fn meta(&self) -> Option<&Arc<Meta>> {
        self.meta.as_ref()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("bytes", &self.raw.len())
            .field("received_ms", &self.received_ms)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meta")
            .field("peer", &self.peer.is_some())
            .field("user_agent", &self.user_agent.is_some())
            .field("partition_key", &self.partition_key.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_sizes_and_presence_and_no_values() {
        let meta = Meta {
            peer: Some([203, 0, 113, 9].into()),
            user_agent: Some("agent/1".into()),
            ..Meta::default()
        };
        let event = Event::new("{\"email\":\"a@b.example\"}", 7)
            .with_origin(Origin::line("app".into(), 3))
            .with_meta(Arc::new(meta));
        let shown = format!("{event:?} {:?}", event.meta());
        for secret in ["a@b.example", "203.0.113.9", "agent/1"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_transform_changes_the_bytes_and_nothing_else() {
        let event = Event::new("a", 7).with_origin(Origin::line("app".into(), 3));
        let changed = event.clone().with_raw("b");
        assert_eq!(changed.raw(), b"b");
        assert_eq!(
            (changed.received_ms(), changed.origin()),
            (7, event.origin())
        );
    }
}
