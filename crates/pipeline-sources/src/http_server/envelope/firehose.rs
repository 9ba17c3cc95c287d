//! A request of Amazon Data Firehose: records, whose `data` is one event or several, in base64.
//!
//! Invariant: every answer repeats the id of the request with the time, as the service demands; without them it delivers the
//! records again.

use super::data::decoded;
use super::{Found, Opened, at, members, no_envelope, not_unpacked, plain};
use crate::http::{Events, MAX_EVENTS_PER_REQUEST, Refusal, events};
use axum::Json;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use pipeline_core::Reason;
use serde_json::json;

/// The header with the access key of the stream.
pub(super) const ACCESS_KEY: &str = "x-amz-firehose-access-key";
/// The header with the id of the request, which is in the body as well.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-firehose-request-id");
/// The longest id that is repeated; the service's own have 36 characters.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The events in a request.
pub(super) fn open(text: &Bytes) -> Result<Opened, Refusal> {
    let no_request = || {
        no_envelope(
            "is not a request of Firehose",
            "a JSON object with `requestId` and an array `records`",
        )
    };
    let found = members(text, ["requestId", "records"]).ok_or_else(no_request)?;
    let [Found::Once(id), Found::Once(records)] = found else {
        return Err(no_request());
    };
    let id = plain(&text[id]).filter(|id| is_id(id));
    let request_id = id.ok_or_else(no_request)?.into_owned();
    if text[records.start] != b'[' {
        return Err(no_request());
    }
    let mut all = Events::new();
    for (index, record) in events(&text.slice(records))?.into_iter().enumerate() {
        let place = |reason| at("record", index, reason);
        match record.and_then(|record| of_record(&record)) {
            Ok(events) => all.extend(events.into_iter().map(|event| event.map_err(place))),
            Err(reason) => all.push(Err(place(reason))),
        }
        if all.len() > MAX_EVENTS_PER_REQUEST {
            let message = format!(
                "more than {MAX_EVENTS_PER_REQUEST} events in one request; expected a smaller buffer of the stream"
            );
            return Err(Refusal::new(413, "too_many_events", message));
        }
    }
    Ok(Opened {
        events: all,
        request_id: Some(request_id),
    })
}

/// The events of one record.
fn of_record(record: &Bytes) -> Result<Events, Reason> {
    let Some([data]) = members(record, ["data"]) else {
        return Err(not_unpacked("it is not a record, which is an object"));
    };
    let data = decoded(record, &data, "data")?;
    // What is refused as a body costs one record here.
    events(&data).map_err(|refusal| Reason::new(refusal.code, refusal.message))
}

fn is_id(id: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.bytes().all(known)
}

/// The answer to a request that was taken.
pub(in crate::http_server) fn taken(request_id: &str, now_ms: i64) -> Response {
    Json(json!({"requestId": request_id, "timestamp": now_ms})).into_response()
}

/// The answer to a request that was refused.
pub(in crate::http_server) fn refused(
    refusal: Refusal,
    request_id: Option<&str>,
    now_ms: i64,
) -> Response {
    let body = json!({
        "requestId": request_id, "timestamp": now_ms, "errorMessage": refusal.message,
        "error": {"code": refusal.code, "message": refusal.message},
    });
    let mut answer = refusal.into_response();
    *answer.body_mut() = axum::body::Body::from(body.to_string());
    answer
        .headers_mut()
        .remove(axum::http::header::CONTENT_LENGTH);
    answer
}

/// The id that the head of a request names, where it can be repeated.
pub(in crate::http_server) fn named(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    is_id(id).then(|| id.to_owned())
}
