//! Tells the log that requests were refused: at once, and then at most once a minute, with the counts by code.
//!
//! Invariant: every refused request is counted in exactly one line.

use super::refusal::Refusal;
use pipeline_core::Pace;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two lines.
pub(super) const PAUSE: Duration = Pace::PAUSE;

/// Keys that one line names.
const MAX_KEYS_TOLD: usize = 10;

/// The refusals of one source, on their way to the log.
#[derive(Debug)]
pub(crate) struct Refusals {
    source: Arc<str>,
    log: Mutex<RefusalLog>,
}

impl Refusals {
    /// No refusals yet, of the source of this name.
    pub(crate) fn new(source: Arc<str>) -> Self {
        let log = Mutex::default();
        Self { source, log }
    }

    /// Takes note of a refusal.
    pub(crate) fn add(&self, refusal: &Refusal) {
        self.add_of(refusal, None);
    }

    /// Takes note of a refusal to who sent with the key of this name.
    pub(crate) fn add_of(&self, refusal: &Refusal, key: Option<&str>) {
        let line = self.log().add(refusal.code, key, Instant::now());
        self.tell(line);
    }

    /// Tells the log once a minute of requests that were refused, where there were any.
    pub(crate) async fn tell_each_minute(&self) -> Infallible {
        loop {
            tokio::time::sleep(PAUSE).await;
            let line = self.log().look(Instant::now());
            self.tell(line);
        }
    }

    /// Tells the log of what it has not been told yet: no more requests come.
    pub(crate) fn end(&self) {
        let line = self.log().end();
        self.tell(line);
    }

    /// Requests that were refused with this code, told or not.
    #[cfg(test)]
    pub(crate) fn counted(&self, code: &str) -> u64 {
        self.log().counted.get(code).copied().unwrap_or_default()
    }

    fn tell(&self, line: Option<String>) {
        if let Some(line) = line {
            tracing::warn!(source = %self.source, "{line}");
        }
    }

    fn log(&self) -> MutexGuard<'_, RefusalLog> {
        // Nothing under the lock can panic.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the log has not been told yet.
#[derive(Debug, Default)]
struct RefusalLog {
    /// Requests by the code of their refusal; codes come from a closed set.
    untold: BTreeMap<&'static str, u64>,
    /// Of them, those with a key; names of keys are those of the options.
    untold_of: BTreeMap<String, u64>,
    #[cfg(test)]
    counted: BTreeMap<&'static str, u64>,
    pace: Pace,
}

impl RefusalLog {
    /// Takes note of a refusal with this code. Answers with a line where one is due.
    fn add(&mut self, code: &'static str, key: Option<&str>, now: Instant) -> Option<String> {
        if let Some(key) = key {
            *self.untold_of.entry(key.to_owned()).or_default() += 1;
        }
        *self.untold.entry(code).or_default() += 1;
        #[cfg(test)]
        {
            *self.counted.entry(code).or_default() += 1;
        }
        self.look(now)
    }

    /// A line, where there is something to tell and the last line was written long enough ago.
    fn look(&mut self, now: Instant) -> Option<String> {
        if !self.pace.is_due(now.into_std()) {
            return None;
        }
        let line = self.end()?;
        self.pace.told(now.into_std());
        Some(line)
    }

    /// A line, where there is something to tell: no more requests come.
    fn end(&mut self) -> Option<String> {
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
        let codes = codes.collect::<Vec<_>>().join(", ");
        let mut keys: Vec<_> = std::mem::take(&mut self.untold_of).into_iter().collect();
        keys.sort_by_key(|(_, requests)| Reverse(*requests));
        let more = keys.len().saturating_sub(MAX_KEYS_TOLD);
        let keys = keys
            .iter()
            .take(MAX_KEYS_TOLD)
            .map(|(key, requests)| format!("{key} {requests}"));
        let keys = keys.collect::<Vec<_>>().join(", ");
        Some(match (keys.is_empty(), more) {
            (true, _) => format!("{what}: {codes}"),
            (false, 0) => format!("{what}: {codes}; by key: {keys}"),
            (false, more) => format!("{what}: {codes}; by key: {keys}, and {more} more keys"),
        })
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
            log.add("empty", None, at(0)).as_deref(),
            Some("1 request was refused: empty 1")
        );
        assert_eq!(log.add("empty", None, at(1)), None);
        assert_eq!(log.add("buffer_full", None, at(2)), None);
        assert_eq!(log.add("buffer_full", None, at(59)), None);
        let told = "3 requests were refused: buffer_full 2, empty 1";
        assert_eq!(log.look(at(60)).as_deref(), Some(told));
        assert_eq!(log.add("empty", None, at(61)), None);
        assert_eq!(log.end().as_deref(), Some("1 request was refused: empty 1"));
        assert_eq!(log.end(), None);
    }

    #[test]
    fn the_keys_whose_requests_were_refused_most_are_named() {
        let (mut log, start) = (RefusalLog::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        let first = log.add("rate_limit", Some("web"), at(0)).unwrap();
        assert_eq!(first, "1 request was refused: rate_limit 1; by key: web 1");
        log.add("rate_limit", Some("shop"), at(1));
        log.add("rate_limit", Some("shop"), at(2));
        log.add("wrong_write_key", None, at(3));
        log.add("foreign_origin", Some("web"), at(4));
        assert_eq!(
            log.look(at(60)).unwrap(),
            "4 requests were refused: rate_limit 2, foreign_origin 1, wrong_write_key 1; by key: shop 2, web 1"
        );
        for number in 0..12 {
            log.add("rate_limit", Some(&format!("key{number:02}")), at(61));
        }
        let many = log.end().unwrap();
        assert!(many.ends_with("key09 1, and 2 more keys"), "{many}");
    }
}
