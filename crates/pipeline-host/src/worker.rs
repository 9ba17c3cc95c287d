//! The far side of one sink's buffer: takes batches, delivers them, and acts on the outcome of every record.
//!
//! Invariant: a record that was taken is delivered, rejected, put back, or queued at the end, also when the sink panics
//! or answers with the wrong number of outcomes.

use crate::ack::Ack;
use crate::backoff::Backoff;
use crate::batch::{Batch, Queued, RecordMeta};
use crate::buffer::Done;
use crate::concurrency::Concurrency;
use crate::config::option::{RetryOptions, seconds};
use crate::dead_letter::Letter;
use crate::event_counts::{EventBatch, Fate};
use crate::runtime::{Failures, Watched, watching};
use crate::sink_input::SinkInput;
use crate::status::LiveSink as _;
use crate::stop::Phase;
use crate::telemetry::{SinkState, SinkTelemetry};
use pipeline_core::{HealthcheckError, Outcome, Reason, Settlement, Sink};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

/// The first pause between two probes of a blocked sink.
const INITIAL_PROBE_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two probes of a blocked sink.
const MAX_PROBE_PAUSE: Duration = Duration::from_secs(60);
/// How often it looks whether the log has to be told of events that were not sent.
const LOOK_PAUSE: Duration = Duration::from_secs(60);
/// How often a blocked sink says so.
const REMINDER_PAUSE: Duration = Duration::from_secs(60);

/// How long a sink may take over one batch before its records are tried again. Generous, because a sink has limits of its
/// own and may make many requests for one batch; without any, one that never answers would hold its place for ever.
const DELIVERY_LIMIT: Duration = Duration::from_secs(30 * 60);

type Probe = Result<(), HealthcheckError>;

/// Delivers what is in one buffer.
pub(crate) struct Worker {
    input: Arc<SinkInput>,
    concurrency: Concurrency,
    deliveries: JoinSet<Vec<Outcome>>,
    batches: HashMap<Id, Arc<Batch>>,
    backoff: Backoff,
    paused_until: Option<Instant>,
    blocked: Option<Blocked>,
    outage: Option<Outage>,
    probe: JoinSet<Probe>,
    probe_backoff: Backoff,
    next_look: Instant,
}

/// A time without delivery.
struct Outage {
    since: Instant,
    /// Attempts that failed in it; batches that failed together count as one.
    attempts: u64,
}

struct Blocked {
    reason: Reason,
    next_probe: Instant,
    next_reminder: Instant,
}

enum Step {
    End,
    Settle(Result<(Id, Vec<Outcome>), JoinError>),
    Send(Batch),
    Resume,
    Probe,
    Probed(Probe),
    Remind,
    Changed,
    TellLog,
    Look,
}

impl Worker {
    pub(crate) fn new(input: Arc<SinkInput>, seed: u64) -> Self {
        let plan = input.current();
        let (initial, max) = backoff_limits(&plan.retry);
        Self {
            input,
            concurrency: Concurrency::new(plan.concurrency),
            deliveries: JoinSet::new(),
            batches: HashMap::new(),
            backoff: Backoff::new(initial, max, seed),
            paused_until: None,
            blocked: None,
            outage: None,
            probe: JoinSet::new(),
            probe_backoff: Backoff::new(INITIAL_PROBE_PAUSE, MAX_PROBE_PAUSE, seed),
            next_look: Instant::now() + LOOK_PAUSE,
        }
    }

    /// Starts it. Where it panics, the buffer takes no more records, and what it held is given up or written to the dead
    /// letters at once, so that no source waits for it.
    pub(crate) fn start(self, failures: &Failures) -> Watched<()> {
        let input = Arc::clone(&self.input);
        let task = format!("the worker of sink `{}`", input.name);
        let (_, worker) = failures.spawn(task.clone(), self.run());
        let (_, ended) = failures.spawn(task, async move {
            if worker.ended().await.is_none() {
                let left = input.buffer.abandon();
                input.hold(left).await;
            }
        });
        ended
    }

    /// Runs until everything is delivered or the pipeline has to end; what is left then goes to the dead letters.
    async fn run(mut self) {
        loop {
            match self.step().await {
                Step::End => break,
                Step::Settle(done) => self.settle(done).await,
                Step::Send(batch) => self.send(batch).await,
                Step::Resume => {
                    self.paused_until = None;
                    self.input.telemetry.set_state(SinkState::Sending);
                }
                Step::Probe => self.start_probe(),
                Step::Probed(result) => self.probed(result),
                Step::Remind => self.remind(),
                Step::Changed => self.change(),
                Step::TellLog => {
                    self.next_look = Instant::now() + LOOK_PAUSE;
                    self.input.tell_log();
                }
                Step::Look => {}
            }
        }
        self.hold().await;
    }

    async fn step(&mut self) -> Step {
        let (mut stop, mut end) = (self.input.stop.clone(), self.input.stop.clone());
        let stopping = stop.now() != Phase::Run;
        let changed = self.input.changed.notified();
        let is_paused = self.input.is_paused();
        // Only this worker puts records back, so a drained buffer stays drained while deliveries are awaited.
        let drained = self.input.buffer.is_drained();
        let nothing_left = self.deliveries.is_empty() && drained;
        // What is on disk need not be sent now, and draining into a blocked destination is useless.
        let sends_no_more =
            stopping && (self.blocked.is_some() || is_paused || self.input.buffer.disk().is_some());
        if nothing_left || (sends_no_more && self.deliveries.is_empty()) {
            return Step::End;
        }
        // After a failure one batch goes ahead alone, to see whether the way is clear.
        let at_once = if self.backoff.is_failing() {
            1
        } else {
            self.concurrency.limit()
        };
        let may_send = self.paused_until.is_none()
            && self.blocked.is_none()
            && !is_paused
            && !sends_no_more
            && self.deliveries.len() < at_once;
        let paused = self.paused_until.filter(|_| self.blocked.is_none());
        let probing = !self.probe.is_empty();
        let next_probe = self
            .blocked
            .as_ref()
            .filter(|_| !probing)
            .map(|blocked| blocked.next_probe);
        let next_reminder = self.blocked.as_ref().map(|blocked| blocked.next_reminder);
        tokio::select! {
            biased;
            () = end.deadline() => Step::End,
            () = stop.stopped(), if !stopping => Step::Look,
            () = changed => Step::Changed,
            Some(done) = self.deliveries.join_next_with_id() => Step::Settle(done),
            Some(probed) = self.probe.join_next() => Step::Probed(probed.unwrap_or_else(|_| {
                Err(HealthcheckError::Unavailable(Reason::new("internal", "the health check failed")))
            })),
            () = at(paused) => Step::Resume,
            () = at(next_probe) => Step::Probe,
            () = at(next_reminder) => Step::Remind,
            () = sleep_until(self.next_look) => Step::TellLog,
            batch = self.input.buffer.next_batch(), if may_send && !drained => batch.map_or(Step::Look, Step::Send),
        }
    }

    async fn send(&mut self, batch: Batch) {
        let batch = self.without_expired(batch).await;
        if batch.records.is_empty() {
            return;
        }
        let batch = Arc::new(batch);
        let (sink, records) = (Arc::clone(&self.input.current().sink), Arc::clone(&batch));
        let telemetry = Arc::clone(&self.input.telemetry);
        let task = self.deliveries.spawn(async move {
            let since = Instant::now();
            let delivery = tokio::time::timeout(DELIVERY_LIMIT, sink.deliver(&records.records));
            let outcomes = delivery.await;
            telemetry.deliveries.add(since.elapsed());
            outcomes.unwrap_or_else(|_| vec![no_answer(); records.records.len()])
        });
        self.batches.insert(task.id(), batch);
        self.tell_oldest();
    }

    /// Tells when the oldest record on its way was first seen.
    fn tell_oldest(&self) {
        let tickets = self.batches.values().flat_map(|batch| &batch.tickets);
        let oldest = tickets.map(|meta| meta.first_ms).min();
        self.input.telemetry.set_oldest_sent(oldest);
    }

    /// Takes out what the destination would refuse as too old by now.
    async fn without_expired(&self, batch: Batch) -> Batch {
        let now = self.input.clock.now_ms() / 1000;
        if batch.records.iter().all(|record| record.expires_at > now) {
            return batch;
        }
        let mut rest = Batch::default();
        let mut letters = Vec::new();
        for queued in batch.into_queued() {
            if queued.record.expires_at > now {
                rest.push(queued);
            } else {
                let detail = "the event became too old for the destination while it waited";
                letters.push((queued, Reason::new("expired", detail)));
            }
        }
        self.reject(letters).await;
        rest
    }

    async fn settle(&mut self, done: Result<(Id, Vec<Outcome>), JoinError>) {
        let (id, outcomes) = match done {
            Ok((id, outcomes)) => (id, Some(outcomes)),
            Err(error) => (error.id(), None),
        };
        let Some(batch) = self.batches.remove(&id) else {
            return;
        };
        self.tell_oldest();
        let batch = Arc::unwrap_or_clone(batch);
        let expected = batch.records.len();
        let outcomes = outcomes
            .filter(|outcomes| outcomes.len() == expected)
            .unwrap_or_else(|| vec![internal_fault(); expected]);
        self.sort_out(batch, outcomes).await;
    }

    async fn sort_out(&mut self, batch: Batch, outcomes: Vec<Outcome>) {
        let (mut delivered, mut done) = (EventBatch::default(), Done::default());
        let budget = Budget::of(&self.input.current().retry, self.input.clock.now_ms());
        let (mut again, mut rejected) = (Vec::new(), Vec::new());
        let mut retry: Option<(Option<Duration>, Reason)> = None;
        let mut blocked = None;
        for (mut queued, outcome) in batch.into_queued().zip(outcomes) {
            queued.meta.attempts += 1;
            for observer in watching(&self.input.observers) {
                let (origin, attempts) = (&queued.meta.origin, queued.meta.attempts);
                let settlement = Settlement::new(&queued.record, origin, attempts, &outcome);
                observer.attempted(&self.input.name, &settlement);
            }
            match outcome {
                Outcome::Delivered => {
                    delivered.add(Some(&queued.record.label), Fate::Delivered);
                    done.add(&queued);
                    queued.meta.ack.done();
                }
                Outcome::Rejected { reason } => rejected.push((queued, reason)),
                Outcome::Retry { after, reason } => {
                    let longest = retry.map_or(after, |(longest, _)| longest.max(after));
                    match budget.spent(&queued.meta, &reason) {
                        Some(spent) => rejected.push((queued, spent)),
                        None => again.push(queued),
                    }
                    retry = Some((longest, reason));
                }
                Outcome::Blocked { reason } => {
                    blocked = Some(reason);
                    again.push(queued);
                }
                _ => {
                    let detail = "the sink answered in a way that this host does not know";
                    retry = Some((None, Reason::new("internal", detail)));
                    again.push(queued);
                }
            }
        }
        let telemetry = &self.input.telemetry;
        telemetry.deliver(&delivered);
        SinkTelemetry::add(&telemetry.retried, again.len());
        self.input.buffer.finish(&done);
        self.input.buffer.put_back(again);
        if delivered.total() > 0 {
            self.tell_recovery(delivered.total());
        }
        let got_through = delivered.total() > 0 || (retry.is_none() && !rejected.is_empty());
        if got_through {
            self.backoff.reset();
            self.probe_backoff.reset();
        }
        match (blocked, retry) {
            (Some(reason), _) => self.block(reason),
            (None, Some((after, reason))) => self.pause(after, &reason),
            (None, None) => self.concurrency.grow(),
        }
        self.reject(rejected).await;
    }

    async fn reject(&self, rejected: Vec<(Queued, Reason)>) {
        let mut acks = Vec::with_capacity(rejected.len());
        let mut letters = Vec::with_capacity(rejected.len());
        let mut done = Done::default();
        for (queued, reason) in rejected {
            done.add(&queued);
            letters.push(Letter {
                reason,
                origin: queued.meta.origin,
                attempts: queued.meta.attempts,
                first_ms: queued.meta.first_ms,
                record: Some(queued.record),
                label: None,
                history: queued.meta.history,
            });
            acks.push(queued.meta.ack);
        }
        // What is not there when the pipeline has to end stays on disk, or is read again.
        if self.input.reject(letters).await {
            acks.into_iter().for_each(Ack::done);
            self.input.buffer.finish(&done);
        }
    }

    fn pause(&mut self, after: Option<Duration>, reason: &Reason) {
        let now = Instant::now();
        // Batches that were on their way together fail together: that is one failure, not several.
        let known = self.paused_until;
        let until = if let Some(until) = known {
            until.max(now + after.unwrap_or_default())
        } else {
            self.concurrency.shrink();
            now + self.backoff.next(after)
        };
        self.paused_until = Some(until);
        if known.is_none() {
            self.add_failure(now);
            let secs = until.duration_since(now).as_secs_f64();
            let sink = &self.input.name;
            tracing::warn!(%sink, reason = reason.code, "delivery failed: {}; next attempt in {secs:.1} s", reason.detail);
        }
        if self.blocked.is_none() {
            self.input.telemetry.set_state(SinkState::BackingOff {
                until,
                reason: reason.code.to_owned(),
            });
        }
    }

    fn add_failure(&mut self, now: Instant) {
        let first = Outage {
            since: now,
            attempts: 0,
        };
        self.outage.get_or_insert(first).attempts += 1;
    }

    /// Says that an outage has ended, with the events that were delivered first and those that still wait.
    fn tell_recovery(&mut self, delivered: u64) {
        if let Some(Outage { since, attempts }) = self.outage.take() {
            let times = if attempts == 1 { "attempt" } else { "attempts" };
            let secs = since.elapsed().as_secs_f64();
            let waited = self.input.telemetry.snapshot().held + delivered;
            let events = if waited == 1 { "event" } else { "events" };
            tracing::info!(sink = %self.input.name, "delivery resumed after {attempts} failed {times} and {secs:.1} s; {waited} {events} waited");
        }
    }

    fn block(&mut self, reason: Reason) {
        let now = Instant::now();
        if self.blocked.is_none() {
            self.add_failure(now);
            let next_probe = now + self.probe_backoff.limit();
            self.blocked = Some(Blocked {
                reason,
                next_probe,
                next_reminder: now,
            });
            self.remind();
        }
    }

    fn remind(&mut self) {
        if let Some(blocked) = &mut self.blocked {
            blocked.next_reminder = Instant::now() + REMINDER_PAUSE;
            let detail = &blocked.reason.detail;
            tracing::error!(sink = %self.input.name, reason = blocked.reason.code, "delivery is blocked: {detail}; events are kept, and delivery resumes once this is resolved");
            self.input.telemetry.set_state(SinkState::Blocked {
                reason: detail.to_string(),
            });
        }
    }

    fn start_probe(&mut self) {
        let sink: Arc<dyn Sink> = Arc::clone(&self.input.current().sink);
        self.probe.spawn(async move { sink.healthcheck().await });
    }

    fn probed(&mut self, result: Probe) {
        let Some(blocked) = &mut self.blocked else {
            return;
        };
        match result {
            Ok(()) => {
                self.blocked = None;
                self.paused_until = None;
                self.input.telemetry.set_state(SinkState::Sending);
                tracing::info!(sink = %self.input.name, "delivery has resumed");
            }
            Err(error) => {
                blocked.next_probe = Instant::now() + self.probe_backoff.limit();
                if let HealthcheckError::Blocked(reason) = error {
                    blocked.reason = reason;
                }
            }
        }
    }

    /// The sink has other options now. They may be what it waited for.
    fn change(&mut self) {
        let plan = self.input.current();
        let (initial, max) = backoff_limits(&plan.retry);
        self.backoff.set_limits(initial, max);
        self.concurrency.set_max(plan.concurrency);
        self.paused_until = None;
        self.probe_backoff.reset();
        match &mut self.blocked {
            Some(blocked) => blocked.next_probe = Instant::now(),
            None => self.input.telemetry.set_state(SinkState::Sending),
        }
    }

    /// The end: what is on its way is given up, and what would be lost with the process goes to the dead letters.
    async fn hold(mut self) {
        self.deliveries.abort_all();
        // A delivery that has just finished still counts.
        while let Some(done) = self.deliveries.join_next_with_id().await {
            if let Ok(done) = done {
                self.settle(Ok(done)).await;
            }
        }
        let given_up = std::mem::take(&mut self.batches).into_values();
        let mut left: Vec<Queued> = given_up
            .flat_map(|batch| Arc::unwrap_or_clone(batch).into_queued())
            .filter(|queued| queued.meta.slot.is_none())
            .collect();
        left.extend(self.input.buffer.abandon());
        self.input.hold(left).await;
    }
}

/// What is on its way when the worker panics goes back to the buffer, which [`Worker::start`] then empties.
impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for batch in std::mem::take(&mut self.batches).into_values() {
                let queued = Arc::unwrap_or_clone(batch).into_queued();
                self.input.buffer.put_back(queued.collect());
            }
        }
    }
}

/// How often, and for how long, a record may be tried.
struct Budget {
    attempts: Option<u32>,
    oldest_ms: Option<i64>,
}

impl Budget {
    fn of(retry: &RetryOptions, now_ms: i64) -> Self {
        let age = |secs: f64| i64::try_from(seconds(secs).as_millis()).unwrap_or(i64::MAX);
        Self {
            attempts: retry.max_attempts,
            oldest_ms: retry
                .max_age_secs
                .map(|secs| now_ms.saturating_sub(age(secs))),
        }
    }

    /// Why the record is not tried again, where its budget is spent.
    fn spent(&self, meta: &RecordMeta, last: &Reason) -> Option<Reason> {
        let often = self.attempts.is_some_and(|most| meta.attempts >= most);
        let long = self.oldest_ms.is_some_and(|oldest| meta.first_ms <= oldest);
        let limit = match (often, long) {
            (true, _) => "max_attempts",
            (_, true) => "max_age_secs",
            _ => return None,
        };
        let detail = format!(
            "given up after {} attempts, because of `retry.{limit}`; the last failed: {}",
            meta.attempts, last.detail
        );
        let mut reason = Reason::new("retries_exhausted", detail);
        reason.destination.clone_from(&last.destination);
        Some(reason)
    }
}

fn backoff_limits(retry: &RetryOptions) -> (Duration, Duration) {
    let (initial, max) = (retry.initial_backoff_secs, retry.max_backoff_secs);
    (seconds(initial), seconds(max))
}

fn internal_fault() -> Outcome {
    Outcome::Retry {
        after: None,
        reason: Reason::new(
            "internal",
            "the sink failed while it delivered; please report it",
        ),
    }
}

fn no_answer() -> Outcome {
    let detail = "the sink did not come back from the delivery in time";
    Outcome::Retry {
        after: None,
        reason: Reason::new("timeout", detail),
    }
}

/// Waits until then, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
