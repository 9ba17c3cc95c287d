//! What a running pipeline tells over HTTP: the real program, the sandbox, and clients of all kinds.

use crate::destination::{Case, Step, lines, until};
use crate::operation::{Bench, post};
use crate::process::{Process, event};
use crate::tally::free_address;
use graph_sandbox::{Sandbox, SandboxOptions};
use pipeline_host::status::{DURATION_BUCKETS, SourceState};
use reqwest::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

mod figures;
mod one_event;
mod prometheus;

/// The longest anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-for-the-api-0123456789";

/// A running pipeline with its interface.
pub(crate) struct Running {
    pub(crate) bench: Bench,
    pub(crate) process: Process,
    /// Where it tells what it does.
    pub(crate) api: String,
    /// Where it takes events.
    pub(crate) events: String,
}

impl Running {
    pub(crate) async fn start(bench: Bench) -> Self {
        Self::start_with(bench, json!({"address": "127.0.0.1:0"})).await
    }

    pub(crate) async fn start_with(mut bench: Bench, api: Value) -> Self {
        bench.pipeline["api"] = api;
        let mut process = Process::start(&["run", &bench.write()]);
        let api = process.address("the api listens on ").await;
        let events = format!("http://{}/v1/events", process.address("address=").await);
        Self {
            bench,
            process,
            api,
            events,
        }
    }

    /// Waits until the pipeline runs.
    pub(crate) async fn until_started(&self) {
        let reached = async {
            while self.get("/ready").await.status() != 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, reached)
            .await
            .expect("it starts");
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = reqwest::Client::new().get(format!("{}{path}", self.api));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    /// The answer at this path once it is as a test wants it.
    pub(crate) async fn until(
        &self,
        path: &str,
        is_wanted: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Value {
        let reached = async {
            loop {
                let answer = self.json(path).await;
                if is_wanted(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, reached).await.expect(path)
    }

    /// The metrics, by name and labels.
    async fn metrics(&self) -> BTreeMap<String, f64> {
        lines_of(&self.text("/metrics").await)
    }
}

/// The lines of the text form, by name and labels.
fn lines_of(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect(line);
        (name.to_owned(), value.parse().expect(line))
    });
    lines.collect()
}

/// The sum of all lines that begin with `name{` and hold every one of these labels.
fn sum(metrics: &BTreeMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let fits = |line: &str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('{')) && labels.iter().all(|it| line.contains(it))
    };
    let fitting: Vec<f64> = metrics
        .iter()
        .filter(|(line, _)| fits(line))
        .map(|(_, value)| *value)
        .collect();
    assert!(!fitting.is_empty(), "{name} {labels:?} in {metrics:?}");
    fitting.iter().sum()
}

/// Whether every event has its final fate.
fn is_settled(status: &Value) -> bool {
    status["sinks"][0]["counts"]["held"] == 0
}

/// An event that is filtered, one that is rejected, and two that are sent.
fn mixed() -> Value {
    let mut refused = event("refused");
    refused["context"]["consent"]["marketing"] = json!(false);
    let mut broken = event("broken");
    broken["timestamp"] = json!("2001-01-01T00:00:00Z");
    json!([event("one"), refused, broken, event("two")])
}

async fn send(url: &str, body: &Value) {
    let request = reqwest::Client::new().post(url);
    let request = request.header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

/// The figures of a row of the closing table.
fn figure(table: &str, label: &str) -> u64 {
    let row = table.lines().find(|line| line.trim().starts_with(label));
    let row = row.unwrap_or_else(|| panic!("no `{label}` in {table}"));
    let figure = row.split_whitespace().last().unwrap();
    figure.replace(',', "").parse().unwrap()
}

#[tokio::test]
async fn counters_equal_what_the_sandbox_took_and_what_the_closing_table_says() {
    let running = Running::start(Bench::new().await).await;
    send(&running.events, &mixed()).await;
    running.bench.delivered(2).await;
    let status = running.until("/api/v1/status", is_settled).await;
    let sink = &status["sinks"][0];
    assert_eq!(
        (&sink["name"], &sink["type"], &sink["state"]),
        (
            &json!("meta"),
            &json!("meta_conversions"),
            &json!("sending")
        )
    );
    assert_eq!(
        sink["counts"],
        json!({
            "read": 4, "resumed": 0, "delivered": 2, "filtered": {"consent": 1}, "rejected": {"too_old": 1},
            "dropped": 0, "held": 0, "retried": 0,
        })
    );
    assert_eq!(sink["buffer"]["events"], 0, "{sink}");
    assert_eq!(status["sources"][0]["received"], 4, "{status}");
    assert!(status["sources"][0]["last_received"].is_string());
    assert_eq!(status["attention"], json!([]));
    assert_eq!(status["ready"], true);
    let reasons = running.json("/api/v1/reasons").await;
    let known = reasons["known"].as_array().unwrap();
    let unmapped = known.iter().find(|it| it["code"] == "unmapped").unwrap();
    assert_eq!(unmapped["label"], "not mapped");
    for (code, label) in [("consent", "consent refused"), ("too_old", "too old")] {
        let all = reasons["reasons"].as_array().unwrap();
        let found = all.iter().find(|it| it["code"] == code).unwrap();
        assert_eq!(found["label"], label);
        assert!(found["detail"].is_string(), "{found}");
    }
    let reasons: BTreeMap<_, _> = reasons["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["code"].as_str().unwrap(), it["intentional"].clone()))
        .collect();
    let expected = [("consent", json!(true)), ("too_old", json!(false))];
    assert_eq!(reasons, BTreeMap::from(expected));
    assert_eq!(running.bench.sandbox.unique().len(), 2);
    running.process.terminate();
    let (ended, table, _) = running.process.end().await;
    assert_eq!(ended.code(), Some(0), "{table}");
    let figures = [
        "read",
        "delivered",
        "filtered",
        "consent",
        "rejected",
        "too_old",
        "held",
    ];
    assert_eq!(figures.map(|it| figure(&table, it)), [4, 2, 1, 1, 1, 1, 0]);
}

#[tokio::test]
async fn metrics_equal_what_the_sandbox_took() {
    let running = Running::start(Bench::new().await).await;
    send(&running.events, &mixed()).await;
    running.bench.delivered(2).await;
    running.until("/api/v1/status", is_settled).await;
    let metrics = running.metrics().await;
    let sink = "component_kind=\"sink\"";
    let of = |name: &str, labels: &[&str]| sum(&metrics, name, &[labels, &[sink]].concat());
    let rows: [(&str, &[&str], f64); 10] = [
        ("component_sent_events_total", &[], 2.0),
        ("component_received_events_total", &[], 4.0),
        (
            "component_discarded_events_total",
            &["intentional=\"true\"", "reason=\"consent\""],
            1.0,
        ),
        (
            "component_discarded_events_total",
            &["intentional=\"false\"", "reason=\"too_old\""],
            1.0,
        ),
        (
            "component_errors_total",
            &["error_code=\"too_old\"", "stage=\"processing\""],
            1.0,
        ),
        ("buffer_events", &["buffer_type=\"memory\""], 0.0),
        ("sink_state", &["state=\"sending\""], 1.0),
        ("sink_state", &["state=\"blocked\""], 0.0),
        (
            "sink_identifier_events_total",
            &["event=\"(all)\"", "identifier=\"external_id\""],
            2.0,
        ),
        (
            "sink_identifier_base_events_total",
            &["event=\"AddToCart\"", "identifier=\"external_id\""],
            2.0,
        ),
    ];
    for (name, labels, expected) in rows {
        let found = of(name, labels);
        assert!((found - expected).abs() < 0.5, "{name} {labels:?}: {found}");
    }
    assert!(of("buffer_max_byte_size", &[]) > 1.0);
    let last = sum(&metrics, "source_last_received_timestamp_seconds", &["web"]);
    assert!(last > 1.7e9, "{last}");
    assert!(of("component_delivery_duration_seconds_count", &[]) > 0.5);
}

#[tokio::test]
async fn both_forms_of_the_metrics_are_well_formed() {
    let running = Running::start(Bench::new().await).await;
    send(&running.events, &mixed()).await;
    running.bench.delivered(2).await;
    let open = [(
        "accept",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    )];
    let response = running.get_with("/metrics", &open).await;
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = response.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let buckets = text
        .lines()
        .filter(|line| line.contains("_bucket{"))
        .count();
    assert_eq!(buckets, DURATION_BUCKETS + 1);
    assert!(
        text.contains("le=\"+Inf\"") && !text.contains("e308"),
        "{text}"
    );
    let response = running.get("/metrics").await;
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = response.text().await.unwrap();
    assert!(
        !text.contains("# EOF") && text.contains("# TYPE component_sent_events_total counter\n"),
        "{text}"
    );
    let lines = lines_of(&text);
    // Every line belongs to a metric that was announced, and none comes twice.
    let announced: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    let names: Vec<&str> = announced
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for line in lines.keys() {
        let name = line.split('{').next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        assert!(
            names.contains(&name) || names.contains(&base.unwrap_or("")),
            "{line}"
        );
    }
    let written = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(lines.len(), written);
    // The buckets of the histogram add up.
    let buckets = lines
        .iter()
        .filter(|(line, _)| line.contains("delivery_duration_seconds_bucket"));
    let buckets: Vec<f64> = buckets.map(|(_, value)| *value).collect();
    assert_eq!(buckets.len(), DURATION_BUCKETS + 1);
    let all = sum(&lines, "component_delivery_duration_seconds_count", &[]);
    assert!(buckets.iter().all(|count| *count <= all), "{buckets:?}");
    let last = sum(
        &lines,
        "component_delivery_duration_seconds_bucket",
        &["le=\"+Inf\""],
    );
    assert!((last - all).abs() < 0.5);
}

#[tokio::test]
async fn ten_thousand_names_of_events_make_no_more_lines_and_are_not_shown() {
    let running = Running::start(Bench::new().await).await;
    send(&running.events, &mixed()).await;
    running.bench.delivered(2).await;
    let before = running.metrics().await;
    for part in 0..10 {
        let named = |number: usize| {
            let mut event = event(&format!("{part}-{number}"));
            event["event"] = json!(format!("Secret Name {part} {number}"));
            event
        };
        let events: Vec<Value> = (0..1_000).map(named).collect();
        send(&running.events, &json!(events)).await;
    }
    let after = running.metrics().await;
    let new: Vec<&String> = after
        .keys()
        .filter(|line| !before.contains_key(*line))
        .collect();
    // The reason that the first of them brought.
    assert!(new.len() <= 2, "{new:?}");
    let unmapped = sum(
        &after,
        "component_discarded_events_total",
        &["reason=\"unmapped\""],
    );
    assert!((unmapped - 10_000.0).abs() < 0.5, "{unmapped}");
    for path in ["/metrics", "/api/v1/status", "/api/v1/reasons", "/ready"] {
        assert!(!running.text(path).await.contains("Secret"), "{path}");
    }
}

#[tokio::test]
async fn it_is_not_ready_while_its_sink_is_blocked_and_says_why() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"access_token": "a-revoked-token"}));
    let mut running = Running::start(bench).await;
    assert_eq!(running.get("/ready").await.status(), 200);
    assert_eq!(post(&running.events, &["one"]).await, 200);
    running.process.says("delivery is blocked").await;
    let not_ready = |answer: &Value| answer["ready"] == false;
    let answer = running.until("/ready", not_ready).await;
    assert_eq!(answer["reasons"][0]["code"], "sink_blocked", "{answer}");
    assert_eq!(answer["reasons"][0]["component"], "meta", "{answer}");
    assert_eq!(running.get("/ready").await.status(), 503);
    assert_eq!(running.get("/health").await.status(), 200);
    let status = running.json("/api/v1/status").await;
    assert_eq!(status["sinks"][0]["state"], "blocked", "{status}");
    assert_eq!(status["sinks"][0]["counts"]["held"], 1, "{status}");
    assert!(
        status["sinks"][0]["buffer"]["oldest_ms"].is_u64(),
        "{status}"
    );
    let metrics = running.metrics().await;
    assert!(sum(&metrics, "sink_state", &["state=\"blocked\""]) > 0.5);
    assert!(sum(&metrics, "component_errors_total", &["stage=\"sending\""]) > 0.5);
    assert!(metrics["pipeline_ready"] < 0.5);
}

#[tokio::test]
async fn it_is_not_ready_while_its_buffer_is_full_and_is_again_once_there_is_room() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({
        "access_token": "a-revoked-token", "buffer": {"max_events": 2},
        "batch": {"max_events": 1, "timeout_secs": 0.01},
    }));
    let mut running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["one", "two"]).await, 200);
    running.until("/ready", has_reason("buffer_full")).await;
    let status = running.json("/api/v1/status").await;
    assert_eq!(status["sinks"][0]["buffer"]["percent"], 100, "{status}");
    // A new token, and the events go out.
    running
        .bench
        .sink(&json!({"access_token": "the-token-of-today"}));
    running.bench.write();
    running.process.signal("HUP");
    running.bench.delivered(2).await;
    running
        .until("/ready", |answer| answer["ready"] == true)
        .await;
    running.process.says("delivery has resumed").await;
}

#[tokio::test]
async fn strangers_names_and_pages_of_other_sites_get_nothing() {
    let running = Running::start(Bench::new().await).await;
    let foreign = [("host", "rebound.example")];
    for path in ["/health", "/metrics", "/api/v1/status", "/nothing"] {
        let response = running.get_with(path, &foreign).await;
        assert_eq!(response.status(), 421, "{path}");
    }
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let response = running.get_with("/api/v1/status", &[header]).await;
        assert_eq!(response.status(), 403, "{header:?}");
        let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["error"]["code"], "cross_site");
        assert_eq!(running.get_with("/health", &[header]).await.status(), 200);
    }
    let response = running.get("/api/v1/status").await;
    let headers = response.headers();
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(
        headers
            .keys()
            .all(|name| !name.as_str().starts_with("access-control"))
    );
    assert_eq!(running.get("/nothing").await.status(), 404);
    let client = reqwest::Client::new();
    let posted = client
        .post(format!("{}/api/v1/status", running.api))
        .send()
        .await;
    assert_eq!(posted.unwrap().status(), 403);
}

#[tokio::test]
async fn a_token_that_is_configured_is_needed_and_never_shown() {
    let api = json!({"address": "127.0.0.1:0", "token": TOKEN});
    let running = Running::start_with(Bench::new().await, api).await;
    let right = format!("Bearer {TOKEN}");
    assert_eq!(running.get("/api/v1/status").await.status(), 401);
    let wrong = [("authorization", "Bearer wrong")];
    assert_eq!(
        running.get_with("/api/v1/status", &wrong).await.status(),
        401
    );
    let response = running
        .get_with("/api/v1/status", &[("authorization", &right)])
        .await;
    assert_eq!(response.status(), 200);
    assert!(!response.text().await.unwrap().contains(TOKEN));
    let client = reqwest::Client::new();
    let posted = client.post(format!("{}/api/v1/status", running.api));
    let posted = posted.bearer_auth(TOKEN).send().await;
    assert_eq!(posted.unwrap().status(), 405);
    running.process.terminate();
    let (_, table, said) = running.process.end().await;
    assert!(
        !table.contains(TOKEN) && !said.contains(TOKEN),
        "{table}{said}"
    );
}

#[tokio::test]
async fn connections_that_ask_nothing_make_room_and_the_pipeline_works_on() {
    let running = Running::start(Bench::new().await).await;
    let address = running.api.strip_prefix("http://").unwrap();
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(post(&running.events, &["one"]).await, 200);
    running.bench.delivered(1).await;
    running
        .until("/ready", |answer| answer["ready"] == true)
        .await;
    drop(idle);
}

/// Whether an answer of `/ready` has this reason.
fn has_reason(code: &'static str) -> impl Fn(&Value) -> bool + Send + Sync {
    move |answer| {
        let reasons = answer["reasons"].as_array().unwrap();
        reasons.iter().any(|it| it["code"] == code)
    }
}

#[tokio::test]
async fn it_is_not_ready_while_the_disk_buffer_cannot_be_written() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"buffer": {"type": "disk"}}));
    let running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["one"]).await, 200);
    running.bench.delivered(1).await;
    let folder = running.bench.folder.path().join("data/buffer/meta");
    let (place, away) = (folder.join("records.db"), folder.join("away.db"));
    std::fs::rename(&place, &away).unwrap();
    running.until("/ready", has_reason("disk_failing")).await;
    let metrics = running.metrics().await;
    assert!(sum(&metrics, "buffer_writable", &[]) < 0.5);
    std::fs::rename(&away, &place).unwrap();
    running
        .until("/ready", |answer| answer["ready"] == true)
        .await;
}

#[tokio::test]
async fn it_is_not_ready_while_a_dead_letter_cannot_be_written() {
    let running = Running::start(Bench::new().await).await;
    let folder = running.bench.folder.path().join("data/dead_letters");
    std::fs::create_dir_all(&folder).unwrap();
    // A file where the folder should be.
    std::fs::write(folder.join("meta"), "").unwrap();
    let request = reqwest::Client::new().post(&running.events);
    let request = request.header("content-type", "application/json");
    let refused = request.body(mixed().to_string()).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    let answer = running
        .until("/ready", has_reason("dead_letters_stuck"))
        .await;
    assert!(
        answer["reasons"][0]["message"]
            .as_str()
            .unwrap()
            .contains("dead letters"),
        "{answer}"
    );
    std::fs::remove_file(folder.join("meta")).unwrap();
    // As the client does after 503.
    send(&running.events, &mixed()).await;
    running
        .until("/ready", |answer| answer["ready"] == true)
        .await;
}

#[tokio::test]
async fn status_tells_of_a_running_pipeline_and_of_what_one_has_left() {
    let address = free_address();
    let mut bench = Bench::new().await;
    bench.sink(&json!({"access_token": "a-revoked-token", "buffer": {"type": "disk"}}));
    let mut running = Running::start_with(bench, json!({"address": address})).await;
    send(&running.events, &mixed()).await;
    running.process.says("delivery is blocked").await;
    let file = running.bench.write();
    let status = |format: &'static str| {
        let file = file.clone();
        async move {
            let arguments = ["status", "--config", &file, "--format", format];
            let (ended, text, said) = Process::start(&arguments).end().await;
            assert_eq!(ended.code(), Some(0), "{said}");
            text
        }
    };
    let is_blocked = |status: &Value| status["sinks"][0]["state"] == "blocked";
    running.until("/api/v1/status", is_blocked).await;
    let told: Value = serde_json::from_str(&status("json").await).unwrap();
    assert_eq!(told["running"], true);
    assert_eq!(told["sinks"][0]["counts"]["held"], 2, "{told}");
    assert_eq!(
        told["sinks"][0]["dead_letters"]["reasons"],
        json!({"too_old": 1})
    );
    let table = status("table").await;
    for expected in [
        "not ready",
        "meta (meta_conversions)  blocked: ",
        "held 2",
        "filtered 1: consent 1",
        "too_old 1",
    ] {
        assert!(table.contains(expected), "{expected} in {table}");
    }
    running.process.terminate();
    running.process.end().await;
    let told: Value = serde_json::from_str(&status("json").await).unwrap();
    assert_eq!(told["running"], false);
    assert_eq!(
        told["sinks"][0]["stored"],
        json!({"events": 2, "state": "waiting"}),
        "{told}"
    );
    let table = status("table").await;
    assert!(
        table.contains("2 events wait in the disk buffer"),
        "{table}"
    );
}

#[tokio::test]
async fn without_the_section_nothing_listens_and_status_says_so() {
    let bench = Bench::new().await;
    let (process, _) = bench.start(&["run"]).await;
    let arguments = ["status", "--config", &bench.write()];
    let (ended, text, said) = Process::start(&arguments).end().await;
    assert_eq!(ended.code(), Some(0), "{said}");
    assert!(text.contains("no section `api`"), "{text}");
    let top = ["top", "--config", &bench.write()];
    let (ended, _, said) = Process::start(&top).end().await;
    assert_eq!(ended.code(), Some(1), "{said}");
    process.terminate();
    let (_, _, said) = process.end().await;
    assert!(!said.contains("the api"), "{said}");
}

#[tokio::test]
async fn a_bad_section_is_refused_with_its_place() {
    let mut bench = Bench::new().await;
    bench.pipeline["api"] = json!({"address": "0.0.0.0:8686", "token": "short"});
    let arguments = ["validate", &bench.write()];
    let (ended, _, said) = Process::start(&arguments).end().await;
    assert_eq!(ended.code(), Some(78), "{said}");
    assert!(
        said.contains("api.address") && said.contains("api.token"),
        "{said}"
    );
    bench.pipeline["api"] = json!({"address": "127.0.0.1:8917"});
    bench.pipeline["sandbox"] = json!({});
    let (ended, _, said) = Process::start(&["validate", &bench.write()]).end().await;
    assert_eq!(ended.code(), Some(78), "{said}");
}

/// What fixtures of senders hold of persons, in the clear.
fn personal(event: &Value, found: &mut Vec<String>) {
    match event {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.to_lowercase();
                let is_personal = [
                    "email",
                    "phone",
                    "firstname",
                    "first_name",
                    "lastname",
                    "last_name",
                ]
                .iter()
                .any(|word| key.contains(word));
                match value.as_str() {
                    Some(text) if is_personal && text.len() > 4 => found.push(text.to_owned()),
                    _ => personal(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| personal(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn nothing_personal_is_in_any_answer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/senders");
    let mut events = Vec::new();
    let mut found = vec!["the-token-of-today".to_owned()];
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let Ok(value) = value else { break };
            personal(&value, &mut found);
            events.push(value);
        }
    }
    let mut odd = event("odd");
    odd["event"] = json!("jane.doe@example.com +49 170 1234567");
    events.push(odd);
    found.push("jane.doe".to_owned());
    found.push("1234567\"".to_owned());
    assert!(found.len() > 5, "{found:?}");
    let running = Running::start(Bench::new().await).await;
    send(&running.events, &json!(events)).await;
    running.until("/api/v1/status", is_settled).await;
    for path in PATHS {
        let text = running.text(path).await;
        for word in &found {
            assert!(!text.contains(word.as_str()), "{path}: {word} in {text}");
        }
    }
}

/// Everything that is answered.
const PATHS: [&str; 11] = [
    "/health",
    "/ready",
    "/metrics",
    "/api/v1/status",
    "/api/v1/reasons",
    "/api/v1/events?limit=500",
    "/api/v1/quality",
    "/api/v1/seen",
    "/api/v1/series?range=1h",
    "/api/v1/letters",
    "/api/v1/letters/meta?limit=500",
];

#[tokio::test]
async fn a_sandbox_that_refuses_is_counted_as_an_error_of_sending() {
    let sandbox = Sandbox::start(SandboxOptions {
        require_website_fields: true,
        ..SandboxOptions::default()
    });
    let sandbox = sandbox.await.unwrap();
    let mut bench = Bench::new().await;
    bench.sink(&json!({"endpoint": sandbox.url()}));
    let running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["without a user agent"]).await, 200);
    let is_rejected = |status: &Value| {
        let rejected = status["sinks"][0]["counts"]["rejected"].as_object();
        rejected.is_some_and(|rejected| !rejected.is_empty())
    };
    running.until("/api/v1/status", is_rejected).await;
    let metrics = running.metrics().await;
    let labels = ["error_type=\"request_failed\"", "stage=\"sending\""];
    let errors = sum(&metrics, "component_errors_total", &labels);
    assert!((errors - 1.0).abs() < 0.5, "{errors}");
    assert!(
        metrics
            .keys()
            .all(|line| !line.contains("stage=\"processing\""))
    );
}

/// What a list says of each event, the oldest first.
fn told(list: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let rows = list["events"].as_array().unwrap().iter().rev();
    rows.map(|row| {
        (
            text(&row["name"]),
            text(&row["status"]),
            text(&row["reason"]),
        )
    })
    .collect()
}

#[tokio::test]
async fn each_fate_appears_with_its_reason() {
    let running = Running::start(Bench::new().await).await;
    send(&running.events, &mixed()).await;
    running.bench.delivered(2).await;
    let has_all = |list: &Value| list["events"].as_array().unwrap().len() == 4;
    let list = running.until("/api/v1/events", has_all).await;
    let mut found = told(&list);
    found.sort();
    let row = |status: &str, reason: &str| {
        (
            "Product Added".to_owned(),
            status.to_owned(),
            reason.to_owned(),
        )
    };
    let expected = [
        row("delivered", "-"),
        row("delivered", "-"),
        row("filtered", "consent"),
        row("rejected", "too_old"),
    ];
    assert_eq!(found, expected);
    let sent = running.json("/api/v1/events?status=delivered&id=one").await;
    let sent = &sent["events"][0];
    assert_eq!(sent["destination_event"], "AddToCart", "{sent}");
    assert_eq!(
        (&sent["source"], &sent["sink"]),
        (&json!("web"), &json!("meta"))
    );
    let one = running
        .json(&format!("/api/v1/events/{}", sent["seq"]))
        .await;
    assert_eq!(one["place"], "web request 1 event 0", "{one}");
    assert_eq!(one["attempt"], 1);
    let rejected = running
        .json("/api/v1/events?reason=too_old&name=Product%20Added")
        .await;
    assert_eq!(told(&rejected).len(), 1);
    let page = running.json("/api/v1/events?limit=3").await;
    let before = page["next"].as_u64().unwrap();
    let rest = running
        .json(&format!("/api/v1/events?limit=3&before={before}"))
        .await;
    assert_eq!((told(&page).len(), told(&rest).len()), (3, 1));
    assert!(rest["next"].is_null());
    for (path, expected) in [
        ("/api/v1/events/99", 404),
        ("/api/v1/events/x", 404),
        ("/api/v1/events?limit=0", 400),
        ("/api/v1/events?status=lost", 400),
        ("/api/v1/events?unknown=1", 400),
    ] {
        assert_eq!(running.get(path).await.status(), expected, "{path}");
    }
}

#[tokio::test]
async fn what_is_held_and_what_is_tried_again_is_told_too() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"access_token": "a-revoked-token"}));
    let running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["one"]).await, 200);
    let has_any = |list: &Value| list["events"][0].is_object();
    let held = running.until("/api/v1/events?status=held", has_any).await;
    assert_eq!(held["events"][0]["event_id"], "one", "{held}");
    let mut bench = Bench::new().await;
    // No program listens there.
    bench.sink(&json!({"endpoint": "http://127.0.0.1:9"}));
    let running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["two"]).await, 200);
    let again = running
        .until("/api/v1/events?status=retrying", has_any)
        .await;
    assert_eq!(again["events"][0]["event_id"], "two", "{again}");
    assert!(again["events"][0]["reason"].is_string(), "{again}");
    let is_waiting = |status: &Value| status["sinks"][0]["state"] == "backing_off";
    let status = running.until("/api/v1/status", is_waiting).await;
    assert!(status["sinks"][0]["until"].is_string(), "{status}");
    assert_eq!(running.get("/ready").await.status(), 200);
}

#[tokio::test]
async fn a_name_that_may_be_personal_is_withheld() {
    let running = Running::start(Bench::new().await).await;
    let mut odd = event("jane.doe@example.com");
    odd["event"] = json!("Call jane.doe@example.com");
    send(&running.events, &json!([odd, event("+49 170 1234567")])).await;
    running.bench.delivered(1).await;
    let has_both = |list: &Value| list["events"].as_array().unwrap().len() == 2;
    let list = running.until("/api/v1/events", has_both).await;
    let text = list.to_string();
    assert!(
        !text.contains("jane") && !text.contains("1234567"),
        "{text}"
    );
    assert!(text.contains("a name that is not shown"), "{text}");
}

#[tokio::test]
async fn the_ninth_stream_is_refused_and_a_closed_one_makes_room() {
    let running = Running::start(Bench::new().await).await;
    let path = "/api/v1/events/stream";
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = running.get(path).await;
        assert_eq!(stream.status(), 200);
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        let first = stream.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(b"event: tick\n"), "{first:?}");
        streams.push(stream);
    }
    assert_eq!(running.get(path).await.status(), 429);
    streams.pop();
    let has_room = async {
        while running.get(path).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, has_room)
        .await
        .expect("room");
}

#[tokio::test]
async fn tap_prints_what_becomes_of_events() {
    let address = free_address();
    let running = Running::start_with(Bench::new().await, json!({"address": address})).await;
    send(&running.events, &mixed()).await;
    let has_all = |list: &Value| list["events"].as_array().unwrap().len() == 4;
    running.until("/api/v1/events", has_all).await;
    let file = running.bench.write();
    let tap = |more: &'static [&'static str]| {
        let file = file.clone();
        async move {
            let arguments = [&["tap", "--config", &file, "--past"], more].concat();
            let (ended, text, said) = Process::start(&arguments).end().await;
            assert_eq!(ended.code(), Some(0), "{said}");
            let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
            lines.collect::<Vec<Value>>()
        }
    };
    let all = tap(&["--limit", "4"]).await;
    assert_eq!(all.len(), 4);
    let filtered = tap(&[
        "--limit",
        "1",
        "--status",
        "filtered",
        "--name",
        "Product Added",
    ])
    .await;
    assert_eq!(filtered[0]["reason"], "consent", "{filtered:?}");
    let rejected = tap(&["--limit", "1", "--reason", "too_old", "--sink", "meta"]).await;
    assert_eq!(rejected[0]["status"], "rejected", "{rejected:?}");
}

#[tokio::test]
async fn a_paused_sink_takes_events_and_sends_them_once_it_resumes() {
    let address = free_address();
    let api = json!({"address": address, "token": TOKEN});
    let running = Running::start_with(Bench::new().await, api).await;
    let file = running.bench.write();
    let command = |name: &'static str, sink: &'static str| {
        let arguments = [name, "--config", &file, "--sink", sink].map(str::to_owned);
        async move {
            let arguments = arguments.each_ref().map(String::as_str);
            let (ended, text, said) = Process::start(&arguments).end().await;
            (ended.code(), format!("{text}{said}"))
        }
    };
    let right = format!("Bearer {TOKEN}");
    let status = || async {
        let response = running
            .get_with("/api/v1/status", &[("authorization", &right)])
            .await;
        let status: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        status["sinks"][0].clone()
    };
    assert_eq!(command("pause", "meta").await.0, Some(0));
    assert_eq!(command("pause", "other").await.0, Some(64));
    assert_eq!(post(&running.events, &["one", "two"]).await, 200);
    let sink = status().await;
    assert_eq!(
        (&sink["state"], &sink["counts"]["held"]),
        (&json!("paused"), &json!(2)),
        "{sink}"
    );
    let (code, text) = command("resume", "meta").await;
    assert_eq!((code, text.as_str()), (Some(0), "meta: delivery resumed\n"));
    running.bench.delivered(2).await;
    assert_eq!(status().await["state"], "sending");
}

#[tokio::test]
async fn what_a_paused_sink_holds_on_disk_stays_there_and_is_sent_by_the_next_run() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"buffer": {"type": "disk"}}));
    let api = json!({"address": "127.0.0.1:0", "token": TOKEN});
    let running = Running::start_with(bench, api).await;
    let client = reqwest::Client::new();
    let path = format!("{}/api/v1/sinks/meta/pause", running.api);
    let refused = client.post(&path).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let paused = client.post(&path).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(paused.status(), 200);
    let unknown = client
        .post(path.replace("meta", "other"))
        .bearer_auth(TOKEN);
    assert_eq!(unknown.send().await.unwrap().status(), 404);
    assert_eq!(post(&running.events, &["one"]).await, 200);
    running.process.terminate();
    let (ended, table, _) = running.process.end().await;
    assert_eq!(
        (ended.code(), figure(&table, "held")),
        (Some(0), 1),
        "{table}"
    );
    let (process, _) = running.bench.start(&["run"]).await;
    running.bench.delivered(1).await;
    process.terminate();
}

#[tokio::test]
async fn a_sink_that_is_removed_and_added_again_has_one_line_for_each_counter() {
    let mut bench = Bench::new().await;
    bench.sink(&json!({"access_token": "a-revoked-token"}));
    let meta = bench.pipeline["sinks"]["meta"].clone();
    bench.pipeline["sinks"]["other"] = meta.clone();
    bench.pipeline["sinks"]["other"]["access_token"] = json!("the-token-of-today");
    bench.pipeline["shutdown"] = json!({"limit_secs": 0.1});
    let mut running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["one"]).await, 200);
    running.process.says("delivery is blocked").await;
    running.bench.delivered(1).await;
    running.until("/ready", has_reason("sink_blocked")).await;
    // Without the blocked one it is ready.
    running.bench.pipeline["sinks"]
        .as_object_mut()
        .unwrap()
        .remove("meta");
    running.bench.write();
    running.process.signal("HUP");
    running
        .until("/ready", |answer| answer["ready"] == true)
        .await;
    let status = running.json("/api/v1/status").await;
    assert_eq!(status["sinks"][0]["removed"], true, "{status}");
    running.process.says("the removed sink has ended").await;
    running.bench.pipeline["sinks"]["meta"] = meta;
    running
        .bench
        .sink(&json!({"access_token": "the-token-of-today"}));
    running.bench.write();
    running.process.signal("HUP");
    let is_back = |status: &Value| status["sinks"].as_array().unwrap().len() == 3;
    running.until("/api/v1/status", is_back).await;
    running.process.says("added sink meta").await;
    assert_eq!(post(&running.events, &["two", "three"]).await, 200);
    running.bench.delivered(3).await;
    let text = running.text("/metrics").await;
    let lines = lines_of(&text);
    let written = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(lines.len(), written, "{text}");
    let read = sum(
        &lines,
        "component_received_events_total",
        &["component_id=\"meta\""],
    );
    assert!((read - 3.0).abs() < 0.5, "{read}");
}

#[tokio::test]
async fn a_pipeline_that_drains_is_not_ready_and_still_answers() {
    let mut bench = Bench::new().await;
    // No program listens there.
    bench.sink(&json!({"endpoint": "http://127.0.0.1:9"}));
    bench.pipeline["shutdown"] = json!({"limit_secs": 3600});
    let mut running = Running::start(bench).await;
    assert_eq!(post(&running.events, &["one"]).await, 200);
    running.process.says("delivery failed").await;
    running.process.terminate();
    running.until("/ready", has_reason("stopping")).await;
    let status = running.json("/api/v1/status").await;
    assert_eq!(status["stopping"], true, "{status}");
    assert_eq!(running.get("/health").await.status(), 200);
    running.process.terminate();
    let (ended, table, _) = running.process.end().await;
    assert_eq!(
        (ended.code(), figure(&table, "held")),
        (Some(1), 1),
        "{table}"
    );
}

#[tokio::test]
async fn an_event_on_its_way_is_still_the_oldest_and_its_delivery_is_timed_once_it_ends() {
    let case = Case::new([Step::Wait]);
    let running = case
        .start_lines(&lines(5), &json!({"batch": {"max_events": 5}}))
        .await;
    let telemetry = running.telemetry();
    until(|| case.batches().len() == 1).await;
    let waits = |oldest: Option<i64>| {
        let sink = &telemetry.status().sinks[0];
        sink.buffer
            .as_ref()
            .is_some_and(|it| it.oldest_ms == oldest)
    };
    until(|| waits(Some(1_000_000))).await;
    let status = telemetry.status();
    assert_eq!(status.sinks[0].kind, "scripted");
    assert_eq!(status.sinks[0].deliveries.count(), 0);
    assert_eq!(status.sources[0].received, 5);
    case.destination.gate.add_permits(1);
    until(|| telemetry.status().sinks[0].counts.delivered == 5).await;
    let ended = running.finish().await;
    assert!(ended.is_complete());
    let status = telemetry.status();
    assert_eq!(status.sinks[0].deliveries.count(), 1);
    assert_eq!(status.sources[0].state, SourceState::Ended);
}
