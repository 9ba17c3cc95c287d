//! Notices when most events of a sink are not sent, and says why in a sentence for the log.
//!
//! In: what the sink made of each chunk, and the time. Out: a [`Warning`] when more than 90 % of the first events, or of a
//! minute's, were filtered or rejected. Events that somebody asked to drop do not count: those of a transform, and those
//! with the reason [`ON_PURPOSE`].
//!
//! Invariant: two warnings are at least a minute apart; while the cause stays the same, the pauses grow to an hour. Memory is
//! bounded by [`MAX_EVENT_NAMES`](crate::event_counts::MAX_EVENT_NAMES).

use crate::event_counts::{EventBatch, EventCounts, Fate, NO_NAME, OTHER_NAMES};
use crate::wording::{plain, thousands};
use pipeline_core::MissingEvents;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Events after which a sink is judged for the first time.
const FIRST_EVENTS: u64 = 100;
/// How long the events of a window come in; and the shortest time between two warnings.
const WINDOW: Duration = Duration::from_secs(60);
/// Events of a window that are enough to judge it.
const ENOUGH_EVENTS: u64 = 20;
/// The longest time between two warnings of the same cause.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Names that a warning lists.
const MAX_LISTED: usize = 5;
/// The reason of events that the user of a sink asked it to drop.
pub(crate) const ON_PURPOSE: &str = "dropped_by_config";

/// Watches what a sink makes of its events.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The first events; `None` once they were judged.
    first: Option<Window>,
    minute: Window,
    /// The last warning.
    last: Option<Last>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            first: Some(Window::default()),
            minute: Window::default(),
            last: None,
        }
    }
}

/// Events of a while.
#[derive(Debug, Default)]
struct Window {
    /// When its first event came.
    since: Option<Instant>,
    events: u64,
    missing: EventCounts,
    /// The sentence of the first event of each reason.
    details: BTreeMap<&'static str, Cow<'static, str>>,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    /// The codes of its reasons.
    causes: Vec<&'static str>,
    /// How long to be silent after it, while the cause stays the same.
    pause: Duration,
}

/// Most events of a while were not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    /// When: `so far`.
    span: &'static str,
    /// Events that came.
    pub(crate) events: u64,
    /// Those that were filtered or rejected.
    pub(crate) missing: u64,
    /// By reason, the most frequent first; one at least.
    reasons: Vec<Cause>,
    /// By name and reason, the most frequent first.
    pub(crate) kinds: Vec<MissingEvents>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cause {
    code: &'static str,
    is_filter: bool,
    events: u64,
    detail: Cow<'static, str>,
}

impl Watch {
    /// Adds what the sink made of a chunk; `detail` gives a sentence for a reason of it. Answers with a warning where one is
    /// due.
    pub(crate) fn add(
        &mut self,
        events: &EventBatch,
        detail: impl Fn(&'static str) -> Option<Cow<'static, str>>,
        now: Instant,
    ) -> Option<Warning> {
        let over = self.look(now);
        if let Some(first) = &mut self.first {
            first.add(events, &detail, now);
        }
        self.minute.add(events, &detail, now);
        over.or_else(|| self.judge_first(now))
    }

    /// Judges the minute that is over. To be called about once a minute, so that a warning does not wait for the next event.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Warning> {
        let since = self.minute.since?;
        if now.saturating_duration_since(since) < WINDOW {
            return None;
        }
        self.judge_minute(now)
    }

    /// Judges what has not been judged yet: no more events come.
    pub(crate) fn end(&mut self, now: Instant) -> Option<Warning> {
        self.judge_minute(now)
    }

    fn judge_first(&mut self, now: Instant) -> Option<Warning> {
        let first = self.first.take_if(|first| first.events >= FIRST_EVENTS)?;
        self.said(first.warning("so far")?, now)
    }

    fn judge_minute(&mut self, now: Instant) -> Option<Warning> {
        let window = std::mem::take(&mut self.minute);
        if window.events < ENOUGH_EVENTS {
            return None;
        }
        let Some(warning) = window.warning("of the last minute") else {
            // All is well again: the next trouble is a new one.
            if let Some(last) = &mut self.last {
                last.pause = WINDOW;
            }
            return None;
        };
        self.said(warning, now)
    }

    /// Takes note of a warning; `None` where it comes too soon after the last one.
    fn said(&mut self, warning: Warning, now: Instant) -> Option<Warning> {
        let mut pause = WINDOW;
        if let Some(last) = &self.last {
            let since = now.saturating_duration_since(last.at);
            let is_same = last.causes.contains(&warning.cause());
            if since < WINDOW || (is_same && since < last.pause) {
                return None;
            }
            if is_same {
                pause = (last.pause * 2).min(MAX_PAUSE);
            }
        }
        self.last = Some(Last {
            at: now,
            causes: warning.reasons.iter().map(|cause| cause.code).collect(),
            pause,
        });
        self.minute = Window::default();
        self.first = None;
        Some(warning)
    }
}

impl Window {
    fn add(
        &mut self,
        events: &EventBatch,
        detail: impl Fn(&'static str) -> Option<Cow<'static, str>>,
        now: Instant,
    ) {
        for (label, fate, count) in events.iter() {
            match fate {
                Fate::Filtered(ON_PURPOSE) => continue,
                Fate::Filtered(code) | Fate::Rejected(code) => {
                    self.missing.add(label, fate, count);
                    if !self.details.contains_key(code) {
                        self.details.insert(code, detail(code).unwrap_or_default());
                    }
                }
                _ => {}
            }
            self.events += count;
            self.since.get_or_insert(now);
        }
    }

    /// What there is to say, where more than 90 % of the events are missing.
    fn warning(&self, span: &'static str) -> Option<Warning> {
        let missing = self.missing.total();
        if missing * 10 <= self.events * 9 {
            return None;
        }
        let mut reasons: BTreeMap<Fate, u64> = BTreeMap::new();
        let mut kinds = Vec::new();
        for (label, fates) in self.missing.iter() {
            for (fate, events) in fates {
                *reasons.entry(*fate).or_default() += events;
                let (Fate::Filtered(code) | Fate::Rejected(code)) = *fate else {
                    continue;
                };
                let label = (**label != *NO_NAME).then(|| Arc::clone(label));
                kinds.push(MissingEvents::new(label, code, *events));
            }
        }
        kinds.sort_by_key(|kind| Reverse(kind.events));
        let cause = |(fate, events)| match fate {
            Fate::Filtered(code) | Fate::Rejected(code) => Some(Cause {
                code,
                is_filter: matches!(fate, Fate::Filtered(_)),
                events,
                detail: self.details.get(code).cloned().unwrap_or_default(),
            }),
            _ => None,
        };
        let mut reasons: Vec<_> = reasons.into_iter().filter_map(cause).collect();
        reasons.sort_by_key(|cause| Reverse(cause.events));
        Some(Warning {
            span,
            events: self.events,
            missing,
            reasons,
            kinds,
        })
    }
}

impl Warning {
    /// The code of the most frequent reason.
    pub(crate) fn cause(&self) -> &'static str {
        self.reasons.first().map_or("", |cause| cause.code)
    }

    /// The warning as a sentence, with what the sink advises.
    pub(crate) fn sentence(&self, advice: Option<&str>) -> String {
        let which = if self.missing == self.events {
            format!("all {} events {}", thousands(self.events), self.span)
        } else {
            let (missing, events) = (thousands(self.missing), thousands(self.events));
            format!("{missing} of {events} events {}", self.span)
        };
        let filters = self.reasons.iter().filter(|cause| cause.is_filter).count();
        let what = match filters {
            0 => "rejected",
            all if all == self.reasons.len() => "filtered",
            _ => "filtered or rejected",
        };
        let reasons = self.reasons.iter().enumerate().map(|(index, cause)| {
            let count = format!("{} {}", cause.code, thousands(cause.events));
            if index == 0 && !cause.detail.is_empty() {
                format!("{count} ({})", cause.detail)
            } else {
                count
            }
        });
        let reasons = reasons.collect::<Vec<_>>().join(", ");
        let mut sentence = format!("{which} were {what}: {reasons}");
        let names = self.names();
        if !names.is_empty() {
            sentence.push_str("; by name: ");
            sentence.push_str(&names);
        }
        if let Some(advice) = advice {
            sentence.push_str("; ");
            sentence.push_str(advice);
        }
        sentence
    }

    /// The names of most missing events, whatever the reason: `Order Completed 1,500, Cart Viewed 400, and 3 more`.
    fn names(&self) -> String {
        let mut names: Vec<(&str, u64)> = Vec::new();
        let (mut listed, mut more) = (BTreeMap::new(), 0);
        for kind in &self.kinds {
            let Some(label) = kind.label.as_deref() else {
                continue;
            };
            let index = *listed.entry(label).or_insert_with(|| {
                names.push((label, 0));
                names.len() - 1
            });
            names[index].1 += kind.events;
        }
        names.sort_by_key(|(label, events)| (*label == OTHER_NAMES, Reverse(*events)));
        if names.len() > MAX_LISTED {
            more = names.len() - MAX_LISTED;
            names.truncate(MAX_LISTED);
        }
        let mut texts: Vec<_> = names
            .into_iter()
            .map(|(label, events)| format!("{} {}", plain(label), thousands(events)))
            .collect();
        if more > 0 {
            texts.push(format!("and {more} more"));
        }
        texts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(events: &[(&str, Fate)]) -> EventBatch {
        let mut batch = EventBatch::default();
        for (name, fate) in events {
            let label: Arc<str> = (*name).into();
            batch.add((!name.is_empty()).then_some(&label), *fate);
        }
        batch
    }

    fn detail(code: &'static str) -> Option<Cow<'static, str>> {
        (code == "unmapped").then(|| "the preset does not know it".into())
    }

    fn add(watch: &mut Watch, events: &[(&str, Fate)], now: Instant) -> Option<String> {
        let warning = watch.add(&batch(events), detail, now);
        warning.map(|warning| warning.sentence(None))
    }

    const UNMAPPED: Fate = Fate::Filtered("unmapped");

    #[test]
    fn the_first_hundred_events_are_judged_as_soon_as_they_are_there() {
        let (mut watch, now) = (Watch::default(), Instant::now());
        let bad = [("Order Completed", UNMAPPED); 99];
        assert_eq!(add(&mut watch, &bad, now), None);
        assert_eq!(
            add(&mut watch, &[("Cart Viewed", UNMAPPED)], now).unwrap(),
            "all 100 events so far were filtered: unmapped 100 (the preset does not know it); by name: Order Completed 99, \
             Cart Viewed 1"
        );
    }

    #[test]
    fn ninety_percent_are_not_too_many() {
        let now = Instant::now();
        let with = |bad: usize| {
            let mut events = vec![("a", UNMAPPED); bad];
            events.resize(1_000, ("a → A", Fate::Accepted));
            add(&mut Watch::default(), &events, now)
        };
        assert_eq!(with(900), None);
        let sentence = with(901).unwrap();
        assert!(
            sentence.starts_with("901 of 1,000 events so far were filtered: "),
            "{sentence}"
        );
    }

    #[test]
    fn a_minute_is_judged_when_it_is_over_and_had_enough_events() {
        let start = Instant::now();
        let soon = start + Duration::from_secs(59);
        let over = start + WINDOW;
        for (events, warns) in [(19, false), (20, true)] {
            let mut watch = Watch::default();
            let bad = vec![("", Fate::Rejected("malformed_json")); events];
            assert_eq!(add(&mut watch, &bad, start), None);
            assert_eq!(watch.look(soon), None);
            let sentence = watch
                .look(over)
                .map(|warning| warning.sentence(Some("do this")));
            let expected =
                "all 20 events of the last minute were rejected: malformed_json 20; do this";
            assert_eq!(sentence.as_deref(), warns.then_some(expected));
            assert_eq!(watch.look(over + WINDOW), None);
        }
        // A run that ends does not wait for the minute.
        let mut watch = Watch::default();
        add(&mut watch, &[("a", UNMAPPED); 20], start);
        assert!(watch.end(soon).is_some());
        assert_eq!(watch.end(soon), None);
    }

    #[test]
    fn events_that_the_configuration_drops_are_not_missing() {
        let (mut watch, now) = (Watch::default(), Instant::now());
        let mut events = vec![("page", Fate::Filtered(ON_PURPOSE)); 5_000];
        events.resize(5_100, ("Order Completed → Purchase", Fate::Accepted));
        assert_eq!(add(&mut watch, &events, now), None);
        assert_eq!(watch.look(now + WINDOW), None);
    }

    #[test]
    fn a_cause_that_stays_is_told_less_and_less_often_and_a_new_one_at_once() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut minutes = Vec::new();
        for minute in 0..600 {
            let now = start + WINDOW * minute;
            if add(&mut watch, &[("a", UNMAPPED); 100], now).is_some() {
                minutes.push(minute);
            }
        }
        assert_eq!(
            minutes,
            [
                0, 2, 4, 8, 16, 32, 64, 124, 184, 244, 304, 364, 424, 484, 544
            ]
        );
        let mut at = |minute, fate| {
            let now = start + WINDOW * minute;
            add(&mut watch, &[("a", fate); 100], now).is_some()
        };
        // A minute is judged when the next one begins. After a good one, the old cause is news again; so is another cause.
        let steps = [
            UNMAPPED,
            Fate::Accepted,
            UNMAPPED,
            UNMAPPED,
            Fate::Filtered("consent"),
            UNMAPPED,
        ];
        let warned: Vec<_> = (600..)
            .zip(steps)
            .filter(|(minute, fate)| at(*minute, *fate))
            .collect();
        assert_eq!(
            warned.iter().map(|(minute, _)| *minute).collect::<Vec<_>>(),
            [603, 605]
        );
    }

    #[test]
    fn a_warning_lists_the_most_frequent_names_and_counts_the_others() {
        let mut events = Vec::new();
        for (index, name) in ["a", "b", "c", "d", "e", "f", "g"].into_iter().enumerate() {
            events.extend(vec![(name, UNMAPPED); 20 - index]);
        }
        events.extend([("a", Fate::Filtered("consent")); 3]);
        events.extend([("b → B", Fate::Rejected("too_old")); 2]);
        assert_eq!(
            add(&mut Watch::default(), &events, Instant::now()).unwrap(),
            "all 124 events so far were filtered or rejected: unmapped 119 (the preset does not know it), consent 3, too_old 2; \
             by name: a 23, b 19, c 18, d 17, e 16, and 3 more"
        );
    }

    /// What came in, and when.
    type History = [(Instant, Vec<(&'static str, Fate)>)];

    /// What a warning says: when, of how many events, and how many are missing of each name and reason.
    type Told = (Instant, u64, BTreeMap<(String, Fate), u64>);

    /// Counts events anew.
    fn recount(history: &History) -> (u64, BTreeMap<(String, Fate), u64>) {
        let all = history.iter().flat_map(|(_, chunk)| chunk);
        let counted: Vec<_> = all
            .filter(|(_, fate)| *fate != Fate::Filtered(ON_PURPOSE))
            .collect();
        let mut missing = BTreeMap::new();
        for (name, fate) in counted.iter().filter(|(_, fate)| *fate != Fate::Accepted) {
            *missing.entry(((*name).to_owned(), *fate)).or_insert(0) += 1;
        }
        (counted.len() as u64, missing)
    }

    /// The warnings of a whole history, worked out without remembering anything but the warnings themselves.
    fn expected(history: &History) -> Vec<Told> {
        let mut told: Vec<(Told, Duration)> = Vec::new();
        let is_bad = |(events, missing): &(u64, BTreeMap<_, u64>)| {
            missing.values().sum::<u64>() * 10 > events * 9
        };
        // Where the window began.
        let mut from = 0;
        let code = |fate: Fate| fate.word();
        for now in 0..history.len() {
            let at = history[now].0;
            let mut judged = Vec::new();
            let began = (from..now).find(|index| recount(&history[*index..=*index]).0 > 0);
            if began.is_some_and(|began| at - history[began].0 >= WINDOW) {
                let counted = recount(&history[from..now]);
                if counted.0 >= ENOUGH_EVENTS
                    && !is_bad(&counted)
                    && let Some((_, pause)) = told.last_mut()
                {
                    *pause = WINDOW;
                }
                judged.extend((counted.0 >= ENOUGH_EVENTS).then_some((counted, now)));
                from = now;
            }
            let first = recount(&history[..=now]);
            let is_first = first.0 >= FIRST_EVENTS && recount(&history[..now]).0 < FIRST_EVENTS;
            judged.extend((is_first && told.is_empty()).then_some((first, now + 1)));
            for ((events, missing), next) in
                judged.into_iter().filter(|(counted, _)| is_bad(counted))
            {
                let mut codes: BTreeMap<Fate, u64> = BTreeMap::new();
                for ((_, fate), events) in &missing {
                    *codes.entry(*fate).or_default() += events;
                }
                let most = codes
                    .iter()
                    .min_by_key(|(fate, events)| (Reverse(**events), **fate));
                let most = code(*most.unwrap().0);
                let mut pause = WINDOW;
                if let Some(((last, _, before), last_pause)) = told.last() {
                    let is_same = before.keys().any(|(_, fate)| code(*fate) == most);
                    if at - *last < WINDOW || (is_same && at - *last < *last_pause) {
                        continue;
                    }
                    pause = if is_same {
                        (*last_pause * 2).min(MAX_PAUSE)
                    } else {
                        WINDOW
                    };
                }
                told.push(((at, events, missing), pause));
                from = next;
            }
        }
        told.into_iter().map(|(told, _)| told).collect()
    }

    fn told(warning: &Warning, now: Instant) -> Told {
        let missing = warning.kinds.iter().map(|kind| {
            let label = kind.label.as_deref().unwrap_or_default();
            let fate = match kind.code {
                "too_old" => Fate::Rejected("too_old"),
                code => Fate::Filtered(code),
            };
            ((label.to_owned(), fate), kind.events)
        });
        (now, warning.events, missing.collect())
    }

    fn chunk() -> impl Strategy<Value = Vec<(&'static str, Fate)>> {
        let kinds = [
            ("Cart Viewed", UNMAPPED),
            ("Order Completed", UNMAPPED),
            ("a → A", Fate::Filtered("consent")),
            ("a → A", Fate::Rejected("too_old")),
            ("", Fate::Rejected("too_old")),
            ("page", Fate::Filtered(ON_PURPOSE)),
            ("a → A", Fate::Accepted),
        ];
        let kind = prop::sample::select(kinds.to_vec());
        let all_alike = (kind.clone(), 0_usize..60).prop_map(|(kind, events)| vec![kind; events]);
        prop_oneof![3 => all_alike, 1 => prop::collection::vec(kind, 0..60)]
    }

    proptest! {
        #[test]
        fn the_warnings_are_those_of_a_watch_without_memory(
            chunks in prop::collection::vec((prop_oneof![0_u64..40, 40_u64..200], chunk()), 1..40),
        ) {
            let (mut watch, mut now) = (Watch::default(), Instant::now());
            let (mut history, mut warned) = (Vec::new(), Vec::new());
            for (secs, chunk) in chunks {
                now += Duration::from_secs(secs);
                let warning = watch.add(&batch(&chunk), detail, now);
                warned.extend(warning.map(|warning| told(&warning, now)));
                history.push((now, chunk));
            }
            let apart = warned.windows(2).all(|two| two[1].0 - two[0].0 >= WINDOW);
            prop_assert!(apart, "two warnings within a minute");
            prop_assert_eq!(warned, expected(&history));
        }
    }
}
