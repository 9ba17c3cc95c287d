//! Everything at once: two sinks behind one listener, clients that keep what was answered and clients that hang up, events on which
//! the destination fails, server errors and resets, a disk without room, a data folder that is moved away, and SIGKILL after each.
//!
//! `CRASH_KILLS` and `CRASH_SEED` are those of the crash tests.

use crate::crash::{Client, Sent};
use crate::disk_full::Mount;
use crate::tally::{Bench, Recorded, TOKEN, eventually, number, passing_fault, personal, print};
use graph_sandbox::{AnyAnswer, Fault, Obstructed, Sandbox, SandboxOptions};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Kills unless told otherwise.
const KILLS: u64 = 9;
/// The longest that a process lives after it listens, in milliseconds.
const LIFE_MILLIS: u64 = 500;
/// One event in so many makes every request fail that it is in.
const POISON: usize = 1_000;
/// The first of them.
const FIRST_POISON: usize = 40;
/// Clients that wait for their answers.
const CLIENTS: usize = 2;
/// How ids begin that a client that hangs up sends to the process that is not killed.
const LAST: &str = "last";
/// How many of those there are at least.
const MIN_LAST: usize = 300;
/// Passing faults that each life meets at most.
const FAULTS_A_LIFE: usize = 3;

/// What happens in the life of a process, before it is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Misfortune {
    None,
    /// Others fill the disk. The next process starts on it, and has room again later.
    FullDisk,
    /// The data folder is renamed under the running process, and back when that is dead.
    MovedFolder,
}

/// Trouble in which nothing is refused for good.
fn trouble(random: &mut fastrand::Rng) -> Fault {
    loop {
        let fault = passing_fault(random);
        // What was not confirmed becomes a dead letter, which other tests count.
        if !matches!(fault, Fault::FewerReceived { .. }) {
            return fault;
        }
    }
}

/// A client that sends whole requests and never waits for an answer.
async fn hang_up(
    sent: Arc<Mutex<BTreeSet<String>>>,
    is_last: Arc<AtomicBool>,
    mut address: watch::Receiver<Option<String>>,
    seed: u64,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0.. {
        let Ok(known) = address.wait_for(Option::is_some).await.map(|it| it.clone()) else {
            return;
        };
        let prefix = if is_last.load(Ordering::Relaxed) {
            LAST
        } else {
            "hung-up"
        };
        let ids: Vec<_> = (0..random.usize(1..20))
            .map(|event| format!("{prefix}-{number}-{event}"))
            .collect();
        let events: Vec<_> = ids.iter().map(|id| personal(id)).collect();
        let body = json!(events).to_string();
        let request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        sent.lock().unwrap().extend(ids);
        if let Ok(mut stream) = TcpStream::connect(known.unwrap_or_default()).await {
            // Where the process is killed in between, the request is one more that was cut.
            let _ = stream.write_all(request.as_bytes()).await;
        }
        sleep(Duration::from_millis(random.u64(5..40))).await;
    }
}

/// The test under way.
struct Everything {
    bench: Bench,
    /// Where the second sink delivers.
    second: Sandbox,
    disk: Option<Mount>,
    /// What takes the room of the disk.
    rest: Option<PathBuf>,
    random: fastrand::Rng,
    seed: u64,
    address: watch::Sender<Option<String>>,
    settled: watch::Sender<u64>,
    said: String,
}

impl Everything {
    async fn new() -> Self {
        let seed = number("CRASH_SEED", fastrand::u64(..));
        let web = json!({"type": "http_server", "address": "127.0.0.1:0"});
        let mut bench = Bench::new(&web).await;
        let disk = Mount::new(bench.folder.path());
        if disk.is_none() {
            print("no file system can be mounted here: the disk stays as it is");
        }
        let options = SandboxOptions {
            access_tokens: vec![TOKEN.to_owned()],
            ..SandboxOptions::default()
        };
        let second = Sandbox::start(options).await.unwrap();
        bench.sink(&json!({
            "batch": {"timeout_secs": 0.01, "max_events": 200},
        }));
        let mut other = bench.pipeline["sinks"]["meta"].clone();
        other["endpoint"] = json!(second.url());
        bench.pipeline["sinks"]["second"] = other;
        bench.write();
        Self {
            bench,
            second,
            disk,
            rest: None,
            random: fastrand::Rng::with_seed(seed),
            seed,
            address: watch::Sender::new(None),
            settled: watch::Sender::new(0),
            said: String::new(),
        }
    }

    fn sandboxes(&self) -> [&Sandbox; 2] {
        [&self.bench.sandbox, &self.second]
    }

    /// Both destinations fail on the poisonous events, and meet some trouble that passes.
    fn inject(&mut self, poison: &[usize]) {
        let trouble: Vec<_> = (0..self.random.usize(..=FAULTS_A_LIFE))
            .map(|_| trouble(&mut self.random))
            .collect();
        for sandbox in self.sandboxes() {
            sandbox.lift_faults();
            for id in poison {
                let answer = AnyAnswer {
                    status: 500,
                    ..AnyAnswer::default()
                };
                let when = Obstructed {
                    event_id: Some(format!("e-{id}")),
                    ..Obstructed::default()
                };
                sandbox.inject(Fault::Obstacle { answer, when }, 1).unwrap();
            }
            for fault in &trouble {
                sandbox.inject(fault.clone(), 1).unwrap();
            }
        }
    }

    /// The pipeline file is there already: nothing could be written to a full disk.
    fn start(&self) -> Recorded {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command.arg("run").arg(self.bench.path("pipeline.json"));
        Recorded::start(command)
    }

    /// What both sinks have delivered.
    fn tell_settled(&self) {
        let settled = self.sandboxes().map(|it| it.summary().unique);
        self.settled
            .send_replace(settled.into_iter().min().unwrap_or(0));
    }

    async fn wait(&mut self, millis: std::ops::Range<u64>) {
        let millis = self.random.u64(millis);
        for _ in 0..millis / 10 {
            self.tell_settled();
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn live(&mut self, misfortune: Misfortune) {
        let process = self.start();
        self.address
            .send_replace(Some(process.says("address=").await));
        self.wait(50..LIFE_MILLIS).await;
        if let Some(rest) = self.rest.take() {
            std::fs::remove_file(rest).unwrap();
            self.wait(50..LIFE_MILLIS).await;
        }
        let (data, elsewhere) = (self.bench.path("data"), self.bench.path("elsewhere"));
        match (misfortune, &self.disk) {
            (Misfortune::FullDisk, Some(disk)) => self.rest = Some(disk.fill_up()),
            (Misfortune::MovedFolder, _) => std::fs::rename(&data, &elsewhere).unwrap(),
            _ => {}
        }
        self.wait(0..LIFE_MILLIS).await;
        self.said += &process.kill().await;
        self.address.send_replace(None);
        if misfortune == Misfortune::MovedFolder {
            assert!(!data.exists(), "no second data folder is begun");
            std::fs::rename(&elsewhere, &data).unwrap();
        }
    }

    /// Waits until what was answered is at both destinations, though the poison is still there.
    async fn settle(&self, good: &HashSet<String>, process: &Recorded) {
        for sandbox in self.sandboxes() {
            let missing = || good.difference(&accepted(sandbox)).count();
            let so_far = || {
                let (said, letters) = (process.said(), self.bench.letters().0);
                let (missing, all) = (missing(), good.len());
                format!(
                    "seed {}: {missing} of {all} are missing; {letters:?}; {said}",
                    self.seed
                )
            };
            eventually(|| missing() == 0, so_far).await;
        }
    }
}

fn accepted(sandbox: &Sandbox) -> HashSet<String> {
    let events = sandbox.accepted();
    let id = |event: &String| {
        let event: Value = serde_json::from_str(event).unwrap();
        event["event_id"].as_str().unwrap().to_owned()
    };
    events.iter().map(id).collect()
}

/// Whether the destinations fail on the event of this number.
fn is_poison(number: usize) -> bool {
    number % POISON == FIRST_POISON
}

fn number_of(id: &str) -> usize {
    id.trim_start_matches("e-").parse().unwrap()
}

/// The clients, and what they have sent.
struct Senders {
    sent: Arc<Mutex<Sent>>,
    hung_up: Arc<Mutex<BTreeSet<String>>>,
    is_last: Arc<AtomicBool>,
    running: Vec<JoinHandle<()>>,
}

impl Senders {
    fn start(all: &mut Everything) -> Self {
        let sent = Arc::<Mutex<Sent>>::default();
        let hung_up = Arc::<Mutex<BTreeSet<String>>>::default();
        let is_last = Arc::<AtomicBool>::default();
        let mut running: Vec<JoinHandle<()>> = (0..CLIENTS)
            .map(|_| {
                let random = all.random.fork();
                let (address, settled) = (all.address.subscribe(), all.settled.subscribe());
                let client = Client::new(Arc::clone(&sent), random, address, settled);
                tokio::spawn(client.run())
            })
            .collect();
        let (seed, address) = (all.random.u64(..), all.address.subscribe());
        let hangs_up = hang_up(Arc::clone(&hung_up), Arc::clone(&is_last), address, seed);
        running.push(tokio::spawn(hangs_up));
        Self {
            sent,
            hung_up,
            is_last,
            running,
        }
    }

    /// Lets them send to a process that is not killed, then ends them; returns what was acknowledged.
    async fn end(&mut self, all: &mut Everything, last: &Recorded) -> HashSet<String> {
        let address = last.says("address=").await;
        self.is_last.store(true, Ordering::Relaxed);
        all.address.send_replace(Some(address));
        let are_enough = || {
            all.tell_settled();
            let sent = self.hung_up.lock().unwrap();
            sent.iter().filter(|id| id.starts_with(LAST)).count() >= MIN_LAST
        };
        eventually(are_enough, || last.said()).await;
        all.address.send_replace(None);
        drop(std::mem::replace(
            &mut all.address,
            watch::Sender::new(None),
        ));
        drop(std::mem::replace(&mut all.settled, watch::Sender::new(0)));
        for client in self.running.drain(..) {
            client.await.unwrap();
        }
        self.sent.lock().unwrap().acknowledged.clone()
    }

    /// Counts what became of everything, and prints it.
    fn judge(&self, all: &Everything, kills: u64, acknowledged: &HashSet<String>) {
        let [first, second] = all.sandboxes().map(accepted);
        let hung_up = self.hung_up.lock().unwrap();
        let at_one: Vec<_> = hung_up
            .iter()
            .filter(|id| id.starts_with(LAST) && first.contains(*id) != second.contains(*id))
            .collect();
        let at_both = |id: &&String| first.contains(*id) && second.contains(*id);
        let bad = acknowledged.iter().filter(|id| is_poison(number_of(id)));
        let lost = acknowledged.len() - acknowledged.iter().filter(at_both).count();
        let [duplicates, others] = all.sandboxes().map(|it| it.summary().duplicates);
        let figures = format!(
            "everything at once, seed {}: {kills} kills, {} events sent and {} acknowledged, {} poisonous; {} sent by a client that \
             hangs up, {} of them delivered; {} accepted by the first and {} by the second sink, {duplicates} and {others} duplicates, \
             {lost} lost, {} at one sink only",
            all.seed,
            self.sent.lock().unwrap().ids.len(),
            acknowledged.len(),
            bad.clone().count(),
            hung_up.len(),
            hung_up.iter().filter(at_both).count(),
            first.len(),
            second.len(),
            at_one.len(),
        );
        print(&figures);
        assert!(!acknowledged.is_empty() && bad.count() > 0, "{figures}");
        assert_eq!(lost, 0, "{figures}");
        assert!(at_one.is_empty(), "{figures}: {at_one:?}");
        assert!(all.bench.letters().0.is_empty(), "{figures}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_good_event_arrives_at_both_sinks_whatever_happens_at_once() {
    let mut all = Everything::new().await;
    let kills = number("CRASH_KILLS", KILLS);
    let mut senders = Senders::start(&mut all);
    let kinds = [
        Misfortune::FullDisk,
        Misfortune::None,
        Misfortune::MovedFolder,
    ];
    for kind in kinds.iter().cycle().take(usize::try_from(kills).unwrap()) {
        let next = senders.sent.lock().unwrap().next;
        let poison: Vec<_> = (0..next + 20 * POISON)
            .filter(|id| is_poison(*id))
            .collect();
        all.inject(&poison);
        all.live(*kind).await;
    }
    if let Some(rest) = all.rest.take() {
        std::fs::remove_file(rest).unwrap();
    }
    let last = all.start();
    let acknowledged = senders.end(&mut all, &last).await;
    let (bad, good): (HashSet<_>, HashSet<_>) = acknowledged
        .iter()
        .cloned()
        .partition(|id| is_poison(number_of(id)));
    all.settle(&good, &last).await;
    for sandbox in all.sandboxes() {
        assert!(accepted(sandbox).is_disjoint(&bad), "it was refused");
        sandbox.lift_faults();
    }
    all.settle(&acknowledged, &last).await;
    last.terminate();
    let (status, said) = last.end().await;
    assert_eq!(status.code(), Some(0), "seed {}: {said}", all.seed);
    all.said += &said;
    senders.judge(&all, kills, &acknowledged);
    all.bench.keeps_secrets(&all.said);
}
