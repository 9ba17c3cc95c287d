//! Replays of dead letters that are filtered, limited and killed at any moment: what was delivered and what is left is what was
//! there.

use crate::part::{Behavior, Tap};
use pipeline_core::{
    BuildError, Encoded, Event, Filtered, HealthcheckError, Outcome, Reason, Record, Refit, Sink,
    SinkConfig, SinkContext, async_trait,
};
use pipeline_host::config::SinkPlan;
use pipeline_host::dead_letter::{DeadLetterError, DeadLetters, Filter};
use pipeline_host::replay::{ReplayError, Replayed, Replaying, Selection, check_reasons, survey};
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const REASONS: [&str; 3] = ["refused", "held_at_shutdown", "retries_exhausted"];
/// Records of one batch.
const BATCH: usize = 5;
/// The longest anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);

/// When a destination stops answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hang {
    Never,
    /// At the batch of this number, before it has taken it.
    Before(usize),
    /// At the batch of this number, after it has taken it.
    After(usize),
}

#[derive(Debug)]
struct Destination {
    hang: Hang,
    batches: Mutex<usize>,
    taken: Mutex<Vec<String>>,
    hangs: Notify,
}

/// A destination that refuses every seventh event, and a sink that knows every fifth to be unfit and changes every fourth.
#[derive(Debug, Clone)]
struct Picky(Arc<Destination>);

fn number(id: &str) -> usize {
    id.parse().unwrap()
}

fn is_refused(id: &str) -> bool {
    number(id) % 7 == 3
}

fn is_unfit(id: &str) -> bool {
    number(id) % 5 == 2
}

#[async_trait]
impl SinkConfig for Picky {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Picky {
    fn encode(&self, _: &Event) -> Encoded {
        Encoded::Filtered(Filtered::new(Reason::new("unused", "no event comes")))
    }

    fn refit(&self, stored: &Record, stored_for: &str) -> Refit {
        assert!(REASONS.contains(&stored_for) || stored_for == "again");
        if is_unfit(&stored.event_id) {
            return Refit::Unfit(Reason::new("too_strange", "it would be refused"));
        }
        if number(&stored.event_id) % 4 == 1 {
            let mut changed = stored.clone();
            changed.payload = r#"{"changed":true}"#.into();
            return Refit::Changed(Box::new(changed));
        }
        Refit::Same
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let at = {
            let mut batches = self.0.batches.lock().unwrap();
            *batches += 1;
            *batches - 1
        };
        if self.0.hang == Hang::Before(at) {
            self.0.hangs.notify_one();
            std::future::pending::<()>().await;
        }
        let outcome = |record: &Record| {
            let is_changed = &*record.payload == br#"{"changed":true}"#;
            assert_eq!(is_changed, number(&record.event_id) % 4 == 1);
            if is_refused(&record.event_id) {
                let reason = Reason::new("again", "not wanted");
                return Outcome::Rejected { reason };
            }
            self.0
                .taken
                .lock()
                .unwrap()
                .push(record.event_id.to_string());
            Outcome::Delivered
        };
        let outcomes = batch.iter().map(outcome).collect();
        if self.0.hang == Hang::After(at) {
            self.0.hangs.notify_one();
            std::future::pending::<()>().await;
        }
        outcomes
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

struct Bench {
    folder: tempfile::TempDir,
    taken: Vec<String>,
}

impl Bench {
    /// Segments of letters: the index of a reason each, and whether it has a payload. They are numbered.
    fn new(segments: &[Vec<(usize, bool)>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead_letters/meta");
        std::fs::create_dir_all(&path).unwrap();
        let mut id = 0;
        for (at, segment) in segments.iter().enumerate() {
            let lines = segment.iter().map(|(reason, has_payload)| {
                let mut letter = json!({
                    "time": "2026-01-31T12:00:00Z", "sink": "meta", "reason": REASONS[*reason], "detail": "a sentence",
                    "attempts": 1, "event_id": id.to_string(), "label": "a → b", "source": format!("events line {id}"),
                    "payload": {"id": id},
                });
                if !has_payload {
                    letter["payload"] = Value::Null;
                    letter["detail"] = json!(id.to_string());
                }
                id += 1;
                format!("{letter}\n")
            });
            let text: String = lines.collect();
            std::fs::write(path.join(format!("{:08}.ndjson", at + 1)), text).unwrap();
        }
        Self {
            folder,
            taken: Vec::new(),
        }
    }

    fn letters(&self) -> DeadLetters {
        DeadLetters::new(self.folder.path(), "meta", 1 << 30)
    }

    /// The ids of the letters that are there, sorted; those without a payload with their number in the detail.
    fn left(&self) -> Vec<usize> {
        let letters = self.letters().letters().unwrap();
        let ids = letters.map(|letter| {
            let letter = letter.unwrap();
            let id = letter.record.map(|record| record.event_id.to_string());
            number(&id.unwrap_or(letter.detail))
        });
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        ids
    }

    fn plan(&self, destination: &Arc<Destination>) -> SinkPlan {
        let settings = SinkSettings::default().options(json!({
            "batch": {"max_events": BATCH, "timeout_secs": 0.001},
            "request": {"concurrency": 1},
        }));
        let pipeline = Pipeline::builder()
            .data_dir(self.folder.path())
            .source("tap", Tap::new(Behavior::Lend))
            .sink("meta", &["tap"], Picky(Arc::clone(destination)), settings)
            .build()
            .unwrap();
        pipeline.sinks.into_iter().next().unwrap()
    }

    /// One process: replays until it is done, or until it is killed where the destination hangs; with `waits`, not before
    /// everything that was answered is noted.
    fn live(&mut self, selection: &Selection, hang: Hang, waits: bool) -> Option<Replayed> {
        let destination = Arc::new(Destination {
            hang,
            batches: Mutex::default(),
            taken: Mutex::default(),
            hangs: Notify::new(),
        });
        let runtime = Runtime::new().unwrap();
        let before = self.left().len();
        let ended = runtime.block_on(async {
            let replaying = loop {
                let (plan, options) = (self.plan(&destination), StartOptions::default());
                let selection = selection.clone();
                let new =
                    Replaying::new(plan, self.folder.path(), selection, DEADLINE, &options).await;
                match new {
                    Ok(replaying) => break replaying,
                    // A thread of the process that was killed may still have the lock.
                    Err(ReplayError::DeadLetters(DeadLetterError::Replaying { .. })) => {
                        tokio::task::yield_now().await;
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            tokio::select! {
                ended = replaying.run() => Some(ended.unwrap()),
                () = async {
                    destination.hangs.notified().await;
                    let since = Instant::now();
                    let is_noted = || {
                        let taken = destination.taken.lock().unwrap().len();
                        self.left().len() + taken == before
                    };
                    while waits && !is_noted() {
                        assert!(since.elapsed() < DEADLINE);
                        tokio::task::yield_now().await;
                    }
                } => None,
            }
        });
        runtime.shutdown_background();
        self.taken
            .extend(destination.taken.lock().unwrap().drain(..));
        ended
    }

    /// Everything that was delivered, and how often more than once.
    fn delivered(&self) -> (BTreeSet<usize>, usize) {
        let ids: BTreeSet<_> = self.taken.iter().map(|id| number(id)).collect();
        let twice = self.taken.len() - ids.len();
        (ids, twice)
    }
}

fn all(filter: Filter, limit: Option<u64>) -> Selection {
    Selection {
        filter,
        limit,
        remap: None,
    }
}

#[test]
fn a_replay_that_is_killed_between_two_requests_sends_nothing_twice() {
    for kill in 0..4 {
        let mut bench = Bench::new(&[vec![(0, true); 12], vec![(1, true); 12]]);
        let killed = bench.live(&Selection::default(), Hang::Before(kill), true);
        assert!(killed.is_none());
        let replayed = bench
            .live(&Selection::default(), Hang::Never, false)
            .unwrap();
        assert_eq!(replayed.left.unfit_total(), 5);
        let (delivered, twice) = bench.delivered();
        assert_eq!(twice, 0, "killed at batch {kill}");
        let expected = |id: &usize| !is_refused(&id.to_string()) && !is_unfit(&id.to_string());
        assert!(delivered.iter().copied().eq((0..24).filter(expected)));
        assert!(
            bench
                .left()
                .into_iter()
                .eq((0..24).filter(|id| !expected(id)))
        );
    }
}

#[test]
fn what_would_be_refused_stays_with_its_reason_and_is_counted() {
    let mut bench = Bench::new(&[vec![(0, true), (0, true), (0, true), (0, false), (1, true)]]);
    let replayed = bench
        .live(&all(Filter::of_reason("refused"), None), Hang::Never, false)
        .unwrap();
    let unfit: BTreeMap<_, _> = replayed
        .left
        .unfit
        .iter()
        .map(|(code, unfit)| (*code, (unfit.letters, unfit.detail.as_str())))
        .collect();
    assert_eq!(
        unfit,
        BTreeMap::from([("too_strange", (1, "it would be refused"))])
    );
    let left = &replayed.left;
    assert_eq!(
        (left.filtered, left.without_payload, left.total()),
        (1, 1, 3)
    );
    assert_eq!(bench.left(), [2, 3, 4]);
    let letters = bench.letters().letters().unwrap();
    let reasons: Vec<_> = letters.map(|letter| letter.unwrap().reason).collect();
    assert_eq!(reasons, ["refused", "refused", "held_at_shutdown"]);
}

#[tokio::test]
async fn a_survey_says_what_a_replay_would_do_and_changes_nothing() {
    let bench = Bench::new(&[vec![(0, true); 12], vec![(1, false); 2]]);
    let destination = Arc::new(Destination {
        hang: Hang::Never,
        batches: Mutex::default(),
        taken: Mutex::default(),
        hangs: Notify::new(),
    });
    let plan = bench.plan(&destination);
    let (options, selection) = (StartOptions::default(), all(Filter::default(), Some(8)));
    let survey = survey(&plan, bench.folder.path(), selection, &options)
        .await
        .unwrap();
    // Of 12, two are unfit, and 1, 5 and 9 are changed.
    let left = &survey.left;
    assert_eq!((survey.would_send, survey.changed), (8, 3));
    assert_eq!(
        (left.beyond_limit, left.without_payload, left.unfit_total()),
        (2, 2, 2)
    );
    assert_eq!(bench.left().len(), 14);
    assert!(destination.taken.lock().unwrap().is_empty());
    assert!(!Path::new(&bench.folder.path().join("dead_letters/meta/replaying")).exists());
    for (wanted, is_known) in [
        (vec!["refused"], true),
        (vec!["refused", "keeps_failing"], true),
        (vec!["refused", "refusd"], false),
        (vec![], true),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(str::to_owned).collect();
        let checked = check_reasons(&wanted, [&survey.summary]);
        assert_eq!(checked.is_ok(), is_known, "{wanted:?}");
        if let Err(problem) = checked {
            assert_eq!(
                problem,
                "no dead letter has the reason `refusd`; expected one of `held_at_shutdown`, `refused`"
            );
        }
    }
}

#[derive(Debug, Clone)]
struct Life {
    reasons: Vec<usize>,
    ids: Vec<usize>,
    limit: Option<u64>,
    hang: Hang,
    waits: bool,
}

impl Life {
    fn selection(&self) -> Selection {
        let reasons = self.reasons.iter().map(|at| REASONS[*at].to_owned());
        let filter = Filter {
            reasons: reasons.collect(),
            event_ids: self.ids.iter().map(usize::to_string).collect(),
            ..Filter::default()
        };
        all(filter, self.limit)
    }
}

fn life() -> impl Strategy<Value = Life> {
    let hang = prop_oneof![
        Just(Hang::Never),
        (0_usize..4).prop_map(Hang::Before),
        (0_usize..4).prop_map(Hang::After),
    ];
    (
        prop::collection::vec(0_usize..3, 0..3),
        prop_oneof![Just(Vec::new()), prop::collection::vec(0_usize..40, 1..6)],
        prop::option::of(0_u64..20),
        hang,
        any::<bool>(),
    )
        .prop_map(|(reasons, ids, limit, hang, waits)| Life {
            reasons,
            ids,
            limit,
            hang,
            // What was taken without an answer is not noted.
            waits: waits && matches!(hang, Hang::Before(_)),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Compared with what was there: each letter was delivered or is left, once.
    #[test]
    fn what_was_delivered_and_what_is_left_is_what_was_there(
        segments in prop::collection::vec(prop::collection::vec((0_usize..3, prop::bool::weighted(0.9)), 0..15), 1..4),
        lives in prop::collection::vec(life(), 1..5),
    ) {
        let mut bench = Bench::new(&segments);
        let there: Vec<_> = (0..segments.iter().map(Vec::len).sum()).collect();
        let mut may_repeat = false;
        for life in &lives {
            let before = bench.taken.len();
            let ended = bench.live(&life.selection(), life.hang, life.waits);
            may_repeat |= ended.is_none() && !life.waits;
            let sent = bench.taken.len() - before;
            prop_assert!(life.limit.is_none_or(|limit| sent as u64 <= limit));
            prop_assert!(life.ids.is_empty() || bench.taken[before..].iter().all(|id| life.ids.contains(&number(id))));
            // Whatever was killed: nothing is lost.
            let mut known: BTreeSet<_> = bench.left().into_iter().collect();
            known.extend(bench.delivered().0);
            prop_assert!(known.iter().eq(&there), "{:?}", life);
        }
        bench.live(&Selection::default(), Hang::Never, false).unwrap();
        let (delivered, twice) = bench.delivered();
        prop_assert!(may_repeat || twice == 0);
        let left = bench.left();
        let mut found: Vec<_> = delivered.iter().copied().chain(left.iter().copied()).collect();
        found.sort_unstable();
        prop_assert_eq!(found, there);
        for id in left {
            let (place, text) = (segments.iter().flatten().nth(id).unwrap(), id.to_string());
            prop_assert!(!place.1 || is_refused(&text) || is_unfit(&text), "{} could have been sent", id);
        }
    }
}
