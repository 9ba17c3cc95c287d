//! The parts of answers that several paths share.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
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

/// The answer to a query that cannot be read.
pub(crate) fn bad_request(message: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, "bad_request", message)
}

/// The answer to a request about a sink that is not there; `known` are those that are.
pub(crate) fn unknown_sink<'a>(known: impl Iterator<Item = &'a str>) -> Response {
    let known: Vec<_> = known.map(|name| format!("`{name}`")).collect();
    let message = if known.is_empty() {
        "no sink of this name is running; the pipeline has not started yet".to_owned()
    } else {
        format!(
            "no sink of this name is running; there are {}",
            known.join(", ")
        )
    };
    refuse(StatusCode::NOT_FOUND, "unknown_sink", &message)
}

/// A time as people and programs read it: RFC 3339 in UTC.
pub(crate) fn time(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(time.to_string())
}
