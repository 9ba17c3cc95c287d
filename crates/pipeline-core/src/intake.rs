//! What a host offers to a source: the way in for its events.

use crate::{AckLevel, Chunk, Cookie, Event, Reason, Receipt, SourceError};
use async_trait::async_trait;
use std::time::Duration;

/// The way from one source to every transform and sink that reads it. A host implements it.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Sends a chunk, waiting for room as long as it takes.
    ///
    /// For sources that read at their own pace (files, logs of messages). Chunks reach the buffers in the order of the
    /// calls. Returns as soon as the host has taken the chunk; the receipt says when its events got as far as `ack` asks.
    ///
    /// `ack` is `None` for a source that cannot send an event again (standard input): the receipt then settles at once, and
    /// what cannot be delivered when the process ends becomes a dead letter instead of being given up.
    async fn send(&self, chunk: Chunk, ack: Option<AckLevel>) -> Receipt;

    /// Sends a chunk to all sinks that read the source, or to none of them.
    ///
    /// For sources whose client waits for an answer (HTTP). Waits for room in every buffer up to `limit`. Concurrent calls
    /// are served concurrently.
    ///
    /// # Errors
    ///
    /// [`Refused`] when some buffer had no room in time or the host has failed: nothing of the chunk was kept or counted.
    async fn offer(
        &self,
        chunk: Chunk,
        ack: AckLevel,
        limit: Duration,
    ) -> Result<Accepted, Refused>;

    /// The cookies that the sinks would keep in the browser that sent this event, as far as every sink that has cookies says
    /// that the visitor agreed; empty where one says that they did not.
    ///
    /// For sources that may set cookies (HTTP). Transforms are not asked: the event is looked at as it came.
    fn cookies(&self, _event: &Event) -> Vec<Cookie> {
        Vec::new()
    }

    /// Reports something that the source could not read, while it continues with the rest. The run ends as incomplete.
    fn report(&self, error: SourceError);
}

/// What became of a chunk that was offered and taken.
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// Settles when the events got as far as the source asked for.
    pub receipt: Receipt,
    /// What the sinks made of each input, in the order of the chunk. An input that several sinks judge differently, or of
    /// which a transform made several events, has the best of the verdicts: accepted, then rejected, then filtered.
    pub verdicts: Vec<Verdict>,
}

impl Accepted {
    /// A chunk that was taken.
    pub fn new(receipt: Receipt, verdicts: Vec<Verdict>) -> Self {
        Self { receipt, verdicts }
    }
}

/// What the sinks made of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// On its way to at least one destination.
    Accepted,
    /// Not meant for any destination.
    Filtered {
        /// The code of the reason.
        code: &'static str,
    },
    /// A dead letter.
    Rejected(Reason),
}

/// Why a chunk was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A buffer stayed full.
    #[error("the buffer is full; try again later")]
    Full,
    /// The chunk has events that would become dead letters, and these are full or cannot be written. The host's log says how to
    /// make room.
    #[error(
        "an event of the request would become a dead letter, and no more can be written now; try again later"
    )]
    NoLetters,
    /// The host cannot take events any more.
    #[error("the pipeline has failed and takes no events; its log says why")]
    Failed,
}
