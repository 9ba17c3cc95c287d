//! Every fault, as a real client meets it.

use crate::harness::{Bench, TOKEN, merged, website};
use graph_sandbox::{Fault, MAX_DELAY_MILLIS, MAX_PENDING_FAULTS};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn inject(bench: &Bench, faults: Value) {
    let answer = bench
        .call(Method::POST, "/sandbox/faults", &faults.to_string())
        .await;
    assert_eq!(answer.status, 204, "{:?}", answer.body);
}

fn body() -> String {
    json!({ "data": [website()] }).to_string()
}

#[tokio::test]
async fn a_graph_error_is_given_as_often_as_asked() {
    let bench = Bench::start().await;
    let fault = json!({ "type": "graph_error", "status": 503, "code": 1, "subcode": 99, "is_transient": true, "message": "no" });
    inject(&bench, json!({ "fault": fault, "times": 2 })).await;
    for _ in 0..2 {
        let answer = bench.post(body()).await;
        assert_eq!(answer.refusal(), (503, Some(1), Some(99)));
        assert_eq!(
            (
                &answer.body["error"]["is_transient"],
                &answer.body["error"]["message"]
            ),
            (&json!(true), &json!("no"))
        );
    }
    assert_eq!(bench.post(body()).await.status, 200);
    assert_eq!(bench.sandbox.summary().accepted, 1);
    assert_eq!(bench.sandbox.requests()[0].fault, Some("graph_error"));
}

#[tokio::test]
async fn a_throttle_says_when_to_come_back() {
    let bench = Bench::start().await;
    let fault = json!({ "type": "throttle", "business_use_case_minutes": 19, "ad_account_reset_seconds": 100 });
    inject(
        &bench,
        json!([{ "fault": fault }, { "fault": { "type": "throttle", "status": 429, "code": 4 } }]),
    )
    .await;
    let response = bench.try_post(body()).await.unwrap();
    assert_eq!(response.status(), 400);
    let usage = |name: &str| {
        serde_json::from_str::<Value>(response.headers()[name].to_str().unwrap()).unwrap()
    };
    assert_eq!(
        usage("x-business-use-case-usage")["1234567890123456"][0]["estimated_time_to_regain_access"],
        19
    );
    assert_eq!(usage("x-ad-account-usage")["reset_time_duration"], 100);
    let text = response.text().await.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap()["error"]["code"],
        80_004
    );
    let bare = bench.try_post(body()).await.unwrap();
    assert_eq!(bare.status(), 429);
    assert!(
        !bare.headers().contains_key("x-business-use-case-usage")
            && !bare.headers().contains_key("x-ad-account-usage")
    );
}

#[tokio::test]
async fn a_revoked_token_stays_revoked_until_it_is_lifted() {
    let bench = Bench::start().await;
    inject(&bench, json!({ "fault": { "type": "token_revoked" } })).await;
    let probe = format!("/v25.0/1234567890123456?access_token={TOKEN}");
    for _ in 0..3 {
        assert_eq!(bench.post(body()).await.refusal(), (401, Some(190), None));
        assert_eq!(
            bench.call(Method::GET, &probe, "").await.refusal(),
            (401, Some(190), None)
        );
    }
    assert_eq!(
        bench
            .call(Method::DELETE, "/sandbox/faults", "")
            .await
            .status,
        204
    );
    assert_eq!(bench.post(body()).await.status, 200);
    assert_eq!(bench.call(Method::GET, &probe, "").await.status, 200);
}

#[tokio::test]
async fn one_fault_is_lifted_and_the_others_stay() {
    let bench = Bench::start().await;
    let delay = Fault::Delay { millis: 1 };
    let refused = Fault::RefuseEventId {
        event_id: "bad".to_owned(),
        code: 100,
        subcode: None,
    };
    for fault in [&delay, &Fault::TokenRevoked, &refused, &delay] {
        bench.sandbox.inject(fault.clone(), 1).unwrap();
    }
    bench.sandbox.lift(&Fault::TokenRevoked);
    bench.sandbox.lift(&delay);
    let left = bench.sandbox.pending();
    assert_eq!((left.len(), &left[0].fault), (1, &refused));
    let bad = merged(website(), &json!({ "event_id": "bad" }));
    assert_eq!(bench.send(&[bad]).await.refusal().0, 400);
    assert_eq!(bench.post(body()).await.status, 200);
}

#[tokio::test]
async fn a_dropped_connection_gives_no_answer() {
    let bench = Bench::start().await;
    inject(&bench, json!([{ "fault": { "type": "drop_before_accept" } }, { "fault": { "type": "drop_after_accept" } }])).await;
    assert!(bench.try_post(body()).await.unwrap_err().is_request());
    assert_eq!(bench.sandbox.summary().accepted, 0);
    assert!(bench.try_post(body()).await.unwrap_err().is_request());
    assert_eq!(bench.sandbox.summary().accepted, 1);
    let requests = bench.sandbox.requests();
    assert_eq!((requests[0].status, requests[0].accepted), (None, 0));
    assert_eq!((requests[1].status, requests[1].accepted), (None, 1));
    assert_eq!(bench.post(body()).await.status, 200);
    assert_eq!(bench.sandbox.summary().duplicates, 1);
}

#[tokio::test]
async fn a_truncated_answer_breaks_off_in_its_body() {
    let bench = Bench::start().await;
    inject(&bench, json!({ "fault": { "type": "truncated_answer" } })).await;
    let mut response = bench.try_post(body()).await.unwrap();
    assert_eq!(response.status(), 200);
    let announced = response.content_length().unwrap();
    let mut received = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received.extend_from_slice(&chunk),
            Ok(None) => panic!("the answer arrived whole: {received:?}"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert!(received.starts_with(b"{\"events_received\"") && (received.len() as u64) < announced);
    assert_eq!(bench.sandbox.summary().accepted, 1);
}

#[tokio::test]
async fn an_html_answer_accepts_nothing() {
    let bench = Bench::start().await;
    inject(&bench, json!([{ "fault": { "type": "html_answer" } }, { "fault": { "type": "html_answer", "status": 200 } }])).await;
    for status in [502, 200] {
        let response = bench.try_post(body()).await.unwrap();
        assert_eq!(response.status(), status);
        assert!(
            response.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        assert!(
            response
                .text()
                .await
                .unwrap()
                .starts_with("<!DOCTYPE html>")
        );
    }
    assert_eq!(bench.sandbox.summary().accepted, 0);
}

#[tokio::test]
async fn fewer_received_loses_the_end_of_the_batch() {
    let bench = Bench::start().await;
    inject(&bench, json!([{ "fault": { "type": "fewer_received", "missing": 1 } }, { "fault": { "type": "fewer_received", "missing": 9 } }])).await;
    let last = merged(website(), &json!({ "event_id": "last" }));
    let answer = bench.send(&[website(), last.clone()]).await;
    assert_eq!(
        (answer.status, &answer.body["events_received"]),
        (200, &json!(1))
    );
    assert_eq!(bench.sandbox.accepted(), [website().to_string()]);
    assert_eq!(bench.send(&[last]).await.body["events_received"], 0);
}

#[tokio::test]
async fn a_refused_event_id_spoils_its_batch_without_being_named() {
    let bench = Bench::start().await;
    let fault =
        json!({ "type": "refuse_event_id", "event_id": "bad", "code": 100, "subcode": 2_804_001 });
    inject(&bench, json!({ "fault": fault })).await;
    let bad = merged(website(), &json!({ "event_id": "bad" }));
    for _ in 0..2 {
        let answer = bench.send(&[website(), bad.clone()]).await;
        assert_eq!(answer.refusal(), (400, Some(100), Some(2_804_001)));
        assert!(!answer.body.to_string().contains("$['data']"));
    }
    assert_eq!(bench.sandbox.requests()[0].blamed_index, Some(1));
    assert_eq!(bench.send(&[website()]).await.status, 200);
    bench.sandbox.lift_faults();
    assert_eq!(bench.send(&[bad]).await.status, 200);
}

#[tokio::test]
async fn delayed_requests_are_under_way_together_and_answered_when_the_sandbox_stops() {
    let bench = Bench::start().await;
    bench
        .sandbox
        .inject(
            Fault::Delay {
                millis: MAX_DELAY_MILLIS,
            },
            2,
        )
        .unwrap();
    let url = bench.events_url();
    let send = || {
        bench
            .client
            .post(&url)
            .bearer_auth(TOKEN)
            .header("content-type", "application/json")
            .body(body())
            .send()
    };
    let (first, second) = (tokio::spawn(send()), tokio::spawn(send()));
    while bench.call(Method::GET, "/sandbox/faults", "").await.body != json!([]) {}
    assert_eq!(bench.sandbox.summary().max_in_flight, 2);
    bench.sandbox.stop().await;
    assert_eq!(
        (
            first.await.unwrap().unwrap().status(),
            second.await.unwrap().unwrap().status()
        ),
        (StatusCode::OK, StatusCode::OK)
    );
}

#[tokio::test]
async fn an_unknown_fault_is_refused_with_the_known_ones() {
    let bench = Bench::start().await;
    let answer = bench
        .call(
            Method::POST,
            "/sandbox/faults",
            r#"{"fault":{"type":"meteor"}}"#,
        )
        .await;
    assert_eq!(answer.status, 400);
    let text = answer.body["error"].as_str().unwrap();
    for known in [
        "graph_error",
        "throttle",
        "token_revoked",
        "delay",
        "drop_before_accept",
        "drop_after_accept",
        "truncated_answer",
        "html_answer",
        "fewer_received",
        "refuse_event_id",
        "answer",
        "headers",
        "obstacle",
    ] {
        assert!(text.contains(known), "{known}: {text}");
    }
    for malformed in [
        "",
        "[",
        "{}",
        r#"{"fault":{"type":"delay"}}"#,
        r#"{"fault":{"type":"delay","millis":600001}}"#,
        r#"{"fault":{"type":"delay","millis":1,"seconds":1}}"#,
        r#"{"fault":{"type":"graph_error","status":200}}"#,
        r#"{"fault":{"type":"html_answer","status":100}}"#,
        r#"{"fault":{"type":"drop_before_accept"},"times":0}"#,
        r#"{"fault":{"type":"answer","answer":{"status":199}}}"#,
        r#"{"fault":{"type":"answer","answer":{"status":200,"millis":600001}}}"#,
        r#"{"fault":{"type":"obstacle","answer":{"status":403},"when":{"weather":"bad"}}}"#,
        r#"{"fault":{"type":"headers","headers":{"a b":"c"}}}"#,
        r#"{"fault":{"type":"drop_before_accept"},"count":1}"#,
    ] {
        let answer = bench.call(Method::POST, "/sandbox/faults", malformed).await;
        assert_eq!(answer.status, 400, "{malformed}");
        assert!(answer.body["error"].is_string(), "{malformed}");
    }
    assert_eq!(
        bench.call(Method::GET, "/sandbox/faults", "").await.body,
        json!([])
    );
}

#[tokio::test]
async fn pending_faults_are_listed_and_bounded() {
    let bench = Bench::start().await;
    let delay = json!({ "fault": { "type": "delay", "millis": 1 }, "times": 3 });
    inject(&bench, delay.clone()).await;
    bench.post(body()).await;
    let listed = bench.call(Method::GET, "/sandbox/faults", "").await.body;
    assert_eq!(
        listed,
        json!([{ "fault": { "type": "delay", "millis": 1 }, "times": 2 }])
    );
    inject(&bench, json!(vec![delay.clone(); MAX_PENDING_FAULTS - 1])).await;
    assert_eq!(
        bench
            .call(Method::POST, "/sandbox/faults", &delay.to_string())
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn an_answer_can_have_any_status_body_and_headers() {
    let bench = Bench::start().await;
    let fault = json!({ "type": "answer", "answer": {
        "status": 418, "body": "<p>no</p>", "headers": { "Retry-After": "7", "X-Odd": "yes" },
    } });
    inject(&bench, json!({ "fault": fault })).await;
    let response = bench.try_post(body()).await.unwrap();
    assert_eq!(response.status().as_u16(), 418);
    assert_eq!(
        (
            &response.headers()["retry-after"],
            &response.headers()["x-odd"]
        ),
        (&"7".parse().unwrap(), &"yes".parse().unwrap())
    );
    assert_eq!(response.text().await.unwrap(), "<p>no</p>");
    let headers = json!({ "type": "headers", "headers": { "X-App-Usage": "{}" } });
    inject(&bench, json!({ "fault": headers })).await;
    let response = bench.try_post(body()).await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["x-app-usage"]
        ),
        (200, &"{}".parse().unwrap())
    );
    assert_eq!(bench.sandbox.summary().accepted, 1);
}

#[tokio::test]
async fn an_obstacle_meets_the_requests_that_it_names_until_it_is_lifted() {
    let bench = Bench::start().await;
    let other = merged(website(), &json!({ "event_id": "other" }));
    for (when, meets_pair, meets_probe) in [
        (json!({ "event_id": "other" }), true, false),
        (json!({ "event_id": "none" }), false, false),
        (json!({ "above_events": 1 }), true, false),
        (json!({ "above_events": 2 }), false, false),
        (json!({ "above_bytes": 100 }), true, false),
        (json!({ "above_bytes": 100_000 }), false, false),
        (
            json!({ "event_id": "other", "above_events": 2 }),
            false,
            false,
        ),
        (json!({}), true, false),
        (json!({ "probes": true }), true, true),
    ] {
        let fault =
            json!({ "type": "obstacle", "answer": { "status": 403, "body": "x" }, "when": when });
        inject(&bench, json!({ "fault": fault })).await;
        let expected = |meets| if meets { 403 } else { 200 };
        for _ in 0..2 {
            let answer = bench.send(&[website(), other.clone()]).await;
            assert_eq!(answer.status, expected(meets_pair), "{when}");
            let probe = format!("/v25.0/1234567890123456?access_token={TOKEN}");
            let answer = bench.call(Method::GET, &probe, "").await;
            assert_eq!(answer.status, expected(meets_probe), "{when}");
        }
        bench.sandbox.lift_faults();
    }
    let fault = json!({ "type": "obstacle", "answer": {}, "when": { "event_id": "other" } });
    inject(&bench, json!({ "fault": fault })).await;
    let lone = json!({ "data": [other] }).to_string();
    assert!(bench.try_post(lone).await.unwrap_err().is_request());
    assert_eq!(bench.post(body()).await.status, 200);
}
