//! How a running pipeline is told to stop: first to drain until a deadline, then to quit.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What a pipeline has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nothing.
    Run,
    /// Read no more, and deliver what is there until then.
    Drain(Instant),
    /// End now.
    Quit,
}

/// Tells a pipeline to stop.
#[derive(Debug, Clone)]
pub struct StopHandle {
    sender: std::sync::Arc<watch::Sender<Stop>>,
    limit: Duration,
}

impl StopHandle {
    pub(crate) fn new(limit: Duration) -> (Self, StopSignal) {
        let (sender, receiver) = watch::channel(Stop::Run);
        let sender = std::sync::Arc::new(sender);
        (Self { sender, limit }, StopSignal(receiver))
    }

    /// Stops the sources, and gives the buffers until the shutdown limit to drain.
    pub fn drain(&self) {
        let until = Instant::now() + self.limit;
        self.sender.send_if_modified(|stop| {
            let first = *stop == Stop::Run;
            if first {
                *stop = Stop::Drain(until);
            }
            first
        });
    }

    /// Ends at once. What is held goes to the dead letters.
    pub fn quit(&self) {
        self.sender.send_replace(Stop::Quit);
    }
}

/// Hears when the pipeline is to stop.
#[derive(Debug, Clone)]
pub(crate) struct StopSignal(watch::Receiver<Stop>);

impl StopSignal {
    pub(crate) fn now(&self) -> Stop {
        *self.0.borrow()
    }

    /// Waits until sources are to stop.
    pub(crate) async fn stopped(&mut self) {
        if self.0.wait_for(|stop| *stop != Stop::Run).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until everything is to end: told to quit, or the deadline of draining has passed.
    pub(crate) async fn deadline(&mut self) {
        self.stopped().await;
        if let Stop::Drain(until) = self.now() {
            let quit = self.0.wait_for(|stop| *stop == Stop::Quit);
            // Either way it is over.
            let _ = tokio::time::timeout_at(until, quit).await;
        }
    }
}
