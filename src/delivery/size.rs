//! How large a request may be, as far as refused and accepted ones have shown: a proxy or a gateway on the way to Meta may take less
//! than Meta does, and tells that with the refusal of a request only.
//!
//! Invariant: what is remembered makes requests smaller and nothing else, and is forgotten after [`FORGET_AFTER_MS`], or as soon
//! as another answer contradicts it.

/// How long a refused size is remembered, in milliseconds.
pub(super) const FORGET_AFTER_MS: i64 = 30 * 60 * 1000;

/// The sizes of requests, in bytes of payload, that were refused as too large or accepted.
#[derive(Debug, Default)]
pub(super) struct Sizes(Option<Known>);

#[derive(Debug, Clone, Copy)]
struct Known {
    /// The smallest request that was refused.
    refused: usize,
    /// The largest request that was accepted since; smaller than `refused`.
    accepted: usize,
    /// When a request was refused the last time, in milliseconds.
    since_ms: i64,
}

impl Sizes {
    /// The largest request worth trying; `None` if nothing is known. Below what was refused, so that a few requests find out what
    /// passes.
    pub(super) fn limit(&mut self, now_ms: i64) -> Option<usize> {
        let is_current = |known: &Known| (0..FORGET_AFTER_MS).contains(&(now_ms - known.since_ms));
        self.0 = self.0.filter(is_current);
        self.0
            .map(|known| known.accepted.max(known.refused / 4 * 3))
    }

    /// Whether a request of this size was refused.
    pub(super) fn is_too_large(&self, bytes: usize) -> bool {
        self.0.is_some_and(|known| bytes >= known.refused)
    }

    /// A request of several events was refused as too large.
    pub(super) fn refuse(&mut self, bytes: usize, now_ms: i64) {
        let known = self.0.unwrap_or(Known {
            refused: bytes,
            accepted: 0,
            since_ms: now_ms,
        });
        // A larger one was accepted, so size is not the cause.
        let is_contradicted = bytes <= known.accepted;
        self.0 = (!is_contradicted).then_some(Known {
            refused: known.refused.min(bytes),
            since_ms: now_ms,
            ..known
        });
    }

    /// A request was accepted.
    pub(super) fn accept(&mut self, bytes: usize) {
        if let Some(known) = &mut self.0 {
            known.accepted = known.accepted.max(bytes);
            if known.accepted >= known.refused {
                self.0 = None;
            }
        }
    }

    /// A single event was refused as too large: what the event holds is the cause, not how many events there are.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

/// Cuts events into groups of at most `limit` bytes, in order; a larger event is a group of its own.
pub(super) fn cut(
    positions: Vec<usize>,
    limit: usize,
    bytes: impl Fn(usize) -> usize,
) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for position in positions {
        let size = bytes(position);
        match groups.last_mut() {
            Some(group) if size <= room => group.push(position),
            _ => {
                groups.push(vec![position]);
                room = limit;
            }
        }
        room = room.saturating_sub(size);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_refused_size_is_approached_from_above_and_forgotten_in_time() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.limit(0), None);
        sizes.refuse(1000, 0);
        assert_eq!(sizes.limit(0), Some(750));
        assert!(sizes.is_too_large(1000) && !sizes.is_too_large(999));
        sizes.accept(740);
        sizes.refuse(760, 5);
        assert_eq!(
            sizes.limit(5),
            Some(740),
            "what was accepted is worth trying"
        );
        assert_eq!(sizes.limit(5 + FORGET_AFTER_MS - 1), Some(740));
        assert_eq!(sizes.limit(5 + FORGET_AFTER_MS), None);
    }

    #[test]
    fn a_clock_that_goes_back_forgets_as_well() {
        let mut sizes = Sizes::default();
        sizes.refuse(1000, 50);
        assert_eq!(sizes.limit(49), None);
    }

    #[test]
    fn answers_that_contradict_one_another_are_not_about_size() {
        let mut sizes = Sizes::default();
        sizes.refuse(1000, 0);
        sizes.accept(500);
        sizes.refuse(400, 0);
        assert_eq!(sizes.limit(0), None, "a larger one was accepted");
        sizes.refuse(1000, 0);
        sizes.accept(1000);
        assert_eq!(sizes.limit(0), None, "the limit is gone");
    }

    proptest! {
        /// A destination with a limit, asked with requests of any size: what is remembered never makes a request larger than one
        /// that would be sent without it, and never forbids what passes for good.
        #[test]
        fn the_memory_never_falls_below_half_of_what_passes(limit in 100_usize..10_000, asked in proptest::collection::vec(1_usize..20_000, 1..60)) {
            let mut sizes = Sizes::default();
            for wanted in asked {
                let size = sizes.limit(0).map_or(wanted, |most| wanted.min(most));
                prop_assert!(size <= wanted);
                if size > limit {
                    sizes.refuse(size, 0);
                } else {
                    sizes.accept(size);
                }
                if let Some(most) = sizes.limit(0) {
                    prop_assert!(most * 2 >= limit, "{} of {}", most, limit);
                }
                prop_assert!(!sizes.is_too_large(limit));
            }
        }

        #[test]
        fn groups_hold_every_event_once_in_order_and_keep_to_the_limit(sizes in proptest::collection::vec(1_usize..50, 0..80), limit in 1_usize..100) {
            let groups = cut((0..sizes.len()).collect(), limit, |at| sizes[at]);
            for group in &groups {
                let bytes: usize = group.iter().map(|at| sizes[*at]).sum();
                prop_assert!(!group.is_empty() && (bytes <= limit || group.len() == 1));
            }
            prop_assert!(groups.concat().into_iter().eq(0..sizes.len()));
        }
    }
}
