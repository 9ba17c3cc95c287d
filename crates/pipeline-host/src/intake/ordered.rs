//! Chunks of a source that reads at its own pace: encoded on several threads at once, forwarded in the order of the calls.

use super::shared::{Prepared, Shared};
use crate::ack::Ack;
use crate::runtime::Failure;
use crate::stop::StopSignal;
use pipeline_core::Chunk;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

/// Chunks that wait to be encoded.
const QUEUED_CHUNKS: usize = 4;
/// Chunks that are encoded at the same time, at most.
const MAX_PARALLEL_CHUNKS: usize = 16;

/// The end into which the source sends.
pub(super) struct Queue(mpsc::Sender<(Chunk, Ack)>);

/// The task that forwards.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    chunks: mpsc::Receiver<(Chunk, Ack)>,
}

/// A chunk as the sinks see it, or nothing where a task has failed and said so.
type Encoded = Option<(Prepared, Ack)>;
/// Chunks that are being encoded, oldest first.
type Encodings = VecDeque<JoinHandle<Encoded>>;

/// The forwarder has ended.
pub(super) struct Closed;

pub(super) fn queue(shared: Arc<Shared>) -> (Queue, Forwarder) {
    let (sender, chunks) = mpsc::channel(QUEUED_CHUNKS);
    (Queue(sender), Forwarder { shared, chunks })
}

impl Queue {
    /// Hands a chunk over, waiting for room.
    pub(super) async fn push(&self, chunk: Chunk, ack: Ack) -> Result<(), Closed> {
        self.0.send((chunk, ack)).await.map_err(|_| Closed)
    }
}

impl Forwarder {
    /// Runs until the source has dropped its intake and everything is forwarded, or until the deadline of `stop`. What is
    /// left then is given up.
    pub(crate) async fn run(self, mut stop: StopSignal) {
        tokio::select! {
            () = stop.deadline() => {}
            () = self.forward() => {}
        }
    }

    async fn forward(mut self) {
        let parallel = std::thread::available_parallelism()
            .map_or(2, usize::from)
            .min(MAX_PARALLEL_CHUNKS);
        let mut encodings = Encodings::new();
        let mut is_open = true;
        while is_open || !encodings.is_empty() {
            tokio::select! {
                Some(encoded) = first(&mut encodings) => self.accept(encoded).await,
                chunk = self.chunks.recv(), if is_open && encodings.len() < parallel => match chunk {
                    Some((chunk, ack)) => encodings.push_back(self.encode(chunk, ack)),
                    None => is_open = false,
                },
            }
        }
    }

    fn encode(&self, chunk: Chunk, ack: Ack) -> JoinHandle<Encoded> {
        let routes = self.shared.routes();
        // Taken here, in the order of the calls.
        let turn = self.shared.turn(&routes, chunk.partition());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let prepared = shared.prepare(routes, turn, chunk, ack.clone(), true).await;
            // The failure has been reported; dropping `ack` gives the chunk up.
            Some((prepared.ok()?, ack))
        })
    }

    async fn accept(&self, encoded: Result<Encoded, JoinError>) {
        match encoded {
            Ok(Some((prepared, ack))) => prepared.accept(ack).await,
            Err(error) if error.is_panic() => {
                let task = format!("the encoding of source `{}`", self.shared.name());
                self.shared.fail(Failure::panicked(task));
            }
            // The failure has been reported, or the runtime has ended.
            Ok(None) | Err(_) => {}
        }
    }
}

/// The oldest chunk once it is encoded; `None` without one.
async fn first(encodings: &mut Encodings) -> Option<Result<Encoded, JoinError>> {
    let encoded = encodings.front_mut()?.await;
    encodings.pop_front();
    Some(encoded)
}
