//! From presets and overrides, as people write them, to the plans that mapping follows.
//!
//! Layers are laid over one another by parameter name: the groups a preset includes, the groups of the Meta event, the
//! preset's own mappings, the pipeline file's, and the pipeline file's for one event. Every path becomes a slot of one
//! path tree, so that an event is read once whatever is mapped. Every problem is reported with its place.

use super::fields::Fields;
use crate::extract::{Keys, List, Paths, Slot};
use crate::field_mapping::{
    Derived, EventMapping, FieldMapping, FieldMappings, FieldTable, ValueType,
};
use crate::identity::Field;
use crate::mapping::value;
use crate::path::Path;
use crate::payload::{Kind, MAX_EVENT_NAME_CHARS, PARAMETERS, ParameterId, Section};
use crate::preset::{FIELDS, Preset, comparable};
use pipeline_core::options::{self, Problem};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What becomes of one kind of event.
#[derive(Debug)]
pub(crate) struct EventPlan {
    /// Meta's event name, or the event's own.
    pub(crate) meta_name: Option<Box<str>>,
    /// For people: source event name → Meta event name.
    pub(crate) label: Arc<str>,
    pub(crate) full_name: Option<FieldPlan>,
    pub(crate) visitor_id: Option<FieldPlan>,
    pub(crate) click_id: Option<FieldPlan>,
    pub(crate) event_time: Option<FieldPlan>,
    pub(crate) event_id: Option<FieldPlan>,
    pub(crate) action_source: Option<FieldPlan>,
    pub(crate) messaging_channel: Option<FieldPlan>,
    pub(crate) limited_data_use: LimitedDataUsePlan,
    /// The other parameters at the top of the event, and all further ones, in the order of sending.
    pub(crate) event: Fields,
    pub(crate) user_data: Fields,
    pub(crate) extinfo: Fields,
    pub(crate) app_data: Fields,
    pub(crate) original_event_data: Fields,
    pub(crate) custom_data: Fields,
    pub(crate) store_data: Fields,
    pub(crate) items: Option<ItemsPlan>,
    /// A name in the properties that is of the item, or of a person.
    pub(crate) name: Option<EitherName>,
}

/// The `name` of an event's properties. Where these hold traits of a person too, nobody can tell whose it is.
#[derive(Debug)]
pub(crate) struct EitherName {
    pub(crate) slot: Slot,
    pub(crate) traits: Vec<Slot>,
}

impl EventPlan {
    /// Takes a field that has a place of its own; gives back one that stands among others.
    fn take(&mut self, section: Section, field: FieldPlan) -> Option<FieldPlan> {
        let place = match (section, &*field.name) {
            (Section::Source, "source.full_name") => &mut self.full_name,
            (Section::Source, "source.visitor_id") => &mut self.visitor_id,
            (Section::Source, _) => &mut self.click_id,
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
        *place = Some(field);
        None
    }

    /// The fields of a section that stand among others. Those of items are in the plan of the items.
    fn section(&mut self, section: Section) -> Option<&mut Fields> {
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

    /// Every slot that can give a field of `user_data` its value: its own, and those of what it is made from otherwise.
    pub(crate) fn slots<'p>(&'p self, field: &'p FieldPlan) -> impl Iterator<Item = Slot> + 'p {
        let made_from = match field.kind {
            Kind::Hashed(Field::Fn | Field::Ln) => self.full_name.as_ref(),
            Kind::ClickId => self.click_id.as_ref(),
            Kind::BrowserId => self.visitor_id.as_ref(),
            _ => None,
        };
        let places = made_from.into_iter().flat_map(|source| &source.places);
        field.places.iter().chain(places).copied()
    }
}

/// Where an event says whether the use of its data is limited.
#[derive(Debug, Default)]
pub(crate) struct LimitedDataUsePlan {
    pub(crate) options: Option<FieldPlan>,
    pub(crate) country: Option<FieldPlan>,
    pub(crate) state: Option<FieldPlan>,
}

/// How one parameter gets its value.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    /// As mappings name it.
    pub(crate) name: Box<str>,
    /// Its key as JSON, with the colon: `"em":`. Nothing for what stands in a list.
    pub(crate) key: Box<str>,
    pub(crate) kind: Kind,
    /// Where its value may stand, in the order of looking.
    pub(crate) places: Box<[Slot]>,
    /// Where in `places` each group of them ends; the first usable value of each group counts.
    pub(crate) group_ends: Box<[usize]>,
    /// JSON texts from the configuration.
    pub(crate) constant: Option<Box<str>>,
    pub(crate) default: Option<Box<str>>,
    pub(crate) otherwise: Option<Derived>,
    /// Its place in the table, if Meta knows it.
    pub(crate) known: Option<ParameterId>,
}

impl FieldPlan {
    /// Whether this JSON needs no other form, and holds nothing that could be an e-mail address. Most text and numbers are so.
    #[inline]
    pub(crate) fn takes_as_it_stands(&self, raw: &str) -> bool {
        match self.kind {
            Kind::Text | Kind::Status => value::is_plain_text(raw),
            // Characters have one byte at least.
            Kind::TextUpTo(chars) => raw.len() <= chars + "\"\"".len() && value::is_plain_text(raw),
            Kind::Number | Kind::Money => value::is_plain_number(raw),
            _ => false,
        }
    }

    /// Whether it can have a value where nothing stands at any of its paths: a constant, or one made from others.
    pub(crate) fn can_do_without_paths(&self) -> bool {
        let is_made_from_others = match self.kind {
            // Of a full name, a URL, the visitor's id, the settings, the price of the only item.
            Kind::Hashed(Field::Fn | Field::Ln)
            | Kind::ClickId
            | Kind::BrowserId
            | Kind::Currency
            | Kind::Price => true,
            _ => self.known == Some(ParameterId::ITEM_QUANTITY),
        };
        is_made_from_others
            || self.constant.is_some()
            || self.default.is_some()
            || self.otherwise.is_some()
    }

    /// Whether people write what it holds: not an id, and nothing with a form of its own.
    pub(crate) fn is_words(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::TextUpTo(_) | Kind::Scalar)
            && self.name.starts_with("custom_data.")
            && !self.name.ends_with("id")
    }

    /// Whether it says what an item is called.
    pub(crate) fn is_a_name(&self) -> bool {
        matches!(
            &*self.name,
            "custom_data.content_name" | "custom_data.contents[].title"
        )
    }

    /// Known parameters in the order of the table, custom ones after them by name.
    pub(crate) fn sort_key(&self) -> (bool, Option<ParameterId>, &str) {
        (self.known.is_none(), self.known, &self.name)
    }
}

/// Where the items of an event are.
#[derive(Debug)]
pub(crate) struct ItemsPlan {
    pub(crate) lists: Vec<ItemList>,
    pub(crate) own: Option<Own>,
}

/// Items in a list; the slots of `fields` are those of the list's elements.
#[derive(Debug)]
pub(crate) struct ItemList {
    pub(crate) list: List,
    pub(crate) path: Path,
    pub(crate) fields: Fields,
}

/// The event itself as its one item.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) requires: Vec<Slot>,
    pub(crate) fields: Fields,
}

/// What the pipeline file lays over a preset.
#[derive(Debug, Default)]
pub(crate) struct Overrides<'a> {
    pub(crate) event_mappings: Option<&'a BTreeMap<String, Option<EventMapping>>>,
    pub(crate) field_mappings: Option<&'a FieldMappings>,
    /// Whether events without a mapping pass under their own names.
    pub(crate) unmapped_events: bool,
}

/// All plans of a preset with its overrides.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    /// In the order of the events' names.
    events: Vec<EventPlan>,
    /// Where in `events` a name's plan is, by the name in its comparable form.
    by_name: HashMap<Box<str>, usize>,
    /// By the name as the tables spell it, which is how most events do: that takes neither its other form nor hashing it.
    by_spelling: Keys,
    pub(crate) unmapped: Option<EventPlan>,
}

impl Plans {
    fn add(&mut self, event: Event<'_>, plan: EventPlan) {
        let place = self.events.len();
        self.events.push(plan);
        self.by_spelling.insert(&event.spelling, place);
        self.by_name.insert(event.comparable.into(), place);
    }

    /// The plan for events of this name. `key` is overwritten.
    pub(crate) fn find(&self, name: &str, key: &mut String) -> Option<&EventPlan> {
        let place = self.by_spelling.find_text(name).or_else(|| {
            comparable(name, key);
            self.by_name.get(key.as_str()).copied()
        });
        self.events.get(place?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &EventPlan> {
        self.events.iter().chain(&self.unmapped)
    }
}

/// Compiles a preset with its overrides.
///
/// # Errors
///
/// Every problem, each with its place in the pipeline file or the preset.
pub(crate) fn compile(
    preset: &Preset,
    overrides: &Overrides<'_>,
    paths: &mut Paths,
) -> Result<Plans, Vec<Problem>> {
    let mut compiler = Compiler {
        preset,
        overrides,
        paths,
        problems: Vec::new(),
    };
    compiler.check_groups();
    let mut plans = Plans::default();
    for event in compiler.events() {
        if let Some(plan) = compiler.event(&event) {
            plans.add(event, plan);
        }
    }
    plans.unmapped = if overrides.unmapped_events || preset.is_unknown() {
        compiler.event(&Event::default())
    } else {
        None
    };
    let mut problems = compiler.problems;
    // A mistake in a layer that many events share is one mistake.
    problems.sort();
    problems.dedup();
    if problems.is_empty() {
        Ok(plans)
    } else {
        Err(problems)
    }
}

/// Where a preset looks for the parameters of what Meta calls `event_name`, by the parameters' names; also for events
/// that the preset itself does not have, since a pipeline file can add them.
pub(crate) fn sources(preset: &Preset, event_name: &str) -> BTreeMap<String, FieldTable> {
    let of_preset = preset.events.iter().find(|event| event.to == event_name);
    let event = Event {
        to: Some(event_name.to_owned()),
        of_preset: of_preset.map(|event| Layer {
            place: String::new(),
            mappings: Cow::Borrowed(&event.field_mappings),
        }),
        ..Event::default()
    };
    let mut compiler = Compiler {
        preset,
        overrides: &Overrides::default(),
        paths: &mut Paths::default(),
        problems: Vec::new(),
    };
    let merged = compiler.merged(&event).into_iter();
    merged.map(|(name, (_, table))| (name, table)).collect()
}

/// One event name with everything that applies to it.
#[derive(Debug, Default)]
struct Event<'a> {
    comparable: String,
    /// Its name as a table writes it.
    spelling: String,
    from: String,
    to: Option<String>,
    of_preset: Option<Layer<'a>>,
    of_file: Option<Layer<'a>>,
}

/// Field mappings, and where they are written.
#[derive(Debug, Clone)]
struct Layer<'a> {
    place: String,
    mappings: Cow<'a, FieldMappings>,
}

struct Compiler<'a, 'p> {
    preset: &'a Preset,
    overrides: &'a Overrides<'a>,
    paths: &'p mut Paths,
    problems: Vec<Problem>,
}

impl<'a> Compiler<'a, '_> {
    fn check_groups(&mut self) {
        for (i, group) in self.preset.include.iter().enumerate() {
            if !FIELDS.groups.contains_key(group) {
                let known = FIELDS.groups.keys().map(String::as_str);
                self.unknown(
                    &format!("{}.include[{i}]", self.preset_place()),
                    "is not a group of field mappings",
                    group,
                    known,
                );
            }
        }
    }

    fn preset_place(&self) -> String {
        format!("preset {}", self.preset.name)
    }

    /// The preset's events with the pipeline file's laid over them, one per name.
    fn events(&mut self) -> Vec<Event<'a>> {
        let mut events: BTreeMap<String, Event<'a>> = BTreeMap::new();
        let mut key = String::new();
        for (i, event) in self.preset.events.iter().enumerate() {
            for name in &event.from {
                comparable(name, &mut key);
                let of_preset = Layer {
                    place: format!("{}.events[{i}].field_mappings", self.preset_place()),
                    mappings: Cow::Borrowed(&event.field_mappings),
                };
                events.insert(
                    key.clone(),
                    Event {
                        comparable: key.clone(),
                        spelling: name.clone(),
                        from: event.from[0].clone(),
                        to: Some(event.to.clone()),
                        of_preset: Some(of_preset),
                        of_file: None,
                    },
                );
            }
        }
        for (name, mapping) in self.overrides.event_mappings.into_iter().flatten() {
            comparable(name, &mut key);
            let place = options::join("event_mappings", name);
            if key.is_empty() {
                self.problem(&place, "has no letter or digit", "an event name");
                continue;
            }
            let Some(mapping) = mapping else {
                events.remove(&key);
                continue;
            };
            let table = mapping.to_table();
            let event = events.entry(key.clone()).or_insert_with(|| Event {
                comparable: key.clone(),
                spelling: name.clone(),
                from: name.clone(),
                ..Event::default()
            });
            event.to = table.event_name.or_else(|| event.to.take());
            if event.to.is_none() {
                events.remove(&key);
                if self.preset.is_unknown() {
                    continue;
                }
                self.problem(
                    &place,
                    "has no `event_name`, and the preset does not know the event",
                    "Meta's event name, such as `Lead`",
                );
                continue;
            }
            event.of_file = Some(Layer {
                place: format!("{place}.field_mappings"),
                mappings: Cow::Owned(table.field_mappings),
            });
        }
        events.into_values().collect()
    }

    fn event(&mut self, event: &Event<'a>) -> Option<EventPlan> {
        if let Some(to) = &event.to {
            let length = to.chars().count();
            if length == 0 || length > MAX_EVENT_NAME_CHARS || to.trim() != to {
                self.problem(
                    &options::join("event_mappings", &event.from),
                    "has an event name that Meta does not take",
                    "1 to 50 characters, without spaces around them",
                );
                return None;
            }
        }
        let mut fields = self.merged(event);
        let items = self.items(&mut fields);
        let mut plan = EventPlan {
            meta_name: event.to.as_deref().map(Into::into),
            label: match &event.to {
                Some(to) => format!("{} → {to}", event.from).into(),
                None => "(unmapped)".into(),
            },
            full_name: None,
            visitor_id: None,
            click_id: None,
            event_time: None,
            event_id: None,
            action_source: None,
            messaging_channel: None,
            limited_data_use: LimitedDataUsePlan::default(),
            event: Fields::default(),
            user_data: Fields::default(),
            extinfo: Fields::default(),
            app_data: Fields::default(),
            original_event_data: Fields::default(),
            custom_data: Fields::default(),
            store_data: Fields::default(),
            items,
            name: None,
        };
        let mut sections: BTreeMap<Section, Vec<FieldPlan>> = BTreeMap::new();
        for (name, (place, table)) in fields {
            if let Some((section, field)) = self.field(&name, &place, &table, None)
                && let Some(field) = plan.take(section, field)
            {
                sections.entry(section).or_default().push(field);
            }
        }
        for (section, fields) in sections {
            if let Some(part) = plan.section(section) {
                *part = fields.into();
            }
        }
        plan.name = self.either_name(&plan);
        Some(plan)
    }

    /// The name of the event's own item, if it stands where a person's would.
    fn either_name(&self, plan: &EventPlan) -> Option<EitherName> {
        const PROPERTIES: &str = "properties.";
        let slots = |fields: &[FieldPlan], wanted: fn(&FieldPlan) -> bool| -> Vec<(Slot, String)> {
            let wanted = fields.iter().filter(|field| wanted(field));
            let slots = wanted.flat_map(|field| &field.places);
            slots
                .map(|slot| (*slot, self.paths.path(*slot).to_string()))
                .filter(|(_, path)| path.starts_with(PROPERTIES))
                .collect()
        };
        let own = plan.items.as_ref().and_then(|items| items.own.as_ref());
        let mut names = slots(&plan.custom_data, FieldPlan::is_a_name);
        names.extend(own.map_or_else(Vec::new, |own| slots(&own.fields, FieldPlan::is_a_name)));
        let slot = names.iter().find(|(_, path)| path == "properties.name")?.0;
        let traits = slots(&plan.user_data, |field| {
            matches!(field.kind, Kind::Hashed(_))
        });
        Some(EitherName {
            slot,
            traits: traits.into_iter().map(|(slot, _)| slot).collect(),
        })
    }

    /// The field mappings of an event by parameter name, each with the place of the layer that won.
    fn merged(&mut self, event: &Event<'a>) -> BTreeMap<String, (String, FieldTable)> {
        let groups = FIELDS.groups_of(event.to.as_deref().unwrap_or_default());
        let included = self.preset.include.iter().chain(groups);
        let shared = included.filter_map(|name| FIELDS.groups.get_key_value(name));
        let mut layers: Vec<Layer<'_>> = shared
            .map(|(name, group)| Layer {
                place: format!("group {name}"),
                mappings: Cow::Borrowed(&group.field_mappings),
            })
            .collect();
        layers.push(Layer {
            place: format!("{}.field_mappings", self.preset_place()),
            mappings: Cow::Borrowed(&self.preset.field_mappings),
        });
        layers.extend(event.of_preset.clone());
        if let Some(mappings) = self.overrides.field_mappings {
            layers.push(Layer {
                place: "field_mappings".to_owned(),
                mappings: Cow::Borrowed(mappings),
            });
        }
        layers.extend(event.of_file.clone());
        let mut merged = BTreeMap::new();
        for layer in &layers {
            for (name, mapping) in layer.mappings.iter() {
                let place = options::join(&layer.place, name);
                if !self.is_parameter(name, &place) {
                    continue;
                }
                match mapping {
                    Some(mapping) => {
                        merged.insert(name.clone(), (place, FieldMapping::to_table(mapping)));
                    }
                    None => {
                        merged.remove(name);
                    }
                }
            }
        }
        merged
    }

    fn is_parameter(&mut self, name: &str, place: &str) -> bool {
        /// Characters of a custom property's name.
        const MAX_KEY_CHARS: usize = 100;
        if ParameterId::named(name).is_some() {
            return true;
        }
        match name.strip_prefix("custom_data.") {
            Some(key) if key.starts_with("contents") || key.starts_with("store_data") => {}
            Some(key) if !key.trim().is_empty() && key.chars().count() <= MAX_KEY_CHARS => {
                return true;
            }
            _ => {}
        }
        let known = PARAMETERS.iter().map(|parameter| parameter.name);
        self.unknown(place, "is not a parameter that Meta knows", name, known);
        false
    }

    /// Takes the mappings of items out of `fields` and compiles them.
    fn items(&mut self, fields: &mut BTreeMap<String, (String, FieldTable)>) -> Option<ItemsPlan> {
        let mut of_items = BTreeMap::new();
        fields.retain(|name, mapping| {
            let of_item = name.starts_with("custom_data.contents[].");
            if of_item {
                of_items.insert(name.clone(), std::mem::take(mapping));
            }
            !of_item
        });
        let (place, table) = fields.remove("custom_data.contents[]")?;
        let mut lists = Vec::new();
        for written in &table.paths {
            let Some(path) = self.path(written, &place) else {
                continue;
            };
            let list = self.paths.list(&path).0;
            let fields = self.item_fields(&of_items, &ItemPath::InList(&path));
            lists.push(ItemList { list, path, fields });
        }
        let own = table.own.as_ref().and_then(|own| {
            let path = self.path(&own.path, &place)?;
            let requires = own
                .requires
                .iter()
                .filter_map(|key| Some(path.join(&self.path(key, &place)?)))
                .collect::<Vec<_>>();
            Some(Own {
                requires: requires.iter().map(|path| self.paths.slot(path)).collect(),
                fields: self.item_fields(&of_items, &ItemPath::Within(&path)),
            })
        });
        Some(ItemsPlan { lists, own })
    }

    /// The fields of an item that is found there.
    fn item_fields(
        &mut self,
        mappings: &BTreeMap<String, (String, FieldTable)>,
        item: &ItemPath<'_>,
    ) -> Fields {
        let fields = mappings.iter().filter_map(|(name, (place, table))| {
            let (_, field) = self.field(name, place, table, Some(item))?;
            Some(field)
        });
        fields.collect::<Vec<_>>().into()
    }

    fn field(
        &mut self,
        name: &str,
        place: &str,
        table: &FieldTable,
        item: Option<&ItemPath<'_>>,
    ) -> Option<(Section, FieldPlan)> {
        let known = ParameterId::named(name);
        let parameter = known.map(ParameterId::get);
        let key = parameter.map_or_else(
            || name.strip_prefix("custom_data.").unwrap_or(name),
            |parameter| parameter.key,
        );
        let kind = match (parameter, table.value_type) {
            (Some(parameter), None) => parameter.kind,
            (None, value_type) => kind_of(value_type),
            (Some(_), Some(_)) => {
                self.problem(
                    place,
                    "has a `type`, but Meta fixes the type of this parameter",
                    "a `type` for custom parameters only",
                );
                return None;
            }
        };
        let takes_many = matches!(kind, Kind::Hashed(_) | Kind::ExternalId);
        if !table.all.is_empty() && !takes_many {
            self.problem(
                place,
                "has `all`, but this parameter takes one value",
                "`paths`",
            );
        }
        if table.own.is_some() {
            self.problem(
                place,
                "has `own`",
                "`own` for `custom_data.contents[]` only",
            );
        }
        let (mut places, mut group_ends) = (Vec::new(), Vec::new());
        for group in std::iter::once(&table.paths).chain(&table.all) {
            let written = group.iter();
            places.extend(written.filter_map(|written| self.slot(written, place, item)));
            group_ends.push(places.len());
        }
        let constant = table.value.as_ref().map(|v| v.to_string().into());
        let default = table.default.as_ref().map(|v| v.to_string().into());
        let says_nothing =
            table.paths.is_empty() && table.all.is_empty() && table.otherwise.is_none();
        if says_nothing && constant.is_none() && default.is_none() {
            self.problem(
                place,
                "says nothing about where the value comes from",
                "a path, a list of paths, or a table with `paths`, `value` or `default`",
            );
            return None;
        }
        let section = parameter.map_or(Section::CustomData, |p| p.section);
        let plan = FieldPlan {
            name: name.into(),
            key: json_key(section, key),
            kind,
            places: places.into(),
            group_ends: group_ends.into(),
            constant,
            default,
            otherwise: table.otherwise,
            known,
        };
        Some((section, plan))
    }

    fn slot(&mut self, written: &str, place: &str, item: Option<&ItemPath<'_>>) -> Option<Slot> {
        let path = self.path(written, place)?;
        Some(match item {
            None => self.paths.slot(&path),
            Some(ItemPath::Within(base)) => self.paths.slot(&base.join(&path)),
            Some(ItemPath::InList(list)) => self.paths.list(list).1.slot(&path),
        })
    }

    fn path(&mut self, written: &str, place: &str) -> Option<Path> {
        Path::parse(written)
            .map_err(|problem| {
                self.problem(
                    place,
                    &format!("holds a path that {problem}"),
                    "a path such as `properties.total` or `properties.items[0].price`",
                );
            })
            .ok()
    }

    fn unknown<'k>(
        &mut self,
        place: &str,
        problem: &str,
        name: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        let hint = options::nearest(name, known)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        self.problem(
            place,
            &format!("{problem}{hint}"),
            "a name from the tables of Meta's documentation, or `custom_data.` with a name of your own",
        );
    }

    fn problem(&mut self, place: &str, problem: &str, expected: &str) {
        self.problems.push(Problem::new(place, problem, expected));
    }
}

/// Where the relative paths of an item start.
enum ItemPath<'a> {
    InList(&'a Path),
    Within(&'a Path),
}

fn json_key(section: Section, key: &str) -> Box<str> {
    match section {
        Section::ExtInfo => "".into(),
        _ => format!("{}:", serde_json::Value::from(key)).into(),
    }
}

fn kind_of(value_type: Option<ValueType>) -> Kind {
    match value_type {
        Some(ValueType::Text) => Kind::Text,
        Some(ValueType::Number) => Kind::Number,
        Some(ValueType::Integer) => Kind::Integer,
        Some(ValueType::Boolean) => Kind::Boolean,
        Some(ValueType::Json) | None => Kind::Scalar,
    }
}
