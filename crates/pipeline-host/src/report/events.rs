//! Events counted by name and by what became of them, and the table of it: which event is missing, and why.
//!
//! In: labels as sinks give them ([`Record::label`](pipeline_core::Record::label)), each with a fate. Out: one line a name,
//! the most frequent first, names without a counterpart at the destination apart from the others.
//!
//! Invariant: whatever senders call their events, at most [`MAX_EVENT_NAMES`] names of each block are told apart, and the
//! counts still add up.

use super::grid::section;
use super::thousands;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names that are told apart in each of the two blocks; all further ones are counted together, as [`OTHER_NAMES`].
pub const MAX_EVENT_NAMES: usize = 500;
/// Counts the events of all names beyond [`MAX_EVENT_NAMES`].
pub const OTHER_NAMES: &str = "(other names)";
/// Counts events of which the sink did not say what kind they are: a line that is not JSON, for instance.
pub const NO_NAME: &str = "(no name)";
/// What separates the two names in the label of an event that has a counterpart at the destination.
pub const ARROW: &str = " → ";
/// Characters of a label that a table shows.
const MAX_SHOWN_CHARS: usize = 60;
/// How many entries of a batch are searched for one that can be added to. Events of one kind come close together, or there
/// are few kinds.
const MAX_SEARCHED: usize = 8;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// The destination has it.
    Delivered,
    /// It would be sent: for a report that sends nothing.
    Accepted,
    /// It waits: in the buffer, or on its way.
    Held,
    /// Not meant for the destination, for the reason of this code.
    Filtered(&'static str),
    /// A dead letter, for the reason of this code.
    Rejected(&'static str),
    /// Dropped because the buffer was full.
    Dropped,
}

/// Events counted by label and fate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Labels with a counterpart at the destination. Their number is bounded apart from the others', so that a sender with
    /// ever new names cannot crowd them out.
    mapped: BTreeMap<Arc<str>, Fates>,
    unmapped: BTreeMap<Arc<str>, Fates>,
}

/// How many events met which fate; codes come from a closed set.
type Fates = BTreeMap<Fate, u64>;

/// Counts of a few events, such as those of a chunk, before they are added to the [`EventCounts`] of all: adding to them
/// takes no lock and, for the usual case, no search.
#[derive(Debug, Default)]
pub struct EventBatch(Vec<(Option<Arc<str>>, Fate, u64)>);

impl Fate {
    /// As tables show it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Held => "held",
            Self::Filtered(code) | Self::Rejected(code) => code,
            Self::Dropped => "dropped",
        }
    }
}

impl EventBatch {
    /// Adds one event.
    pub fn add(&mut self, label: Option<&Arc<str>>, fate: Fate) {
        let same = |known: &Option<Arc<str>>| match (known.as_ref(), label) {
            (Some(known), Some(label)) => Arc::ptr_eq(known, label) || known == label,
            (None, None) => true,
            _ => false,
        };
        let mut recent = self.0.iter_mut().rev().take(MAX_SEARCHED);
        if let Some((_, _, events)) = recent.find(|(known, of, _)| *of == fate && same(known)) {
            *events += 1;
        } else {
            self.0.push((label.cloned(), fate, 1));
        }
    }

    /// The counts; a label can come several times.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&Arc<str>>, Fate, u64)> {
        let entries = self.0.iter();
        entries.map(|(label, fate, events)| (label.as_ref(), *fate, *events))
    }
}

impl EventCounts {
    /// Counts events of this label, which met this fate.
    pub fn add(&mut self, label: Option<&Arc<str>>, fate: Fate, events: u64) {
        if events > 0 {
            *self.fates(label).entry(fate).or_default() += events;
        }
    }

    /// As [`add`](Self::add), for events that were counted as held until now.
    pub fn settle(&mut self, label: Option<&Arc<str>>, fate: Fate, events: u64) {
        if events == 0 {
            return;
        }
        let fates = self.fates(label);
        if let Some(held) = fates.get_mut(&Fate::Held) {
            *held = held.saturating_sub(events);
            if *held == 0 {
                fates.remove(&Fate::Held);
            }
        }
        self.add(label, fate, events);
    }

    /// Adds the counts of a batch.
    pub fn add_batch(&mut self, batch: &EventBatch) {
        for (label, fate, events) in batch.iter() {
            self.add(label, fate, events);
        }
    }

    /// Every label with its fates, those with a counterpart at the destination first, in the order of the labels.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<Fate, u64>)> {
        self.mapped.iter().chain(&self.unmapped)
    }

    /// All events.
    pub fn total(&self) -> u64 {
        self.iter().flat_map(|(_, fates)| fates.values()).sum()
    }

    /// Whether any event has a name.
    pub fn has_names(&self) -> bool {
        self.iter().any(|(label, _)| &**label != NO_NAME)
    }

    /// The fates of a label; of the other names, where too many are known.
    fn fates(&mut self, label: Option<&Arc<str>>) -> &mut Fates {
        let label = label.filter(|label| !label.is_empty());
        let is_mapped = label.is_some_and(|label| label.contains(ARROW));
        let names = if is_mapped {
            &mut self.mapped
        } else {
            &mut self.unmapped
        };
        let name: &str = label.map_or(NO_NAME, |label| label);
        let known = if names.contains_key(name) {
            name
        } else if names.len() < MAX_EVENT_NAMES || label.is_none() {
            let key = label.map_or_else(|| NO_NAME.into(), Arc::clone);
            names.insert(key, Fates::new());
            name
        } else {
            names.entry(OTHER_NAMES.into()).or_default();
            OTHER_NAMES
        };
        // It is there: the branches above have seen to it.
        names.entry(known.into()).or_default()
    }
}

/// Adds the two tables of one sink to `text`: its events by name, and the names without a mapping; at most `max_names` lines
/// each. Nothing where no event has a name.
pub fn events(text: &mut String, sink: &str, counts: &EventCounts, max_names: usize) {
    if !counts.has_names() {
        return;
    }
    let title = format!("{sink}: events by name");
    section(text, &title, lines(&counts.mapped, max_names));
    let title = format!("{sink}: names without a mapping");
    section(text, &title, lines(&counts.unmapped, max_names));
}

/// One line a name, the most frequent first.
fn lines(names: &BTreeMap<Arc<str>, Fates>, max_names: usize) -> Vec<[String; 3]> {
    let total = |fates: &Fates| fates.values().sum::<u64>();
    let mut sorted: Vec<_> = names
        .iter()
        .map(|(label, fates)| (total(fates), label, fates))
        .filter(|(total, _, _)| *total > 0)
        .collect();
    // Stable: names that are as frequent stay in their own order.
    sorted.sort_by_key(|(total, _, _)| Reverse(*total));
    let rest = sorted.split_off(max_names.min(sorted.len()));
    let width = sorted.iter().map(|(total, _, _)| thousands(*total).len());
    let width = width.max().unwrap_or(0);
    let mut lines: Vec<_> = sorted
        .into_iter()
        .map(|(total, label, fates)| {
            let total = format!("{:>width$}", thousands(total));
            [shown(label), total, self::fates(fates)]
        })
        .collect();
    if !rest.is_empty() {
        let events = rest.iter().map(|(total, _, _)| total).sum();
        let noun = if rest.len() == 1 { "name" } else { "names" };
        let more = format!("and {} more {noun}", rest.len());
        lines.push([
            more,
            format!("{:>width$}", thousands(events)),
            String::new(),
        ]);
    }
    lines
}

/// `delivered 5, consent 4, missing_currency 2`
fn fates(fates: &Fates) -> String {
    let mut sorted: Vec<_> = fates.iter().filter(|(_, events)| **events > 0).collect();
    let is_lost = |fate: &Fate| matches!(fate, Fate::Filtered(_) | Fate::Rejected(_));
    sorted.sort_by_key(|(fate, events)| (is_lost(fate), Reverse(**events)));
    let told = sorted
        .into_iter()
        .map(|(fate, events)| format!("{} {}", fate.word(), thousands(*events)));
    told.collect::<Vec<_>>().join(", ")
}

/// A label that cannot move the terminal's cursor and does not push the figures out of sight.
fn shown(label: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = label.chars().map(plain).take(MAX_SHOWN_CHARS).collect();
    if label.chars().nth(MAX_SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(text: &str) -> Arc<str> {
        text.into()
    }

    fn counts(events: &[(&str, Fate, u64)]) -> EventCounts {
        let mut counts = EventCounts::default();
        for (name, fate, events) in events {
            counts.add(Some(&label(name)), *fate, *events);
        }
        counts
    }

    fn table(counts: &EventCounts, max_names: usize) -> String {
        let mut text = String::new();
        events(&mut text, "shop", counts, max_names);
        text
    }

    #[test]
    fn the_table_reads_like_this() {
        let mut counts = counts(&[
            ("Order Completed → Purchase", Fate::Filtered("consent"), 4),
            ("Order Completed → Purchase", Fate::Delivered, 5),
            (
                "Order Completed → Purchase",
                Fate::Rejected("missing_currency"),
                2,
            ),
            ("page → PageView", Fate::Delivered, 1_234),
            ("Cart Viewed", Fate::Filtered("unmapped"), 14),
            ("identify", Fate::Filtered("not_a_conversion"), 25),
            ("Product Added → AddToCart", Fate::Held, 3),
        ]);
        counts.add(None, Fate::Rejected("malformed_json"), 2);
        let expected = "\
shop: events by name
  page → PageView             1,234  delivered 1,234
  Order Completed → Purchase     11  delivered 5, consent 4, missing_currency 2
  Product Added → AddToCart       3  held 3

shop: names without a mapping
  identify     25  not_a_conversion 25
  Cart Viewed  14  unmapped 14
  (no name)     2  malformed_json 2
";
        assert_eq!(table(&counts, 20), expected);
    }

    #[test]
    fn what_does_not_fit_is_counted_in_the_last_line() {
        let counts = counts(&[
            ("a → A", Fate::Delivered, 1),
            ("b → B", Fate::Delivered, 2),
            ("c → C", Fate::Delivered, 3),
            ("d → D", Fate::Delivered, 4),
        ]);
        let expected = "\
shop: events by name
  d → D             4  delivered 4
  c → C             3  delivered 3
  and 2 more names  3
";
        assert_eq!(table(&counts, 2), expected);
    }

    #[test]
    fn a_sink_that_names_no_event_has_no_table() {
        let mut counts = EventCounts::default();
        counts.add(None, Fate::Delivered, 3);
        counts.add(Some(&label("")), Fate::Delivered, 4);
        assert_eq!((table(&counts, 20), counts.total()), (String::new(), 7));
    }

    #[test]
    fn a_name_cannot_move_the_cursor_and_is_cut_where_it_is_long() {
        let long = "x".repeat(MAX_SHOWN_CHARS + 1);
        let counts = counts(&[
            ("a\u{1b}[2Jb", Fate::Filtered("unmapped"), 2),
            (&long, Fate::Filtered("unmapped"), 1),
        ]);
        let table = table(&counts, 20);
        assert!(table.contains("  a [2Jb "), "{table}");
        let cut = format!("  {}…  1  unmapped 1\n", "x".repeat(MAX_SHOWN_CHARS));
        assert!(table.ends_with(&cut), "{table}");
    }

    #[test]
    fn ever_new_names_do_not_crowd_out_the_ones_that_are_mapped() {
        let mut counts = EventCounts::default();
        for number in 0..2 * MAX_EVENT_NAMES {
            let name = label(&format!("name {number}"));
            counts.add(Some(&name), Fate::Filtered("unmapped"), 1);
        }
        let purchase = label("Order Completed → Purchase");
        counts.add(Some(&purchase), Fate::Delivered, 7);
        let of = |name: &str| {
            let found = counts.iter().find(|(label, _)| &***label == name);
            found.map(|(_, fates)| fates.clone())
        };
        assert_eq!(of(&purchase), Some(BTreeMap::from([(Fate::Delivered, 7)])));
        let others = BTreeMap::from([(Fate::Filtered("unmapped"), MAX_EVENT_NAMES as u64)]);
        assert_eq!(of(OTHER_NAMES), Some(others));
        assert_eq!(counts.iter().count(), MAX_EVENT_NAMES + 2);
    }

    /// Something that happens to a sink, as the counts see it.
    #[derive(Debug, Clone)]
    enum Step {
        /// A chunk of events, with their names and fates.
        Chunk(Vec<(Option<u16>, Fate)>),
        /// So many events that a name has held meet their fate.
        Settle(u16, Fate, u8),
    }

    fn name(number: u16) -> String {
        // Some names have a counterpart.
        if number.is_multiple_of(3) {
            format!("name {number} → Lead")
        } else {
            format!("name {number}")
        }
    }

    /// Counts everything anew from the start, name by name, without bounds.
    fn recount(steps: &[Step]) -> BTreeMap<(Option<u16>, Fate), u64> {
        let mut counts = BTreeMap::new();
        for step in steps {
            match step {
                Step::Chunk(events) => {
                    for (number, fate) in events {
                        *counts.entry((*number, *fate)).or_insert(0_u64) += 1;
                    }
                }
                Step::Settle(number, fate, events) => {
                    let held = counts.entry((Some(*number), Fate::Held)).or_default();
                    let events = u64::from(*events).min(*held);
                    *held -= events;
                    *counts.entry((Some(*number), *fate)).or_default() += events;
                }
            }
        }
        counts.retain(|_, events| *events > 0);
        counts
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![
            Just(Fate::Held),
            Just(Fate::Delivered),
            Just(Fate::Filtered("unmapped")),
            Just(Fate::Filtered("consent")),
            Just(Fate::Rejected("too_old")),
            Just(Fate::Dropped),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        // Names from a few, and from more than are told apart.
        let number = || prop_oneof![0_u16..9, 0_u16..2_000];
        let event = (prop::option::weighted(0.9, number()), fate());
        prop_oneof![
            prop::collection::vec(event, 0..400).prop_map(Step::Chunk),
            (number(), fate(), 0_u8..20).prop_map(|(name, fate, n)| Step::Settle(name, fate, n)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_counts_are_those_of_a_recount(steps in prop::collection::vec(step(), 1..25)) {
            let mut counts = EventCounts::default();
            // As sinks do it: most events of a name share one label, some have a label of their own.
            let mut shared: BTreeMap<u16, Arc<str>> = BTreeMap::new();
            let mut done = Vec::new();
            for step in steps {
                match &step {
                    Step::Chunk(events) => {
                        let mut batch = EventBatch::default();
                        for (number, fate) in events {
                            let label = number.map(|number| match number % 4 {
                                0 => label(&name(number)),
                                _ => Arc::clone(shared.entry(number).or_insert_with(|| label(&name(number)))),
                            });
                            batch.add(label.as_ref(), *fate);
                        }
                        counts.add_batch(&batch);
                    }
                    Step::Settle(number, fate, events) => {
                        let held = recount(&done).get(&(Some(*number), Fate::Held)).copied();
                        let events = u64::from(*events).min(held.unwrap_or(0));
                        counts.settle(Some(&label(&name(*number))), *fate, events);
                    }
                }
                done.push(step);
            }
            // A name that is told apart has exactly its events; the others add up, fate by fate.
            let mut others: BTreeMap<(bool, Fate), u64> = BTreeMap::new();
            let mut names: BTreeMap<String, Fates> = BTreeMap::new();
            for ((number, fate), events) in recount(&done) {
                let name = number.map_or_else(|| NO_NAME.to_owned(), name);
                if counts.iter().any(|(label, _)| **label == *name) {
                    names.entry(name).or_default().insert(fate, events);
                } else {
                    *others.entry((name.contains(ARROW), fate)).or_default() += events;
                }
            }
            let is_known = |label: &str| label != OTHER_NAMES;
            for (label, fates) in counts.iter().filter(|(label, _)| is_known(label)) {
                prop_assert_eq!(Some(fates), names.get(&**label), "{}", label);
            }
            for (is_mapped, block) in [(true, &counts.mapped), (false, &counts.unmapped)] {
                prop_assert!(block.len() <= MAX_EVENT_NAMES + 2);
                let expected = others.iter().filter(|((mapped, _), _)| *mapped == is_mapped);
                let expected: Fates = expected.map(|((_, fate), events)| (*fate, *events)).collect();
                let counted = block.get(OTHER_NAMES).cloned().unwrap_or_default();
                prop_assert_eq!(counted, expected);
            }
        }
    }
}
