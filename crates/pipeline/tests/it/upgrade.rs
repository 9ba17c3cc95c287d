//! What the version before left on disk is read by this one, and what a later version leaves is refused with the reason.

use crate::destination::dead_letters;
use crate::process::Process;
use flate2::read::GzDecoder;
use graph_sandbox::{Fault, Sandbox, SandboxOptions};
use pipeline_core::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
/// 2099-01-02, a day after the fixtures were written.
const NOW_MS: i64 = 4_070_995_200_000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/upgrade")
        .join(name)
}

/// A folder as the version before left it, and a destination for what is in it.
struct Left {
    folder: TempDir,
    sandbox: Sandbox,
}

impl Left {
    async fn new() -> Self {
        let sandbox = Sandbox::start(SandboxOptions {
            now_ms: Some(Arc::new(|| NOW_MS)),
            ..SandboxOptions::default()
        });
        Self {
            folder: tempfile::tempdir().unwrap(),
            sandbox: sandbox.await.unwrap(),
        }
    }

    /// A folder with the buffer, the file and the checkpoint of this fixture.
    async fn with_buffer(name: &str) -> Self {
        let left = Self::new().await;
        let (from, buffer) = (fixture(name), left.data("buffer/meta"));
        for file in ["records.db", "records.db-wal"] {
            if let Ok(packed) = File::open(from.join(format!("{file}.gz"))) {
                let mut unpacked = File::create(buffer.join(file)).unwrap();
                std::io::copy(&mut GzDecoder::new(packed), &mut unpacked).unwrap();
            }
        }
        let events = left.folder.path().join("events.ndjson");
        fs::copy(from.join("events.ndjson"), &events).unwrap();
        let metadata = events.metadata().unwrap();
        let checkpoint = fs::read_to_string(from.join("checkpoint.json"))
            .unwrap()
            .replace("@FOLDER@", &left.folder.path().display().to_string())
            .replace("\"@DEVICE@\"", &metadata.dev().to_string())
            .replace("\"@INODE@\"", &metadata.ino().to_string());
        fs::write(left.data("checkpoints").join("events.json"), checkpoint).unwrap();
        left
    }

    fn data(&self, folder: &str) -> PathBuf {
        let folder = self.folder.path().join("data").join(folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The pipeline file, as the version before read it too.
    fn pipeline(&self) -> String {
        let pipeline = json!({
            "sources": {
                "web": {"type": "http_server", "address": "127.0.0.1:0"},
                "events": {"type": "file", "path": "events.ndjson"},
            },
            "sinks": {"meta": {
                "type": "meta_conversions", "inputs": ["web", "events"], "preset": "retail",
                "pixel_id": "1234567890123456", "access_token": "token", "endpoint": self.sandbox.url(),
                // One that has no end yet: for the sandbox it is the year 2099.
                "api_version": "v26.0",
                "batch": {"timeout_secs": 0.01}, "buffer": {"type": "disk", "max_bytes": 33_554_432},
            }},
        });
        let file = self.folder.path().join("pipeline.json");
        fs::write(&file, pipeline.to_string()).unwrap();
        file.display().to_string()
    }

    async fn delivered(&self, events: usize) {
        let reached = async {
            while self.sandbox.unique().len() < events {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, reached).await;
        assert!(in_time.is_ok(), "{:?}", self.sandbox.unique());
    }

    /// The ids of what was delivered, which was delivered once each.
    fn ids(&self) -> BTreeSet<String> {
        let accepted = self.sandbox.accepted();
        let id = |event: &String| {
            let event: Value = serde_json::from_str(event).unwrap();
            event["event_id"].as_str().unwrap().to_owned()
        };
        let ids: BTreeSet<_> = accepted.iter().map(id).collect();
        assert_eq!(ids.len(), accepted.len(), "{accepted:?}");
        ids
    }
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn a_disk_buffer_of_the_version_before_is_delivered_and_its_file_is_not_read_again() {
    for name in ["killed", "stopped"] {
        let left = Left::with_buffer(name).await;
        let process = Process::start(&["run", &left.pipeline()]);
        left.delivered(5).await;
        process.terminate();
        let (status, table, said) = process.end().await;
        assert_eq!(status.code(), Some(0), "{name}: {table}{said}");
        let old = ["web 1", "web 2", "web 3", "file 1", "file 2"];
        assert_eq!(left.ids(), set(&old), "{name}");
        let row = |label: &str| {
            let row = table.lines().find(|line| line.trim().starts_with(label));
            row.unwrap_or_else(|| panic!("no `{label}` in {table}"))
        };
        assert!(row("resumed").ends_with(" 5"), "{table}");
        assert!(row("read").ends_with(" 0"), "{table}");
    }
}

#[tokio::test]
async fn dead_letters_of_the_version_before_are_listed_shown_and_replayed() {
    // A replay looks at the times of events with the clock of this machine.
    let left = Left {
        sandbox: Sandbox::start(SandboxOptions::default()).await.unwrap(),
        ..Left::new().await
    };
    let segment = left.data("dead_letters/meta").join("00000001.ndjson");
    let recent = (SystemClock.now_ms() / 1_000 - 60).to_string();
    let text = fs::read_to_string(fixture("letters/00000001.ndjson")).unwrap();
    let text = text.replace("4070908805", &recent);
    fs::write(&segment, text.replace("4070908806", &recent)).unwrap();
    let file = left.pipeline();
    let says_and_ends_with = async |arguments: &[&str], code| {
        let all = [&["dead-letters"], arguments, &["--config", &file]].concat();
        let (status, table, said) = Process::start(&all).end().await;
        assert_eq!(status.code(), Some(code), "{table}{said}");
        table
    };
    let says = async |arguments: &[&str]| says_and_ends_with(arguments, 0).await;
    let list = says(&["list"]).await;
    assert!(
        list.contains("refused_invalid") && list.contains("malformed_json"),
        "{list}"
    );
    let written = fs::read_to_string(&segment).unwrap();
    assert_eq!(says(&["show"]).await, written, "as they are");

    // Refused again, they become letters of this version, with the old code in the history.
    let refused = Fault::GraphError {
        status: 400,
        code: 100,
        subcode: Some(2_804_003),
        is_transient: false,
        message: None,
    };
    left.sandbox.inject(refused, 100).unwrap();
    let replay = ["replay", "--reason", "refused_invalid"];
    says_and_ends_with(&replay, 1).await;
    left.sandbox.lift_faults();
    let shown = says(&["show", "--reason", "refused_invalid"]).await;
    let mut codes: Vec<Value> = Vec::new();
    for line in shown.lines() {
        let letter: Value = serde_json::from_str(line).unwrap();
        assert_eq!(letter["destination_code"], "100/2804003", "{line}");
        codes.push(letter["history"][0]["destination_code"].clone());
    }
    assert_eq!(codes, ["100/2804003", "100/2804019", "100"]);

    let replayed = says(&["replay"]).await;
    assert!(replayed.contains("1 letter stays as it was"), "{replayed}");
    assert_eq!(left.ids(), set(&["refused 1", "refused 2", "refused 3"]));
    let rest = dead_letters(left.folder.path(), "meta");
    assert_eq!(rest.lines().count(), 1, "{rest}");
    assert!(rest.contains("malformed_json"), "{rest}");
}

#[tokio::test]
async fn a_disk_buffer_of_a_later_version_is_refused_and_stays_as_it_is() {
    let left = Left::with_buffer("stopped").await;
    let path = left.data("buffer/meta").join("records.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    let version = |database: &rusqlite::Connection| -> i64 {
        let version = database.query_row("PRAGMA user_version", [], |row| row.get(0));
        version.unwrap()
    };
    let next = version(&database) + 1;
    database.pragma_update(None, "user_version", next).unwrap();
    drop(database);
    let (status, _, said) = Process::start(&["run", &left.pipeline()]).end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("meta") && said.contains("version"), "{said}");
    assert_eq!(version(&rusqlite::Connection::open(&path).unwrap()), next);
    assert!(left.sandbox.accepted().is_empty());
}

#[tokio::test]
async fn a_checkpoint_of_a_later_version_is_refused_and_stays_as_it_is() {
    let left = Left::with_buffer("stopped").await;
    let path = left.data("checkpoints").join("events.json");
    let later = fs::read_to_string(&path)
        .unwrap()
        .replace("\"version\":1", "\"version\":2");
    fs::write(&path, &later).unwrap();
    let (status, _, said) = Process::start(&["run", &left.pipeline()]).end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("`events`") && said.contains("version"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), later);
    assert!(left.sandbox.accepted().is_empty());
}
