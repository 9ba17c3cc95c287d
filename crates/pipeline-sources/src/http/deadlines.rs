//! How long clients may take, in one place, so that tests can choose shorter times.

use std::time::Duration;

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// From the first byte of a request's head to its last.
    pub(crate) head: Duration,
    /// Between two requests, and before the first. Longer than the 60 s for which balancers usually keep a connection, so
    /// that they close it, not we.
    pub(crate) idle: Duration,
    /// How often a connection's time is looked at.
    pub(crate) look: Duration,
    /// How long an answer that is being written may still take when its connection is closed for lack of room.
    pub(crate) linger: Duration,
    /// How long a body may come as slowly as it likes.
    pub(crate) body_grace: Duration,
    /// How often the rate of a body is looked at.
    pub(crate) body_window: Duration,
    /// The least rate of a body after its grace.
    pub(crate) body_bytes_per_sec: u32,
    /// The least rate of a body while memory is scarce.
    pub(crate) scarce_bytes_per_sec: u32,
}

impl Deadlines {
    /// What counts outside of tests.
    pub(crate) const DEFAULT: Self = Self {
        head: Duration::from_secs(15),
        idle: Duration::from_secs(90),
        look: Duration::from_secs(5),
        linger: Duration::from_secs(1),
        body_grace: Duration::from_secs(30),
        body_window: Duration::from_secs(5),
        body_bytes_per_sec: 1024,
        scarce_bytes_per_sec: 64 * 1024,
    };

    /// Bytes that a body has to bring in a window, when it has been coming for that long.
    pub(crate) fn least_bytes(&self, coming: Duration, is_scarce: bool) -> u64 {
        let rate = if is_scarce {
            self.scarce_bytes_per_sec
        } else if coming > self.body_grace {
            self.body_bytes_per_sec
        } else {
            0
        };
        u64::try_from(self.body_window.as_millis() * u128::from(rate) / 1000).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_may_be_slow_for_a_while_unless_memory_is_scarce() {
        let least =
            |secs, scarce| Deadlines::DEFAULT.least_bytes(Duration::from_secs(secs), scarce);
        assert_eq!(least(5, false), 0);
        assert_eq!(least(30, false), 0);
        assert_eq!(least(35, false), 5 * 1024);
        assert_eq!(least(5, true), 5 * 64 * 1024);
        assert!(Deadlines::DEFAULT.idle >= Duration::from_secs(75));
    }
}
