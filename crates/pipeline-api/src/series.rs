//! What the sinks have done over the last hour, in steps of ten seconds, and over the last day, in minutes: `GET /api/v1/series`.
//!
//! In: the counters of the sinks, looked at every ten seconds and whenever somebody asks. Out: what was added in each step. The hour is
//! in memory; the day is in a small database beside the buffers, written once a minute, so that it outlives a restart.
//!
//! Invariant: the sum of all steps is what the counters say; a step in which nobody looked is unknown and not zero. Memory is bounded
//! by [`MAX_SINKS`] times [`MAX_STEPS`], and the database as its file says.

mod history;
mod minutes;

use crate::answer::{Refusal, bad_request};
use crate::shared::Shared;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
pub(crate) use history::{Counts, History};
use history::{STEP_MS, Steps};
pub(crate) use minutes::{MINUTE_MS, Minutes};
use pipeline_host::telemetry::Status;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Steps of the hour.
const MAX_STEPS: i64 = 360;
/// Minutes of the day.
const MAX_MINUTES: i64 = 1_440;
/// Sinks that are told apart; a reload can bring new names.
const MAX_SINKS: usize = 64;
/// Reasons of one step that are told apart; they come from closed sets, so only what was written by another version has more.
const MAX_REASONS: usize = 64;

/// The series of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Series {
    history: Mutex<History>,
    /// The day; `None` before the pipeline runs.
    minutes: Mutex<Option<Minutes>>,
}

impl Series {
    /// Keeps the day below this folder; in memory where that is `None`.
    pub(crate) fn open(&self, data_dir: Option<&Path>) {
        *self.minutes() = Some(Minutes::open(data_dir));
    }

    /// Looks at the counters.
    pub(crate) fn look(&self, now_ms: i64, status: &Status) {
        let mut totals: BTreeMap<String, Counts> = BTreeMap::new();
        for sink in &status.sinks {
            let counts = Counts::of(sink);
            match totals.get_mut(&sink.counts.name) {
                // A reload has removed one of this name and added another.
                Some(earlier) => earlier.add(&counts),
                None => {
                    totals.insert(sink.counts.name.clone(), counts);
                }
            }
        }
        self.history().look(now_ms, totals);
    }

    /// Writes the minutes that are over; at the end of the run also the one that is not. Blocks.
    pub(crate) fn write(&self, is_end: bool) {
        let mut minutes = self.minutes();
        let Some(minutes) = minutes.as_mut() else {
            return;
        };
        let due = self.history().take_due(is_end);
        if !due.is_empty() {
            minutes.write(&due);
        }
    }

    /// The steps of the last hour.
    fn hour(&self, sink: Option<&str>) -> Steps {
        self.history().hour(sink)
    }

    /// The minutes of the last day, and why they are not kept on disk where they are not. Blocks.
    fn day(&self, sink: Option<&str>) -> (Steps, Option<String>) {
        let mut minutes = self.minutes();
        let (mut steps, problem) = match minutes.as_mut() {
            Some(minutes) => (minutes.read(sink), minutes.problem()),
            None => (Steps::new(), None),
        };
        self.history().add_unwritten(sink, &mut steps);
        if let Some((newest, _)) = steps.last_key_value() {
            let oldest = newest.saturating_sub(MAX_MINUTES);
            steps = steps.split_off(&(oldest + 1));
        }
        (steps, problem)
    }

    /// No code panics while it holds a lock, so that a poisoned one still guards good figures.
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn minutes(&self) -> MutexGuard<'_, Option<Minutes>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the counters at the end of each step, and writes what is due, until it is aborted.
pub(crate) async fn keep(shared: Arc<Shared>) {
    loop {
        let into_step = shared.clock.now_ms().rem_euclid(STEP_MS);
        let left = u64::try_from(STEP_MS - into_step).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(left)).await;
        shared.look();
        write(&shared, false).await;
    }
}

/// Writes what is due on a thread that may block.
pub(crate) async fn write(shared: &Arc<Shared>, is_end: bool) {
    let shared = Arc::clone(shared);
    let written = tokio::task::spawn_blocking(move || shared.series.write(is_end));
    // It fails only if the process ends.
    let _ = written.await;
}

/// What a client asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    range: Option<String>,
    #[serde(default)]
    sink: Option<String>,
}

/// The paths of this file.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new().route("/api/v1/series", get(series))
}

async fn series(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(asked) = asked.map_err(|_| bad_request("the query takes range and sink"))?;
    let is_day = match asked.range.as_deref() {
        None | Some("1h") => false,
        Some("1d") => true,
        Some(_) => return Err(bad_request("`range` must be 1h or 1d")),
    };
    shared.check_sink(asked.sink.as_deref())?;
    shared.look();
    if !is_day {
        let steps = shared.series.hour(asked.sink.as_deref());
        return Ok(Json(told(&steps, STEP_MS, None)).into_response());
    }
    let read = tokio::task::spawn_blocking(move || shared.series.day(asked.sink.as_deref()));
    let (steps, problem) = read.await.map_err(|_| {
        let message = "the pipeline is ending";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "ending", message)
    })?;
    Ok(Json(told(&steps, MINUTE_MS, problem.as_deref())).into_response())
}

/// `{step_secs, times, delivered, filtered: {reason: […]}, rejected: {reason: […]}, retried, p50_ms, p99_ms}`: times in seconds since
/// the Unix epoch; `null` where it is not known. `problem` says why the day is not kept on disk.
fn told(steps: &Steps, step_ms: i64, problem: Option<&str>) -> Value {
    let range = steps.first_key_value().zip(steps.last_key_value());
    let range = range.map_or(0..0, |((first, _), (last, _))| *first..last + 1);
    let each: Vec<Option<&Counts>> = range.clone().map(|step| steps.get(&step)).collect();
    let of = |figure: &dyn Fn(&Counts) -> Value| -> Vec<Value> {
        let figures = each.iter().map(|step| step.map_or(Value::Null, figure));
        figures.collect()
    };
    let by_reason = |reasons: fn(&Counts) -> &history::Reasons| {
        let all = each.iter().flatten().flat_map(|it| reasons(it).keys());
        let all: BTreeSet<&str> = all.map(AsRef::as_ref).collect();
        let rows = all.into_iter().map(|reason| {
            let of_reason = of(&|it| json!(reasons(it).get(reason).copied().unwrap_or(0)));
            (reason.to_owned(), Value::Array(of_reason))
        });
        Value::Object(rows.collect::<Map<_, _>>())
    };
    let times: Vec<i64> = range.map(|step| step * (step_ms / 1_000)).collect();
    let mut told = json!({
        "step_secs": step_ms / 1_000,
        "times": times,
        "delivered": of(&|it| json!(it.delivered)),
        "filtered": by_reason(|it| &it.filtered),
        "rejected": by_reason(|it| &it.rejected),
        "retried": of(&|it| json!(it.retried)),
        "p50_ms": of(&|it| json!(it.percentile_ms(50))),
        "p99_ms": of(&|it| json!(it.percentile_ms(99))),
    });
    if let Some(problem) = problem {
        told["problem"] = json!(problem);
    }
    told
}

#[cfg(test)]
mod tests;
