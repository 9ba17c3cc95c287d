//! A file that is read at a pace, so that a demonstration moves.
//!
//! In: chunks as fast as they are read. Out: the same chunks, each once the events before it have had their time.
//!
//! Invariant: every chunk is passed on, in the same order; when the source is to stop, at once.

use pipeline_core::{
    Accepted, AckLevel, Chunk, Cookie, Event, Intake, Receipt, Refused, SourceError, Stop,
    async_trait,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Chunks a second where the pace is fast: more would not look more even.
const CHUNKS_PER_SEC: f64 = 10.0;

/// How fast events are sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    events_per_sec: f64,
}

impl Pace {
    /// So many events a second; more than none.
    pub(super) fn new(events_per_sec: f64) -> Self {
        Self { events_per_sec }
    }

    /// Lines of one chunk at most.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the reader bounds it, and a cast saturates"
    )]
    pub(super) fn batch_lines(self) -> usize {
        ((self.events_per_sec / CHUNKS_PER_SEC) as usize).max(1)
    }

    /// The time that so many events take.
    fn time_of(self, events: usize) -> Duration {
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let secs = f64::from(events) / self.events_per_sec;
        Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX)
    }
}

/// An intake that takes chunks at a pace.
pub(super) struct PacedIntake {
    to: Arc<dyn Intake>,
    pace: Pace,
    stop: Stop,
    /// When the next chunk may pass.
    next: Mutex<Option<Instant>>,
}

impl PacedIntake {
    pub(super) fn new(to: Arc<dyn Intake>, pace: Pace, stop: Stop) -> Self {
        Self {
            to,
            pace,
            stop,
            next: Mutex::new(None),
        }
    }

    /// Waits until these events may pass.
    async fn wait(&self, events: usize) {
        let mut next = self.next.lock().await;
        if let Some(at) = *next {
            tokio::select! {
                () = sleep_until(at) => {}
                () = self.stop.stopping() => {}
            }
        }
        *next = Instant::now().checked_add(self.pace.time_of(events));
    }
}

#[async_trait]
impl Intake for PacedIntake {
    async fn send(&self, chunk: Chunk, ack: Option<AckLevel>) -> Receipt {
        self.wait(chunk.inputs()).await;
        self.to.send(chunk, ack).await
    }

    async fn offer(
        &self,
        chunk: Chunk,
        ack: AckLevel,
        limit: Duration,
    ) -> Result<Accepted, Refused> {
        self.wait(chunk.inputs()).await;
        self.to.offer(chunk, ack, limit).await
    }

    fn cookies(&self, event: &Event) -> Vec<Cookie> {
        self.to.cookies(event)
    }

    fn report(&self, error: SourceError) {
        self.to.report(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_intake::{StopHandle, TestIntake};
    use pipeline_core::Input;

    fn chunk(events: usize) -> Chunk {
        let event = |_| Input::from(Event::new("{}", 0));
        Chunk::new((0..events).map(event).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn events_pass_at_the_pace_and_none_is_lost() {
        let intake = TestIntake::new([]);
        let (_handle, stop) = StopHandle::new(Duration::ZERO);
        let to = Arc::<TestIntake>::clone(&intake);
        let paced = PacedIntake::new(to, Pace::new(5.0), stop);
        let start = Instant::now();
        // Before each chunk, the events that have passed have had 200 ms each.
        for (events, expected_ms) in [(1, 0), (1, 200), (3, 400), (1, 1_000)] {
            paced.send(chunk(events), None).await;
            // A timer of the runtime is exact to a millisecond.
            let passed = start.elapsed().as_millis();
            assert!(
                (expected_ms..expected_ms + 10).contains(&passed),
                "{passed}"
            );
        }
        assert_eq!(intake.inputs().len(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_does_not_wait_for_the_pace() {
        let intake = TestIntake::new([]);
        let (handle, stop) = StopHandle::new(Duration::ZERO);
        let to = Arc::<TestIntake>::clone(&intake);
        let paced = PacedIntake::new(to, Pace::new(0.01), stop);
        let start = Instant::now();
        paced.send(chunk(1), None).await;
        handle.stop();
        paced.send(chunk(1), None).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(intake.inputs().len(), 2);
    }

    #[tokio::test]
    async fn what_the_sinks_say_of_cookies_is_passed_on() {
        let kept = |_: &Event| vec![Cookie::new("_fbp", "fbp", "fb.1.2.3", Duration::ZERO)];
        let intake = TestIntake::keeping([], kept);
        let (_handle, stop) = StopHandle::new(Duration::ZERO);
        let paced = PacedIntake::new(intake, Pace::new(5.0), stop);
        assert_eq!(paced.cookies(&Event::new("{}", 0)).len(), 1);
    }

    #[test]
    fn a_fast_pace_has_larger_chunks_and_a_slow_one_has_single_events() {
        for (events_per_sec, lines) in [(0.01, 1), (5.0, 1), (19.0, 1), (200.0, 20), (1e5, 10_000)]
        {
            assert_eq!(Pace::new(events_per_sec).batch_lines(), lines);
        }
    }
}
