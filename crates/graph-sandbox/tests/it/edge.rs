//! The edge around the rules: versions, pixels, tokens, bodies, whole batches, and what the sandbox remembers.

use crate::harness::{Answer, Bench, HASH, NOW, TOKEN, merged, purchase, website};
use graph_sandbox::{
    MAX_BODY_BYTES, MAX_EVENT_BYTES, MAX_EVENTS_PER_REQUEST, Sandbox, SandboxOptions, StartError,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;

fn strict() -> SandboxOptions {
    SandboxOptions {
        access_tokens: vec![TOKEN.to_owned()],
        pixel_ids: vec!["1234567890123456".to_owned()],
        ..SandboxOptions::default()
    }
}

#[tokio::test]
async fn a_good_batch_is_received_and_kept_as_it_came() {
    let bench = Bench::start().await;
    let odd = format!(
        "{{ \"event_name\":\"Caf\\u00e9 \\n\",\n \"event_time\": {NOW},\r\n\"action_source\":\"other\", \"user_data\":{{\"em\":\"{HASH}\"}},\
         \"custom_data\":{{\"n\":1.50e0,\"id\":12345678901234567890}}}}"
    );
    let answer = bench
        .post(format!("{{\"data\":[{odd},{}]}}", purchase()))
        .await;
    assert_eq!(
        (answer.status, &answer.body["events_received"]),
        (200, &json!(2))
    );
    assert_eq!(answer.body["messages"], json!([]));
    assert!(
        answer.body["fbtrace_id"]
            .as_str()
            .is_some_and(|trace| trace.starts_with('A'))
    );
    let listed = bench.call(Method::GET, "/sandbox/events", "").await;
    let expected = format!("{}\n{}\n", odd.replace(['\n', '\r'], " "), purchase());
    assert_eq!(listed.body, json!(expected));
    assert_eq!(bench.sandbox.accepted().len(), 2);
}

#[tokio::test]
async fn one_bad_event_refuses_the_whole_batch() {
    let bench = Bench::start().await;
    let mut events = vec![website(); 5];
    events[3] = merged(website(), &json!({ "user_data": { "fbc": "nonsense" } }));
    events[4] = merged(website(), &json!({ "event_time": 1 }));
    let answer = bench.send(&events).await;
    assert_eq!(answer.refusal(), (400, Some(100), Some(2_804_019)));
    assert_eq!(
        answer.user_message(),
        "Malformed `fbc` on param $['data'][3]['user_data']['fbc']"
    );
    assert_eq!(answer.body["error"]["type"], "OAuthException");
    assert!(
        answer.body["error"]["error_user_title"].is_string()
            && answer.body["error"]["fbtrace_id"].is_string()
    );
    assert!(bench.sandbox.accepted().is_empty());
    let request = &bench.sandbox.requests()[0];
    assert_eq!(
        (request.events, request.accepted, request.blamed_index),
        (5, 0, Some(3))
    );
    assert_eq!(bench.sandbox.summary().refused, 5);
}

#[tokio::test]
async fn a_batch_has_one_to_a_thousand_events() {
    let bench = Bench::start().await;
    assert_eq!(bench.send(&[]).await.refusal(), (400, Some(100), None));
    assert_eq!(
        bench
            .send(&vec![website(); MAX_EVENTS_PER_REQUEST])
            .await
            .status,
        200
    );
    assert_eq!(
        bench
            .send(&vec![website(); MAX_EVENTS_PER_REQUEST + 1])
            .await
            .refusal(),
        (400, Some(100), None)
    );
    assert_eq!(
        bench
            .send(&vec![json!(1); 3 * MAX_EVENTS_PER_REQUEST])
            .await
            .refusal(),
        (400, Some(100), None)
    );
    assert_eq!(
        bench.sandbox.requests()[3].events,
        3 * MAX_EVENTS_PER_REQUEST
    );
}

#[tokio::test]
async fn a_body_is_an_object_with_known_keys() {
    let bench = Bench::start().await;
    let with = |extra: Value| merged(json!({ "data": [website()] }), &extra).to_string();
    let cases = [
        (
            with(json!({ "test_event_code": "TEST1", "partner_agent": "acme_1_0" })),
            true,
        ),
        (
            with(
                json!({ "upload_id": "1", "upload_tag": "t", "upload_source": "s", "namespace_id": "1", "trace": 1 }),
            ),
            true,
        ),
        (
            with(json!({ "platforms": [{}], "progress": {}, "appsecret_proof": "p" })),
            true,
        ),
        (with(json!({ "test_event_code": 1 })), false),
        (with(json!({ "test_event_code": "" })), false),
        (with(json!({ "partner_agent": {} })), false),
        (with(json!({ "unknown": 1 })), false),
        (with(json!({ "x".repeat(1_000_000): 1 })), false),
        (with(json!({ "platforms": vec![1; 64 * 1024] })), false),
        (json!({ "data": website() }).to_string(), false),
        (json!({ "data": "[]" }).to_string(), false),
        (json!([website()]).to_string(), false),
        ("{\"data\":[".to_owned(), false),
        (String::new(), false),
        (
            format!("{{\"data\":[{}{}]}}", "[".repeat(500), "]".repeat(500)),
            false,
        ),
        (format!("{{\"data\":[{}]}}", "[".repeat(5_000_000)), false),
    ];
    for (body, is_good) in cases {
        let answer = bench.post(body.clone()).await;
        let expected = if is_good {
            (200, None)
        } else {
            (400, Some(100))
        };
        assert_eq!(
            (answer.status, answer.refusal().1),
            expected,
            "{:.200}: {:?}",
            body,
            answer.body
        );
    }
    assert!(bench.sandbox.requests()[0].has_test_event_code);
    assert!(!bench.sandbox.requests()[1].has_test_event_code);
}

#[tokio::test]
async fn only_json_is_read() {
    let bench = Bench::start().await;
    for (content_type, status) in [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/x-www-form-urlencoded", 400),
        ("text/plain", 400),
    ] {
        let request = bench
            .client
            .post(bench.events_url())
            .bearer_auth(TOKEN)
            .header("content-type", content_type);
        let answer = Answer::read(
            request
                .body(json!({ "data": [website()] }).to_string())
                .send()
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(answer.status, status, "{content_type}");
        assert_eq!(
            bench
                .sandbox
                .requests()
                .last()
                .unwrap()
                .content_type
                .as_deref(),
            Some(content_type)
        );
    }
}

#[tokio::test]
async fn a_token_may_come_three_ways_and_is_never_told() {
    let bench = Bench::with(strict()).await;
    let url = bench.events_url();
    let plain = json!({ "data": [website()] });
    let with_token = |token: &str| json!({ "data": [website()], "access_token": token });
    let cases = [
        (
            url.clone(),
            Some(TOKEN),
            plain.clone(),
            (200, None),
            Some("header"),
        ),
        (
            format!("{url}?access_token=EAA%74est"),
            None,
            plain.clone(),
            (200, None),
            Some("query"),
        ),
        (
            url.clone(),
            None,
            with_token(TOKEN),
            (200, None),
            Some("body"),
        ),
        (
            url.clone(),
            Some("EAAwrong"),
            with_token(TOKEN),
            (401, Some(190)),
            Some("header"),
        ),
        (
            url.clone(),
            None,
            with_token("EAAwrong"),
            (401, Some(190)),
            Some("body"),
        ),
        (url.clone(), None, with_token(""), (400, Some(104)), None),
        (url, None, plain, (400, Some(104)), None),
    ];
    for (url, bearer, body, expected, place) in cases {
        let mut request = bench
            .client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string());
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(
            (answer.status, answer.refusal().1),
            expected,
            "{:?}",
            answer.body
        );
        assert_eq!(bench.sandbox.requests().last().unwrap().token_in, place);
    }
    let told = format!(
        "{:?} {}",
        bench.sandbox,
        bench.call(Method::GET, "/sandbox/requests", "").await.body
    );
    assert!(!told.contains("EAA"), "{told}");
}

#[tokio::test]
async fn versions_and_pixels_are_checked_before_the_token() {
    let bench = Bench::with(strict()).await;
    for (path, expected) in [
        ("/v99.0/1234567890123456/events", (400, Some(2500), None)),
        ("/v20.0/1234567890123456/events", (400, Some(2635), None)),
        ("/v2.0/1234567890123456/events", (400, Some(2635), None)),
        ("/v0.0/1234567890123456/events", (400, Some(2500), None)),
        ("/25.0/1234567890123456/events", (400, Some(2500), None)),
        ("/v25.0/me/events", (400, Some(100), Some(33))),
        ("/v25.0/999/events", (400, Some(100), Some(33))),
        ("/v21.0/1234567890123456/events", (400, Some(104), None)),
        ("/v26.0/1234567890123456/events", (400, Some(104), None)),
        ("/v27.0/1234567890123456/events", (400, Some(104), None)),
        ("/v25.0/1234567890123456/other", (400, Some(2500), None)),
        ("/", (400, Some(2500), None)),
    ] {
        assert_eq!(
            bench.call(Method::POST, path, "{}").await.refusal(),
            expected,
            "{path}"
        );
    }
    assert_eq!(
        bench
            .call(Method::GET, "/v25.0/1234567890123456/events", "")
            .await
            .refusal(),
        (400, Some(100), Some(33))
    );
}

#[tokio::test]
async fn a_version_ends_on_its_day() {
    // 2027-01-21 is the day on which v21.0 ends.
    for (now_secs, code) in [(1_800_489_599, 104), (1_800_489_600, 2635)] {
        let clock: graph_sandbox::NowMs = Arc::new(move || now_secs * 1000);
        let sandbox = Sandbox::start(SandboxOptions {
            now_ms: Some(clock),
            ..strict()
        })
        .await
        .unwrap();
        let url = format!("{}/v21.0/1234567890123456/events", sandbox.url());
        let answer = Answer::read(reqwest::Client::new().post(url).send().await.unwrap()).await;
        assert_eq!(answer.refusal().1, Some(code));
    }
}

#[tokio::test]
async fn a_probe_answers_the_pixel_and_sends_nothing() {
    let bench = Bench::with(strict()).await;
    let path = "/v25.0/1234567890123456";
    let answer = bench
        .call(Method::GET, &format!("{path}?access_token={TOKEN}"), "")
        .await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({ "id": "1234567890123456" }))
    );
    assert_eq!(
        bench.call(Method::GET, path, "").await.refusal().1,
        Some(104)
    );
    assert_eq!(
        bench
            .call(Method::GET, &format!("{path}?access_token=no"), "")
            .await
            .refusal(),
        (401, Some(190), None)
    );
    let summary = bench.sandbox.summary();
    assert_eq!((summary.probes, summary.requests), (3, 0));
}

#[tokio::test]
async fn duplicates_are_received_and_reported() {
    let bench = Bench::start().await;
    let other_name = merged(website(), &json!({ "event_name": "Lead" }));
    let no_id = merged(website(), &json!({ "event_id": null }));
    let answer = bench
        .send(&[website(), website(), other_name, no_id.clone(), no_id])
        .await;
    assert_eq!(answer.body["events_received"], 5);
    bench.send(&[website()]).await;
    let duplicates: Vec<_> = bench
        .sandbox
        .requests()
        .iter()
        .map(|request| request.duplicates)
        .collect();
    assert_eq!(duplicates, [1, 1]);
    let summary = bench.call(Method::GET, "/sandbox/summary", "").await.body;
    assert_eq!(
        (
            &summary["accepted"],
            &summary["duplicates"],
            &summary["unique"]
        ),
        (&json!(6), &json!(2), &json!(4))
    );
    let unique = bench
        .call(Method::GET, "/sandbox/events?unique=true", "")
        .await
        .body;
    assert_eq!(unique.as_str().unwrap().lines().count(), 4);
}

#[tokio::test]
async fn what_is_beyond_the_kept_bytes_is_forgotten_and_counted() {
    let body = json!({ "data": [website()] }).to_string();
    let bench = Bench::with(SandboxOptions {
        max_kept_bytes: 2 * body.len(),
        ..SandboxOptions::default()
    })
    .await;
    for _ in 0..3 {
        bench.post(body.clone()).await;
    }
    let summary = bench.sandbox.summary();
    assert_eq!(
        (
            summary.accepted,
            summary.forgotten_events,
            bench.sandbox.accepted().len()
        ),
        (3, 1, 2)
    );
}

#[tokio::test]
async fn what_is_taken_out_is_not_kept_and_still_known() {
    let body = json!({ "data": [website()] }).to_string();
    let bench = Bench::with(SandboxOptions {
        max_kept_bytes: 2 * body.len(),
        ..SandboxOptions::default()
    })
    .await;
    for duplicates in 0..5 {
        bench.post(body.clone()).await;
        assert_eq!(bench.sandbox.take_accepted().len(), 1);
        assert_eq!(bench.sandbox.summary().duplicates, duplicates);
    }
    assert!(bench.sandbox.accepted().is_empty());
    let summary = bench.sandbox.summary();
    assert_eq!((summary.accepted, summary.forgotten_events), (5, 0));
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let bench = Bench::start().await;
    bench.send(&[website()]).await;
    bench
        .sandbox
        .inject(graph_sandbox::Fault::DropAfterAccept, 1)
        .unwrap();
    assert_eq!(bench.call(Method::DELETE, "/sandbox", "").await.status, 204);
    assert_eq!(bench.sandbox.summary(), graph_sandbox::Summary::default());
    assert!(bench.sandbox.accepted().is_empty() && bench.sandbox.requests().is_empty());
    bench.send(&[website()]).await;
    assert_eq!(bench.sandbox.summary().duplicates, 0);
}

#[tokio::test]
async fn a_taken_address_is_an_error_and_a_stopped_one_is_free() {
    let bench = Bench::start().await;
    let address = bench.sandbox.address();
    let options = SandboxOptions {
        address,
        ..SandboxOptions::default()
    };
    let error = Sandbox::start(options.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { address: taken, .. } if taken == address));
    bench.send(&[website()]).await;
    bench.sandbox.stop().await;
    Sandbox::start(options).await.unwrap();
}

#[tokio::test]
async fn bodies_and_events_have_a_largest_size() {
    let bench = Bench::start().await;
    let filled = |bytes: usize| {
        let event =
            |filler: String| merged(website(), &json!({ "custom_data": { "filler": filler } }));
        let frame = event(String::new()).to_string().len();
        event("x".repeat(bytes - frame))
    };
    assert_eq!(bench.send(&[filled(MAX_EVENT_BYTES)]).await.status, 200);
    let too_large = bench.send(&[filled(MAX_EVENT_BYTES + 1)]).await;
    assert_eq!(too_large.refusal(), (400, Some(100), Some(2_804_019)));
    let body = json!({ "data": [website()] }).to_string();
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    assert_eq!(bench.post(padded(MAX_BODY_BYTES)).await.status, 200);
    assert_eq!(
        bench.post(padded(MAX_BODY_BYTES + 1)).await.refusal(),
        (413, Some(100), None)
    );
}

#[tokio::test]
async fn an_app_with_a_secret_wants_the_proof_of_every_token() {
    let bench = Bench::with(SandboxOptions {
        app_secret: Some("app_secret".to_owned()),
        ..SandboxOptions::default()
    })
    .await;
    let proof = "d52ddf968d622d8af8677906b7fbae09ac1f89f7cd5c1584b27544624cc23e5a";
    let body = |proof: Option<&str>| {
        let mut body = json!({ "data": [website()], "access_token": "access_token" });
        if let Some(proof) = proof {
            body["appsecret_proof"] = proof.into();
        }
        body.to_string()
    };
    let url = bench.events_url();
    for (sent, expected) in [(Some(proof), 200), (None, 400), (Some("0"), 400)] {
        let request = bench
            .client
            .post(&url)
            .header("content-type", "application/json");
        let answer = Answer::read(request.body(body(sent)).send().await.unwrap()).await;
        assert_eq!(answer.status, expected, "{sent:?}");
        if expected == 400 {
            assert_eq!(answer.refusal(), (400, Some(100), None));
            let text = answer.body["error"]["message"].as_str().unwrap();
            assert!(text.contains("appsecret_proof"), "{text}");
        }
        let probe = format!(
            "/v25.0/1234567890123456?access_token=access_token&appsecret_proof={}",
            sent.unwrap_or_default()
        );
        assert_eq!(bench.call(Method::GET, &probe, "").await.status, expected);
    }
    assert!(!format!("{:?}", bench.sandbox).contains("app_secret\""));
}
