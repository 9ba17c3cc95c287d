//! Who may ask what of whom: the API version, the pixel and the access token of a request. The parts of a request go in,
//! Meta's refusal comes out, in Meta's order. A token is compared and forgotten, never kept or told.

use crate::Shared;
use crate::refusal::Refusal;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use jiff::civil::{Date, date};

/// The versions that take events, and the day each of them ends. Newer ones have no such day yet.
const VERSIONS: [(&str, Option<Date>); 6] = [
    ("v21.0", Some(date(2027, 1, 21))),
    ("v22.0", Some(date(2027, 5, 20))),
    ("v23.0", Some(date(2027, 10, 8))),
    ("v24.0", Some(date(2028, 2, 18))),
    ("v25.0", Some(date(2028, 7, 29))),
    ("v26.0", None),
];

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
    /// Refuses an unknown or ended version, an unknown pixel, a missing or bad token, in this order.
    pub(crate) fn check_access(
        &self,
        parts: &Parts,
        version: &str,
        pixel: &str,
        token: Option<&Token>,
    ) -> Result<(), Refusal> {
        let today = jiff::Timestamp::from_millisecond(self.now_ms())
            .map(|now| jiff::tz::TimeZone::UTC.to_datetime(now).date());
        let is_open = |end: Option<Date>| {
            end.is_none_or(|end| today.as_ref().is_ok_and(|today| *today < end))
        };
        if !VERSIONS
            .iter()
            .any(|&(name, end)| name == version && is_open(end))
        {
            return Err(Refusal::unknown_path(parts.uri.path()));
        }
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
        Ok(())
    }
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
