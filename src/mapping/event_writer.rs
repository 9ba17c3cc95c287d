//! A server event being written: looks values up, appends them to bytes, and reports each decision to a trace.
//!
//! The sections of a server event are written in files of their own: `event`, `user_data`, `app_data`, `custom_data`. The forms
//! of values are in `value`, which knows bytes only.

use super::given::{Given, Origin};
use super::json;
use super::plan::{EventPlan, FieldPlan, Fields, Rules, Within};
use super::trace::Trace;
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::action_source::ActionSource;
use crate::validate::Facts;
use json_paths::Path;
use json_paths::{Filled, Found, List, ObjectView, Paths, Slot, SlotBits, SlotSequence};
use pipeline_core::{Event, Reason};

/// What a server event is written from.
#[derive(Clone, Copy)]
pub(super) struct Input<'e, 'a> {
    pub(super) rules: &'e Rules,
    pub(super) paths: &'e Paths,
    pub(super) plan: &'e EventPlan,
    pub(super) found: &'e Found<'a>,
    pub(super) event: &'e Event,
    pub(super) now_ms: i64,
}

/// A server event being written.
pub(super) struct EventWriter<'e, 'a, T> {
    pub(super) input: Input<'e, 'a>,
    pub(super) scope: Scope<'e, 'a>,
    pub(super) out: Vec<u8>,
    /// Holds one value at a time.
    pub(super) scratch: String,
    /// Empty memory for the ids of the items.
    pub(super) item_ids: Vec<u8>,
    pub(super) facts: Facts,
    pub(super) trace: &'e mut T,
}

/// Where slots are looked up: in the event, or in one element of a list.
#[derive(Clone, Copy)]
pub(super) struct Scope<'e, 'a> {
    cells: ObjectView<'e, 'a>,
    pub(super) item: Option<ItemScope<'e>>,
}

/// An element of a list.
#[derive(Clone, Copy)]
pub(super) struct ItemScope<'e> {
    pub(super) list: List,
    pub(super) path: &'e Path,
    pub(super) row: usize,
}

/// How a name is sent that Meta's SDK for apps refuses. For app events of the Conversions API no rule is published.
const NOT_A_NAME_OF_APPS: &str = "the event's own name; Meta's SDK for apps takes letters of English, digits, `_`, `-` and spaces only, 40 at most";

/// Whether Meta's SDK for apps takes a name.
fn is_name_of_apps(name: &str) -> bool {
    const MAX_LEN: usize = 40;
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b' ');
    name.len() <= MAX_LEN && name.bytes().all(is_allowed)
}

/// Values that are not empty, each with its slot.
pub(super) struct Values<'e, 'a>(Filled<'e, 'e, 'a>);

impl<'a> Iterator for Values<'_, 'a> {
    type Item = (Slot, &'a str);

    #[expect(
        clippy::inline_always,
        reason = "a call costs as much as the search, and most fields have one value"
    )]
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (slot, raw) = self.0.next()?;
            if !json_text::is_empty(raw) {
                return Some((slot, raw));
            }
        }
    }
}

impl<'e, 'a> Scope<'e, 'a> {
    pub(super) fn of_event(found: &'e Found<'a>) -> Self {
        Self {
            cells: found.object(),
            item: None,
        }
    }

    pub(super) fn of_item(found: &'e Found<'a>, item: ItemScope<'e>) -> Self {
        Self {
            cells: found.element(item.list, item.row),
            item: Some(item),
        }
    }

    /// Whether one of these slots has a value, perhaps an empty one.
    #[inline]
    pub(super) fn has_any(self, slots: &SlotBits) -> bool {
        self.cells.bits_of(slots) != 0
    }

    /// The field's name, with the index of its item.
    fn name(self, field: &FieldPlan) -> String {
        // The event itself is its one item.
        let row = self.item.map_or(0, |item| item.row);
        field.name.replace("[]", &format!("[{row}]"))
    }

    /// The name of a parameter of the item.
    pub(super) fn item_name(self, key: &str) -> String {
        let row = self.item.map_or(0, |item| item.row);
        format!("custom_data.contents[{row}].{key}")
    }

    /// The origin of a value, for people.
    pub(super) fn describe(self, paths: &Paths, origin: Origin) -> String {
        match (origin, self.item) {
            (Origin::Slot(slot), None) => paths.path(slot).to_string(),
            (Origin::Slot(slot), Some(ItemScope { list, path, row })) => {
                match paths.of_list(list).path(slot).to_string() {
                    within if within.is_empty() => format!("{path}[{row}]"),
                    within => format!("{path}[{row}].{within}"),
                }
            }
            (Origin::Element(slot, element), _) => {
                let list = self.describe(paths, Origin::Slot(slot));
                format!("{list}[{element}]")
            }
            (Origin::Constant, _) => "(constant)".to_owned(),
            (Origin::Default, _) => "(default)".to_owned(),
            (Origin::Derived(from), _) => format!("({from})"),
        }
    }
}

impl<'e, 'a, T: Trace> EventWriter<'e, 'a, T> {
    /// Writes the whole server event.
    pub(super) fn write(&mut self, name: &str) {
        self.append("{\"event_name\":");
        json::text(name, &mut self.out);
        let rule = match self.input.plan.meta_name {
            Some(_) => "the preset's name for the event",
            None => "the event's own name",
        };
        self.sent_by_name("event_name", "event", rule);
        self.event_level();
        self.user_data();
        if self.facts.action_source == ActionSource::App {
            if self.input.plan.meta_name.is_none() && !is_name_of_apps(name) {
                self.sent_by_name("event_name", "event", NOT_A_NAME_OF_APPS);
            }
            self.app_data();
        }
        let plan = self.input.plan;
        self.object("\"original_event_data\":{", &plan.original_event_data);
        self.custom_data();
        self.out.push(b'}');
    }

    /// The JSON at a slot, unless it is empty.
    #[expect(
        clippy::inline_always,
        reason = "it is called for every place of every parameter, and most places are empty"
    )]
    #[inline(always)]
    pub(super) fn get(&self, slot: Slot) -> Option<&'a str> {
        match self.scope.cells.get(slot) {
            Some(raw) if !json_text::is_empty(raw) => Some(raw),
            _ => None,
        }
    }

    /// Those of these fields that can have a value; all of them if the trace is told about the others.
    #[inline]
    pub(super) fn within(&self, fields: &'e Fields) -> Within<'e, 'e, 'a> {
        fields.within(self.scope.cells, T::WANTS_ABSENT)
    }

    /// The first value of a field that `read` can use, and where it was found. Reports those that it cannot use.
    pub(super) fn first<R>(
        &mut self,
        field: &'e FieldPlan,
        read: impl Fn(&'a str) -> Result<R, Omitted>,
    ) -> Given<R> {
        let mut given = Given::Absent;
        for (slot, raw) in self.values(field) {
            match read(raw) {
                Ok(value) => return Given::Read(value, Origin::Slot(slot)),
                Err(why) => {
                    self.omitted(field, Origin::Slot(slot), why);
                    if !why.counts_as_absent() {
                        given = Given::Unreadable;
                    }
                }
            }
        }
        given
    }

    /// The values of a field, each with its slot.
    #[inline]
    pub(super) fn values(&self, field: &'e FieldPlan) -> Values<'e, 'a> {
        self.filled(&field.places)
    }

    /// The values at some slots, each with its slot.
    #[inline]
    pub(super) fn filled(&self, slots: &'e SlotSequence) -> Values<'e, 'a> {
        Values(self.scope.cells.filled(slots))
    }

    /// Rejects the event for a value that cannot be read and without which it must not be sent. Of several such values, the
    /// first one is reported.
    #[cold]
    pub(super) fn refuse(&mut self, slot: Slot, why: impl FnOnce(&Path) -> Reason) {
        if self.facts.unreadable.is_none() {
            self.facts.unreadable = Some(Box::new(why(self.input.paths.path(slot))));
        }
    }

    /// Starts a field: a comma if one is due, and the key.
    pub(super) fn key(&mut self, field: &FieldPlan) {
        let key = if json::is_start(&self.out) {
            &field.key
        } else {
            &field.key_behind_others
        };
        self.append(key);
    }

    /// Appends what is JSON already.
    pub(super) fn append(&mut self, json: &str) {
        json::raw(json, &mut self.out);
    }

    /// Reports a field that was written.
    pub(super) fn sent(&mut self, field: &FieldPlan, origin: Origin, rule: &str) {
        let (scope, paths) = (self.scope, self.input.paths);
        self.trace
            .sent(|| scope.name(field), || scope.describe(paths, origin), rule);
    }

    /// Reports a field that was written without a plan.
    pub(super) fn sent_by_name(&mut self, name: &str, from: &str, rule: &str) {
        self.trace
            .sent(|| name.to_owned(), || from.to_owned(), rule);
    }

    /// Reports a value that could not be used.
    pub(super) fn omitted(&mut self, field: &FieldPlan, origin: Origin, why: Omitted) {
        if why == Omitted::DigitsLost {
            self.facts.damaged_id = Some(why);
        }
        let (scope, paths) = (self.scope, self.input.paths);
        self.trace
            .omitted(|| scope.name(field), || scope.describe(paths, origin), why);
    }

    /// Reports that a field which was written has been removed again.
    pub(super) fn taken_back(&mut self, field: &FieldPlan, why: Omitted) {
        let scope = self.scope;
        self.trace.taken_back(|| scope.name(field), why);
    }

    /// Reports that a field which was written has been removed again with the item that held it.
    pub(super) fn forgotten(&mut self, field: &FieldPlan) {
        let scope = self.scope;
        self.trace.forgotten(|| scope.name(field));
    }

    /// Reports a field without a usable value.
    pub(super) fn absent(&mut self, field: &FieldPlan) {
        let (scope, Input { paths, plan, .. }) = (self.scope, self.input);
        self.trace.absent(
            || scope.name(field),
            || {
                plan.slots(field)
                    .map(|slot| scope.describe(paths, Origin::Slot(slot)))
                    .collect()
            },
        );
    }
}
