//! Unmodified clients of Segment and RudderStack against the real binary: they change their host name, and nothing else.
//!
//! The clients are installed in locked versions into `target/clients` by `tests/clients/install`. Where Node or Python is
//! missing, a test says so and is left out, unless `CI` is set.

use crate::tally::{
    Bench, Recorded, eventually, filtered, free_address, is_installed, lasts, number, print,
    server_error,
};
use pipeline_core::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tokio::process::Child;
use tokio::task::{JoinSet, spawn_blocking};

const KEY: &str = "the-key-of-the-shop-0123";
/// Rounds of a client that nothing disturbs.
const ROUNDS: u64 = 4;
/// Rounds of a client whose host is killed, unless `CLIENT_ROUNDS` says otherwise.
const DISTURBED_ROUNDS: u64 = 40;
/// How often the host is killed meanwhile.
const KILLS: u64 = 3;
/// How many different events arrive between two kills.
const EVENTS_A_LIFE: u64 = 12;

/// A client that people have.
#[derive(Debug, Clone, Copy)]
struct Sdk {
    runtime: &'static str,
    script: &'static str,
    /// Whether it gives events up after a few attempts, by its own rules.
    gives_up: bool,
}

const SEGMENT_NODE: Sdk = Sdk {
    runtime: "node",
    script: "segment.mjs",
    gives_up: false,
};
const RUDDER_NODE: Sdk = Sdk {
    runtime: "node",
    script: "rudder.mjs",
    // Four attempts in 1.7 s.
    gives_up: true,
};
const SEGMENT_PYTHON: Sdk = Sdk {
    runtime: "python",
    script: "segment_client.py",
    gives_up: false,
};
const RUDDER_PYTHON: Sdk = Sdk {
    runtime: "python",
    script: "rudder_client.py",
    gives_up: false,
};

const OLD_SEGMENT_NODE: Sdk = Sdk {
    runtime: "node",
    script: "old_segment.mjs",
    // Four attempts in 1.5 s.
    gives_up: true,
};
const JITSU: Sdk = Sdk {
    runtime: "node",
    script: "jitsu.mjs",
    // Any failure loses the event.
    gives_up: true,
};

/// One at a time installs.
static INSTALLING: Mutex<()> = Mutex::new(());

impl Sdk {
    /// Installs it; `false`, with a message, where its language is missing and this is no CI.
    async fn install(self) -> bool {
        install(self.runtime, self.script).await
    }

    /// The key as it is given to the client: Jitsu's want a secret behind it.
    fn key(self) -> String {
        let secret = if self.script == JITSU.script {
            ":secret"
        } else {
            ""
        };
        format!("{KEY}{secret}")
    }

    /// Starts it, with ids of this prefix.
    fn start(self, url: &str, prefix: &str, rounds: u64, pause_ms: u64) -> Child {
        self.start_with(&[], url, prefix, (rounds, pause_ms))
    }

    /// Starts it with these variables of the environment.
    fn start_with(
        self,
        variables: &[(&str, String)],
        url: &str,
        prefix: &str,
        (rounds, pause_ms): (u64, u64),
    ) -> Child {
        let installed = target().join("clients").join(self.runtime);
        let command = if self.runtime == "node" {
            beside_modules(&["calls.mjs", "callbacks.mjs", self.script], prefix);
            vec![PathBuf::from("node"), installed.join(self.script)]
        } else {
            let script = folder().join(self.script);
            vec![installed.join("bin/python"), "-B".into(), script]
        };
        tokio::process::Command::new(&command[0])
            .args(&command[1..])
            .envs(variables.iter().cloned())
            .args([
                url,
                &self.key(),
                prefix,
                &rounds.to_string(),
                &pause_ms.to_string(),
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

/// Installs the clients of a language; `false`, with a message, where it is missing and this is no CI.
pub(crate) async fn install(runtime: &'static str, what: &str) -> bool {
    let command = if runtime == "node" { "npm" } else { "python3" };
    if !has(command, what) {
        return false;
    }
    let install = move || {
        let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        let script = folder().join("install");
        let status = Command::new(script)
            .arg(runtime)
            .env("CARGO_TARGET_DIR", target())
            .status();
        assert!(status.unwrap().success(), "the clients cannot be installed");
    };
    spawn_blocking(install).await.unwrap();
    true
}

/// Whether this machine has a command; where it has not, a message says what is left out, and a CI fails.
pub(crate) fn has(command: &str, what: &str) -> bool {
    let found = Command::new(command)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_there = found.is_ok_and(|status| status.success());
    if !is_there {
        assert!(
            std::env::var_os("CI").is_none(),
            "`{command}` is needed by the tests of clients"
        );
        print(&format!("left out: {what} needs `{command}`"));
    }
    is_there
}

/// Copies scripts to where modules are looked for: beside those that are installed.
pub(crate) fn beside_modules(scripts: &[&str], prefix: &str) {
    let installed = target().join("clients/node");
    for name in scripts {
        let script = std::fs::read(folder().join(name)).unwrap();
        let to = installed.join(name);
        if std::fs::read(&to).ok().as_ref() != Some(&script) {
            let new = installed.join(format!("{name}.{prefix}"));
            std::fs::write(&new, script).unwrap();
            std::fs::rename(new, to).unwrap();
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// The folder that cargo builds in.
pub(crate) fn target() -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_pipeline"));
    binary.ancestors().nth(2).unwrap().to_owned()
}

/// Waits for a client's end; returns the events that it gave up.
async fn ended(client: Child) -> Vec<String> {
    let output = client.wait_with_output().await.unwrap();
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{errors}");
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    serde_json::from_value(last["gave_up"].clone()).unwrap()
}

async fn bench(address: &str) -> Bench {
    let source = json!({
        "type": "segment", "address": address,
        "keys": {"shop": KEY},
    });
    let mut bench = Bench::new(&source).await;
    bench.sink(&json!({
        "consent": {"categories": {"Advertising": "marketing", "C0004": "marketing"}},
    }));
    bench
}

/// The ids of the events that must arrive.
fn wanted(prefix: &str, rounds: u64) -> BTreeSet<String> {
    let ids = (0..rounds)
        .flat_map(|round| ["track", "page"].map(|name| format!("{prefix}-{name}-{round}")));
    ids.collect()
}

/// One client, undisturbed: what it sends becomes the right events, and what must not be sent does not.
async fn delivers(sdk: Sdk) {
    if !sdk.install().await {
        return;
    }
    let bench = bench("127.0.0.1:0").await;
    let run = bench.start();
    let url = format!("http://{}", run.says("address=").await);
    let client = sdk.start(&url, "calm", ROUNDS, 0);
    assert_eq!(ended(client).await, [""; 0]);
    bench.settle(2 * usize::try_from(ROUNDS).unwrap()).await;
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let fates = bench.fates();
    let accepted: BTreeSet<_> = fates.accepted.iter().cloned().collect();
    assert_eq!(accepted, wanted("calm", ROUNDS), "{said}");
    assert_eq!(
        (fates.duplicates, fates.dead.len()),
        (0, 0),
        "{:?}",
        fates.dead
    );
    for event in bench.sandbox.accepted() {
        let event: Value = serde_json::from_str(&event).unwrap();
        let id = event["event_id"].as_str().unwrap();
        let name = if id.contains("-page-") {
            "PageView"
        } else {
            "AddToCart"
        };
        assert_eq!(event["event_name"], name, "{event}");
        assert_eq!(event["action_source"], "website", "{event}");
        let user = &event["user_data"];
        for key in [
            "em",
            "external_id",
            "client_user_agent",
            "client_ip_address",
        ] {
            assert!(user.get(key).is_some(), "{key}: {event}");
        }
        if name == "AddToCart" {
            let data = &event["custom_data"];
            assert_eq!(
                (&data["currency"], data["value"].as_f64()),
                (&json!("EUR"), Some(5.0)),
                "{event}"
            );
        }
    }
    bench.keeps_secrets(&said);
    assert!(!said.contains(KEY), "a key is never shown");
}

/// One client, whose host is killed again and again: what is not given up arrives.
async fn survives(sdk: Sdk) {
    if !sdk.install().await {
        return;
    }
    // The host comes back where the client knows it.
    let address = free_address();
    let rounds = number("CLIENT_ROUNDS", DISTURBED_ROUNDS);
    let bench = bench(&address).await;
    let mut run = started(&bench).await;
    let client = sdk.start(&format!("http://{address}"), "wild", rounds, 60);
    let client = tokio::spawn(ended(client));
    let mut said = String::new();
    for kill in 1..=KILLS {
        // A client that gives up may be done before so many events have come.
        let is_due =
            || client.is_finished() || bench.sandbox.summary().unique >= kill * EVENTS_A_LIFE;
        eventually(is_due, || {
            format!("kill {kill}: {:?}", bench.sandbox.summary())
        })
        .await;
        said += &run.kill().await;
        run = started(&bench).await;
    }
    let gave_up: BTreeSet<_> = client.await.unwrap().into_iter().collect();
    let wanted = wanted("wild", rounds);
    let kept: Vec<_> = wanted.iter().filter(|id| !gave_up.contains(*id)).collect();
    // What was given up may have arrived all the same, so counting is not enough.
    let all_kept = || bench.fates().lost(kept.iter().copied()).is_empty();
    eventually(all_kept, || format!("{:?}", bench.fates())).await;
    run.terminate();
    let (status, rest) = run.end().await;
    assert_eq!(status.code(), Some(0), "{rest}");
    said += &rest;
    let fates = bench.fates();
    let lost = fates.lost(kept);
    assert!(lost.is_empty(), "{lost:?}\n{said}");
    let invented: Vec<_> = fates
        .accepted
        .iter()
        .filter(|id| !wanted.contains(*id))
        .collect();
    assert!(
        invented.is_empty() && fates.dead.is_empty(),
        "{invented:?} {:?}",
        fates.dead
    );
    assert!(sdk.gives_up || gave_up.is_empty(), "{gave_up:?}\n{said}");
    print(&format!(
        "{}: {} of {} events accepted over {KILLS} kills, {} again, {} given up by the client",
        sdk.script,
        fates.accepted.len(),
        wanted.len(),
        fates.duplicates,
        gave_up.len(),
    ));
    bench.keeps_secrets(&said);
}

/// The clients of servers whose events keep the ids that they are given.
const SERVER_CLIENTS: [Sdk; 5] = [
    SEGMENT_NODE,
    SEGMENT_PYTHON,
    RUDDER_NODE,
    RUDDER_PYTHON,
    OLD_SEGMENT_NODE,
];

/// What disturbs a client's host.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// There is room for few events, and Meta fails: the host answers 429 until Meta is back.
    NoRoom,
    /// Meta fails until the client is done; there is room on the disk.
    MetaDown,
}

/// What became of the events of one client.
struct Row {
    sdk: Sdk,
    trouble: Trouble,
    sent: usize,
    filtered: usize,
    accepted: usize,
    again: usize,
    gave_up: usize,
}

/// Rounds of a client in trouble: four events each; two are filtered.
const TROUBLED_ROUNDS: u64 = 10;
/// Records that there is room for.
const ROOM: u64 = 4;
/// For how many seconds there is no room, at least, unless `CLIENT_429_SECS` says otherwise: no longer than it takes to see it.
const NO_ROOM_SECS: u64 = 0;
/// For how many seconds Meta is down, at least, unless `CLIENT_OUTAGE_SECS` says otherwise: until the client is done.
pub(crate) const OUTAGE_SECS: u64 = 0;

/// One client, whose host is in trouble: what is sent and not filtered is accepted, unless the client gives it up.
async fn weathers(sdk: Sdk, trouble: Trouble) -> Row {
    let mut bench = bench("127.0.0.1:0").await;
    if matches!(trouble, Trouble::NoRoom) {
        bench.sink(&json!({
            "buffer": {"type": "memory", "max_events": ROOM},
            "batch": {"max_events": ROOM, "timeout_secs": 0.01},
        }));
    }
    bench.sandbox.inject(server_error(), u32::MAX).unwrap();
    let run = bench.start();
    let url = format!("http://{}", run.says("address=").await);
    let mut client = tokio::spawn(ended(sdk.start(&url, "rough", TROUBLED_ROUNDS, 0)));
    let gave_up = match trouble {
        Trouble::NoRoom => {
            run.says("buffer_full").await;
            let secs = number("CLIENT_429_SECS", NO_ROOM_SECS);
            lasts(secs, || bench.sandbox.summary().accepted == 0).await;
            bench.sandbox.lift_faults();
            client.await.unwrap()
        }
        Trouble::MetaDown => {
            let gave_up = (&mut client).await.unwrap();
            assert_eq!(bench.sandbox.summary().accepted, 0, "{}", sdk.script);
            let secs = number("CLIENT_OUTAGE_SECS", OUTAGE_SECS);
            lasts(secs, || bench.sandbox.summary().accepted == 0).await;
            bench.sandbox.lift_faults();
            gave_up
        }
    };
    let wanted = wanted("rough", TROUBLED_ROUNDS);
    let kept: Vec<_> = wanted.iter().filter(|id| !gave_up.contains(id)).collect();
    let all_kept = || bench.fates().lost(kept.iter().copied()).is_empty();
    eventually(all_kept, || format!("{}: {:?}", sdk.script, bench.fates())).await;
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    if matches!(trouble, Trouble::MetaDown) {
        bench.keeps_secrets(&said);
    }
    let fates = bench.fates();
    assert!(fates.dead.is_empty(), "{said}");
    assert!(
        fates.accepted.iter().all(|id| wanted.contains(id)),
        "{said}"
    );
    Row {
        sdk,
        trouble,
        sent: 4 * usize::try_from(TROUBLED_ROUNDS).unwrap(),
        filtered: filtered(&said),
        accepted: fates.accepted.len(),
        again: fates.duplicates,
        gave_up: gave_up.len(),
    }
}

async fn installed_clients() -> Vec<Sdk> {
    let mut installed = Vec::new();
    for sdk in SERVER_CLIENTS {
        if sdk.install().await {
            installed.push(sdk);
        }
    }
    installed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_send_and_is_not_filtered_is_accepted_through_429_and_an_outage_of_meta() {
    let mut rows = JoinSet::new();
    for sdk in installed_clients().await {
        for trouble in [Trouble::NoRoom, Trouble::MetaDown] {
            rows.spawn(weathers(sdk, trouble));
        }
    }
    let mut rows = rows.join_all().await;
    rows.sort_by_key(|row| (row.sdk.script, row.trouble as u8));
    let head = "| client | while | sent | filtered | accepted | again | given up by the client |";
    let mut table = vec![head.to_owned()];
    for row in &rows {
        let trouble = match row.trouble {
            Trouble::NoRoom => "429",
            Trouble::MetaDown => "Meta is down",
        };
        table.push(format!(
            "| `{}` | {trouble} | {} | {} | {} | {} | {} |",
            row.sdk.script, row.sent, row.filtered, row.accepted, row.again, row.gave_up
        ));
    }
    let table = table.join("\n");
    print(&table);
    for row in rows {
        assert!(row.sdk.gives_up || row.gave_up == 0, "{table}");
        if row.gave_up == 0 && row.again == 0 {
            assert_eq!(row.sent - row.filtered, row.accepted, "{table}");
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_a_client_moves_no_event() {
    if !is_installed("cc", "the tests of clocks") {
        return;
    }
    let folder_of_clock = tempfile::tempdir().unwrap();
    let clock = folder_of_clock
        .path()
        .join("clock.so")
        .display()
        .to_string();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o", &clock])
        .arg(folder().join("clock.c"))
        .status();
    assert!(compiled.unwrap().success());
    let bench = bench("127.0.0.1:0").await;
    let run = bench.start();
    let url = format!("http://{}", run.says("address=").await);
    let started = SystemClock.now_ms() / 1000;
    let mut clients = JoinSet::new();
    let mut wanted_ids = BTreeSet::new();
    for sdk in installed_clients().await {
        for hours in [-3, 3, 240] {
            let prefix = format!("{}{hours}", sdk.script.replace('.', "-"));
            wanted_ids.extend(wanted(&prefix, 1));
            let variables = [
                ("LD_PRELOAD", clock.clone()),
                ("CLOCK_ERROR_SECS", (hours * 3600).to_string()),
            ];
            clients.spawn(ended(sdk.start_with(&variables, &url, &prefix, (1, 0))));
        }
    }
    for gave_up in clients.join_all().await {
        assert_eq!(gave_up, [""; 0]);
    }
    bench.settle(wanted_ids.len()).await;
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let ended = SystemClock.now_ms() / 1000;
    let fates = bench.fates();
    let accepted: BTreeSet<_> = fates.accepted.into_iter().collect();
    assert_eq!(accepted, wanted_ids, "{said}");
    for event in bench.sandbox.accepted() {
        let event: Value = serde_json::from_str(&event).unwrap();
        let time = event["event_time"].as_i64().unwrap();
        assert!(
            (started - 2..=ended + 2).contains(&time),
            "{started} {ended} {event}"
        );
    }
}

/// Jitsu's client makes its ids itself, shows a key with a secret, and sends each event alone.
#[tokio::test]
async fn jitsus_client_needs_another_host_name_only() {
    if !JITSU.install().await {
        return;
    }
    let bench = bench("127.0.0.1:0").await;
    let run = bench.start();
    let url = format!("http://{}", run.says("address=").await);
    assert_eq!(ended(JITSU.start(&url, "jitsu", 1, 0)).await, [""; 0]);
    bench.settle(2).await;
    run.terminate();
    let (status, said) = run.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let accepted = bench.sandbox.accepted();
    let events: Vec<Value> = accepted
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let names: BTreeSet<_> = events
        .iter()
        .map(|event| event["event_name"].as_str().unwrap())
        .collect();
    assert_eq!(
        (events.len(), names),
        (2, ["AddToCart", "PageView"].into()),
        "{said}"
    );
    for event in events {
        assert!(event["user_data"].get("em").is_some(), "{event}");
    }
    bench.keeps_secrets(&said);
}

#[tokio::test]
async fn segments_old_client_for_node_needs_another_host_name_only() {
    delivers(OLD_SEGMENT_NODE).await;
}

#[tokio::test]
async fn segments_old_client_for_node_loses_only_what_it_gives_up_when_the_host_is_killed() {
    survives(OLD_SEGMENT_NODE).await;
}

async fn started(bench: &Bench) -> Recorded {
    let run = bench.start();
    run.says("address=").await;
    run
}

#[tokio::test]
async fn segments_client_for_node_needs_another_host_name_only() {
    delivers(SEGMENT_NODE).await;
}

#[tokio::test]
async fn rudderstacks_client_for_node_needs_another_host_name_only() {
    delivers(RUDDER_NODE).await;
}

#[tokio::test]
async fn segments_client_for_python_needs_another_host_name_only() {
    delivers(SEGMENT_PYTHON).await;
}

#[tokio::test]
async fn rudderstacks_client_for_python_needs_another_host_name_only() {
    delivers(RUDDER_PYTHON).await;
}

#[tokio::test]
async fn segments_client_for_node_loses_nothing_when_the_host_is_killed() {
    survives(SEGMENT_NODE).await;
}

#[tokio::test]
async fn rudderstacks_client_for_node_loses_only_what_it_gives_up_when_the_host_is_killed() {
    survives(RUDDER_NODE).await;
}

#[tokio::test]
async fn segments_client_for_python_loses_nothing_when_the_host_is_killed() {
    survives(SEGMENT_PYTHON).await;
}

#[tokio::test]
async fn rudderstacks_client_for_python_loses_nothing_when_the_host_is_killed() {
    survives(RUDDER_PYTHON).await;
}
