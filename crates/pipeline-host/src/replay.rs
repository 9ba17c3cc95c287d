//! Sends dead letters again, on the normal way: queue, batches, retries, and dead letters again for what fails.
//!
//! In: the letters of one sink that a filter lets through. Each is looked at first: what the destination would refuse stays where
//! it is, and what the options say now is applied, as far as the sink can ([`Sink::refit`](pipeline_core::Sink::refit)). Out: the
//! sink's counters, and what is left for which reason.
//!
//! With keys ([`Remap`]), an event is opened out of the sealed copy in its letter and encoded anew, as one that has just come in: the
//! options and the consent of now count, and what is filtered now is finished.
//!
//! Two ways lead here: a process of its own makes the sink from its plan ([`Replaying::new`]), and a running pipeline replays
//! beside its own traffic, through the sink that it has ([`SinkLetters::replay`]). That one has a queue and a worker of its own,
//! so it holds up no event; and it waits while the delivery of the pipeline is paused, waits after a failure, or is blocked.
//!
//! Invariant: a letter is on the disk until its event was delivered or is a dead letter again, with its history; it is marked as
//! finished when its answer is known, so a replay that is killed repeats only what was on its way.

mod judge;
mod progress;
mod way;

use crate::batch::BatchLimit;
use crate::buffer::{Buffer, Queue, QueueLimit};
use crate::config::SinkPlan;
use crate::dead_letter::{DeadLetterError, DeadLetters, Filter, Replay, Segment, Summary};
use crate::runtime::{Failure, Failures, StartOptions};
use crate::sink_input::{InputGuard, SinkInput, SinkSettings};
use crate::status::LiveSink as _;
use crate::stop::{Phase, StopHandle, StopSignal};
use crate::telemetry::{SinkSnapshot, SinkState, SinkTelemetry, Telemetry};
use crate::topology::StartError;
use crate::worker::Worker;
use age_file::Identities;
pub use age_file::{KeyError, MAX_IDENTITY_FILE_BYTES};
use judge::{Judge, Judged};
pub use judge::{Left, MAX_UNFIT_REASONS, Survey, Unfit};
use pipeline_core::SinkContext;
pub use progress::{Progress, ReplayProgress};
use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use way::OnTheWay;

/// Letters that are on their way at the same time.
pub const MAX_ON_THE_WAY: usize = 4_000;
/// Bytes of the letters that are on their way at the same time, unless one is larger.
const MAX_BYTES_ON_THE_WAY: usize = 64 * 1024 * 1024;
/// Bytes of letters that are read at a time, unless one is larger.
const MAX_CHUNK_BYTES: usize = 8 * 1024 * 1024;
/// How often a replay beside a running pipeline looks whether that one's delivery waits.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// Which letters are sent, and how many at most.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Which letters.
    pub filter: Filter,
    /// No more than this many are sent; those that come first.
    pub limit: Option<u64>,
    /// Maps the events anew, out of their sealed copies, instead of sending what was stored.
    pub remap: Option<Arc<Remap>>,
}

/// The keys that open sealed copies of events.
#[derive(Debug)]
pub struct Remap(pub(crate) Identities);

impl Remap {
    /// Reads the text of an identity file of age.
    ///
    /// # Errors
    ///
    /// When there is no secret key in it, or something else.
    pub fn parse(identities: &str) -> Result<Self, KeyError> {
        Identities::parse(identities).map(Self)
    }
}

/// A replay that is ready to run.
pub struct Replaying {
    input: Arc<SinkInput>,
    worker: Worker,
    replay: Replay,
    selection: Selection,
    stop: StopHandle,
    /// The input that this replay is.
    open: InputGuard,
    failures: Failures,
    failed: mpsc::UnboundedReceiver<Failure>,
    progress: Arc<Progress>,
    /// The running sink that it has to wait for.
    beside: Option<Weak<SinkInput>>,
}

/// Why letters could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The sink cannot be made on this machine.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The letters cannot be taken, read or put back.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// A task of the host failed.
    #[error("{0}")]
    Failed(Failure),
}

/// How a replay ended.
#[derive(Debug)]
pub struct Replayed {
    /// The counters of the sink.
    pub sink: SinkSnapshot,
    /// Letters that stay as they were.
    pub left: Left,
    /// The folder of the sink's dead letters.
    pub folder: PathBuf,
}

/// The dead letters of a sink that runs.
#[derive(Clone)]
pub struct SinkLetters {
    input: Weak<SinkInput>,
    letters: DeadLetters,
    judge: Judge,
}

impl SinkLetters {
    /// Those of a sink of the pipeline that has these counters; `None` where no such sink runs. Reads no file.
    pub fn of(telemetry: &Telemetry, sink: &str) -> Option<Self> {
        let live: Arc<dyn Any + Send + Sync> = telemetry.live(sink)?;
        let input: Arc<SinkInput> = live.downcast().ok()?;
        Some(Self {
            letters: input.dead_letters.for_replay(),
            judge: Judge::of(&input),
            input: Arc::downgrade(&input),
        })
    }

    /// The letters themselves.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.letters
    }

    /// Looks how much of their room the letters take, after some were taken out.
    pub async fn look(&self) {
        if let Some(running) = self.input.upgrade() {
            running.letterbox.look().await;
        }
    }

    /// What a replay of these letters would do. Sends and changes nothing. Blocks.
    ///
    /// # Errors
    ///
    /// When the letters cannot be read.
    pub fn survey(&self, selection: &Selection) -> Result<Survey, DeadLetterError> {
        self.judge.survey(&self.letters, selection)
    }

    /// Takes the letters out, to send those that are selected beside the traffic of the pipeline. `None` where the sink was removed.
    ///
    /// # Errors
    ///
    /// [`DeadLetterError::Replaying`] while another replay has the letters; otherwise when the disk refuses.
    pub async fn replay(
        &self,
        selection: Selection,
        total: u64,
    ) -> Result<Option<Replaying>, ReplayError> {
        let Some(running) = self.input.upgrade() else {
            return Ok(None);
        };
        let options = StartOptions {
            clock: Arc::clone(&running.clock),
            observers: running.observers.clone(),
            ..StartOptions::default()
        };
        let current = running.current();
        let mut retry = current.retry.clone();
        retry.max_age_secs = None;
        let settings = SinkSettings {
            sink: Arc::clone(&current.sink),
            drops_newest: false,
            concurrency: current.concurrency,
            retry,
            sealer: None,
        };
        let (stop, signal) = running.stop.part(Duration::ZERO);
        let batch = running.buffer.batch_limit();
        let input = input(
            &running.name,
            settings,
            batch,
            self.letters.clone(),
            &options,
            signal,
        );
        let mut replaying = Replaying::of(input, selection, stop, options.seed).await?;
        replaying.progress.set_total(total);
        replaying.beside = Some(Arc::downgrade(&running));
        Ok(Some(replaying))
    }
}

impl Replaying {
    /// Makes the sink and takes its letters out, to send those that are selected.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Start`] when the sink cannot be made, [`DeadLetterError::Replaying`] while another replay has the
    /// letters; otherwise when the disk refuses.
    pub async fn new(
        mut plan: SinkPlan,
        data_dir: &Path,
        selection: Selection,
        limit: Duration,
        options: &StartOptions,
    ) -> Result<Self, ReplayError> {
        // The time that an event may be tried has passed for most letters; who replays them gives them another chance.
        plan.options.retry.max_age_secs = None;
        let cx = SinkContext::new(plan.name.clone()).with_clock(Arc::clone(&options.clock));
        let sink = plan.make(cx).await?;
        let (stop, signal) = StopHandle::new(limit);
        let letters = DeadLetters::new(data_dir, &plan.name, plan.options.dead_letters.max_bytes);
        let settings = SinkSettings::of(&plan, sink);
        let letters = letters.for_replay();
        let input = input(&plan.name, settings, plan.batch, letters, options, signal);
        Self::of(input, selection, stop, options.seed).await
    }

    async fn of(
        input: SinkInput,
        selection: Selection,
        stop: StopHandle,
        seed: u64,
    ) -> Result<Self, ReplayError> {
        let input = Arc::new(input);
        let letters = Arc::clone(&input.dead_letters);
        let replay = blocking(move || letters.take_for_replay()).await?;
        let (failures, failed) = Failures::channel();
        Ok(Self {
            worker: Worker::new(Arc::clone(&input), seed),
            open: InputGuard::new(&input),
            progress: Arc::new(Progress::of(&input.telemetry)),
            input,
            replay,
            selection,
            stop,
            failures,
            failed,
            beside: None,
        })
    }

    /// A way to stop it.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// How far it has come, also while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The counters; they continue to count.
    pub fn telemetry(&self) -> Telemetry {
        let telemetry = Telemetry::default();
        telemetry.add(Arc::clone(&self.input.telemetry));
        telemetry
    }

    /// Sends everything, one segment after the other.
    ///
    /// # Errors
    ///
    /// When the disk refuses, or a task fails. What has not been finished is replayed again next time.
    pub async fn run(self) -> Result<Replayed, ReplayError> {
        let Self {
            input,
            worker,
            replay,
            selection,
            open,
            failures,
            mut failed,
            progress,
            beside,
            ..
        } = self;
        let worker = worker.start(&failures);
        let running = beside.clone();
        let run = Run {
            judge: Judge::of(&input),
            input: Arc::clone(&input),
            replay: Arc::new(replay),
            selection: Arc::new(selection),
            progress,
        };
        let sent = tokio::select! {
            sent = run.send_all() => sent,
            () = follow(&input, beside) => Ok(Left::default()),
        };
        drop(open);
        worker.ended().await;
        input.end_log();
        if let Some(running) = running.and_then(|running| running.upgrade()) {
            running.letterbox.look().await;
        }
        let left = sent?;
        if let Ok(failure) = failed.try_recv() {
            return Err(ReplayError::Failed(failure));
        }
        Ok(Replayed {
            sink: input.telemetry.snapshot(),
            left,
            folder: input.dead_letters.path().to_owned(),
        })
    }
}

impl fmt::Debug for Replaying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replaying")
            .field("sink", &self.input.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SinkLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkLetters")
            .field("letters", &self.letters.path())
            .finish_non_exhaustive()
    }
}

/// The way into a sink for a replay. The letters themselves outlive this process, so its queue is in memory.
fn input(
    name: &str,
    settings: SinkSettings,
    batch: BatchLimit,
    letters: DeadLetters,
    options: &StartOptions,
    signal: StopSignal,
) -> SinkInput {
    let limit = QueueLimit {
        max_events: MAX_ON_THE_WAY,
        max_bytes: MAX_BYTES_ON_THE_WAY,
    };
    let buffer = Buffer::Memory(Queue::new(limit, batch));
    SinkInput::new(name, settings, buffer, letters, options, signal)
}

/// Pauses a replay while the delivery of the running sink waits. Never ends.
async fn follow(input: &SinkInput, running: Option<Weak<SinkInput>>) {
    let mut look = tokio::time::interval(LOOK_PAUSE);
    loop {
        look.tick().await;
        let Some(running) = running.as_ref().and_then(Weak::upgrade) else {
            // It was removed, or there never was one.
            input.set_paused(false);
            return std::future::pending().await;
        };
        let waits = running.is_paused() || running.telemetry.state() != SinkState::Sending;
        if waits != input.is_paused() {
            input.set_paused(waits);
        }
    }
}

/// What a replay of these letters would do: makes the sink, sends nothing and changes nothing.
///
/// # Errors
///
/// [`ReplayError::Start`] when the sink cannot be made; otherwise when the letters cannot be read.
pub async fn survey(
    plan: &SinkPlan,
    data_dir: &Path,
    selection: Selection,
    options: &StartOptions,
) -> Result<Survey, ReplayError> {
    let cx = SinkContext::new(plan.name.clone()).with_clock(Arc::clone(&options.clock));
    let sink = plan.make(cx).await?;
    let letters = DeadLetters::new(data_dir, &plan.name, plan.options.dead_letters.max_bytes);
    let judge = Judge::new(sink, Arc::clone(&options.clock));
    blocking(move || judge.survey(&letters, &selection)).await
}

/// A replay under way.
struct Run {
    input: Arc<SinkInput>,
    replay: Arc<Replay>,
    selection: Arc<Selection>,
    judge: Judge,
    progress: Arc<Progress>,
}

impl Run {
    async fn send_all(&self) -> Result<Left, ReplayError> {
        let mut left = Left::default();
        let letters = Arc::clone(&self.input.dead_letters);
        left.without_payload = blocking(move || letters.count_plain()).await? as u64;
        for segment in self.replay.segments() {
            if !self.has_ended() {
                self.send_segment(segment, &mut left).await?;
            }
            let (replay, segment) = (Arc::clone(&self.replay), segment.clone());
            if !blocking(move || replay.give_back(&segment)).await? {
                tracing::warn!(sink = %self.input.name, "the dead letters have filled up meanwhile: the letters that were left are kept for the next replay");
            }
        }
        Ok(left)
    }

    /// Whether no further letter is sent.
    fn has_ended(&self) -> bool {
        self.input.stop.now() != Phase::Run
    }

    async fn send_segment(&self, segment: &Segment, left: &mut Left) -> Result<(), ReplayError> {
        let opened = segment.clone();
        let mut taken = blocking(move || opened.open()).await?;
        let mut way = OnTheWay::default();
        let most = self.input.buffer.batch_limit().max_events;
        while !self.has_ended() {
            while way.len() + most > MAX_ON_THE_WAY && way.len() > 0 {
                self.mark(segment, way.settled().await).await?;
            }
            let (judge, selection) = (self.judge.clone(), Arc::clone(&self.selection));
            let (replay, allowed) = (Arc::clone(&self.replay), self.allowed());
            let (back, chunk) = blocking(move || {
                let chunk = taken.next_chunk(most, MAX_CHUNK_BYTES)?;
                let judged = judge.chunk(chunk, &selection, allowed, &replay);
                Ok((taken, judged))
            })
            .await?;
            taken = back;
            let Some(Judged {
                to_send,
                written_again,
                filtered,
                left: of_chunk,
            }) = chunk
            else {
                break;
            };
            self.progress
                .add(&of_chunk, to_send.len(), written_again.len());
            left.join(of_chunk);
            self.mark(segment, written_again).await?;
            let lines = filtered.iter().map(|(line, _)| *line).collect();
            self.mark(segment, lines).await?;
            self.count_filtered(&filtered);
            way.send(&self.input, to_send).await;
            self.mark(segment, way.settled_now()).await?;
        }
        while way.len() > 0 {
            self.mark(segment, way.settled().await).await?;
        }
        Ok(())
    }

    /// Counts events that were read out of their letters and are not meant for the destination any more.
    fn count_filtered(&self, filtered: &[(u64, &'static str)]) {
        let telemetry = &self.input.telemetry;
        SinkTelemetry::add(&telemetry.received, filtered.len());
        telemetry.filter(filtered.iter().map(|(_, code)| (*code, 1)));
    }

    /// How many more letters may be sent.
    fn allowed(&self) -> u64 {
        let limit = self.selection.limit.unwrap_or(u64::MAX);
        limit.saturating_sub(self.progress.sent())
    }

    async fn mark(&self, segment: &Segment, lines: Vec<u64>) -> Result<(), ReplayError> {
        if lines.is_empty() {
            return Ok(());
        }
        let (replay, segment) = (Arc::clone(&self.replay), segment.clone());
        blocking(move || replay.mark(&segment, &lines)).await
    }
}

/// Does something on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeadLetterError> + Send + 'static,
) -> Result<T, ReplayError> {
    let Ok(done) = tokio::task::spawn_blocking(work).await else {
        let failure = Failure::task("a replay".to_owned(), "its reader failed".to_owned());
        return Err(ReplayError::Failed(failure));
    };
    Ok(done?)
}

/// The codes of the reasons that letters can have beside those that a sink gives; for who asks for one that no letter has.
pub const REASONS_OF_THE_HOST: [&str; 6] = [
    "expired",
    "held_at_shutdown",
    "internal",
    "keeps_failing",
    "malformed_json",
    "retries_exhausted",
];

/// Which of these reasons no letter has and the host does not give: most likely they are misspelled. The error lists those that
/// there are.
///
/// # Errors
///
/// A sentence for people.
pub fn check_reasons<'a>(
    wanted: &[String],
    summaries: impl IntoIterator<Item = &'a Summary>,
) -> Result<(), String> {
    let mut known: Vec<String> = Vec::new();
    for summary in summaries {
        known.extend(summary.groups.keys().map(|key| key.reason.clone()));
    }
    known.sort();
    known.dedup();
    let is_known =
        |reason: &&String| known.contains(reason) || REASONS_OF_THE_HOST.contains(&reason.as_str());
    let Some(unknown) = wanted.iter().find(|reason| !is_known(reason)) else {
        return Ok(());
    };
    let unknown = pipeline_core::shown(Path::new(unknown)).to_string();
    if known.is_empty() {
        return Err(format!(
            "no dead letter has the reason `{unknown}`; there are no dead letters"
        ));
    }
    Err(format!(
        "no dead letter has the reason `{unknown}`; expected one of `{}`",
        known.join("`, `")
    ))
}
