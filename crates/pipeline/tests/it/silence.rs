//! A pipeline says what it does and what is wrong, and never takes an event that it cannot keep.

use crate::operation::{Bench, post};
use crate::process::Process;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longer than a second, because the machine may be busy; far shorter than anything that would hide a fault.
const SOON: Duration = Duration::from_secs(15);

async fn ended(process: Process) -> (Option<i32>, String) {
    process.terminate();
    let (status, _, said) = process.end().await;
    (status.code(), said)
}

/// Leaves two events in the disk buffer of `meta`, for a destination that is away.
async fn leave_two(bench: &mut Bench) {
    let url = bench.sandbox.url();
    bench.sink(&json!({"buffer": {"type": "disk"}, "endpoint": "http://127.0.0.1:9"}));
    let (process, address) = bench.start(&["run"]).await;
    assert_eq!(post(&address, &["one", "two"]).await, 200);
    assert_eq!(ended(process).await.0, Some(0));
    bench.sink(&json!({"endpoint": url}));
}

#[tokio::test]
async fn the_start_says_what_runs_and_what_an_earlier_run_has_left() {
    let mut bench = Bench::new().await;
    leave_two(&mut bench).await;
    let file = bench.write();
    let mut process = Process::start(&["run", &file]);
    let line = process.says("starting").await;
    for word in [
        "version=",
        "pipeline.json",
        "web (http_server)",
        "meta (meta_conversions)",
    ] {
        assert!(line.contains(word), "{line}");
    }
    let line = process.says("since an earlier run").await;
    assert!(
        line.contains("waiting in the disk buffer since an earlier run: 2, oldest "),
        "{line}"
    );
    bench.delivered(2).await;
    assert_eq!(ended(process).await.0, Some(0));
}

#[tokio::test]
async fn a_destination_that_refuses_is_told_at_the_start_before_any_event() {
    let mut bench = Bench::new().await;
    for (options, word) in [
        (json!({"access_token": "revoked"}), "access token"),
        (json!({"endpoint": "http://127.0.0.1:9"}), "connection"),
    ] {
        bench.sink(&options);
        let file = bench.write();
        let mut process = Process::start(&["run", &file]);
        let line = process.says("health check").await;
        assert!(line.contains("WARN") && line.contains(word), "{line}");
        ended(process).await;
    }
    assert_eq!(bench.sandbox.unique().len(), 0);
}

#[tokio::test]
async fn a_buffer_that_fills_and_refuses_is_told_and_so_is_its_end() {
    let mut bench = Bench::new().await;
    let token = bench.folder.path().join("token");
    std::fs::write(&token, "revoked").unwrap();
    bench.pipeline["sinks"]["meta"]
        .as_object_mut()
        .unwrap()
        .remove("access_token");
    bench.sink(&json!({
        "access_token_file": "token", "batch": {"timeout_secs": 0.01, "max_events": 5}, "buffer": {"max_events": 10},
    }));
    let (mut process, url) = bench.start(&["run"]).await;
    for id in 0..9 {
        assert_eq!(post(&url, &[&id.to_string()]).await, 200);
    }
    let line = process.says("the buffer is ").await;
    assert!(
        line.contains("WARN") && line.contains("the buffer is 80 % full"),
        "{line}"
    );
    assert_eq!(post(&url, &["x", "y"]).await, 503);
    let line = process.says("the buffer is full").await;
    assert!(
        line.contains("WARN") && line.contains("1 request was refused"),
        "{line}"
    );
    std::fs::write(&token, "the-token-of-today").unwrap();
    bench.delivered(9).await;
    assert_eq!(post(&url, &["x", "y"]).await, 200);
    let line = process.says("the buffer has room again").await;
    assert!(line.contains("1 request was refused in "), "{line}");
    assert_eq!(ended(process).await.0, Some(0));
}

/// Answers until one is not 200, or it has taken too long.
async fn first_refusal(url: &str) -> u16 {
    let since = Instant::now();
    for id in 0.. {
        let status = post(url, &[&format!("after {id}")]).await;
        if status != 200 {
            return status;
        }
        assert!(since.elapsed() < SOON, "it still takes events");
    }
    unreachable!()
}

#[tokio::test]
async fn a_data_folder_that_is_deleted_or_renamed_gives_senders_503_and_says_so() {
    type Remove = fn(&Path, PathBuf);
    let removals: [Remove; 2] = [
        |data, _| std::fs::remove_dir_all(data).unwrap(),
        |data, other| std::fs::rename(data, other).unwrap(),
    ];
    for remove in removals {
        let mut bench = Bench::new().await;
        bench.sink(&json!({"buffer": {"type": "disk"}, "endpoint": "http://127.0.0.1:9"}));
        let (mut process, url) = bench.start(&["run"]).await;
        assert_eq!(post(&url, &["before"]).await, 200);
        remove(
            &bench.folder.path().join("data"),
            bench.folder.path().join("elsewhere"),
        );
        assert_eq!(first_refusal(&url).await, 503);
        let line = process.says("was deleted or moved").await;
        assert!(
            line.contains("ERROR") && line.contains("no more events are taken"),
            "{line}"
        );
        process.terminate();
        process.end().await;
    }
}

#[tokio::test]
async fn events_and_letters_that_no_sink_owns_are_told_at_the_start_and_by_validate() {
    let mut bench = Bench::new().await;
    leave_two(&mut bench).await;
    let owned = bench.write();
    let says = async |file: &str| {
        let (status, table, said) = Process::start(&["validate", file]).end().await;
        assert_eq!(status.code(), Some(0), "{table}{said}");
        table
    };
    assert!(
        !says(&owned).await.contains("no sink"),
        "its own events are no leftovers"
    );
    let changes: [fn(&mut Value); 2] = [
        |sinks| {
            let sink = sinks["meta"].take();
            *sinks = json!({"renamed": sink});
        },
        |sinks| sinks["meta"]["buffer"] = json!({"type": "memory"}),
    ];
    for change in changes {
        let before = bench.pipeline.clone();
        change(&mut bench.pipeline["sinks"]);
        let file = bench.write();
        let expected = "holds 2 events that no sink of this file sends";
        let table = says(&file).await;
        assert!(table.contains(expected), "{table}");
        let mut process = Process::start(&["run", &file]);
        let line = process.says(expected).await;
        assert!(
            line.contains("WARN") && line.contains("buffer/meta"),
            "{line}"
        );
        ended(process).await;
        bench.pipeline = before;
    }
}

#[tokio::test]
async fn a_damaged_buffer_is_checked_and_salvaged_and_delivered_by_the_next_run() {
    let mut bench = Bench::new().await;
    leave_two(&mut bench).await;
    let file = bench.write();
    let buffer = async |command: &str| {
        Process::start(&["buffer", command, "--config", &file])
            .end()
            .await
    };
    let (status, table, said) = buffer("check").await;
    assert_eq!(status.code(), Some(0), "{table}{said}");
    for line in [
        "meta: ok\n",
        "holds         2 events\n",
        "made for      1234567890123456: 2 events\n",
    ] {
        assert!(table.contains(line), "{table}");
    }
    let database = bench.folder.path().join("data/buffer/meta/records.db");
    let mut bytes = std::fs::read(&database).unwrap();
    bytes[..4096].fill(0);
    std::fs::write(&database, bytes).unwrap();
    let (status, table, _) = buffer("check").await;
    assert_eq!(status.code(), Some(1), "{table}");
    assert!(table.starts_with("meta: damaged\n"), "{table}");
    assert_eq!(
        Process::start(&["run", &file]).end().await.0.code(),
        Some(1)
    );
    let (status, table, said) = buffer("salvage").await;
    assert_eq!(status.code(), Some(0), "{table}{said}");
    assert!(
        table.contains("salvaged      2 events\n") && table.contains("damaged-"),
        "{table}"
    );
    let (process, _) = bench.start(&["run"]).await;
    bench.delivered(2).await;
    assert_eq!(ended(process).await.0, Some(0));
}
