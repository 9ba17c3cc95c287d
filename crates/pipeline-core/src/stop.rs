//! How a source hears that it has to stop.

use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;

/// Tells a source when to stop. Cheap to clone.
#[derive(Clone)]
pub struct Stop(Arc<dyn StopSignal>);

/// What a host implements behind a [`Stop`].
#[async_trait]
pub trait StopSignal: Send + Sync {
    /// Whether the source is to stop.
    fn is_stopping(&self) -> bool;

    /// Waits until the source is to stop: it reads nothing more, and follows what it has sent until
    /// [`deadline`](Self::deadline).
    async fn stopping(&self);

    /// Waits until everything is to end, whatever is still open.
    async fn deadline(&self);
}

impl Stop {
    /// A stop of this signal.
    pub fn new(signal: Arc<dyn StopSignal>) -> Self {
        Self(signal)
    }

    /// Whether the source is to stop.
    pub fn is_stopping(&self) -> bool {
        self.0.is_stopping()
    }

    /// Waits until the source is to stop: it reads nothing more.
    pub async fn stopping(&self) {
        self.0.stopping().await;
    }

    /// Waits until everything is to end, whatever is still open.
    pub async fn deadline(&self) {
        self.0.deadline().await;
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("is_stopping", &self.is_stopping())
            .finish()
    }
}
