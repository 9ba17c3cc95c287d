//! One line of the feed: what became of one event at one sink.
//!
//! Invariant: names and ids that a sender chose are shown only where they cannot be an address, a number or a sentence of
//! somebody's. The payload is what the buffer holds, identity hashed; it is shown to who asks for a single event, never in lists.

use crate::answer::time;
use crate::explained::Kept;
use crate::withheld::{MAX_NAME_CHARS, cut, shown_id, withhold, withhold_address};
use pipeline_core::{Amount, Exchange, Origin, Reason};
use pipeline_host::report::ARROW;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// The longest sentence that is kept, in characters.
const MAX_DETAIL_CHARS: usize = 500;
/// The largest payload that is kept, in bytes.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Delivered,
    Filtered,
    Rejected,
    Retrying,
    Held,
}

impl Status {
    pub(crate) const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Filtered,
        Self::Rejected,
        Self::Retrying,
        Self::Held,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Filtered => "filtered",
            Self::Rejected => "rejected",
            Self::Retrying => "retrying",
            Self::Held => "held",
        }
    }
}

/// One line of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) time_ms: i64,
    pub(crate) status: Status,
    pub(crate) sink: String,
    pub(crate) name: Option<String>,
    pub(crate) destination_event: Option<String>,
    pub(crate) event_id: Option<String>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) detail: Option<String>,
    pub(crate) destination_code: Option<String>,
    pub(crate) source: String,
    pub(crate) place: String,
    pub(crate) attempt: u32,
    /// Says which rows are of the same event.
    pub(crate) event: u64,
    /// When the event came in.
    pub(crate) received_ms: Option<i64>,
    /// Bytes of the payload.
    pub(crate) bytes: Option<usize>,
    /// The payload, where it is text and not larger than [`MAX_PAYLOAD_BYTES`].
    pub(crate) payload: Option<Arc<str>>,
    /// What the event is worth, where the sink says so.
    pub(crate) amount: Option<Amount>,
    pub(crate) exchange: Option<Arc<Exchange>>,
    pub(crate) explanation: Option<Arc<Kept>>,
    /// Whether it is a test event of these pages, which no counter of the pipeline counts.
    pub(crate) is_test: bool,
}

/// The event of a row.
#[derive(Debug, Clone)]
pub(crate) struct Seen<'a> {
    pub(crate) sink: &'a str,
    pub(crate) origin: &'a Origin,
    pub(crate) label: Option<&'a str>,
    pub(crate) event_id: Option<&'a str>,
    pub(crate) reason: Option<&'a Reason>,
    pub(crate) attempt: u32,
    pub(crate) received_ms: Option<i64>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) exchange: Option<&'a Arc<Exchange>>,
    pub(crate) explanation: Option<Arc<Kept>>,
    pub(crate) is_test: bool,
}

impl<'a> Seen<'a> {
    /// An event about which only this is known.
    pub(crate) fn of(sink: &'a str, origin: &'a Origin) -> Self {
        Self {
            sink,
            origin,
            label: None,
            event_id: None,
            reason: None,
            attempt: 0,
            received_ms: None,
            payload: None,
            exchange: None,
            explanation: None,
            is_test: false,
        }
    }
}

impl Row {
    pub(crate) fn new(seq: u64, time_ms: i64, status: Status, seen: Seen<'_>) -> Self {
        let (name, destination_event) = names(seen.label);
        let reason = seen.reason;
        let code = reason.and_then(|reason| reason.destination.as_deref());
        let place = seen.origin.to_string();
        let payload = seen.payload.filter(|it| it.len() <= MAX_PAYLOAD_BYTES);
        Self {
            seq,
            time_ms,
            status,
            sink: seen.sink.to_owned(),
            name,
            destination_event,
            event_id: seen.event_id.filter(|id| !id.is_empty()).map(shown_id),
            reason: reason.map(|reason| reason.code),
            detail: reason.map(|reason| cut(&reason.detail, MAX_DETAIL_CHARS).into_owned()),
            destination_code: code.map(|code| cut(code, MAX_NAME_CHARS).into_owned()),
            source: withhold_address(seen.origin.source()),
            place: withhold_address(&place),
            attempt: seen.attempt,
            event: place_key(seen.origin),
            received_ms: seen.received_ms,
            bytes: seen.payload.map(<[u8]>::len),
            // A copy: what is shared with a buffer would keep more than its own bytes in memory.
            payload: payload.and_then(|it| std::str::from_utf8(it).ok().map(Into::into)),
            amount: None,
            exchange: seen.exchange.cloned(),
            explanation: seen.explanation,
            is_test: seen.is_test,
        }
    }

    /// The same row of an event that is worth so much.
    pub(crate) fn worth(mut self, amount: Option<Amount>) -> Self {
        self.amount = amount;
        self
    }

    /// Bytes that it takes.
    pub(crate) fn size_bytes(&self) -> usize {
        let optional = [
            &self.name,
            &self.destination_event,
            &self.event_id,
            &self.detail,
            &self.destination_code,
        ];
        let optional = optional
            .into_iter()
            .flatten()
            .map(String::len)
            .sum::<usize>();
        let payload = self.payload.as_ref().map_or(0, |payload| payload.len());
        let currency = self.amount.as_ref().and_then(|it| it.currency.as_ref());
        let currency = currency.map_or(0, |code| code.len());
        // Others may share them; counting them for each errs on the safe side.
        let exchange = self.exchange.as_ref().map_or(0, |it| it.size_bytes());
        let explanation = self.explanation.as_ref().map_or(0, |it| it.size_bytes());
        let known = self.sink.len() + self.source.len() + self.place.len() + optional;
        size_of::<Self>() + known + payload + currency + exchange + explanation
    }

    /// As lists show it.
    pub(crate) fn to_json(&self) -> Value {
        let amount = self.amount.as_ref();
        let mut row = json!({
            "seq": self.seq,
            "time": time(self.time_ms),
            "name": self.name,
            "destination_event": self.destination_event,
            "status": self.status.word(),
            "reason": self.reason,
            "source": self.source,
            "sink": self.sink,
            "event_id": self.event_id,
            "value": amount.and_then(|amount| amount.value.as_ref()),
            "currency": amount.and_then(|amount| amount.currency.as_deref()),
        });
        if self.is_test {
            row["test"] = json!(true);
        }
        row
    }

    /// With everything that is known. `related` are all rows of the same event, the oldest first.
    pub(crate) fn to_full_json(&self, related: &[Self], shows_as_sent: bool) -> Value {
        let mut row = self.to_json();
        row["detail"] = json!(self.detail);
        row["destination_code"] = json!(self.destination_code);
        row["place"] = json!(self.place);
        row["attempt"] = json!(self.attempt);
        row["received"] = json!(self.received_ms.and_then(time));
        row["bytes"] = json!(self.bytes);
        if shows_as_sent {
            row["payload_text"] = json!(self.payload.as_deref());
        }
        row["exchange"] = json!(self.exchange_json());
        let attempts = related.iter().filter(|row| row.attempt > 0);
        row["attempts"] = attempts.map(Self::attempt_json).collect();
        row["explain"] = json!(self.explanation.as_ref().map(|it| it.to_json()));
        if self.explanation.is_none() {
            row["not_explained"] = json!("not kept: nobody was watching");
        }
        row["history"] = self.history(related).into();
        row
    }

    /// The request that carried the event last, and its answer.
    fn exchange_json(&self) -> Option<Value> {
        let it = self.exchange.as_ref()?;
        let throttle = it.throttle.iter();
        let throttle: Map<_, _> = throttle
            .map(|(name, figure)| (name.to_string(), json!(figure)))
            .collect();
        Some(json!({
            "attempt": self.attempt,
            "request": it.request,
            "events": it.events,
            "bytes": it.bytes,
            "status": it.status,
            "ms": it.millis,
            "events_received": it.received,
            "trace_id": it.trace,
            "code": it.code,
            "subcode": it.subcode,
            "message": it.message,
            "throttle": throttle,
        }))
    }

    fn attempt_json(&self) -> Value {
        json!({
            "attempt": self.attempt,
            "time": time(self.time_ms),
            "status": self.status.word(),
            "reason": self.reason,
            "detail": self.detail,
            "exchange": self.exchange_json(),
        })
    }

    /// What has happened to the event, the oldest first: it came in, it was mapped, and what the rows say.
    fn history(&self, related: &[Self]) -> Vec<Value> {
        let step = |what: &str, ms: Option<i64>, detail: Option<&str>| json!({"what": what, "time": ms.and_then(time), "detail": detail});
        let received = self.received_ms;
        let mut steps = Vec::new();
        if received.is_some() {
            steps.push(step("received", received, Some(&self.place)));
        }
        if let Some(destination) = self
            .destination_event
            .as_deref()
            .filter(|_| self.bytes.is_some())
        {
            steps.push(step("mapped", received, Some(destination)));
        }
        for row in related {
            let mut told = step(row.status.word(), Some(row.time_ms), row.detail.as_deref());
            told["reason"] = json!(row.reason);
            told["attempt"] = json!(row.attempt);
            steps.push(told);
        }
        steps
    }
}

/// Says which rows are of one event, also where only the place of the event is known.
fn place_key(origin: &Origin) -> u64 {
    let mut hasher = DefaultHasher::new();
    origin.hash(&mut hasher);
    hasher.finish()
}

/// The two names of a label: what its sender calls the event, and what it is at the destination, if anything.
fn names(label: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(label) = label.filter(|label| !label.is_empty()) else {
        return (None, None);
    };
    let shown = |name: &str| withhold(name).into_owned();
    match label.split_once(ARROW) {
        Some((name, destination)) => (Some(shown(name)), Some(shown(destination))),
        None => (Some(shown(label)), None),
    }
}

/// A label with its names as they may be shown.
pub(crate) fn shown_label(label: &str) -> String {
    match names(Some(label)) {
        (Some(name), Some(destination)) => format!("{name}{ARROW}{destination}"),
        (name, _) => name.unwrap_or_default(),
    }
}

/// A sentence or a code of a sink's, cut.
pub(crate) fn shown_text(text: &str) -> Cow<'_, str> {
    cut(text, MAX_DETAIL_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::withheld::WITHHELD;

    #[test]
    fn names_that_may_be_personal_are_withheld() {
        let name = |label: &str| names(Some(label)).0.unwrap();
        for label in [
            "jane@example.com",
            "jane%40example.com",
            "Call 0170 1234567",
            "+49 (170) 12-34-567",
            "Order 1234567",
            "٠١٢٣٤٥٦٧",
        ] {
            assert_eq!(name(label), WITHHELD, "{label}");
        }
        for label in ["Order Completed", "Step 3 of 5", "v1.2 2024", "Größe L"] {
            assert_eq!(name(label), label);
        }
        assert_eq!(name(&"x".repeat(100)).chars().count(), 65);
        let both = names(Some("jane@example.com → Purchase"));
        assert_eq!(both, (Some(WITHHELD.into()), Some("Purchase".into())));
        assert_eq!(names(None), (None, None));
    }
}
