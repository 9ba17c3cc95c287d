//! Events over HTTP: `POST` a JSON object, a JSON array, or one JSON event a line; the answer says what became of each.
//!
//! A request is taken as a whole or not at all: when a buffer stays full, the answer is 503 with `Retry-After`, and
//! nothing of the request has been kept or counted. The answer comes once the events are in a memory buffer or on disk,
//! or, where `acknowledgements` says so, once each has met its final fate; when that takes too long it is 503 too, and
//! the events may come twice, with the same event ids.
//!
//! Invariant: every event keeps the very bytes that came in, so one odd element never costs the others.

mod body;

use super::SourceError;
use crate::ack::{Ack, Receipt, Settled, Until};
use crate::event::{Input, Place, Position};
use crate::outlet::{Encoding, Fate, Feed};
use crate::stop::StopSignal;
use crate::topology::StartOptions;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pipeline_core::{Clock, Event};
use serde::Serialize;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Where the server says that it is alive.
pub(crate) const HEALTH_PATH: &str = "/health";
/// Requests that are read or wait for room at the same time.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 64;
/// Events of one request.
pub const MAX_EVENTS_PER_REQUEST: usize = 10_000;
/// Rejections that one answer lists.
const MAX_REJECTIONS_LISTED: usize = 100;
/// Bytes up to which a body is encoded on the thread that read it.
const ENCODED_IN_PLACE_BYTES: usize = 16 * 1024;
/// How long a client may take to send its request.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// How long a request waits for room in the buffers unless told otherwise.
pub(crate) const ROOM_LIMIT: Duration = Duration::from_secs(5);
/// How long a request waits for the final fate of its events.
const END_TO_END_LIMIT: Duration = Duration::from_secs(60);
/// When a client that was turned away may come back, in seconds.
const RETRY_AFTER_SECS: u16 = 5;

/// Options that have been found good.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) max_body_bytes: usize,
    /// How far events have to get before the client hears that they were taken.
    pub(crate) until: Until,
}

/// A server that listens but does not answer yet.
pub(crate) struct HttpServer {
    name: String,
    settings: Settings,
    clock: Arc<dyn Clock>,
    room_limit: Duration,
    listener: TcpListener,
    address: SocketAddr,
}

struct Shared {
    name: Arc<str>,
    feed: Feed,
    clock: Arc<dyn Clock>,
    max_body_bytes: usize,
    room_limit: Duration,
    until: Until,
    requests: AtomicU64,
    slots: Semaphore,
}

impl HttpServer {
    pub(crate) async fn bind(
        name: String,
        settings: Settings,
        options: &StartOptions,
    ) -> Result<Self, SourceError> {
        let bound = async {
            let listener = TcpListener::bind(settings.address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound.await.map_err(|error| SourceError::Listen {
            name: name.clone(),
            address: settings.address,
            error,
        })?;
        Ok(Self {
            name,
            settings,
            clock: Arc::clone(&options.clock),
            room_limit: options.room_limit,
            listener,
            address,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn run(self, feed: Feed, mut stop: StopSignal) {
        let room_limit = self.room_limit;
        let shared = Arc::new(Shared {
            name: self.name.as_str().into(),
            feed,
            clock: self.clock,
            max_body_bytes: self.settings.max_body_bytes,
            room_limit,
            until: self.settings.until,
            requests: AtomicU64::new(0),
            slots: Semaphore::new(MAX_REQUESTS_IN_FLIGHT),
        });
        let not_allowed = || async {
            Refusal::new(405, "method_not_allowed", "this path takes POST").into_response()
        };
        let router = Router::new()
            .route(&self.settings.path, post(take).fallback(not_allowed))
            .route(HEALTH_PATH, get(|| async { Json(json!({"status": "ok"})) }))
            .fallback(|| async {
                Refusal::new(404, "not_found", "nothing is served at this path").into_response()
            })
            .with_state(shared);
        let mut quit = stop.clone();
        let serving = axum::serve(self.listener, router)
            .with_graceful_shutdown(async move { stop.stopped().await })
            .into_future();
        tokio::select! {
            // `axum::serve` never fails by itself.
            _ = serving => {}
            // A client that keeps its connection open must not hold up the end.
            () = async { quit.stopped().await; tokio::time::sleep(room_limit).await } => {}
        }
    }
}

#[derive(Serialize)]
struct Answer {
    received: usize,
    accepted: usize,
    filtered: usize,
    rejected: Vec<Rejected>,
    #[serde(skip_serializing_if = "is_zero")]
    rejected_not_listed: usize,
}

#[derive(Serialize)]
struct Rejected {
    index: usize,
    reason: &'static str,
    detail: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Why a request was not taken.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let answer = Json(json!({"error": {"code": self.code, "message": self.message}}));
        let mut response = (status, answer).into_response();
        if matches!(self.status, 429 | 503) {
            let value = HeaderValue::from(RETRY_AFTER_SECS);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

async fn take(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    match shared.take(request).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Shared {
    async fn take(&self, request: Request<Body>) -> Result<Answer, Refusal> {
        let Ok(_slot) = self.slots.try_acquire() else {
            return Err(Refusal::new(
                429,
                "too_many_requests",
                "too many requests at the same time",
            ));
        };
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let format = body::Format::of(content_type.map(HeaderValue::as_bytes))?;
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        let coding = body::Coding::of(encoding.map(HeaderValue::as_bytes))?;
        let read = to_bytes(request.into_body(), self.max_body_bytes);
        let bytes = tokio::time::timeout(READ_LIMIT, read)
            .await
            .map_err(|_| Refusal::new(408, "timeout", "the request took too long to arrive"))?
            .map_err(|_| body::too_large_or_broken(self.max_body_bytes))?;
        let body = coding.plain(bytes, self.max_body_bytes)?;
        let bytes = body.len();
        let events = format.split(&body)?;
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let received_ms = self.clock.now_ms();
        let inputs: Vec<Input> = events
            .into_iter()
            .enumerate()
            .map(|(event, bytes)| Input {
                position: Position {
                    source: Arc::clone(&self.name),
                    place: Place::Request {
                        request: number,
                        event,
                    },
                },
                event: bytes.map(|bytes| Event::new(bytes, received_ms)),
            })
            .collect();
        let (ack, receipt) = Ack::until(self.until);
        let (outlets, shared) = (self.feed.outlets.clone(), ack.clone());
        let encode = move || {
            let encodings = Feed::encode(&outlets, &inputs, &shared);
            shared.done();
            encodings
        };
        // To change threads takes longer than to encode a few events.
        let encodings = if bytes <= ENCODED_IN_PLACE_BYTES {
            encode()
        } else {
            let encoded = tokio::task::spawn_blocking(encode).await;
            encoded.map_err(|_| Refusal::new(500, "internal", "the events could not be encoded"))?
        };
        let answer = self.accept(encodings, ack).await?;
        self.wait(receipt).await?;
        Ok(answer)
    }

    /// Waits until every event has got as far as the client was promised.
    async fn wait(&self, mut receipt: Receipt) -> Result<(), Refusal> {
        let (limit, code, message) = match self.until {
            Until::Final => (
                END_TO_END_LIMIT,
                "not_delivered_yet",
                "the events are held, but not delivered yet; send them again later, with the same event ids",
            ),
            Until::Buffered | Until::Kept => (
                self.room_limit,
                "not_stored_yet",
                "the events are not on disk yet; send them again later, with the same event ids",
            ),
        };
        match tokio::time::timeout(limit, receipt.settled()).await {
            Ok(Settled::Safe) => Ok(()),
            Ok(Settled::GivenUp) | Err(_) => Err(Refusal::new(503, code, message)),
        }
    }

    /// Finds room in every buffer first, and only then counts and keeps anything.
    async fn accept(&self, encodings: Vec<Encoding>, ack: Ack) -> Result<Answer, Refusal> {
        let deadline = Instant::now() + self.room_limit;
        let mut rooms = Vec::new();
        for (outlet, encoding) in self.feed.outlets.iter().zip(&encodings) {
            rooms.push(
                if outlet.plan().drops_newest || encoding.records.is_empty() {
                    None
                } else {
                    let (events, bytes) = (encoding.records.len(), encoding.size_bytes());
                    let room = outlet.buffer.reserve(events, bytes, deadline).await;
                    Some(room.ok_or_else(|| {
                        Refusal::new(503, "buffer_full", "the buffer is full; try again later")
                    })?)
                },
            );
        }
        let answer = Answer::of(&encodings);
        let mut kept = true;
        for ((outlet, encoding), room) in self.feed.outlets.iter().zip(encodings).zip(rooms) {
            let Some(room) = room else {
                kept &= outlet.accept(encoding).await;
                continue;
            };
            let (records, letters) = outlet.count(encoding);
            if let Err(rest) = room.fill(records) {
                outlet.hold(rest).await;
            }
            kept &= outlet.reject(letters).await;
        }
        if kept {
            ack.done();
        }
        Ok(answer)
    }
}

impl Answer {
    /// An event that several sinks judge differently counts as the best of the answers.
    fn of(encodings: &[Encoding]) -> Self {
        let received = encodings.first().map_or(0, |first| first.fates.len());
        let mut answer = Self {
            received,
            accepted: 0,
            filtered: 0,
            rejected: Vec::new(),
            rejected_not_listed: 0,
        };
        for index in 0..received {
            let mut fates = encodings
                .iter()
                .map(|encoding| (encoding, encoding.fates[index]));
            let rejection = fates.clone().find_map(|(encoding, fate)| match fate {
                Fate::Rejected(letter) => encoding.letters.get(letter),
                _ => None,
            });
            if fates.any(|(_, fate)| fate == Fate::Accepted) {
                answer.accepted += 1;
            } else if let Some(letter) = rejection {
                if answer.rejected.len() < MAX_REJECTIONS_LISTED {
                    answer.rejected.push(Rejected {
                        index,
                        reason: letter.reason.code,
                        detail: letter.reason.detail.to_string(),
                    });
                } else {
                    answer.rejected_not_listed += 1;
                }
            } else {
                answer.filtered += 1;
            }
        }
        answer
    }
}
