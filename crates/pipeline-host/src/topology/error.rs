//! Why a pipeline could not start, or could not change.

use crate::buffer::DiskBufferError;
use crate::config::SinkPlan;
use pipeline_core::{BuildError, Kind, Sink, SinkContext};
use std::sync::Arc;

/// Why a pipeline could not start, or could not change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A component cannot be made on this machine.
    #[error("{}{error}", prefix(*kind, name))]
    Build {
        /// What kind of component.
        kind: Kind,
        /// Its name in the pipeline file.
        name: String,
        /// Why.
        error: BuildError,
    },
    /// A disk buffer cannot be used.
    #[error(transparent)]
    Buffer(#[from] DiskBufferError),
    /// What waits in a disk buffer was made for another partition, such as another account.
    #[error(
        "sink `{sink}`: {events} events wait in its disk buffer for `{made_for}`, and it sends to `{now}` now; what was made for \
         one is never sent to another: run with `{made_for}` until they are delivered, or give the sink for `{now}` another name"
    )]
    OtherPartition {
        /// The sink.
        sink: String,
        /// Events that wait.
        events: u64,
        /// The partition that they were made for.
        made_for: String,
        /// The partition of the sink.
        now: String,
    },
    /// The pipeline contradicts itself.
    #[error("{0}")]
    Refused(String),
}

/// Sources name themselves in their errors.
fn prefix(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Source => String::new(),
        kind => format!("{kind} `{name}` could not be built: "),
    }
}

/// Why a running pipeline was not changed. Nothing of the change was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// Things changed that only a restart can change.
    #[error("{} cannot change while the pipeline runs; restart it", listed(.0))]
    NeedsRestart(Vec<String>),
    /// Stored events depend on what would change.
    #[error(
        "{} cannot change while sink `{sink}` runs, because of the events that it stores; restart the pipeline once they are \
         delivered, or add a sink of another name and remove this one",
        listed(options)
    )]
    StoredEvents {
        /// The sink.
        sink: String,
        /// The options.
        options: Vec<String>,
    },
    /// What waits was made for another partition, such as another account, and does not get through now.
    #[error(
        "sink `{sink}`: {events} events wait for `{made_for}` and do not get through now; what was made for one is never sent to \
         `{now}`: change it once they are delivered, or add a sink for `{now}` of another name and remove this one"
    )]
    OtherPartition {
        /// The sink.
        sink: String,
        /// Events that wait.
        events: u64,
        /// The partition that they were made for.
        made_for: String,
        /// The partition that they would be sent to.
        now: String,
    },
    /// A sink of this name was removed and still delivers.
    #[error(
        "sink `{0}` was removed a moment ago and still delivers what it holds; try again later"
    )]
    StillDraining(String),
    /// A component of the new pipeline cannot be made on this machine.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The pipeline is ending.
    #[error("the pipeline is ending")]
    Ending,
}

fn listed(places: &[String]) -> String {
    format!("`{}`", places.join("`, `"))
}

impl SinkPlan {
    /// Makes the sink.
    ///
    /// # Errors
    ///
    /// [`StartError::Build`] when something of this machine that it needs is missing.
    pub async fn make(&self, cx: SinkContext) -> Result<Arc<dyn Sink>, StartError> {
        let made = self.config.build(cx).await;
        let made = made.map_err(|error| StartError::Build {
            kind: Kind::Sink,
            name: self.name.clone(),
            error,
        })?;
        Ok(made.into())
    }
}
