//! Dead letters for people: over HTTP, beside the traffic of a pipeline that runs, and on the command line, the real program
//! against the sandbox.

use crate::api::Running;
use crate::operation::{Bench, post};
use crate::process::Process;
use crate::tally::eventually;
use graph_sandbox::Fault;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const TOKEN: &str = "a-token-for-the-api-0123456789";
/// The longest anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn refuse(bench: &Bench, id: &str) {
    let fault = Fault::RefuseEventId {
        event_id: id.to_owned(),
        code: 100,
        subcode: None,
    };
    bench.sandbox.inject(fault, 1_000).unwrap();
}

/// A pipeline whose interface takes the token.
async fn start(bench: Bench) -> Running {
    Running::start_with(bench, json!({"address": "127.0.0.1:0", "token": TOKEN})).await
}

async fn ask(running: &Running, method: Method, path: &str, body: Option<&Value>) -> Response {
    let url = format!("{}/api/v1/{path}", running.api);
    let request = reqwest::Client::new().request(method, url);
    let mut request = request.header("authorization", format!("Bearer {TOKEN}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json");
        request = request.body(body.to_string());
    }
    request.send().await.unwrap()
}

async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get(running: &Running, path: &str) -> Value {
    let (status, answer) = answer(ask(running, Method::GET, path, None).await).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn send(running: &Running, method: Method, path: &str, body: &Value) -> (u16, Value) {
    answer(ask(running, method, path, Some(body)).await).await
}

/// The answer at this path once it is as a test wants it.
async fn until(
    running: &Running,
    path: &str,
    is_wanted: impl Fn(&Value) -> bool + Send + Sync,
) -> Value {
    let reached = async {
        loop {
            let answer = get(running, path).await;
            if is_wanted(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, reached).await.expect(path)
}

/// A pipeline with so many letters that were refused, numbered from 0.
async fn with_letters(bench: Bench, count: usize) -> Running {
    let ids: Vec<_> = (0..count).map(|id| format!("e-{id}")).collect();
    for id in &ids {
        refuse(&bench, id);
    }
    let running = start(bench).await;
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    assert_eq!(post(&running.events, &ids).await, 200);
    until(&running, "letters", |answer| {
        answer["sinks"][0]["letters"] == count
    })
    .await;
    running.bench.sandbox.lift_faults();
    running
}

#[tokio::test]
async fn letters_are_shown_replayed_and_deleted_over_http() {
    let running = with_letters(Bench::new().await, 5).await;
    let groups = get(&running, "letters").await;
    let group = &groups["sinks"][0]["groups"][0];
    assert_eq!(
        (&group["reason"], &group["letters"]),
        (&json!("refused_invalid"), &json!(5)),
        "{groups}"
    );
    assert!(group["first"].is_string() && group["last"].is_string());
    assert!(group["example"].as_str().unwrap().contains("code 100"));

    // In parts, the newest first, each once.
    let (mut path, mut seen) = ("letters/meta?limit=2".to_owned(), Vec::new());
    loop {
        let part = get(&running, &path).await;
        let letters = part["letters"].as_array().unwrap();
        assert!(letters.len() <= 2);
        let ids = letters.iter().map(|letter| letter["event_id"].to_string());
        seen.extend(ids);
        assert!(letters.iter().all(|letter| letter.get("payload").is_none()));
        let Some(next) = part["next"].as_str() else {
            break;
        };
        path = format!("letters/meta?limit=2&before={next}");
    }
    let expected: Vec<_> = (0..5).rev().map(|id| format!("\"e-{id}\"")).collect();
    assert_eq!(seen, expected);

    let survey = json!({"dry_run": true, "reason": "refused_invalid"});
    let (status, survey) = send(&running, Method::POST, "letters/meta/replay", &survey).await;
    assert_eq!(
        (status, &survey["would_send"]),
        (200, &json!(5)),
        "{survey}"
    );
    let part = get(&running, "letters/meta?limit=1").await;
    let chosen = json!({"ids": [part["letters"][0]["id"], "e-0"]});
    let (status, job) = send(&running, Method::POST, "letters/meta/replay", &chosen).await;
    assert_eq!(status, 202, "{job}");
    let path = format!("jobs/{}", job["job"]);
    let ended = until(&running, &path, |job| job["state"] != "running").await;
    let figure = |key: &str| ended[key].as_u64().unwrap();
    assert_eq!(ended["state"], "done", "{ended}");
    assert_eq!(
        ["total", "done", "delivered", "rejected", "held", "unfit"].map(figure),
        [2, 2, 2, 0, 0, 0]
    );
    running.bench.delivered(2).await;
    assert_eq!(get(&running, "letters").await["sinks"][0]["letters"], 3);

    let purge = json!({"reason": "refused_invalid", "confirm": "meta"});
    let (status, purged) = send(&running, Method::DELETE, "letters/meta", &purge).await;
    assert_eq!((status, &purged["purged"]), (200, &json!(3)), "{purged}");
    let groups = get(&running, "letters").await;
    assert_eq!(groups["sinks"][0]["letters"], 0, "{groups}");
}

#[tokio::test]
async fn a_replay_has_its_own_way_beside_the_traffic_and_one_runs_at_a_time() {
    let running = with_letters(Bench::new().await, 3).await;
    // Paused, the replay waits with its letters.
    let paused = ask(&running, Method::POST, "sinks/meta/pause", None).await;
    assert_eq!(paused.status(), 200);
    let (status, job) = send(&running, Method::POST, "letters/meta/replay", &json!({})).await;
    assert_eq!(status, 202, "{job}");
    let (status, second) = send(&running, Method::POST, "letters/meta/replay", &json!({})).await;
    assert_eq!(
        (status, &second["error"]["code"]),
        (409, &json!("replay_running"))
    );
    // Another process has to wait, too; and nothing of it is purged.
    let file = running.bench.write();
    let replay = ["dead-letters", "replay", "--config", &file];
    let (ended, _, said) = Process::start(&replay).end().await;
    assert_ne!(ended.code(), Some(0));
    assert!(said.contains("being replayed already"), "{said}");
    let purge = json!({"reason": "refused_invalid", "confirm": "meta"});
    let (_, purged) = send(&running, Method::DELETE, "letters/meta", &purge).await;
    assert_eq!(
        (&purged["purged"], &purged["left_to_replay"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(post(&running.events, &["new"]).await, 200);
    let resumed = ask(&running, Method::POST, "sinks/meta/resume", None).await;
    assert_eq!(resumed.status(), 200);
    let path = format!("jobs/{}", job["job"]);
    let ended = until(&running, &path, |job| job["state"] != "running").await;
    assert_eq!(ended["delivered"], 3, "{ended}");
    running.bench.delivered(4).await;
    // The counters of the pipeline count its own events.
    let status = get(&running, "status").await;
    assert_eq!(status["sinks"][0]["counts"]["delivered"], 1, "{status}");
}

#[tokio::test]
async fn a_pipeline_that_stops_leaves_the_rest_of_a_replay_on_the_disk() {
    let running = with_letters(Bench::new().await, 3).await;
    let paused = ask(&running, Method::POST, "sinks/meta/pause", None).await;
    assert_eq!(paused.status(), 200);
    let (status, _) = send(&running, Method::POST, "letters/meta/replay", &json!({})).await;
    assert_eq!(status, 202);
    let Running { bench, process, .. } = running;
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
    let file = bench.write();
    let replay = ["dead-letters", "replay", "--config", &file];
    let (ended, table, said) = Process::start(&replay).end().await;
    assert_eq!(ended.code(), Some(0), "{table}{said}");
    assert_eq!(bench.sandbox.unique().len(), 3);
    assert_eq!(bench.sandbox.summary().duplicates, 0);
}

#[tokio::test]
async fn what_changes_letters_needs_the_token_json_and_the_name_of_the_sink() {
    let running = with_letters(Bench::new().await, 1).await;
    let replay = format!("{}/api/v1/letters/meta/replay", running.api);
    let client = reqwest::Client::new();
    let without = client
        .post(&replay)
        .header("content-type", "application/json");
    assert_eq!(without.body("{}").send().await.unwrap().status(), 401);
    let token = format!("Bearer {TOKEN}");
    for (media, body, expected) in [
        (None, "{}".to_owned(), 415),
        (Some("text/plain"), "{}".to_owned(), 415),
        (Some("application/json"), "{".to_owned(), 400),
        (
            Some("application/json"),
            r#"{"reasons":"x"}"#.to_owned(),
            400,
        ),
        (
            Some("application/json; charset=utf-8"),
            format!("{{\"ids\":[\"{}\"]}}", "x".repeat(300_000)),
            413,
        ),
        (
            Some("application/json"),
            r#"{"reason":"no_such_reason"}"#.to_owned(),
            422,
        ),
    ] {
        let mut request = client.post(&replay).header("authorization", &token);
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert_eq!(status, expected, "{text}");
        if status == 422 {
            assert!(text.contains("`refused_invalid`"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_names_no_sink_and_what_is_not_confirmed_is_refused() {
    let running = with_letters(Bench::new().await, 1).await;
    for (method, path, body, expected) in [
        (Method::POST, "letters/nobody/replay", json!({}), 404),
        (
            Method::DELETE,
            "letters/meta",
            json!({"reason": "refused_invalid", "confirm": "other"}),
            422,
        ),
        (
            Method::DELETE,
            "letters/meta",
            json!({"confirm": "meta"}),
            400,
        ),
        (
            Method::DELETE,
            "letters/nobody",
            json!({"reason": "refused_invalid", "confirm": "nobody"}),
            404,
        ),
    ] {
        let (status, answer) = send(&running, method, path, &body).await;
        assert_eq!(status, expected, "{path}: {answer}");
    }
    for path in [
        "letters/nobody",
        "jobs/7",
        "jobs/x",
        "letters/meta?limit=0",
        "letters/meta?limit=501",
        "letters/meta?before=x",
        "letters/meta?page=2",
    ] {
        let response = ask(&running, Method::GET, path, None).await;
        assert!(response.status().is_client_error(), "{path}");
    }
    assert_eq!(get(&running, "letters").await["sinks"][0]["letters"], 1);
}

#[tokio::test]
async fn it_warns_when_the_dead_letters_fill_up_and_says_when_that_is_over() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"dead_letters": {"max_bytes": 6_000}}));
    let mut running = with_letters(bench, 1).await;
    let has_warning = |status: &Value| {
        let attention = status["attention"].as_array().unwrap();
        attention
            .iter()
            .any(|finding| finding["code"] == "dead_letters_high")
    };
    assert!(!has_warning(&get(&running, "status").await));
    for id in 1..20 {
        let status = get(&running, "status").await;
        if status["sinks"][0]["dead_letters"]["percent"].as_u64() >= Some(80) {
            break;
        }
        let id = format!("f-{id}");
        refuse(&running.bench, &id);
        let before = status["sinks"][0]["dead_letters"]["bytes"].clone();
        // Beside one that passes: where every event is refused alike, the configuration is to blame.
        let passes = format!("passes-{id}");
        assert_eq!(post(&running.events, &[&id, &passes]).await, 200);
        until(&running, "status", |status| {
            status["sinks"][0]["dead_letters"]["bytes"] != before
        })
        .await;
    }
    running.process.says("% of their room").await;
    let status = get(&running, "status").await;
    assert!(has_warning(&status), "{status}");
    assert_eq!(status["ready"], true, "{status}");
    let purge = json!({"reason": "refused_invalid", "confirm": "meta"});
    let (status, purged) = send(&running, Method::DELETE, "letters/meta", &purge).await;
    assert_eq!(status, 200, "{purged}");
    running.process.says("dead letters have room again").await;
    assert!(!has_warning(&get(&running, "status").await));
}

/// A purchase without a currency.
fn purchase(id: &str) -> Value {
    json!({
        "type": "track", "event": "Order Completed", "messageId": id, "userId": "u",
        "properties": {"order_id": id, "total": 12.5}, "context": {"consent": {"marketing": true}},
    })
}

pub(crate) async fn dead_letters(arguments: &[&str], file: &str) -> (Option<i32>, String, String) {
    let all = [&["dead-letters"], arguments, &["--config", file]].concat();
    let (status, table, said) = Process::start(&all).end().await;
    (status.code(), table, said)
}

/// The number in the row of this label.
fn row(table: &str, label: &str) -> u64 {
    let row = table.lines().find(|line| line.trim().starts_with(label));
    let row = row.unwrap_or_else(|| panic!("no `{label}` in {table}"));
    let count = row.trim().strip_prefix(label).unwrap();
    count.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn options_that_were_changed_are_applied_and_what_stays_unfit_stays_where_it_is() {
    let mut bench = Bench::new().await;
    let (process, url) = bench.start(&["run"]).await;
    let events = json!([purchase("o-1"), purchase("o-2"), purchase("o-3")]);
    let request = reqwest::Client::new().post(&url);
    let request = request.header("content-type", "application/json");
    let sent = request.body(events.to_string()).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
    let file = bench.write();
    let (code, table, _) = dead_letters(&["replay", "--dry-run"], &file).await;
    assert_eq!(code, Some(0));
    assert_eq!(row(&table, "would be sent"), 0);
    assert_eq!(row(&table, "unfit: missing_currency"), 3);

    // One of them has become too old meanwhile.
    let segment = bench
        .folder
        .path()
        .join("data/dead_letters/meta/00000001.ndjson");
    let text = std::fs::read_to_string(&segment).unwrap();
    let lines = text.lines().map(|line| {
        let mut letter: Value = serde_json::from_str(line).unwrap();
        if letter["event_id"] == "o-3" {
            let old = json!(letter["event_time"].as_i64().unwrap() - 8 * 86_400);
            letter["payload"]["event_time"] = old;
        }
        format!("{letter}\n")
    });
    let text: String = lines.collect();
    std::fs::write(&segment, &text).unwrap();
    bench.sink(&json!({"default_currency": "CHF"}));
    let file = bench.write();
    let chosen = [
        "replay",
        "--dry-run",
        "--label",
        "Purchase",
        "--since",
        "1h",
        "--reason",
        "missing_currency",
        "--limit",
        "1",
    ];
    let (_, table, _) = dead_letters(&chosen, &file).await;
    assert_eq!(row(&table, "would be sent"), 1);
    assert_eq!(row(&table, "unfit: too_old"), 1);
    assert_eq!(row(&table, "left out by `--limit`"), 1);
    assert_eq!(std::fs::read_to_string(&segment).unwrap(), text);
    let (code, table, said) = dead_letters(&["replay", "--event-id", "o-2"], &file).await;
    assert_eq!(code, Some(0), "{table}{said}");
    assert_eq!(row(&table, "left out by a filter"), 2);
    let (code, table, said) = dead_letters(&["replay", "--until", "1h"], &file).await;
    assert_eq!(code, Some(0), "{table}{said}");
    assert_eq!(row(&table, "left out by a filter"), 2);
    let (code, table, said) = dead_letters(&["replay"], &file).await;
    assert_eq!(code, Some(0), "{table}{said}");
    assert_eq!(row(&table, "unfit: too_old"), 1);
    assert!(table.contains("meta: 1 letter stays as it was"), "{table}");
    let taken = bench.sandbox.accepted();
    assert_eq!(taken.len(), 2, "{taken:?}");
    for event in taken {
        assert!(event.contains("\"value\":12.5"), "{event}");
        assert!(event.contains("\"currency\":\"CHF\""), "{event}");
    }
    let (_, shown, _) = dead_letters(&["show"], &file).await;
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.contains("\"missing_currency\"") && shown.contains("\"o-3\""));
}

#[tokio::test]
async fn a_reason_that_no_letter_has_and_a_time_that_is_none_are_mistakes() {
    let running = with_letters(Bench::new().await, 1).await;
    let file = running.bench.write();
    for (arguments, expected) in [
        (
            &["replay", "--reason", "refused_by_nobody"][..],
            "expected one of `refused_invalid`",
        ),
        (&["replay", "--since", "yesterday"], "such as `2h`"),
        (&["replay", "--limit", "few"], "invalid digit"),
    ] {
        let (code, _, said) = dead_letters(arguments, &file).await;
        assert_eq!(code, Some(64), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{said}");
    }
    let known = ["replay", "--reason", "held_at_shutdown"];
    let (code, table, said) = dead_letters(&known, &file).await;
    assert_eq!(code, Some(0), "{table}{said}");
}

#[tokio::test]
async fn a_replay_that_is_killed_again_and_again_loses_nothing() {
    const LETTERS: usize = 60;
    const KILLS: u64 = 6;
    let mut bench = Bench::new().await;
    bench.sink(&json!({
        "batch": {"max_events": 5, "timeout_secs": 0.01}, "endpoint": "http://127.0.0.1:9",
        "retry": {"initial_backoff_secs": 0.01, "max_backoff_secs": 0.01, "max_attempts": 1},
    }));
    let (process, url) = bench.start(&["run"]).await;
    let ids: Vec<_> = (0..LETTERS).map(|id| format!("e-{id}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    assert_eq!(post(&url, &ids).await, 200);
    process.terminate();
    process.end().await;
    let url = bench.sandbox.url();
    bench.sink(&json!({"endpoint": url}));
    let file = bench.write();
    let (_, shown, _) = dead_letters(&["show"], &file).await;
    assert_eq!(shown.lines().count(), LETTERS, "{shown}");
    for id in ["e-3", "e-17", "e-41"] {
        refuse(&bench, id);
    }
    // In the middle of it, and one after it has ended.
    let wanted = |before: u64, kill: u64| (before + 5 * kill).min(57);
    kill_replays(&bench, &["replay"], LETTERS, KILLS, wanted).await;
    let (code, table, said) = dead_letters(&["replay"], &file).await;
    assert_eq!(code, Some(1), "three are refused again: {table}{said}");
    let (_, shown, _) = dead_letters(&["show"], &file).await;
    let left: Vec<_> = shown.lines().map(id_of).collect();
    let once: BTreeSet<_> = left.iter().map(String::as_str).collect();
    assert_eq!(once, BTreeSet::from(["e-17", "e-3", "e-41"]), "{shown}");
    assert_eq!(left.len(), 3, "each is there once: {shown}");
    assert_eq!(bench.sandbox.unique().len(), LETTERS - 3);
}

/// Kills a replay with these arguments again and again, each time once the sandbox has had as many events as `wanted` says of the
/// number before and of the kill: no letter is lost.
pub(crate) async fn kill_replays(
    bench: &Bench,
    replay: &[&str],
    letters: usize,
    kills: u64,
    wanted: impl Fn(u64, u64) -> u64,
) {
    let file = bench.write();
    let all = [&["dead-letters"], replay, &["--config", &file]].concat();
    for kill in 0..kills {
        let before = bench.sandbox.summary().unique;
        bench
            .sandbox
            .inject(Fault::Delay { millis: 20 }, 5)
            .unwrap();
        let process = Process::start(&all);
        let wanted = wanted(before, kill);
        let has_come = || bench.sandbox.summary().unique >= wanted;
        eventually(has_come, || bench.sandbox.summary().unique.to_string()).await;
        process.kill().await;
        let (code, shown, said) = dead_letters(&["show"], &file).await;
        assert_eq!(code, Some(0), "{said}");
        let mut known: BTreeSet<String> = shown.lines().map(id_of).collect();
        known.extend(bench.sandbox.unique().iter().map(|event| id_of(event)));
        assert_eq!(known.len(), letters, "after kill {kill}");
    }
}

pub(crate) fn id_of(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    value["event_id"].as_str().unwrap().to_owned()
}
