//! The way from a source into the sinks, against a model that looks at one event at a time.

use crate::model::{Events, Expected, Input, SINKS, TRANSFORMS, bare, expect};
use crate::part::{Behavior, Editor, Shelf, Tap, chunk, ending, event, letters, until, within};
use pipeline_core::{
    Accepted, AckLevel, AckStatus, Chunk, Intake, Origin, Reason, Receipt, Refused, Verdict,
};
use pipeline_host::topology::{Ending, Running};
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How a chunk is handed over.
#[derive(Debug, Clone, Copy)]
enum Call {
    Send,
    /// Standard input: no receipt is followed.
    SendOnce,
    Offer,
    /// The caller stops waiting after the future was polled so many times.
    GiveUp(usize),
}

#[derive(Debug, Clone)]
struct Step {
    call: Call,
    level: AckLevel,
    partition: u64,
    /// Whether each input is an event.
    inputs: Vec<bool>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let call = prop_oneof![
        3 => Just(Call::Send),
        1 => Just(Call::SendOnce),
        4 => Just(Call::Offer),
        2 => (1_usize..8).prop_map(Call::GiveUp),
    ];
    let level = prop_oneof![
        Just(AckLevel::Buffered),
        Just(AckLevel::Stored),
        Just(AckLevel::Final)
    ];
    let inputs = proptest::collection::vec(proptest::bool::weighted(0.9), 0..6);
    let step = (call, level, 0_u64..3, inputs).prop_map(|(call, level, partition, inputs)| Step {
        call,
        level,
        partition,
        inputs,
    });
    proptest::collection::vec(step, 1..40)
}

fn settings(buffer: &str, more: &serde_json::Value) -> SinkSettings {
    let mut options = json!({
        "buffer": {"type": buffer},
        "batch": {"timeout_secs": 0},
        "retry": {"initial_backoff_secs": 0.001, "max_backoff_secs": 0.001},
    });
    if buffer == "disk" {
        options["buffer"]["sync"] = json!("relaxed");
    }
    for (key, value) in more.as_object().unwrap() {
        options["buffer"][key] = value.clone();
    }
    SinkSettings::default().options(options)
}

/// The graph of the model, running.
struct Rig {
    running: Running,
    tap: Tap,
    intake: Arc<dyn Intake>,
    editors: Vec<Editor>,
    shelves: BTreeMap<&'static str, Shelf>,
}

impl Rig {
    async fn start(folder: &Path, disks: u8, unordered: bool) -> Self {
        let tap = Tap::new(Behavior::Lend);
        let mut pipeline = Pipeline::builder()
            .data_dir(folder)
            .source("tap", tap.clone());
        let mut editors = Vec::new();
        for (name, inputs, seed) in TRANSFORMS {
            let editor = Editor::new(seed, !unordered);
            editors.push(editor.clone());
            pipeline = pipeline.transform(name, inputs, editor);
        }
        let mut shelves = BTreeMap::new();
        for (index, (name, inputs, seed)) in SINKS.into_iter().enumerate() {
            let is_on_disk = disks & (1 << index) != 0;
            let buffer = if is_on_disk { "disk" } else { "memory" };
            let shelf = Shelf::deciding(seed);
            shelves.insert(name, shelf.clone());
            pipeline = pipeline.sink(name, inputs, shelf, settings(buffer, &json!({})));
        }
        let running = pipeline.build().unwrap();
        let running = running.start(StartOptions::default()).await.unwrap();
        let intake = tap.intake().await;
        Self {
            running,
            tap,
            intake,
            editors,
            shelves,
        }
    }
}

/// A chunk that was handed over, and what must become of it.
struct Sent {
    number: usize,
    has_events: bool,
    call: Call,
    level: AckLevel,
    expected: BTreeMap<&'static str, Expected>,
    verdicts: Vec<Verdict>,
    outcome: Outcome,
}

enum Outcome {
    Receipt(Receipt),
    Offered(JoinHandle<Result<Accepted, Refused>>),
    Answered(Result<Accepted, Refused>),
    Abandoned,
}

/// Hands over one chunk. The call has been polled at least once when this returns, so that the calls are in order.
async fn hand_over(intake: &Arc<dyn Intake>, number: usize, step: &Step) -> Sent {
    let text = |index: usize| format!("{number}:{index}");
    let inputs: Vec<Input> = (0..step.inputs.len())
        .map(|index| step.inputs[index].then(|| text(index)))
        .collect();
    let (expected, verdicts) = expect(&inputs);
    let read = inputs.iter().map(|input| match input {
        Some(text) => event(text),
        None => pipeline_core::Input::unreadable(
            Origin::whole("tap".into()),
            Reason::new("too_large", "the line is too long"),
        ),
    });
    let chunk = read.collect::<Chunk>().with_partition(step.partition);
    let outcome = match step.call {
        Call::Send => Outcome::Receipt(intake.send(chunk, Some(step.level)).await),
        Call::SendOnce => Outcome::Receipt(intake.send(chunk, None).await),
        Call::Offer | Call::GiveUp(_) => {
            let (intake, level) = (Arc::clone(intake), step.level);
            let limit = Duration::from_secs(60);
            let mut offer: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(async move { intake.offer(chunk, level, limit).await });
            let polls = match step.call {
                Call::GiveUp(polls) => polls,
                _ => 1,
            };
            let mut answer = None;
            for _ in 0..polls {
                let poll = poll_fn(|cx| Poll::Ready(offer.as_mut().poll(cx))).await;
                if let Poll::Ready(ready) = poll {
                    answer = Some(ready);
                    break;
                }
                tokio::task::yield_now().await;
            }
            match (answer, step.call) {
                (Some(answer), _) => Outcome::Answered(answer),
                (None, Call::Offer) => Outcome::Offered(tokio::spawn(offer)),
                (None, _) => Outcome::Abandoned,
            }
        }
    };
    Sent {
        number,
        has_events: step.inputs.contains(&true),
        call: step.call,
        level: step.level,
        expected,
        verdicts,
        outcome,
    }
}

/// Waits for one chunk: the answer is that of the model, and its receipt says the truth. Says whether it must be there.
async fn follow(sent: Sent, shelves: &BTreeMap<&'static str, Shelf>) -> (Sent, bool) {
    let mut sent = sent;
    let outcome = std::mem::replace(&mut sent.outcome, Outcome::Abandoned);
    let answer = match outcome {
        Outcome::Abandoned => return (sent, false),
        Outcome::Receipt(mut receipt) => {
            let status = within("the receipt", receipt.settled()).await;
            assert_eq!(status, AckStatus::Safe, "chunk {}", sent.number);
            None
        }
        Outcome::Offered(offer) => Some(within("the answer", offer).await.unwrap()),
        Outcome::Answered(answer) => Some(answer),
    };
    if let Some(answer) = answer {
        let mut answer = answer.unwrap();
        let verdicts: Vec<_> = answer.verdicts.iter().map(bare).collect();
        let expected: Vec<_> = sent.verdicts.iter().map(bare).collect();
        assert_eq!(verdicts, expected, "chunk {}", sent.number);
        let status = within("the receipt", answer.receipt.settled()).await;
        assert_eq!(status, AckStatus::Safe, "chunk {}", sent.number);
    }
    if sent.level == AckLevel::Final && !matches!(sent.call, Call::SendOnce) {
        for (sink, expected) in &sent.expected {
            let delivered = shelves[sink].delivered();
            for text in &expected.delivered {
                assert!(delivered.contains(text), "{text} is not in {sink} yet");
            }
        }
    }
    (sent, true)
}

/// Compares what the sinks counted and kept with the model. A chunk whose caller went away is there whole or not at all.
fn compare(
    chunks: &[(Sent, bool)],
    ending: &Ending,
    shelves: &BTreeMap<&'static str, Shelf>,
    folder: &Path,
) {
    let mut totals: BTreeMap<&str, Expected> = BTreeMap::new();
    for (sent, is_certain) in chunks {
        let is_there = |(sink, expected): (&&str, &Expected)| {
            let delivered = shelves[*sink].delivered();
            let found = expected.delivered.iter();
            found.filter(|text| delivered.contains(text)).count()
        };
        let there: usize = sent.expected.iter().map(is_there).sum();
        let all: usize = sent.expected.values().map(|e| e.delivered.len()).sum();
        if !is_certain {
            assert!(
                there == 0 || there == all,
                "{there} of {all} of chunk {}",
                sent.number
            );
        }
        if *is_certain || there > 0 {
            for (sink, expected) in &sent.expected {
                totals.entry(sink).or_default().add(expected);
            }
        }
    }
    // Where no event of an abandoned chunk shows whether it was taken, the counters may hold a little more.
    let exact = chunks.iter().all(|(sent, is_certain)| {
        *is_certain || sent.expected.values().any(|e| !e.delivered.is_empty())
    });
    for sink in &ending.sinks {
        let name = sink.name.as_str();
        let mut expected = totals.remove(name).unwrap_or_default();
        expected.delivered.sort();
        assert_eq!(shelves[name].delivered(), expected.delivered, "{name}");
        let settled = sink.delivered + sink.filtered_total() + sink.rejected_total() + sink.dropped;
        assert_eq!((sink.received, sink.held), (settled, 0), "{name} adds up");
        let in_file: u64 = letters(folder, name).values().sum();
        assert_eq!(in_file, sink.rejected_total(), "{name}: letters");
        if exact {
            assert_eq!(sink.received, expected.received, "{name}");
            assert_eq!(sink.filtered, expected.filtered, "{name}");
            let rejected: BTreeMap<_, _> = (sink.rejected.iter())
                .map(|(code, rejections)| (*code, rejections.count))
                .collect();
            assert_eq!(rejected, expected.rejected, "{name}");
            let events = sink.events.iter().flat_map(|(label, fates)| {
                let fates = fates.iter();
                fates.map(|(fate, events)| ((label.to_string(), fate.word()), *events))
            });
            assert_eq!(events.collect::<Events>(), expected.events, "{name}");
        }
    }
}

/// Every transform has seen every chunk once, and the chunks of a partition in their order where it asks for that.
fn compare_order(chunks: &[(Sent, bool)], editors: &[Editor]) {
    for editor in editors {
        let seen = editor.seen.lock().unwrap();
        let mut last: BTreeMap<u64, usize> = BTreeMap::new();
        let mut times: BTreeMap<usize, usize> = BTreeMap::new();
        for (partition, number) in &*seen {
            let number: usize = number.parse().unwrap();
            *times.entry(number).or_default() += 1;
            if let Some(before) = last.insert(*partition, number) {
                assert!(
                    before < number || !editor.is_ordered,
                    "partition {partition}: chunk {number} after {before}"
                );
            }
        }
        // The later transforms may see no event of a chunk.
        for (sent, is_certain) in chunks.iter().filter(|_| editor.seed == 1) {
            let seen = times.get(&sent.number).copied().unwrap_or(0);
            let all = usize::from(sent.has_events);
            let expected = if *is_certain { all..=all } else { 0..=all };
            assert!(expected.contains(&seen), "chunk {}: {seen}", sent.number);
        }
    }
}

async fn run(steps: &[Step], disks: u8, unordered: bool) {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), disks, unordered).await;
    let mut sent = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        sent.push(hand_over(&rig.intake, number, step).await);
    }
    let mut chunks = Vec::new();
    for sent in sent {
        chunks.push(follow(sent, &rig.shelves).await);
    }
    drop(rig.intake);
    rig.tap.fail();
    let ending = ending(rig.running).await;
    assert!(ending.failures.is_empty(), "{:?}", ending.failures);
    compare(&chunks, &ending, &rig.shelves, folder.path());
    compare_order(&chunks, &rig.editors);
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_transforms_do_every_input_has_the_fate_that_the_model_gives_it(
        steps in steps(), disks in 0_u8..16, unordered in any::<bool>()
    ) {
        block_on(run(&steps, disks, unordered));
    }
}

/// A pipeline from a tap to one sink.
async fn one_sink(folder: &Path, shelf: &Shelf, settings: SinkSettings) -> (Running, Tap) {
    let tap = Tap::new(Behavior::Lend);
    let pipeline = Pipeline::builder()
        .data_dir(folder)
        .shutdown_limit(Duration::from_secs(1))
        .source("tap", tap.clone())
        .sink("out", &["tap"], shelf.clone(), settings);
    let pipeline = pipeline.build().unwrap();
    let running = pipeline.start(StartOptions::default()).await.unwrap();
    (running, tap)
}

#[tokio::test]
async fn an_offer_comes_after_a_chunk_that_was_sent_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), 0, false).await;
    let long: Vec<String> = (0..20_000).map(|index| format!("0:{index}")).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let limit = Duration::from_secs(60);
    rig.intake.send(chunk(&long), Some(AckLevel::Final)).await;
    for number in 1..20 {
        let text = format!("{number}:0");
        let chunk = chunk(&[text.as_str()]);
        if number % 2 == 0 {
            rig.intake.send(chunk, None).await;
        } else {
            let offered = rig.intake.offer(chunk, AckLevel::Buffered, limit).await;
            offered.unwrap();
        }
    }
    drop(rig.intake);
    rig.tap.fail();
    ending(rig.running).await;
    let seen = rig.editors[0].seen.lock().unwrap().clone();
    let numbers: Vec<_> = seen.into_iter().map(|(_, number)| number).collect();
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn an_offer_without_room_leaves_nothing_behind_in_any_sink() {
    let folder = tempfile::tempdir().unwrap();
    let (full, free) = (Shelf::closed(), Shelf::open());
    let tap = Tap::new(Behavior::Lend);
    let small = settings(
        "memory",
        &json!({"max_events": 1, "max_bytes": 100_000_000}),
    );
    let small = small.batch_limits(pipeline_core::BatchLimits::new(1, 1_000));
    let pipeline = Pipeline::builder()
        .data_dir(folder.path())
        .source("tap", tap.clone())
        .sink("free", &["tap"], free.clone(), settings("disk", &json!({})))
        .sink("full", &["tap"], full.clone(), small);
    let pipeline = pipeline.build().unwrap();
    let running = pipeline.start(StartOptions::default()).await.unwrap();
    let intake = tap.intake().await;
    let offer =
        async |texts: &[&str], limit| intake.offer(chunk(texts), AckLevel::Buffered, limit).await;
    offer(&["a"], Duration::from_secs(60)).await.unwrap();
    let refused = offer(&["b", "c"], Duration::from_millis(1)).await;
    assert_eq!(refused.unwrap_err(), Refused::Full);
    full.set_open(true);
    offer(&["d"], Duration::from_secs(60)).await.unwrap();
    drop(intake);
    tap.fail();
    let ending = ending(running).await;
    assert!(ending.is_complete());
    for (sink, shelf) in ending.sinks.iter().zip([free, full]) {
        assert_eq!(shelf.delivered(), ["a", "d"], "{}", sink.name);
        assert_eq!((sink.received, sink.delivered, sink.held), (2, 2, 0));
    }
}

#[tokio::test]
async fn what_is_not_delivered_when_the_pipeline_quits_is_given_up_and_counted_as_kept() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open();
    let (running, tap) = one_sink(folder.path(), &shelf, settings("memory", &json!({}))).await;
    let intake = tap.intake().await;
    let mut first = intake.send(chunk(&["a"]), Some(AckLevel::Final)).await;
    assert_eq!(within("a delivery", first.settled()).await, AckStatus::Safe);
    shelf.set_open(false);
    let mut second = intake.send(chunk(&["b", "c"]), Some(AckLevel::Final)).await;
    shelf.begun(2).await;
    drop(intake);
    running.stop_handle().quit();
    let ending = ending(running).await;
    assert_eq!(
        within("the end", second.settled()).await,
        AckStatus::GivenUp
    );
    let out = &ending.sinks[0];
    assert_eq!(
        (out.received, out.delivered, out.held, out.kept),
        (3, 1, 2, 2)
    );
    assert!(ending.is_complete() && letters(folder.path(), "out").is_empty());
}

#[tokio::test]
async fn what_waits_for_room_when_the_pipeline_quits_is_kept_although_it_cannot_be_read_again() {
    /// Either buffer takes ten of these events, with two megabytes each: the eleventh waits.
    const FULL: u64 = 11;
    for (buffer, limits) in [
        ("memory", json!({"max_events": 10})),
        ("disk", json!({"max_bytes": 33_554_432})),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(buffer, &limits);
        let settings = settings.batch_limits(pipeline_core::BatchLimits::new(10, 2_000_000));
        let (running, tap) = one_sink(folder.path(), &Shelf::closed(), settings.clone()).await;
        let intake = tap.intake().await;
        // Far more than the buffer takes.
        let sending = tokio::spawn(async move {
            for index in 0..40 {
                let text = format!("{index} {}", "x".repeat(1_000_000));
                intake.send(chunk(&[text.as_str()]), None).await;
            }
        });
        let telemetry = running.telemetry();
        until("a full buffer", || telemetry.snapshot()[0].received >= FULL).await;
        running.stop_handle().quit();
        let ended = ending(running).await;
        sending.await.unwrap();
        let out = &ended.sinks[0];
        assert_eq!((out.delivered, out.held), (0, out.received), "{buffer}");
        let written = letters(folder.path(), "out");
        let written = written.get("held_at_shutdown").copied().unwrap_or(0);
        assert!(written > 0, "{buffer}");
        let (running, tap) = one_sink(folder.path(), &Shelf::open(), settings).await;
        tap.intake().await;
        tap.fail();
        let resumed = ending(running).await.sinks[0].delivered;
        assert_eq!(written + resumed, out.received, "{buffer}: {written}");
        assert_eq!(resumed > 0, buffer == "disk");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_while_letters_are_written_does_not_lose_them() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), 0, true).await;
    let unreadable = || {
        pipeline_core::Input::unreadable(
            Origin::whole("tap".into()),
            Reason::new("too_large", "the line is too long"),
        )
    };
    for _ in 0..50 {
        let chunk: Chunk = std::iter::repeat_with(unreadable).take(3).collect();
        let limit = Duration::from_secs(60);
        let mut offer = Box::pin(rig.intake.offer(chunk, AckLevel::Final, limit));
        // Writing takes a thread of its own: the first look finds it on its way.
        let first = poll_fn(|cx| Poll::Ready(offer.as_mut().poll(cx))).await;
        assert!(first.is_pending());
    }
    let telemetry = rig.running.telemetry();
    until("the letters", || {
        telemetry.snapshot().iter().all(|sink| sink.held == 0)
    })
    .await;
    drop(rig.intake);
    rig.tap.fail();
    let ending = ending(rig.running).await;
    assert!(ending.is_complete(), "{ending:?}");
    for sink in &ending.sinks {
        let written: u64 = letters(folder.path(), &sink.name).values().sum();
        assert_eq!(
            (written, sink.received),
            (sink.rejected_total(), sink.rejected_total())
        );
    }
}
