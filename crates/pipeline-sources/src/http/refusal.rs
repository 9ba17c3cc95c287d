//! Why a request was not taken, as its client hears it.
//!
//! Invariant: a refusal says what was wrong and what was expected, and never repeats what the client sent.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// When a client that was turned away may come back, in seconds.
const RETRY_AFTER_SECS: u16 = 5;

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// From a closed set.
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let answer = Json(json!({"error": {"code": self.code, "message": self.message}}));
        let mut response = (status, answer).into_response();
        if matches!(self.status, 429 | 503) {
            let value = HeaderValue::from(RETRY_AFTER_SECS);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
