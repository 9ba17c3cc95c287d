//! Events that something on the way to Meta refused: a firewall that dislikes what one of them holds, or one that is closed for
//! all of them. The answers to single events go in, and it comes out which of them are bad.
//!
//! An event is bad if it was refused alone, then another request got through to Meta, and then the event was refused alone
//! [`CONFIRMATIONS`] times more. Where nothing gets through, or nothing any more, the way is closed. Where an event gets through
//! that was refused before, refusals have nothing to do with events, as with one bad proxy among several: then they count as
//! failures that pass.
//!
//! Invariant: an event that is refused while everything else is refused too is never bad.

use super::blame::{MIN_ALIKE, MIN_SAMPLED};
use super::parts::Role;
use crate::response::Refusal;

/// How often an event is refused alone, after something got through, before it is bad.
pub(super) const CONFIRMATIONS: u32 = 5;

/// What was refused on the way in one attempt.
#[derive(Debug, Default)]
pub(super) struct OnTheWay {
    /// Whether refusals have nothing to do with events.
    pub(super) flaps: bool,
    /// How often the event that is sent now was refused alone since something got through.
    confirmed: u32,
    /// Refused alone, and nothing got through since.
    pub(super) once: Vec<(usize, Refusal)>,
    /// Refused alone before and after something got through; bad, unless the way has closed by now.
    pub(super) twice: Vec<(usize, Refusal)>,
    /// Whether anything got through.
    pub(super) has_passed: bool,
    /// Refusals of single events since something got through.
    in_row: usize,
    /// Whether a request without events has shown whether the way is open.
    is_checked: bool,
}

/// What follows from a request that got through.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) bad: Vec<(usize, Refusal)>,
    /// To be sent alone once more, at once.
    pub(super) to_confirm: Vec<usize>,
}

impl OnTheWay {
    pub(super) fn new(flaps: bool) -> Self {
        Self {
            flaps,
            ..Self::default()
        }
    }

    /// An event was refused alone. Says whether it is to be sent alone again, at once.
    pub(super) fn refuse(&mut self, position: usize, refusal: Refusal, role: Role) -> bool {
        if role != Role::Confirming {
            self.in_row += 1;
            self.once.push((position, refusal));
            return false;
        }
        self.confirmed += 1;
        if self.confirmed < CONFIRMATIONS {
            return true;
        }
        self.confirmed = 0;
        self.in_row += 1;
        self.twice.push((position, refusal));
        false
    }

    /// An event got through that was refused before.
    pub(super) fn contradict(&mut self) {
        (self.flaps, self.confirmed) = (true, 0);
    }

    /// Something got through.
    pub(super) fn pass(&mut self) -> Seen {
        (self.has_passed, self.in_row) = (true, 0);
        let to_confirm = std::mem::take(&mut self.once).into_iter();
        Seen {
            bad: std::mem::take(&mut self.twice),
            to_confirm: to_confirm.map(|(position, _)| position).collect(),
        }
    }

    /// While nothing has got through and the way is suspected: how many more events must be refused alone to prove that it is
    /// closed.
    pub(super) fn missing(&self) -> Option<usize> {
        let is_suspected = !self.has_passed && self.once.len() >= MIN_SAMPLED;
        is_suspected.then(|| MIN_ALIKE.saturating_sub(self.once.len()))
    }

    /// The last refusal, if so many events were refused one after the other that the way has closed since something got through.
    pub(super) fn is_closed(&self) -> Option<&Refusal> {
        let is_closed = self.has_passed && self.in_row >= MIN_ALIKE;
        let last = self.twice.last().or(self.once.last());
        last.map(|(_, refusal)| refusal).filter(|_| is_closed)
    }

    /// Whether a request without events is to show that the way is still open, because no other events are left to show it. True
    /// once only.
    pub(super) fn wants_check(&mut self) -> bool {
        let wants = self.has_passed && !self.once.is_empty() && !self.is_checked;
        self.is_checked |= wants;
        wants
    }
}
