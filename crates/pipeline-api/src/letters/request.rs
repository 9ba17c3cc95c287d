//! What requests about letters bring, and the threads on which they are answered.
//!
//! Invariant: a refusal quotes nothing of a body; and few requests use the disk at a time.

use crate::answer::refuse;
use crate::shared::Shared;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a body at most.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;
/// How long a client may take to send a body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// Which letters are sent again.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Replay {
    /// Those of this reason.
    pub(super) reason: Option<String>,
    /// Those of these ids, of letters or of events.
    pub(super) ids: Vec<String>,
    /// No more than this many.
    pub(super) limit: Option<u64>,
    /// Only say what would be sent.
    pub(super) dry_run: bool,
}

/// Which letters are deleted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {
    pub(super) reason: String,
    /// The name of the sink once more.
    pub(super) confirm: String,
}

/// Reads the body of a request.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Response> {
    let media = request.headers().get(header::CONTENT_TYPE);
    let media = media.and_then(|media| media.to_str().ok());
    let media = media.and_then(|media| media.split(';').next());
    if !media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
        let message = "send the body as `application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(refuse(status, "unsupported_media_type", message));
    }
    let read = to_bytes(request.into_body(), MAX_BODY_BYTES);
    let read = tokio::time::timeout(BODY_LIMIT, read).await;
    let read = read.map_err(|_| {
        let message = "the body did not come in time";
        refuse(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })?;
    let body = read.map_err(|_| {
        let message = format!("the body breaks off, or is larger than {MAX_BODY_BYTES} bytes");
        refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message)
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() {
            "is not what this path takes"
        } else {
            "is not JSON"
        };
        let message = format!("the body {what}: line {line}, column {column}");
        refuse(StatusCode::BAD_REQUEST, "bad_body", &message)
    })
}

/// Does something with letters on a thread that may block.
pub(super) async fn on_thread<R: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Response> {
    let failed = || {
        let message = "the program failed on this request; please report it";
        refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    };
    // It is never closed.
    let permit = Arc::clone(&shared.letters.readers).acquire_owned().await;
    let permit = permit.map_err(|_| failed())?;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    done.await.map_err(|_| failed())
}
