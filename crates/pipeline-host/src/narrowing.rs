//! Finds out which record makes requests fail, so that it costs no other: records that keep failing together are sent in ever
//! smaller parts, until the cause is alone and waits aside with pauses of its own.
//!
//! Failed requests and those that passed go in; out comes what to send next. While nothing passes, it is an outage, and not a
//! record's fault: then single records are sent, one after each pause, until one passes.
//!
//! ```text
//! a batch fails PATIENCE times ──► part ──► halves ──► … ──► one record ──► aside, alone again and again ──► delivered,
//!                                   │ nothing passes any more                                                or a dead letter
//!                                   └──► outage: single records as probes
//! ```
//!
//! Invariant: a record that was handed over is sent again, or comes out of [`Narrowing::drain`]. A record is given up for failing
//! only after [`MIN_PROOFS`] failures alone, each between two requests of others that passed.

use crate::backoff::Backoff;
use crate::batch::{Queued, RecordMeta};
use pipeline_core::Reason;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row before a batch is sent in parts, and before it is taken for an outage.
pub(crate) const PATIENCE: u32 = 3;
/// Records that wait aside at most. Further ones are sent with others again.
pub(crate) const MAX_SUSPECTS: usize = 1000;
/// Failures alone, each between two requests of others that passed, before a record may be given up.
pub(crate) const MIN_PROOFS: u32 = 8;
/// Single records that must have failed in a row, and nothing else passed, to take it for an outage.
const MIN_PROBES: u32 = 2;

/// What a request is made for.
#[derive(Debug, Clone)]
pub(crate) enum Errand {
    /// A batch as it came out of the buffer.
    Usual,
    /// Some records of a batch that keeps failing.
    Part,
    /// One record, to find out whether anything passes.
    Probe,
    /// One record that keeps failing while others pass.
    Suspect(Box<Watch>),
}

/// What is known of a record that waits aside.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pauses: Backoff,
    /// When it failed alone for the first time between two requests of others that passed, and how often by now.
    proven: Option<(Instant, u32)>,
    /// It failed alone after another one passed; the next request of others decides whether that counts.
    is_pending: bool,
    /// It was tried once more since the pipeline was told to stop.
    was_tried_at_end: bool,
}

#[derive(Debug)]
struct Suspect {
    queued: Queued,
    watch: Watch,
    next: Instant,
}

/// Records that are sent together.
#[derive(Debug)]
struct Part {
    records: Vec<Queued>,
    /// They have failed together, so that they are halved before they are sent.
    has_failed: bool,
}

/// What became of records that failed.
#[derive(Debug, Default)]
pub(crate) struct Failed {
    /// To be put back into the buffer.
    pub(crate) back: Vec<Queued>,
    /// It has failed alone for too long.
    pub(crate) given_up: Option<Queued>,
    /// It waits aside from now on.
    pub(crate) is_new_suspect: bool,
    /// Nothing passes: this failure counts as an attempt for every record.
    pub(crate) is_outage: bool,
}

/// The records that are not in the buffer, because one of them may be the cause of failures.
#[derive(Debug)]
pub(crate) struct Narrowing {
    parts: VecDeque<Part>,
    /// Sent alone in vain, since anything passed.
    probed: Vec<Queued>,
    aside: Vec<Suspect>,
    is_suspect_out: bool,
    /// The last request was a suspect's, so the next one is that of others where some are left.
    is_turn_of_others: bool,
    /// Failed requests in a row, without those of suspects.
    failures: u32,
    /// Probes among them.
    failed_probes: u32,
    /// Whether the last request that was not a suspect's passed.
    passes: bool,
    limits: (Duration, Duration),
    random: fastrand::Rng,
}

impl Narrowing {
    /// With the limits of the pauses of suspects.
    pub(crate) fn new(initial: Duration, max: Duration, seed: u64) -> Self {
        Self {
            parts: VecDeque::new(),
            probed: Vec::new(),
            aside: Vec::new(),
            is_suspect_out: false,
            is_turn_of_others: false,
            failures: 0,
            failed_probes: 0,
            passes: false,
            limits: (initial, max),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Changes the limits of pauses; suspects are tried again at once.
    pub(crate) fn set_limits(&mut self, initial: Duration, max: Duration, now: Instant) {
        self.limits = (initial, max);
        for suspect in &mut self.aside {
            suspect.watch.pauses.set_limits(initial, max);
            suspect.next = now;
        }
    }

    /// Whether it holds no record.
    pub(crate) fn is_empty(&self) -> bool {
        self.aside.is_empty() && !self.holds_others()
    }

    fn holds_others(&self) -> bool {
        !(self.parts.is_empty() && self.probed.is_empty())
    }

    /// Whether it holds nothing but records that failed alone once more after the pipeline was told to stop.
    pub(crate) fn is_at_end(&self) -> bool {
        let mut aside = self.aside.iter();
        !self.holds_others() && aside.all(|suspect| suspect.watch.was_tried_at_end)
    }

    /// The pipeline is to stop: every suspect is tried once more, without a pause.
    pub(crate) fn hurry(&mut self, now: Instant) {
        for suspect in &mut self.aside {
            suspect.next = now;
        }
    }

    /// Records that wait aside.
    pub(crate) fn suspects(&self) -> usize {
        self.aside.len() + usize::from(self.is_suspect_out)
    }

    /// Whether nothing passes, so that only single records are sent. The buffer's next batch is to be handed over with
    /// [`Narrowing::take_in`] then.
    pub(crate) fn is_probing(&self) -> bool {
        self.failures >= PATIENCE
    }

    /// Whether it has something to send now. `are_others_left` says whether the sink holds records outside of this.
    pub(crate) fn is_ready(&self, now: Instant, are_others_left: bool) -> bool {
        !self.parts.is_empty() || self.next_due(are_others_left).is_some_and(|due| due <= now)
    }

    /// When the next suspect is to be sent: one at a time, in turn with others, and not while others fail. Where no others are
    /// left, the suspects are all that can show whether anything passes.
    pub(crate) fn next_due(&self, are_others_left: bool) -> Option<Instant> {
        let is_first = self.failures == 0 && !self.is_turn_of_others;
        let are_others_left = are_others_left || self.holds_others();
        let may_send = !self.is_suspect_out && (is_first || !are_others_left);
        let next = self.aside.iter().map(|suspect| suspect.next).min();
        next.filter(|_| may_send)
    }

    /// What to send now.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        are_others_left: bool,
        is_end: bool,
    ) -> Option<(Vec<Queued>, Errand)> {
        if self.next_due(are_others_left).is_some_and(|due| due <= now) {
            return self.next_suspect(is_end);
        }
        let mut part = self.parts.pop_front()?;
        if self.is_probing() {
            let probe = part
                .records
                .swap_remove(self.random.usize(..part.records.len()));
            if !part.records.is_empty() {
                self.parts.push_front(part);
            }
            return Some((vec![probe], Errand::Probe));
        }
        if part.has_failed && part.records.len() > 1 {
            let right = part.records.split_off(part.records.len() / 2);
            self.add(right, false);
        }
        Some((part.records, Errand::Part))
    }

    fn next_suspect(&mut self, is_end: bool) -> Option<(Vec<Queued>, Errand)> {
        let mut aside = self.aside.iter().enumerate();
        let (index, _) = aside.by_ref().min_by_key(|(_, suspect)| suspect.next)?;
        let mut suspect = self.aside.swap_remove(index);
        suspect.watch.was_tried_at_end = is_end;
        (self.is_suspect_out, self.is_turn_of_others) = (true, true);
        let errand = Errand::Suspect(Box::new(suspect.watch));
        Some((vec![suspect.queued], errand))
    }

    /// Adds records that are sent next.
    fn add(&mut self, records: Vec<Queued>, has_failed: bool) {
        if !records.is_empty() {
            self.parts.push_front(Part {
                records,
                has_failed,
            });
        }
    }

    /// Takes a batch, to probe with its records.
    pub(crate) fn take_in(&mut self, records: Vec<Queued>) {
        self.add(records, false);
    }

    /// Whether every record that it could probe with has been sent.
    pub(crate) fn is_used_up(&self) -> bool {
        self.parts.is_empty() && !self.probed.is_empty()
    }

    /// Probes with the same records again.
    pub(crate) fn recycle(&mut self) {
        let probed = std::mem::take(&mut self.probed);
        self.add(probed, false);
    }

    /// A request passed, or was refused for good.
    pub(crate) fn pass(&mut self, errand: &Errand, now: Instant) {
        (self.failures, self.failed_probes) = (0, 0);
        self.recycle();
        if let Errand::Suspect(_) = errand {
            return;
        }
        (self.passes, self.is_turn_of_others) = (true, false);
        for suspect in &mut self.aside {
            let watch = &mut suspect.watch;
            if std::mem::take(&mut watch.is_pending) {
                watch.proven.get_or_insert((now, 0)).1 += 1;
            }
        }
    }

    /// The errand of a suspect has ended otherwise than with a failure.
    pub(crate) fn end(&mut self, errand: &Errand) {
        if let Errand::Suspect(_) = errand {
            self.is_suspect_out = false;
        }
    }

    /// Records are to be sent again, and nothing is known about them. Returns those that belong into the buffer.
    pub(crate) fn give_back(
        &mut self,
        errand: Errand,
        records: Vec<Queued>,
        now: Instant,
    ) -> Vec<Queued> {
        match errand {
            Errand::Usual => return records,
            Errand::Part | Errand::Probe => self.add(records, false),
            Errand::Suspect(watch) => {
                let next = now + self.limits.0;
                self.aside.extend(records.into_iter().map(|queued| Suspect {
                    queued,
                    watch: (*watch).clone(),
                    next,
                }));
            }
        }
        Vec::new()
    }

    /// Records failed together. `is_new` is false where another request, which was on its way at the same time, failed before.
    pub(crate) fn fail(
        &mut self,
        errand: Errand,
        records: Vec<Queued>,
        after: Option<Duration>,
        poison_after: Duration,
        (now, is_new): (Instant, bool),
    ) -> Failed {
        if let Errand::Suspect(watch) = errand {
            return self.fail_again(*watch, records, after, poison_after, now);
        }
        self.failures = self.failures.saturating_add(u32::from(is_new));
        (self.passes, self.is_turn_of_others) = (false, false);
        for suspect in &mut self.aside {
            suspect.watch.is_pending = false;
        }
        let mut failed = Failed::default();
        let times = match &records[..] {
            [lone] => Some(lone.meta.sent()),
            records => records.iter().map(|queued| queued.meta.failures).max(),
        };
        match errand {
            Errand::Probe => {
                self.probed.extend(records);
                self.failed_probes = self.failed_probes.saturating_add(1);
                failed.is_outage = self.failed_probes >= MIN_PROBES;
            }
            Errand::Usual if times < Some(PATIENCE) => failed.back = records,
            _ if self.is_probing() || records.len() > 1 => self.add(records, true),
            _ if self.suspects() >= MAX_SUSPECTS => failed.back = records,
            _ => {
                self.set_aside(records, after, now);
                failed.is_new_suspect = true;
            }
        }
        failed
    }

    /// Lets a single record wait aside.
    fn set_aside(&mut self, records: Vec<Queued>, after: Option<Duration>, now: Instant) {
        let mut pauses = Backoff::new(self.limits.0, self.limits.1, self.random.u64(..));
        let next = now + pauses.limit().max(after.unwrap_or_default());
        let watch = Watch {
            pauses,
            proven: None,
            is_pending: false,
            was_tried_at_end: false,
        };
        self.aside.extend(records.into_iter().map(|queued| Suspect {
            queued,
            watch: watch.clone(),
            next,
        }));
    }

    fn fail_again(
        &mut self,
        mut watch: Watch,
        mut records: Vec<Queued>,
        after: Option<Duration>,
        poison_after: Duration,
        now: Instant,
    ) -> Failed {
        self.is_suspect_out = false;
        let is_proven = watch.proven.is_some_and(|(first, proofs)| {
            proofs >= MIN_PROOFS && now.duration_since(first) >= poison_after
        });
        if is_proven && self.passes {
            return Failed {
                given_up: records.pop(),
                ..Failed::default()
            };
        }
        watch.is_pending |= self.passes;
        let next = now + watch.pauses.limit().max(after.unwrap_or_default());
        self.aside.extend(records.into_iter().map(|queued| Suspect {
            queued,
            watch: watch.clone(),
            next,
        }));
        Failed::default()
    }

    /// Counts an attempt of an outage for every record but the last probe, whose attempts are counted where it was sent; takes
    /// out those that `spent` gives a reason for.
    pub(crate) fn charge(
        &mut self,
        spent: impl Fn(&RecordMeta) -> Option<Reason>,
    ) -> Vec<(Queued, Reason)> {
        let last = self.probed.len().saturating_sub(1);
        let mut given_up = Vec::new();
        let mut keep = |records: &mut Vec<Queued>, last: Option<usize>| {
            let all = std::mem::take(records);
            for (index, mut queued) in all.into_iter().enumerate() {
                queued.meta.charge(u32::from(last != Some(index)));
                match spent(&queued.meta) {
                    Some(reason) => given_up.push((queued, reason)),
                    None => records.push(queued),
                }
            }
        };
        keep(&mut self.probed, Some(last));
        for part in &mut self.parts {
            keep(&mut part.records, None);
        }
        self.parts.retain(|part| !part.records.is_empty());
        given_up
    }

    /// Every record that it holds.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Queued> {
        let parts = self.parts.iter().flat_map(|part| &part.records);
        let aside = self.aside.iter().map(|suspect| &suspect.queued);
        parts.chain(&self.probed).chain(aside)
    }

    /// Takes out every record that it holds.
    pub(crate) fn drain(&mut self) -> Vec<Queued> {
        let parts = std::mem::take(&mut self.parts).into_iter();
        let aside = std::mem::take(&mut self.aside).into_iter();
        parts
            .flat_map(|part| part.records)
            .chain(std::mem::take(&mut self.probed))
            .chain(aside.map(|suspect| suspect.queued))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::Ack;
    use pipeline_core::{Origin, Record};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);

    fn records(ids: std::ops::Range<usize>) -> Vec<Queued> {
        let queued = |id: usize| Queued {
            record: Record::new("{}", id.to_string()),
            meta: RecordMeta {
                origin: Origin::whole("events".into()),
                attempts: PATIENCE,
                failures: PATIENCE,
                since: Instant::now(),
                first_ms: 0,
                history: Arc::default(),
                ack: Ack::none(),
                slot: None,
            },
        };
        ids.map(queued).collect()
    }

    fn fail(narrowing: &mut Narrowing, errand: Errand, records: Vec<Queued>) -> Failed {
        let known = (Instant::now(), true);
        narrowing.fail(errand, records, None, SECOND, known)
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_bound_wait_aside_and_the_next_goes_back_to_the_buffer() {
        let mut narrowing = Narrowing::new(SECOND, SECOND, 7);
        for id in 0..MAX_SUSPECTS {
            let failed = fail(&mut narrowing, Errand::Part, records(id..id + 1));
            assert!(failed.is_new_suspect && failed.back.is_empty());
            narrowing.pass(&Errand::Usual, Instant::now());
        }
        let failed = fail(&mut narrowing, Errand::Part, records(0..1));
        assert!(!failed.is_new_suspect);
        assert_eq!((failed.back.len(), narrowing.suspects()), (1, MAX_SUSPECTS));
        assert_eq!(narrowing.drain().len(), MAX_SUSPECTS);
        assert!(narrowing.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn in_an_outage_every_record_is_a_probe_once_before_any_is_again() {
        let mut narrowing = Narrowing::new(SECOND, SECOND, 7);
        for _ in 0..PATIENCE {
            fail(&mut narrowing, Errand::Usual, Vec::new());
        }
        narrowing.take_in(records(0..50));
        for _ in 0..2 {
            let mut seen = BTreeSet::new();
            while let Some((probe, errand)) = narrowing.next(Instant::now(), true, false) {
                assert!(matches!(errand, Errand::Probe) && probe.len() == 1);
                assert!(seen.insert(probe[0].record.event_id.clone()));
                fail(&mut narrowing, errand, probe);
            }
            assert_eq!(seen.len(), 50);
            assert!(narrowing.is_used_up());
            narrowing.recycle();
        }
        narrowing.pass(&Errand::Probe, Instant::now());
        let (all, _) = narrowing.next(Instant::now(), true, false).unwrap();
        assert_eq!(
            all.len(),
            50,
            "an outage has nothing to do with any of them"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_aside_is_sent_while_others_fail_only_where_no_others_are_left() {
        for others in 0..PATIENCE {
            let mut narrowing = Narrowing::new(SECOND, SECOND, 7);
            for _ in 0..others {
                fail(&mut narrowing, Errand::Usual, Vec::new());
            }
            fail(&mut narrowing, Errand::Part, records(0..1));
            tokio::time::advance(2 * SECOND).await;
            let now = Instant::now();
            if narrowing.suspects() == 0 {
                assert!(narrowing.is_probing(), "it is a probe");
                continue;
            }
            assert!(!narrowing.is_ready(now, true), "others are left: {others}");
            assert!(
                narrowing.is_ready(now, false),
                "it is all there is: {others}"
            );
            let (alone, errand) = narrowing.next(now, false, false).unwrap();
            assert!(matches!(errand, Errand::Suspect(_)));
            let failed = fail(&mut narrowing, errand, alone);
            assert!(failed.given_up.is_none(), "that proves nothing");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_alone_count_only_between_requests_of_others_that_passed() {
        let mut narrowing = Narrowing::new(SECOND, SECOND, 7);
        fail(&mut narrowing, Errand::Part, records(0..1));
        narrowing.pass(&Errand::Usual, Instant::now());
        for round in 0..3 * MIN_PROOFS {
            tokio::time::advance(2 * SECOND).await;
            narrowing.pass(&Errand::Usual, Instant::now());
            let (records, errand) = narrowing.next(Instant::now(), true, false).unwrap();
            assert!(matches!(errand, Errand::Suspect(_)), "{round}");
            let failed = fail(&mut narrowing, errand, records);
            assert!(failed.given_up.is_none(), "{round}");
            // Every other request behind it fails as well, so that it proves nothing.
            fail(&mut narrowing, Errand::Usual, Vec::new());
        }
        let mut proofs = 0;
        loop {
            tokio::time::advance(2 * SECOND).await;
            narrowing.pass(&Errand::Usual, Instant::now());
            let (records, errand) = narrowing.next(Instant::now(), true, false).unwrap();
            if fail(&mut narrowing, errand, records).given_up.is_some() {
                break;
            }
            proofs += 1;
        }
        assert_eq!(proofs, MIN_PROOFS);
    }
}
