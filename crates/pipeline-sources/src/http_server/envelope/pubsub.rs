//! A push of Google Cloud Pub/Sub: one message, whose `data` is the event in base64. Any 2xx acknowledges it.

use super::data::{decoded, one_value};
use super::{Found, members, no_envelope};
use crate::http::Refusal;
use bytes::Bytes;
use pipeline_core::Reason;

/// The parameter of the push URL that may hold the secret: Pub/Sub cannot set a header.
pub(super) const SECRET_PARAMETER: &str = "token";

/// The event in a push.
pub(super) fn open(text: &Bytes) -> Result<Result<Bytes, Reason>, Refusal> {
    let message = members(text, ["message"]).and_then(|[message]| match message {
        Found::Once(message) => Some(text.slice(message)),
        _ => None,
    });
    let opened = message.and_then(|message| {
        let [data] = members(&message, ["data"])?;
        Some((message, data))
    });
    let (message, data) = opened.ok_or_else(|| {
        no_envelope(
            "is not a push of Pub/Sub",
            "a JSON object whose `message` is an object with `data`",
        )
    })?;
    Ok(decoded(&message, &data, "message.data").and_then(|data| one_value(&data)))
}
