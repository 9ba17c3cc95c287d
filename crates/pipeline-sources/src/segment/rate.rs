//! How many events a key may bring: so many a second, and a burst of [`BURST_SECS`] of them.
//!
//! A request passes while anything is left, whatever its size, and the next ones wait for what it took too much: so no request
//! is too large to pass, and the average is kept.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many seconds' events may come at once.
const BURST_SECS: f64 = 10.0;

/// The events that a key may still bring.
#[derive(Debug)]
pub(super) struct Rate {
    per_sec: f64,
    left: Mutex<(f64, Instant)>,
}

impl Rate {
    pub(super) fn new(per_sec: u32) -> Self {
        let per_sec = f64::from(per_sec.max(1));
        Self {
            per_sec,
            left: Mutex::new((per_sec * BURST_SECS, Instant::now())),
        }
    }

    /// Takes so many events, or says how long to wait.
    pub(super) fn take(&self, events: usize, now: Instant) -> Result<(), Duration> {
        // Nothing under the lock can panic.
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(left.1).as_secs_f64();
        let now_left = (left.0 + passed * self.per_sec).min(self.per_sec * BURST_SECS);
        *left = (now_left, now.max(left.1));
        if now_left <= 0.0 {
            let wait = (1.0 - now_left) / self.per_sec;
            return Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX));
        }
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        left.0 -= f64::from(events);
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What would be left after these requests, found from all of them: each with its millisecond and its events.
    fn left_after(per_sec: f64, taken: &[(u64, usize)], now_ms: u64) -> f64 {
        let most = per_sec * BURST_SECS;
        let (mut left, mut at) = (most, 0);
        for (ms, events) in taken.iter().copied().chain([(now_ms, 0)]) {
            left = (left + (ms - at) as f64 / 1000.0 * per_sec).min(most) - events as f64;
            at = ms;
        }
        left
    }

    proptest! {
        #[test]
        fn a_request_passes_exactly_while_all_that_came_before_leaves_something(
            per_sec in 1_u32..50,
            requests in prop::collection::vec((0_u64..5_000, 1_usize..400), 1..40),
        ) {
            let rate = Rate::new(per_sec);
            let start = Instant::now();
            rate.left.lock().unwrap().1 = start;
            let (mut now_ms, mut taken) = (0, Vec::new());
            for (pause, events) in requests {
                now_ms += pause;
                let left = left_after(f64::from(per_sec), &taken, now_ms);
                // At the very edge the two may round differently.
                prop_assume!(left.abs() > 1e-6);
                let passed = rate.take(events, start + Duration::from_millis(now_ms)).is_ok();
                prop_assert_eq!(passed, left > 0.0, "{}", left);
                if passed {
                    taken.push((now_ms, events));
                }
            }
        }
    }

    #[test]
    fn a_burst_passes_and_then_the_average_is_kept() {
        let rate = Rate::new(2);
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(rate.take(15, at(0)), Ok(()));
        assert_eq!(rate.take(15, at(0)), Ok(()), "something was left");
        assert_eq!(rate.take(1, at(0)), Err(Duration::from_secs_f64(5.5)));
        assert!(rate.take(1, at(5)).is_err());
        assert_eq!(rate.take(1, at(6)), Ok(()));
    }

    #[test]
    fn what_was_not_used_is_kept_for_a_burst_only() {
        let rate = Rate::new(1);
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(rate.take(10, later), Ok(()));
        assert!(rate.take(1, later).is_err());
    }
}
