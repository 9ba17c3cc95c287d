//! A sink that keeps what it is sent and answers as a test has told it, and a pipeline around it.

use pipeline_core::options::Problem;
use pipeline_core::{
    BatchLimits, BuildError, Component, Encoded, Event, Filtered, HealthcheckError, ManualClock,
    Outcome, Reason, Record, Registry, Rejection, Sink, SinkConfig, SinkContext, async_trait,
    inventory, schemars,
};
use pipeline_host::StartOptions;
use pipeline_host::config::{ConfigError, LoadContext, Pipeline, from_value};
use pipeline_host::telemetry::SinkSnapshot;
use pipeline_host::topology::{Running, start};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub(crate) const MOST_EVENTS: usize = 50;

/// What a destination answers to one batch. When nothing is scripted it takes everything.
pub(crate) enum Step {
    Retry(Option<Duration>),
    Block,
    Panic,
    TooFewOutcomes,
    RejectFirst,
    /// Waits until the gate gives a permit, then takes everything.
    Wait,
}

/// Where one test's events arrive.
pub(crate) struct Destination {
    pub(crate) script: Mutex<VecDeque<Step>>,
    pub(crate) attempts: Mutex<Vec<(Instant, Vec<String>)>>,
    pub(crate) delivered: Mutex<Vec<String>>,
    pub(crate) healthy: AtomicBool,
    pub(crate) probes: AtomicU64,
    pub(crate) gate: Semaphore,
}

static DESTINATIONS: LazyLock<Mutex<HashMap<String, Arc<Destination>>>> =
    LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

inventory::submit! {
    Component::<dyn SinkConfig>::new(
        "scripted",
        "Answers as a test has told it.",
        || schemars::json_schema!({
            "type": "object",
            "properties": { "destination": { "type": "string", "description": "The destination of the test." } },
            "required": ["destination"],
            "additionalProperties": false
        }),
        |options, _| match options["destination"].as_str() {
            Some(name) => Ok(Box::new(Config(name.to_owned()))),
            None => Err(vec![Problem::new("destination", "is missing", "a name")]),
        },
    )
    .batch_limits(BatchLimits::new(MOST_EVENTS, 1000))
}

#[derive(Debug)]
struct Config(String);

#[async_trait]
impl SinkConfig for Config {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        let destinations = DESTINATIONS.lock().unwrap();
        Ok(Box::new(Scripted(Arc::clone(&destinations[&self.0]))))
    }
}

struct Scripted(Arc<Destination>);

#[async_trait]
impl Sink for Scripted {
    fn encode(&self, event: &Event) -> Encoded {
        let rejected = |code| Encoded::Rejected(Rejection::new(Reason::new(code, "a sentence")));
        let Ok(value) = serde_json::from_slice::<Value>(event.raw()) else {
            return rejected("malformed_json");
        };
        let Some(id) = value["id"].as_str() else {
            return match value["do"].as_str() {
                Some("filter") => {
                    Encoded::Filtered(Filtered::new(Reason::new("consent", "no consent")))
                }
                Some("panic") => panic!("on request"),
                _ => rejected("no_id"),
            };
        };
        let record = Record::new(format!("{{\"id\":\"{id}\"}}"), id)
            .in_partition(value["partition"].as_str().unwrap_or("one"))
            .at(value["timestamp"].as_i64().unwrap_or(0))
            .expiring_at(value["expires_at"].as_i64().unwrap_or(i64::MAX))
            .labeled("a -> b");
        Encoded::Record(record)
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let ids: Vec<String> = batch
            .iter()
            .map(|record| record.event_id.to_string())
            .collect();
        self.0
            .attempts
            .lock()
            .unwrap()
            .push((Instant::now(), ids.clone()));
        let step = self.0.script.lock().unwrap().pop_front();
        let mut outcomes = vec![Outcome::Delivered; batch.len()];
        match step {
            None => {}
            Some(Step::Wait) => self.0.gate.acquire().await.unwrap().forget(),
            Some(Step::Panic) => panic!("on request"),
            Some(Step::TooFewOutcomes) => return Vec::new(),
            Some(Step::Retry(after)) => {
                let reason = Reason::new("throttled", "too fast");
                return vec![Outcome::Retry { after, reason }; batch.len()];
            }
            Some(Step::Block) => {
                let reason = Reason::new("token", "the token is revoked");
                return vec![Outcome::Blocked { reason }; batch.len()];
            }
            Some(Step::RejectFirst) => {
                outcomes[0] = Outcome::Rejected {
                    reason: Reason::new("invalid", "not wanted"),
                };
            }
        }
        let taken = ids
            .into_iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Delivered);
        self.0
            .delivered
            .lock()
            .unwrap()
            .extend(taken.map(|(id, _)| id));
        outcomes
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        self.0.probes.fetch_add(1, Ordering::SeqCst);
        if self.0.healthy.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(HealthcheckError::Blocked(Reason::new(
            "token",
            "the token is revoked",
        )))
    }
}

/// A pipeline from one source to one scripted destination.
pub(crate) struct Case {
    pub(crate) folder: TempDir,
    pub(crate) destination: Arc<Destination>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) room_limit: Duration,
    /// Options of the source that reads lines.
    pub(crate) source: Value,
    name: String,
}

/// Reads a pipeline with the components that are linked.
pub(crate) fn load(config: &Value, folder: &Path) -> Result<Pipeline, ConfigError> {
    let registry = Registry::linked().unwrap();
    let cx = LoadContext {
        registry: &registry,
        environment: &|_| None,
        sections: &[],
    };
    from_value(config, folder, cx)
}

impl Case {
    pub(crate) fn new(script: impl IntoIterator<Item = Step>) -> Self {
        let name = format!("case {}", NEXT.fetch_add(1, Ordering::SeqCst));
        let destination = Arc::new(Destination {
            script: Mutex::new(script.into_iter().collect()),
            attempts: Mutex::default(),
            delivered: Mutex::default(),
            healthy: AtomicBool::new(true),
            probes: AtomicU64::new(0),
            gate: Semaphore::new(0),
        });
        DESTINATIONS
            .lock()
            .unwrap()
            .insert(name.clone(), Arc::clone(&destination));
        Self {
            folder: tempfile::tempdir().unwrap(),
            destination,
            clock: Arc::new(ManualClock::at(1_000_000)),
            room_limit: Duration::from_secs(5),
            source: json!({"type": "file", "path": "in.ndjson"}),
            name,
        }
    }

    /// The options of a sink that ends at this destination.
    pub(crate) fn sink(&self, input: &str, more: &Value) -> Value {
        let mut sink = json!({"type": "scripted", "destination": self.name, "inputs": [input]});
        for (key, value) in more.as_object().unwrap() {
            sink[key] = value.clone();
        }
        sink
    }

    /// A pipeline from the source that reads lines to this destination.
    pub(crate) fn config(&self, sink: &Value) -> Value {
        json!({"sources": {"events": self.source}, "sinks": {"out": self.sink("events", sink)}})
    }

    pub(crate) fn load(&self, config: &Value) -> Result<Pipeline, ConfigError> {
        load(config, self.folder.path())
    }

    pub(crate) async fn start(&self, config: Value) -> Running {
        let pipeline = self
            .load(&config)
            .unwrap_or_else(|error| panic!("{error:?}"));
        start(pipeline, self.start_options())
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a pipeline that reads these lines.
    pub(crate) async fn start_lines(&self, lines: &str, sink: &Value) -> Running {
        std::fs::write(self.folder.path().join("in.ndjson"), lines).unwrap();
        self.start(self.config(sink)).await
    }

    pub(crate) fn start_options(&self) -> StartOptions {
        let mut options = StartOptions::default();
        options.clock = Arc::<ManualClock>::clone(&self.clock);
        options.seed = 7;
        options.room_limit = self.room_limit;
        options
    }

    /// Runs a pipeline over these lines to its end.
    pub(crate) async fn run_lines(&self, lines: &str, sink: Value) -> SinkSnapshot {
        let running = self.start_lines(lines, &sink).await;
        let mut ending = running.finish().await;
        assert!(ending.failures.is_empty(), "{:?}", ending.failures);
        ending.sinks.remove(0)
    }

    pub(crate) fn delivered(&self) -> Vec<String> {
        self.destination.delivered.lock().unwrap().clone()
    }

    pub(crate) fn batches(&self) -> Vec<Vec<String>> {
        let attempts = self.destination.attempts.lock().unwrap();
        attempts.iter().map(|(_, ids)| ids.clone()).collect()
    }

    pub(crate) fn attempt_times(&self) -> Vec<Instant> {
        self.destination
            .attempts
            .lock()
            .unwrap()
            .iter()
            .map(|(at, _)| *at)
            .collect()
    }

    pub(crate) fn dead_letters(&self) -> Vec<Value> {
        dead_letters(self.folder.path(), "out")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Everything that stands in the dead letters of a sink, whatever the segment.
pub(crate) fn dead_letters(folder: &Path, sink: &str) -> String {
    let folder = folder.join("data/dead_letters").join(sink);
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut segments: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "ndjson"));
    segments.sort();
    segments
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap_or_default())
        .collect()
}

/// Lines of events with the ids `0..count`.
pub(crate) fn lines(count: usize) -> String {
    (0..count)
        .map(|id| format!("{{\"id\":\"{id}\"}}\n"))
        .collect()
}

pub(crate) fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|id| id.to_string()).collect()
}

/// Waits until something is so.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
