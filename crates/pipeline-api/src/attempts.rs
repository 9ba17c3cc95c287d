//! Attempts that failed, counted by reason: what the counters of the host add up, told apart.
//!
//! Invariant: an event that is delivered costs one comparison; and at most [`MAX_KINDS`] reasons are told apart.

use pipeline_core::{Encoded, Event, Exchange, Observer, Outcome, Settlement};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Pairs of sink and reason that are told apart; reasons come from closed sets, so only a plugin that breaks its contract has
/// more.
const MAX_KINDS: usize = 2_000;

/// Counts the attempts that failed.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    failed: Mutex<BTreeMap<(String, &'static str), Failed>>,
    /// The last answer that each sink got.
    last: Mutex<BTreeMap<String, Arc<Exchange>>>,
}

/// Attempts that failed for one reason, counted per event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Failed {
    /// Tried again, or held until a person acts.
    pub(crate) retried: u64,
    /// Refused for good.
    pub(crate) rejected: u64,
}

impl Attempts {
    /// Every reason of this sink that was counted.
    pub(crate) fn of(&self, sink: &str) -> Vec<(&'static str, Failed)> {
        let counts = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let of_sink = counts.iter().filter(|((name, _), _)| name == sink);
        of_sink
            .map(|((_, code), failed)| (*code, *failed))
            .collect()
    }

    /// How much of its limits a sink has used, in percent, as its destination said last; `None` where it said nothing.
    pub(crate) fn throttle_percent(&self, sink: &str) -> Option<u64> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(sink)?.used_percent()
    }

    /// Keeps the last answer of a sink; the records of a batch share it.
    fn note(&self, sink: &str, exchange: &Arc<Exchange>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = last.len() < MAX_KINDS;
        match last.get_mut(sink) {
            Some(known) if Arc::ptr_eq(known, exchange) => {}
            Some(known) => *known = Arc::clone(exchange),
            None if has_room => {
                last.insert(sink.to_owned(), Arc::clone(exchange));
            }
            None => {}
        }
    }

    fn add(&self, sink: &str, code: &'static str, count: impl Fn(&mut Failed)) {
        let mut counts = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (sink.to_owned(), code);
        if counts.len() >= MAX_KINDS && !counts.contains_key(&key) {
            key.1 = "other";
        }
        count(counts.entry(key).or_default());
    }
}

impl Observer for Attempts {
    fn encoded(&self, _: &str, _: &Event, _: &Encoded) {}

    fn attempted(&self, sink: &str, settlement: &Settlement<'_>) {
        if let Some(exchange) = settlement.exchange {
            self.note(sink, exchange);
        }
        match settlement.outcome {
            Outcome::Delivered => {}
            Outcome::Rejected { reason } => self.add(sink, reason.code, |it| it.rejected += 1),
            Outcome::Retry { reason, .. }
            | Outcome::Failed { reason, .. }
            | Outcome::Blocked { reason } => {
                self.add(sink, reason.code, |it| it.retried += 1);
            }
            _ => self.add(sink, "other", |it| it.retried += 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::{Origin, Reason, Record};

    #[test]
    fn failed_attempts_are_counted_by_reason_and_delivered_ones_are_not() {
        let attempts = Attempts::default();
        let record = Record::new("{}", "id");
        let origin = Origin::new("web".into(), pipeline_core::Place::Line(1));
        let attempt = |sink: &str, outcome: Outcome| {
            attempts.attempted(sink, &Settlement::new(&record, &origin, 1, &outcome));
        };
        let reason = |code| Reason::new(code, "a sentence");
        attempt("meta", Outcome::Delivered);
        attempt(
            "meta",
            Outcome::Blocked {
                reason: reason("token"),
            },
        );
        attempt(
            "meta",
            Outcome::Rejected {
                reason: reason("invalid"),
            },
        );
        for _ in 0..2 {
            let reason = reason("throttled");
            attempt(
                "meta",
                Outcome::Retry {
                    after: None,
                    reason,
                },
            );
        }
        let failed = |retried, rejected| Failed { retried, rejected };
        assert_eq!(
            attempts.of("meta"),
            [
                ("invalid", failed(0, 1)),
                ("throttled", failed(2, 0)),
                ("token", failed(1, 0))
            ]
        );
        let outage = Outcome::Failed {
            after: None,
            reason: reason("unreachable"),
        };
        attempt("else", outage);
        assert_eq!(attempts.of("else"), [("unreachable", failed(1, 0))]);
        assert_eq!(attempts.of("other"), []);
    }

    #[test]
    fn the_last_answer_says_how_much_of_the_limits_is_used() {
        let attempts = Attempts::default();
        let record = Record::new("{}", "id");
        let origin = Origin::new("web".into(), pipeline_core::Place::Line(1));
        assert_eq!(attempts.throttle_percent("meta"), None);
        for (figures, expected) in [
            (&[("call_count", 12), ("total_time", 40)][..], Some(40)),
            (&[("wait_secs", 900)], None),
            (&[("call_count", 3), ("wait_secs", 900)], Some(3)),
        ] {
            let mut exchange = Exchange::new(1, 1);
            for (name, figure) in figures {
                exchange.add_figure(*name, *figure);
            }
            let exchange = Arc::new(exchange);
            let settlement = Settlement::new(&record, &origin, 1, &Outcome::Delivered);
            attempts.attempted("meta", &settlement.with_exchange(Some(&exchange)));
            assert_eq!(attempts.throttle_percent("meta"), expected);
        }
        assert_eq!(attempts.throttle_percent("other"), None);
    }
}
