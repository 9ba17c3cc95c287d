//! The way into one sink: encode, count, buffer, and dead letters for what the sink will not send.
//!
//! Invariant: an event that comes in is filtered, becomes a dead letter, is dropped by `drop_newest`, or is in the buffer.

use crate::ack::Ack;
use crate::batch::{BatchLimit, Queued, RecordMeta};
use crate::buffer::{Buffer, DiskBuffer, QueueLimit};
use crate::config::option::RetryOptions;
use crate::dead_letter::{DeadLetters, Letter, Past, Sealed, Sealer, Trace};
use crate::event_counts::{EventBatch, Fate};
use crate::letter_log::{self, LetterLog};
use crate::letterbox::{Group, Letterbox, RETRY_PAUSE, Work};
use crate::missing::{self, Watch};
use crate::pulse::{Pulse, age_of};
use crate::runtime::{StartOptions, watching};
use crate::status::{BufferLevel, LiveSink};
use crate::stop::{LETTERS_LIMIT, LETTERS_LIMIT_OF_QUIT, Phase, StopSignal};
use crate::telemetry::SinkTelemetry;
use crate::wording::thousands;
use pipeline_core::{
    Chunk, Clock, Cookie, Coverage, Encoded, Event, Filtered, Item, Observer, Origin, Reason,
    Rejection, Sink,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a destination may take for the health check at the start.
const HEALTH_LIMIT: Duration = Duration::from_secs(30);
/// Sinks of other partitions that still deliver what was made for them, after as many reloads. What is left of one that is
/// forgotten waits, and is never sent to another partition.
const MAX_EARLIER_SINKS: usize = 8;
/// How often it is looked whether sealed copies of events have been kept long enough.
const FORGET_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How long a disk buffer may take to close when the pipeline stops. What it has not written by then was not acknowledged.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What is between the sources and one sink.
pub(crate) struct SinkInput {
    pub(crate) name: String,
    pub(crate) buffer: Buffer,
    /// Notified when the sink's options change.
    pub(crate) changed: Notify,
    pub(crate) dead_letters: Arc<DeadLetters>,
    pub(crate) letterbox: Letterbox,
    pub(crate) telemetry: Arc<SinkTelemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) stop: StopSignal,
    /// A person has paused the delivery; events are still taken.
    is_paused: AtomicBool,
    log: Mutex<Log>,
    current: Mutex<Arc<SinkSettings>>,
    /// What a reload has replaced.
    earlier: Mutex<Earlier>,
}

/// Earlier sinks of a running input.
#[derive(Default)]
struct Earlier {
    /// Those of other partitions, the latest last: what was made for them is delivered through them.
    sinks: VecDeque<Arc<dyn Sink>>,
    /// The last one, which may still be encoding.
    last: Option<Arc<dyn Sink>>,
    /// What those before it have said of their events.
    coverage: Option<Coverage>,
}

impl Earlier {
    fn add(&mut self, sink: Arc<dyn Sink>) {
        if let Some(before) = self.last.replace(sink) {
            self.coverage = joined(self.coverage.take(), before.coverage());
        }
    }
}

/// The coverage of two parts of a run.
fn joined(first: Option<Coverage>, later: Option<Coverage>) -> Option<Coverage> {
    match (first, later) {
        (Some(first), Some(later)) => Some(first.and_later(later)),
        (first, later) => first.or(later),
    }
}

/// What the log of a sink has been told, and what it has to be told.
#[derive(Debug, Default)]
struct Log {
    watch: Watch,
    letters: LetterLog,
    pulse: Pulse,
}

/// What can change about a sink while it runs.
pub(crate) struct SinkSettings {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) drops_newest: bool,
    pub(crate) concurrency: usize,
    pub(crate) retry: RetryOptions,
    /// Seals copies of events that become letters, where the options ask for it.
    pub(crate) sealer: Option<Sealer>,
}

/// What a sink made of a chunk.
#[derive(Debug, Default)]
pub(crate) struct Encoding {
    pub(crate) records: Vec<Queued>,
    pub(crate) letters: Vec<Letter>,
    /// The sentence of the first letter of each reason, of those that were taken out.
    rejected: BTreeMap<&'static str, Cow<'static, str>>,
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

    /// Takes out the letters whose event can be sent again, and those that are notes only.
    pub(crate) fn take_letters(&mut self) -> [Vec<Letter>; 2] {
        let letters = std::mem::take(&mut self.letters);
        for letter in &letters {
            let first = self.rejected.entry(letter.reason.code);
            first.or_insert_with(|| letter.reason.detail.clone());
        }
        let (whole, plain) = letters
            .into_iter()
            .partition(|letter| letter.record.is_some() || letter.sealed.is_some());
        [whole, plain]
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
            trace: None,
            sealed: None,
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
        filtered.or_else(|| self.rejected.get(code)).cloned()
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

    fn sink(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.current().sink)
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
        for observer in &options.observers {
            observer.opened(name, &settings.sink);
        }
        let telemetry = Arc::new(SinkTelemetry::new(name, found));
        let dead_letters = Arc::new(dead_letters);
        let (file, clock) = (Arc::clone(&dead_letters), Arc::clone(&options.clock));
        Self {
            name: name.to_owned(),
            buffer,
            changed: Notify::new(),
            dead_letters,
            letterbox: Letterbox::new(name, file, clock, Arc::clone(&telemetry)),
            telemetry,
            clock: Arc::clone(&options.clock),
            observers: options.observers.clone(),
            stop,
            is_paused: AtomicBool::new(false),
            log: Mutex::default(),
            current: Mutex::new(Arc::new(settings)),
            earlier: Mutex::default(),
        }
    }

    /// The sink that delivers records of this partition: never one of another.
    pub(crate) fn sink_for(&self, partition: &str) -> Option<Arc<dyn Sink>> {
        let fits = |sink: &Arc<dyn Sink>| {
            // Letters of early versions say nothing of their partition.
            partition.is_empty() || sink.partition().is_none_or(|own| *own == *partition)
        };
        let current = Arc::clone(&self.current().sink);
        if fits(&current) {
            return Some(current);
        }
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.sinks.iter().rev().find(|sink| fits(sink)).cloned()
    }

    /// What every sink of this run says of its events.
    pub(crate) fn coverage(&self) -> Option<Coverage> {
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        let last = earlier.last.as_ref().and_then(Sink::coverage);
        let before = joined(earlier.coverage.clone(), last);
        joined(before, self.current().sink.coverage())
    }

    /// The sink as it is configured now.
    pub(crate) fn current(&self) -> Arc<SinkSettings> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the options. Records that wait stay as they are.
    pub(crate) fn change(&self, settings: SinkSettings, limit: QueueLimit, batch: BatchLimit) {
        let partition = settings.sink.partition();
        for observer in &self.observers {
            observer.opened(&self.name, &settings.sink);
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, Arc::new(settings));
        drop(current);
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if before.sink.partition() != partition {
            earlier.sinks.push_back(Arc::clone(&before.sink));
            if earlier.sinks.len() > MAX_EARLIER_SINKS {
                earlier.sinks.pop_front();
            }
        }
        earlier.add(Arc::clone(&before.sink));
        drop(earlier);
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
                            failures: 0,
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
                        sealed: self.seal(&settings, event, rejection.reason.code),
                        reason: rejection.reason,
                        origin: event.origin().clone(),
                        attempts: 0,
                        first_ms,
                        record: rejection.record.map(|record| *record),
                        label: rejection.label,
                        history: Arc::clone(&history),
                        trace: Some(Box::new(trace(event))),
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
            if observer.wants_explanation(&self.name) {
                self.explain(settings, event, observer);
            }
            observer.encoded(&self.name, event, &encoded);
        }
        encoded
    }

    /// A sealed copy of an event that becomes a letter, where the options ask for it.
    fn seal(&self, settings: &SinkSettings, event: &Event, reason: &str) -> Option<Box<Sealed>> {
        let sealer = settings.sealer.as_ref()?;
        let partition = settings.sink.partition();
        sealer.seal(event, reason, partition.as_deref(), self.clock.now_ms())
    }

    /// Explains an event to an observer, beside its encoding: what is sent and what is counted never depends on who watches.
    #[cold]
    fn explain(&self, settings: &SinkSettings, event: &Event, observer: &dyn Observer) {
        let explain = AssertUnwindSafe(|| settings.sink.explain(event));
        if let Ok(explained) = catch_unwind(explain) {
            observer.explained(&self.name, event, &explained);
        }
    }

    /// The cookies of the destination for the browser that sent this event.
    pub(crate) fn cookies(&self, event: &Event) -> Option<Vec<Cookie>> {
        let settings = self.current();
        let cookies = AssertUnwindSafe(|| settings.sink.cookies(event));
        catch_unwind(cookies).unwrap_or_else(|_| Some(Vec::new()))
    }

    /// Counts events and hands them on: records to the buffer, waiting for room, and letters to the letterbox. Each of them
    /// holds clones of `ack`.
    pub(crate) async fn accept(&self, mut encoding: Encoding, ack: &Ack) {
        let [whole, plain] = encoding.take_letters();
        let records = self.count(encoding);
        self.keep_plain(plain, self.end()).await;
        if !whole.is_empty() {
            let mut stop = self.stop.clone();
            tokio::select! {
                () = self.letterbox.has_room() => {}
                () = stop.deadline() => {}
            }
            self.post(Group {
                letters: whole,
                acks: vec![ack.clone()],
                ..Group::default()
            })
            .await;
        }
        if self.current().drops_newest {
            self.push_or_drop(records);
        } else {
            self.push(records).await;
        }
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
    pub(crate) fn count(&self, encoding: Encoding) -> Vec<Queued> {
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
        self.look_at_buffer();
        encoding.records
    }

    /// Leaves letters to be written. Never waits for the disk, unless the pipeline has ended already.
    pub(crate) async fn post(&self, group: Group) {
        // What is on disk as well need not fill memory: the next run finds it there.
        if group.done.is_on_disk() && self.letterbox.is_full() {
            self.buffer.finish(&group.done.only_in_memory());
            return;
        }
        if let Err(group) = self.letterbox.post(group)
            && let Err(group) = self.write_group(group).await
        {
            self.give_up(&group);
        }
    }

    /// Writes what is in the letterbox until it is closed and empty, or the pipeline must end.
    pub(crate) async fn keep_letters(self: Arc<Self>) {
        let mut stop = self.stop.clone();
        self.letterbox.look().await;
        let mut forget_at = Instant::now();
        loop {
            if forget_at <= Instant::now() {
                self.letterbox.forget_raw().await;
                forget_at = Instant::now() + FORGET_PAUSE;
            }
            match self.letterbox.work() {
                Work::Write(group) => {
                    let Err(group) = self.write_group(group).await else {
                        self.letterbox.has_left();
                        continue;
                    };
                    self.letterbox.put_back(group);
                    let (mut stopping, runs) = (stop.clone(), stop.now() == Phase::Run);
                    tokio::select! {
                        biased;
                        () = stop.deadline() => break,
                        // At once, so that what can be written then is.
                        () = stopping.stopped(), if runs => {}
                        () = tokio::time::sleep(RETRY_PAUSE) => {}
                    }
                }
                Work::Wait => tokio::select! {
                    () = self.letterbox.changed() => {}
                    () = tokio::time::sleep_until(forget_at) => {}
                },
                Work::End => break,
            }
        }
        self.letterbox.close();
        for group in self.letterbox.take_all() {
            self.give_up(&group);
        }
    }

    /// Writes letters, counts them and tells who waits for them; gives them back if the disk does not take them.
    async fn write_group(&self, mut group: Group) -> Result<(), Group> {
        let letters = Arc::new(std::mem::take(&mut group.letters));
        if !self.letterbox.append(&letters, self.end()).await {
            group.letters = Arc::unwrap_or_clone(letters);
            return Err(group);
        }
        self.count_letters(&letters, 0);
        group.acks.into_iter().for_each(Ack::done);
        self.buffer.finish(&group.done);
        Ok(())
    }

    /// Letters that are not written: they stay on disk, or are read again, or are lost. All of them stay counted as held.
    fn give_up(&self, group: &Group) {
        let is_awaited = group.acks.iter().any(Ack::is_awaited);
        if is_awaited && !group.done.is_on_disk() {
            SinkTelemetry::add(&self.telemetry.given_up, group.letters.len());
        }
    }

    /// Writes letters that a client waits for; says whether they are on the disk by then.
    pub(crate) async fn write_in_time(
        &self,
        letters: &Arc<Vec<Letter>>,
        deadline: Instant,
    ) -> bool {
        let limit = tokio::time::sleep_until(deadline);
        self.letterbox.append(letters, limit).await
    }

    /// Writes letters without a payload, as far as there is room for such, and counts them all.
    pub(crate) async fn keep_plain(&self, letters: Vec<Letter>, limit: impl Future<Output = ()>) {
        let letters = Arc::new(letters);
        let unkept = self.letterbox.append_plain(&letters, limit).await;
        self.count_letters(&letters, unkept);
    }

    /// Counts letters, some of them not kept, and tells the log and whoever watches.
    pub(crate) fn count_letters(&self, letters: &[Letter], unkept: usize) {
        if letters.is_empty() {
            return;
        }
        self.telemetry.reject(letters);
        self.telemetry.leave_out(unkept);
        let mut log = self.log();
        log.letters.leave_out(unkept);
        let line = log.letters.add(letters, Instant::now());
        drop(log);
        self.tell_of_letters(line);
        for letter in letters {
            for observer in watching(&self.observers) {
                observer.rejected(&self.name, &letter.origin, &letter.reason);
            }
        }
    }

    /// Waits until the pipeline must end, and a little longer, so that one attempt to write is always made.
    async fn end(&self) {
        self.stop.clone().deadline().await;
        let limit = match self.stop.now() {
            Phase::Quit => LETTERS_LIMIT_OF_QUIT,
            _ => LETTERS_LIMIT,
        };
        tokio::time::sleep(limit).await;
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
            attempts: queued.meta.sent(),
            origin: queued.meta.origin,
            first_ms: queued.meta.first_ms,
            record: Some(queued.record),
            label: None,
            history: queued.meta.history,
            trace: None,
            sealed: None,
        });
        self.write(letters.collect()).await;
    }

    /// Tells the log what it has to be told by now. To be called once a minute.
    pub(crate) fn tell_log(&self) {
        let now = Instant::now();
        let (snapshot, percent) = (self.telemetry.snapshot(), self.buffer.percent());
        let oldest = self.buffer.oldest_ms();
        let age = oldest.map(|first_ms| self.clock.now_ms().saturating_sub(first_ms));
        let mut log = self.log();
        let (warning, line) = (log.watch.look(now), log.letters.look(now));
        let pulse = log.pulse.line(&snapshot, percent, age);
        drop(log);
        self.warn(warning);
        self.tell_of_letters(line);
        if let Some(line) = pulse {
            tracing::info!(sink = %self.name, "{line}");
        }
        self.look_at_buffer();
    }

    /// Tells the log when the buffer fills, and when that is over.
    fn look_at_buffer(&self) {
        let percent = self.buffer.percent();
        let told = self.log().pulse.level(percent, Instant::now());
        match told {
            Some((line, true)) => tracing::warn!(sink = %self.name, "{line}"),
            Some((line, false)) => tracing::info!(sink = %self.name, "{line}"),
            None => {}
        }
    }

    /// A request found no room.
    pub(crate) fn refuse(&self) {
        let told = self.log().pulse.refuse(Instant::now());
        if let Some(line) = told {
            tracing::warn!(sink = %self.name, "{line}");
        }
    }

    /// Tells the log what an earlier run has left.
    pub(crate) fn tell_backlog(&self) {
        let Some(disk) = self.buffer.disk().filter(|disk| disk.found() > 0) else {
            return;
        };
        let (events, percent) = (thousands(disk.found()), self.buffer.percent());
        let now_ms = self.clock.now_ms();
        let age = disk
            .oldest_ms()
            .map(|first_ms| age_of(now_ms.saturating_sub(first_ms)));
        let oldest = age.map_or_else(String::new, |age| format!(", oldest {age}"));
        tracing::info!(sink = %self.name, "waiting in the disk buffer since an earlier run: {events}{oldest}, buffer {percent} %");
    }

    /// Tells the log when the destination does not answer as it should.
    pub(crate) async fn check_destination(&self) {
        let sink = Arc::clone(&self.current().sink);
        let checked = tokio::time::timeout(HEALTH_LIMIT, sink.healthcheck()).await;
        let problem = match checked {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("does not pass its health check: {error}"),
            Err(_) => "has not answered the health check".to_owned(),
        };
        tracing::warn!(sink = %self.name, "the destination {problem}; events are kept until it does");
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
        let mut stop = self.stop.clone();
        let limit = async {
            stop.stopped().await;
            tokio::time::sleep(CLOSE_LIMIT).await;
        };
        tokio::select! {
            biased;
            closed = closed => {
                // What the disk did not take in time.
                if let Ok(Some(refused)) = closed {
                    self.hold(refused).await;
                }
            }
            () = limit => tracing::error!(sink = %self.name, "the disk buffer did not close in time; what was acknowledged is on disk"),
        }
    }

    /// Writes letters, again and again until the disk takes them or the pipeline must end.
    async fn write(&self, letters: Vec<Letter>) {
        let letters = Arc::new(letters);
        while !self.letterbox.append(&letters, self.end()).await {
            let mut stop = self.stop.clone();
            tokio::select! {
                biased;
                () = stop.deadline() => return,
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }
}

/// What a letter says of an event that did not become a record.
#[cold]
fn trace(event: &Event) -> Trace {
    let client = event.meta().and_then(|meta| meta.peer);
    Trace::of(event.raw(), client)
}
