//! The far side of one sink's buffer: takes batches, delivers them, and acts on the outcome of every record.
//!
//! A record that makes every request with it fail is looked for by `narrowing`, and waits aside.
//!
//! Invariant: a record that was taken is delivered, rejected, put back, or queued at the end, also when the sink panics
//! or answers with the wrong number of outcomes.

use crate::backoff::Backoff;
use crate::batch::{Batch, Queued, RecordMeta};
use crate::buffer::Done;
use crate::concurrency::Concurrency;
use crate::config::option::{RetryOptions, seconds};
use crate::dead_letter::Letter;
use crate::event_counts::{EventBatch, Fate};
use crate::letterbox::Group;
use crate::narrowing::{Errand, Failed, MAX_SUSPECTS, Narrowing};
use crate::runtime::{Failures, Watched, watching};
use crate::sink_input::SinkInput;
use crate::status::LiveSink as _;
use crate::stop::Phase;
use crate::telemetry::{SinkState, SinkTelemetry};
use pipeline_core::{DeliveryReport, HealthcheckError, Outcome, Reason, Record, Settlement, Sink};
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
/// How often it says at most that a record waits aside.
const SUSPECT_PAUSE: Duration = Duration::from_secs(60);

/// How long a sink may take over one batch before its records are tried again. Generous, because a sink has limits of its
/// own and may make many requests for one batch; without any, one that never answers would hold its place for ever.
const DELIVERY_LIMIT: Duration = Duration::from_secs(30 * 60);

/// How long requests that are on their way may take once the pipeline stops, where the buffer is on disk: what they carry is sent
/// again by the next run, under the same ids.
const ON_DISK_STOP_LIMIT: Duration = Duration::from_secs(2);

type Probe = Result<(), HealthcheckError>;

/// Delivers what is in one buffer.
pub(crate) struct Worker {
    input: Arc<SinkInput>,
    concurrency: Concurrency,
    deliveries: JoinSet<DeliveryReport>,
    flights: HashMap<Id, Flight>,
    narrowing: Narrowing,
    /// When it may say again that a record waits aside.
    next_word: Instant,
    backoff: Backoff,
    paused_until: Option<Instant>,
    blocked: Option<Blocked>,
    outage: Option<Outage>,
    probe: JoinSet<Probe>,
    probe_backoff: Backoff,
    next_look: Instant,
    /// Requests are given up then, because their records are on disk.
    give_up_at: Option<Instant>,
}

/// A request under way.
struct Flight {
    batch: Arc<Batch>,
    errand: Errand,
}

/// What became of the records of a request that is to be made again.
#[derive(Default)]
struct Again {
    /// No record is the cause.
    records: Vec<Queued>,
    /// One of them may be.
    failed: Vec<Queued>,
    /// Why, and the pause that the destination asked for.
    why: Option<(Option<Duration>, Reason)>,
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
    Settle(Result<(Id, DeliveryReport), JoinError>),
    Send(Batch),
    SendApart,
    Recycle,
    Resume,
    Probe,
    Probed(Probe),
    Remind,
    Stopping,
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
            flights: HashMap::new(),
            narrowing: Narrowing::new(initial, max, seed),
            next_word: Instant::now(),
            backoff: Backoff::new(initial, max, seed),
            paused_until: None,
            blocked: None,
            outage: None,
            probe: JoinSet::new(),
            probe_backoff: Backoff::new(INITIAL_PROBE_PAUSE, MAX_PROBE_PAUSE, seed),
            next_look: Instant::now() + LOOK_PAUSE,
            give_up_at: None,
        }
    }

    /// Starts it. Where it panics, the buffer takes no more records, and what it held is given up or written to the dead
    /// letters at once, so that no source waits for it.
    pub(crate) fn start(self, failures: &Failures) -> Watched<()> {
        let input = Arc::clone(&self.input);
        let task = format!("the worker of sink `{}`", input.name);
        let (_, worker) = failures.spawn(task.clone(), self.run());
        let letters = format!("the letters of sink `{}`", input.name);
        let (_, letters) = failures.spawn(letters, Arc::clone(&input).keep_letters());
        let (_, ended) = failures.spawn(task, async move {
            if worker.ended().await.is_none() {
                let left = input.buffer.abandon();
                input.hold(left).await;
            }
            input.letterbox.close();
            letters.ended().await;
        });
        ended
    }

    /// Runs until everything is delivered or the pipeline has to end; what is left then goes to the dead letters.
    async fn run(mut self) {
        loop {
            match self.step().await {
                Step::End => break,
                Step::Settle(done) => self.settle(done).await,
                Step::Send(batch) if self.narrowing.is_probing() => {
                    self.narrowing.take_in(batch.into_queued().collect());
                }
                Step::Send(batch) => self.send(batch, Errand::Usual).await,
                Step::SendApart => self.send_apart().await,
                Step::Recycle => self.narrowing.recycle(),
                Step::Resume => {
                    self.paused_until = None;
                    self.input.telemetry.set_state(SinkState::Sending);
                }
                Step::Probe => self.start_probe(),
                Step::Probed(result) => self.probed(result),
                Step::Remind => self.remind(),
                Step::Stopping => self.narrowing.hurry(Instant::now()),
                Step::Changed => self.change(),
                Step::TellLog => {
                    self.next_look = Instant::now() + LOOK_PAUSE;
                    self.input.tell_log();
                    self.tell_notices();
                    let input = Arc::clone(&self.input);
                    tokio::spawn(async move { input.letterbox.look().await });
                }
                Step::Look => {}
            }
        }
        self.tell_notices();
        self.hold().await;
    }

    /// Logs what the sink has to tell, and that nothing is left but what keeps failing.
    fn tell_notices(&self) {
        let events = self.narrowing.suspects();
        if events > 0 && self.input.buffer.is_drained() {
            tracing::warn!(sink = %self.input.name, events, "everything else is done; events that fail alone are still tried, until the pipeline is stopped");
        }
        let notices = self.input.current().sink.take_notices();
        for notice in notices {
            tracing::warn!(sink = %self.input.name, reason = notice.code, "{}", notice.detail);
        }
    }

    async fn step(&mut self) -> Step {
        let (mut stop, mut end) = (self.input.stop.clone(), self.input.stop.clone());
        let stopping = stop.now() != Phase::Run;
        let changed = self.input.changed.notified();
        let is_paused = self.input.is_paused();
        // Only this worker puts records back, so a drained buffer stays drained while deliveries are awaited.
        let drained = self.input.buffer.is_drained();
        let is_idle = self.deliveries.is_empty() && drained;
        let nothing_left =
            is_idle && (self.narrowing.is_empty() || (stopping && self.narrowing.is_at_end()));
        // What is on disk need not be sent now, and draining into a blocked destination is useless.
        let sends_no_more =
            stopping && (self.blocked.is_some() || is_paused || self.input.buffer.disk().is_some());
        if nothing_left || (self.deliveries.is_empty() && (sends_no_more || self.waits_too_long()))
        {
            return Step::End;
        }
        if stopping && self.input.buffer.disk().is_some() {
            self.give_up_at
                .get_or_insert_with(|| Instant::now() + ON_DISK_STOP_LIMIT);
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
        let now = Instant::now();
        let others_left = self.has_others();
        let sends_apart = may_send && self.narrowing.is_ready(now, others_left);
        let next_due = self.narrowing.next_due(others_left).filter(|_| may_send);
        let is_used_up = may_send && self.narrowing.is_used_up() && self.narrowing.is_probing();
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
            () = at(self.give_up_at) => Step::End,
            () = stop.stopped(), if !stopping => Step::Stopping,
            () = changed => Step::Changed,
            Some(done) = self.deliveries.join_next_with_id() => Step::Settle(done),
            Some(probed) = self.probe.join_next() => Step::Probed(probed.unwrap_or_else(|_| {
                Err(HealthcheckError::Unavailable(Reason::new("internal", "the health check failed")))
            })),
            () = at(paused) => Step::Resume,
            () = at(next_probe) => Step::Probe,
            () = at(next_reminder) => Step::Remind,
            () = sleep_until(self.next_look) => Step::TellLog,
            () = std::future::ready(()), if sends_apart => Step::SendApart,
            batch = self.input.buffer.next_batch(), if may_send && !drained => batch.map_or(Step::Look, Step::Send),
            () = std::future::ready(()), if is_used_up => Step::Recycle,
            () = at(next_due) => Step::Look,
        }
    }

    /// Whether it has records that neither wait aside nor are being narrowed down.
    fn has_others(&self) -> bool {
        !(self.deliveries.is_empty() && self.input.buffer.is_empty())
    }

    /// Whether the pipeline stops before the next attempt: what is left may be written down now.
    fn waits_too_long(&self) -> bool {
        let Phase::Drain(end) = self.input.stop.now() else {
            return false;
        };
        self.paused_until.is_some_and(|until| until >= end)
    }

    /// Sends records that are not in the buffer.
    async fn send_apart(&mut self) {
        let is_end = self.input.stop.now() != Phase::Run;
        let others_left = self.has_others();
        if let Some((records, errand)) = self.narrowing.next(Instant::now(), others_left, is_end) {
            let mut batch = Batch::default();
            for queued in records {
                batch.push(queued);
            }
            self.send(batch, errand).await;
        }
    }

    async fn send(&mut self, batch: Batch, errand: Errand) {
        let batch = self.without_expired(batch).await;
        if batch.records.is_empty() {
            self.narrowing.end(&errand);
            return;
        }
        let partition = batch
            .records
            .first()
            .map(|record| Arc::clone(&record.partition));
        let Some(sink) = self.input.sink_for(&partition.unwrap_or_default()) else {
            self.narrowing.end(&errand);
            let records = batch.into_queued().collect();
            let back = self.narrowing.give_back(errand, records, Instant::now());
            self.input.buffer.put_back(back);
            let detail = "events wait that were made for another account than the sink has now, and are never sent to another; start with the old one until they are delivered";
            self.block(Reason::new("other_partition", detail));
            return;
        };
        let batch = Arc::new(batch);
        let records = Arc::clone(&batch);
        let telemetry = Arc::clone(&self.input.telemetry);
        let is_watched = watching(&self.input.observers).next().is_some();
        let task = self.deliveries.spawn(async move {
            let since = Instant::now();
            let delivery = deliver(&*sink, &records.records, is_watched);
            let report = tokio::time::timeout(DELIVERY_LIMIT, delivery).await;
            telemetry.deliveries.add(since.elapsed());
            report.unwrap_or_else(|_| DeliveryReport::new(vec![no_answer(); records.records.len()]))
        });
        self.flights.insert(task.id(), Flight { batch, errand });
        self.tell_oldest();
    }

    /// Tells when the oldest record on its way was first seen.
    fn tell_oldest(&self) {
        let tickets = self
            .flights
            .values()
            .flat_map(|flight| &flight.batch.tickets);
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

    async fn settle(&mut self, done: Result<(Id, DeliveryReport), JoinError>) {
        let (id, report) = match done {
            Ok((id, report)) => (id, Some(report)),
            Err(error) => (error.id(), None),
        };
        let Some(Flight { batch, errand }) = self.flights.remove(&id) else {
            return;
        };
        self.tell_oldest();
        let batch = Arc::unwrap_or_clone(batch);
        let expected = batch.records.len();
        let report = report
            .filter(|report| report.outcomes.len() == expected)
            .unwrap_or_else(|| DeliveryReport::new(vec![internal_fault(); expected]));
        self.sort_out(batch, report, errand).await;
    }

    async fn sort_out(&mut self, batch: Batch, report: DeliveryReport, errand: Errand) {
        let (mut delivered, mut done) = (EventBatch::default(), Done::default());
        let budget = Budget::of(&self.input.current().retry, self.input.clock.now_ms());
        let (mut again, mut rejected) = (Again::default(), Vec::new());
        let (mut is_refused, mut blocked) = (false, None);
        let is_alone = batch.records.len() == 1;
        self.show(&batch, &report);
        for (mut queued, outcome) in batch.into_queued().zip(report.outcomes) {
            match &outcome {
                Outcome::Failed { .. } if !is_alone => queued.meta.failures += 1,
                _ => queued.meta.attempts = queued.meta.attempts.saturating_add(1),
            }
            match outcome {
                Outcome::Delivered => {
                    delivered.add(Some(&queued.record.label), Fate::Delivered);
                    done.add(&queued);
                    queued.meta.ack.done();
                }
                Outcome::Rejected { reason } => {
                    is_refused = true;
                    rejected.push((queued, reason));
                }
                Outcome::Retry { after, reason } => match again.add(after, reason, budget, &queued)
                {
                    Some(spent) => rejected.push((queued, spent)),
                    None => again.records.push(queued),
                },
                Outcome::Failed { after, reason } => {
                    match again.add(after, reason, budget, &queued) {
                        Some(spent) => rejected.push((queued, spent)),
                        None => again.failed.push(queued),
                    }
                }
                Outcome::Blocked { reason } => {
                    blocked = Some(reason);
                    again.records.push(queued);
                }
                _ => {
                    again.why = Some((None, unknown_outcome()));
                    again.records.push(queued);
                }
            }
        }
        let telemetry = &self.input.telemetry;
        telemetry.deliver(&delivered);
        SinkTelemetry::add(&telemetry.retried, again.records.len() + again.failed.len());
        self.input.buffer.finish(&done);
        if delivered.total() > 0 {
            self.tell_recovery(delivered.total());
        }
        if delivered.total() > 0 || (again.why.is_none() && is_refused) {
            self.narrowing.pass(&errand, Instant::now());
            self.backoff.reset();
            self.probe_backoff.reset();
        }
        let why = again.why.take();
        let is_aside = matches!(&errand, Errand::Suspect(_)) && !again.failed.is_empty();
        let is_part = matches!(&errand, Errand::Part);
        rejected.extend(self.put_back(again, errand, why.as_ref(), budget));
        match (blocked, why) {
            (Some(reason), _) => self.block(reason),
            // What waits aside concerns no other.
            (None, Some(_)) if is_aside => {}
            (None, Some((after, reason))) => {
                let is_expected = is_part && !self.narrowing.is_probing();
                self.pause(after, &reason, is_expected);
            }
            (None, None) => self.concurrency.grow(),
        }
        self.reject(rejected).await;
    }

    /// Tells who watches of every record of a batch that was answered.
    fn show(&self, batch: &Batch, report: &DeliveryReport) {
        for observer in watching(&self.input.observers) {
            let records = batch.records.iter().zip(&batch.tickets);
            for (position, ((record, meta), outcome)) in records.zip(&report.outcomes).enumerate() {
                let exchange = report.exchanges.get(position).and_then(Option::as_ref);
                let attempt = meta.sent().saturating_add(1);
                let settlement = Settlement::new(record, &meta.origin, attempt, outcome)
                    .with_exchange(exchange)
                    .received_at(meta.first_ms);
                observer.attempted(&self.input.name, &settlement);
            }
        }
    }

    /// Puts records that are to be sent again where they belong. Returns those that are given up.
    fn put_back(
        &mut self,
        again: Again,
        errand: Errand,
        why: Option<&(Option<Duration>, Reason)>,
        budget: Budget,
    ) -> Vec<(Queued, Reason)> {
        let now = Instant::now();
        let Again {
            records, failed, ..
        } = again;
        self.narrowing.end(&errand);
        if failed.is_empty() {
            let back = self.narrowing.give_back(errand, records, now);
            self.input.buffer.put_back(back);
            return Vec::new();
        }
        let back = self.narrowing.give_back(errand.clone(), records, now);
        self.input.buffer.put_back(back);
        let after = why.and_then(|(after, _)| *after);
        let poison_after = seconds(self.input.current().retry.poison_after_secs);
        let is_new = self.paused_until.is_none();
        self.input.buffer.tried(failed.iter());
        let known = (now, is_new);
        let Failed {
            back,
            given_up,
            is_new_suspect,
            is_outage,
        } = self
            .narrowing
            .fail(errand, failed, after, poison_after, known);
        self.input.buffer.put_back(back);
        let last = why.map(|(_, reason)| reason);
        if is_new_suspect {
            self.tell_of_suspect(now, last);
        }
        let mut rejected: Vec<_> = given_up
            .map(|queued| {
                let reason = keeps_failing(&queued.meta, last);
                (queued, reason)
            })
            .into_iter()
            .collect();
        if is_outage && let Some(last) = last {
            rejected.extend(self.narrowing.charge(|meta| budget.spent(meta, last)));
            self.input.buffer.tried(self.narrowing.records());
        }
        rejected
    }

    /// Says that a record waits aside, at most once a minute.
    fn tell_of_suspect(&mut self, now: Instant, last: Option<&Reason>) {
        if now < self.next_word {
            return;
        }
        self.next_word = now + SUSPECT_PAUSE;
        let (sink, events) = (&self.input.name, self.narrowing.suspects());
        let (code, detail) = last.map_or(("", ""), |reason| (reason.code, &*reason.detail));
        tracing::warn!(%sink, reason = code, events, "an event fails alone while others are delivered: {detail}; it waits aside and is tried again, and holds up no other");
        if events >= MAX_SUSPECTS {
            tracing::warn!(%sink, events, "no more events can wait aside; further ones that fail hold up others");
        }
    }

    /// Leaves letters to be written, however long the disk takes.
    async fn reject(&self, rejected: Vec<(Queued, Reason)>) {
        if rejected.is_empty() {
            return;
        }
        let mut group = Group::default();
        for (queued, reason) in rejected {
            group.done.add(&queued);
            group.letters.push(Letter {
                reason,
                attempts: queued.meta.sent(),
                origin: queued.meta.origin,
                first_ms: queued.meta.first_ms,
                record: Some(queued.record),
                label: None,
                history: queued.meta.history,
                trace: None,
                sealed: None,
            });
            group.acks.push(queued.meta.ack);
        }
        self.input.post(group).await;
    }

    /// Pauses the sink after a failure. One that is expected, because its cause is being looked for, says nothing of the
    /// destination.
    fn pause(&mut self, after: Option<Duration>, reason: &Reason, is_expected: bool) {
        let now = Instant::now();
        // Batches that were on their way together fail together: that is one failure, not several.
        let known = self.paused_until;
        let until = if let Some(until) = known {
            until.max(now + after.unwrap_or_default())
        } else {
            if !is_expected {
                self.concurrency.shrink();
            }
            now + self.backoff.next(after)
        };
        self.paused_until = Some(until);
        if known.is_none() && !is_expected {
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
        self.narrowing.set_limits(initial, max, Instant::now());
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
        let given_up = std::mem::take(&mut self.flights).into_values();
        let mut left: Vec<Queued> = given_up
            .flat_map(|flight| Arc::unwrap_or_clone(flight.batch).into_queued())
            .chain(self.narrowing.drain())
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
            for flight in std::mem::take(&mut self.flights).into_values() {
                let queued = Arc::unwrap_or_clone(flight.batch).into_queued();
                self.input.buffer.put_back(queued.collect());
            }
            self.input.buffer.put_back(self.narrowing.drain());
        }
    }
}

impl Again {
    /// Notes why a record is to be sent again. Returns the reason to give it up instead, where its budget is spent.
    fn add(
        &mut self,
        after: Option<Duration>,
        reason: Reason,
        budget: Budget,
        queued: &Queued,
    ) -> Option<Reason> {
        let spent = budget.spent(&queued.meta, &reason);
        let longest = self.why.as_ref().and_then(|(longest, _)| *longest);
        self.why = Some((longest.max(after), reason));
        spent
    }
}

/// How often, and for how long, a record may be tried.
#[derive(Clone, Copy)]
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

/// The reason for a record that fails alone while others pass.
fn keeps_failing(meta: &RecordMeta, last: Option<&Reason>) -> Reason {
    let detail = format!(
        "given up after {} attempts, because of `retry.poison_after_secs`: it failed alone while others were delivered; the last \
         failed: {}",
        meta.attempts,
        last.map_or("", |reason| &*reason.detail)
    );
    let destination = last.and_then(|reason| reason.destination.clone());
    Reason::new("keeps_failing", detail).with_destination(destination)
}

fn backoff_limits(retry: &RetryOptions) -> (Duration, Duration) {
    let (initial, max) = (retry.initial_backoff_secs, retry.max_backoff_secs);
    (seconds(initial), seconds(max))
}

fn unknown_outcome() -> Reason {
    let detail = "the sink answered in a way that this host does not know";
    Reason::new("internal", detail)
}

fn internal_fault() -> Outcome {
    Outcome::Failed {
        after: None,
        reason: Reason::new(
            "internal",
            "the sink failed while it delivered; please report it",
        ),
    }
}

/// Delivers a batch; says with which requests only while somebody watches.
async fn deliver(sink: &dyn Sink, records: &[Record], is_watched: bool) -> DeliveryReport {
    if is_watched {
        sink.deliver_observed(records).await
    } else {
        DeliveryReport::new(sink.deliver(records).await)
    }
}

fn no_answer() -> Outcome {
    let detail = "the sink did not come back from the delivery in time";
    Outcome::Failed {
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
