//! JSON Schemas of the pipeline file: the host's options joined with those of the linked sinks.
//!
//! Invariant: a definition of a plugin (`$defs`) keeps apart from those of the host and of other plugins, because its
//! name is prefixed with the sink's type.

use super::option::{PipelineOptions, SinkOptions};
use pipeline_core::{Registry, SinkDescription};
use serde_json::{Map, Value, json};

/// The schema of what the host itself reads from a pipeline file; sinks are left open.
pub(crate) fn host() -> Value {
    schemars::schema_for!(PipelineOptions).to_value()
}

/// The options that the host reads from every sink.
pub(crate) fn host_keys() -> Vec<String> {
    let schema = schemars::schema_for!(SinkOptions).to_value();
    schema["properties"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect()
}

/// The schema of a sink of this type: the host's options and the plugin's.
pub fn sink(description: &SinkDescription) -> Value {
    let mut schema = schemars::schema_for!(SinkOptions).to_value();
    let mut plugin = (description.schema)().to_value();
    prefix_references(&mut plugin, description.name);
    let host = host_keys();

    schema["title"] = description.name.into();
    schema["description"] = description.description.into();
    schema["properties"]["type"] = json!({
        "description": "The sink's type.", "type": "string", "const": description.name
    });
    for (key, property) in object(&mut plugin, "properties") {
        if !host.contains(&key) {
            schema["properties"][key] = property;
        }
    }
    for (key, definition) in object(&mut plugin, "$defs") {
        schema["$defs"][format!("{}.{key}", description.name)] = definition;
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
    // An open plugin schema stays open; a closed one closes the whole.
    if plugin["additionalProperties"] != json!(false)
        && let Some(map) = schema.as_object_mut()
    {
        map.remove("additionalProperties");
    }
    schema
}

/// The schema of a whole pipeline file with any of the linked sinks.
pub fn pipeline(registry: &Registry) -> Value {
    let mut root = host();
    let mut branches = Vec::new();
    for description in registry.iter() {
        let mut branch = sink(description);
        for (key, definition) in object(&mut branch, "$defs") {
            root["$defs"][key] = definition;
        }
        if let Some(map) = branch.as_object_mut() {
            map.remove("$schema");
            map.remove("$defs");
        }
        branches.push(branch);
    }
    root["properties"]["sinks"]["additionalProperties"] = json!({ "oneOf": branches });
    root
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
