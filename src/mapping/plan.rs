//! What a preset and its overrides are compiled to: which event becomes what, and how each parameter gets its value.
//!
//! Everything here is made by `compile` when the options are read, and only followed afterwards.

mod field;
mod fields;

pub(crate) use field::FieldPlan;
pub(crate) use fields::{Fields, Within};

use super::given::Origin;
use crate::identity::{Alpha2, Field};
use crate::payload::action_source::ActionSource;
use crate::payload::{Kind, Section};
use crate::preset::comparable;
use jiff::tz::TimeZone;
use json_paths::Path;
use json_paths::{Keys, List, Slot, SlotBits};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

/// What mapping does in the same way for all events of a sink.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The pixel that receives the events; the record's partition.
    pub(crate) pixel_id: Arc<str>,
    /// For events that do not say where they took place.
    pub(crate) action_source: ActionSource,
    /// For amounts without a currency.
    pub(crate) default_currency: Option<&'static str>,
    /// For phone numbers without a country.
    pub(crate) default_country: Option<Alpha2>,
    /// Whether external ids are hashed.
    pub(crate) hash_external_id: bool,
    /// Whether an event without a browser id gets one that is made from its anonymous id.
    pub(crate) generate_fbp: bool,
    /// Country and state of limited data use, for events that do not say so themselves.
    pub(crate) limited_data_use: Option<(u64, u64)>,
    /// The zone of times without an offset, if the options name one.
    pub(crate) time_zone: Option<TimeZone>,
    /// Whether events without a mapping are rejected rather than filtered.
    pub(crate) rejects_unmapped: bool,
}

impl Rules {
    /// The zone of times without an offset.
    pub(crate) fn time_zone(&self) -> &TimeZone {
        static UTC: TimeZone = TimeZone::UTC;
        self.time_zone.as_ref().unwrap_or(&UTC)
    }
}

/// Replaces all the names under which events without a mapping are sent.
const OWN_NAMES: &str = "(own names)";

/// The plans of all events of a preset with its overrides.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    /// In the order of the events' names.
    events: Vec<EventPlan>,
    /// The index in `events` of a name's plan, by the name in its comparable form.
    by_name: HashMap<Box<str>, usize>,
    /// The same by the name as the tables spell it. Most events use that spelling, and need no comparable form and no hash
    /// of it then.
    by_spelling: Keys,
    /// All names, as the tables spell them and in their comparable form.
    names: Vec<(Box<str>, Box<str>)>,
    /// For events that no table names, where those are sent.
    pub(crate) unmapped: Option<EventPlan>,
    /// Events that the pipeline file drops, by their names in comparable form, with their labels.
    dropped: HashMap<Box<str>, Arc<str>>,
    meta_events: Vec<Box<str>>,
}

impl Plans {
    /// Adds the plan of the events that a table names `spelling`; `name` is its comparable form.
    pub(super) fn add(&mut self, spelling: &str, name: &str, mut plan: EventPlan) {
        let index = self.events.len();
        plan.meta_event = self.meta_event(plan.meta_name.as_deref().unwrap_or_default());
        self.events.push(plan);
        self.by_spelling.insert(spelling, index);
        self.by_name.insert(name.into(), index);
        self.names.push((spelling.into(), name.into()));
    }

    /// Sets the plan of events that no table names.
    pub(super) fn set_unmapped(&mut self, plan: Option<EventPlan>) {
        self.unmapped = plan.map(|mut plan| {
            plan.meta_event = self.meta_event(OWN_NAMES);
            plan
        });
    }

    /// Adds an event that is dropped; `name` is its comparable form.
    pub(super) fn add_dropped(&mut self, spelling: &str, name: &str) {
        self.dropped.insert(name.into(), spelling.into());
    }

    /// The number of a Meta event, which is added if it is new.
    fn meta_event(&mut self, name: &str) -> usize {
        let known = self.meta_events.iter().position(|known| **known == *name);
        known.unwrap_or_else(|| {
            self.meta_events.push(name.into());
            self.meta_events.len() - 1
        })
    }

    /// The Meta events that the plans lead to, each once. [`EventPlan::meta_event`] is an index of it.
    pub(crate) fn meta_events(&self) -> &[Box<str>] {
        &self.meta_events
    }

    /// The label of an event that the pipeline file drops, by its name in comparable form.
    pub(crate) fn dropped(&self, key: &str) -> Option<&Arc<str>> {
        self.dropped.get(key)
    }

    /// The plan for events of this name. `key` is overwritten: without a plan by the name in its comparable form.
    pub(crate) fn find(&self, name: &str, key: &mut String) -> Option<&EventPlan> {
        let index = self.by_spelling.find_text(name).or_else(|| {
            comparable(name, key);
            self.by_name.get(key.as_str()).copied()
        });
        self.events.get(index?)
    }

    /// The names of all events that have a plan, as the tables spell them and in their comparable form.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names
            .iter()
            .map(|(spelling, name)| (&**spelling, &**name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &EventPlan> {
        self.events.iter().chain(&self.unmapped)
    }
}

/// What one kind of event becomes.
#[derive(Debug, Default)]
pub(crate) struct EventPlan {
    /// Meta's event name; `None` keeps the event's own.
    pub(crate) meta_name: Option<Box<str>>,
    /// The number of its Meta event: an index of [`Plans::meta_events`].
    pub(crate) meta_event: usize,
    /// For people: source event name → Meta event name.
    pub(crate) label: Arc<str>,
    /// Where its parameters come from. Events with the same mappings share it.
    pub(crate) parameters: Arc<ParametersPlan>,
}

impl Deref for EventPlan {
    type Target = ParametersPlan;

    fn deref(&self) -> &ParametersPlan {
        &self.parameters
    }
}

/// Where the parameters of an event come from.
#[derive(Debug, Default)]
pub(crate) struct ParametersPlan {
    pub(crate) full_name: Option<FieldPlan>,
    pub(crate) visitor_id: Option<FieldPlan>,
    pub(crate) click_id: Option<FieldPlan>,
    /// The address that sent the event to a collector, for events without a usable address of the visitor's.
    pub(crate) request_ip: Option<FieldPlan>,
    pub(crate) event_time: Option<FieldPlan>,
    pub(crate) sent_at: Option<FieldPlan>,
    pub(crate) received_at: Option<FieldPlan>,
    pub(crate) original_time: Option<FieldPlan>,
    pub(crate) place: PlacePlan,
    pub(crate) opt_out: Option<FieldPlan>,
    pub(crate) event_id: Option<FieldPlan>,
    pub(crate) action_source: Option<FieldPlan>,
    pub(crate) messaging_channel: Option<FieldPlan>,
    pub(crate) limited_data_use: LimitedDataUsePlan,
    /// A bit for each place of `opt_out` and `limited_data_use`, which most events leave empty.
    pub(crate) wishes: SlotBits,
    /// Whether one of these two has a constant or a default.
    pub(crate) has_own_wishes: bool,
    /// The other parameters at the top of the event, in the order of sending, like those of all further sections.
    pub(crate) event: Fields,
    pub(crate) user_data: Fields,
    pub(crate) extinfo: Fields,
    pub(crate) app_data: Fields,
    pub(crate) original_event_data: Fields,
    pub(crate) custom_data: Fields,
    pub(crate) store_data: Fields,
    pub(crate) items: Option<ItemsPlan>,
    /// Parameters that Meta takes on other events only; read by explanations.
    pub(crate) not_taken: Vec<FieldPlan>,
    /// The `name` in the properties, if it can be an item's.
    pub(crate) name: Option<AmbiguousName>,
}

impl ParametersPlan {
    /// Sets a field that has a member of its own; returns one that belongs to a section's list.
    pub(super) fn set(&mut self, section: Section, field: FieldPlan) -> Option<FieldPlan> {
        let member = match (section, &*field.name) {
            (Section::Source, "source.full_name") => &mut self.full_name,
            (Section::Source, "source.visitor_id") => &mut self.visitor_id,
            (Section::Source, "source.sent_at") => &mut self.sent_at,
            (Section::Source, "source.received_at") => &mut self.received_at,
            (Section::Source, "source.original_time") => &mut self.original_time,
            (Section::Source, "source.channel") => &mut self.place.channel,
            (Section::Source, "source.page") => &mut self.place.page,
            (Section::Source, "source.library") => &mut self.place.library,
            (Section::Source, "source.system") => &mut self.place.system,
            (Section::Source, "source.app") => &mut self.place.app,
            (Section::Source, "source.request_ip") => &mut self.request_ip,
            (Section::Source, _) => &mut self.click_id,
            (Section::Event, "opt_out") => &mut self.opt_out,
            (Section::Event, "event_time") => &mut self.event_time,
            (Section::Event, "event_id") => &mut self.event_id,
            (Section::Event, "action_source") => &mut self.action_source,
            (Section::Event, "messaging_channel") => &mut self.messaging_channel,
            (Section::Event, "data_processing_options") => &mut self.limited_data_use.options,
            (Section::Event, "data_processing_options_country") => {
                &mut self.limited_data_use.country
            }
            (Section::Event, "data_processing_options_state") => &mut self.limited_data_use.state,
            _ => return Some(field),
        };
        *member = Some(field);
        None
    }

    /// The list of a section's fields. The plan of the items holds those of items.
    pub(super) fn section(&mut self, section: Section) -> Option<&mut Fields> {
        match section {
            Section::Source | Section::Contents => None,
            Section::Event => Some(&mut self.event),
            Section::UserData => Some(&mut self.user_data),
            Section::ExtInfo => Some(&mut self.extinfo),
            Section::AppData => Some(&mut self.app_data),
            Section::OriginalEventData => Some(&mut self.original_event_data),
            Section::StoreData => Some(&mut self.store_data),
            Section::CustomData => Some(&mut self.custom_data),
        }
    }

    /// Where an event has the wishes of a person.
    fn fields_of_wishes(&self) -> impl Iterator<Item = &FieldPlan> {
        let limited = &self.limited_data_use;
        let fields = [
            &self.opt_out,
            &limited.options,
            &limited.country,
            &limited.state,
        ];
        fields.into_iter().flatten()
    }

    /// Notes which slots have wishes, when all fields are set.
    pub(super) fn note_wishes(&mut self) {
        let mut wishes = SlotBits::default();
        for field in self.fields_of_wishes() {
            field.slots.iter().for_each(|slot| wishes.add(*slot, 1));
        }
        let is_own = |field: &FieldPlan| field.constant.is_some() || field.default.is_some();
        let has_own_wishes = self.fields_of_wishes().any(is_own);
        (self.wishes, self.has_own_wishes) = (wishes, has_own_wishes);
    }

    /// The slots of everything that says what the event's data may be used for.
    pub(crate) fn slots_of_wishes(&self) -> impl Iterator<Item = Slot> + '_ {
        let of_app = self
            .app_data
            .iter()
            .filter(|field| field.kind == Kind::Tracking);
        let fields = self.fields_of_wishes().chain(of_app);
        fields.flat_map(|field| field.slots.iter().copied())
    }

    /// The slots that explanations list for a field of `user_data`: its own, and those of the source that it can be made from.
    pub(crate) fn slots<'p>(&'p self, field: &'p FieldPlan) -> impl Iterator<Item = Slot> + 'p {
        let source = match field.kind {
            Kind::Hashed(Field::Fn | Field::Ln) => self.full_name.as_ref(),
            Kind::ClickId => self.click_id.as_ref(),
            Kind::BrowserId => self.visitor_id.as_ref(),
            Kind::ClientIp => self.request_ip.as_ref(),
            _ => None,
        };
        let of_source = source.into_iter().flat_map(FieldPlan::listed_slots);
        field.listed_slots().iter().chain(of_source).copied()
    }
}

/// Where an event shows that it took place on a website or in an app, without saying so.
#[derive(Debug, Default)]
pub(crate) struct PlacePlan {
    pub(crate) channel: Option<FieldPlan>,
    pub(crate) page: Option<FieldPlan>,
    pub(crate) library: Option<FieldPlan>,
    pub(crate) system: Option<FieldPlan>,
    pub(crate) app: Option<FieldPlan>,
}

/// Where an event says whether the use of its data is limited.
#[derive(Debug, Default)]
pub(crate) struct LimitedDataUsePlan {
    pub(crate) options: Option<FieldPlan>,
    pub(crate) country: Option<FieldPlan>,
    pub(crate) state: Option<FieldPlan>,
}

/// The `name` of an event's properties, which is the item's unless the properties also hold a person's traits: then it can be
/// the person's.
#[derive(Debug)]
pub(crate) struct AmbiguousName {
    pub(crate) slot: Slot,
    pub(crate) traits: Vec<Slot>,
}

/// Where the items of an event are.
#[derive(Debug)]
pub(crate) struct ItemsPlan {
    pub(crate) lists: Vec<ItemList>,
    pub(crate) own: Option<OwnItemPlan>,
}

/// Items in a list; the slots of `source` are those of the list's elements.
#[derive(Debug)]
pub(crate) struct ItemList {
    pub(crate) list: List,
    pub(crate) path: Path,
    /// The value at the path, whatever it is.
    pub(crate) whole: Slot,
    pub(crate) source: ItemSource,
}

/// The parameters of an item that is found at one place.
#[derive(Debug, Default)]
pub(crate) struct ItemSource {
    pub(crate) fields: Fields,
    /// The kinds of catalogs that the keys of ids name, as values of `content_type`.
    pub(crate) kinds: Vec<(Slot, &'static str)>,
    /// The element itself, for items that are nothing but their id.
    pub(crate) element: Option<Slot>,
    /// Where an item names a currency.
    pub(crate) currency: Vec<Slot>,
}

impl ItemSource {
    /// The kind of catalog that an id from there belongs to, if its key says so.
    pub(crate) fn kind_of(&self, origin: Origin) -> Option<&'static str> {
        let known = self
            .kinds
            .iter()
            .find(|(slot, _)| origin == Origin::Slot(*slot));
        known.map(|(_, kind)| *kind)
    }
}

/// The event itself as its one item.
#[derive(Debug)]
pub(crate) struct OwnItemPlan {
    /// It is an item if one of these slots has a value.
    pub(crate) requires: Vec<Slot>,
    pub(crate) source: ItemSource,
}
