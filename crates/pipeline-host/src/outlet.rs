//! The way into one sink: encode, count, buffer, and dead letters for what the sink will not send.
//!
//! Invariant: an event that comes in is filtered, becomes a dead letter, is dropped by `drop_newest`, or is in the buffer.

use crate::batch::{Held, Ticket};
use crate::buffer::Buffer;
use crate::dead_letter::{DeadLetters, Letter};
use crate::event::Input;
use crate::stop::StopSignal;
use crate::telemetry::SinkTelemetry;
use pipeline_core::{Clock, Encoded, Reason, Rejection, Sink};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait before a dead letter that could not be written is tried again.
const DEAD_LETTER_RETRY: Duration = Duration::from_secs(5);

/// What stands between the sources and one sink.
pub(crate) struct Outlet {
    pub(crate) name: String,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) buffer: Buffer,
    pub(crate) drops_newest: bool,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) telemetry: Arc<SinkTelemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: StopSignal,
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

impl Outlet {
    /// Turns events into records. Changes nothing.
    pub(crate) fn encode(&self, inputs: &[Input]) -> Encoding {
        let mut encoding = Encoding::default();
        encoding.records.reserve(inputs.len());
        let since = Instant::now();
        let first_ms = self.clock.now_ms();
        for input in inputs {
            let fate = match self.encode_one(input) {
                Encoded::Record(record) => {
                    let ticket = Ticket {
                        position: input.position.clone(),
                        attempts: 0,
                        since,
                        first_ms,
                        history: Arc::default(),
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
                        history: Arc::default(),
                    });
                    Fate::Rejected(encoding.letters.len() - 1)
                }
            };
            encoding.fates.push(fate);
        }
        encoding
    }

    fn encode_one(&self, input: &Input) -> Encoded {
        let rejected = |reason| {
            Encoded::Rejected(Rejection {
                reason,
                record: None,
            })
        };
        match &input.event {
            // A fault of a plugin costs the one event that meets it.
            Ok(event) => {
                catch_unwind(AssertUnwindSafe(|| self.sink.encode(event))).unwrap_or_else(|_| {
                    rejected(Reason::new(
                        "internal",
                        "the sink failed on this event; please report it",
                    ))
                })
            }
            Err(reason) => rejected(reason.clone()),
        }
    }

    /// Counts events and hands them on: records to the buffer, waiting for room, and letters to the dead letters.
    pub(crate) async fn accept(&self, encoding: Encoding) {
        let (records, letters) = self.count(encoding);
        self.reject(letters).await;
        if self.drops_newest {
            let rest = self.buffer.try_push(records);
            if !rest.is_empty() {
                tracing::debug!(sink = %self.name, events = rest.len(), reason = "buffer_full", "events dropped");
                self.telemetry.drop_newest(rest.len());
            }
        } else if let Err(rest) = self.buffer.push(records).await {
            self.hold(rest).await;
        }
    }

    /// Counts what came in, and hands over what has to go somewhere.
    pub(crate) fn count(&self, encoding: Encoding) -> (Vec<Held>, Vec<Letter>) {
        SinkTelemetry::add(&self.telemetry.received, encoding.fates.len());
        self.telemetry.filter(&encoding.filtered);
        (encoding.records, encoding.letters)
    }

    /// Writes rejected events to the dead letters, and counts them.
    pub(crate) async fn reject(&self, letters: Vec<Letter>) {
        if let Some(letters) = self.write(letters).await {
            for letter in letters.iter() {
                self.telemetry.reject(&letter.reason, &letter.position);
            }
        }
    }

    /// Writes what is left at the end to the dead letters. It stays counted as held.
    pub(crate) async fn hold(&self, records: Vec<Held>) {
        let letters = records.into_iter().map(|held| Letter {
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
    /// Encodes events for every sink. Uses the calling thread.
    pub(crate) fn encode(outlets: &[Arc<Outlet>], inputs: &[Input]) -> Vec<Encoding> {
        outlets.iter().map(|outlet| outlet.encode(inputs)).collect()
    }

    /// Hands encoded events on, waiting for room.
    pub(crate) async fn accept(&self, encodings: Vec<Encoding>) {
        for (outlet, encoding) in self.outlets.iter().zip(encodings) {
            outlet.accept(encoding).await;
        }
    }
}
