//! What an element of an envelope carries: base64 in either alphabet, and the JSON value inside.

use super::{Found, not_unpacked, plain};
use crate::http::read_value;
use crate::line::{MAX_LINE_BYTES, too_large};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use pipeline_core::Reason;
use std::borrow::Cow;

/// The usual alphabet, with or without padding.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the member of this name holds in base64.
pub(super) fn decoded(text: &[u8], found: &Found, name: &str) -> Result<Bytes, Reason> {
    let value = match found {
        Found::Once(value) => &text[value.clone()],
        Found::Absent => return Err(not_unpacked(format!("`{name}` is missing"))),
        Found::Again => return Err(again(name)),
    };
    let wrong = || not_unpacked(format!("`{name}` is not base64"));
    let encoded = plain(value).ok_or_else(wrong)?;
    let encoded: Cow<'_, str> = if encoded.contains(['-', '_']) {
        encoded.replace('-', "+").replace('_', "/").into()
    } else {
        encoded
    };
    let bytes = ENGINE.decode(encoded.as_bytes()).map_err(|_| wrong())?;
    if bytes.is_empty() {
        return Err(not_unpacked(format!("`{name}` is empty")));
    }
    Ok(bytes.into())
}

/// A member that is there more than once.
pub(super) fn again(name: &str) -> Reason {
    not_unpacked(format!("`{name}` is there more than once"))
}

/// The one JSON value that the bytes are.
pub(super) fn one_value(bytes: &Bytes) -> Result<Bytes, Reason> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = text.trim_ascii();
    if text.len() > MAX_LINE_BYTES {
        return Err(too_large());
    }
    if read_value(text, 0) == Ok(text.len()) {
        return Ok(bytes.slice_ref(text));
    }
    let problem = "the data is not one JSON value";
    Err(Reason::new("malformed_json", problem))
}
