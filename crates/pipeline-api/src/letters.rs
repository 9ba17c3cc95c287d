//! Dead letters over HTTP: what there is, single letters, a replay beside the traffic of the pipeline, and a purge.
//!
//! ```text
//! GET    /api/v1/letters                   groups by reason and code, as `dead-letters list` has them
//! GET    /api/v1/letters/{sink}            single letters, the newest first: ?reason&before&limit
//! POST   /api/v1/letters/{sink}/replay     {reason?, ids?, limit?, dry_run?} → 202 {job}
//! GET    /api/v1/jobs/{job}                how far a replay has come
//! DELETE /api/v1/letters/{sink}            {reason, confirm: the sink's name} → {purged}
//! ```
//!
//! In: requests that the guard has let through, so what changes something has brought the token. Files are read and written on
//! threads that may block, a few requests at a time.
//!
//! Invariant: of an event only its name and its id are shown, where they cannot be personal, and never its payload; and one
//! replay of a sink runs at a time.

#![expect(
    clippy::result_large_err,
    reason = "the error is the answer to the request"
)]

mod request;
mod shown;

use crate::answer::refuse;
use crate::body::json;
use crate::shared::Shared;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pipeline_host::dead_letter::{DeadLetterError, Filter, LetterPlace, Summary};
use pipeline_host::replay::{ReplayError, Selection, SinkLetters, check_reasons};
use request::{Purge, Replay, on_thread};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// The most letters that a list has.
const MAX_LIMIT: usize = 500;
/// Letters of a list that does not say how many.
const USUAL_LIMIT: usize = 100;

/// What a client asks of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    reason: Option<String>,
    before: Option<String>,
    limit: Option<usize>,
}

/// The paths of this module.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/letters", get(groups))
        .route("/api/v1/letters/{sink}", get(list).delete(purge))
        .route("/api/v1/letters/{sink}/replay", post(replay))
        .route("/api/v1/jobs/{job}", get(job))
}

/// The letters of a running sink.
fn letters_of(shared: &Shared, sink: &str) -> Result<SinkLetters, Response> {
    let pipeline = shared.pipeline.get();
    let letters = pipeline.and_then(|pipeline| SinkLetters::of(&pipeline.telemetry, sink));
    letters.ok_or_else(|| {
        let message = "no sink of this name is running";
        refuse(StatusCode::NOT_FOUND, "unknown_sink", message)
    })
}

/// The answer where the disk refuses.
fn failed(error: &DeadLetterError) -> Response {
    if let DeadLetterError::Replaying { .. } = error {
        let status = StatusCode::CONFLICT;
        return refuse(status, "replay_running", &error.to_string());
    }
    tracing::error!("{error}");
    let message = "the dead letters cannot be read or changed; the log says why";
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "disk", message)
}

/// `{sinks: [{sink, letters, percent_full, bytes, max_bytes, groups, job, problem}]}`.
async fn groups(State(shared): State<Arc<Shared>>) -> Response {
    let status = shared.status().unwrap_or_default();
    let running = status.sinks.iter().filter(|sink| sink.buffer.is_some());
    let names: Vec<_> = running.map(|sink| sink.counts.name.clone()).collect();
    let mut sinks = Vec::new();
    for name in names {
        let Ok(letters) = letters_of(&shared, &name) else {
            continue;
        };
        let read = on_thread(&shared, move || {
            let letters = letters.dead_letters();
            let summary = Summary::of(letters.letters()?);
            Ok((summary, letters.percent_full()?, letters.max_bytes()))
        });
        match read.await {
            Ok(Ok((summary, percent, max_bytes))) => {
                let job = shared.letters.running(&name);
                sinks.push(shown::sink(&name, &summary, percent, max_bytes, job));
            }
            Ok(Err(error)) => return failed(&error),
            Err(refused) => return refused,
        }
    }
    Json(json!({ "sinks": sinks })).into_response()
}

/// `{letters: […], next}`.
async fn list(
    State(shared): State<Arc<Shared>>,
    Path(sink): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let bad = |message| refuse(StatusCode::BAD_REQUEST, "bad_request", message);
    let Ok(Query(asked)) = asked else {
        return bad("the query takes reason, before and limit");
    };
    let limit = asked.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return bad("`limit` must be 1 to 500");
    }
    let before: Option<LetterPlace> = match asked.before.map(|before| before.parse()).transpose() {
        Ok(before) => before,
        Err(_) => return bad("`before` must be what `next` of an earlier answer said"),
    };
    let letters = match letters_of(&shared, &sink) {
        Ok(letters) => letters,
        Err(refused) => return refused,
    };
    let filter = Filter {
        reasons: asked.reason.into_iter().collect(),
        ..Filter::default()
    };
    let read = on_thread(&shared, move || {
        let letters = letters.dead_letters();
        letters.newest_first(&filter, before, limit)
    });
    match read.await {
        Ok(Ok(page)) => {
            let letters = page.letters.iter();
            let letters: Vec<_> = letters.map(|(_, letter)| shown::letter(letter)).collect();
            let next = page.next.map(|next| next.to_string());
            Json(json!({ "letters": letters, "next": next, "truncated": next.is_some() }))
                .into_response()
        }
        Ok(Err(error)) => failed(&error),
        Err(refused) => refused,
    }
}

/// Sends letters again beside the traffic of the pipeline, or says what would be sent.
async fn replay(
    State(shared): State<Arc<Shared>>,
    Path(sink): Path<String>,
    request: Request,
) -> Response {
    let answer = async {
        let asked: Replay = json(request).await.map_err(IntoResponse::into_response)?;
        let letters = letters_of(&shared, &sink)?;
        start(&shared, &sink, letters, asked).await
    };
    answer.await.unwrap_or_else(|refused| refused)
}

async fn start(
    shared: &Arc<Shared>,
    sink: &str,
    letters: SinkLetters,
    asked: Replay,
) -> Result<Response, Response> {
    let is_dry_run = asked.dry_run;
    let selection = Selection {
        filter: Filter {
            reasons: asked.reason.into_iter().collect(),
            ids: asked.ids,
            ..Filter::default()
        },
        limit: asked.limit,
        remap: None,
    };
    // Held until it runs, so that two requests do not start two of them.
    let reserved = if is_dry_run {
        None
    } else {
        let reserved = shared.letters.reserve(sink).ok_or_else(|| {
            let message = "a replay of this sink is running; wait until it has ended";
            refuse(StatusCode::CONFLICT, "replay_running", message)
        })?;
        Some(reserved)
    };
    let (of, selected) = (letters.clone(), selection.clone());
    let survey = on_thread(shared, move || of.survey(&selected)).await?;
    let survey = survey.map_err(|error| failed(&error))?;
    check_reasons(&selection.filter.reasons, [&survey.summary]).map_err(|problem| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        refuse(status, "unknown_reason", &problem)
    })?;
    let Some(reserved) = reserved else {
        return Ok(Json(shown::survey(&survey)).into_response());
    };
    let total = survey.would_send + survey.left.unfit_total();
    let replaying = match letters.replay(selection, total).await {
        Ok(Some(replaying)) => replaying,
        Ok(None) => {
            let message = "no sink of this name is running";
            return Err(refuse(StatusCode::NOT_FOUND, "unknown_sink", message));
        }
        Err(ReplayError::DeadLetters(error)) => return Err(failed(&error)),
        Err(error) => {
            tracing::error!(sink, "a replay could not be started: {error}");
            let message = "the replay could not be started; the log says why";
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Err(refuse(status, "internal", message));
        }
    };
    tracing::info!(
        sink,
        letters = survey.would_send,
        "a replay of dead letters was started through the api"
    );
    let job = reserved.run(replaying);
    Ok((StatusCode::ACCEPTED, Json(json!({ "job": job }))).into_response())
}

async fn job(State(shared): State<Arc<Shared>>, Path(job): Path<String>) -> Response {
    let found = job.parse().ok().and_then(|id| shared.letters.find(id));
    found.map_or_else(
        || {
            let message = "there is no job of this number, or it was forgotten";
            refuse(StatusCode::NOT_FOUND, "unknown_job", message)
        },
        |job| Json(job).into_response(),
    )
}

/// Deletes the letters of a reason for good.
async fn purge(
    State(shared): State<Arc<Shared>>,
    Path(sink): Path<String>,
    request: Request,
) -> Response {
    let answer = async {
        let Purge { reason, confirm } = json(request).await.map_err(IntoResponse::into_response)?;
        let letters = letters_of(&shared, &sink)?;
        if confirm != sink {
            let message = "`confirm` must be the name of the sink";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(refuse(status, "not_confirmed", message));
        }
        let filter = Filter::of_reason(reason);
        let of = letters.clone();
        let purged = on_thread(&shared, move || of.dead_letters().purge(&filter)).await?;
        letters.look().await;
        let purged = purged.map_err(|error| failed(&error))?;
        tracing::info!(
            sink,
            letters = purged.deleted,
            "dead letters were deleted through the api"
        );
        Ok(Json(json!({
            "purged": purged.deleted,
            "kept": purged.kept,
            "left_to_replay": purged.left_to_replay,
        }))
        .into_response())
    };
    answer.await.unwrap_or_else(|refused| refused)
}
