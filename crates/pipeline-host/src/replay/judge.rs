//! Looks at letters before they are sent.
//!
//! In: letters, and which of them are meant. Out: what is to be sent, and why the rest stays. Changes nothing.
//!
//! Invariant: a letter gets one verdict; a panic of a plugin costs the one letter that causes it.

use super::{Remap, Selection};
use crate::dead_letter::{
    Closed, DeadLetterError, DeadLetters, Opened, Replay, StoredLetter, Summary, TakenLetter,
};
use crate::sink_input::SinkInput;
use pipeline_core::{Clock, Encoded, Reason, Record, Refit, Rejection, Sink};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Reasons that are told apart among the letters that are unfit; they come from a closed set, so only a faulty sink has more.
pub const MAX_UNFIT_REASONS: usize = 100;

/// Letters that stay as they are, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// The filter left them out.
    pub filtered: u64,
    /// They have no payload to send.
    pub without_payload: u64,
    /// They were made for another account than the sink has now.
    pub other_account: u64,
    /// They have no sealed copy of their event, or it is too old to be opened.
    pub without_copy: u64,
    /// The sealed copy of their event opens with another key, or is damaged.
    pub not_opened: u64,
    /// As many as were wanted had been sent.
    pub beyond_limit: u64,
    /// The destination would refuse them, by the code of the reason.
    pub unfit: BTreeMap<&'static str, Unfit>,
}

/// Letters that the destination would refuse for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unfit {
    /// How many.
    pub letters: u64,
    /// The sentence of the first.
    pub detail: String,
}

/// What a replay would do.
#[derive(Debug, Default)]
pub struct Survey {
    /// Letters that would be sent.
    pub would_send: u64,
    /// Letters among these that the options of now change.
    pub changed: u64,
    /// Letters whose sealed copy opens.
    pub opened: u64,
    /// Letters whose events would be filtered now, so that the letters would go.
    pub would_filter: u64,
    /// Letters that would stay.
    pub left: Left,
    /// All letters by reason.
    pub summary: Summary,
}

/// Decides about letters of one sink.
#[derive(Clone)]
pub(super) struct Judge {
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
}

/// What is decided about some letters.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) to_send: Vec<(u64, StoredLetter, Record)>,
    /// Lines of letters that an earlier replay has written again already.
    pub(super) written_again: Vec<u64>,
    /// Lines of letters whose events are not meant for the destination any more, with the codes of the reasons.
    pub(super) filtered: Vec<(u64, &'static str)>,
    pub(super) left: Left,
}

enum Verdict {
    Filtered,
    WithoutPayload,
    WithoutCopy,
    NotOpened,
    OtherAccount,
    Unfit(Reason),
    /// Its event was mapped anew, and is filtered.
    NotMeant(Reason),
    Send {
        record: Record,
        is_changed: bool,
    },
}

impl Left {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.filtered
            + self.without_payload
            + self.other_account
            + self.without_copy
            + self.not_opened
            + self.beyond_limit
            + self.unfit_total()
    }

    /// Those that the destination would refuse.
    pub fn unfit_total(&self) -> u64 {
        self.unfit.values().map(|unfit| unfit.letters).sum()
    }

    pub(super) fn join(&mut self, other: Self) {
        self.filtered += other.filtered;
        self.without_payload += other.without_payload;
        self.other_account += other.other_account;
        self.without_copy += other.without_copy;
        self.not_opened += other.not_opened;
        self.beyond_limit += other.beyond_limit;
        for (code, unfit) in other.unfit {
            self.add_unfit(code, unfit.letters, unfit.detail);
        }
    }

    fn add_unfit(&mut self, code: &'static str, letters: u64, detail: impl Into<String>) {
        let is_full = self.unfit.len() >= MAX_UNFIT_REASONS && !self.unfit.contains_key(code);
        let code = if is_full { "(others)" } else { code };
        let entry = self.unfit.entry(code).or_insert_with(|| Unfit {
            letters: 0,
            detail: detail.into(),
        });
        entry.letters += letters;
    }

    /// Counts a letter that is not sent; gives back the record of one that is.
    fn take(&mut self, verdict: Verdict) -> Option<(Record, bool)> {
        match verdict {
            Verdict::Filtered => self.filtered += 1,
            Verdict::WithoutPayload => self.without_payload += 1,
            Verdict::WithoutCopy => self.without_copy += 1,
            Verdict::NotOpened => self.not_opened += 1,
            Verdict::OtherAccount => self.other_account += 1,
            Verdict::NotMeant(_) => {}
            Verdict::Unfit(reason) => self.add_unfit(reason.code, 1, reason.detail),
            Verdict::Send { record, is_changed } => return Some((record, is_changed)),
        }
        None
    }
}

impl Judge {
    pub(super) fn new(sink: Arc<dyn Sink>, clock: Arc<dyn Clock>) -> Self {
        Self { sink, clock }
    }

    pub(super) fn of(input: &SinkInput) -> Self {
        Self::new(Arc::clone(&input.current().sink), Arc::clone(&input.clock))
    }

    /// Decides about some letters of a replay; at most `allowed` may be sent. `None` at the end of the letters.
    pub(super) fn chunk(
        &self,
        chunk: Vec<TakenLetter>,
        selection: &Selection,
        allowed: u64,
        replay: &Replay,
    ) -> Option<Judged> {
        if chunk.is_empty() {
            return None;
        }
        let mut judged = Judged::default();
        for TakenLetter { line, letter } in chunk {
            // Also of those that are not meant: it is in two places.
            if replay.is_written_again(&letter) {
                judged.written_again.push(line);
                continue;
            }
            let verdict = self.verdict(&letter, selection);
            if let Verdict::NotMeant(reason) = &verdict {
                judged.filtered.push((line, reason.code));
            }
            if let Some((record, _)) = judged.left.take(verdict) {
                // Under the id that it has as it is mapped now.
                if selection.remap.is_some()
                    && replay.is_written_again_as(&letter, &record.event_id)
                {
                    judged.written_again.push(line);
                } else if judged.to_send.len() as u64 >= allowed {
                    judged.left.beyond_limit += 1;
                } else {
                    judged.to_send.push((line, letter, record));
                }
            }
        }
        Some(judged)
    }

    /// What a replay would do with all letters that there are.
    pub(super) fn survey(
        &self,
        letters: &DeadLetters,
        selection: &Selection,
    ) -> Result<Survey, DeadLetterError> {
        let mut survey = Survey::default();
        let limit = selection.limit.unwrap_or(u64::MAX);
        for letter in letters.letters()? {
            let letter = match letter {
                Ok(letter) => letter,
                Err(problem) => {
                    survey.summary.add_problem(problem);
                    continue;
                }
            };
            let verdict = self.verdict(&letter, selection);
            let is_opened = matches!(
                verdict,
                Verdict::NotMeant(_) | Verdict::Unfit(_) | Verdict::Send { .. }
            );
            survey.opened += u64::from(is_opened && selection.remap.is_some());
            survey.would_filter += u64::from(matches!(verdict, Verdict::NotMeant(_)));
            if let Some((_, is_changed)) = survey.left.take(verdict) {
                if survey.would_send >= limit {
                    survey.left.beyond_limit += 1;
                } else {
                    survey.would_send += 1;
                    survey.changed += u64::from(is_changed);
                }
            }
            survey.summary.add(letter);
        }
        Ok(survey)
    }

    fn verdict(&self, letter: &StoredLetter, selection: &Selection) -> Verdict {
        if !selection.filter.fits(letter) {
            return Verdict::Filtered;
        }
        if let Some(remap) = &selection.remap {
            return self.remapped(letter, remap);
        }
        let Some(record) = &letter.record else {
            return Verdict::WithoutPayload;
        };
        // Letters of early versions say nothing of their partition.
        let own = self
            .sink
            .partition()
            .filter(|_| !record.partition.is_empty());
        if own.is_some_and(|own| *own != *record.partition) {
            return Verdict::OtherAccount;
        }
        let refit = AssertUnwindSafe(|| self.sink.refit(record, &letter.reason));
        let refit = catch_unwind(refit).unwrap_or_else(|_| {
            let detail = "the sink failed on this letter; please report it";
            Refit::Unfit(Reason::new("internal", detail))
        });
        let (record, is_changed) = match refit {
            Refit::Same => (record.clone(), false),
            Refit::Changed(record) => (*record, true),
            Refit::Unfit(reason) => return Verdict::Unfit(reason),
            _ => {
                let detail = "the sink answered in a way that this host does not know";
                return Verdict::Unfit(Reason::new("internal", detail));
            }
        };
        self.in_time(record, is_changed)
    }

    fn in_time(&self, record: Record, is_changed: bool) -> Verdict {
        if record.expires_at <= self.clock.now_ms().div_euclid(1_000) {
            let detail = "the event became too old for the destination while it waited";
            return Verdict::Unfit(Reason::new("expired", detail));
        }
        Verdict::Send { record, is_changed }
    }

    /// What becomes of the event in a letter as one that has just come in.
    fn remapped(&self, letter: &StoredLetter, remap: &Remap) -> Verdict {
        let Some(sealed) = &letter.sealed else {
            return Verdict::WithoutCopy;
        };
        let opened = sealed.open(&remap.0, &letter.source, self.clock.now_ms());
        let Opened { event, partition } = match opened {
            Ok(opened) => opened,
            Err(Closed::TooOld) => return Verdict::WithoutCopy,
            Err(Closed::OtherKey | Closed::Damaged) => return Verdict::NotOpened,
        };
        if partition.as_deref() != self.sink.partition().as_deref() {
            return Verdict::OtherAccount;
        }
        let encode = AssertUnwindSafe(|| self.sink.encode(&event));
        let encoded = catch_unwind(encode).unwrap_or_else(|_| {
            let detail = "the sink failed on this event; please report it";
            Encoded::Rejected(Rejection::new(Reason::new("internal", detail)))
        });
        match encoded {
            Encoded::Record(record) => self.in_time(record, true),
            Encoded::Filtered(filtered) => Verdict::NotMeant(filtered.reason),
            Encoded::Rejected(rejection) => Verdict::Unfit(rejection.reason),
            _ => {
                let detail = "the sink answered in a way that this host does not know";
                Verdict::Unfit(Reason::new("internal", detail))
            }
        }
    }
}
