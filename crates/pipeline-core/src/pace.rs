//! How often the same thing is told to the log: at once, and then no more than once in a while.
//!
//! Plain data: whoever uses it says what time it is. Invariant: between two times at which something was told lies the pause.

use std::time::{Duration, Instant};

/// When something may be told to the log again.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pause: Duration,
    last: Option<Instant>,
}

impl Pace {
    /// The usual pause between two lines about the same thing.
    pub const PAUSE: Duration = Duration::from_secs(60);

    /// The first time at once, and then with this pause.
    pub const fn new(pause: Duration) -> Self {
        Self { pause, last: None }
    }

    /// Whether something may be told now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.last
            .is_none_or(|last| now.saturating_duration_since(last) >= self.pause)
    }

    /// Takes note that something is told now.
    pub fn told(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Whether something may be told now; it counts as told then.
    pub fn take(&mut self, now: Instant) -> bool {
        let is_due = self.is_due(now);
        if is_due {
            self.told(now);
        }
        is_due
    }
}

impl Default for Pace {
    /// At once, and then once a minute.
    fn default() -> Self {
        Self::new(Self::PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_at_once_and_the_next_after_the_pause() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::default();
        assert!(pace.is_due(at(5)), "looking is not telling");
        let told: Vec<u64> = (5..200).filter(|secs| pace.take(at(*secs))).collect();
        assert_eq!(told, [5, 65, 125, 185]);
        assert!(!pace.is_due(at(0)), "a time that goes back is not later");
    }
}
