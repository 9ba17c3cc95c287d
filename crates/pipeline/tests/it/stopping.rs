//! Stopping takes a bounded time, whatever the destination and the reader of the log do.

use crate::operation::{Bench, post};
use crate::process::Process;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// Far longer than stopping may take, and far shorter than anything that it must not wait for.
const GENEROUS: Duration = Duration::from_secs(25);

/// A destination that takes connections and says nothing.
struct Silent {
    listener: TcpListener,
    connections: Vec<TcpStream>,
}

impl Silent {
    async fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            connections: Vec::new(),
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// Waits for a request.
    async fn is_asked(&mut self) {
        let (connection, _) = self.listener.accept().await.unwrap();
        connection.readable().await.unwrap();
        self.connections.push(connection);
    }
}

fn row<'a>(table: &'a str, label: &str) -> &'a str {
    let row = table.lines().find(|line| line.trim().starts_with(label));
    row.unwrap_or_else(|| panic!("no `{label}` in {table}"))
}

/// Runs with a destination that never answers until it is told to stop; what it says, and the next run's deliveries.
async fn stopped_before_the_answer(buffer: &str) -> (Option<i32>, String, Bench) {
    let mut bench = Bench::new().await;
    let mut silent = Silent::new().await;
    bench.sink(&json!({"endpoint": silent.url(), "buffer": {"type": buffer}, "timeout_secs": 300}));
    let (mut process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["one", "two"]).await, 200);
    silent.is_asked().await;
    let since = Instant::now();
    process.terminate();
    let said = process.says("stopping: ").await;
    assert!(said.contains(" INFO "), "{said}");
    let (status, table, said) = process.end().await;
    assert!(since.elapsed() < GENEROUS, "{said}");
    assert!(row(&table, "held").ends_with(" 2"), "{table}");
    (status.code(), table, bench)
}

#[tokio::test]
async fn requests_without_an_answer_are_given_up_and_a_disk_buffer_sends_them_in_the_next_run() {
    let (code, table, mut bench) = stopped_before_the_answer("disk").await;
    assert_eq!(code, Some(0), "{table}");
    let url = bench.sandbox.url();
    bench.sink(&json!({"endpoint": url}));
    let (process, _) = bench.start(&["run"]).await;
    bench.delivered(2).await;
    process.terminate();
    assert_eq!(process.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn what_a_memory_buffer_had_acknowledged_is_written_down_before_the_end() {
    let (code, table, bench) = stopped_before_the_answer("memory").await;
    assert_eq!(code, Some(1), "{table}");
    let letters = crate::destination::dead_letters(bench.folder.path(), "meta");
    assert_eq!(
        letters.matches("\"held_at_shutdown\"").count(),
        2,
        "{letters}"
    );
}

#[tokio::test]
async fn a_sink_whose_next_attempt_would_come_too_late_does_not_wait_for_it() {
    let mut bench = Bench::new().await;
    let retry = json!({"initial_backoff_secs": 3600, "max_backoff_secs": 86_400});
    bench.sink(&json!({"endpoint": "http://127.0.0.1:9", "retry": retry}));
    // Draining would take an hour.
    bench.pipeline["shutdown"] = json!({"limit_secs": 60});
    let (mut process, url) = bench.start(&["run"]).await;
    assert_eq!(post(&url, &["one"]).await, 200);
    process.says("delivery failed").await;
    let since = Instant::now();
    process.terminate();
    let (status, table, _) = process.end().await;
    assert!(since.elapsed() < GENEROUS);
    assert_eq!(status.code(), Some(1), "{table}");
    let letters = crate::destination::dead_letters(bench.folder.path(), "meta");
    assert_eq!(
        letters.matches("\"held_at_shutdown\"").count(),
        1,
        "{letters}"
    );
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_neither_delivery_nor_the_end() {
    let bench = Bench::new().await;
    let (process, url) = bench.start(&["run", "--log-level", "trace"]).await;
    // From here on nothing is read of what it says.
    for index in 0..500 {
        assert_eq!(post(&url, &[&index.to_string()]).await, 200);
    }
    bench.delivered(500).await;
    process.terminate();
    let (status, table, said) = process.end().await;
    assert_eq!(status.code(), Some(0), "{table}");
    // More than a pipe takes: it was full long before the last delivery.
    assert!(said.len() > 128 * 1024, "{} bytes", said.len());
}

#[tokio::test]
async fn a_log_for_programs_is_one_object_a_line() {
    let bench = Bench::new().await;
    let file = bench.write();
    let mut process = Process::start(&["run", "--log-format", "json", &file]);
    let line = process.says("listening").await;
    let first: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&first["level"], &first["message"]),
        (&json!("INFO"), &json!("listening"))
    );
    process.terminate();
    let (_, _, said) = process.end().await;
    let messages: Vec<String> = said
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].to_string())
        .collect();
    assert!(messages[0].contains("stopping: "), "{messages:?}");
    assert!(messages[1].contains("nothing is left"), "{messages:?}");
}
