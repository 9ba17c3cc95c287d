//! `PUT /api/v1/config`: the pipeline file is edited, never rewritten, and what runs is changed with it.
//!
//! ```text
//! options, or a text ─► the wanted value tree ─► edited text ─► read again by the loader: the same tree? ─► file ─► reload
//!                       hidden values put back   comments stay  else 409, nothing is written            .bak    else put back
//! ```
//!
//! Invariant: what is written is read by the loader as exactly the value tree that was asked for, and was good as a whole; or
//! nothing is written. A reload that fails leaves the file as it was.

mod difference;
pub(crate) mod file;
mod secret_file;
mod yaml;

use super::body::{Draft, Refusal, on_thread, problem, refuse, started, unprocessable};
use super::config::{Written, etag, format};
use super::secrets::{self, PLACEHOLDER, Step, at, path};
use super::{config, masked};
use crate::body::json;
use crate::shared::Shared;
use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use pipeline_cli::Program;
use pipeline_core::options::Problem;
use pipeline_host::Pipeline;
use pipeline_host::config::ConfigError;
use pipeline_host::topology::Preview;
use secret_file::SecretFile;
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::sync::Arc;

/// Places that may get their hidden values back by being tried, in a text.
const MAX_TRIES: usize = 256;

/// Whether the change is only shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Asked {
    dry_run: Option<String>,
}

/// What is wanted of the file.
enum Wanted {
    Text(String),
    Sink(String, Value),
}

/// A change that can be made.
struct Change {
    /// The file as it is.
    old: Written,
    /// The file as it is to be.
    text: String,
    /// What its text is read as.
    raw: Value,
    /// Secrets that go into files of their own.
    secret_files: Vec<SecretFile>,
    /// What is perhaps not meant.
    notes: Vec<Problem>,
    preview: Option<Preview>,
}

/// `{text, diff, changes, reload, etag, written}`.
pub(crate) async fn put(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let draft: Draft = json(request).await.map_err(Refusal::of)?;
    let wanted = match (draft.text, draft.sink, draft.options) {
        (Some(text), None, None) => Wanted::Text(text),
        (None, Some(sink), Some(options)) => Wanted::Sink(sink, options),
        _ => {
            let message = "send `text`, or `sink` and `options`";
            return Err(refuse(StatusCode::BAD_REQUEST, "bad_body", message));
        }
    };
    let expected = headers
        .get(header::IF_MATCH)
        .and_then(|it| it.to_str().ok());
    let expected = expected.map(str::to_owned).ok_or_else(|| {
        let message = "send the `etag` of `GET /api/v1/config` as `If-Match`";
        let status = StatusCode::PRECONDITION_REQUIRED;
        refuse(status, "no_etag", message)
    })?;
    let is_dry = asked
        .dry_run
        .is_some_and(|it| !matches!(&*it, "0" | "false"));
    // It is made as a whole, also when the client goes away meanwhile.
    let made = tokio::spawn(make(shared, expected, wanted, is_dry)).await;
    made.map_err(|_| {
        let message = "the program failed on what was sent; please report it";
        refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?
}

/// Makes the change, or shows it.
async fn make(
    shared: Arc<Shared>,
    expected: String,
    wanted: Wanted,
    is_dry: bool,
) -> Result<Json<Value>, Refusal> {
    // One change at a time: the next one sees the file of the last.
    let _turn = shared.writing.lock().await;
    let read_only = shared.read_only;
    let prepared = on_thread(&shared, move |program| {
        let change = prepare(program, &expected, &wanted)?;
        let mut answer = answer(program, &change)?;
        let is_dry = is_dry || change.text == change.old.text;
        if !is_dry {
            refuse_unwritable(program, &change, read_only, &answer)?;
            write(program, &change)?;
        }
        answer["written"] = (!is_dry).into();
        answer["etag"] = etag(if is_dry {
            &change.old.text
        } else {
            &change.text
        })
        .into();
        Ok((change, answer, is_dry))
    });
    let (change, mut answer, is_dry) = prepared.await??;
    if !is_dry {
        let changed = reload(&shared, change).await?;
        answer["reload"] = object!({ "changed": changed, "needs_restart": [] });
    }
    Ok(Json(answer))
}

/// Writes the files of secrets, then the pipeline file.
fn write(program: &Program, change: &Change) -> Result<(), Refusal> {
    let refused = |problem: &dyn std::fmt::Display| {
        let message = format!("nothing was changed: {problem}");
        refuse(StatusCode::CONFLICT, "not_written", &message)
    };
    secret_file::write(&change.secret_files).map_err(|error| refused(&error))?;
    // With the files in their places it can be read as it will be.
    let written = program
        .load_value(&change.raw)
        .map_err(|error| unprocessable(&error))
        .and_then(|_| {
            let replaced = file::replace(program.file(), &change.old.text, &change.text);
            replaced.map_err(|problem| refused(&problem))
        });
    if written.is_err() {
        secret_file::remove(&change.secret_files);
    }
    written
}

/// Everything that can be refused without touching the file.
fn prepare(program: &Program, expected: &str, wanted: &Wanted) -> Result<Change, Refusal> {
    let old = Written::read(program).map_err(|error| {
        let message = format!("the pipeline file cannot be read now: {error}");
        refuse(StatusCode::CONFLICT, "unreadable_file", &message)
    })?;
    if old.etag() != expected {
        let message = "the file has changed meanwhile; read it again";
        return Err(refuse(StatusCode::PRECONDITION_FAILED, "changed", message));
    }
    let check = |raw: &Value| {
        program
            .load_value(raw)
            .map_err(|error| unprocessable(&error))
    };
    let mut secret_files = Vec::new();
    let (text, raw, pipeline) = match wanted {
        Wanted::Text(text) => {
            let (text, raw) = with_text(program, &old, text)?;
            let pipeline = check(&raw)?;
            (text, raw, pipeline)
        }
        Wanted::Sink(sink, options) => {
            let mut raw = with_sink(&old, sink, options)?;
            let mut problems = secrets::restore(&mut raw, &old.shown(), &old.raw, "");
            refuse_problems(&mut problems)?;
            // With the secrets themselves: their files are not there yet.
            let given = raw.clone();
            secret_files = take_secrets(program, &old, sink, &mut raw);
            refuse_new_secrets(program, &old, &raw)?;
            let pipeline = check(&given)?;
            (edited(program, &old, sink, &raw)?, raw, pipeline)
        }
    };
    let running = program.load_value(&old.raw).ok();
    let preview = running.map(|running: Pipeline| Preview::of(&running, &pipeline));
    Ok(Change {
        notes: pipeline.notices(),
        old,
        text,
        raw,
        secret_files,
        preview,
    })
}

/// The value tree of the file, with these options for a sink.
fn with_sink(old: &Written, sink: &str, options: &Value) -> Result<Value, Refusal> {
    let mut raw = old.raw.clone();
    match raw["sinks"].as_object_mut() {
        Some(sinks) if options.is_object() => {
            sinks.insert(sink.to_owned(), options.clone());
            Ok(raw)
        }
        _ => {
            let problem = Problem::new("options", "is not a table", "the options of the sink");
            Err(unprocessable(&ConfigError::Invalid(vec![problem])))
        }
    }
}

/// Puts new secrets of a sink into files of their own, where it has options for that.
fn take_secrets(program: &Program, old: &Written, sink: &str, raw: &mut Value) -> Vec<SecretFile> {
    let kind = raw["sinks"][sink]["type"].as_str().unwrap_or_default();
    let Ok(component) = program.registry().sink(kind) else {
        return Vec::new();
    };
    let schema = pipeline_host::config::schema::sink(component);
    let found = secrets::find(program.schema(), raw);
    secret_file::take(raw, &old.raw, sink, &schema, &found, program.file())
}

/// The text of the file, edited so that it is read as this tree.
fn edited(program: &Program, old: &Written, sink: &str, raw: &Value) -> Result<String, Refusal> {
    let text = match format(program.file()) {
        "yaml" => yaml::edit(&old.text, sink, &old.raw, raw),
        // To be copied by a person, who sees the new layout; it is not written.
        "json" => serde_json::to_string_pretty(raw)
            .ok()
            .map(|text| text + "\n"),
        _ => None,
    };
    text.filter(|text| program.try_parse(text).as_ref() == Some(raw))
        .ok_or_else(|| {
            let message = "the file cannot be edited faithfully; change it by hand: the new options are in `options`";
            let shown = secrets::masked(raw, &secrets::find(program.schema(), raw));
            let shown = object!({ sink: shown["sinks"][sink] });
            let body = object!({ "error": {
                "code": "cannot_edit", "message": message, "options": shown.to_string(),
            }});
            Refusal::new(StatusCode::CONFLICT, body)
        })
}

/// Refuses new secrets in the file: they belong into files of their own, or into the environment.
fn refuse_new_secrets(program: &Program, old: &Written, raw: &Value) -> Result<(), Refusal> {
    let found = secrets::find(program.schema(), raw).into_iter();
    let new = found.filter(|secret| secret_file::is_new(secret, raw, &old.raw));
    let problems = new.map(|secret| {
        let problem = "is a secret, which is not written into the pipeline file";
        let expected = "a variable of the environment, `${NAME}`, or the option that names a file";
        Problem::new(secret.path(), problem, expected)
    });
    refuse_problems(&mut problems.collect())
}

fn refuse_problems(problems: &mut Vec<Problem>) -> Result<(), Refusal> {
    if problems.is_empty() {
        return Ok(());
    }
    let problems = std::mem::take(problems);
    Err(unprocessable(&ConfigError::Invalid(problems)))
}

/// A text that a person has edited, with the hidden values of the old one put back.
fn with_text(program: &Program, old: &Written, text: &str) -> Result<(String, Value), Refusal> {
    let parse = |text: &str| program.try_parse(text);
    let shown = program.parse(text).map_err(|error| unprocessable(&error))?;
    let mut raw = shown.clone();
    let mut problems = secrets::restore(&mut raw, &old.shown(), &old.raw, "");
    refuse_problems(&mut problems)?;
    refuse_new_secrets(program, old, &raw)?;
    let restored = old
        .shown_text(program)
        .and_then(|shown_old| with_old_lines(text, &shown_old, &old.text, &raw, &parse))
        .or_else(|| by_trying(text, &shown, &raw, &parse));
    restored
        .filter(|text| parse(text).as_ref() == Some(&raw))
        .map(|text| (text, raw))
        .ok_or_else(|| {
            let message =
                "the hidden values cannot be put back into this text; change the file by hand";
            refuse(StatusCode::CONFLICT, "cannot_edit", message)
        })
}

/// The text with those lines of the old one that were shown with something hidden, each where it is alone in being shown so.
fn with_old_lines(
    text: &str,
    shown: &str,
    old: &str,
    wanted: &Value,
    parse: masked::Parse<'_>,
) -> Option<String> {
    let pairs: Vec<_> = shown.split('\n').zip(old.split('\n')).collect();
    if shown.split('\n').count() != old.split('\n').count() {
        return None;
    }
    let lines = text.split('\n').map(|line| {
        let mut of_line = pairs.iter().filter(|(shown, _)| *shown == line);
        match of_line.next() {
            Some((_, first)) if of_line.all(|(_, other)| other == first) => *first,
            _ => line,
        }
    });
    let restored = lines.collect::<Vec<_>>().join("\n");
    let tree = parse(&restored)?;
    if tree == *wanted {
        return Some(restored);
    }
    by_trying(&restored, &tree, wanted, parse)
}

/// The text with each placeholder replaced by the value that the wanted tree has there, as far as the tree follows.
fn by_trying(text: &str, tree: &Value, wanted: &Value, parse: masked::Parse<'_>) -> Option<String> {
    let (mut text, mut tree) = (text.to_owned(), tree.clone());
    let mut tries = 0;
    while let Some(place) = first_difference(&tree, wanted, &mut Vec::new()) {
        let value = at(wanted, &place)?;
        let literal = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let mut from = 0;
        loop {
            let start = from + text[from..].find(PLACEHOLDER)?;
            from = start + PLACEHOLDER.len();
            tries += 1;
            if tries > MAX_TRIES {
                return None;
            }
            let mut attempt = text.clone();
            attempt.replace_range(start..from, &literal);
            let Some(next) = parse(&attempt) else {
                continue;
            };
            let mut expected = tree.clone();
            *secrets::at_mut(&mut expected, &place)? = value.clone();
            if next == expected {
                (text, tree) = (attempt, next);
                break;
            }
        }
    }
    (tree == *wanted).then_some(text)
}

/// The first place at which two trees differ in a value that has no parts.
fn first_difference(one: &Value, other: &Value, place: &mut Vec<Step>) -> Option<Vec<Step>> {
    match (one, other) {
        _ if one == other => None,
        (Value::Object(old), Value::Object(_)) => old.iter().find_map(|(key, inner)| {
            place.push(Step::Key(key.clone()));
            let found = first_difference(inner, &other[key.as_str()], place);
            place.pop();
            found
        }),
        (Value::Array(old), Value::Array(_)) => {
            old.iter().enumerate().find_map(|(index, inner)| {
                place.push(Step::Index(index));
                let found = first_difference(inner, &other[index], place);
                place.pop();
                found
            })
        }
        _ => Some(place.clone()),
    }
}

/// `{text, diff, changes, reload}`, without secrets.
fn answer(program: &Program, change: &Change) -> Result<Value, Refusal> {
    let new = Written {
        secrets: secrets::find(program.schema(), &change.raw),
        text: change.text.clone(),
        raw: change.raw.clone(),
    };
    let (before, after) = (change.old.shown_text(program), new.shown_text(program));
    let (Some(before), Some(after)) = (before, after) else {
        // What cannot be shown cannot be agreed to.
        let message = "the secrets of the file cannot be hidden in its text; change it by hand";
        return Err(refuse(StatusCode::CONFLICT, "cannot_show", message));
    };
    let mut changes = Vec::new();
    difference::places(&change.old.raw, &change.raw, &mut Vec::new(), &mut changes);
    let preview = change.preview.as_ref();
    let steps = preview.map(|preview| {
        let changes = preview.changes.iter();
        changes.map(ToString::to_string).collect::<Vec<_>>()
    });
    Ok(object!({
        "text": after,
        "diff": difference::lines(&before, &after),
        "changes": changes.iter().map(|place| path(place)).collect::<Vec<_>>(),
        "notes": change.notes.iter().map(problem).collect::<Vec<_>>(),
        "reload": {
            "changed": steps.unwrap_or_default(),
            "needs_restart": preview.map(|preview| &preview.needs_restart),
        },
    }))
}

/// Refuses what could be shown and cannot be written, with the text to copy.
fn refuse_unwritable(
    program: &Program,
    change: &Change,
    read_only: bool,
    answer: &Value,
) -> Result<(), Refusal> {
    let refused = |code: &str, message: &str| {
        let mut error = answer.clone();
        error["code"] = code.into();
        error["message"] = message.into();
        Refusal::new(StatusCode::CONFLICT, object!({ "error": error }))
    };
    if let Some(reason) = config::not_writable(program.file(), read_only) {
        return Err(refused("not_writable", &reason));
    }
    let preview = change.preview.as_ref();
    let fixed = preview.map_or(&[][..], |preview| &preview.needs_restart);
    if !fixed.is_empty() {
        let fixed = fixed.join("`, `");
        let message = format!(
            "`{fixed}` cannot change while the pipeline runs; change the file by hand and restart"
        );
        return Err(refused("needs_restart", &message));
    }
    Ok(())
}

/// Changes what runs; puts the old file back where that fails.
async fn reload(shared: &Arc<Shared>, change: Change) -> Result<Vec<String>, Refusal> {
    let program = started(shared)?.program.clone();
    let refused = match program.reload().await {
        Ok(changed) => {
            tracing::info!("the pipeline file was changed through the api");
            return Ok(changed);
        }
        Err(refused) => refused,
    };
    // Without a permit: nothing may keep it from happening.
    let put_back = tokio::task::spawn_blocking(move || {
        let restored = file::restore(program.file(), &change.text, &change.old.text);
        if restored.is_ok() {
            secret_file::remove(&change.secret_files);
        }
        restored
    });
    let message = match put_back.await {
        Ok(Ok(())) => {
            format!("the old file was put back, because the new one cannot be used: {refused}")
        }
        Ok(Err(problem)) => format!(
            "the new file cannot be used: {refused}; and the old one could not be put back ({problem}); it is the one with the \
             ending `.bak`"
        ),
        Err(_) => format!(
            "the new file cannot be used: {refused}; and the old one could not be put back; it is the one with the ending `.bak`"
        ),
    };
    Err(refuse(StatusCode::CONFLICT, "reload_failed", &message))
}

#[cfg(test)]
mod tests;
