//! `POST /api/v1/validate` and `POST /api/v1/map`: what a text, or the options of a sink, would do. Nothing is changed or sent.
//!
//! Invariant: a preview fills in no variable that the pipeline file does not fill in at the same place, so that it cannot be made to
//! show what the environment holds.

use super::body::{Draft, Refusal, on_thread, problem, problems, refuse, started, unprocessable};
use super::config::Written;
use super::secrets::{self, Secret, Step, path};
use crate::body::json;
use crate::shared::Shared;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use pipeline_cli::{Program, map_event, skipped};
use pipeline_core::options::Problem;
use pipeline_core::{Sink, SinkContext};
use pipeline_host::Pipeline;
use pipeline_host::config::ConfigError;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::runtime::Handle;

/// An event, and the sink or the options that map it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    #[serde(default)]
    sink: Option<String>,
    #[serde(default)]
    options: Option<Value>,
    event: Box<RawValue>,
}

/// `{problems}`; also for a text that has some.
pub(crate) async fn validate(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let draft: Draft = json(request).await.map_err(Refusal::of)?;
    let checked = match (draft.text, draft.sink, draft.options) {
        (Some(text), None, None) => on_thread(&shared, move |program| check_text(program, &text)),
        (None, Some(sink), Some(options)) => {
            return on_thread(&shared, move |program| check_sink(program, &sink, options))
                .await
                .map(answer);
        }
        _ => {
            let message = "send `text`, or `sink` and `options`";
            return Err(refuse(StatusCode::BAD_REQUEST, "bad_body", message));
        }
    };
    checked.await.map(answer)
}

fn answer(problems: Vec<Value>) -> Json<Value> {
    let problems = Value::Array(problems);
    Json(serde_json::json!({ "problems": problems }))
}

fn check_text(program: &Program, text: &str) -> Vec<Value> {
    let checked = program.parse(text).and_then(|mut raw| {
        restore(program, &mut raw)?;
        program.load_value(&raw)
    });
    outcome(checked)
}

/// Puts hidden values back where the file has them.
fn restore(program: &Program, raw: &mut Value) -> Result<(), ConfigError> {
    // Without a file that can be read, there is nothing to put back.
    let (shown, old) = match Written::read(program) {
        Ok(written) => (written.shown(), written.raw),
        Err(_) => (Value::Null, Value::Null),
    };
    let problems = secrets::restore(raw, &shown, &old, "");
    if problems.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Invalid(problems))
}

fn check_sink(program: &Program, sink: &str, options: Value) -> Vec<Value> {
    let checked = Written::read(program).and_then(|written| {
        let mut raw = written.raw.clone();
        if let Some(sinks) = raw["sinks"].as_object_mut() {
            sinks.insert(sink.to_owned(), options);
        }
        let problems = secrets::restore(&mut raw, &written.shown(), &written.raw, "");
        if problems.is_empty() {
            return program.load_value(&raw);
        }
        Err(ConfigError::Invalid(problems))
    });
    let place = path(&[Step::Key("sinks".to_owned()), Step::Key(sink.to_owned())]);
    let mut problems = outcome(checked);
    for problem in &mut problems {
        let path = problem["path"].as_str().unwrap_or_default();
        let below = path
            .strip_prefix(&place)
            .map(|it| it.trim_start_matches('.'));
        problem["option"] = below.map(str::to_owned).into();
    }
    problems
}

fn outcome(checked: Result<Pipeline, ConfigError>) -> Vec<Value> {
    match checked {
        Ok(pipeline) => pipeline.notices().iter().map(problem).collect(),
        Err(error) => problems(&error),
    }
}

/// What `map --explain` prints. With `sink` and `options`: for the options, and in `running` for the sink as it runs.
pub(crate) async fn map(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Refusal> {
    let trial: Trial = json(request).await.map_err(Refusal::of)?;
    let pipeline = started(&shared)?;
    let running = match (&trial.sink, &trial.options) {
        (Some(name), options) => {
            let sink = pipeline.telemetry.sink(name);
            if sink.is_none() && options.is_none() {
                let message = "no sink of this name is running";
                return Err(refuse(StatusCode::NOT_FOUND, "unknown_sink", message));
            }
            sink
        }
        (None, Some(_)) => None,
        (None, None) => {
            let message = "send `sink`, `options`, or both, beside `event`";
            return Err(refuse(StatusCode::BAD_REQUEST, "bad_body", message));
        }
    };
    let sources = pipeline.telemetry.status().sources;
    let handle = Handle::current();
    let mapped = on_thread(&shared, move |program| {
        let event = event_text(&trial.event)?;
        let line = |sink: Arc<dyn Sink>| {
            let kinds = sources.iter().map(|source| source.kind.as_str());
            map_event(sink, event.as_bytes(), kinds).map_err(|_| failed())
        };
        let running = running.map(line).transpose()?;
        let Some(options) = trial.options else {
            let inputs = |pipeline: &Pipeline| {
                let mut sinks = pipeline.sinks.iter();
                let sink = sinks.find(|sink| Some(&sink.name) == trial.sink.as_ref());
                sink.map(|sink| sink.inputs.clone())
            };
            return Ok(with_skipped(running.unwrap_or_default(), program, inputs));
        };
        let (sink, inputs) = edited(program, trial.sink.as_deref(), &options, &handle)?;
        let edited = line(sink)?;
        let edited = match running {
            Some(running) => with_member(&edited, "running", &running),
            None => edited,
        };
        Ok(with_skipped(edited, program, |_| Some(inputs)))
    });
    let line: String = mapped.await??;
    let media = [(header::CONTENT_TYPE, "application/json")];
    Ok((media, line).into_response())
}

/// A JSON object with one more member. What it has stays byte for byte, the payload too.
fn with_member(object: &str, name: &str, value: &str) -> String {
    let open = object.strip_suffix('}').unwrap_or(object);
    format!("{open},\"{name}\":{value}}}")
}

/// An answer that says which transforms of the file were not applied, as `pipeline map` does, where there are some between the sources
/// and these inputs.
fn with_skipped(
    answer: String,
    program: &Program,
    inputs: impl FnOnce(&Pipeline) -> Option<Vec<String>>,
) -> String {
    let pipeline = Written::read(program).and_then(|written| program.load_value(&written.raw));
    // A file that cannot be read now is told where it is checked.
    let note = pipeline.ok().and_then(|pipeline| {
        let inputs = inputs(&pipeline)?;
        skipped(&pipeline.transforms_before(&inputs))
    });
    match note {
        Some(note) => with_member(&answer, "note", &Value::from(note).to_string()),
        None => answer,
    }
}

fn failed() -> Refusal {
    let message = "the event could not be mapped; please report it";
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

/// The event as it came; a JSON text holds the event as a person typed it.
pub(crate) fn event_text(event: &RawValue) -> Result<String, Refusal> {
    let event = event.get();
    if !event.starts_with('"') {
        return Ok(event.to_owned());
    }
    let text: String = serde_json::from_str(event).map_err(|_| failed())?;
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        let (line, column) = (error.line(), error.column());
        let what = format!("is not JSON: line {line}, column {column}");
        let found = Problem::new("event", what, "one event as a JSON object");
        return Err(unprocessable(&ConfigError::Invalid(vec![found])));
    }
    Ok(text)
}

/// The sink that these options make, and what it reads.
fn edited(
    program: &Program,
    name: Option<&str>,
    options: &Value,
    handle: &Handle,
) -> Result<(Arc<dyn Sink>, Vec<String>), Refusal> {
    let plan = Written::read(program).and_then(|written| {
        let shown = written.shown();
        let of_sink = |file: &Value| name.map_or(Value::Null, |name| file["sinks"][name].clone());
        let (shown, old) = (of_sink(&shown), of_sink(&written.raw));
        let mut options = options.clone();
        let mut problems = secrets::restore(&mut options, &shown, &old, "");
        let known = secrets_of(program, &options);
        foreign_variables(&options, &old, &known, &mut Vec::new(), &mut problems);
        if problems.is_empty() {
            return program.load_sink(&written.raw, name, &options);
        }
        Err(ConfigError::Invalid(problems))
    });
    let plan = plan.map_err(|error| unprocessable(&error))?;
    let made = plan.make(SinkContext::new(plan.name.clone()));
    let made = handle.block_on(made).map_err(|error| {
        let message = error.to_string();
        refuse(StatusCode::UNPROCESSABLE_ENTITY, "cannot_be_made", &message)
    });
    Ok((made?, plan.inputs))
}

/// The secrets of the options of a sink.
fn secrets_of(program: &Program, options: &Value) -> Vec<Secret> {
    let kind = options["type"].as_str().unwrap_or_default();
    let sink = program.registry().sink(kind).ok();
    let schema = sink.map(pipeline_host::config::schema::sink);
    secrets::find(&schema.unwrap_or_default(), options)
}

/// Variables at places where the file does not have the same text. At the place of a secret any is good: nothing shows it.
fn foreign_variables(
    new: &Value,
    old: &Value,
    secrets: &[Secret],
    place: &mut Vec<Step>,
    problems: &mut Vec<Problem>,
) {
    match new {
        Value::String(text)
            if text.contains("${")
                && new != old
                && !secrets.iter().any(|secret| secret.place == *place) =>
        {
            let problem = "uses a variable that the pipeline file does not use here";
            let expected = "a value: a preview fills in only the variables of the file";
            problems.push(Problem::new(path(place), problem, expected));
        }
        Value::Object(map) => {
            for (key, inner) in map {
                place.push(Step::Key(key.clone()));
                foreign_variables(inner, &old[key.as_str()], secrets, place, problems);
                place.pop();
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                place.push(Step::Index(index));
                foreign_variables(inner, &old[index], secrets, place, problems);
                place.pop();
            }
        }
        _ => {}
    }
}
