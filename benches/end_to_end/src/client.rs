//! Connections that send prepared requests. All of them share one thread: with a thread for each, the clients would take
//! more of the processors than the server that is measured, and its answers would wait for them to be woken.

use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// What the clients run on: this thread alone.
pub(crate) fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// What all clients have measured.
pub(crate) async fn times_of(clients: Vec<JoinHandle<Vec<Duration>>>) -> Vec<Duration> {
    let mut times = Vec::new();
    for client in clients {
        times.append(&mut client.await.expect("requests that are taken"));
    }
    times
}

/// One connection that is kept.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream: BufReader::new(stream),
            line: String::new(),
            body: Vec::new(),
        }
    }

    /// Sends a request, and reads its answer, which has to be 200.
    pub(crate) async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("the server");
        let mut length = 0;
        let mut is_first = true;
        loop {
            self.line.clear();
            let read = self.stream.read_line(&mut self.line).await;
            read.expect("the server");
            let line = self.line.trim_end();
            if std::mem::take(&mut is_first) {
                assert!(line.starts_with("HTTP/1.1 200"), "refused: {line}");
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        self.body.resize(length, 0);
        let read = self.stream.read_exact(&mut self.body).await;
        read.expect("the server");
    }

    /// Whether the server has not closed it.
    pub(crate) fn is_open(&self) -> bool {
        let read = self.stream.get_ref().try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}
