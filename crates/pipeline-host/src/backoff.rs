//! How long to wait after a failure: full jitter below a limit that doubles.
//!
//! Invariant: a pause is never longer than `max`, unless the destination asked for more.

use std::time::Duration;

/// Doublings after which the limit no longer grows, whatever the options.
const MAX_DOUBLINGS: u32 = 32;

/// The pauses between attempts of one sink.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    pub(crate) fn new(initial: Duration, max: Duration, seed: u64) -> Self {
        Self {
            initial,
            max,
            failures: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Changes the limits, and forgets the failures.
    pub(crate) fn set_limits(&mut self, initial: Duration, max: Duration) {
        (self.initial, self.max, self.failures) = (initial, max, 0);
    }

    /// Whether the last attempt failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Forgets the failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure: uniform in `0..limit`, and not shorter than `after`.
    pub(crate) fn next(&mut self, after: Option<Duration>) -> Duration {
        let limit = self.limit();
        limit
            .mul_f64(self.random.f64())
            .max(after.unwrap_or_default())
    }

    /// The longest pause after one more failure, without chance: for probes.
    pub(crate) fn limit(&mut self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures.min(MAX_DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        self.initial.saturating_mul(doubled).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_stay_below_the_limit() {
        let (initial, max) = (Duration::from_secs(1), Duration::from_secs(300));
        for seed in 0..200 {
            let mut backoff = Backoff::new(initial, max, seed);
            for failure in 0..40_u32 {
                let limit = initial
                    .saturating_mul(2_u32.saturating_pow(failure))
                    .min(max);
                assert!(
                    backoff.next(None) <= limit,
                    "seed {seed}, failure {failure}"
                );
            }
        }
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let pauses: Vec<_> = (0..400)
            .map(|seed| {
                Backoff::new(Duration::from_secs(8), Duration::from_secs(8), seed).next(None)
            })
            .collect();
        assert!(pauses.iter().any(|pause| *pause < Duration::from_secs(1)));
        assert!(pauses.iter().any(|pause| *pause > Duration::from_secs(7)));
    }

    #[test]
    fn a_pause_is_never_shorter_than_the_destination_asked_for() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(2), 7);
        assert_eq!(
            backoff.next(Some(Duration::from_secs(900))),
            Duration::from_secs(900)
        );
        backoff.reset();
        assert!(!backoff.is_failing());
    }
}
