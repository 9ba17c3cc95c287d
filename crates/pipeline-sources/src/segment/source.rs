//! The server: finds who sends, takes the body apart, completes its events, offers them, and answers.
//!
//! Once a body is in, it is worked on at once, and by a task of its own from where that has to wait: a client that goes away
//! then changes nothing. What depends on the connection is the answer.
//!
//! Invariant: a client hears within [`ANSWER_LIMIT`] after its body has come what became of it, and 200 only when every
//! event got as far as it was promised.

use super::answer::{Pressure, Taken, Turned};
use super::calls::{Call, key_of_settings};
use super::client::{Clients, CookieOfMeta};
use super::completion::Completion;
use super::cookies::{self, Jar, Visit};
use super::documents;
use super::envelope::Envelope;
use super::keys::{Key, KeyPlan, Keys, shown};
use super::outline::Element;
use super::site::{NoScope, scope};
use crate::http::{
    self, Access, AccessOptions, Answer, Coding, Deadlines, Events, Hold, Media, Memory, Offering,
    Packed, Proxies, Refusal, Refusals, Server, TlsFiles, Unpacker,
};
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use bytes::Bytes;
use jiff::fmt::temporal::DateTimePrinter;
use pipeline_core::{
    AckLevel, BuildError, Intake, Meta, Receipt, Source, SourceContext, SourceError, Stop,
    async_trait,
};
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How long a client waits for its answer once its body has come: some clients hang up after 10 s and send again.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);
/// Of it, how long there may be no room, so that something is left for the receipt.
const ROOM_LIMIT: Duration = Duration::from_secs(5);

/// Options that have been found good.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) address: SocketAddr,
    /// Pages and hosts that the source's own options name.
    pub(super) own: AccessOptions,
    /// The same and the pages of all keys: who may read an answer.
    pub(super) pages: AccessOptions,
    pub(super) keys: Vec<KeyPlan>,
    pub(super) clients: Clients,
    pub(super) set_cookies: SetCookies,
    pub(super) public_url: Option<(String, String)>,
    pub(super) tls: Option<TlsFiles>,
    /// Whose connections begin with the PROXY protocol.
    pub(super) proxy_protocol: Option<Proxies>,
    pub(super) script_dir: Option<PathBuf>,
    pub(super) max_body_bytes: usize,
    pub(super) max_bytes_in_flight: usize,
}

/// Which cookies are set, and for what.
#[derive(Debug, Clone, Default)]
pub(super) struct SetCookies {
    pub(super) names: Vec<&'static str>,
    pub(super) domain: Option<String>,
}

/// A server that listens but does not answer yet.
pub(super) struct SegmentServer {
    settings: Settings,
    cx: SourceContext,
    server: Server,
    own: Access,
    pages: Access,
    keys: Keys,
}

/// What all requests share.
struct Shared {
    source: Arc<str>,
    offering: Offering,
    max_body_bytes: usize,
    room_limit: Duration,
    deadlines: Deadlines,
    own: Access,
    pages: Access,
    keys: Keys,
    clients: Clients,
    set_cookies: SetCookies,
    /// Whether the log was told that cookies cannot be set, for pages of other sites and for hosts of other domains.
    told: [AtomicBool; 2],
    scheme: &'static str,
    public_url: Option<(String, String)>,
    script_dir: Option<PathBuf>,
    memory: Memory,
    unpacker: Unpacker,
    refusals: Arc<Refusals>,
    pressure: Pressure,
}

impl SegmentServer {
    pub(super) async fn bind(settings: Settings, cx: SourceContext) -> Result<Self, BuildError> {
        let tls = settings.tls.clone().map(|files| files.open(&cx.name));
        let tls = tls.transpose()?;
        let server = Server::bind(&cx.name, settings.address, Deadlines::DEFAULT).await?;
        let server = server
            .with_tls(tls)
            .with_proxies(settings.proxy_protocol.clone());
        let address = server.address();
        Ok(Self {
            own: settings.own.clone().open(&cx.name, address)?,
            pages: settings.pages.clone().open(&cx.name, address)?,
            keys: Keys::open(settings.keys.clone(), &cx.name, address)?,
            settings,
            cx,
            server,
        })
    }
}

#[async_trait]
impl Source for SegmentServer {
    fn address(&self) -> Option<SocketAddr> {
        Some(self.server.address())
    }

    fn path(&self) -> Option<&str> {
        Some("/v1/batch")
    }

    async fn run(self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        let room_limit = self.cx.room_limit.min(ROOM_LIMIT);
        let source: Arc<str> = self.cx.name.as_str().into();
        let shared = Arc::new(Shared {
            source: Arc::clone(&source),
            offering: Offering::new(to, self.cx.clock, AckLevel::Buffered),
            max_body_bytes: self.settings.max_body_bytes,
            room_limit,
            deadlines: Deadlines::DEFAULT,
            own: self.own,
            pages: self.pages,
            keys: self.keys,
            clients: self.settings.clients,
            set_cookies: self.settings.set_cookies,
            told: Default::default(),
            scheme: if self.settings.tls.is_some() {
                "https"
            } else {
                "http"
            },
            public_url: self.settings.public_url,
            script_dir: self.settings.script_dir,
            memory: Memory::new(self.settings.max_bytes_in_flight),
            unpacker: Unpacker::new(self.settings.max_body_bytes),
            refusals: self.server.refusals(),
            pressure: Pressure::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::select! {
            () = self.server.serve(router, &stop, room_limit) => {}
            never = shared.refusals.tell_each_minute() => match never {},
            never = follow_keys(&shared) => match never {},
        }
        // What is being offered is taken or refused within the limit, with or without its client.
        let _ = tokio::time::timeout(room_limit, shared.memory.until_free()).await;
        shared.refusals.end();
        shared.tell_counts();
        Ok(())
    }
}

/// Reads the files of keys again and again.
async fn follow_keys(shared: &Arc<Shared>) -> Infallible {
    loop {
        tokio::time::sleep(http::LOOK_PAUSE).await;
        let shared = Arc::clone(shared);
        let look = move || shared.keys.look(&shared.source);
        // A file may be on a slow disk.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let headers = request.headers();
    let reader = shared.pages.reader(headers).filter(|_| !is_opaque(headers));
    let mut answer = match respond(&shared, peer, request).await {
        Ok(answer) => answer,
        Err(turned) => {
            shared.refusals.add_of(&turned.refusal, turned.key());
            turned.answer(&shared.pressure)
        }
    };
    Access::let_read(&mut answer, reader);
    answer
}

async fn respond(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    request: Request<Body>,
) -> Result<Response, Turned> {
    let path = request.uri().path();
    let call = Call::of(path).ok_or_else(not_found)?;
    let (method, headers) = (request.method(), request.headers());
    if method == Method::OPTIONS {
        // A page that may not send gets no header that would allow it.
        let allowed = shared.pages.preflight(&request);
        let allowed = allowed.filter(|_| !is_opaque(headers));
        return Ok(allowed.unwrap_or_else(|| StatusCode::NO_CONTENT.into_response()));
    }
    if call.takes_events() {
        if method != Method::POST {
            return Err(Refusal::new(405, "method_not_allowed", "this path takes POST").into());
        }
        let taken = shared.take(call, peer, request).await?;
        return Ok(taken.into_response());
    }
    if method != Method::GET && method != Method::HEAD {
        return Err(Refusal::new(405, "method_not_allowed", "this path takes GET").into());
    }
    let document = match call {
        Call::Health => json!({"status": "ok"}),
        Call::Settings => {
            let key = key_of_settings(path).unwrap_or_default();
            shared.known(Some(key))?;
            documents::settings(key, &shared.public_address(headers))
        }
        Call::SourceConfig => {
            let shown = shown(headers, request.uri().query());
            shared.known(shown.as_deref())?;
            let key = shown.as_deref().unwrap_or_default().trim_end_matches(':');
            documents::source_config(key)
        }
        _ => {
            let name = documents::script_name(path);
            let found = shared.script_dir.as_deref().zip(name);
            let (folder, name) = found.ok_or_else(not_found)?;
            return Ok(documents::script(folder, name).await?);
        }
    };
    Ok(Json(document).into_response())
}

fn not_found() -> Turned {
    let message = "nothing is served at this path; events are taken by POST at /v1/batch, /v1/track, /v1/page, \
                   /v1/screen, /v1/identify, /v1/group and /v1/alias";
    Refusal::new(404, "not_found", message).into()
}

/// A request that was let in, but for its body.
struct Entered {
    call: Call,
    headers: HeaderMap,
    /// The key in its head.
    key: Option<Arc<Key>>,
    meta: Arc<Meta>,
    packed: Packed,
}

impl Shared {
    async fn take(
        self: &Arc<Self>,
        call: Call,
        peer: SocketAddr,
        request: Request<Body>,
    ) -> Result<Taken, Turned> {
        let key = self.enter(&request)?;
        let taken = self.take_of(key.clone(), call, peer, request).await;
        taken.map_err(|turned| turned.of(key.as_ref()))
    }

    /// Takes a request whose head shows this key, or none.
    async fn take_of(
        self: &Arc<Self>,
        key: Option<Arc<Key>>,
        call: Call,
        peer: SocketAddr,
        request: Request<Body>,
    ) -> Result<Taken, Turned> {
        let (Parts { headers, .. }, body) = request.into_parts();
        let media = Media::of_json(value(&headers, header::CONTENT_TYPE));
        let coding = Coding::of(value(&headers, header::CONTENT_ENCODING))?;
        if self.keys.is_empty() {
            self.own.check_format(media.format, &headers)?;
        }
        let mut hold = self.memory.hold(self.room_limit);
        let (max_bytes, deadlines) = (self.max_body_bytes, &self.deadlines);
        let body = http::read(body, max_bytes, &mut hold, deadlines).await?;
        let entered = Entered {
            call,
            key,
            meta: Arc::new(self.clients.meta(peer, &headers)),
            headers,
            packed: Packed {
                body,
                media,
                coding,
            },
        };
        let end = Instant::now() + ANSWER_LIMIT;
        let shared = Arc::clone(self);
        // From here on the client may go away.
        let work = http::detached(async move { shared.offer(entered, &mut hold).await });
        let late = |_| {
            let message = "the events could not be taken in time; send them again later, with the same event ids";
            Refusal::new(503, "not_stored_yet", message)
        };
        let worked = tokio::time::timeout_at(end, work).await.map_err(late)?;
        let (taken, receipt) = worked??;
        if let Some(receipt) = receipt {
            let limit = end.saturating_duration_since(Instant::now());
            let limit = limit.min(self.room_limit);
            self.offering.wait(receipt, limit).await?;
        }
        self.pressure.end();
        Ok(taken)
    }

    /// Refuses a request by its head alone, where that can be seen there. Answers with the key that the head shows.
    fn enter(&self, request: &Request<Body>) -> Result<Option<Arc<Key>>, Turned> {
        let headers = request.headers();
        if is_opaque(headers) {
            let message =
                "the request is of a page without an origin (`null`), which cannot be allowed";
            return Err(Refusal::new(403, "foreign_origin", message).into());
        }
        self.pages.check_page(headers)?;
        let shown = shown(headers, request.uri().query());
        let key = match shown {
            Some(shown) => self.known(Some(&shown))?,
            None => None,
        };
        if let Some(key) = &key {
            let checked = key.check_page(&self.own, headers);
            checked.map_err(|refusal| Turned::from(refusal).of(Some(key)))?;
        }
        // A key says who sends, so no trick of DNS led it here; a page of this very host may have been led.
        let of_own_page = headers.contains_key(header::ORIGIN) && !self.pages.is_allowed(headers);
        if of_own_page || self.keys.is_empty() {
            self.own.check_host(request)?;
        }
        Ok(key)
    }

    /// The key that somebody shows; `None` where this source has no keys.
    fn known(&self, shown: Option<&str>) -> Result<Option<Arc<Key>>, Refusal> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let Some(shown) = shown else {
            let message = "the write key is missing; expected it as the user name of Basic authorization, as a Bearer \
                           token, in `X-Write-Key`, or as `writeKey` in the body or the query";
            return Err(Refusal::new(401, "missing_write_key", message));
        };
        let key = self.keys.find(shown).map(Arc::clone).map(Some);
        key.ok_or_else(|| {
            let message = "the write key is not one of this source's `keys`; letters in upper and lower case differ";
            Refusal::new(401, "wrong_write_key", message)
        })
    }

    /// Offers the events of a request: what became of them, and what settles when they are in the buffers.
    async fn offer(
        &self,
        entered: Entered,
        hold: &mut Hold,
    ) -> Result<(Taken, Option<Receipt>), Turned> {
        let Entered {
            call,
            headers,
            key,
            meta,
            packed,
        } = entered;
        let body = packed.body.clone();
        let read = move |plain: &Bytes| Envelope::read(plain, call);
        let mut envelope = self.unpacker.unpack(packed, hold, read).await?;
        let key = match (key, envelope.write_key.as_deref()) {
            (Some(key), Some(other)) => {
                if self
                    .keys
                    .find(other)
                    .is_none_or(|other| !Arc::ptr_eq(other, &key))
                {
                    let note = "the write key in the body differs from that of the request, which was used";
                    envelope.notes.push(note);
                }
                Some(key)
            }
            (Some(key), None) => Some(key),
            (None, in_body) => {
                let key = self.known(in_body)?;
                if let Some(key) = &key {
                    let checked = key.check_page(&self.own, &headers);
                    checked.map_err(|refusal| Turned::from(refusal).of(Some(key)))?;
                }
                key
            }
        };
        let offered = self.offer_of(key.as_ref(), (call, &headers, body), envelope, &meta, hold);
        offered.await.map_err(|turned| turned.of(key.as_ref()))
    }

    /// Offers the events of a request with this key, or with none where there are no keys.
    async fn offer_of(
        &self,
        key: Option<&Arc<Key>>,
        (call, headers, body): (Call, &HeaderMap, Bytes),
        mut envelope: Envelope,
        meta: &Arc<Meta>,
        hold: &mut Hold,
    ) -> Result<(Taken, Option<Receipt>), Turned> {
        if let Some(key) = key {
            key.check_signature(headers, &body)?;
            key.take(envelope.events.len()).map_err(Turned::too_fast)?;
        }
        drop(body);
        let notes = std::mem::take(&mut envelope.notes);
        let completed = self.complete(call, envelope, meta, headers, hold);
        let (events, cookies) = completed.await?;
        let source = key.map_or(&self.source, |key| &key.source);
        let count = events.len();
        let offered = self
            .offering
            .offer(source, events, meta, hold, self.room_limit);
        let (counts, receipt): (Answer, _) = offered.await?;
        if let Some(key) = key {
            key.count(count);
        }
        Ok((Taken::new(counts, notes, cookies), receipt))
    }

    /// The events with what the path, the batch and the connection say, and the cookies to set.
    async fn complete(
        &self,
        call: Call,
        envelope: Envelope,
        meta: &Arc<Meta>,
        headers: &HeaderMap,
        hold: &mut Hold,
    ) -> Result<(Events, Vec<HeaderValue>), Refusal> {
        let received_ms = self.offering.now_ms();
        let of_request = self.clients.cookies(headers);
        let mut jar = self.jar(headers, &of_request);
        let completion = Completion {
            kind: match call {
                Call::Event(kind) => Some(kind),
                _ => None,
            },
            common: envelope.common,
            connection: self.clients.context(meta, headers),
            received_at: received_at(received_ms),
        };
        let completion = match jar {
            Some(_) => completion,
            None => completion.with(cookies::members_of(&of_request)),
        };
        let events = envelope.events;
        let common = completion.common.bytes().saturating_mul(events.len());
        if common > self.max_body_bytes {
            let message = format!(
                "what the batch says about all of its events would take more than {} bytes under each of them \
                 (`max_body_bytes`); expected a smaller `context` or fewer events",
                self.max_body_bytes
            );
            return Err(Refusal::new(413, "too_large", message));
        }
        let own: usize = events.iter().flatten().map(|event| event.text.len()).sum();
        let added = jar.as_ref().map_or(0, |_| cookies::MAX_ADDED_BYTES);
        let added = (completion.bytes() + added).saturating_mul(events.len());
        let bytes = own + added;
        hold.grow_to(hold.bytes() + bytes).await?;
        let visit = Visit {
            to: self.offering.intake(),
            received_ms,
            meta: Arc::clone(meta),
        };
        let complete = move || {
            let mut complete = |event: Element| match &mut jar {
                Some(jar) => jar.complete(&completion, &visit, &event),
                None => completion.of(&event),
            };
            let events = events.into_iter().map(|event| event.map(&mut complete));
            let events = events.collect();
            let cookies = jar.map(Jar::into_headers).unwrap_or_default();
            (events, cookies)
        };
        self.unpacker.work(bytes, complete).await
    }

    /// The cookies of the browser that sent a request, where some may be set.
    fn jar(&self, headers: &HeaderMap, of_request: &[CookieOfMeta]) -> Option<Jar> {
        let SetCookies { names, domain } = &self.set_cookies;
        let origin = headers.get(header::ORIGIN).filter(|_| !names.is_empty())?;
        let (_, host) = self.public_address(headers);
        let origin = origin.to_str().unwrap_or_default();
        match scope(&host, origin, domain.as_deref()) {
            Ok(scope) => Some(Jar::new(scope, names, of_request)),
            Err(why) => {
                self.tell_no_cookies(why);
                None
            }
        }
    }

    /// Tells the log once why cookies are not set.
    fn tell_no_cookies(&self, why: NoScope) {
        if self.told[why as usize].swap(true, Ordering::Relaxed) {
            return;
        }
        let source = &self.source;
        match why {
            NoScope::ForeignPage => tracing::info!(
                %source,
                "no cookies are set for pages of another site than this host's; `public_url` says by which host browsers \
                 reach this source"
            ),
            NoScope::OtherDomain => tracing::warn!(
                %source,
                "no cookies are set, because `cookies.domain` does not cover the host by which a browser reached this \
                 source; name a domain above it, or leave the option out"
            ),
        }
    }

    /// Scheme and host by which browsers reach this source.
    fn public_address(&self, headers: &HeaderMap) -> (String, String) {
        self.public_url.clone().unwrap_or_else(|| {
            let host = value(headers, header::HOST).unwrap_or_default();
            let host = String::from_utf8_lossy(host).into_owned();
            (self.scheme.to_owned(), host)
        })
    }

    /// Tells the log how many events came with each key.
    fn tell_counts(&self) {
        for (key, events) in self.keys.counts().filter(|(_, events)| *events > 0) {
            tracing::info!(source = %self.source, key, events, "events were taken with this write key");
        }
    }
}

/// A page that hides its origin.
fn is_opaque(headers: &HeaderMap) -> bool {
    value(headers, header::ORIGIN).is_some_and(|origin| origin.eq_ignore_ascii_case(b"null"))
}

fn value(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

/// Writes times with milliseconds.
const RECEIVED_AT: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
/// Bytes of such a time in quotation marks.
const RECEIVED_AT_BYTES: usize = 26;

/// A time as JSON.
fn received_at(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    let mut json = String::with_capacity(RECEIVED_AT_BYTES);
    json.push('"');
    // A text takes everything.
    let _ = RECEIVED_AT.print_timestamp(&time, &mut json);
    json.push('"');
    json
}
