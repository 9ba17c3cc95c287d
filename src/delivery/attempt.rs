//! One attempt to deliver a batch: what to send next, and what each answer decides.

use super::blame::{MAX_LONE_ATTEMPTS, Memory, Suspects};
use super::on_the_way::OnTheWay;
use super::parts::{Part, Parts, Role};
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
    pub(super) on_the_way: OnTheWay,
    /// Once the configuration is suspected: which of the events still to be sent are sent alone. The last one is next.
    samples: Option<Vec<usize>>,
    /// Whether an event that Meta named as the bad one was accepted alone. From then on, no place that it names counts.
    has_named_wrongly: bool,
}

impl<'m> Attempt<'m> {
    pub(super) fn new(memory: &'m Mutex<Memory>, events: usize, now_ms: i64) -> Self {
        let on_the_way = OnTheWay::new(lock(memory).flaps(now_ms));
        Self {
            memory,
            outcomes: vec![None; events],
            parts: Parts::default(),
            suspects: Suspects::default(),
            on_the_way,
            samples: None,
            has_named_wrongly: false,
        }
    }

    fn memory(&self) -> MutexGuard<'m, Memory> {
        lock(self.memory)
    }

    pub(super) fn reject(&mut self, position: usize, reason: Reason) {
        self.outcomes[position] = Some(Outcome::Rejected { reason });
    }

    /// The part to send next; `None` if everything is decided or the configuration or the way to Meta is to blame.
    pub(super) fn next(&mut self) -> Option<Part> {
        let missing = self.suspects.missing();
        let Some(missing) = missing.or_else(|| self.on_the_way.missing()) else {
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
                self.deliver(part);
                self.clear();
            }
            Answer::Received(Some(count)) if count < sent => {
                match part.positions[..] {
                    [position] => self.reject(position, Code::NotConfirmed.reason()),
                    _ => self.parts.halve(part.positions, Role::Plain),
                }
                self.clear();
            }
            Answer::Received(_) => {
                return ControlFlow::Break(retry(Code::NotConfirmed.reason()));
            }
            Answer::Invalid { index, reason } => {
                self.blame(part, index, reason);
                self.clear();
            }
            Answer::Refused(refusal) => match part.positions[..] {
                _ if refusal.is_on_the_way() && self.on_the_way.flaps => {
                    return self.fail(&part, None, refusal.unclear());
                }
                [position] if refusal.is_on_the_way() => {
                    if self.on_the_way.refuse(position, refusal, part.role) {
                        self.parts.push(vec![position], Role::Confirming);
                    }
                    if let Some(refusal) = self.on_the_way.is_closed() {
                        let reason = refusal.of_all();
                        return ControlFlow::Break(Outcome::Blocked { reason });
                    }
                }
                [position] => self.suspect(position, refusal),
                _ => self.parts.halve(part.positions, Role::LeftOfRefused),
            },
            Answer::TooLarge(alone) => match part.positions[..] {
                [_] => return self.learn(part, *alone),
                _ => self.parts.halve(part.positions, Role::Plain),
            },
            Answer::Failed { after, reason } => return self.fail(&part, after, reason),
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
        self.has_named_wrongly |= part.role == Role::Named;
        if part.role == Role::Confirming {
            self.on_the_way.contradict();
        }
        if matches!(part.role, Role::LeftOfRefused | Role::Named)
            && let Some(right) = self.parts.pop()
        {
            self.parts.halve(right.positions, Role::LeftOfRefused);
        }
    }

    /// Rejects a single event that Meta blames. Of several, sends the one that Meta names alone first, else halves.
    fn blame(&mut self, mut part: Part, index: Option<usize>, reason: Reason) {
        if let [position] = part.positions[..] {
            return self.reject(position, reason);
        }
        let named = index.filter(|it| *it < part.positions.len() && !self.has_named_wrongly);
        if let Some(index) = named {
            let position = part.positions.remove(index);
            self.parts.push(part.positions, Role::Plain);
            self.parts.push(vec![position], Role::Named);
        } else {
            self.parts.halve(part.positions, Role::LeftOfRefused);
        }
    }

    /// Handles an event that Meta refused alone without blaming it.
    fn suspect(&mut self, position: usize, refusal: Refusal) {
        if self.suspects.are_like(&refusal) {
            self.suspects.add(position, refusal);
            // Meta has seen it, so the way is open.
            self.pass();
        } else {
            self.reject(position, refusal.of_event());
            self.clear();
        }
    }

    /// Ends the attempt: the events of the failed request may be the cause, the other undecided ones are not.
    fn fail(
        &mut self,
        part: &Part,
        after: Option<std::time::Duration>,
        reason: Reason,
    ) -> ControlFlow<Outcome> {
        for &position in &part.positions {
            let reason = reason.clone();
            self.outcomes[position] = Some(Outcome::Failed { after, reason });
        }
        ControlFlow::Break(Outcome::Retry { after, reason })
    }

    /// Meta processes events, so the suspects are bad: rejects them.
    fn clear(&mut self) {
        self.memory().forget();
        for (position, refusal) in self.suspects.clear() {
            self.reject(position, refusal.of_event());
        }
        self.pass();
    }

    /// Meta has seen a request, so events that did not get there are suspects.
    pub(super) fn pass(&mut self) {
        let seen = self.on_the_way.pass();
        for (position, refusal) in seen.bad {
            self.reject(position, refusal.of_event());
        }
        for position in seen.to_confirm {
            self.parts.push(vec![position], Role::Confirming);
        }
    }

    /// Judges a batch that was refused as a whole without a reason: rejects the suspects that have no attempts left, and returns
    /// the outcome of all other events. `is_whole` says whether nothing else ended the attempt.
    pub(super) fn judge(
        &mut self,
        batch: &[Record],
        is_whole: bool,
        now_ms: i64,
    ) -> Option<Outcome> {
        if self.on_the_way.flaps {
            self.memory().note_flap(now_ms);
        }
        let of_graph = self.judge_suspects(batch);
        let judged = is_whole.then(|| self.judge_the_way(batch)).flatten();
        of_graph.or(judged)
    }

    fn judge_suspects(&mut self, batch: &[Record]) -> Option<Outcome> {
        let suspects = std::mem::take(&mut self.suspects).into_refused();
        let (_, first) = suspects.first()?;
        let mut memory = self.memory();
        memory.next_turn();
        let record = |(position, refusal): &(usize, Refusal)| {
            memory.record(refusal.sign, &batch[*position].payload)
        };
        let attempts: Vec<u32> = suspects.iter().map(record).collect();
        let (is_proven, is_single) = (memory.is_proven(), memory.is_single());
        drop(memory);
        for ((position, refusal), attempts) in suspects.iter().zip(attempts) {
            if !is_proven && attempts >= MAX_LONE_ATTEMPTS {
                self.reject(*position, refusal.of_event());
            }
        }
        Some(if is_single {
            retry(first.unclear())
        } else {
            let reason = first.of_all();
            Outcome::Blocked { reason }
        })
    }

    /// Rejects what was refused on the way twice. What was refused once is held: alone, where others pass or nothing is known of
    /// them, and with all others where nothing passes.
    fn judge_the_way(&mut self, batch: &[Record]) -> Option<Outcome> {
        let way = std::mem::take(&mut self.on_the_way);
        for (position, refusal) in way.twice {
            self.reject(position, refusal.of_event());
        }
        let (_, first) = way.once.first()?;
        if !way.has_passed {
            let mut memory = self.memory();
            memory.next_turn();
            for (position, refusal) in &way.once {
                memory.record(refusal.sign, &batch[*position].payload);
            }
            if !memory.is_single() {
                let reason = first.of_all();
                return Some(Outcome::Blocked { reason });
            }
        }
        for (position, refusal) in &way.once {
            let (after, reason) = (None, refusal.unclear());
            self.outcomes[*position] = Some(Outcome::Failed { after, reason });
        }
        Some(retry(first.unclear()))
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

/// No code panics while it holds the lock, so that a poisoned lock still guards a good memory.
fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A retry after the host's own pause.
pub(super) fn retry(reason: Reason) -> Outcome {
    Outcome::Retry {
        after: None,
        reason,
    }
}
