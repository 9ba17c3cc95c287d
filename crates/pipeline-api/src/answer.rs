//! The parts of answers that several paths share.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The answer to a request that is not answered.
pub(crate) fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "error": { "code": code, "message": message } });
    let mut response = (status, Json(body)).into_response();
    let header = match status {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
        StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, "60")),
        _ => None,
    };
    if let Some((name, value)) = header {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        refuse(self.status, self.code, &self.message)
    }
}

/// A query that cannot be read.
pub(crate) fn bad_request(message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "bad_request", message)
}

/// A request about a sink that is not there; `known` are those that are.
pub(crate) fn unknown_sink<'a>(known: impl Iterator<Item = &'a str>) -> Refusal {
    let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
    let message = if known.is_empty() {
        "no sink of this name is running; the pipeline has not started yet".to_owned()
    } else {
        format!(
            "no sink of this name is running; there are {}",
            known.join(", ")
        )
    };
    Refusal::new(StatusCode::NOT_FOUND, "unknown_sink", message)
}

/// A time as people and programs read it: RFC 3339 in UTC.
pub(crate) fn time(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(time.to_string())
}
