//! Of a pipeline file only what says where dead letters are: the data folder, and the sinks by name.
//!
//! For commands that look at what a pipeline has left. They must work where the secrets of the pipeline are not, so
//! nothing else of the file is expanded or checked, and no sink is built.

use super::option::{DeadLetterOptions, PipelineOptions};
use super::{ConfigError, Environment, file, interpolate, sink, sorted, typed};
use crate::dead_letter::DeadLetters;
use pipeline_core::options::{check, join};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The keys of a sink that are read.
const SINK_KEYS: [&str; 1] = ["dead_letters"];

/// Reads where the dead letters of a pipeline's sinks are: by the sink's name, in the order of the file.
///
/// # Errors
///
/// [`ConfigError::Unreadable`] or [`ConfigError::Syntax`] for the file as such, [`ConfigError::Invalid`] for what is read of it.
pub fn load_dead_letters(
    path: &Path,
    environment: Environment<'_>,
) -> Result<Vec<(String, DeadLetters)>, ConfigError> {
    let known = || super::schema::option_names(&super::schema::host(&[]));
    let written = file::read(path, known).map_err(|problem| ConfigError::of_file(path, problem))?;
    let mut outline = outline(&written);
    let mut problems = interpolate::expand(&mut outline, environment).problems;
    let checked = check(&super::schema::host(&[]), &outline);
    problems.extend(checked.problems);
    let schema = schemars::schema_for!(DeadLetterOptions).to_value();
    let mut sinks = Vec::new();
    for (name, options) in checked.options["sinks"].as_object().into_iter().flatten() {
        let place = join("sinks", name);
        problems.extend(sink::name_problem(name));
        let options = options.get("dead_letters").unwrap_or(&Value::Null);
        let options = if options.is_null() {
            &json!({})
        } else {
            options
        };
        let checked = check(&schema, options);
        let found = checked.problems.into_iter();
        problems.extend(found.map(|problem| problem.within(&join(&place, "dead_letters"))));
        sinks.push((name, checked.options));
    }
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(sorted(problems)));
    }
    let invalid = |problem| ConfigError::Invalid(vec![problem]);
    let options: PipelineOptions = typed(&checked.options, "").map_err(invalid)?;
    let data_dir = path
        .parent()
        .unwrap_or(Path::new(""))
        .join(options.data_dir);
    let sinks = sinks.into_iter().map(|(name, options)| {
        let options: DeadLetterOptions = typed(&options, &join("sinks", name)).map_err(invalid)?;
        let letters = DeadLetters::new(&data_dir, name, options.max_bytes);
        Ok((name.clone(), letters))
    });
    sinks.collect()
}

/// Reads where the data of a pipeline is.
///
/// # Errors
///
/// As [`load_dead_letters`].
pub fn load_data_dir(path: &Path, environment: Environment<'_>) -> Result<PathBuf, ConfigError> {
    let sinks = load_dead_letters(path, environment)?;
    // `data_dir/dead_letters/<sink>`; a file has at least one sink.
    let folder = sinks
        .first()
        .and_then(|(_, letters)| letters.path().ancestors().nth(2));
    Ok(folder.unwrap_or(Path::new("data")).to_owned())
}

/// The parts of a file that are read.
fn outline(written: &Value) -> Value {
    let mut outline = json!({ "sources": {}, "sinks": {} });
    if let Some(data_dir) = written.get("data_dir") {
        outline["data_dir"] = data_dir.clone();
    }
    match written.get("sinks") {
        Some(Value::Object(sinks)) => {
            for (name, sink) in sinks {
                let kept = SINK_KEYS.iter().filter_map(|key| {
                    let value = sink.get(*key)?;
                    Some(((*key).to_owned(), value.clone()))
                });
                outline["sinks"][name] = Value::Object(kept.collect::<Map<_, _>>());
            }
        }
        // Checked as it is.
        Some(other) => outline["sinks"] = other.clone(),
        None => outline["sinks"] = Value::Null,
    }
    outline
}
