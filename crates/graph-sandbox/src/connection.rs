//! Connections that can be cut on purpose: a [`Listener`] whose streams carry a [`Cut`] that a handler may pull. What the
//! handler answers afterwards reaches the client in part or not at all, and the connection closes, as in a real outage.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of an answer that a cut in its middle withholds.
const WITHHELD_BYTES: usize = 16;

const WHOLE: u8 = 0;
const CUT_IN_ANSWER: u8 = 1;
const CUT: u8 = 2;

/// The handle on one connection that lets a request end it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<AtomicU8>);

impl Cut {
    /// Closes the connection without an answer.
    pub(crate) fn before_answer(&self) {
        self.0.store(CUT, Ordering::Release);
    }

    /// Closes the connection a few bytes before the end of the answer that follows.
    pub(crate) fn in_answer(&self) {
        self.0.store(CUT_IN_ANSWER, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().cut.clone()
    }
}

/// A TCP listener whose connections can be cut.
pub(crate) struct CuttableListener(pub(crate) TcpListener);

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for each other; a stream that cannot be told so still works.
        let _ = stream.set_nodelay(true);
        (
            CuttableStream {
                stream,
                cut: Cut::default(),
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A TCP stream with its cut. It does not offer vectored writes, so the server hands an answer over in one piece.
pub(crate) struct CuttableStream {
    stream: TcpStream,
    cut: Cut,
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = match self.cut.0.load(Ordering::Acquire) {
            WHOLE => buf,
            CUT_IN_ANSWER => {
                self.cut.before_answer();
                &buf[..buf.len().saturating_sub(WITHHELD_BYTES)]
            }
            _ => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        Pin::new(&mut self.stream).poll_write(cx, allowed)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
