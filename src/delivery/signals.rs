//! What Meta says beside its answers, in headers: that a limit is nearly reached, and that the API version is about to end.
//!
//! Headers of answers go in; it comes out how long sending has to wait, and what a person is to be told, once a day.

use crate::api_versions;
use crate::response::Code;
use crate::response::pause::{is_used_up, throttle};
use pipeline_core::Reason;
use reqwest::header::HeaderMap;
use std::time::Duration;

/// The pause where a limit is reached and Meta does not say for how long.
pub(super) const USAGE_PAUSE: Duration = Duration::from_secs(30);
/// How often the same warning is told at most, in milliseconds.
pub(super) const WARNING_EVERY_MS: i64 = 24 * 60 * 60 * 1000;
const VERSION_WARNING: &str = "x-ad-api-version-warning";

/// What is known from headers.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Until when nothing is sent, in milliseconds since the Unix epoch.
    slow_until_ms: Option<i64>,
    /// The last warning about the version.
    warning: Option<Reason>,
    /// When it was told last.
    told_ms: Option<i64>,
    is_new: bool,
}

impl Signals {
    /// Notes the headers of an answer that accepted events.
    pub(super) fn note_accepted(&mut self, headers: &HeaderMap, now_ms: i64) {
        self.note_version(headers);
        if is_used_up(headers) {
            let pause = throttle(headers, now_ms.div_euclid(1000)).unwrap_or(USAGE_PAUSE);
            let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
            self.slow_until_ms = Some(now_ms.saturating_add(pause_ms));
        }
    }

    /// Notes what the headers of any answer say of the version.
    pub(super) fn note_version(&mut self, headers: &HeaderMap) {
        let Some(text) = headers.get(VERSION_WARNING) else {
            return;
        };
        let named = api_versions::named_in(&String::from_utf8_lossy(text.as_bytes()));
        let mut sentence = Code::VersionWarning.sentence().to_owned();
        if !named.is_empty() {
            sentence = format!("{sentence}; it names {}", named.join(", "));
        }
        self.warning = Some(Code::VersionWarning.because(sentence));
        self.is_new = true;
    }

    /// How long sending has to wait, if it has to.
    pub(super) fn pause(&mut self, now_ms: i64) -> Option<Duration> {
        let until = self.slow_until_ms?;
        let left = u64::try_from(until.saturating_sub(now_ms))
            .ok()
            .filter(|left| *left > 0);
        // A pause is no longer than an hour, unless the clock was set back.
        let left = left.map(Duration::from_millis);
        let left = left.filter(|left| *left <= crate::response::pause::MAX_THROTTLE);
        if left.is_none() {
            self.slow_until_ms = None;
        }
        left
    }

    /// The warning about the version, to be shown at the end.
    pub(super) fn warning(&self) -> Option<&Reason> {
        self.warning.as_ref()
    }

    /// The warning about the version, if it has to be told now.
    pub(super) fn take_warning(&mut self, now_ms: i64) -> Option<Reason> {
        let is_due = self
            .told_ms
            .is_none_or(|told| !(0..WARNING_EVERY_MS).contains(&(now_ms - told)));
        if !is_due || !std::mem::take(&mut self.is_new) {
            return None;
        }
        self.told_ms = Some(now_ms);
        self.warning.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let name = HeaderName::from_static(name);
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_limit_that_is_reached_pauses_as_long_as_meta_says() {
        for (name, value, secs) in [
            ("x-app-usage", r#"{"call_count":100}"#, Some(30)),
            ("x-app-usage", r#"{"call_count":99}"#, None),
            (
                "x-ad-account-usage",
                r#"{"acc_id_util_pct":100,"reset_time_duration":90}"#,
                Some(90),
            ),
            (
                "x-business-use-case-usage",
                r#"{"1":[{"call_count":100,"estimated_time_to_regain_access":2}]}"#,
                Some(120),
            ),
            (
                "x-business-use-case-usage",
                r#"{"1":[{"call_count":50,"estimated_time_to_regain_access":2}]}"#,
                None,
            ),
        ] {
            let mut signals = Signals::default();
            signals.note_accepted(&headers(name, value), 1_000);
            let expected = secs.map(Duration::from_secs);
            assert_eq!(signals.pause(1_000), expected, "{value}");
            let end = 1_000 + secs.map_or(0, |secs| i64::try_from(secs * 1000).unwrap());
            assert_eq!(signals.pause(end), None, "{value}");
            assert_eq!(signals.pause(1_000), None, "it is over");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_prolong_a_pause() {
        let mut signals = Signals::default();
        signals.note_accepted(
            &headers("x-app-usage", r#"{"call_count":100}"#),
            10_000_000_000,
        );
        assert_eq!(signals.pause(0), None);
    }

    #[test]
    fn a_warning_is_told_once_a_day_in_our_words() {
        let mut signals = Signals::default();
        let text =
            "The call of jane@example.com was auto-upgraded to v26.0 as v25.0 will be deprecated";
        let warning = headers("x-ad-api-version-warning", text);
        assert_eq!(signals.take_warning(0), None);
        signals.note_version(&warning);
        let told = signals.take_warning(0).unwrap();
        assert_eq!(
            told.detail,
            "Meta warns about this `api_version`; set it to a current one; it names v26.0, v25.0"
        );
        for now_ms in [0, 1, WARNING_EVERY_MS - 1] {
            signals.note_version(&warning);
            assert_eq!(signals.take_warning(now_ms), None);
        }
        assert!(signals.take_warning(WARNING_EVERY_MS).is_some());
        assert_eq!(
            signals.take_warning(3 * WARNING_EVERY_MS),
            None,
            "no further one came"
        );
        assert!(signals.warning().is_some());
    }
}
