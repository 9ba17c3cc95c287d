//! Sends dead letters again, on the normal way: queue, batches, retries, and dead letters again for what fails.
//!
//! In: the letters of one sink that a filter lets through. Out: the sink's counters, and where the rest is.
//!
//! Invariant: a letter is on the disk until its event was delivered or is a dead letter again, with its history.

use crate::ack::{Ack, Receipt, Settled, Until};
use crate::batch::{Held, Ticket};
use crate::buffer::{Buffer, Queue};
use crate::config::SinkPlan;
use crate::dead_letter::{DeadLetterError, Filter, Replay, Segment, StoredLetter};
use crate::event::{Place, Position};
use crate::outlet::Outlet;
use crate::stop::{Stop, StopHandle};
use crate::telemetry::{SinkSnapshot, SinkTelemetry, Telemetry};
use crate::topology::StartOptions;
use crate::worker::Worker;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A replay that is ready to run.
pub struct Replaying {
    outlet: Arc<Outlet>,
    worker: Worker,
    replay: Replay,
    filter: Filter,
    stop: StopHandle,
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
    /// Takes the letters of a sink out, to send those that `filter` lets through.
    ///
    /// # Errors
    ///
    /// [`DeadLetterError::Replaying`] while another replay has them; otherwise when the disk refuses.
    pub fn new(
        mut plan: SinkPlan,
        data_dir: &Path,
        filter: Filter,
        limit: Duration,
        options: &StartOptions,
    ) -> Result<Self, DeadLetterError> {
        // The time that an event may be tried has passed for most letters; who replays them gives them another chance.
        plan.options.retry.max_age_secs = None;
        let (stop, signal) = StopHandle::new(limit);
        // A running pipeline has the disk buffer, and the letters themselves outlive this process.
        let queue = Queue::new(plan.buffer.limit, plan.batch, 1);
        let outlet = Outlet::new(&plan, Buffer::Memory(queue), data_dir, options, &signal);
        let outlet = Arc::new(outlet);
        let replay = outlet.dead_letters.take_for_replay()?;
        Ok(Self {
            worker: Worker::new(Arc::clone(&outlet), options.seed),
            outlet,
            replay,
            filter,
            stop,
        })
    }

    /// A way to stop it.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// The counters, which go on counting.
    pub fn telemetry(&self) -> Telemetry {
        Telemetry {
            sinks: vec![Arc::clone(&self.outlet.telemetry)],
        }
    }

    /// Sends everything, one segment after the other.
    ///
    /// # Errors
    ///
    /// When the disk refuses. What has not been finished is replayed again next time.
    pub async fn run(self) -> Result<Replayed, DeadLetterError> {
        let worker = tokio::spawn(self.worker.run());
        let outlet = self.outlet;
        let mut untouched = 0;
        for segment in self.replay.segments() {
            if outlet.stop.now() != Stop::Run {
                break;
            }
            let (fit, mut back): (Vec<_>, Vec<_>) = read(segment.clone())
                .await?
                .into_iter()
                .partition(|letter| letter.record.is_some() && self.filter.fits(letter));
            untouched += back.len();
            for mut sent in send(&outlet, fit).await {
                if sent.receipt.settled().await == Settled::GivenUp {
                    back.push(sent.letter);
                }
            }
            outlet.dead_letters.put_back(&back)?;
            self.replay.finish(segment)?;
        }
        outlet.buffer.end_input();
        if worker.await.is_err() {
            tracing::error!("a worker of the host failed; please report it");
        }
        Ok(Replayed {
            sink: outlet.telemetry.snapshot(),
            untouched,
            folder: outlet.dead_letters.path().to_owned(),
        })
    }
}

impl fmt::Debug for Replaying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replaying")
            .field("sink", &self.outlet.name)
            .finish_non_exhaustive()
    }
}

/// The letters of a segment. A line that is none is passed over; it stays on the disk.
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
async fn send(outlet: &Outlet, letters: Vec<StoredLetter>) -> Vec<Sent> {
    let (mut records, mut sent) = (Vec::new(), Vec::new());
    for letter in letters {
        let Some(record) = letter.record.clone() else {
            continue;
        };
        let (ack, receipt) = Ack::until(Until::Final);
        let ticket = Ticket {
            position: Position {
                source: letter.source.as_str().into(),
                place: Place::Replayed,
            },
            attempts: 0,
            since: Instant::now(),
            first_ms: letter.first_ms,
            history: letter.history_when_replayed(),
            ack,
            slot: None,
        };
        records.push(Held { record, ticket });
        sent.push(Sent { letter, receipt });
    }
    SinkTelemetry::add(&outlet.telemetry.received, records.len());
    if let Err(refused) = outlet.buffer.push(records).await {
        outlet.hold(refused).await;
    }
    sent
}
