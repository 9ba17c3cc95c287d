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
mod yaml;

use super::body::{json, on_thread, problem, started, unprocessable};
use super::config::{Written, etag, format};
use super::secrets::{self, PLACEHOLDER, Step, at, path};
use super::{config, masked};
use crate::answer::{refuse, refuse_with};
use crate::shared::Shared;
use axum::Json;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use pipeline_cli::Program;
use pipeline_core::options::Problem;
use pipeline_host::Pipeline;
use pipeline_host::config::ConfigError;
use pipeline_host::topology::Preview;
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

/// A text, or the options of one sink.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    sink: Option<String>,
    #[serde(default)]
    options: Option<Value>,
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
    preview: Option<Preview>,
}

/// `{text, diff, changes, reload, etag, written}`.
pub(crate) async fn put(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Value>, Response> {
    let draft: Draft = json(request).await?;
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
    // One change at a time: the next one sees the file of the last.
    let _turn = shared.writing.lock().await;
    let read_only = shared.read_only;
    let prepared = on_thread(&shared, move |program| {
        let change = prepare(program, &expected, &wanted)?;
        let mut answer = answer(program, &change)?;
        if !is_dry {
            refuse_unwritable(program, &change, read_only, &answer)?;
            file::replace(program.file(), &change.old.text, &change.text).map_err(|problem| {
                let status = StatusCode::CONFLICT;
                refuse(
                    status,
                    "not_written",
                    &format!("nothing was changed: {problem}"),
                )
            })?;
        }
        answer["written"] = (!is_dry).into();
        answer["etag"] = etag(if is_dry {
            &change.old.text
        } else {
            &change.text
        })
        .into();
        Ok((change, answer))
    });
    let (change, mut answer) = prepared.await??;
    if !is_dry {
        let changed = reload(&shared, change).await?;
        answer["reload"] = object!({ "changed": changed, "needs_restart": [] });
    }
    Ok(Json(answer))
}

/// Everything that can be refused without touching the file.
fn prepare(program: &Program, expected: &str, wanted: &Wanted) -> Result<Change, Response> {
    let old = Written::read(program).map_err(|error| {
        let message = format!("the pipeline file cannot be read now: {error}");
        refuse(StatusCode::CONFLICT, "unreadable_file", &message)
    })?;
    if old.etag() != expected {
        let message = "the file has changed meanwhile; read it again";
        return Err(refuse(StatusCode::PRECONDITION_FAILED, "changed", message));
    }
    let (text, raw) = match wanted {
        Wanted::Text(text) => with_text(program, &old, text)?,
        Wanted::Sink(sink, options) => with_options(program, &old, sink, options)?,
    };
    let pipeline = program
        .load_value(&raw)
        .map_err(|error| unprocessable(&error))?;
    let running = program.load_value(&old.raw).ok();
    let preview = running.map(|running: Pipeline| Preview::of(&running, &pipeline));
    Ok(Change {
        old,
        text,
        raw,
        preview,
    })
}

/// The text, with these options for a sink.
fn with_options(
    program: &Program,
    old: &Written,
    sink: &str,
    options: &Value,
) -> Result<(String, Value), Response> {
    let mut raw = old.raw.clone();
    let Some(sinks) = raw["sinks"].as_object_mut().filter(|_| options.is_object()) else {
        let problem = Problem::new("options", "is not a table", "the options of the sink");
        return Err(unprocessable(&ConfigError::Invalid(vec![problem])));
    };
    sinks.insert(sink.to_owned(), options.clone());
    put_back(program, old, &mut raw)?;
    let text = match format(program.file()) {
        "yaml" => yaml::edit(&old.text, sink, &old.raw, &raw),
        // To be copied by a person, who sees the new layout; it is not written.
        "json" => serde_json::to_string_pretty(&raw)
            .ok()
            .map(|text| text + "\n"),
        _ => None,
    };
    let parse = |text: &str| program.parse(text).ok();
    text.filter(|text| parse(text).as_ref() == Some(&raw))
        .map(|text| (text, raw))
        .ok_or_else(|| {
            let message = "the file cannot be edited faithfully; change it by hand: the new options are in `options`";
            let shown = Value::Object([(sink.to_owned(), options.clone())].into_iter().collect());
            let body = object!({ "error": {
                "code": "cannot_edit", "message": message, "options": shown.to_string(),
            }});
            let response = (StatusCode::CONFLICT, Json(body));
            axum::response::IntoResponse::into_response(response)
        })
}

/// Puts hidden values back, and refuses new ones: a secret belongs into a file of its own, or into the environment.
fn put_back(program: &Program, old: &Written, raw: &mut Value) -> Result<(), Response> {
    let mut problems = secrets::restore(raw, &old.shown(), &old.raw, "");
    for secret in secrets::find(&program.schema(), raw) {
        let is_kept = at(raw, &secret.place) == at(&old.raw, &secret.place);
        if secret.is_known && secret.variable.is_none() && !is_kept {
            let problem = "is a secret, which is not written into the pipeline file";
            let expected =
                "a variable of the environment, `${NAME}`, or the option that names a file";
            problems.push(Problem::new(secret.path(), problem, expected));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    problems.dedup_by(|a, b| a.path == b.path);
    Err(unprocessable(&ConfigError::Invalid(problems)))
}

/// A text that a person has edited, with the hidden values of the old one put back.
fn with_text(program: &Program, old: &Written, text: &str) -> Result<(String, Value), Response> {
    let parse = |text: &str| program.parse(text).ok();
    let shown = program.parse(text).map_err(|error| unprocessable(&error))?;
    let mut raw = shown.clone();
    put_back(program, old, &mut raw)?;
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
fn answer(program: &Program, change: &Change) -> Result<Value, Response> {
    let new = Written {
        secrets: secrets::find(&program.schema(), &change.raw),
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
    let changed = preview.map(|preview| {
        let changes = preview.changes.iter();
        changes.map(ToString::to_string).collect::<Vec<_>>()
    });
    let notes = program.load_value(&change.raw).map(|it| it.notices());
    Ok(object!({
        "text": after,
        "diff": difference::lines(&before, &after),
        "changes": changes.iter().map(|place| path(place)).collect::<Vec<_>>(),
        "notes": notes.unwrap_or_default().iter().map(problem).collect::<Vec<_>>(),
        "reload": {
            "changed": changed.unwrap_or_default(),
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
) -> Result<(), Response> {
    let refused = |code: &str, message: &str| {
        let mut error = answer.clone();
        error["code"] = code.into();
        error["message"] = message.into();
        let body = Json(object!({ "error": error }));
        axum::response::IntoResponse::into_response((StatusCode::CONFLICT, body))
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
async fn reload(shared: &Arc<Shared>, change: Change) -> Result<Vec<String>, Response> {
    let program = started(shared)?.program.clone();
    let refused = match program.reload().await {
        Ok(changed) => {
            tracing::info!("the pipeline file was changed through the api");
            return Ok(changed);
        }
        Err(refused) => refused,
    };
    let put_back = on_thread(shared, move |program| {
        file::restore(program.file(), &change.text, &change.old.text)
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
    Err(refuse_with(
        StatusCode::CONFLICT,
        "reload_failed",
        &message,
        Vec::new(),
    ))
}

#[cfg(test)]
mod tests;
