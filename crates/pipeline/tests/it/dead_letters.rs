//! `pipeline dead-letters`, the real binary on what a real run has left, and beside a run that continues.

use crate::destination::dead_letters;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest a process may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A folder with a pipeline file of two sinks, whose token stands in an environment variable.
struct Bench {
    folder: TempDir,
    file: String,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sink = |input: &str| {
            json!({
                "type": "meta_conversions", "inputs": [input], "preset": "retail", "pixel_id": "1234567890123456",
                "access_token": "${TOKEN_OF_THIS_TEST}", "endpoint": "http://127.0.0.1:9",
                "dead_letters": {"max_bytes": 100_000_000},
            })
        };
        let pipeline = json!({
            "data_dir": "${DATA_DIR:-data}",
            "sources": {
                "events": {"type": "file", "path": "events.ndjson"},
                "web": {"type": "http_server", "address": "127.0.0.1:0"},
            },
            "sinks": {"meta": sink("events"), "other": sink("web")},
        });
        let file = folder.path().join("pipeline.json");
        std::fs::write(&file, pipeline.to_string()).unwrap();
        let file = file.display().to_string();
        Self { folder, file }
    }

    /// Starts a run over these events, which continues until it is killed.
    fn start(&self, events: &str) -> Running {
        std::fs::write(self.folder.path().join("events.ndjson"), events).unwrap();
        let child = command(&["run", "--log-level", "off", &self.file])
            .env("TOKEN_OF_THIS_TEST", "token")
            .stdout(Stdio::null())
            .spawn();
        Running(child.unwrap())
    }

    /// Runs until the dead letters of `meta` are so many lines, then kills the process.
    fn leave(&self, events: &str, letters: usize) {
        let _running = self.start(events);
        let since = Instant::now();
        while self.letters().lines().count() < letters {
            assert!(since.elapsed() < DEADLINE, "{}", self.letters());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn letters(&self) -> String {
        dead_letters(self.folder.path(), "meta")
    }

    fn segment(&self, name: &str) -> PathBuf {
        self.folder.path().join("data/dead_letters/meta").join(name)
    }

    /// What a command says, which has no token in its environment.
    fn dead_letters(&self, command_line: &[&str]) -> Output {
        let (first, rest) = command_line.split_first().unwrap();
        command(&["dead-letters", first, "--config", &self.file])
            .args(rest)
            .output()
            .unwrap()
    }

    fn says(&self, command_line: &[&str]) -> String {
        let output = self.dead_letters(command_line);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A process that is killed at the end of a test, as `kill -9` does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const MIXED: &str = "{broken\n{\"type\":\"track\"}\n{broken\n";

#[test]
fn they_are_listed_by_reason_without_the_token() {
    let bench = Bench::new();
    let nothing = bench.says(&["list"]);
    assert_eq!(nothing, "meta: no dead letters\n\nother: no dead letters\n");
    bench.leave(MIXED, 3);
    let table = bench.says(&["list"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("meta: 3 dead letters in "), "{table}");
    assert!(
        lines[0].ends_with("data/dead_letters/meta, 0 % full"),
        "{table}"
    );
    for (line, reason, count) in [(2, "malformed_json", "2"), (3, "no_event_name", "1")] {
        let mut words = lines[line].split_whitespace();
        assert_eq!(
            (words.next(), words.next()),
            (Some(reason), Some(count)),
            "{table}"
        );
    }
    assert!(
        lines[3].contains("a track call needs an `event`"),
        "{table}"
    );
    assert_eq!(lines.last(), Some(&"other: no dead letters"));
    assert_eq!(
        bench.says(&["list", "--sink", "other"]),
        "other: no dead letters\n"
    );
}

#[test]
fn they_are_shown_as_they_are() {
    let bench = Bench::new();
    bench.leave(MIXED, 3);
    assert_eq!(bench.says(&["show"]), bench.letters());
    let reason = |line: &str| serde_json::from_str::<Value>(line).unwrap()["reason"].clone();
    let shown = bench.says(&["show", "--reason", "malformed_json"]);
    let reasons: Vec<_> = shown.lines().map(reason).collect();
    assert_eq!(reasons, ["malformed_json", "malformed_json"]);
    let shown = bench.says(&["show", "--reason", "malformed_json", "--limit", "1"]);
    assert_eq!(shown.lines().count(), 1);
    assert_eq!(bench.says(&["show", "--limit", "0"]), "");
    assert_eq!(bench.says(&["show", "--sink", "other"]), "");
}

#[test]
fn a_damaged_line_is_said_and_skipped() {
    let bench = Bench::new();
    bench.leave(MIXED, 3);
    let path = bench.segment("without_payload.ndjson");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 20]).unwrap();
    for word in ["list", "show"] {
        let output = bench.dead_letters(&[word]);
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("line 3 of `"), "{said}");
    }
    assert_eq!(bench.says(&["show"]).lines().count(), 2);
}

#[test]
fn a_purge_must_say_what_it_means() {
    let bench = Bench::new();
    bench.leave(MIXED, 3);
    let before = bench.letters();
    for arguments in [
        &["purge"][..],
        &["purge", "--all", "--reason", "malformed_json"],
        &["purge", "--older-than-days", "-1"],
        &["purge", "--older-than-days", "x"],
    ] {
        let output = bench.dead_letters(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
    assert_eq!(bench.letters(), before);
    let old = bench.says(&["purge", "--older-than-days", "1"]);
    assert_eq!(old, "meta: 0 deleted, 3 kept\nother: 0 deleted, 0 kept\n");
    let by_reason = bench.says(&["purge", "--reason", "malformed_json", "--sink", "meta"]);
    assert_eq!(by_reason, "meta: 2 deleted, 1 kept\n");
    let all = bench.says(&["purge", "--all"]);
    assert_eq!(all, "meta: 1 deleted, 0 kept\nother: 0 deleted, 0 kept\n");
    assert_eq!(bench.letters(), "");
}

#[test]
fn an_unknown_sink_lists_the_known_ones_and_a_bad_file_says_why() {
    let bench = Bench::new();
    let output = bench.dead_letters(&["list", "--sink", "mta"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.contains("`--sink` must be one of `meta`, `other`"),
        "{said}"
    );
    let cases = [
        (
            json!({"sinks": {"../a": {}}}),
            "sinks[\"../a\"]: is not a name for a sink",
        ),
        (json!({"sinks": 7}), "sinks: "),
        (json!({}), "sinks: "),
        (json!({"data_dir": [7], "sinks": {}}), "data_dir: "),
        (
            json!({"data_dir": "${NOWHERE}", "sinks": {}}),
            "data_dir: uses the environment variable `NOWHERE`",
        ),
        (
            json!({"sinks": {"a": {"dead_letters": {"max_byts": 7}}}}),
            "sinks.a.dead_letters.max_byts: ",
        ),
    ];
    for (config, problem) in cases {
        std::fs::write(Path::new(&bench.file), config.to_string()).unwrap();
        let output = bench.dead_letters(&["list"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(problem), "{problem}: {said}");
    }
}

#[test]
fn letters_are_purged_beside_a_run_that_goes_on_writing() {
    const EVENTS: usize = 3_000;
    let bench = Bench::new();
    let _running = bench.start(&MIXED.repeat(EVENTS / 3));
    let (since, mut deleted) = (Instant::now(), 0);
    while deleted < EVENTS * 2 / 3 {
        assert!(since.elapsed() < DEADLINE, "{deleted}");
        let said = bench.says(&["purge", "--reason", "malformed_json", "--sink", "meta"]);
        let count = said.split_whitespace().nth(1).unwrap();
        deleted += count.parse::<usize>().unwrap();
    }
    while bench.letters().lines().count() < EVENTS / 3 {
        assert!(since.elapsed() < DEADLINE);
        std::thread::sleep(Duration::from_millis(5));
    }
    let letters = bench.letters();
    let left = letters
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let left = left
        .filter(|letter| letter["reason"] == "no_event_name")
        .count();
    assert_eq!(
        (deleted, left, letters.lines().count()),
        (2_000, 1_000, 1_000)
    );
}

#[test]
fn help_teaches_with_examples() {
    for arguments in [
        &["dead-letters", "--help"][..],
        &["dead-letters", "show", "--help"],
        &["dead-letters", "purge", "--help"],
    ] {
        let output = command(arguments).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            help.contains("Examples:\n  pipeline dead-letters "),
            "{help}"
        );
    }
}
