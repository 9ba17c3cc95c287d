//! How a running pipeline, or one source of it, is told to stop: first to drain until a deadline, then to quit.

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The part of a shutdown limit, at its end, in which what would be lost with the process is written down; it may be shorter.
pub(crate) const LETTERS_AT_END: Duration = Duration::from_secs(2);
/// How long a slow disk may take for that: what is on its way there is better waited for than lost.
pub(crate) const LETTERS_LIMIT: Duration = Duration::from_secs(4);
/// The same where a person has told it to quit, who can see how far it is.
pub(crate) const LETTERS_LIMIT_OF_QUIT: Duration = Duration::from_secs(15);
/// [`LETTERS_AT_END`] as a part of a short limit: one in so many.
const LETTERS_PART: u32 = 4;

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No shutdown.
    Run,
    /// Read no more, and deliver what is there until then.
    Drain(Instant),
    /// End now.
    Quit,
}

/// Tells a pipeline to stop.
#[derive(Debug, Clone)]
pub struct StopHandle {
    sender: Arc<watch::Sender<Phase>>,
    limit: Duration,
}

impl StopHandle {
    pub(crate) fn new(limit: Duration) -> (Self, StopSignal) {
        let (sender, receiver) = watch::channel(Phase::Run);
        let sender = Arc::new(sender);
        let signal = StopSignal {
            all: receiver,
            own: None,
        };
        (Self { sender, limit }, signal)
    }

    /// Stops the sources, and gives the buffers until shortly before the shutdown limit to drain. The rest is for writing down
    /// what is left.
    pub fn drain(&self) {
        let until = Instant::now() + draining(self.limit);
        self.sender.send_if_modified(|phase| {
            let first = *phase == Phase::Run;
            if first {
                *phase = Phase::Drain(until);
            }
            first
        });
    }

    /// Ends at once. What is held goes to the dead letters.
    pub fn quit(&self) {
        self.sender.send_replace(Phase::Quit);
    }
}

/// How much of a shutdown limit is for draining.
fn draining(limit: Duration) -> Duration {
    limit.saturating_sub(LETTERS_AT_END.min(limit / LETTERS_PART))
}

/// Waits for a pipeline to stop, or for a part of it.
#[derive(Debug, Clone)]
pub(crate) struct StopSignal {
    all: watch::Receiver<Phase>,
    /// The shutdown of this part alone.
    own: Option<watch::Receiver<Phase>>,
}

impl StopSignal {
    /// A signal for a part of the pipeline, which a handle of its own can stop within the same limit.
    pub(crate) fn part(&self, limit: Duration) -> (StopHandle, Self) {
        let (handle, own) = StopHandle::new(limit);
        let signal = Self {
            all: self.all.clone(),
            own: Some(own.all),
        };
        (handle, signal)
    }

    pub(crate) fn now(&self) -> Phase {
        let all = *self.all.borrow();
        let own = self.own.as_ref().map_or(Phase::Run, |own| *own.borrow());
        match (all, own) {
            (Phase::Quit, _) | (_, Phase::Quit) => Phase::Quit,
            (Phase::Drain(a), Phase::Drain(b)) => Phase::Drain(a.min(b)),
            (Phase::Drain(until), Phase::Run) | (Phase::Run, Phase::Drain(until)) => {
                Phase::Drain(until)
            }
            (Phase::Run, Phase::Run) => Phase::Run,
        }
    }

    /// Waits until sources are to stop.
    pub(crate) async fn stopped(&mut self) {
        self.reached(|phase| phase != Phase::Run).await;
    }

    /// Waits until everything is to end: told to quit, or the deadline of draining has passed.
    pub(crate) async fn deadline(&mut self) {
        self.stopped().await;
        while let Phase::Drain(until) = self.now() {
            let changed = self.reached(|phase| phase != Phase::Drain(until));
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return;
            }
        }
    }

    /// Waits until the phase is one of these.
    async fn reached(&mut self, is_reached: impl Fn(Phase) -> bool) {
        while !is_reached(self.now()) {
            let all = self.all.changed();
            match &mut self.own {
                None => changed(all).await,
                Some(own) => tokio::select! {
                    () = changed(all) => {}
                    () = changed(own.changed()) => {}
                },
            }
        }
    }

    /// For sources.
    pub(crate) fn for_source(&self) -> pipeline_core::Stop {
        pipeline_core::Stop::new(Arc::new(self.clone()))
    }
}

/// Waits for a change; for ever where the handle is gone.
async fn changed(change: impl Future<Output = Result<(), watch::error::RecvError>>) {
    if change.await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[async_trait]
impl pipeline_core::StopSignal for StopSignal {
    fn is_stopping(&self) -> bool {
        self.now() != Phase::Run
    }

    async fn stopping(&self) {
        self.clone().stopped().await;
    }

    async fn deadline(&self) {
        // By its path: a call on the value would find this method itself.
        Self::deadline(&mut self.clone()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_stops_alone_and_with_the_whole() {
        let (whole, signal) = StopHandle::new(Duration::from_secs(60));
        let (part, mut first) = signal.part(Duration::from_secs(5));
        let (_other, mut second) = signal.part(Duration::from_secs(5));
        let start = Instant::now();
        part.drain();
        first.stopped().await;
        assert_eq!(second.now(), Phase::Run);
        first.deadline().await;
        // The last quarter, and no more than two seconds, is for letters.
        assert_eq!(start.elapsed().as_millis(), 3_750);
        whole.drain();
        second.deadline().await;
        assert_eq!(start.elapsed().as_millis(), 3_750 + 58_000);
    }

    #[tokio::test(start_paused = true)]
    async fn quitting_ends_a_drain_early() {
        let (handle, mut signal) = StopHandle::new(Duration::from_secs(60));
        handle.drain();
        let start = Instant::now();
        let quit = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            handle.quit();
        };
        tokio::join!(signal.deadline(), quit);
        assert_eq!(start.elapsed().as_secs(), 1);
        assert_eq!(signal.now(), Phase::Quit);
    }
}
