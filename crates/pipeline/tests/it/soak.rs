//! Walks through the bad days of a destination: events flow through the real binary while faults of every kind strike.
//! At the end each event was accepted, or stands in the dead letters with the right reason.
//!
//! `SOAK_EVENTS` says how many events a walk through mixed faults sends, `SOAK_SECS` over how many seconds, and
//! `SOAK_SEED` makes its choices the same again. A day at full size:
//!
//! ```text
//! SOAK_EVENTS=1000000 SOAK_SECS=600 cargo test --release -p pipeline --test it soak -- --nocapture
//! ```

mod books;
mod trial;

use crate::tally::{Bench, DEADLINE, Recorded, events_url, number, print};
use books::{Books, Figures, Meant, event, refusal};
use graph_sandbox::{Fault, Injection};
use serde_json::{Value, json};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use trial::{Effect, Trial, label, trials};

/// Events and seconds of a walk through mixed faults unless told otherwise.
const EVENTS: u64 = 3_000;
const SECS: u64 = 3;
/// Events that are sent at one time at most.
const CHUNK: usize = 150;
/// Events that may wait for their fate before more are sent, so that no buffer is ever full.
const MOST_WAITING: usize = 20_000;
/// How often a walk looks at what has arrived.
const LOOK_PAUSE: Duration = Duration::from_millis(40);
/// The pause between two faults on average.
const FAULT_PAUSE: Duration = Duration::from_millis(40);
/// Faults that may wait for a request.
const MOST_PENDING: usize = 8;
/// One in so many faults costs a second or more.
const COSTLY_ODDS: u32 = 40;
/// How long a token stays revoked at most, in milliseconds.
const REVOKED_MILLIS: u64 = 2_000;
/// How often a long walk says how far it is.
const PROGRESS_PAUSE: Duration = Duration::from_secs(10);
/// Requests that the sink has on their way at the same time.
const CONCURRENCY: u64 = 4;
/// How often a fault alone strikes, and for how many requests each time.
const ROUNDS: usize = 2;
const TIMES: u32 = 2;

/// Where events come in, and the buffer they wait in.
#[derive(Clone, Copy)]
enum Road {
    WebAndDisk,
    LogAndMemory,
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebAndDisk => "http_server and disk",
            Self::LogAndMemory => "file and memory",
        })
    }
}

/// What takes events.
enum Door {
    Web(reqwest::Client, String),
    Log(File),
}

impl Door {
    /// Hands over events; returns why it had to come again with them, once for each time.
    async fn take(&mut self, events: impl Iterator<Item = Value>) -> Vec<String> {
        match self {
            Self::Web(client, url) => {
                let body = events.collect::<Value>().to_string();
                let mut turned_away = Vec::new();
                loop {
                    let request = client.post(url.as_str()).body(body.clone());
                    let request = request.header("content-type", "application/json");
                    let answer = request.send().await.unwrap();
                    let status = answer.status().as_u16();
                    if status == 200 {
                        return turned_away;
                    }
                    // A disk that others use as well can be too slow for a moment.
                    assert_eq!(status, 503);
                    let answer: Value =
                        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
                    turned_away.push(answer["error"]["code"].as_str().unwrap().to_owned());
                }
            }
            Self::Log(file) => {
                let lines: String = events.map(|event| format!("{event}\n")).collect();
                file.write_all(lines.as_bytes()).unwrap();
                Vec::new()
            }
        }
    }
}

/// A run of the pipeline under way.
struct Walk {
    bench: Bench,
    process: Recorded,
    door: Door,
    books: Books,
}

impl Walk {
    async fn start(road: Road, sink: &Value) -> Self {
        let (source, buffer) = match road {
            Road::WebAndDisk => (
                json!({"type": "http_server", "address": "127.0.0.1:0"}),
                "disk",
            ),
            Road::LogAndMemory => (
                json!({"type": "file", "path": "events.ndjson", "follow": true}),
                "memory",
            ),
        };
        let mut bench = Bench::new(&source).await;
        // Small ones, so that many requests meet many faults.
        bench.sink(&json!({"batch": {"timeout_secs": 0.01, "max_events": 100}}));
        bench.sink(&json!({"buffer": {"type": buffer}, "request": {"concurrency": CONCURRENCY}}));
        bench.sink(sink);
        let log = bench.path("events.ndjson");
        let file = OpenOptions::new().create(true).append(true).open(log);
        let process = bench.start();
        let door = match road {
            Road::WebAndDisk => {
                let url = events_url(&process.says("address=").await);
                Door::Web(reqwest::Client::new(), url)
            }
            Road::LogAndMemory => Door::Log(file.unwrap()),
        };
        Self {
            bench,
            process,
            door,
            books: Books::default(),
        }
    }

    fn inject(&mut self, fault: Fault, times: u32) {
        *self.books.faults.entry(label(&fault)).or_default() += times as usize;
        self.bench.sandbox.inject(fault, times).unwrap();
    }

    /// Faults that end with a request and that none has met yet.
    fn pending(&self) -> usize {
        let pending = self.bench.sandbox.pending();
        let is_lasting =
            |fault| matches!(fault, &Fault::TokenRevoked | &Fault::RefuseEventId { .. });
        let times = |injection: &Injection| injection.times as usize;
        pending
            .iter()
            .filter(|pending| !is_lasting(&pending.fault))
            .map(times)
            .sum()
    }

    async fn feed(&mut self, count: usize) {
        let numbers = self.books.send(count);
        for number in numbers.clone().filter(|&n| Meant::of(n) == Meant::Refused) {
            self.inject(refusal(number), 1);
        }
        for code in self.door.take(numbers.clone().map(event)).await {
            *self.books.turned_away.entry(code).or_default() += 1;
            self.books.sent_again.extend(numbers.clone());
        }
    }

    /// Looks until something is so.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            self.books.look(&self.bench);
            if is_so(self) {
                return;
            }
            assert!(
                Instant::now() < end,
                "{}, {} waiting\n{}",
                Figures::from(&self.books),
                self.books.waiting(),
                self.process.said()
            );
            sleep(LOOK_PAUSE).await;
        }
    }

    async fn settle(&mut self) {
        self.until(|walk| walk.books.waiting() == 0).await;
    }

    /// Revokes the token until the second probe: nothing is sent meanwhile, and delivery resumes by itself.
    async fn revoke(&mut self) {
        let said = |walk: &Self, words| walk.process.said().matches(words).count();
        let stopped = said(self, "delivery is blocked");
        self.inject(Fault::TokenRevoked, 1);
        self.feed(CHUNK).await;
        self.until(|walk| said(walk, "delivery is blocked") > stopped)
            .await;
        let before = self.bench.sandbox.summary();
        self.feed(CHUNK).await;
        self.until(|walk| walk.bench.sandbox.summary().probes > before.probes)
            .await;
        let now = self.bench.sandbox.summary();
        assert_eq!(now.accepted, before.accepted);
        assert!(now.requests < before.requests + CONCURRENCY, "{now:?}");
        self.bench.sandbox.lift(&Fault::TokenRevoked);
        self.until(|walk| said(walk, "delivery has resumed") > stopped)
            .await;
    }

    /// Ends the run, and compares everything: what was sent, what arrived, and what the pipeline counted itself.
    async fn judge(mut self, name: &str, excuses: &[&str]) -> (Books, String) {
        self.process.terminate();
        let (status, said) = self.process.end().await;
        assert_eq!(status.code(), Some(0), "{name}: {said}");
        self.books.look(&self.bench);
        let mut books = self.books;
        for unmet in self.bench.sandbox.pending() {
            *books.faults.entry(label(&unmet.fault)).or_default() -= unmet.times as usize;
        }
        let wrong: Vec<_> = (0..books.sent())
            .filter(|&number| !books.is_right(number, excuses))
            .map(|number| books.fate(number))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        let summary = self.bench.sandbox.summary();
        let arrived = (books.unique as u64, books.duplicates as u64);
        assert_eq!((summary.unique, summary.duplicates), arrived, "{name}");
        assert_eq!(summary.forgotten_events, 0);
        assert_eq!(self.bench.letters().1, 0, "letters that are none");
        // What was accepted without an answer may still wait to be sent again.
        let delivered = counted(&said, "delivered") + counted(&said, "held");
        let expected = books.sent() - books.filtered - books.dead.len();
        let again = books.sent_again.len();
        assert!(
            (expected..=expected + again).contains(&delivered),
            "{name}: {said}"
        );
        let rejected = counted(&said, "rejected") - books.dead.len();
        assert!(rejected <= again, "{name}: {said}");
        self.bench.keeps_secrets(&said);
        (books, said)
    }
}

/// The number behind a label of the closing table.
fn counted(said: &str, label: &str) -> usize {
    let row = said.lines().find(|line| line.trim().starts_with(label));
    let number = row.and_then(|row| row.split_whitespace().last());
    number.map_or(0, |number| number.replace(',', "").parse().unwrap())
}

/// One fault, again and again, while events flow.
async fn alone(trial: Trial, road: Road) -> Books {
    let name = format!("{:?} with {road}", trial.fault);
    let timeout = if trial.effect == Effect::TimedOut {
        1
    } else {
        30
    };
    let mut walk = Walk::start(road, &json!({"timeout_secs": timeout})).await;
    let times = if trial.is_costly() { 1 } else { TIMES };
    for _ in 0..ROUNDS {
        if trial.fault == Fault::TokenRevoked {
            walk.revoke().await;
        } else {
            walk.inject(trial.fault.clone(), times);
            while walk.pending() > 0 {
                walk.feed(CHUNK).await;
                walk.until(|walk| walk.pending() == 0 || walk.books.waiting() == 0)
                    .await;
            }
        }
        walk.settle().await;
    }
    let (books, said) = walk.judge(&name, trial.excuses()).await;
    let reason = format!("reason=\"{}\"", trial.said);
    assert!(
        trial.said.is_empty() || said.contains(&reason),
        "{name}: {said}"
    );
    match trial.effect {
        Effect::TimedOut => {}
        Effect::Repeated | Effect::Miscounted => assert!(books.duplicates > 0, "{name}"),
        _ => assert!(books.duplicates <= books.sent_again.len(), "{name}: {said}"),
    }
    books
}

/// Each fault has a pipeline of its own, all at the same time: they mostly wait.
async fn every_fault_alone(road: Road) {
    let started = Instant::now();
    let revoked = Trial::new(Fault::TokenRevoked, Effect::Blocked, "token_invalid");
    let trials = trials().into_iter().chain([revoked]);
    let mut walks: JoinSet<_> = trials.map(|trial| alone(trial, road)).collect();
    let mut figures = Figures::default();
    while let Some(books) = walks.join_next().await {
        figures.add(&books.unwrap());
    }
    let secs = started.elapsed().as_secs();
    let lost = figures.waiting;
    print(&format!(
        "every fault alone, {road}: {secs} s, {figures}, {lost} lost"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_alone_loses_nothing_between_http_and_a_disk_buffer() {
    every_fault_alone(Road::WebAndDisk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_alone_loses_nothing_between_a_log_and_a_memory_buffer() {
    every_fault_alone(Road::LogAndMemory).await;
}

/// What strikes next, and when.
struct Trouble {
    random: fastrand::Rng,
    cheap: Vec<Trial>,
    costly: Vec<Trial>,
    next: Instant,
    revoked_until: Option<Instant>,
}

impl Trouble {
    fn new(seed: u64) -> Self {
        let (costly, cheap) = trials().into_iter().partition(Trial::is_costly);
        Self {
            random: fastrand::Rng::with_seed(seed),
            cheap,
            costly,
            next: Instant::now(),
            revoked_until: None,
        }
    }

    fn strike(&mut self, walk: &mut Walk) {
        let now = Instant::now();
        if self.revoked_until.is_some_and(|until| until <= now) {
            self.calm(walk);
        }
        if now < self.next || walk.pending() >= MOST_PENDING {
            return;
        }
        self.next = now + FAULT_PAUSE.mul_f64(2.0 * self.random.f64());
        if self.random.u32(..COSTLY_ODDS) > 0 {
            let trial = &self.cheap[self.random.usize(..self.cheap.len())];
            walk.inject(trial.fault.clone(), self.random.u32(1..=3));
        } else if self.revoked_until.is_none() && self.random.bool() {
            walk.inject(Fault::TokenRevoked, 1);
            let millis = self.random.u64(..REVOKED_MILLIS);
            self.revoked_until = Some(now + Duration::from_millis(millis));
        } else {
            let trial = &self.costly[self.random.usize(..self.costly.len())];
            walk.inject(trial.fault.clone(), 1);
        }
    }

    /// Gives the token back.
    fn calm(&mut self, walk: &Walk) {
        walk.bench.sandbox.lift(&Fault::TokenRevoked);
        self.revoked_until = None;
    }
}

/// The events that are due after so much of the time.
fn share(events: usize, elapsed: Duration, spread: Duration) -> usize {
    let part = events as u128 * elapsed.min(spread).as_millis();
    usize::try_from(part / spread.as_millis().max(1)).unwrap()
}

/// All faults in a random mix.
async fn mixed_faults(road: Road) {
    let seed = number("SOAK_SEED", fastrand::u64(..));
    let events = usize::try_from(number("SOAK_EVENTS", EVENTS)).unwrap();
    let spread = Duration::from_secs(number("SOAK_SECS", SECS).max(1));
    print(&format!("soak of {road}: seed {seed}"));
    let mut walk = Walk::start(road, &json!({"timeout_secs": 1})).await;
    let mut trouble = Trouble::new(seed);
    let started = Instant::now();
    let figures = |books: &Books, waiting| {
        let (secs, figures) = (started.elapsed().as_secs(), Figures::from(books));
        let left = figures.waiting;
        format!("soak of {road}: seed {seed}, {secs} s, {figures}, {left} {waiting}")
    };
    let (mut printed, mut chunk) = (started, 1);
    while walk.books.sent() < events {
        trouble.strike(&mut walk);
        walk.books.look(&walk.bench);
        let left = events - walk.books.sent();
        let due = share(events, started.elapsed(), spread) - walk.books.sent();
        if due >= chunk.min(left) && walk.books.waiting() < MOST_WAITING {
            walk.feed(due.min(CHUNK)).await;
            chunk = trouble.random.usize(1..=CHUNK);
        }
        if printed.elapsed() >= PROGRESS_PAUSE {
            printed = Instant::now();
            print(&figures(&walk.books, "waiting"));
        }
        let is_late = started.elapsed() > 2 * spread + DEADLINE;
        assert!(!is_late, "{}", figures(&walk.books, "waiting"));
        sleep(LOOK_PAUSE / 8).await;
    }
    trouble.calm(&walk);
    walk.settle().await;
    let excuses = ["not_confirmed", "refused_invalid"];
    let (books, _) = walk.judge(&format!("seed {seed}"), &excuses).await;
    let figures = figures(&books, "lost");
    print(&figures);
    // One fault costs no more than one event that nothing is wrong with.
    for (reason, fault) in excuses.into_iter().zip(["fewer_received", "graph_error"]) {
        assert!(books.excused(reason) <= books.met(fault), "{figures}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_faults_lose_nothing_between_http_and_a_disk_buffer() {
    mixed_faults(Road::WebAndDisk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_faults_lose_nothing_between_a_log_and_a_memory_buffer() {
    mixed_faults(Road::LogAndMemory).await;
}
