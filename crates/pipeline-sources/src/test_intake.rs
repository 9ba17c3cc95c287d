//! An intake for tests: records what is sent and settles receipts by a script. And a stop that tests give.

use axum::http::{HeaderMap, HeaderValue};
use pipeline_core::{
    Accepted, AckLevel, AckStatus, Chunk, Cookie, Event, Intake, Item, ManualClock, ParseContext,
    Receipt, Refused, Registry, Settle, SourceContext, SourceError, Stop, StopSignal, Verdict,
    async_trait, receipt,
};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A source that runs, reachable at an address.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: StopHandle,
    pub(crate) task: JoinHandle<Result<(), SourceError>>,
}

/// Starts a source that listens, at any free port. `options` are those but for the address.
pub(crate) async fn start(
    source: &str,
    mut options: Value,
    (now_ms, room_limit): (i64, Duration),
    intake: &Arc<TestIntake>,
) -> Running {
    options["address"] = json!("127.0.0.1:0");
    let registry = Registry::linked().unwrap();
    let component = registry.source(source).unwrap();
    let config = component.parse(&options, &ParseContext::new("web", ""));
    let mut cx = SourceContext::new("web", "");
    cx.clock = Arc::new(ManualClock::at(now_ms));
    cx.room_limit = room_limit;
    let source = config.unwrap().open(cx).await.unwrap();
    let address = source.address().unwrap();
    let (stop, given) = StopHandle::new(Duration::ZERO);
    let task = tokio::spawn(source.run(Arc::<TestIntake>::clone(intake), given));
    Running {
        address,
        stop,
        task,
    }
}

/// What becomes of a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Its receipt settles at once.
    Settle(AckStatus),
    /// Its receipt stays open.
    Open,
    /// It is refused, if it was offered.
    Refuse(Refused),
}

/// Records what a source sends. After its script, every chunk is safe at once.
pub(crate) struct TestIntake {
    verdict: fn(&Item) -> Verdict,
    cookies: fn(&Event) -> Vec<Cookie>,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    script: VecDeque<Step>,
    chunks: Vec<(Chunk, Option<AckLevel>)>,
    limits: Vec<Duration>,
    reports: Vec<String>,
    open: Vec<Settle>,
}

impl TestIntake {
    pub(crate) fn new(script: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Self::judging(script, |_| Verdict::Accepted)
    }

    /// An intake that gives this verdict on each input that is offered.
    pub(crate) fn judging(
        script: impl IntoIterator<Item = Step>,
        verdict: fn(&Item) -> Verdict,
    ) -> Arc<Self> {
        let state = State {
            script: script.into_iter().collect(),
            ..State::default()
        };
        Arc::new(Self {
            verdict,
            cookies: |_| Vec::new(),
            state: Mutex::new(state),
            arrived: Notify::new(),
        })
    }

    /// An intake whose sinks would keep these cookies.
    pub(crate) fn keeping(
        script: impl IntoIterator<Item = Step>,
        cookies: fn(&Event) -> Vec<Cookie>,
    ) -> Arc<Self> {
        let state = State {
            script: script.into_iter().collect(),
            ..State::default()
        };
        Arc::new(Self {
            verdict: |_| Verdict::Accepted,
            cookies,
            state: Mutex::new(state),
            arrived: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next step, and the receipt unless the chunk is refused.
    fn take(&self, chunk: Chunk, ack: Option<AckLevel>) -> Result<Receipt, Refused> {
        let mut state = self.state();
        let step = state.script.pop_front();
        let (settle, receipt) = receipt();
        match step.unwrap_or(Step::Settle(AckStatus::Safe)) {
            Step::Settle(status) => settle.settle(status),
            Step::Open => state.open.push(settle),
            Step::Refuse(refused) => return Err(refused),
        }
        state.chunks.push((chunk, ack));
        self.arrived.notify_one();
        Ok(receipt)
    }

    /// Every chunk that was taken, with the acknowledgement that was asked for.
    pub(crate) fn chunks(&self) -> Vec<(Chunk, Option<AckLevel>)> {
        self.state().chunks.clone()
    }

    /// Every input that was taken: the bytes of an event, or the code of the reason why it is not one.
    pub(crate) fn inputs(&self) -> Vec<String> {
        let chunks = self.chunks();
        let entries = chunks.iter().flat_map(|(chunk, _)| chunk.entries());
        let shown = entries.map(|entry| match &entry.item {
            Item::Event(event) => String::from_utf8_lossy(event.raw()).into_owned(),
            Item::Rejected { reason, .. } => reason.code.to_owned(),
            other => format!("{other:?}"),
        });
        shown.collect()
    }

    pub(crate) fn reports(&self) -> Vec<String> {
        self.state().reports.clone()
    }

    /// How long each offer was to wait for room.
    pub(crate) fn limits(&self) -> Vec<Duration> {
        self.state().limits.clone()
    }

    /// Waits until that many chunks have been taken.
    pub(crate) async fn until_taken(&self, chunks: usize) {
        while self.state().chunks.len() < chunks {
            self.arrived.notified().await;
        }
    }
}

#[async_trait]
impl Intake for TestIntake {
    async fn send(&self, chunk: Chunk, ack: Option<AckLevel>) -> Receipt {
        self.take(chunk, ack).expect("only an offer can be refused")
    }

    async fn offer(
        &self,
        chunk: Chunk,
        ack: AckLevel,
        limit: Duration,
    ) -> Result<Accepted, Refused> {
        let judge = self.verdict;
        let entries = chunk.entries().iter();
        let verdicts = entries.map(|entry| judge(&entry.item)).collect();
        self.state().limits.push(limit);
        let receipt = self.take(chunk, Some(ack))?;
        Ok(Accepted::new(receipt, verdicts))
    }

    fn cookies(&self, event: &Event) -> Vec<Cookie> {
        (self.cookies)(event)
    }

    fn report(&self, error: SourceError) {
        self.state().reports.push(error.to_string());
    }
}

/// Gives a [`Stop`], and a deadline some time after it.
pub(crate) struct StopHandle(watch::Sender<Option<Instant>>, Duration);

impl StopHandle {
    pub(crate) fn new(limit: Duration) -> (Self, Stop) {
        let (sender, receiver) = watch::channel(None);
        let stop = Stop::new(Arc::new(Signal(receiver)));
        (Self(sender, limit), stop)
    }

    pub(crate) fn stop(&self) {
        self.0.send_replace(Some(Instant::now() + self.1));
    }
}

struct Signal(watch::Receiver<Option<Instant>>);

#[async_trait]
impl StopSignal for Signal {
    fn is_stopping(&self) -> bool {
        self.0.borrow().is_some()
    }

    async fn stopping(&self) {
        if self.0.clone().wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn deadline(&self) {
        self.stopping().await;
        let deadline = *self.0.borrow();
        if let Some(deadline) = deadline {
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// A stop whose deadline cannot be waited for: whoever follows it panics.
pub(crate) struct PanickingDeadline;

#[async_trait]
impl StopSignal for PanickingDeadline {
    fn is_stopping(&self) -> bool {
        false
    }

    async fn stopping(&self) {
        std::future::pending::<()>().await;
    }

    async fn deadline(&self) {
        panic!("this test's deadline panics");
    }
}

/// Headers of a request, by name and value.
pub(crate) fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::try_from(*value).unwrap());
    }
    headers
}
