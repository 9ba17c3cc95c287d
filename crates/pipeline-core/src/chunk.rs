//! What a source read at once, on its way through the transforms to the sinks.
//!
//! A chunk knows, for each of its entries, which input of the source it was made from. A transform can change, drop or
//! multiply events and cannot break that relation, so receipts and answers by index stay exact.

use crate::{Event, Origin, Reason};

/// What a source read at one place: an event, or why it cannot be one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// An event.
    Event(Event),
    /// Something that cannot be an event, such as a line that is too long. It becomes a dead letter.
    Unreadable {
        /// Where it was.
        origin: Origin,
        /// Why it cannot be an event.
        reason: Reason,
    },
}

impl Input {
    /// Something that cannot be an event.
    pub fn unreadable(origin: Origin, reason: Reason) -> Self {
        Self::Unreadable { origin, reason }
    }
}

impl From<Event> for Input {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

/// What a source read at once.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    entries: Vec<Entry>,
    inputs: usize,
    partition: u64,
}

/// One entry of a chunk.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// Which input of the source it was made from, from 0.
    pub input: usize,
    /// What it is now.
    pub item: Item,
}

/// What an entry of a chunk is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Item {
    /// An event on its way to the sinks.
    Event(Event),
    /// The source or a transform refused it: it becomes a dead letter of every sink that reads the chunk.
    Rejected {
        /// Where the source read it.
        origin: Origin,
        /// Why.
        reason: Reason,
    },
    /// A transform dropped it: every sink that reads the chunk counts it as filtered.
    Dropped {
        /// Why.
        reason: Reason,
    },
}

/// What a transform does with one event.
#[derive(Debug)]
#[non_exhaustive]
pub enum Edit {
    /// The event, changed or as it was.
    Keep(Event),
    /// Several events in its place. None at all is a drop without a reason of its own: it counts as `dropped`.
    Split(Vec<Event>),
    /// No event; counted as filtered, with this reason.
    Drop(Reason),
    /// No event; a dead letter with this reason.
    Reject(Reason),
}

impl Chunk {
    /// A chunk of these inputs, in the order in which they were read.
    pub fn new(inputs: Vec<Input>) -> Self {
        let count = inputs.len();
        let entry = |(input, read)| Entry {
            input,
            item: match read {
                Input::Event(event) => Item::Event(event),
                Input::Unreadable { origin, reason } => Item::Rejected { origin, reason },
            },
        };
        Self {
            entries: inputs.into_iter().enumerate().map(entry).collect(),
            inputs: count,
            partition: 0,
        }
    }

    /// The same chunk, from this partition of the source. An ordered transform sees the chunks of one partition in the
    /// order in which the source sent them; chunks of different partitions may pass each other.
    #[must_use]
    pub fn with_partition(mut self, partition: u64) -> Self {
        self.partition = partition;
        self
    }

    /// The partition of the source; 0 unless the source set another.
    pub fn partition(&self) -> u64 {
        self.partition
    }

    /// How many inputs the source sent.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Everything in the chunk, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().filter_map(|entry| match &entry.item {
            Item::Event(event) => Some(event),
            _ => None,
        })
    }

    /// Bytes of all events.
    pub fn bytes(&self) -> usize {
        self.events().map(|event| event.raw().len()).sum()
    }

    /// Adds the entries of another chunk that was made from the same inputs of the source.
    pub fn append(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// Replaces every event by what `edit` makes of it, in order. What is not an event stays as it is.
    pub fn edit(&mut self, mut edit: impl FnMut(Event) -> Edit) {
        let mut edited = Vec::with_capacity(self.entries.len());
        for Entry { input, item } in std::mem::take(&mut self.entries) {
            let mut push = |item| edited.push(Entry { input, item });
            let Item::Event(event) = item else {
                push(item);
                continue;
            };
            let origin = event.origin().clone();
            match edit(event) {
                Edit::Keep(event) => push(Item::Event(event)),
                Edit::Split(events) if events.is_empty() => push(Item::Dropped {
                    reason: Reason::new("dropped", "a transform made no event of it"),
                }),
                Edit::Split(events) => events.into_iter().map(Item::Event).for_each(push),
                Edit::Drop(reason) => push(Item::Dropped { reason }),
                Edit::Reject(reason) => push(Item::Rejected { origin, reason }),
            }
        }
        self.entries = edited;
    }
}

impl FromIterator<Input> for Chunk {
    fn from_iter<I: IntoIterator<Item = Input>>(inputs: I) -> Self {
        Self::new(inputs.into_iter().collect())
    }
}

impl From<Event> for Chunk {
    fn from(event: Event) -> Self {
        Self::new(vec![event.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(chunk: &Chunk) -> Vec<String> {
        let shown = chunk.entries().iter().map(|Entry { input, item }| {
            let item = match item {
                Item::Event(event) => String::from_utf8_lossy(event.raw()).into_owned(),
                Item::Rejected { origin, reason } => format!("rejected {} {origin}", reason.code),
                Item::Dropped { reason } => format!("dropped {}", reason.code),
            };
            format!("{input} {item}")
        });
        shown.collect()
    }

    #[test]
    fn an_edit_keeps_the_relation_to_the_inputs() {
        let source = std::sync::Arc::<str>::from("app");
        let event = |text: &'static str, line| {
            let origin = Origin::line(std::sync::Arc::clone(&source), line);
            Input::from(Event::new(text, 0).with_origin(origin))
        };
        let unreadable = Input::unreadable(
            Origin::line(std::sync::Arc::clone(&source), 2),
            Reason::new("too_large", "the line is too long"),
        );
        let mut chunk = Chunk::new(vec![
            event("keep", 1),
            unreadable,
            event("split", 3),
            event("none", 4),
            event("drop", 5),
            event("reject", 6),
        ]);
        chunk.edit(|event| match event.raw() {
            b"split" => Edit::Split(vec![event.clone().with_raw("a"), event.with_raw("b")]),
            b"none" => Edit::Split(Vec::new()),
            b"drop" => Edit::Drop(Reason::new("sampled", "one in ten is kept")),
            b"reject" => Edit::Reject(Reason::new("odd", "it is odd")),
            _ => Edit::Keep(event),
        });
        assert_eq!(
            shown(&chunk),
            [
                "0 keep",
                "1 rejected too_large app line 2",
                "2 a",
                "2 b",
                "3 dropped dropped",
                "4 dropped sampled",
                "5 rejected odd app line 6"
            ]
        );
        assert_eq!((chunk.inputs(), chunk.bytes()), (6, "keepab".len()));
    }
}
