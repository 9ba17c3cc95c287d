//! What has happened so far, counted per sink.
//!
//! Counters only grow. What is held follows from the others, so an event that goes missing shows up as held.

use crate::dead_letter::Letter;
use crate::event_counts::{EventBatch, EventCounts, Fate};
use crate::status::{
    BufferLevel, DurationCounts, Durations, LiveSink, SourceCounters, SourceStatus,
};
use crate::stop::{Phase, StopSignal};
use pipeline_core::{Coverage, Reason, Record};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::time::Instant;

/// The counters of all sinks.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    sinks: Arc<Mutex<Vec<Arc<SinkTelemetry>>>>,
    running: Arc<Running>,
}

/// What runs, as far as it still does: who asks must not keep it alive.
#[derive(Debug, Default)]
struct Running {
    sinks: Mutex<Vec<RunningSink>>,
    sources: Mutex<Vec<RunningSource>>,
    stop: OnceLock<StopSignal>,
}

struct RunningSink {
    telemetry: Arc<SinkTelemetry>,
    kind: String,
    live: Weak<dyn LiveSink>,
}

impl fmt::Debug for RunningSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningSink").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct RunningSource {
    name: String,
    kind: String,
    address: Option<SocketAddr>,
    counters: Arc<SourceCounters>,
}

/// A running pipeline at one time.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Status {
    /// The sinks, in the order of the pipeline file; those that a reload has added or removed stay where they are.
    pub sinks: Vec<SinkStatus>,
    /// The sources that run or have ended.
    pub sources: Vec<SourceStatus>,
    /// Whether it has been told to stop.
    pub is_stopping: bool,
}

/// One sink at one time.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SinkStatus {
    /// Its type.
    pub kind: String,
    /// Its counters.
    pub counts: SinkSnapshot,
    /// Its buffer; `None` once it was removed or has ended.
    pub buffer: Option<BufferLevel>,
    /// Which identifiers its events carried, where it counts them.
    pub coverage: Option<Coverage>,
    /// Whether a person has paused its delivery; events are still taken.
    pub is_paused: bool,
    /// How long its deliveries took.
    pub deliveries: DurationCounts,
}

impl Telemetry {
    /// The counters of all sinks as they are now, in the order of the pipeline file; those of sinks that a reload has added
    /// or removed stay where they are.
    pub fn snapshot(&self) -> Vec<SinkSnapshot> {
        let sinks = lock(&self.sinks);
        sinks.iter().map(|sink| sink.snapshot()).collect()
    }

    /// What the pipeline is doing now.
    pub fn status(&self) -> Status {
        let telemetry = lock(&self.sinks).clone();
        let sinks = telemetry.iter().map(|sink| self.sink_status(sink));
        let sources = lock(&self.running.sources);
        Status {
            sinks: sinks.collect(),
            sources: sources.iter().map(RunningSource::status).collect(),
            is_stopping: (self.running.stop.get()).is_some_and(|stop| stop.now() != Phase::Run),
        }
    }

    fn sink_status(&self, telemetry: &Arc<SinkTelemetry>) -> SinkStatus {
        let running = lock(&self.running.sinks);
        let of = |sink: &&RunningSink| Arc::ptr_eq(&sink.telemetry, telemetry);
        let found = running.iter().find(of);
        let kind = found.map(|sink| sink.kind.clone()).unwrap_or_default();
        let live = found.and_then(|sink| sink.live.upgrade());
        drop(running);
        SinkStatus {
            kind,
            counts: telemetry.snapshot(),
            buffer: live.as_ref().map(|live| {
                let mut level = live.level();
                let sent = *lock(&telemetry.oldest_sent_ms);
                level.oldest_ms = level.oldest_ms.into_iter().chain(sent).min();
                level
            }),
            coverage: live.as_ref().and_then(|live| live.coverage()),
            is_paused: live.is_some_and(|live| live.is_paused()),
            deliveries: telemetry.deliveries.counts(),
        }
    }

    /// Pauses the delivery of a running sink, or lets it resume; events are still taken meanwhile, as far as its buffer has
    /// room. Says whether there is such a sink. A paused sink that the pipeline waits for keeps it running.
    pub fn set_paused(&self, sink: &str, is_paused: bool) -> bool {
        let live = self.live(sink);
        if let Some(live) = &live {
            live.set_paused(is_paused);
        }
        live.is_some()
    }

    /// The running sink of this name as it is now, to be asked what it would make of an event, or whether its destination can
    /// be reached.
    pub fn sink(&self, name: &str) -> Option<Arc<dyn pipeline_core::Sink>> {
        Some(self.live(name)?.sink())
    }

    /// The running sink of this name.
    pub(crate) fn live(&self, sink: &str) -> Option<Arc<dyn LiveSink>> {
        let running = lock(&self.running.sinks);
        let mut of_name = running.iter().filter(|it| it.telemetry.name == sink);
        of_name.find_map(|it| it.live.upgrade())
    }

    /// Adds a sink that runs.
    pub(crate) fn add_sink(
        &self,
        telemetry: &Arc<SinkTelemetry>,
        kind: &str,
        live: Weak<dyn LiveSink>,
    ) {
        self.add(Arc::clone(telemetry));
        lock(&self.running.sinks).push(RunningSink {
            telemetry: Arc::clone(telemetry),
            kind: kind.to_owned(),
            live,
        });
    }

    /// Adds a source that runs, or puts it in the place of the one that had its name.
    pub(crate) fn add_source(
        &self,
        name: &str,
        kind: &str,
        address: Option<SocketAddr>,
        counters: &Arc<SourceCounters>,
    ) {
        let source = RunningSource {
            name: name.to_owned(),
            kind: kind.to_owned(),
            address,
            counters: Arc::clone(counters),
        };
        let mut sources = lock(&self.running.sources);
        match sources.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = source,
            None => sources.push(source),
        }
    }

    /// Forgets a source that was taken out of the pipeline.
    pub(crate) fn remove_source(&self, name: &str) {
        lock(&self.running.sources).retain(|source| source.name != name);
    }

    /// Where it is seen whether the pipeline has been told to stop.
    pub(crate) fn watch_stop(&self, stop: StopSignal) {
        // There is one for each pipeline.
        let _ = self.running.stop.set(stop);
    }

    /// Adds the counters of a sink.
    pub(crate) fn add(&self, sink: Arc<SinkTelemetry>) {
        lock(&self.sinks).push(sink);
    }
}

impl RunningSource {
    fn status(&self) -> SourceStatus {
        SourceStatus {
            name: self.name.clone(),
            kind: self.kind.clone(),
            address: self.address,
            received: self.counters.received.load(Ordering::Relaxed),
            last_received_ms: Some(self.counters.last_received_ms.load(Ordering::Relaxed))
                .filter(|ms| *ms > 0),
            problems: self.counters.problems.load(Ordering::Relaxed),
            state: self.counters.state(),
        }
    }
}

/// The counters of one sink.
#[derive(Debug)]
pub(crate) struct SinkTelemetry {
    name: String,
    on_disk: Option<u64>,
    pub(crate) received: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) given_up: AtomicU64,
    filtered: Mutex<BTreeMap<&'static str, u64>>,
    rejected: Mutex<BTreeMap<&'static str, Rejections>>,
    dropped: AtomicU64,
    unkept: AtomicU64,
    waiting_letters: AtomicU64,
    letter_problem: Mutex<Option<String>>,
    letter_room: Mutex<Option<LetterRoom>>,
    events: Mutex<EventCounts>,
    state: Mutex<SinkState>,
    pub(crate) deliveries: Durations,
    /// When the oldest record on its way was first seen, in milliseconds since the Unix epoch.
    oldest_sent_ms: Mutex<Option<i64>>,
}

/// How often one reason was the cause of a rejection, and the first case of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rejections {
    /// How many events.
    pub count: u64,
    /// Where the first of them stood.
    pub place: String,
    /// The sentence that says why the first was rejected.
    pub detail: String,
}

/// How much of their room the dead letters of a sink take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LetterRoom {
    /// Bytes that they take; those that a replay has taken do not count.
    pub bytes: u64,
    /// Bytes that they may take.
    pub max_bytes: u64,
}

impl LetterRoom {
    /// The share that they take, in percent, rounded down.
    pub fn percent(self) -> u64 {
        self.bytes.saturating_mul(100) / self.max_bytes.max(1)
    }
}

/// What a sink is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SinkState {
    /// Sending, or waiting for something to send.
    #[default]
    Sending,
    /// Waiting after a failure.
    BackingOff {
        /// Until then.
        until: Instant,
        /// Why the last attempt failed.
        reason: String,
    },
    /// Waiting for a person.
    Blocked {
        /// What is wrong and what to do.
        reason: String,
    },
}

/// The counters of one sink at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SinkSnapshot {
    /// The sink's name in the pipeline file.
    pub name: String,
    /// Events that reached the sink.
    pub received: u64,
    /// Events that the destination has.
    pub delivered: u64,
    /// Attempts that have to be made again, counted per event.
    pub retried: u64,
    /// Events not meant for the destination, by reason.
    pub filtered: BTreeMap<&'static str, u64>,
    /// Events that became dead letters, by reason.
    pub rejected: BTreeMap<&'static str, Rejections>,
    /// Events dropped because the buffer was full.
    pub dropped: u64,
    /// Events by name and fate. Of those that an earlier run left in the disk buffer, the ones that were read from there.
    pub events: EventCounts,
    /// Whether its buffer is on disk.
    pub is_on_disk: bool,
    /// Events that an earlier run left in the disk buffer.
    pub resumed: u64,
    /// Events not accounted for otherwise: in the buffer, on their way, or left at the end.
    pub held: u64,
    /// Events among those held that are safe when the process ends: they are on disk, or their source reads them again.
    pub kept: u64,
    /// Events among those rejected that have no payload and were only counted, because the part of the dead letters that is
    /// for these is full.
    pub unkept: u64,
    /// Events among those held that were refused and wait for room in the dead letters.
    pub waiting_letters: u64,
    /// What keeps dead letters from being written.
    pub letter_problem: Option<String>,
    /// How much of their room the dead letters take; `None` before that was looked at.
    pub letter_room: Option<LetterRoom>,
    /// What the sink is doing.
    pub state: SinkState,
}

impl SinkSnapshot {
    /// Events filtered, whatever the reason.
    pub fn filtered_total(&self) -> u64 {
        self.filtered.values().sum()
    }

    /// Events rejected, whatever the reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected
            .values()
            .map(|rejections| rejections.count)
            .sum()
    }
}

impl SinkTelemetry {
    /// Counters of the sink of this name; `on_disk` says how many events its disk buffer held, where it has one.
    pub(crate) fn new(name: &str, on_disk: Option<u64>) -> Self {
        Self {
            name: name.to_owned(),
            on_disk,
            received: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            filtered: Mutex::default(),
            rejected: Mutex::default(),
            dropped: AtomicU64::new(0),
            unkept: AtomicU64::new(0),
            waiting_letters: AtomicU64::new(0),
            letter_problem: Mutex::default(),
            letter_room: Mutex::default(),
            events: Mutex::default(),
            state: Mutex::new(SinkState::Sending),
            deliveries: Durations::default(),
            oldest_sent_ms: Mutex::default(),
        }
    }

    pub(crate) fn add(counter: &AtomicU64, events: usize) {
        Self::add_u64(counter, events as u64);
    }

    fn add_u64(counter: &AtomicU64, events: u64) {
        counter.fetch_add(events, Ordering::Relaxed);
    }

    /// Counts records that the destination has.
    pub(crate) fn deliver(&self, batch: &EventBatch) {
        Self::add_u64(&self.delivered, batch.total());
        self.settle(batch);
    }

    /// Counts records that the buffer had no room for.
    pub(crate) fn drop_newest<'a>(&self, records: impl Iterator<Item = &'a Record>) {
        let mut batch = EventBatch::default();
        records.for_each(|record| batch.add(Some(&record.label), Fate::Dropped));
        Self::add_u64(&self.dropped, batch.total());
        self.settle(&batch);
    }

    /// Counts filtered events by reason.
    pub(crate) fn filter(&self, counts: impl Iterator<Item = (&'static str, u64)>) {
        let mut counts = counts.peekable();
        if counts.peek().is_none() {
            return;
        }
        let mut filtered = lock(&self.filtered);
        for (code, events) in counts {
            *filtered.entry(code).or_default() += events;
        }
    }

    /// Counts events by name that have just come in: filtered, or held until something else is counted of them.
    pub(crate) fn take_in(&self, batches: [&EventBatch; 2]) {
        let mut counts = lock(&self.events);
        for (label, fate, events) in batches.into_iter().flat_map(EventBatch::iter) {
            let fate = match fate {
                Fate::Filtered(_) => fate,
                _ => Fate::Held,
            };
            counts.add(label, fate, events);
        }
    }

    /// Counts records by name that are in the buffer without having been encoded in this run.
    pub(crate) fn find<'a>(&self, records: impl Iterator<Item = &'a Record>) {
        let mut batch = EventBatch::default();
        records.for_each(|record| batch.add(Some(&record.label), Fate::Held));
        self.take_in([&batch, &EventBatch::default()]);
    }

    /// Counts letters that were written.
    pub(crate) fn reject(&self, letters: &[Letter]) {
        let mut batch = EventBatch::default();
        let mut rejected = lock(&self.rejected);
        for letter in letters {
            let reason = &letter.reason;
            let entry = rejected.entry(reason.code).or_insert_with(|| Rejections {
                count: 0,
                place: letter.origin.to_string(),
                detail: reason.detail.to_string(),
            });
            entry.count += 1;
            batch.add(letter.label(), Fate::Rejected(reason.code));
        }
        drop(rejected);
        self.settle(&batch);
    }

    /// Counts events by name that were held until now.
    fn settle(&self, batch: &EventBatch) {
        let mut counts = lock(&self.events);
        for (label, fate, events) in batch.iter() {
            counts.settle(label, fate, events);
        }
    }

    /// Counts events lost to disk corruption, for which no dead letter exists.
    pub(crate) fn lose(&self, reason: &Reason, events: u64) {
        let mut rejected = lock(&self.rejected);
        let entry = rejected.entry(reason.code).or_insert_with(|| Rejections {
            count: 0,
            place: "disk buffer".to_owned(),
            detail: reason.detail.to_string(),
        });
        entry.count += events;
        drop(rejected);
        lock(&self.events).add(None, Fate::Rejected(reason.code), events);
    }

    /// Counts letters without a payload that are not kept.
    pub(crate) fn leave_out(&self, letters: usize) {
        Self::add(&self.unkept, letters);
    }

    /// So many letters wait for the disk now.
    pub(crate) fn set_waiting_letters(&self, letters: usize) {
        self.waiting_letters
            .store(letters as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_letter_problem(&self, problem: Option<String>) {
        *lock(&self.letter_problem) = problem;
    }

    pub(crate) fn set_letter_room(&self, room: LetterRoom) {
        *lock(&self.letter_room) = Some(room);
    }

    /// Notes when the oldest record on its way was first seen.
    pub(crate) fn set_oldest_sent(&self, first_ms: Option<i64>) {
        *lock(&self.oldest_sent_ms) = first_ms;
    }

    pub(crate) fn state(&self) -> SinkState {
        lock(&self.state).clone()
    }

    pub(crate) fn set_state(&self, state: SinkState) {
        *lock(&self.state) = state;
    }

    pub(crate) fn snapshot(&self) -> SinkSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Received last: an event that is counted in between is held, never negative.
        let mut snapshot = SinkSnapshot {
            name: self.name.clone(),
            delivered: read(&self.delivered),
            retried: read(&self.retried),
            filtered: lock(&self.filtered).clone(),
            rejected: lock(&self.rejected).clone(),
            dropped: read(&self.dropped),
            events: lock(&self.events).clone(),
            unkept: read(&self.unkept),
            waiting_letters: read(&self.waiting_letters),
            letter_problem: lock(&self.letter_problem).clone(),
            letter_room: *lock(&self.letter_room),
            state: lock(&self.state).clone(),
            is_on_disk: self.on_disk.is_some(),
            resumed: self.on_disk.unwrap_or(0),
            received: 0,
            held: 0,
            kept: 0,
        };
        snapshot.received = read(&self.received);
        let settled = snapshot.delivered
            + snapshot.filtered_total()
            + snapshot.rejected_total()
            + snapshot.dropped;
        snapshot.held = (snapshot.received + snapshot.resumed).saturating_sub(settled);
        snapshot.kept = if self.on_disk.is_some() {
            snapshot.held
        } else {
            read(&self.given_up).min(snapshot.held)
        };
        snapshot
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
