//! The `pipeline` binary as a process that keeps running: signals, ports, progress, and events over HTTP.

use crate::destination::dead_letters;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// The longest a process may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);
/// Where nothing listens: the system hands out no port as low as this.
const UNREACHABLE: &str = "http://127.0.0.1:9";

/// A running `pipeline`.
pub(crate) struct Process {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// Starts it with these variables in its environment.
    pub(crate) fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command.args(arguments).envs(variables.iter().copied());
        Self::of(command)
    }

    /// Starts it in a folder, where it finds files by their names.
    pub(crate) fn start_in(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command.args(arguments).current_dir(folder);
        Self::of(command)
    }

    /// Starts another build of the program.
    pub(crate) fn start_program(program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, stderr }
    }

    /// The next line of standard error that holds `word`.
    pub(crate) async fn says(&mut self, word: &str) -> String {
        let found = async {
            while let Some(line) = self.stderr.next_line().await.unwrap() {
                if line.contains(word) {
                    return line;
                }
            }
            panic!("it ended without saying `{word}`");
        };
        tokio::time::timeout(DEADLINE, found).await.expect(word)
    }

    /// What follows `word` in the next line that holds it.
    pub(crate) async fn address(&mut self, word: &str) -> String {
        let line = self.says(word).await;
        let behind = line.split_once(word).unwrap().1;
        let end = behind.find([';', ' ']).unwrap_or(behind.len());
        behind[..end].to_owned()
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id().unwrap());
        let status = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(status.unwrap().success());
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for the end; returns how it ended, standard output, and the rest of standard error.
    pub(crate) async fn end(mut self) -> (ExitStatus, String, String) {
        let ended = async {
            let (mut stdout, mut rest) = (String::new(), String::new());
            let mut out = self.child.stdout.take().unwrap();
            let mut stderr = self.stderr.into_inner();
            let (written, said) = tokio::join!(
                out.read_to_string(&mut stdout),
                stderr.read_to_string(&mut rest)
            );
            written.and(said).unwrap();
            (self.child.wait().await.unwrap(), stdout, rest)
        };
        tokio::time::timeout(DEADLINE, ended)
            .await
            .expect("it ends")
    }
}

pub(crate) fn write(folder: &Path, pipeline: &Value) -> String {
    let file = folder.join("pipeline.json");
    std::fs::write(&file, pipeline.to_string()).unwrap();
    file.display().to_string()
}

/// A pipeline that takes events over HTTP at `address` and delivers them to `endpoint`.
fn web_pipeline(folder: &Path, address: &str, endpoint: &str) -> String {
    let pipeline = json!({
        "sources": {"web": {"type": "http_server", "address": address}},
        "sinks": {"meta": {
            "type": "meta_conversions", "inputs": ["web"], "preset": "retail",
            "pixel_id": "1234567890123456", "access_token": "token", "endpoint": endpoint,
            "batch": {"timeout_secs": 0},
        }},
    });
    write(folder, &pipeline)
}

pub(crate) fn event(id: &str) -> Value {
    json!({
        "type": "track", "event": "Product Added", "messageId": id, "userId": "u",
        "properties": {"product_id": "p", "price": 5, "currency": "EUR"},
        "context": {"consent": {"marketing": true}},
    })
}

pub(crate) async fn post(url: &str, content_type: &str, body: String) -> Value {
    let client = reqwest::Client::new();
    let request = client.post(url).header("content-type", content_type);
    let response = request.body(body).send().await.unwrap();
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// A process that holds three events for a destination that cannot be reached.
async fn holding(folder: &TempDir, shutdown_secs: f64) -> Process {
    let lines: String = (0..3)
        .map(|id| format!("{}\n", event(&id.to_string())))
        .collect();
    std::fs::write(folder.path().join("events.ndjson"), lines).unwrap();
    let pipeline = json!({
        "sources": {"events": {"type": "file", "path": "events.ndjson", "checkpoint": false}},
        "sinks": {"meta": {
            "type": "meta_conversions", "inputs": ["events"], "preset": "retail",
            "pixel_id": "1234567890123456", "access_token": "token", "endpoint": UNREACHABLE,
        }},
        "shutdown": {"limit_secs": shutdown_secs},
    });
    let mut process = Process::start(&["run", &write(folder.path(), &pipeline)]);
    process.says("delivery failed").await;
    process
}

fn held(folder: &TempDir) -> usize {
    dead_letters(folder.path(), "meta")
        .lines()
        .filter(|line| line.contains("\"held_at_shutdown\""))
        .count()
}

#[tokio::test]
async fn told_to_stop_while_nothing_gets_through_it_writes_down_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let process = holding(&folder, 0.1).await;
    process.terminate();
    let (status, table, _) = process.end().await;
    assert_eq!((status.code(), held(&folder)), (Some(1), 3), "{table}");
    let row = table.lines().find(|line| line.trim().starts_with("held"));
    assert!(row.unwrap().ends_with(" 3"), "{table}");
    assert!(table.contains("data/dead_letters/meta\n"), "{table}");
}

#[tokio::test]
async fn told_twice_it_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // Far longer than the test waits.
    let mut process = holding(&folder, 3600.0).await;
    process.terminate();
    process.says("stopping").await;
    process.terminate();
    process.says("quitting").await;
    let (status, table, _) = process.end().await;
    assert_eq!((status.code(), held(&folder)), (Some(1), 3), "{table}");
}

#[tokio::test]
async fn events_over_http_reach_a_sandbox_and_a_bad_one_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut sandbox = Process::start(&["sandbox", "--address", "127.0.0.1:0"]);
    let endpoint = sandbox.address("listens on ").await;
    let mut run = Process::start(&[
        "run",
        &web_pipeline(folder.path(), "127.0.0.1:0", &endpoint),
    ]);
    let url = format!("http://{}/v1/events", run.address("address=").await);

    let json = "application/json";
    let object = post(&url, json, event("one").to_string()).await;
    assert_eq!(
        object,
        json!({"received": 1, "accepted": 1, "filtered": 0, "rejected": []})
    );
    let array = post(
        &url,
        json,
        json!([event("two"), 7, {"type": "identify"}, event("three")]).to_string(),
    )
    .await;
    assert_eq!(
        (&array["received"], &array["accepted"], &array["filtered"]),
        (&json!(4), &json!(2), &json!(1))
    );
    assert_eq!(array["rejected"][0]["index"], 1);
    assert_eq!(array["filtered_by_reason"], json!({"not_a_conversion": 1}));
    let lines = format!("{}\n{{broken\n{}\n", event("four"), event("five"));
    let lines = post(&url, "application/x-ndjson", lines).await;
    assert_eq!(
        (&lines["accepted"], &lines["rejected"][0]["reason"]),
        (&json!(2), &json!("malformed_json"))
    );

    run.terminate();
    let (status, table, _) = run.end().await;
    assert_eq!(status.code(), Some(0), "{table}");
    sandbox.terminate();
    let (status, summary, _) = sandbox.end().await;
    assert_eq!(status.code(), Some(0));
    assert!(
        summary.starts_with("Sandbox: 5 events accepted"),
        "{summary}"
    );
}

#[tokio::test]
async fn the_sandbox_refuses_what_it_is_told_to_refuse() {
    let mut sandbox = Process::start(&[
        "sandbox",
        "--address",
        "127.0.0.1:0",
        "--require-website-fields",
    ]);
    let endpoint = sandbox.address("listens on ").await;
    let folder = tempfile::tempdir().unwrap();
    let mut run = Process::start(&[
        "run",
        &web_pipeline(folder.path(), "127.0.0.1:0", &endpoint),
    ]);
    let url = format!("http://{}/v1/events", run.address("address=").await);
    post(&url, "application/json", event("no user agent").to_string()).await;
    run.terminate();
    let (status, table, _) = run.end().await;
    assert_eq!(status.code(), Some(0), "{table}");
    let row = table
        .lines()
        .find(|line| line.trim().starts_with("rejected"));
    assert!(row.unwrap().ends_with(" 1"), "{table}");
}

#[tokio::test]
async fn a_port_in_use_is_said_and_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, said) = Process::start(&["sandbox", "--address", &address])
        .end()
        .await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let file = web_pipeline(folder.path(), &address, UNREACHABLE);
    let (status, _, said) = Process::start(&["run", &file]).end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    let expected = format!("source `web`: cannot listen on {address}: ");
    assert!(said.contains(&expected), "{said}");
}

#[tokio::test]
async fn progress_is_plain_lines_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = web_pipeline(folder.path(), "127.0.0.1:0", UNREACHABLE);
    let mut run = Process::start(&["run", "--progress", "always", &file]);
    let first = run.says("  read ").await;
    assert!(
        first.ends_with("  read 0, delivered 0 (0/s), held 0"),
        "{first}"
    );
    let second = run.says("  read ").await;
    assert!(
        second.starts_with("00:0") && !second.contains('\u{1b}'),
        "{second}"
    );
    run.terminate();
    let (status, _, _) = run.end().await;
    assert_eq!(status.code(), Some(0));
}
