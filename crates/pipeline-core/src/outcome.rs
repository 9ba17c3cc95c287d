//! The fate of an event: what `encode` made of it, and what became of one attempt to deliver it.

use crate::Record;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Why something happened to an event: a short stable code, and one sentence for people.
///
/// The code comes from a closed set, so that it can label a metric. Neither part holds a value of the event, a token
/// or a hash.
///
/// A host uses codes of its own, which a plugin must not give another meaning: `internal` (a plugin failed), `too_large` (a
/// line or a body), `buffer_full` (dropped by `drop_newest`), `expired` (too old after waiting), `retries_exhausted` (the
/// retry budget is spent), `keeps_failing` (it failed alone for long, while others were delivered), `held_at_shutdown`,
/// `other_partition` (what waits is for another account than the sink has now), `damaged` (a disk buffer lost it), `dropped` (a transform made no event of
/// it). A plugin uses `dropped_by_config` for events that its user asked it to drop: the host does not warn of these.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reason {
    /// Snake case, from a closed set: `too_old`, `consent`, `throttled`.
    pub code: &'static str,
    /// One sentence, starting in lower case, without a full stop.
    pub detail: Cow<'static, str>,
    /// The destination's own code for it, where the destination gave one, so that people can look it up in its
    /// documentation: `100/2804019`, `429`. Never a text that the destination wrote.
    pub destination: Option<Box<str>>,
}

impl Reason {
    /// A reason of this code and sentence.
    pub fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            destination: None,
        }
    }

    /// The same reason with the destination's own code, where there is one.
    #[must_use]
    pub fn with_destination(mut self, code: Option<impl Into<Box<str>>>) -> Self {
        self.destination = code.map(Into::into);
        self
    }
}

/// What a sink made of one event, before the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoded {
    /// To be buffered and delivered.
    Record(Record),
    /// Not meant for this destination. Counted, and nothing more.
    Filtered(Filtered),
    /// Meant for it but unfit. Goes to the dead letters.
    Rejected(Rejection),
}

impl Encoded {
    /// A few words for people about which kind of event it was, as in [`Record::label`]; `None` where the sink does not say.
    pub fn label(&self) -> Option<&Arc<str>> {
        match self {
            Self::Record(record) => Some(&record.label),
            Self::Filtered(filtered) => filtered.label.as_ref(),
            Self::Rejected(rejection) => rejection.label.as_ref(),
        }
    }
}

/// An event that is not meant for its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filtered {
    /// Why.
    pub reason: Reason,
    /// Which kind of event it was: its name, and what it would have become at the destination, as in [`Record::label`].
    /// Never a value of the event that could be personal.
    pub label: Option<Arc<str>>,
}

impl Filtered {
    /// An event that is filtered for this reason.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            label: None,
        }
    }

    /// The same with a few words about which kind of event it was.
    #[must_use]
    pub fn with_label(mut self, label: Option<Arc<str>>) -> Self {
        self.label = label;
        self
    }
}

/// An event that its sink cannot send.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The event as it would have been sent, where it came that far. Boxed: rejections are rare.
    pub record: Option<Box<Record>>,
    /// Which kind of event it was, as in [`Filtered::label`].
    pub label: Option<Arc<str>>,
}

impl Rejection {
    /// An event that did not become a record.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            record: None,
            label: None,
        }
    }

    /// The same with a few words about which kind of event it was.
    #[must_use]
    pub fn with_label(mut self, label: Option<Arc<str>>) -> Self {
        self.label = label;
        self
    }

    /// The same rejection with the event as it would have been sent, where it came that far.
    #[must_use]
    pub fn with_record(mut self, record: Option<Box<Record>>) -> Self {
        self.record = record;
        self
    }
}

/// What became of one record in one attempt to deliver it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The destination has it. The host lets go of the record and acknowledges its event.
    Delivered,
    /// Try this record again: throttled, timed out, a passing fault. The host puts it back in front of the buffer and
    /// pauses the sink.
    Retry {
        /// Not before this much time has passed, where the destination said so.
        after: Option<Duration>,
        /// Why it did not go through.
        reason: Reason,
    },
    /// As [`Retry`](Self::Retry), but the request that held this record failed in a way that a single record can cause: the
    /// destination reported a fault of its own, hung up, or did not answer.
    ///
    /// The host tries again. If the same records keep failing, it sends fewer at a time, until it knows whether one of them is the
    /// cause; that one then waits aside, with pauses of its own, while the others are delivered. Records of a batch that were not
    /// in the failed request get [`Retry`](Self::Retry).
    Failed {
        /// Not before this much time has passed, where the destination said so.
        after: Option<Duration>,
        /// Why it did not go through.
        reason: Reason,
    },
    /// The destination will never take this record. It becomes a dead letter; the others are not affected.
    Rejected {
        /// Why.
        reason: Reason,
    },
    /// The destination takes nothing until a person acts: a revoked token, a missing permission.
    ///
    /// The host stops sending, keeps what it has, and probes the health check until it passes.
    Blocked {
        /// Why, and what to do.
        reason: Reason,
    },
}

/// What a sink makes of a record that was stored as a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refit {
    /// It can be sent as it is.
    Same,
    /// It can be sent in this form, under the same event id and for the same partition.
    Changed(Box<Record>),
    /// The destination would refuse it, for this reason.
    Unfit(Reason),
}
