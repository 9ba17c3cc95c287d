//! The real binary and a hundred events, where something dislikes one of them, or the answers are not Meta's: what arrives, what
//! becomes a dead letter, what is held, and how many requests that takes.

use crate::tally::{Bench, Recorded, TOKEN, events_url, files_of, personal};
use graph_sandbox::{AnyAnswer, Fault, Obstructed, SandboxOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::process::Command;

const EVENTS: usize = 100;
/// Answers of a fault that passes.
const PASSING: u32 = 8;
/// The one that is disliked.
const ODD: &str = "e-40";
const PAGE: &str = "<!DOCTYPE html><html><head><title>Request blocked</title></head></html>";
/// Requests for one odd event among a hundred that is refused: the batch, 2·log₂(100) + 1 more, and five to be sure of it.
const MOST_FOR_A_REFUSAL: u64 = 1 + 15 + 5;
/// Requests for one that fails: the batch three times, one probe, the search, and some attempts alone.
const MOST_FOR_A_FAILURE: u64 = 3 + 1 + 15 + 20;

fn page(status: u16) -> AnyAnswer {
    AnyAnswer {
        status,
        body: PAGE.to_owned(),
        headers: [("content-type".to_owned(), "text/html".to_owned())].into(),
        millis: 0,
    }
}

fn graph(status: u16, error: &Value) -> AnyAnswer {
    AnyAnswer {
        status,
        body: json!({ "error": error }).to_string(),
        headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
        millis: 0,
    }
}

fn for_one(answer: AnyAnswer) -> Fault {
    let when = Obstructed {
        event_id: Some(ODD.to_owned()),
        ..Obstructed::default()
    };
    Fault::Obstacle { answer, when }
}

fn above(bytes: usize, answer: AnyAnswer) -> Fault {
    let when = Obstructed {
        above_bytes: Some(bytes),
        ..Obstructed::default()
    };
    Fault::Obstacle { answer, when }
}

fn for_all(answer: AnyAnswer, probes: bool) -> Fault {
    let when = Obstructed {
        probes,
        ..Obstructed::default()
    };
    Fault::Obstacle { answer, when }
}

/// A hundred events in a file, and a destination with an obstacle.
struct Case(Bench);

impl Case {
    async fn new(fault: Fault) -> Self {
        let source = json!({"type": "file", "path": "events.ndjson"});
        let mut bench = Bench::new(&source).await;
        bench.sink(&json!({
            "batch": {"timeout_secs": 3600}, "timeout_secs": 1,
            "retry": {"initial_backoff_secs": 0.01, "max_backoff_secs": 60},
        }));
        let lines: String = (0..EVENTS).fold(String::new(), |lines, id| {
            format!("{lines}{}\n", personal(&format!("e-{id}")))
        });
        std::fs::write(bench.path("events.ndjson"), lines).unwrap();
        bench.sandbox.inject(fault, PASSING).unwrap();
        Self(bench)
    }

    /// Runs until so many events have met their fate, and ends the run. Returns all that it said.
    async fn run(&self, fated: usize, waits_for: Option<&str>) -> String {
        let run = self.0.start();
        self.0.settle(fated).await;
        if let Some(word) = waits_for {
            run.says(word).await;
            run.terminate();
        }
        self.end(run).await
    }

    async fn end(&self, run: Recorded) -> String {
        let (_, said) = run.end().await;
        self.0.keeps_secrets(&said);
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// Every event but the odd one has arrived, once.
    fn others_arrived(&self, name: &str) {
        let fates = self.0.fates();
        assert_eq!(fates.accepted.len(), EVENTS - 1, "{name}");
        assert!(!fates.accepted.contains(ODD), "{name}");
        assert_eq!(fates.duplicates, 0, "{name}");
    }

    fn requests(&self) -> u64 {
        self.0.sandbox.summary().requests
    }

    fn letters(&self) -> BTreeMap<String, String> {
        self.0.letters().0
    }
}

/// What must not be said where the answer is not Meta's.
fn speaks_of_the_token(said: &str) -> bool {
    ["access token", "permission", "Events Manager"]
        .iter()
        .any(|word| said.contains(word))
}

fn held(said: &str) -> String {
    let row = said.lines().find(|line| line.trim().starts_with("held"));
    row.map_or("0", |row| row.split_whitespace().last().unwrap())
        .to_owned()
}

#[tokio::test]
async fn requests_that_are_too_large_for_the_way_are_cut_and_all_events_arrive() {
    let less = json!({"code": 1, "message": "Please reduce the amount of data you're asking for, then retry your request"});
    for answer in [page(413), graph(500, &less), graph(400, &less)] {
        let case = Case::new(above(20_000, answer)).await;
        let said = case.run(EVENTS, None).await;
        let fates = case.0.fates();
        assert_eq!(
            (fates.accepted.len(), fates.duplicates),
            (EVENTS, 0),
            "{said}"
        );
        assert_eq!(case.letters().len(), 0);
        let requests = case.0.sandbox.requests();
        assert!(requests.len() <= 15, "{} requests", requests.len());
        let sizes: Vec<_> = requests.iter().map(|request| request.bytes).collect();
        assert!(
            sizes[0] > 20_000 && sizes.iter().sum::<usize>() < 4 * sizes[0],
            "{sizes:?}"
        );
    }
}

#[tokio::test]
async fn one_event_that_something_on_the_way_refuses_becomes_a_dead_letter_and_the_others_arrive() {
    for status in [200, 302, 400, 401, 403, 404, 406, 413, 451] {
        let case = Case::new(for_one(page(status))).await;
        let said = case.run(EVENTS, None).await;
        case.others_arrived(&status.to_string());
        let expected = [(ODD.to_owned(), "refused_on_the_way".to_owned())];
        assert_eq!(case.letters(), expected.into(), "{status}");
        assert_eq!(held(&said), "0", "{said}");
        assert!(!speaks_of_the_token(&said), "{said}");
        let requests = case.requests();
        assert!(
            requests <= MOST_FOR_A_REFUSAL + 8 * u64::from(status == 413),
            "{status}: {requests}"
        );
    }
}

#[tokio::test]
async fn where_every_request_is_refused_on_the_way_all_events_are_held_and_it_is_said_what_to_look_at()
 {
    for (status, probes, word) in [
        (200, true, "login pages"),
        (400, true, "firewall"),
        (403, true, "firewall"),
        (403, false, "firewall"),
        (406, false, "firewall"),
        (401, true, "proxy"),
        (404, true, "`endpoint`"),
        (413, false, "limits the size"),
        (302, true, "redirect"),
    ] {
        let case = Case::new(for_all(page(status), probes)).await;
        let run = case.0.start();
        run.says("delivery is blocked: something on the way to Meta refuses every request")
            .await;
        let requests = case.requests();
        assert!(requests <= 20, "{status}: {requests}");
        assert!(run.said().contains(word), "{}", run.said());
        assert!(!speaks_of_the_token(&run.said()), "{}", run.said());
        assert_eq!(
            (case.letters().len(), case.0.sandbox.summary().accepted),
            (0, 0)
        );
        // It resumes by itself.
        case.0.sandbox.lift_faults();
        case.0.settle(EVENTS).await;
        let said = case.end(run).await;
        assert_eq!(
            (held(&said), case.letters().len()),
            ("0".to_owned(), 0),
            "{said}"
        );
    }
}

/// What a person has to change is no event's fault.
#[tokio::test]
async fn answers_about_the_configuration_hold_all_events_at_the_cost_of_few_requests() {
    let proof = "API calls from the server require an appsecret_proof argument";
    for (status, error, probes) in [
        (
            400,
            json!({"code": 2635, "message": "(#2635) You are calling a deprecated version"}),
            false,
        ),
        (
            400,
            json!({"code": 100, "type": "GraphMethodException", "message": proof}),
            false,
        ),
        (400, json!({"code": 5}), true),
        (400, json!({"code": 101}), true),
        (401, json!({"code": 190}), true),
        (400, json!({"code": 190, "error_subcode": 463}), false),
        (403, json!({"code": 200}), false),
        (400, json!({"code": 100, "error_subcode": 33}), true),
        (400, json!({"code": 100, "error_subcode": 2_804_065}), false),
    ] {
        let case = Case::new(for_all(graph(status, &error), probes)).await;
        let run = case.0.start();
        run.says("delivery is blocked").await;
        let (requests, accepted) = (case.requests(), case.0.sandbox.summary().accepted);
        assert!(requests <= 20, "{error}: {requests}");
        assert_eq!((case.letters().len(), accepted), (0, 0), "{error}");
        run.terminate();
        let said = case.end(run).await;
        assert_eq!(held(&said), EVENTS.to_string(), "{error}: {said}");
        case.0.sandbox.lift_faults();
        let said = case.run(EVENTS, None).await;
        let fates = case.0.fates();
        let all = (fates.accepted.len(), fates.dead.len(), fates.duplicates);
        assert_eq!(all, (EVENTS, 0, 0), "{error}: {said}");
    }
}

#[tokio::test]
async fn answers_that_confirm_nothing_hold_all_events_and_are_repeated_ever_more_rarely() {
    for body in ["", "[]", "null", "{}", "{\"events_received\": 101}"] {
        let answer = AnyAnswer {
            status: 200,
            body: body.to_owned(),
            ..AnyAnswer::default()
        };
        let case = Case::new(for_all(answer, false)).await;
        let run = case.0.start();
        run.says("delivery failed").await;
        run.terminate();
        let said = case.end(run).await;
        assert_eq!(
            (held(&said), case.letters().len()),
            (EVENTS.to_string(), 0),
            "{body}: {said}"
        );
        let requests = case.requests();
        assert!(requests <= 20, "{body}: {requests}");
        assert!(!speaks_of_the_token(&said), "{said}");
    }
}

#[tokio::test]
async fn usage_of_all_of_a_limit_pauses_before_anything_is_refused() {
    let headers = [("x-app-usage".to_owned(), "{\"call_count\":100}".to_owned())];
    let mut case = Case::new(Fault::Headers {
        headers: headers.into(),
    })
    .await;
    let options = json!({"batch": {"max_events": EVENTS / 2}, "request": {"concurrency": 1}});
    case.0.sink(&options);
    let run = case.0.start();
    run.says("usage_high").await;
    assert_eq!(case.requests(), 1, "half of the events went out");
    run.terminate();
    let said = case.end(run).await;
    assert_eq!(held(&said), (EVENTS / 2).to_string(), "{said}");
    assert_eq!(
        (case.letters().len(), case.0.sandbox.summary().unique),
        (0, 50)
    );
}

#[tokio::test]
async fn one_event_on_which_the_destination_fails_is_held_and_the_others_arrive() {
    let transient = json!({"code": 100, "error_subcode": 2_804_009, "is_transient": true});
    let slow = AnyAnswer {
        millis: 2_000,
        ..page(504)
    };
    for (name, answer) in [
        ("a page of status 500", page(500)),
        ("a page of status 503", page(503)),
        ("code 2", graph(500, &json!({"code": 2}))),
        ("code 1", graph(500, &json!({"code": 1}))),
        ("a transient error", graph(400, &transient)),
        ("no answer", AnyAnswer::default()),
        (
            "nothing in 200",
            AnyAnswer {
                status: 200,
                ..AnyAnswer::default()
            },
        ),
        ("no answer in time", slow),
    ] {
        let case = Case::new(for_one(answer)).await;
        let said = case.run(EVENTS - 1, Some("it waits aside")).await;
        case.others_arrived(name);
        assert_eq!(
            (held(&said), case.letters().len()),
            ("1".to_owned(), 0),
            "{name}: {said}"
        );
        assert!(
            said.contains("an event fails alone while others are delivered"),
            "{said}"
        );
        let requests = case.requests();
        assert!(requests <= MOST_FOR_A_FAILURE, "{name}: {requests}");
    }
}

#[tokio::test]
async fn a_place_that_is_named_wrongly_costs_no_other_event() {
    let error = json!({
        "code": 100, "error_subcode": 2_804_019, "error_user_msg": "Malformed on param $['data'][0]['event_id']",
    });
    let case = Case::new(for_one(graph(400, &error))).await;
    let said = case.run(EVENTS, None).await;
    case.others_arrived("a wrong place");
    let expected = [(ODD.to_owned(), "refused_invalid".to_owned())];
    assert_eq!(case.letters(), expected.into(), "{said}");
    let requests = case.requests();
    assert!(requests <= MOST_FOR_A_REFUSAL, "{requests}");
}

#[tokio::test]
async fn answers_that_pass_cost_no_event_and_few_requests() {
    for (status, word) in [
        (429, "limits the rate"),
        (500, "temporary error"),
        (503, "temporary error"),
        (408, "temporary error"),
    ] {
        let answer = page(status);
        let case = Case::new(Fault::Answer { answer }).await;
        let said = case.run(EVENTS, None).await;
        let fates = case.0.fates();
        assert_eq!(
            (fates.accepted.len(), fates.dead.len()),
            (EVENTS, 0),
            "{said}"
        );
        assert!(said.contains(word), "{said}");
        let requests = case.requests();
        assert!(requests <= 14, "{status}: {requests}");
    }
}

#[tokio::test]
async fn an_event_that_keeps_failing_while_others_are_delivered_becomes_a_dead_letter() {
    let web = json!({"type": "http_server", "address": "127.0.0.1:0"});
    let mut bench = Bench::new(&web).await;
    bench.sink(&json!({"retry": {
        "initial_backoff_secs": 0.01, "max_backoff_secs": 0.01, "poison_after_secs": 0,
    }}));
    bench.sandbox.inject(for_one(page(500)), 1).unwrap();
    let run = bench.start();
    let url = events_url(&run.says("address=").await);
    let client = reqwest::Client::new();
    let post = async |ids: Vec<String>| {
        let events: Vec<_> = ids.iter().map(|id| personal(id)).collect();
        let request = client.post(&url).header("content-type", "application/json");
        let answer = request.body(json!(events).to_string()).send().await;
        assert_eq!(answer.unwrap().status().as_u16(), 200);
    };
    post((0..EVENTS).map(|id| format!("e-{id}")).collect()).await;
    let mut next = EVENTS;
    while bench.letters().0.is_empty() {
        post(vec![format!("e-{next}")]).await;
        next += 1;
        bench.settle(next - 1).await;
    }
    let letters = bench.letters().0;
    assert_eq!(
        letters,
        [(ODD.to_owned(), "keeps_failing".to_owned())].into()
    );
    bench.settle(next).await;
    run.terminate();
    let (_, said) = run.end().await;
    bench.keeps_secrets(&said);
    assert_eq!(
        (held(&said), bench.fates().accepted.len()),
        ("0".to_owned(), next - 1),
        "{said}"
    );
    assert!(!said.contains(TOKEN));
}

#[tokio::test]
async fn the_secret_of_the_app_proves_calls_and_is_nowhere_and_a_warning_about_the_version_is_told_once()
 {
    const SECRET: &str = "5ec3e7ofthe7e57app5ec3e7ofthe7e5";
    let source = json!({"type": "file", "path": "events.ndjson"});
    let options = SandboxOptions {
        app_secret: Some(SECRET.to_owned()),
        ..SandboxOptions::default()
    };
    let mut bench = Bench::with(&source, options).await;
    std::fs::write(bench.path("secret"), SECRET).unwrap();
    bench.sink(
        &json!({"app_secret_file": "secret", "batch": {"max_events": 5}, "api_version": "v20.0"}),
    );
    let lines: String = (0..EVENTS).fold(String::new(), |lines, id| {
        format!("{lines}{}\n", personal(&format!("e-{id}")))
    });
    std::fs::write(bench.path("events.ndjson"), lines).unwrap();
    let run = |bench: &Bench| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command.args(["--log-level", "trace", "run", &bench.write()]);
        Recorded::start(command)
    };
    // An ended version is noted at the start, and blocks.
    let blocked = run(&bench);
    blocked
        .says("delivery is blocked: Meta has ended this API version")
        .await;
    blocked.terminate();
    let (_, said) = blocked.end().await;
    assert!(
        said.contains("api_version: has ended on 2026-09-24"),
        "{said}"
    );
    bench.sink(&json!({"api_version": "v25.0"}));
    let headers = [(
        "x-ad-api-version-warning".to_owned(),
        "auto-upgraded to v26.0".to_owned(),
    )];
    let fault = Fault::Headers {
        headers: headers.into(),
    };
    bench.sandbox.inject(fault, 1000).unwrap();
    let (_, again) = run(&bench).end().await;
    assert_eq!(bench.fates().accepted.len(), EVENTS, "{again}");
    let warning = "Meta warns about this `api_version`; set it to a current one; it names v26.0";
    assert_eq!(
        again.matches("reason=\"version_warning\"").count(),
        1,
        "{again}"
    );
    assert!(again.contains(warning), "{again}");
    let proof = "8dcb04592f9bfc1290c4f18a3b8c0d36ae5f101723187fbe98030ccd98a7f2e9";
    let files = String::from_utf8_lossy(&files_of(&bench.path("data"))).into_owned();
    for (place, text) in [
        ("what was said", said),
        ("what was said", again),
        ("a file", files),
    ] {
        for secret in [SECRET, proof, TOKEN] {
            assert!(!text.contains(secret), "`{secret}` is in {place}");
        }
    }
}
