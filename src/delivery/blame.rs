//! Decides whether an event or the configuration is at fault for a refusal that does not say so.
//!
//! An event that is refused alone while others of its batch pass is bad. If nothing passes, one refused event proves little:
//! [`MIN_ALIKE`] different events, consecutively refused alone with one code, prove that the configuration is at fault. Fewer
//! events are held for [`MAX_LONE_ATTEMPTS`] attempts, in which others may join them; then they are rejected, so that they do
//! not delay the others any longer.
//!
//! A refusal on the way to Meta proves even less, because proxies and firewalls close and open by themselves. There, no number of
//! attempts rejects an event: `attempt` rejects it where another event passes between two refusals of it.
//!
//! Invariant: [`Memory`] forgets everything as soon as Meta accepts a request or blames an event.

use crate::response::{Refusal, Sign};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Different events, consecutively refused alone with one code, that prove a wrong configuration.
pub(super) const MIN_ALIKE: usize = 8;
/// Events of one batch refused alone with one code, after which events from all over the batch are sent alone, so that a run of
/// bad events is not mistaken for the whole batch.
pub(super) const MIN_SAMPLED: usize = 2;
/// Attempts for an event that is refused alone, while fewer than [`MIN_ALIKE`] events are. With a host that probes a blocked
/// sink after 1, 2, 4, 8 and 16 seconds, other events have about half a minute to join it.
pub(super) const MAX_LONE_ATTEMPTS: u32 = 6;

/// How long it is remembered that refusals on the way have nothing to do with events, in milliseconds.
pub(super) const FLAPPING_MS: i64 = 10 * 60 * 1000;

/// Events of one batch that were refused alone with one code, before any other answer of Meta.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Positions in the batch, in the order in which they were refused.
    refused: Vec<(usize, Refusal)>,
    /// Whether Meta answered otherwise to this batch. From then on a refused event is bad.
    is_cleared: bool,
}

impl Suspects {
    /// Meta accepted a request or blamed an event, so it processes events. Returns the suspects, which are bad then.
    pub(super) fn clear(&mut self) -> Vec<(usize, Refusal)> {
        self.is_cleared = true;
        std::mem::take(&mut self.refused)
    }

    /// Whether Meta's only answer to this batch was a refusal with the code of `refusal`.
    pub(super) fn are_like(&self, refusal: &Refusal) -> bool {
        let is_alike = |(_, first): &(usize, Refusal)| first.sign == refusal.sign;
        !self.is_cleared && self.refused.first().is_none_or(is_alike)
    }

    pub(super) fn add(&mut self, position: usize, refusal: Refusal) {
        self.refused.push((position, refusal));
    }

    /// Once the configuration is suspected: how many more events must be refused alone to prove it.
    pub(super) fn missing(&self) -> Option<usize> {
        let is_suspected = !self.is_cleared && self.refused.len() >= MIN_SAMPLED;
        is_suspected.then(|| MIN_ALIKE.saturating_sub(self.refused.len()))
    }

    pub(super) fn into_refused(self) -> Vec<(usize, Refusal)> {
        self.refused
    }
}

/// What a sink remembers across batches: which events were refused alone with one code, since any other answer of Meta.
#[derive(Debug, Default)]
pub(super) struct Memory {
    code: Option<Sign>,
    /// The hash of each event's payload, and how often it was refused alone; at most [`MIN_ALIKE`].
    refused: Vec<(u64, u32)>,
    hasher: RandomState,
    /// Incremented with every batch of suspects, so that other events of the batch are sent alone each time.
    turn: usize,
    /// When an event got through last that something on the way had refused before.
    flapped_ms: Option<i64>,
}

impl Memory {
    /// An event got through that something on the way had refused before. Noted when it is seen, and not prolonged by attempts
    /// that only remember it.
    pub(super) fn note_flap(&mut self, now_ms: i64) {
        if !self.flaps(now_ms) {
            self.flapped_ms = Some(now_ms);
        }
    }

    /// Whether refusals on the way are not about events.
    pub(super) fn flaps(&self, now_ms: i64) -> bool {
        self.flapped_ms
            .is_some_and(|flapped| (0..FLAPPING_MS).contains(&(now_ms - flapped)))
    }

    /// Meta accepted a request or blamed an event.
    pub(super) fn forget(&mut self) {
        self.code = None;
        self.refused.clear();
    }

    /// Records an event that was refused alone. Returns how often that happened so far, as far as it is remembered.
    ///
    /// A different code makes it forget the other events, which were not refused alike. It keeps the event itself, or an event
    /// that gets a different code each time would never run out of attempts.
    pub(super) fn record(&mut self, sign: Sign, payload: &[u8]) -> u32 {
        let code = Some(sign);
        let event = self.hasher.hash_one(payload);
        if self.code != code {
            let was_proven = self.is_proven();
            self.refused
                .retain(|(other, _)| *other == event && !was_proven);
            self.code = code;
        }
        if let Some((_, attempts)) = self.refused.iter_mut().find(|(other, _)| *other == event) {
            *attempts = attempts.saturating_add(1);
            return *attempts;
        }
        if !self.is_proven() {
            self.refused.push((event, 1));
        }
        1
    }

    /// Whether enough different events were refused alike to prove a wrong configuration.
    pub(super) fn is_proven(&self) -> bool {
        self.refused.len() >= MIN_ALIKE
    }

    /// Whether only one event was refused, which says nothing about the others.
    pub(super) fn is_single(&self) -> bool {
        self.refused.len() <= 1
    }

    pub(super) fn turn(&self) -> usize {
        self.turn
    }

    pub(super) fn next_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::GraphCode;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Seen {
        /// Meta accepted a request or blamed an event.
        Passed,
        /// An event was refused alone with a code.
        Refused { code: i64, event: u8 },
    }

    fn code(code: i64) -> Sign {
        Sign::Graph(Some(GraphCode {
            code,
            subcode: None,
        }))
    }

    /// What the whole history says about its last refusal, without a memory: the attempts of its event, and how many different
    /// events were refused alike.
    fn recount(history: &[Seen]) -> (u32, usize) {
        let since = history.iter().rposition(|seen| *seen == Seen::Passed);
        let refusals: Vec<(i64, u8)> = history[since.map_or(0, |at| at + 1)..]
            .iter()
            .map(|seen| match seen {
                Seen::Refused { code, event } => (*code, *event),
                Seen::Passed => unreachable!(),
            })
            .collect();
        let (_, event) = *refusals.last().unwrap();
        let (mut attempts, mut different) = (0, None);
        for alike in refusals.chunk_by(|one, other| one.0 == other.0).rev() {
            let events = || alike.iter().map(|(_, event)| *event);
            let count = events().collect::<std::collections::BTreeSet<_>>().len();
            if different.is_some() && count >= MIN_ALIKE {
                break;
            }
            different.get_or_insert(count);
            attempts += u32::try_from(events().filter(|other| *other == event).count()).unwrap();
            // After a change of code, only the event with the new code is remembered.
            if alike[0].1 != event {
                break;
            }
        }
        (attempts, different.unwrap())
    }

    fn seen() -> impl Strategy<Value = Seen> {
        prop_oneof![
            1 => Just(Seen::Passed),
            12 => (0..2_i64, 0..12_u8).prop_map(|(code, event)| Seen::Refused { code: code / 2, event }),
            12 => (0..2_i64, 0..3_u8).prop_map(|(code, event)| Seen::Refused { code, event }),
        ]
    }

    proptest! {
        #[test]
        fn the_memory_agrees_with_the_whole_history(history in proptest::collection::vec(seen(), 1..80)) {
            let mut memory = Memory::default();
            for (at, step) in history.iter().enumerate() {
                match step {
                    Seen::Passed => memory.forget(),
                    Seen::Refused { code: number, event } => {
                        let attempts = memory.record(code(*number), &[*event]);
                        let (expected, different) = recount(&history[..=at]);
                        prop_assert_eq!(memory.is_proven(), different >= MIN_ALIKE);
                        prop_assert_eq!(memory.is_single(), different <= 1);
                        if !memory.is_proven() {
                            prop_assert_eq!(attempts, expected);
                        }
                    }
                }
                prop_assert!(memory.refused.len() <= MIN_ALIKE);
            }
        }
    }

    #[test]
    fn an_event_that_gets_another_code_each_time_runs_out_of_attempts() {
        let mut memory = Memory::default();
        let attempts = (1..=MAX_LONE_ATTEMPTS).map(|n| memory.record(code(n.into()), b"event"));
        assert_eq!(attempts.last(), Some(MAX_LONE_ATTEMPTS));
    }
}
