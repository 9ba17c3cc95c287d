//! A disk that takes no more: it is said, the sources are told to wait, nothing that was acknowledged is lost, and it
//! resumes by itself when there is room again.
//!
//! The shortage is a limit on the size of files, which takes nothing but a shell, and, where a test may mount one, a file
//! system that is full.

use crate::tally::{Bench, Recorded, events_url, personal, print};
use graph_sandbox::Fault;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command as Now;
use tokio::process::Command;

/// Where nothing listens: the system hands out no port as low as this.
const UNREACHABLE: &str = "http://127.0.0.1:9";
/// What the disk takes, in bytes: what the buffer holds in reserve, and as much again.
const ROOM_BYTES: u64 = 8 * 1024 * 1024;
/// The largest that a file may become, in bytes.
const FILE_BYTES: u64 = 2 * 1024 * 1024;
/// A block of `ulimit -f`, in bytes.
const BLOCK_BYTES: u64 = 512;
/// The size of the file system that is full, in bytes.
const DISK_BYTES: u64 = 32 * 1024 * 1024;
/// Files that it takes.
const DISK_FILES: usize = 512;
/// Events of one request.
const EVENTS: usize = 500;
/// Requests that surely fill the room.
const MANY_REQUESTS: usize = 100;

/// Why the disk takes no more.
enum Shortage {
    /// No file may become larger.
    FileSize,
    /// The file system is full, mostly with this.
    FileSystem(Mount),
}

/// A file system of its own, for as long as this lives.
pub(crate) struct Mount {
    path: PathBuf,
}

impl Mount {
    /// `None` where this process may not mount one.
    pub(crate) fn new(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={DISK_BYTES},nr_inodes={DISK_FILES}");
        let mut mount = Now::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path);
        let mount = mount.output().ok()?;
        mount.status.success().then(|| Self {
            path: path.to_owned(),
        })
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Takes what is left of the room; says which file has it.
    pub(crate) fn fill_up(&self) -> PathBuf {
        let path = self.path.join("rest");
        let mut rest = std::fs::File::create(&path).unwrap();
        while rest.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Now::new("umount").arg("-l").arg(&self.path).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

impl Shortage {
    fn full_disk(bench: &Bench) -> Option<Self> {
        let mount = Mount::new(&bench.path("data"));
        if mount.is_none() {
            print("no file system can be mounted here: this shortage is left out");
        }
        mount.map(Self::FileSystem)
    }

    /// Starts a run that has little room.
    fn start(&self, bench: &Bench) -> Recorded {
        match self {
            Self::FileSize => {
                let mut command = Command::new("sh");
                let blocks = FILE_BYTES / BLOCK_BYTES;
                let script = format!(
                    "trap '' XFSZ; ulimit -S -f {blocks}; exec '{}' run \"$0\"",
                    env!("CARGO_BIN_EXE_pipeline")
                );
                command.args(["-c", &script, &bench.write()]);
                Recorded::start(command)
            }
            Self::FileSystem(mount) => {
                let ballast = vec![0; usize::try_from(DISK_BYTES - ROOM_BYTES).unwrap()];
                std::fs::write(mount.ballast(), ballast).unwrap();
                bench.start()
            }
        }
    }

    /// Gives the room back to a run.
    fn end(&self, process: &Recorded) {
        match self {
            Self::FileSize => {
                let pid = process.id().to_string();
                let mut prlimit = Now::new("prlimit");
                let given = prlimit.args(["--pid", &pid, "--fsize=unlimited"]).status();
                assert!(given.unwrap().success());
            }
            Self::FileSystem(mount) => std::fs::remove_file(mount.ballast()).unwrap(),
        }
    }
}

/// A client that knows what was answered.
struct Client {
    url: String,
    sent: HashSet<String>,
    acknowledged: HashSet<String>,
}

impl Client {
    async fn of(process: &Recorded) -> Self {
        Self {
            url: events_url(&process.says("address=").await),
            sent: HashSet::new(),
            acknowledged: HashSet::new(),
        }
    }

    /// Sends one request; says whether it was taken. What was not taken comes with the time to come again.
    async fn send(&mut self) -> bool {
        let first = self.sent.len();
        let ids: Vec<_> = (first..first + EVENTS)
            .map(|id| format!("e-{id}"))
            .collect();
        let events: Vec<_> = ids.iter().map(|id| personal(id)).collect();
        self.sent.extend(ids.iter().cloned());
        let request = reqwest::Client::new().post(&self.url);
        let request = request.header("content-type", "application/json");
        let answer = request
            .body(json!(events).to_string())
            .send()
            .await
            .unwrap();
        if answer.status().as_u16() == 200 {
            self.acknowledged.extend(ids);
            return true;
        }
        assert_eq!(answer.status().as_u16(), 503);
        let later = answer.headers()["retry-after"].to_str().unwrap();
        assert!(later.parse::<u64>().unwrap() > 0);
        false
    }

    /// Sends until nothing more is taken.
    async fn fill(&mut self) {
        for _ in 0..MANY_REQUESTS {
            if !self.send().await {
                return;
            }
        }
        panic!("there was room for {} events", self.acknowledged.len());
    }

    /// Sends until something is taken again.
    async fn send_again(&mut self) {
        while !self.send().await {}
    }
}

fn web() -> Value {
    json!({"type": "http_server", "address": "127.0.0.1:0"})
}

/// The buffer fills, has room again, is killed, and delivers everything that was acknowledged.
async fn a_full_buffer_recovers(mut bench: Bench, shortage: &Shortage) {
    let endpoint = bench.sandbox.url();
    bench.sink(&json!({"endpoint": UNREACHABLE}));
    let process = shortage.start(&bench);
    let mut client = Client::of(&process).await;
    client.fill().await;
    process.says("the disk buffer cannot be written").await;
    assert!(!client.send().await, "as long as there is no room");
    let before = client.acknowledged.len();
    assert!(before >= EVENTS);

    shortage.end(&process);
    process.says("the disk buffer can be written again").await;
    client.send_again().await;
    let mut said = process.kill().await;

    bench.sink(&json!({"endpoint": endpoint}));
    let process = bench.start();
    bench.settle(client.acknowledged.len()).await;
    process.terminate();
    let (status, more) = process.end().await;
    assert_eq!(status.code(), Some(0), "{more}");
    said += &more;
    let fates = bench.fates();
    let figures = format!(
        "disk full: {} events sent, {before} acknowledged before it was full, {} in all, {} accepted, {} duplicates",
        client.sent.len(),
        client.acknowledged.len(),
        fates.accepted.len(),
        fates.duplicates
    );
    print(&figures);
    assert_eq!(fates.lost(&client.acknowledged), [""; 0], "{figures}");
    assert!(fates.invented(&client.sent).is_empty());
    assert!(fates.dead.is_empty());
    bench.keeps_secrets(&said);
}

#[tokio::test]
async fn files_that_may_not_grow_stop_the_sources_and_lose_nothing() {
    let bench = Bench::new(&web()).await;
    a_full_buffer_recovers(bench, &Shortage::FileSize).await;
}

#[tokio::test]
async fn a_full_disk_stops_the_sources_and_loses_nothing() {
    let bench = Bench::new(&web()).await;
    if let Some(shortage) = Shortage::full_disk(&bench) {
        a_full_buffer_recovers(bench, &shortage).await;
    }
}

/// A disk without room for another event still delivers, and has room when it has delivered.
#[tokio::test]
async fn a_full_disk_makes_room_for_itself_when_the_destination_is_back() {
    let mut bench = Bench::new(&web()).await;
    let endpoint = bench.sandbox.url();
    let Some(shortage) = Shortage::full_disk(&bench) else {
        return;
    };
    bench.sink(&json!({"endpoint": UNREACHABLE}));
    let process = shortage.start(&bench);
    let mut client = Client::of(&process).await;
    client.fill().await;
    process.says("the disk buffer cannot be written").await;
    process.kill().await;
    bench.sink(&json!({"endpoint": endpoint}));
    let process = bench.start();
    client.url = events_url(&process.says("address=").await);
    client.send_again().await;
    bench.settle(client.acknowledged.len()).await;
    process.terminate();
    let (status, said) = process.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let fates = bench.fates();
    assert_eq!(fates.lost(&client.acknowledged), [""; 0]);
    assert!(fates.invented(&client.sent).is_empty());
}

/// The next run starts on a disk without one free byte, and delivers what the killed one had acknowledged.
async fn a_run_on_the_full_disk_delivers(mut bench: Bench, shortage: &Shortage, options: &Value) {
    let endpoint = bench.sandbox.url();
    let mut full = options.clone();
    full["endpoint"] = json!(UNREACHABLE);
    bench.sink(&full);
    let process = shortage.start(&bench);
    let mut client = Client::of(&process).await;
    client.fill().await;
    process.says("the disk buffer cannot be written").await;
    process.kill().await;
    let Shortage::FileSystem(mount) = shortage else {
        panic!("a file system is what is full")
    };
    let rest = mount.fill_up();
    for run in 0..2 {
        full["endpoint"] = json!(endpoint);
        bench.sink(&full);
        let process = bench.start();
        client.url = events_url(&process.says("address=").await);
        bench.settle(client.acknowledged.len()).await;
        if run == 0 {
            process.kill().await;
            continue;
        }
        std::fs::remove_file(&rest).unwrap();
        std::fs::remove_file(mount.ballast()).unwrap();
        client.send_again().await;
        bench.settle(client.acknowledged.len()).await;
        process.terminate();
        let (status, said) = process.end().await;
        assert_eq!(status.code(), Some(0), "{said}");
    }
    let fates = bench.fates();
    assert_eq!(fates.lost(&client.acknowledged), [""; 0]);
    assert!(fates.invented(&client.sent).is_empty());
    assert!(fates.dead.is_empty());
}

#[tokio::test]
async fn a_buffer_opens_on_a_disk_that_others_have_filled_and_delivers() {
    let bench = Bench::new(&web()).await;
    if let Some(shortage) = Shortage::full_disk(&bench) {
        a_run_on_the_full_disk_delivers(bench, &shortage, &json!({})).await;
    }
}

/// Nothing is in reserve there.
#[tokio::test]
async fn a_buffer_that_may_be_larger_than_its_disk_opens_on_it_and_delivers() {
    let bench = Bench::new(&web()).await;
    if let Some(shortage) = Shortage::full_disk(&bench) {
        let large = json!({"buffer": {"type": "disk", "max_bytes": 4 * 1024 * 1024 * 1024_u64}});
        a_run_on_the_full_disk_delivers(bench, &shortage, &large).await;
    }
}

/// There is room, but not for one more file: what is written to files that exist passes, a dead letter waits for its own.
#[tokio::test]
async fn a_disk_that_takes_no_more_files_holds_up_dead_letters_and_nothing_else() {
    const REFUSED: &str = "e-7";
    let mut bench = Bench::new(&web()).await;
    let Some(Shortage::FileSystem(_mount)) = Shortage::full_disk(&bench) else {
        return;
    };
    bench.sink(&json!({"batch": {"timeout_secs": 0.01, "max_events": 100}}));
    let fault = Fault::RefuseEventId {
        event_id: REFUSED.to_owned(),
        code: 100,
        subcode: Some(2_804_009),
    };
    bench.sandbox.inject(fault, 1).unwrap();
    let process = bench.start();
    let mut client = Client::of(&process).await;
    let files = bench.path("data/files");
    std::fs::create_dir(&files).unwrap();
    let made = (0..=DISK_FILES)
        .take_while(|number| std::fs::File::create(files.join(number.to_string())).is_ok());
    assert!(made.count() < DISK_FILES);
    assert!(client.send().await);
    process.says("cannot be written: No space left").await;
    assert!(client.send().await, "good events are taken");
    bench.settle(2 * EVENTS - 1).await;
    assert!(bench.letters().0.is_empty());
    std::fs::remove_dir_all(files).unwrap();
    bench.settle(2 * EVENTS).await;
    process.terminate();
    let (status, said) = process.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let fates = bench.fates();
    assert_eq!(
        (fates.accepted.len(), fates.cut_letters),
        (2 * EVENTS - 1, 0)
    );
    assert!(fates.dead.keys().eq([REFUSED]), "{:?}", fates.dead);
    bench.keeps_secrets(&said);
}

/// Every event is given up at once, so that the dead letters fill the disk.
async fn full_dead_letters_recover(mut bench: Bench, shortage: &Shortage) {
    let retry = json!({"initial_backoff_secs": 0.01, "max_backoff_secs": 0.01, "max_attempts": 1});
    bench.sink(&json!({"endpoint": UNREACHABLE, "retry": retry}));
    let process = shortage.start(&bench);
    let mut client = Client::of(&process).await;
    // They are full first, and the buffer behind them.
    client.fill().await;
    process
        .says("dead_letters/meta` cannot be written: No space left")
        .await;
    shortage.end(&process);
    client.send_again().await;
    bench.settle(client.acknowledged.len()).await;
    process.terminate();
    let (status, said) = process.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let fates = bench.fates();
    let figures = format!(
        "dead letters full: {} events sent, {} acknowledged, {} dead letters",
        client.sent.len(),
        client.acknowledged.len(),
        fates.dead.len()
    );
    print(&figures);
    assert_eq!(fates.lost(&client.acknowledged), [""; 0], "{figures}");
    assert_eq!(fates.cut_letters, 0);
    assert!(
        fates
            .dead
            .values()
            .all(|reason| reason == "retries_exhausted")
    );
    bench.keeps_secrets(&said);
}

#[tokio::test]
async fn dead_letters_on_a_full_disk_stop_the_sources_and_lose_nothing() {
    let bench = Bench::new(&web()).await;
    if let Some(shortage) = Shortage::full_disk(&bench) {
        full_dead_letters_recover(bench, &shortage).await;
    }
}
