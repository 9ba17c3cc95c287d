//! How many batches of a sink may be on their way at the same time: half as many after trouble, one more after every round
//! that went well.
//!
//! Invariant: never none, and never more than the options allow.

/// The changing limit of one sink.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Concurrency {
    limit: f64,
    max: usize,
}

impl Concurrency {
    /// Starts with all that `max` allows, which is at least one.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.max(1);
        Self {
            limit: as_limit(max),
            max,
        }
    }

    /// Changes the most that is allowed.
    pub(crate) fn set_max(&mut self, max: usize) {
        *self = Self::new(max);
    }

    /// Batches that may be on their way now.
    pub(crate) fn limit(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between one and `max`"
        )]
        let limit = self.limit as usize;
        limit.clamp(1, self.max)
    }

    /// A batch went through: as many as are on their way have to, for one more.
    pub(crate) fn grow(&mut self) {
        self.limit = (self.limit + self.limit.recip()).min(as_limit(self.max));
    }

    /// The destination was throttling, failing or silent.
    pub(crate) fn shrink(&mut self) {
        self.limit = (self.limit / 2.0).max(1.0);
    }
}

fn as_limit(max: usize) -> f64 {
    f64::from(u32::try_from(max).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_halves_the_limit_and_success_brings_it_back_step_by_step() {
        let mut concurrency = Concurrency::new(8);
        assert_eq!(concurrency.limit(), 8);
        concurrency.shrink();
        assert_eq!(concurrency.limit(), 4);
        for _ in 0..3 {
            concurrency.grow();
        }
        assert_eq!(concurrency.limit(), 4, "not before a whole round went well");
        concurrency.grow();
        concurrency.grow();
        assert_eq!(concurrency.limit(), 5);
        for _ in 0..100 {
            concurrency.shrink();
        }
        assert_eq!(concurrency.limit(), 1);
        for _ in 0..100 {
            concurrency.grow();
        }
        assert_eq!(concurrency.limit(), 8);
        assert_eq!(Concurrency::new(0).limit(), 1);
    }
}
