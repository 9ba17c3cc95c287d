//! A running pipeline: sources, transforms, buffers and sinks, connected.
//!
//! In: a [`Pipeline`]. Out: a [`Running`] one, with its counters, a way to change it, a way to stop it, and its end. One
//! task, the supervisor, owns everything that runs: it starts and changes it, takes note of what fails, and
//! waits for the end.

mod apply;
mod diff;
mod ending;
mod error;
mod part;
mod supervisor;

use crate::config::Pipeline;
use crate::runtime::{Failure, StartOptions};
use crate::stop::StopHandle;
use crate::telemetry::Telemetry;
pub use diff::{Change, Preview, Step};
pub use ending::Ending;
pub use error::{ReloadError, StartError};
use part::Addresses;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use supervisor::{Reload, Supervisor};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// A pipeline that runs.
pub struct Running {
    supervisor: JoinHandle<Ending>,
    reloader: Reloader,
    telemetry: Telemetry,
    stop: StopHandle,
    addresses: Addresses,
}

/// Changes a pipeline that runs.
#[derive(Debug, Clone)]
pub struct Reloader(mpsc::Sender<Reload>);

/// Opens all sources, connects them with their sinks, and starts everything: the change from an empty pipeline to this one.
///
/// # Errors
///
/// When a component cannot be made: a port in use, a disk buffer of another process. Nothing runs then. A file that cannot
/// be read does not stop the others; it is one of the [`Ending::failures`].
pub async fn start(pipeline: Pipeline, options: StartOptions) -> Result<Running, StartError> {
    let (stop, signal) = StopHandle::new(pipeline.shutdown_limit);
    let telemetry = Telemetry::default();
    telemetry.watch_stop(signal.clone());
    let addresses = Addresses::default();
    let mut supervisor = Supervisor::new(
        &pipeline,
        options,
        stop.clone(),
        signal,
        telemetry.clone(),
        Arc::clone(&addresses),
    );
    match supervisor.apply(pipeline).await {
        Ok(_) => {}
        Err(ReloadError::Start(error)) => return Err(error),
        // Nothing runs yet that could forbid a change.
        Err(error) => return Err(StartError::Refused(error.to_string())),
    }
    let (sender, reloads) = mpsc::channel(1);
    Ok(Running {
        supervisor: tokio::spawn(supervisor.run(reloads)),
        reloader: Reloader(sender),
        telemetry,
        stop,
        addresses,
    })
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}

impl Running {
    /// The counters; they continue to count.
    pub fn telemetry(&self) -> Telemetry {
        self.telemetry.clone()
    }

    /// A way to change the pipeline.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// A way to stop the pipeline.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Where the sources listen, by name.
    pub fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        let addresses = self.addresses.lock();
        addresses.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every source has ended and every sink has finished.
    pub async fn finish(self) -> Ending {
        drop(self.reloader);
        let telemetry = self.telemetry;
        self.supervisor.await.unwrap_or_else(|_| Ending {
            sinks: telemetry.snapshot(),
            failures: vec![Failure::panicked("the supervisor of the pipeline")],
            ..Ending::default()
        })
    }
}

impl Reloader {
    /// Changes the running pipeline into this one; says what changed.
    ///
    /// # Errors
    ///
    /// Any [`ReloadError`], and then nothing has changed.
    pub async fn reload(&self, pipeline: Pipeline) -> Result<Vec<Change>, ReloadError> {
        let (reply, answer) = oneshot::channel();
        let reload = Reload { pipeline, reply };
        self.0.send(reload).await.map_err(|_| ReloadError::Ending)?;
        answer.await.map_err(|_| ReloadError::Ending)?
    }
}
