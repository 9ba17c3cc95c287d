//! The way into one sink: encode, count, buffer, and dead letters for what the sink will not send.
//!
//! Invariant: an event that comes in is filtered, becomes a dead letter, is dropped by `drop_newest`, or is in the buffer.

use crate::ack::Ack;
use crate::batch::{Held, Ticket};
use crate::buffer::{Buffer, DiskBuffer};
use crate::config::option::RetryOptions;
use crate::config::{SinkPlan, drops_newest};
use crate::dead_letter::{DeadLetters, Letter, Past};
use crate::event::Input;
use crate::stop::StopSignal;
use crate::telemetry::SinkTelemetry;
use crate::topology::StartOptions;
use pipeline_core::{Clock, Encoded, Reason, Rejection, Sink};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long to wait before a dead letter that could not be written is tried again.
const DEAD_LETTER_RETRY: Duration = Duration::from_secs(5);

/// What stands between the sources and one sink.
pub(crate) struct Outlet {
    pub(crate) name: String,
    pub(crate) buffer: Buffer,
    /// Hears that the plan is another now.
    pub(crate) changed: Notify,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) telemetry: Arc<SinkTelemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: StopSignal,
    plan: Mutex<Arc<Plan>>,
}

/// What can change about a sink while it runs.
pub(crate) struct Plan {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) drops_newest: bool,
    pub(crate) concurrency: usize,
    pub(crate) retry: RetryOptions,
}

/// What a sink made of a few events.
#[derive(Debug, Default)]
pub(crate) struct Encoding {
    pub(crate) records: Vec<Held>,
    pub(crate) letters: Vec<Letter>,
    pub(crate) filtered: BTreeMap<&'static str, u64>,
    /// What became of each event, in their order.
    pub(crate) fates: Vec<Fate>,
}

/// What a sink made of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// On its way.
    Accepted,
    /// Not meant for the destination.
    Filtered,
    /// The letter of this index says why.
    Rejected(usize),
}

impl Encoding {
    /// Bytes that the records take in a buffer.
    pub(crate) fn size_bytes(&self) -> usize {
        self.records
            .iter()
            .map(|held| held.record.size_bytes())
            .sum()
    }
}

impl Plan {
    pub(crate) fn of(plan: &SinkPlan) -> Self {
        Self {
            sink: Arc::clone(&plan.sink),
            drops_newest: drops_newest(&plan.options),
            concurrency: plan.options.request.concurrency,
            retry: plan.options.retry.clone(),
        }
    }
}

impl Outlet {
    pub(crate) fn new(
        plan: &SinkPlan,
        buffer: Buffer,
        data_dir: &Path,
        options: &StartOptions,
        stop: &StopSignal,
    ) -> Self {
        let found = buffer.disk().map(DiskBuffer::found);
        let max_letter_bytes = plan.options.dead_letters.max_bytes;
        Self {
            name: plan.name.clone(),
            buffer,
            changed: Notify::new(),
            dead_letters: Arc::new(DeadLetters::new(data_dir, &plan.name, max_letter_bytes)),
            telemetry: Arc::new(SinkTelemetry::new(&plan.name, found)),
            clock: Arc::clone(&options.clock),
            stop: stop.clone(),
            plan: Mutex::new(Arc::new(Plan::of(plan))),
        }
    }

    /// The sink as it is configured now.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on with other options. Records that wait stay as they are.
    pub(crate) fn change(&self, plan: &SinkPlan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Plan::of(plan));
        self.buffer.set_limits(plan.buffer.limit, plan.batch);
        self.changed.notify_one();
    }

    /// Moves what is on disk into memory, as there is room, until nothing more comes.
    pub(crate) async fn feed(&self) {
        if let Some(disk) = self.buffer.disk() {
            let damaged = |events| {
                let detail = "the disk buffer's checksum does not match; what is left of it was set aside in the buffer's folder";
                self.telemetry.lose(&Reason::new("damaged", detail), events);
            };
            disk.feed(self.stop.clone(), damaged).await;
        }
    }

    /// Turns events into records, each with a share of `ack`. Changes nothing.
    pub(crate) fn encode(&self, inputs: &[Input], ack: &Ack) -> Encoding {
        let mut encoding = Encoding::default();
        encoding.records.reserve(inputs.len());
        let since = Instant::now();
        let first_ms = self.clock.now_ms();
        let history: Arc<[Past]> = Arc::default();
        let plan = self.plan();
        for input in inputs {
            let fate = match encode_one(plan.sink.as_ref(), input) {
                Encoded::Record(record) => {
                    let ticket = Ticket {
                        position: input.position.clone(),
                        attempts: 0,
                        since,
                        first_ms,
                        history: Arc::clone(&history),
                        ack: ack.clone(),
                        slot: None,
                    };
                    encoding.records.push(Held { record, ticket });
                    Fate::Accepted
                }
                Encoded::Filtered(reason) => {
                    *encoding.filtered.entry(reason.code).or_default() += 1;
                    Fate::Filtered
                }
                Encoded::Rejected(rejection) => {
                    encoding.letters.push(Letter {
                        reason: rejection.reason,
                        position: input.position.clone(),
                        attempts: 0,
                        first_ms,
                        record: rejection.record.map(|record| *record),
                        history: Arc::clone(&history),
                    });
                    Fate::Rejected(encoding.letters.len() - 1)
                }
            };
            encoding.fates.push(fate);
        }
        encoding
    }

    /// Counts events and hands them on: records to the buffer, waiting for room, and letters to the dead letters. Says
    /// whether the letters are there; for the records their acknowledgement speaks.
    pub(crate) async fn accept(&self, encoding: Encoding) -> bool {
        let (records, letters) = self.count(encoding);
        let kept = self.reject(letters).await;
        if self.plan().drops_newest {
            let rest = self.buffer.try_push(records);
            if !rest.is_empty() {
                tracing::debug!(sink = %self.name, events = rest.len(), reason = "buffer_full", "events dropped");
                self.telemetry.drop_newest(rest.len());
                rest.into_iter()
                    .map(|held| held.ticket.ack)
                    .for_each(Ack::done);
            }
        } else if let Err(rest) = self.buffer.push(records).await {
            self.hold(rest).await;
        }
        kept
    }

    /// Counts what came in, and hands over what has to go somewhere.
    pub(crate) fn count(&self, encoding: Encoding) -> (Vec<Held>, Vec<Letter>) {
        SinkTelemetry::add(&self.telemetry.received, encoding.fates.len());
        self.telemetry.filter(&encoding.filtered);
        (encoding.records, encoding.letters)
    }

    /// Writes rejected events to the dead letters, and counts them. Says whether they are there: they are not when the
    /// pipeline had to end first.
    pub(crate) async fn reject(&self, letters: Vec<Letter>) -> bool {
        let Some(letters) = self.write(letters).await else {
            return false;
        };
        for letter in letters.iter() {
            self.telemetry.reject(&letter.reason, &letter.position);
        }
        true
    }

    /// The end for what is left. What its source would read again is given up; the rest goes to the dead letters. All of it
    /// stays counted as held.
    pub(crate) async fn hold(&self, records: Vec<Held>) {
        let (again, lost): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|held| held.ticket.ack.is_awaited());
        SinkTelemetry::add(&self.telemetry.given_up, again.len());
        drop(again);
        let letters = lost.into_iter().map(|held| Letter {
            reason: Reason::new(
                "held_at_shutdown",
                "the pipeline stopped before the event was delivered",
            ),
            position: held.ticket.position,
            attempts: held.ticket.attempts,
            first_ms: held.ticket.first_ms,
            record: Some(held.record),
            history: held.ticket.history,
        });
        self.write(letters.collect()).await;
    }

    /// Lets go of what is on disk, after the last record was sent.
    pub(crate) async fn close(self: Arc<Self>) {
        let outlet = Arc::clone(&self);
        let closed =
            tokio::task::spawn_blocking(move || outlet.buffer.disk().map(DiskBuffer::close));
        // What the disk did not take in time.
        if let Ok(Some(refused)) = closed.await {
            self.hold(refused).await;
        }
    }

    /// Writes letters, again and again until the disk takes them or the pipeline must end.
    async fn write(&self, letters: Vec<Letter>) -> Option<Arc<Vec<Letter>>> {
        let letters = Arc::new(letters);
        if letters.is_empty() {
            return Some(letters);
        }
        loop {
            let (file, batch) = (Arc::clone(&self.dead_letters), Arc::clone(&letters));
            let now_ms = self.clock.now_ms();
            let written = tokio::task::spawn_blocking(move || file.append(&batch, now_ms)).await;
            let problem = match written {
                Ok(Ok(())) => return Some(letters),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the writer of dead letters failed".to_owned(),
            };
            tracing::error!(sink = %self.name, events = letters.len(), "{problem}");
            let mut stop = self.stop.clone();
            tokio::select! {
                () = tokio::time::sleep(DEAD_LETTER_RETRY) => {}
                () = stop.deadline() => return None,
            }
        }
    }
}

fn encode_one(sink: &dyn Sink, input: &Input) -> Encoded {
    let rejected = |reason| {
        Encoded::Rejected(Rejection {
            reason,
            record: None,
        })
    };
    match &input.event {
        // A fault of a plugin costs the one event that meets it.
        Ok(event) => catch_unwind(AssertUnwindSafe(|| sink.encode(event))).unwrap_or_else(|_| {
            rejected(Reason::new(
                "internal",
                "the sink failed on this event; please report it",
            ))
        }),
        Err(reason) => rejected(reason.clone()),
    }
}

/// The way from one source into all sinks that read it. Ends their input when dropped.
pub(crate) struct Feed {
    pub(crate) outlets: Vec<Arc<Outlet>>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        for outlet in &self.outlets {
            outlet.buffer.end_input();
        }
    }
}

impl Feed {
    /// Encodes events for every sink, all with a share of `ack`. Uses the calling thread.
    pub(crate) fn encode(outlets: &[Arc<Outlet>], inputs: &[Input], ack: &Ack) -> Vec<Encoding> {
        let encoded = outlets.iter().map(|outlet| outlet.encode(inputs, ack));
        encoded.collect()
    }

    /// Hands encoded events on, waiting for room. Once it returns, what will not be sent stands in the dead letters; what
    /// will be sent holds shares of its own in `ack`.
    pub(crate) async fn accept(&self, encodings: Vec<Encoding>, ack: Ack) {
        let mut kept = true;
        for (outlet, encoding) in self.outlets.iter().zip(encodings) {
            kept &= outlet.accept(encoding).await;
        }
        if kept {
            ack.done();
        }
    }
}
