//! What is linked: sinks, sources and transforms, the options of one, the table of a preset.

use super::body::{Refusal, refuse, started};
use crate::shared::Shared;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use pipeline_core::{Component, PresetDescription};
use pipeline_host::config::schema;
use serde_json::{Value, json};
use std::sync::Arc;

/// `{sinks: [{type, description, version, presets: [{name, title, description, events, becomes}]}], sources, transforms}`.
pub(crate) async fn catalog(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Refusal> {
    let registry = started(&shared)?.program.registry();
    let sinks = registry.sinks().map(|sink| {
        let presets = sink.preset_descriptions();
        let presets = presets.iter().map(|preset| {
            json!({
                "name": preset.name,
                "title": preset.title,
                "description": preset.description,
                "events": preset.rows.len(),
                "becomes": becomes(preset),
            })
        });
        let mut entry = entry(sink);
        entry["presets"] = presets.collect();
        entry
    });
    Ok(Json(json!({
        "sinks": sinks.collect::<Vec<_>>(),
        "sources": registry.sources().map(entry).collect::<Vec<_>>(),
        "transforms": registry.transforms().map(entry).collect::<Vec<_>>(),
    })))
}

fn entry<C: ?Sized>(component: &'static Component<C>) -> Value {
    json!({
        "type": component.name(),
        "description": component.description(),
        "version": component.plugin_version(),
    })
}

/// The JSON Schema of a sink of this type, with the options of the host.
pub(crate) async fn schema_of(
    State(shared): State<Arc<Shared>>,
    Path(kind): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let sink = started(&shared)?.program.registry().sink(&kind);
    let sink = sink.map_err(|_| {
        let message = "no sink of this type is linked";
        refuse(StatusCode::NOT_FOUND, "unknown_type", message)
    })?;
    Ok(Json(schema::sink(sink)))
}

/// The mapping table of a preset: `{name, title, description, sink, rows: [{from, to}], fields: [{name, paths}]}`.
pub(crate) async fn preset(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    let registry = started(&shared)?.program.registry();
    let mut presets = registry.sinks().flat_map(|sink| {
        let presets = sink.preset_descriptions().into_iter();
        presets.map(|preset| (sink.name(), preset))
    });
    let Some((sink, preset)) = presets.find(|(_, preset)| preset.name == name) else {
        let message = "no preset has this name";
        return Err(refuse(StatusCode::NOT_FOUND, "unknown_preset", message));
    };
    Ok(Json(table(sink, &preset)).into_response())
}

/// The destination's names of a preset's events, each once.
fn becomes(preset: &PresetDescription) -> Vec<&str> {
    let mut names = Vec::new();
    for row in &preset.rows {
        if !names.contains(&&*row.to) {
            names.push(&*row.to);
        }
    }
    names
}

fn table(sink: &str, preset: &PresetDescription) -> Value {
    let rows = preset.rows.iter();
    let rows = rows.map(|row| json!({ "from": row.from, "to": row.to }));
    let fields = preset.fields.iter();
    let fields = fields.map(|field| json!({ "name": field.name, "paths": field.paths }));
    json!({
        "name": preset.name,
        "title": preset.title,
        "description": preset.description,
        "sink": sink,
        "rows": rows.collect::<Vec<_>>(),
        "fields": fields.collect::<Vec<_>>(),
    })
}
