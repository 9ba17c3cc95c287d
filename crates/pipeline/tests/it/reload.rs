//! The command while its file changes: what it says, that a port moves, and that a refused change changes nothing.

use crate::operation::{Bench, post};
use crate::process::{Process, event};
use crate::tally::free_port;
use serde_json::{Value, json};
use std::net::TcpListener;

fn web(port: u16, path: &str) -> Value {
    json!({"type": "http_server", "address": format!("127.0.0.1:{port}"), "path": path})
}

async fn stop(process: Process) {
    process.terminate();
    let (status, table, said) = process.end().await;
    assert_eq!(status.code(), Some(0), "{table}{said}");
}

#[tokio::test]
async fn what_a_reload_adds_removes_and_changes_is_said_in_a_line_each() {
    let mut bench = Bench::new().await;
    let (mut process, url) = bench.start(&["run"]).await;
    let mut more = bench.pipeline["sinks"]["meta"].clone();
    more["pixel_id"] = json!("1234567890123457");
    more["inputs"] = json!(["web", "file"]);
    std::fs::write(
        bench.folder.path().join("events.ndjson"),
        event("file").to_string() + "\n",
    )
    .unwrap();
    let before = bench.pipeline.clone();
    bench.pipeline["sources"]["file"] = json!({"type": "file", "path": "events.ndjson"});
    bench.pipeline["sinks"]["more"] = more;
    bench.sink(&json!({"preset": "travel"}));
    bench.write();
    process.signal("HUP");
    process.says("added source file").await;
    process
        .says("reloaded sink meta: preset retail → travel")
        .await;
    process.says("added sink more").await;
    bench.delivered(1).await;
    bench.pipeline = before;
    bench.write();
    process.signal("HUP");
    process.says("removed source file").await;
    process.says("removed sink more").await;
    process.says("the removed sink has ended").await;
    assert_eq!(post(&url, &["web"]).await, 200);
    bench.delivered(2).await;
    stop(process).await;
}

#[tokio::test]
async fn a_source_that_listens_moves_to_another_path_of_its_port_and_to_another_port() {
    let mut bench = Bench::new().await;
    bench.pipeline["sources"]["web"] = web(free_port(), "/v1/events");
    let (mut process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["one"]).await, 200);
    let base = url.strip_suffix("/v1/events").unwrap().to_owned();

    bench.pipeline["sources"]["web"]["path"] = json!("/collect");
    bench.write();
    process.signal("HUP");
    process
        .says("reloaded source web: path /v1/events → /collect")
        .await;
    assert_eq!(post(&url, &["two"]).await, 404);
    assert_eq!(post(&format!("{base}/collect"), &["two"]).await, 200);

    bench.pipeline["sources"]["web"]["address"] = json!("127.0.0.1:0");
    bench.write();
    process.signal("HUP");
    let address = process.address("address=").await;
    process.says("reloaded source web: address").await;
    assert_eq!(
        post(&format!("http://{address}/collect"), &["three"]).await,
        200
    );
    let old = reqwest::Client::new()
        .post(format!("{base}/collect"))
        .send()
        .await;
    assert!(old.is_err(), "the old port is closed");
    bench.delivered(3).await;
    stop(process).await;
}

#[tokio::test]
async fn a_port_that_is_taken_changes_nothing_whether_the_source_is_new_or_changed() {
    let mut bench = Bench::new().await;
    let (mut process, url) = bench.start(&["run"]).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let good = bench.pipeline.clone();
    for source in ["web", "second"] {
        bench.pipeline = good.clone();
        bench.pipeline["sources"][source] = web(port, "/v1/events");
        bench.sink(&json!({"preset": "travel", "inputs": ["web"]}));
        if source == "second" {
            bench.sink(&json!({"inputs": ["web", "second"]}));
        }
        bench.write();
        process.signal("HUP");
        // A source that was changed is opened again, on the port that the system gives it.
        let url = match source {
            "web" => format!("http://{}/v1/events", process.address("address=").await),
            _ => url.clone(),
        };
        let refused = process.says("the new configuration is not used").await;
        let expected = format!("source `{source}`: cannot listen on 127.0.0.1:{port}");
        assert!(refused.contains(&expected), "{refused}");
        if source == "web" {
            assert_eq!(post(&url, &[source]).await, 200);
        }
    }
    bench.delivered(1).await;
    stop(process).await;
}

#[tokio::test]
async fn a_followed_file_whose_destination_is_away_can_be_changed_and_is_read_once() {
    let mut bench = Bench::new().await;
    let lines =
        |ids: &[&str]| -> String { ids.iter().map(|id| event(id).to_string() + "\n").collect() };
    let path = bench.folder.path().join("events.ndjson");
    std::fs::write(&path, lines(&["one", "two"])).unwrap();
    bench.pipeline["sources"]["file"] =
        json!({"type": "file", "path": "events.ndjson", "follow": true});
    bench.sink(&json!({"inputs": ["web", "file"], "endpoint": "http://127.0.0.1:9"}));
    let (mut process, _) = bench.start(&["run"]).await;
    process.says("delivery failed").await;
    // The source waits for what it has sent when it is told to stop.
    bench.pipeline["sources"]["file"]["path"] = json!("./events.ndjson");
    let url = bench.sandbox.url();
    bench.write();
    process.signal("HUP");
    process
        .says("reloaded source file: path events.ndjson → ./events.ndjson")
        .await;
    bench.sink(&json!({"endpoint": url}));
    bench.write();
    process.signal("HUP");
    process.says("reloaded sink meta: endpoint").await;
    std::fs::write(&path, lines(&["one", "two", "three"])).unwrap();
    bench.delivered(3).await;
    stop(process).await;
}
