//! CloudEvents 1.x: one or an array of them in JSON, or the data alone with its attributes in headers.

use super::data::{again, decoded, one_value};
use super::{Form, Found, at, members, no_envelope, not_unpacked, plain};
use crate::http::{Events, Refusal, events};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;
use pipeline_core::Reason;

const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");
const SINGLE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// How the body of a request with these headers is read.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let content_type = String::from_utf8_lossy(content_type.unwrap_or_default());
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(SINGLE) {
        return Ok(Form::CloudEvent);
    }
    if essence.eq_ignore_ascii_case(BATCH) {
        return Ok(Form::CloudEvents);
    }
    let version = headers.get(SPEC_VERSION).map(HeaderValue::as_bytes);
    if version.is_some_and(is_known) {
        return Ok(Form::Data);
    }
    let expected = format!(
        "the content type `{SINGLE}` or `{BATCH}`, or a header `{SPEC_VERSION}: 1.0` beside the data"
    );
    Err(no_envelope("is not a CloudEvent", &expected))
}

fn is_known(version: &[u8]) -> bool {
    version.starts_with(b"1.")
}

/// The event in one CloudEvent.
pub(super) fn single(text: &Bytes) -> Result<Result<Bytes, Reason>, Refusal> {
    let names = ["specversion"];
    match members(text, names) {
        Some([Found::Once(_) | Found::Again]) => Ok(data(text)),
        _ => Err(no_envelope(
            "is not a CloudEvent",
            "a JSON object with `specversion` and `data`",
        )),
    }
}

/// The events in an array of CloudEvents.
pub(super) fn batch(text: &Bytes) -> Result<Events, Refusal> {
    if text.first() != Some(&b'[') {
        let expected = "a JSON array of CloudEvents";
        return Err(no_envelope("is not a batch of CloudEvents", expected));
    }
    let elements = events(text)?.into_iter().enumerate();
    let unpack = |(index, element): (usize, Result<Bytes, Reason>)| {
        let event = element.and_then(|element| data(&element));
        event.map_err(|reason| at("element", index, reason))
    };
    Ok(elements.map(unpack).collect())
}

/// The event that the body is, beside attributes in headers.
pub(super) fn binary(text: &Bytes) -> Result<Result<Bytes, Reason>, Refusal> {
    one_value(text).map(Ok).map_err(|reason| {
        let status = if reason.code == "malformed_json" {
            422
        } else {
            413
        };
        Refusal::new(status, reason.code, reason.detail)
    })
}

/// The data of one CloudEvent.
fn data(text: &Bytes) -> Result<Bytes, Reason> {
    let names = ["specversion", "data", "data_base64"];
    let Some([version, data, base64]) = members(text, names) else {
        return Err(match text.first() {
            Some(b'{') => Reason::new("malformed_json", "the CloudEvent is not whole JSON"),
            _ => not_unpacked("it is not a CloudEvent, which is an object"),
        });
    };
    match version {
        Found::Once(version)
            if plain(&text[version.clone()]).is_some_and(|text| is_known(text.as_bytes())) => {}
        Found::Absent => return Err(not_unpacked("`specversion` is missing")),
        _ => return Err(not_unpacked("`specversion` is not 1.0")),
    }
    match (data, base64) {
        (Found::Once(data), Found::Absent) => one_value(&text.slice(data)),
        (Found::Absent, base64) => {
            if base64 == Found::Absent {
                return Err(not_unpacked("it has neither `data` nor `data_base64`"));
            }
            one_value(&decoded(text, &base64, "data_base64")?)
        }
        (Found::Again, Found::Absent) => Err(again("data")),
        _ => Err(not_unpacked("it has both `data` and `data_base64`")),
    }
}
