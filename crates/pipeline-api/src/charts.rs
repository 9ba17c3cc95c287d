//! What the sinks have done over time, as figures for a chart: `GET /api/v1/series`; and the task that keeps them.

use crate::answer::{Refusal, bad_request};
use crate::series::{Counts, MINUTE_MS, Reasons, STEP_MS, Steps};
use crate::shared::Shared;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

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
    let by_reason = |reasons: fn(&Counts) -> &Reasons| {
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
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looked_at_is_unknown_and_percentiles_are_bounds() {
        let mut counts = Counts {
            delivered: 3,
            ..Counts::default()
        };
        counts.filtered.insert("consent".into(), 2);
        (counts.durations.buckets[0], counts.durations.buckets[2]) = (98, 1);
        counts.durations.longer = 1;
        let steps = Steps::from([(10, counts), (12, Counts::default())]);
        assert_eq!(
            told(&steps, STEP_MS, None),
            json!({
                "step_secs": 10, "times": [100, 110, 120],
                "delivered": [3, null, 0], "retried": [0, null, 0],
                "filtered": {"consent": [2, null, 0]}, "rejected": {},
                "p50_ms": [1.0, null, null], "p99_ms": [2.0, null, null],
            })
        );
        let empty = told(&Steps::new(), MINUTE_MS, Some("why"));
        assert_eq!(
            (&empty["times"], &empty["problem"]),
            (&json!([]), &json!("why"))
        );
    }
}
