//! `POST /api/v1/sinks/{sink}/check` and `…/test-event`: the destination is asked, on the way that events take.
//!
//! Invariant: one test event a second at most, mapped and checked for consent like any other, and never without a code that tells
//! the destination that it is a test.

use super::body::{Refusal, on_thread, permit, refuse, started, unprocessable};
use super::config::Written;
use super::trial::event_text;
use crate::body::json;
use crate::feed::Tested;
use crate::shared::Shared;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use pipeline_core::{
    Encoded, Event, Exchange, HealthcheckError, Origin, Outcome, Reason, Record, Sink, SinkContext,
};
use pipeline_host::config::{ConfigError, SinkPlan, schema};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json as object};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The option that marks the events of a sink as tests; a sink without it has no test events.
const TEST_OPTION: &str = "test_event_code";
/// Where test events come from, before their number.
const TEST_SOURCE: &str = "test event";
/// How long a destination may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// The time between two test events.
const TEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    event: Box<RawValue>,
    test_event_code: String,
}

/// Asks the destination of a sink whether a delivery could succeed now.
pub(crate) async fn check(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let sink = started(&shared)?.telemetry.sink(&name);
    let sink = sink.ok_or_else(unknown_sink)?;
    let _permit = permit(&shared)?;
    let answer = match timeout(ANSWER_LIMIT, sink.healthcheck()).await {
        Ok(Ok(())) => object!({ "healthy": true, "state": "ok" }),
        Ok(Err(HealthcheckError::Blocked(reason))) => unhealthy("blocked", &reason),
        Ok(Err(HealthcheckError::Unavailable(reason))) => unhealthy("unavailable", &reason),
        Ok(Err(_)) => object!({ "healthy": false, "state": "unavailable" }),
        Err(_) => object!({
            "healthy": false, "state": "unavailable", "reason": "no_answer",
            "detail": "the destination did not answer in time",
        }),
    };
    Ok(Json(answer))
}

fn unhealthy(state: &str, reason: &Reason) -> Value {
    let mut answer = told("", reason);
    answer["healthy"] = false.into();
    answer["state"] = state.into();
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("outcome");
    }
    answer
}

fn unknown_sink() -> Refusal {
    let message = "no sink of this name is running";
    refuse(StatusCode::NOT_FOUND, "unknown_sink", message)
}

/// Sends one event with a test event code: `{outcome, reason, detail, destination, event_id, event, seq}`; `seq` is the number of
/// its row among the live events.
pub(crate) async fn test_event(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let test: Test = json(request).await.map_err(Refusal::of)?;
    let running = started(&shared)?.telemetry.sink(&name);
    running.ok_or_else(unknown_sink)?;
    if test.test_event_code.trim().is_empty() {
        let message = "a test event needs `test_event_code`: without one it would count as real";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(refuse(status, "no_test_event_code", message));
    }
    let event = event_text(&test.event)?;
    take_turn(&shared)?;
    let code = test.test_event_code;
    let plan = on_thread(&shared, move |program| {
        let written = Written::read(program)?;
        let mut raw = written.raw;
        let kind = raw["sinks"][&name]["type"].as_str().unwrap_or_default();
        let sink = program.registry().sink(kind).ok();
        if sink.is_none_or(|sink| schema::sink(sink)["properties"].get(TEST_OPTION).is_none()) {
            return Ok(None);
        }
        if let Some(options) = raw["sinks"][&name].as_object_mut() {
            options.insert(TEST_OPTION.to_owned(), code.into());
        }
        let pipeline = program.load_value(&raw)?;
        let mut sinks = pipeline.sinks.into_iter();
        Ok(sinks.find(|sink| sink.name == name))
    });
    let plan = plan
        .await?
        .map_err(|error: ConfigError| unprocessable(&error))?;
    let plan = plan.ok_or_else(|| {
        let message = "this type of sink has no test events";
        refuse(StatusCode::CONFLICT, "no_test_events", message)
    })?;
    send(&shared, &plan, event).await.map(Json)
}

/// Lets one test event a second through.
fn take_turn(shared: &Shared) -> Result<(), Refusal> {
    let now = Instant::now();
    let mut last = shared
        .last_test
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if last.is_some_and(|last| now < last + TEST_PAUSE) {
        let message = "one test event a second; try again in a moment";
        return Err(refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_tests",
            message,
        ));
    }
    *last = Some(now);
    Ok(())
}

async fn send(shared: &Arc<Shared>, plan: &SinkPlan, event: String) -> Result<Value, Refusal> {
    let made = plan.make(SinkContext::new(plan.name.clone())).await;
    let sink = made.map_err(|error| {
        let message = error.to_string();
        refuse(StatusCode::UNPROCESSABLE_ENTITY, "cannot_be_made", &message)
    })?;
    let number = shared.tests.fetch_add(1, Ordering::Relaxed) + 1;
    let origin = Origin::whole(format!("{TEST_SOURCE} {number}").into());
    let event = Event::new(event, shared.clock.now_ms()).with_origin(origin);
    let encoding = Arc::clone(&sink);
    let explain = move |_: &_| (encoding.explain(&event), event);
    let (explained, event) = on_thread(shared, explain).await?;
    let (mut answer, settled) = match &explained.encoded {
        Encoded::Record(record) => deliver(&*sink, record).await,
        Encoded::Filtered(filtered) => (told("filtered", &filtered.reason), None),
        Encoded::Rejected(rejection) => (told("rejected", &rejection.reason), None),
        _ => return Ok(object!({ "outcome": "unknown" })),
    };
    let tested = Tested {
        explained: &explained,
        outcome: settled.as_ref().map(|(outcome, _)| outcome),
        exchange: settled.as_ref().and_then(|(_, exchange)| exchange.as_ref()),
    };
    answer["seq"] = shared.feed.tested(&plan.name, &event, &tested).into();
    Ok(answer)
}

/// What a delivery came to, and the exchange that carried it.
type Settled = Option<(Outcome, Option<Arc<Exchange>>)>;

async fn deliver(sink: &dyn Sink, record: &Record) -> (Value, Settled) {
    let payload = serde_json::from_slice(&record.payload).unwrap_or(Value::Null);
    let batch = std::slice::from_ref(record);
    let report = timeout(ANSWER_LIMIT, sink.deliver_observed(batch)).await;
    let settled = report.ok().and_then(|report| {
        let exchange = report.exchanges.into_iter().next().flatten();
        Some((report.outcomes.into_iter().next()?, exchange))
    });
    let mut answer = match settled.as_ref().map(|(outcome, _)| outcome) {
        Some(Outcome::Delivered) => object!({ "outcome": "delivered" }),
        Some(Outcome::Rejected { reason }) => told("rejected", reason),
        Some(Outcome::Blocked { reason }) => told("blocked", reason),
        Some(Outcome::Retry { reason, .. } | Outcome::Failed { reason, .. }) => {
            told("retry", reason)
        }
        Some(_) => object!({ "outcome": "unknown" }),
        None => object!({
            "outcome": "retry", "reason": "no_answer",
            "detail": "the destination did not answer in time",
        }),
    };
    answer["event_id"] = (*record.event_id).into();
    answer["event"] = payload;
    (answer, settled)
}

fn told(outcome: &str, reason: &Reason) -> Value {
    object!({
        "outcome": outcome,
        "reason": reason.code,
        "detail": reason.detail,
        "destination": reason.destination,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_test_event_a_second_is_sent() {
        let shared = Shared::default();
        let mut statuses = Vec::new();
        for pause_ms in [0, 0, 999, 1, 1_000] {
            tokio::time::advance(Duration::from_millis(pause_ms)).await;
            let refused = take_turn(&shared).err();
            statuses.push(refused.map_or(200, |it| it.0.status().as_u16()));
        }
        assert_eq!(statuses, [200, 429, 429, 200, 200]);
    }

    #[tokio::test]
    async fn two_texts_are_looked_at_at_the_same_time() {
        let shared = Shared::default();
        let permits = [permit(&shared).ok(), permit(&shared).ok()];
        assert!(permits.iter().all(Option::is_some));
        assert_eq!(
            permit(&shared).err().map(|it| it.0.status().as_u16()),
            Some(429)
        );
        drop(permits);
        assert!(permit(&shared).is_ok());
    }
}
