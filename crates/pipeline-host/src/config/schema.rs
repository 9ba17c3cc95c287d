//! JSON Schemas of the pipeline file: the host's options joined with those of the linked components.
//!
//! Invariant: a definition of a plugin (`$defs`) keeps apart from those of the host and of other plugins, because its
//! name is prefixed with the component's type.

use super::option::{PipelineOptions, SinkOptions, SourceOptions, TransformOptions};
use pipeline_core::{Component, Registry};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A section of the pipeline file that belongs to the program, not to the host.
#[derive(Debug, Clone)]
pub struct ProgramSection {
    /// The key in the pipeline file.
    pub name: &'static str,
    /// The JSON Schema of what is below it, with a description.
    pub schema: Value,
}

/// The schema of what the host itself reads from a pipeline file; components are left open.
pub(crate) fn host(sections: &[ProgramSection]) -> Value {
    let mut schema = schemars::schema_for!(PipelineOptions).to_value();
    // For what several components share by anchors.
    schema["patternProperties"] = json!({ "^x-": true });
    for section in sections {
        let mut inner = section.schema.clone();
        for (key, definition) in object(&mut inner, "$defs") {
            schema["$defs"][key] = definition;
        }
        if let Some(map) = inner.as_object_mut() {
            map.remove("$schema");
            map.remove("$defs");
            map.remove("title");
        }
        let description = inner.get("description").cloned();
        let mut property = json!({ "anyOf": [inner, { "type": "null" }], "default": null });
        if let Some(description) = description {
            property["description"] = description;
        }
        schema["properties"][section.name] = property;
    }
    schema
}

/// The options that the host reads from every component of a kind.
pub(crate) fn host_keys<H: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(H).to_value();
    schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect()
}

/// The schema of a sink of this type: the host's options and the plugin's.
pub fn sink(component: &Component<dyn pipeline_core::SinkConfig>) -> Value {
    let mut schema = self::component::<SinkOptions, _>(component);
    let most = component.max_batch();
    // No batch is larger than its destination takes.
    let limits = [
        ("max_events", most.max_events),
        ("max_bytes", most.max_bytes),
    ];
    for (key, most) in limits {
        if most < usize::MAX {
            schema["properties"]["batch"]["properties"][key]["maximum"] = most.into();
        }
    }
    schema
}

/// The schema of a source of this type: the host's options and the plugin's.
pub fn source(component: &Component<dyn pipeline_core::SourceConfig>) -> Value {
    self::component::<SourceOptions, _>(component)
}

/// The schema of a transform of this type: the host's options and the plugin's.
pub fn transform(component: &Component<dyn pipeline_core::TransformConfig>) -> Value {
    self::component::<TransformOptions, _>(component)
}

/// The schema of a component: the host's options `H` and the plugin's.
pub(crate) fn component<H: JsonSchema, C: ?Sized>(component: &Component<C>) -> Value {
    let mut schema = schemars::schema_for!(H).to_value();
    let mut plugin = component.schema().to_value();
    prefix_references(&mut plugin, component.name());
    let host = host_keys::<H>();

    schema["title"] = component.name().into();
    schema["description"] = component.description().into();
    schema["properties"]["type"] = json!({
        "description": schema["properties"]["type"]["description"], "type": "string", "const": component.name()
    });
    for (key, property) in object(&mut plugin, "properties") {
        if !host.contains(&key) {
            schema["properties"][key] = property;
        }
    }
    for (key, definition) in object(&mut plugin, "$defs") {
        schema["$defs"][format!("{}.{key}", component.name())] = definition;
    }
    if let (Some(all), Some(more)) = (
        schema["required"].as_array_mut(),
        plugin["required"].as_array(),
    ) {
        all.extend(
            more.iter()
                .filter(|key| !host.iter().any(|own| *key == own))
                .cloned(),
        );
    }
    if let Some(all) = plugin.get("allOf") {
        schema["allOf"] = all.clone();
    }
    // An open plugin schema stays open; a closed one closes the whole.
    if plugin["additionalProperties"] != json!(false)
        && let Some(map) = schema.as_object_mut()
    {
        map.remove("additionalProperties");
    }
    schema
}

/// The schema of a whole pipeline file with any of the linked components.
pub fn pipeline(registry: &Registry, sections: &[ProgramSection]) -> Value {
    let mut root = host(sections);
    let sources = registry.sources().map(source).collect();
    let transforms = registry.transforms().map(transform).collect();
    let sinks = registry.sinks().map(sink).collect();
    branches(&mut root, "sources", sources);
    branches(&mut root, "transforms", transforms);
    branches(&mut root, "sinks", sinks);
    open_for_variables(&mut root);
    root
}

/// Lets every number, answer, word and text of a form be a text with a variable instead, and every text of digits a number: files are
/// checked with their variables filled in, and editors see them before.
fn open_for_variables(schema: &mut Value) {
    const VARIABLE: &str = r"\$\{";
    let Some(map) = schema.as_object_mut() else {
        if let Some(items) = schema.as_array_mut() {
            items.iter_mut().for_each(open_for_variables);
        }
        return;
    };
    let is_data = ["const", "default", "examples", "required", "propertyNames"];
    let others = map
        .iter_mut()
        .filter(|(key, _)| !is_data.contains(&key.as_str()));
    others.for_each(|(_, inner)| open_for_variables(inner));
    if let Some(known) = map.remove("examples") {
        let any = map.remove("type").unwrap_or_else(|| "string".into());
        let forms = json!([{ "enum": known }, { "type": any }]);
        map.insert("anyOf".to_owned(), forms);
        return;
    }
    let texts =
        |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_array).cloned();
    if let Some(words) = texts(map, "enum").filter(|words| words.iter().all(Value::is_string)) {
        map.remove("type");
        map.remove("enum");
        let variable = json!({ "type": "string", "pattern": VARIABLE });
        map.insert("anyOf".to_owned(), json!([{ "enum": words }, variable]));
        return;
    }
    if let Some(words) = map.get_mut("oneOf").and_then(Value::as_array_mut)
        && words.iter().all(|word| word["const"].is_string())
    {
        words.push(json!({ "type": "string", "pattern": VARIABLE }));
        return;
    }
    let mut types: Vec<Value> = match map.get("type") {
        Some(Value::Array(types)) => types.clone(),
        Some(one) => vec![one.clone()],
        None => return,
    };
    let has = |types: &[Value], name: &str| types.iter().any(|known| known == name);
    if ["integer", "number", "boolean"]
        .iter()
        .any(|name| has(&types, name))
    {
        types.push("string".into());
        map.insert("pattern".to_owned(), VARIABLE.into());
    } else if has(&types, "string") {
        // The value of a variable can be shorter or longer than its name.
        map.remove("maxLength");
        let Some(pattern) = map.get("pattern").and_then(Value::as_str) else {
            return;
        };
        if pattern.starts_with("^[0-9]") {
            types.push("integer".into());
        }
        let pattern = format!("{pattern}|{VARIABLE}");
        map.insert("pattern".to_owned(), pattern.into());
    } else {
        return;
    }
    types.dedup();
    map.insert("type".to_owned(), Value::Array(types));
}

/// Lets the entries of a section be any of these.
fn branches(root: &mut Value, section: &str, mut branches: Vec<Value>) {
    for branch in &mut branches {
        for (key, definition) in object(branch, "$defs") {
            root["$defs"][key] = definition;
        }
        if let Some(map) = branch.as_object_mut() {
            map.remove("$schema");
            map.remove("$defs");
        }
    }
    if !branches.is_empty() {
        root["properties"][section]["additionalProperties"] = json!({ "oneOf": branches });
    }
}

/// The names of all options of a schema, sorted.
pub(super) fn option_names(schema: &Value) -> Vec<String> {
    fn collect(schema: &Value, names: &mut BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(properties) = map.get("properties").and_then(Value::as_object) {
                    names.extend(properties.keys().cloned());
                }
                map.values().for_each(|inner| collect(inner, names));
            }
            Value::Array(items) => items.iter().for_each(|inner| collect(inner, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    collect(schema, &mut names);
    names.into_iter().collect()
}

fn object(schema: &mut Value, key: &str) -> Map<String, Value> {
    match schema.get_mut(key).map(Value::take) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn prefix_references(value: &mut Value, name: &str) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                match inner {
                    Value::String(text) if key == "$ref" => {
                        *text = text.replacen("#/$defs/", &format!("#/$defs/{name}."), 1);
                    }
                    _ => prefix_references(inner, name),
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| prefix_references(item, name)),
        _ => {}
    }
}
