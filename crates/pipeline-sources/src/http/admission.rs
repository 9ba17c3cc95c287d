//! Admission by bytes: requests of one source share an amount of memory, and wait for their part of it.
//!
//! A request holds what it really has in memory: its body as far as it has come, then its events. What waits for an
//! acknowledgement holds nothing any more. So many small requests never turn one another away, and few large ones cannot
//! use up the machine's memory.
//!
//! Invariant: the holds of one [`Memory`] never add up to more than its bytes.

use super::refusal::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of requests in memory at the same time, unless the options say otherwise.
pub const DEFAULT_MAX_BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// Of the memory, the part below which it is scarce: slow clients have to hurry.
const SCARCE_PART: usize = 4;

/// The memory that the requests of one source share.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    bytes: usize,
}

/// A request's part of the memory. It grows and shrinks, and is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    memory: Memory,
    permit: Option<OwnedSemaphorePermit>,
    /// How long to wait for more.
    limit: Duration,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = bytes.min(u32::MAX as usize);
        let free = Arc::new(Semaphore::new(bytes));
        Self { free, bytes }
    }

    /// A part without bytes, which waits for more up to `limit` each time.
    pub(crate) fn hold(&self, limit: Duration) -> Hold {
        Hold {
            memory: self.clone(),
            permit: None,
            limit,
        }
    }

    /// Whether there is little left.
    pub(crate) fn is_scarce(&self) -> bool {
        self.free.available_permits() < self.bytes / SCARCE_PART
    }

    /// Waits until no request holds anything.
    pub(crate) async fn until_free(&self) {
        let all = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        let _all = self.free.acquire_many(all).await;
    }
}

impl Hold {
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Holds so many bytes, waiting for them where it held fewer.
    pub(crate) async fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(more) = bytes.checked_sub(self.bytes()).filter(|more| *more > 0) else {
            return Ok(());
        };
        // More than there is will never be free.
        let more = u32::try_from(more)
            .ok()
            .filter(|_| bytes <= self.memory.bytes)
            .ok_or_else(busy)?;
        let free = Arc::clone(&self.memory.free);
        let permit = match Arc::clone(&free).try_acquire_many_owned(more) {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(self.limit, free.acquire_many_owned(more))
                .await
                .map_err(|_| busy())?
                .map_err(|_| busy())?,
        };
        match &mut self.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }

    /// Gives back what is held beyond so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let over = self.bytes().saturating_sub(bytes);
        if let Some(held) = &mut self.permit {
            drop(held.split(over));
        }
    }
}

fn busy() -> Refusal {
    let message = "the requests that are being worked on take all the memory that they may take (`max_bytes_in_flight`); \
                   try again later";
    Refusal::new(503, "too_busy", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holds_wait_for_one_another_and_never_exceed_the_memory() {
        let memory = Memory::new(100);
        let (mut one, mut other) = (memory.hold(Duration::MAX), memory.hold(Duration::ZERO));
        one.grow_to(60).await.unwrap();
        one.grow_to(40).await.unwrap();
        assert_eq!(one.bytes(), 60, "a hold shrinks only when it is told to");
        assert!(!memory.is_scarce());
        assert_eq!(other.grow_to(41).await.unwrap_err().code, "too_busy");
        other.grow_to(40).await.unwrap();
        assert!(memory.is_scarce());
        one.shrink_to(10);
        other.grow_to(90).await.unwrap();
        let waiting = tokio::spawn(async move { one.grow_to(100).await.map(|()| one) });
        drop(other);
        let one = waiting.await.unwrap().unwrap();
        assert_eq!(one.bytes(), 100);
        drop(one);
        memory.until_free().await;
    }

    #[tokio::test]
    async fn what_can_never_be_free_is_refused_at_once() {
        let mut hold = Memory::new(100).hold(Duration::MAX);
        assert_eq!(hold.grow_to(101).await.unwrap_err().status, 503);
    }
}
