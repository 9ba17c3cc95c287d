//! The parts of answers that several paths share.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

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

/// The answer to a request whose content has problems, each with its place.
pub(crate) fn refuse_with(
    status: StatusCode,
    code: &str,
    message: &str,
    problems: Vec<Value>,
) -> Response {
    let body = json!({ "error": { "code": code, "message": message, "problems": problems } });
    (status, Json(body)).into_response()
}

/// A time as people and programs read it: RFC 3339 in UTC.
pub(crate) fn time(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(time.to_string())
}
