//! The server: reads requests, offers their events to the intake, and answers once the receipts have settled.
//!
//! Once a body is in, a task of its own cuts it and offers its events: a client that goes away then changes nothing. What
//! depends on the connection is the answer.
//!
//! Invariant: a request is answered with 200 only when every event of it got as far as the client was promised.

use super::envelope::{Envelope, Form, Opened, firehose};
use crate::http::{
    self, Access, AccessOptions, Coding, Deadlines, Hold, Media, Memory, Offering, Packed, Proxies,
    Refusal, Refusals, Server, TlsFiles, Unpacker,
};
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use pipeline_core::{
    AckLevel, BuildError, Intake, Meta, Source, SourceContext, SourceError, Stop, async_trait,
};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where the server says that it is alive.
pub(super) const HEALTH_PATH: &str = "/health";
/// A longer `User-Agent` is not passed on.
const MAX_USER_AGENT_BYTES: usize = 4096;
/// How long a request waits for the final fate of its events.
const END_TO_END_LIMIT: Duration = Duration::from_secs(60);

/// Options that have been found good.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) envelope: Envelope,
    pub(super) max_body_bytes: usize,
    pub(super) max_bytes_in_flight: usize,
    pub(super) access: AccessOptions,
    pub(super) tls: Option<TlsFiles>,
    /// Whose connections begin with the PROXY protocol.
    pub(super) trusted: Proxies,
    pub(super) proxy_protocol: Option<Proxies>,
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
    offering: Offering,
    path: String,
    envelope: Envelope,
    max_body_bytes: usize,
    room_limit: Duration,
    deadlines: Deadlines,
    ack: AckLevel,
    access: Access,
    trusted: Proxies,
    memory: Memory,
    unpacker: Unpacker,
    refusals: Arc<Refusals>,
}

impl HttpServer {
    pub(super) async fn bind(settings: Settings, cx: SourceContext) -> Result<Self, BuildError> {
        let tls = settings.tls.clone().map(|files| files.open(&cx.name));
        let tls = tls.transpose()?;
        let server = Server::bind(&cx.name, settings.address, Deadlines::DEFAULT).await?;
        let server = server
            .with_tls(tls)
            .with_proxies(settings.proxy_protocol.clone());
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
        let shared = Arc::new(Shared {
            source: Arc::clone(&source),
            offering: Offering::new(to, self.cx.clock, self.settings.ack),
            path: self.settings.path,
            envelope: self.settings.envelope,
            max_body_bytes: self.settings.max_body_bytes,
            room_limit,
            deadlines: Deadlines::DEFAULT,
            ack: self.settings.ack,
            access: self.access,
            trusted: self.settings.trusted,
            memory: Memory::new(self.settings.max_bytes_in_flight),
            unpacker: Unpacker::new(self.settings.max_body_bytes),
            refusals: self.server.refusals(),
        });
        let router = router(Arc::clone(&shared));
        tokio::select! {
            () = self.server.serve(router, &stop, room_limit) => {}
            never = shared.refusals.tell_each_minute() => match never {},
            never = shared.access.follow(&shared.source) => match never {},
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
    let preflight = shared.access.preflight(&request);
    let mut answer = if let Some(answer) = preflight {
        answer
    } else {
        let request_id = shared.request_id(request.headers());
        let taken = take(&shared, peer, request).await;
        taken.unwrap_or_else(|refusal| shared.refused(refusal, request_id.as_deref()))
    };
    Access::let_read(&mut answer, reader);
    answer
}

async fn take(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    request: Request<Body>,
) -> Result<Response, Refusal> {
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
    let form = shared.envelope.form(headers)?;
    let meta = Arc::new(meta(&shared.trusted, peer, headers));
    let mut hold = shared.memory.hold(shared.room_limit);
    let (max_bytes, deadlines) = (shared.max_body_bytes, &shared.deadlines);
    let body = http::read(request.into_body(), max_bytes, &mut hold, deadlines).await?;
    let shared = Arc::clone(shared);
    // From here on the client may go away.
    let work = http::detached(async move {
        let body = Packed {
            body,
            media,
            coding,
        };
        let opened = shared.open(form, body, &mut hold).await?;
        let (offering, source) = (&shared.offering, &shared.source);
        offering
            .offer(source, opened.events, &meta, &mut hold, shared.room_limit)
            .await
            .map(|offered| (shared, opened.request_id, offered))
    });
    let (shared, request_id, (answer, receipt)) = work.await??;
    if let Some(receipt) = receipt {
        let limit = match shared.ack {
            AckLevel::Final => END_TO_END_LIMIT,
            _ => shared.room_limit,
        };
        shared.offering.wait(receipt, limit).await?;
    }
    Ok(match request_id {
        Some(id) => firehose::taken(&id, shared.offering.now_ms()),
        None => answer.into_response(),
    })
}

impl Shared {
    /// The events in a body of this form.
    async fn open(&self, form: Form, body: Packed, hold: &mut Hold) -> Result<Opened, Refusal> {
        if form == Form::Events {
            let open = move |plain: &Bytes| form.open(plain);
            return self.unpacker.unpack(body, hold, open).await;
        }
        let plain = self.unpacker.unpack(body, hold, |plain| Ok(plain.clone()));
        let plain = plain.await?;
        // What is decoded takes no more than it did in base64.
        hold.grow_to(hold.bytes() + plain.len()).await?;
        self.unpacker
            .work(plain.len(), move || form.open(&plain))
            .await?
    }

    /// The id of a request of Firehose, which refusals repeat.
    fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        firehose::named(headers).filter(|_| self.envelope == Envelope::Firehose)
    }

    /// The answer to a request that was refused, as its sender reads it.
    fn refused(&self, refusal: Refusal, request_id: Option<&str>) -> Response {
        self.refusals.add(&refusal);
        match self.envelope {
            Envelope::Firehose => firehose::refused(refusal, request_id, self.offering.now_ms()),
            _ => refusal.into_response(),
        }
    }
}

fn value(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

/// What the connection and the headers say about the events of a request.
fn meta(trusted: &Proxies, peer: SocketAddr, headers: &HeaderMap) -> Meta {
    let user_agent = value(headers, header::USER_AGENT)
        .filter(|agent| agent.len() <= MAX_USER_AGENT_BYTES)
        .and_then(|agent| std::str::from_utf8(agent).ok())
        .map(str::trim)
        .filter(|agent| !agent.is_empty());
    let mut meta = Meta::default();
    meta.peer = trusted.client(peer.ip(), headers);
    meta.user_agent = user_agent.map(Box::from);
    meta
}
