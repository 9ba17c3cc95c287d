//! Work on a request that a client cannot cancel by going away.
//!
//! Invariant: once work has begun it ends, whatever becomes of the request that asked for it.

use super::refusal::Refusal;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// Works at once as far as nothing has to be waited for, which for small requests is usually all of it, and in a task of its own
/// from there on: to give every request to another task would take longer than many of them.
///
/// # Errors
///
/// A refusal where the work ends with a panic.
pub(crate) fn detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, Refusal>> {
    // Boxed here and not when it is first polled: work is large, and what holds it would be as large and be moved with it.
    let mut work = Box::pin(work);
    async move {
        // Nothing is awaited between the two, so the work cannot be dropped when it has begun.
        let begun = poll_fn(|cx| {
            let begin = AssertUnwindSafe(|| work.as_mut().poll(cx));
            Poll::Ready(catch_unwind(begin))
        });
        match begun.await {
            Ok(Poll::Ready(done)) => Ok(done),
            Ok(Poll::Pending) => tokio::spawn(work).await.map_err(|_| broken()),
            Err(_) => Err(broken()),
        }
    }
}

fn broken() -> Refusal {
    let message = "the request could not be worked on; please report it";
    Refusal::new(500, "internal", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_waits_ends_without_the_one_who_asked() {
        let (go, waits) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        {
            let mut work = pin!(detached(async move {
                let went = waits.await.is_ok();
                let _ = tell.send(went);
            }));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(work.as_mut().poll(&mut cx).is_pending());
        }
        go.send(()).unwrap();
        assert!(told.await.unwrap());
    }

    #[tokio::test]
    async fn what_never_waits_ends_at_once_and_a_panic_is_a_refusal_before_and_behind_a_pause() {
        let mut cx = Context::from_waker(Waker::noop());
        let at_once = pin!(detached(async { 7 })).poll(&mut cx);
        assert_eq!(at_once, Poll::Ready(Ok(7)));
        for waits in [false, true] {
            let work = async move {
                if waits {
                    tokio::task::yield_now().await;
                }
                assert!(std::env::args().next().is_none(), "as a fault would");
            };
            assert_eq!(detached(work).await.unwrap_err().status, 500, "{waits}");
        }
    }
}
