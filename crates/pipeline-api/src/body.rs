//! The body of a request: JSON, of a bounded size, within a bounded time.
//!
//! Invariant: a refusal says where a body is wrong, and quotes nothing of it.

use crate::answer::Refusal;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Bytes of a body at most.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;
/// How long a client may take to send it.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// Reads the body of a request.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let media = request.headers().get(header::CONTENT_TYPE);
    let media = media.and_then(|media| media.to_str().ok());
    let media = media.and_then(|media| media.split(';').next());
    if !media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
        let message = "send the body as `application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Refusal::new(status, "unsupported_media_type", message));
    }
    let read = to_bytes(request.into_body(), MAX_BODY_BYTES);
    let read = tokio::time::timeout(BODY_LIMIT, read).await;
    let read = read.map_err(|_| {
        let message = "the body did not come in time";
        Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })?;
    let body = read.map_err(|_| {
        let message = format!("the body breaks off, or is larger than {MAX_BODY_BYTES} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() {
            "is not what this path takes"
        } else {
            "is not JSON"
        };
        let message = format!("the body {what}: line {line}, column {column}");
        Refusal::new(StatusCode::BAD_REQUEST, "bad_body", message)
    })
}
