//! From presets and overrides to the plans that mapping follows.
//!
//! Every path becomes a slot of one path tree, so that an event is read once, however many parameters are mapped. Every
//! problem is reported with its place.

use super::layers::{EventLayers, Layers, Located, Overrides, Problems};
use super::meta_names;
use super::plan::{
    AmbiguousName, EventPlan, FieldPlan, ItemList, ItemSource, ItemsPlan, OwnItemPlan,
    ParametersPlan, Plans,
};
use crate::field_mapping::{FieldTable, ValueType};
use crate::payload::{Kind, MAX_EVENT_NAME_CHARS, Parameter, ParameterId, Section};
use crate::preset::{FIELDS, Preset};
use crate::private_text::{self, Key};
use json_paths::Path;
use json_paths::{Paths, Slot};
use pipeline_core::options::{self, Problem};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Compiles a preset with its overrides.
///
/// # Errors
///
/// Every problem, each with its place in the pipeline file or the preset.
pub(super) fn compile(
    preset: &Preset,
    overrides: &Overrides<'_>,
    paths: &mut Paths,
) -> Result<Plans, Vec<Problem>> {
    let mut problems = Problems::default();
    let layers = Layers::new(preset, overrides, &mut problems);
    let events = layers.events(&mut problems);
    let mut compiler = Compiler {
        layers,
        paths,
        known: HashMap::new(),
        shared: HashMap::new(),
        problems,
    };
    let mut plans = Plans::default();
    for event in &events {
        if event.is_dropped {
            plans.add_dropped(&event.from, &event.comparable);
        } else if let Some(plan) = compiler.event(event) {
            plans.add(&event.spelling, &event.comparable, plan);
        }
    }
    if compiler.layers.sends_unmapped() {
        plans.set_unmapped(compiler.event(&EventLayers::default()));
    }
    let problems = compiler.problems.into_sorted();
    if problems.is_empty() {
        Ok(plans)
    } else {
        Err(problems)
    }
}

struct Compiler<'a, 'p> {
    layers: Layers<'a>,
    paths: &'p mut Paths,
    /// The slots of paths that were compiled before: most events look in the same places. By the path of the list, if any, and
    /// the path from there on.
    known: HashMap<String, HashMap<String, Slot>>,
    /// The parameters of events that have the mappings of groups only, by these groups.
    shared: HashMap<&'static [String], Arc<ParametersPlan>>,
    problems: Problems,
}

impl<'a> Compiler<'a, '_> {
    fn event(&mut self, event: &EventLayers<'a>) -> Option<EventPlan> {
        if let Some(to) = &event.to {
            let length = to.chars().count();
            if length == 0 || length > MAX_EVENT_NAME_CHARS || to.trim() != to {
                self.problems.add(
                    &options::join("event_mappings", &event.from),
                    "has an event name that Meta does not accept",
                    "1 to 50 characters, without spaces around them",
                );
                return None;
            }
        }
        Some(EventPlan {
            meta_name: event.to.as_deref().map(Into::into),
            label: match &event.to {
                Some(to) => format!("{} → {to}", event.from).into(),
                None => "(unmapped)".into(),
            },
            parameters: self.shared_parameters(event),
            ..EventPlan::default()
        })
    }

    /// The parameters of an event, shared with other events that have the same mappings.
    fn shared_parameters(&mut self, event: &EventLayers<'a>) -> Arc<ParametersPlan> {
        let Some(groups) = event.shared_groups() else {
            return Arc::new(self.parameters(event));
        };
        if let Some(known) = self.shared.get(groups) {
            return Arc::clone(known);
        }
        let new = Arc::new(self.parameters(event));
        self.shared.insert(groups, Arc::clone(&new));
        new
    }

    fn parameters(&mut self, event: &EventLayers<'a>) -> ParametersPlan {
        let mut fields = self.layers.merged(event, &mut self.problems);
        let not_taken = not_taken(&fields);
        meta_names::add(&mut fields);
        let mut plan = ParametersPlan {
            items: self.items(&mut fields),
            ..ParametersPlan::default()
        };
        let mut sections: BTreeMap<Section, Vec<FieldPlan>> = BTreeMap::new();
        for (name, located) in &fields {
            if let Some((section, field)) = self.field(name, located, None)
                && let Some(field) = plan.set(section, field)
            {
                sections.entry(section).or_default().push(field);
            }
        }
        for (section, fields) in sections {
            if let Some(list) = plan.section(section) {
                *list = fields.into();
            }
        }
        plan.note_wishes();
        plan.name = self.ambiguous_name(&plan);
        let not_taken = not_taken.iter().filter_map(|(name, located)| {
            let (_, field) = self.field(name, located, None)?;
            Some(field)
        });
        plan.not_taken = not_taken.collect();
        plan
    }

    /// The name of the event's own item, if it is where a person's name would be.
    fn ambiguous_name(&self, plan: &ParametersPlan) -> Option<AmbiguousName> {
        const PROPERTIES: &str = "properties.";
        let slots = |fields: &[FieldPlan], wanted: fn(&FieldPlan) -> bool| -> Vec<(Slot, String)> {
            let wanted = fields.iter().filter(|field| wanted(field));
            let slots = wanted.flat_map(|field| &field.slots);
            slots
                .map(|slot| (*slot, self.paths.path(*slot).to_string()))
                .filter(|(_, path)| {
                    let key = path.strip_prefix(PROPERTIES);
                    key.is_some_and(|key| !key.contains(['.', '[']))
                })
                .collect()
        };
        let own = plan.items.as_ref().and_then(|items| items.own.as_ref());
        let mut names = slots(&plan.custom_data, FieldPlan::is_item_name);
        names.extend(own.map_or_else(Vec::new, |own| {
            slots(&own.source.fields, FieldPlan::is_item_name)
        }));
        let slot = names.iter().find(|(_, path)| path == "properties.name")?.0;
        let traits = slots(&plan.user_data, |field| {
            matches!(field.kind, Kind::Hashed(_))
        });
        Some(AmbiguousName {
            slot,
            traits: traits.into_iter().map(|(slot, _)| slot).collect(),
        })
    }

    /// Takes the mappings of items out of `fields` and compiles them.
    fn items(&mut self, fields: &mut BTreeMap<String, Located>) -> Option<ItemsPlan> {
        let mut of_items = BTreeMap::new();
        fields.retain(|name, located| {
            let is_of_item = name.starts_with("custom_data.contents[].");
            if is_of_item {
                of_items.insert(name.clone(), std::mem::take(located));
            }
            !is_of_item
        });
        let Located { place, table, .. } = fields.remove("custom_data.contents[]")?;
        let mut lists = Vec::new();
        for written in &table.paths {
            let Some(path) = self.path(written, &place) else {
                continue;
            };
            let list = self.paths.list(&path).0;
            let source = self.item_source(&of_items, &ItemPath::in_list(&path));
            let whole = self.paths.slot(&path);
            lists.push(ItemList {
                list,
                path,
                whole,
                source,
            });
        }
        let own = table.own.as_ref().and_then(|own| {
            let path = self.path(&own.path, &place)?;
            let requires = own
                .requires
                .iter()
                .filter_map(|key| Some(path.join(&self.path(key, &place)?)))
                .collect::<Vec<_>>();
            Some(OwnItemPlan {
                requires: requires.iter().map(|path| self.paths.slot(path)).collect(),
                source: self.item_source(&of_items, &ItemPath::within(&path)),
            })
        });
        Some(ItemsPlan { lists, own })
    }

    /// The parameters of an item that is found there.
    fn item_source(
        &mut self,
        mappings: &BTreeMap<String, Located>,
        item: &ItemPath<'_>,
    ) -> ItemSource {
        let (mut fields, mut kinds) = (Vec::new(), Vec::new());
        for (name, located) in mappings {
            let Some((_, field)) = self.field(name, located, Some(item)) else {
                continue;
            };
            if field.known == Some(ParameterId::ITEM_ID) {
                for written in &located.table.paths {
                    let kind = FIELDS.item_kinds.get(written);
                    let slot = self.slot(written, &located.place, Some(item));
                    kinds.extend(slot.zip(kind.map(String::as_str)));
                }
            }
            fields.push(field);
        }
        // The currency of an event that is its own item has a mapping of its own.
        let currency = FIELDS.item_currency.iter().filter(|_| item.is_in_list);
        let element = item
            .is_in_list
            .then(|| self.paths.list(item.start).1.element_slot());
        ItemSource {
            fields: fields.into(),
            kinds,
            element,
            currency: currency
                .filter_map(|key| self.slot(key, "item_currency", Some(item)))
                .collect(),
        }
    }

    fn field(
        &mut self,
        name: &str,
        Located {
            place,
            table,
            added,
            ..
        }: &Located,
        item: Option<&ItemPath<'_>>,
    ) -> Option<(Section, FieldPlan)> {
        let known = ParameterId::named(name);
        let parameter = known.map(ParameterId::get);
        let key = parameter.map_or_else(
            || name.strip_prefix("custom_data.").unwrap_or(name),
            |parameter| parameter.key,
        );
        let kind = self.kind(parameter, table, place)?;
        if !self.is_allowed(kind, table, place) {
            return None;
        }
        let (mut slots, mut groups) = (Vec::new(), Vec::new());
        for group in std::iter::once(&table.paths).chain(&table.all) {
            let written = group.iter();
            let first = slots.len();
            slots.extend(written.filter_map(|written| self.slot(written, place, item)));
            groups.push(slots[first..].iter().copied().collect());
        }
        let section = parameter.map_or(Section::CustomData, |parameter| parameter.section);
        let written = std::iter::once(&table.paths).chain(&table.all).flatten();
        let private_slots = private_slots(name, known, kind, written.zip(&slots));
        let key = json_key(section, key);
        let plan = FieldPlan {
            listed: slots.len().saturating_sub(*added),
            name: name.into(),
            key_behind_others: format!(",{key}").into(),
            key,
            kind,
            private_slots,
            places: slots.iter().copied().collect(),
            slots: slots.into(),
            groups: groups.into(),
            constant: table.value.as_ref().map(|json| json.to_string().into()),
            default: table.default.as_ref().map(|json| json.to_string().into()),
            fallback: table.fallback,
            known,
        };
        Some((section, plan))
    }

    /// The kind of a parameter: Meta's for a known one, else the written one.
    fn kind(
        &mut self,
        parameter: Option<&Parameter>,
        table: &FieldTable,
        place: &str,
    ) -> Option<Kind> {
        match (parameter, table.value_type) {
            (Some(parameter), None) => Some(parameter.kind),
            (None, value_type) => Some(kind_of(value_type)),
            (Some(_), Some(_)) => {
                self.problems.add(
                    place,
                    "has a `type`, but Meta fixes the type of this parameter",
                    "a `type` for custom parameters only",
                );
                None
            }
        }
    }

    /// Reports what a table must not have, or lacks. Answers whether a field can be made of it.
    fn is_allowed(&mut self, kind: Kind, table: &FieldTable, place: &str) -> bool {
        let takes_many = matches!(kind, Kind::Hashed(_) | Kind::ExternalId);
        if !table.all.is_empty() && !takes_many {
            self.problems.add(
                place,
                "has `all`, but this parameter takes one value",
                "`paths`",
            );
        }
        if table.own.is_some() {
            self.problems.add(
                place,
                "has `own`",
                "`own` for `custom_data.contents[]` only",
            );
        }
        let has_source = !table.paths.is_empty()
            || !table.all.is_empty()
            || table.fallback.is_some()
            || table.value.is_some()
            || table.default.is_some();
        if !has_source {
            self.problems.add(
                place,
                "does not say where the value comes from",
                "a path, a list of paths, or a table with `paths`, `value` or `default`",
            );
        }
        has_source
    }

    fn slot(&mut self, written: &str, place: &str, item: Option<&ItemPath<'_>>) -> Option<Slot> {
        let scope = item.map_or("", |item| &item.name);
        if let Some(slot) = self.known.get(scope).and_then(|known| known.get(written)) {
            return Some(*slot);
        }
        let path = self.path(written, place)?;
        let slot = match item {
            None => self.paths.slot(&path),
            Some(item) if item.is_in_list => self.paths.list(item.start).1.slot(&path),
            Some(item) => self.paths.slot(&item.start.join(&path)),
        };
        let known = self.known.entry(scope.to_owned()).or_default();
        known.insert(written.to_owned(), slot);
        Some(slot)
    }

    fn path(&mut self, written: &str, place: &str) -> Option<Path> {
        Path::parse(written)
            .map_err(|problem| {
                self.problems.add(
                    place,
                    &format!("holds a path that {problem}"),
                    "a path such as `properties.total` or `properties.items[0].price`",
                );
            })
            .ok()
    }
}

/// The slots of a field that is not hashed whose key, or whose own name, says that a value there must not leave as it is.
fn private_slots<'p>(
    name: &str,
    known: Option<ParameterId>,
    kind: Kind,
    slots: impl Iterator<Item = (&'p String, &'p Slot)>,
) -> Box<[(Slot, Key)]> {
    let can_be_private = matches!(
        kind,
        Kind::Text
            | Kind::TextUpTo(_)
            | Kind::TextList
            | Kind::Scalar
            | Kind::Status
            | Kind::Identifier
            | Kind::ItemId
            | Kind::IdList
            | Kind::DeviceId
            | Kind::ExternalId
            | Kind::Number
            | Kind::Integer
    );
    if !can_be_private {
        return Box::default();
    }
    // The names of Meta's own parameters are no news.
    let own = name.rsplit('.').next().filter(|_| known.is_none());
    let of_name = own.and_then(private_text::key_of);
    let keys = slots.filter_map(|(written, slot)| {
        let path = Path::parse(written).ok();
        let key = path.as_ref().and_then(Path::last_key);
        let key = key.and_then(private_text::key_of);
        Some((*slot, key.or(of_name)?))
    });
    keys.collect()
}

/// Parameters that Meta takes on other events only, with the places of their names.
fn not_taken(fields: &BTreeMap<String, Located>) -> BTreeMap<String, Located> {
    let names = FIELDS.some_events.iter();
    let not_taken = names.filter(|name| !fields.contains_key(*name));
    let mut not_taken: BTreeMap<_, _> = not_taken
        .map(|name| {
            let located = Located {
                place: "some_events".to_owned(),
                table: FieldTable::default(),
                by_meta_name: true,
                added: 0,
            };
            (name.clone(), located)
        })
        .collect();
    meta_names::add(&mut not_taken);
    not_taken
}

/// Where the relative paths of an item start.
struct ItemPath<'a> {
    start: &'a Path,
    /// Whether the items are elements of a list that is there.
    is_in_list: bool,
    /// Differs between places of items.
    name: String,
}

impl<'a> ItemPath<'a> {
    fn in_list(start: &'a Path) -> Self {
        Self {
            start,
            is_in_list: true,
            name: format!("{start}[]"),
        }
    }

    fn within(start: &'a Path) -> Self {
        Self {
            start,
            is_in_list: false,
            name: start.to_string(),
        }
    }
}

fn json_key(section: Section, key: &str) -> Box<str> {
    match section {
        Section::ExtInfo => "".into(),
        _ => format!("{}:", serde_json::Value::from(key)).into(),
    }
}

pub(super) fn kind_of(value_type: Option<ValueType>) -> Kind {
    match value_type {
        Some(ValueType::Text) => Kind::Text,
        Some(ValueType::Number) => Kind::Number,
        Some(ValueType::Integer) => Kind::Integer,
        Some(ValueType::Boolean) => Kind::Boolean,
        Some(ValueType::Json) | None => Kind::Scalar,
    }
}
