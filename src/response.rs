//! An HTTP response in, what it means for the records of its request out: a table, not code paths.
//!
//! Invariant: a reason holds our own words, numbers, a trace id and field names; Meta's texts, which are localised and
//! may quote personal data, stay out. <https://developers.facebook.com/docs/graph-api/guides/error-handling>

use pipeline_core::Reason;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest pause taken from an answer's headers.
pub(crate) const MAX_THROTTLE: Duration = Duration::from_secs(60 * 60);
/// How long to leave Meta alone after a block for policy.
pub(crate) const POLICY_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Characters of a field name or trace id that are repeated in a reason.
const MAX_NAME_CHARS: usize = 40;
/// Steps of a path into an event that are repeated in a reason.
const MAX_PATH_STEPS: usize = 6;

/// What a response means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Meta counted this many events; `None` where it did not say.
    Received(Option<u64>),
    /// Nothing was taken; the same request may pass later.
    Retry {
        after: Option<Duration>,
        reason: Reason,
    },
    /// Nothing will be taken until a person acts.
    Blocked(Reason),
    /// An event of the request is unfit; its position, where Meta named it.
    Invalid {
        index: Option<usize>,
        reason: Reason,
    },
}

/// What follows from an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Transient,
    Throttle,
    PolicyBlock,
    /// Auth, permission and configuration alike: a person has to act.
    Blocked,
    InvalidData,
}

/// One line of the table; the first that fits decides.
#[derive(Debug)]
pub(crate) struct Row {
    codes: RangeInclusive<i64>,
    /// `None` fits any subcode and none.
    subcodes: Option<RangeInclusive<i64>>,
    class: Class,
    pub(crate) code: &'static str,
    sentence: &'static str,
}

const fn row(
    codes: RangeInclusive<i64>,
    subcodes: Option<RangeInclusive<i64>>,
    class: Class,
    code: &'static str,
    sentence: &'static str,
) -> Row {
    Row {
        codes,
        subcodes,
        class,
        code,
        sentence,
    }
}

const LIMIT: &str = "Meta limits the rate of calls; sending resumes by itself";
const DATASET: &str = "Meta does not find this pixel or the token may not use it; check `pixel_id` and the token's assets";
const LINK: &str =
    "the dataset lacks a page or account it must be linked to; link it in Events Manager";
const TOKEN: &str = "Meta does not accept the access token; make a new one in Events Manager";
const PERMISSION: &str = "the access token lacks a permission; give its owner access to the pixel";
const TROUBLE: &str = "Meta has a passing fault";

/// Every code we know.
pub(crate) static ROWS: &[Row] = &[
    row(
        i64::MIN..=-1,
        None,
        Class::Transient,
        "server_error",
        TROUBLE,
    ),
    row(1..=2, None, Class::Transient, "server_error", TROUBLE),
    row(5000..=5000, None, Class::Transient, "server_error", TROUBLE),
    row(4..=4, None, Class::Throttle, "throttled", LIMIT),
    row(17..=17, None, Class::Throttle, "throttled", LIMIT),
    row(32..=32, None, Class::Throttle, "throttled", LIMIT),
    row(341..=341, None, Class::Throttle, "throttled", LIMIT),
    row(613..=613, None, Class::Throttle, "throttled", LIMIT),
    row(80000..=80014, None, Class::Throttle, "throttled", LIMIT),
    row(
        368..=368,
        None,
        Class::PolicyBlock,
        "policy_block",
        "Meta blocks this account for a while over its policies; look at Account Quality",
    ),
    row(
        190..=190,
        Some(463..=463),
        Class::Blocked,
        "token_expired",
        "the access token has expired; make a new one in Events Manager",
    ),
    row(190..=190, None, Class::Blocked, "token_invalid", TOKEN),
    row(102..=102, None, Class::Blocked, "token_invalid", TOKEN),
    row(104..=104, None, Class::Blocked, "token_invalid", TOKEN),
    row(
        3..=3,
        None,
        Class::Blocked,
        "permission_missing",
        PERMISSION,
    ),
    row(
        10..=10,
        None,
        Class::Blocked,
        "permission_missing",
        PERMISSION,
    ),
    row(
        200..=299,
        None,
        Class::Blocked,
        "permission_missing",
        PERMISSION,
    ),
    row(
        100..=100,
        Some(33..=33),
        Class::Blocked,
        "pixel_not_found",
        DATASET,
    ),
    row(33..=33, None, Class::Blocked, "pixel_not_found", DATASET),
    row(803..=803, None, Class::Blocked, "pixel_not_found", DATASET),
    row(
        2_044_055..=2_044_055,
        None,
        Class::Blocked,
        "pixel_not_found",
        DATASET,
    ),
    row(
        2500..=2500,
        None,
        Class::Blocked,
        "path_unknown",
        "Meta does not know this path or saw no token; check `api_version`, `pixel_id` and the token",
    ),
    row(
        100..=100,
        Some(2_804_065..=2_804_065),
        Class::Blocked,
        "dataset_not_linked",
        LINK,
    ),
    row(
        100..=100,
        Some(2_804_131..=2_804_132),
        Class::Blocked,
        "dataset_not_linked",
        LINK,
    ),
    row(
        100..=100,
        Some(2_804_003..=2_804_003),
        Class::InvalidData,
        "refused_invalid",
        "Meta refused the event: it is too old",
    ),
    row(
        100..=100,
        Some(2_804_004..=2_804_004),
        Class::InvalidData,
        "refused_invalid",
        "Meta refused the event: its time is in the future",
    ),
    row(
        100..=100,
        Some(2_804_019..=2_804_019),
        Class::InvalidData,
        "refused_invalid",
        "Meta refused the event: a parameter is missing, unexpected or malformed",
    ),
    row(
        100..=100,
        Some(2_804_050..=2_804_050),
        Class::InvalidData,
        "refused_invalid",
        "Meta refused the event: it says too little about the customer",
    ),
    row(
        i64::MIN..=i64::MAX,
        None,
        Class::InvalidData,
        "refused_invalid",
        "Meta refused the event: a parameter is invalid",
    ),
];

#[derive(Deserialize)]
struct Body {
    error: Option<GraphError>,
    events_received: Option<Value>,
}

#[derive(Deserialize)]
struct GraphError {
    code: i64,
    error_subcode: Option<i64>,
    is_transient: Option<bool>,
    message: Option<String>,
    error_user_msg: Option<String>,
    fbtrace_id: Option<String>,
}

/// Reads a response. The status counts only where the body says nothing.
pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Answer {
    match serde_json::from_slice::<Body>(body) {
        Ok(Body {
            error: Some(error), ..
        }) => read_error(&error, headers),
        Ok(Body {
            events_received, ..
        }) if status == 200 => Answer::Received(events_received.as_ref().and_then(Value::as_u64)),
        _ => read_status(status, headers),
    }
}

/// A page that is not Meta's word costs no event: only 401 and 403 mean more than "try again".
fn read_status(status: u16, headers: &HeaderMap) -> Answer {
    let (code, sentence) = match status {
        401 => return Answer::Blocked(Reason::new("token_invalid", TOKEN)),
        403 => return Answer::Blocked(Reason::new("permission_missing", PERMISSION)),
        429 => ("throttled", LIMIT),
        408 | 500.. => ("server_error", TROUBLE),
        _ => (
            "unreadable_answer",
            "the answer is not Meta's; look for a proxy or a wrong `endpoint`",
        ),
    };
    let reason = Reason::new(code, format!("{sentence} (HTTP status {status})"));
    Answer::Retry {
        after: throttle(headers),
        reason,
    }
}

pub(crate) fn find(code: i64, subcode: Option<i64>) -> Option<&'static Row> {
    ROWS.iter().find(|row| {
        row.codes.contains(&code)
            && row
                .subcodes
                .as_ref()
                .is_none_or(|subcodes| subcode.is_some_and(|s| subcodes.contains(&s)))
    })
}

fn read_error(error: &GraphError, headers: &HeaderMap) -> Answer {
    let transient = error.is_transient == Some(true);
    let (class, code, sentence) = match find(error.code, error.error_subcode) {
        Some(row) if !transient || matches!(row.class, Class::Throttle | Class::PolicyBlock) => {
            (row.class, row.code, row.sentence)
        }
        _ => (Class::Transient, "server_error", TROUBLE),
    };
    let mut detail = format!("{sentence} (code {}", error.code);
    if let Some(subcode) = error.error_subcode {
        let _ = write!(detail, ", subcode {subcode}");
    }
    if let Some(trace) = error.fbtrace_id.as_deref().filter(|id| is_name(id)) {
        let _ = write!(detail, ", fbtrace_id {trace}");
    }
    detail.push(')');
    let located = [&error.message, &error.error_user_msg]
        .into_iter()
        .flatten()
        .find_map(|text| locate(text));
    if let Some((_, path)) = located.as_ref().filter(|(_, path)| !path.is_empty()) {
        let _ = write!(detail, " at {path}");
    }
    let reason = Reason::new(code, detail);
    match class {
        Class::Transient | Class::Throttle => Answer::Retry {
            after: throttle(headers),
            reason,
        },
        Class::PolicyBlock => Answer::Retry {
            after: Some(POLICY_PAUSE),
            reason,
        },
        Class::Blocked => Answer::Blocked(reason),
        Class::InvalidData => Answer::Invalid {
            index: located.map(|(index, _)| index),
            reason,
        },
    }
}

/// The position and the field that `$['data'][3]['user_data']['em']` names: `(3, "user_data.em")`.
fn locate(text: &str) -> Option<(usize, String)> {
    let (_, rest) = text.split_once("$['data'][")?;
    let (index, mut rest) = rest.split_once(']')?;
    let mut steps = Vec::new();
    while let Some((step, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        let name = step.trim_matches('\'');
        if steps.len() == MAX_PATH_STEPS || !is_name(name) {
            break;
        }
        steps.push(name);
        rest = after;
    }
    Some((index.parse().ok()?, steps.join(".")))
}

/// Short and of plain characters; not a hash, an address or a phone number.
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

/// The longest pause any header asks for, up to [`MAX_THROTTLE`].
fn throttle(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let json = |name| text(name).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let business = json("x-business-use-case-usage").and_then(|usage| {
        let uses = usage
            .as_object()?
            .values()
            .filter_map(Value::as_array)
            .flatten();
        uses.filter_map(|u| u["estimated_time_to_regain_access"].as_u64())
            .max()
    });
    let account = json("x-ad-account-usage").and_then(|u| u["reset_time_duration"].as_u64());
    let retry_after = text("retry-after").and_then(|text| text.trim().parse().ok());
    [
        business.map(|minutes| minutes.saturating_mul(60)),
        account,
        retry_after,
    ]
    .into_iter()
    .flatten()
    .max()
    .filter(|seconds| *seconds > 0)
    .map(|seconds| Duration::from_secs(seconds).min(MAX_THROTTLE))
}

#[cfg(test)]
mod tests;
