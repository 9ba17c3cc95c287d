//! What the calls of one source share: a chunk goes through the transforms, is encoded for every sink, and is accepted.

use super::routes::Routes;
use super::turn::{Turn, Turns};
use crate::ack::Ack;
use crate::runtime::{Failure, Failures};
use crate::sink_input::{EncodeOutcome, Encoding};
use crate::status::SourceCounters;
use pipeline_core::{Chunk, Item, Refused, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// What the calls of one source share.
pub(crate) struct Shared {
    /// The source's name.
    name: String,
    routes: Mutex<Arc<Routes>>,
    turns: Turns,
    failures: Failures,
    has_failed: AtomicBool,
    refuses_offers: AtomicBool,
    counters: Arc<SourceCounters>,
}

/// A chunk as every sink sees it.
pub(super) struct Prepared {
    routes: Arc<Routes>,
    /// What each sink of the routes made of it.
    encodings: Vec<Encoding>,
}

impl Shared {
    pub(super) fn new(name: &str, routes: Routes, failures: Failures) -> Self {
        Self {
            name: name.to_owned(),
            routes: Mutex::new(Arc::new(routes)),
            turns: Turns::default(),
            failures,
            has_failed: AtomicBool::new(false),
            refuses_offers: AtomicBool::new(false),
            counters: Arc::default(),
        }
    }

    /// What the source has done so far.
    pub(crate) fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }

    /// The source's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what reads the source. Chunks that are on their way end where they were going.
    pub(crate) fn set_routes(&self, routes: Routes) {
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
    }

    /// Takes a turn for a chunk of this partition, where a transform asks for the order of the calls.
    pub(super) fn turn(&self, routes: &Routes, partition: u64) -> Option<Turn> {
        routes.is_ordered().then(|| self.turns.take(partition))
    }

    /// Runs the transforms on a chunk, whose turn has come, and encodes what they leave for every sink.
    pub(super) async fn prepare(
        self: Arc<Self>,
        routes: Arc<Routes>,
        turn: Option<Turn>,
        chunk: Chunk,
        ack: Ack,
        in_place: bool,
    ) -> Result<Prepared, Failure> {
        if self.has_failed.load(Ordering::Acquire) {
            let task = format!("the intake of source `{}`", self.name);
            return Err(Failure::task(task, "takes no more events"));
        }
        let last_ms = match chunk.entries().last().map(|entry| &entry.item) {
            Some(Item::Event(event)) => Some(event.received_ms()),
            _ => None,
        };
        self.counters.receive(chunk.entries().len(), last_ms);
        let chunks = match routes.transform(chunk).await {
            Ok(chunks) => chunks,
            Err(failure) => {
                self.fail(failure.clone());
                return Err(failure);
            }
        };
        drop(turn);
        let encode = {
            let routes = Arc::clone(&routes);
            move || {
                let encodings = routes.encode(&chunks, &ack);
                ack.done();
                encodings
            }
        };
        let encodings = if in_place {
            catch_unwind(AssertUnwindSafe(encode)).ok()
        } else {
            tokio::task::spawn_blocking(encode).await.ok()
        };
        let encodings = encodings.ok_or_else(|| {
            let failure = Failure::panicked(format!("the encoding of source `{}`", self.name));
            self.fail(failure.clone());
            failure
        })?;
        Ok(Prepared { routes, encodings })
    }

    /// Answers offers with [`Refused::Failed`] from now on, because the pipeline has failed somewhere.
    pub(crate) fn refuse_offers(&self) {
        self.refuses_offers.store(true, Ordering::Release);
    }

    pub(super) fn refuses_offers(&self) -> bool {
        self.refuses_offers.load(Ordering::Acquire)
    }

    /// No more events are taken: a transform or a task of the host has failed.
    pub(super) fn fail(&self, failure: Failure) {
        if !self.has_failed.swap(true, Ordering::AcqRel) {
            self.failures.report(failure);
        }
    }

    /// Reports what the source could not read.
    pub(super) fn report(&self, failure: Failure) {
        self.counters.problems.fetch_add(1, Ordering::Relaxed);
        self.failures.report(failure);
    }

    /// Takes a chunk whole, or not at all, also when the caller stops waiting: what has to be written for that belongs to a task
    /// of its own.
    pub(super) async fn accept_all(
        self: Arc<Self>,
        prepared: Prepared,
        ack: Ack,
        deadline: Instant,
    ) -> Result<(), Refused> {
        let encodings = &prepared.encodings;
        if encodings.iter().all(|encoding| encoding.letters.is_empty()) {
            return self.fill(prepared, ack, deadline).await;
        }
        let task = format!("the dead letters of source `{}`", self.name);
        let failures = self.failures.clone();
        let filling = async move { self.fill(prepared, ack, deadline).await };
        let (_, filling) = failures.spawn(task, filling);
        filling.ended().await.unwrap_or(Err(Refused::Failed))
    }

    /// Finds room in every buffer and for every letter first, and only then counts and keeps anything.
    async fn fill(&self, prepared: Prepared, ack: Ack, deadline: Instant) -> Result<(), Refused> {
        let Prepared {
            routes,
            mut encodings,
        } = prepared;
        let mut rooms = Vec::with_capacity(encodings.len());
        for (sink, encoding) in routes.sinks().zip(&encodings) {
            let takes_what_fits = sink.current().drops_newest || encoding.records.is_empty();
            rooms.push(if takes_what_fits {
                None
            } else {
                let (events, bytes) = (encoding.records.len(), encoding.size_bytes());
                let room = sink.buffer.reserve(events, bytes, deadline).await;
                Some(room.ok_or_else(|| {
                    if self.refuses_offers() {
                        return Refused::Failed;
                    }
                    sink.refuse();
                    Refused::Full
                })?)
            });
        }
        let mut letters = Vec::with_capacity(encodings.len());
        for (sink, encoding) in routes.sinks().zip(&mut encodings) {
            let [whole, plain] = encoding.take_letters();
            let whole = Arc::new(whole);
            if !sink.write_in_time(&whole, deadline).await {
                return Err(Refused::NoLetters);
            }
            letters.push((whole, plain));
        }
        // No refusal from here on.
        let sinks = routes.sinks().zip(encodings).zip(rooms).zip(letters);
        for (((sink, encoding), room), (whole, plain)) in sinks {
            let records = sink.count(encoding);
            if let Some(room) = room {
                // Only where the pipeline ends meanwhile.
                let refused = room.fill(records).err().unwrap_or_default();
                sink.hold(refused).await;
            } else {
                sink.push_or_drop(records);
            }
            sink.count_letters(&whole, 0);
            if !plain.is_empty() {
                sink.keep_plain(plain, tokio::time::sleep_until(deadline))
                    .await;
            }
        }
        ack.done();
        Ok(())
    }
}

impl Prepared {
    /// Hands encoded events on, waiting for room. Records and letters hold clones of their own of `ack`.
    pub(super) async fn accept(self, ack: Ack) {
        for (sink, encoding) in self.routes.sinks().zip(self.encodings) {
            sink.accept(encoding, &ack).await;
        }
        ack.done();
    }

    /// What became of each input of the source: the best of the answers of all sinks.
    pub(super) fn verdicts(&self, inputs: usize) -> Vec<Verdict> {
        let mut verdicts: Vec<Option<Verdict>> = vec![None; inputs];
        for encoding in &self.encodings {
            for (input, outcome) in &encoding.outcomes {
                let Some(verdict) = verdicts.get_mut(*input) else {
                    continue;
                };
                let better = match (outcome, &*verdict) {
                    (EncodeOutcome::Accepted, _) => Some(Verdict::Accepted),
                    (EncodeOutcome::Rejected(letter), None | Some(Verdict::Filtered { .. })) => {
                        let letter = encoding.letters.get(*letter);
                        letter.map(|letter| Verdict::Rejected(letter.reason.clone()))
                    }
                    (EncodeOutcome::Filtered(code), None) => Some(Verdict::Filtered { code }),
                    _ => None,
                };
                if better.is_some() {
                    *verdict = better;
                }
            }
        }
        let unread = Verdict::Filtered { code: "not_read" };
        let verdicts = verdicts.into_iter();
        verdicts
            .map(|verdict| verdict.unwrap_or_else(|| unread.clone()))
            .collect()
    }
}
