//! How Meta says no: a code, a subcode and texts in the Graph API's error shape. The codes are those that Meta documents or
//! that have been recorded from it; the user-facing texts are ours, because Meta's are localized and change.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::borrow::Cow;

/// What is wrong with an event, by the subcode that Meta gives under code 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Subcode {
    TooOld = 2_804_003,
    InFuture = 2_804_004,
    Contents = 2_804_008,
    PurchaseWithoutValue = 2_804_009,
    PurchaseWithoutCurrency = 2_804_010,
    PurchaseCurrency = 2_804_011,
    NotHashed = 2_804_016,
    Parameter = 2_804_019,
    ValueWithoutCurrency = 2_804_023,
    LeadId = 2_804_036,
    ExtendedDeviceInfo = 2_804_043,
    TooBroad = 2_804_050,
    MessagingEvent = 2_804_066,
    MissingPageId = 2_804_069,
    MissingClickId = 2_804_071,
    MissingInstagramSid = 2_804_075,
    MissingInstagramAccount = 2_804_079,
    OrderWithoutCurrency = 2_804_081,
    MissingWhatsappAccount = 2_804_116,
}

impl Subcode {
    fn title(self) -> &'static str {
        match self {
            Subcode::TooOld => "Event Timestamp Too Old",
            Subcode::InFuture => "Event Timestamp In The Future",
            Subcode::Contents => "Invalid Contents Parameter",
            Subcode::PurchaseWithoutValue => "Missing Value For Purchase Event",
            Subcode::PurchaseWithoutCurrency => "Missing Currency For Purchase Event",
            Subcode::PurchaseCurrency => "Invalid Currency For Purchase Event",
            Subcode::NotHashed => "User Parameter Not Hashed",
            Subcode::Parameter => "Server Side API Parameter Error",
            Subcode::ValueWithoutCurrency => "Missing Currency For Value",
            Subcode::LeadId => "Invalid Lead ID",
            Subcode::ExtendedDeviceInfo => "Invalid Extended Device Info",
            Subcode::TooBroad => "Customer Information Parameters Too Broad",
            Subcode::MessagingEvent => "Event Type Not Allowed For Messaging",
            Subcode::MissingPageId => "Missing Page ID",
            Subcode::MissingClickId => "Missing Click-to-WhatsApp Click ID",
            Subcode::MissingInstagramSid => "Missing Instagram-Scoped ID",
            Subcode::MissingInstagramAccount => "Missing Instagram Account ID",
            Subcode::OrderWithoutCurrency => "Missing Currency For Order",
            Subcode::MissingWhatsappAccount => "Missing Page Or WhatsApp Business Account ID",
        }
    }
}

/// What is wrong with one event. `path` continues `$['data'][index]`; only [`Subcode::Parameter`] tells it to the sender.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) subcode: Subcode,
    pub(crate) path: String,
    pub(crate) reason: Cow<'static, str>,
}

impl Violation {
    pub(crate) fn new(
        subcode: Subcode,
        path: impl Into<String>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            subcode,
            path: path.into(),
            reason: reason.into(),
        }
    }
}

/// One answer in Meta's error shape.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) code: i64,
    pub(crate) subcode: Option<i64>,
    pub(crate) is_transient: bool,
    pub(crate) message: String,
    /// Title and message for people.
    pub(crate) user_text: Option<Box<(&'static str, String)>>,
    /// The event that is to blame; recorded, and told to the sender only where Meta tells it.
    pub(crate) blamed_index: Option<usize>,
    /// Further headers, of names in lowercase.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: "OAuthException",
            code,
            subcode: None,
            is_transient: false,
            message: message.into(),
            user_text: None,
            blamed_index: None,
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(code: i64, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn unknown_path(path: &str) -> Self {
        Self::bad_request(2500, format!("Unknown path components: {}", excerpt(path)))
    }

    /// Meta's answer for an id that does not exist, is not visible to the token, or cannot do what was asked.
    pub(crate) fn unknown_object(method: &str) -> Self {
        let message = format!(
            "Unsupported {method} request. Object does not exist, cannot be loaded due to missing permissions, or does not support this operation"
        );
        Self {
            kind: "GraphMethodException",
            subcode: Some(33),
            ..Self::bad_request(100, message)
        }
    }

    /// The answer for the first bad event of a batch.
    pub(crate) fn event(index: usize, violation: &Violation) -> Self {
        let user_message = match violation.subcode {
            Subcode::Parameter => format!(
                "{} on param $['data'][{index}]{}",
                violation.reason, violation.path
            ),
            _ => violation.reason.to_string(),
        };
        Self {
            subcode: Some(i64::from(violation.subcode as u32)),
            user_text: Some(Box::new((violation.subcode.title(), user_message))),
            blamed_index: Some(index),
            ..Self::bad_request(100, "Invalid parameter")
        }
    }

    pub(crate) fn into_response(self, trace: &str) -> Response {
        let mut error = json!({
            "message": self.message, "type": self.kind, "code": self.code, "is_transient": self.is_transient, "fbtrace_id": trace,
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = subcode.into();
        }
        if let Some((title, message)) = self.user_text.map(|text| *text) {
            error["error_user_title"] = title.into();
            error["error_user_msg"] = message.into();
        }
        let headers: HeaderMap = self.headers.into_iter().filter_map(header).collect();
        (self.status, headers, Json(json!({ "error": error }))).into_response()
    }
}

fn header((name, value): (&'static str, String)) -> Option<(HeaderName, HeaderValue)> {
    Some((
        HeaderName::from_static(name),
        HeaderValue::try_from(value).ok()?,
    ))
}

/// A sender's text, short enough to be repeated to the sender, without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    const MAX_CHARACTERS: usize = 100;
    text.chars()
        .take(MAX_CHARACTERS)
        .flat_map(char::escape_debug)
        .collect()
}
