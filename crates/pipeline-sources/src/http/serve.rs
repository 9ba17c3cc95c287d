//! Accepts connections and serves them with a router, within bounds and deadlines, until it is told to stop.
//!
//! Invariant: a failing `accept` is told to the log and tried again after a pause; it never ends the source, never is
//! silent, and never keeps a processor busy.

use super::connections::{Activity, Connections, End, MAX_CONNECTIONS, Place};
use super::deadlines::Deadlines;
use super::http1::{Answering, serve as http1_serve};
use super::proxies::Proxies;
use super::proxy_protocol::{self, Missing};
use super::refusal::Refusal;
use super::refusal_log::{PAUSE, Refusals};
use super::tls::{HTTP_2, Tls};
use super::watched::{Arriving, Stream, Watched, Written};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pipeline_core::{BuildError, Stop};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_service::Service as _;

/// The longest head of a request, and the most that is read of a body at once: what each connection may hold for itself.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Requests that one connection of HTTP/2 may have at the same time.
const MAX_STREAMS: u32 = 8;
/// The longest head of one of them, as HTTP/2 counts it.
#[expect(clippy::cast_possible_truncation, reason = "it is small")]
const MAX_HEAD_LIST_BYTES: u32 = MAX_HEAD_BYTES as u32;
/// Bytes of bodies that a connection of HTTP/2 may bring before they are read.
const WINDOW_BYTES: u32 = 64 * 1024;
/// Requests that a connection of HTTP/2 may break before it is closed.
const MAX_RESET_STREAMS: usize = 64;
/// Before a failed `accept` is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A listener that does not answer yet.
#[derive(Debug)]
pub(crate) struct Server {
    source: Arc<str>,
    listener: TcpListener,
    address: SocketAddr,
    connections: Arc<Connections>,
    deadlines: Deadlines,
    tls: Option<Arc<Tls>>,
    /// Whose connections begin with the PROXY protocol.
    proxies: Option<Arc<Proxies>>,
    refusals: Arc<Refusals>,
    told: Told,
}

/// When the log was told of something that is told once a minute.
#[derive(Debug, Default)]
struct Told(Option<Instant>);

impl Server {
    /// Listens at this address for the source of this name.
    pub(crate) async fn bind(
        source: &str,
        address: SocketAddr,
        deadlines: Deadlines,
    ) -> Result<Self, BuildError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound.await.map_err(|error: io::Error| {
            BuildError::new(format!(
                "source `{source}`: cannot listen on {address}: {error}"
            ))
        })?;
        let source: Arc<str> = source.into();
        Ok(Self {
            refusals: Arc::new(Refusals::new(Arc::clone(&source))),
            source,
            listener,
            address,
            connections: Connections::new(MAX_CONNECTIONS),
            deadlines,
            tls: None,
            proxies: None,
            told: Told::default(),
        })
    }

    /// The same, speaking TLS where there is a certificate.
    pub(crate) fn with_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls.map(Arc::new);
        self
    }

    /// The same, where connections of these proxies begin with the PROXY protocol.
    pub(crate) fn with_proxies(mut self, proxies: Option<Proxies>) -> Self {
        self.proxies = proxies.map(Arc::new);
        self
    }

    /// The refusals of this source, which those of connections are added to.
    pub(crate) fn refusals(&self) -> Arc<Refusals> {
        Arc::clone(&self.refusals)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so, and then what has begun, for `grace` at most.
    pub(crate) async fn serve(mut self, router: Router, stop: &Stop, grace: Duration) {
        let (ending, is_ending) = watch::channel(false);
        let mut tasks = JoinSet::new();
        {
            let mut stopping = pin!(stop.stopping());
            let tls = self.tls.clone();
            let mut following = pin!(async {
                match &tls {
                    Some(tls) => tls.follow().await,
                    None => std::future::pending().await,
                }
            });
            loop {
                let (stream, peer, place) = tokio::select! {
                    () = &mut stopping => break,
                    never = &mut following => match never {},
                    accepted = self.accept() => accepted,
                };
                while let Some(ended) = tasks.try_join_next() {
                    self.tell_panic(&ended);
                }
                let _ = stream.set_nodelay(true);
                let served = Served {
                    place,
                    peer,
                    router: router.clone(),
                    deadlines: self.deadlines,
                    is_ending: is_ending.clone(),
                    refusals: Arc::clone(&self.refusals),
                };
                let way = (self.proxies.clone(), self.tls.clone());
                tasks.spawn(served.start(stream, way));
            }
        }
        drop(self.listener);
        ending.send_replace(true);
        // A client that keeps its connection open must not hold up the end.
        let ended = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace, ended).await;
    }

    /// The next connection, once there is room for it: only a newcomer costs an idle connection its place.
    async fn accept(&mut self) -> (TcpStream, SocketAddr, Place) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.room().await;
                    return (stream, peer, self.connections.open_one());
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    if self.told.is_due(Instant::now()) {
                        let source = &*self.source;
                        tracing::warn!(%source, "cannot accept connections: {error}; it is tried again");
                    }
                    self.connections.close_oldest();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Waits until there may be one more connection, and closes what is idle for that.
    async fn room(&mut self) {
        loop {
            let connections = Arc::clone(&self.connections);
            let freed = connections.freed();
            if connections.has_room() {
                return;
            }
            let closed = connections.close_oldest();
            if self.told.is_due(Instant::now()) {
                let (source, bound) = (&*self.source, connections.bound());
                tracing::warn!(
                    %source,
                    "all {bound} connections are in use, and idle ones are closed to make room: {closed} now; the bound \
                     follows the limit of open files (`ulimit -n`)"
                );
            }
            // Whether a connection has become idle is looked at again.
            let _ = tokio::time::timeout(self.deadlines.linger, freed).await;
        }
    }

    fn tell_panic(&self, ended: &Result<(), tokio::task::JoinError>) {
        if ended.is_err() {
            tracing::error!(source = %self.source, "a connection ended with a panic; please report it");
        }
    }
}

impl Told {
    /// Whether it is time to tell the log again.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self
            .0
            .is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// Whether a client has gone away before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// A connection that is served.
struct Served {
    place: Place,
    peer: SocketAddr,
    router: Router,
    deadlines: Deadlines,
    is_ending: watch::Receiver<bool>,
    refusals: Arc<Refusals>,
}

impl Served {
    /// Hears from a proxy for whom the connection is, and shakes hands, where either is so.
    async fn start(
        mut self,
        mut stream: TcpStream,
        (proxies, tls): (Option<Arc<Proxies>>, Option<Arc<Tls>>),
    ) {
        if proxies.is_some_and(|proxies| proxies.trust(self.peer.ip())) {
            let told = tokio::select! {
                told = Box::pin(tokio::time::timeout(self.deadlines.head, proxy_protocol::read(&mut stream))) => told,
                () = self.place.connection.closing() => return,
                _ = self.is_ending.wait_for(|ending| *ending) => return,
            };
            match told.unwrap_or(Err(Missing::Malformed)) {
                Ok(client) => self.peer = client,
                Err(Missing::Nothing) => return,
                Err(Missing::Malformed) => {
                    let message =
                        "a connection of a trusted proxy does not begin with the PROXY protocol";
                    let refusal = Refusal::new(400, "no_proxy_header", message);
                    return self.refusals.add(&refusal);
                }
            }
        }
        match tls {
            None => self.run(stream).await,
            // What this takes is not for connections without it.
            Some(tls) => Box::pin(self.run_tls(stream, tls)).await,
        }
    }

    /// Shakes hands first, within the time of a head.
    async fn run_tls(mut self, stream: TcpStream, tls: Arc<Tls>) {
        let stream = tokio::select! {
            shaken = tokio::time::timeout(self.deadlines.head, tls.acceptor().accept(stream)) => shaken,
            () = self.place.connection.closing() => return,
            _ = self.is_ending.wait_for(|ending| *ending) => return,
        };
        if let Ok(Ok(stream)) = stream {
            if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
                Box::pin(self.run_http2(stream)).await;
            } else {
                self.run(stream).await;
            }
        }
    }

    async fn run(mut self, stream: impl Stream) {
        let stream = Watched::new(stream, &self.place.connection, true);
        let mut builder = http1::Builder::new();
        builder
            .max_buf_size(MAX_HEAD_BYTES)
            .header_read_timeout(None);
        let (service, deadlines) = (self.service(), self.deadlines);
        let ended = http1_serve(builder, stream, service, self.end(), &deadlines).await;
        count_unreadable(&self.refusals, ended);
    }

    /// The same within the bounds of HTTP/2: what a connection may hold that has not been admitted yet.
    async fn run_http2(mut self, stream: impl Stream) {
        // Frames come at any time, so they do not say that a head is coming.
        let stream = Watched::new(stream, &self.place.connection, false);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD_LIST_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buf_size(MAX_HEAD_BYTES)
            .max_local_error_reset_streams(MAX_RESET_STREAMS);
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), self.service()));
        let linger = self.deadlines.linger;
        let end = tokio::select! {
            ended = serving.as_mut() => return count_unreadable(&self.refusals, ended),
            end = self.end() => end,
        };
        if let Some(limit) = end.limit(linger) {
            // Answers that are being written are finished.
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(limit, serving).await;
        }
    }

    /// What answers a request of this connection.
    fn service(
        &self,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<Written>,
        Error = Infallible,
        Future = Answering,
    > + Unpin
    + use<> {
        let (connection, router, peer) = (
            Arc::clone(&self.place.connection),
            self.router.clone(),
            self.peer,
        );
        service_fn(move |request: Request<Incoming>| -> Answering {
            let begun = connection.begin();
            let answer = connection.answer();
            let mut request = request.map(|body| Body::new(Arriving::new(body, &connection)));
            name_host(&mut request);
            request.extensions_mut().insert(ConnectInfo(peer));
            let answered = router.clone().call(request);
            Box::pin(async move {
                let response = answered.await?;
                drop(begun);
                Ok(response.map(|body| Written::new(body, answer)))
            })
        })
    }

    /// Waits until the connection has to end.
    async fn end(&mut self) -> End {
        let connection = &self.place.connection;
        loop {
            tokio::select! {
                _ = self.is_ending.wait_for(|ending| *ending) => return End::Source,
                () = connection.closing() => return End::Idle,
                () = tokio::time::sleep(self.deadlines.look) => {
                    // One that is idle from now on gives back its buffers.
                    connection.keep(false);
                    match connection.overdue(Instant::now(), &self.deadlines) {
                        None | Some(Activity::Busy) => {}
                        Some(Activity::Idle) => return End::Idle,
                        Some(Activity::Head) => return End::Late,
                    }
                }
            }
        }
    }
}

/// Says in the header `Host` what a request of HTTP/2 says in its target.
fn name_host(request: &mut Request<Body>) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let named = request
        .uri()
        .authority()
        .map(|named| HeaderValue::from_str(named.as_str()));
    if let Some(Ok(named)) = named {
        request.headers_mut().insert(header::HOST, named);
    }
}

/// Counts a head that could not be read: no handler saw it.
fn count_unreadable(refusals: &Refusals, ended: hyper::Result<()>) {
    let refusal = match ended {
        Err(error) if error.is_parse_too_large() => Refusal::new(
            431,
            "head_too_large",
            format!("the head of the request is longer than {MAX_HEAD_BYTES} bytes"),
        ),
        Err(error) if error.is_parse() => {
            let message = "the head of the request is not HTTP/1.1";
            Refusal::new(400, "malformed_head", message)
        }
        _ => return,
    };
    refusals.add(&refusal);
}

#[cfg(test)]
mod tests;
