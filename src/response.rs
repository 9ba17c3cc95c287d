//! Reads an HTTP response: what it means for the records of its request. The meanings are a table, and [`Code`] is the closed
//! list of the reasons that delivery gives.
//!
//! Invariant: a reason contains our own words, numbers, a trace id and field names, but none of Meta's texts, which are
//! localized and may quote personal data. <https://developers.facebook.com/docs/graph-api/guides/error-handling>

use pause::throttle;
use pipeline_core::Reason;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::fmt::{self, Write as _};
use std::time::Duration;
use table::{Class, EVENT_SUBCODES, INVALID_PARAMETER, SUBCODES, find};

pub(crate) mod pause;
mod table;
mod told;
mod way;

pub(crate) use table::Code;
pub(crate) use told::tell;

/// The pause after Meta blocked the account for its policies.
pub(crate) const POLICY_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Characters of a field name or trace id that are repeated in a reason.
const MAX_NAME_CHARS: usize = 40;
/// Steps of a path into an event that are repeated in a reason.
const MAX_PATH_STEPS: usize = 6;
/// Graph's code for an unknown error that may be temporary.
const UNKNOWN_ERROR: i64 = 1;
/// Words of Meta's for a request that is too large, in lower case.
const LESS: &str = "reduce the amount of data";
/// How a place in the request begins in Meta's texts.
const PLACE: &str = "$['data'][";

/// What a response means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Meta counted this many events; `None` if it did not say.
    Received(Option<u64>),
    /// Nothing was accepted; the same request may succeed later. No event is the cause.
    Retry {
        after: Option<Duration>,
        reason: Reason,
    },
    /// As `Retry`, but one event of the request may be the cause.
    Failed {
        after: Option<Duration>,
        reason: Reason,
    },
    /// The request is too large, and parts of it may pass. For a request with a single event, this is the answer.
    TooLarge(Box<Answer>),
    /// Nothing will be accepted until a person acts.
    Blocked(Reason),
    /// An event of the request is bad; `index` is its position if Meta named it.
    Invalid {
        index: Option<usize>,
        reason: Reason,
    },
    /// The request was refused, by Meta or on the way to it, without a word about whether an event or the configuration is at
    /// fault.
    Refused(Refusal),
}

/// Graph's numbers for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GraphCode {
    pub(crate) code: i64,
    pub(crate) subcode: Option<i64>,
}

impl fmt::Display for GraphCode {
    /// As people look it up: `100/2804019`, `190`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subcode {
            Some(subcode) => write!(f, "{}/{subcode}", self.code),
            None => write!(f, "{}", self.code),
        }
    }
}

/// Meta's codes as text, for a reason.
fn text(given: Option<GraphCode>) -> Option<String> {
    given.map(|given| given.to_string())
}

/// A refusal whose meaning depends on the answers to other requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) sign: Sign,
    /// The codes and the trace id, to be appended to a sentence.
    codes: String,
}

/// What refusals have in common that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Meta's codes.
    Graph(Option<GraphCode>),
    /// The HTTP status of an answer that is not Meta's.
    Way(u16),
}

impl Refusal {
    fn on_the_way(status: u16) -> Self {
        let (sign, codes) = (Sign::Way(status), way::origin(status));
        Self { sign, codes }
    }

    /// Whether something on the way to Meta refused it, so that Meta has not seen it.
    pub(crate) fn is_on_the_way(&self) -> bool {
        matches!(self.sign, Sign::Way(_))
    }

    /// The reason where the event is to blame.
    pub(crate) fn of_event(&self) -> Reason {
        self.because(Code::RefusedInvalid, Code::RefusedOnTheWay)
    }

    /// The reason where every event is refused.
    pub(crate) fn of_all(&self) -> Reason {
        self.because(Code::AllRefused, Code::WayBlocked)
    }

    /// The reason where it is not known yet what is to blame.
    pub(crate) fn unclear(&self) -> Reason {
        self.because(Code::RefusedUnclear, Code::WayUnclear)
    }

    fn because(&self, of_graph: Code, of_way: Code) -> Reason {
        let (code, given) = match self.sign {
            Sign::Graph(given) => (of_graph, given),
            Sign::Way(_) => (of_way, None),
        };
        code.because(format!("{}{}", code.sentence(), self.codes))
            .with_destination(text(given))
    }
}

/// The parts of Graph's error that are read. Each is read independently: a malformed part counts as missing.
struct GraphError<'a> {
    code: i64,
    subcode: Option<i64>,
    /// Code and subcode as Meta gave them; `None` if `code` was only inferred.
    given: Option<GraphCode>,
    is_transient: bool,
    texts: [Option<&'a str>; 2],
    trace: Option<&'a str>,
}

impl<'a> GraphError<'a> {
    fn of(body: &'a Value) -> Option<Self> {
        let error = body.get("error")?.as_object()?;
        let text = |name| error.get(name).and_then(Value::as_str);
        let is_transient = error.get("is_transient").is_some_and(is_true);
        let code = error.get("code").and_then(integer);
        let subcode = error.get("error_subcode").and_then(integer);
        Some(Self {
            // A temporary error is recognized even if its code cannot be read.
            code: code.or(is_transient.then_some(UNKNOWN_ERROR))?,
            subcode,
            given: code.map(|code| GraphCode { code, subcode }),
            is_transient,
            texts: [text("error_user_msg"), text("message")],
            trace: text("fbtrace_id"),
        })
    }

    fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.texts.into_iter().flatten()
    }

    fn is_invalid_parameter(&self) -> bool {
        self.code == INVALID_PARAMETER
    }

    /// Whether Meta asks for `appsecret_proof`, which only the text shows.
    fn asks_for_proof(&self) -> bool {
        self.is_invalid_parameter()
            && self.subcode.is_none()
            && !self.blames_event()
            && self.texts().any(asks_for_proof)
    }

    /// Whether Meta says that the request is too large. The code is that of an unknown error, and only the text says more.
    fn asks_for_less(&self) -> bool {
        self.code == UNKNOWN_ERROR
            && self
                .texts()
                .any(|text| text.to_ascii_lowercase().contains(LESS))
    }

    /// Whether Meta blames an event, by a subcode or by a place in the request.
    fn blames_event(&self) -> bool {
        let has_subcode = self
            .subcode
            .is_some_and(|subcode| EVENT_SUBCODES.contains(&subcode));
        (self.is_invalid_parameter() && has_subcode)
            || self.texts().any(|text| text.contains(PLACE))
    }

    /// ` (code 100, subcode 2804009, fbtrace_id A1)`.
    fn codes(&self) -> String {
        let mut text = format!(" (code {}", self.code);
        if let Some(subcode) = self.subcode {
            let _ = write!(text, ", subcode {subcode}");
        }
        if let Some(trace) = self.trace.filter(|id| is_name(id)) {
            let _ = write!(text, ", fbtrace_id {trace}");
        }
        text.push(')');
        text
    }
}

fn integer(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true) || value.as_str() == Some("true") || value.as_i64() == Some(1)
}

/// Reads a response that came at `now`, in seconds since the Unix epoch. The status counts only if the body says nothing.
pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8], now: i64) -> Answer {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(error) = GraphError::of(&json) {
        return read_error(status, &error, headers, now);
    }
    match json.as_object() {
        Some(receipt) if status == 200 && receipt.get("error").is_none_or(Value::is_null) => {
            let count = receipt.get("events_received").and_then(integer);
            Answer::Received(count.and_then(|count| u64::try_from(count).ok()))
        }
        _ => way::read(status, headers, body, now),
    }
}

/// The meaning of a status, for an error of Graph's whose code says nothing.
fn read_status(status: u16, headers: &HeaderMap, given: Option<GraphCode>, now: i64) -> Answer {
    let code = match status {
        429 => Code::Throttled,
        408 | 500.. => Code::ServerError,
        _ => Code::UnreadableAnswer,
    };
    let reason = code.because(format!("{} (HTTP status {status})", code.sentence()));
    let reason = reason.with_destination(text(given));
    passing(code, throttle(headers, now), reason)
}

/// An answer after which the same request may succeed.
fn passing(code: Code, after: Option<Duration>, reason: Reason) -> Answer {
    match code.class() {
        Class::Throttle => Answer::Retry { after, reason },
        _ => Answer::Failed { after, reason },
    }
}

fn read_error(status: u16, error: &GraphError, headers: &HeaderMap, now: i64) -> Answer {
    let known = if error.asks_for_proof() {
        Some(Code::AppSecretRequired)
    } else {
        find(error.code, error.subcode).map(|row| row.code)
    };
    let code = match known {
        Some(code)
            if !error.is_transient || matches!(code, Code::Throttled | Code::PolicyBlock) =>
        {
            code
        }
        _ if error.is_transient => Code::ServerError,
        // An undocumented code rejects the event only if the status says that the request is at fault.
        None if (400..500).contains(&status) && !matches!(status, 408 | 429) => {
            Code::RefusedInvalid
        }
        _ => return read_status(status, headers, error.given, now),
    };
    let located = error.texts().find_map(locate);
    let path = located.as_ref().map_or("", |(_, path)| path);
    let reason = code
        .because(explain(code, error, path))
        .with_destination(text(error.given));
    match code.class() {
        Class::Transient if error.asks_for_less() => {
            let reason = Code::TooLarge
                .because(format!("{}{}", Code::TooLarge.sentence(), error.codes()))
                .with_destination(text(error.given));
            let after = throttle(headers, now);
            Answer::TooLarge(Box::new(Answer::Failed { after, reason }))
        }
        Class::Transient | Class::Throttle => passing(code, throttle(headers, now), reason),
        Class::PolicyBlock => Answer::Retry {
            after: Some(POLICY_PAUSE),
            reason,
        },
        Class::Blocked => Answer::Blocked(reason),
        Class::InvalidData if !error.blames_event() => {
            let refused = Answer::Refused(Refusal {
                sign: Sign::Graph(error.given),
                codes: error.codes(),
            });
            if status == way::TOO_LARGE {
                Answer::TooLarge(Box::new(refused))
            } else {
                refused
            }
        }
        Class::InvalidData => Answer::Invalid {
            index: located.map(|(index, _)| index),
            reason,
        },
    }
}

/// What happened, and the codes and the field that Meta gave.
fn explain(code: Code, error: &GraphError, path: &str) -> String {
    let words = SUBCODES
        .iter()
        .find(|(subcode, _)| error.is_invalid_parameter() && error.subcode == Some(*subcode))
        .filter(|_| code == Code::RefusedInvalid);
    let mut text = words.map_or_else(
        || code.sentence().to_owned(),
        |(_, words)| format!("Meta refused the event: {words}"),
    );
    text.push_str(&error.codes());
    if !path.is_empty() {
        let _ = write!(text, " at {path}");
    }
    text
}

/// Whether a text says in Meta's own words that `appsecret_proof` is missing or wrong.
///
/// Meta may quote an event's values, and a visitor who puts this name into one must not stop the sink. So the name counts only
/// if nothing but words is before it, no quotation mark and no path.
fn asks_for_proof(text: &str) -> bool {
    let words = text.strip_prefix("(#100)").unwrap_or(text);
    words
        .split_once("appsecret_proof")
        .is_some_and(|(before, _)| before.chars().all(|c| c.is_alphabetic() || c == ' '))
}

/// The position and the field in `$['data'][3]['user_data']['em']`: `(3, "user_data.em")`.
///
/// Meta may quote an event's values. If a text has two different positions, a visitor could have written one of them, so that
/// neither counts.
fn locate(text: &str) -> Option<(usize, String)> {
    let mut named = text.split(PLACE).skip(1).map(|rest| {
        let (index, steps) = rest.split_once(']')?;
        Some((index.parse().ok()?, field(steps)))
    });
    let (index, field) = named.next()??;
    let agrees = |other: Option<(usize, String)>| other.is_some_and(|(other, _)| other == index);
    named.all(agrees).then_some((index, field))
}

/// The steps of `['user_data']['em']` as `user_data.em`, up to the first that is not a name.
fn field(mut rest: &str) -> String {
    let mut steps = Vec::new();
    while let Some((step, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        let name = step.trim_matches('\'');
        if steps.len() == MAX_PATH_STEPS || !is_name(name) {
            break;
        }
        steps.push(name);
        rest = after;
    }
    steps.join(".")
}

/// Whether a text can be the name of a field: short, with plain characters, not a hash, an address or a phone number.
fn is_name(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    plain
        && !text.is_empty()
        && text.len() <= MAX_NAME_CHARS
        && (digits < text.len() || digits <= 3)
}

#[cfg(test)]
mod tests;
