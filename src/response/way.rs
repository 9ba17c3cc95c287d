//! Answers that are not Meta's: pages of proxies, firewalls, gateways and servers that `endpoint` names by mistake. A status and a
//! body go in, and it comes out what they mean for the events.
//!
//! Invariant: such an answer says nothing about the access token or its permissions, and no single one of them rejects an event.

use super::{Answer, Code, Refusal, passing};
use crate::response::pause::throttle;
use reqwest::header::HeaderMap;

/// The status for a request that is too large.
pub(super) const TOO_LARGE: u16 = 413;

/// Reads an answer without JSON of Meta's.
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8], now: i64) -> Answer {
    match status {
        TOO_LARGE => Answer::TooLarge(Box::new(Answer::Refused(Refusal::on_the_way(status)))),
        429 => failed(
            status,
            headers,
            now,
            Code::Throttled,
            "Meta, or a proxy on the way to it, limits the rate of calls",
        ),
        408 | 500.. => failed(
            status,
            headers,
            now,
            Code::ServerError,
            "Meta, or a proxy on the way to it, reports a temporary error",
        ),
        // What asks to come again later says nothing about the events.
        300..=499 if throttle(headers, now).is_some() => Answer::Failed {
            after: throttle(headers, now),
            reason: Refusal::on_the_way(status).unclear(),
        },
        300..=499 => Answer::Refused(Refusal::on_the_way(status)),
        // Some firewalls answer with a page and the status of success.
        200..=299 if is_page(body) => Answer::Refused(Refusal::on_the_way(status)),
        _ => failed(
            status,
            headers,
            now,
            Code::UnreadableAnswer,
            Code::UnreadableAnswer.sentence(),
        ),
    }
}

fn failed(status: u16, headers: &HeaderMap, now: i64, code: Code, sentence: &str) -> Answer {
    let reason = code.because(format!("{sentence} (HTTP status {status})"));
    passing(code, throttle(headers, now), reason)
}

/// Whether a body is markup.
fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// Where such an answer comes from, to be appended to a sentence.
pub(super) fn origin(status: u16) -> String {
    let likely = match status {
        200..=299 => {
            "a page instead of an answer, as firewalls and login pages of networks send it; look at the firewall, and at `proxy`"
        }
        300..=399 => {
            "a redirect, as proxies and login pages of networks send it; check `endpoint` and `proxy`"
        }
        401 => {
            "not Meta's answer: a proxy or a gateway wants credentials of its own; check `proxy` and `endpoint`"
        }
        404 | 405 | 410 | 421 => {
            "not Meta's answer: what answers there is another server; check `endpoint` and `proxy`"
        }
        TOO_LARGE => {
            "not Meta's answer: a proxy or a gateway limits the size of requests; raise its limit"
        }
        _ => {
            "not Meta's answer: it comes from a firewall or a proxy; look at its rules and its log"
        }
    };
    format!(" (HTTP status {status}, {likely})")
}
