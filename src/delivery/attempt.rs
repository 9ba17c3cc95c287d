//! One attempt to deliver a batch: what to send next, and what each answer decides.

use super::blame::{MAX_LONE_ATTEMPTS, Memory, Suspects};
use super::parts::{Part, Parts};
use crate::response::{Answer, Code, Refusal};
use pipeline_core::{Outcome, Reason, Record};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One attempt to deliver a batch.
pub(super) struct Attempt<'m> {
    memory: &'m Mutex<Memory>,
    pub(super) outcomes: Vec<Option<Outcome>>,
    pub(super) parts: Parts,
    suspects: Suspects,
    /// Once the configuration is suspected: which of the events still to be sent are sent alone. The last one is next.
    samples: Option<Vec<usize>>,
}

impl<'m> Attempt<'m> {
    pub(super) fn new(memory: &'m Mutex<Memory>, events: usize) -> Self {
        Self {
            memory,
            outcomes: vec![None; events],
            parts: Parts::default(),
            suspects: Suspects::default(),
            samples: None,
        }
    }

    /// No code panics while it holds the lock, so that a poisoned lock still guards a good memory.
    fn memory(&self) -> MutexGuard<'m, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reject(&mut self, position: usize, reason: Reason) {
        self.outcomes[position] = Some(Outcome::Rejected { reason });
    }

    /// The part to send next; `None` if everything is decided or the configuration is to blame.
    pub(super) fn next(&mut self) -> Option<Part> {
        let Some(missing) = self.suspects.missing() else {
            return self.parts.pop();
        };
        if self.samples.is_none() {
            let turn = self.memory().turn();
            self.samples = Some(spread(missing, self.parts.merge(), turn));
        }
        let sample = self.samples.as_mut()?.pop()?;
        self.parts.take(sample)
    }

    /// Applies Meta's answer to a part; breaks with the outcome of all undecided events if nothing more can be sent now.
    pub(super) fn learn(&mut self, part: Part, answer: Answer) -> ControlFlow<Outcome> {
        let sent = part.positions.len() as u64;
        match answer {
            Answer::Received(Some(count)) if count == sent => {
                self.clear();
                self.deliver(part);
            }
            Answer::Received(Some(count)) if count < sent => {
                self.clear();
                self.split(part, None, Code::NotConfirmed.reason(), false);
            }
            Answer::Received(_) => {
                return ControlFlow::Break(retry(Code::NotConfirmed.reason()));
            }
            Answer::Invalid { index, reason } => {
                self.clear();
                self.split(part, index, reason, true);
            }
            Answer::Refused(refusal) => match part.positions[..] {
                [position] => self.suspect(position, refusal),
                _ => self.parts.halve(part.positions, true),
            },
            Answer::Retry { after, reason } => {
                return ControlFlow::Break(Outcome::Retry { after, reason });
            }
            Answer::Blocked(reason) => {
                return ControlFlow::Break(Outcome::Blocked { reason });
            }
        }
        ControlFlow::Continue(())
    }

    fn deliver(&mut self, part: Part) {
        for position in part.positions {
            self.outcomes[position] = Some(Outcome::Delivered);
        }
        if part.left_of_refused
            && let Some(right) = self.parts.pop()
        {
            self.parts.halve(right.positions, true);
        }
    }

    /// Rejects the bad event if it is known, else halves the part.
    fn split(&mut self, mut part: Part, index: Option<usize>, reason: Reason, refused: bool) {
        let bad = if part.positions.len() == 1 {
            Some(0)
        } else {
            index.filter(|index| *index < part.positions.len())
        };
        if let Some(bad) = bad {
            self.reject(part.positions.remove(bad), reason);
            self.parts.push(part.positions, false);
        } else {
            self.parts.halve(part.positions, refused);
        }
    }

    /// Handles an event that was refused alone without being blamed by Meta.
    fn suspect(&mut self, position: usize, refusal: Refusal) {
        if self.suspects.are_like(&refusal) {
            self.suspects.add(position, refusal);
        } else {
            self.clear();
            self.reject(position, refusal.because(Code::RefusedInvalid));
        }
    }

    /// Meta processes events, so the suspects are bad: rejects them.
    fn clear(&mut self) {
        self.memory().forget();
        for (position, refusal) in self.suspects.clear() {
            self.reject(position, refusal.because(Code::RefusedInvalid));
        }
    }

    /// Judges a batch that Meta refused as a whole without saying why: rejects the suspects that have no attempts left,
    /// and returns the outcome of all other events.
    pub(super) fn judge(&mut self, batch: &[Record]) -> Option<Outcome> {
        let suspects = std::mem::take(&mut self.suspects).into_refused();
        let (_, first) = suspects.first()?;
        let mut memory = self.memory();
        memory.next_turn();
        let record = |(position, refusal): &(usize, Refusal)| {
            memory.record(refusal.given, &batch[*position].payload)
        };
        let attempts: Vec<u32> = suspects.iter().map(record).collect();
        let (is_proven, is_single) = (memory.is_proven(), memory.is_single());
        drop(memory);
        for ((position, refusal), attempts) in suspects.iter().zip(attempts) {
            if !is_proven && attempts >= MAX_LONE_ATTEMPTS {
                self.reject(*position, refusal.because(Code::RefusedInvalid));
            }
        }
        Some(if is_single {
            retry(first.because(Code::RefusedUnclear))
        } else {
            let reason = first.because(Code::AllRefused);
            Outcome::Blocked { reason }
        })
    }
}

/// `count` of the numbers below `all`, evenly spread and ascending. Each turn returns others, until all were returned.
pub(super) fn spread(count: usize, all: usize, turn: usize) -> Vec<usize> {
    let count = count.min(all);
    let mut numbers: Vec<usize> = (0..count)
        .map(|n| (n * all / count + turn % all) % all)
        .collect();
    numbers.sort_unstable();
    numbers
}

/// A retry after the host's own pause.
pub(super) fn retry(reason: Reason) -> Outcome {
    Outcome::Retry {
        after: None,
        reason,
    }
}
