//! The real binary, killed with `kill -9` at random moments and started again, many times over.
//!
//! `CRASH_KILLS` says how often, and `CRASH_SEED` repeats the choices of a run; both are printed. What must hold: every
//! event that was acknowledged is at the destination or in the dead letters; what comes twice has the same event id; and
//! nothing that is written anywhere holds personal data or the token.

use crate::destination::dead_letters;
use crate::process::Process;
use graph_sandbox::{Fault, Sandbox, SandboxOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const TOKEN: &str = "kept-from-every-file-4711";
/// What no file and no line may hold, in lower case.
const PERSONAL: [&str; 4] = ["ottilie", "quandt", "15112345678", "example.org"];
/// Kills of one run unless `CRASH_KILLS` says otherwise.
const KILLS: u32 = 200;
/// The longest the last run may take to send what is left.
const DEADLINE: Duration = Duration::from_secs(120);

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn event(id: &str) -> Value {
    json!({
        "type": "track", "event": "Product Added", "messageId": id, "userId": "u",
        "properties": {"product_id": "p", "price": 5, "currency": "EUR"},
        "context": {"consent": {"marketing": true}, "page": {"url": "https://shop.example/?email=ottilie@example.org"}},
        "traits": {"email": "Ottilie.Quandt@example.org", "phone": "+4915112345678", "firstName": "Ottilie", "lastName": "Quandt"},
    })
}

/// A destination that outlives all processes, and the pipeline file of one of them.
struct Bench {
    folder: TempDir,
    sandbox: Sandbox,
    file: String,
    random: fastrand::Rng,
    seed: u64,
    /// Events that the destination refuses, whatever happens.
    refused: BTreeSet<String>,
    said: String,
}

impl Bench {
    async fn new(source: Value, buffer: &str) -> Self {
        let seed = from_environment("CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
        let sandbox = Sandbox::start(SandboxOptions {
            access_tokens: vec![TOKEN.to_owned()],
            ..SandboxOptions::default()
        });
        let sandbox = sandbox.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let pipeline = json!({
            "sources": {"events": source},
            "sinks": {"meta": {
                "type": "meta_conversions", "inputs": ["events"], "preset": "retail", "pixel_id": "1234567890123456",
                "access_token": TOKEN, "endpoint": sandbox.url(), "batch": {"timeout_secs": 0.01, "max_events": 200},
                "retry": {"initial_backoff_secs": 0.005, "max_backoff_secs": 0.02}, "buffer": {"type": buffer},
            }},
        });
        let file = folder.path().join("pipeline.json");
        std::fs::write(&file, pipeline.to_string()).unwrap();
        Self {
            file: file.display().to_string(),
            folder,
            sandbox,
            random: fastrand::Rng::with_seed(seed),
            seed,
            refused: BTreeSet::new(),
            said: String::new(),
        }
    }

    fn start(&self) -> Process {
        Process::start(&["run", &self.file])
    }

    /// Lets something go wrong at the destination, or nothing.
    fn disturb(&mut self) {
        let fault = match self.random.u8(0..8) {
            0 => Fault::DropBeforeAccept,
            1 => Fault::DropAfterAccept,
            2 => Fault::TruncatedAnswer,
            3 => Fault::Throttle {
                status: 400,
                code: 80004,
                business_use_case_minutes: None,
                ad_account_reset_seconds: None,
            },
            4 => Fault::Delay { millis: 30 },
            _ => return,
        };
        self.sandbox.inject(fault, 1).unwrap();
    }

    /// From now on the destination refuses this event.
    fn refuse(&mut self, id: &str) {
        let fault = Fault::RefuseEventId {
            event_id: id.to_owned(),
            code: 100,
            subcode: None,
        };
        self.sandbox.inject(fault, 1).unwrap();
        self.refused.insert(id.to_owned());
    }

    fn delivered(&self) -> BTreeSet<String> {
        let id = |event: &String| {
            let event: Value = serde_json::from_str(event).unwrap();
            event["event_id"].as_str().unwrap().to_owned()
        };
        self.sandbox.unique().iter().map(id).collect()
    }

    fn rejected(&self) -> BTreeSet<String> {
        let letters = dead_letters(self.folder.path(), "meta");
        let id = |line: &str| {
            let letter: Value = serde_json::from_str(line).ok()?;
            Some(letter["event_id"].as_str()?.to_owned())
        };
        letters.lines().filter_map(id).collect()
    }

    /// Waits until everything has arrived, ends the process, and compares.
    async fn conclude(mut self, process: Process, kept: &BTreeSet<String>, kills: u32) {
        let since = Instant::now();
        let missing = loop {
            let arrived: BTreeSet<_> = &self.delivered() | &self.rejected();
            let missing = kept.difference(&arrived).count();
            if missing == 0 || since.elapsed() > DEADLINE {
                break missing;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        process.terminate();
        let (_, table, rest) = process.end().await;
        self.said.push_str(&table);
        self.said.push_str(&rest);
        let summary = self.sandbox.summary();
        let said = format!(
            "seed {}: {kills} kills, {} acknowledged, {missing} lost, {} dead letters, {summary:?}",
            self.seed,
            kept.len(),
            self.rejected().len(),
        );
        assert_eq!(missing, 0, "{said} {table}");
        assert!(self.rejected().is_subset(&self.refused), "{said}");
        self.assert_private();
        let mut stderr = std::io::stderr();
        writeln!(stderr, "{said}").unwrap();
    }

    fn assert_private(&self) {
        let mut written = Vec::new();
        collect(&self.folder.path().join("data"), &mut written);
        written.extend(self.said.as_bytes());
        let written = String::from_utf8_lossy(&written).to_lowercase();
        for secret in PERSONAL.iter().copied().chain([TOKEN]) {
            assert!(!written.contains(secret), "{secret} was written");
        }
    }
}

fn collect(folder: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, all);
        } else {
            all.extend(std::fs::read(&path).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_that_was_answered_is_lost_however_often_the_process_is_killed() {
    let kills: u32 = from_environment("CRASH_KILLS").unwrap_or(KILLS);
    let source = json!({"type": "http_server", "address": "127.0.0.1:0"});
    let mut bench = Bench::new(source, "disk").await;
    let client = reqwest::Client::new();
    let (mut kept, mut number) = (BTreeSet::new(), 0_u32);
    for kill in 0..kills {
        let mut process = bench.start();
        let url = format!("http://{}/v1/events", process.address("address=").await);
        let lifetime = Duration::from_millis(bench.random.u64(1..120));
        bench.disturb();
        let mut random = bench.random.fork();
        let mut answered = Vec::new();
        if kill % 20 == 7 {
            bench.refuse(&format!("event-{}", number + 1));
        }
        let sending = async {
            loop {
                let ids: Vec<_> = (0..random.u32(1..100))
                    .map(|_| {
                        number += 1;
                        format!("event-{number}")
                    })
                    .collect();
                let events: Vec<_> = ids.iter().map(|id| event(id)).collect();
                let request = client.post(&url).header("content-type", "application/json");
                let request = request.body(json!(events).to_string());
                let sent = request.send().await;
                if sent.is_ok_and(|answer| answer.status().as_u16() == 200) {
                    answered.extend(ids);
                }
            }
        };
        // The request that is on its way may have been taken; it was not answered.
        let _ = tokio::time::timeout(lifetime, sending).await;
        kept.extend(answered);
        process.kill().await;
    }
    let process = bench.start();
    bench.conclude(process, &kept, kills).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_of_a_file_is_lost_however_often_the_process_is_killed() {
    let kills = from_environment("CRASH_KILLS").unwrap_or(KILLS) / 5;
    for buffer in ["disk", "memory"] {
        let source = json!({"type": "file", "path": "events.ndjson", "follow": true});
        let mut bench = Bench::new(source, buffer).await;
        let path = bench.folder.path().join("events.ndjson");
        let mut file = std::fs::File::create(path).unwrap();
        let mut kept = BTreeSet::new();
        for kill in 0..kills {
            let process = bench.start();
            let lines: String = (0..bench.random.u32(1..300))
                .map(|_| {
                    let id = format!("line-{}", kept.len());
                    let line = format!("{}\n", event(&id));
                    kept.insert(id);
                    line
                })
                .collect();
            bench.disturb();
            if kill % 20 == 7 {
                bench.refuse(&format!("line-{}", kept.len() - 1));
            }
            file.write_all(lines.as_bytes()).unwrap();
            let lifetime = Duration::from_millis(bench.random.u64(1..400));
            tokio::time::sleep(lifetime).await;
            process.kill().await;
        }
        let process = bench.start();
        bench.conclude(process, &kept, kills).await;
    }
}
