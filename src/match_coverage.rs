//! How many events can be matched to people, and by what: an estimate of coverage, not Meta's score.
//!
//! In: the set of identifiers of each event that is sent. Out: how many events carried which identifier, how strong Meta
//! calls it, and which ones are missing most.
//!
//! Invariant: counts and names, never a value.

use crate::mapping::trace::Trace;
use crate::payload::ParameterId;
use crate::payload::identifiers::Identifiers;
use crate::payload::strength::{Identifier, Strength};
use crate::validate::ReplacedTime;
use pipeline_core::{Coverage, CoverageRow};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many missing identifiers are named.
const MAX_MISSING: usize = 3;

/// Counts the identifiers of events that are sent. Run-length counts: consecutive events with equal sets increment one counter,
/// since counting each identifier of each event would cost more than hashing one.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    events: u64,
    /// By place in the table of parameters.
    carried: [u64; ParameterId::MAX_PLACES],
    /// Events that were sent with the time of receipt, although they gave a time: it cannot be read, it is in the future.
    times_replaced: [u64; 2],
    /// The set of the last events, and how many of them are not in `carried` yet.
    run: (Identifiers, u64),
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            events: 0,
            carried: [0; ParameterId::MAX_PLACES],
            times_replaced: [0; 2],
            run: Default::default(),
        }
    }
}

impl Counts {
    fn add(&mut self, identifiers: Identifiers) {
        self.events += 1;
        if self.run.0 != identifiers {
            self.settle();
            self.run.0 = identifiers;
        }
        self.run.1 += 1;
    }

    fn settle(&mut self) {
        let (identifiers, events) = std::mem::take(&mut self.run);
        for place in identifiers.places() {
            self.carried[place] += events;
        }
    }
}

impl Tally {
    /// Counting cannot panic, so that a poisoned lock still guards good counts.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trace for &Tally {
    fn passed(&mut self, identifiers: Identifiers) {
        self.counts().add(identifiers);
    }

    fn time_replaced(&mut self, why: ReplacedTime) {
        self.counts().times_replaced[why as usize] += 1;
    }
}

/// What to say about events that were sent with the time of receipt, although they gave a time.
pub(crate) fn notes_about_times(tally: &Tally) -> Vec<String> {
    let counted = tally.counts().times_replaced;
    let reasons = [
        "the given time cannot be read",
        "the given time is in the future; check the clocks, and set `time_zone` if times have no offset",
    ];
    let counted = counted.into_iter().zip(reasons);
    counted
        .filter(|(events, _)| *events > 0)
        .map(|(events, why)| {
            let noun = if events == 1 { "event" } else { "events" };
            format!("{events} {noun} took the time of receipt: {why}")
        })
        .collect()
}

/// The coverage so far; `looked_in` gives the paths at which a parameter is looked for.
pub(crate) fn coverage(tally: &Tally, looked_in: impl Fn(&str) -> Vec<String>) -> Coverage {
    let (counted, events) = {
        let mut counts = tally.counts();
        counts.settle();
        let counted =
            Identifier::all().map(|identifier| (identifier, counts.carried[identifier.place]));
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
    fn a_run_of_equal_events_is_counted_in_full_whenever_coverage_is_asked_for() {
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
        // An identifier that all events carry is not missing; a lead id is missing once one event has it.
        assert_eq!(
            names(&[&["em", "fbc", "lead_id", "ph"], &["em", "fbc", "ph"]])[0],
            "lead_id (highest), looked for in at.user_data.lead_id"
        );
        assert_eq!(names(&[]), [""; 0]);
    }

    #[test]
    fn replaced_times_are_counted_by_their_reason() {
        let tally = tally(&[]);
        assert_eq!(notes_about_times(&tally), [""; 0]);
        for why in [
            ReplacedTime::InFuture,
            ReplacedTime::Unreadable,
            ReplacedTime::InFuture,
        ] {
            (&tally).time_replaced(why);
        }
        let notes = notes_about_times(&tally);
        assert_eq!(
            notes[0],
            "1 event took the time of receipt: the given time cannot be read"
        );
        assert!(
            notes[1].starts_with("2 events took the time of receipt: the given time is in"),
            "{notes:?}"
        );
        assert_eq!(notes.len(), 2);
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
