//! The open connections of one source: how many there may be, what each is doing, and which are closed first.
//!
//! The bound is the smaller of [`MAX_CONNECTIONS`] and the source's share of the process's descriptors, a part of which is
//! kept free for delivery, buffers and dead letters. At the bound, the connections that have been idle for longest are
//! closed, then those whose head has been coming for longest. A request that is being answered is never cut off.
//!
//! Invariant: no more connections are served than the bound; one more may wait for a place.

use super::deadlines::Deadlines;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Connections of one source at the same time.
pub const MAX_CONNECTIONS: usize = 4096;
/// Descriptors that are kept free for everything else, where the process's limit allows.
const MAX_KEPT_DESCRIPTORS: usize = 256;
/// At the bound this part of all connections is closed at once, so that the next newcomers find room.
const CLOSED_AT_ONCE: usize = 16;

/// Sources of this process that listen: they share the descriptors.
static LISTENING: AtomicUsize = AtomicUsize::new(0);

/// The open connections of one source.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicUsize,
    /// Told when a connection has been closed.
    freed: Notify,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    activity: Mutex<(Activity, Instant)>,
    /// Requests that have begun and not ended: several with HTTP/2. Changed under the lock of `activity`.
    requests: AtomicUsize,
    /// Answers that have not been handed over to be written.
    answers: AtomicUsize,
    /// Whether something that was written has not left for the system.
    is_writing: AtomicBool,
    /// Whether a body was not read to its end: what is left of it is still coming.
    skips: AtomicBool,
    /// Whether it keeps its buffers between two requests.
    keeps: AtomicBool,
    close: Notify,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    /// It has not begun the next request.
    Idle,
    /// The head of a request is coming.
    Head,
    /// A request is being read, worked on or answered.
    Busy,
}

/// Why a connection has to end.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// The source ends.
    Source,
    /// It has been idle for too long, or it is the one that has to make room.
    Idle,
    /// A head does not come whole.
    Late,
}

impl End {
    /// How long an answer that is being written may still take; `None` where none is.
    pub(super) fn limit(self, linger: Duration) -> Option<Duration> {
        match self {
            Self::Source => Some(Duration::MAX),
            Self::Idle => Some(linger),
            Self::Late => None,
        }
    }
}

/// A connection's place among the open ones; gives it back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    pub(super) connection: Arc<Connection>,
}

/// A request of a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Request(Arc<Connection>);

/// An answer on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Answer(Arc<Connection>);

impl Connections {
    /// No connections yet; at most so many, fewer where the process may not open more.
    pub(super) fn new(most: usize) -> Arc<Self> {
        LISTENING.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            most: most.min(descriptors()),
            open: Mutex::default(),
            next: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// How many there may be.
    pub(super) fn bound(&self) -> usize {
        let listening = LISTENING.load(Ordering::Relaxed).max(1);
        self.most.min(descriptors() / listening).max(1)
    }

    /// Whether there may be one more.
    pub(super) fn has_room(&self) -> bool {
        self.open().len() < self.bound()
    }

    /// Waits until one has been closed. Has to be called before looking for room, so that no news is missed.
    pub(super) fn freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.freed.notified()
    }

    /// One more.
    pub(super) fn open_one(self: &Arc<Self>) -> Place {
        let connection = Arc::new(Connection::new(Instant::now()));
        let number = self.next.fetch_add(1, Ordering::Relaxed) as u64;
        self.open().insert(number, Arc::clone(&connection));
        Place {
            connections: Arc::clone(self),
            number,
            connection,
        }
    }

    /// Closes those that have been idle for longest; where none is idle, those whose head has been coming for longest.
    /// Answers how many.
    pub(super) fn close_oldest(&self) -> usize {
        let open = self.open();
        let mut waiting: Vec<_> = open
            .values()
            .map(|connection| (connection.activity(), connection))
            .filter(|((activity, _), _)| *activity != Activity::Busy)
            .collect();
        let idle = waiting
            .iter()
            .filter(|((activity, _), _)| *activity == Activity::Idle)
            .count();
        let among = if idle > 0 { idle } else { waiting.len() };
        let count = (open.len() / CLOSED_AT_ONCE)
            .clamp(1, among.max(1))
            .min(among);
        // Idle ones are the least.
        waiting.sort_unstable_by_key(|(activity, _)| *activity);
        for (_, connection) in &waiting[..count] {
            connection.close.notify_one();
        }
        count
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        // Nothing under the lock can panic.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        LISTENING.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().remove(&self.number);
        self.connections.freed.notify_one();
    }
}

impl Connection {
    fn new(now: Instant) -> Self {
        Self {
            activity: Mutex::new((Activity::Idle, now)),
            requests: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            is_writing: AtomicBool::new(false),
            skips: AtomicBool::new(false),
            keeps: AtomicBool::new(false),
            close: Notify::new(),
        }
    }

    /// What it is doing, and since when.
    fn activity(&self) -> (Activity, Instant) {
        *self.lock()
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        let mut activity = self.lock();
        if activity.0 == Activity::Idle {
            *activity = (Activity::Head, Instant::now());
        }
    }

    /// A head has come whole: it is busy until the request is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Request {
        let mut activity = self.lock();
        self.requests.fetch_add(1, Ordering::Relaxed);
        // What was left of the body before has come.
        self.skips.store(false, Ordering::Relaxed);
        *activity = (Activity::Busy, Instant::now());
        Request(Arc::clone(self))
    }

    /// An answer is about to be written.
    pub(super) fn answer(self: &Arc<Self>) -> Answer {
        self.answers.fetch_add(1, Ordering::Relaxed);
        Answer(Arc::clone(self))
    }

    /// A body was dropped before its end.
    pub(super) fn skips(&self) {
        self.skips.store(true, Ordering::Relaxed);
    }

    /// Bytes are being written.
    pub(super) fn writes(&self) {
        self.is_writing.store(true, Ordering::Relaxed);
    }

    /// All bytes have left for the system.
    pub(super) fn has_written(&self) {
        self.is_writing.store(false, Ordering::Relaxed);
    }

    /// Whether its requests follow one another, so that it keeps its buffers between them.
    pub(super) fn keep(&self, keeps: bool) {
        self.keeps.store(keeps, Ordering::Relaxed);
    }

    /// Whether it is between two requests, nothing of the one before is left, and it may give back its buffers.
    pub(super) fn is_resting(&self) -> bool {
        !self.keeps.load(Ordering::Relaxed)
            && self.answers.load(Ordering::Relaxed) == 0
            && !self.is_writing.load(Ordering::Relaxed)
            && !self.skips.load(Ordering::Relaxed)
            && self.activity().0 == Activity::Idle
    }

    /// What it has been doing for too long.
    pub(super) fn overdue(&self, now: Instant, deadlines: &Deadlines) -> Option<Activity> {
        let (activity, since) = self.activity();
        let limit = match activity {
            Activity::Idle => deadlines.idle,
            Activity::Head => deadlines.head,
            Activity::Busy => return None,
        };
        (now.saturating_duration_since(since) >= limit).then_some(activity)
    }

    /// Waits until it has to be closed to make room.
    pub(super) async fn closing(&self) {
        self.close.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, (Activity, Instant)> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut activity = self.0.lock();
        if self.0.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            *activity = (Activity::Idle, Instant::now());
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Descriptors that the process may use for connections.
#[cfg(unix)]
fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    limit - (limit / 2).min(MAX_KEPT_DESCRIPTORS)
}

/// Descriptors that the process may use for connections: no limit is known.
#[cfg(not(unix))]
fn descriptors() -> usize {
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn the_longest_idle_connection_is_closed_first_and_a_busy_one_never() {
        let connections = Connections::new(4);
        let places: Vec<_> = (0..4).map(|_| connections.open_one()).collect();
        assert!(!connections.has_room());
        let ages = |activities: [(Activity, u64); 4]| {
            let now = Instant::now();
            for (place, (activity, secs)) in places.iter().zip(activities) {
                *place.connection.lock() = (activity, now - Duration::from_secs(secs));
            }
        };
        let closed = || {
            let waiting = places.iter().map(|place| {
                let closing = std::pin::pin!(place.connection.closing());
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                closing.poll(&mut cx).is_ready()
            });
            waiting.collect::<Vec<_>>()
        };
        ages([
            (Activity::Busy, 9),
            (Activity::Head, 9),
            (Activity::Idle, 1),
            (Activity::Idle, 2),
        ]);
        assert_eq!(connections.close_oldest(), 1);
        assert_eq!(closed(), [false, false, false, true]);
        ages([
            (Activity::Busy, 9),
            (Activity::Head, 1),
            (Activity::Busy, 9),
            (Activity::Head, 2),
        ]);
        assert_eq!(connections.close_oldest(), 1);
        assert_eq!(closed(), [false, false, false, true]);
        ages([(Activity::Busy, 9); 4]);
        assert_eq!(connections.close_oldest(), 0);
        drop(places);
        assert!(connections.has_room());
    }

    #[tokio::test]
    async fn each_activity_has_its_limit_and_work_has_none() {
        let connections = Connections::new(4);
        let place = connections.open_one();
        let connection = &place.connection;
        let deadlines = Deadlines::DEFAULT;
        let after = |limit| connection.overdue(Instant::now() + limit, &deadlines);
        assert_eq!(after(deadlines.head), None);
        assert_eq!(after(deadlines.idle), Some(Activity::Idle));
        connection.received();
        assert_eq!(after(deadlines.head), Some(Activity::Head));
        let request = connection.begin();
        connection.received();
        assert_eq!(after(deadlines.idle * 100), None);
        drop(request);
        assert_eq!(after(deadlines.head), None);
        assert_eq!(after(deadlines.idle), Some(Activity::Idle));
        // With HTTP/2 the last of several requests counts.
        let (one, other) = (connection.begin(), connection.begin());
        drop(one);
        assert_eq!(after(deadlines.idle * 100), None);
        drop(other);
        assert_eq!(after(deadlines.idle), Some(Activity::Idle));
    }
}
