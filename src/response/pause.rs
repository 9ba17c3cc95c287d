//! The pause that an answer's headers ask for: `Retry-After` in every form of HTTP, and Meta's own usage headers.
//!
//! Invariant: a pause that can be read counts, whatever its form; one that is too long becomes [`MAX_THROTTLE`].

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The longest pause taken from an answer's headers.
pub(crate) const MAX_THROTTLE: Duration = Duration::from_secs(60 * 60);

/// The longest pause that a header asks for, up to [`MAX_THROTTLE`]; in whole seconds, rounded up.
pub(crate) fn throttle(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let business = json(headers, "x-business-use-case-usage").flat_map(|usage| {
        let uses = usage.as_object().into_iter().flat_map(|it| it.values());
        let uses = uses.filter_map(Value::as_array).flatten();
        uses.filter_map(|one| of_value(&one["estimated_time_to_regain_access"], 60.0))
            .collect::<Vec<_>>()
    });
    let account = json(headers, "x-ad-account-usage")
        .filter_map(|usage| of_value(&usage["reset_time_duration"], 1.0));
    let asked = headers
        .get_all(RETRY_AFTER)
        .into_iter()
        .filter_map(|value| {
            let text = value.to_str().ok()?.trim();
            of_text(text, 1.0).or_else(|| until(text, headers, now))
        });
    let longest = business.chain(account).chain(asked).max()?;
    (longest > Duration::ZERO).then(|| longest.min(MAX_THROTTLE))
}

/// Whether Meta's usage headers say that a limit is reached.
pub(crate) fn is_used_up(headers: &HeaderMap) -> bool {
    let is_full = |usage: &Value| {
        let values = PERCENTAGES.iter().filter_map(|name| usage.get(name));
        values
            .filter_map(number)
            .any(|percentage| percentage >= 100.0)
    };
    json(headers, "x-app-usage").any(|usage| is_full(&usage))
        || json(headers, "x-ad-account-usage").any(|usage| is_full(&usage))
        || json(headers, "x-business-use-case-usage").any(|usage| {
            let uses = usage.as_object().into_iter().flat_map(|it| it.values());
            uses.filter_map(Value::as_array).flatten().any(is_full)
        })
}

/// What of each use is a percentage.
const PERCENTAGES: [&str; 4] = [
    "call_count",
    "total_time",
    "total_cputime",
    "acc_id_util_pct",
];

/// How much of each limit is used, in percent, by the worst of Meta's headers; and for how long it asks to wait.
pub(crate) fn figures(headers: &HeaderMap) -> Vec<(&'static str, u64)> {
    let mut uses: Vec<Value> = json(headers, "x-app-usage")
        .chain(json(headers, "x-ad-account-usage"))
        .collect();
    for usage in json(headers, "x-business-use-case-usage") {
        let each = usage.as_object().into_iter().flat_map(|it| it.values());
        uses.extend(each.filter_map(Value::as_array).flatten().cloned());
    }
    let percentage = |name: &'static str| {
        let values = uses.iter().filter_map(|usage| number(usage.get(name)?));
        let most = values.filter(|it| it.is_finite()).reduce(f64::max)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is within the bounds"
        )]
        let whole = most.clamp(0.0, 1e9).ceil() as u64;
        Some((name, whole))
    };
    let mut figures: Vec<_> = PERCENTAGES.into_iter().filter_map(percentage).collect();
    let date = headers.get(DATE).and_then(|value| value.to_str().ok());
    let sent = date.and_then(|text| httpdate::parse_http_date(text).ok());
    let sent = sent.and_then(|sent| sent.duration_since(SystemTime::UNIX_EPOCH).ok());
    let now = sent.and_then(|sent| i64::try_from(sent.as_secs()).ok());
    if let Some(pause) = throttle(headers, now.unwrap_or(0)) {
        figures.push(("wait_secs", pause.as_secs()));
    }
    figures
}

/// The values of a header that are JSON.
fn json<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = Value> + use<'h> {
    let texts = headers.get_all(name).into_iter();
    texts.filter_map(|value| serde_json::from_slice::<Value>(value.as_bytes()).ok())
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// A count of units of so many seconds, as a number or as text.
fn of_value(value: &Value, unit: f64) -> Option<Duration> {
    match value {
        Value::Number(number) => Some(pause(number.as_f64().filter(|n| *n >= 0.0)? * unit)),
        Value::String(text) => of_text(text.trim(), unit),
        _ => None,
    }
}

/// A count of units of so many seconds: digits, and perhaps a fraction.
fn of_text(text: &str, unit: f64) -> Option<Duration> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = text.parse().ok().filter(|_| is_number)?;
    Some(pause(number * unit))
}

/// Seconds, rounded up.
fn pause(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs.ceil()).unwrap_or(MAX_THROTTLE)
}

/// The time until a date of HTTP. The answer's own date is the better start, because both come from one clock.
fn until(text: &str, headers: &HeaderMap, now: i64) -> Option<Duration> {
    let date = |text| httpdate::parse_http_date(text).ok();
    let end = date(text)?;
    let sent = headers.get(DATE).and_then(|value| value.to_str().ok());
    let now = u64::try_from(now).unwrap_or(0);
    let start = sent
        .and_then(date)
        .or_else(|| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(now)))?;
    Some(end.duration_since(start).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    /// Thu, 26 Nov 2026 12:20:31 GMT.
    const NOW: i64 = 1_795_695_631;

    fn asked(headers: &[(&str, &str)]) -> Option<u64> {
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| {
            map.append(name, value);
        });
        throttle(&map, NOW).map(|pause| pause.as_secs())
    }

    #[test]
    fn the_worst_of_each_limit_is_a_figure() {
        let mut map = HeaderMap::new();
        let mut add = |name: &'static str, value: &'static str| {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        };
        add("x-app-usage", r#"{"call_count":12,"total_time":"3.2"}"#);
        let business = r#"{"1":[{"call_count":40,"estimated_time_to_regain_access":2}],"2":[{"call_count":7}]}"#;
        add("x-business-use-case-usage", business);
        add("x-ad-account-usage", r#"{"acc_id_util_pct":-1e300}"#);
        let expected = [
            ("call_count", 40),
            ("total_time", 4),
            ("acc_id_util_pct", 0),
            ("wait_secs", 120),
        ];
        assert_eq!(figures(&map), expected);
        assert_eq!(figures(&HeaderMap::new()), []);
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        for (written, expected) in [
            ("8", Some(8)),
            (" 8 ", Some(8)),
            ("1.5", Some(2)),
            ("0.001", Some(1)),
            ("2.0", Some(2)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("12345678901234567890", Some(3600)),
            ("1000000000000000000000000000000", Some(3600)),
            ("Thu, 26 Nov 2026 12:21:31 GMT", Some(60)),
            ("Thursday, 26-Nov-26 12:21:31 GMT", Some(60)),
            ("Thu Nov 26 12:21:31 2026", Some(60)),
            ("Tue, 31 Dec 2999 23:59:59 GMT", Some(3600)),
            ("Thu, 26 Nov 2026 12:20:31 GMT", None),
            ("Thu, 26 Nov 2020 12:20:31 GMT", None),
            ("0", None),
            ("0.0", None),
            ("-1", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("inf", None),
            ("NaN", None),
            ("1e3", None),
            ("soon", None),
        ] {
            assert_eq!(asked(&[("retry-after", written)]), expected, "{written}");
        }
    }

    #[test]
    fn a_date_counts_from_the_date_of_the_answer() {
        let ahead = ("retry-after", "Thu, 26 Nov 2026 13:21:01 GMT");
        let date = ("date", "Thu, 26 Nov 2026 13:20:31 GMT");
        assert_eq!(asked(&[ahead, date]), Some(30));
        assert_eq!(asked(&[ahead, ("date", "today")]), Some(3600));
        let past = ("retry-after", "Thu, 26 Nov 2026 13:20:30 GMT");
        assert_eq!(asked(&[past, date]), None);
    }

    #[test]
    fn the_longest_of_several_pauses_counts() {
        assert_eq!(
            asked(&[("retry-after", "5"), ("retry-after", "7")]),
            Some(7)
        );
        let usage = r#"{"reset_time_duration": 90}"#;
        assert_eq!(
            asked(&[("retry-after", "5"), ("x-ad-account-usage", usage)]),
            Some(90)
        );
        assert_eq!(
            asked(&[("retry-after", "soon"), ("x-ad-account-usage", usage)]),
            Some(90)
        );
    }

    #[test]
    fn the_times_of_the_usage_headers_are_numbers_or_text() {
        for (written, minutes, seconds) in [
            ("2", Some(120), Some(2)),
            (r#""2""#, Some(120), Some(2)),
            (r#"" 2 ""#, Some(120), Some(2)),
            ("1.5", Some(90), Some(2)),
            (r#""1.5""#, Some(90), Some(2)),
            ("1e300", Some(3600), Some(3600)),
            ("18446744073709551615", Some(3600), Some(3600)),
            (r#""99999999999999999999999""#, Some(3600), Some(3600)),
            ("0", None, None),
            (r#""0""#, None, None),
            ("-1", None, None),
            ("null", None, None),
            ("[2]", None, None),
            (r#""x""#, None, None),
        ] {
            let business =
                format!(r#"{{"1": [{{"estimated_time_to_regain_access": {written}}}]}}"#);
            assert_eq!(
                asked(&[("x-business-use-case-usage", &business)]),
                minutes,
                "{written}"
            );
            let account = format!(r#"{{"reset_time_duration": {written}}}"#);
            assert_eq!(
                asked(&[("x-ad-account-usage", &account)]),
                seconds,
                "{written}"
            );
        }
    }

    #[test]
    fn a_limit_is_reached_where_any_percentage_is_a_hundred() {
        for (name, value, expected) in [
            (
                "x-app-usage",
                r#"{"call_count":100,"total_time":25,"total_cputime":25}"#,
                true,
            ),
            (
                "x-app-usage",
                r#"{"call_count":99,"total_time":99.9,"total_cputime":25}"#,
                false,
            ),
            ("x-app-usage", r#"{"call_count":"100"}"#, true),
            ("x-app-usage", r#"{"call_volume":100}"#, false),
            ("x-app-usage", "100", false),
            (
                "x-ad-account-usage",
                r#"{"acc_id_util_pct":100.5,"reset_time_duration":100}"#,
                true,
            ),
            (
                "x-ad-account-usage",
                r#"{"acc_id_util_pct":9.67,"reset_time_duration":100}"#,
                false,
            ),
            (
                "x-business-use-case-usage",
                r#"{"1":[{"call_count":5},{"total_cputime":120}]}"#,
                true,
            ),
            (
                "x-business-use-case-usage",
                r#"{"1":[{"estimated_time_to_regain_access":100}]}"#,
                false,
            ),
        ] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )]);
            assert_eq!(is_used_up(&headers), expected, "{name}: {value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_count_of_seconds_is_rounded_up_and_bounded(tenths in 0_u64..100_000) {
            let text = format!("{}.{}", tenths / 10, tenths % 10);
            let expected = Some(tenths.div_ceil(10).min(3600)).filter(|secs| *secs > 0);
            proptest::prop_assert_eq!(asked(&[("retry-after", &text)]), expected);
        }

        #[test]
        fn no_header_makes_the_reader_panic(text in "[ -~]{0,40}") {
            let pause = asked(&[("retry-after", &text), ("x-ad-account-usage", &text), ("date", &text)]);
            proptest::prop_assert!(pause.is_none_or(|secs| (1..=3600).contains(&secs)));
        }
    }
}
