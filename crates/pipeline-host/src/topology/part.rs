//! One running source or sink, with the tasks that belong to it.

use super::error::StartError;
use crate::buffer::{Buffer, Cause, DiskBuffer, DiskBufferError, DiskOptions, Queue};
use crate::config::{BufferPlan, SinkPlan, SourcePlan};
use crate::dead_letter::DeadLetters;
use crate::intake::{Routes, Shared, SourceIntake};
use crate::runtime::{Failure, Failures, StartOptions, Watched};
use crate::sink_input::{InputGuard, SinkInput, SinkSettings};
use crate::stop::{StopHandle, StopSignal};
use crate::worker::Worker;
use pipeline_core::{Coverage, Sink, Source};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// Where the sources listen, by name.
pub(super) type Addresses = Arc<Mutex<BTreeMap<String, SocketAddr>>>;

/// A source that runs.
pub(super) struct RunningSource {
    pub(super) plan: SourcePlan,
    /// What changes its routes.
    pub(super) intake: Arc<Shared>,
    pub(super) stop: StopHandle,
    /// Set when the source and its intake have ended, before the supervisor is told.
    has_ended: Arc<AtomicBool>,
    ended: Watched<()>,
}

/// A sink that runs.
pub(super) struct RunningSink {
    pub(super) plan: SinkPlan,
    pub(super) input: Arc<SinkInput>,
    pub(super) stop: StopHandle,
    /// Keeps the sink running while it could get events from sources that are still to come.
    keep_open: Option<InputGuard>,
    worker: Watched<()>,
    feeder: Watched<()>,
}

impl RunningSource {
    /// Starts a source that was opened.
    pub(super) fn start(
        plan: SourcePlan,
        source: Box<dyn Source>,
        routes: Routes,
        failures: &Failures,
        (stop, signal): (StopHandle, &StopSignal),
        ends: mpsc::UnboundedSender<()>,
    ) -> Self {
        let name = plan.name.clone();
        let (intake, forwarder) = SourceIntake::new(&name, routes, failures.clone());
        let shared = intake.shared();
        let counters = Arc::clone(shared.counters());
        let task = format!("source `{name}`");
        let (_, running) = failures.spawn(task.clone(), {
            let (failures, signal) = (failures.clone(), signal.for_source());
            let counters = Arc::clone(&counters);
            async move {
                if let Err(error) = source.run(Arc::new(intake), signal).await {
                    counters.has_failed.store(true, Ordering::Release);
                    let error = error.to_string();
                    // A source names itself in its errors.
                    let name = format!("{task}: ");
                    let error = error.strip_prefix(&name).unwrap_or(&error);
                    failures.report(Failure::task(task, format!("failed: {error}")));
                }
            }
        });
        let forwarding = format!("the intake of source `{name}`");
        let (_, forwarding) = failures.spawn(forwarding, forwarder.run(signal.clone()));
        let has_ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&has_ended);
        let ended = async move {
            if running.ended().await.is_none() {
                counters.has_failed.store(true, Ordering::Release);
            }
            forwarding.ended().await;
            counters.has_ended.store(true, Ordering::Release);
            flag.store(true, Ordering::Release);
            // The supervisor waits for it as long as there are sources.
            let _ = ends.send(());
        };
        let (_, ended) = failures.spawn(format!("the end of source `{name}`"), ended);
        Self {
            plan,
            intake: shared,
            stop,
            has_ended,
            ended,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Waits until the source has read and sent everything, and is told so much.
    pub(super) async fn ended(self) {
        self.ended.ended().await;
    }
}

impl RunningSink {
    /// Opens the buffer of a sink and makes its input. Nothing runs yet.
    pub(super) async fn prepare(
        plan: &SinkPlan,
        sink: Arc<dyn Sink>,
        data_dir: &Path,
        options: &StartOptions,
        failures: &Failures,
        stop: StopSignal,
    ) -> Result<Arc<SinkInput>, StartError> {
        let buffer = open_buffer(plan, data_dir, failures).await?;
        if let Some(other) = other_partition(&plan.name, &buffer, &*sink) {
            // Its writer has to let go of the lock first.
            let close = move || buffer.disk().map(DiskBuffer::close);
            let _ = tokio::task::spawn_blocking(close).await;
            return Err(other);
        }
        let max_letter_bytes = plan.options.dead_letters.max_bytes;
        let letters = DeadLetters::new(data_dir, &plan.name, max_letter_bytes);
        let settings = SinkSettings::of(plan, sink);
        let input = SinkInput::new(&plan.name, settings, buffer, letters, options, stop);
        Ok(Arc::new(input))
    }

    /// Starts a sink whose input was made.
    pub(super) fn start(
        plan: SinkPlan,
        input: Arc<SinkInput>,
        stop: StopHandle,
        seed: u64,
        failures: &Failures,
    ) -> Self {
        let keep_open = InputGuard::new(&input);
        let name = &plan.name;
        let (_, feeder) = failures.spawn(format!("the feeder of sink `{name}`"), {
            let input = Arc::clone(&input);
            async move { input.feed().await }
        });
        let worker = Worker::new(Arc::clone(&input), seed).start(failures);
        Self {
            plan,
            input,
            stop,
            keep_open: Some(keep_open),
            worker,
            feeder,
        }
    }

    /// No further source comes: the sink ends once its inputs have ended and it has delivered what it has.
    pub(super) fn let_end(&mut self) {
        self.keep_open = None;
    }

    /// Waits for the end, and lets go of the buffer.
    pub(super) async fn ended(mut self) -> Option<(String, Coverage)> {
        self.let_end();
        self.worker.ended().await;
        let coverage = self.input.coverage();
        let name = self.plan.name;
        Arc::clone(&self.input).close().await;
        drop(self.feeder);
        Some((name, coverage?))
    }
}

impl SinkSettings {
    pub(crate) fn of(plan: &SinkPlan, sink: Arc<dyn Sink>) -> Self {
        Self {
            sink,
            drops_newest: plan.drops_newest(),
            concurrency: plan.options.request.concurrency,
            retry: plan.retry().clone(),
            sealer: plan.options.dead_letters.sealer(),
        }
    }
}

/// Why this sink must not have this buffer: what waits in it was made for another partition.
fn other_partition(name: &str, buffer: &Buffer, sink: &dyn Sink) -> Option<StartError> {
    let disk = buffer.disk()?;
    let (made_for, now) = (disk.oldest_partition()?, sink.partition()?);
    (!made_for.is_empty() && *made_for != *now).then(|| StartError::OtherPartition {
        sink: name.to_owned(),
        events: disk.found(),
        made_for: made_for.to_string(),
        now: now.to_string(),
    })
}

/// Opens the buffer of a sink. One on disk blocks for a moment.
async fn open_buffer(
    plan: &SinkPlan,
    data_dir: &Path,
    failures: &Failures,
) -> Result<Buffer, DiskBufferError> {
    let BufferPlan { limit, sync } = plan.buffer;
    let Some(sync) = sync else {
        return Ok(Buffer::Memory(Queue::new(limit, plan.batch)));
    };
    let task = format!("the disk buffer's writer of sink `{}`", plan.name);
    let failures = failures.clone();
    let options = DiskOptions {
        name: plan.name.clone(),
        folder: data_dir.join("buffer").join(&plan.name),
        max_bytes: limit.max_bytes as u64,
        sync,
        batch: plan.batch,
        writer_panicked: Box::new(move || failures.report(Failure::panicked(task))),
    };
    let opened = tokio::task::spawn_blocking(move || DiskBuffer::open(options)).await;
    let opened = opened
        .map_err(|_| DiskBufferError::Refused(Cause::Other("opening it failed".to_owned())))?;
    opened.map(|disk| Buffer::Disk(Box::new(disk)))
}

/// How long a changed source may take to end before it is told to quit, and then to do that.
pub(super) const SOURCE_STOP_LIMIT: Duration = Duration::from_secs(10);
