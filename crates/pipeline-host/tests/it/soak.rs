//! Walks through the bad days of a destination: events flow through the real binary while faults of every kind strike. In
//! the end each event was accepted, or stands in the dead letters with the right reason.
//!
//! `SOAK_EVENTS` says how many events a walk through mixed faults sends, `SOAK_SECS` over how many seconds, and
//! `SOAK_SEED` makes its choices the same again. A day at full size:
//!
//! ```text
//! SOAK_EVENTS=1000000 SOAK_SECS=600 cargo test --release -p pipeline-host --test it soak -- --nocapture
//! ```

use crate::destination::dead_letters;
use crate::tally::{
    Bench, DEADLINE, Recorded, events_url, number, passing_faults, personal, print,
};
use graph_sandbox::{Fault, Injection};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::ops::Range;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Events and seconds of a walk through mixed faults unless told otherwise.
const EVENTS: u64 = 3_000;
const SECS: u64 = 3;
/// Events that are sent at one time at most.
const CHUNK: usize = 150;
/// Events that may wait for their fate before more are sent, so that no buffer is ever full.
const MOST_WAITING: usize = 20_000;
/// Of so many events one is too old, one lacks consent, and one is refused by its id.
const ODD_ONES: usize = 1_000;
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
/// How often a fault alone strikes, and for how many requests each time.
const ROUNDS: usize = 2;
const TIMES: u32 = 2;

/// What follows from a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing is accepted; the batch is sent again.
    Retried,
    /// All is accepted and sent again all the same.
    Repeated,
    /// Some is accepted and sent again; an event that was alone in its request is not confirmed.
    Miscounted,
    /// Nothing more is sent until a probe goes through.
    Blocked,
    /// The batch is taken apart; an event that was alone in its request is refused.
    Refused,
    /// Nothing; it takes its time.
    Delayed,
    /// It takes longer than the sink waits, and is sent again.
    TimedOut,
}

/// A fault, what follows from it, and the code that the pipeline has for it where it says one.
#[derive(Clone)]
struct Trial {
    fault: Fault,
    effect: Effect,
    said: &'static str,
}

impl Trial {
    fn new(fault: Fault, effect: Effect, said: &'static str) -> Self {
        Self {
            fault,
            effect,
            said,
        }
    }

    fn graph(
        status: u16,
        code: i64,
        subcode: Option<i64>,
        effect: Effect,
        said: &'static str,
    ) -> Self {
        let fault = Fault::GraphError {
            status,
            code,
            subcode,
            is_transient: false,
            message: None,
        };
        Self::new(fault, effect, said)
    }

    fn passing(fault: Fault) -> Self {
        let (effect, said) = match fault.name() {
            "drop_before_accept" => (Effect::Retried, "connection_failed"),
            "drop_after_accept" | "truncated_answer" => (Effect::Repeated, "connection_failed"),
            "fewer_received" => (Effect::Miscounted, ""),
            "delay" => (Effect::Delayed, ""),
            "throttle" => (Effect::Retried, "throttled"),
            _ => (Effect::Retried, "server_error"),
        };
        Self::new(fault, effect, said)
    }

    /// Why an event that nothing is wrong with may end in the dead letters.
    fn dead(&self) -> &'static [&'static str] {
        match self.effect {
            Effect::Miscounted => &["not_confirmed"],
            Effect::Refused => &["refused_invalid"],
            _ => &[],
        }
    }

    /// Whether it costs a second or more.
    fn is_costly(&self) -> bool {
        let asks_for_a_pause = Fault::Throttle {
            status: 429,
            code: 613,
            business_use_case_minutes: None,
            ad_account_reset_seconds: Some(1),
        };
        matches!(self.effect, Effect::Blocked | Effect::TimedOut) || self.fault == asks_for_a_pause
    }
}

/// Every fault that ends with the request that meets it.
fn trials() -> Vec<Trial> {
    use Effect::{Blocked, Refused, Retried, TimedOut};
    let html = |status| Fault::HtmlAnswer { status };
    let throttle = Fault::Throttle {
        status: 429,
        code: 613,
        business_use_case_minutes: None,
        ad_account_reset_seconds: Some(1),
    };
    let mut trials: Vec<_> = passing_faults().into_iter().map(Trial::passing).collect();
    trials.extend([
        Trial::new(throttle, Retried, "throttled"),
        Trial::new(html(200), Retried, "unreadable_answer"),
        Trial::new(html(404), Retried, "unreadable_answer"),
        Trial::new(html(429), Retried, "throttled"),
        Trial::new(html(401), Blocked, "token_invalid"),
        Trial::new(Fault::Delay { millis: 1_500 }, TimedOut, "timeout"),
        Trial::graph(500, 999_999, None, Retried, "server_error"),
        Trial::graph(400, 5_000, None, Retried, "server_error"),
        Trial::graph(400, 999_999, None, Refused, ""),
        Trial::graph(400, 100, Some(2_804_019), Refused, ""),
        Trial::graph(400, 190, Some(463), Blocked, "token_expired"),
        Trial::graph(403, 200, None, Blocked, "permission_missing"),
        Trial::graph(400, 100, Some(33), Blocked, "pixel_not_found"),
        Trial::graph(400, 2_500, None, Blocked, "path_unknown"),
        Trial::graph(400, 100, Some(2_804_131), Blocked, "dataset_not_linked"),
    ]);
    trials
}

/// What is to become of an event when the destination has a good day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    Accepted,
    TooOld,
    Refused,
    Filtered,
}

impl Meant {
    fn of(number: usize) -> Self {
        match number % ODD_ONES {
            1 => Self::TooOld,
            2 => Self::Filtered,
            3 => Self::Refused,
            _ => Self::Accepted,
        }
    }
}

fn id(number: usize) -> String {
    format!("e-{number}")
}

fn numbered(id: &str) -> usize {
    let number = id.strip_prefix("e-").and_then(|number| number.parse().ok());
    number.expect("an id that was sent")
}

fn event(number: usize) -> Value {
    let mut event = personal(&id(number));
    match Meant::of(number) {
        Meant::TooOld => event["timestamp"] = json!("2020-01-01T00:00:00Z"),
        Meant::Filtered => event["context"]["consent"]["marketing"] = json!(false),
        Meant::Accepted | Meant::Refused => {}
    }
    event
}

fn refusal(number: usize) -> Fault {
    Fault::RefuseEventId {
        event_id: id(number),
        code: 100,
        subcode: Some(2_804_019),
    }
}

/// A fault's name, and the codes that tell it from others of this name.
fn name(fault: &Fault) -> String {
    let name = fault.name();
    match fault {
        Fault::GraphError { code, subcode, .. } => {
            let subcode = subcode.map(|subcode| format!("/{subcode}"));
            format!("{name} {code}{}", subcode.unwrap_or_default())
        }
        Fault::Throttle { code, .. } => format!("{name} {code}"),
        Fault::HtmlAnswer { status } => format!("{name} {status}"),
        Fault::Delay { millis } => format!("{name} {millis} ms"),
        _ => name.to_owned(),
    }
}

/// What became of each event, by its number. The events themselves are not kept.
#[derive(Default)]
struct Books {
    hasher: RandomState,
    /// What was accepted, as a hash of its text; one for every event that was sent.
    accepted: Vec<Option<u64>>,
    unique: usize,
    duplicates: usize,
    filtered: usize,
    /// The reasons of the dead letters.
    dead: BTreeMap<usize, String>,
    /// Bytes of the dead letters that were read.
    dead_bytes: usize,
    /// The faults that were injected, with how often.
    faults: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Identified {
    event_id: String,
}

impl Books {
    /// Numbers some more events.
    fn send(&mut self, count: usize) -> Range<usize> {
        let first = self.sent();
        self.accepted.resize(first + count, None);
        let numbers = first..self.sent();
        let filtered = numbers.clone().filter(|&n| Meant::of(n) == Meant::Filtered);
        self.filtered += filtered.count();
        numbers
    }

    fn sent(&self) -> usize {
        self.accepted.len()
    }

    fn accept(&mut self, text: &str) {
        let event: Identified = serde_json::from_str(text).unwrap();
        let hash = self.hasher.hash_one(text);
        match &mut self.accepted[numbered(&event.event_id)] {
            Some(first) => {
                assert_eq!(*first, hash, "{} was another event before", event.event_id);
                self.duplicates += 1;
            }
            nothing => {
                *nothing = Some(hash);
                self.unique += 1;
            }
        }
    }

    /// Takes over what the destination and the dead letters have by now.
    fn look(&mut self, bench: &Bench) {
        for text in bench.sandbox.take_accepted() {
            self.accept(&text);
        }
        let bytes = dead_letters(bench.folder.path(), "meta").len();
        if std::mem::replace(&mut self.dead_bytes, bytes) == bytes {
            return;
        }
        for (id, reason) in bench.letters().0 {
            let number = numbered(&id);
            if self.dead.insert(number, reason).is_none() && Meant::of(number) == Meant::Refused {
                bench.sandbox.lift(&refusal(number));
            }
        }
    }

    /// Events that have not met their fate.
    fn waiting(&self) -> usize {
        let only_dead = self.dead.keys().filter(|&&n| self.accepted[n].is_none());
        self.sent() - self.unique - self.filtered - only_dead.count()
    }

    /// Whether an event met the fate that it was meant to. An event that nothing is wrong with may have become a dead
    /// letter for `excuses` only.
    fn is_right(&self, number: usize, excuses: &[&str]) -> bool {
        let dead = self.dead.get(&number).map(String::as_str);
        let is_accepted = self.accepted[number].is_some();
        match Meant::of(number) {
            Meant::Accepted => dead.map_or(is_accepted, |reason| excuses.contains(&reason)),
            Meant::Filtered => !is_accepted && dead.is_none(),
            Meant::TooOld => !is_accepted && dead == Some("too_old"),
            Meant::Refused => !is_accepted && dead == Some("refused_invalid"),
        }
    }

    /// Dead letters of events that nothing is wrong with, by reason.
    fn excused(&self, reason: &str) -> usize {
        let sound = |n: usize| Meant::of(n) == Meant::Accepted;
        let excused = self
            .dead
            .iter()
            .filter(|(n, of)| sound(**n) && *of == reason);
        excused.count()
    }
}

/// The figures of a walk, or of several.
#[derive(Default)]
struct Figures {
    events: usize,
    faults: BTreeMap<String, usize>,
    accepted: usize,
    duplicates: usize,
    filtered: usize,
    dead: BTreeMap<String, usize>,
    lost: usize,
}

impl Figures {
    fn add(&mut self, books: &Books) {
        self.events += books.sent();
        self.accepted += books.unique;
        self.duplicates += books.duplicates;
        self.filtered += books.filtered;
        self.lost += books.waiting();
        for (fault, times) in &books.faults {
            *self.faults.entry(fault.clone()).or_default() += times;
        }
        for reason in books.dead.values() {
            *self.dead.entry(reason.clone()).or_default() += 1;
        }
    }
}

impl From<&Books> for Figures {
    fn from(books: &Books) -> Self {
        let mut figures = Self::default();
        figures.add(books);
        figures
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, usize>| {
            let counts = counts
                .iter()
                .map(|(what, times)| format!("{what}: {times}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        write!(
            f,
            "{} events, faults ({}), {} accepted, {} duplicates, {} filtered, dead letters ({}), {} lost",
            self.events,
            list(&self.faults),
            self.accepted,
            self.duplicates,
            self.filtered,
            list(&self.dead),
            self.lost
        )
    }
}

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
    async fn take(&mut self, events: impl Iterator<Item = Value>) {
        match self {
            Self::Web(client, url) => {
                let body = events.collect::<Value>().to_string();
                let request = client.post(url.as_str()).body(body);
                let request = request.header("content-type", "application/json");
                assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
            }
            Self::Log(file) => {
                let lines: String = events.map(|event| format!("{event}\n")).collect();
                file.write_all(lines.as_bytes()).unwrap();
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
        bench.sink(&json!({"batch": {"timeout_secs": 0.01, "max_events": 100}, "buffer": {"type": buffer}}));
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
        *self.books.faults.entry(name(&fault)).or_default() += times as usize;
        self.bench.sandbox.inject(fault, times).unwrap();
    }

    /// Faults that end with a request and that none has met yet.
    fn pending(&self) -> usize {
        let pending = self.bench.sandbox.pending();
        let stands = |fault| matches!(fault, &Fault::TokenRevoked | &Fault::RefuseEventId { .. });
        let times = |injection: &Injection| injection.times as usize;
        pending
            .iter()
            .filter(|pending| !stands(&pending.fault))
            .map(times)
            .sum()
    }

    async fn feed(&mut self, count: usize) {
        let numbers = self.books.send(count);
        for number in numbers.clone().filter(|&n| Meant::of(n) == Meant::Refused) {
            self.inject(refusal(number), 1);
        }
        self.door.take(numbers.map(event)).await;
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
                "{}\n{}",
                Figures::from(&self.books),
                self.process.said()
            );
            sleep(LOOK_PAUSE).await;
        }
    }

    async fn settle(&mut self) {
        self.until(|walk| walk.books.waiting() == 0).await;
    }

    /// Revokes the token until the second probe: nothing is sent meanwhile, and it goes on by itself.
    async fn revoke(&mut self) {
        let said = |walk: &Self, words| walk.process.said().matches(words).count();
        let stopped = said(self, "sending has stopped");
        self.inject(Fault::TokenRevoked, 1);
        self.feed(CHUNK).await;
        self.until(|walk| said(walk, "sending has stopped") > stopped)
            .await;
        let before = self.bench.sandbox.summary();
        self.feed(CHUNK).await;
        self.until(|walk| walk.bench.sandbox.summary().probes > before.probes)
            .await;
        let now = self.bench.sandbox.summary();
        assert_eq!(
            (now.accepted, now.requests),
            (before.accepted, before.requests)
        );
        self.bench.sandbox.lift(&Fault::TokenRevoked);
        self.until(|walk| said(walk, "sending resumes") > stopped)
            .await;
    }

    /// Ends the run, and compares everything: what was sent, what arrived, and what the pipeline counted itself.
    async fn judge(mut self, name: &str, excuses: &[&str]) -> (Books, String) {
        self.process.terminate();
        let (status, said) = self.process.end().await;
        assert_eq!(status.code(), Some(0), "{name}: {said}");
        self.books.look(&self.bench);
        let books = self.books;
        let wrong: Vec<_> = (0..books.sent())
            .filter(|&n| !books.is_right(n, excuses))
            .map(|n| {
                (
                    n,
                    Meant::of(n),
                    books.accepted[n].is_some(),
                    books.dead.get(&n),
                )
            })
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        let summary = self.bench.sandbox.summary();
        let arrived = (books.unique as u64, books.duplicates as u64);
        assert_eq!((summary.unique, summary.duplicates), arrived, "{name}");
        assert_eq!(summary.forgotten_events, 0);
        assert_eq!(self.bench.letters().1, 0, "letters that are none");
        // What was accepted without an answer may still wait to be sent again.
        let delivered = books.sent() - books.filtered - books.dead.len();
        let counted = ["delivered", "held", "rejected"].map(|label| counted(&said, label));
        assert_eq!(counted[0] + counted[1], delivered, "{name}: {said}");
        assert_eq!(counted[2], books.dead.len(), "{name}: {said}");
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
    let (books, said) = walk.judge(&name, trial.dead()).await;
    let reason = format!("reason=\"{}\"", trial.said);
    assert!(
        trial.said.is_empty() || said.contains(&reason),
        "{name}: {said}"
    );
    match trial.effect {
        Effect::TimedOut => {}
        Effect::Repeated | Effect::Miscounted => assert!(books.duplicates > 0, "{name}"),
        _ => assert_eq!(books.duplicates, 0, "{name}"),
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
    print(&format!("every fault alone, {road}: {secs} s, {figures}"));
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
    let spread = Duration::from_secs(number("SOAK_SECS", SECS));
    print(&format!("soak of {road}: seed {seed}"));
    let mut walk = Walk::start(road, &json!({"timeout_secs": 1})).await;
    let mut trouble = Trouble::new(seed);
    let (started, mut said) = (Instant::now(), Instant::now());
    let mut chunk = 1;
    while walk.books.sent() < events {
        trouble.strike(&mut walk);
        walk.books.look(&walk.bench);
        let left = events - walk.books.sent();
        let due = share(events, started.elapsed(), spread) - walk.books.sent();
        if due >= chunk.min(left) && walk.books.waiting() < MOST_WAITING {
            walk.feed(due.min(CHUNK)).await;
            chunk = trouble.random.usize(1..=CHUNK);
        }
        if said.elapsed() >= PROGRESS_PAUSE {
            said = Instant::now();
            let secs = started.elapsed().as_secs();
            print(&format!(
                "soak of {road}: {secs} s, {}",
                Figures::from(&walk.books)
            ));
        }
        sleep(LOOK_PAUSE / 8).await;
    }
    trouble.calm(&walk);
    walk.settle().await;
    let secs = started.elapsed().as_secs();
    let (books, _) = walk
        .judge(
            &format!("seed {seed}"),
            &["not_confirmed", "refused_invalid"],
        )
        .await;
    print(&format!(
        "soak of {road}: seed {seed}, {secs} s, {}",
        Figures::from(&books)
    ));
    // One fault costs no more than one event that nothing is wrong with.
    let met = |fault: &str| -> usize {
        let met = books
            .faults
            .iter()
            .filter(|(met, _)| met.starts_with(fault));
        met.map(|(_, times)| times).sum()
    };
    assert!(
        books.excused("not_confirmed") <= met("fewer_received"),
        "seed {seed}"
    );
    assert!(
        books.excused("refused_invalid") <= met("graph_error"),
        "seed {seed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_faults_lose_nothing_between_http_and_a_disk_buffer() {
    mixed_faults(Road::WebAndDisk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_faults_lose_nothing_between_a_log_and_a_memory_buffer() {
    mixed_faults(Road::LogAndMemory).await;
}
