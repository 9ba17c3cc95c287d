//! What a value, a place or an event says about one category.

use crate::answer::{Answer, Words};

/// What is said about one category, the strongest statement last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    #[default]
    Nothing,
    Granted,
    Unreadable,
    Refused,
}

impl Said {
    /// What a value says about the category that is its key.
    pub(super) fn of(raw: &str, words: &Words) -> Self {
        match words.read(raw) {
            Some(Answer::Yes) => Self::Granted,
            Some(Answer::No) => Self::Refused,
            None if raw == "null" => Self::Nothing,
            None => Self::Unreadable,
        }
    }
}
