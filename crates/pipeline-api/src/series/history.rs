//! The last hour in steps, and the minutes that are not written yet.
//!
//! In: totals that only grow. Out: what was added between two looks, in the step that was between them.
//!
//! Invariant: steps and minutes never go back, whatever the clock does, and no look is counted twice.

use super::{MAX_REASONS, MAX_SINKS, MAX_STEPS, MINUTE_MS, STEP_MS};
use pipeline_host::status::DurationCounts;
use pipeline_host::telemetry::SinkStatus;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Minutes that wait to be written, of one sink: an hour in which the disk does not answer.
const MAX_UNWRITTEN: usize = 60;
/// The name for all further reasons.
const OTHER: &str = "other";

/// Counts by reason.
pub(crate) type Reasons = BTreeMap<Cow<'static, str>, u64>;
/// What was added in each step, by its number since the Unix epoch.
pub(crate) type Steps = BTreeMap<i64, Counts>;

/// What a sink has done, altogether or in a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) retried: u64,
    pub(crate) filtered: Reasons,
    pub(crate) rejected: Reasons,
    pub(crate) durations: DurationCounts,
}

/// The last hour, and what is to be written.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// When somebody looked last.
    looked_ms: Option<i64>,
    sinks: BTreeMap<String, Sink>,
}

#[derive(Debug, Default)]
struct Sink {
    totals: Counts,
    hour: Steps,
    /// Minutes that are not written yet; the last one may not be over.
    unwritten: Steps,
}

impl Counts {
    /// What a sink has done so far.
    pub(crate) fn of(sink: &SinkStatus) -> Self {
        let counts = &sink.counts;
        let filtered = counts.filtered.iter();
        let rejected = counts.rejected.iter();
        Self {
            delivered: counts.delivered,
            retried: counts.retried,
            filtered: filtered
                .map(|(code, events)| (Cow::Borrowed(*code), *events))
                .collect(),
            rejected: rejected
                .map(|(code, it)| (Cow::Borrowed(*code), it.count))
                .collect(),
            durations: sink.deliveries,
        }
    }

    /// Adds what was done in another step.
    pub(crate) fn add(&mut self, more: &Self) {
        self.delivered = self.delivered.saturating_add(more.delivered);
        self.retried = self.retried.saturating_add(more.retried);
        add_reasons(&mut self.filtered, &more.filtered);
        add_reasons(&mut self.rejected, &more.rejected);
        self.durations.add(&more.durations);
    }

    /// What was done since then.
    fn since(&self, before: &Self) -> Self {
        let mut durations = self.durations;
        for (bucket, earlier) in durations.buckets.iter_mut().zip(before.durations.buckets) {
            *bucket = bucket.saturating_sub(earlier);
        }
        durations.longer = durations.longer.saturating_sub(before.durations.longer);
        let micros = durations.sum_micros;
        durations.sum_micros = micros.saturating_sub(before.durations.sum_micros);
        Self {
            delivered: self.delivered.saturating_sub(before.delivered),
            retried: self.retried.saturating_sub(before.retried),
            filtered: reasons_since(&self.filtered, &before.filtered),
            rejected: reasons_since(&self.rejected, &before.rejected),
            durations,
        }
    }

    /// So many percent of the deliveries took no longer than this, in milliseconds; `None` without deliveries. It is the bound of a
    /// bucket, and what took longer than the last bound counts as that.
    pub(crate) fn percentile_ms(&self, percent: u64) -> Option<f64> {
        let rank = (self.durations.count() * percent).div_ceil(100).max(1);
        if self.durations.count() == 0 {
            return None;
        }
        let bounds = DurationCounts::bounds();
        let mut seen = 0;
        for (bound, deliveries) in bounds.into_iter().zip(self.durations.buckets) {
            seen += deliveries;
            if seen >= rank {
                return Some((bound * 10_000.0).round() / 10.0);
            }
        }
        bounds.last().map(|bound| (bound * 10_000.0).round() / 10.0)
    }
}

fn add_reasons(reasons: &mut Reasons, more: &Reasons) {
    for (code, events) in more {
        let code = if reasons.len() < MAX_REASONS || reasons.contains_key(code) {
            code.clone()
        } else {
            Cow::Borrowed(OTHER)
        };
        let sum = reasons.entry(code).or_default();
        *sum = sum.saturating_add(*events);
    }
}

/// What has been added, without reasons to which nothing was.
fn reasons_since(now: &Reasons, before: &Reasons) -> Reasons {
    let since = now.iter().map(|(code, events)| {
        let earlier = before.get(code).copied().unwrap_or(0);
        (code.clone(), events.saturating_sub(earlier))
    });
    since.filter(|(_, events)| *events > 0).collect()
}

impl History {
    /// Notes the totals of every sink. What was added belongs to the middle of the time since the last look: a look at the end of
    /// a step is then about that step.
    pub(crate) fn look(&mut self, now_ms: i64, totals: BTreeMap<String, Counts>) {
        // A clock that was set back must not make steps out of order.
        let now_ms = now_ms.max(self.looked_ms.unwrap_or(now_ms));
        let middle = self
            .looked_ms
            .map_or(now_ms, |looked| looked + (now_ms - looked) / 2);
        self.looked_ms = Some(now_ms);
        for (name, totals) in totals {
            if self.sinks.len() >= MAX_SINKS && !self.sinks.contains_key(&name) {
                continue;
            }
            let sink = self.sinks.entry(name).or_default();
            let added = totals.since(&sink.totals);
            sink.totals = totals;
            sink.add(middle, &added);
        }
    }

    /// The last hour of a sink, or of all together.
    pub(crate) fn hour(&self, sink: Option<&str>) -> Steps {
        let mut steps = Steps::new();
        for sink in self.of(sink) {
            add_steps(&mut steps, &sink.hour);
        }
        if let Some((newest, _)) = steps.last_key_value() {
            // Another sink may have ended long ago.
            let oldest = newest - MAX_STEPS + 1;
            steps = steps.split_off(&oldest);
        }
        steps
    }

    /// Adds what is not written yet.
    pub(crate) fn add_unwritten(&self, sink: Option<&str>, steps: &mut Steps) {
        for sink in self.of(sink) {
            add_steps(steps, &sink.unwritten);
        }
    }

    /// Takes the minutes that are over; all, at the end of a run.
    pub(crate) fn take_due(&mut self, is_end: bool) -> Vec<(String, i64, Counts)> {
        let mut due = Vec::new();
        let Some(looked_ms) = self.looked_ms else {
            return due;
        };
        let now = looked_ms.div_euclid(MINUTE_MS);
        for (name, sink) in &mut self.sinks {
            let rest = if is_end {
                Steps::new()
            } else {
                sink.unwritten.split_off(&now)
            };
            let over = std::mem::replace(&mut sink.unwritten, rest);
            due.extend(
                over.into_iter()
                    .map(|(minute, counts)| (name.clone(), minute, counts)),
            );
        }
        due
    }

    fn of<'a>(&'a self, sink: Option<&'a str>) -> impl Iterator<Item = &'a Sink> {
        let sinks = self.sinks.iter();
        sinks
            .filter(move |(name, _)| sink.is_none_or(|sink| sink == *name))
            .map(|(_, sink)| sink)
    }
}

impl Sink {
    fn add(&mut self, at_ms: i64, added: &Counts) {
        let step = at_ms.div_euclid(STEP_MS);
        self.hour.entry(step).or_default().add(added);
        self.hour = self.hour.split_off(&(step - MAX_STEPS + 1));
        let minute = at_ms.div_euclid(MINUTE_MS);
        self.unwritten.entry(minute).or_default().add(added);
        // By number, not by age: what waits while the machine sleeps is still to be written.
        while self.unwritten.len() > MAX_UNWRITTEN {
            self.unwritten.pop_first();
        }
    }
}

/// Adds steps to those of the same number.
pub(crate) fn add_steps(steps: &mut Steps, more: &Steps) {
    for (step, counts) in more {
        steps.entry(*step).or_default().add(counts);
    }
}
