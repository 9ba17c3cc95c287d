//! What people read of a reason: a short label for its code, and what to do about it.
//!
//! Invariant: constant texts only, so that nothing of an event can be in them.

/// The longest label, in characters: tables have a column for it.
pub const MAX_LABEL_CHARS: usize = 24;

/// What people read of one code of a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReasonWords {
    /// The code: [`Reason::code`](crate::Reason::code).
    pub code: &'static str,
    /// What it is, in a few words: at most [`MAX_LABEL_CHARS`].
    pub label: &'static str,
    /// What happened and what to do about it, in one sentence: lower case, no full stop.
    pub advice: &'static str,
    /// Whether such an event is not sent because somebody wants it so.
    pub is_intentional: bool,
}

impl ReasonWords {
    /// The words for an event that should have been delivered.
    pub const fn new(code: &'static str, label: &'static str, advice: &'static str) -> Self {
        Self {
            code,
            label,
            advice,
            is_intentional: false,
        }
    }

    /// The words for an event that is not sent because somebody wants it so.
    #[must_use]
    pub const fn intentional(mut self) -> Self {
        self.is_intentional = true;
        self
    }
}

/// The words for the codes that a host gives, see [`Reason`](crate::Reason).
pub const REASONS_OF_HOSTS: &[ReasonWords] = &[
    ReasonWords::new(
        "buffer_full",
        "buffer full",
        "the buffer was full and `when_full: drop_newest` drops what comes then; raise `buffer.max_bytes`, or use `block`",
    )
    .intentional(),
    ReasonWords::new(
        "damaged",
        "buffer damaged",
        "a part of the disk buffer could not be read; check the disk, and send the events of that time again",
    ),
    ReasonWords::new(
        "dropped",
        "dropped by a transform",
        "a transform made no event of it, as its options say",
    )
    .intentional(),
    ReasonWords::new(
        "dropped_by_config",
        "dropped as configured",
        "the options of the sink drop such events",
    )
    .intentional(),
    ReasonWords::new(
        "expired",
        "too old after waiting",
        "the event became too old for the destination while it waited; look for what kept the sink from sending",
    ),
    ReasonWords::new(
        "held_at_shutdown",
        "held at the end",
        "the pipeline stopped before the event was delivered; replay the dead letters",
    ),
    ReasonWords::new(
        "internal",
        "a plugin failed",
        "a plugin failed on the event; please report it, and replay the dead letters with a version in which it is fixed",
    ),
    ReasonWords::new(
        "keeps_failing",
        "fails alone",
        "the event failed alone for long while others were delivered; look at its payload, then replay it or purge it",
    ),
    ReasonWords::new(
        "other_partition",
        "for another account",
        "what waits was made for another account than the sink has now; start with the old one until it is delivered",
    ),
    ReasonWords::new(
        "retries_exhausted",
        "retries used up",
        "the event was tried as often or as long as `retry` allows; once the destination works, replay the dead letters",
    ),
    ReasonWords::new(
        "timeout",
        "no answer in time",
        "the destination did not answer in time; the event is sent again",
    ),
    ReasonWords::new(
        "too_large",
        "too large",
        "a line or a request is larger than its source takes; send it in parts",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_of_a_host_comes_twice_and_labels_are_short() {
        let codes = REASONS_OF_HOSTS.iter().map(|words| words.code);
        assert!(codes.is_sorted_by(|one, two| one < two));
        for words in REASONS_OF_HOSTS {
            assert!(words.label.chars().count() <= MAX_LABEL_CHARS, "{words:?}");
            assert!(!words.advice.ends_with('.'), "{words:?}");
        }
    }
}
