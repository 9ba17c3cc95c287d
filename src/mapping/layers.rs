//! Presets and overrides, as people write them, merged into one table of field mappings per event.
//!
//! The layers; each overrides those before it by parameter name: the groups that the preset includes, the groups of
//! the Meta event, the preset's own mappings, its mappings for the event, the pipeline file's, and the pipeline file's for the
//! event. Every problem is reported with its place.

use crate::field_mapping::{EventMapping, FieldMapping, FieldMappings, FieldTable};
use crate::payload::{PARAMETERS, ParameterId};
use crate::preset::{FIELDS, Preset, comparable};
use pipeline_core::options::{self, Problem};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What the pipeline file overrides of a preset.
#[derive(Debug, Default)]
pub(crate) struct Overrides<'a> {
    pub(crate) event_mappings: Option<&'a BTreeMap<String, Option<EventMapping>>>,
    pub(crate) field_mappings: Option<&'a FieldMappings>,
    /// Whether events without a mapping are sent under their own names.
    pub(crate) sends_unmapped: bool,
}

/// One event name with everything that applies to it.
#[derive(Debug, Default)]
pub(super) struct EventLayers<'a> {
    /// Its name in the comparable form.
    pub(super) comparable: String,
    /// Its name as a table writes it.
    pub(super) spelling: String,
    /// Its name for people.
    pub(super) from: String,
    /// Meta's event name; `None` for events that no table names, and for those that are dropped.
    pub(super) to: Option<String>,
    /// Whether the pipeline file drops it.
    pub(super) is_dropped: bool,
    of_preset: Option<Layer<'a>>,
    of_file: Option<Layer<'a>>,
}

impl EventLayers<'_> {
    /// The groups whose mappings are all that the event has besides those of every event; `None` where it has mappings of its
    /// own.
    pub(super) fn shared_groups(&self) -> Option<&'static [String]> {
        let mut own = self.of_preset.iter().chain(&self.of_file);
        let has_own = own.any(|layer| !layer.mappings.is_empty());
        (!has_own).then(|| FIELDS.groups_of(self.to.as_deref().unwrap_or_default()))
    }
}

/// Field mappings, and where they are written.
#[derive(Debug, Clone)]
struct Layer<'a> {
    place: String,
    mappings: Cow<'a, FieldMappings>,
}

/// A field mapping that overrides all others, and where it is written.
#[derive(Debug, Default)]
pub(super) struct Located {
    pub(super) place: String,
    pub(super) table: FieldTable,
    /// Whether Meta's own name of the parameter is looked for as well: not where the pipeline file says where the value is.
    pub(super) by_meta_name: bool,
    /// How many paths at the end of the table are places of Meta's own name.
    pub(super) added: usize,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, place: &str, problem: &str, expected: &str) {
        self.0.push(Problem::new(place, problem, expected));
    }

    fn add_unknown<'k>(
        &mut self,
        place: &str,
        problem: &str,
        name: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        let hint = options::nearest(name, known)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        self.add(
            place,
            &format!("{problem}{hint}"),
            "a name from the tables of Meta's documentation, or `custom_data.` with a name of your own",
        );
    }

    /// All problems, sorted; a mistake in a layer that many events share is listed once.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}

/// A preset with its overrides.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    preset: &'a Preset,
    overrides: &'a Overrides<'a>,
}

impl<'a> Layers<'a> {
    /// A preset with its overrides; adds to `problems` those of the preset's groups.
    pub(super) fn new(
        preset: &'a Preset,
        overrides: &'a Overrides<'a>,
        problems: &mut Problems,
    ) -> Self {
        let layers = Self { preset, overrides };
        for (i, group) in preset.include.iter().enumerate() {
            if !FIELDS.groups.contains_key(group) {
                problems.add_unknown(
                    &format!("{}.include[{i}]", layers.preset_place()),
                    "is not a group of field mappings",
                    group,
                    FIELDS.groups.keys().map(String::as_str),
                );
            }
        }
        layers
    }

    /// All events, one per name.
    pub(super) fn events(&self, problems: &mut Problems) -> Vec<EventLayers<'a>> {
        let mut events = self.events_of_preset();
        for (name, mapping) in self.overrides.event_mappings.into_iter().flatten() {
            self.override_event(&mut events, name, mapping.as_ref(), problems);
        }
        events.into_values().collect()
    }

    /// Whether events that no table names are sent. With an unknown preset every event is such an event, so that the
    /// mappings of the pipeline file can still be checked.
    pub(super) fn sends_unmapped(&self) -> bool {
        self.overrides.sends_unmapped || self.preset.is_unknown()
    }

    /// The preset's events, by name in the comparable form: those of its own table, and names that mean the same everywhere
    /// (Meta's own standard names, and those of GA4).
    fn events_of_preset(&self) -> BTreeMap<String, EventLayers<'a>> {
        let mut events = BTreeMap::new();
        let mut key = String::new();
        let names = FIELDS.common_events.iter();
        let of_meta = FIELDS.standard_events.keys().map(|name| (name, name));
        for (name, to) in names.chain(of_meta).filter(|_| !self.preset.is_unknown()) {
            comparable(name, &mut key);
            let event = EventLayers {
                comparable: key.clone(),
                spelling: name.clone(),
                from: name.clone(),
                to: Some(to.clone()),
                ..EventLayers::default()
            };
            events.insert(key.clone(), event);
        }
        for (i, event) in self.preset.events.iter().enumerate() {
            for name in &event.from {
                comparable(name, &mut key);
                let of_preset = Layer {
                    place: format!("{}.events[{i}].field_mappings", self.preset_place()),
                    mappings: Cow::Borrowed(&event.field_mappings),
                };
                events.insert(
                    key.clone(),
                    EventLayers {
                        comparable: key.clone(),
                        spelling: name.clone(),
                        from: event.from[0].clone(),
                        to: Some(event.to.clone()),
                        is_dropped: false,
                        of_preset: Some(of_preset),
                        of_file: None,
                    },
                );
            }
        }
        events
    }

    /// Applies what the pipeline file says about one event.
    fn override_event(
        &self,
        events: &mut BTreeMap<String, EventLayers<'a>>,
        name: &str,
        mapping: Option<&EventMapping>,
        problems: &mut Problems,
    ) {
        let mut key = String::new();
        comparable(name, &mut key);
        let place = options::join("event_mappings", name);
        if key.is_empty() {
            problems.add(&place, "has no letter or digit", "an event name");
            return;
        }
        let own = || EventLayers {
            comparable: key.clone(),
            spelling: name.to_owned(),
            from: name.to_owned(),
            ..EventLayers::default()
        };
        let Some(mapping) = mapping else {
            let dropped = EventLayers {
                is_dropped: true,
                ..own()
            };
            events.insert(key, dropped);
            return;
        };
        let table = mapping.to_table();
        let event = events.entry(key.clone()).or_insert_with(own);
        event.is_dropped = false;
        event.to = table.event_name.or_else(|| event.to.take());
        if event.to.is_some() {
            event.of_file = Some(Layer {
                place: format!("{place}.field_mappings"),
                mappings: Cow::Owned(table.field_mappings),
            });
            return;
        }
        events.remove(&key);
        if !self.preset.is_unknown() {
            problems.add(
                &place,
                "has no `event_name`, and the preset does not know the event",
                "Meta's event name, such as `Lead`",
            );
        }
    }

    fn preset_place(&self) -> String {
        format!("preset {}", self.preset.name)
    }

    /// The field mappings of an event by parameter name, each from the last layer that has it.
    pub(super) fn merged(
        &self,
        event: &EventLayers<'a>,
        problems: &mut Problems,
    ) -> BTreeMap<String, Located> {
        let groups = FIELDS.groups_of(event.to.as_deref().unwrap_or_default());
        let of_every_event = FIELDS.every_event.iter();
        let included = of_every_event.chain(&self.preset.include).chain(groups);
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
        let first_of_file = layers.len();
        if let Some(mappings) = self.overrides.field_mappings {
            layers.push(Layer {
                place: "field_mappings".to_owned(),
                mappings: Cow::Borrowed(mappings),
            });
        }
        layers.extend(event.of_file.clone());
        let mut merged = BTreeMap::new();
        for (number, layer) in layers.iter().enumerate() {
            let by_meta_name = number < first_of_file;
            for (name, mapping) in layer.mappings.iter() {
                let place = options::join(&layer.place, name);
                if !is_parameter(name) {
                    let known = PARAMETERS.iter().map(|parameter| parameter.name);
                    problems.add_unknown(&place, "is not a parameter that Meta knows", name, known);
                    continue;
                }
                match mapping.as_ref().map(FieldMapping::to_table) {
                    Some(table) => merged.insert(
                        name.clone(),
                        Located {
                            place,
                            table,
                            by_meta_name,
                            added: 0,
                        },
                    ),
                    None => merged.remove(name),
                };
            }
        }
        merged
    }
}

/// Whether a mapping can have this name: a parameter that Meta knows, or one of the user's own in `custom_data`.
fn is_parameter(name: &str) -> bool {
    /// Characters of a custom property's name.
    const MAX_KEY_CHARS: usize = 100;
    if ParameterId::named(name).is_some() {
        return true;
    }
    name.strip_prefix("custom_data.").is_some_and(|key| {
        let is_reserved = key.starts_with("contents") || key.starts_with("store_data");
        !is_reserved && !key.trim().is_empty() && key.chars().count() <= MAX_KEY_CHARS
    })
}

/// Where a preset looks for the parameters of what Meta calls `event_name`, by the parameters' names; also for events
/// that the preset itself does not have, since a pipeline file can add them.
pub(crate) fn sources(preset: &Preset, event_name: &str) -> BTreeMap<String, FieldTable> {
    let of_preset = preset.events.iter().find(|event| event.to == event_name);
    let event = EventLayers {
        to: Some(event_name.to_owned()),
        of_preset: of_preset.map(|event| Layer {
            place: String::new(),
            mappings: Cow::Borrowed(&event.field_mappings),
        }),
        ..EventLayers::default()
    };
    let mut problems = Problems::default();
    let overrides = Overrides::default();
    let layers = Layers::new(preset, &overrides, &mut problems);
    let merged = layers.merged(&event, &mut problems).into_iter();
    merged
        .map(|(name, located)| (name, located.table))
        .collect()
}
