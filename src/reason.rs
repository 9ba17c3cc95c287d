//! Why an event is not sent: the closed set of codes that mapping and validation use, with a sentence each.
//!
//! The codes of delivery are in `response/table.rs`.

use crate::payload::action_source::ActionSource;
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
    not_a_conversion = "identify, group and alias calls are not conversions";
    unmapped = "the preset has no Meta event for this event; add it under `event_mappings`, or set `unmapped_events: custom`";
    dropped_by_config = "`event_mappings` maps the event to `null`, which drops it";
    no_event_name = "a track call needs an `event` with a name; any other call needs a `type`";
    event_name_too_long = "the event name has more than 50 characters, which is Meta's limit for custom events";
    private_event_name = "the event's own name contains an e-mail address, a phone number or a token; send a name that is the same for all such events, or map it under `event_mappings`";
    in_future = "the event's time is more than ten minutes in the future; check the sender's clock and that of this machine, and set `time_zone` if the times of events have no offset";
    missing_value = "Meta does not accept a Purchase without a value; send `total`, `revenue` or `value`, or map another property to `custom_data.value`";
    missing_currency = "Meta does not accept a Purchase or an OrderCreated without a currency; send `currency` (ISO 4217), or set `default_currency`";
    unreadable_value = "the value of the Purchase was given, but cannot be read as an amount; send a number, or text such as `1,299.00`";
    unreadable_currency = "a currency was given, but it is not an ISO 4217 code that Meta accepts, or the items have different ones; `default_currency` replaces only a currency that is absent";
    negative_value = "a Purchase below zero would count as negative revenue; send a return as a custom event, such as `Order Refunded: Refund` under `event_mappings`, with the amount above zero";
    missing_app_data = "Meta does not accept an app event without `app_data`: the system (Android or iOS) and its version, and whether tracking is allowed; send `context.os` and `context.device`";
    attribution_not_supported = "Meta does not accept an AppendAttribution without `attribution_data`, which this sink does not support; map the event to another name";
    missing_messaging_channel = "an event from a conversation needs a `messaging_channel`: messenger, whatsapp or instagram";
    messaging_event_not_allowed = "Meta does not accept this event from a conversation; map it to one that it accepts, such as Purchase or LeadSubmitted";
    missing_messaging_ids = "the ids of the conversation are missing: `page_id` and `page_scoped_user_id` for messenger, `ctwa_clid` and `whatsapp_business_account_id` (or `page_id`) for whatsapp, `ig_account_id` and `ig_sid` for instagram";
    digits_lost = "an id has lost its last digits as a floating-point number, and too little else is there for Meta to match; send ids as text";
    weak_identity = "too little identity for Meta to match; add an e-mail, a phone number, an external id, an IP address or a browser id";
}

/// A value at this path refuses a category that the sink requires.
pub(crate) fn consent(at: &str, category: &str) -> Reason {
    let detail = format!("`{at}` refuses `{category}`, which this sink requires");
    Reason::new("consent", detail)
}

/// A list of grants at this path lacks a category that the sink requires.
pub(crate) fn consent_lacking(at: &str, category: &str) -> Reason {
    let detail =
        format!("the grants at `{at}` do not include `{category}`, which this sink requires");
    Reason::new("consent", detail)
}

/// Other categories are granted, these ones are not mentioned.
pub(crate) fn consent_incomplete(categories: &str) -> Reason {
    let detail = format!("nothing in the event grants `{categories}`, which this sink requires");
    Reason::new("consent", detail)
}

/// No place of consent has a value; the places of the options are named first.
pub(crate) fn consent_absent(own_places: &[&str]) -> Reason {
    let built_in = ["context.consent", "context.consentManagement"];
    let places = [own_places, &built_in].concat().join("`, `");
    Reason::new(
        "consent_absent",
        format!(
            "the event says nothing about consent; looked for at `{places}` and the like; \
             name other places in `consent.paths`, or set `consent.when_absent: allow` if consent is obtained elsewhere"
        ),
    )
}

/// A place of consent has a value, but nothing there can be read as consent to what the sink requires.
pub(crate) fn consent_unreadable(
    place: &str,
    found: &str,
    categories: &str,
    expected: &str,
) -> Reason {
    let place = if place.is_empty() {
        "the event".to_owned()
    } else {
        format!("`{place}`")
    };
    Reason::new(
        "consent_unreadable",
        format!(
            "what {place} says about `{categories}` cannot be read, and may be a refusal; found {found}; {expected}"
        ),
    )
}

/// Consent or another wish about privacy is given more than once under one key, and not alike.
pub(crate) fn given_twice(at: Option<&Path>) -> Reason {
    let what = at.map_or_else(|| "a wish about privacy".to_owned(), |at| format!("`{at}`"));
    Reason::new(
        "given_twice",
        format!(
            "{what} is given more than once, with different values, and one of them may be a refusal; send it once"
        ),
    )
}

/// The sender does not want the event at this destination, as it says at this path.
pub(crate) fn integrations(at: &str) -> Reason {
    let detail = format!("the sender excludes this destination: `{at}`");
    Reason::new("integrations", detail)
}

/// What the sender wishes at this path cannot be read.
pub(crate) fn integrations_unreadable(at: &str) -> Reason {
    Reason::new(
        "integrations_unreadable",
        format!(
            "the value of `{at}` cannot be read, and may exclude this destination; expected true, false or an object with options"
        ),
    )
}

/// An event of a file gives a time that cannot be read.
pub(crate) fn unreadable_time(place: &Path) -> Reason {
    Reason::new(
        "unreadable_time",
        format!(
            "the value of `{place}` cannot be read as a time; expected ISO 8601 such as 2026-01-15T12:00:00Z, RFC 2822, or a Unix time"
        ),
    )
}

/// An event says in unknown words where it took place.
pub(crate) fn unknown_action_source(place: &Path) -> Reason {
    let allowed = ActionSource::WORDS.join(", ");
    Reason::new(
        "unknown_action_source",
        format!("the value of `{place}` is not a known place; expected one of {allowed}"),
    )
}

/// An event asks for its data to be used less, in unknown words.
pub(crate) fn unreadable_privacy_wish(place: &Path, expected: &str) -> Reason {
    Reason::new(
        "unreadable_privacy_wish",
        format!(
            "the value of `{place}` cannot be read, and may be a wish about privacy; expected {expected}"
        ),
    )
}

/// An app event says in unknown words whether tracking is allowed.
pub(crate) fn unreadable_tracking(place: &Path, expected: &str) -> Reason {
    Reason::new(
        "unreadable_tracking",
        format!(
            "the value of `{place}` cannot be read, and may be a refusal of tracking; expected {expected}"
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

/// Labels of at most 24 characters, for lists, where the code as words would not say it.
pub(crate) const LABELS: &[(&str, &str)] = &[
    ("unmapped", "not in the preset"),
    ("dropped_by_config", "dropped by the options"),
    ("consent", "no consent"),
    ("consent_absent", "no word about consent"),
    ("consent_unreadable", "consent cannot be read"),
    ("given_twice", "two different wishes"),
    ("integrations", "excluded by the sender"),
    ("integrations_unreadable", "exclusion not readable"),
    ("private_event_name", "name holds personal data"),
    ("weak_identity", "too little to match"),
    ("missing_value", "no value"),
    ("missing_currency", "no currency"),
    ("unreadable_value", "value cannot be read"),
    ("unreadable_currency", "currency cannot be read"),
    ("negative_value", "value below zero"),
    ("missing_app_data", "no app data"),
    ("missing_messaging_channel", "no messaging channel"),
    ("missing_messaging_ids", "no ids of a conversation"),
    ("messaging_event_not_allowed", "not from conversations"),
    ("attribution_not_supported", "attribution not taken"),
    ("digits_lost", "an id has lost digits"),
    ("unreadable_time", "time cannot be read"),
    ("unreadable_privacy_wish", "privacy wish unreadable"),
    ("unreadable_tracking", "tracking cannot be read"),
    ("too_old", "too old for Meta"),
    ("in_future", "time in the future"),
    ("malformed_json", "not readable as JSON"),
    ("refused_invalid", "refused by Meta"),
    ("refused_unclear", "refused, unclear"),
    ("refused_on_the_way", "refused on the way"),
    ("expired", "too old after waiting"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_are_short_differ_and_are_those_of_codes_that_exist() {
        let labels: BTreeSet<_> = LABELS.iter().map(|(_, label)| *label).collect();
        let codes: BTreeSet<_> = LABELS.iter().map(|(code, _)| *code).collect();
        assert_eq!(
            (labels.len(), codes.len()),
            (LABELS.len(), LABELS.len()),
            "each once"
        );
        assert!(labels.iter().all(|label| label.chars().count() <= 24));
        let sources = [
            include_str!("reason.rs").split("LABELS").next(),
            Some(include_str!("response/table.rs")),
        ];
        let sources = sources.map(Option::unwrap_or_default).concat();
        for code in codes {
            let exists = [format!("\"{code}\""), format!("    {code} = ")];
            assert!(exists.iter().any(|it| sources.contains(it)), "{code}");
        }
    }
}
