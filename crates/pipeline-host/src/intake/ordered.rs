//! Chunks of a source that reads at its own pace: encoded on several threads at once, forwarded in the order of the calls.

use super::routes::Routes;
use super::shared::{Prepared, Shared};
use super::turn::Turn;
use crate::ack::Ack;
use crate::runtime::Failure;
use crate::stop::StopSignal;
use pipeline_core::Chunk;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

/// Chunks that wait to be encoded.
const QUEUED_CHUNKS: usize = 4;
/// Chunks that are encoded at the same time, at most.
const MAX_PARALLEL_CHUNKS: usize = 16;

/// The end into which the source sends.
pub(super) struct Queue {
    chunks: mpsc::Sender<Sent>,
    /// Held while a chunk takes its turn and its place in the queue: the two orders are one.
    order: Mutex<()>,
}

/// The task that forwards.
pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    chunks: mpsc::Receiver<Sent>,
}

/// A chunk on its way to be encoded.
struct Sent {
    chunk: Chunk,
    ack: Ack,
    routes: Arc<Routes>,
    turn: Option<Turn>,
}

/// A chunk as the sinks see it, or nothing where a task has failed and said so.
type Encoded = Option<(Prepared, Ack)>;
/// Chunks that are being encoded, oldest first.
type Encodings = VecDeque<JoinHandle<Encoded>>;

/// The forwarder has ended.
pub(super) struct Closed;

pub(super) fn queue(shared: Arc<Shared>) -> (Queue, Forwarder) {
    let (sender, chunks) = mpsc::channel(QUEUED_CHUNKS);
    let queue = Queue {
        chunks: sender,
        order: Mutex::new(()),
    };
    (queue, Forwarder { shared, chunks })
}

impl Queue {
    /// Hands a chunk over, waiting for room. Its turn comes before that of anything that the source sends or offers later.
    pub(super) async fn push(&self, shared: &Shared, chunk: Chunk, ack: Ack) -> Result<(), Closed> {
        let place = self.chunks.reserve().await.map_err(|_| Closed)?;
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let routes = shared.routes();
        let turn = shared.turn(&routes, chunk.partition());
        place.send(Sent {
            chunk,
            ack,
            routes,
            turn,
        });
        Ok(())
    }
}

impl Forwarder {
    /// Runs until the source has dropped its intake and everything is forwarded, or until the deadline of `stop`. What no
    /// sink has seen by then is given up; a chunk that the sinks have begun to take is taken whole.
    pub(crate) async fn run(mut self, mut stop: StopSignal) {
        let parallel = std::thread::available_parallelism()
            .map_or(2, usize::from)
            .min(MAX_PARALLEL_CHUNKS);
        let mut encodings = Encodings::new();
        let mut is_open = true;
        while is_open || !encodings.is_empty() {
            tokio::select! {
                biased;
                () = stop.deadline() => break,
                Some(encoded) = first(&mut encodings) => self.accept(encoded).await,
                chunk = self.chunks.recv(), if is_open && encodings.len() < parallel => match chunk {
                    Some(sent) => encodings.push_back(self.encode(sent)),
                    None => is_open = false,
                },
            }
        }
    }

    fn encode(&self, sent: Sent) -> JoinHandle<Encoded> {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let Sent {
                chunk,
                ack,
                routes,
                turn,
            } = sent;
            if let Some(turn) = &turn {
                turn.comes().await;
            }
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
            // Its failure was told; or it was aborted with the runtime.
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
