//! Which dead letters are meant: by reason, event id, label, and the time when they became letters.
//!
//! Invariant: a filter that names several kinds means the letters that fit all of them; of one kind, those that fit any.

use super::letter::StoredLetter;
use crate::event_counts::ARROW;

/// Which letters are meant. The default means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of one of these reason codes; of any where it is empty, as below.
    pub reasons: Vec<String>,
    /// Those of one of these event ids.
    pub event_ids: Vec<String>,
    /// Those that have one of these as their event id or as their own ([`StoredLetter::id`]).
    pub ids: Vec<String>,
    /// Those of one of these labels, or of a name on one side of a label's arrow.
    pub labels: Vec<String>,
    /// Those that became dead letters at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// Those that became dead letters before this time, in milliseconds since the Unix epoch.
    pub before_ms: Option<i64>,
}

impl Filter {
    /// The letters of this reason.
    pub fn of_reason(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
            ..Self::default()
        }
    }

    /// Whether this letter is meant.
    pub fn fits(&self, letter: &StoredLetter) -> bool {
        let record = letter.record.as_ref();
        let has_id = |id: &String| record.is_some_and(|record| *record.event_id == **id);
        let has_label = |label: &String| record.is_some_and(|record| is_of(&record.label, label));
        (self.reasons.is_empty() || self.reasons.contains(&letter.reason))
            && (self.event_ids.is_empty() || self.event_ids.iter().any(has_id))
            && (self.ids.is_empty()
                || self.ids.iter().any(has_id)
                || self.ids.contains(&letter.id()))
            && (self.labels.is_empty() || self.labels.iter().any(has_label))
            && self.since_ms.is_none_or(|since| letter.last_ms >= since)
            && self.before_ms.is_none_or(|before| letter.last_ms < before)
    }

    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

fn is_of(label: &str, wanted: &str) -> bool {
    label == wanted
        || label
            .split_once(ARROW)
            .is_some_and(|(from, to)| from == wanted || to == wanted)
}
