//! What the log is told of a sink that runs: once a minute what it has done, that its buffer fills, and that it is full.
//!
//! Plain: counts and times in, sentences out. Invariant: a sink with nothing to do says nothing; a state that lasts is told once.

use crate::telemetry::SinkSnapshot;
use crate::wording::thousands;
use pipeline_core::Pace;
use std::fmt::Write as _;
use tokio::time::Instant;

/// From this part of a buffer, or of the room for dead letters, on, in percent, a warning is due.
pub(crate) const HIGH_PERCENT: u64 = 80;
/// Below this part, in percent, it is over.
pub(crate) const LOW_PERCENT: u64 = 60;

/// What the log has been told.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    told: Told,
    /// Whether it has been told that the buffer fills.
    is_high: bool,
    refused: Refused,
    pace: Pace,
}

/// The counts of the last line.
#[derive(Debug, Default)]
struct Told {
    delivered: u64,
    filtered: u64,
    consent: u64,
    rejected: u64,
}

/// Requests that found no room.
#[derive(Debug, Default)]
struct Refused {
    requests: u64,
    since: Option<Instant>,
}

impl Pulse {
    /// What happened since the last line, where something did or waits; `oldest_ms` is the age of the oldest event that waits.
    pub(crate) fn line(
        &mut self,
        now: &SinkSnapshot,
        percent: u64,
        oldest_ms: Option<i64>,
    ) -> Option<String> {
        let sum = Told {
            delivered: now.delivered,
            filtered: now.filtered_total(),
            consent: now.filtered.get("consent").copied().unwrap_or(0),
            rejected: now.rejected_total(),
        };
        let before = std::mem::replace(&mut self.told, sum);
        let delivered = self.told.delivered - before.delivered;
        let filtered = self.told.filtered - before.filtered;
        let consent = self.told.consent - before.consent;
        let rejected = self.told.rejected - before.rejected;
        if delivered + filtered + rejected + now.held == 0 {
            return None;
        }
        let mut line = format!("delivered {}", thousands(delivered));
        // Writing to a string cannot fail.
        let _ = write!(line, " · filtered {}", thousands(filtered));
        if consent > 0 {
            let _ = write!(line, " (consent {})", thousands(consent));
        }
        let _ = write!(line, " · rejected {}", thousands(rejected));
        let _ = write!(line, " · waiting {}", thousands(now.held));
        if let Some(age) = oldest_ms.filter(|_| now.held > 0) {
            let _ = write!(line, ", oldest {}", age_of(age));
        }
        let _ = write!(line, ", buffer {percent} %");
        if now.waiting_letters > 0 {
            let _ = write!(
                line,
                ", for dead letters {}",
                thousands(now.waiting_letters)
            );
        }
        Some(line)
    }

    /// A warning when the buffer fills, and a word when that is over: the sentence, and whether it is a warning.
    pub(crate) fn level(&mut self, percent: u64, now: Instant) -> Option<(String, bool)> {
        if percent >= HIGH_PERCENT && !self.is_high {
            self.is_high = true;
            let sentence = format!(
                "the buffer is {percent} % full; when it is full, the sources wait or refuse"
            );
            return Some((sentence, true));
        }
        if percent >= LOW_PERCENT || !self.is_high {
            return None;
        }
        self.is_high = false;
        let refused = std::mem::take(&mut self.refused);
        self.pace = Pace::default();
        let mut sentence = format!("the buffer has room again: it is {percent} % full");
        if let Some(since) = refused.since {
            let requests = many(refused.requests, "request was", "requests were");
            let secs = now.saturating_duration_since(since).as_secs_f64();
            let _ = write!(sentence, "; {requests} refused in {secs:.1} s");
        }
        Some((sentence, false))
    }

    /// A request found no room. A warning: the first time, and then once a minute.
    pub(crate) fn refuse(&mut self, now: Instant) -> Option<String> {
        self.is_high = true;
        self.refused.requests += 1;
        self.refused.since.get_or_insert(now);
        self.pace.take(now.into_std()).then(|| {
            let requests = many(self.refused.requests, "request was", "requests were");
            format!(
                "the buffer is full: {requests} refused; their clients are told to send them again"
            )
        })
    }
}

fn many(count: u64, one: &str, several: &str) -> String {
    let words = if count == 1 { one } else { several };
    format!("{} {words}", thousands(count))
}

/// An age in milliseconds as people say it: `12 min`.
pub fn age_of(ms: i64) -> String {
    let secs = ms.max(0) / 1_000;
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        7_200..=172_799 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[test]
    fn a_line_has_what_happened_since_the_last_one_and_what_waits() {
        let mut pulse = Pulse::default();
        let mut now = SinkSnapshot {
            delivered: 58_211,
            filtered: BTreeMap::from([("consent", 900), ("unmapped", 304)]),
            held: 41_000,
            ..SinkSnapshot::default()
        };
        assert_eq!(
            pulse.line(&now, 38, Some(12 * 60_000)).unwrap(),
            "delivered 58,211 · filtered 1,204 (consent 900) · rejected 0 · waiting 41,000, oldest 12 min, buffer 38 %"
        );
        now.delivered += 41_000;
        now.held = 0;
        assert_eq!(
            pulse.line(&now, 0, None).unwrap(),
            "delivered 41,000 · filtered 0 · rejected 0 · waiting 0, buffer 0 %"
        );
        assert_eq!(pulse.line(&now, 0, None), None);
        now.held = 1;
        now.waiting_letters = 1;
        let line = pulse.line(&now, 0, None).unwrap();
        assert!(
            line.ends_with("waiting 1, buffer 0 %, for dead letters 1"),
            "{line}"
        );
    }

    #[test]
    fn a_buffer_that_fills_is_told_once_and_its_end_as_well() {
        let (mut pulse, now) = (Pulse::default(), Instant::now());
        let steps = [10, 79, 80, 99, 70, 85, 59, 50, 81, 0];
        let told: Vec<_> = steps
            .iter()
            .filter_map(|percent| pulse.level(*percent, now))
            .collect();
        let warnings: Vec<bool> = told.iter().map(|(_, is_warning)| *is_warning).collect();
        assert_eq!(warnings, [true, false, true, false]);
        assert_eq!(told[1].0, "the buffer has room again: it is 59 % full");
    }

    #[test]
    fn refused_requests_are_told_at_once_then_once_a_minute_and_summed_up_at_the_end() {
        let (mut pulse, start) = (Pulse::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        let told: Vec<u64> = (0..130)
            .filter(|secs| pulse.refuse(at(*secs)).is_some())
            .collect();
        assert_eq!(told, [0, 60, 120]);
        let (sentence, is_warning) = pulse.level(5, at(200)).unwrap();
        assert!(!is_warning);
        assert!(
            sentence.ends_with("130 requests were refused in 200.0 s"),
            "{sentence}"
        );
        assert_eq!(
            pulse.refuse(at(201)).unwrap(),
            "the buffer is full: 1 request was refused; their clients are told to send them again"
        );
    }

    #[test]
    fn ages_are_said_in_one_unit() {
        let of = |secs: i64| age_of(secs * 1_000);
        assert_eq!(
            [of(-5), of(119), of(120), of(7_200), of(172_800)],
            ["0 s", "119 s", "2 min", "2 h", "2 days"]
        );
    }
}
