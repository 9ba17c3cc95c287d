//! A running pipeline: sources, buffers and sinks, connected.
//!
//! In: a [`Pipeline`]. Out: a [`Running`] one, with its counters, a way to stop it, and its end.

use crate::buffer::{Buffer, DiskBuffer, DiskBufferError, DiskOptions, Queue};
use crate::config::{BufferPlan, Pipeline, SinkPlan};
use crate::outlet::{Feed, Outlet};
use crate::reload::Reloader;
use crate::source::{ROOM_LIMIT, SourceError};
use crate::stop::StopHandle;
use crate::telemetry::{SinkSnapshot, Telemetry};
use crate::worker::Worker;
use pipeline_core::{Clock, Coverage, SystemClock};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};

/// What a pipeline is started with, apart from its configuration.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// Where the host reads the time.
    pub clock: Arc<dyn Clock>,
    /// The seed of all chance (the pauses between attempts).
    pub seed: u64,
    /// How long a request to an `http_server` waits for room in the buffers, and for its end when the pipeline stops.
    pub room_limit: Duration,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            seed: fastrand::u64(..),
            room_limit: ROOM_LIMIT,
        }
    }
}

/// Why a pipeline could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A source cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A disk buffer cannot be used.
    #[error(transparent)]
    Buffer(#[from] DiskBufferError),
}

/// A pipeline that runs.
pub struct Running {
    sources: JoinSet<Vec<SourceError>>,
    outlets: Vec<Arc<Outlet>>,
    reloader: Arc<Reloader>,
    workers: Vec<JoinHandle<()>>,
    telemetry: Telemetry,
    stop: StopHandle,
    addresses: BTreeMap<String, SocketAddr>,
    dead_letters: BTreeMap<String, PathBuf>,
}

/// How a pipeline ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// The final counters of every sink, in the order of the pipeline file.
    pub sinks: Vec<SinkSnapshot>,
    /// What sources could not read to its end.
    pub failures: Vec<SourceError>,
    /// The folder of every sink's dead letters, by the sink's name.
    pub dead_letters: BTreeMap<String, PathBuf>,
    /// Which identifiers the events of each sink carried, where it counts them.
    pub coverage: Vec<(String, Coverage)>,
}

impl Ending {
    /// Whether everything was read, and nothing is held but what the next run goes on with.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.sinks.iter().all(|sink| sink.held == sink.kept)
    }
}

/// Opens all sources, connects them with their sinks, and starts everything.
///
/// # Errors
///
/// When a source cannot be opened: a port in use. A file that cannot be read is not a reason to stop the others; it is
/// one of the [`Ending::failures`].
pub async fn start(pipeline: Pipeline, options: StartOptions) -> Result<Running, StartError> {
    let (handle, stop) = StopHandle::new(pipeline.shutdown_limit);
    let mut opened = Vec::new();
    for plan in pipeline.sources {
        let name = plan.name.clone();
        opened.push((name, plan.open(&options, &pipeline.data_dir).await?));
    }
    let mut reloader = Reloader::new(pipeline.fixed);
    let mut running = Running {
        sources: JoinSet::new(),
        workers: Vec::new(),
        outlets: Vec::new(),
        reloader: Arc::new(Reloader::new(Vec::new())),
        telemetry: Telemetry::default(),
        stop: handle,
        addresses: BTreeMap::new(),
        dead_letters: BTreeMap::new(),
    };
    let mut outlets: Vec<(Vec<String>, Arc<Outlet>)> = Vec::new();
    let mut random = fastrand::Rng::with_seed(options.seed);
    for plan in pipeline.sinks {
        let buffer = open_buffer(&plan, &pipeline.data_dir).await?;
        let outlet = Outlet::new(&plan, buffer, &pipeline.data_dir, &options, &stop);
        let outlet = Arc::new(outlet);
        let path = outlet.dead_letters.path().to_owned();
        running.telemetry.sinks.push(Arc::clone(&outlet.telemetry));
        running.dead_letters.insert(plan.name.clone(), path);
        let feeder = Arc::clone(&outlet);
        tokio::spawn(async move { feeder.feed().await });
        let worker = Worker::new(Arc::clone(&outlet), random.u64(..));
        running.workers.push(tokio::spawn(worker.run()));
        running.outlets.push(Arc::clone(&outlet));
        reloader.add(&plan, Arc::clone(&outlet));
        outlets.push((plan.inputs, outlet));
    }
    running.reloader = Arc::new(reloader);
    for (name, source) in opened {
        if let Some(address) = source.address() {
            running.addresses.insert(name.clone(), address);
        }
        let readers = outlets.iter().filter(|(inputs, _)| inputs.contains(&name));
        let feed = Feed {
            outlets: readers.map(|(_, outlet)| Arc::clone(outlet)).collect(),
        };
        running.sources.spawn(source.run(feed, stop.clone()));
    }
    Ok(running)
}

/// Opens the buffer of a sink. One on disk blocks for a moment.
async fn open_buffer(plan: &SinkPlan, data_dir: &Path) -> Result<Buffer, DiskBufferError> {
    let BufferPlan { limit, sync } = plan.buffer;
    let inputs = plan.inputs.len();
    let Some(sync) = sync else {
        return Ok(Buffer::Memory(Queue::new(limit, plan.batch, inputs)));
    };
    let options = DiskOptions {
        name: plan.name.clone(),
        folder: data_dir.join("buffer").join(&plan.name),
        max_bytes: limit.max_bytes as u64,
        sync,
        batch: plan.batch,
        inputs,
    };
    let opened = tokio::task::spawn_blocking(move || DiskBuffer::open(options)).await;
    let opened = opened.map_err(|_| DiskBufferError::Refused("opening it failed".to_owned()))?;
    opened.map(|disk| Buffer::Disk(Box::new(disk)))
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// The counters, which go on counting.
    pub fn telemetry(&self) -> Telemetry {
        self.telemetry.clone()
    }

    /// A way to change the options of the pipeline.
    pub fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// A way to stop the pipeline.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Where the sources listen, by name.
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// Waits until every source has ended and every sink has finished.
    pub async fn finish(mut self) -> Ending {
        let mut failures = Vec::new();
        while let Some(ended) = self.sources.join_next().await {
            failures.extend(ended.unwrap_or_default());
        }
        for worker in self.workers {
            // A worker that failed leaves its events counted as held.
            if worker.await.is_err() {
                tracing::error!("a worker of the host failed; please report it");
            }
        }
        let mut coverage = Vec::new();
        for outlet in self.outlets {
            let covered = outlet.plan().sink.coverage();
            coverage.extend(covered.map(|covered| (outlet.name.clone(), covered)));
            outlet.close().await;
        }
        Ending {
            sinks: self.telemetry.snapshot(),
            failures,
            dead_letters: self.dead_letters,
            coverage,
        }
    }
}
