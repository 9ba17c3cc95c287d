//! From presets and overrides to the plans that mapping follows.
//!
//! Every path becomes a slot of one path tree, so that an event is read once, however many parameters are mapped. Every
//! problem is reported with its place.

use super::layers::{EventLayers, Layers, Located, Overrides, Problems};
use super::plan::{
    AmbiguousName, EventPlan, FieldPlan, Fields, ItemList, ItemsPlan, OwnItemPlan, Plans,
};
use crate::field_mapping::{FieldTable, ValueType};
use crate::payload::{Kind, MAX_EVENT_NAME_CHARS, Parameter, ParameterId, Section};
use crate::preset::Preset;
use json_paths::Path;
use json_paths::{Paths, Slot};
use pipeline_core::options::{self, Problem};
use std::collections::BTreeMap;

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
        let mut fields = self.layers.merged(event, &mut self.problems);
        let mut plan = EventPlan {
            meta_name: event.to.as_deref().map(Into::into),
            label: match &event.to {
                Some(to) => format!("{} → {to}", event.from).into(),
                None => "(unmapped)".into(),
            },
            items: self.items(&mut fields),
            ..EventPlan::default()
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
        plan.name = self.ambiguous_name(&plan);
        Some(plan)
    }

    /// The name of the event's own item, if it is where a person's name would be.
    fn ambiguous_name(&self, plan: &EventPlan) -> Option<AmbiguousName> {
        const PROPERTIES: &str = "properties.";
        let slots = |fields: &[FieldPlan], wanted: fn(&FieldPlan) -> bool| -> Vec<(Slot, String)> {
            let wanted = fields.iter().filter(|field| wanted(field));
            let slots = wanted.flat_map(|field| &field.slots);
            slots
                .map(|slot| (*slot, self.paths.path(*slot).to_string()))
                .filter(|(_, path)| path.starts_with(PROPERTIES))
                .collect()
        };
        let own = plan.items.as_ref().and_then(|items| items.own.as_ref());
        let mut names = slots(&plan.custom_data, FieldPlan::is_item_name);
        names.extend(own.map_or_else(Vec::new, |own| slots(&own.fields, FieldPlan::is_item_name)));
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
        let Located { place, table } = fields.remove("custom_data.contents[]")?;
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
            Some(OwnItemPlan {
                requires: requires.iter().map(|path| self.paths.slot(path)).collect(),
                fields: self.item_fields(&of_items, &ItemPath::Within(&path)),
            })
        });
        Some(ItemsPlan { lists, own })
    }

    /// The fields of an item that is found there.
    fn item_fields(&mut self, mappings: &BTreeMap<String, Located>, item: &ItemPath<'_>) -> Fields {
        let fields = mappings.iter().filter_map(|(name, located)| {
            let (_, field) = self.field(name, located, Some(item))?;
            Some(field)
        });
        fields.collect::<Vec<_>>().into()
    }

    fn field(
        &mut self,
        name: &str,
        Located { place, table }: &Located,
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
        let (mut slots, mut group_ends) = (Vec::new(), Vec::new());
        for group in std::iter::once(&table.paths).chain(&table.all) {
            let written = group.iter();
            slots.extend(written.filter_map(|written| self.slot(written, place, item)));
            group_ends.push(slots.len());
        }
        let section = parameter.map_or(Section::CustomData, |parameter| parameter.section);
        let plan = FieldPlan {
            name: name.into(),
            key: json_key(section, key),
            kind,
            slots: slots.into(),
            group_ends: group_ends.into(),
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
                self.problems.add(
                    place,
                    &format!("holds a path that {problem}"),
                    "a path such as `properties.total` or `properties.items[0].price`",
                );
            })
            .ok()
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
