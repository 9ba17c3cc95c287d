//! The way into one sink: encode, count, buffer, and dead letters for what the sink will not send.
//!
//! Invariant: an event that comes in is filtered, becomes a dead letter, is dropped by `drop_newest`, or is in the buffer.

use crate::ack::Ack;
use crate::batch::{BatchLimit, Queued, RecordMeta};
use crate::buffer::{Buffer, DiskBuffer, QueueLimit};
use crate::config::option::RetryOptions;
use crate::dead_letter::{DeadLetters, Letter, Past};
use crate::event_counts::{EventBatch, Fate};
use crate::letter_log::{self, LetterLog};
use crate::missing::{self, Watch};
use crate::runtime::{StartOptions, watching};
use crate::status::{BufferLevel, LiveSink};
use crate::stop::StopSignal;
use crate::telemetry::SinkTelemetry;
use pipeline_core::{
    Chunk, Clock, Coverage, Encoded, Event, Filtered, Item, Observer, Origin, Reason, Rejection,
    Sink,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long to wait before a dead letter that could not be written is tried again.
const DEAD_LETTER_RETRY: Duration = Duration::from_secs(5);

/// What is between the sources and one sink.
pub(crate) struct SinkInput {
    pub(crate) name: String,
    pub(crate) buffer: Buffer,
    /// Notified when the sink's options change.
    pub(crate) changed: Notify,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) telemetry: Arc<SinkTelemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) stop: StopSignal,
    /// A person has paused the delivery; events are still taken.
    is_paused: AtomicBool,
    log: Mutex<Log>,
    current: Mutex<Arc<SinkSettings>>,
}

/// What the log of a sink has been told, and what it has to be told.
#[derive(Debug, Default)]
struct Log {
    watch: Watch,
    letters: LetterLog,
}

/// What can change about a sink while it runs.
pub(crate) struct SinkSettings {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) drops_newest: bool,
    pub(crate) concurrency: usize,
    pub(crate) retry: RetryOptions,
}

/// What a sink made of a chunk.
#[derive(Debug, Default)]
pub(crate) struct Encoding {
    pub(crate) records: Vec<Queued>,
    pub(crate) letters: Vec<Letter>,
    /// Filtered events by reason, with the sentence of the first.
    pub(crate) filtered: BTreeMap<&'static str, (u64, Cow<'static, str>)>,
    /// Events by name, and what the sink made of them.
    pub(crate) events: EventBatch,
    /// Events that a transform dropped.
    pub(crate) dropped: EventBatch,
    /// What became of each entry of the chunk, in order, with the source's input that it was made from.
    pub(crate) outcomes: Vec<(usize, EncodeOutcome)>,
}

/// What a sink made of one entry of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EncodeOutcome {
    /// On its way.
    Accepted,
    /// Not meant for the destination, for the reason of this code.
    Filtered(&'static str),
    /// The letter of this index says why.
    Rejected(usize),
}

impl Encoding {
    /// Bytes that the records take in a buffer.
    pub(crate) fn size_bytes(&self) -> usize {
        self.records
            .iter()
            .map(|queued| queued.record.size_bytes())
            .sum()
    }

    fn reject(&mut self, reason: Reason, origin: Origin, first_ms: i64) -> EncodeOutcome {
        self.reject_letter(Letter {
            reason,
            origin,
            attempts: 0,
            first_ms,
            record: None,
            label: None,
            history: Arc::default(),
        })
    }

    fn reject_letter(&mut self, letter: Letter) -> EncodeOutcome {
        let fate = Fate::Rejected(letter.reason.code);
        self.events.add(letter.label(), fate);
        self.letters.push(letter);
        EncodeOutcome::Rejected(self.letters.len() - 1)
    }

    fn accept(&mut self, queued: Queued) -> EncodeOutcome {
        self.events.add(Some(&queued.record.label), Fate::Accepted);
        self.records.push(queued);
        EncodeOutcome::Accepted
    }

    fn filter(&mut self, Filtered { reason, label, .. }: Filtered) -> EncodeOutcome {
        let code = reason.code;
        self.events.add(label.as_ref(), Fate::Filtered(code));
        self.count_filtered(code, reason.detail)
    }

    fn drop_event(&mut self, code: &'static str) -> EncodeOutcome {
        self.dropped.add(None, Fate::Filtered(code));
        self.count_filtered(code, Cow::default())
    }

    fn count_filtered(&mut self, code: &'static str, detail: Cow<'static, str>) -> EncodeOutcome {
        self.filtered.entry(code).or_insert((0, detail)).0 += 1;
        EncodeOutcome::Filtered(code)
    }

    /// The sentence of the first event of this reason.
    fn detail(&self, code: &'static str) -> Option<Cow<'static, str>> {
        let filtered = self.filtered.get(code).map(|(_, detail)| detail);
        let rejected = || {
            let mut letters = self.letters.iter();
            let letter = letters.find(|letter| letter.reason.code == code);
            letter.map(|letter| &letter.reason.detail)
        };
        filtered.or_else(rejected).cloned()
    }
}

/// Keeps a sink open: while it has inputs, batches wait for more records. Ends its input when dropped.
pub(crate) struct InputGuard(Arc<SinkInput>);

impl InputGuard {
    pub(crate) fn new(input: &Arc<SinkInput>) -> Self {
        input.buffer.add_input();
        Self(Arc::clone(input))
    }

    pub(crate) fn sink(&self) -> &Arc<SinkInput> {
        &self.0
    }
}

impl Drop for InputGuard {
    fn drop(&mut self) {
        self.0.buffer.end_input();
    }
}

impl LiveSink for SinkInput {
    fn level(&self) -> BufferLevel {
        self.buffer.level()
    }

    fn coverage(&self) -> Option<Coverage> {
        self.current().sink.coverage()
    }

    fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Acquire)
    }

    fn set_paused(&self, is_paused: bool) {
        self.is_paused.store(is_paused, Ordering::Release);
        self.changed.notify_one();
    }
}

impl SinkInput {
    pub(crate) fn new(
        name: &str,
        settings: SinkSettings,
        buffer: Buffer,
        dead_letters: DeadLetters,
        options: &StartOptions,
        stop: StopSignal,
    ) -> Self {
        let found = buffer.disk().map(DiskBuffer::found);
        Self {
            name: name.to_owned(),
            buffer,
            changed: Notify::new(),
            dead_letters: Arc::new(dead_letters),
            telemetry: Arc::new(SinkTelemetry::new(name, found)),
            clock: Arc::clone(&options.clock),
            observers: options.observers.clone(),
            stop,
            is_paused: AtomicBool::new(false),
            log: Mutex::default(),
            current: Mutex::new(Arc::new(settings)),
        }
    }

    /// The sink as it is configured now.
    pub(crate) fn current(&self) -> Arc<SinkSettings> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the options. Records that wait stay as they are.
    pub(crate) fn change(&self, settings: SinkSettings, limit: QueueLimit, batch: BatchLimit) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.buffer.set_limits(limit, batch);
        self.changed.notify_one();
    }

    /// Moves what is on disk into memory, as there is room, until nothing more comes.
    pub(crate) async fn feed(&self) {
        if let Some(disk) = self.buffer.disk() {
            let damaged = |events| {
                let detail = "the disk buffer's checksum does not match; what is left of it was set aside in the buffer's folder";
                self.telemetry.lose(&Reason::new("damaged", detail), events);
            };
            let found = |records: &[Queued]| {
                let records = records.iter().map(|queued| &queued.record);
                self.telemetry.find(records);
            };
            disk.feed(self.stop.clone(), damaged, found).await;
        }
    }

    /// Turns the entries of a chunk into records, each with a clone of `ack`. Changes nothing.
    pub(crate) fn encode(&self, chunk: &Chunk, ack: &Ack) -> Encoding {
        let entries = chunk.entries();
        let mut encoding = Encoding::default();
        encoding.records.reserve(entries.len());
        encoding.outcomes.reserve(entries.len());
        let since = Instant::now();
        let first_ms = self.clock.now_ms();
        let history: Arc<[Past]> = Arc::default();
        let settings = self.current();
        for entry in entries {
            let outcome = match &entry.item {
                Item::Event(event) => match self.encode_one(&settings, event) {
                    Encoded::Record(record) => {
                        let meta = RecordMeta {
                            origin: event.origin().clone(),
                            attempts: 0,
                            since,
                            first_ms,
                            history: Arc::clone(&history),
                            ack: ack.clone(),
                            slot: None,
                        };
                        encoding.accept(Queued { record, meta })
                    }
                    Encoded::Filtered(filtered) => encoding.filter(filtered),
                    Encoded::Rejected(rejection) => encoding.reject_letter(Letter {
                        reason: rejection.reason,
                        origin: event.origin().clone(),
                        attempts: 0,
                        first_ms,
                        record: rejection.record.map(|record| *record),
                        label: rejection.label,
                        history: Arc::clone(&history),
                    }),
                    _ => {
                        let detail = "the sink answered in a way that this host does not know";
                        let reason = Reason::new("internal", detail);
                        encoding.reject(reason, event.origin().clone(), first_ms)
                    }
                },
                Item::Rejected { origin, reason } => {
                    encoding.reject(reason.clone(), origin.clone(), first_ms)
                }
                Item::Dropped { reason } => encoding.drop_event(reason.code),
                _ => encoding.drop_event("dropped"),
            };
            encoding.outcomes.push((entry.input, outcome));
        }
        encoding
    }

    /// Encodes one event. A panic of a plugin costs the one event that causes it.
    fn encode_one(&self, settings: &SinkSettings, event: &Event) -> Encoded {
        let encode = AssertUnwindSafe(|| settings.sink.encode(event));
        let encoded = catch_unwind(encode).unwrap_or_else(|_| {
            let detail = "the sink failed on this event; please report it";
            Encoded::Rejected(Rejection::new(Reason::new("internal", detail)))
        });
        for observer in watching(&self.observers) {
            observer.encoded(&self.name, event, &encoded);
        }
        encoded
    }

    /// Counts events and hands them on: records to the buffer, waiting for room, and letters to the dead letters. Says
    /// whether the letters are there; for the records their acknowledgement speaks.
    pub(crate) async fn accept(&self, encoding: Encoding) -> bool {
        let (records, letters) = self.count(encoding);
        let kept = self.reject(letters).await;
        if self.current().drops_newest {
            self.push_or_drop(records);
        } else {
            self.push(records).await;
        }
        kept
    }

    /// Puts into the buffer what fits now, and drops the rest.
    pub(crate) fn push_or_drop(&self, records: Vec<Queued>) {
        let rest = self.buffer.try_push(records);
        if !rest.is_empty() {
            tracing::debug!(sink = %self.name, events = rest.len(), reason = "buffer_full", "events dropped");
            let dropped = rest.iter().map(|queued| &queued.record);
            self.telemetry.drop_newest(dropped);
            rest.into_iter()
                .map(|queued| queued.meta.ack)
                .for_each(Ack::done);
        }
    }

    /// Puts records into the buffer, waiting for room until the pipeline must end; what the buffer has not taken by then is
    /// held.
    pub(crate) async fn push(&self, records: Vec<Queued>) {
        let mut rest: VecDeque<Queued> = records.into();
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            () = self.buffer.push(&mut rest) => {}
            () = stop.deadline() => {}
        }
        if !rest.is_empty() {
            self.hold(rest.into()).await;
        }
    }

    /// Counts what came in, and hands over what has to go somewhere.
    pub(crate) fn count(&self, encoding: Encoding) -> (Vec<Queued>, Vec<Letter>) {
        SinkTelemetry::add(&self.telemetry.received, encoding.outcomes.len());
        let filtered = encoding.filtered.iter();
        self.telemetry
            .filter(filtered.map(|(code, (events, _))| (*code, *events)));
        self.telemetry
            .take_in([&encoding.events, &encoding.dropped]);
        let detail = |code| encoding.detail(code);
        let warning = self
            .log()
            .watch
            .add(&encoding.events, detail, Instant::now());
        self.warn(warning);
        (encoding.records, encoding.letters)
    }

    /// Writes rejected events to the dead letters, and counts them. Says whether they are there: they are not when the
    /// pipeline had to end first.
    pub(crate) async fn reject(&self, letters: Vec<Letter>) -> bool {
        if letters.is_empty() {
            return true;
        }
        let Some(letters) = self.write(letters).await else {
            return false;
        };
        self.telemetry.reject(&letters);
        let line = self.log().letters.add(&letters, Instant::now());
        self.tell_of_letters(line);
        for letter in letters.iter() {
            for observer in watching(&self.observers) {
                observer.rejected(&self.name, &letter.origin, &letter.reason);
            }
        }
        true
    }

    /// Ends what is left: what its source would send again is given up; the rest goes to the dead letters. All of it
    /// stays counted as held.
    pub(crate) async fn hold(&self, records: Vec<Queued>) {
        let (again, lost): (Vec<_>, Vec<_>) = records
            .into_iter()
            .partition(|queued| queued.meta.ack.is_awaited());
        SinkTelemetry::add(&self.telemetry.given_up, again.len());
        drop(again);
        let letters = lost.into_iter().map(|queued| Letter {
            reason: Reason::new(
                "held_at_shutdown",
                "the pipeline stopped before the event was delivered",
            ),
            origin: queued.meta.origin,
            attempts: queued.meta.attempts,
            first_ms: queued.meta.first_ms,
            record: Some(queued.record),
            label: None,
            history: queued.meta.history,
        });
        self.write(letters.collect()).await;
    }

    /// Tells the log what it has to be told by now. To be called once a minute.
    pub(crate) fn tell_log(&self) {
        let now = Instant::now();
        let mut log = self.log();
        let (warning, line) = (log.watch.look(now), log.letters.look(now));
        drop(log);
        self.warn(warning);
        self.tell_of_letters(line);
    }

    /// Tells the log what is left to tell: no more events come.
    pub(crate) fn end_log(&self) {
        let mut log = self.log();
        let (warning, line) = (log.watch.end(Instant::now()), log.letters.end());
        drop(log);
        self.warn(warning);
        self.tell_of_letters(line);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Warns that most events are not sent, with what the sink advises.
    fn warn(&self, warning: Option<missing::Warning>) {
        let Some(warning) = warning else {
            return;
        };
        let sink = Arc::clone(&self.current().sink);
        let ask = AssertUnwindSafe(|| sink.advise(&warning.kinds));
        // Without advice, the counts are still worth a line.
        let advice = catch_unwind(ask).unwrap_or_default();
        let (sink, reason) = (&self.name, warning.cause());
        tracing::warn!(%sink, reason, "{}", warning.sentence(advice.as_deref()));
    }

    fn tell_of_letters(&self, line: Option<letter_log::Line>) {
        if let Some(letter_log::Line {
            reason, sentence, ..
        }) = line
        {
            tracing::warn!(sink = %self.name, reason, "{sentence}");
        }
    }

    /// Lets go of what is on disk, after the last record was sent.
    pub(crate) async fn close(self: Arc<Self>) {
        self.end_log();
        let input = Arc::clone(&self);
        let closed =
            tokio::task::spawn_blocking(move || input.buffer.disk().map(DiskBuffer::close));
        // What the disk did not take in time.
        if let Ok(Some(refused)) = closed.await {
            self.hold(refused).await;
        }
    }

    /// Writes letters, again and again until the disk takes them or the pipeline must end.
    async fn write(&self, letters: Vec<Letter>) -> Option<Arc<Vec<Letter>>> {
        let letters = Arc::new(letters);
        if letters.is_empty() {
            return Some(letters);
        }
        loop {
            let (file, batch) = (Arc::clone(&self.dead_letters), Arc::clone(&letters));
            let now_ms = self.clock.now_ms();
            let written = tokio::task::spawn_blocking(move || file.append(&batch, now_ms)).await;
            let problem = match written {
                Ok(Ok(())) => {
                    self.telemetry.set_stuck(None);
                    return Some(letters);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the writer of dead letters failed".to_owned(),
            };
            tracing::error!(sink = %self.name, events = letters.len(), "{problem}");
            self.telemetry.set_stuck(Some(problem));
            let mut stop = self.stop.clone();
            tokio::select! {
                () = tokio::time::sleep(DEAD_LETTER_RETRY) => {}
                () = stop.deadline() => return None,
            }
        }
    }
}
