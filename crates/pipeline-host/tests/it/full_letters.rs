//! Dead letters that are full or cannot be written: nothing waits for them that has nothing to do with them.

use crate::part::{Behavior, Tap, chunk, ending, letters, until, within};
use pipeline_core::{
    AckLevel, AckStatus, BuildError, Encoded, Event, HealthcheckError, Intake, Outcome, Reason,
    Record, Refused, Rejection, Sink, SinkConfig, SinkContext, Verdict, async_trait,
};
use pipeline_host::telemetry::SinkSnapshot;
use pipeline_host::topology::Running;
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for whatever needs no room.
const LONG: Duration = Duration::from_secs(60);

/// A sink that decides by the first word: `unfit` is a letter with a payload, `junk` one without, `unwanted` is refused by the
/// destination.
#[derive(Debug, Clone, Default)]
struct Judge(Arc<Mutex<Vec<String>>>);

impl Judge {
    fn delivered(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl SinkConfig for Judge {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Judge {
    fn encode(&self, event: &Event) -> Encoded {
        let text = String::from_utf8_lossy(event.raw()).into_owned();
        let record = Record::new(text.clone(), text.clone());
        let reason = Reason::new("unfit", "it is unfit");
        match text.split(' ').next() {
            Some("unfit") => {
                Encoded::Rejected(Rejection::new(reason).with_record(Some(Box::new(record))))
            }
            Some("junk") => Encoded::Rejected(Rejection::new(reason)),
            _ => Encoded::Record(record),
        }
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let outcome = |record: &Record| {
            if record.event_id.starts_with("unwanted") {
                let reason = Reason::new("unwanted", "the destination does not want it");
                return Outcome::Rejected { reason };
            }
            self.0.lock().unwrap().push(record.event_id.to_string());
            Outcome::Delivered
        };
        batch.iter().map(outcome).collect()
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

/// A running pipeline from a tap to a judge.
struct Bench {
    folder: TempDir,
    judge: Judge,
    tap: Tap,
    intake: Arc<dyn Intake>,
    running: Running,
}

impl Bench {
    /// One whose letters have room for one line.
    async fn full(buffer: &Value) -> Self {
        let bench = Self::start(buffer, 1, |_| {}).await;
        bench.offer(&["unfit first"]).await.unwrap();
        bench
    }

    /// One whose letters cannot be written: there is a file where their folder belongs.
    async fn unwritable(buffer: &Value) -> Self {
        let block = |folder: &Path| {
            std::fs::write(obstacle(folder), "").unwrap();
        };
        Self::start(buffer, 1_000_000, block).await
    }

    async fn start(buffer: &Value, max_bytes: u64, prepare: fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let (judge, tap) = (Judge::default(), Tap::new(Behavior::Lend));
        let options = json!({
            "buffer": buffer, "batch": {"timeout_secs": 0}, "dead_letters": {"max_bytes": max_bytes},
        });
        let pipeline = Pipeline::builder()
            .data_dir(folder.path())
            .shutdown_limit(Duration::from_secs(1))
            .source("tap", tap.clone())
            .sink(
                "out",
                &["tap"],
                judge.clone(),
                SinkSettings::default().options(options),
            );
        let running = pipeline
            .build()
            .unwrap()
            .start(StartOptions::default())
            .await;
        let intake = tap.intake().await;
        Self {
            folder,
            judge,
            tap,
            intake,
            running: running.unwrap(),
        }
    }

    async fn offer(&self, texts: &[&str]) -> Result<Vec<Verdict>, Refused> {
        let offer = self.intake.offer(chunk(texts), AckLevel::Buffered, LONG);
        let offered = within("an answer", offer).await;
        offered.map(|accepted| accepted.verdicts)
    }

    fn now(&self) -> SinkSnapshot {
        self.running.telemetry().snapshot().remove(0)
    }

    async fn delivered(&self, events: usize) {
        until("the good events", || self.judge.delivered() == events).await;
    }

    /// Lets letters be written again.
    fn make_room(&self) {
        let letters = self.folder.path().join("dead_letters");
        if letters.is_file() {
            std::fs::remove_file(letters).unwrap();
        } else {
            std::fs::rename(letters.join("out"), letters.join("moved")).unwrap();
        }
    }
}

fn obstacle(folder: &Path) -> PathBuf {
    folder.join("dead_letters")
}

#[tokio::test]
async fn a_request_whose_event_would_be_a_letter_is_refused_at_once_and_others_are_taken() {
    for bench in [
        Bench::full(&json!({})).await,
        Bench::unwritable(&json!({})).await,
        Bench::full(&json!({"type": "disk"})).await,
    ] {
        let before = bench.now();
        let refused = bench.offer(&["good", "unfit", "good too"]).await;
        assert_eq!(refused.unwrap_err(), Refused::NoLetters);
        let after = bench.now();
        assert_eq!(after.received, before.received, "it leaves no trace");
        assert!(after.letter_problem.is_some());
        let verdicts = bench.offer(&["good"]).await.unwrap();
        assert_eq!(verdicts, [Verdict::Accepted]);
        bench.delivered(1).await;
        bench.make_room();
        bench.offer(&["unfit", "good too"]).await.unwrap();
        assert_eq!(bench.now().letter_problem, None);
        bench.delivered(2).await;
        drop(bench.intake);
        bench.tap.fail();
        let ending = ending(bench.running).await;
        assert!(ending.is_complete(), "{ending:?}");
    }
}

#[tokio::test]
async fn what_the_destination_refuses_waits_aside_and_good_events_pass_it() {
    for bench in [
        Bench::full(&json!({})).await,
        Bench::unwritable(&json!({})).await,
        Bench::full(&json!({"type": "disk"})).await,
    ] {
        let before = bench.now().rejected_total();
        for index in 0..20 {
            let unwanted = format!("unwanted {index}");
            bench.offer(&[&unwanted, "good"]).await.unwrap();
        }
        bench.delivered(20).await;
        until("the letters", || bench.now().waiting_letters == 20).await;
        let now = bench.now();
        assert_eq!((now.held, now.rejected_total()), (20, before));
        bench.make_room();
        until("the letters", || bench.now().waiting_letters == 0).await;
        drop(bench.intake);
        bench.tap.fail();
        let ending = ending(bench.running).await;
        assert!(ending.is_complete(), "{ending:?}");
        assert_eq!(ending.sinks[0].rejected["unwanted"].count, 20);
        assert_eq!(letters(bench.folder.path(), "out")["unwanted"], 20);
    }
}

#[tokio::test]
async fn a_source_that_reads_at_its_own_pace_reads_on_and_is_told_when_its_letters_are_written() {
    for bench in [
        Bench::full(&json!({})).await,
        Bench::unwritable(&json!({"type": "disk"})).await,
    ] {
        let texts = ["unfit a", "good", "unfit b"];
        let mut first = bench
            .intake
            .send(chunk(&texts), Some(AckLevel::Final))
            .await;
        let mut second = bench
            .intake
            .send(chunk(&["good too"]), Some(AckLevel::Final))
            .await;
        assert_eq!(second.settled().await, AckStatus::Safe);
        assert_eq!(first.now(), None);
        bench.make_room();
        assert_eq!(first.settled().await, AckStatus::Safe);
        assert_eq!(letters(bench.folder.path(), "out")["unfit"], 2);
        bench.delivered(2).await;
    }
}

#[tokio::test]
async fn letters_that_are_not_written_at_the_end_stay_on_disk_or_are_read_again_and_stay_counted() {
    for (buffer, level) in [("disk", AckLevel::Stored), ("memory", AckLevel::Final)] {
        let bench = Bench::full(&json!({"type": buffer})).await;
        let texts = ["unwanted a", "good", "unwanted b"];
        let mut receipt = bench.intake.send(chunk(&texts), Some(level)).await;
        bench.delivered(1).await;
        until("the letters", || bench.now().waiting_letters == 2).await;
        bench.running.stop_handle().quit();
        drop(bench.intake);
        let status = within("the receipt", receipt.settled()).await;
        let ending = ending(bench.running).await;
        let out = &ending.sinks[0];
        assert_eq!((out.held, out.kept), (2, 2), "{buffer}");
        assert_eq!(status == AckStatus::Safe, buffer == "disk");
    }
}

#[tokio::test]
async fn rubbish_without_a_payload_never_refuses_a_request_and_is_counted_beyond_its_room() {
    for bench in [
        Bench::full(&json!({})).await,
        Bench::unwritable(&json!({})).await,
        Bench::start(&json!({}), 100_000, |_| {}).await,
    ] {
        let before = bench.now().rejected_total();
        for _ in 0..20 {
            let junk = ["junk a@b.example"; 50];
            let verdicts = bench.offer(&junk).await.unwrap();
            assert!(matches!(verdicts[49], Verdict::Rejected(_)));
        }
        bench.offer(&["good"]).await.unwrap();
        bench.delivered(1).await;
        let now = bench.now();
        assert_eq!(now.rejected_total() - before, 1_000);
        let kept = letters(bench.folder.path(), "out").get("unfit").copied();
        assert_eq!(kept.unwrap_or(0) + now.unkept, 1_000 + before);
        assert!(now.unkept > 900, "{}", now.unkept);
        drop(bench.intake);
        bench.tap.fail();
        assert!(ending(bench.running).await.is_complete());
        let written = std::fs::read_to_string(
            bench
                .folder
                .path()
                .join("dead_letters/out/without_payload.ndjson"),
        );
        let written = written.unwrap_or_default();
        assert!(!written.contains("b.example"), "{written}");
        assert!(
            written.is_empty() || written.contains("aaaa a@a.aaaaaaa"),
            "{written}"
        );
    }
}

#[tokio::test]
async fn more_letters_than_fit_into_memory_stay_in_the_disk_buffer_for_the_next_run() {
    let bench = Bench::full(&json!({"type": "disk", "max_bytes": 100_000_000})).await;
    let unwanted: Vec<String> = (0..25_000)
        .map(|index| format!("unwanted {index}"))
        .collect();
    for texts in unwanted.chunks(5_000) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        bench.offer(&texts).await.unwrap();
    }
    // Behind more letters than memory takes, and more records than the window holds.
    bench.offer(&["good"]).await.unwrap();
    bench.delivered(1).await;
    let now = bench.now();
    assert_eq!(now.held, 25_000);
    assert!(now.waiting_letters < 12_000, "{}", now.waiting_letters);
    bench.running.stop_handle().quit();
    drop(bench.intake);
    let ending = ending(bench.running).await;
    assert_eq!(
        (ending.sinks[0].held, ending.sinks[0].kept),
        (25_000, 25_000)
    );
}
