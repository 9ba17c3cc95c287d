//! Sealed copies of raw events in their letters, for who has fixed a mapping: a stored payload cannot be mapped again, an event can.
//!
//! In: an event that its sink has rejected, and a public key of age. Out: text that only the secret key opens, which is on no machine
//! that runs the pipeline; and back, for a replay that was given the key.
//!
//! A copy is made where the event is at hand: when its sink rejects it. What the destination refuses later has none, because only
//! hashed payloads wait in buffers.
//!
//! Invariant: what leaves this file towards a disk is encrypted; a copy says until when it may be kept, is not opened after that time,
//! and is removed soon after it.

use age_file::{Identities, KeyError, OpenError, Recipient};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pipeline_core::{Event, Meta, Origin};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// The largest event that is copied, in bytes.
pub const MAX_RAW_BYTES: usize = 32 * 1024;
/// The longest text about an event that is kept with it, in bytes.
const MAX_META_BYTES: usize = 2 * 1024;
/// The longest that a copy may be kept, in days.
pub const MAX_KEPT_DAYS: u32 = 90;
/// Reasons for which no copy is made: what cannot be read cannot be mapped either, and anybody can send it in any amount.
const WITHOUT_COPY: [&str; 1] = ["malformed_json"];
const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;

/// Seals events for one public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealer {
    to: Recipient,
    kept_days: u32,
}

/// A sealed copy of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// A file of age, in base64.
    pub(super) text: Box<str>,
    /// When it is to be removed, in milliseconds since the Unix epoch.
    pub until_ms: i64,
}

/// A copy that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) event: Event,
    /// For whom its sink delivered then.
    pub(crate) partition: Option<String>,
}

/// Why a copy was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It is kept no longer.
    TooOld,
    /// It was sealed for another key.
    OtherKey,
    /// It was changed.
    Damaged,
}

/// What a copy says in front of the event's bytes.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    received_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'a, str>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    partition: Option<Cow<'a, str>>,
}

impl Sealer {
    pub(crate) fn new(public_key: &str, kept_days: u32) -> Result<Self, KeyError> {
        let to = public_key.parse()?;
        Ok(Self { to, kept_days })
    }

    /// A copy of an event that a sink of this partition has rejected at this time; `None` of one that is too large, or cannot be mapped
    /// by any options.
    #[cold]
    pub(crate) fn seal(
        &self,
        event: &Event,
        reason: &str,
        partition: Option<&str>,
        now_ms: i64,
    ) -> Option<Box<Sealed>> {
        if event.raw().len() > MAX_RAW_BYTES || WITHOUT_COPY.contains(&reason) {
            return None;
        }
        let meta = event.meta();
        let user_agent = meta.and_then(|meta| meta.user_agent.as_deref());
        let head = Head {
            received_ms: event.received_ms(),
            peer: meta.and_then(|meta| meta.peer),
            user_agent: user_agent
                .filter(|it| it.len() <= MAX_META_BYTES)
                .map(Cow::from),
            partition: partition.map(Cow::from),
        };
        let mut plain = serde_json::to_vec(&head).ok()?;
        plain.push(b'\n');
        plain.extend_from_slice(event.raw());
        let sealed = self.to.seal(&plain).ok()?;
        Some(Box::new(Sealed {
            text: BASE64.encode(sealed).into(),
            until_ms: now_ms.saturating_add(i64::from(self.kept_days) * MS_PER_DAY),
        }))
    }
}

impl Sealed {
    /// Bytes that it takes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.text.len()
    }

    /// The event, read at this place.
    pub(crate) fn open(
        &self,
        with: &Identities,
        source: &str,
        now_ms: i64,
    ) -> Result<Opened, Closed> {
        if self.until_ms <= now_ms {
            return Err(Closed::TooOld);
        }
        let sealed = BASE64.decode(self.text.as_bytes());
        let sealed = sealed.map_err(|_| Closed::Damaged)?;
        let plain = with.open(&sealed).map_err(|error| match error {
            OpenError::OtherKey => Closed::OtherKey,
            _ => Closed::Damaged,
        })?;
        Opened::read(&plain, source).ok_or(Closed::Damaged)
    }
}

impl Opened {
    fn read(plain: &[u8], source: &str) -> Option<Self> {
        let end = plain.iter().position(|byte| *byte == b'\n')?;
        let head: Head<'_> = serde_json::from_slice(&plain[..end]).ok()?;
        let mut meta = Meta::default();
        meta.peer = head.peer;
        meta.user_agent = head.user_agent.map(|it| it.into_owned().into());
        let event = Event::new(plain[end + 1..].to_vec(), head.received_ms)
            .with_origin(Origin::whole(source.into()))
            .with_meta(Arc::new(meta));
        let partition = head.partition.map(Cow::into_owned);
        Some(Self { event, partition })
    }
}

#[cfg(test)]
mod tests;
