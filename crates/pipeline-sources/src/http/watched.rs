//! A stream, and the bodies of answers, whose connection knows what becomes of them: when bytes come, and when an answer is
//! written.

use super::connections::{Answer, Connection};
use axum::body::{Body, HttpBody};
use bytes::{Buf as _, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream that can be waited for without memory for what comes.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {
    /// Waits until there may be something to read, or the end.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Stream for TcpStream {
    async fn readable(&self) -> io::Result<()> {
        self.readable().await
    }
}

impl Stream for TlsStream<TcpStream> {
    async fn readable(&self) -> io::Result<()> {
        let (stream, tls) = self.get_ref();
        // What has been decrypted already does not come again.
        if !tls.wants_read() {
            return Ok(());
        }
        stream.readable().await
    }
}

/// A stream whose connection knows when bytes come, and whether all has been written.
pub(super) struct Watched<S> {
    stream: S,
    connection: Arc<Connection>,
    /// Whether bytes between two requests begin a head.
    begin_heads: bool,
    /// What was read too early, and comes first.
    more: Bytes,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, connection: &Arc<Connection>, begin_heads: bool) -> Self {
        Self {
            stream,
            connection: Arc::clone(connection),
            begin_heads,
            more: Bytes::new(),
        }
    }

    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Whether something was put back.
    pub(super) fn has_more(&self) -> bool {
        !self.more.is_empty()
    }

    /// These bytes were read, and come again.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.more = bytes;
    }
}

impl<S: Stream> Watched<S> {
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = if self.more.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buffer)
        } else {
            let count = self.more.len().min(buffer.remaining());
            buffer.put_slice(&self.more[..count]);
            self.more.advance(count);
            if self.more.is_empty() {
                // The memory that it was a part of.
                self.more = Bytes::new();
            }
            Poll::Ready(Ok(()))
        };
        if self.begin_heads && buffer.filled().len() > before {
            self.connection.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.writes();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever writes flushes when everything is written.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.connection.has_written();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.writes();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.writes();
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The body of an answer, which is dropped when it has been handed over to be written.
pub(super) struct Written {
    body: Body,
    _answer: Answer,
}

impl Written {
    pub(super) fn new(body: Body, answer: Answer) -> Self {
        Self {
            body,
            _answer: answer,
        }
    }
}

impl HttpBody for Written {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request, which may be dropped before its end.
pub(super) struct Arriving {
    body: Incoming,
    has_ended: bool,
    connection: Arc<Connection>,
}

impl Arriving {
    pub(super) fn new(body: Incoming, connection: &Arc<Connection>) -> Self {
        Self {
            body,
            has_ended: false,
            connection: Arc::clone(connection),
        }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.has_ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.has_ended && !self.body.is_end_stream() {
            self.connection.skips();
        }
    }
}
