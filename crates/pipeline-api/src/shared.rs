//! What every request sees.

use crate::answer::{Refusal, unknown_sink};
use crate::attempts::Attempts;
use crate::feed::Feed;
use crate::letter_jobs::LetterJobs;
use crate::series::Series;
use pipeline_cli::StartedPipeline;
use pipeline_core::{Clock, SystemClock};
use pipeline_host::telemetry::{SinkStatus, Status};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Streams of events that are open at the same time.
pub(crate) const MAX_STREAMS: usize = 8;

/// Texts and events of requests that are looked at at the same time.
pub(crate) const MAX_TRIALS: usize = 2;

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
    /// Whether payloads are shown, byte by byte.
    pub(crate) shows_as_sent: bool,
    pub(crate) series: Series,
    /// Replays of dead letters.
    pub(crate) letters: LetterJobs,
    /// A permit for each stream that may be open.
    pub(crate) streams: Arc<Semaphore>,
    /// Whether nothing can be changed.
    pub(crate) read_only: bool,
    /// A permit for each text or event that may be looked at.
    pub(crate) trials: Arc<Semaphore>,
    /// Held while the pipeline file is changed.
    pub(crate) writing: tokio::sync::Mutex<()>,
    /// When the last test event was sent.
    pub(crate) last_test: Mutex<Option<Instant>>,
    /// Test events that were sent.
    pub(crate) tests: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Shared {
    /// What requests see before the pipeline runs; `read_only` says whether they can change nothing.
    pub(crate) fn new(read_only: bool) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self {
            started_ms: clock.now_ms(),
            clock,
            pipeline: OnceLock::new(),
            attempts: Arc::default(),
            feed: Arc::default(),
            shows_as_sent: true,
            series: Series::default(),
            letters: LetterJobs::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            read_only,
            trials: Arc::new(Semaphore::new(MAX_TRIALS)),
            writing: tokio::sync::Mutex::default(),
            last_test: Mutex::default(),
            tests: AtomicU64::new(0),
        }
    }
}

impl Shared {
    /// What the pipeline is doing; `None` before it runs.
    pub(crate) fn status(&self) -> Option<Status> {
        let pipeline = self.pipeline.get()?;
        Some(pipeline.telemetry.status())
    }

    /// Looks at the counters, for the series.
    pub(crate) fn look(&self) {
        if let Some(status) = self.status() {
            self.series.look(self.clock.now_ms(), &status);
        }
    }

    /// The sinks of this name, or all; a reload may have removed one of a name and added another. Before the pipeline runs
    /// there are none yet, and no name is refused.
    pub(crate) fn sinks(&self, name: Option<&str>) -> Result<Vec<SinkStatus>, Refusal> {
        let sinks = self.status().unwrap_or_default().sinks;
        let Some(name) = name else {
            return Ok(sinks);
        };
        let (wanted, others): (Vec<_>, Vec<_>) =
            sinks.into_iter().partition(|sink| sink.counts.name == name);
        if wanted.is_empty() && self.pipeline.get().is_some() {
            let known = others.iter().map(|sink| &*sink.counts.name);
            return Err(unknown_sink(known));
        }
        Ok(wanted)
    }

    /// Refuses a name that no sink has, once the pipeline runs.
    pub(crate) fn check_sink(&self, name: Option<&str>) -> Result<(), Refusal> {
        let (Some(name), Some(pipeline)) = (name, self.pipeline.get()) else {
            return Ok(());
        };
        let sinks = pipeline.telemetry.snapshot();
        if sinks.iter().any(|sink| sink.name == name) {
            return Ok(());
        }
        Err(unknown_sink(sinks.iter().map(|sink| &*sink.name)))
    }
}
