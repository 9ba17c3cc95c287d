//! What must become of a chunk: the graph of the property test, read off one event at a time, with no queue, no order and no
//! memory.

use crate::part::{Edited, Fate, edited, fate, label};
use pipeline_core::Verdict;
use std::collections::BTreeMap;

/// The transforms of the graph, with what each reads. The source is `tap`.
pub(crate) const TRANSFORMS: [(&str, &[&str], u64); 3] = [
    ("t1", &["tap"], 1),
    ("t2", &["t1"], 2),
    ("t3", &["tap", "t2"], 3),
];

/// The sinks of the graph, with what each reads.
pub(crate) const SINKS: [(&str, &[&str], u64); 4] = [
    ("plain", &["tap"], 11),
    ("chained", &["t2"], 12),
    ("mixed", &["tap", "t1"], 13),
    ("merged", &["t3", "t1"], 14),
];

/// One input of a source: an event of this text, or something unreadable.
pub(crate) type Input = Option<String>;

#[derive(Debug, Clone)]
enum Item {
    Event(String),
    Filtered(&'static str),
    Rejected(&'static str),
}

/// How many events of a label had a fate.
pub(crate) type Events = BTreeMap<(String, &'static str), u64>;

/// What one sink must do with one chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) received: u64,
    pub(crate) delivered: Vec<String>,
    pub(crate) filtered: BTreeMap<&'static str, u64>,
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    pub(crate) events: Events,
}

impl Expected {
    pub(crate) fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.delivered.extend(other.delivered.iter().cloned());
        for (code, events) in &other.filtered {
            *self.filtered.entry(code).or_default() += events;
        }
        for (code, events) in &other.rejected {
            *self.rejected.entry(code).or_default() += events;
        }
        for (event, events) in &other.events {
            *self.events.entry(event.clone()).or_default() += events;
        }
    }
}

/// What every sink must do with the chunk, and the answer for each input.
pub(crate) fn expect(inputs: &[Input]) -> (BTreeMap<&'static str, Expected>, Vec<Verdict>) {
    let mut sinks: BTreeMap<&str, Expected> = BTreeMap::new();
    let mut verdicts = Vec::new();
    for input in inputs {
        let mut best = None;
        for (name, reads, seed) in SINKS {
            let expected = sinks.entry(name).or_default();
            for item in reads.iter().flat_map(|node| items(node, input)) {
                let verdict = settle(&item, seed, expected);
                if best.as_ref().is_none_or(|best| rank(&verdict) > rank(best)) {
                    best = Some(verdict);
                }
            }
        }
        verdicts.extend(best);
    }
    (sinks, verdicts)
}

/// What one input is once it has passed this source or transform.
fn items(node: &str, input: &Input) -> Vec<Item> {
    let Some((_, reads, seed)) = TRANSFORMS.into_iter().find(|(name, ..)| *name == node) else {
        return vec![match input {
            Some(text) => Item::Event(text.clone()),
            None => Item::Rejected("too_large"),
        }];
    };
    let pass = |item| match item {
        Item::Event(text) => match edited(seed, &text) {
            Edited::Dropped => vec![Item::Filtered("sampled")],
            Edited::Rejected => vec![Item::Rejected("odd")],
            Edited::Events(texts) if texts.is_empty() => vec![Item::Filtered("dropped")],
            Edited::Events(texts) => texts.into_iter().map(Item::Event).collect(),
        },
        other => vec![other],
    };
    let read = reads.iter().flat_map(|node| items(node, input));
    read.flat_map(pass).collect()
}

fn settle(item: &Item, seed: u64, expected: &mut Expected) -> Verdict {
    expected.received += 1;
    let verdict = judge(item, seed, expected);
    let name = match item {
        Item::Event(text) => label(text),
        _ => "(no name)".to_owned(),
    };
    let fate = match (&verdict, item) {
        (Verdict::Filtered { code }, _) => code,
        (Verdict::Rejected(reason), _) => reason.code,
        (_, Item::Event(text)) if fate(seed, text) == Fate::RejectedByDestination => "invalid",
        _ => "delivered",
    };
    *expected.events.entry((name, fate)).or_default() += 1;
    verdict
}

fn judge(item: &Item, seed: u64, expected: &mut Expected) -> Verdict {
    let mut filter = |code| {
        *expected.filtered.entry(code).or_default() += 1;
        Verdict::Filtered { code }
    };
    let code = match item {
        Item::Filtered(code) => return filter(code),
        Item::Rejected(code) => code,
        Item::Event(text) => match fate(seed, text) {
            Fate::Filtered => return filter("consent"),
            Fate::RejectedAtOnce => "unfit",
            Fate::RejectedByDestination => {
                *expected.rejected.entry("invalid").or_default() += 1;
                return Verdict::Accepted;
            }
            Fate::Delivered => {
                expected.delivered.push(text.clone());
                return Verdict::Accepted;
            }
        },
    };
    *expected.rejected.entry(code).or_default() += 1;
    Verdict::Rejected(pipeline_core::Reason::new(code, ""))
}

/// The order of verdicts, and nothing else of them.
fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Accepted => 2,
        Verdict::Rejected(_) => 1,
        _ => 0,
    }
}

/// A verdict without the sentence of its reason.
pub(crate) fn bare(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted => "accepted".to_owned(),
        Verdict::Rejected(reason) => format!("rejected {}", reason.code),
        Verdict::Filtered { code } => format!("filtered {code}"),
        _ => "unknown".to_owned(),
    }
}
