//! Events that come wrapped in what another service delivers: CloudEvents, Pub/Sub's pushes, and Firehose's requests.
//!
//! ```text
//! head ─► form (which envelope this body is) ─► elements ─► `data` ─► one event each (Firehose: as many as are in it)
//! ```
//!
//! Only what is in `data` becomes the event: attributes of the envelope (ids, times, topics) are the service's own, and are
//! not used.
//!
//! Invariant: a body that is no such envelope is refused whole (422), and an element that cannot be unpacked is rejected
//! alone, with its place; neither is ever taken for an event as it is.

mod cloudevents;
mod data;
pub(super) mod firehose;
mod pubsub;

use crate::http::members::{Member, each, past_space};
use crate::http::{Events, Refusal, Shown, events};
use axum::http::HeaderMap;
use bytes::Bytes;
use pipeline_core::{Reason, schemars};
use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;

/// What events come wrapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Envelope {
    /// Nothing: the body is the events.
    #[default]
    None,
    /// CloudEvents 1.x over HTTP: structured, as a batch (both by their content type), or in binary mode (`ce-` headers). The event is `data` or `data_base64`.
    Cloudevents,
    /// A push subscription of Google Cloud Pub/Sub: the event is `message.data`. The `secret` may also come as `?token=` in the push URL.
    Pubsub,
    /// An HTTP endpoint of Amazon Data Firehose: the events are in `records[].data`, one or several each. The `secret` is the access key of the stream.
    Firehose,
}

/// How one body is read, as the head of its request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As the events.
    Events,
    /// One CloudEvent in JSON.
    CloudEvent,
    /// An array of CloudEvents in JSON.
    CloudEvents,
    /// The data of a CloudEvent whose attributes are in headers.
    Data,
    /// A push of Pub/Sub.
    Push,
    /// A request of Firehose.
    Records,
}

/// What was in an envelope.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) events: Events,
    /// The id of Firehose's request, which the answer repeats.
    pub(super) request_id: Option<String>,
}

impl Envelope {
    /// How the body of a request with these headers is read.
    pub(super) fn form(self, headers: &HeaderMap) -> Result<Form, Refusal> {
        match self {
            Self::None => Ok(Form::Events),
            Self::Cloudevents => cloudevents::form(headers),
            Self::Pubsub => Ok(Form::Push),
            Self::Firehose => Ok(Form::Records),
        }
    }

    /// Where the service behind it shows a secret.
    pub(super) fn shown(self) -> Shown {
        let usual = Shown::IN_HEADER;
        match self {
            Self::None | Self::Cloudevents => usual,
            Self::Pubsub => Shown {
                parameter: Some(pubsub::SECRET_PARAMETER),
                ..usual
            },
            Self::Firehose => Shown {
                header: firehose::ACCESS_KEY,
                ..usual
            },
        }
    }
}

impl Form {
    /// The events in a body of this form.
    pub(super) fn open(self, body: &Bytes) -> Result<Opened, Refusal> {
        let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let text = body.slice_ref(text.trim_ascii());
        let events = match self {
            Self::Events => events(body)?,
            Self::CloudEvent => vec![cloudevents::single(&text)?],
            Self::CloudEvents => cloudevents::batch(&text)?,
            Self::Data => vec![cloudevents::binary(&text)?],
            Self::Push => vec![pubsub::open(&text)?],
            Self::Records => return firehose::open(&text),
        };
        Ok(Opened {
            events,
            request_id: None,
        })
    }
}

/// A member of an object, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Found {
    /// It is not there, or `null`.
    #[default]
    Absent,
    Once(Range<usize>),
    /// Which of them counts is not known.
    Again,
}

/// The members of these names, compared exactly; `None` where the text is not one whole object.
fn members<const N: usize>(text: &[u8], names: [&str; N]) -> Option<[Found; N]> {
    let mut found = std::array::from_fn(|_| Found::Absent);
    let take = |Member { name, value }: Member| {
        let name = plain(&text[name]);
        let place = names
            .iter()
            .position(|wanted| Some(*wanted) == name.as_deref());
        if let Some(place) = place.filter(|_| &text[value.clone()] != b"null") {
            found[place] = match found[place] {
                Found::Absent => Found::Once(value),
                _ => Found::Again,
            };
        }
        true
    };
    let whole = each(text, 0, take)?;
    (past_space(text, whole.close + 1) == text.len()).then_some(found)
}

/// A JSON string without its quotation marks and escapes.
fn plain(quoted: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    if quoted.contains(&b'\\') {
        return serde_json::from_slice::<String>(quoted)
            .ok()
            .map(Into::into);
    }
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(inner).ok().map(Into::into)
}

/// A body that is not the envelope that it has to be.
fn no_envelope(problem: &str, expected: &str) -> Refusal {
    // Senders repeat what gets 400 for ever.
    let message = format!("the body {problem}; expected {expected}");
    Refusal::new(422, "no_envelope", message)
}

/// An element that cannot be unpacked.
fn not_unpacked(problem: impl Into<std::borrow::Cow<'static, str>>) -> Reason {
    Reason::new("not_unpacked", problem)
}

/// A reason with the place of its element in front.
fn at(what: &str, index: usize, mut reason: Reason) -> Reason {
    reason.detail = format!("{what} {index}: {}", reason.detail).into();
    reason
}

#[cfg(test)]
mod tests;
