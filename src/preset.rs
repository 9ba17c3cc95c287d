//! Presets: which events of a line of business correspond to which of Meta's, and where the values are. Data, not code.
//!
//! The presets that come with the sink are the files of `schema/presets`; a user's own has the same form. What they
//! share is in `schema/fields.json`: named groups of field mappings, and which groups each of Meta's standard events uses.

use crate::field_mapping::{FieldMapping, FieldMappings};
use crate::small_file;
use pipeline_core::options::{self, Problem};
use pipeline_core::{PresetDescription, PresetField, PresetRow};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::LazyLock;

/// A preset: the events of one line of business and their counterparts at Meta.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// The location of the schema of this file, for editors.
    #[serde(default, rename = "$schema")]
    #[expect(dead_code, reason = "read by editors only")]
    schema: Option<String>,
    /// The name that selects the preset: lower-case letters, digits and `_`. Example: `retail`.
    #[schemars(length(min = 1))]
    pub(crate) name: String,
    /// Its name for people. Example: `Retail`.
    pub(crate) title: String,
    /// One sentence on what it is for.
    pub(crate) description: String,
    /// The consent categories that must all be granted (default: `[marketing]`).
    #[serde(default = "marketing")]
    pub(crate) consent_categories: Vec<String>,
    /// Groups of field mappings that apply to every event. Example: `[event, identity, money]`.
    #[serde(default)]
    pub(crate) include: Vec<String>,
    /// Field mappings for every event; they override the groups.
    #[serde(default)]
    pub(crate) field_mappings: FieldMappings,
    /// Which events are sent, and as what.
    #[schemars(length(min = 1))]
    pub(crate) events: Vec<PresetEvent>,
}

/// One event of a preset.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresetEvent {
    /// Its names in the incoming events; case, spaces, `_`, `-`, `.` and `:` are ignored. Example: `[Order Completed, purchase]`.
    #[schemars(length(min = 1))]
    pub(crate) from: Vec<String>,
    /// Meta's event name, exactly. Example: `Purchase`.
    #[schemars(length(min = 1, max = 50))]
    pub(crate) to: String,
    /// Field mappings for this event only.
    #[serde(default)]
    pub(crate) field_mappings: FieldMappings,
}

impl Preset {
    /// Replaces a preset that was not found, so that its overrides can still be checked.
    pub(crate) fn unknown() -> Self {
        Self {
            schema: None,
            name: String::new(),
            title: String::new(),
            description: String::new(),
            consent_categories: marketing(),
            include: Vec::new(),
            field_mappings: FieldMappings::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.events.is_empty()
    }
}

fn marketing() -> Vec<String> {
    vec!["marketing".to_owned()]
}

/// The field mappings that presets share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fields {
    pub(crate) groups: BTreeMap<String, Group>,
    /// The groups that each of Meta's standard events uses.
    pub(crate) standard_events: BTreeMap<String, Vec<String>>,
    /// The groups that an event of any other name uses.
    custom_events: Vec<String>,
    /// The groups that every event uses, whatever the preset includes; the preset's groups override them.
    pub(crate) every_event: Vec<String>,
    /// Parameters that Meta takes on some events only. On others an explanation names them.
    pub(crate) some_events: Vec<String>,
    /// Names of events that mean the same in every line of business, and Meta's name for each.
    pub(crate) common_events: BTreeMap<String, String>,
    /// The kind of catalog, a value of `content_type`, that the key of an item's id names.
    pub(crate) item_kinds: BTreeMap<String, String>,
    /// The keys under which an item names a currency.
    pub(crate) item_currency: Vec<String>,
    /// What to do about events that no preset maps, by their names.
    pub(crate) advice: BTreeMap<String, String>,
}

/// A named group of field mappings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    #[expect(dead_code, reason = "for people who read the file")]
    description: String,
    pub(crate) field_mappings: FieldMappings,
}

impl Fields {
    /// The groups that Meta's event `event_name` uses.
    pub(crate) fn groups_of(&self, event_name: &str) -> &[String] {
        self.standard_events
            .get(event_name)
            .unwrap_or(&self.custom_events)
    }
}

/// The shared field mappings.
#[expect(
    clippy::expect_used,
    reason = "a shipped file, which a test reads as well"
)]
pub(crate) static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../schema/fields.json")).expect("schema/fields.json is good")
});

static SHIPPED_TEXTS: &[&str] = include!(concat!(env!("OUT_DIR"), "/presets.rs"));

/// The presets that come with the sink.
#[expect(
    clippy::expect_used,
    reason = "shipped files, which a test reads as well"
)]
static SHIPPED: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    SHIPPED_TEXTS
        .iter()
        .map(|text| serde_json::from_str(text).expect("every file of schema/presets is good"))
        .collect()
});

/// The presets that come with the sink, by name.
pub(crate) fn shipped() -> &'static [Preset] {
    &SHIPPED
}

/// The shipped preset of this name.
pub(crate) fn named(name: &str) -> Option<&'static Preset> {
    SHIPPED.iter().find(|preset| preset.name == name)
}

/// Reads a user's own preset.
///
/// # Errors
///
/// Every problem of the file, with its place inside it.
pub(crate) fn read(file: &Path) -> Result<Preset, Vec<Problem>> {
    /// Longest preset file; a preset is a page or two of text.
    const MAX_PRESET_BYTES: u64 = 1024 * 1024;
    let one = |problem: String, expected: &str| vec![Problem::new("", problem, expected)];
    let shown = pipeline_core::shown(file);
    let unreadable = |error: std::io::Error| {
        one(
            format!("the preset file `{shown}` cannot be read ({error})"),
            "a readable JSON file",
        )
    };
    let mut text = String::new();
    let read = small_file::open(file).and_then(|opened| {
        let mut limited = opened.take(MAX_PRESET_BYTES + 1);
        limited.read_to_string(&mut text)
    });
    if read.map_err(unreadable)? as u64 > MAX_PRESET_BYTES {
        return Err(one(
            format!("the preset file `{shown}` is larger than 1 MiB"),
            "a preset",
        ));
    }
    let value = options::from_json(&text).map_err(|error| {
        one(
            format!("the preset file `{shown}` is not valid JSON ({error})"),
            "a preset in JSON",
        )
    })?;
    let schema = schemars::schema_for!(Preset);
    let checked = options::check(schema.as_value(), &value);
    if !checked.problems.is_empty() {
        return Err(checked
            .problems
            .into_iter()
            .map(|problem| Problem {
                path: format!("{shown}#{}", problem.path),
                ..problem
            })
            .collect());
    }
    serde_json::from_value(checked.options).map_err(|_| {
        one(
            format!("the preset file `{shown}` cannot be read"),
            "a preset as described by schema/preset.schema.json",
        )
    })
}

/// The shipped presets, as shown to people.
pub(crate) fn describe() -> Vec<PresetDescription> {
    shipped()
        .iter()
        .map(|preset| {
            let rows = preset
                .events
                .iter()
                .map(|event| PresetRow::new(event.from.clone(), event.to.clone()));
            PresetDescription::new(
                preset.name.clone(),
                preset.title.clone(),
                preset.description.clone(),
                rows.collect(),
            )
            .with_fields(fields_of(preset))
        })
        .collect()
}

/// Where a preset looks for each parameter, over all its events.
fn fields_of(preset: &Preset) -> Vec<PresetField> {
    let mut fields: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for event in &preset.events {
        let groups = FIELDS.every_event.iter().chain(&preset.include);
        let groups = groups.chain(FIELDS.groups_of(&event.to));
        let groups = groups.filter_map(|name| FIELDS.groups.get(name));
        let own = [&preset.field_mappings, &event.field_mappings];
        // Each parameter from the last layer that has it.
        let mut merged = BTreeMap::new();
        for mappings in groups.map(|group| &group.field_mappings).chain(own) {
            merged.extend(mappings);
        }
        for (name, mapping) in merged {
            let known = fields.entry(name).or_default();
            let table = mapping.as_ref().map(FieldMapping::to_table);
            let lists = table.map(|table| [vec![table.paths], table.all].concat());
            for path in lists.into_iter().flatten().flatten() {
                if !known.contains(&path) {
                    known.push(path);
                }
            }
        }
    }
    fields.retain(|_, paths| !paths.is_empty());
    let fields = fields.into_iter();
    fields
        .map(|(name, paths)| PresetField::new(name, paths))
        .collect()
}

/// The form in which event names are compared: without case, spaces, `_`, `-`, `.` and `:`.
pub(crate) fn comparable(name: &str, out: &mut String) {
    out.clear();
    for c in name.chars() {
        if c.is_ascii() {
            if !matches!(c, ' ' | '_' | '-' | '.' | ':' | '\t') {
                out.push(c.to_ascii_lowercase());
            }
        } else if !c.is_whitespace() {
            out.extend(c.to_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_read_as_a_preset() {
        for device in ["/dev/zero", "/dev/null"] {
            let problems = read(Path::new(device)).expect_err(device);
            assert!(
                problems[0]
                    .problem
                    .contains("it is a pipe, a socket or a device"),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn the_shipped_files_are_good_and_names_are_unique() {
        let schema = schemars::schema_for!(Preset);
        for (text, preset) in SHIPPED_TEXTS.iter().zip(shipped()) {
            let value = serde_json::from_str(text).expect("JSON");
            let checked = options::check(schema.as_value(), &value);
            assert_eq!(checked.problems, [], "{}", preset.name);
            assert!(std::ptr::eq(named(&preset.name).expect("by name"), preset));
        }
        let names: Vec<_> = shipped().iter().map(|preset| &preset.name).collect();
        assert_eq!(
            names,
            ["automotive", "b2b_saas", "meta_capi", "retail", "travel"]
        );
    }

    #[test]
    fn a_preset_says_where_it_looks_for_each_parameter_once() {
        for preset in describe() {
            assert!(!preset.fields.is_empty(), "{}", preset.name);
            for field in &preset.fields {
                let mut paths = field.paths.clone();
                paths.sort();
                paths.dedup();
                let are_once = !paths.is_empty() && paths.len() == field.paths.len();
                assert!(are_once, "{}: {}", preset.name, field.name);
            }
        }
    }

    #[test]
    fn every_included_group_exists() {
        let of_events = FIELDS.standard_events.values().flatten();
        let of_presets = shipped().iter().flat_map(|preset| &preset.include);
        for group in of_events.chain(of_presets).chain(&FIELDS.custom_events) {
            assert!(FIELDS.groups.contains_key(group), "{group}");
        }
        // The 17 standard events of the Pixel reference, and PageView.
        assert_eq!(FIELDS.standard_events.len(), 18);
    }

    #[test]
    fn names_are_compared_tolerantly() {
        let mut out = String::new();
        for name in [
            "Order Completed",
            "order_completed",
            "orderCompleted",
            "ORDER COMPLETED",
            "order-completed",
            "order.completed",
            "Order:Completed",
        ] {
            comparable(name, &mut out);
            assert_eq!(out, "ordercompleted");
        }
        comparable("Straße ÄÖ", &mut out);
        assert_eq!(out, "straßeäö");
    }
}
