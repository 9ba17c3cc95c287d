//! Events counted by name and by what became of them.
//!
//! In: labels as sinks give them ([`Record::label`](pipeline_core::Record::label)), each with a fate. Out: how many events of
//! each label had which fate; labels with a counterpart at the destination apart from those without.
//!
//! Invariant: whatever senders call their events, at most [`MAX_EVENT_NAMES`] labels of each kind are told apart, and the
//! counts still add up.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Names that are told apart among those with a counterpart at the destination, and as many among those without; all further ones are counted together, as [`OTHER_NAMES`].
pub const MAX_EVENT_NAMES: usize = 500;
/// Counts the events of all names beyond [`MAX_EVENT_NAMES`].
pub const OTHER_NAMES: &str = "(other names)";
/// Counts events without a label, such as a line that is not JSON.
pub const NO_NAME: &str = "(no name)";
/// What separates the two names in the label of an event that has a counterpart at the destination.
pub const ARROW: &str = " → ";
/// Entries of a batch that are searched for one that can be added to: there are few kinds of events, or those of one kind come
/// close together.
const MAX_SEARCHED: usize = 32;
/// The same for labels that must be compared letter by letter.
const MAX_COMPARED: usize = 12;

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

/// How many events had which fate; codes come from a closed set.
pub type Fates = BTreeMap<Fate, u64>;

/// Counts of a few events, such as those of a chunk, before they are added to the [`EventCounts`] of all: adding to them
/// takes no lock and, for the usual case, no search.
#[derive(Debug, Default)]
pub struct EventBatch(Vec<Entry>);

/// A label with a fate, and how many events had both.
type Entry = (Option<Arc<str>>, Fate, u64);

impl Fate {
    /// As tables show it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Accepted => "mapped",
            Self::Held => "held",
            Self::Filtered(code) | Self::Rejected(code) => code,
            Self::Dropped => "dropped",
        }
    }
}

impl EventBatch {
    /// Adds one event.
    pub fn add(&mut self, label: Option<&Arc<str>>, fate: Fate) {
        if let Some((_, _, events)) = self.find(label, fate) {
            *events += 1;
        } else {
            self.0.push((label.cloned(), fate, 1));
        }
    }

    /// A recent entry of this label and fate.
    fn find(&mut self, label: Option<&Arc<str>>, fate: Fate) -> Option<&mut Entry> {
        let first = self.0.len().saturating_sub(MAX_SEARCHED);
        let recent = &mut self.0[first..];
        let address = label.map(Arc::as_ptr);
        let is_same = |known: &Option<Arc<str>>| known.as_ref().map(Arc::as_ptr) == address;
        let mut place = recent
            .iter()
            .rposition(|(known, of, _)| is_same(known) && *of == fate);
        // Labels of mapped events are shared; that of an event without a mapping was made for it alone.
        if let Some(label) = label.filter(|label| place.is_none() && Arc::strong_count(label) == 1)
        {
            let is_equal = |known: &Option<Arc<str>>| known.as_ref() == Some(label);
            let first = recent.len().saturating_sub(MAX_COMPARED);
            place = recent[first..]
                .iter()
                .rposition(|(known, of, _)| is_equal(known) && *of == fate)
                .map(|place| first + place);
        }
        recent.get_mut(place?)
    }

    /// All events.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, _, events)| events).sum()
    }

    /// The counts; a label can come several times.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&Arc<str>>, Fate, u64)> {
        let entries = self.0.iter();
        entries.map(|(label, fate, events)| (label.as_ref(), *fate, *events))
    }
}

impl EventCounts {
    /// Counts events of this label with this fate.
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

    /// The labels with a counterpart at the destination, each with its fates, in their order.
    pub fn mapped(&self) -> &BTreeMap<Arc<str>, Fates> {
        &self.mapped
    }

    /// The labels without a counterpart, each with its fates, in their order.
    pub fn unmapped(&self) -> &BTreeMap<Arc<str>, Fates> {
        &self.unmapped
    }

    /// Every label with its fates, those with a counterpart at the destination first.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Fates)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label(text: &str) -> Arc<str> {
        text.into()
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
