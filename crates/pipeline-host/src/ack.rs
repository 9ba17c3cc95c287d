//! Acknowledgement: how a source learns that what it read is safe.
//!
//! A source makes one [`Ack`] for everything it read at once and hands it on with the events. Whoever holds an event
//! holds a clone, and says [`Ack::done`] when the event is on disk, delivered, filtered, or in the dead letters. When the
//! last clone is gone, the source's [`Receipt`] says whether every event got that far.
//!
//! Invariant: a receipt says [`Settled::Safe`] only when no event that it stands for can be lost any more. A clone that is
//! dropped without a word, because something failed, gives the whole up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// A share in the fate of what one source read at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ack(Option<Arc<Shares>>);

/// How far an event has to get before its source hears that it is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Until {
    /// A buffer has it, in memory or on disk.
    Buffered,
    /// It outlives the process: it is on disk, or has met its final fate.
    Kept,
    /// It has met its final fate: delivered or in the dead letters.
    Final,
}

#[derive(Debug)]
struct Shares {
    until: Until,
    given_up: AtomicBool,
    settled: Option<oneshot::Sender<Settled>>,
}

/// What became of everything that one [`Ack`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// All of it is on disk, or has met its final fate.
    Safe,
    /// Some of it was given up; it has to be read again.
    GivenUp,
}

/// The source's end of an [`Ack`].
#[derive(Debug)]
pub(crate) struct Receipt(oneshot::Receiver<Settled>);

impl Ack {
    /// An acknowledgement for a source that can read everything again: it waits until events are kept.
    pub(crate) fn new() -> (Self, Receipt) {
        Self::until(Until::Kept)
    }

    /// An acknowledgement that is waited for so long.
    pub(crate) fn until(until: Until) -> (Self, Receipt) {
        let (sender, receiver) = oneshot::channel();
        let shares = Shares {
            until,
            given_up: AtomicBool::new(false),
            settled: Some(sender),
        };
        (Self(Some(Arc::new(shares))), Receipt(receiver))
    }

    /// For sources that cannot read anything again: nobody waits.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Whether the source would read the event again.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.is_some()
    }

    /// The event has got so far; its source may not have to wait any longer.
    pub(crate) fn reached(&mut self, reached: Until) {
        if self
            .0
            .as_ref()
            .is_some_and(|shares| shares.until <= reached)
        {
            self.0 = None;
        }
    }

    /// The event has met its final fate.
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
        let settled = if self.given_up.load(Ordering::Acquire) {
            Settled::GivenUp
        } else {
            Settled::Safe
        };
        if let Some(sender) = self.settled.take() {
            // Nobody listens where the source has ended already.
            let _ = sender.send(settled);
        }
    }
}

impl Receipt {
    /// Waits until the last share is gone.
    pub(crate) async fn settled(&mut self) -> Settled {
        (&mut self.0).await.unwrap_or(Settled::GivenUp)
    }

    /// What is known now.
    pub(crate) fn now(&mut self) -> Option<Settled> {
        match self.0.try_recv() {
            Ok(settled) => Some(settled),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Settled::GivenUp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_receipt_waits_for_the_last_share() {
        let (ack, mut receipt) = Ack::new();
        let other = ack.clone();
        ack.done();
        assert_eq!(receipt.now(), None);
        other.done();
        assert_eq!(receipt.settled().await, Settled::Safe);
    }

    #[tokio::test]
    async fn a_share_is_kept_until_its_source_need_not_wait_any_longer() {
        for (until, reached, safe) in [
            (Until::Buffered, Until::Buffered, true),
            (Until::Kept, Until::Buffered, false),
            (Until::Kept, Until::Kept, true),
            (Until::Final, Until::Kept, false),
            (Until::Final, Until::Final, true),
        ] {
            let (mut ack, mut receipt) = Ack::until(until);
            ack.reached(reached);
            let now = receipt.now();
            assert_eq!(now.is_some(), safe, "{until:?}, {reached:?}");
        }
    }

    #[tokio::test]
    async fn one_share_that_is_dropped_gives_up_the_whole() {
        let (ack, mut receipt) = Ack::new();
        drop(ack.clone());
        assert_eq!(receipt.now(), None);
        ack.done();
        assert_eq!(receipt.now(), Some(Settled::GivenUp));
        assert!(!Ack::none().is_awaited());
    }
}
