//! The fate of an event: what `encode` made of it, and what became of one attempt to deliver it.

use crate::Record;
use std::borrow::Cow;
use std::time::Duration;

/// Why something happened to an event: a short stable code, and one sentence for people.
///
/// The code comes from a closed set, so that it can label a metric. Neither part holds a value of the event, a token
/// or a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Snake case, from a closed set: `too_old`, `consent`, `throttled`.
    pub code: &'static str,
    /// One sentence, starting in lower case, without a full stop.
    pub detail: Cow<'static, str>,
    /// The destination's own code for it, where the destination gave one.
    pub destination: Option<DestinationCode>,
}

/// What a destination calls an error, in its own numbers, so that people can look it up in its documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationCode {
    /// The error.
    pub code: i64,
    /// Which kind of it, where the destination says so.
    pub subcode: Option<i64>,
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
    pub fn with_destination(mut self, code: impl Into<Option<DestinationCode>>) -> Self {
        self.destination = code.into();
        self
    }
}

/// What a sink made of one event, before the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoded {
    /// To be buffered and delivered.
    Record(Record),
    /// Not meant for this destination. Counted, and nothing more.
    Filtered(Reason),
    /// Meant for it but unfit. Goes to the dead letters.
    Rejected(Rejection),
}

/// An event that its sink cannot send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The event as it would have been sent, where it came that far. Boxed: rejections are rare.
    pub record: Option<Box<Record>>,
}

/// What became of one record in one attempt to deliver it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has it.
    Delivered,
    /// Try this record again: throttled, timed out, a passing fault.
    Retry {
        /// Not before this much time has passed, where the destination said so.
        after: Option<Duration>,
        /// Why it did not go through.
        reason: Reason,
    },
    /// The destination will never take this record. It goes to the dead letters; the rest go on.
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
