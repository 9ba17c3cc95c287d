//! The real binary, killed with SIGKILL at random moments again and again: what was acknowledged is delivered or is a
//! dead letter.
//!
//! `CRASH_KILLS` says how often each test kills, and `CRASH_SEED` makes its choices the same again.

use crate::tally::{
    Bench, Recorded, events_url, eventually, number, passing_fault, personal, print,
};
use graph_sandbox::Fault;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Kills of one test unless told otherwise.
const KILLS: u64 = 40;
/// The longest that most processes live, in milliseconds.
const LIFE_MILLIS: u64 = 300;
/// Events that may wait for their delivery before more are sent: the tests are about kills, not about backlogs.
const BACKLOG: u64 = 1_000;
/// Clients that send at the same time.
const CLIENTS: usize = 2;
/// How often the test looks at a life.
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// Faults that each life meets at most.
const FAULTS_A_LIFE: usize = 4;
/// The longest that a request waits for its answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Ids that the destination refuses for good. Both kinds of input number their events from 0.
const REFUSED: [&str; 4] = ["e-7", "e-301", "e-302", "e-1999"];

/// What is known of the events so far.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) ids: HashSet<String>,
    pub(crate) acknowledged: HashSet<String>,
    pub(crate) next: usize,
}

impl Sent {
    /// Numbers some more events.
    fn more(&mut self, count: usize) -> Vec<String> {
        let ids: Vec<_> = (self.next..self.next + count)
            .map(|id| format!("e-{id}"))
            .collect();
        self.next += count;
        self.ids.extend(ids.iter().cloned());
        ids
    }
}

/// One crash test under way.
struct Ordeal {
    bench: Bench,
    random: fastrand::Rng,
    seed: u64,
    sent: Arc<Mutex<Sent>>,
    said: String,
    kills: u64,
}

impl Ordeal {
    async fn new(source: &Value, sink: &Value) -> Self {
        let seed = number("CRASH_SEED", fastrand::u64(..));
        let mut bench = Bench::new(source).await;
        // Small ones, so that lives as short as these get something done.
        bench.sink(&json!({"batch": {"timeout_secs": 0.01, "max_events": 100}}));
        bench.sink(sink);
        Self {
            bench,
            random: fastrand::Rng::with_seed(seed),
            seed,
            sent: Arc::default(),
            said: String::new(),
            kills: number("CRASH_KILLS", KILLS),
        }
    }

    /// What the next life meets. Nothing is left of what the last one has not met: a short life would meet nothing else.
    fn inject(&mut self) {
        self.bench.sandbox.lift_faults();
        for id in REFUSED {
            let fault = Fault::RefuseEventId {
                event_id: id.to_owned(),
                code: 100,
                subcode: None,
            };
            self.bench.sandbox.inject(fault, 1).unwrap();
        }
        for _ in 0..self.random.usize(..=FAULTS_A_LIFE) {
            let fault = passing_fault(&mut self.random);
            let times = self.random.u32(1..=2);
            self.bench.sandbox.inject(fault, times).unwrap();
        }
    }

    /// Lets a process live for a random while, then kills it. Some are asked to stop first, some never get to start.
    async fn live(&mut self, mut meanwhile: impl FnMut(&mut Self, &Recorded)) {
        self.inject();
        let process = self.bench.start();
        let mut end = Instant::now() + Duration::from_millis(LIFE_MILLIS);
        // One in eight has the time to save checkpoints and to catch up.
        let longest = LIFE_MILLIS * if self.random.u8(..8) == 0 { 4 } else { 1 };
        let life = Duration::from_millis(self.random.u64(..longest));
        // A life begins when the process says its first word, or with its birth.
        let mut is_born = self.random.u8(..4) == 0;
        if is_born {
            end = Instant::now() + life;
        }
        while Instant::now() < end {
            if !is_born && !process.said().is_empty() {
                is_born = true;
                end = Instant::now() + life;
            }
            meanwhile(self, &process);
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        if self.random.u8(..8) == 0 {
            process.terminate();
            let millis = self.random.u64(..LIFE_MILLIS / 8);
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        self.said += &process.kill().await;
    }

    /// Events that have met their fate, nearly.
    fn settled(&self) -> u64 {
        self.bench.sandbox.summary().unique
    }

    /// The last run ends in an orderly way.
    async fn ends_well(&mut self, process: Recorded) {
        let (status, said) = process.end().await;
        assert_eq!(status.code(), Some(0), "seed {}: {said}", self.seed);
        self.said += &said;
    }

    /// Counts what became of everything, and prints it.
    fn judge(&self, input: &str, answered: impl Fn(&Sent) -> &HashSet<String>) {
        let fates = self.bench.fates();
        let sent = self.sent.lock().unwrap();
        let answered = answered(&sent);
        let lost = fates.lost(answered);
        let text = format!(
            "{input}, seed {}: {} kills, {} events sent, {} acknowledged, {} accepted, {} duplicates, {} dead letters ({} cut), {} lost",
            self.seed,
            self.kills,
            sent.ids.len(),
            answered.len(),
            fates.accepted.len(),
            fates.duplicates,
            fates.dead.len(),
            fates.cut_letters,
            lost.len(),
        );
        print(&text);
        assert!(lost.is_empty(), "{text}: {lost:?}");
        assert!(fates.invented(&sent.ids).is_empty(), "{text}");
        let refused = REFUSED.iter().filter(|id| answered.contains(**id));
        for id in refused {
            assert!(fates.dead.contains_key(*id), "{text}: {id}");
            assert!(!fates.accepted.contains(*id), "{text}: {id}");
        }
        self.bench.keeps_secrets(&self.said);
    }
}

/// A client that sends one request after another to whoever takes them, and remembers what was answered.
pub(crate) struct Client {
    sent: Arc<Mutex<Sent>>,
    random: fastrand::Rng,
    address: watch::Receiver<Option<String>>,
    settled: watch::Receiver<u64>,
}

impl Client {
    /// One that learns where to send, and how many events have met their fate.
    pub(crate) fn new(
        sent: Arc<Mutex<Sent>>,
        random: fastrand::Rng,
        address: watch::Receiver<Option<String>>,
        settled: watch::Receiver<u64>,
    ) -> Self {
        Self {
            sent,
            random,
            address,
            settled,
        }
    }

    /// Sends until the test ends.
    pub(crate) async fn run(mut self) {
        let client = reqwest::Client::builder().timeout(ANSWER_LIMIT);
        let client = client.build().unwrap();
        loop {
            let address = self.address.wait_for(Option::is_some).await;
            let Ok(Some(address)) = address.map(|address| address.clone()) else {
                return;
            };
            let acknowledged = self.sent.lock().unwrap().acknowledged.len() as u64;
            let room = |settled: &u64| acknowledged < settled + BACKLOG;
            if self.settled.wait_for(room).await.is_err() {
                return;
            }
            let count = self.random.usize(1..=100);
            let ids = self.sent.lock().unwrap().more(count);
            let events: Vec<_> = ids.iter().map(|id| personal(id)).collect();
            let request = client.post(events_url(&address));
            let request = request.header("content-type", "application/json");
            let answer = request.body(json!(events).to_string()).send().await;
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200) => self.sent.lock().unwrap().acknowledged.extend(ids),
                Ok(status) => assert_eq!(status, 503, "it is stopping, or full"),
                // It was killed: wait for the next.
                Err(_) if self.address.changed().await.is_err() => return,
                Err(_) => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_that_was_answered_with_200_outlives_any_number_of_kills() {
    let web = json!({"type": "http_server", "address": "127.0.0.1:0"});
    let mut ordeal = Ordeal::new(&web, &json!({})).await;
    let (address, settled) = (watch::Sender::new(None), watch::Sender::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (sent, random) = (Arc::clone(&ordeal.sent), ordeal.random.fork());
            Client::new(sent, random, address.subscribe(), settled.subscribe())
        })
        .map(|client| tokio::spawn(client.run()))
        .collect();
    for _ in 0..ordeal.kills {
        let life = ordeal.live(|ordeal, process| {
            settled.send_replace(ordeal.settled());
            if address.borrow().is_none()
                && let Some(heard) = process.heard("address=")
            {
                address.send_replace(Some(heard));
            }
        });
        life.await;
        address.send_replace(None);
    }
    drop((address, settled));
    for client in clients {
        client.await.unwrap();
    }
    let process = ordeal.bench.start();
    // Before it listens, SIGTERM ends it without a word.
    process.says("address=").await;
    let acknowledged = ordeal.sent.lock().unwrap().acknowledged.clone();
    ordeal.bench.settle(acknowledged.len()).await;
    let lost = || ordeal.bench.fates().lost(&acknowledged).len();
    eventually(
        || lost() == 0,
        || format!("{} lost, seed {}", lost(), ordeal.seed),
    )
    .await;
    process.terminate();
    ordeal.ends_well(process).await;
    ordeal.judge("http_server and disk", |sent| &sent.acknowledged);
}

/// Lines of one write at most.
const LINES: usize = 100;

async fn lines_of_a_log_outlive_any_number_of_kills(buffer: &str) {
    let log = json!({"type": "file", "path": "events.ndjson", "follow": true});
    let mut ordeal = Ordeal::new(&log, &json!({"buffer": {"type": buffer}})).await;
    let path = ordeal.bench.path("events.ndjson");
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.unwrap();
    for _ in 0..ordeal.kills {
        let life = ordeal.live(|ordeal, _| {
            let written = ordeal.sent.lock().unwrap().next as u64;
            if written < ordeal.settled() + BACKLOG {
                let count = ordeal.random.usize(1..=LINES);
                let ids = ordeal.sent.lock().unwrap().more(count);
                let lines: String = ids.iter().map(|id| format!("{}\n", personal(id))).collect();
                file.write_all(lines.as_bytes()).unwrap();
            }
        });
        life.await;
    }
    ordeal.bench.pipeline["sources"]["in"]["follow"] = json!(false);
    let process = ordeal.bench.start();
    ordeal.ends_well(process).await;
    let input = format!("file and {buffer}");
    ordeal.judge(&input, |sent| &sent.ids);
}

#[tokio::test]
async fn every_line_of_a_log_outlives_any_number_of_kills_with_a_disk_buffer() {
    lines_of_a_log_outlive_any_number_of_kills("disk").await;
}

#[tokio::test]
async fn every_line_of_a_log_outlives_any_number_of_kills_with_a_memory_buffer() {
    lines_of_a_log_outlive_any_number_of_kills("memory").await;
}
