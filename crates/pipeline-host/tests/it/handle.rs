//! The handle of a source inside the process.

use crate::part::{Shelf, ending, within};
use pipeline_core::{AckLevel, AckStatus, Event};
use pipeline_host::{Handle, Pipeline, SendError, SinkSettings, StartOptions};
use serde_json::json;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

fn pipeline(folder: &Path, shelf: &Shelf) -> (Pipeline, Handle) {
    let (builder, handle) = Pipeline::builder().data_dir(folder).handle("app");
    let settings = SinkSettings::default().options(json!({"batch": {"timeout_secs": 0}}));
    let builder = builder.sink("out", &["app"], shelf.clone(), settings);
    (builder.build().unwrap(), handle)
}

fn event(text: &str) -> Event {
    Event::new(text.to_owned(), 0)
}

#[tokio::test]
async fn the_pipeline_ends_when_the_last_clone_of_the_handle_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open();
    let (pipeline, handle) = pipeline(folder.path(), &shelf);
    let running = pipeline.start(StartOptions::default()).await.unwrap();
    let other = handle.clone();
    let mut first = handle.send(event("one")).await.unwrap();
    drop(handle);
    assert_eq!(within("a delivery", first.settled()).await, AckStatus::Safe);
    let mut second = other
        .send_until(event("two"), AckLevel::Buffered)
        .await
        .unwrap();
    drop(other);
    assert_eq!(within("its place", second.settled()).await, AckStatus::Safe);
    let ending = ending(running).await;
    assert!(ending.is_complete(), "{ending:?}");
    assert_eq!(shelf.delivered(), ["one", "two"]);
    assert_eq!(ending.sinks[0].delivered, 2);
}

#[tokio::test]
async fn an_event_that_is_sent_before_the_start_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open();
    let (pipeline, handle) = pipeline(folder.path(), &shelf);
    let mut early = pin!(handle.send(event("early")));
    let first = std::future::poll_fn(|cx| Poll::Ready(early.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    let running = pipeline.start(StartOptions::default()).await.unwrap();
    let mut receipt = within("the start", early).await.unwrap();
    assert_eq!(
        within("a delivery", receipt.settled()).await,
        AckStatus::Safe
    );
    running.stop_handle().drain();
    ending(running).await;
    assert_eq!(shelf.delivered(), ["early"]);
}

#[tokio::test]
async fn a_pipeline_that_stopped_or_was_never_started_takes_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open();
    let (running, handle) = pipeline(folder.path(), &shelf);
    let running = running.start(StartOptions::default()).await.unwrap();
    running.stop_handle().drain();
    ending(running).await;
    let refused = within("the answer", handle.send(event("late"))).await;
    assert_eq!(refused.unwrap_err(), SendError::Stopped);

    let (dropped, handle) = pipeline(folder.path(), &shelf);
    drop(dropped);
    let refused = within("the answer", handle.send(event("never"))).await;
    assert_eq!(refused.unwrap_err(), SendError::Stopped);

    let (broken, handle) = pipeline(folder.path(), &shelf);
    let again = broken.clone();
    let running = broken.start(StartOptions::default()).await.unwrap();
    let error = again.start(StartOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("can be started once"), "{error}");
    drop(handle);
    ending(running).await;
    assert_eq!(shelf.delivered(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_senders_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open();
    let (pipeline, handle) = pipeline(folder.path(), &shelf);
    let running = pipeline.start(StartOptions::default()).await.unwrap();
    let senders: Vec<_> = (0..1_000)
        .map(|number| {
            let handle = handle.clone();
            tokio::spawn(async move {
                let mut receipt = handle.send(event(&format!("{number:03}"))).await.unwrap();
                receipt.settled().await
            })
        })
        .collect();
    drop(handle);
    for sender in senders {
        assert_eq!(within("a receipt", sender).await.unwrap(), AckStatus::Safe);
    }
    assert!(ending(running).await.is_complete());
    let expected: Vec<_> = (0..1_000).map(|number| format!("{number:03}")).collect();
    assert_eq!(shelf.delivered(), expected);
}

#[tokio::test]
async fn the_origin_of_an_event_is_the_name_of_the_source_and_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let (builder, handle) = Pipeline::builder().data_dir(folder.path()).handle("app");
    let shelf = Shelf::deciding(1);
    let settings = SinkSettings::default();
    let pipeline = builder.sink("out", &["app"], shelf, settings).build();
    let running = pipeline.unwrap().start(StartOptions::default()).await;
    let running = running.unwrap();
    let is_unfit = |text: &&String| crate::part::fate(1, text) == crate::part::Fate::RejectedAtOnce;
    let texts: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    let unfit = texts.iter().find(is_unfit).unwrap();
    let fine = |text: &&String| crate::part::fate(1, text) == crate::part::Fate::Delivered;
    handle
        .send(event(texts.iter().find(fine).unwrap()))
        .await
        .unwrap();
    handle.send(event(unfit)).await.unwrap();
    drop(handle);
    let ending = ending(running).await;
    let rejected = &ending.sinks[0].rejected["unfit"];
    assert_eq!(rejected.place, "app partition 0 offset 1");
}
