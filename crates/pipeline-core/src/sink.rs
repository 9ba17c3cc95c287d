//! The contract between a host and a sink.

use crate::{Clock, Coverage, Encoded, Event, Outcome, Reason, Record, SystemClock};
use async_trait::async_trait;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Options that have been read and found good; makes the running sink.
#[async_trait]
pub trait SinkConfig: fmt::Debug + Send + Sync {
    /// Makes the sink. Options are not validated again here; what can still fail is the machine.
    ///
    /// # Errors
    ///
    /// When a resource of this machine cannot be had (a TLS store, a file that went away).
    async fn build(&self, cx: SinkContext) -> Result<Box<dyn Sink>, BuildError>;

    /// Things a person should know before events flow, one sentence each. Said once at start.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Files besides the pipeline file that the options were read from. A change of one asks for a reload.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// What a host hands to a sink that is being built.
#[derive(Debug, Clone)]
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
}

/// A destination.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Turns an event into the record its destination will see. Pure and fast; called on many threads at once, before
    /// the buffer, so that what is stored holds no personal data in the clear.
    fn encode(&self, event: &Event) -> Encoded;

    /// As [`encode`](Sink::encode), and says of every output field where it came from, and of every field left out why.
    /// Slower. Names paths and rules, never a value.
    fn explain(&self, event: &Event) -> Explained {
        Explained {
            encoded: self.encode(event),
            explain: serde_json::Value::Null,
        }
    }

    /// Makes one attempt to deliver a batch, and answers with one outcome per record, in the same order.
    ///
    /// Records of a batch share a partition, and the batch keeps to the `batch_limits` of the sink's description. Whether
    /// there is another attempt is the host's business.
    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome>;

    /// Asks whether a delivery could succeed now. Never sends an event.
    ///
    /// # Errors
    ///
    /// [`HealthcheckError::Blocked`] when a person has to act, [`HealthcheckError::Unavailable`] when waiting may help.
    async fn healthcheck(&self) -> Result<(), HealthcheckError>;

    /// Which identifiers the events carried that [`encode`](Sink::encode) let through so far, where the sink counts
    /// them.
    fn coverage(&self) -> Option<Coverage> {
        None
    }
}

/// An encoded event with the story of its fields.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What [`Sink::encode`] says of the same event.
    pub encoded: Encoded,
    /// A JSON object that names, per output field, the source path and the rule, or why the field is absent.
    pub explain: serde_json::Value,
}

/// The largest batch a destination takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records.
    pub max_events: usize,
    /// Payload bytes.
    pub max_bytes: usize,
}

/// Why a sink could not be made.
#[derive(Debug, thiserror::Error)]
#[error("sink `{sink}` could not be built: {problem}")]
pub struct BuildError {
    /// The sink's name in the pipeline file.
    pub sink: String,
    /// What went wrong and what was expected.
    pub problem: String,
}

/// Why a sink would not get anything through now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HealthcheckError {
    /// Nothing will be accepted until a person acts.
    #[error("{}", .0.detail)]
    Blocked(Reason),
    /// The destination cannot be reached or is in trouble; it may pass.
    #[error("{}", .0.detail)]
    Unavailable(Reason),
}
