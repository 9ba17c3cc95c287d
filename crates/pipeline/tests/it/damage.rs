//! Pages of the disk buffer's database that are damaged between two kills, with traffic before and after: what is in them is lost and
//! counted, and everything else arrives.
//!
//! `CRASH_KILLS` and `CRASH_SEED` are those of the crash tests.

use crate::tally::{
    Bench, Recorded, events_url, eventually, number, passing_fault, personal, print,
};
use graph_sandbox::Fault;
use serde_json::json;
use std::collections::HashSet;
use std::os::unix::fs::FileExt as _;

/// Kills unless told otherwise.
const KILLS: u64 = 8;
/// Lives in which nothing can be delivered, so that every page holds what waits.
const AWAY: u64 = 2;
/// Where nothing listens: the system hands out no port as low as this.
const UNREACHABLE: &str = "http://127.0.0.1:9";
/// The size of a page, in bytes.
const PAGE: u64 = 16 * 1024;
/// Pages without which a buffer is not opened: the header, and the one with the count of all events.
const NEEDED: [u64; 2] = [0, 4];
/// Events of a request: so many that a few requests fill some pages.
const EVENTS: usize = 60;

/// The test under way.
struct Damage {
    bench: Bench,
    random: fastrand::Rng,
    seed: u64,
    acknowledged: HashSet<String>,
    next: usize,
    said: String,
}

impl Damage {
    async fn new() -> Self {
        let seed = number("CRASH_SEED", fastrand::u64(..));
        let mut bench = Bench::new(&json!({"type": "http_server", "address": "127.0.0.1:0"})).await;
        bench.sink(&json!({"batch": {"timeout_secs": 0.01, "max_events": 200}}));
        Self {
            bench,
            random: fastrand::Rng::with_seed(seed),
            seed,
            acknowledged: HashSet::new(),
            next: 0,
            said: String::new(),
        }
    }

    /// Sends so many requests, which must all be taken; returns the ids of their events.
    async fn send(&mut self, process: &Recorded, requests: usize) -> HashSet<String> {
        let url = events_url(&process.says("address=").await);
        let client = reqwest::Client::new();
        let mut ids = HashSet::new();
        for _ in 0..requests {
            let new: Vec<_> = (self.next..self.next + EVENTS)
                .map(|id| format!("e-{id}"))
                .collect();
            self.next += EVENTS;
            let events: Vec<_> = new.iter().map(|id| personal(id)).collect();
            let request = client.post(&url).header("content-type", "application/json");
            let answer = request
                .body(json!(events).to_string())
                .send()
                .await
                .unwrap();
            let (seed, said) = (self.seed, process.said());
            assert_eq!(answer.status().as_u16(), 200, "seed {seed}: {said}");
            ids.extend(new);
        }
        self.acknowledged.extend(ids.iter().cloned());
        ids
    }

    /// Overwrites a page of the database. What was in the log is in the database first.
    fn overwrite(&mut self) {
        let folder = self.bench.path("data/buffer/meta");
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // As the log says: a damaged database that was set aside is to be moved away.
            if name.starts_with("damaged-") {
                std::fs::remove_file(path).unwrap();
            }
        }
        let path = folder.join("records.db");
        let database = rusqlite::Connection::open(&path).unwrap();
        let mode = "PRAGMA wal_checkpoint(TRUNCATE)";
        database.query_row(mode, [], |_| Ok(())).unwrap();
        drop(database);
        let pages = path.metadata().unwrap().len() / PAGE;
        let page = loop {
            let page = self.random.u64(0..pages);
            if !NEEDED.contains(&page) {
                break page;
            }
        };
        let filler = if self.random.bool() { 0 } else { b'x' };
        let page_bytes = vec![filler; usize::try_from(PAGE).unwrap()];
        let database = std::fs::File::options().write(true).open(path).unwrap();
        database.write_all_at(&page_bytes, page * PAGE).unwrap();
    }

    /// Events that the log has called lost or set aside, of all lives and of this one.
    fn told(&self, now: &str) -> usize {
        let lines = self.said.lines().chain(now.lines());
        // What is damaged where it can be set aside is not delivered either.
        let is_lost =
            |line: &&str| line.contains("lost") || line.contains("it is set aside in the buffer");
        let lost = lines.filter(|line| line.contains("ERROR")).filter(is_lost);
        let events =
            lost.filter_map(|line| line.split_once("events=")?.1.split([' ', '\n']).next());
        events.map(|events| events.parse::<usize>().unwrap()).sum()
    }

    fn missing(&self) -> usize {
        let accepted = self.bench.fates().accepted;
        self.acknowledged.difference(&accepted).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_damaged_between_kills_cost_what_is_in_them_and_new_events_are_taken() {
    let mut all = Damage::new().await;
    let kills = number("CRASH_KILLS", KILLS);
    let endpoint = all.bench.sandbox.url();
    for kill in 0..kills {
        all.bench.sandbox.lift_faults();
        for _ in 0..all.random.usize(..3) {
            let fault = passing_fault(&mut all.random);
            if !matches!(fault, Fault::FewerReceived { .. }) {
                all.bench.sandbox.inject(fault, 1).unwrap();
            }
        }
        let away = kill < AWAY;
        all.bench
            .sink(&json!({"endpoint": if away { UNREACHABLE } else { &endpoint }}));
        let process = all.bench.start();
        let requests = all.random.usize(3..9);
        all.send(&process, requests).await;
        all.said += &process.kill().await;
        all.overwrite();
    }
    all.bench.sandbox.lift_faults();
    all.bench.sink(&json!({"endpoint": endpoint}));
    let last = all.bench.start();
    let late = all.send(&last, 3).await;
    let so_far = || {
        format!(
            "seed {}: {} missing, {} told as lost; {}{}",
            all.seed,
            all.missing(),
            all.told(&last.said()),
            all.said,
            last.said()
        )
    };
    let is_settled = || {
        let accepted = all.bench.fates().accepted;
        late.is_subset(&accepted) && all.missing() <= all.told(&last.said())
    };
    eventually(is_settled, so_far).await;
    last.terminate();
    let (status, said) = last.end().await;
    assert_eq!(status.code(), Some(0), "seed {}: {said}", all.seed);
    all.said += &said;
    let (missing, told) = (all.missing(), all.told(""));
    let figures = format!(
        "damaged pages, seed {}: {kills} kills, {} events acknowledged, {missing} lost, {told} told as lost, {} databases made anew",
        all.seed,
        all.acknowledged.len(),
        all.said.matches("it was made anew").count(),
    );
    print(&figures);
    assert!(
        missing <= told && told < all.acknowledged.len() / 2,
        "{figures}"
    );
    // Which words it takes depends on the pages: one with pieces of events, or one that leads to others.
    let is_told = ["damaged page", "the disk buffer is damaged"]
        .iter()
        .any(|words| all.said.contains(words));
    assert!(is_told, "{figures}: {}", all.said);
    assert!(all.bench.letters().0.is_empty(), "{figures}");
    all.bench.keeps_secrets(&all.said);
}
