//! Why an event is not sent: the closed set of codes that mapping and validation use, with a sentence each.
//!
//! The codes of delivery are in `response/table.rs`.

use json_paths::{Path, ReadError};
use pipeline_core::Reason;

macro_rules! reasons {
    ($($name:ident = $sentence:literal;)*) => {
        $(pub(crate) fn $name() -> Reason {
            Reason::new(stringify!($name), $sentence)
        })*
    };
}

reasons! {
    consent = "the visitor did not grant every consent category that the sink requires";
    not_a_conversion = "identify, group and alias calls are not conversions";
    unmapped = "the preset has no Meta event for this event; add it under `event_mappings`, or set `unmapped_events: custom`";
    dropped_by_config = "`event_mappings` maps the event to `null`, which drops it";
    no_event_name = "a track call needs an `event` with a name; any other call needs a `type`";
    event_name_too_long = "the event name has more than 50 characters, which is Meta's limit for custom events";
    in_future = "the event's time is more than ten minutes in the future; check the sender's clock";
    missing_value = "Meta does not accept a Purchase without a value; send `total`, `revenue` or `value`, or map another property to `custom_data.value`";
    missing_currency = "Meta does not accept a Purchase or an OrderCreated without a currency; send `currency` (ISO 4217), or set `default_currency`";
    missing_app_data = "Meta does not accept an app event without `app_data`: the system (Android or iOS) and its version, and whether tracking is allowed; send `context.os` and `context.device`";
    attribution_not_supported = "Meta does not accept an AppendAttribution without `attribution_data`, which this sink does not support; map the event to another name";
    missing_messaging_channel = "an event from a conversation needs a `messaging_channel`: messenger, whatsapp or instagram";
    messaging_event_not_allowed = "Meta does not accept this event from a conversation; map it to one that it accepts, such as Purchase or LeadSubmitted";
    missing_messaging_ids = "the ids of the conversation are missing: `page_id` and `page_scoped_user_id` for messenger, `ctwa_clid` and `whatsapp_business_account_id` (or `page_id`) for whatsapp, `ig_account_id` and `ig_sid` for instagram";
    weak_identity = "too little identity for Meta to match; add an e-mail, a phone number, an external id, an IP address or a browser id";
}

/// A place of consent has a value, but nothing there can be read as consent to what the sink requires.
pub(crate) fn consent_unreadable(place: &Path, categories: &str, expected: &str) -> Reason {
    Reason::new(
        "consent_unreadable",
        format!(
            "the value of `{place}` cannot be read as consent to `{categories}`, and may be a refusal; expected {expected}"
        ),
    )
}

pub(crate) fn malformed_json(why: ReadError) -> Reason {
    let detail = match why {
        ReadError::NotAnObject => "the event is not a JSON object".to_owned(),
        ReadError::NotUtf8 { valid } => {
            format!("the event is not valid UTF-8 from byte {valid} on")
        }
        ReadError::Cut { byte } => {
            format!("the event ends in the middle of its JSON, after {byte} bytes")
        }
        ReadError::Malformed { byte } => format!("the event is not valid JSON at byte {byte}"),
        other => format!("the event cannot be read: {other}"),
    };
    Reason::new("malformed_json", detail)
}

pub(crate) fn too_old(days: i64) -> Reason {
    Reason::new(
        "too_old",
        format!(
            "the event is more than {days} days old, and Meta refuses a whole request for one such event"
        ),
    )
}
