//! Tells the log that events became dead letters: at once, and then at most once a minute, with the counts by reason.
//!
//! Invariant: every dead letter is counted in exactly one line; no line is about a single event if many follow.

use crate::dead_letter::Letter;
use crate::wording::thousands;
use pipeline_core::Pace;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// What the log has not been told yet.
#[derive(Debug, Default)]
pub(crate) struct LetterLog {
    /// By reason; codes come from a closed set.
    untold: BTreeMap<&'static str, Untold>,
    pace: Pace,
    /// Letters among them that were not kept.
    unkept: usize,
}

#[derive(Debug)]
struct Untold {
    letters: u64,
    /// The sentence of the first.
    detail: String,
    /// Where the first of them was read.
    place: String,
}

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The dead letters that it is about.
    pub(crate) letters: u64,
    /// The code of the most frequent reason.
    pub(crate) reason: &'static str,
    pub(crate) sentence: String,
}

impl LetterLog {
    /// Takes note of letters that were written. Answers with a line where one is due.
    pub(crate) fn add(&mut self, letters: &[Letter], now: Instant) -> Option<Line> {
        for letter in letters {
            let untold = self.untold.entry(letter.reason.code);
            let untold = untold.or_insert_with(|| Untold {
                letters: 0,
                detail: letter.reason.detail.to_string(),
                place: letter.origin.to_string(),
            });
            untold.letters += 1;
        }
        self.look(now)
    }

    /// Takes note that letters of those that are added next were not kept.
    pub(crate) fn leave_out(&mut self, letters: usize) {
        self.unkept += letters;
    }

    /// A line, where there is something to tell and the last line was written long enough ago.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Line> {
        if !self.pace.is_due(now.into_std()) {
            return None;
        }
        let line = self.end()?;
        self.pace.told(now.into_std());
        Some(line)
    }

    /// A line, where there is something to tell: no more letters come.
    pub(crate) fn end(&mut self) -> Option<Line> {
        let mut reasons: Vec<_> = std::mem::take(&mut self.untold).into_iter().collect();
        reasons.sort_by_key(|(_, untold)| Reverse(untold.letters));
        let (reason, first) = reasons.first()?;
        let reason = *reason;
        let letters = reasons.iter().map(|(_, untold)| untold.letters).sum();
        let event = if letters == 1 {
            "1 event became a dead letter".to_owned()
        } else {
            format!("{} events became dead letters", thousands(letters))
        };
        let told = format!(
            "{event}: {reason} {} ({}; the first: {})",
            thousands(first.letters),
            first.detail,
            first.place
        );
        let others = reasons.iter().skip(1);
        let sentence = others.fold(told, |told, (code, untold)| {
            format!("{told}, {code} {}", thousands(untold.letters))
        });
        let unkept = std::mem::take(&mut self.unkept);
        let sentence = match unkept {
            0 => sentence,
            _ => format!(
                "{sentence}; {} of them have no payload and were only counted, because such letters have filled their part of the dead letters: look at them, and `purge` them",
                thousands(unkept as u64)
            ),
        };
        Some(Line {
            letters,
            reason,
            sentence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::{Origin, Reason};
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn letter(code: &'static str, line: u64) -> Letter {
        Letter {
            reason: Reason::new(code, "a sentence"),
            origin: Origin::line("events".into(), line),
            attempts: 0,
            first_ms: 0,
            record: None,
            label: None,
            history: Arc::default(),
            trace: None,
            sealed: None,
        }
    }

    fn letters(codes: &[(&'static str, u64)]) -> Vec<Letter> {
        let letters = codes.iter().map(|(code, line)| letter(code, *line));
        letters.collect()
    }

    #[test]
    fn a_line_reads_like_this_and_the_next_one_comes_a_minute_later() {
        let (mut log, start) = (LetterLog::default(), Instant::now());
        let mut told = |codes: &[(&'static str, u64)], secs| {
            let line = log.add(&letters(codes), start + Duration::from_secs(secs));
            line.map(|line| line.sentence)
        };
        assert_eq!(
            told(&[("too_old", 17)], 0).unwrap(),
            "1 event became a dead letter: too_old 1 (a sentence; the first: events line 17)"
        );
        assert_eq!(told(&[("too_old", 18)], 1), None);
        assert_eq!(
            told(&[("weak_identity", 19), ("weak_identity", 20)], 59),
            None
        );
        assert_eq!(
            told(&[], 60).unwrap(),
            "3 events became dead letters: weak_identity 2 (a sentence; the first: events line 19), too_old 1"
        );
        assert_eq!(told(&[], 1_000), None);
    }

    #[test]
    fn letters_that_are_not_kept_are_told_with_the_others_and_once() {
        let (mut log, start) = (LetterLog::default(), Instant::now());
        log.leave_out(2);
        let line = log.add(&letters(&[("no_id", 1), ("no_id", 2), ("no_id", 3)]), start);
        let told = line.unwrap().sentence;
        assert!(
            told.contains("; 2 of them have no payload and were only counted"),
            "{told}"
        );
        log.add(&letters(&[("no_id", 4)]), start);
        assert!(!log.end().unwrap().sentence.contains("only counted"));
    }

    proptest! {
        #[test]
        fn every_letter_is_in_one_line_and_lines_are_a_minute_apart(
            steps in prop::collection::vec((0_u64..80, prop::collection::vec(0_usize..3, 0..5)), 1..40),
        ) {
            let (mut log, mut now) = (LetterLog::default(), Instant::now());
            let (mut written, mut told, mut last) = (0, 0, None);
            for (secs, reasons) in steps {
                now += Duration::from_secs(secs);
                let codes = reasons.iter().map(|reason| (["a", "b", "c"][*reason], 1));
                let letters = letters(&codes.collect::<Vec<_>>());
                written += letters.len() as u64;
                if let Some(line) = log.add(&letters, now) {
                    prop_assert!(last.is_none_or(|last| now - last >= Pace::PAUSE));
                    last = Some(now);
                    told += line.letters;
                    prop_assert_eq!(told, written);
                } else {
                    let waits = last.is_some_and(|last| now - last < Pace::PAUSE);
                    prop_assert!(told == written || waits);
                }
            }
            told += log.end().map_or(0, |line| line.letters);
            prop_assert_eq!(told, written);
        }
    }
}
