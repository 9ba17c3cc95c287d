//! Taking a batch apart, against a real local HTTP server that refuses requests with events marked bad.

use super::*;
use axum::{Json, Router, extract::State, http::StatusCode, routing::any};
use pipeline_core::{ManualClock, SensitiveString};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;

#[derive(Default)]
struct Seen {
    requests: usize,
    accepted: Vec<u64>,
}

type Ledger = Arc<Mutex<Seen>>;

async fn answer(
    State(ledger): State<Ledger>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut seen = ledger.lock().unwrap();
    seen.requests += 1;
    let data = body["data"].as_array().unwrap();
    if let Some(index) = data.iter().position(|event| event["bad"] == true) {
        let text = if data[index]["named"] == true {
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

fn record(id: usize, bad: bool, named: bool) -> Record {
    Record {
        payload: json!({"id": id, "bad": bad, "named": named})
            .to_string()
            .into(),
        partition: "1".into(),
        event_time: 0,
        expires_at: 100,
        event_id: id.to_string().into(),
        label: "a → b".into(),
    }
}

fn run(batch: &[Record]) -> (Vec<Outcome>, usize, Vec<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ledger = Ledger::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            api_version: "v25.0".into(),
            pixel_id: "1".into(),
            access_token: SensitiveString::from("t".to_owned()),
            test_event_code: None,
            timeout: Duration::from_secs(10),
        };
        let app = Router::new()
            .route("/v25.0/1/events", any(answer))
            .with_state(ledger.clone());
        tokio::spawn(async { axum::serve(listener, app).await });
        let delivery = Delivery::new(target, Arc::new(ManualClock::at(50_000))).unwrap();
        let outcomes = delivery.deliver(batch).await;
        let seen = ledger.lock().unwrap();
        (outcomes, seen.requests, seen.accepted.clone())
    })
}

#[test]
fn one_bad_event_among_a_thousand_costs_twenty_requests_more() {
    for bad in [0, 499, 500, 999] {
        let batch: Vec<_> = (0..1000).map(|id| record(id, id == bad, false)).collect();
        let (outcomes, requests, accepted) = run(&batch);
        assert_eq!(accepted.len(), 999);
        assert!(matches!(outcomes[bad], Outcome::Rejected { .. }));
        assert!(requests <= 1 + 20, "{requests}");
    }
}

#[test]
fn an_event_that_meta_names_costs_one_request_more() {
    let batch: Vec<_> = (0..1000).map(|id| record(id, id == 7, true)).collect();
    let (_, requests, accepted) = run(&batch);
    assert_eq!((requests, accepted.len()), (2, 999));
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
        let levels = bad.len().next_power_of_two().ilog2() as usize;
        let bound = 1 + 2 * levels * bad.iter().filter(|bad| **bad).count();
        prop_assert!(requests <= bound, "{} > {}", requests, bound);
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_unavailable_and_its_url_is_not_shown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let target = Target {
        endpoint,
        api_version: "v25.0".into(),
        pixel_id: "1".into(),
        access_token: SensitiveString::from("t".to_owned()),
        test_event_code: None,
        timeout: Duration::from_secs(10),
    };
    let delivery = Delivery::new(target, Arc::new(ManualClock::at(0))).unwrap();
    let error = delivery.healthcheck().await.unwrap_err();
    assert!(matches!(error, HealthcheckError::Unavailable(_)));
    assert_eq!(error.to_string(), "the connection to Meta failed");
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
