//! Letters as JSON.
//!
//! Invariant: names and ids that a sender chose are shown only where they cannot be personal, and a payload is not shown.

use crate::answer::time;
use crate::row::{shown_label, shown_text};
use crate::withheld::{shown_id, withhold_address};
use pipeline_host::dead_letter::{StoredLetter, Summary};
use pipeline_host::replay::Survey;
use serde_json::{Map, Value, json};

/// The letters of a sink by reason and code.
pub(super) fn sink(
    name: &str,
    summary: &Summary,
    percent_full: u64,
    max_bytes: u64,
    job: Option<u64>,
) -> Value {
    let groups = summary.groups.iter().map(|(key, group)| {
        json!({
            "reason": shown_text(&key.reason),
            "destination": key.destination.as_deref().map(shown_text),
            "letters": group.letters,
            "first": time(group.first_ms),
            "last": time(group.last_ms),
            "example": shown_text(&group.example),
        })
    });
    let problem = (summary.problems > 0).then(|| {
        let lines = summary.problems;
        format!("{lines} lines or files could not be read; `pipeline dead-letters list` says which")
    });
    json!({
        "sink": name,
        "letters": summary.letters,
        "percent_full": percent_full,
        "max_bytes": max_bytes,
        "groups": groups.collect::<Vec<_>>(),
        "job": job,
        "problem": problem,
    })
}

/// One letter.
pub(super) fn letter(letter: &StoredLetter) -> Value {
    let record = letter.record.as_ref();
    let history = letter.history.iter().map(|past| {
        json!({
            "reason": shown_text(&past.reason),
            "destination": past.destination.as_deref().map(shown_text),
            "attempts": past.attempts,
            "time": time(past.time_ms),
        })
    });
    let label = record.map(|record| &*record.label);
    json!({
        "id": letter.id(),
        "event_id": record.map(|record| shown_id(&record.event_id)),
        "event_time": record.and_then(|record| time(record.event_time.saturating_mul(1_000))),
        "label": label.filter(|label| !label.is_empty()).map(shown_label),
        "reason": shown_text(&letter.reason),
        "detail": shown_text(&letter.detail),
        "destination": letter.destination.as_deref().map(shown_text),
        "attempts": letter.attempts,
        "first": time(letter.first_ms),
        "last": time(letter.last_ms),
        "source": withhold_address(&letter.source),
        "history": history.collect::<Vec<_>>(),
        "payload_bytes": record.map(|record| record.payload.len()),
    })
}

/// What a replay would do.
pub(super) fn survey(survey: &Survey) -> Value {
    let left = &survey.left;
    let unfit: Map<_, _> = left
        .unfit
        .iter()
        .map(|(code, unfit)| {
            let unfit = json!({ "letters": unfit.letters, "detail": unfit.detail });
            ((*code).to_owned(), unfit)
        })
        .collect();
    json!({
        "would_send": survey.would_send,
        "changed": survey.changed,
        "unfit": unfit,
        "left_out": left.filtered + left.beyond_limit,
        "without_payload": left.without_payload,
        "other_account": left.other_account,
    })
}
