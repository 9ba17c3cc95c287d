//! A source inside the process: the program sends its events through a handle.

use async_trait::async_trait;
use pipeline_core::{
    AckLevel, BuildError, Chunk, Event, Input, Intake, Origin, Receipt, Source, SourceConfig,
    SourceContext, SourceError, Stop,
};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Sends events of a program into its pipeline. Cheap to clone; the source ends when the last clone is dropped.
#[derive(Clone)]
pub struct Handle {
    name: Arc<str>,
    intake: watch::Receiver<State>,
    sent: Arc<AtomicU64>,
    /// Dropped with the last clone.
    _open: Arc<watch::Sender<()>>,
}

/// Why an event was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The pipeline has stopped, or was never started.
    #[error("the pipeline takes no more events: it has stopped")]
    Stopped,
}

/// What a handle knows of its source.
#[derive(Clone, Default)]
enum State {
    #[default]
    NotStarted,
    Open(Arc<dyn Intake>),
    Stopped,
}

/// The options of such a source.
pub(crate) struct InProcess(Mutex<Option<Running>>);

struct Running {
    intake: watch::Sender<State>,
    handles: watch::Receiver<()>,
}

impl InProcess {
    /// A source, and the handle that sends its events.
    pub(crate) fn new(name: &str) -> (Self, Handle) {
        let (intake, receiver) = watch::channel(State::NotStarted);
        let (open, handles) = watch::channel(());
        let running = Running { intake, handles };
        let handle = Handle {
            name: name.into(),
            intake: receiver,
            sent: Arc::new(AtomicU64::new(0)),
            _open: Arc::new(open),
        };
        (Self(Mutex::new(Some(running))), handle)
    }
}

impl Handle {
    /// Sends an event, waiting until the pipeline has started and has room. The receipt settles once the event was
    /// delivered, filtered, or is in the dead letters; the program need not wait for it.
    ///
    /// # Errors
    ///
    /// [`SendError::Stopped`] when the pipeline takes no more events. The event was not taken.
    pub async fn send(&self, event: Event) -> Result<Receipt, SendError> {
        self.send_until(event, AckLevel::Final).await
    }

    /// As [`send`](Self::send), with a receipt that settles once the event has got so far.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_until(&self, event: Event, level: AckLevel) -> Result<Receipt, SendError> {
        let mut state = self.intake.clone();
        let state = state
            .wait_for(|state| !matches!(state, State::NotStarted))
            .await
            .map_err(|_| SendError::Stopped)?
            .clone();
        let State::Open(intake) = state else {
            return Err(SendError::Stopped);
        };
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let origin = Origin::offset(Arc::clone(&self.name), 0, number);
        let chunk = Chunk::new(vec![Input::from(event.with_origin(origin))]);
        Ok(intake.send(chunk, Some(level)).await)
    }
}

#[async_trait]
impl SourceConfig for InProcess {
    async fn open(&self, _: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let running = running.ok_or_else(|| {
            BuildError::new("a source inside the process can be started once; make a new one")
        })?;
        Ok(Box::new(running))
    }
}

#[async_trait]
impl Source for Running {
    async fn run(mut self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        self.intake.send_replace(State::Open(to));
        tokio::select! {
            () = stop.stopping() => {}
            // Fails when the last handle is gone; nothing is ever sent.
            _ = self.handles.changed() => {}
        }
        Ok(())
    }
}

/// However it ends, the handles hear of it, and let go of the intake.
impl Drop for Running {
    fn drop(&mut self) {
        self.intake.send_replace(State::Stopped);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}
