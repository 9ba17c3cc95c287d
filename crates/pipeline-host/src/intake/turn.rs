//! Turns: work that runs on many tasks and has to happen in the order in which it was asked for.
//!
//! Invariant: a turn comes when every earlier turn of its lane is over, also when one of them was given up while it waited.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Lanes whose turns do not wait for each other. Partitions of a source share them by their number.
const LANES: usize = 16;

/// The turns of one source.
#[derive(Debug, Default)]
pub(super) struct Turns([Arc<Lane>; LANES]);

#[derive(Debug, Default)]
struct Lane {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The next turn that is given out.
    next: u64,
    /// The turn that has come.
    current: u64,
    /// Later turns that are over already. No more than there are chunks on their way.
    over: BTreeSet<u64>,
}

/// A place in the order of a lane. It is over when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    lane: Arc<Lane>,
    number: u64,
}

impl Turns {
    /// The next turn of a partition's lane.
    pub(super) fn take(&self, partition: u64) -> Turn {
        let lane = usize::try_from(partition % LANES as u64).unwrap_or(0);
        let lane = Arc::clone(&self.0[lane]);
        let mut state = lane.lock();
        let number = state.next;
        state.next += 1;
        drop(state);
        Turn { lane, number }
    }
}

impl Turn {
    /// Waits until every earlier turn is over.
    pub(super) async fn comes(&self) {
        loop {
            let moved = self.lane.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.lane.lock().current >= self.number {
                return;
            }
            moved.await;
        }
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        state.over.insert(self.number);
        loop {
            let current = state.current;
            if !state.over.remove(&current) {
                break;
            }
            state.current += 1;
        }
        drop(state);
        self.lane.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_is_given_up_lets_nobody_pass_the_ones_before_it() {
        let turns = Turns::default();
        let [first, second, third, other] = [0, 0, 16, 1].map(|partition| turns.take(partition));
        first.comes().await;
        other.comes().await;
        drop(second);
        let waiting = tokio::spawn(async move { third.comes().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }
}
