//! `GET /api/v1/config`: the pipeline file without its secrets, and whether it can be written.
//!
//! Invariant: a secret is shown by nothing but its place, whether it is set, and the name of its variable.

use super::body::{Refusal, on_thread, refuse};
use super::masked;
use super::secrets::{self, Secret, has_token_key};
use crate::shared::Shared;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use pipeline_cli::Program;
use pipeline_host::config;
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The pipeline file as it is on the disk.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) raw: Value,
    pub(crate) secrets: Vec<Secret>,
}

impl Written {
    /// Reads it.
    pub(crate) fn read(program: &Program) -> Result<Self, config::ConfigError> {
        let text = config::read_text(program.file())?;
        let raw = program.parse(&text)?;
        let secrets = secrets::find(program.schema(), &raw);
        Ok(Self { text, raw, secrets })
    }

    /// The value tree without its secrets.
    pub(crate) fn shown(&self) -> Value {
        secrets::masked(&self.raw, &self.secrets)
    }

    /// The text without its secrets, where that can be done faithfully.
    pub(crate) fn shown_text(&self, program: &Program) -> Option<String> {
        let parse = |text: &str| program.try_parse(text);
        masked::text(&self.text, &self.raw, &self.secrets, &parse)
    }

    /// What tells this text from others. Made with a number of this process, so that it says nothing about the secrets in it.
    pub(crate) fn etag(&self) -> String {
        etag(&self.text)
    }
}

/// What tells a text from others, in this process.
pub(crate) fn etag(text: &str) -> String {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    let seed = SEED.get_or_init(RandomState::new);
    format!("\"{:016x}\"", seed.hash_one(text))
}

/// `{text, etag, format, file, writable, reason, sinks, secrets}`.
pub(crate) async fn config(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Refusal> {
    let read_only = shared.read_only;
    let answer = on_thread(&shared, move |program| {
        let written = Written::read(program)?;
        Ok(answer(&written, program, read_only))
    });
    answer
        .await?
        .map(Json)
        .map_err(|error: config::ConfigError| {
            // Its problems may be of a text that a person is just writing.
            let message = format!("the pipeline file cannot be read now: {error}");
            refuse(StatusCode::CONFLICT, "unreadable_file", &message)
        })
}

fn answer(written: &Written, program: &Program, read_only: bool) -> Value {
    let shown = written.shown();
    let none = Map::new();
    let sinks = shown["sinks"].as_object().unwrap_or(&none);
    let sinks = sinks.iter().map(|(name, options)| {
        // What could not be shown could not be edited.
        let options = (!has_token_key(options)).then(|| options.clone());
        (name.clone(), options.unwrap_or(Value::Null))
    });
    let sinks: Map<String, Value> = sinks.collect();
    let reason = not_writable(program.file(), read_only);
    json!({
        "text": written.shown_text(program),
        "etag": written.etag(),
        "format": format(program.file()),
        "file": pipeline_core::shown(program.file()).to_string(),
        "writable": reason.is_none(),
        "reason": reason,
        "sinks": sinks,
        "secrets": written.secrets.iter().map(secret).collect::<Vec<_>>(),
    })
}

/// `{path, from: "environment", name, set}` or `{path, from: "file", set: true}`.
fn secret(secret: &Secret) -> Value {
    match &secret.variable {
        Some(name) => {
            let is_set = std::env::var_os(name).is_some_and(|value| !value.is_empty());
            json!({ "path": secret.path(), "from": "environment", "name": name, "set": is_set })
        }
        None => json!({ "path": secret.path(), "from": "file", "set": true }),
    }
}

/// The format of a file, by its ending.
pub(crate) fn format(file: &Path) -> &'static str {
    match file.extension().and_then(|it| it.to_str()) {
        Some("toml") => "toml",
        Some("json") => "json",
        _ => "yaml",
    }
}

/// Why the file cannot be changed here, if it cannot; said before anybody edits.
pub(crate) fn not_writable(file: &Path, read_only: bool) -> Option<String> {
    if read_only {
        return Some("`api.read_only` is set".to_owned());
    }
    if format(file) != "yaml" {
        return Some("only YAML is edited here, because the layout of the others would be lost; copy the text".to_owned());
    }
    super::write::file::not_writable(file)
}
