//! What became of single events, the latest of each fate.
//!
//! In: what the host tells an observer. Out: rows, the newest first or as they come.
//!
//! Counts are exact elsewhere; rows are a sample. Each fate has a ring of its own, so that plenty of deliveries never push
//! out a rare rejection. What is delivered or filtered is sampled, and each name of an event gets a row a minute besides; of the rest
//! all is kept, as far as a second has room.
//!
//! While somebody watches, a few events of each second are explained: these are shown first, and their explanation waits here until
//! they are delivered.
//!
//! Invariant: memory is bounded by [`MAX_ROWS`] and [`MAX_RING_BYTES`] for each fate, and by [`MAX_EXPLAINED`] and
//! [`MAX_EXPLAINED_BYTES`], and an event that is not
//! sampled costs a look at the clock.

use crate::explained::{Kept, Pool};
use crate::row::{MAX_PAYLOAD_BYTES, Row, Seen, Status};
use pipeline_core::{
    Amount, Clock, Encoded, Event, Exchange, Explained, Observer, Origin, Outcome, Reason, Record,
    Settlement, Sink, SystemClock,
};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::time::Instant;

/// Rows of each fate.
pub(crate) const MAX_ROWS: usize = 1_000;
/// Bytes of the rows of each fate.
const MAX_RING_BYTES: usize = 2 * 1024 * 1024;
/// Rows of deliveries, and of filtered events, that are kept in a second.
const SAMPLED_A_SECOND: u64 = 20;
/// Rows of each other fate that are kept in a second.
const KEPT_A_SECOND: u64 = 200;
/// Places for names of events that get a row a minute, however many others there are; names that share a place share the row.
const NAME_PLACES: usize = 256;
/// Events of one sink that are explained in a second, while somebody watches.
const EXPLAINED_A_SECOND: u64 = 20;
/// Explanations that wait until their events are delivered.
const MAX_EXPLAINED: usize = 1_000;
/// Bytes of these explanations, beyond what they share.
const MAX_EXPLAINED_BYTES: usize = 2 * 1024 * 1024;
/// Sinks whose explained events are counted apart.
const MAX_EXPLAINED_SINKS: usize = 64;
/// Sinks that are asked what an event is worth.
const MAX_KNOWN_SINKS: usize = 64;
/// Rows of one event that are shown together.
const MAX_RELATED: usize = 50;
/// Rejections that were seen before the host says that they are in the dead letters.
const MAX_AWAITED: usize = 10_000;

/// The latest events.
pub(crate) struct Feed {
    clock: Arc<dyn Clock>,
    since: Instant,
    samples: [Sample; 5],
    state: Mutex<State>,
    /// Who watches now.
    watchers: AtomicUsize,
    /// How many explanations wait.
    waiting: AtomicUsize,
    explained: Mutex<ExplainedEvents>,
    /// The sinks, by name, which say what an event of theirs is worth.
    sinks: Mutex<HashMap<String, Weak<dyn Sink>>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

/// Explanations of events that are not delivered yet.
#[derive(Debug, Default)]
struct ExplainedEvents {
    pool: Pool,
    waiting: HashMap<u64, Arc<Kept>>,
    /// Bytes of those that wait.
    bytes: usize,
    /// Their keys, the oldest first; those of events that have been delivered meanwhile are among them.
    order: VecDeque<u64>,
    /// The second, and the events that were explained in it, by sink.
    seconds: HashMap<String, (u64, u64)>,
}

/// Somebody who watches, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watcher(Arc<Feed>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Lets a bounded number of events through in each second.
#[derive(Debug)]
struct Sample {
    /// The second, times 2^16, plus those let through in it.
    taken: AtomicU64,
    /// The minute of the last row of each name, from 1.
    minutes: [AtomicU64; NAME_PLACES],
    /// All that were let through.
    kept: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    rings: [Ring; 5],
    awaited: HashSet<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    rows: VecDeque<Row>,
    bytes: usize,
}

/// A test event, and what its destination said of it, if it came that far.
#[derive(Debug)]
pub(crate) struct Tested<'a> {
    pub(crate) explained: &'a Explained,
    pub(crate) outcome: Option<&'a Outcome>,
    pub(crate) exchange: Option<&'a Arc<Exchange>>,
}

/// Which rows are meant; what is `None` does not count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) sink: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) reason: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    /// A part of a name or of the id, in lower case.
    pub(crate) part: Option<String>,
}

/// A row that was asked for by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Row(Box<Row>),
    /// It has left the ring.
    Gone,
    /// There was none yet.
    Unknown,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            since: Instant::now(),
            samples: std::array::from_fn(|_| Sample::default()),
            state: Mutex::default(),
            watchers: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            explained: Mutex::default(),
            sinks: Mutex::default(),
        }
    }
}

impl Feed {
    /// The newest rows that fit, the newest first, older than `before` where it is given; and whether there are more.
    pub(crate) fn newest(
        &self,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
    ) -> (Vec<Row>, bool) {
        let state = self.lock();
        let of = |ring: &Ring| {
            let older = |row: &&Row| before.is_none_or(|before| row.seq < before);
            let rows = ring.rows.iter().rev().filter(older);
            let fitting = rows.filter(|row| filter.fits(row)).take(limit + 1);
            fitting.cloned().collect::<Vec<_>>()
        };
        let mut rows: Vec<Row> = state.rings.iter().flat_map(of).collect();
        drop(state);
        rows.sort_by_key(|row| std::cmp::Reverse(row.seq));
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        (rows, has_more)
    }

    /// The rows after this number that fit, in their order; the number of the last row of all; and how many rows after this
    /// number have left their rings.
    pub(crate) fn after(&self, seq: u64, filter: &Filter) -> (Vec<Row>, u64, u64) {
        let state = self.lock();
        let newer = |ring: &Ring| {
            let rows = ring.rows.iter().rev().take_while(|row| row.seq > seq);
            rows.cloned().collect::<Vec<_>>()
        };
        let mut rows: Vec<Row> = state.rings.iter().flat_map(newer).collect();
        let last = state.last;
        drop(state);
        let evicted = last.saturating_sub(seq).saturating_sub(rows.len() as u64);
        rows.retain(|row| filter.fits(row));
        rows.sort_by_key(|row| row.seq);
        (rows, last, evicted)
    }

    /// Explains events from now on, until the watcher is dropped.
    pub(crate) fn watch(self: &Arc<Self>) -> Watcher {
        self.watchers.fetch_add(1, Ordering::AcqRel);
        Watcher(Arc::clone(self))
    }

    /// The rows of the event of this row, the oldest first; the latest, if there are too many.
    pub(crate) fn related(&self, row: &Row) -> Vec<Row> {
        let is_same = |other: &&Row| {
            let (one, two) = (&row.event_id, &other.event_id);
            other.event == row.event
                && other.sink == row.sink
                && (one == two || one.is_none() || two.is_none())
        };
        let state = self.lock();
        let rows = state.rings.iter().flat_map(|ring| &ring.rows);
        let mut rows: Vec<Row> = rows.filter(is_same).cloned().collect();
        drop(state);
        rows.sort_by_key(|row| row.seq);
        let first = rows.len().saturating_sub(MAX_RELATED);
        rows.split_off(first)
    }

    /// The number of the last row.
    pub(crate) fn last(&self) -> u64 {
        self.lock().last
    }

    pub(crate) fn find(&self, seq: u64) -> Found {
        let state = self.lock();
        if seq == 0 || seq > state.last {
            return Found::Unknown;
        }
        let mut rows = state.rings.iter().flat_map(|ring| &ring.rows);
        let row = rows.find(|row| row.seq == seq);
        row.map_or(Found::Gone, |row| Found::Row(Box::new(row.clone())))
    }

    /// Rows of this fate that were made.
    pub(crate) fn kept(&self, status: Status) -> u64 {
        self.samples[status as usize].kept.load(Ordering::Relaxed)
    }

    /// Adds a row, where the second has room for it.
    fn add(&self, status: Status, seen: Seen<'_>) {
        let most = match status {
            // One that was tried before has rows already, which this one completes.
            Status::Delivered if seen.attempt > 1 => KEPT_A_SECOND,
            Status::Delivered | Status::Filtered => SAMPLED_A_SECOND,
            _ => KEPT_A_SECOND,
        };
        let second = self.since.elapsed().as_secs();
        let sample = &self.samples[status as usize];
        if !sample.takes(second, most) {
            if seen.explanation.is_some() {
                // There are few of them, and what was explained is to be seen.
                sample.kept.fetch_add(1, Ordering::Relaxed);
            } else if !sample.takes_name(second, seen.label) {
                return;
            }
        }
        let time_ms = self.clock.now_ms();
        let amount = seen.payload.and_then(|it| self.amount(seen.sink, it));
        let mut state = self.lock();
        state.last += 1;
        let row = Row::new(state.last, time_ms, status, seen).worth(amount);
        state.rings[status as usize].push(row);
    }

    /// What the event of this payload is worth. A panic of a plugin costs the amount only.
    fn amount(&self, sink: &str, payload: &[u8]) -> Option<Amount> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return None;
        }
        let sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let sink = sinks.get(sink).and_then(Weak::upgrade);
        drop(sinks);
        let sink = sink?;
        let amount = AssertUnwindSafe(|| sink.amount(payload));
        catch_unwind(amount).ok().flatten()
    }

    /// Adds a test event that was sent from the pages, whatever else the second has brought; returns the number of its row. No
    /// counter of the pipeline counts it.
    pub(crate) fn tested(&self, sink: &str, event: &Event, tested: &Tested<'_>) -> u64 {
        let (status, reason) = match (&tested.explained.encoded, tested.outcome) {
            (Encoded::Filtered(filtered), _) => (Status::Filtered, Some(&filtered.reason)),
            (Encoded::Rejected(rejection), _) => (Status::Rejected, Some(&rejection.reason)),
            (_, Some(outcome)) => became(outcome),
            // No answer came.
            _ => (Status::Retrying, None),
        };
        let encoded = &tested.explained.encoded;
        let record = record_of(encoded);
        let label = encoded.label().or_else(|| Some(&record?.label));
        let explanation = {
            let mut explained = self.explanations();
            Arc::new(explained.pool.keep(&tested.explained.explanation))
        };
        let seen = Seen {
            label: label.map(|label| &**label),
            event_id: record.map(|record| &*record.event_id),
            reason,
            attempt: u32::from(matches!(encoded, Encoded::Record(_))),
            received_ms: Some(event.received_ms()),
            payload: record.map(|record| &*record.payload),
            exchange: tested.exchange,
            explanation: Some(explanation),
            is_test: true,
            ..Seen::of(sink, event.origin())
        };
        let time_ms = self.clock.now_ms();
        let amount = seen.payload.and_then(|it| self.amount(sink, it));
        let mut state = self.lock();
        state.last += 1;
        let seq = state.last;
        let row = Row::new(seq, time_ms, status, seen).worth(amount);
        state.rings[status as usize].push(row);
        seq
    }

    /// What the newest row of this fate and reason says.
    pub(crate) fn detail(&self, status: Status, code: &str) -> Option<String> {
        let state = self.lock();
        let mut rows = state.rings[status as usize].rows.iter().rev();
        rows.find(|row| row.reason == Some(code))?.detail.clone()
    }

    /// The explanations of the events of a sink, or of all, that are kept here, each once.
    pub(crate) fn explanations_of(&self, sink: Option<&str>) -> Vec<Arc<Kept>> {
        let state = self.lock();
        let rows = state.rings.iter().flat_map(|ring| &ring.rows);
        let rows = rows.filter(|row| sink.is_none_or(|sink| row.sink == sink));
        let mut seen = HashSet::new();
        let explained = rows.filter_map(|row| row.explanation.as_ref());
        let explained = explained.filter(|it| seen.insert(Arc::as_ptr(it)));
        explained.cloned().collect()
    }

    /// The explanation of an event; kept for the next row of the event if it has another one.
    fn explanation(
        &self,
        sink: &str,
        origin: &Origin,
        id: Option<&str>,
        is_last: bool,
    ) -> Option<Arc<Kept>> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let key = event_key(sink, origin, id);
        let mut explained = self.explanations();
        if is_last {
            let found = explained.take(key);
            self.waiting
                .store(explained.waiting.len(), Ordering::Release);
            return found;
        }
        explained.waiting.get(&key).cloned()
    }

    fn explanations(&self) -> MutexGuard<'_, ExplainedEvents> {
        self.explained
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a rejection that the host will tell again once it is in the dead letters.
    fn await_letter(&self, sink: &str, origin: &Origin, code: &str) {
        let mut state = self.lock();
        if state.awaited.len() >= MAX_AWAITED {
            // Better one row twice than none.
            state.awaited.clear();
        }
        state.awaited.insert(key(sink, origin, code));
    }
}

/// Says which explanation is whose.
fn event_key(sink: &str, origin: &Origin, id: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (sink, origin, id.unwrap_or_default()).hash(&mut hasher);
    hasher.finish()
}

/// What would be sent of an event, where it came that far.
fn record_of(encoded: &Encoded) -> Option<&Record> {
    match encoded {
        Encoded::Record(record) => Some(record),
        Encoded::Rejected(rejection) => rejection.record.as_deref(),
        _ => None,
    }
}

/// The fate that an attempt comes to, and why.
fn became(outcome: &Outcome) -> (Status, Option<&Reason>) {
    match outcome {
        Outcome::Delivered => (Status::Delivered, None),
        Outcome::Retry { reason, .. } | Outcome::Failed { reason, .. } => {
            (Status::Retrying, Some(reason))
        }
        Outcome::Blocked { reason } => (Status::Held, Some(reason)),
        Outcome::Rejected { reason } => (Status::Rejected, Some(reason)),
        _ => (Status::Retrying, None),
    }
}

fn key(sink: &str, origin: &Origin, code: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (sink, origin.to_string(), code).hash(&mut hasher);
    hasher.finish()
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            taken: AtomicU64::new(0),
            minutes: std::array::from_fn(|_| AtomicU64::new(0)),
            kept: AtomicU64::new(0),
        }
    }
}

impl Sample {
    /// Lets one event of each name through in each minute.
    fn takes_name(&self, second: u64, name: Option<&str>) -> bool {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let place = hasher.finish() % NAME_PLACES as u64;
        let place = usize::try_from(place).unwrap_or(0);
        let minute = second / 60 + 1;
        let last = &self.minutes[place];
        let was_seen = |last: u64| last == minute;
        if was_seen(last.load(Ordering::Relaxed)) || was_seen(last.swap(minute, Ordering::Relaxed))
        {
            return false;
        }
        self.kept.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn takes(&self, second: u64, most: u64) -> bool {
        const BITS: u32 = 16;
        let now = second << BITS;
        let taken = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                if taken >> BITS != second {
                    return Some(now + 1);
                }
                (taken - now < most).then_some(taken + 1)
            });
        if taken.is_ok() {
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }
}

impl ExplainedEvents {
    /// Lets an explanation wait; the oldest make room for it.
    fn put(&mut self, key: u64, kept: Arc<Kept>) {
        self.take(key);
        self.bytes += kept.size_bytes();
        self.waiting.insert(key, kept);
        self.order.push_back(key);
        while self.order.len() > MAX_EXPLAINED || self.bytes > MAX_EXPLAINED_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.take(oldest);
        }
    }

    fn take(&mut self, key: u64) -> Option<Arc<Kept>> {
        let found = self.waiting.remove(&key)?;
        self.bytes -= found.size_bytes();
        Some(found)
    }
}

impl Ring {
    fn push(&mut self, row: Row) {
        self.bytes += row.size_bytes();
        self.rows.push_back(row);
        while self.rows.len() > MAX_ROWS || self.bytes > MAX_RING_BYTES {
            let Some(oldest) = self.rows.pop_front() else {
                break;
            };
            self.bytes -= oldest.size_bytes();
        }
    }
}

impl Filter {
    fn fits(&self, row: &Row) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
        };
        let name = self.name.as_deref();
        let has_part = |part: &String| {
            let texts = [&row.name, &row.destination_event, &row.event_id];
            let mut texts = texts.into_iter().flatten();
            texts.any(|text| text.to_lowercase().contains(part))
        };
        self.part.as_ref().is_none_or(has_part)
            && is(&self.sink, Some(&row.sink))
            && self.status.is_none_or(|status| status == row.status)
            && is(&self.reason, row.reason)
            && is(&self.id, row.event_id.as_deref())
            && name.is_none_or(|name| {
                row.name.as_deref() == Some(name) || row.destination_event.as_deref() == Some(name)
            })
    }
}

impl Observer for Feed {
    fn opened(&self, sink: &str, is: &Arc<dyn Sink>) {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.retain(|_, sink| sink.strong_count() > 0);
        if sinks.len() < MAX_KNOWN_SINKS || sinks.contains_key(sink) {
            sinks.insert(sink.to_owned(), Arc::downgrade(is));
        }
    }

    fn wants_explanation(&self, sink: &str) -> bool {
        if self.watchers.load(Ordering::Acquire) == 0 {
            return false;
        }
        let second = self.since.elapsed().as_secs();
        let mut explained = self.explanations();
        let seconds = &mut explained.seconds;
        if let Some((last, events)) = seconds.get_mut(sink) {
            if *last != second {
                (*last, *events) = (second, 0);
            }
            *events += 1;
            return *events <= EXPLAINED_A_SECOND;
        }
        if seconds.len() >= MAX_EXPLAINED_SINKS {
            return false;
        }
        seconds.insert(sink.to_owned(), (second, 1));
        true
    }

    fn explained(&self, sink: &str, event: &Event, explained: &Explained) {
        let record = record_of(&explained.encoded);
        let id = record.map(|record| &*record.event_id);
        let key = event_key(sink, event.origin(), id);
        let mut all = self.explanations();
        let kept = Arc::new(all.pool.keep(&explained.explanation));
        all.put(key, kept);
        self.waiting.store(all.waiting.len(), Ordering::Release);
    }

    fn encoded(&self, sink: &str, event: &Event, encoded: &Encoded) {
        let (status, reason) = match encoded {
            Encoded::Filtered(filtered) => (Status::Filtered, &filtered.reason),
            Encoded::Rejected(rejection) => (Status::Rejected, &rejection.reason),
            _ => return,
        };
        if status == Status::Rejected {
            self.await_letter(sink, event.origin(), reason.code);
        }
        let (origin, record) = (event.origin(), record_of(encoded));
        let label = encoded.label().or_else(|| Some(&record?.label));
        let event_id = record.map(|record| &*record.event_id);
        let seen = Seen {
            label: label.map(|label| &**label),
            event_id,
            reason: Some(reason),
            received_ms: Some(event.received_ms()),
            payload: record.map(|record| &*record.payload),
            explanation: self.explanation(sink, origin, event_id, true),
            ..Seen::of(sink, origin)
        };
        self.add(status, seen);
    }

    fn attempted(&self, sink: &str, settlement: &Settlement<'_>) {
        let (status, reason) = became(settlement.outcome);
        if let (Status::Rejected, Some(reason)) = (status, reason) {
            self.await_letter(sink, settlement.origin, reason.code);
        }
        let (origin, record) = (settlement.origin, settlement.record);
        let is_last = matches!(status, Status::Delivered | Status::Rejected);
        let seen = Seen {
            label: Some(&record.label),
            event_id: Some(&record.event_id),
            reason,
            attempt: settlement.attempt,
            received_ms: settlement.received_ms,
            payload: Some(&record.payload),
            exchange: settlement.exchange,
            explanation: self.explanation(sink, origin, Some(&record.event_id), is_last),
            ..Seen::of(sink, origin)
        };
        self.add(status, seen);
    }

    /// What became a dead letter without having been seen as rejected: what a source cannot read, what became too old while
    /// it waited, what was tried too often.
    fn rejected(&self, sink: &str, origin: &Origin, reason: &Reason) {
        let was_seen = self.lock().awaited.remove(&key(sink, origin, reason.code));
        if was_seen {
            return;
        }
        let seen = Seen {
            reason: Some(reason),
            ..Seen::of(sink, origin)
        };
        self.add(Status::Rejected, seen);
    }
}

#[cfg(test)]
mod tests;
