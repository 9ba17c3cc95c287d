//! The sink against the sandbox, on its good and its bad days: what a host gets to know, and what has arrived after all.

use crate::{NOW_MS, build, event};
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use graph_sandbox::{Fault, Sandbox, SandboxOptions};
use pipeline_core::{Encoded, HealthcheckError, Outcome, Record, Sink};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const TOKEN: &str = "EAAB-test-token";

/// A sandbox that lives in the tests' own time, and a sink that sends to it.
struct Bench {
    sandbox: Sandbox,
    sink: Box<dyn Sink>,
}

impl Bench {
    async fn start() -> Self {
        Self::with(json!({})).await
    }

    async fn with(mut options: Value) -> Self {
        let sandbox = Sandbox::start(SandboxOptions {
            now_ms: Some(Arc::new(|| NOW_MS)),
            access_tokens: vec![TOKEN.to_owned()],
            ..SandboxOptions::default()
        })
        .await
        .expect("a sandbox");
        options["endpoint"] = sandbox.url().into();
        let sink = build(&options).await;
        Self { sandbox, sink }
    }

    fn inject(&self, fault: Fault, times: u32) {
        self.sandbox.inject(fault, times).expect("a fault");
    }

    fn refuse(&self, event_id: &str, subcode: Option<i64>) {
        let (event_id, code) = (event_id.to_owned(), 100);
        let fault = Fault::RefuseEventId {
            event_id,
            code,
            subcode,
        };
        self.inject(fault, 1);
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        self.sink.deliver(batch).await
    }

    /// The fate of one event that meets `fault`, and then of a second attempt, which must pass.
    async fn meet(&self, fault: Fault) -> Outcome {
        self.inject(fault, 1);
        let batch = records(&*self.sink, 1);
        let [first] = self.deliver(&batch).await.try_into().expect("one outcome");
        assert_eq!(self.deliver(&batch).await, [Outcome::Delivered]);
        first
    }
}

/// As many records as asked for, with the event ids `e0`, `e1` and so on.
fn records(sink: &dyn Sink, count: usize) -> Vec<Record> {
    let record = |id: usize| {
        let encoded = sink.encode(&event(&json!({
            "type": "track",
            "event": "Product Added",
            "messageId": format!("e{id}"),
            "timestamp": "2026-01-15T11:59:00Z",
            "userId": "u1",
            "properties": { "product_id": "p1", "price": 5, "currency": "EUR" },
            "context": { "consent": { "marketing": true } },
        })));
        match encoded {
            Encoded::Record(record) => record,
            other => panic!("not to be sent: {other:?}"),
        }
    };
    (0..count).map(record).collect()
}

/// The kind of an outcome, its reason's code and the pause it asks for.
fn told(outcome: &Outcome) -> (&'static str, &'static str, Option<Duration>) {
    match outcome {
        Outcome::Delivered => ("delivered", "", None),
        Outcome::Retry { after, reason } => ("retry", reason.code, *after),
        Outcome::Failed { after, reason } => ("failed", reason.code, *after),
        Outcome::Rejected { reason } => ("rejected", reason.code, None),
        Outcome::Blocked { reason } => ("blocked", reason.code, None),
        other => panic!("unknown: {other:?}"),
    }
}

fn detail(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Delivered => "",
        Outcome::Retry { reason, .. }
        | Outcome::Failed { reason, .. }
        | Outcome::Rejected { reason }
        | Outcome::Blocked { reason } => &reason.detail,
        other => panic!("unknown: {other:?}"),
    }
}

fn delivered(outcomes: &[Outcome]) -> usize {
    outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Delivered)
        .count()
}

/// The event ids that the sandbox holds, each once, in the order of the batch.
fn arrived(sandbox: &Sandbox) -> Vec<usize> {
    let id = |event: &String| {
        let event: Value = serde_json::from_str(event).expect("JSON");
        let id = event["event_id"]
            .as_str()
            .and_then(|id| id.strip_prefix('e'));
        id.and_then(|id| id.parse().ok()).expect("an id of ours")
    };
    let mut ids: Vec<usize> = sandbox.unique().iter().map(id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_batch_of_a_thousand_is_one_request_with_the_token_in_its_header_alone() {
    let bench = Bench::start().await;
    let batch = records(&*bench.sink, 1000);
    assert_eq!(delivered(&bench.deliver(&batch).await), 1000);
    assert_eq!(arrived(&bench.sandbox), (0..1000).collect::<Vec<_>>());
    let [request] = bench.sandbox.requests().try_into().expect("one request");
    assert_eq!(
        (request.status, request.token_in),
        (Some(200), Some("header"))
    );
    assert_eq!(request.content_type.as_deref(), Some("application/json"));
    assert!(!request.has_test_event_code);
}

#[tokio::test]
async fn a_test_event_code_travels_with_the_batch() {
    let bench = Bench::with(json!({ "test_event_code": "TEST12345" })).await;
    let batch = records(&*bench.sink, 2);
    assert_eq!(delivered(&bench.deliver(&batch).await), 2);
    assert!(bench.sandbox.requests()[0].has_test_event_code);
}

#[tokio::test]
async fn one_bad_event_among_a_thousand_costs_no_other_though_meta_does_not_name_it() {
    let bench = Bench::start().await;
    bench.refuse("e617", Some(2_804_009));
    let outcomes = bench.deliver(&records(&*bench.sink, 1000)).await;
    assert_eq!(delivered(&outcomes), 999);
    assert_eq!(told(&outcomes[617]), ("rejected", "refused_invalid", None));
    let text = detail(&outcomes[617]);
    assert!(
        text.starts_with("Meta refused the event: a Purchase needs a value"),
        "{text}"
    );
    assert!(
        text.contains("(code 100, subcode 2804009, fbtrace_id A"),
        "{text}"
    );
    let summary = bench.sandbox.summary();
    assert_eq!((summary.unique, summary.duplicates), (999, 0));
    assert!(summary.requests <= 1 + 20, "{}", summary.requests);
}

#[tokio::test]
async fn a_bad_event_that_meta_names_costs_two_requests_more() {
    let bench = Bench::start().await;
    let mut batch = records(&*bench.sink, 1000);
    let payload = String::from_utf8(batch[617].payload.to_vec()).expect("text");
    batch[617].payload = payload.replacen('{', "{\"surprise\":1,", 1).into();
    let outcomes = bench.deliver(&batch).await;
    assert_eq!(delivered(&outcomes), 999);
    assert_eq!(told(&outcomes[617]), ("rejected", "refused_invalid", None));
    assert!(
        detail(&outcomes[617]).contains("(code 100, subcode 2804019"),
        "{}",
        detail(&outcomes[617])
    );
    let summary = bench.sandbox.summary();
    assert_eq!(
        (summary.unique, summary.duplicates, summary.requests),
        (999, 0, 3)
    );
}

#[tokio::test]
async fn a_fault_that_passes_is_retried() {
    let bench = Bench::start().await;
    let graph = |status, code, is_transient| Fault::GraphError {
        status,
        code,
        subcode: None,
        is_transient,
        message: Some(format!("secret {TOKEN}")),
    };
    let html = |status| Fault::HtmlAnswer { status };
    let cases = [
        (graph(500, 2, false), "server_error"),
        (graph(400, 100, true), "server_error"),
        (html(502), "server_error"),
        (html(200), "way_unclear"),
        (html(404), "way_unclear"),
        (html(403), "way_unclear"),
    ];
    for (fault, code) in cases {
        let outcome = bench.meet(fault.clone()).await;
        assert_eq!(told(&outcome), ("failed", code, None), "{fault:?}");
        assert!(!detail(&outcome).contains(TOKEN));
    }
}

#[tokio::test]
async fn a_throttle_is_kept_to() {
    let bench = Bench::start().await;
    let throttle = |status, business_use_case_minutes, ad_account_reset_seconds| Fault::Throttle {
        status,
        code: 80_004,
        business_use_case_minutes,
        ad_account_reset_seconds,
    };
    let cases = [
        (throttle(400, Some(19), Some(100)), Some(19 * 60)),
        (throttle(403, None, Some(100)), Some(100)),
        (throttle(429, None, None), None),
        (throttle(400, Some(u64::MAX), None), Some(60 * 60)),
    ];
    for (fault, secs) in cases {
        let outcome = bench.meet(fault.clone()).await;
        assert_eq!(
            told(&outcome),
            ("retry", "throttled", secs.map(Duration::from_secs)),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_revoked_token_blocks_until_it_is_good_again() {
    let bench = Bench::start().await;
    let batch = records(&*bench.sink, 3);
    assert!(bench.sink.healthcheck().await.is_ok());
    bench.inject(Fault::TokenRevoked, 1);
    for outcome in bench.deliver(&batch).await {
        assert_eq!(told(&outcome), ("blocked", "token_invalid", None));
        assert!(!detail(&outcome).contains(TOKEN));
    }
    let health = bench.sink.healthcheck().await;
    assert!(
        matches!(health, Err(HealthcheckError::Blocked(reason)) if reason.code == "token_invalid")
    );
    bench.sandbox.lift_faults();
    assert!(bench.sink.healthcheck().await.is_ok());
    assert_eq!(delivered(&bench.deliver(&batch).await), 3);
    assert_eq!(
        (
            bench.sandbox.summary().unique,
            bench.sandbox.summary().probes
        ),
        (3, 3)
    );
}

/// An error of Graph's, for so many requests to the events edge.
fn refuse(bench: &Bench, code: i64, message: &str, times: u32) {
    let fault = Fault::GraphError {
        status: 400,
        code,
        subcode: None,
        is_transient: false,
        message: Some(message.to_owned()),
    };
    bench.inject(fault, times);
}

#[tokio::test]
async fn a_configuration_error_holds_every_event_at_the_cost_of_one_request() {
    for (code, message, reason) in [
        (
            2635,
            "(#2635) You are calling a deprecated version of the Ads API. Please update to the latest version: v27.0.",
            "api_version_ended",
        ),
        (
            12,
            "(#12) this call is deprecated for versions v20.0 and higher",
            "api_version_ended",
        ),
        (
            5,
            "(#5) Unauthorized source IP address",
            "address_not_allowed",
        ),
        (101, "Error validating application", "app_invalid"),
        (
            100,
            "API calls from the server require an appsecret_proof argument",
            "app_secret_required",
        ),
        (
            100,
            "Invalid appsecret_proof provided in the API argument",
            "app_secret_required",
        ),
    ] {
        let bench = Bench::start().await;
        let batch = records(&*bench.sink, 20);
        refuse(&bench, code, message, 1);
        for outcome in bench.deliver(&batch).await {
            assert_eq!(told(&outcome), ("blocked", reason, None));
            assert!(!detail(&outcome).contains(message), "{}", detail(&outcome));
        }
        assert_eq!(bench.sandbox.summary().requests, 1);
        assert_eq!(delivered(&bench.deliver(&batch).await), 20);
    }
}

#[tokio::test]
async fn an_unknown_code_for_every_event_holds_all_however_often_the_host_tries() {
    const ATTEMPTS: u32 = 10;
    // A thousand events, their halves down to a single one, its neighbor, and six from all over the batch.
    const REQUESTS: u32 = 18;
    let bench = Bench::start().await;
    let batch = records(&*bench.sink, 1000);
    refuse(&bench, 4711, "no", ATTEMPTS * REQUESTS);
    for _ in 0..ATTEMPTS {
        assert!(bench.sink.healthcheck().await.is_ok());
        for outcome in bench.deliver(&batch).await {
            assert_eq!(told(&outcome), ("blocked", "all_refused", None));
        }
    }
    assert_eq!(bench.sandbox.pending().len(), 0);
    assert_eq!(delivered(&bench.deliver(&batch).await), 1000);
    assert_eq!(bench.sandbox.summary().duplicates, 0);
}

#[tokio::test]
async fn an_unknown_code_for_some_events_costs_those_alone() {
    for bad in [vec![7], (0..10).collect(), (10..20).collect::<Vec<_>>()] {
        let bench = Bench::start().await;
        for id in &bad {
            let (event_id, code, subcode) = (format!("e{id}"), 4711, None);
            let fault = Fault::RefuseEventId {
                event_id,
                code,
                subcode,
            };
            bench.inject(fault, 1);
        }
        let outcomes = bench.deliver(&records(&*bench.sink, 20)).await;
        for (id, outcome) in outcomes.iter().enumerate() {
            let expected = if bad.contains(&id) {
                ("rejected", "refused_invalid", None)
            } else {
                ("delivered", "", None)
            };
            assert_eq!(told(outcome), expected, "{id} of {bad:?}");
        }
        assert_eq!(arrived(&bench.sandbox).len(), 20 - bad.len());
        assert_eq!(bench.sandbox.summary().duplicates, 0);
    }
}

#[tokio::test]
async fn a_health_check_blocks_for_what_only_a_person_can_change() {
    let answers = [
        (400, json!({ "code": 2635 }), "api_version_ended"),
        (400, json!({ "code": 12 }), "api_version_ended"),
        (403, json!({ "code": 5 }), "address_not_allowed"),
        (400, json!({ "code": 101 }), "app_invalid"),
        (
            400,
            json!({ "code": 100, "message": "API calls from the server require an appsecret_proof argument" }),
            "app_secret_required",
        ),
        (400, json!({ "code": 4711 }), "all_refused"),
    ];
    for (status, error, reason) in answers {
        let status = StatusCode::from_u16(status).expect("a status");
        let body = json!({ "error": error }).to_string();
        let sink = sink_to(status, HeaderMap::new(), body).await;
        let health = sink.healthcheck().await;
        assert!(
            matches!(&health, Err(HealthcheckError::Blocked(said)) if said.code == reason),
            "{error}: {health:?}"
        );
        for outcome in sink.deliver(&records(&*sink, 20)).await {
            assert_eq!(told(&outcome), ("blocked", reason, None));
        }
    }
}

#[tokio::test]
async fn a_new_token_in_the_file_ends_a_block_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let write = |text: &str| std::fs::write(&file, text).expect("a token file");
    write("EAAB-revoked\n");
    let bench = Bench::with(json!({ "access_token": "", "access_token_file": file.clone() })).await;
    let batch = records(&*bench.sink, 3);
    for outcome in bench.deliver(&batch).await {
        assert_eq!(told(&outcome), ("blocked", "token_invalid", None));
        assert!(!detail(&outcome).contains("EAAB"));
    }
    // A file that is no use is said, and costs nothing.
    write("\n");
    let Err(HealthcheckError::Blocked(reason)) = bench.sink.healthcheck().await else {
        panic!("still blocked")
    };
    assert!(
        reason
            .detail
            .contains("`access_token_file` does not contain a token"),
        "{}",
        reason.detail
    );
    write(&format!("{TOKEN}\n"));
    assert!(bench.sink.healthcheck().await.is_ok());
    write("");
    assert_eq!(delivered(&bench.deliver(&batch).await), 3);
    // Without a health check in between as well.
    write("EAAB-revoked\n");
    assert_eq!(delivered(&bench.deliver(&batch).await), 0);
    write(TOKEN);
    assert_eq!(delivered(&bench.deliver(&batch).await), 3);
}

#[tokio::test]
async fn a_block_midway_keeps_what_was_decided_and_holds_the_rest() {
    let bench = Bench::start().await;
    bench.refuse("e0", None);
    // Eight events, four, two, the bad one, its neighbor; then the token goes.
    bench.inject(Fault::Delay { millis: 0 }, 5);
    let (status, code, subcode) = (400, 190, Some(463));
    let (is_transient, message) = (false, None);
    bench.inject(
        Fault::GraphError {
            status,
            code,
            subcode,
            is_transient,
            message,
        },
        1,
    );
    let batch = records(&*bench.sink, 8);
    let outcomes = bench.deliver(&batch).await;
    assert_eq!(told(&outcomes[0]), ("rejected", "refused_invalid", None));
    assert_eq!(outcomes[1], Outcome::Delivered);
    for outcome in &outcomes[2..] {
        assert_eq!(told(outcome), ("blocked", "token_expired", None));
    }
    assert_eq!(arrived(&bench.sandbox), [1]);
    assert_eq!(delivered(&bench.deliver(&batch[2..]).await), 6);
    assert_eq!(bench.sandbox.summary().duplicates, 0);
}

#[tokio::test]
async fn an_answer_later_than_the_timeout_is_retried() {
    let bench = Bench::with(json!({ "timeout_secs": 1 })).await;
    let outcome = bench.meet(Fault::Delay { millis: 60_000 }).await;
    assert_eq!(told(&outcome), ("failed", "timeout", None));
}

#[tokio::test]
async fn a_broken_connection_is_retried_under_the_same_ids() {
    for (fault, duplicates) in [
        (Fault::DropBeforeAccept, 0),
        (Fault::DropAfterAccept, 1),
        (Fault::TruncatedAnswer, 1),
    ] {
        let bench = Bench::start().await;
        let outcome = bench.meet(fault.clone()).await;
        assert_eq!(
            told(&outcome),
            ("failed", "connection_failed", None),
            "{fault:?}"
        );
        assert!(
            detail(&outcome).starts_with("the connection to Meta failed: it was closed"),
            "{}",
            detail(&outcome)
        );
        let summary = bench.sandbox.summary();
        assert_eq!(
            (summary.unique, summary.duplicates),
            (1, duplicates),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_batch_that_meta_counts_short_arrives_whole_in_the_end() {
    let bench = Bench::start().await;
    bench.inject(Fault::FewerReceived { missing: 3 }, 2);
    let outcomes = bench.deliver(&records(&*bench.sink, 10)).await;
    assert_eq!(delivered(&outcomes), 10);
    assert_eq!(arrived(&bench.sandbox), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_that_is_sent_alone_and_not_counted_is_rejected() {
    let bench = Bench::start().await;
    bench.inject(Fault::FewerReceived { missing: 1 }, 1);
    let outcomes = bench.deliver(&records(&*bench.sink, 1)).await;
    assert_eq!(told(&outcomes[0]), ("rejected", "not_confirmed", None));
}

#[tokio::test]
async fn an_expired_record_is_not_sent() {
    let bench = Bench::start().await;
    let mut batch = records(&*bench.sink, 3);
    batch[1].expires_at = NOW_MS / 1000;
    let outcomes = bench.deliver(&batch).await;
    assert_eq!(told(&outcomes[1]), ("rejected", "expired", None));
    assert_eq!(
        (delivered(&outcomes), arrived(&bench.sandbox)),
        (2, vec![0, 2])
    );
    let expired = [batch[1].clone()];
    assert_eq!(
        told(&bench.deliver(&expired).await[0]),
        ("rejected", "expired", None)
    );
    assert_eq!(bench.sandbox.summary().requests, 1);
}

#[tokio::test]
async fn a_host_that_is_down_is_retried_and_its_address_is_not_shown() {
    let bench = Bench::start().await;
    let batch = records(&*bench.sink, 2);
    bench.sandbox.stop().await;
    for outcome in bench.sink.deliver(&batch).await {
        assert_eq!(told(&outcome), ("retry", "connection_failed", None));
        assert_eq!(
            detail(&outcome),
            "the connection to Meta failed: refused; nothing listens there, or a firewall rejects it"
        );
    }
    let health = bench.sink.healthcheck().await;
    assert!(
        matches!(health, Err(HealthcheckError::Unavailable(reason)) if reason.code == "connection_failed")
    );
}

/// A sink that sends to a host which always answers this.
async fn sink_to(status: StatusCode, headers: HeaderMap, body: String) -> Box<dyn Sink> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(move || async move { (status, headers, body) });
    tokio::spawn(async { axum::serve(listener, app).await });
    build(&json!({ "endpoint": endpoint })).await
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let bench = Bench::start().await;
    let elsewhere = format!("{}/v25.0/1234567890123456/events", bench.sandbox.url());
    for status in [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
        let location = HeaderValue::from_str(&elsewhere).expect("a URL");
        let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
        let sink = sink_to(status, headers, String::new()).await;
        let outcomes = sink.deliver(&records(&*sink, 1)).await;
        assert_eq!(told(&outcomes[0]), ("failed", "way_unclear", None));
    }
    assert_eq!(bench.sandbox.summary().requests, 0);
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_read_to_its_end() {
    for (status, bytes, told_of_it) in [
        (StatusCode::OK, 200 * 1024, "delivered"),
        (StatusCode::OK, 300 * 1024, "failed"),
        (StatusCode::BAD_REQUEST, 300 * 1024, "failed"),
    ] {
        let body = json!({ "messages": ["x".repeat(bytes)], "events_received": 1 }).to_string();
        let sink = sink_to(status, HeaderMap::new(), body).await;
        let outcomes = sink.deliver(&records(&*sink, 1)).await;
        assert_eq!(told(&outcomes[0]).0, told_of_it, "{status} {bytes}");
    }
}

#[tokio::test]
async fn a_count_that_is_missing_or_too_high_is_retried() {
    for receipt in [
        json!({}),
        json!({ "events_received": 9 }),
        json!({ "events_received": "many" }),
    ] {
        let name = HeaderName::from_static("retry-after");
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("7"))]);
        let sink = sink_to(StatusCode::OK, headers, receipt.to_string()).await;
        for count in [1, 4] {
            for outcome in sink.deliver(&records(&*sink, count)).await {
                assert_eq!(
                    told(&outcome),
                    ("retry", "not_confirmed", None),
                    "{receipt}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_secret_of_the_app_proves_every_call_and_is_read_again() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, "geheim").expect("a file");
    let sandbox = Sandbox::start(SandboxOptions {
        now_ms: Some(Arc::new(|| NOW_MS)),
        access_tokens: vec![TOKEN.to_owned()],
        app_secret: Some(SECRET.to_owned()),
        ..SandboxOptions::default()
    });
    let sandbox = sandbox.await.expect("a sandbox");
    let sink = async |options: Value| {
        let mut options = options;
        options["endpoint"] = sandbox.url().into();
        build(&options).await
    };
    let blocked = |outcome: &Outcome| told(outcome) == ("blocked", "app_secret_required", None);
    let without = sink(json!({})).await;
    let batch = records(&*without, 3);
    let outcomes = without.deliver(&batch).await;
    assert!(outcomes.iter().all(blocked), "{outcomes:?}");
    assert!(detail(&outcomes[0]).contains("see `app_secret`"));
    assert!(without.healthcheck().await.is_err());
    let given = sink(json!({ "app_secret": SECRET })).await;
    assert_eq!(delivered(&given.deliver(&batch).await), 3);
    given.healthcheck().await.expect("a probe has its proof");
    let from_file = sink(json!({ "app_secret_file": file.clone() })).await;
    let outcomes = from_file.deliver(&batch).await;
    assert!(outcomes.iter().all(blocked), "{outcomes:?}");
    let text = detail(&outcomes[0]);
    assert!(
        text.contains("a proof was sent") && !text.contains("geheim"),
        "{text}"
    );
    std::fs::write(&file, format!("{SECRET}\n")).expect("a file");
    from_file.healthcheck().await.expect("the new secret");
    assert_eq!(delivered(&from_file.deliver(&batch).await), 3);
}

#[tokio::test]
async fn the_partner_travels_with_the_batch() {
    let bench = Bench::with(json!({ "partner_agent": "acme_1_0" })).await;
    let batch = records(&*bench.sink, 2);
    assert_eq!(delivered(&bench.deliver(&batch).await), 2);
    let request = &bench.sandbox.requests()[0];
    assert_eq!(request.partner_agent.as_deref(), Some("acme_1_0"));
}

fn with_headers(name: &str, value: &str) -> Fault {
    let headers = [(name.to_owned(), value.to_owned())].into();
    Fault::Headers { headers }
}

#[tokio::test]
async fn a_limit_that_is_reached_slows_sending_down_before_meta_refuses() {
    let bench = Bench::start().await;
    let batch = records(&*bench.sink, 4);
    bench.inject(with_headers("x-app-usage", r#"{"call_count":100}"#), 1);
    assert_eq!(delivered(&bench.deliver(&batch[..2]).await), 2);
    for outcome in bench.deliver(&batch[2..]).await {
        assert_eq!(
            told(&outcome),
            ("retry", "usage_high", Some(Duration::from_secs(30)))
        );
    }
    assert_eq!(bench.sandbox.summary().requests, 1, "nothing was sent");
    let bench = Bench::start().await;
    bench.inject(with_headers("x-app-usage", r#"{"call_count":99}"#), 2);
    assert_eq!(delivered(&bench.deliver(&batch[..2]).await), 2);
    assert_eq!(delivered(&bench.deliver(&batch[2..]).await), 2);
}

#[tokio::test]
async fn a_warning_about_the_version_is_told_once_a_day_and_noted() {
    let bench = Bench::start().await;
    let batch = records(&*bench.sink, 1);
    let warning = "The call has been auto-upgraded to v26.0 as v25.0 will be deprecated.";
    bench.inject(with_headers("x-ad-api-version-warning", warning), 2);
    assert_eq!(bench.sink.take_notices(), []);
    bench.deliver(&batch).await;
    let told = bench.sink.take_notices();
    let text =
        "Meta warns about this `api_version`; set it to a current one; it names v26.0, v25.0";
    assert_eq!((told.len(), &*told[0].detail), (1, text));
    bench.deliver(&batch).await;
    assert_eq!(bench.sink.take_notices(), []);
    let notes = bench.sink.coverage().expect("counted").notes;
    assert!(notes.iter().any(|note| note == text), "{notes:?}");
}
