//! What people read of every code of a reason: a short label, and what to do.
//!
//! The sentences of most codes are those of `reason.rs` and `response/table.rs`; where a reason's own sentence names a place of the
//! event, the advice here is the same without the place. A test compares the table with both files.

use crate::reason::SENTENCES;
use crate::response::Code;
use pipeline_core::ReasonWords;

/// The labels of codes whose sentence is elsewhere.
const LABELS: &[(&str, &str)] = &[
    ("address_not_allowed", "address not allowed"),
    ("all_refused", "all refused"),
    ("api_version_ended", "API version ended"),
    ("app_invalid", "app not valid"),
    ("app_secret_required", "app secret required"),
    ("attribution_not_supported", "attribution unsupported"),
    ("connection_failed", "connection failed"),
    ("dataset_not_linked", "dataset not linked"),
    ("digits_lost", "id lost digits"),
    ("dropped_by_config", "dropped by the mapping"),
    ("event_name_too_long", "event name too long"),
    ("expired", "too old after waiting"),
    ("in_future", "time in the future"),
    ("many_refused", "many refused, sent again"),
    ("messaging_event_not_allowed", "not for conversations"),
    ("missing_app_data", "no app data"),
    ("missing_currency", "no currency"),
    ("missing_messaging_channel", "no messaging channel"),
    ("missing_messaging_ids", "no ids of conversation"),
    ("missing_value", "no value"),
    ("negative_value", "value below zero"),
    ("no_event_name", "no event name"),
    ("not_a_conversion", "not a conversion"),
    ("not_confirmed", "not confirmed"),
    ("path_unknown", "path unknown"),
    ("permission_missing", "permission missing"),
    ("pixel_not_found", "pixel not found"),
    ("policy_block", "blocked by policy"),
    ("private_event_name", "private event name"),
    ("refused_invalid", "refused as invalid"),
    ("refused_on_the_way", "refused on the way"),
    ("refused_unclear", "refused without a cause"),
    ("request_too_large", "request too large"),
    ("server_error", "error at Meta"),
    ("throttled", "throttled"),
    ("timeout", "no answer in time"),
    ("token_expired", "token expired"),
    ("token_invalid", "token not valid"),
    ("unmapped", "not mapped"),
    ("unreadable_answer", "answer not readable"),
    ("unreadable_currency", "currency not readable"),
    ("unreadable_value", "value not readable"),
    ("usage_high", "usage high"),
    ("version_warning", "warning about version"),
    ("way_blocked", "blocked on the way"),
    ("way_unclear", "stopped on the way"),
    ("weak_identity", "too little identity"),
];

/// The codes whose sentence names a place of the event. Those of events that are filtered count as intentional: without a word that is
/// understood, the visitor's wish is taken to be a refusal.
const WORDS: &[ReasonWords] = &[
    ReasonWords::new(
        "consent",
        "consent refused",
        "the visitor refuses, or does not grant, a category that `consent` requires; the event is not sent",
    )
    .intentional(),
    ReasonWords::new(
        "consent_absent",
        "no word on consent",
        "the event does not say whether the visitor agreed; send it, or see `consent.when_absent`",
    )
    .intentional(),
    ReasonWords::new(
        "consent_unreadable",
        "consent not readable",
        "consent was given in a form that is not understood; send yes or no, or explain the codes under `consent`",
    )
    .intentional(),
    ReasonWords::new(
        "given_twice",
        "given twice",
        "one key of the event comes twice, so that it is not known which one counts; send it once",
    )
    .intentional(),
    ReasonWords::new(
        "integrations",
        "excluded by its sender",
        "the sender excludes this destination under `integrations`",
    )
    .intentional(),
    ReasonWords::new(
        "integrations_unreadable",
        "integrations unreadable",
        "`integrations` was given in a form that is not understood; send true or false for the destination",
    )
    .intentional(),
    ReasonWords::new(
        "malformed_json",
        "not valid JSON",
        "the event cannot be read as JSON; look at how its sender writes it",
    ),
    ReasonWords::new(
        "too_old",
        "too old",
        "the event is older than Meta accepts; send events within seven days",
    ),
    ReasonWords::new(
        "unknown_action_source",
        "action source unknown",
        "`action_source` was given and Meta does not know it; send one that it knows, or map it",
    ),
    ReasonWords::new(
        "unreadable_privacy_wish",
        "privacy wish unreadable",
        "the person's wish about the use of data was given in a form that is not understood; the event is not sent against it",
    ),
    ReasonWords::new(
        "unreadable_time",
        "time not readable",
        "the event's time was given in a form that is not understood; send ISO 8601 or seconds since 1970",
    ),
    ReasonWords::new(
        "unreadable_tracking",
        "tracking not readable",
        "whether tracking is allowed was given in a form that is not understood; send true or false",
    ),
];

/// The codes of events that somebody does not want to be sent.
const INTENTIONAL: [&str; 3] = ["dropped_by_config", "not_a_conversion", "unmapped"];

/// The words for every code that this sink gives.
pub(crate) fn words() -> Vec<ReasonWords> {
    let of_mapping = SENTENCES.iter().copied();
    let of_delivery = Code::ALL
        .iter()
        .map(|code| (code.as_str(), code.sentence()));
    let known = of_mapping.chain(of_delivery).map(|(code, sentence)| {
        let label = LABELS.iter().find(|(of, _)| *of == code);
        let words = ReasonWords::new(code, label.map_or(code, |(_, label)| label), sentence);
        if INTENTIONAL.contains(&code) {
            words.intentional()
        } else {
            words
        }
    });
    known.chain(WORDS.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::MAX_LABEL_CHARS;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_one_label_of_its_own_and_advice() {
        let words = words();
        let codes: BTreeSet<_> = words.iter().map(|words| words.code).collect();
        let labels: BTreeSet<_> = words.iter().map(|words| words.label).collect();
        assert_eq!((codes.len(), labels.len()), (words.len(), words.len()));
        for words in &words {
            assert!(words.label.chars().count() <= MAX_LABEL_CHARS, "{words:?}");
            assert!(!words.label.contains('_'), "{words:?}");
            assert!(
                words.advice.len() > 20 && !words.advice.ends_with('.'),
                "{words:?}"
            );
        }
        for (code, _) in LABELS {
            assert!(codes.contains(code), "{code}");
        }
    }
}
