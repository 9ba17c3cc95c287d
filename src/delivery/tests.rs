//! Splitting a batch, against a real local HTTP server that refuses requests with events marked bad.

use super::*;
use crate::token::Kept;
use axum::response::{Html, IntoResponse as _, Response};
use axum::{Json, Router, extract::State, http::StatusCode, routing::any};
use pipeline_core::{ManualClock, SensitiveString};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;

mod on_the_way;
mod unclear;

#[derive(Default)]
struct Seen {
    requests: usize,
    accepted: Vec<u64>,
    /// Graph's error for every request, if set.
    refuse_all: Option<Value>,
    /// Graph's error for every health check, if set.
    refuse_probe: Option<Value>,
    way: OnTheWay,
}

/// What is on the way to the server.
#[derive(Default)]
struct OnTheWay {
    /// The status of the page that every request gets, if set.
    closed: Option<u16>,
    /// After how many more requests that get through it closes.
    closes_after: Option<usize>,
    /// Of so many requests, the last passes, and pages of status 403 are the answers to the others.
    every: Option<usize>,
    requests: usize,
    /// The largest body that passes.
    most_bytes: Option<usize>,
    /// How the server says that a body is too large: with a page of status 413, or with Graph's own words.
    asks_for_less: bool,
    /// Whether the first event is named, whichever is bad.
    names_the_first: bool,
}

type Ledger = Arc<Mutex<Seen>>;

const PAGE: &str = "<!DOCTYPE html><html><body>Request blocked</body></html>";

/// What something on the way answers in place of the server, if it does.
fn on_the_way(seen: &mut Seen, data: &[Value], bytes: usize) -> Option<Response> {
    let page = |status| (StatusCode::from_u16(status).unwrap(), Html(PAGE)).into_response();
    if let Some(status) = seen.way.closed {
        return Some(page(status));
    }
    if seen
        .way
        .every
        .is_some_and(|every| !seen.way.requests.is_multiple_of(every))
    {
        return Some(page(403));
    }
    if seen.way.most_bytes.is_some_and(|most| bytes > most) {
        let error = json!({"error": {"code": 1, "message": "Please reduce the amount of data you're asking for"}});
        let less = (StatusCode::INTERNAL_SERVER_ERROR, Json(error));
        return Some(if seen.way.asks_for_less {
            less.into_response()
        } else {
            page(413)
        });
    }
    let mut pages = data.iter().filter_map(|event| event["page"].as_u64());
    if let Some(status) = pages.next() {
        return Some(page(u16::try_from(status).unwrap()));
    }
    if let Some(left) = &mut seen.way.closes_after {
        *left -= 1;
        if *left == 0 {
            seen.way.closed = Some(403);
        }
    }
    None
}

async fn answer(State(ledger): State<Ledger>, body: Bytes) -> Response {
    let mut seen = ledger.lock().unwrap();
    seen.requests += 1;
    seen.way.requests += 1;
    let bytes = body.len();
    let body: Value = serde_json::from_slice(&body).unwrap();
    if let Some(page) = on_the_way(&mut seen, body["data"].as_array().unwrap(), bytes) {
        return page;
    }
    graph(&mut seen, &body).into_response()
}

fn graph(seen: &mut Seen, body: &Value) -> (StatusCode, Json<Value>) {
    if let Some(error) = &seen.refuse_all {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": error })));
    }
    let data = body["data"].as_array().unwrap();
    if let Some(index) = data.iter().position(|event| event["error"].is_object()) {
        let mut error = data[index]["error"].clone();
        if data[index]["named"] == true {
            error["message"] = format!("at $['data'][{index}]['x']").into();
        }
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": error })));
    }
    if let Some(index) = data.iter().position(|event| event["bad"] == true) {
        let index = if seen.way.names_the_first { 0 } else { index };
        let text = if seen.way.names_the_first || data[index]["named"] == true {
            format!("at $['data'][{index}]['x']")
        } else {
            String::new()
        };
        let error =
            json!({"error": {"code": 100, "error_subcode": 2_804_019, "error_user_msg": text}});
        return (StatusCode::BAD_REQUEST, Json(error));
    }
    if data.iter().any(|event| event["slow"] == true) {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": {"code": 4}})));
    }
    seen.accepted
        .extend(data.iter().map(|event| event["id"].as_u64().unwrap()));
    (StatusCode::OK, Json(json!({"events_received": data.len()})))
}

async fn probe(State(ledger): State<Ledger>) -> (StatusCode, Json<Value>) {
    let seen = ledger.lock().unwrap();
    if let Some(status) = seen.way.closed {
        return (StatusCode::from_u16(status).unwrap(), Json(json!("closed")));
    }
    match seen.refuse_probe.as_ref().or(seen.refuse_all.as_ref()) {
        Some(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))),
        None => (StatusCode::OK, Json(json!({ "id": "1" }))),
    }
}

fn record(id: usize, bad: bool, named: bool) -> Record {
    let payload = json!({"id": id, "bad": bad, "named": named}).to_string();
    Record::new(payload, id.to_string())
        .in_partition("1")
        .expiring_at(100)
        .labeled("a → b")
}

/// The server and a client of it, alive for many batches.
struct Bench {
    runtime: tokio::runtime::Runtime,
    ledger: Ledger,
    delivery: Delivery,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ledger = Ledger::default();
        let clock = Arc::new(ManualClock::at(50_000));
        let delivery = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let app = Router::new()
                .route("/v25.0/1/events", any(answer))
                .route("/v25.0/1", any(probe))
                .with_state(ledger.clone());
            tokio::spawn(async { axum::serve(listener, app).await });
            Delivery::new(
                target(endpoint),
                token(),
                &Way::default(),
                Arc::<ManualClock>::clone(&clock),
            )
            .unwrap()
        });
        Self {
            runtime,
            ledger,
            delivery,
            clock,
        }
    }

    fn run(&self, batch: &[Record]) -> (Vec<Outcome>, usize, Vec<u64>) {
        let outcomes = self.runtime.block_on(self.delivery.deliver(batch));
        let mut seen = self.ledger.lock().unwrap();
        let requests = std::mem::take(&mut seen.requests);
        (outcomes, requests, std::mem::take(&mut seen.accepted))
    }

    fn refuse_all(&self, error: Option<Value>) {
        self.ledger.lock().unwrap().refuse_all = error;
    }

    /// Delivers `events` events with one bad one; returns the number of requests.
    fn requests_for(&self, events: usize, bad: usize) -> usize {
        let batch: Vec<_> = (0..events).map(|id| record(id, id == bad, false)).collect();
        let (outcomes, requests, accepted) = self.run(&batch);
        assert_eq!(accepted.len(), events - 1);
        assert!(matches!(outcomes[bad], Outcome::Rejected { .. }));
        requests
    }
}

fn run(batch: &[Record]) -> (Vec<Outcome>, usize, Vec<u64>) {
    Bench::start().run(batch)
}

fn target(endpoint: String) -> Target {
    Target {
        endpoint,
        api_version: "v25.0".into(),
        pixel_id: "1".into(),
        test_event_code: None,
        partner_agent: None,
        timeout: Duration::from_secs(10),
    }
}

fn token() -> AccessToken {
    let token = SensitiveString::from("t".to_owned());
    AccessToken::new(Kept::new(token, None), None).unwrap()
}

/// The most requests for splitting `events` events, per bad event: 2·log₂(n) + 1.
fn most_extra(events: usize) -> f64 {
    2.0 * f64::from(u32::try_from(events).unwrap()).log2() + 1.0
}

fn is_within(requests: usize, events: usize, bad: usize) -> bool {
    let [extra, bad] = [requests - 1, bad].map(|count| f64::from(u32::try_from(count).unwrap()));
    extra <= bad * most_extra(events)
}

#[test]
fn one_bad_event_among_a_thousand_costs_twenty_requests_more() {
    let bench = Bench::start();
    for bad in [0, 1, 499, 500, 998, 999] {
        let requests = bench.requests_for(1000, bad);
        assert!(requests <= 1 + 20, "{requests}");
    }
}

#[test]
fn the_memory_of_a_body_serves_the_next_one_and_nothing_of_it_is_left() {
    let bench = Bench::start();
    let spare = || -> Vec<usize> {
        let bodies = bench.delivery.spare.bodies();
        bodies.iter().map(Vec::capacity).collect()
    };
    let mut before = None;
    for events in [1000, 10, 300] {
        let batch: Vec<_> = (0..events).map(|id| record(id, false, false)).collect();
        let (_, _, accepted) = bench.run(&batch);
        assert!(accepted.iter().copied().eq(0..events as u64));
        let kept = spare();
        assert_eq!(kept.len(), 1);
        assert_eq!(*before.get_or_insert_with(|| kept.clone()), kept);
    }
}

#[test]
fn a_half_that_must_be_bad_is_not_sent_whole() {
    // 8 events, then 4 good, 2 good, 1 good, and the bad one alone.
    assert_eq!(Bench::start().requests_for(8, 7), 5);
}

#[test]
fn more_bad_events_than_one_attempt_takes_apart_are_left_to_the_next() {
    let batch: Vec<_> = (0..1000).map(|id| record(id, true, false)).collect();
    let (outcomes, requests, _) = run(&batch);
    assert_eq!(requests, MAX_REQUESTS);
    let left = |outcome: &Outcome| matches!(outcome, Outcome::Retry { reason, .. } if reason.code == "many_refused");
    let decided = outcomes.iter().position(left).unwrap();
    assert!(decided >= 12, "{decided}");
    assert!(outcomes[decided..].iter().all(left));
}

#[test]
fn an_event_that_meta_names_is_sent_alone_before_it_is_rejected_and_costs_two_requests_more() {
    let batch: Vec<_> = (0..1000).map(|id| record(id, id == 7, true)).collect();
    let (_, requests, accepted) = run(&batch);
    assert_eq!((requests, accepted.len()), (3, 999));
}

#[test]
fn an_expired_event_is_not_sent() {
    let mut batch = [record(0, false, false), record(1, false, false)];
    batch[0].expires_at = 50;
    let (outcomes, _, accepted) = run(&batch);
    assert!(matches!(&outcomes[0], Outcome::Rejected { reason } if reason.code == "expired"));
    assert_eq!((&outcomes[1], accepted), (&Outcome::Delivered, vec![1]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn good_events_arrive_once_in_order_and_bad_ones_are_rejected(bad in proptest::collection::vec(proptest::bool::weighted(0.1), 1..100)) {
        let batch: Vec<_> = bad.iter().enumerate().map(|(id, bad)| record(id, *bad, false)).collect();
        let (outcomes, requests, accepted) = run(&batch);
        let good: Vec<u64> = (0..).zip(&bad).filter(|(_, bad)| !**bad).map(|(id, _)| id).collect();
        prop_assert_eq!(accepted, good);
        for (outcome, bad) in outcomes.iter().zip(&bad) {
            prop_assert_eq!(matches!(outcome, Outcome::Rejected { .. }), *bad);
            prop_assert_eq!(*outcome == Outcome::Delivered, !*bad);
        }
        let bad = bad.iter().filter(|bad| **bad).count();
        prop_assert!(is_within(requests, batch.len(), bad), "{} for {} of {}", requests, bad, batch.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]
    #[test]
    fn one_bad_event_keeps_to_the_bound_in_a_batch_of_any_size(position in proptest::collection::vec(proptest::sample::Index::arbitrary(), 130)) {
        let bench = Bench::start();
        for (events, position) in (1..).zip(position) {
            for bad in [0, position.index(events), events - 1] {
                let requests = bench.requests_for(events, bad);
                prop_assert!(is_within(requests, events, 1), "{} for {} of {}", requests, bad, events);
            }
        }
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_unavailable_and_its_url_is_not_shown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let delivery = Delivery::new(
        target(endpoint),
        token(),
        &Way::default(),
        Arc::new(ManualClock::at(0)),
    )
    .unwrap();
    let error = delivery.healthcheck().await.unwrap_err();
    assert!(matches!(error, HealthcheckError::Unavailable(_)));
    assert_eq!(
        error.to_string(),
        "the connection to Meta failed: refused; nothing listens there, or a firewall rejects it"
    );
}

#[test]
fn a_throttle_stops_the_taking_apart_and_keeps_what_was_decided() {
    let mut batch: Vec<_> = (0..8).map(|id| record(id, id == 0, false)).collect();
    batch[2].payload = json!({"id": 2, "slow": true}).to_string().into();
    let (outcomes, requests, accepted) = run(&batch);
    assert!(matches!(outcomes[0], Outcome::Rejected { .. }));
    assert_eq!(
        (&outcomes[1], accepted, requests),
        (&Outcome::Delivered, vec![1], 6)
    );
    let held = |outcome: &Outcome| matches!(outcome, Outcome::Retry { reason, .. } if reason.code == "throttled");
    assert!(outcomes[2..].iter().all(held));
}

#[test]
fn a_token_that_may_not_read_the_pixel_is_tried_with_one_event_now_and_then() {
    for forbidden in [
        json!({"code": 100, "error_subcode": 33}),
        json!({"code": 10}),
        json!({"code": 200}),
        json!({"code": 803}),
    ] {
        let bench = Bench::start();
        let probe = || bench.runtime.block_on(bench.delivery.healthcheck()).is_ok();
        let batch: Vec<_> = (0..10).map(|id| record(id, false, false)).collect();
        bench.ledger.lock().unwrap().refuse_probe = Some(forbidden.clone());
        bench.refuse_all(Some(json!({"code": 190})));
        assert_eq!(
            [probe(), probe(), probe()],
            [false, false, true],
            "{forbidden}"
        );
        let (outcomes, requests, _) = bench.run(&batch);
        assert!(
            outcomes
                .iter()
                .all(|it| matches!(it, Outcome::Blocked { .. }))
        );
        assert_eq!(requests, 1);
        assert_eq!(
            [probe(), probe(), probe()],
            [false, false, true],
            "{forbidden}"
        );
        bench.refuse_all(None);
        // The trial, and the rest; then batches are whole again.
        let (_, requests, accepted) = bench.run(&batch);
        assert_eq!((requests, accepted), (2, (0..10).collect()));
        assert_eq!(bench.run(&batch).1, 1);
    }
}

#[test]
fn what_a_trial_would_not_change_is_not_tried() {
    let bench = Bench::start();
    let probe = || bench.runtime.block_on(bench.delivery.healthcheck()).is_ok();
    let forbidden = json!({"code": 10});
    for error in [
        json!({"code": 190}),
        json!({"code": 101}),
        json!({"code": 2}),
    ] {
        bench.refuse_all(Some(error));
        assert!((0..10).all(|_| !probe()));
    }
    // Only checks in a row count.
    for error in [
        &forbidden,
        &forbidden,
        &json!({"code": 190}),
        &forbidden,
        &forbidden,
    ] {
        bench.refuse_all(Some(error.clone()));
        assert!(!probe());
    }
    assert!(probe());
}

#[test]
fn each_event_has_the_exchange_that_decided_it() {
    let bench = Bench::start();
    let batch: Vec<_> = (0..4).map(|id| record(id, id == 2, false)).collect();
    let report = bench
        .runtime
        .block_on(bench.delivery.deliver_observed(&batch));
    let (outcomes, ..) = Bench::start().run(&batch);
    assert_eq!(report.outcomes, outcomes);
    let told: Vec<_> = report
        .exchanges
        .iter()
        .map(|it| {
            let exchange = it.as_ref().unwrap();
            (exchange.events, exchange.status, exchange.subcode)
        })
        .collect();
    assert_eq!(told[2], (1, Some(400), Some(2_804_019)), "{told:?}");
    for position in [0, 1, 3] {
        let (events, status, subcode) = told[position];
        assert_eq!((status, subcode), (Some(200), None), "{told:?}");
        assert!(events < 4, "{told:?}");
    }
    let first = report.exchanges[0].as_ref().unwrap();
    assert!(first.bytes > 0 && first.request > 1, "{first:?}");
    assert_eq!(first.received, Some(first.events));
}

#[test]
fn an_event_that_was_not_sent_has_no_exchange() {
    let bench = Bench::start();
    let batch = [record(0, false, false).expiring_at(1)];
    let report = bench
        .runtime
        .block_on(bench.delivery.deliver_observed(&batch));
    assert_eq!(report.exchanges, [None]);
    assert!(matches!(report.outcomes[..], [Outcome::Rejected { .. }]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The attempt that is watched against the one that is not.
    #[test]
    fn who_watches_changes_no_outcome_and_sees_the_answer_of_each_event(
        bad in prop::collection::vec(prop::bool::weighted(0.2), 1..40),
    ) {
        let batch: Vec<_> = bad.iter().enumerate().map(|(id, bad)| record(id, *bad, false)).collect();
        let (outcomes, requests, accepted) = Bench::start().run(&batch);
        let bench = Bench::start();
        let report = bench.runtime.block_on(bench.delivery.deliver_observed(&batch));
        let seen = bench.ledger.lock().unwrap();
        prop_assert_eq!((seen.requests, &seen.accepted), (requests, &accepted));
        drop(seen);
        prop_assert_eq!(&report.outcomes, &outcomes);
        prop_assert_eq!(report.exchanges.len(), batch.len());
        for (outcome, exchange) in outcomes.iter().zip(&report.exchanges) {
            let exchange = exchange.as_ref().unwrap();
            let is_delivered = *outcome == Outcome::Delivered;
            prop_assert_eq!(exchange.status == Some(200), is_delivered);
            prop_assert!(is_delivered || exchange.events == 1);
        }
    }
}
