//! How a source learns what became of the events that it sent.
//!
//! The host keeps a [`Settle`] for each chunk and the source gets the [`Receipt`]. Both are plain data, so that any host
//! can make them: no runtime is needed.
//!
//! Invariant: a receipt that is dropped by the host without a word says [`AckStatus::GivenUp`], never
//! [`AckStatus::Safe`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How far events have to get before their source hears that they are safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AckLevel {
    /// Every sink has the events in its buffer, in memory or on disk.
    Buffered,
    /// The events outlive the process: they are on disk, or have met their final fate.
    Stored,
    /// The events have met their final fate: delivered, filtered, or in the dead letters.
    Final,
}

/// What became of everything that one [`Receipt`] covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckStatus {
    /// All of it got as far as the source asked for.
    Safe,
    /// Some of it was given up: the source has to send it again, if it can.
    GivenUp,
}

/// The source's end: waits until the host knows what became of the events.
pub struct Receipt(Arc<Mutex<State>>);

/// The host's end: settles one receipt, once.
pub struct Settle(Option<Arc<Mutex<State>>>);

#[derive(Debug, Default)]
struct State {
    status: Option<AckStatus>,
    waker: Option<Waker>,
}

/// A receipt and what settles it.
pub fn receipt() -> (Settle, Receipt) {
    let state = Arc::<Mutex<State>>::default();
    (Settle(Some(Arc::clone(&state))), Receipt(state))
}

impl Receipt {
    /// A receipt that has settled already.
    pub fn settled_as(status: AckStatus) -> Self {
        let (settle, receipt) = receipt();
        settle.settle(status);
        receipt
    }

    /// Waits until the host knows what became of the events.
    pub async fn settled(&mut self) -> AckStatus {
        Settled(&self.0).await
    }

    /// What is known now.
    pub fn now(&self) -> Option<AckStatus> {
        lock(&self.0).status
    }
}

impl Settle {
    /// Tells the source.
    pub fn settle(mut self, status: AckStatus) {
        self.tell(status);
    }

    fn tell(&mut self, status: AckStatus) {
        if let Some(state) = self.0.take() {
            let mut state = lock(&state);
            state.status = Some(status);
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        self.tell(AckStatus::GivenUp);
    }
}

struct Settled<'r>(&'r Mutex<State>);

impl Future for Settled<'_> {
    type Output = AckStatus;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AckStatus> {
        let mut state = lock(self.0);
        if let Some(status) = state.status {
            return Poll::Ready(status);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt").field(&self.now()).finish()
    }
}

impl fmt::Debug for Settle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settle").finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // The state is whole whatever panicked: each change is one assignment.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_waiting_source_is_woken_and_hears_the_status() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let (settle, mut receipt) = receipt();
        {
            let mut waiting = std::pin::pin!(receipt.settled());
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            settle.settle(AckStatus::Safe);
            assert_eq!(count.0.load(Ordering::SeqCst), 1);
            assert_eq!(waiting.poll(&mut cx), Poll::Ready(AckStatus::Safe));
        }
        assert_eq!(receipt.now(), Some(AckStatus::Safe));
    }

    #[test]
    fn a_receipt_whose_host_is_gone_is_given_up() {
        let (settle, receipt) = receipt();
        assert_eq!(receipt.now(), None);
        drop(settle);
        assert_eq!(receipt.now(), Some(AckStatus::GivenUp));
        let settled = Receipt::settled_as(AckStatus::Safe);
        assert_eq!(settled.now(), Some(AckStatus::Safe));
    }
}
