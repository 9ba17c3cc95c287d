//! A connection of HTTP/1.1. While it is idle it holds its socket and nothing else: what reads a request and writes its
//! answer, with its buffers, is made when bytes come and dropped behind the answer. Where requests follow one another it is kept
//! for some seconds.
//!
//! Invariants: no byte that came is lost between two requests; nothing is dropped before an answer is written whole.

use super::connections::{Connection, End};
use super::deadlines::Deadlines;
use super::watched::{Stream, Watched, Written};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

/// The answer to a request.
pub(super) type Answering =
    Pin<Box<dyn Future<Output = Result<Response<Written>, Infallible>> + Send>>;

/// What answers requests.
pub(super) trait Answers:
    Service<Request<Incoming>, Response = Response<Written>, Error = Infallible, Future = Answering>
    + Unpin
{
}

impl<A> Answers for A where
    A: Service<
            Request<Incoming>,
            Response = Response<Written>,
            Error = Infallible,
            Future = Answering,
        > + Unpin
{
}

/// What serves the requests of a connection.
type Serving<S, A> = http1::Connection<TokioIo<Watched<S>>, A>;

/// Why a request is no longer served.
enum Step {
    /// The answer is written, and nothing else has come.
    Rest,
    /// The client has gone, or its request could not be read.
    Gone(hyper::Result<()>),
    /// The connection has to end.
    End(End),
}

/// Serves one request after the other until the client goes away, or `end` says so.
pub(super) async fn serve<S, A>(
    builder: http1::Builder,
    stream: Watched<S>,
    mut service: A,
    end: impl Future<Output = End>,
    deadlines: &Deadlines,
) -> hyper::Result<()>
where
    S: Stream,
    A: Answers,
{
    let (connection, mut end) = (stream.connection(), pin!(end));
    let linger = deadlines.linger;
    let mut io = TokioIo::new(stream);
    let mut rests_since: Option<Instant> = None;
    loop {
        if !io.inner().has_more() {
            let readable = tokio::select! {
                readable = io.inner().readable() => readable,
                _ = end.as_mut() => {
                    let _ = tokio::time::timeout(linger, io.inner_mut().shutdown()).await;
                    return Ok(());
                }
            };
            if readable.is_err() {
                return Ok(());
            }
        }
        // A client that is back so soon will be back again.
        connection.keep(rests_since.is_some_and(|since| since.elapsed() < deadlines.look));
        // A connection that is idle does not take this memory.
        let mut serving = Box::new(builder.serve_connection(io, service));
        match poll_fn(|cx| step(&mut serving, &connection, end.as_mut(), cx)).await {
            Step::Rest => {
                let parts = serving.into_parts();
                (io, service) = (parts.io, parts.service);
                io.inner_mut().put_back(parts.read_buf);
                rests_since = Some(Instant::now());
            }
            Step::Gone(result) => return result,
            Step::End(end) => {
                if let Some(limit) = end.limit(linger) {
                    // An answer that is being written is finished.
                    Pin::new(&mut *serving).graceful_shutdown();
                    let _ = tokio::time::timeout(limit, serving).await;
                }
                return Ok(());
            }
        }
    }
}

fn step<S, A>(
    serving: &mut Serving<S, A>,
    connection: &Connection,
    end: Pin<&mut impl Future<Output = End>>,
    cx: &mut Context<'_>,
) -> Poll<Step>
where
    S: Stream,
    A: Answers,
{
    if let Poll::Ready(result) = Pin::new(&mut *serving).poll(cx) {
        return Poll::Ready(Step::Gone(result));
    }
    // This also says from time to time that buffers are to be given back.
    if let Poll::Ready(end) = end.poll(cx) {
        return Poll::Ready(Step::End(end));
    }
    if connection.is_resting() {
        // It is between two requests: it ends at once, but for the socket.
        Pin::new(&mut *serving).graceful_shutdown();
        if let Poll::Ready(result) = serving.poll_without_shutdown(cx) {
            let gone = |error| Step::Gone(Err(error));
            return Poll::Ready(result.map_or_else(gone, |()| Step::Rest));
        }
    }
    Poll::Pending
}
