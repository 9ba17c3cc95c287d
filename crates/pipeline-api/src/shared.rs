//! What every request sees.

use crate::attempts::Attempts;
use crate::feed::Feed;
use crate::letter_jobs::LetterJobs;
use pipeline_cli::StartedPipeline;
use pipeline_core::{Clock, SystemClock};
use pipeline_host::telemetry::Status;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// Streams of events that are open at the same time.
pub(crate) const MAX_STREAMS: usize = 8;

/// What every request sees.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    /// When the process began to listen, in milliseconds since the Unix epoch.
    pub(crate) started_ms: i64,
    /// The pipeline, once it runs.
    pub(crate) pipeline: OnceLock<StartedPipeline>,
    pub(crate) attempts: Arc<Attempts>,
    pub(crate) feed: Arc<Feed>,
    /// Replays of dead letters.
    pub(crate) letters: LetterJobs,
    /// A permit for each stream that may be open.
    pub(crate) streams: Arc<Semaphore>,
}

impl Default for Shared {
    fn default() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self {
            started_ms: clock.now_ms(),
            clock,
            pipeline: OnceLock::new(),
            attempts: Arc::default(),
            feed: Arc::default(),
            letters: LetterJobs::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        }
    }
}

impl Shared {
    /// What the pipeline is doing; `None` before it runs.
    pub(crate) fn status(&self) -> Option<Status> {
        let pipeline = self.pipeline.get()?;
        Some(pipeline.telemetry.status())
    }
}
