//! What dead letters there are: counted by reason and the destination's own code.

use super::{DeadLetterError, Letters, StoredLetter};
use std::collections::BTreeMap;

/// Groups of one sink that are told apart; reasons come from a closed set, so only a tampered file has more.
pub const MAX_GROUPS: usize = 1_000;

/// The dead letters of one sink, by reason.
#[derive(Debug, Default)]
pub struct Summary {
    /// The groups, by reason and code.
    pub groups: BTreeMap<GroupKey, Group>,
    /// Letters.
    pub letters: u64,
    /// What could not be read, the first of it.
    pub problem: Option<DeadLetterError>,
    /// How often something could not be read.
    pub problems: u64,
}

/// What the letters of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The reason's code.
    pub reason: String,
    /// The destination's own code, where it gave one.
    pub destination: Option<Box<str>>,
}

/// Letters of one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub letters: u64,
    /// When the first of their events was first seen, in milliseconds since the Unix epoch.
    pub first_ms: i64,
    /// When the last of them became a dead letter, in milliseconds since the Unix epoch.
    pub last_ms: i64,
    /// The sentence of the first one.
    pub example: String,
}

impl Summary {
    /// Reads all letters and counts them.
    pub fn of(letters: Letters) -> Self {
        let mut summary = Self::default();
        for letter in letters {
            match letter {
                Ok(letter) => summary.add(letter),
                Err(problem) => summary.add_problem(problem),
            }
        }
        summary
    }

    pub(crate) fn add_problem(&mut self, problem: DeadLetterError) {
        self.problems += 1;
        self.problem.get_or_insert(problem);
    }

    pub(crate) fn add(&mut self, letter: StoredLetter) {
        self.letters += 1;
        let mut key = GroupKey {
            reason: letter.reason,
            destination: letter.destination,
        };
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&key) {
            key = GroupKey {
                reason: "(others)".to_owned(),
                destination: None,
            };
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            letters: 0,
            first_ms: letter.first_ms,
            last_ms: letter.last_ms,
            example: letter.detail,
        });
        group.letters += 1;
        group.first_ms = group.first_ms.min(letter.first_ms);
        group.last_ms = group.last_ms.max(letter.last_ms);
    }
}
