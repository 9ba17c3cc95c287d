//! Moves what a reader thread reads to the intake, for sources of lines.
//!
//! The thread may block on what it reads. It cuts lines into batches ([`Output::cut`]) and puts them into a bounded queue;
//! [`run`] sends them to the intake in that order. A batch may carry progress: how far the source has come with it. Its
//! receipt then goes to whoever keeps the progress.
//!
//! Invariant: batches keep the order of the lines, and a batch with progress holds every event up to there that no batch
//! before it held.

use crate::line::too_large;
use bytes::Bytes;
use json_framing::{Found, Values};
use pipeline_core::{
    AckLevel, AckStatus, Chunk, Clock, Event, Input, Intake, Origin, Receipt, SourceError, Stop,
};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Batches that wait for the intake.
const QUEUED_BATCHES: usize = 4;
/// Lines of one batch at most.
pub(crate) const BATCH_LINES: usize = 256;
/// Bytes of one batch after which no further line is added.
const BATCH_BYTES: usize = 512 * 1024;

/// What was read at once.
pub(crate) struct Batch<P> {
    pub(crate) inputs: Vec<Input>,
    /// How far the source has come with it, where something keeps that.
    pub(crate) progress: Option<P>,
}

/// What the thread puts into the queue: a batch, or what it cannot read while it continues with the rest.
pub(crate) type Read<P> = Result<Batch<P>, SourceError>;

/// The pipeline has stopped and reads the queue no longer.
#[derive(Debug)]
pub(crate) struct Stopped;

/// Why a reader ended before its input did.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The pipeline has stopped.
    Stopped,
    /// The rest of the input cannot be read.
    Failed(SourceError),
}

impl From<Stopped> for Ended {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

/// The thread's end of the queue.
pub(crate) struct Output<P> {
    pub(crate) source: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: mpsc::Sender<Read<P>>,
}

impl<P> Output<P> {
    /// Queues a batch, waiting for room.
    pub(crate) fn send(&self, inputs: Vec<Input>, progress: Option<P>) -> Result<(), Stopped> {
        if inputs.is_empty() && progress.is_none() {
            return Ok(());
        }
        let batch = Batch { inputs, progress };
        self.queue.blocking_send(Ok(batch)).map_err(|_| Stopped)
    }

    /// Reports what could not be read.
    pub(crate) fn report(&self, error: SourceError) -> Result<(), Stopped> {
        self.queue.blocking_send(Err(error)).map_err(|_| Stopped)
    }

    /// Whether the pipeline has stopped.
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Cuts the next batch of no more than so many lines: its events, and whether there is more. What was read before an error is valid.
    pub(crate) fn cut<R: io::Read>(
        &self,
        values: &mut Values<R>,
        label: &Arc<str>,
        most: usize,
    ) -> (Vec<Input>, io::Result<bool>) {
        // One allocation per batch; its events share it.
        let room = if values.has_more_at_hand() {
            BATCH_BYTES
        } else {
            0
        };
        let (mut text, mut found) = (Vec::with_capacity(room), Vec::new());
        let received_ms = self.clock.now_ms();
        let mut more = Ok(true);
        while found.len() < most && text.len() < BATCH_BYTES {
            let (line, value) = match values.next_value() {
                Ok(Some(found)) => found,
                Ok(None) => {
                    more = Ok(false);
                    break;
                }
                Err(error) => {
                    more = Err(error);
                    break;
                }
            };
            let start = text.len();
            let range = match value {
                Found::Value(value) => {
                    text.extend_from_slice(value);
                    Some(start..text.len())
                }
                Found::TooLong => None,
                Found::BrokenList(why) => {
                    if !values.is_first_broken_list() {
                        continue;
                    }
                    tracing::warn!(source = %label, "the list that begins in line {line} is not JSON as a whole: {why}; its elements are read");
                    continue;
                }
            };
            found.push((line, range));
            // A person who types, or a slow writer, must not wait for a batch to fill.
            if !values.has_more_at_hand() {
                break;
            }
        }
        let text = Bytes::from(text);
        let inputs = found.into_iter().map(|(number, range)| {
            let origin = Origin::line(Arc::clone(label), number);
            match range {
                Some(range) => Event::new(text.slice(range), received_ms)
                    .with_origin(origin)
                    .into(),
                None => Input::unreadable(origin, too_large()),
            }
        });
        (inputs.collect(), more)
    }
}

/// Where the receipts of batches with progress go, in the order of reading.
pub(crate) type Receipts<P> = mpsc::Sender<(Receipt, P)>;

/// Runs `read` on a thread of its own and sends what it reads, until the input ends or the pipeline stops. Drops `to` and
/// `receipts` when nothing more will be sent.
///
/// # Errors
///
/// When the reader failed or panicked.
pub(crate) async fn run<P: Send + 'static>(
    source: String,
    clock: Arc<dyn Clock>,
    read: impl FnOnce(&Output<P>) -> Result<(), Ended> + Send + 'static,
    receipts: Option<Receipts<P>>,
    to: Arc<dyn Intake>,
    stop: &Stop,
) -> Result<(), SourceError> {
    let (queue, mut batches) = mpsc::channel(QUEUED_BATCHES);
    let output = Output {
        source: source.clone(),
        clock,
        queue,
    };
    // No task of the runtime, because a read from standard input cannot be interrupted.
    let thread = std::thread::Builder::new()
        .spawn(move || read(&output))
        .map_err(|error| {
            let text = format!("source `{source}`: the reader thread cannot be started: {error}");
            SourceError::new(text)
        })?;
    let mut stopping = std::pin::pin!(stop.stopping());
    let has_ended = loop {
        let read = tokio::select! {
            () = &mut stopping => break false,
            () = closed(receipts.as_ref()) => break false,
            read = batches.recv() => read,
        };
        match read {
            Some(Ok(batch)) => {
                if !forward(batch, receipts.as_ref(), to.as_ref(), stopping.as_mut()).await {
                    break false;
                }
            }
            Some(Err(error)) => to.report(error),
            None => break true,
        }
    };
    drop((batches, receipts, to));
    // A thread that has dropped its end of the queue is about to finish. After a stop it may be blocked in a read.
    if !has_ended && !thread.is_finished() {
        return Ok(());
    }
    match thread.join() {
        Ok(Ok(()) | Err(Ended::Stopped)) => Ok(()),
        Ok(Err(Ended::Failed(error))) => Err(error),
        Err(_) => Err(SourceError::new(format!(
            "source `{source}`: the reader thread panicked; please report it"
        ))),
    }
}

/// Waits until nothing follows the receipts any more.
async fn closed<P>(receipts: Option<&Receipts<P>>) {
    match receipts {
        Some(receipts) => receipts.closed().await,
        None => std::future::pending().await,
    }
}

/// Sends one batch. Waits first while too many receipts are open; returns whether to continue: not when the pipeline stops
/// meanwhile, and not when nothing follows the receipts any more.
async fn forward<P>(
    batch: Batch<P>,
    receipts: Option<&Receipts<P>>,
    to: &dyn Intake,
    stopping: Pin<&mut (impl Future<Output = ()> + Send)>,
) -> bool {
    let followed = match batch.progress.zip(receipts) {
        None => None,
        Some((progress, receipts)) => tokio::select! {
            () = stopping => return false,
            permit = receipts.reserve() => match permit {
                Ok(permit) => Some((permit, progress)),
                Err(_) => return false,
            },
        },
    };
    let receipt = if batch.inputs.is_empty() {
        Receipt::settled_as(AckStatus::Safe)
    } else {
        // Without progress the source cannot read the events again.
        let ack = followed.as_ref().map(|_| AckLevel::Stored);
        to.send(Chunk::new(batch.inputs), ack).await
    };
    if let Some((permit, progress)) = followed {
        permit.send((receipt, progress));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_intake::{Step, StopHandle, TestIntake};
    use pipeline_core::ManualClock;
    use std::time::Duration;

    /// What a reader of these tests does at the end of its lines.
    #[derive(Clone, Copy)]
    enum End {
        Whole,
        Panic,
        Fail,
    }

    /// Reads numbers as lines, one batch each, with the number as progress.
    fn numbers(count: u32, end: End) -> impl FnOnce(&Output<u32>) -> Result<(), Ended> + Send {
        move |output| {
            for number in 1..=count {
                output.send(vec![Event::new(number.to_string(), 0).into()], Some(number))?;
            }
            match end {
                End::Whole => Ok(()),
                End::Panic => panic!("this test's reader panics"),
                End::Fail => Err(Ended::Failed(SourceError::new("the reader failed"))),
            }
        }
    }

    async fn run_to_end(
        read: impl FnOnce(&Output<u32>) -> Result<(), Ended> + Send + 'static,
        receipts: Option<Receipts<u32>>,
        intake: &Arc<TestIntake>,
    ) -> Result<(), String> {
        let (_handle, stop) = StopHandle::new(Duration::ZERO);
        let clock = Arc::new(ManualClock::at(0));
        let to = Arc::<TestIntake>::clone(intake);
        let run = run("events".to_owned(), clock, read, receipts, to, &stop);
        run.await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn batches_reach_the_intake_in_the_order_of_reading() {
        const COUNT: u32 = 1_000;
        let expected: Vec<_> = (1..=COUNT).map(|number| number.to_string()).collect();
        let intake = TestIntake::new([]);
        let read = numbers(COUNT, End::Whole);
        assert_eq!(run_to_end(read, None, &intake).await, Ok(()));
        assert_eq!(intake.inputs(), expected);
        // No receipt is followed, so none is asked for.
        assert!(intake.chunks().iter().all(|(_, ack)| ack.is_none()));

        let intake = TestIntake::new([]);
        let (sender, mut receipts) = mpsc::channel(COUNT as usize);
        let read = numbers(COUNT, End::Whole);
        assert_eq!(run_to_end(read, Some(sender), &intake).await, Ok(()));
        assert_eq!(intake.inputs(), expected);
        let stored = |(_, ack): &(Chunk, _)| *ack == Some(AckLevel::Stored);
        assert!(intake.chunks().iter().all(stored));
        for number in 1..=COUNT {
            assert_eq!(receipts.recv().await.unwrap().1, number);
        }
        assert!(receipts.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_panic_or_failure_of_the_reader_never_looks_like_the_end_of_the_input() {
        let panicked = "source `events`: the reader thread panicked; please report it";
        let cases = [
            (0, End::Whole, Ok(())),
            (3, End::Whole, Ok(())),
            (0, End::Panic, Err(panicked)),
            (3, End::Panic, Err(panicked)),
            (0, End::Fail, Err("the reader failed")),
            (3, End::Fail, Err("the reader failed")),
        ];
        for (count, end, expected) in cases {
            let intake = TestIntake::new([]);
            let found = run_to_end(numbers(count, end), None, &intake).await;
            assert_eq!(
                found.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|text| *text)
            );
            // What was read before counts.
            assert_eq!(intake.chunks().len(), count as usize);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_reported_and_the_rest_is_read() {
        let read = |output: &Output<u32>| {
            output.send(vec![Event::new("1", 0).into()], None)?;
            output.report(SourceError::new("a file is missing"))?;
            output.send(Vec::new(), None)?;
            output.send(vec![Event::new("2", 0).into()], None)?;
            Ok(())
        };
        let intake = TestIntake::new([]);
        assert_eq!(run_to_end(read, None, &intake).await, Ok(()));
        assert_eq!(intake.inputs(), ["1", "2"]);
        assert_eq!(intake.reports(), ["a file is missing"]);
    }

    #[tokio::test]
    async fn progress_without_events_is_safe_in_its_turn() {
        let read = |output: &Output<u32>| {
            output.send(vec![Event::new("1", 0).into()], Some(1))?;
            output.send(Vec::new(), Some(2))?;
            Ok(())
        };
        let intake = TestIntake::new([Step::Open]);
        let (sender, mut receipts) = mpsc::channel(2);
        assert_eq!(run_to_end(read, Some(sender), &intake).await, Ok(()));
        assert_eq!(intake.chunks().len(), 1);
        let (first, number) = receipts.recv().await.unwrap();
        assert_eq!((first.now(), number), (None, 1));
        let (second, number) = receipts.recv().await.unwrap();
        assert_eq!((second.now(), number), (Some(AckStatus::Safe), 2));
    }

    #[tokio::test]
    async fn reading_ends_when_nothing_follows_the_receipts_any_more() {
        let (sender, receipts) = mpsc::channel(2);
        drop(receipts);
        let intake = TestIntake::new([]);
        let endless = numbers(u32::MAX, End::Whole);
        assert_eq!(run_to_end(endless, Some(sender), &intake).await, Ok(()));
        assert!(intake.chunks().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn reading_pauses_while_too_many_receipts_are_open_and_stops_all_the_same() {
        let (handle, stop) = StopHandle::new(Duration::ZERO);
        let (sender, mut receipts) = mpsc::channel(1);
        let intake = TestIntake::new([]);
        let mut stopping = std::pin::pin!(stop.stopping());
        let mut next = async || {
            let batch = Batch {
                inputs: vec![Event::new("1", 0).into()],
                progress: Some(0),
            };
            forward(batch, Some(&sender), intake.as_ref(), stopping.as_mut()).await
        };
        assert!(next().await);
        let pause = Duration::from_secs(3600);
        assert!(tokio::time::timeout(pause, next()).await.is_err());
        // The batch that has to wait has not been sent.
        assert_eq!(intake.chunks().len(), 1);
        receipts.recv().await.unwrap();
        assert!(next().await);
        handle.stop();
        assert!(!next().await);
        assert_eq!(intake.chunks().len(), 2);
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_a_reader_that_is_blocked() {
        let (handle, stop) = StopHandle::new(Duration::ZERO);
        let (unblock, blocked) = std::sync::mpsc::channel::<()>();
        let read = move |output: &Output<u32>| {
            output.send(vec![Event::new("1", 0).into()], None)?;
            // Like a read from a terminal without input.
            let _ = blocked.recv();
            Ok(())
        };
        let intake = TestIntake::new([]);
        let to = Arc::<TestIntake>::clone(&intake);
        let clock = Arc::new(ManualClock::at(0));
        let running = run("events".to_owned(), clock, read, None, to, &stop);
        let stopping = async {
            intake.until_taken(1).await;
            handle.stop();
        };
        let (ended, ()) = tokio::join!(running, stopping);
        ended.unwrap();
        // Only now does the reader end.
        drop(unblock);
    }
}
