//! Why an event is not sent: the closed set of codes that mapping and validation use, with a sentence each.
//!
//! What delivery adds to the set stands in `response/table.rs`.

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
    consent = "the visitor has not granted every consent category that the sink needs";
    not_a_conversion = "identify, group and alias calls are not conversions; their traits travel with later events";
    unmapped = "the preset has no Meta event for this event; add it under `event_mappings`, or set `unmapped_events: custom`";
    no_event_name = "a track call needs an `event` with a name, and a call of another kind a `type`";
    event_name_too_long = "the event name has more than 50 characters, which is the most a custom event can have at Meta";
    in_future = "the event's time is more than ten minutes ahead; check the sender's clock";
    missing_value = "Meta takes no Purchase without a value; send `total`, `revenue` or `value`, or map another property to `custom_data.value`";
    missing_currency = "Meta takes no Purchase and no OrderCreated without a currency; send `currency` (ISO 4217), or set `default_currency`";
    missing_app_data = "Meta takes no app event without `app_data`: the system (Android or iOS) and its version, and whether tracking is allowed; send `context.os` and `context.device`";
    attribution_not_supported = "Meta takes no AppendAttribution without `attribution_data`, which this sink does not make; map the event to another name";
    missing_messaging_channel = "an event of a conversation needs a `messaging_channel`: messenger, whatsapp or instagram";
    messaging_event_not_allowed = "Meta does not take this event from a conversation; map it to one that it takes, such as Purchase or LeadSubmitted";
    missing_messaging_ids = "the ids of the conversation are missing: `page_id` and `page_scoped_user_id` for messenger, `ctwa_clid` and `whatsapp_business_account_id` (or `page_id`) for whatsapp, `ig_account_id` and `ig_sid` for instagram";
    weak_identity = "what is known of the person is too little for Meta to match; an e-mail, a phone number, an id, an IP address or a browser id would do";
}

/// Something is given at a place of consent, and nothing there can be read as consent to what the sink needs.
pub(crate) fn consent_unreadable(place: &Path, categories: &str, expected: &str) -> Reason {
    Reason::new(
        "consent_unreadable",
        format!(
            "what `{place}` holds cannot be read as consent to `{categories}`, and it may be a refusal; expected is {expected}"
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
