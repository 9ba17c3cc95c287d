//! What was made for one account is never sent to another, whatever a start, a reload or a replay brings.

use crate::part::{Behavior, Tap, chunk, ending, until};
use pipeline_core::{
    AckLevel, BuildError, Coverage, CoverageRow, Encoded, Event, HealthcheckError, Outcome, Reason,
    Record, Sink, SinkConfig, SinkContext, async_trait,
};
use pipeline_host::replay::{Replaying, Selection};
use pipeline_host::topology::{ReloadError, Running, StartError};
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the destination has: the account that took it, and the event.
type Taken = Arc<Mutex<Vec<(String, String)>>>;

/// How a destination answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    Later,
    Never,
}

/// A sink of one account.
#[derive(Debug, Clone)]
struct Account {
    name: &'static str,
    answer: Answer,
    taken: Taken,
}

#[async_trait]
impl SinkConfig for Account {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        let (account, events) = (self.clone(), AtomicU64::new(0));
        Ok(Box::new(Open { account, events }))
    }
}

struct Open {
    account: Account,
    events: AtomicU64,
}

#[async_trait]
impl Sink for Open {
    fn encode(&self, event: &Event) -> Encoded {
        self.events.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8_lossy(event.raw()).into_owned();
        Encoded::Record(Record::new(text.clone(), text).in_partition(self.account.name))
    }

    fn partition(&self) -> Option<Arc<str>> {
        Some(self.account.name.into())
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let outcome = |record: &Record| {
            let reason = Reason::new("answer", "the destination says so");
            match self.account.answer {
                Answer::Later => {
                    return Outcome::Retry {
                        after: None,
                        reason,
                    };
                }
                Answer::Never => return Outcome::Rejected { reason },
                Answer::Yes => {}
            }
            let taken = (self.account.name.to_owned(), record.event_id.to_string());
            self.account.taken.lock().unwrap().push(taken);
            Outcome::Delivered
        };
        batch.iter().map(outcome).collect()
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }

    fn coverage(&self) -> Option<Coverage> {
        let events = self.events.load(Ordering::SeqCst);
        Some(Coverage::new(
            "events",
            events,
            vec![CoverageRow::new("id", events, "")],
        ))
    }
}

/// Everything but the account.
struct Bench {
    folder: tempfile::TempDir,
    taken: Taken,
    tap: Tap,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            taken: Taken::default(),
            tap: Tap::new(Behavior::Lend),
        }
    }

    fn pipeline(&self, name: &'static str, answer: Answer, buffer: &str) -> Pipeline {
        let options = json!({
            "buffer": {"type": buffer}, "retry": {"initial_backoff_secs": 0.001, "max_backoff_secs": 0.001},
            // Tells one plan from the other.
            "batch": {"timeout_secs": if name == "one" { 0.0 } else { 0.001 }},
        });
        let taken = Arc::clone(&self.taken);
        let account = Account {
            name,
            answer,
            taken,
        };
        Pipeline::builder()
            .data_dir(self.folder.path())
            .shutdown_limit(Duration::from_secs(1))
            .source("tap", self.tap.clone())
            .sink(
                "out",
                &["tap"],
                account,
                SinkSettings::default().options(options),
            )
            .build()
            .unwrap()
    }

    async fn start(&self, pipeline: Pipeline) -> Result<Running, StartError> {
        pipeline.start(StartOptions::default()).await
    }

    async fn send(&self, texts: &[&str]) {
        let intake = self.tap.intake().await;
        let offer = intake.offer(chunk(texts), AckLevel::Buffered, Duration::from_secs(60));
        offer.await.unwrap();
    }

    fn taken(&self) -> Vec<(String, String)> {
        let mut taken = self.taken.lock().unwrap().clone();
        taken.sort();
        taken
    }
}

fn taken(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(account, event): &(&str, &str)| ((*account).to_owned(), (*event).to_owned());
    expected.iter().map(owned).collect()
}

fn letters(folder: &Path) -> usize {
    let file = folder.join("dead_letters/out/00000001.ndjson");
    std::fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .count()
}

#[tokio::test]
async fn a_start_with_another_account_is_refused_while_events_of_the_first_wait_on_disk() {
    let mut bench = Bench::new();
    let running = bench
        .start(bench.pipeline("one", Answer::Later, "disk"))
        .await
        .unwrap();
    bench.send(&["a", "b"]).await;
    running.stop_handle().quit();
    ending(running).await;
    for _ in 0..2 {
        let refused = bench
            .start(bench.pipeline("two", Answer::Yes, "disk"))
            .await;
        let error = refused.err().unwrap();
        assert!(
            matches!(error, StartError::OtherPartition { events: 2, .. }),
            "{error}"
        );
        for word in ["`one`", "`two`", "another name"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    bench.tap = Tap::new(Behavior::Lend);
    let running = bench
        .start(bench.pipeline("one", Answer::Yes, "disk"))
        .await
        .unwrap();
    until("the events", || bench.taken().len() == 2).await;
    bench.tap.fail();
    ending(running).await;
    bench.tap = Tap::new(Behavior::Lend);
    let running = bench
        .start(bench.pipeline("two", Answer::Yes, "disk"))
        .await
        .unwrap();
    bench.send(&["c"]).await;
    until("the events", || bench.taken().len() == 3).await;
    bench.tap.fail();
    ending(running).await;
    assert_eq!(
        bench.taken(),
        taken(&[("one", "a"), ("one", "b"), ("two", "c")])
    );
}

#[tokio::test]
async fn a_reload_lets_what_waits_go_to_the_account_that_it_was_made_for() {
    for buffer in ["memory", "disk"] {
        let bench = Bench::new();
        let running = bench
            .start(bench.pipeline("one", Answer::Yes, buffer))
            .await
            .unwrap();
        let mut sent = Vec::new();
        for (round, account) in ["two", "one", "two"].into_iter().enumerate() {
            let before = if account == "two" { "one" } else { "two" };
            let texts: Vec<String> = (0..50).map(|index| format!("{round} {index}")).collect();
            bench
                .send(&texts.iter().map(String::as_str).collect::<Vec<_>>())
                .await;
            sent.extend(texts.into_iter().map(|text| (before.to_owned(), text)));
            let other = bench.pipeline(account, Answer::Yes, buffer);
            running.reloader().reload(other).await.unwrap();
        }
        until("the events", || bench.taken().len() == sent.len()).await;
        sent.sort();
        assert_eq!(bench.taken(), sent);
        bench.tap.fail();
        let ending = ending(running).await;
        assert_eq!(ending.coverage[0].1.events, 150, "of all three sinks");
    }
}

#[tokio::test]
async fn a_reload_to_another_account_is_refused_while_events_do_not_get_through() {
    let bench = Bench::new();
    let running = bench
        .start(bench.pipeline("one", Answer::Later, "memory"))
        .await
        .unwrap();
    bench.send(&["a"]).await;
    let telemetry = running.telemetry();
    until("a failure", || telemetry.snapshot()[0].retried > 0).await;
    let refused = loop {
        // Between two attempts it may say for a moment that it is sending.
        match running
            .reloader()
            .reload(bench.pipeline("two", Answer::Yes, "memory"))
            .await
        {
            Err(refused) => break refused,
            Ok(_) => {
                running
                    .reloader()
                    .reload(bench.pipeline("one", Answer::Later, "memory"))
                    .await
                    .ok();
            }
        }
    };
    assert!(
        matches!(refused, ReloadError::OtherPartition { events: 1, .. }),
        "{refused}"
    );
    running.stop_handle().quit();
    ending(running).await;
    assert_eq!(bench.taken(), [], "never to the other account");
}

#[tokio::test]
async fn a_replay_leaves_letters_of_another_account_where_they_are() {
    let bench = Bench::new();
    let running = bench
        .start(bench.pipeline("one", Answer::Never, "memory"))
        .await
        .unwrap();
    bench.send(&["a", "b"]).await;
    until("the letters", || letters(bench.folder.path()) == 2).await;
    bench.tap.fail();
    ending(running).await;
    for (account, untouched) in [("two", 2), ("one", 0)] {
        let plan = bench
            .pipeline(account, Answer::Yes, "memory")
            .sinks
            .remove(0);
        let (limit, options) = (Duration::from_secs(60), StartOptions::default());
        let folder = bench.folder.path();
        let replaying = Replaying::new(plan, folder, Selection::default(), limit, &options).await;
        let replayed = replaying.unwrap().run().await.unwrap();
        assert_eq!(replayed.left.total(), untouched, "{account}");
    }
    assert_eq!(bench.taken(), taken(&[("one", "a"), ("one", "b")]));
}
