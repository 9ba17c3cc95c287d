//! How well events can be matched to people: an estimate of coverage, not Meta's score.
//!
//! In: the set of identifiers of each event that goes out. Out: how many events carried which identifier, how strong
//! Meta calls it, and what is missing most. Meta publishes no weights, so there are none here; it publishes words: the
//! priorities of CRM customer information ("Payload specification": lead id, click id and hashed e-mail highest, hashed
//! phone high, other hashed contact information medium) and the list of high-quality parameters ("Best practices":
//! e-mail, IP address, first and last name, phone). Where both speak of a parameter, the better word counts.
//!
//! Invariant: counts and names, never a value.

use crate::mapping::Trace;
use crate::payload::{PARAMETERS, Parameter, ParameterId, Section};
use crate::validate::Identifiers;
use pipeline_core::{Coverage, CoverageRow};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many missing identifiers are named.
const MAX_MISSING: usize = 3;

/// What Meta publishes about an identifier's worth, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    Highest,
    High,
    Medium,
    NotPublished,
}

impl Strength {
    /// Of a parameter of `user_data`.
    pub(crate) fn of(key: &str) -> Self {
        match key {
            "lead_id" | "fbc" | "em" => Self::Highest,
            "ph" | "client_ip_address" | "fn" | "ln" => Self::High,
            "ge" | "db" | "ct" | "st" | "zp" | "country" => Self::Medium,
            _ => Self::NotPublished,
        }
    }

    /// For people.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Highest => "highest",
            Self::High => "high",
            Self::Medium => "medium",
            Self::NotPublished => "not published",
        }
    }

    /// Whether an event without it should hear of it.
    pub(crate) const fn is_strong(self) -> bool {
        matches!(self, Self::Highest | Self::High)
    }
}

/// A parameter of `user_data`, with its strength.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identifier {
    place: usize,
    pub(crate) strength: Strength,
}

impl Identifier {
    pub(crate) fn parameter(self) -> &'static Parameter {
        &PARAMETERS[self.place]
    }

    /// Whether to miss it where no event has it. Lead ids come from Meta's own lead forms only, and of what Meta does not
    /// rate nobody knows what it would bring.
    pub(crate) fn can_be_missed(self) -> bool {
        self.strength != Strength::NotPublished && self.parameter().key != "lead_id"
    }
}

/// Every parameter of `user_data`, in the order of the table.
pub(crate) fn identifiers() -> impl Iterator<Item = Identifier> {
    let user_data = PARAMETERS
        .iter()
        .enumerate()
        .filter(|(_, parameter)| parameter.section == Section::UserData);
    user_data.map(|(place, parameter)| Identifier {
        place,
        strength: Strength::of(parameter.key),
    })
}

/// Counts what goes out. Most events carry what the one before them carried, so that one number is counted up for them
/// all; counting each identifier of each event apart would cost more than hashing one.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    events: u64,
    /// By place in the table of parameters.
    carried: [u64; ParameterId::MAX_PLACES],
    /// What the last events carried, and how many of them are not in `carried` yet.
    last: (Identifiers, u64),
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            events: 0,
            carried: [0; ParameterId::MAX_PLACES],
            last: Default::default(),
        }
    }
}

impl Counts {
    fn add(&mut self, identifiers: Identifiers) {
        self.events += 1;
        if self.last.0 != identifiers {
            self.settle();
            self.last.0 = identifiers;
        }
        self.last.1 += 1;
    }

    fn settle(&mut self) {
        let (identifiers, events) = std::mem::take(&mut self.last);
        for place in identifiers.places() {
            self.carried[place] += events;
        }
    }
}

impl Tally {
    /// Counting cannot panic, so that what another thread has left is good.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trace for &Tally {
    fn passed(&mut self, identifiers: Identifiers) {
        self.counts().add(identifiers);
    }
}

/// What a tally says, with the paths at which a parameter is looked for by its name.
pub(crate) fn coverage(tally: &Tally, looked_in: impl Fn(&str) -> Vec<String>) -> Coverage {
    let (counted, events) = {
        let mut counts = tally.counts();
        counts.settle();
        let counted =
            identifiers().map(|identifier| (identifier, counts.carried[identifier.place]));
        (counted.collect::<Vec<_>>(), counts.events)
    };
    let mut missing: Vec<_> = counted
        .iter()
        .filter(|(identifier, carried)| {
            let is_known_here = *carried > 0 || identifier.can_be_missed();
            identifier.strength != Strength::NotPublished && *carried < events && is_known_here
        })
        .collect();
    missing.sort_by_key(|(identifier, carried)| (identifier.strength, *carried));
    missing.truncate(MAX_MISSING);
    let notes = missing
        .iter()
        .map(|(identifier, _)| note(*identifier, &looked_in(identifier.parameter().name)))
        .collect();
    let rows = counted
        .iter()
        .filter(|(identifier, carried)| *carried > 0 || identifier.can_be_missed())
        .map(|(identifier, carried)| {
            let strength = identifier.strength.word();
            CoverageRow::new(identifier.parameter().key, *carried, strength)
        })
        .collect();
    let about = "an estimate of coverage, not Meta's score; strength as Meta publishes it";
    Coverage::new(about, events, rows).with_notes(notes)
}

fn note(identifier: Identifier, looked_in: &[String]) -> String {
    let (key, strength) = (identifier.parameter().key, identifier.strength.word());
    if looked_in.is_empty() {
        return format!("{key} ({strength}), which no mapping looks for");
    }
    format!("{key} ({strength}), looked for in {}", looked_in.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(keys: &[&str]) -> Identifiers {
        let mut set = Identifiers::default();
        for key in keys {
            let name = format!("user_data.{key}");
            set.insert(ParameterId::named(&name).expect("a parameter"));
        }
        set
    }

    fn tally(events: &[&[&str]]) -> Tally {
        let tally = Tally::default();
        for keys in events {
            (&tally).passed(set_of(keys));
        }
        tally
    }

    fn shown(coverage: &Coverage) -> Vec<(&str, u64, &str)> {
        let rows = coverage.rows.iter();
        rows.filter(|row| row.events > 0)
            .map(|row| (&*row.name, row.events, &*row.label))
            .collect()
    }

    #[test]
    fn every_event_counts_once_for_each_identifier_it_carries() {
        let tally = tally(&[
            &["em", "fbp"],
            &["em"],
            &["ph", "whatsapp_business_account_id"],
        ]);
        let coverage = coverage(&tally, |_| Vec::new());
        assert_eq!(coverage.events, 3);
        assert_eq!(
            shown(&coverage),
            [
                ("em", 2, "highest"),
                ("ph", 1, "high"),
                ("fbp", 1, "not published"),
                ("whatsapp_business_account_id", 1, "not published"),
            ]
        );
    }

    #[test]
    fn a_run_of_alike_events_counts_as_many_whenever_it_is_asked_about() {
        let tally = tally(&[]);
        let em = set_of(&["em"]);
        for (events, set, counted) in [
            (3, em, 3),
            (2, em, 5),
            (1, Identifiers::default(), 5),
            (4, em, 9),
        ] {
            (0..events).for_each(|_| (&tally).passed(set));
            assert_eq!(
                shown(&coverage(&tally, |_| Vec::new())),
                [("em", counted, "highest")]
            );
        }
        assert_eq!(coverage(&tally, |_| Vec::new()).events, 10);
    }

    #[test]
    fn the_strongest_and_then_the_rarest_identifiers_are_missing_most() {
        let names = |events: &[&[&str]]| {
            let coverage = coverage(&tally(events), |name| vec![format!("at.{name}")]);
            coverage.notes
        };
        assert_eq!(
            names(&[
                &["em", "ph", "fn", "ln"],
                &["fbc", "ph", "client_ip_address"]
            ]),
            [
                "em (highest), looked for in at.user_data.em",
                "fbc (highest), looked for in at.user_data.fbc",
                "fn (high), looked for in at.user_data.fn",
            ]
        );
        // What all events carry is not missing; a lead id is from the first one on.
        assert_eq!(
            names(&[&["em", "fbc", "lead_id", "ph"], &["em", "fbc", "ph"]])[0],
            "lead_id (highest), looked for in at.user_data.lead_id"
        );
        assert_eq!(names(&[]), [""; 0]);
    }

    #[test]
    fn an_identifier_that_nothing_maps_says_so() {
        let coverage = coverage(&tally(&[&["ph"]]), |_| Vec::new());
        assert_eq!(
            coverage.notes[0],
            "em (highest), which no mapping looks for"
        );
    }
}
