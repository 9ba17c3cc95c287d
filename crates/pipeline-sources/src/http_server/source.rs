//! The server: reads requests, offers their events to the intake, and answers once the receipts have settled.
//!
//! Once a body is in, a task of its own cuts it and offers its events: a client that goes away then changes nothing. What
//! depends on the connection is the answer.
//!
//! Invariant: a request is answered with 200 only when every event of it got as far as the client was promised.

use super::answer::Answer;
use crate::http::{
    self, Access, AccessOptions, Coding, Deadlines, Hold, Media, Memory, Refusal, Refusals, Server,
    events,
};
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use pipeline_core::{
    AckLevel, AckStatus, BuildError, Chunk, Clock, Event, Input, Intake, Meta, Origin, Reason,
    Receipt, Refused, Source, SourceContext, SourceError, Stop, async_trait,
};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Where the server says that it is alive.
pub(super) const HEALTH_PATH: &str = "/health";
/// Bytes up to which a plain body is cut by the task that read it, and up to which a packed one may unpack there: changing
/// threads would take longer.
const CUT_IN_PLACE_BYTES: usize = 64 * 1024;
/// Memory that an event takes beside its bytes, until it is in the buffers: its entry, its record, its verdict or letter.
const EVENT_BYTES: usize = 1024;
/// A longer `User-Agent` is not passed on.
const MAX_USER_AGENT_BYTES: usize = 4096;
/// How long a request waits for the final fate of its events.
const END_TO_END_LIMIT: Duration = Duration::from_secs(60);

/// Options that have been found good.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) max_body_bytes: usize,
    pub(super) max_bytes_in_flight: usize,
    pub(super) access: AccessOptions,
    /// How far events have to get before the client hears that they were taken.
    pub(super) ack: AckLevel,
}

/// A server that listens but does not answer yet.
pub(super) struct HttpServer {
    settings: Settings,
    cx: SourceContext,
    server: Server,
    access: Access,
}

/// What all requests share.
struct Shared {
    source: Arc<str>,
    to: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    path: String,
    max_body_bytes: usize,
    room_limit: Duration,
    deadlines: Deadlines,
    ack: AckLevel,
    access: Access,
    requests: AtomicU64,
    memory: Memory,
    /// Threads that unpack and cut large bodies at the same time.
    cutting: Semaphore,
    refusals: Refusals,
}

impl HttpServer {
    pub(super) async fn bind(settings: Settings, cx: SourceContext) -> Result<Self, BuildError> {
        let server = Server::bind(&cx.name, settings.address, Deadlines::DEFAULT).await?;
        let access = settings.access.clone().open(&cx.name, server.address())?;
        Ok(Self {
            settings,
            cx,
            server,
            access,
        })
    }
}

#[async_trait]
impl Source for HttpServer {
    fn address(&self) -> Option<SocketAddr> {
        Some(self.server.address())
    }

    fn path(&self) -> Option<&str> {
        Some(&self.settings.path)
    }

    async fn run(self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        let room_limit = self.cx.room_limit;
        let source: Arc<str> = self.cx.name.as_str().into();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared {
            source: Arc::clone(&source),
            to,
            clock: self.cx.clock,
            path: self.settings.path,
            max_body_bytes: self.settings.max_body_bytes,
            room_limit,
            deadlines: Deadlines::DEFAULT,
            ack: self.settings.ack,
            access: self.access,
            requests: AtomicU64::new(0),
            memory: Memory::new(self.settings.max_bytes_in_flight),
            cutting: Semaphore::new(cores),
            refusals: Refusals::new(source),
        });
        let router = router(Arc::clone(&shared));
        tokio::select! {
            () = self.server.serve(router, &stop, room_limit) => {}
            never = shared.refusals.tell_each_minute() => match never {},
        }
        // What is being offered is taken or refused within the limit, with or without its client.
        let _ = tokio::time::timeout(room_limit, shared.memory.until_free()).await;
        shared.refusals.end();
        Ok(())
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let path = shared.path.clone();
    Router::new()
        .route(HEALTH_PATH, get(|| async { Json(json!({"status": "ok"})) }))
        .route(&path, axum::routing::any(answer))
        .fallback(not_found)
        .with_state(shared)
}

async fn not_found(State(shared): State<Arc<Shared>>) -> Response {
    let path = &shared.path;
    let message = format!("nothing is served at this path; events are taken by POST at {path}");
    let refusal = Refusal::new(404, "not_found", message);
    shared.refusals.add(&refusal);
    refusal.into_response()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let reader = shared.access.reader(request.headers());
    let mut answer = match shared.access.preflight(&request) {
        Some(answer) => answer,
        None => match take(&shared, peer, request).await {
            Ok(answer) => answer.into_response(),
            Err(refusal) => {
                shared.refusals.add(&refusal);
                refusal.into_response()
            }
        },
    };
    Access::let_read(&mut answer, reader);
    answer
}

async fn take(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    request: Request<Body>,
) -> Result<Answer, Refusal> {
    shared.access.check(&request)?;
    if request.method() != Method::POST {
        return Err(Refusal::new(
            405,
            "method_not_allowed",
            "this path takes POST",
        ));
    }
    let headers = request.headers();
    let media = Media::of(value(headers, header::CONTENT_TYPE))?;
    let coding = Coding::of(value(headers, header::CONTENT_ENCODING))?;
    shared.access.check_format(media.format, headers)?;
    let meta = Arc::new(meta(peer, headers));
    let mut hold = shared.memory.hold(shared.room_limit);
    let (max_bytes, deadlines) = (shared.max_body_bytes, &shared.deadlines);
    let body = http::read(request.into_body(), max_bytes, &mut hold, deadlines).await?;
    let shared = Arc::clone(shared);
    let ack = shared.ack;
    let room_limit = shared.room_limit;
    // From here on the client may go away.
    let work = tokio::spawn(async move {
        let body = Packed {
            body,
            media,
            coding,
        };
        let events = shared.unpack(body, &mut hold).await?;
        shared.offer(events, &meta, &mut hold).await
    });
    let (answer, receipt) = work.await.map_err(|_| {
        let message = "the request could not be worked on; please report it";
        Refusal::new(500, "internal", message)
    })??;
    if let Some(receipt) = receipt {
        wait(receipt, ack, room_limit).await?;
    }
    Ok(answer)
}

/// A body as it came.
struct Packed {
    body: Bytes,
    media: Media,
    coding: Coding,
}

type Events = Vec<Result<Bytes, Reason>>;

impl Packed {
    /// The events of the body, where it is so small that they are found at once.
    fn cut_at_once(&self) -> Option<Result<Events, Refusal>> {
        if self.body.len() > CUT_IN_PLACE_BYTES {
            return None;
        }
        let plain = self.coding.plain_at_once(&self.body, CUT_IN_PLACE_BYTES)?;
        Some(plain.and_then(|plain| cut(&plain, self.media)))
    }

    fn cut(self, max_bytes: usize) -> Result<Events, Refusal> {
        let plain = self.coding.plain(self.body, max_bytes)?;
        cut(&plain, self.media)
    }
}

fn cut(plain: &Bytes, media: Media) -> Result<Events, Refusal> {
    media.check(plain)?;
    events(plain)
}

impl Shared {
    /// The events of a body. A large one holds up no other request.
    async fn unpack(&self, body: Packed, hold: &mut Hold) -> Result<Events, Refusal> {
        if let Some(events) = body.cut_at_once() {
            return events;
        }
        let unavailable = || Refusal::new(500, "internal", "the body could not be cut into events");
        let _turn = self.cutting.acquire().await.map_err(|_| unavailable())?;
        let cost = body.coding.cost(body.body.len(), self.max_body_bytes);
        hold.grow_to(body.body.len() + cost).await?;
        let max_bytes = self.max_body_bytes;
        let task = tokio::task::spawn_blocking(move || body.cut(max_bytes));
        task.await.map_err(|_| unavailable())?
    }

    /// Offers events to the intake: what became of them, and what settles when they got as far as was promised.
    async fn offer(
        &self,
        events: Events,
        meta: &Arc<Meta>,
        hold: &mut Hold,
    ) -> Result<(Answer, Option<Receipt>), Refusal> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if events.is_empty() {
            return Ok((Answer::default(), None));
        }
        // What the sinks make of events takes about as much again.
        let bytes = events
            .iter()
            .flatten()
            .map(|event| 2 * event.len() + EVENT_BYTES);
        let bytes = bytes.sum();
        hold.grow_to(bytes).await?;
        hold.shrink_to(bytes);
        let chunk = self.chunk(number, events, meta);
        let offered = self.to.offer(chunk, self.ack, self.room_limit).await;
        let accepted = offered.map_err(|refused| {
            let code = match refused {
                Refused::Full => "buffer_full",
                Refused::NoLetters => "dead_letters_full",
                _ => "failed",
            };
            Refusal::new(503, code, refused.to_string())
        })?;
        Ok((Answer::of(accepted.verdicts), Some(accepted.receipt)))
    }

    fn chunk(&self, number: u64, events: Events, meta: &Arc<Meta>) -> Chunk {
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
}

/// Waits until every event has got as far as the client was promised.
async fn wait(mut receipt: Receipt, ack: AckLevel, room_limit: Duration) -> Result<(), Refusal> {
    let (limit, code, message) = match ack {
        AckLevel::Final => (
            END_TO_END_LIMIT,
            "not_delivered_yet",
            "the events are held, but not delivered yet; send them again later, with the same event ids",
        ),
        _ => (
            room_limit,
            "not_stored_yet",
            "the events are not on disk yet; send them again later, with the same event ids",
        ),
    };
    match tokio::time::timeout(limit, receipt.settled()).await {
        Ok(AckStatus::Safe) => Ok(()),
        _ => Err(Refusal::new(503, code, message)),
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
