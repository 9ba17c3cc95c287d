//! What the sandbox remembers: the accepted events as they came, a summary of each request, the totals. Memory is bounded:
//! the oldest batches and summaries are forgotten first, and counted. No token ever gets in here.

use axum::body::Bytes;
use serde::Serialize;
use std::collections::{HashSet, VecDeque};

/// Request summaries that are kept.
pub const MAX_RECORDED_REQUESTS: usize = 100_000;
/// Event ids that are kept to notice duplicates; a repetition further apart than this counts as a new event.
pub const MAX_REMEMBERED_IDS: usize = 10_000_000;

/// One request to the events edge, without anything personal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestSummary {
    /// The HTTP status, or none when the connection was closed without an answer.
    pub status: Option<u16>,
    /// Events sent.
    pub events: usize,
    /// Events accepted: all, none, or what an injected fault left.
    pub accepted: usize,
    /// Accepted events whose name and id had been accepted before.
    pub duplicates: usize,
    /// Graph's error code.
    pub code: Option<i64>,
    /// Graph's error subcode.
    pub subcode: Option<i64>,
    /// The first bad event of the batch, also where the answer did not name it.
    pub blamed_index: Option<usize>,
    /// The size of the body.
    pub bytes: usize,
    /// Where the token was: `header`, `query` or `body`.
    pub token_in: Option<&'static str>,
    /// Whether the request carried a `test_event_code`.
    pub has_test_event_code: bool,
    /// The `partner_agent` as sent.
    pub partner_agent: Option<String>,
    /// The content type as sent.
    pub content_type: Option<String>,
    /// The name of the injected fault that the request met.
    pub fault: Option<&'static str>,
}

/// Totals since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Requests to the events edge.
    pub requests: u64,
    /// Events accepted, duplicates included.
    pub accepted: u64,
    /// Events sent and not accepted.
    pub refused: u64,
    /// Accepted events whose name and id had been accepted before.
    pub duplicates: u64,
    /// Accepted events without their duplicates.
    pub unique: u64,
    /// Health probes, `GET /{version}/{pixel}`.
    pub probes: u64,
    /// The most events requests that were under way at one time.
    pub max_in_flight: usize,
    /// Accepted events that are counted but no longer kept.
    pub forgotten_events: u64,
    /// Request summaries that are counted but no longer kept.
    pub forgotten_requests: u64,
}

/// One accepted event: its text, as a part of its body, and what tells it from others.
pub(crate) struct Accepted {
    pub(crate) raw: Bytes,
    /// A hash of event name and id; none without an id, which makes every event unique.
    pub(crate) identity: Option<u64>,
}

struct KeptBatch {
    /// The size of the body that the events are parts of.
    bytes: usize,
    /// Each event, and whether it is a duplicate.
    events: Vec<(Bytes, bool)>,
}

/// The sandbox's memory.
pub(crate) struct Ledger {
    max_kept_bytes: usize,
    kept_bytes: usize,
    batches: VecDeque<KeptBatch>,
    requests: VecDeque<RequestSummary>,
    seen: HashSet<u64>,
    seen_in_order: VecDeque<u64>,
    in_flight: usize,
    totals: Summary,
}

impl Ledger {
    pub(crate) fn new(max_kept_bytes: usize) -> Self {
        Self {
            max_kept_bytes,
            kept_bytes: 0,
            batches: VecDeque::new(),
            requests: VecDeque::new(),
            seen: HashSet::new(),
            seen_in_order: VecDeque::new(),
            in_flight: 0,
            totals: Summary::default(),
        }
    }

    /// Forgets everything but the requests that are under way.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            in_flight: self.in_flight,
            ..Self::new(self.max_kept_bytes)
        };
    }

    /// Accepts a batch and returns how many of its events are duplicates.
    pub(crate) fn accept(&mut self, bytes: usize, accepted: Vec<Accepted>) -> usize {
        let mark = |event: Accepted| {
            (
                event.raw,
                event
                    .identity
                    .is_some_and(|identity| !self.is_new(identity)),
            )
        };
        let events: Vec<_> = accepted.into_iter().map(mark).collect();
        let duplicates = events
            .iter()
            .filter(|(_, is_duplicate)| *is_duplicate)
            .count();
        self.totals.accepted += events.len() as u64;
        self.totals.duplicates += duplicates as u64;
        self.totals.unique += (events.len() - duplicates) as u64;
        self.kept_bytes += bytes;
        self.batches.push_back(KeptBatch { bytes, events });
        while self.kept_bytes > self.max_kept_bytes {
            let Some(oldest) = self.batches.pop_front() else {
                break;
            };
            self.kept_bytes -= oldest.bytes;
            self.totals.forgotten_events += oldest.events.len() as u64;
        }
        duplicates
    }

    fn is_new(&mut self, identity: u64) -> bool {
        if !self.seen.insert(identity) {
            return false;
        }
        self.seen_in_order.push_back(identity);
        if self.seen_in_order.len() > MAX_REMEMBERED_IDS
            && let Some(oldest) = self.seen_in_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }

    pub(crate) fn begin_request(&mut self) {
        self.in_flight += 1;
        self.totals.max_in_flight = self.totals.max_in_flight.max(self.in_flight);
    }

    pub(crate) fn end_request(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub(crate) fn record(&mut self, request: RequestSummary) {
        self.totals.requests += 1;
        self.totals.refused += (request.events - request.accepted) as u64;
        self.requests.push_back(request);
        if self.requests.len() > MAX_RECORDED_REQUESTS {
            self.requests.pop_front();
            self.totals.forgotten_requests += 1;
        }
    }

    pub(crate) fn record_probe(&mut self) {
        self.totals.probes += 1;
    }

    pub(crate) fn requests(&self) -> Vec<RequestSummary> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn summary(&self) -> Summary {
        self.totals
    }

    /// The kept events in the order of their acceptance, each on one line and otherwise as it came.
    pub(crate) fn events(&self, unique: bool) -> Vec<String> {
        let kept = self.batches.iter().flat_map(|batch| &batch.events);
        let wanted = kept.filter(|(_, is_duplicate)| !(unique && *is_duplicate));
        // JSON allows line breaks between tokens only, where a space means the same.
        wanted
            .map(|(raw, _)| String::from_utf8_lossy(raw).replace(['\n', '\r'], " "))
            .collect()
    }

    /// The kept events, duplicates included. None of them is kept any more.
    pub(crate) fn take_events(&mut self) -> Vec<String> {
        let events = self.events(false);
        self.batches.clear();
        self.kept_bytes = 0;
        events
    }
}
