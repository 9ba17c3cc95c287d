//! The server: takes connections and answers requests, within limits.
//!
//! Invariant: at most [`MAX_CONNECTIONS`] are open; one that sends its request too slowly is closed; and whatever a client
//! does, the pipeline is not disturbed.

use crate::routes::router;
use crate::shared::Shared;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};

/// Connections that are open at the same time; a further one waits until one of them ends.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send a request, also the next one of its connection.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait after the system refused a connection, for instance because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: AbortHandle,
}

impl Server {
    /// Listens, and answers from now on.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub(crate) async fn start(
        address: SocketAddr,
        guard: crate::guard::Guard,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = router(Arc::new(guard), shared);
        let task = tokio::spawn(serve(listener, router)).abort_handle();
        Ok(Self { address, task })
    }

    /// Ends it, with every connection.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, router: Router) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this task, which ends the connections.
    let mut connections = JoinSet::new();
    loop {
        // It is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, router.clone(), slot));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, router: Router, _slot: OwnedSemaphorePermit) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_LIMIT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A client that breaks off or sends nonsense is its own affair.
    let _ = serving.await;
}
