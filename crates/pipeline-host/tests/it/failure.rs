//! Whatever panics or fails: the run ends, says which task it was, is incomplete, and gives up what it has not delivered.

use crate::part::{Behavior, Fragile, Shelf, Tap, chunk, ending, letters, within};
use pipeline_core::{
    AckLevel, AckStatus, Chunk, Encoded, Event, Intake, Observer, Receipt, Refused, Settlement,
};
use pipeline_host::topology::{Ending, Running};
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Far longer than a test waits: what fails must not wait for it.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_secs(60);

/// Panics in the task of the host that calls it.
struct PanickingObserver {
    in_worker: bool,
}

impl Observer for PanickingObserver {
    fn encoded(&self, _: &str, event: &Event, _: &Encoded) {
        assert!(self.in_worker || event.raw() != b"explode", "on request");
    }

    fn attempted(&self, _: &str, settlement: &Settlement<'_>) {
        let is_asked_for = settlement.record.payload == b"explode"[..];
        assert!(!(self.in_worker && is_asked_for), "on request");
    }
}

struct Case {
    running: Running,
    tap: Tap,
    shelf: Shelf,
    intake: Arc<dyn Intake>,
}

async fn start(folder: &Path, behavior: Behavior, buffer: &str, options: StartOptions) -> Case {
    let (tap, shelf) = (Tap::new(behavior), Shelf::open());
    let settings = SinkSettings::default().options(json!({
        "buffer": {"type": buffer}, "batch": {"timeout_secs": 0, "max_events": 1}, "request": {"concurrency": 1},
        "retry": {"initial_backoff_secs": 0.001, "max_backoff_secs": 0.001},
    }));
    let pipeline = Pipeline::builder()
        .data_dir(folder)
        .shutdown_limit(SHUTDOWN_LIMIT)
        .source("tap", tap.clone())
        .transform("fragile", &["tap"], Fragile)
        .sink("out", &["fragile"], shelf.clone(), settings);
    let running = pipeline.build().unwrap().start(options).await.unwrap();
    let intake = tap.intake().await;
    Case {
        running,
        tap,
        shelf,
        intake,
    }
}

fn observed(in_worker: bool) -> StartOptions {
    let mut options = StartOptions::default();
    options.observers = vec![Arc::new(PanickingObserver { in_worker })];
    options
}

async fn send(intake: &Arc<dyn Intake>, text: &str) -> Receipt {
    intake.send(chunk(&[text]), Some(AckLevel::Final)).await
}

async fn settled(mut receipt: Receipt) -> AckStatus {
    within("the receipt", receipt.settled()).await
}

/// The run has ended as incomplete, because of this.
fn assert_failed(ending: &Ending, failures: &[&str]) {
    let said: Vec<_> = ending.failures.iter().map(ToString::to_string).collect();
    assert_eq!(said, failures);
    assert!(!ending.is_complete());
}

#[tokio::test]
async fn a_source_that_panics_or_fails_ends_the_run_and_what_it_has_sent_is_delivered() {
    for (behavior, failure) in [
        (Behavior::Panic, "source `tap` panicked; please report it"),
        (Behavior::Fail, "source `tap` failed: the pipe burst"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let case = start(folder.path(), behavior, "memory", StartOptions::default()).await;
        let receipt = send(&case.intake, "one").await;
        case.tap.fail();
        assert_eq!(settled(receipt).await, AckStatus::Safe);
        drop(case.intake);
        let ending = ending(case.running).await;
        assert_failed(&ending, &[failure]);
        assert_eq!(case.shelf.delivered(), ["one"]);
    }
}

#[tokio::test]
async fn a_transform_that_panics_or_fails_gives_up_its_chunk_and_takes_no_more() {
    for (text, failure) in [
        ("panic", "transform `fragile` panicked; please report it"),
        ("fail", "transform `fragile` failed: its store is gone"),
    ] {
        for buffer in ["memory", "disk"] {
            let folder = tempfile::tempdir().unwrap();
            let options = StartOptions::default();
            let case = start(folder.path(), Behavior::Lend, buffer, options).await;
            let before = send(&case.intake, "one").await;
            assert_eq!(settled(before).await, AckStatus::Safe);
            let bad = send(&case.intake, text).await;
            let after = send(&case.intake, "two").await;
            assert_eq!(settled(bad).await, AckStatus::GivenUp);
            assert_eq!(settled(after).await, AckStatus::GivenUp);
            let offer = case
                .intake
                .offer(chunk(&["three"]), AckLevel::Final, LIMIT)
                .await;
            assert_eq!(offer.unwrap_err(), Refused::Failed);
            drop(case.intake);
            let ending = ending(case.running).await;
            assert_failed(&ending, &[failure]);
            assert_eq!(case.shelf.delivered(), ["one"]);
            assert_eq!(ending.sinks[0].received, 1, "the rest was never counted");
        }
    }
}

#[tokio::test]
async fn an_offer_that_a_transform_fails_on_is_refused_and_the_failure_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = StartOptions::default();
    let case = start(folder.path(), Behavior::Lend, "memory", options).await;
    let offers = (0..8).map(|_| {
        case.intake
            .offer(chunk(&["fail"]), AckLevel::Buffered, LIMIT)
    });
    for offer in futures_util::future::join_all(offers).await {
        assert_eq!(offer.unwrap_err(), Refused::Failed);
    }
    drop(case.intake);
    let ending = ending(case.running).await;
    assert_failed(&ending, &["transform `fragile` failed: its store is gone"]);
}

#[tokio::test]
async fn a_sink_that_panics_while_it_delivers_is_tried_again_and_fails_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = StartOptions::default();
    let case = start(folder.path(), Behavior::Lend, "memory", options).await;
    case.shelf.panic_once();
    let receipt = send(&case.intake, "one").await;
    assert_eq!(settled(receipt).await, AckStatus::Safe);
    drop(case.intake);
    case.tap.fail();
    let ending = ending(case.running).await;
    assert!(ending.is_complete(), "{ending:?}");
    assert_eq!(ending.sinks[0].retried, 1);
}

#[tokio::test]
async fn a_worker_that_panics_ends_the_run_at_once_and_gives_up_what_it_had() {
    for buffer in ["memory", "disk"] {
        let folder = tempfile::tempdir().unwrap();
        let case = start(folder.path(), Behavior::Lend, buffer, observed(true)).await;
        case.shelf.set_open(false);
        let bad = send(&case.intake, "explode").await;
        let waiting = send(&case.intake, "two").await;
        case.shelf.begun(1).await;
        case.shelf.set_open(true);
        assert_eq!(settled(bad).await, AckStatus::GivenUp);
        assert_eq!(settled(waiting).await, AckStatus::GivenUp, "{buffer}");
        let refused = async {
            loop {
                let chunk = chunk(&["three"]);
                let offer = case.intake.offer(chunk, AckLevel::Final, LIMIT).await;
                if offer.is_err_and(|refused| refused == Refused::Failed) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        within("the refusal", refused).await;
        drop(case.intake);
        let ending = ending(case.running).await;
        let failure = "the worker of sink `out` panicked; please report it";
        assert_failed(&ending, &[failure]);
    }
}

#[tokio::test]
async fn what_a_worker_that_panics_had_taken_is_in_the_dead_letters_where_it_cannot_be_read_again()
{
    let folder = tempfile::tempdir().unwrap();
    let case = start(folder.path(), Behavior::Lend, "memory", observed(true)).await;
    case.shelf.set_open(false);
    for text in ["explode", "two", "three"] {
        case.intake.send(chunk(&[text]), None).await;
    }
    case.shelf.begun(1).await;
    let telemetry = case.running.telemetry();
    crate::part::until("all of it", || telemetry.snapshot()[0].received == 3).await;
    case.shelf.set_open(true);
    drop(case.intake);
    let ending = ending(case.running).await;
    assert_failed(
        &ending,
        &["the worker of sink `out` panicked; please report it"],
    );
    assert_eq!(ending.sinks[0].held, 3);
    assert_eq!(letters(folder.path(), "out")["held_at_shutdown"], 2);
}

#[tokio::test]
async fn an_encoding_that_panics_fails_the_source_and_not_its_caller() {
    let large = "x".repeat(20_000);
    for texts in [vec!["explode"], vec!["explode", large.as_str()]] {
        let folder = tempfile::tempdir().unwrap();
        let case = start(folder.path(), Behavior::Lend, "memory", observed(false)).await;
        let offer = case.intake.offer(chunk(&texts), AckLevel::Final, LIMIT);
        assert_eq!(offer.await.unwrap_err(), Refused::Failed);
        let later: Chunk = chunk(&["one"]);
        let offer = case.intake.offer(later, AckLevel::Final, LIMIT).await;
        assert_eq!(offer.unwrap_err(), Refused::Failed);
        drop(case.intake);
        let failure = "the encoding of source `tap` panicked; please report it";
        assert_failed(&ending(case.running).await, &[failure]);
    }
}

#[tokio::test]
async fn a_chunk_that_was_sent_and_cannot_be_encoded_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let case = start(folder.path(), Behavior::Lend, "memory", observed(false)).await;
    let receipt = send(&case.intake, "explode").await;
    assert_eq!(settled(receipt).await, AckStatus::GivenUp);
    drop(case.intake);
    let failure = "the encoding of source `tap` panicked; please report it";
    assert_failed(&ending(case.running).await, &[failure]);
}
