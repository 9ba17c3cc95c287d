//! Restarts of a `file` source: nothing is lost, and nothing that is safe is read again; whatever happens to the files.

mod contents;

use crate::destination::{Case, Step, ids, lines, until};
use crate::process::{Process, event};
use graph_sandbox::{Fault, Sandbox, SandboxOptions};
use pipeline_host::topology::Ending;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn text(range: Range<usize>) -> String {
    ids(range)
        .iter()
        .map(|id| format!("{{\"id\":\"{id}\"}}\n"))
        .collect()
}

fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

impl Case {
    /// A case whose source reads `path`.
    fn reading(path: &Value) -> Self {
        let mut case = Self::new([]);
        case.source = json!({"type": "file", "path": path});
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).open(self.path(name)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    fn link(&self, link: &str, to: &str) {
        std::os::unix::fs::symlink(to, self.path(link)).unwrap();
    }

    fn compress(&self, from: &str, to: &str) {
        let content = std::fs::read_to_string(self.path(from)).unwrap();
        self.write(to, gzip(&content));
        self.remove(from);
    }

    /// Three more lines come, the file makes way, and seven lines go into a new one.
    fn rotate(&self, makes_way: impl FnOnce()) {
        self.append("app.log", text(300..303));
        makes_way();
        self.write("app.log", text(303..310));
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::copy(self.path(from), self.path(to)).unwrap();
    }

    fn checkpoint(&self) -> PathBuf {
        self.path("data/checkpoints/events.json")
    }

    fn kept(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.checkpoint()).unwrap()).unwrap()
    }

    /// Runs to the end; returns what was delivered, in the order of its numbers.
    async fn delivers(&self) -> Vec<String> {
        let ending = self.run().await;
        assert!(ending.is_complete(), "{:?}", ending.failures);
        self.take_delivered()
    }

    async fn run(&self) -> Ending {
        self.start(self.config(&json!({}))).await.finish().await
    }

    fn take_delivered(&self) -> Vec<String> {
        let mut delivered = std::mem::take(&mut *self.destination.delivered.lock().unwrap());
        delivered.sort_by_key(|id| id.parse::<u32>().unwrap());
        delivered
    }
}

/// What the source reads, what happens to the files between two runs, and what the second delivers.
type Between = (&'static str, &'static str, fn(&Case), Range<usize>);

const ROTATIONS: [Between; 7] = [
    (
        "by renaming",
        "app.log",
        |case| case.rotate(|| case.rename("app.log", "app.log.1")),
        300..310,
    ),
    (
        "by renaming within the pattern",
        "app.log*",
        |case| case.rotate(|| case.rename("app.log", "app.log.1")),
        300..310,
    ),
    (
        "twice",
        "app.log",
        |case| {
            case.rotate(|| case.rename("app.log", "app.log.1"));
            case.rename("app.log.1", "app.log.2");
        },
        300..310,
    ),
    (
        "by copying",
        "app.log",
        |case| case.rotate(|| case.copy("app.log", "app.log.1")),
        300..310,
    ),
    (
        "by copying within the pattern",
        "app.log*",
        |case| case.rotate(|| case.copy("app.log", "app.log.1")),
        300..310,
    ),
    (
        "with compression",
        "app.log",
        |case| case.rotate(|| case.compress("app.log", "app.log.1.gz")),
        300..310,
    ),
    (
        "with compression within the pattern",
        "app.log*",
        |case| case.rotate(|| case.compress("app.log", "app.log.1.gz")),
        300..310,
    ),
];

const CHANGES: [Between; 9] = [
    ("nothing", "app.log", |_| {}, 0..0),
    (
        "more lines",
        "app.log",
        |case| case.append("app.log", text(300..310)),
        300..310,
    ),
    (
        "a truncation",
        "app.log",
        |case| case.write("app.log", text(300..302)),
        300..302,
    ),
    (
        "a truncation, and more lines than before",
        "app.log",
        |case| case.write("app.log", text(300..900)),
        300..900,
    ),
    (
        "a truncation, and the same start as before",
        "app.log",
        |case| case.write("app.log", text(0..200)),
        0..200,
    ),
    (
        "another file of the name",
        "app.log",
        |case| {
            case.remove("app.log");
            case.write("app.log", text(300..302));
        },
        300..302,
    ),
    (
        "a restored backup",
        "app.log",
        |case| {
            case.copy("app.log", "backup");
            case.remove("app.log");
            case.copy("backup", "app.log");
            case.remove("backup");
            case.append("app.log", text(300..302));
        },
        300..302,
    ),
    (
        "a second name of the file",
        "app.log*",
        |case| std::fs::hard_link(case.path("app.log"), case.path("app.log.1")).unwrap(),
        0..0,
    ),
    (
        "a file beside it",
        "app.log*",
        |case| case.write("app.log.0", text(300..302)),
        300..302,
    ),
];

#[tokio::test]
async fn the_next_run_reads_what_is_new_whatever_happened_to_the_files() {
    for (what, path, happens, expected) in ROTATIONS.into_iter().chain(CHANGES) {
        let case = Case::reading(&json!(path));
        case.write("app.log", text(0..300));
        assert_eq!(case.delivers().await, ids(0..300), "{what}");
        happens(&case);
        assert_eq!(case.delivers().await, ids(expected), "{what}");
        assert_eq!(case.delivers().await, ids(0..0), "{what}, a third run");
    }
}

/// How a log is reached through links (link and where it leads), and what happens while the pipeline is down.
type Linked = (
    &'static str,
    &'static [(&'static str, &'static str)],
    fn(&Case),
);

const LINKED: [Linked; 5] = [
    (
        "renamed where it really is",
        &[("containers/app.log", "../pods/0.log")],
        |case| case.rename("pods/0.log", "pods/0.log.20261126"),
    ),
    (
        "compressed where it really is",
        &[("containers/app.log", "../pods/0.log")],
        |case| case.compress("pods/0.log", "pods/0.log.1.gz"),
    ),
    (
        "renamed behind a second link",
        &[
            ("containers/app.log", "../links/0.log"),
            ("links/0.log", "../pods/0.log"),
        ],
        |case| case.rename("pods/0.log", "pods/0.log.1"),
    ),
    (
        "the link leads to another file",
        &[("containers/app.log", "../pods/0.log")],
        |case| {
            case.remove("containers/app.log");
            case.link("containers/app.log", "../pods/1.log");
        },
    ),
    (
        "the folder is a link that leads elsewhere",
        &[("containers", "pods"), ("pods/app.log", "0.log")],
        |case| {
            case.remove("containers");
            std::fs::create_dir(case.path("containers")).unwrap();
            case.rename("pods/0.log", "pods/old.log");
            case.link("containers/app.log", "../pods/0.log");
        },
    ),
];

#[tokio::test]
async fn a_log_that_is_reached_through_links_is_read_on_where_it_really_is() {
    for (what, links, happens) in LINKED {
        let case = Case::reading(&json!("containers/*.log"));
        for folder in ["containers", "links", "pods"] {
            if links.iter().all(|(link, _)| *link != folder) {
                std::fs::create_dir(case.path(folder)).unwrap();
            }
        }
        for (link, to) in links {
            case.link(link, to);
        }
        case.write("pods/0.log", text(0..5));
        assert_eq!(case.delivers().await, ids(0..5), "{what}");
        case.append("pods/0.log", text(5..9));
        happens(&case);
        case.write("containers/app.log", text(9..12));
        assert_eq!(case.delivers().await, ids(5..12), "{what}");
        assert_eq!(case.delivers().await, ids(0..0), "{what}, a third run");
    }
}

#[tokio::test]
async fn a_checkpoint_that_names_a_link_is_still_understood() {
    let case = Case::reading(&json!("containers/app.log"));
    for folder in ["containers", "pods"] {
        std::fs::create_dir(case.path(folder)).unwrap();
    }
    case.link("containers/app.log", "../pods/0.log");
    case.write("pods/0.log", text(0..5));
    assert_eq!(case.delivers().await, ids(0..5));
    let mut kept = case.kept();
    // As it was written before links were resolved.
    kept["files"][0]["path"] = json!(case.path("containers/app.log"));
    std::fs::write(case.checkpoint(), kept.to_string()).unwrap();
    assert_eq!(case.delivers().await, ids(0..0));
    std::fs::write(case.checkpoint(), kept.to_string()).unwrap();
    case.append("pods/0.log", text(5..9));
    case.rename("pods/0.log", "pods/0.log.1");
    case.write("pods/0.log", text(9..12));
    assert_eq!(case.delivers().await, ids(5..12));
}

#[tokio::test]
async fn a_disk_that_is_not_mounted_for_a_while_is_not_read_again() {
    let case = Case::reading(&json!("logs/*.log"));
    std::fs::create_dir(case.path("logs")).unwrap();
    case.write("logs/app.log", text(0..300));
    assert_eq!(case.delivers().await, ids(0..300));
    case.rename("logs", "elsewhere");
    std::fs::create_dir(case.path("logs")).unwrap();
    assert!(!case.run().await.is_complete(), "no file is found");
    std::fs::remove_dir(case.path("logs")).unwrap();
    case.rename("elsewhere", "logs");
    assert_eq!(case.delivers().await, ids(0..0));
}

#[tokio::test]
async fn more_files_than_are_kept_open_are_followed() {
    let mut case = Case::reading(&json!("*.log"));
    case.source["follow"] = json!(true);
    for id in 0..100 {
        case.write(&format!("{id:03}.log"), text(id..id + 1));
    }
    let running = case
        .start(case.config(&json!({"batch": {"timeout_secs": 0}})))
        .await;
    until_delivered(&case, 100).await;
    case.rename("000.log", "000.log.1");
    case.rename("099.log", "099.log.1");
    for id in 0..100 {
        let name = if id % 99 == 0 { "log.1" } else { "log" };
        case.append(&format!("{id:03}.{name}"), text(100 + id..101 + id));
    }
    until_delivered(&case, 200).await;
    running.stop_handle().drain();
    assert!(running.finish().await.is_complete());
    assert_eq!(case.take_delivered(), ids(0..200));
    case.source["follow"] = json!(false);
    assert_eq!(case.delivers().await, ids(0..0));
}

#[tokio::test]
async fn a_compressed_file_goes_on_where_it_stopped() {
    let case = Case::reading(&json!("app.gz"));
    case.write("app.gz", gzip(&text(0..300)));
    assert_eq!(case.delivers().await, ids(0..300));
    case.append("app.gz", gzip(&(text(300..310) + "{}\n")));
    assert_eq!(case.delivers().await, ids(300..310));
    assert_eq!(case.dead_letters()[0]["source"], "events line 311");
    case.write("app.gz", gzip(&text(310..312)));
    assert_eq!(case.delivers().await, ids(310..312));
}

#[tokio::test]
async fn a_last_line_without_end_is_read_once_unless_it_grows() {
    let case = Case::reading(&json!("app.log"));
    case.write("app.log", "\u{feff}{\"id\":\"0\"}\r\n{\"id\":\"1\"}");
    assert_eq!(case.delivers().await, ids(0..2));
    case.append("app.log", "\n{\"id\":\"2\"}\n{\"id\":");
    assert_eq!(case.delivers().await, ids(2..3));
    case.append("app.log", "\"3\"}\n");
    assert_eq!(case.delivers().await, ids(3..4));
    assert_eq!(case.delivers().await, ids(0..0));
    let places: Vec<_> = case
        .dead_letters()
        .iter()
        .map(|letter| letter["source"].clone())
        .collect();
    assert_eq!(places, ["events line 4"], "the half of a line was rejected");
}

#[tokio::test]
async fn without_a_checkpoint_everything_is_read_each_time() {
    for options in [json!({"checkpoint": false}), json!({"shift_times": true})] {
        let mut case = Case::reading(&json!("app.log"));
        let source = case.source.as_object_mut().unwrap();
        source.extend(options.as_object().unwrap().clone());
        case.write("app.log", lines(3));
        for _ in 0..2 {
            assert_eq!(case.delivers().await, ids(0..3), "{options}");
        }
        assert!(!case.path("data/checkpoints").exists());
    }
    let mut case = Case::reading(&json!("app.log"));
    case.source["checkpoint"] = json!(true);
    case.source["shift_times"] = json!(true);
    case.write("app.log", lines(3));
    assert_eq!(case.delivers().await, ids(0..3));
    assert_eq!(case.delivers().await, ids(0..0));
}

#[tokio::test]
async fn what_was_given_up_is_read_again_with_all_that_follows() {
    let case = Case::reading(&json!("app.log"));
    case.destination
        .script
        .lock()
        .unwrap()
        .push_back(Step::Wait);
    case.write("app.log", lines(600));
    let running = case.start(case.config(&json!({}))).await;
    // Everything but the first batch gets through.
    until(|| case.destination.delivered.lock().unwrap().len() == 550).await;
    running.stop_handle().quit();
    let ending = running.finish().await;
    assert_eq!(ending.sinks[0].held, 50);
    assert!(
        case.dead_letters().is_empty(),
        "it is not lost, so no operator has to look after it"
    );
    case.take_delivered();
    assert_eq!(case.delivers().await, ids(0..600));
    assert_eq!(case.delivers().await, ids(0..0));
}

#[tokio::test]
async fn a_checkpoint_moves_while_the_pipeline_runs() {
    let mut case = Case::reading(&json!("app.log"));
    case.source["follow"] = json!(true);
    case.write("app.log", lines(300));
    let running = case.start(case.config(&json!({}))).await;
    let length = std::fs::metadata(case.path("app.log")).unwrap().len();
    until(|| case.checkpoint().exists() && case.kept()["files"][0]["offset"] == length).await;
    assert_eq!(case.kept()["files"][0]["line"], 300);
    // As after a crash: nothing is written any more.
    let kept = std::fs::read(case.checkpoint()).unwrap();
    running.stop_handle().quit();
    running.finish().await;
    std::fs::write(case.checkpoint(), kept).unwrap();
    case.source["follow"] = json!(false);
    case.take_delivered();
    assert_eq!(case.delivers().await, ids(0..0));
}

#[tokio::test]
async fn what_is_followed_is_read_as_it_comes_across_rotations() {
    let mut case = Case::reading(&json!("app.log*"));
    case.source["follow"] = json!(true);
    let running = case
        .start(case.config(&json!({"batch": {"timeout_secs": 0}})))
        .await;
    let has = |count: usize| until_delivered(&case, count);
    case.write("app.log", text(0..3));
    has(3).await;
    case.append("app.log", "{\"id\":");
    case.append("app.log", "\"3\"}\n{\"id\":\"4\"");
    has(4).await;
    // The rest is written after the file has got another name.
    case.rename("app.log", "app.log.1");
    case.write("app.log", text(5..8));
    has(7).await;
    case.append("app.log.1", "}\n");
    has(8).await;
    case.copy("app.log", "app.log.2");
    case.write("app.log", text(8..10));
    has(10).await;
    // A last line of a deleted file cannot get its end any more.
    case.append("app.log", "{\"id\":\"10\"}");
    std::fs::remove_file(case.path("app.log")).unwrap();
    has(11).await;
    case.write("app.log", text(11..12));
    has(12).await;
    case.write("app.log.gz", gzip(&text(12..14)));
    has(14).await;
    running.stop_handle().drain();
    let ending = running.finish().await;
    assert!(ending.is_complete(), "{:?}", ending.failures);
    assert_eq!(case.take_delivered(), ids(0..14));
    case.source["follow"] = json!(false);
    assert_eq!(case.delivers().await, ids(0..0));
    assert_eq!(case.kept()["files"].as_array().unwrap().len(), 4);
}

async fn until_delivered(case: &Case, count: usize) {
    let delivered = || case.destination.delivered.lock().unwrap().len() >= count;
    let wait = tokio::time::timeout(Duration::from_secs(30), until(delivered));
    let so_far = || case.destination.delivered.lock().unwrap().clone();
    wait.await
        .unwrap_or_else(|_| panic!("{count}: {:?}", so_far()));
}

#[tokio::test]
async fn a_damaged_checkpoint_is_set_aside_and_everything_is_read_again() {
    let case = Case::reading(&json!("app.log"));
    case.write("app.log", lines(3));
    assert_eq!(case.delivers().await, ids(0..3));
    std::fs::write(case.checkpoint(), "{\"version\":1,\"files\":[{").unwrap();
    assert_eq!(case.delivers().await, ids(0..3));
    assert!(case.path("data/checkpoints/events.json.bad").exists());
    assert_eq!(case.delivers().await, ids(0..0));
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_written_costs_no_event_and_is_said() {
    let case = Case::reading(&json!("app.log"));
    case.write("app.log", lines(3));
    std::fs::create_dir_all(case.path("data/checkpoints/events.json.new")).unwrap();
    let ending = case.run().await;
    assert_eq!(case.take_delivered(), ids(0..3));
    let said: Vec<_> = ending.failures.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    let expected = "events.json` cannot be written: Is a directory (os error 21); until it can be, the next run";
    assert!(said[0].contains(expected), "{said:?}");
    std::fs::remove_dir(case.path("data/checkpoints/events.json.new")).unwrap();
    assert_eq!(case.delivers().await, ids(0..3));
}

#[tokio::test]
async fn files_that_are_gone_are_forgotten() {
    let case = Case::reading(&json!("*.log"));
    for name in ["a.log", "b.log", "c.log"] {
        case.write(name, format!("{{\"id\":\"{}\"}}\n", name.len()));
    }
    assert_eq!(case.delivers().await.len(), 3);
    assert_eq!(case.kept()["files"].as_array().unwrap().len(), 3);
    std::fs::remove_file(case.path("b.log")).unwrap();
    assert_eq!(case.delivers().await.len(), 0);
    assert_eq!(case.kept()["files"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn options_that_do_not_go_together_are_problems() {
    let mut case = Case::reading(&json!("app.log"));
    case.source["shift_times"] = json!(true);
    case.source["follow"] = json!(true);
    let error = case.load(&case.config(&json!({}))).unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("sources.events.follow") && text.contains("does not go with"),
        "{text}"
    );
    let case = Case::new([]);
    let source = json!({"type": "file", "path": "app.log"});
    let config =
        json!({"sources": {"../up": source}, "sinks": {"out": case.sink("../up", &json!({}))}});
    let text = format!("{:?}", case.load(&config).unwrap_err());
    assert!(text.contains("is not a name for a source"), "{text}");
}

/// A pipeline of the real binary from `events.ndjson` to a sandbox.
fn pipeline(folder: &Path, sandbox: &Sandbox) -> String {
    let pipeline = json!({
        "sources": {"events": {"type": "file", "path": "events.ndjson"}},
        "sinks": {"meta": {
            "type": "meta_conversions", "inputs": ["events"], "preset": "retail",
            "pixel_id": "1234567890123456", "access_token": "token", "endpoint": sandbox.url(),
            "batch": {"max_events": 100}, "request": {"concurrency": 2},
        }},
    });
    let file = folder.join("pipeline.json");
    std::fs::write(&file, pipeline.to_string()).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_and_loses_nothing() {
    /// Events of the file.
    const EVENTS: usize = 4_000;
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let file = pipeline(folder.path(), &sandbox);
    let events: String = (0..EVENTS)
        .map(|id| format!("{}\n", event(&format!("m-{id}"))))
        .collect();
    std::fs::write(folder.path().join("events.ndjson"), events).unwrap();
    sandbox.inject(Fault::Delay { millis: 50 }, 1_000).unwrap();
    let mut kills = 0;
    for accepted in [500, 1_500, 2_500] {
        let process = Process::start(&["run", &file]);
        until(|| sandbox.summary().accepted >= accepted).await;
        process.kill().await;
        kills += 1;
    }
    sandbox.lift_faults();
    let (status, table, said) = Process::start(&["run", &file]).end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(
        said.contains("resuming ") && said.contains(" after line "),
        "{said}"
    );
    let summary = sandbox.summary();
    assert_eq!(summary.unique, EVENTS as u64, "{table}");
    // What a kill repeats was on its way, or not yet in the checkpoint: far from everything.
    assert!(summary.duplicates < kills * 1_500, "{summary:?}");
    let before = (summary.accepted, summary.duplicates);
    let (status, _, said) = Process::start(&["run", &file]).end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("nothing new since the last run"), "{said}");
    assert!(said.contains("`checkpoint: false`"), "{said}");
    let summary = sandbox.summary();
    assert_eq!((summary.accepted, summary.duplicates), before);
}

/// A program that writes a log and rotates it at random.
struct Writer {
    folder: PathBuf,
    random: fastrand::Rng,
    lines: usize,
    rotations: usize,
}

impl Writer {
    fn append(&self, bytes: &[u8]) {
        let mut options = OpenOptions::new();
        let log = options
            .create(true)
            .append(true)
            .open(self.folder.join("events.ndjson"));
        log.unwrap().write_all(bytes).unwrap();
    }

    /// Some lines, in pieces that end anywhere.
    fn write(&mut self) {
        for _ in 0..self.random.usize(1..60) {
            let line = format!("{}\n", event(&format!("m-{}", self.lines)));
            let (first, second) = line.as_bytes().split_at(self.random.usize(0..line.len()));
            self.append(first);
            self.append(second);
            self.lines += 1;
        }
    }

    fn rotate(&mut self) {
        let log = self.folder.join("events.ndjson");
        self.rotations += 1;
        let aside = self
            .folder
            .join(format!("events.ndjson.{}", self.rotations));
        if self.random.bool() {
            std::fs::rename(&log, aside).unwrap();
            self.append(b"");
        } else {
            std::fs::copy(&log, aside).unwrap();
            std::fs::write(log, "").unwrap();
        }
    }
}

#[tokio::test]
async fn killed_again_and_again_while_a_log_is_written_and_rotated_it_loses_nothing() {
    /// Steps of one run; each writes, rotates or kills.
    const STEPS: usize = 80;
    let seed = fastrand::u64(..);
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let file = pipeline(folder.path(), &sandbox);
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["sources"]["events"]["follow"] = json!(true);
    // Rotations come faster than a source can look, so the pattern names the rotated files too.
    config["sources"]["events"]["path"] = json!("events.ndjson*");
    config["sinks"]["meta"]["batch"]["timeout_secs"] = json!(0.05);
    std::fs::write(&file, config.to_string()).unwrap();
    let mut writer = Writer {
        folder: folder.path().to_owned(),
        random: fastrand::Rng::with_seed(seed),
        lines: 0,
        rotations: 0,
    };
    writer.write();
    let mut process = Process::start(&["run", &file]);
    let mut kills = 0;
    for _ in 0..STEPS {
        match writer.random.u8(0..10) {
            0..=4 => writer.write(),
            5..=6 => writer.rotate(),
            7 => {
                process.kill().await;
                process = Process::start(&["run", &file]);
                kills += 1;
            }
            _ => {
                // Until some of what was written has arrived.
                let before = sandbox.summary().unique;
                let most = writer.lines as u64;
                let some = until(|| sandbox.summary().unique > before.min(most - 1));
                let in_time = tokio::time::timeout(Duration::from_secs(30), some).await;
                assert!(in_time.is_ok(), "seed {seed}: {:?}", sandbox.summary());
            }
        }
    }
    // Delivered by the process that is asked to end, which has begun then: a signal ends one that has not.
    writer.write();
    let all = writer.lines as u64;
    let arrived = until(|| sandbox.summary().unique == all);
    let in_time = tokio::time::timeout(Duration::from_secs(30), arrived).await;
    let summary = sandbox.summary();
    let said = format!("seed {seed}: {all} lines, {kills} kills, {summary:?}");
    assert!(in_time.is_ok(), "{said}");
    process.terminate();
    let (status, table, _) = process.end().await;
    assert_eq!(status.code(), Some(0), "{said} {table}");
    writeln!(std::io::stderr(), "{said}").unwrap();
}

#[tokio::test]
async fn a_second_process_and_a_newer_checkpoint_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let file = pipeline(folder.path(), &sandbox);
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["sources"]["events"]["follow"] = json!(true);
    std::fs::write(&file, config.to_string()).unwrap();
    std::fs::write(
        folder.path().join("events.ndjson"),
        format!("{}\n", event("m")),
    )
    .unwrap();
    let mut first = Process::start(&["run", &file]);
    first.says("waiting for more lines").await;
    let (status, _, said) = Process::start(&["run", &file]).end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: source `events`: the checkpoint `"),
        "{said}"
    );
    assert!(
        said.contains("events.json` is kept by another process; end that one"),
        "{said}"
    );
    first.terminate();
    let (status, table, _) = first.end().await;
    assert_eq!(status.code(), Some(0), "{table}");
    assert_eq!(sandbox.summary().unique, 1);

    let checkpoint = folder.path().join("data/checkpoints/events.json");
    std::fs::write(&checkpoint, "{\"version\":2}").unwrap();
    let (status, _, said) = Process::start(&["run", &file]).end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("has version 2, and this program knows version 1"),
        "{said}"
    );
}

#[tokio::test]
async fn a_checkpoint_tells_nothing_about_people() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let file = pipeline(folder.path(), &sandbox);
    let retail = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/events/retail.ndjson");
    let events = std::fs::read_to_string(retail).unwrap();
    std::fs::write(folder.path().join("events.ndjson"), &events).unwrap();
    let (status, _, said) = Process::start(&["run", &file]).end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let kept: Value = serde_json::from_slice(
        &std::fs::read(folder.path().join("data/checkpoints/events.json")).unwrap(),
    )
    .unwrap();
    let entry = kept["files"][0].as_object().unwrap();
    assert_eq!(entry["offset"].as_u64(), Some(events.len() as u64));
    // A path, numbers, and the numbers of two checksums: there is no room for more.
    for (key, value) in entry {
        let is_number = value.is_u64();
        let is_checksum = ["bytes", "crc32"].iter().all(|part| value[part].is_u64());
        assert!(key == "path" || is_number || is_checksum, "{key}: {value}");
    }
    let path = entry["path"].as_str().unwrap();
    assert!(path.ends_with("/events.ndjson"), "{path}");
}
