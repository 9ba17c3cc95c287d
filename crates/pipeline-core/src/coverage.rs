//! What a sink can say of the events it let through: which identifiers they carried.
//!
//! Plain data, so that any host can show it; the words are the sink's. Invariant: names, counts and paths, never a
//! value of an event.

use std::borrow::Cow;

/// How many of a sink's events carried which identifier, since the sink was built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    /// What this is, and what it is not: one sentence.
    pub about: String,
    /// Events the sink let through.
    pub events: u64,
    /// One row for each identifier, in the sink's order.
    pub rows: Vec<CoverageRow>,
    /// What would raise the coverage most, one sentence each, the most important first.
    pub notes: Vec<String>,
}

/// How many events carried one identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoverageRow {
    /// The identifier, as the destination names it.
    pub name: Cow<'static, str>,
    /// Events that carried it; at most [`Coverage::events`].
    pub events: u64,
    /// A word or two beside it, in the destination's own words: how much it is worth, for instance. May be empty.
    pub label: Cow<'static, str>,
}

impl CoverageRow {
    /// A row of an identifier that this many events carried.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        events: u64,
        label: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            name: name.into(),
            events,
            label: label.into(),
        }
    }
}

impl Coverage {
    /// The coverage of this many events.
    pub fn new(about: impl Into<String>, events: u64, rows: Vec<CoverageRow>) -> Self {
        Self {
            about: about.into(),
            events,
            rows,
            notes: Vec::new(),
        }
    }

    /// The same coverage with advice.
    #[must_use]
    pub fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// The share of all events that a number of them is, in tenths of a percent, rounded down.
    pub fn permille(&self, events: u64) -> u64 {
        let share = u128::from(events) * 1_000 / u128::from(self.events.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_nothing_of_nothing_is_nothing() {
        let of = |all| Coverage {
            events: all,
            ..Coverage::default()
        };
        assert_eq!(of(3).permille(2), 666);
        assert_eq!(of(1_000_000).permille(999_999), 999);
        assert_eq!(of(u64::MAX).permille(u64::MAX), 1_000);
        assert_eq!(of(0).permille(0), 0);
    }
}
