//! A sink most of whose events are not sent is asked for advice: when the host warns, and about which events.

use crate::part::{ending, within};
use pipeline_core::{
    BuildError, Encoded, Event, Filtered, HealthcheckError, MissingEvents, Outcome, Reason, Record,
    Sink, SinkConfig, SinkContext, async_trait,
};
use pipeline_host::report::{EventCounts, Fate};
use pipeline_host::topology::Running;
use pipeline_host::{Handle, Pipeline, SinkSettings, StartOptions};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A sink that filters every event under its own text, and notes what it is asked.
#[derive(Debug, Clone, Default)]
struct Sieve {
    asked: Arc<Mutex<Vec<Vec<MissingEvents>>>>,
    panics: bool,
}

#[async_trait]
impl SinkConfig for Sieve {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        // As a program that wraps its sinks would have it.
        Ok(Box::new(Arc::new(self.clone())))
    }
}

#[async_trait]
impl Sink for Sieve {
    fn encode(&self, event: &Event) -> Encoded {
        let label = String::from_utf8_lossy(event.raw());
        let filtered = Filtered::new(Reason::new("unmapped", "nothing maps it"));
        Encoded::Filtered(filtered.with_label(Some(label.into())))
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        vec![Outcome::Delivered; batch.len()]
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }

    fn advise(&self, missing: &[MissingEvents]) -> Option<String> {
        self.asked.lock().unwrap().push(missing.to_vec());
        assert!(!self.panics, "on request");
        None
    }
}

impl Sieve {
    fn asked(&self) -> Vec<Vec<MissingEvents>> {
        self.asked.lock().unwrap().clone()
    }
}

fn unmapped(label: &str, events: u64) -> MissingEvents {
    MissingEvents::new(Some(label.into()), "unmapped", events)
}

struct Bench {
    sieve: Sieve,
    handle: Handle,
    running: Running,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start(sieve: Sieve) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (builder, handle) = Pipeline::builder().data_dir(folder.path()).handle("app");
        let settings = SinkSettings::default().options(json!({}));
        let pipeline = builder.sink("out", &["app"], sieve.clone(), settings);
        let pipeline = pipeline.build().unwrap();
        Self {
            sieve,
            handle,
            running: pipeline.start(StartOptions::default()).await.unwrap(),
            _folder: folder,
        }
    }

    async fn send(&self, text: &str, events: usize) {
        for _ in 0..events {
            let event = Event::new(text.to_owned(), 0);
            let mut receipt = self.handle.send(event).await.unwrap();
            within("its fate", receipt.settled()).await;
        }
    }

    /// The counts by name, and what the sink was asked.
    async fn end(self) -> (EventCounts, Vec<Vec<MissingEvents>>) {
        drop(self.handle);
        let ending = ending(self.running).await;
        (ending.sinks[0].events.clone(), self.sieve.asked())
    }
}

#[tokio::test(start_paused = true)]
async fn the_hundredth_event_asks_at_once() {
    let bench = Bench::start(Sieve::default()).await;
    bench.send("Cart Viewed", 40).await;
    bench.send("Cart Shared", 59).await;
    assert_eq!(bench.sieve.asked(), [[]; 0]);
    bench.send("Cart Viewed", 1).await;
    let expected = [[unmapped("Cart Shared", 59), unmapped("Cart Viewed", 41)]];
    assert_eq!(bench.sieve.asked(), expected);
    let (counts, asked) = bench.end().await;
    assert_eq!(asked, expected);
    let counts = counts.unmapped().iter().map(|(label, fates)| {
        let unmapped = fates[&Fate::Filtered("unmapped")];
        (label.to_string(), unmapped)
    });
    let expected = [
        ("Cart Shared".to_owned(), 59),
        ("Cart Viewed".to_owned(), 41),
    ];
    assert_eq!(counts.collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_sink_is_judged_when_the_minute_is_over_though_no_event_comes() {
    let bench = Bench::start(Sieve::default()).await;
    bench.send("Cart Viewed", 30).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(bench.sieve.asked(), [[]; 0]);
    tokio::time::sleep(Duration::from_secs(80)).await;
    assert_eq!(bench.sieve.asked(), [[unmapped("Cart Viewed", 30)]]);
    // Nothing has come since.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.end().await.1.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_to_advise_loses_nothing() {
    let bench = Bench::start(Sieve {
        panics: true,
        ..Sieve::default()
    })
    .await;
    bench.send("Cart Viewed", 150).await;
    let (counts, asked) = bench.end().await;
    // The rest of the minute is not worth a second warning.
    assert_eq!((counts.total(), asked.len()), (150, 1));
}
