//! What watches a pipeline.

use crate::part::{Fate, Shelf, choice, ending, fate};
use pipeline_core::{
    BuildError, DeliveryReport, Encoded, Event, Exchange, Explained, Explanation, HealthcheckError,
    Observer, Origin, Outcome, Reason, Record, Settlement, Sink, SinkConfig, SinkContext,
    async_trait,
};
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

/// A sink that notes how it is asked; it panics when it is to explain an event `bad`.
#[derive(Debug, Clone, Default)]
struct Telling(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Telling {
    fn note(&self, call: &'static str, times: usize) {
        *self.0.lock().unwrap().entry(call).or_default() += times as u64;
    }
}

#[async_trait]
impl SinkConfig for Telling {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Telling {
    fn encode(&self, event: &Event) -> Encoded {
        self.note("encoded", 1);
        let text = String::from_utf8_lossy(event.raw()).into_owned();
        Encoded::Record(Record::new(text.clone(), text))
    }

    fn explain(&self, event: &Event) -> Explained {
        self.note("explained", 1);
        assert_ne!(event.raw(), b"bad", "on request");
        let record = Record::new("{}", "explained");
        Explained::new(Encoded::Record(record), Explanation::default())
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        self.note("delivered", batch.len());
        vec![Outcome::Delivered; batch.len()]
    }

    async fn deliver_observed(&self, batch: &[Record]) -> DeliveryReport {
        self.note("delivered and told", batch.len());
        let exchange = Some(Arc::new(Exchange::new(1, batch.len() as u64)));
        // One less than there are records: whoever forgets some costs nothing else.
        let exchanges = vec![exchange; batch.len() - 1];
        DeliveryReport::new(vec![Outcome::Delivered; batch.len()]).with_exchanges(exchanges)
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

/// Wants an explanation of every second event.
#[derive(Default)]
struct Curious {
    is_watching: bool,
    asked: Mutex<u64>,
    notes: Notes,
}

impl Observer for Curious {
    fn is_watching(&self) -> bool {
        self.is_watching
    }

    fn wants_explanation(&self, _: &str) -> bool {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        asked.is_multiple_of(2)
    }

    fn explained(&self, _: &str, _: &Event, _: &Explained) {
        self.notes.note("explained".to_owned());
    }

    fn encoded(&self, _: &str, _: &Event, _: &Encoded) {
        self.notes.note("encoded".to_owned());
    }

    fn attempted(&self, _: &str, settlement: &Settlement<'_>) {
        assert!(settlement.received_ms.is_some());
        let exchanges = settlement.exchange.map_or("without", |_| "with");
        self.notes.note(format!("{exchanges} an exchange"));
    }
}

/// Runs eight events; what the sink was asked, and what was watched.
async fn told(is_watching: bool) -> (BTreeMap<&'static str, u64>, BTreeMap<String, u64>) {
    let (telling, folder) = (Telling::default(), tempfile::tempdir().unwrap());
    let curious = Arc::new(Curious {
        is_watching,
        ..Curious::default()
    });
    let mut options = StartOptions::default();
    options.observers = vec![Arc::<Curious>::clone(&curious)];
    let (builder, handle) = Pipeline::builder().data_dir(folder.path()).handle("app");
    let settings = SinkSettings::default();
    let pipeline = builder.sink("telling", &["app"], telling.clone(), settings);
    let running = pipeline.build().unwrap().start(options).await.unwrap();
    for text in ["a", "b", "c", "bad", "d", "e", "f", "g"] {
        handle.send(Event::new(text, 0)).await.unwrap();
    }
    drop(handle);
    let ending = ending(running).await;
    assert!(ending.is_complete());
    assert_eq!(ending.sinks[0].delivered, 8);
    let (asked, calls) = (
        telling.0.lock().unwrap(),
        curious.notes.calls.lock().unwrap(),
    );
    (asked.clone(), calls.clone())
}

#[tokio::test]
async fn explanations_and_exchanges_are_made_beside_the_usual_work_and_only_while_somebody_watches()
{
    let (asked, calls) = told(false).await;
    assert_eq!(asked, BTreeMap::from([("delivered", 8), ("encoded", 8)]));
    assert_eq!(calls, BTreeMap::new());
    let (asked, calls) = told(true).await;
    // Encoding is the same; explaining comes on top, and a panic in it costs the explanation alone.
    let expected = [("delivered and told", 8), ("encoded", 8), ("explained", 4)];
    assert_eq!(asked, BTreeMap::from(expected));
    assert_eq!((calls["encoded"], calls["explained"]), (8, 3), "{calls:?}");
    let without = calls["without an exchange"];
    assert!(without > 0, "{calls:?}");
    assert_eq!(calls.get("with an exchange").unwrap_or(&0) + without, 8);
}
