//! Who may ask what of whom: the API version, the pixel and the access token of a request. The parts of a request go in,
//! Meta's refusal comes out, in Meta's order. A token is compared and forgotten, never kept or told.

use crate::Shared;
use crate::refusal::Refusal;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use jiff::civil::{Date, date};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The versions that take events or did so, and the day each of them ends. The newest have no such day yet.
const VERSIONS: [(&str, Option<Date>); 9] = [
    ("v19.0", Some(date(2026, 5, 21))),
    ("v20.0", Some(date(2026, 9, 24))),
    ("v21.0", Some(date(2027, 1, 21))),
    ("v22.0", Some(date(2027, 5, 20))),
    ("v23.0", Some(date(2027, 10, 8))),
    ("v24.0", Some(date(2028, 2, 18))),
    ("v25.0", Some(date(2028, 7, 29))),
    ("v26.0", None),
    ("v27.0", None),
];
/// The first version of all that is known by its number only: those before the table's have all ended.
const FIRST_VERSION: u32 = 1;

/// An access token and the place it was found in.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) place: &'static str,
}

impl Token {
    /// The token of the `Authorization` header, else of the query, else of the body.
    pub(crate) fn find(parts: &Parts, body: Option<String>) -> Option<Self> {
        let header = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let bearer = header
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let places = [
            ("header", bearer.map(|(_, token)| token.trim().to_owned())),
            ("query", query_value(parts, "access_token")),
            ("body", body),
        ];
        let filled = |(place, token): (_, Option<String>)| {
            token
                .filter(|text| !text.is_empty())
                .map(|text| Self { text, place })
        };
        places.into_iter().find_map(filled)
    }
}

impl Shared {
    /// Refuses an unknown or ended version, an unknown pixel, a missing or bad token, a missing or wrong proof, in this order.
    pub(crate) fn check_access(
        &self,
        parts: &Parts,
        version: &str,
        pixel: &str,
        token: Option<&Token>,
        proof: Option<&str>,
    ) -> Result<(), Refusal> {
        let today = jiff::Timestamp::from_millisecond(self.now_ms())
            .map(|now| jiff::tz::TimeZone::UTC.to_datetime(now).date());
        check_version(version, today.ok(), parts)?;
        let is_numeric = !pixel.is_empty() && pixel.bytes().all(|byte| byte.is_ascii_digit());
        let pixels = &self.options.pixel_ids;
        if !is_numeric || !(pixels.is_empty() || pixels.iter().any(|known| known == pixel)) {
            return Err(Refusal::unknown_object(
                &parts.method.as_str().to_ascii_lowercase(),
            ));
        }
        let Some(token) = token else {
            return Err(Refusal::bad_request(
                104,
                "An access token is required to request this resource.",
            ));
        };
        let tokens = &self.options.access_tokens;
        let is_good = tokens.is_empty() || tokens.contains(&token.text);
        if !is_good || self.faults().is_token_revoked() {
            let message = "Error validating access token: it is invalid or has been revoked.";
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, 190, message));
        }
        match &self.options.app_secret {
            Some(secret) => check_proof(secret, token, proof),
            None => Ok(()),
        }
    }
}

/// Refuses a version that has ended, or that there is not.
fn check_version(version: &str, today: Option<Date>, parts: &Parts) -> Result<(), Refusal> {
    let is_open = |end: Option<Date>| end.is_none_or(|end| today.is_some_and(|today| today < end));
    let known = VERSIONS.iter().find(|(name, _)| *name == version);
    let major = version
        .strip_prefix('v')
        .and_then(|rest| rest.strip_suffix(".0"));
    let is_old = major
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| (FIRST_VERSION..19).contains(&major));
    match known {
        Some((_, end)) if is_open(*end) => Ok(()),
        None if !is_old => Err(Refusal::unknown_path(parts.uri.path())),
        _ => {
            let (newest, _) = VERSIONS[VERSIONS.len() - 1];
            let message = format!(
                "(#2635) You are calling a deprecated version of the Ads API. Please update to the latest version: {newest}."
            );
            Err(Refusal::bad_request(2635, message))
        }
    }
}

/// Refuses a call without the proof that goes with its token: HMAC-SHA256 of the token under the app's secret, in lower-case
/// hexadecimal digits.
fn check_proof(secret: &str, token: &Token, proof: Option<&str>) -> Result<(), Refusal> {
    let Some(proof) = proof else {
        let message = "API calls from the server require an appsecret_proof argument";
        return Err(Refusal {
            kind: "GraphMethodException",
            ..Refusal::bad_request(100, message)
        });
    };
    if proof != proof_of(secret, &token.text) {
        let message = "Invalid appsecret_proof provided in the API argument";
        return Err(Refusal {
            kind: "GraphMethodException",
            ..Refusal::bad_request(100, message)
        });
    }
    Ok(())
}

/// HMAC as RFC 2104 has it, over SHA-256.
fn proof_of(secret: &str, token: &str) -> String {
    const BLOCK: usize = 64;
    let mut key = [0; BLOCK];
    if secret.len() > BLOCK {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret.as_bytes());
    }
    let padded = |pad: u8| key.map(|byte| byte ^ pad);
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(token)
        .finalize();
    let outer = Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize();
    outer.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The first value of a query parameter, percent-decoded.
pub(crate) fn query_value(parts: &Parts, key: &str) -> Option<String> {
    let mut pairs = parts
        .uri
        .query()?
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(name, _)| *name == key)
        .map(|(_, value)| percent_decode(value))
}

fn percent_decode(text: &str) -> String {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                decoded.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = after;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_what_other_tools_compute() {
        for (secret, token, proof) in [
            // From `openssl dgst -sha256 -hmac`.
            (
                "app_secret",
                "access_token",
                "d52ddf968d622d8af8677906b7fbae09ac1f89f7cd5c1584b27544624cc23e5a",
            ),
            (
                "key",
                "The quick brown fox jumps over the lazy dog",
                "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
            ),
            (
                &"k".repeat(131),
                "t",
                "b8316815697bc992b2daaeb25f5b362726ac53c7e5a499a3a53913a8f94c3958",
            ),
        ] {
            assert_eq!(proof_of(secret, token), proof);
        }
    }
}
