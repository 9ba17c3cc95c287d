//! A destination that is away for more than a week, on a clock that the test moves: what grows older than Meta takes it
//! becomes a dead letter, and everything else is delivered, once.

use crate::destination::load;
use crate::tally::{Bench, DEADLINE, Log, events_url, eventually, personal, server_error};
use graph_sandbox::SandboxOptions;
use meta_conversions as _;
use pipeline_core::{Clock as _, ManualClock};
use pipeline_host::StartOptions;
use pipeline_host::topology::{Ending, Running, start};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The first day, in seconds since the Unix epoch: 2027-01-15.
const START_SECS: i64 = 1_800_000_000;
const DAY_SECS: i64 = 24 * 60 * 60;
/// How long the destination is away, in days, and when the pipeline is closed until the next day.
const OUTAGE_DAYS: i64 = 9;
const CLOSED_AFTER_DAY: i64 = 4;
/// How old an event may be, in seconds: Meta's words are 7 days, and 62 for a physical store.
const MAX_AGE_SECS: i64 = 7 * DAY_SECS;
const MAX_STORE_AGE_SECS: i64 = 62 * DAY_SECS;
/// The ages of the events that come in on one day, in seconds.
const AGES_SECS: [i64; 4] = [0, DAY_SECS - 1, 3 * DAY_SECS, MAX_AGE_SECS - 1];
const STORE_AGES_SECS: [i64; 4] = [0, 30 * DAY_SECS, 56 * DAY_SECS, MAX_STORE_AGE_SECS - 1];
/// Events of one age on one day.
const EVENTS: usize = 5;
/// Where nothing listens: the system hands out no port as low as this.
const UNREACHABLE: &str = "http://127.0.0.1:9";

/// An outage under way.
struct Outage {
    bench: Bench,
    clock: Arc<ManualClock>,
    day: i64,
    /// Every event that was sent, and from when on Meta would refuse it.
    sent: Vec<(String, i64)>,
}

impl Outage {
    async fn begin() -> Self {
        let clock = Arc::new(ManualClock::at(START_SECS * 1000));
        let now = Arc::clone(&clock);
        let options = SandboxOptions {
            now_ms: Some(Arc::new(move || now.now_ms())),
            ..SandboxOptions::default()
        };
        let web = json!({"type": "http_server", "address": "127.0.0.1:0"});
        Self {
            bench: Bench::with(&web, options).await,
            clock,
            day: 0,
            sent: Vec::new(),
        }
    }

    fn now_secs(&self) -> i64 {
        START_SECS + self.day * DAY_SECS
    }

    fn next_day(&mut self) {
        self.day += 1;
        self.clock.set(self.now_secs() * 1000);
    }

    async fn open(&self) -> Running {
        let config = self.bench.pipeline.clone();
        let pipeline = load(&config, self.bench.folder.path());
        let mut options = StartOptions::default();
        options.clock = Arc::<ManualClock>::clone(&self.clock);
        options.seed = 7;
        start(pipeline.unwrap(), options).await.unwrap()
    }

    async fn close(&self, running: Running) -> Ending {
        running.stop_handle().drain();
        let ending = tokio::time::timeout(DEADLINE, running.finish()).await;
        ending.expect("it ends")
    }

    fn event(&mut self, place: &str, age: i64, limit: i64) -> Value {
        let time = self.now_secs() - age;
        let id = format!("e-{}", self.sent.len());
        let mut event = personal(&id);
        event["timestamp"] = json!(time);
        event["context"]["action_source"] = json!(place);
        self.sent.push((id, time + limit));
        event
    }

    /// The events of a day come in, and cannot be delivered.
    async fn bad_day(&mut self, running: &Running) {
        let url = events_url(&running.addresses()["in"].to_string());
        // Small requests are encoded on this thread, whose log is looked through.
        for _ in 0..EVENTS {
            let on_web = AGES_SECS.map(|age| self.event("website", age, MAX_AGE_SECS));
            let in_store = |age| self.event("physical_store", age, MAX_STORE_AGE_SECS);
            let events = [on_web, STORE_AGES_SECS.map(in_store)].concat();
            let request = reqwest::Client::new().post(&url);
            let request = request.header("content-type", "application/json");
            let answer = request.body(json!(events).to_string()).send().await;
            assert_eq!(answer.unwrap().status().as_u16(), 200);
        }
        self.try_in_vain(running).await;
    }

    /// Waits until an attempt that began after now has failed.
    async fn try_in_vain(&self, running: &Running) {
        // The first to fail may have begun before.
        for _ in 0..2 {
            let retried = || running.telemetry().snapshot()[0].retried;
            let before = retried();
            eventually(|| retried() > before, || format!("day {}", self.day)).await;
        }
    }

    /// The ids of the events that Meta would refuse by now, or of the others.
    fn ids(&self, are_expired: bool) -> BTreeSet<&str> {
        let now = self.now_secs();
        let ids = self
            .sent
            .iter()
            .filter(|(_, expiry)| (*expiry <= now) == are_expired);
        ids.map(|(id, _)| id.as_str()).collect()
    }
}

#[tokio::test]
async fn after_a_week_of_outage_what_is_too_old_is_a_dead_letter_and_the_rest_is_delivered_once() {
    let log = Log::of_this_thread();
    let mut outage = Outage::begin().await;
    let endpoint = outage.bench.sandbox.url();
    outage
        .bench
        .sandbox
        .inject(server_error(), u32::MAX)
        .unwrap();
    outage.bench.sink(&json!({"endpoint": UNREACHABLE}));
    let mut running = outage.open().await;
    while outage.day < OUTAGE_DAYS {
        outage.bad_day(&running).await;
        if outage.day == CLOSED_AFTER_DAY {
            let ending = outage.close(running).await;
            assert!(ending.is_complete());
            let sink = &ending.sinks[0];
            assert!(sink.held > 0 && sink.delivered == 0);
            let known = sink.held + sink.rejected_total();
            assert_eq!(known, outage.sent.len() as u64);
            outage.bench.keeps_secrets(&log.text());
            outage.next_day();
            // From now on it can be reached, and is no better for that.
            outage.bench.sink(&json!({"endpoint": endpoint}));
            running = outage.open().await;
        } else {
            outage.next_day();
        }
    }
    outage.try_in_vain(&running).await;
    assert_eq!(outage.bench.sandbox.summary().accepted, 0);
    assert!(outage.bench.sandbox.summary().requests > 0);

    outage.bench.sandbox.lift_faults();
    outage.bench.settle(outage.sent.len()).await;
    let ending = outage.close(running).await;
    assert!(ending.is_complete());
    assert_eq!(ending.sinks[0].held, 0);
    let fates = outage.bench.fates();
    let (expired, current) = (outage.ids(true), outage.ids(false));
    assert!(expired.len() > 100 && current.len() > 100);
    let accepted: BTreeSet<_> = fates.accepted.iter().map(String::as_str).collect();
    assert_eq!(accepted, current);
    assert_eq!(
        fates
            .dead
            .keys()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        expired
    );
    assert!(
        fates.dead.values().all(|reason| reason == "expired"),
        "{:?}",
        fates.dead
    );
    assert_eq!((fates.duplicates, fates.cut_letters), (0, 0));
    // Meta never saw one that was too old: it would have refused all of its batch.
    let requests = outage.bench.sandbox.requests();
    assert!(requests.iter().all(|request| request.subcode.is_none()));
    let said = log.text();
    assert!(said.contains("delivery failed"), "{said}");
    outage.bench.keeps_secrets(&said);
}
