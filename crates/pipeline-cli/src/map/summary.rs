//! What becomes of all events together: how many, by name, and which names may be misspelled.
//!
//! Invariant: memory is bounded by the number of names that [`EventCounts`] tells apart, whatever the input holds.

use super::Report;
use super::answer::{Answer, Fate as Became};
use crate::output::{clear, show_progress};
use pipeline_core::options::near_miss;
use pipeline_core::{MissingEvents, Sink};
use pipeline_host::report::{self, ARROW, EventCounts, Fate, NO_NAME, OTHER_NAMES};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names that each table shows.
const MAX_NAMES: usize = 50;
/// Names that may be misspelled.
const MAX_MISSPELLED: usize = 10;
/// How long the summary may take before progress is shown, and how often it is shown then.
const PATIENCE: Duration = Duration::from_secs(2);
/// Events between two looks at the clock.
const EVENTS_PER_LOOK: u64 = 256;

/// Counts events.
pub(super) struct Summary {
    sink: Arc<dyn Sink>,
    name: String,
    counts: EventCounts,
    progress: Progress,
}

/// Shows how many events were read where that takes long and somebody watches.
#[derive(Debug)]
struct Progress {
    events: u64,
    is_wanted: bool,
    last: Instant,
}

impl Summary {
    pub(super) fn of(name: &str, sink: Arc<dyn Sink>) -> Self {
        Self {
            sink,
            name: name.to_owned(),
            counts: EventCounts::default(),
            progress: Progress::start(),
        }
    }

    /// Pairs of a name without a counterpart and the label of one that it may be meant to be, the most frequent first.
    fn misspelled(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let known = self.sink.event_labels();
        let mut unmapped: Vec<_> = self.counts.unmapped().iter().collect();
        unmapped.sort_by_key(|(_, fates)| Reverse(fates.values().sum::<u64>()));
        let unmapped = unmapped.into_iter().map(|(name, _)| name);
        unmapped
            .filter(|name| !matches!(&***name, NO_NAME | OTHER_NAMES))
            .filter_map(|name| Some((Arc::clone(name), Arc::clone(meant(name, &known)?))))
            .take(MAX_MISSPELLED)
            .collect()
    }

    /// What the sink advises about the events that are not sent.
    fn advice(&self) -> Option<String> {
        let missing: Vec<_> = self
            .counts
            .iter()
            .flat_map(|(label, fates)| {
                fates
                    .iter()
                    .map(move |(fate, events)| (label, fate, events))
            })
            .filter_map(|(label, fate, events)| match fate {
                Fate::Filtered(code) | Fate::Rejected(code) => {
                    let label = (**label != *NO_NAME).then(|| Arc::clone(label));
                    Some(MissingEvents::new(label, code, *events))
                }
                _ => None,
            })
            .collect();
        (!missing.is_empty()).then(|| self.sink.advise(&missing))?
    }
}

impl Report for Summary {
    fn needs_explanations(&self) -> bool {
        false
    }

    fn add(&mut self, answer: &Answer, _: &mut dyn Write) -> io::Result<()> {
        let fate = match &answer.fate {
            Became::Mapped(_) => Fate::Accepted,
            Became::Filtered(reason) => Fate::Filtered(reason.code),
            Became::Rejected(reason) => Fate::Rejected(reason.code),
            Became::Unknown => Fate::Dropped,
        };
        self.counts.add(answer.label.as_ref(), fate, 1);
        self.progress.add();
        Ok(())
    }

    fn end(&mut self, output: &mut dyn Write) -> io::Result<()> {
        clear();
        let mut text = totals(&self.counts);
        report::events(&mut text, &self.name, &self.counts, MAX_NAMES);
        output.write_all(text.as_bytes())?;
        let names = self.misspelled();
        if !names.is_empty() {
            writeln!(output, "\n{}: names that may be misspelled", self.name)?;
        }
        let width = names.iter().map(|(name, _)| name.chars().count()).max();
        for (name, label) in names {
            writeln!(
                output,
                "  {name:<width$}  {label}",
                width = width.unwrap_or(0)
            )?;
        }
        match self.advice() {
            Some(advice) => writeln!(output, "\n{}: {advice}", self.name),
            None => Ok(()),
        }
    }
}

/// How many events there are of each fate.
fn totals(counts: &EventCounts) -> String {
    let mut fates: BTreeMap<Fate, u64> = BTreeMap::new();
    for (_, of_name) in counts.iter() {
        for (fate, events) in of_name {
            *fates.entry(*fate).or_default() += events;
        }
    }
    let of = |is_part: fn(&Fate) -> bool| {
        let mut parts: Vec<_> = fates
            .iter()
            .filter(|(fate, _)| is_part(fate))
            .map(|(fate, events)| (fate.word(), *events))
            .collect();
        parts.sort_by_key(|(_, events)| Reverse(*events));
        parts
    };
    let mut lines = vec![("events".to_owned(), counts.total())];
    let mut part = |title: &str, reasons: Vec<(&str, u64)>| {
        let total = reasons.iter().map(|(_, events)| events).sum();
        lines.push((format!("  {title}"), total));
        if title != "mapped" {
            let reasons = reasons.into_iter();
            lines.extend(reasons.map(|(code, events)| (format!("    {code}"), events)));
        }
    };
    part("mapped", of(|fate| matches!(fate, Fate::Accepted)));
    part("filtered", of(|fate| matches!(fate, Fate::Filtered(_))));
    part("rejected", of(|fate| matches!(fate, Fate::Rejected(_))));
    let label_width = lines
        .iter()
        .map(|(label, _)| label.len())
        .max()
        .unwrap_or(0);
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(label, events)| (label, report::thousands(events)))
        .collect();
    let width = lines
        .iter()
        .map(|(_, events)| events.len())
        .max()
        .unwrap_or(0);
    let lines = lines
        .into_iter()
        .map(|(label, events)| format!("{label:<label_width$}  {events:>width$}\n"));
    lines.collect()
}

/// The label of the event that a name is probably meant to be.
fn meant<'k>(name: &str, known: &'k [Arc<str>]) -> Option<&'k Arc<str>> {
    let name_of = |label: &'k Arc<str>| {
        label
            .split_once(ARROW)
            .map_or(&**label, |(name, _)| name)
            .trim()
    };
    let near = near_miss(name, known.iter().map(name_of))?;
    known.iter().find(|label| name_of(label) == near)
}

impl Progress {
    /// Somebody who types events sees what was read.
    fn start() -> Self {
        Self {
            events: 0,
            is_wanted: io::stderr().is_terminal() && !io::stdin().is_terminal(),
            last: Instant::now(),
        }
    }

    fn add(&mut self) {
        self.events += 1;
        if !self.is_wanted
            || !self.events.is_multiple_of(EVENTS_PER_LOOK)
            || self.last.elapsed() < PATIENCE
        {
            return;
        }
        self.last = Instant::now();
        let events = report::thousands(self.events);
        show_progress(format!("{events} events"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_name_finds_the_right_one_and_another_name_does_not() {
        let known: Vec<Arc<str>> = [
            "Order Completed → Purchase",
            "Product Viewed → ViewContent",
            "page → PageView",
        ]
        .map(Arc::from)
        .to_vec();
        for (name, expected) in [
            ("Order Complete", Some(0)),
            ("ordersCompleted", Some(0)),
            ("ORDER  COMPLETED!", Some(0)),
            ("products_viewer", Some(1)),
            ("Cart Viewed", None),
            ("Product List Viewed", None),
            ("Product Removed", None),
            ("pages", Some(2)),
            ("pag", None),
            ("", None),
        ] {
            let expected = expected.map(|at: usize| &known[at]);
            assert_eq!(meant(name, &known), expected, "{name}");
        }
    }

    #[test]
    fn totals_add_up_and_give_the_reasons() {
        let mut counts = EventCounts::default();
        let name: Arc<str> = "a → A".into();
        counts.add(Some(&name), Fate::Accepted, 1_234);
        counts.add(None, Fate::Rejected("malformed_json"), 2);
        counts.add(Some(&name), Fate::Filtered("consent"), 3);
        counts.add(Some(&name), Fate::Filtered("unmapped"), 4);
        let expected = "\
events              1,243
  mapped            1,234
  filtered              7
    unmapped            4
    consent             3
  rejected              2
    malformed_json      2
";
        assert_eq!(totals(&counts), expected);
    }
}
