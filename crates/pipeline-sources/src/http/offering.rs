//! Offers the events of a request to the intake, and waits until they got as far as the client is promised.
//!
//! Invariant: a request is answered as taken only when every event of it got as far as the client was promised.

use super::admission::Hold;
use super::answer::Answer;
use super::refusal::Refusal;
use bytes::Bytes;
use pipeline_core::{
    AckLevel, AckStatus, Chunk, Clock, Event, Input, Intake, Meta, Origin, Reason, Receipt, Refused,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Memory that an event takes beside its bytes, until it is in the buffers: its entry, its record, its verdict or letter.
const EVENT_BYTES: usize = 1024;

/// The events of a request, or the reason why one of them cannot be an event.
pub(crate) type Events = Vec<Result<Bytes, Reason>>;

/// The way of one source's requests into the pipeline.
pub(crate) struct Offering {
    to: Arc<dyn Intake>,
    clock: Arc<dyn Clock>,
    ack: AckLevel,
    requests: AtomicU64,
}

impl Offering {
    pub(crate) fn new(to: Arc<dyn Intake>, clock: Arc<dyn Clock>, ack: AckLevel) -> Self {
        let requests = AtomicU64::new(0);
        Self {
            to,
            clock,
            ack,
            requests,
        }
    }

    /// The way to the sinks.
    pub(crate) fn intake(&self) -> Arc<dyn Intake> {
        Arc::clone(&self.to)
    }

    /// When it is, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Offers events of this source: what became of them, and what settles when they got as far as was promised.
    pub(crate) async fn offer(
        &self,
        source: &Arc<str>,
        events: Events,
        meta: &Arc<Meta>,
        hold: &mut Hold,
        room_limit: Duration,
    ) -> Result<(Answer, Option<Receipt>), Refusal> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if events.is_empty() {
            return Ok((Answer::default(), None));
        }
        // What the sinks make of events takes about as much again.
        let bytes = events
            .iter()
            .flatten()
            .map(|event| 2 * event.len() + EVENT_BYTES);
        let bytes = bytes.sum();
        hold.grow_to(bytes).await?;
        hold.shrink_to(bytes);
        let chunk = self.chunk(source, number, events, meta);
        let offered = self.to.offer(chunk, self.ack, room_limit).await;
        let accepted = offered.map_err(|refused| {
            let code = match refused {
                Refused::Full => "buffer_full",
                Refused::NoLetters => "dead_letters_full",
                _ => "failed",
            };
            Refusal::new(503, code, refused.to_string())
        })?;
        Ok((Answer::of(accepted.verdicts), Some(accepted.receipt)))
    }

    fn chunk(&self, source: &Arc<str>, number: u64, events: Events, meta: &Arc<Meta>) -> Chunk {
        let received_ms = self.now_ms();
        let inputs = events.into_iter().enumerate().map(|(index, event)| {
            let origin = Origin::request(Arc::clone(source), number, index);
            match event {
                Ok(bytes) => Event::new(bytes, received_ms)
                    .with_origin(origin)
                    .with_meta(Arc::clone(meta))
                    .into(),
                Err(reason) => Input::unreadable(origin, reason),
            }
        });
        inputs.collect()
    }

    /// Waits until every event has got as far as the client was promised.
    pub(crate) async fn wait(&self, mut receipt: Receipt, limit: Duration) -> Result<(), Refusal> {
        let (code, message) = match self.ack {
            AckLevel::Final => (
                "not_delivered_yet",
                "the events are held, but not delivered yet; send them again later, with the same event ids",
            ),
            _ => (
                "not_stored_yet",
                "the events are not on disk yet; send them again later, with the same event ids",
            ),
        };
        match tokio::time::timeout(limit, receipt.settled()).await {
            Ok(AckStatus::Safe) => Ok(()),
            _ => Err(Refusal::new(503, code, message)),
        }
    }
}
