//! Components that a test can look into: a source that lends out its intake, a transform and a sink that decide by the bytes
//! of an event, and answers that a test scripts.

use pipeline_core::{
    BuildError, Chunk, Edit, Encoded, Event, Filtered, HealthcheckError, Input, Intake, Origin,
    Outcome, Reason, Record, Rejection, Sink, SinkConfig, SinkContext, Source, SourceConfig,
    SourceContext, SourceError, Stop, Transform, TransformConfig, TransformContext, TransformError,
    async_trait,
};
use pipeline_host::topology::{Ending, Running};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How long anything may take that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(DEADLINE, future).await;
    in_time.unwrap_or_else(|_| panic!("{what} did not happen within {DEADLINE:?}"))
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool + Send + Sync) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(what, wait).await;
}

/// The end of a pipeline, which must come.
pub(crate) async fn ending(running: Running) -> Ending {
    within("the end of the pipeline", running.finish()).await
}

/// A number that depends on the seed and the bytes only.
pub(crate) fn choice(seed: u64, raw: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in raw {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 33
}

/// An event of this text.
pub(crate) fn event(text: &str) -> Input {
    Event::new(text.to_owned(), 0)
        .with_origin(Origin::whole("tap".into()))
        .into()
}

/// A chunk of events of these texts.
pub(crate) fn chunk(texts: &[&str]) -> Chunk {
    texts.iter().map(|text| event(text)).collect()
}

/// What a source does that a test has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// Lends out its intake until it is told to stop.
    Lend,
    /// Lends out its intake, and panics once it is told to fail.
    Panic,
    /// Lends out its intake, and returns an error once it is told to fail.
    Fail,
}

/// A source whose intake the test uses itself.
#[derive(Clone)]
pub(crate) struct Tap(Arc<TapState>);

struct TapState {
    behavior: Behavior,
    fails: watch::Sender<bool>,
    intake: watch::Sender<Option<Arc<dyn Intake>>>,
    opened: Mutex<u32>,
    /// Opening it fails.
    is_broken: AtomicBool,
}

impl Tap {
    pub(crate) fn new(behavior: Behavior) -> Self {
        Self(Arc::new(TapState {
            behavior,
            fails: watch::channel(false).0,
            intake: watch::channel(None).0,
            opened: Mutex::new(0),
            is_broken: AtomicBool::new(false),
        }))
    }

    /// The intake of the source that runs, once it does.
    pub(crate) async fn intake(&self) -> Arc<dyn Intake> {
        let mut intake = self.0.intake.subscribe();
        let intake = intake.wait_for(Option::is_some);
        within("the start of the source", intake)
            .await
            .unwrap()
            .clone()
            .unwrap()
    }

    /// Tells it to fail as it was made to.
    pub(crate) fn fail(&self) {
        self.0.fails.send_replace(true);
    }

    /// From now on it cannot be opened, or it can again.
    pub(crate) fn set_broken(&self, is_broken: bool) {
        self.0.is_broken.store(is_broken, Ordering::SeqCst);
    }

    /// How often it was opened.
    pub(crate) fn opened(&self) -> u32 {
        *self.0.opened.lock().unwrap()
    }
}

#[async_trait]
impl SourceConfig for Tap {
    async fn open(&self, _: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        if self.0.is_broken.load(Ordering::SeqCst) {
            return Err(BuildError::new("the tap is broken"));
        }
        *self.0.opened.lock().unwrap() += 1;
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Source for Tap {
    async fn run(self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        self.0.intake.send_replace(Some(to));
        let _lent = Lent(&self.0.intake);
        let mut fails = self.0.fails.subscribe();
        tokio::select! {
            () = stop.stopping() => Ok(()),
            _ = fails.wait_for(|fails| *fails) => match self.0.behavior {
                Behavior::Lend => Ok(()),
                Behavior::Panic => panic!("on request"),
                Behavior::Fail => Err(SourceError::new("source `tap`: the pipe burst")),
            },
        }
    }
}

/// Takes the intake back, however the source ends.
struct Lent<'a>(&'a watch::Sender<Option<Arc<dyn Intake>>>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

/// What a transform that decides by the bytes of an event makes of it.
pub(crate) fn edited(seed: u64, raw: &str) -> Edited {
    match choice(seed, raw.as_bytes()) % 8 {
        0 => Edited::Dropped,
        1 => Edited::Rejected,
        2 => Edited::Events(Vec::new()),
        3 => Edited::Events(vec![format!("{raw}a{seed}"), format!("{raw}b{seed}")]),
        _ => Edited::Events(vec![format!("{raw}k{seed}")]),
    }
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edited {
    Events(Vec<String>),
    Dropped,
    Rejected,
}

/// A transform that decides by the bytes of an event, and notes which chunks it has seen: the text of their first event up to
/// the colon.
#[derive(Debug, Clone)]
pub(crate) struct Editor {
    pub(crate) seed: u64,
    pub(crate) is_ordered: bool,
    pub(crate) seen: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Editor {
    pub(crate) fn new(seed: u64, is_ordered: bool) -> Self {
        Self {
            seed,
            is_ordered,
            seen: Arc::default(),
        }
    }
}

#[async_trait]
impl TransformConfig for Editor {
    async fn build(&self, _: TransformContext) -> Result<Box<dyn Transform>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Transform for Editor {
    fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    async fn apply(&self, chunk: &mut Chunk) -> Result<(), TransformError> {
        let text = chunk.events().next().map_or(String::new(), |event| {
            String::from_utf8_lossy(event.raw()).into_owned()
        });
        if let Some((number, _)) = text.split_once(':') {
            let seen = (chunk.partition(), number.to_owned());
            self.seen.lock().unwrap().push(seen);
            // Some chunks take longer than others.
            for _ in 0..choice(self.seed, text.as_bytes()) % 4 {
                tokio::task::yield_now().await;
            }
        }
        chunk.edit(|event| {
            let text = String::from_utf8_lossy(event.raw()).into_owned();
            match edited(self.seed, &text) {
                Edited::Dropped => Edit::Drop(Reason::new("sampled", "it was not chosen")),
                Edited::Rejected => Edit::Reject(Reason::new("odd", "it is odd")),
                Edited::Events(mut texts) if texts.len() == 1 => {
                    Edit::Keep(event.with_raw(texts.remove(0)))
                }
                Edited::Events(texts) => Edit::Split(
                    texts
                        .into_iter()
                        .map(|text| event.clone().with_raw(text))
                        .collect(),
                ),
            }
        });
        Ok(())
    }
}

/// A transform that fails on an event of the text `fail` or `panic`.
#[derive(Debug)]
pub(crate) struct Fragile;

#[async_trait]
impl TransformConfig for Fragile {
    async fn build(&self, _: TransformContext) -> Result<Box<dyn Transform>, BuildError> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Transform for Fragile {
    async fn apply(&self, chunk: &mut Chunk) -> Result<(), TransformError> {
        for event in chunk.events() {
            match event.raw() {
                b"fail" => return Err(TransformError::new("its store is gone")),
                b"panic" => panic!("on request"),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a sink makes of an event of this text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Filtered,
    RejectedAtOnce,
    RejectedByDestination,
    Delivered,
}

/// What the sink of this seed makes of an event; where `seed` is 0, everything is delivered.
pub(crate) fn fate(seed: u64, raw: &str) -> Fate {
    if seed == 0 {
        return Fate::Delivered;
    }
    match choice(seed, raw.as_bytes()) % 9 {
        0 => Fate::Filtered,
        1 => Fate::RejectedAtOnce,
        2 => Fate::RejectedByDestination,
        _ => Fate::Delivered,
    }
}

/// A sink that decides by the bytes of an event, and keeps what it is sent.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<ShelfState>);

struct ShelfState {
    seed: u64,
    delivered: Mutex<Vec<String>>,
    tried: Mutex<BTreeSet<String>>,
    /// Deliveries wait while it is closed.
    is_open: watch::Sender<bool>,
    /// Deliveries that have begun.
    begun: watch::Sender<usize>,
    panics: AtomicBool,
    built: Mutex<u32>,
}

impl Shelf {
    /// A sink that takes everything.
    pub(crate) fn open() -> Self {
        Self::deciding(0)
    }

    /// A sink that decides by the bytes of an event.
    pub(crate) fn deciding(seed: u64) -> Self {
        Self(Arc::new(ShelfState {
            seed,
            delivered: Mutex::default(),
            tried: Mutex::default(),
            is_open: watch::channel(true).0,
            begun: watch::channel(0).0,
            panics: AtomicBool::new(false),
            built: Mutex::new(0),
        }))
    }

    /// A sink whose deliveries wait.
    pub(crate) fn closed() -> Self {
        let shelf = Self::open();
        shelf.set_open(false);
        shelf
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.0.is_open.send_replace(is_open);
    }

    /// The next delivery panics.
    pub(crate) fn panic_once(&self) {
        self.0.panics.store(true, Ordering::SeqCst);
    }

    /// The texts that were delivered, sorted.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let mut delivered = self.0.delivered.lock().unwrap().clone();
        delivered.sort();
        delivered
    }

    pub(crate) fn built(&self) -> u32 {
        *self.0.built.lock().unwrap()
    }

    /// Waits until so many deliveries have begun.
    pub(crate) async fn begun(&self, deliveries: usize) {
        let mut begun = self.0.begun.subscribe();
        let begun = begun.wait_for(|begun| *begun >= deliveries);
        within("a delivery", begun).await.unwrap();
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}

#[async_trait]
impl SinkConfig for Shelf {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        *self.0.built.lock().unwrap() += 1;
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Shelf {
    fn encode(&self, event: &Event) -> Encoded {
        let text = String::from_utf8_lossy(event.raw()).into_owned();
        let label: Arc<str> = label(&text).into();
        match fate(self.0.seed, &text) {
            Fate::Filtered => {
                let filtered = Filtered::new(Reason::new("consent", "no consent"));
                Encoded::Filtered(filtered.with_label(Some(label)))
            }
            Fate::RejectedAtOnce => {
                let rejection = Rejection::new(Reason::new("unfit", "it is unfit"));
                Encoded::Rejected(rejection.with_label(Some(label)))
            }
            _ => Encoded::Record(Record::new(text.clone(), text).labeled(label)),
        }
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        self.0.begun.send_modify(|begun| *begun += 1);
        let mut is_open = self.0.is_open.subscribe();
        is_open.wait_for(|is_open| *is_open).await.unwrap();
        assert!(!self.0.panics.swap(false, Ordering::SeqCst), "on request");
        let outcome = |record: &Record| {
            let text = record.event_id.to_string();
            if fate(self.0.seed, &text) == Fate::RejectedByDestination {
                let reason = Reason::new("invalid", "the destination does not want it");
                return Outcome::Rejected { reason };
            }
            let is_slow =
                self.0.seed != 0 && choice(self.0.seed + 1, text.as_bytes()).is_multiple_of(8);
            if is_slow && self.0.tried.lock().unwrap().insert(text.clone()) {
                let reason = Reason::new("throttled", "too fast");
                return Outcome::Retry {
                    after: None,
                    reason,
                };
            }
            self.0.delivered.lock().unwrap().push(text);
            Outcome::Delivered
        };
        batch.iter().map(outcome).collect()
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

/// Which kind of event a text is: of the nine kinds, three have no counterpart at the destination.
pub(crate) fn label(text: &str) -> String {
    let kind = choice(7, text.as_bytes()) % 9;
    let counterpart = if kind.is_multiple_of(3) {
        ""
    } else {
        " → Thing"
    };
    format!("kind {kind}{counterpart}")
}

/// The dead letters of a sink, by reason.
pub(crate) fn letters(data_dir: &Path, sink: &str) -> BTreeMap<String, u64> {
    let folder = data_dir.join("dead_letters").join(sink);
    let mut letters = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "ndjson") {
            continue;
        }
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let letter: serde_json::Value = serde_json::from_str(line).unwrap();
            let reason = letter["reason"].as_str().unwrap().to_owned();
            *letters.entry(reason).or_default() += 1;
        }
    }
    letters
}
