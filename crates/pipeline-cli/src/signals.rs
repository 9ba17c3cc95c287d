//! The signals that ask a process to stop, and the one that asks a run to read its file again.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a process to stop.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to listen for them.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signals of a command that runs a pipeline.
#[derive(Debug)]
pub(crate) struct RunSignals {
    /// Ask it to stop.
    pub(crate) stop: Signals,
    /// SIGHUP, which reloads. It ends every other command, as usual.
    pub(crate) hangup: Signal,
}

impl RunSignals {
    /// Starts to listen for them. What comes before anything waits for it is remembered.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            stop: Signals::new()?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}
