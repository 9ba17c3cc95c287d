//! The contract between a host and a sink.

use crate::options::Problem;
use crate::{
    Amount, Clock, Cookie, Coverage, DeliveryReport, Encoded, Event, Explanation, Outcome, Reason,
    Record, Refit, SystemClock,
};
use async_trait::async_trait;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Options of a sink that have been read and found good; makes the running sink.
///
/// Reading options opens nothing and reads no secret, so that a configuration can be checked on any machine.
#[async_trait]
pub trait SinkConfig: fmt::Debug + Send + Sync {
    /// Makes the sink. Options are not validated again here; what can still fail is the machine.
    ///
    /// # Errors
    ///
    /// When a resource of this machine cannot be had (a TLS store, a file that went away).
    async fn build(&self, cx: SinkContext) -> Result<Box<dyn Sink>, BuildError>;

    /// What works as written and is perhaps not meant: notes, with paths relative to the options. `validate` shows them, and the
    /// start of a run logs them. What cannot be meant is an error of reading the options instead.
    fn notices(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// Files besides the pipeline file that the options were read from. A change of one asks for a reload.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// What a host hands to a sink that is being built.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SinkContext {
    /// The sink's name in the pipeline file.
    pub name: String,
    /// Where the sink reads the time.
    pub clock: Arc<dyn Clock>,
}

impl SinkContext {
    /// A context with the machine's clock.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The same context with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// A destination.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Turns an event into the record its destination will see. Pure and fast; called on many threads at once, before
    /// the buffer, so that what is stored holds no personal data in the clear.
    fn encode(&self, event: &Event) -> Encoded;

    /// As [`encode`](Sink::encode), and says of every output field where it came from, and of every field left out why.
    /// Slower; a host calls it only for a person who asked. Names paths and rules, never a value.
    fn explain(&self, event: &Event) -> Explained {
        Explained::new(self.encode(event), Explanation::default())
    }

    /// Looks at a record that was stored as a dead letter, before it is sent again: what its destination would refuse is found
    /// here, and what the options say now is applied as far as a record allows. `stored_for` is the code of the reason that its
    /// letter has. Pure; it is not called for events on their usual way, and may be slow.
    ///
    /// A value that was given and not understood must not be replaced here either; and a sink whose options have not changed
    /// changes nothing.
    fn refit(&self, _stored: &Record, _stored_for: &str) -> Refit {
        Refit::Same
    }

    /// The cookies that the destination would keep in the browser that sent this event: `None` for a destination without
    /// cookies, and for an event that would not be sent or has no browser; empty where the event does not say that the visitor
    /// agreed. A host asks only for sources that may set cookies.
    fn cookies(&self, _event: &Event) -> Option<Vec<Cookie>> {
        None
    }

    /// What an event is worth that was encoded to this payload, where the destination knows such a thing. For people who look at
    /// single events; a host never asks on the usual way of an event.
    fn amount(&self, _payload: &[u8]) -> Option<Amount> {
        None
    }

    /// Makes one attempt to deliver a batch, and answers with one outcome per record, in the same order.
    ///
    /// Records of a batch share a partition, and the batch keeps to the `batch_limits` of the sink's description. Whether
    /// there is another attempt is the host's business.
    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome>;

    /// As [`deliver`](Sink::deliver), and says with which requests and answers, for people who look at single events. A host
    /// calls it instead of `deliver` while somebody watches. The outcomes are the same.
    async fn deliver_observed(&self, batch: &[Record]) -> DeliveryReport {
        DeliveryReport::new(self.deliver(batch).await)
    }

    /// The partition of the records that it delivers, where it delivers those of one only, such as one account. A host never
    /// hands it a record of another one: records that wait in a buffer may have been made for another account.
    fn partition(&self) -> Option<Arc<str>> {
        None
    }

    /// Asks whether a delivery could succeed now. Never sends an event.
    ///
    /// # Errors
    ///
    /// [`HealthcheckError::Blocked`] when a person has to act, [`HealthcheckError::Unavailable`] when waiting may help.
    async fn healthcheck(&self) -> Result<(), HealthcheckError>;

    /// Every kind of event that it has a counterpart for, as in [`Record::label`], so that a person who misspelled a name finds
    /// the right one. Empty where it tells no kinds apart.
    fn event_labels(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Which identifiers the events carried that [`encode`](Sink::encode) let through so far, where the sink counts
    /// them.
    fn coverage(&self) -> Option<Coverage> {
        None
    }

    /// What a person should know of that has come up while it delivered, and that is no event's fate: the destination announces
    /// a change, for example. The host logs it once a minute, so a sink gives the same once a day at most. Holds names, codes and
    /// counts only.
    fn take_notices(&self) -> Vec<Reason> {
        Vec::new()
    }

    /// What to do about these events, which [`encode`](Sink::encode) filtered or rejected: one sentence, where the sink knows
    /// one. A host asks when most events of a while were not sent, at most once a minute, and shows the answer in its
    /// log, so it holds names, codes and counts only.
    fn advise(&self, _missing: &[MissingEvents]) -> Option<String> {
        None
    }
}

/// Events of one kind that a sink filtered or rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingEvents {
    /// Which kind of event, as [`Filtered::label`](crate::Filtered::label) says it; `None` where the sink did not say.
    pub label: Option<Arc<str>>,
    /// The code of the reason.
    pub code: &'static str,
    /// How many.
    pub events: u64,
}

impl MissingEvents {
    /// So many events of this label, missing for the reason of this code.
    pub fn new(label: Option<Arc<str>>, code: &'static str, events: u64) -> Self {
        Self {
            label,
            code,
            events,
        }
    }
}

/// Every method forwarded, so that a sink can be wrapped: what wraps one holds an `Arc<dyn Sink>` and forwards what it does
/// not change.
#[async_trait]
impl<S: Sink + ?Sized> Sink for Arc<S> {
    fn encode(&self, event: &Event) -> Encoded {
        (**self).encode(event)
    }

    fn explain(&self, event: &Event) -> Explained {
        (**self).explain(event)
    }

    fn refit(&self, stored: &Record, stored_for: &str) -> Refit {
        (**self).refit(stored, stored_for)
    }

    fn cookies(&self, event: &Event) -> Option<Vec<Cookie>> {
        (**self).cookies(event)
    }

    fn amount(&self, payload: &[u8]) -> Option<Amount> {
        (**self).amount(payload)
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        (**self).deliver(batch).await
    }

    async fn deliver_observed(&self, batch: &[Record]) -> DeliveryReport {
        (**self).deliver_observed(batch).await
    }

    fn partition(&self) -> Option<Arc<str>> {
        (**self).partition()
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        (**self).healthcheck().await
    }

    fn event_labels(&self) -> Vec<Arc<str>> {
        (**self).event_labels()
    }

    fn coverage(&self) -> Option<Coverage> {
        (**self).coverage()
    }

    fn take_notices(&self) -> Vec<Reason> {
        (**self).take_notices()
    }

    fn advise(&self, missing: &[MissingEvents]) -> Option<String> {
        (**self).advise(missing)
    }
}

/// An encoded event with an explanation of its fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explained {
    /// What [`Sink::encode`] says of the same event.
    pub encoded: Encoded,
    /// Where each output field came from, and why others are absent.
    pub explanation: Explanation,
    /// The event's own name, as its sender calls it, so that a person recognizes it; `None` where the sink knows none.
    /// A sink shows no name that could hold personal data.
    pub source_event: Option<Arc<str>>,
}

impl Explained {
    /// An encoded event with an explanation of its fields.
    pub fn new(encoded: Encoded, explanation: Explanation) -> Self {
        Self {
            encoded,
            explanation,
            source_event: None,
        }
    }

    /// The same with the event's own name.
    #[must_use]
    pub fn with_source_event(mut self, source_event: Option<Arc<str>>) -> Self {
        self.source_event = source_event;
        self
    }
}

/// The largest batch a destination takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimits {
    /// Records.
    pub max_events: usize,
    /// Payload bytes.
    pub max_bytes: usize,
}

impl BatchLimits {
    /// So many records and payload bytes.
    pub const fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            max_events,
            max_bytes,
        }
    }
}

/// Why a component could not be made. Says what went wrong and what was expected; the host adds the component's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

impl BuildError {
    /// An error with this text: lower case, no full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Why a sink would not get anything through now.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HealthcheckError {
    /// Nothing will be accepted until a person acts.
    #[error("{}", .0.detail)]
    Blocked(Reason),
    /// The destination cannot be reached or is in trouble; it may pass.
    #[error("{}", .0.detail)]
    Unavailable(Reason),
}
