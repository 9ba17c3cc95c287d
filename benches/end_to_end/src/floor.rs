//! The least that a server of events could do: read the body, map each event with the sink's `encode`, and answer 200. Nothing
//! is checked, kept or delivered. It runs in a process of its own, so that its processor time is told apart.

use crate::process::Process;
use crate::retail;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use pipeline_core::{Clock as _, Encoded, Event, Sink, SystemClock};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The argument that makes this program the server.
pub(crate) const NAME: &str = "floor";

#[derive(Deserialize)]
struct Batch<'b> {
    #[serde(borrow)]
    batch: Vec<&'b RawValue>,
}

/// Starts it; what it says first is its address, behind `address=`.
pub(crate) fn start() -> Process {
    let this = std::env::current_exe().expect("a program");
    Process::start(&this, &[NAME])
}

/// Serves until the process is ended; where it listens is told on standard error, as the program `pipeline` does it.
#[expect(
    clippy::print_stderr,
    reason = "whoever started it reads where it listens"
)]
pub(crate) fn serve() {
    let sink: Arc<dyn Sink> = retail::sink().into();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/v1/batch", post(take))
            .route("/v1/track", post(take_one))
            .with_state(sink);
        eprintln!("listening address={address} ");
        axum::serve(listener, router).await.expect("a server");
    });
}

async fn take_one(State(sink): State<Arc<dyn Sink>>, body: Bytes) -> &'static str {
    encode(&*sink, body, SystemClock.now_ms());
    "ok"
}

async fn take(State(sink): State<Arc<dyn Sink>>, body: Bytes) -> &'static str {
    let received_ms = SystemClock.now_ms();
    let batch: Batch<'_> = serde_json::from_slice(&body).expect("a batch");
    for raw in batch.batch {
        encode(&*sink, body.slice_ref(raw.get().as_bytes()), received_ms);
    }
    "ok"
}

fn encode(sink: &dyn Sink, event: Bytes, received_ms: i64) {
    let encoded = sink.encode(&Event::new(event, received_ms));
    assert!(matches!(encoded, Encoded::Record(_)), "a good event");
}
