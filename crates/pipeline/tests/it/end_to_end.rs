//! The real binary, the real plugin, real HTTP, and a sandbox that enforces Meta's rules: from a pipeline file to Meta's
//! door.

use crate::destination::dead_letters;
use crate::tally::server_error;
use graph_sandbox::{Fault, Sandbox, SandboxOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

const TOKEN: &str = "EAABsecretTokenOfTheTests";
const PRESETS: [&str; 4] = ["retail", "travel", "b2b_saas", "automotive"];
/// The longest a run may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// A folder for one pipeline, and the sandbox that it delivers to.
struct Bench {
    folder: TempDir,
    sandbox: Sandbox,
}

impl Bench {
    async fn start() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            sandbox: Sandbox::start(SandboxOptions {
                access_tokens: vec![TOKEN.to_owned()],
                ..SandboxOptions::default()
            })
            .await
            .unwrap(),
        }
    }

    /// Writes a pipeline file that reads `events` and delivers them with `preset`; `over` is laid over the sink.
    fn pipeline(&self, preset: &str, events: &Path, over: &Value) -> PathBuf {
        let mut sink = json!({
            "type": "meta_conversions",
            "inputs": ["events"],
            "preset": preset,
            "pixel_id": "1234567890123456",
            "access_token": "${META_ACCESS_TOKEN}",
            "endpoint": self.sandbox.url(),
            "retry": { "initial_backoff_secs": 1, "max_backoff_secs": 1 },
        });
        sink.as_object_mut()
            .unwrap()
            .extend(over.as_object().unwrap().clone());
        let file = self.folder.path().join("pipeline.json");
        let pipeline = json!({
            "data_dir": "data",
            "sources": { "events": { "type": "file", "path": events, "shift_times": true } },
            "sinks": { "meta": sink },
        });
        std::fs::write(&file, pipeline.to_string()).unwrap();
        file
    }

    fn events(&self, events: &[Value]) -> PathBuf {
        let file = self.folder.path().join("events.ndjson");
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        std::fs::write(&file, lines).unwrap();
        file
    }

    async fn run(&self, pipeline: &Path) -> Output {
        let run = command(&["run", &pipeline.display().to_string()]).output();
        tokio::time::timeout(DEADLINE, run)
            .await
            .expect("the run ends")
            .unwrap()
    }

    fn accepted(&self) -> Vec<Value> {
        let accepted = self.sandbox.accepted();
        accepted
            .iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect()
    }

    fn dead_letters(&self) -> Vec<Value> {
        dead_letters(self.folder.path(), "meta")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
    command
        .args(arguments)
        .env("META_ACCESS_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn map(pipeline: &Path, arguments: &[&str], stdin: &[u8]) -> Vec<Value> {
    let pipeline = pipeline.display().to_string();
    let mut child = command(&["map", "--config", &pipeline])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let writer = tokio::spawn(async move { input.write_all(&stdin).await });
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    writer.await.unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn fixture(preset: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/events/{preset}.ndjson"))
}

fn product_added(id: &str) -> Value {
    json!({
        "type": "track", "event": "Product Added", "messageId": id, "timestamp": "2026-01-15T11:00:00Z", "userId": "u",
        "properties": { "product_id": "p", "price": 5, "currency": "EUR" },
        "context": { "consent": { "marketing": true } },
    })
}

/// The number behind a label of the closing table.
fn counted(table: &str, label: &str) -> usize {
    let line = table
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == label));
    line.and_then(|line| {
        line.split_whitespace()
            .last()?
            .replace(',', "")
            .parse()
            .ok()
    })
    .unwrap_or(0)
}

/// Characters of an id that the sink makes from an event's bytes.
const DERIVED_ID_CHARS: usize = 32;

fn sorted_ids<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let mut ids: Vec<_> = events
        .into_iter()
        .map(|event| event["event_id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

/// What `map` says of each line is what becomes of it in a run: delivered as mapped, dead-lettered for that reason, or
/// neither.
#[tokio::test]
async fn every_event_of_the_files_has_the_fate_that_map_foretells() {
    for preset in PRESETS {
        let bench = Bench::start().await;
        let pipeline = bench.pipeline(preset, &fixture(preset), &json!({}));
        let foretold = map(
            &pipeline,
            &["--now", "2026-01-15T12:00:00Z"],
            &std::fs::read(fixture(preset)).unwrap(),
        )
        .await;
        let output = bench.run(&pipeline).await;
        assert_eq!(output.status.code(), Some(0));
        let table = String::from_utf8(output.stdout).unwrap();
        let of = |outcome: &'static str| {
            foretold
                .iter()
                .filter(move |line| line["outcome"] == outcome)
        };

        let accepted = bench.accepted();
        // An id that is made from the event's bytes differs, because the run shifts the times in them.
        let parted = |ids: Vec<&str>| -> (Vec<String>, usize) {
            let is_own = |id: &&str| id.len() != DERIVED_ID_CHARS || id.contains('-');
            let (own, made): (Vec<_>, Vec<_>) = ids.into_iter().partition(is_own);
            (own.into_iter().map(str::to_owned).collect(), made.len())
        };
        assert_eq!(
            parted(sorted_ids(&accepted)),
            parted(sorted_ids(of("mapped").map(|line| &line["event"]))),
            "{preset}"
        );
        assert_eq!(counted(&table, "delivered"), accepted.len(), "{table}");
        let dead = bench.dead_letters();
        let reasons = |letters: &[&Value]| {
            let mut reasons = BTreeMap::<String, usize>::new();
            for letter in letters {
                *reasons
                    .entry(letter["reason"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
            reasons
        };
        let rejected = reasons(&of("rejected").collect::<Vec<_>>());
        assert_eq!(
            reasons(&dead.iter().collect::<Vec<_>>()),
            rejected,
            "{preset}"
        );
        assert_eq!(counted(&table, "rejected"), dead.len(), "{table}");
        let filtered = reasons(&of("filtered").collect::<Vec<_>>());
        for (reason, count) in rejected.iter().chain(&filtered) {
            assert_eq!(
                counted(&table, reason),
                *count,
                "{preset} {reason}: {table}"
            );
        }
        assert_eq!(counted(&table, "held"), 0);
        assert_eq!(counted(&table, "read"), foretold.len(), "{table}");
        assert!(accepted.len() > 150 && dead.len() >= 7, "{preset}: {table}");
    }
}

/// Looks for every e-mail address, phone number and name of the files, and for the token, in all that a run leaves.
#[tokio::test]
async fn nothing_that_a_run_writes_holds_a_personal_value_or_the_token() {
    for preset in PRESETS {
        let bench = Bench::start().await;
        let pipeline = bench.pipeline(preset, &fixture(preset), &json!({}));
        let refused = Fault::RefuseEventId {
            event_id: "none".to_owned(),
            code: 100,
            subcode: None,
        };
        bench.sandbox.inject(refused, 1).unwrap();
        bench.sandbox.inject(server_error(), 1).unwrap();
        let output = command(&[
            "--log-level",
            "trace",
            "run",
            &pipeline.display().to_string(),
        ])
        .output()
        .await
        .unwrap();
        let mut written = String::from_utf8(output.stdout).unwrap();
        written += &String::from_utf8(output.stderr).unwrap();
        let letters = dead_letters(bench.folder.path(), "meta");
        assert!(!letters.is_empty());
        written += &letters;
        written += &bench.sandbox.accepted().join("\n");
        for line in map(
            &pipeline,
            &["--explain"],
            &std::fs::read(fixture(preset)).unwrap(),
        )
        .await
        {
            written += &line.to_string();
        }
        let written = written.to_lowercase();
        assert!(
            written.len() > 100_000,
            "there is something to look through"
        );
        assert!(!written.contains(&TOKEN.to_lowercase()));
        let secrets = personal_values(&std::fs::read_to_string(fixture(preset)).unwrap());
        assert!(
            secrets.len() > 40,
            "{preset}: only {} values",
            secrets.len()
        );
        for secret in secrets {
            assert!(
                !written.contains(&secret),
                "{preset}: `{secret}` is written in the clear"
            );
        }
    }
}

/// The e-mail addresses, phone numbers, last and full names of a file, in lower case.
pub(crate) fn personal_values(ndjson: &str) -> std::collections::BTreeSet<String> {
    /// Shorter values occur in other words, in bytes: six Latin letters, or two of the larger scripts.
    const LEAST_BYTES: usize = 6;
    let mut values = std::collections::BTreeSet::new();
    let mut user_agents = String::new();
    for line in ndjson.trim_start_matches('\u{feff}').lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        user_agents += &event["context"]["userAgent"].to_string().to_lowercase();
        for (traits, name) in [
            (&event["traits"], "name"),
            (&event["context"]["traits"], "name"),
            // There it can be an item's.
            (&event["properties"], "fullName"),
        ] {
            for key in ["email", "phone", "lastName", "last_name", name] {
                let several = traits[key]
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![traits[key].clone()]);
                for value in several.iter().filter_map(Value::as_str) {
                    let value = value.trim().to_lowercase();
                    let is_hash = value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
                    if value.len() >= LEAST_BYTES && !is_hash {
                        values.insert(value);
                    }
                }
            }
        }
    }
    // Somebody is called as a machine is, and user agents are sent as they are.
    values.retain(|value| !user_agents.contains(value.as_str()));
    values
}

#[tokio::test]
async fn one_bad_event_among_a_thousand_costs_no_other() {
    let bench = Bench::start().await;
    let events: Vec<_> = (0..1_000)
        .map(|i| product_added(&format!("m-{i}")))
        .collect();
    let pipeline = bench.pipeline("retail", &bench.events(&events), &json!({}));
    let fault = Fault::RefuseEventId {
        event_id: "m-617".to_owned(),
        code: 100,
        subcode: Some(2_804_008),
    };
    bench.sandbox.inject(fault, 1).unwrap();
    let output = bench.run(&pipeline).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(bench.sandbox.summary().unique, 999);
    assert_eq!(bench.sandbox.summary().duplicates, 0);
    let dead = bench.dead_letters();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["event_id"], "m-617");
    let detail = dead[0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("code 100") && detail.contains("subcode 2804008"),
        "{detail}"
    );
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        (counted(&table, "delivered"), counted(&table, "rejected")),
        (999, 1),
        "{table}"
    );
}

#[tokio::test]
async fn passing_faults_cost_nothing() {
    let graph_error = Fault::GraphError {
        status: 500,
        code: 1,
        subcode: None,
        is_transient: false,
        message: None,
    };
    let throttle = Fault::Throttle {
        status: 400,
        code: 80_004,
        business_use_case_minutes: None,
        ad_account_reset_seconds: Some(1),
    };
    for fault in [
        graph_error,
        throttle,
        Fault::DropBeforeAccept,
        Fault::DropAfterAccept,
        Fault::TruncatedAnswer,
        Fault::HtmlAnswer { status: 502 },
        Fault::FewerReceived { missing: 2 },
        Fault::Delay { millis: 1_500 },
    ] {
        let bench = Bench::start().await;
        let events: Vec<_> = (0..20).map(|i| product_added(&format!("m-{i}"))).collect();
        let over = json!({ "batch": { "max_events": 10 }, "timeout_secs": 1 });
        let pipeline = bench.pipeline("retail", &bench.events(&events), &over);
        bench.sandbox.inject(fault.clone(), 1).unwrap();
        let output = bench.run(&pipeline).await;
        let table = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{fault:?} {table}");
        assert_eq!(counted(&table, "delivered"), 20, "{fault:?} {table}");
        assert_eq!(bench.sandbox.summary().unique, 20, "{fault:?}");
        assert_eq!(bench.dead_letters(), [] as [Value; 0], "{fault:?}");
    }
}

#[tokio::test]
async fn a_revoked_token_holds_everything_until_it_is_good_again() {
    let bench = Bench::start().await;
    let events: Vec<_> = (0..50).map(|i| product_added(&format!("m-{i}"))).collect();
    let pipeline = bench.pipeline("retail", &bench.events(&events), &json!({}));
    bench.sandbox.inject(Fault::TokenRevoked, 1).unwrap();
    let mut child = command(&["run", &pipeline.display().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let blocked = async {
        loop {
            let line = log
                .next_line()
                .await
                .unwrap()
                .expect("a line that says what to do");
            if line.contains("access token") {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(DEADLINE, blocked).await.unwrap();
    assert!(!line.contains(TOKEN), "{line}");
    assert_eq!(bench.sandbox.summary().accepted, 0);
    bench.sandbox.lift_faults();
    let drained = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    drained.await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(bench.sandbox.summary().unique, 50);
    assert_eq!(bench.dead_letters(), [] as [Value; 0]);
}

#[tokio::test]
async fn bad_lines_are_rejected_one_by_one_and_the_run_goes_on() {
    let bench = Bench::start().await;
    let pipeline = bench.pipeline("retail", &bench.events(&[]), &json!({}));
    let good = product_added("m").to_string();
    let deep = "[".repeat(5_000_000);
    let mut input = Vec::new();
    for line in [
        format!("\u{feff}{good}\r\n"),
        "\r\n".to_owned(),
        "{\"type\":\n".to_owned(),
        "[1]\n".to_owned(),
        "null\n".to_owned(),
        "\"text\"\n".to_owned(),
        format!("{deep}\n"),
        format!("{{\"a\":1,\"a\":2,{}\n", &good[1..]),
        format!("{{\"big\":1e999,{}\n", &good[1..]),
    ] {
        input.extend_from_slice(line.as_bytes());
    }
    input.extend_from_slice(b"{\"type\":\"track\xff\"}\n");
    input.extend_from_slice(good.as_bytes());
    let lines = map(&pipeline, &["--now", "2026-01-15T12:00:00Z"], &input).await;
    let outcomes: Vec<_> = lines
        .iter()
        .map(|line| line["reason"].as_str().unwrap_or("mapped"))
        .collect();
    let malformed = "malformed_json";
    assert_eq!(
        outcomes,
        [
            "mapped", malformed, malformed, malformed, malformed, malformed, "mapped", "mapped",
            malformed, "mapped"
        ]
    );
    let places: Vec<_> = lines
        .iter()
        .filter_map(|line| line["line"].as_u64())
        .collect();
    assert_eq!(places, [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
}

#[tokio::test]
async fn the_share_of_each_identifier_is_that_of_the_events_that_meta_took() {
    let bench = Bench::start().await;
    let pipeline = bench.pipeline("retail", &fixture("retail"), &json!({}));
    let output = bench.run(&pipeline).await;
    let table = String::from_utf8(output.stdout).unwrap();
    let accepted = bench.accepted();
    let mut carried = BTreeMap::<&str, usize>::new();
    for event in &accepted {
        for key in event["user_data"].as_object().unwrap().keys() {
            *carried.entry(key).or_default() += 1;
        }
    }
    assert!(carried.len() >= 8, "{carried:?}");
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    // Measured against clicks, which the accepted events do not show.
    carried.remove("fbc");
    assert!(
        lines.iter().any(|words| words.first() == Some(&"fbc*")),
        "{table}"
    );
    // Those that browsers sent and those that were made are told apart.
    let ids = carried.remove("fbp").unwrap() * 1_000 / accepted.len();
    let told = ["fbp", "fbp_generated"].map(|key| {
        let words = lines.iter().find(|words| words.first() == Some(&key));
        let words = words.unwrap_or_else(|| panic!("no `{key}` in {table}"));
        let share = words[words.len() - 2].replace('.', "");
        share.parse::<usize>().unwrap()
    });
    // Both are rounded down.
    assert!(told[0] > 0 && told[1] > 0, "{table}");
    assert!((ids - 1..=ids).contains(&(told[0] + told[1])), "{table}");
    for (key, events) in carried {
        let permille = events * 1_000 / accepted.len();
        let share = format!("{}.{}", permille / 10, permille % 10);
        let has_row = lines
            .iter()
            .any(|words| words.first() == Some(&key) && words.ends_with(&[&share, "%"]));
        assert!(has_row, "{key} {share} %: {table}");
    }
    assert!(table.contains("an estimate of coverage, not Meta's score"));
    let mut by_event = BTreeMap::<&str, (usize, usize)>::new();
    for event in &accepted {
        let (events, emails) = by_event
            .entry(event["event_name"].as_str().unwrap())
            .or_default();
        *events += 1;
        *emails += usize::from(event["user_data"].get("em").is_some());
    }
    assert!(by_event.len() >= 6, "{by_event:?}");
    for (name, (events, emails)) in by_event {
        let permille = emails * 1_000 / events;
        let expected = [
            name,
            &events.to_string(),
            &format!("{}.{}", permille / 10, permille % 10),
            "%",
        ];
        let has_row = lines.iter().any(|words| words.starts_with(&expected));
        assert!(has_row, "{expected:?}: {table}");
    }
    let missing: Vec<_> = table
        .lines()
        .skip_while(|line| *line != "Missing most:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(missing.len(), 3, "{table}");
    assert!(
        missing.iter().all(|line| line.contains("looked for in ")),
        "{table}"
    );
}
