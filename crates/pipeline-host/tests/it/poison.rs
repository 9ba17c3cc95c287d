//! A destination with events that it fails on, outages, and times in which it fails at random: whatever the mix, every good event
//! is delivered, none of them becomes a dead letter, and the bad ones hold up no other.

use crate::part::{Behavior, Tap, chunk, letters};
use pipeline_core::{
    AckLevel, BuildError, Encoded, Event, HealthcheckError, Outcome, Reason, Record, Sink,
    SinkConfig, SinkContext, async_trait,
};
use pipeline_host::topology::{Ending, Running};
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// When the destination is in trouble, in seconds from the start.
#[derive(Debug, Clone)]
struct Trouble {
    from: u64,
    secs: u64,
    /// Of a hundred requests, so many fail; at 100 it is an outage.
    failing: u8,
    /// Whether it says that it is no event's fault.
    is_throttle: bool,
}

/// What the destination does, and what it has seen. Bad events begin with `bad`.
#[derive(Debug, Default)]
struct World {
    troubles: Vec<Trouble>,
    requests: Mutex<Vec<(Duration, usize)>>,
    delivered: Mutex<BTreeMap<String, u64>>,
    random: Mutex<u64>,
}

#[derive(Debug, Clone)]
struct Moody(Arc<World>, Instant);

#[async_trait]
impl SinkConfig for Moody {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

impl World {
    fn dice(&self) -> u8 {
        let mut random = self.random.lock().unwrap();
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((*random >> 33) % 100).unwrap()
    }

    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

#[async_trait]
impl Sink for Moody {
    fn encode(&self, event: &Event) -> Encoded {
        let text = String::from_utf8_lossy(event.raw()).into_owned();
        Encoded::Record(Record::new(text.clone(), text).labeled("a → b"))
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let Self(world, start) = self;
        let now = start.elapsed();
        world.requests.lock().unwrap().push((now, batch.len()));
        sleep(Duration::from_millis(5)).await;
        let mut troubles = world.troubles.iter();
        let trouble = troubles.find(|it| (it.from..it.from + it.secs).contains(&now.as_secs()));
        let after = None;
        if let Some(trouble) = trouble
            && world.dice() < trouble.failing
        {
            let reason = Reason::new("server_error", "it fails");
            let outcome = if trouble.is_throttle {
                Outcome::Retry { after, reason }
            } else {
                Outcome::Failed { after, reason }
            };
            return vec![outcome; batch.len()];
        }
        if batch
            .iter()
            .any(|record| record.payload.starts_with(b"bad"))
        {
            let reason = Reason::new("server_error", "it fails on one");
            return vec![Outcome::Failed { after, reason }; batch.len()];
        }
        let mut delivered = world.delivered.lock().unwrap();
        for record in batch {
            *delivered.entry(record.event_id.to_string()).or_default() += 1;
        }
        vec![Outcome::Delivered; batch.len()]
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

/// A pipeline into such a destination.
struct Case {
    running: Running,
    tap: Tap,
    world: Arc<World>,
    start: Instant,
}

impl Case {
    async fn start(folder: &Path, troubles: Vec<Trouble>, seed: u64, options: Value) -> Self {
        let world = Arc::new(World {
            troubles,
            random: Mutex::new(seed),
            ..World::default()
        });
        let (tap, start) = (Tap::new(Behavior::Lend), Instant::now());
        let moody = Moody(Arc::clone(&world), start);
        let pipeline = Pipeline::builder()
            .data_dir(folder)
            .shutdown_limit(Duration::from_secs(60))
            .source("tap", tap.clone())
            .sink(
                "out",
                &["tap"],
                moody,
                SinkSettings::default().options(options),
            );
        let mut options = StartOptions::default();
        options.seed = seed;
        let running = pipeline.build().unwrap().start(options).await.unwrap();
        Self {
            running,
            tap,
            world,
            start,
        }
    }

    async fn send(&self, texts: &[String]) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let intake = self.tap.intake().await;
        drop(intake.send(chunk(&texts), Some(AckLevel::Buffered)).await);
    }

    /// Waits until so many good events are delivered.
    async fn delivered(&self, events: usize) {
        let start = Instant::now();
        while self.world.delivered.lock().unwrap().len() < events {
            assert!(
                start.elapsed() < Duration::from_secs(86_400),
                "{} of {events} events are delivered: {:?}",
                self.world.delivered.lock().unwrap().len(),
                self.running.telemetry().snapshot(),
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn at(&self, secs: u64) {
        sleep_until(self.start + Duration::from_secs(secs)).await;
    }

    async fn finish(self) -> Ending {
        self.running.stop_handle().drain();
        self.running.finish().await
    }
}

fn good(events: std::ops::Range<usize>) -> Vec<String> {
    events.map(|id| format!("good {id}")).collect()
}

/// As many good events, with bad ones in these places.
fn mixed(events: usize, bad: &[usize]) -> Vec<String> {
    let text = |id| {
        let kind = if bad.contains(&id) { "bad" } else { "good" };
        format!("{kind} {id}")
    };
    (0..events).map(text).collect()
}

fn say(figures: &str) {
    writeln!(std::io::stderr().lock(), "{figures}").unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_event_that_the_destination_fails_on_holds_up_no_other() {
    for bad in [0, 1, 50, 99] {
        let folder = tempfile::tempdir().unwrap();
        let case = Case::start(folder.path(), Vec::new(), 7, json!({})).await;
        case.send(&mixed(100, &[bad])).await;
        case.delivered(99).await;
        let (requests, secs) = (case.world.requests(), case.start.elapsed().as_secs());
        assert!(requests <= 24 && secs <= 30, "{requests} in {secs} s");
        // While it waits aside, others pass at once.
        let before = case.start.elapsed();
        case.send(&good(1000..1100)).await;
        case.delivered(199).await;
        let waited = case.start.elapsed().saturating_sub(before);
        assert!(waited <= Duration::from_secs(2), "{waited:?}");
        let told = Instant::now();
        let ending = case.finish().await;
        assert!(
            told.elapsed() < Duration::from_secs(2),
            "it is tried once more"
        );
        assert_eq!((ending.sinks[0].delivered, ending.sinks[0].held), (199, 1));
        assert_eq!(
            letters(folder.path(), "out"),
            [("held_at_shutdown".to_owned(), 1)].into()
        );
    }
}

/// Bad events that are always due again, and one request at a time.
#[tokio::test(start_paused = true)]
async fn events_that_wait_aside_leave_every_other_turn_to_others() {
    for bad in [2, 7, 30] {
        let folder = tempfile::tempdir().unwrap();
        let options = json!({
            "request": {"concurrency": 1}, "batch": {"timeout_secs": 0.001},
            "retry": {"initial_backoff_secs": 0.001, "max_backoff_secs": 0.001},
        });
        let case = Case::start(folder.path(), Vec::new(), 7, options).await;
        let bad: Vec<_> = (0..bad).map(|id| id * 3).collect();
        case.send(&mixed(100, &bad)).await;
        case.delivered(100 - bad.len()).await;
        for id in 1000..1020 {
            let before = case.world.requests();
            case.send(&good(id..id + 1)).await;
            case.delivered(100 - bad.len() + id - 999).await;
            let requests = case.world.requests() - before;
            // The test looks after every ten of them, which the suspects fill.
            assert!(requests <= 12, "{requests} for one event");
        }
        let ending = case.finish().await;
        assert_eq!(ending.sinks[0].held, bad.len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_waited_aside_when_trouble_ended_arrive_though_no_other_event_comes() {
    for events in [1, 2, 3, 9] {
        for secs in 1..40 {
            let folder = tempfile::tempdir().unwrap();
            let trouble = Trouble {
                from: 0,
                secs,
                failing: 70,
                is_throttle: false,
            };
            let case = Case::start(folder.path(), vec![trouble], secs, json!({})).await;
            case.send(&good(0..events)).await;
            case.delivered(events).await;
            let ending = case.finish().await;
            assert_eq!(ending.sinks[0].held, 0, "{events} events, {secs} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_keeps_failing_while_others_pass_becomes_a_dead_letter_after_the_time_set() {
    for (options, least, most) in [
        (json!({}), 3600, 3600 + 2 * 300),
        (
            json!({"retry": {"poison_after_secs": 600}}),
            600,
            600 + 2 * 300,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let case = Case::start(folder.path(), Vec::new(), 7, options).await;
        case.send(&mixed(50, &[3])).await;
        let dead = |case: &Case| case.running.telemetry().snapshot()[0].rejected_total();
        let mut next = 1000;
        while dead(&case) == 0 {
            case.send(&good(next..next + 1)).await;
            next += 1;
            sleep(Duration::from_secs(5)).await;
        }
        let secs = case.start.elapsed().as_secs();
        assert!((least..most + 60).contains(&secs), "{secs}");
        let ending = case.finish().await;
        assert_eq!(ending.sinks[0].held, 0);
        assert_eq!(
            letters(folder.path(), "out"),
            [("keeps_failing".to_owned(), 1)].into()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_single_events_are_sent_ever_more_rarely_and_nothing_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let outage = Trouble {
        from: 0,
        secs: 6 * 3600,
        failing: 100,
        is_throttle: false,
    };
    let case = Case::start(folder.path(), vec![outage], 7, json!({})).await;
    case.send(&good(0..5000)).await;
    case.at(6 * 3600).await;
    let requests = case.world.requests.lock().unwrap().clone();
    let large = requests.iter().filter(|(_, events)| *events > 1).count();
    say(&format!(
        "an outage of 6 h: {} requests, {large} of them with more than one event",
        requests.len()
    ));
    assert!(
        requests.len() <= 300 && large <= 12,
        "{} {large}",
        requests.len()
    );
    case.delivered(5000).await;
    let afterwards = case.world.requests() - requests.len();
    assert!(afterwards <= 20, "{afterwards}");
    let ending = case.finish().await;
    assert_eq!((ending.sinks[0].delivered, ending.sinks[0].held), (5000, 0));
}

#[tokio::test(start_paused = true)]
async fn attempts_with_others_count_for_no_event_and_attempts_in_an_outage_count_for_all() {
    let retry = json!({"retry": {"max_attempts": 3}});
    let folder = tempfile::tempdir().unwrap();
    let case = Case::start(folder.path(), Vec::new(), 7, retry.clone()).await;
    case.send(&mixed(100, &[40])).await;
    case.delivered(99).await;
    while case.running.telemetry().snapshot()[0].rejected_total() == 0 {
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(case.finish().await.sinks[0].held, 0);
    assert_eq!(
        letters(folder.path(), "out"),
        [("retries_exhausted".to_owned(), 1)].into()
    );

    let folder = tempfile::tempdir().unwrap();
    let outage = Trouble {
        from: 0,
        secs: 86_400,
        failing: 100,
        is_throttle: false,
    };
    let case = Case::start(folder.path(), vec![outage], 7, retry).await;
    case.send(&good(0..100)).await;
    while case.running.telemetry().snapshot()[0].rejected_total() < 100 {
        sleep(Duration::from_secs(1)).await;
    }
    assert!(case.world.requests() <= 8, "{}", case.world.requests());
    assert_eq!(
        letters(folder.path(), "out"),
        [("retries_exhausted".to_owned(), 100)].into()
    );
}

#[tokio::test]
async fn what_waits_aside_stays_in_the_disk_buffer_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = json!({
        "buffer": {"type": "disk"}, "batch": {"timeout_secs": 0.01},
        "retry": {"initial_backoff_secs": 0.001, "max_backoff_secs": 0.002},
    });
    let case = Case::start(folder.path(), Vec::new(), 7, options.clone()).await;
    case.send(&mixed(60, &[11, 42])).await;
    case.delivered(58).await;
    let ending = case.finish().await;
    assert_eq!((ending.sinks[0].delivered, ending.sinks[0].held), (58, 2));
    assert!(ending.is_complete(), "they are safe on disk");
    let case = Case::start(folder.path(), Vec::new(), 8, options).await;
    case.send(&good(100..110)).await;
    case.delivered(10).await;
    let ending = case.finish().await;
    assert_eq!((ending.sinks[0].delivered, ending.sinks[0].held), (10, 2));
    assert_eq!(letters(folder.path(), "out").len(), 0);
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let failing = prop_oneof![2 => Just(100_u8), 1 => 10_u8..90];
    (
        0..4000_u64,
        1..3000_u64,
        failing,
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(from, secs, failing, is_throttle)| Trouble {
            from,
            secs,
            failing,
            is_throttle,
        })
}

/// One random life: events come in over an hour, and some a day long, so that others always pass.
async fn live(
    troubles: Vec<Trouble>,
    bad: Vec<usize>,
    events: usize,
    seed: u64,
    most: usize,
) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let options = json!({"batch": {"max_events": most}});
    let case = Case::start(folder.path(), troubles, seed, options).await;
    let all = mixed(events, &bad);
    for texts in all.chunks(events.div_ceil(20)) {
        case.send(texts).await;
        sleep(Duration::from_secs(120)).await;
    }
    let bad = all.iter().filter(|text| text.starts_with("bad")).count();
    let mut trickle = 0;
    let dead = |case: &Case| case.running.telemetry().snapshot()[0].rejected_total();
    while dead(&case) < bad as u64 && trickle < 4000 {
        case.send(&good(events + trickle..events + trickle + 1))
            .await;
        trickle += 1;
        sleep(Duration::from_secs(10)).await;
    }
    case.delivered(events - bad + trickle).await;
    let requests = case.world.requests();
    let world = Arc::clone(&case.world);
    let ending = case.finish().await;
    let sink = &ending.sinks[0];
    let delivered = world.delivered.lock().unwrap().len();
    assert_eq!(
        delivered,
        events - bad + trickle,
        "every good event is delivered"
    );
    let letters = letters(folder.path(), "out");
    let keeps_failing = letters.get("keeps_failing").copied().unwrap_or(0);
    assert_eq!(letters.values().sum::<u64>(), keeps_failing, "{letters:?}");
    assert_eq!(
        keeps_failing + sink.held,
        bad as u64,
        "only bad ones are given up or held"
    );
    (requests, trickle)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_the_mix_good_events_arrive_and_only_bad_ones_are_given_up(
        troubles in proptest::collection::vec(trouble(), 0..5),
        bad in proptest::collection::vec(0..400_usize, 0..6),
        events in 1..400_usize,
        seed in 0..u64::MAX,
        most in prop_oneof![Just(1_usize), 2..50_usize, Just(1000)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let secs: u64 = troubles.iter().map(|it| it.secs).sum();
        let bad: Vec<usize> = bad.into_iter().filter(|id| *id < events).collect();
        let count = bad.len();
        let (requests, trickle) = runtime.block_on(live(troubles, bad, events, seed, most));
        let usual = events.div_ceil(most) + 20 + trickle;
        say(&format!("{events} events, {count} bad, {secs} s of trouble, batches of {most}: {requests} requests, {usual} without trouble"));
        // Each bad event costs its search and what it is sent alone; trouble costs one request a pause, and the search for causes
        // that are none.
        let bound = 3 * usual + 120 * count + usize::try_from(secs).unwrap() / 4 + 300;
        prop_assert!(requests <= bound, "{} of {}", requests, bound);
    }
}
