//! The contract between a host and a transform: something between sources and sinks that changes, drops or multiplies
//! events.

use crate::{BuildError, Chunk, Clock, SystemClock};
use async_trait::async_trait;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Options of a transform that have been read and found good; makes the running transform.
#[async_trait]
pub trait TransformConfig: fmt::Debug + Send + Sync {
    /// Makes the transform.
    ///
    /// # Errors
    ///
    /// When something of this machine that it needs is missing.
    async fn build(&self, cx: TransformContext) -> Result<Box<dyn Transform>, BuildError>;
}

/// A running transform.
#[async_trait]
pub trait Transform: Send + Sync {
    /// Whether the chunks of one partition of a source have to come in the order in which the source sent them. A transform
    /// that remembers something needs that; one that does not is run on many threads at once.
    fn is_ordered(&self) -> bool {
        true
    }

    /// Edits a chunk with [`Chunk::edit`]. It runs once for all sinks that read the transform. When it returns `Ok`, what it
    /// wants to remember is durable: the chunk may be acknowledged from then on. The host does not cancel the call, except when
    /// the process ends.
    ///
    /// # Errors
    ///
    /// When the transform cannot continue. The host gives up the chunk, so that its source sends it again, stops reading, and
    /// ends as failed. A panic is such an error too. One bad event is no error: see [`Edit::Reject`](crate::Edit::Reject).
    async fn apply(&self, chunk: &mut Chunk) -> Result<(), TransformError>;
}

/// What a host hands to a transform that is being built.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TransformContext {
    /// The transform's name in the pipeline file.
    pub name: String,
    /// The folder for what has to survive the process. It may not exist yet.
    pub data_dir: PathBuf,
    /// Where the transform reads the time.
    pub clock: Arc<dyn Clock>,
}

impl TransformContext {
    /// A context with the machine's clock.
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            data_dir: data_dir.into(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why a transform cannot continue. Says what, where, and what to do; never a piece of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransformError(String);

impl TransformError {
    /// An error with this text: lower case, no full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
