//! What an operator does with a pipeline that runs: stop it, kill it, change its options, and replay what failed.

use crate::destination::dead_letters;
use crate::process::{Process, event};
use crate::tally::files_of;
use graph_sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

const TOKEN: &str = "the-token-of-today";
/// The longest anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// A folder with a pipeline file, and a destination that takes one token.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) sandbox: Sandbox,
    pub(crate) pipeline: Value,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let sandbox = Sandbox::start(SandboxOptions {
            access_tokens: vec![TOKEN.to_owned()],
            ..SandboxOptions::default()
        });
        let sandbox = sandbox.await.unwrap();
        let pipeline = json!({
            "sources": {"web": {"type": "http_server", "address": "127.0.0.1:0"}},
            "sinks": {"meta": {
                "type": "meta_conversions", "inputs": ["web"], "preset": "retail", "pixel_id": "1234567890123456",
                "access_token": TOKEN, "endpoint": sandbox.url(), "batch": {"timeout_secs": 0.01},
                "retry": {"initial_backoff_secs": 0.01, "max_backoff_secs": 0.1},
            }},
        });
        Self {
            folder: tempfile::tempdir().unwrap(),
            sandbox,
            pipeline,
        }
    }

    /// Options of the sink, laid over the others.
    pub(crate) fn sink(&mut self, options: &Value) {
        let sink = self.pipeline["sinks"]["meta"].as_object_mut().unwrap();
        sink.extend(options.as_object().unwrap().clone());
    }

    pub(crate) fn write(&self) -> String {
        let file = self.folder.path().join("pipeline.json");
        std::fs::write(&file, self.pipeline.to_string()).unwrap();
        file.display().to_string()
    }

    /// Starts it; returns the process and where it takes events.
    pub(crate) async fn start(&self, arguments: &[&str]) -> (Process, String) {
        self.start_with(arguments, &[]).await
    }

    async fn start_with(&self, arguments: &[&str], env: &[(&str, &str)]) -> (Process, String) {
        let file = self.write();
        let mut process = Process::start_with(&[arguments, &[file.as_str()]].concat(), env);
        let url = format!("http://{}/v1/events", process.address("address=").await);
        (process, url)
    }

    /// Waits until the destination has taken so many different events.
    pub(crate) async fn delivered(&self, events: usize) {
        let reached = async {
            while self.sandbox.unique().len() < events {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, reached).await;
        assert!(
            in_time.is_ok(),
            "{} of {events}",
            self.sandbox.unique().len()
        );
    }

    fn letters(&self) -> String {
        dead_letters(self.folder.path(), "meta")
    }
}

pub(crate) async fn post(url: &str, ids: &[&str]) -> u16 {
    let events: Vec<_> = ids.iter().map(|id| event(id)).collect();
    let request = reqwest::Client::new().post(url);
    let request = request.header("content-type", "application/json");
    let response = request.body(json!(events).to_string()).send().await;
    response.unwrap().status().as_u16()
}

fn row<'a>(table: &'a str, label: &str) -> &'a str {
    let row = table.lines().find(|line| line.trim().starts_with(label));
    row.unwrap_or_else(|| panic!("no `{label}` in {table}"))
}

#[tokio::test]
async fn what_a_disk_buffer_holds_when_it_is_told_to_stop_is_sent_by_the_next_run() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"buffer": {"type": "disk"}, "access_token": "revoked"}));
    let (mut process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["one", "two"]).await, 200);
    process.says("delivery is blocked").await;
    process.terminate();
    let left = process.says("left: ").await;
    assert!(left.ends_with("left: 2 in meta, on disk"), "{left}");
    let (status, table, _) = process.end().await;
    assert_eq!(status.code(), Some(0), "nothing is lost: {table}");
    assert!(row(&table, "held").ends_with(" 2"), "{table}");
    assert!(
        table.contains("on disk, and sent by the next run"),
        "{table}"
    );
    assert_eq!(bench.letters(), "");

    bench.sink(&json!({"access_token": TOKEN}));
    let (process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["three"]).await, 200);
    bench.delivered(3).await;
    process.terminate();
    let (status, table, _) = process.end().await;
    assert_eq!(status.code(), Some(0), "{table}");
    assert!(row(&table, "resumed").ends_with(" 2"), "{table}");
    assert!(row(&table, "delivered").ends_with(" 3"), "{table}");
    assert_eq!(bench.sandbox.summary().duplicates, 0);
}

#[tokio::test]
async fn what_was_answered_outlives_a_kill_and_no_personal_data_or_token_is_in_any_file() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"buffer": {"type": "disk"}, "endpoint": "http://127.0.0.1:9"}));
    let (process, url) = bench.start(&["run"]).await;
    let mut personal = event("one");
    personal["traits"] = json!({"email": "Ottilie.Quandt@example.org", "phone": "+4915112345678", "firstName": "Ottilie"});
    personal["context"]["page"] =
        json!({"url": "https://shop.example/?email=Ottilie.Quandt@example.org"});
    let client = reqwest::Client::new()
        .post(&url)
        .header("content-type", "application/json");
    let response = client.body(personal.to_string()).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(post(&url, &["two", "three"]).await, 200);
    process.kill().await;
    let files = String::from_utf8_lossy(&files_of(bench.folder.path())).to_lowercase();
    assert!(files.contains("addtocart"), "the records are there");
    for secret in ["ottilie", "quandt", "15112345678", TOKEN] {
        assert!(!files.contains(secret), "{secret} stands in a file");
    }
    let url = bench.sandbox.url();
    bench.sink(&json!({"endpoint": url}));
    let (process, _) = bench.start(&["run"]).await;
    bench.delivered(3).await;
    process.terminate();
    let (status, table, _) = process.end().await;
    assert_eq!(status.code(), Some(0), "{table}");
}

#[tokio::test]
async fn an_answer_end_to_end_comes_after_the_delivery() {
    let mut bench = Bench::new().await;
    bench.pipeline["sources"]["web"]["acknowledgements"] = json!("end_to_end");
    for buffer in ["memory", "disk"] {
        bench.sink(&json!({"buffer": {"type": buffer}}));
        let (process, url) = bench.start(&["run"]).await;
        bench.sandbox.reset();
        for id in ["one", "two", "three"] {
            let before = bench.sandbox.unique().len();
            assert_eq!(post(&url, &[id]).await, 200);
            assert_eq!(bench.sandbox.unique().len(), before + 1, "{buffer}");
        }
        process.terminate();
        assert_eq!(process.end().await.0.code(), Some(0));
    }
}

#[tokio::test]
async fn a_changed_file_of_the_token_ends_the_waiting_without_a_restart() {
    let mut bench = Bench::new().await;
    let token = bench.folder.path().join("token");
    std::fs::write(&token, "revoked").unwrap();
    let sink = bench.pipeline["sinks"]["meta"].as_object_mut().unwrap();
    sink.remove("access_token");
    bench.sink(&json!({"access_token_file": "token"}));
    let (mut process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["one"]).await, 200);
    process.says("delivery is blocked").await;
    std::fs::write(&token, TOKEN).unwrap();
    process.says("delivery has resumed").await;
    bench.delivered(1).await;
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn a_proxy_of_the_environment_or_of_the_options_is_used_and_its_password_is_not_shown() {
    let through_options = json!({"endpoint": "http://127.0.0.1:9", "proxy": null});
    for (variable, is_used) in [
        (Some("HTTP_PROXY"), true),
        (Some("all_proxy"), true),
        (Some("HTTPS_PROXY"), false),
        (None, true),
    ] {
        let mut bench = Bench::new().await;
        // The sandbox answers whatever host it is asked for, as a proxy would.
        let proxy = bench
            .sandbox
            .url()
            .replace("http://", "http://user:geheim@");
        let mut options = through_options.clone();
        if variable.is_none() {
            options["proxy"] = proxy.as_str().into();
        }
        bench.sink(&options);
        let env: Vec<_> = variable
            .iter()
            .map(|name| (*name, proxy.as_str()))
            .collect();
        let (mut process, url) = bench
            .start_with(&["run", "--log-level", "trace"], &env)
            .await;
        assert_eq!(post(&url, &["one"]).await, 200);
        if !is_used {
            let line = process.says("delivery failed").await;
            let expected = "the connection to Meta failed: refused";
            assert!(
                line.contains(expected) && !line.contains("geheim"),
                "{line}"
            );
            process.kill().await;
            continue;
        }
        bench.delivered(1).await;
        process.terminate();
        let (_, stdout, stderr) = process.end().await;
        assert!(!format!("{stdout}{stderr}").contains("geheim"), "{stderr}");
    }
}

#[tokio::test]
async fn a_proxy_variable_that_is_not_understood_stops_the_start_and_is_named() {
    let bench = Bench::new().await;
    let file = bench.write();
    for (name, value) in [
        ("HTTP_PROXY", "socks4://user:geheim@p:1"),
        ("ALL_PROXY", "geheim p"),
    ] {
        let process = Process::start_with(&["run", &file], &[(name, value)]);
        let (status, _, stderr) = process.end().await;
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(&format!("the environment variable `{name}`")),
            "{stderr}"
        );
        assert!(!stderr.contains("geheim"), "{stderr}");
    }
}

#[tokio::test]
async fn a_reload_changes_the_sinks_that_changed_and_a_bad_file_changes_nothing() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"access_token": "revoked"}));
    let (mut process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["one"]).await, 200);
    process.says("delivery is blocked").await;

    let good = bench.pipeline.clone();
    bench.sink(&json!({"access_token": TOKEN, "presett": "retail"}));
    bench.write();
    process.signal("HUP");
    process.says("the new configuration is not used").await;
    let problem = process.says("presett").await;
    assert!(
        problem.contains("did you mean `preset`?") && !problem.contains(TOKEN),
        "{problem}"
    );

    bench.pipeline = good.clone();
    bench.pipeline["data_dir"] = json!("elsewhere");
    bench.write();
    process.signal("HUP");
    let refused = process.says("the new configuration is not used").await;
    assert!(
        refused.contains("`data_dir` cannot change while the pipeline runs"),
        "{refused}"
    );
    bench.pipeline = good.clone();
    bench.sink(&json!({"buffer": {"type": "disk"}}));
    bench.write();
    process.signal("HUP");
    let refused = process.says("the new configuration is not used").await;
    assert!(
        refused.contains("`sinks.meta.buffer.type` cannot change while sink `meta` runs"),
        "{refused}"
    );

    bench.pipeline = good;
    bench.sink(&json!({"access_token": TOKEN}));
    bench.write();
    process.signal("HUP");
    let said = process.says("reloaded sink meta: ").await;
    assert!(
        said.contains("access_token") && !said.contains(TOKEN),
        "{said}"
    );
    process.says("delivery has resumed").await;
    bench.delivered(1).await;

    process.signal("HUP");
    process.says("nothing has changed").await;
    bench.sink(&json!({"event_mappings": {"Product Added": "Lead"}}));
    bench.write();
    process.signal("HUP");
    let said = process.says("reloaded sink meta: ").await;
    assert!(said.contains("event_mappings"), "{said}");
    assert_eq!(post(&url, &["two"]).await, 200);
    bench.delivered(2).await;
    assert!(bench.sandbox.accepted()[1].contains("\"Lead\""));
    process.terminate();
    let (status, table, _) = process.end().await;
    assert_eq!(status.code(), Some(0), "{table}");
    assert!(row(&table, "delivered").ends_with(" 2"), "{table}");
}

#[tokio::test]
async fn a_watched_file_is_taken_up_when_it_changes_and_so_is_the_preset_that_it_names() {
    let mut bench = Bench::new().await;
    let preset = bench.folder.path().join("preset.json");
    let mapping = |meta: &str| {
        let preset = json!({
            "name": "mine", "title": "Mine", "description": "Of this test.", "include": ["event", "identity", "money"],
            "events": [{"from": ["Product Added"], "to": meta}],
        });
        preset.to_string()
    };
    std::fs::write(&preset, mapping("AddToCart")).unwrap();
    bench.sink(&json!({"access_token": "revoked", "preset": {"file": "preset.json"}}));
    let (mut process, url) = bench.start(&["run", "--watch-config"]).await;
    assert_eq!(post(&url, &["one"]).await, 200);
    process.says("delivery is blocked").await;
    bench.sink(&json!({"access_token": TOKEN}));
    bench.write();
    process.says("reloaded sink meta: access_token").await;
    bench.delivered(1).await;
    std::fs::write(&preset, mapping("AddToWishlist")).unwrap();
    process.says("reloaded sink meta: a value from").await;
    assert_eq!(post(&url, &["two"]).await, 200);
    bench.delivered(2).await;
    assert!(bench.sandbox.accepted()[1].contains("\"AddToWishlist\""));
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn a_replay_sends_dead_letters_again_and_what_fails_again_keeps_its_history() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"endpoint": "http://127.0.0.1:9", "retry": {
        "initial_backoff_secs": 0.01, "max_backoff_secs": 0.01, "max_attempts": 2,
    }}));
    let (process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["one", "two", "three"]).await, 200);
    assert_eq!(post_broken(&url).await, 200);
    let written = async {
        while bench.letters().lines().count() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, written).await.unwrap();
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
    assert_eq!(bench.letters().matches("\"retries_exhausted\"").count(), 3);

    let file = bench.write();
    let replay = ["dead-letters", "replay", "--config", &file];
    let (status, table, _) = Process::start(&replay).end().await;
    assert_eq!(status.code(), Some(1), "still unreachable: {table}");
    assert!(row(&table, "retries_exhausted").ends_with(" 3"), "{table}");
    let letters = bench.letters();
    assert_eq!(letters.lines().count(), 4, "{letters}");
    let again = letters
        .lines()
        .find(|line| line.contains("retries_exhausted"))
        .unwrap();
    let again: Value = serde_json::from_str(again).unwrap();
    assert_eq!(again["history"][0]["reason"], "retries_exhausted");
    assert_eq!(
        (&again["history"][0]["attempts"], &again["attempts"]),
        (&json!(2), &json!(2))
    );

    let url = bench.sandbox.url();
    bench.sink(&json!({"endpoint": url}));
    bench.write();
    let (status, table, said) = Process::start(&replay).end().await;
    assert_eq!(status.code(), Some(0), "{table}{said}");
    assert!(row(&table, "delivered").ends_with(" 3"), "{table}");
    assert!(table.contains("1 letter stays as it was"), "{table}");
    assert_eq!(bench.sandbox.unique().len(), 3);
    assert!(
        bench
            .sandbox
            .accepted()
            .iter()
            .any(|event| event.contains("\"two\""))
    );
    let left = bench.letters();
    assert_eq!(
        (left.lines().count(), left.contains("malformed_json")),
        (1, true),
        "{left}"
    );
}

async fn post_broken(url: &str) -> u16 {
    let request = reqwest::Client::new().post(url);
    let request = request.header("content-type", "application/x-ndjson");
    request
        // Beside an event that is filtered: a body without anything readable leaves no letter.
        .body("{broken\n{\"type\":\"page\",\"userId\":\"u\"}\n")
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn a_replay_that_is_stopped_gives_back_what_it_has_not_sent() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"endpoint": "http://127.0.0.1:9", "retry": {"max_attempts": 1}}));
    let (process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["one", "two"]).await, 200);
    let written = async {
        while bench.letters().lines().count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, written).await.unwrap();
    process.terminate();
    process.end().await;
    let before = bench.letters();
    let url = bench.sandbox.url();
    bench.sink(&json!({"endpoint": url, "access_token": "revoked"}));
    let file = bench.write();
    let mut replay = Process::start(&["dead-letters", "replay", "--config", &file]);
    replay.says("delivery is blocked").await;
    replay.terminate();
    let (status, table, _) = replay.end().await;
    assert_eq!(status.code(), Some(1), "{table}");
    assert_eq!(bench.letters(), before, "as they were");
}
