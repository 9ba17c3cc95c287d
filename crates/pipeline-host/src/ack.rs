//! Acknowledgement inside the host: who still holds an event of a chunk, and how far the events have got.
//!
//! The host makes one [`Ack`] for each chunk and passes clones on with its events. The holder of a clone says
//! [`Ack::done`] when its event is on disk, delivered, filtered, or in the dead letters. When the last clone is gone, the
//! source's receipt settles.
//!
//! Invariant: a receipt says [`AckStatus::Safe`] only when no event that it covers can be lost any more. A clone that is
//! dropped without `done`, because something failed, fails the whole chunk.

use pipeline_core::{AckLevel, AckStatus, Receipt, Settle, receipt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A handle on one chunk; the chunk is acknowledged when every clone is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ack(Option<Arc<Shares>>);

#[derive(Debug)]
struct Shares {
    level: AckLevel,
    given_up: AtomicBool,
    settle: Mutex<Option<Settle>>,
}

impl Ack {
    /// An acknowledgement that is awaited until its events have got so far.
    pub(crate) fn until(level: AckLevel) -> (Self, Receipt) {
        let (settle, receipt) = receipt();
        let shares = Shares {
            level,
            given_up: AtomicBool::new(false),
            settle: Mutex::new(Some(settle)),
        };
        (Self(Some(Arc::new(shares))), receipt)
    }

    /// For sources that cannot send an event again: no receipt waits for it.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Whether the source would send the event again.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.is_some()
    }

    /// The event has got so far; its source may not have to wait any longer.
    pub(crate) fn reached(&mut self, reached: AckLevel) {
        if self
            .0
            .as_ref()
            .is_some_and(|shares| shares.level <= reached)
        {
            self.0 = None;
        }
    }

    /// The final fate of the event is known.
    pub(crate) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if let Some(shares) = &self.0 {
            shares.given_up.store(true, Ordering::Release);
        }
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        let status = if self.given_up.load(Ordering::Acquire) {
            AckStatus::GivenUp
        } else {
            AckStatus::Safe
        };
        let settle = self
            .settle
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(settle) = settle.take() {
            settle.settle(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_receipt_waits_for_the_last_clone() {
        let (ack, mut receipt) = Ack::until(AckLevel::Stored);
        let other = ack.clone();
        ack.done();
        assert_eq!(receipt.now(), None);
        other.done();
        assert_eq!(receipt.settled().await, AckStatus::Safe);
    }

    #[tokio::test]
    async fn a_clone_is_kept_until_its_source_need_not_wait_any_longer() {
        for (level, reached, safe) in [
            (AckLevel::Buffered, AckLevel::Buffered, true),
            (AckLevel::Stored, AckLevel::Buffered, false),
            (AckLevel::Stored, AckLevel::Stored, true),
            (AckLevel::Final, AckLevel::Stored, false),
            (AckLevel::Final, AckLevel::Final, true),
        ] {
            let (mut ack, receipt) = Ack::until(level);
            ack.reached(reached);
            let now = receipt.now();
            assert_eq!(now.is_some(), safe, "{level:?}, {reached:?}");
        }
    }

    #[tokio::test]
    async fn one_clone_that_is_dropped_gives_up_the_whole() {
        let (ack, receipt) = Ack::until(AckLevel::Stored);
        drop(ack.clone());
        assert_eq!(receipt.now(), None);
        ack.done();
        assert_eq!(receipt.now(), Some(AckStatus::GivenUp));
        assert!(!Ack::none().is_awaited());
    }
}
