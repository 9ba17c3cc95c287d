//! The way from one source into all sinks that read it: transforms, encoding, and a place in every buffer.
//!
//! ```text
//!                    ┌ ordered: one task encodes in parallel, forwards in the order of the calls
//! Intake::send  ─────┘
//! Intake::offer ───── room in every buffer first, then all of it, or nothing
//! ```
//!
//! Invariant: a chunk that was taken is, for every sink, in the buffer, filtered, dropped by `drop_newest`, or in the dead
//! letters; otherwise its receipt says that it was given up.

mod ordered;
mod routes;
mod shared;
mod turn;

use crate::ack::Ack;
use crate::runtime::{Failure, Failures};
use async_trait::async_trait;
pub(crate) use ordered::Forwarder;
use ordered::Queue;
use pipeline_core::{
    Accepted, AckLevel, AckStatus, Chunk, Cookie, Event, Intake, Receipt, Refused, SourceError,
};
pub(crate) use routes::{Routes, TransformNode};
pub(crate) use shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes up to which a chunk that was offered is encoded on the calling thread, which takes about a millisecond: another thread
/// would first have to fetch the events from the caches of this one.
const ENCODED_IN_PLACE_BYTES: usize = 256 * 1024;

/// The intake of one source.
pub(crate) struct SourceIntake {
    shared: Arc<Shared>,
    queue: Queue,
}

impl SourceIntake {
    /// The intake of the source of this name, and the task that forwards what is sent.
    pub(crate) fn new(name: &str, routes: Routes, failures: Failures) -> (Self, Forwarder) {
        let shared = Arc::new(Shared::new(name, routes, failures));
        let (queue, forwarder) = ordered::queue(Arc::clone(&shared));
        (Self { shared, queue }, forwarder)
    }

    /// What changes its routes while it runs.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

#[async_trait]
impl Intake for SourceIntake {
    async fn send(&self, chunk: Chunk, ack: Option<AckLevel>) -> Receipt {
        let (ack, receipt) = match ack {
            Some(level) => Ack::until(level),
            None => (Ack::none(), Receipt::settled_as(AckStatus::Safe)),
        };
        match self.queue.push(&self.shared, chunk, ack).await {
            Ok(()) => receipt,
            Err(_) => Receipt::settled_as(AckStatus::GivenUp),
        }
    }

    async fn offer(
        &self,
        chunk: Chunk,
        ack: AckLevel,
        limit: Duration,
    ) -> Result<Accepted, Refused> {
        let deadline = Instant::now() + limit;
        let inputs = chunk.inputs();
        let in_place = chunk.bytes() <= ENCODED_IN_PLACE_BYTES;
        let (ack, receipt) = Ack::until(ack);
        let routes = self.shared.routes();
        let turn = self.shared.turn(&routes, chunk.partition());
        if let Some(turn) = &turn {
            let came = tokio::time::timeout_at(deadline, turn.comes()).await;
            came.map_err(|_| Refused::Full)?;
        }
        if self.shared.refuses_offers() {
            return Err(Refused::Failed);
        }
        let (shared, transforms) = (Arc::clone(&self.shared), routes.has_transforms());
        let preparing = shared.prepare(routes, turn, chunk, ack.clone(), in_place);
        let prepared = if transforms {
            // A transform that remembers something must not be cancelled half-way because a client goes away.
            tokio::spawn(preparing).await.map_err(|error| {
                if error.is_panic() {
                    let task = format!("the intake of source `{}`", self.shared.name());
                    self.shared.fail(Failure::panicked(task));
                }
                Refused::Failed
            })?
        } else {
            preparing.await
        };
        let prepared = prepared.map_err(|_| Refused::Failed)?;
        let verdicts = prepared.verdicts(inputs);
        let shared = Arc::clone(&self.shared);
        shared.accept_all(prepared, ack, deadline).await?;
        Ok(Accepted::new(receipt, verdicts))
    }

    fn cookies(&self, event: &Event) -> Vec<Cookie> {
        let routes = self.shared.routes();
        let mut agreed: Vec<Cookie> = Vec::new();
        for cookies in routes.sinks().filter_map(|sink| sink.cookies(event)) {
            if cookies.is_empty() {
                return cookies;
            }
            // Two sinks may have a cookie of the same name: the first says what is in it.
            let is_new = |cookie: &Cookie| agreed.iter().all(|known| known.name != cookie.name);
            let more: Vec<_> = cookies.into_iter().filter(is_new).collect();
            agreed.extend(more);
        }
        agreed
    }

    fn report(&self, error: SourceError) {
        self.shared.report(Failure::Source(error));
    }
}
