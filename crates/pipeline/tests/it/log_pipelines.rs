//! Other log pipelines send to the real binary: Debian's syslog-ng as it is, and bodies of Vector and Fluent Bit.
//!
//! Where syslog-ng is missing, its tests say so and are left out, unless `CI` is set.

use crate::tally::{Bench, eventually, filtered, free_address, is_installed, personal, print};
use pipeline_core::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::{Child, Command};

const KEY: &str = "the-key-of-syslog-ng-0123";
/// Events of each kind.
const ROUNDS: usize = 40;
/// Requests that a key may bring a second, in events: fewer than come, so that most requests are refused at first.
const RATE_LIMIT: u64 = 4;
/// How often the host is killed.
const KILLS: usize = 2;

/// Tracks, pages and identifies, one a line.
fn lines(prefix: &str) -> String {
    (0..ROUNDS).fold(String::new(), |mut lines, round| {
        let kinds = [
            ("track", json!({})),
            (
                "page",
                json!({"type": "page", "event": null, "name": "Sofas"}),
            ),
            ("identify", json!({"type": "identify", "event": null})),
        ];
        for (kind, more) in kinds {
            let mut event = personal(&format!("{prefix}-{kind}-{round}"));
            let event_members = event.as_object_mut().unwrap();
            event_members.extend(more.as_object().unwrap().clone());
            writeln!(lines, "{event}").unwrap();
        }
        lines
    })
}

/// What must arrive of them: ids with the names of Meta's events.
fn wanted(prefix: &str) -> BTreeSet<(String, String)> {
    let of = |round| {
        [("track", "AddToCart"), ("page", "PageView")]
            .map(|(kind, name)| (format!("{prefix}-{kind}-{round}"), name.to_owned()))
    };
    (0..ROUNDS).flat_map(of).collect()
}

/// What has arrived.
fn arrived(bench: &Bench) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |event: &String| {
        let event: Value = serde_json::from_str(event).unwrap();
        (text(&event["event_id"]), text(&event["event_name"]))
    };
    bench.sandbox.accepted().iter().map(of).collect()
}

/// How several lines become one body.
#[derive(Clone, Copy)]
enum Framing {
    Lines,
    Array,
}

impl Framing {
    fn options(self) -> &'static str {
        match self {
            Self::Lines => {
                r#"headers("Content-Type: application/x-ndjson") body-suffix("\n") delimiter("\n")"#
            }
            Self::Array => {
                r#"headers("Content-Type: application/json") body-prefix("[") body-suffix("]") delimiter(",")"#
            }
        }
    }
}

/// A way of syslog-ng: from a file of lines to a URL. Without a disk buffer, what is refused stays in its memory.
fn way(bench: &Bench, number: usize, url: &str, framing: Framing) -> String {
    let file = bench.path(&format!("events-{number}.ndjson"));
    format!(
        r#"source s{number} {{ file("{}" flags(no-parse) follow-freq(0.1)); }};
        destination d{number} {{ http(url("{url}") method("POST") user("{KEY}") password("") body("${{MSG}}") {}
            batch-lines(10) batch-timeout(200) workers(1) timeout(15) persist-name("d{number}")); }};
        log {{ source(s{number}); destination(d{number}); flags(flow-control); }};
        "#,
        file.display(),
        framing.options(),
    )
}

/// Starts syslog-ng with these ways.
fn syslog_ng(bench: &Bench, ways: &str) -> Child {
    let config = format!(
        "@version: 3.38\noptions {{ time-reopen(1); log-msg-size(262144); stats-freq(0); }};\n{ways}"
    );
    let path = |name: &str| bench.path(name).display().to_string();
    std::fs::write(path("syslog-ng.conf"), config).unwrap();
    let log = std::fs::File::create(path("syslog-ng.log")).unwrap();
    let mut command = Command::new("syslog-ng");
    command.args(["--foreground", "--no-caps", "--stderr"]);
    command.args(["--cfgfile", &path("syslog-ng.conf")]);
    command.args(["--persist-file", &path("syslog-ng.persist")]);
    command.args(["--pidfile", &path("syslog-ng.pid")]);
    command.args(["--control", &path("syslog-ng.ctl")]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.kill_on_drop(true).spawn().unwrap()
}

fn so_far(bench: &Bench) -> String {
    let log = std::fs::read_to_string(bench.path("syslog-ng.log"));
    format!("{:?}\n{}", bench.sandbox.summary(), log.unwrap_or_default())
}

#[tokio::test]
async fn syslog_ng_sends_lines_and_arrays_and_the_right_events_arrive() {
    if !is_installed("syslog-ng", "the tests of log pipelines") {
        return;
    }
    let source = json!({"type": "http_server", "address": "127.0.0.1:0"});
    let bench = Bench::new(&source).await;
    let run = bench.start();
    let url = format!("http://{}/v1/events", run.says("address=").await);
    let framings = [("lines", Framing::Lines), ("array", Framing::Array)];
    let mut ways = String::new();
    for (number, (prefix, framing)) in framings.into_iter().enumerate() {
        let file = bench.path(&format!("events-{number}.ndjson"));
        std::fs::write(file, lines(prefix)).unwrap();
        ways += &way(&bench, number, &url, framing);
    }
    let mut sender = syslog_ng(&bench, &ways);
    let wanted: BTreeSet<_> = wanted("lines").into_iter().chain(wanted("array")).collect();
    eventually(|| arrived(&bench).len() >= wanted.len(), || so_far(&bench)).await;
    sender.kill().await.unwrap();
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(arrived(&bench), wanted, "{said}");
    assert_eq!(filtered(&said), 2 * ROUNDS, "{said}");
    assert_eq!(bench.letters().0.len(), 0, "{said}");
    bench.keeps_secrets(&said);
}

#[tokio::test]
async fn syslog_ng_loses_nothing_while_the_host_answers_429_and_is_killed() {
    if !is_installed("syslog-ng", "the tests of log pipelines") {
        return;
    }
    let address = free_address();
    let source = json!({
        "type": "segment", "address": address,
        "keys": {"shop": {"value": KEY, "rate_limit": RATE_LIMIT}},
    });
    let bench = Bench::new(&source).await;
    let url = format!("http://{address}/v1/batch");
    let framings = [("lines", Framing::Lines), ("array", Framing::Array)];
    let mut ways = String::new();
    for (number, (prefix, framing)) in framings.into_iter().enumerate() {
        let file = bench.path(&format!("events-{number}.ndjson"));
        std::fs::write(file, lines(prefix)).unwrap();
        ways += &way(&bench, number, &url, framing);
    }
    let mut run = bench.start();
    run.says("address=").await;
    let mut sender = syslog_ng(&bench, &ways);
    let wanted: BTreeSet<_> = wanted("lines").into_iter().chain(wanted("array")).collect();
    let mut said = String::new();
    for _ in 0..KILLS {
        // Each life begins with room for a burst, and then refuses.
        run.says("refused: ").await;
        said += &run.kill().await;
        run = bench.start();
        run.says("address=").await;
    }
    eventually(|| arrived(&bench).len() >= wanted.len(), || so_far(&bench)).await;
    sender.kill().await.unwrap();
    run.terminate();
    let (status, rest) = run.end().await;
    assert_eq!(status.code(), Some(0), "{rest}");
    said += &rest;
    assert_eq!(arrived(&bench), wanted, "{said}");
    assert!(
        said.contains("rate_limit ") && said.contains("by key: shop "),
        "{said}"
    );
    print(&format!(
        "syslog-ng: {} events accepted over {KILLS} kills and 429, {} again",
        wanted.len(),
        bench.fates().duplicates,
    ));
    bench.keeps_secrets(&said);
}

#[tokio::test]
async fn the_bodies_of_other_log_pipelines_are_read() {
    let source = json!({"type": "http_server", "address": "127.0.0.1:0"});
    let bench = Bench::new(&source).await;
    let run = bench.start();
    let url = format!("http://{}/v1/events", run.says("address=").await);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/log_pipelines");
    for (file, content_type, prefix) in [
        ("vector.json", "application/json", "vector-json"),
        ("vector.ndjson", "application/x-ndjson", "vector-lines"),
        ("fluent_bit.json", "application/json", "fluent-bit-json"),
        // Fluent Bit calls all of them JSON.
        (
            "fluent_bit.json_lines",
            "application/json",
            "fluent-bit-lines",
        ),
        (
            "fluent_bit.json_stream",
            "application/json",
            "fluent-bit-stream",
        ),
    ] {
        let body = std::fs::read_to_string(folder.join(file)).unwrap();
        // Recorded events are too old to be sent.
        let now = jiff::Timestamp::from_millisecond(SystemClock.now_ms()).unwrap();
        let body = body.replace("2026-01-15T12:00:00.123456789Z", &now.to_string());
        let body = body.replace("1768478400.123456", &format!("{}.123456", now.as_second()));
        let request = reqwest::Client::new().post(&url).body(body);
        let answer = request
            .header("content-type", content_type)
            .send()
            .await
            .unwrap();
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["accepted"], 2, "{file}: {answer}");
        let ids = [1, 2].map(|number| (format!("{prefix}-{number}"), "AddToCart".to_owned()));
        let are_here = || ids.iter().all(|id| arrived(&bench).contains(id));
        eventually(are_here, || format!("{file} {:?}", arrived(&bench))).await;
    }
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
}
