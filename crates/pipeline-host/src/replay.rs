//! Sends dead letters again, on the normal way: queue, batches, retries, and dead letters again for what fails.
//!
//! In: the letters of one sink that a filter lets through. Out: the sink's counters, and where the rest is.
//!
//! Invariant: a letter is on the disk until its event was delivered or is a dead letter again, with its history.

use crate::ack::Ack;
use crate::batch::{Queued, RecordMeta};
use crate::buffer::{Buffer, Queue};
use crate::config::SinkPlan;
use crate::dead_letter::{DeadLetterError, DeadLetters, Filter, Replay, Segment, StoredLetter};
use crate::runtime::{Failure, Failures, StartOptions};
use crate::sink_input::{InputGuard, SinkInput, SinkSettings};
use crate::stop::{Phase, StopHandle};
use crate::telemetry::{SinkSnapshot, SinkTelemetry, Telemetry};
use crate::topology::StartError;
use crate::worker::Worker;
use pipeline_core::{AckLevel, AckStatus, Origin, Receipt, SinkContext};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A replay that is ready to run.
pub struct Replaying {
    input: Arc<SinkInput>,
    worker: Worker,
    replay: Replay,
    filter: Filter,
    stop: StopHandle,
    /// The input that this replay is.
    open: InputGuard,
    failures: Failures,
    failed: mpsc::UnboundedReceiver<Failure>,
}

/// Why letters could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The sink cannot be made on this machine.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The letters cannot be taken, read or put back.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// A task of the host failed.
    #[error("{0}")]
    Failed(Failure),
}

/// How a replay ended.
#[derive(Debug)]
pub struct Replayed {
    /// The counters of the sink.
    pub sink: SinkSnapshot,
    /// Letters that stay as they were: the filter left them out, or they have no payload to send.
    pub untouched: usize,
    /// The folder of the sink's dead letters.
    pub folder: PathBuf,
}

/// A letter that is on its way.
struct Sent {
    letter: StoredLetter,
    receipt: Receipt,
}

impl Replaying {
    /// Makes the sink and takes its letters out, to send those that `filter` lets through.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Start`] when the sink cannot be made, [`DeadLetterError::Replaying`] while another replay has the
    /// letters; otherwise when the disk refuses.
    pub async fn new(
        mut plan: SinkPlan,
        data_dir: &Path,
        filter: Filter,
        limit: Duration,
        options: &StartOptions,
    ) -> Result<Self, ReplayError> {
        // The time that an event may be tried has passed for most letters; who replays them gives them another chance.
        plan.options.retry.max_age_secs = None;
        let cx = SinkContext::new(plan.name.clone()).with_clock(Arc::clone(&options.clock));
        let sink = plan.make(cx).await?;
        let (stop, signal) = StopHandle::new(limit);
        // A running pipeline has the disk buffer, and the letters themselves outlive this process.
        let buffer = Buffer::Memory(Queue::new(plan.buffer.limit, plan.batch));
        let letters = DeadLetters::new(data_dir, &plan.name, plan.options.dead_letters.max_bytes);
        let settings = SinkSettings::of(&plan, sink);
        let input = SinkInput::new(&plan.name, settings, buffer, letters, options, signal);
        let input = Arc::new(input);
        let replay = input.dead_letters.take_for_replay()?;
        let (failures, failed) = Failures::channel();
        Ok(Self {
            worker: Worker::new(Arc::clone(&input), options.seed),
            open: InputGuard::new(&input),
            input,
            replay,
            filter,
            stop,
            failures,
            failed,
        })
    }

    /// A way to stop it.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// The counters; they continue to count.
    pub fn telemetry(&self) -> Telemetry {
        let telemetry = Telemetry::default();
        telemetry.add(Arc::clone(&self.input.telemetry));
        telemetry
    }

    /// Sends everything, one segment after the other.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or a task fails. What has not been finished is replayed again next time.
    pub async fn run(mut self) -> Result<Replayed, ReplayError> {
        let worker = self.worker.start(&self.failures);
        let input = self.input;
        let mut untouched = input.dead_letters.count_plain()?;
        for segment in self.replay.segments() {
            if input.stop.now() != Phase::Run {
                break;
            }
            let (fit, mut back): (Vec<_>, Vec<_>) = read(segment.clone())
                .await?
                .into_iter()
                .partition(|letter| self.filter.fits(letter) && is_for(letter, &input));
            untouched += back.len();
            for mut sent in send(&input, fit).await {
                if sent.receipt.settled().await == AckStatus::GivenUp {
                    back.push(sent.letter);
                }
            }
            input.dead_letters.put_back(&back)?;
            self.replay.finish(segment)?;
        }
        drop(self.open);
        worker.ended().await;
        input.end_log();
        if let Ok(failure) = self.failed.try_recv() {
            return Err(ReplayError::Failed(failure));
        }
        Ok(Replayed {
            sink: input.telemetry.snapshot(),
            untouched,
            folder: input.dead_letters.path().to_owned(),
        })
    }
}

impl fmt::Debug for Replaying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replaying")
            .field("sink", &self.input.name)
            .finish_non_exhaustive()
    }
}

/// Whether a letter can be sent: it has a payload, which was made for what the sink has now.
fn is_for(letter: &StoredLetter, input: &SinkInput) -> bool {
    let record = letter.record.as_ref();
    record.is_some_and(|record| input.sink_for(&record.partition).is_some())
}

/// The letters of a segment. An invalid line is skipped; it stays on the disk.
async fn read(segment: Segment) -> Result<Vec<StoredLetter>, DeadLetterError> {
    let read = move || {
        let mut letters = Vec::new();
        for letter in segment.letters() {
            match letter {
                Ok(letter) => letters.push(letter),
                Err(error @ DeadLetterError::Line { .. }) => tracing::warn!("{error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(letters)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(letters) => letters,
        // Only when the process ends.
        Err(_) => Ok(Vec::new()),
    }
}

/// Puts letters into the queue, as room is made.
async fn send(input: &SinkInput, letters: Vec<StoredLetter>) -> Vec<Sent> {
    let (mut records, mut sent) = (Vec::new(), Vec::new());
    for letter in letters {
        let Some(record) = letter.record.clone() else {
            continue;
        };
        let (ack, receipt) = Ack::until(AckLevel::Final);
        let meta = RecordMeta {
            origin: Origin::whole(letter.source.as_str().into()),
            attempts: 0,
            failures: 0,
            since: Instant::now(),
            first_ms: letter.first_ms,
            history: letter.history_when_replayed(),
            ack,
            slot: None,
        };
        records.push(Queued { record, meta });
        sent.push(Sent { letter, receipt });
    }
    SinkTelemetry::add(&input.telemetry.received, records.len());
    let found = records.iter().map(|queued| &queued.record);
    input.telemetry.find(found);
    input.push(records).await;
    sent
}
