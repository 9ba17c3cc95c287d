//! What watches a pipeline.

use crate::part::{Fate, Shelf, choice, ending, fate};
use pipeline_core::{Encoded, Event, Observer, Origin, Outcome, Reason, Settlement};
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The seed of the sink's decisions.
const SEED: u64 = 5;

#[derive(Default)]
struct Notes {
    is_watching: AtomicBool,
    calls: Mutex<BTreeMap<String, u64>>,
}

impl Notes {
    fn note(&self, call: String) {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
    }
}

impl Observer for Notes {
    fn is_watching(&self) -> bool {
        self.is_watching.load(Ordering::SeqCst)
    }

    fn encoded(&self, sink: &str, event: &Event, encoded: &Encoded) {
        let text = String::from_utf8_lossy(event.raw());
        let encoded = match encoded {
            Encoded::Record(_) => "a record",
            Encoded::Filtered(_) => "filtered",
            _ => "rejected",
        };
        self.note(format!("{sink}: {text} is {encoded}"));
    }

    fn attempted(&self, sink: &str, settlement: &Settlement<'_>) {
        let outcome = match settlement.outcome {
            Outcome::Delivered => "delivered",
            Outcome::Retry { .. } => "tried again",
            _ => "refused",
        };
        let (text, attempt) = (&settlement.record.event_id, settlement.attempt);
        self.note(format!("{sink}: {text} is {outcome} in attempt {attempt}"));
    }

    fn rejected(&self, sink: &str, origin: &Origin, reason: &Reason) {
        self.note(format!("{sink}: {} of {origin}", reason.code));
    }
}

/// Runs events through two sinks; what was watched.
async fn watched(is_watching: bool, texts: &[String]) -> BTreeMap<String, u64> {
    let folder = tempfile::tempdir().unwrap();
    let notes = Arc::new(Notes::default());
    notes.is_watching.store(is_watching, Ordering::SeqCst);
    let mut options = StartOptions::default();
    options.observers = vec![Arc::<Notes>::clone(&notes)];
    let settings = SinkSettings::default().options(json!({
        "batch": {"timeout_secs": 0}, "retry": {"initial_backoff_secs": 0.001, "max_backoff_secs": 0.001},
    }));
    let (builder, handle) = Pipeline::builder().data_dir(folder.path()).handle("app");
    let pipeline = builder
        .sink("picky", &["app"], Shelf::deciding(SEED), settings.clone())
        .sink("open", &["app"], Shelf::open(), settings);
    let running = pipeline.build().unwrap().start(options).await.unwrap();
    for text in texts {
        handle.send(Event::new(text.clone(), 0)).await.unwrap();
    }
    drop(handle);
    assert!(ending(running).await.is_complete());
    let calls = notes.calls.lock().unwrap();
    calls.clone()
}

#[tokio::test]
async fn an_observer_sees_what_is_encoded_attempted_and_rejected_once_each() {
    let texts: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    let calls = watched(true, &texts).await;
    let mut expected = BTreeMap::new();
    let mut expect = |call: String| *expected.entry(call).or_default() += 1;
    for (number, text) in texts.iter().enumerate() {
        expect(format!("open: {text} is a record"));
        expect(format!("open: {text} is delivered in attempt 1"));
        let is_slow = choice(SEED + 1, text.as_bytes()).is_multiple_of(8);
        match fate(SEED, text) {
            Fate::Filtered => expect(format!("picky: {text} is filtered")),
            Fate::RejectedAtOnce => {
                expect(format!("picky: {text} is rejected"));
                expect(format!("picky: unfit of app partition 0 offset {number}"));
            }
            Fate::RejectedByDestination => {
                expect(format!("picky: {text} is a record"));
                expect(format!("picky: {text} is refused in attempt 1"));
                expect(format!("picky: invalid of app partition 0 offset {number}"));
            }
            Fate::Delivered => {
                expect(format!("picky: {text} is a record"));
                if is_slow {
                    expect(format!("picky: {text} is tried again in attempt 1"));
                }
                let attempt = 1 + u64::from(is_slow);
                expect(format!("picky: {text} is delivered in attempt {attempt}"));
            }
        }
    }
    assert_eq!(calls, expected);
    let all = |word: &str| calls.keys().any(|call| call.contains(word));
    assert!(
        ["filtered", "unfit", "invalid", "tried again"]
            .into_iter()
            .all(all)
    );
}

#[tokio::test]
async fn an_observer_that_is_not_watching_is_not_called() {
    let texts: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    assert_eq!(watched(false, &texts).await, BTreeMap::new());
}
