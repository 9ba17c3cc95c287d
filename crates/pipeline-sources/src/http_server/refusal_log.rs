//! Tells the log that requests were refused: at once, and then at most once a minute, with the counts by code.
//!
//! Invariant: every refused request is counted in exactly one line.

use pipeline_core::Pace;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two lines.
pub(super) const PAUSE: Duration = Pace::PAUSE;

/// What the log has not been told yet.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    /// Requests by the code of their refusal; codes come from a closed set.
    untold: BTreeMap<&'static str, u64>,
    pace: Pace,
}

impl RefusalLog {
    /// Takes note of a refusal with this code. Answers with a line where one is due.
    pub(super) fn add(&mut self, code: &'static str, now: Instant) -> Option<String> {
        *self.untold.entry(code).or_default() += 1;
        self.look(now)
    }

    /// A line, where there is something to tell and the last line was written long enough ago.
    pub(super) fn look(&mut self, now: Instant) -> Option<String> {
        if !self.pace.is_due(now.into_std()) {
            return None;
        }
        let line = self.end()?;
        self.pace.told(now.into_std());
        Some(line)
    }

    /// A line, where there is something to tell: no more requests come.
    pub(super) fn end(&mut self) -> Option<String> {
        let mut codes: Vec<_> = std::mem::take(&mut self.untold).into_iter().collect();
        codes.sort_by_key(|(_, requests)| Reverse(*requests));
        let requests: u64 = codes.iter().map(|(_, requests)| requests).sum();
        let what = match requests {
            0 => return None,
            1 => "1 request was refused".to_owned(),
            _ => format!("{requests} requests were refused"),
        };
        let codes = codes
            .iter()
            .map(|(code, requests)| format!("{code} {requests}"));
        Some(format!("{what}: {}", codes.collect::<Vec<_>>().join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusal_is_told_at_once_and_the_others_once_a_minute() {
        let (mut log, start) = (RefusalLog::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(log.look(at(0)), None);
        assert_eq!(
            log.add("empty", at(0)).as_deref(),
            Some("1 request was refused: empty 1")
        );
        assert_eq!(log.add("empty", at(1)), None);
        assert_eq!(log.add("buffer_full", at(2)), None);
        assert_eq!(log.add("buffer_full", at(59)), None);
        let told = "3 requests were refused: buffer_full 2, empty 1";
        assert_eq!(log.look(at(60)).as_deref(), Some(told));
        assert_eq!(log.add("empty", at(61)), None);
        assert_eq!(log.end().as_deref(), Some("1 request was refused: empty 1"));
        assert_eq!(log.end(), None);
    }
}
