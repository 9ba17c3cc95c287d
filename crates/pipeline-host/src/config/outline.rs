//! Of a pipeline file only what says where dead letters and stored events are: the data folder, the sinks by name, and a section
//! of the program.
//!
//! For commands that look at what a pipeline has left. They must work where the secrets of the pipeline are not, so
//! nothing else of the file is expanded or checked, and no sink is built.

use super::option::{DeadLetterOptions, PipelineOptions};
use super::schema::ProgramSection;
use super::{ConfigError, Environment, file, interpolate, sink, sorted, typed};
use crate::dead_letter::DeadLetters;
use pipeline_core::options::{check, join};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The keys of a sink that are read.
const SINK_KEYS: [&str; 1] = ["dead_letters"];

/// What a pipeline file says of the places where a run leaves something.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outline {
    /// The folder of everything that survives the process.
    pub data_dir: PathBuf,
    /// The dead letters of every sink, by its name, in the order of the file.
    pub sinks: Vec<(String, DeadLetters)>,
    /// The options of the section of the program that was asked for, checked against its schema; `None` where the file has
    /// none.
    pub section: Option<Value>,
}

/// Reads where the dead letters of a pipeline's sinks are: by the sink's name, in the order of the file.
///
/// # Errors
///
/// [`ConfigError::Unreadable`] or [`ConfigError::Syntax`] for the file as such, [`ConfigError::Invalid`] for what is read of it.
pub fn load_dead_letters(
    path: &Path,
    environment: Environment<'_>,
) -> Result<Vec<(String, DeadLetters)>, ConfigError> {
    load_outline(path, environment, None).map(|outline| outline.sinks)
}

/// Reads what a pipeline file says of the places where a run leaves something, and this section of the program.
///
/// # Errors
///
/// As [`load_dead_letters`].
pub fn load_outline(
    path: &Path,
    environment: Environment<'_>,
    section: Option<&ProgramSection>,
) -> Result<Outline, ConfigError> {
    let sections = section.map(std::slice::from_ref).unwrap_or_default();
    let known = || super::schema::option_names(&super::schema::host(sections));
    let written = file::read(path, known).map_err(|problem| ConfigError::of_file(path, problem))?;
    let mut outline = outline(&written);
    if let Some((section, options)) = section.zip(section.and_then(|it| written.get(it.name))) {
        outline[section.name] = options.clone();
    }
    let mut problems = interpolate::expand(&mut outline, environment).problems;
    let checked = check(&super::schema::host(sections), &outline);
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
    let section = section.and_then(|section| checked.options.get(section.name).cloned());
    let section = section.filter(|options| !options.is_null());
    let mut host = checked.options.clone();
    if let Some(map) = host.as_object_mut() {
        map.retain(|key, _| sections.iter().all(|section| section.name != key));
    }
    let options: PipelineOptions = typed(&host, "").map_err(invalid)?;
    let data_dir = path
        .parent()
        .unwrap_or(Path::new(""))
        .join(options.data_dir);
    let sinks = sinks.into_iter().map(|(name, options)| {
        let options: DeadLetterOptions = typed(&options, &join("sinks", name)).map_err(invalid)?;
        let letters = DeadLetters::new(&data_dir, name, options.max_bytes);
        Ok((name.clone(), letters))
    });
    Ok(Outline {
        sinks: sinks.collect::<Result<_, ConfigError>>()?,
        data_dir,
        section,
    })
}

/// Reads where the data of a pipeline is.
///
/// # Errors
///
/// As [`load_dead_letters`].
pub fn load_data_dir(path: &Path, environment: Environment<'_>) -> Result<PathBuf, ConfigError> {
    load_outline(path, environment, None).map(|outline| outline.data_dir)
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
