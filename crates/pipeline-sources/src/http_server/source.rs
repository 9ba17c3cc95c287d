//! The server: reads requests, offers their events to the intake, and answers once the receipts have settled.
//!
//! Invariant: a request is answered with 200 only when every event of it got as far as the client was promised.

use super::answer::{Answer, Refusal};
use super::body::{self, Coding, Format};
use super::refusal_log::{self, RefusalLog};
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use pipeline_core::{
    AckLevel, AckStatus, BuildError, Chunk, Clock, Event, Input, Intake, Meta, Origin, Reason,
    Receipt, Refused, Source, SourceContext, SourceError, Stop, async_trait,
};
use serde_json::json;
use std::convert::Infallible;
use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Where the server says that it is alive.
pub(super) const HEALTH_PATH: &str = "/health";
/// Requests that are read or wait for room at the same time.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 64;
/// Bytes up to which a plain body is split by the task that read it: changing threads would take longer. A packed body
/// always goes to another thread, because a few bytes may unpack to many.
const SPLIT_IN_PLACE_BYTES: usize = 64 * 1024;
/// A longer `User-Agent` is not passed on.
const MAX_USER_AGENT_BYTES: usize = 4096;
/// How long a client may take to send its request.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// How long a request waits for the final fate of its events.
const END_TO_END_LIMIT: Duration = Duration::from_secs(60);

/// Options that have been found good.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) max_body_bytes: usize,
    /// How far events have to get before the client hears that they were taken.
    pub(super) ack: AckLevel,
}

/// A server that listens but does not answer yet.
pub(super) struct HttpServer {
    settings: Settings,
    cx: SourceContext,
    listener: TcpListener,
    address: SocketAddr,
}

/// What all requests share.
struct Shared {
    source: Arc<str>,
    to: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    max_body_bytes: usize,
    room_limit: Duration,
    ack: AckLevel,
    requests: AtomicU64,
    slots: Semaphore,
    refusals: Mutex<RefusalLog>,
}

impl HttpServer {
    pub(super) async fn bind(settings: Settings, cx: SourceContext) -> Result<Self, BuildError> {
        let bound = async {
            let listener = TcpListener::bind(settings.address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound.await.map_err(|error: std::io::Error| {
            let (name, address) = (&cx.name, settings.address);
            BuildError::new(format!(
                "source `{name}`: cannot listen on {address}: {error}"
            ))
        })?;
        Ok(Self {
            settings,
            cx,
            listener,
            address,
        })
    }
}

#[async_trait]
impl Source for HttpServer {
    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }

    fn path(&self) -> Option<&str> {
        Some(&self.settings.path)
    }

    async fn run(self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        let room_limit = self.cx.room_limit;
        let shared = Arc::new(Shared {
            source: self.cx.name.as_str().into(),
            to,
            clock: self.cx.clock,
            max_body_bytes: self.settings.max_body_bytes,
            room_limit,
            ack: self.settings.ack,
            requests: AtomicU64::new(0),
            slots: Semaphore::new(MAX_REQUESTS_IN_FLIGHT),
            refusals: Mutex::default(),
        });
        let router = router(&self.settings.path, Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let stopping = stop.clone();
        let serving = axum::serve(self.listener, service)
            .with_graceful_shutdown(async move { stopping.stopping().await })
            .into_future();
        let ended = tokio::select! {
            served = serving => served.map_err(|error| {
                let name = &self.cx.name;
                SourceError::new(format!("source `{name}`: the server failed: {error}"))
            }),
            // A client that keeps its connection open must not hold up the end.
            () = async { stop.stopping().await; tokio::time::sleep(room_limit).await } => Ok(()),
            never = shared.tell_of_refusals() => match never {},
        };
        let line = shared.refusals().end();
        shared.tell(line);
        ended
    }
}

fn router(path: &str, shared: Arc<Shared>) -> Router {
    let of = Arc::clone(&shared);
    let not_allowed = move || {
        let refusal = Refusal::new(405, "method_not_allowed", "this path takes POST");
        std::future::ready(of.refused(refusal))
    };
    let of = Arc::clone(&shared);
    let message = format!("nothing is served at this path; events are taken by POST at {path}");
    let not_found = move || {
        let refusal = Refusal::new(404, "not_found", message.clone());
        std::future::ready(of.refused(refusal))
    };
    Router::new()
        .route(path, post(take).fallback(not_allowed))
        .route(HEALTH_PATH, get(|| async { Json(json!({"status": "ok"})) }))
        .fallback(not_found)
        .with_state(shared)
}

async fn take(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Result<Answer, Refusal> {
    let taken = shared.take(peer, request).await;
    taken.map_err(|refusal| shared.refused(refusal))
}

impl Shared {
    async fn take(&self, peer: SocketAddr, request: Request<Body>) -> Result<Answer, Refusal> {
        let Ok(_slot) = self.slots.try_acquire() else {
            let message = "too many requests at the same time";
            return Err(Refusal::new(429, "too_many_requests", message));
        };
        let headers = request.headers();
        let format = Format::of(value(headers, header::CONTENT_TYPE))?;
        let coding = Coding::of(value(headers, header::CONTENT_ENCODING))?;
        let meta = Arc::new(meta(peer, headers));
        let read = to_bytes(request.into_body(), self.max_body_bytes);
        let body = tokio::time::timeout(READ_LIMIT, read)
            .await
            .map_err(|_| Refusal::new(408, "timeout", "the request took too long to arrive"))?
            .map_err(|_| body::too_large_or_broken(self.max_body_bytes))?;
        let events = self.split(format, coding, body).await?;
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if events.is_empty() {
            return Ok(Answer::default());
        }
        let chunk = self.chunk(number, events, &meta);
        let offered = self.to.offer(chunk, self.ack, self.room_limit).await;
        let accepted = offered.map_err(|refused| {
            let code = match refused {
                Refused::Full => "buffer_full",
                Refused::NoLetters => "dead_letters_full",
                _ => "failed",
            };
            Refusal::new(503, code, refused.to_string())
        })?;
        self.wait(accepted.receipt).await?;
        Ok(Answer::of(accepted.verdicts))
    }

    /// Takes note of a refusal for the log.
    fn refused(&self, refusal: Refusal) -> Refusal {
        let line = self.refusals().add(refusal.code, Instant::now());
        self.tell(line);
        refusal
    }

    /// Tells the log once a minute of requests that were refused, where there were any.
    async fn tell_of_refusals(&self) -> Infallible {
        loop {
            tokio::time::sleep(refusal_log::PAUSE).await;
            let line = self.refusals().look(Instant::now());
            self.tell(line);
        }
    }

    fn tell(&self, line: Option<String>) {
        if let Some(line) = line {
            tracing::warn!(source = %self.source, "{line}");
        }
    }

    fn refusals(&self) -> MutexGuard<'_, RefusalLog> {
        // Nothing under the lock can panic.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events of a body. A large one does not hold up other requests.
    async fn split(
        &self,
        format: Format,
        coding: Coding,
        body: Bytes,
    ) -> Result<Vec<Result<Bytes, Reason>>, Refusal> {
        let max_bytes = self.max_body_bytes;
        let is_small = coding == Coding::Plain && body.len() <= SPLIT_IN_PLACE_BYTES;
        let split = move || format.split(&coding.plain(body, max_bytes)?);
        if is_small {
            return split();
        }
        let task = tokio::task::spawn_blocking(split);
        task.await.unwrap_or_else(|_| {
            let message = "the body could not be split into events";
            Err(Refusal::new(500, "internal", message))
        })
    }

    fn chunk(&self, number: u64, events: Vec<Result<Bytes, Reason>>, meta: &Arc<Meta>) -> Chunk {
        let received_ms = self.clock.now_ms();
        let inputs = events.into_iter().enumerate().map(|(index, event)| {
            let origin = Origin::request(Arc::clone(&self.source), number, index);
            match event {
                Ok(bytes) => Event::new(bytes, received_ms)
                    .with_origin(origin)
                    .with_meta(Arc::clone(meta))
                    .into(),
                Err(reason) => Input::unreadable(origin, reason),
            }
        });
        inputs.collect()
    }

    /// Waits until every event has got as far as the client was promised.
    async fn wait(&self, mut receipt: Receipt) -> Result<(), Refusal> {
        let (limit, code, message) = match self.ack {
            AckLevel::Final => (
                END_TO_END_LIMIT,
                "not_delivered_yet",
                "the events are held, but not delivered yet; send them again later, with the same event ids",
            ),
            _ => (
                self.room_limit,
                "not_stored_yet",
                "the events are not on disk yet; send them again later, with the same event ids",
            ),
        };
        match tokio::time::timeout(limit, receipt.settled()).await {
            Ok(AckStatus::Safe) => Ok(()),
            _ => Err(Refusal::new(503, code, message)),
        }
    }
}

fn value(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

/// What the connection and the headers say about the events of a request.
fn meta(peer: SocketAddr, headers: &HeaderMap) -> Meta {
    let user_agent = value(headers, header::USER_AGENT)
        .filter(|agent| agent.len() <= MAX_USER_AGENT_BYTES)
        .and_then(|agent| std::str::from_utf8(agent).ok())
        .map(str::trim)
        .filter(|agent| !agent.is_empty());
    let mut meta = Meta::default();
    meta.peer = Some(peer.ip().to_canonical());
    meta.user_agent = user_agent.map(Box::from);
    meta
}
