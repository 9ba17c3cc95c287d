//! What the client hears, in the form that Segment's clients know.
//!
//! Clients drop what gets most 4xx, follow redirects into nothing, and wait without counting only for 429 with
//! `Retry-After`: so everything that can be taken later is answered with 429, or with 503 where events are perhaps taken
//! already.
//!
//! Invariant: no answer is 3xx, 410, 501, 504, 505 or 508.

use super::keys::Key;
use crate::http::{Answer, Refusal};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time after which a client that was turned away may come back, in seconds.
const LEAST_WAIT_SECS: u64 = 5;
/// The longest.
const MOST_WAIT_SECS: u64 = 60;
/// The longest of a key that sends too much: clients cut it at 300 s.
const MOST_RATE_WAIT_SECS: u64 = 240;

/// A request that was taken.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    success: bool,
    #[serde(flatten)]
    counts: Answer,
    /// What was found and not used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'static str>,
    /// Cookies for the browser.
    #[serde(skip)]
    cookies: Vec<HeaderValue>,
}

impl Taken {
    pub(super) fn new(counts: Answer, notes: Vec<&'static str>, cookies: Vec<HeaderValue>) -> Self {
        Self {
            success: true,
            counts,
            notes,
            cookies,
        }
    }
}

impl IntoResponse for Taken {
    fn into_response(mut self) -> Response {
        let cookies = std::mem::take(&mut self.cookies);
        let mut response = Json(self).into_response();
        for cookie in cookies {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// A request that was not taken.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) refusal: Refusal,
    /// When to come back, where that is known.
    wait: Option<Duration>,
    /// With which key it came, where that is known.
    key: Option<Arc<Key>>,
}

impl From<Refusal> for Turned {
    fn from(mut refusal: Refusal) -> Self {
        refusal.status = match (refusal.status, refusal.code) {
            (503, "buffer_full" | "dead_letters_full" | "too_busy") => 429,
            (422, _) => 400,
            (status, _) => status,
        };
        Self {
            refusal,
            wait: None,
            key: None,
        }
    }
}

impl Turned {
    /// A key that has sent too much.
    pub(super) fn too_fast(wait: Duration) -> Self {
        let message =
            "more events came with this write key than its `rate_limit` allows; try again later";
        Self {
            refusal: Refusal::new(429, "rate_limit", message),
            wait: Some(wait),
            key: None,
        }
    }

    /// The same, known to have come with this key.
    pub(super) fn of(mut self, key: Option<&Arc<Key>>) -> Self {
        self.key = self.key.or_else(|| key.map(Arc::clone));
        self
    }

    /// The name of the key that it came with, where that is known.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref().map(Key::name)
    }

    /// The answer to it.
    pub(super) fn answer(self, pressure: &Pressure) -> Response {
        let Refusal {
            status,
            code,
            message,
        } = self.refusal;
        let known = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Clients log `code` and `message` from the top.
        let body = Json(json!({"success": false, "code": code, "message": message}));
        let mut response = (known, body).into_response();
        if matches!(status, 429 | 503) {
            let secs = self.wait.map_or_else(
                || pressure.wait_secs(),
                |wait| (wait.as_secs() + 1).min(MOST_RATE_WAIT_SECS),
            );
            let value = HeaderValue::from(spread(secs));
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// A fifth more or less, so that clients that were turned away together do not come back together.
fn spread(secs: u64) -> u64 {
    let part = secs / 5;
    fastrand::u64(secs - part..=secs + part).max(1)
}

/// For how long there has been no room: the longer, the later clients may come back.
#[derive(Debug, Default)]
pub(super) struct Pressure(Mutex<Option<Instant>>);

impl Pressure {
    /// Something was taken.
    pub(super) fn end(&self) {
        *self.since() = None;
    }

    fn wait_secs(&self) -> u64 {
        let now = Instant::now();
        let since = *self.since().get_or_insert(now);
        let lasted = now.saturating_duration_since(since).as_secs();
        lasted.clamp(LEAST_WAIT_SECS, MOST_WAIT_SECS)
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        // Nothing under the lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_of(turned: Turned, pressure: &Pressure) -> (u16, u64) {
        let answer = turned.answer(pressure);
        let wait = answer.headers()[header::RETRY_AFTER].to_str().unwrap();
        (answer.status().as_u16(), wait.parse().unwrap())
    }

    fn full() -> Turned {
        Refusal::new(503, "buffer_full", "m").into()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longer_there_is_no_room_the_later_clients_come_back_and_not_together() {
        let pressure = Pressure::default();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            seen.insert(wait_of(full(), &pressure));
        }
        assert_eq!(seen, [(429, 4), (429, 5), (429, 6)].into());
        tokio::time::advance(Duration::from_secs(1000)).await;
        let (_, wait) = wait_of(full(), &pressure);
        assert!((48..=72).contains(&wait), "{wait}");
        pressure.end();
        assert!(wait_of(full(), &pressure).1 <= 6);
    }

    #[tokio::test]
    async fn a_key_that_sends_too_much_waits_as_long_as_it_has_to() {
        let pressure = Pressure::default();
        let too_fast = |secs| Turned::too_fast(Duration::from_secs(secs));
        let (status, wait) = wait_of(too_fast(0), &pressure);
        assert_eq!((status, wait), (429, 1));
        let (_, wait) = wait_of(too_fast(1_000_000), &pressure);
        assert!(wait <= 288, "{wait}");
    }
}
