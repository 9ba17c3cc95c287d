//! A running pipeline: sources, buffers and sinks, connected.
//!
//! In: a [`Pipeline`]. Out: a [`Running`] one, with its counters, a way to stop it, and its end.

use crate::buffer::{Buffer, BufferLimit};
use crate::config::{Pipeline, SinkPlan, drops_newest};
use crate::dead_letter::{DeadLetters, MAX_DEAD_LETTER_BYTES};
use crate::outlet::{Feed, Outlet};
use crate::source::{ROOM_LIMIT, SourceError};
use crate::stop::{StopHandle, StopSignal};
use crate::telemetry::{SinkSnapshot, SinkTelemetry, Telemetry};
use crate::worker::Worker;
use pipeline_core::{Clock, SystemClock};
use std::collections::BTreeMap;
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
    /// Largest dead letter file of one sink, in bytes.
    pub max_dead_letter_bytes: u64,
    /// How long a request to an `http_server` waits for room in the buffers, and for its end when the pipeline stops.
    pub room_limit: Duration,
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            seed: fastrand::u64(..),
            max_dead_letter_bytes: MAX_DEAD_LETTER_BYTES,
            room_limit: ROOM_LIMIT,
        }
    }
}

/// A pipeline that runs.
#[derive(Debug)]
pub struct Running {
    sources: JoinSet<Vec<SourceError>>,
    workers: Vec<JoinHandle<()>>,
    telemetry: Telemetry,
    stop: StopHandle,
    addresses: BTreeMap<String, SocketAddr>,
    dead_letters: BTreeMap<String, PathBuf>,
}

/// How a pipeline ended.
#[derive(Debug)]
pub struct Ending {
    /// The final counters of every sink, in the order of the pipeline file.
    pub sinks: Vec<SinkSnapshot>,
    /// What sources could not read to its end.
    pub failures: Vec<SourceError>,
    /// The dead letter file of every sink, by the sink's name.
    pub dead_letters: BTreeMap<String, PathBuf>,
}

impl Ending {
    /// Whether everything was read, and nothing is held.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.sinks.iter().all(|sink| sink.held == 0)
    }
}

/// Opens all sources, connects them with their sinks, and starts everything.
///
/// # Errors
///
/// When a source cannot be opened: a port in use. A file that cannot be read is not a reason to stop the others; it is
/// one of the [`Ending::failures`].
pub async fn start(pipeline: Pipeline, options: StartOptions) -> Result<Running, SourceError> {
    let (handle, stop) = StopHandle::new(pipeline.shutdown_limit);
    let mut opened = Vec::new();
    for plan in pipeline.sources {
        let name = plan.name.clone();
        opened.push((name, plan.open(&options, &pipeline.data_dir).await?));
    }
    let mut running = Running {
        sources: JoinSet::new(),
        workers: Vec::new(),
        telemetry: Telemetry::default(),
        stop: handle,
        addresses: BTreeMap::new(),
        dead_letters: BTreeMap::new(),
    };
    let mut outlets: Vec<(Vec<String>, Arc<Outlet>)> = Vec::new();
    let mut random = fastrand::Rng::with_seed(options.seed);
    for plan in pipeline.sinks {
        let outlet = Arc::new(outlet(&plan, &pipeline.data_dir, &options, &stop));
        let path = outlet.dead_letters.path().to_owned();
        running.telemetry.sinks.push(Arc::clone(&outlet.telemetry));
        running.dead_letters.insert(plan.name.clone(), path);
        let concurrency = plan.options.request.concurrency;
        let worker = Worker::new(
            Arc::clone(&outlet),
            concurrency,
            &plan.options.retry,
            random.u64(..),
        );
        running.workers.push(tokio::spawn(worker.run()));
        outlets.push((plan.inputs, outlet));
    }
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

fn outlet(plan: &SinkPlan, data_dir: &Path, options: &StartOptions, stop: &StopSignal) -> Outlet {
    let limit = BufferLimit {
        max_events: plan.options.buffer.max_events,
        max_bytes: plan.options.buffer.max_bytes,
    };
    Outlet {
        name: plan.name.clone(),
        sink: Arc::clone(&plan.sink),
        buffer: Buffer::new(limit, plan.batch, plan.inputs.len()),
        drops_newest: drops_newest(&plan.options),
        dead_letters: Arc::new(DeadLetters::new(
            data_dir,
            &plan.name,
            options.max_dead_letter_bytes,
        )),
        telemetry: Arc::new(SinkTelemetry::new(&plan.name)),
        clock: Arc::clone(&options.clock),
        stop: stop.clone(),
    }
}

impl Running {
    /// The counters, which go on counting.
    pub fn telemetry(&self) -> Telemetry {
        self.telemetry.clone()
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
        Ending {
            sinks: self.telemetry.snapshot(),
            failures,
            dead_letters: self.dead_letters,
        }
    }
}
