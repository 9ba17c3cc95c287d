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
    /// The same for each kind of event that the destination tells apart, those with the most events first. Every group has
    /// rows of the same names in the same order; they may be fewer than [`rows`](Self::rows), or combinations of several.
    pub groups: Vec<CoverageGroup>,
    /// What would raise the coverage most, one sentence each, the most important first.
    pub hints: Vec<String>,
    /// What else a person should know about how the events were read, one sentence each.
    pub notes: Vec<String>,
    /// The identifiers most worth adding, the most important first: what [`hints`](Self::hints) says, as data.
    pub gaps: Vec<CoverageGap>,
}

/// An identifier that many events lack.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoverageGap {
    /// The identifier, as the destination names it.
    pub identifier: Cow<'static, str>,
    /// How much it is worth, in the destination's own words.
    pub label: Cow<'static, str>,
    /// The kind of event that lacks it most, as the destination names it.
    pub group: String,
    /// Events of this kind that carried it.
    pub carried: u64,
    /// Events of this kind that could.
    pub events: u64,
    /// The paths at which it is looked for.
    pub looked_in: Vec<String>,
}

/// The coverage of events of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoverageGroup {
    /// The kind, as the destination names it.
    pub name: String,
    /// Events of this kind that the sink let through.
    pub events: u64,
    /// One row for each identifier, in the sink's order.
    pub rows: Vec<CoverageRow>,
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
    /// The events that it is measured against, where not every event can carry it.
    pub base: Option<CoverageBase>,
}

/// The events that can carry an identifier, where not all can.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoverageBase {
    /// How many.
    pub events: u64,
    /// Which: `events with a click id`.
    pub what: Cow<'static, str>,
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
            base: None,
        }
    }

    /// The same row, measured against so many events; `what` says which events.
    #[must_use]
    pub fn measured_against(mut self, events: u64, what: impl Into<Cow<'static, str>>) -> Self {
        self.base = Some(CoverageBase {
            events,
            what: what.into(),
        });
        self
    }

    /// The share of the events that can carry it, of `all` events, in tenths of a percent, rounded down; `None` where no
    /// event can carry it.
    pub fn permille(&self, all: u64) -> Option<u64> {
        let base = self.base.as_ref().map_or(all, |base| base.events);
        (base > 0).then(|| permille(self.events, base))
    }
}

impl CoverageGap {
    /// An identifier of this label, which so many of the events of a kind carried.
    pub fn new(
        identifier: impl Into<Cow<'static, str>>,
        label: impl Into<Cow<'static, str>>,
        group: impl Into<String>,
        (carried, events): (u64, u64),
    ) -> Self {
        Self {
            identifier: identifier.into(),
            label: label.into(),
            group: group.into(),
            carried,
            events,
            looked_in: Vec::new(),
        }
    }

    /// The same gap with the paths at which the identifier is looked for.
    #[must_use]
    pub fn looked_for_in(mut self, paths: Vec<String>) -> Self {
        self.looked_in = paths;
        self
    }
}

impl CoverageGroup {
    /// The coverage of this many events of one kind.
    pub fn new(name: impl Into<String>, events: u64, rows: Vec<CoverageRow>) -> Self {
        Self {
            name: name.into(),
            events,
            rows,
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
            ..Self::default()
        }
    }

    /// The same coverage with that of each kind of event.
    #[must_use]
    pub fn with_groups(mut self, groups: Vec<CoverageGroup>) -> Self {
        self.groups = groups;
        self
    }

    /// This coverage with that of events that came later, of the same sink with other options. Advice is that of the part with
    /// more events.
    #[must_use]
    pub fn and_later(mut self, later: Self) -> Self {
        if later.events >= self.events {
            (self.about, self.hints) = (later.about, later.hints);
            (self.notes, self.gaps) = (later.notes, later.gaps);
        }
        self.events += later.events;
        add_rows(&mut self.rows, later.rows);
        for group in later.groups {
            match self
                .groups
                .iter_mut()
                .find(|known| known.name == group.name)
            {
                Some(known) => {
                    known.events += group.events;
                    add_rows(&mut known.rows, group.rows);
                }
                None => self.groups.push(group),
            }
        }
        self.groups
            .sort_by_key(|group| std::cmp::Reverse(group.events));
        self
    }

    /// The same coverage with advice on what would raise it.
    #[must_use]
    pub fn with_hints(mut self, hints: Vec<String>) -> Self {
        self.hints = hints;
        self
    }

    /// The same coverage with the identifiers most worth adding.
    #[must_use]
    pub fn with_gaps(mut self, gaps: Vec<CoverageGap>) -> Self {
        self.gaps = gaps;
        self
    }

    /// The same coverage with remarks on how the events were read.
    #[must_use]
    pub fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }
}

/// Adds rows to those of the same names.
fn add_rows(rows: &mut Vec<CoverageRow>, later: Vec<CoverageRow>) {
    for row in later {
        let Some(known) = rows.iter_mut().find(|known| known.name == row.name) else {
            rows.push(row);
            continue;
        };
        known.events += row.events;
        if let (Some(base), Some(more)) = (&mut known.base, &row.base) {
            base.events += more.events;
        }
    }
}

/// The share of `all` that `events` are, in tenths of a percent, rounded down.
fn permille(events: u64, all: u64) -> u64 {
    let share = u128::from(events) * 1_000 / u128::from(all.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_one_of_no_events_does_not_exist() {
        let of = |events, all| CoverageRow::new("em", events, "").permille(all);
        assert_eq!(of(2, 3), Some(666));
        assert_eq!(of(999_999, 1_000_000), Some(999));
        assert_eq!(of(u64::MAX, u64::MAX), Some(1_000));
        assert_eq!(of(0, 5), Some(0));
        assert_eq!(of(0, 0), None);
    }

    #[test]
    fn what_came_later_is_added_by_name() {
        let of = |about: &str, events, em, group: &str| {
            let rows = vec![CoverageRow::new("em", em, "").measured_against(events, "all")];
            Coverage::new(about, events, rows.clone())
                .with_groups(vec![CoverageGroup::new(group, events, rows)])
                .with_hints(vec![about.to_owned()])
        };
        let both = of("first", 10, 4, "Lead").and_later(of("second", 30, 5, "Lead"));
        assert_eq!(
            (both.events, both.rows[0].events, both.about.as_str()),
            (40, 9, "second")
        );
        assert_eq!(both.rows[0].permille(1_000), Some(225));
        assert_eq!((both.groups.len(), both.groups[0].events), (1, 40));
        let all = both.and_later(of("third", 50, 0, "Purchase"));
        let names: Vec<_> = all.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!((all.events, names), (90, vec!["Purchase", "Lead"]));
        assert_eq!(all.hints, ["third"]);
    }

    #[test]
    fn a_row_is_measured_against_the_events_that_can_carry_it() {
        let of = |events, base| {
            let row = CoverageRow::new("fbc", events, "")
                .measured_against(base, "events with a click id");
            row.permille(1_000)
        };
        assert_eq!(of(9, 10), Some(900));
        assert_eq!(of(0, 10), Some(0));
        assert_eq!(of(0, 0), None);
    }
}
