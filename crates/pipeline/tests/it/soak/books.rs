//! What was sent on a walk against what became of it, event by event; the events themselves are not kept.

use crate::destination::dead_letters;
use crate::tally::{Bench, personal};
use graph_sandbox::Fault;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

/// Of so many events one is too old, one lacks consent, and one is refused by its id.
const ODD_ONES: usize = 1_000;

/// What is to become of an event when the destination has a good day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    Accepted,
    TooOld,
    Refused,
    Filtered,
}

impl Meant {
    pub(super) fn of(number: usize) -> Self {
        match number % ODD_ONES {
            1 => Self::TooOld,
            2 => Self::Filtered,
            3 => Self::Refused,
            _ => Self::Accepted,
        }
    }
}

fn id(number: usize) -> String {
    format!("e-{number}")
}

fn numbered(id: &str) -> usize {
    let number = id.strip_prefix("e-").and_then(|number| number.parse().ok());
    number.expect("an id that was sent")
}

pub(super) fn event(number: usize) -> Value {
    let mut event = personal(&id(number));
    match Meant::of(number) {
        Meant::TooOld => event["timestamp"] = json!("2020-01-01T00:00:00Z"),
        Meant::Filtered => event["context"]["consent"]["marketing"] = json!(false),
        Meant::Accepted | Meant::Refused => {}
    }
    event
}

pub(super) fn refusal(number: usize) -> Fault {
    Fault::RefuseEventId {
        event_id: id(number),
        code: 100,
        subcode: Some(2_804_019),
    }
}

/// What became of each event, by its number. The events themselves are not kept.
#[derive(Default)]
pub(super) struct Books {
    hasher: RandomState,
    /// What was accepted, as a hash of its text; one for every event that was sent.
    accepted: Vec<Option<u64>>,
    pub(super) unique: usize,
    pub(super) duplicates: usize,
    pub(super) filtered: usize,
    /// The reasons of the dead letters.
    pub(super) dead: BTreeMap<usize, String>,
    /// Bytes of the dead letters that were read.
    dead_bytes: usize,
    /// The faults that requests met, or may still meet, with how often.
    pub(super) faults: BTreeMap<String, usize>,
    /// Why requests had to be sent again, with how often, and the events in them.
    pub(super) turned_away: BTreeMap<String, usize>,
    pub(super) sent_again: Vec<usize>,
}

#[derive(Deserialize)]
struct Identified {
    event_id: String,
}

impl Books {
    /// Numbers some more events.
    pub(super) fn send(&mut self, count: usize) -> Range<usize> {
        let first = self.sent();
        self.accepted.resize(first + count, None);
        let numbers = first..self.sent();
        let filtered = numbers.clone().filter(|&n| Meant::of(n) == Meant::Filtered);
        self.filtered += filtered.count();
        numbers
    }

    pub(super) fn sent(&self) -> usize {
        self.accepted.len()
    }

    fn accept(&mut self, text: &str) {
        let event: Identified = serde_json::from_str(text).unwrap();
        let hash = self.hasher.hash_one(text);
        match &mut self.accepted[numbered(&event.event_id)] {
            Some(first) => {
                assert_eq!(*first, hash, "{} was another event before", event.event_id);
                self.duplicates += 1;
            }
            nothing => {
                *nothing = Some(hash);
                self.unique += 1;
            }
        }
    }

    /// Takes over what the destination and the dead letters have by now.
    pub(super) fn look(&mut self, bench: &Bench) {
        for text in bench.sandbox.take_accepted() {
            self.accept(&text);
        }
        let bytes = dead_letters(bench.folder.path(), "meta").len();
        if std::mem::replace(&mut self.dead_bytes, bytes) == bytes {
            return;
        }
        for (id, reason) in bench.letters().0 {
            let number = numbered(&id);
            let is_new = self.dead.insert(number, reason).is_none();
            // One that was sent again can come again.
            let is_over = is_new && !self.sent_again.contains(&number);
            if is_over && Meant::of(number) == Meant::Refused {
                bench.sandbox.lift(&refusal(number));
            }
        }
    }

    /// Events that have not met their fate.
    pub(super) fn waiting(&self) -> usize {
        let only_dead = self.dead.keys().filter(|&&n| self.accepted[n].is_none());
        self.sent() - self.unique - self.filtered - only_dead.count()
    }

    /// Whether an event met the fate that it was meant to. An event that nothing is wrong with may have become a dead
    /// letter for `excuses` only.
    pub(super) fn is_right(&self, number: usize, excuses: &[&str]) -> bool {
        let dead = self.dead.get(&number).map(String::as_str);
        let is_accepted = self.accepted[number].is_some();
        match Meant::of(number) {
            Meant::Accepted => dead.map_or(is_accepted, |reason| excuses.contains(&reason)),
            Meant::Filtered => !is_accepted && dead.is_none(),
            Meant::TooOld => !is_accepted && dead == Some("too_old"),
            Meant::Refused => !is_accepted && dead == Some("refused_invalid"),
        }
    }

    /// What was meant for an event, whether it was accepted, and why it became a dead letter.
    pub(super) fn fate(&self, number: usize) -> (String, Meant, bool, Option<&String>) {
        let is_accepted = self.accepted[number].is_some();
        (
            id(number),
            Meant::of(number),
            is_accepted,
            self.dead.get(&number),
        )
    }

    /// Dead letters of events that nothing is wrong with, by reason.
    pub(super) fn excused(&self, reason: &str) -> usize {
        let sound = |number| Meant::of(number) == Meant::Accepted;
        let excused = self
            .dead
            .iter()
            .filter(|(number, of)| sound(**number) && *of == reason);
        excused.count()
    }

    /// How many faults of a kind there were.
    pub(super) fn met(&self, kind: &str) -> usize {
        let faults = self
            .faults
            .iter()
            .filter(|(fault, _)| fault.starts_with(kind));
        faults.map(|(_, times)| times).sum()
    }
}

/// The figures of a walk, or of several.
#[derive(Default)]
pub(super) struct Figures {
    events: usize,
    faults: BTreeMap<String, usize>,
    turned_away: BTreeMap<String, usize>,
    accepted: usize,
    duplicates: usize,
    filtered: usize,
    dead: BTreeMap<String, usize>,
    /// Events that have not met their fate; at the end of a walk they are lost.
    pub(super) waiting: usize,
}

impl Figures {
    pub(super) fn add(&mut self, books: &Books) {
        self.events += books.sent();
        self.accepted += books.unique;
        self.duplicates += books.duplicates;
        self.filtered += books.filtered;
        self.waiting += books.waiting();
        let counts = [
            (&mut self.faults, &books.faults),
            (&mut self.turned_away, &books.turned_away),
        ];
        for (all, these) in counts {
            for (what, times) in these {
                *all.entry(what.clone()).or_default() += times;
            }
        }
        for reason in books.dead.values() {
            *self.dead.entry(reason.clone()).or_default() += 1;
        }
    }
}

impl From<&Books> for Figures {
    fn from(books: &Books) -> Self {
        let mut figures = Self::default();
        figures.add(books);
        figures
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, usize>| {
            let counts = counts
                .iter()
                .map(|(what, times)| format!("{what}: {times}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        write!(
            f,
            "{} events, faults met ({}), turned away ({}), {} accepted, {} duplicates, {} filtered, dead letters ({})",
            self.events,
            list(&self.faults),
            list(&self.turned_away),
            self.accepted,
            self.duplicates,
            self.filtered,
            list(&self.dead)
        )
    }
}
