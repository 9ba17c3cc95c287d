//! An HTTP response in, what it means for the records of its request out: a table, not code paths.
//!
//! Invariant: a reason holds our own words, numbers, a trace id and field names; Meta's texts, which are localised and
//! may quote personal data, stay out. <https://developers.facebook.com/docs/graph-api/guides/error-handling>

use pipeline_core::Reason;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::borrow::Cow;
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

macro_rules! codes {
    ($($name:ident = $code:literal: $meaning:literal;)*) => {
        /// The closed set of reason codes that delivery gives, whoever asks for them: metrics, filters, dead letters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $(#[doc = concat!("`", $code, "`: ", $meaning)] $name,)*
        }

        impl Code {
            #[cfg(test)]
            pub(crate) const ALL: &[Code] = &[$(Code::$name),*];

            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $code,)*
                }
            }
        }
    };
}

codes! {
    ServerError = "server_error": "Meta has a passing fault; retried.";
    Throttled = "throttled": "Meta limits the rate of calls; retried after the pause it asks for.";
    PolicyBlock = "policy_block": "Meta blocks the account over its policies for a while; retried after an hour.";
    UnreadableAnswer = "unreadable_answer": "what answered is not Meta, or was cut; retried.";
    Timeout = "timeout": "no answer within `timeout_secs`; retried.";
    ConnectionFailed = "connection_failed": "no connection, or it broke before the answer was whole; retried.";
    NotConfirmed = "not_confirmed": "Meta answered well and did not count the event; retried, and rejected if it stood alone.";
    ManyRefused = "many_refused": "the batch has more bad events than one attempt takes apart; the rest is retried.";
    TokenExpired = "token_expired": "a new access token is needed; blocked.";
    TokenInvalid = "token_invalid": "a good access token is needed; blocked.";
    PermissionMissing = "permission_missing": "the token's owner may not use the pixel so; blocked.";
    PixelNotFound = "pixel_not_found": "the pixel does not exist for this token; blocked.";
    PathUnknown = "path_unknown": "version or path do not exist, or no token was seen; blocked.";
    DatasetNotLinked = "dataset_not_linked": "the dataset lacks its page or account; blocked.";
    RefusedInvalid = "refused_invalid": "Meta refused this event for what it holds; rejected.";
    Expired = "expired": "the event grew too old while it waited; rejected.";
}

impl Code {
    pub(crate) fn reason(self, detail: impl Into<Cow<'static, str>>) -> Reason {
        Reason::new(self.as_str(), detail)
    }
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
    code: Code,
    sentence: &'static str,
}

const fn row(
    codes: RangeInclusive<i64>,
    subcodes: Option<RangeInclusive<i64>>,
    class: Class,
    code: Code,
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
const INVALID: &str = "Meta refused the event: a parameter is invalid";
/// Graph's code for a parameter that is invalid; its subcodes say which.
const INVALID_PARAMETER: i64 = 100;
/// Graph's code for an unknown error that may pass.
const UNKNOWN_ERROR: i64 = 1;

/// Every code we know.
pub(crate) static ROWS: &[Row] = &[
    row(
        i64::MIN..=-1,
        None,
        Class::Transient,
        Code::ServerError,
        TROUBLE,
    ),
    row(1..=2, None, Class::Transient, Code::ServerError, TROUBLE),
    row(
        5000..=5000,
        None,
        Class::Transient,
        Code::ServerError,
        TROUBLE,
    ),
    row(4..=4, None, Class::Throttle, Code::Throttled, LIMIT),
    row(17..=17, None, Class::Throttle, Code::Throttled, LIMIT),
    row(32..=32, None, Class::Throttle, Code::Throttled, LIMIT),
    row(341..=341, None, Class::Throttle, Code::Throttled, LIMIT),
    row(613..=613, None, Class::Throttle, Code::Throttled, LIMIT),
    row(80000..=80014, None, Class::Throttle, Code::Throttled, LIMIT),
    row(
        368..=368,
        None,
        Class::PolicyBlock,
        Code::PolicyBlock,
        "Meta blocks this account for a while over its policies; look at Account Quality",
    ),
    row(
        190..=190,
        Some(463..=463),
        Class::Blocked,
        Code::TokenExpired,
        "the access token has expired; make a new one in Events Manager",
    ),
    row(190..=190, None, Class::Blocked, Code::TokenInvalid, TOKEN),
    row(102..=102, None, Class::Blocked, Code::TokenInvalid, TOKEN),
    row(104..=104, None, Class::Blocked, Code::TokenInvalid, TOKEN),
    row(
        3..=3,
        None,
        Class::Blocked,
        Code::PermissionMissing,
        PERMISSION,
    ),
    row(
        10..=10,
        None,
        Class::Blocked,
        Code::PermissionMissing,
        PERMISSION,
    ),
    row(
        200..=299,
        None,
        Class::Blocked,
        Code::PermissionMissing,
        PERMISSION,
    ),
    row(
        100..=100,
        Some(33..=33),
        Class::Blocked,
        Code::PixelNotFound,
        DATASET,
    ),
    row(33..=33, None, Class::Blocked, Code::PixelNotFound, DATASET),
    row(
        803..=803,
        None,
        Class::Blocked,
        Code::PixelNotFound,
        DATASET,
    ),
    row(
        2_044_055..=2_044_055,
        None,
        Class::Blocked,
        Code::PixelNotFound,
        DATASET,
    ),
    row(
        2500..=2500,
        None,
        Class::Blocked,
        Code::PathUnknown,
        "Meta does not know this path or saw no token; check `api_version`, `pixel_id` and the token",
    ),
    row(
        100..=100,
        Some(2_804_065..=2_804_065),
        Class::Blocked,
        Code::DatasetNotLinked,
        LINK,
    ),
    row(
        100..=100,
        Some(2_804_131..=2_804_132),
        Class::Blocked,
        Code::DatasetNotLinked,
        LINK,
    ),
    row(
        100..=100,
        None,
        Class::InvalidData,
        Code::RefusedInvalid,
        INVALID,
    ),
    row(
        105..=105,
        None,
        Class::InvalidData,
        Code::RefusedInvalid,
        "Meta refused the event: it has too many parameters",
    ),
];

/// What Meta refused an event for, by the subcode of an [`Class::InvalidData`] answer, and what to do where something
/// can be done. Subcodes that are not here, known or not, get the words of their row.
pub(crate) static SUBCODES: &[(i64, &str)] = &[
    (
        2_804_003,
        "it is too old; Meta takes the last 7 days, of physical stores the last 62",
    ),
    (
        2_804_004,
        "its time is in the future; check the sender's clock",
    ),
    (
        2_804_008,
        "`contents` is malformed; it is a list of objects that each have an `id`",
    ),
    (
        2_804_009,
        "a Purchase needs a value; map a property to `custom_data.value`",
    ),
    (
        2_804_010,
        "a Purchase needs a currency; map one to `custom_data.currency`, or set `default_currency`",
    ),
    (
        2_804_011,
        "a Purchase in a currency that Meta does not take; send an ISO 4217 code in use",
    ),
    (2_804_016, "a field of `user_data` is not hashed"),
    (2_804_019, "a parameter is missing, unexpected or malformed"),
    (
        2_804_023,
        "a value needs a currency; map one to `custom_data.currency`, or set `default_currency`",
    ),
    (
        2_804_030,
        "it must say whether its data use is limited; set `limited_data_use`",
    ),
    (
        2_804_036,
        "`lead_id` is none of Meta's; send the 15 to 17 digits that came with the lead",
    ),
    (
        2_804_043,
        "`app_data.extinfo` is invalid; at the least the OS version must be filled",
    ),
    (
        2_804_050,
        "it says too little about the customer; map an e-mail, a phone number, an id or a browser id",
    ),
    (
        2_804_066,
        "business messaging does not take an event of this name; map it to one it takes, such as LeadSubmitted",
    ),
    (2_804_069, "a messaging event needs `page_id`"),
    (
        2_804_071,
        "a WhatsApp event needs `ctwa_clid`, from the message's referral",
    ),
    (
        2_804_072,
        "`page_id` and `ctwa_clid` belong to different pages",
    ),
    (
        2_804_073,
        "`page_id` and `page_scoped_user_id` belong to different pages",
    ),
    (2_804_075, "an Instagram event needs `ig_sid`"),
    (2_804_079, "an Instagram event needs `ig_account_id`"),
    (
        2_804_081,
        "an OrderCreated needs a currency; map one to `custom_data.currency`, or set `default_currency`",
    ),
    (
        2_804_087,
        "`ctwa_clid` is invalid; send it as it came in the message's referral, letter for letter",
    ),
    (
        2_804_116,
        "a messaging event needs `page_id` or `whatsapp_business_account_id`",
    ),
];

/// The parts of Graph's error that are read, each on its own: an odd one is as good as none.
struct GraphError<'a> {
    code: i64,
    subcode: Option<i64>,
    is_transient: bool,
    texts: [Option<&'a str>; 2],
    trace: Option<&'a str>,
}

impl<'a> GraphError<'a> {
    fn of(body: &'a Value) -> Option<Self> {
        let error = body.get("error")?.as_object()?;
        let text = |name| error.get(name).and_then(Value::as_str);
        let is_transient = error.get("is_transient").is_some_and(is_true);
        Some(Self {
            // An error that may pass is read as such even where its code cannot be.
            code: error
                .get("code")
                .and_then(integer)
                .or(is_transient.then_some(UNKNOWN_ERROR))?,
            subcode: error.get("error_subcode").and_then(integer),
            is_transient,
            texts: [text("error_user_msg"), text("message")],
            trace: text("fbtrace_id"),
        })
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

/// Reads a response. The status counts only where the body says nothing.
pub(crate) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(error) = GraphError::of(&body) {
        return read_error(status, &error, headers);
    }
    match body.as_object() {
        Some(receipt) if status == 200 && receipt.get("error").is_none_or(Value::is_null) => {
            let count = receipt.get("events_received").and_then(integer);
            Answer::Received(count.and_then(|count| u64::try_from(count).ok()))
        }
        _ => read_status(status, headers),
    }
}

/// A page that is not Meta's word costs no event: only 401 and 403 mean more than "try again".
fn read_status(status: u16, headers: &HeaderMap) -> Answer {
    let (code, sentence) = match status {
        401 => return Answer::Blocked(Code::TokenInvalid.reason(TOKEN)),
        403 => return Answer::Blocked(Code::PermissionMissing.reason(PERMISSION)),
        429 => (Code::Throttled, LIMIT),
        408 | 500.. => (Code::ServerError, TROUBLE),
        _ => (
            Code::UnreadableAnswer,
            "the answer is not Meta's; look for a proxy or a wrong `endpoint`",
        ),
    };
    let reason = code.reason(format!("{sentence} (HTTP status {status})"));
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

fn read_error(status: u16, error: &GraphError, headers: &HeaderMap) -> Answer {
    let (class, code, sentence) = match find(error.code, error.subcode) {
        Some(row)
            if !error.is_transient || matches!(row.class, Class::Throttle | Class::PolicyBlock) =>
        {
            (row.class, row.code, row.sentence)
        }
        // A code nobody documents costs the event only where the status says that the request is to blame.
        None if !error.is_transient && !matches!(status, 400..=407 | 409..=428 | 430..=499) => {
            return read_status(status, headers);
        }
        None if !error.is_transient => (Class::InvalidData, Code::RefusedInvalid, INVALID),
        _ => (Class::Transient, Code::ServerError, TROUBLE),
    };
    let located = error.texts.iter().flatten().find_map(|text| locate(text));
    let reason = code.reason(explain(class, sentence, error, located.as_ref()));
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

fn explain(
    class: Class,
    sentence: &str,
    error: &GraphError,
    located: Option<&(usize, String)>,
) -> String {
    let words = SUBCODES.iter().find(|(subcode, _)| {
        class == Class::InvalidData
            && error.code == INVALID_PARAMETER
            && error.subcode == Some(*subcode)
    });
    let mut detail = words.map_or_else(
        || sentence.to_owned(),
        |(_, words)| format!("Meta refused the event: {words}"),
    );
    let _ = write!(detail, " (code {}", error.code);
    if let Some(subcode) = error.subcode {
        let _ = write!(detail, ", subcode {subcode}");
    }
    if let Some(trace) = error.trace.filter(|id| is_name(id)) {
        let _ = write!(detail, ", fbtrace_id {trace}");
    }
    detail.push(')');
    if let Some((_, path)) = located.filter(|(_, path)| !path.is_empty()) {
        let _ = write!(detail, " at {path}");
    }
    detail
}

/// The position and the field that `$['data'][3]['user_data']['em']` names: `(3, "user_data.em")`.
///
/// Meta may quote an event's values. A text that names two positions, one of which a visitor could have written, names
/// none.
fn locate(text: &str) -> Option<(usize, String)> {
    let mut named = text.split("$['data'][").skip(1).map(|rest| {
        let (index, steps) = rest.split_once(']')?;
        Some((index.parse().ok()?, field(steps)))
    });
    let (index, field) = named.next()??;
    let agrees = |other: Option<(usize, String)>| other.is_some_and(|(other, _)| other == index);
    named.all(agrees).then_some((index, field))
}

/// The steps of `['user_data']['em']` as `user_data.em`, up to the first that is no name.
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
