//! Versions of the Graph API and the days on which they end, and what to say about the one that is configured.
//!
//! The table is data: `schema/api_versions.json`. A version and a day go in, and a problem in words comes out where there is one.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde::Deserialize;
use std::sync::LazyLock;

/// Days before the end of a version from which on it is told.
const NOTICE_DAYS: i64 = 90;

/// `schema/api_versions.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[expect(dead_code, reason = "for the reader of the file")]
    about: String,
    versions: Vec<Version>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    #[serde(rename = "version")]
    name: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader of the file"))]
    released: String,
    ends: Option<String>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the file is compiled in, and a test reads it"
    )]
    serde_json::from_str(include_str!("../schema/api_versions.json"))
        .expect("schema/api_versions.json is good")
});

/// What is wrong with a version at this time, in milliseconds since the Unix epoch, and what was expected.
pub(crate) fn problem(version: &str, now_ms: i64) -> Option<(String, String)> {
    let versions = &TABLE.versions;
    let newest = versions.last().map_or("", |last| &last.name);
    let expected = format!("a current version; the newest that is known here is `{newest}`");
    let Some(found) = versions.iter().find(|it| it.name == version) else {
        let problem = if number(version) < versions.first().and_then(|first| number(&first.name)) {
            "has ended, so that Meta refuses every request"
        } else {
            "is not a version that is known here; it may not exist"
        };
        return Some((problem.to_owned(), expected));
    };
    let ends: Date = found.ends.as_ref()?.parse().ok()?;
    let today = Timestamp::from_millisecond(now_ms).ok()?;
    let today = TimeZone::UTC.to_datetime(today).date();
    let problem = if today >= ends {
        format!("has ended on {ends}, so that Meta refuses every request")
    } else if today.saturating_add(NOTICE_DAYS.days()) >= ends {
        format!("ends on {ends}; from then on Meta refuses every request")
    } else {
        return None;
    };
    Some((problem, expected))
}

/// The number of a version, to compare: `v25.0`.
fn number(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.strip_prefix('v')?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The versions that a text of Meta's names, such as `v26.0`; none of its other words.
pub(crate) fn named_in(text: &str) -> Vec<String> {
    /// Versions that are repeated.
    const MAX_NAMED: usize = 3;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let words = text
        .split(|c| !is_part(c))
        .map(|word| word.trim_end_matches('.'));
    let versions = words.filter(|word| word.len() <= 8 && number(word).is_some());
    versions.take(MAX_NAMED).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: &str, day: &str) -> Option<String> {
        let midnight = format!("{day}T00:00:00Z").parse::<Timestamp>().unwrap();
        problem(version, midnight.as_millisecond()).map(|(problem, _)| problem)
    }

    #[test]
    fn the_table_is_in_order_and_every_version_ends_after_its_release() {
        let versions = &TABLE.versions;
        assert!(versions.is_sorted_by_key(|it| number(&it.name)));
        for version in versions {
            assert!(number(&version.name).is_some(), "{}", version.name);
            let released: Date = version.released.parse().unwrap();
            let ends = version
                .ends
                .as_ref()
                .map(|ends| ends.parse::<Date>().unwrap());
            assert!(ends.is_none_or(|ends| ends > released));
        }
    }

    #[test]
    fn a_version_is_told_of_ninety_days_before_its_end_and_afterwards() {
        for (version, day, expected) in [
            ("v25.0", "2026-11-26", None),
            ("v25.0", "2028-04-29", None),
            ("v25.0", "2028-04-30", Some("ends on 2028-07-29")),
            ("v21.0", "2026-11-26", Some("ends on 2027-01-21")),
            ("v21.0", "2027-01-20", Some("ends on 2027-01-21")),
            ("v21.0", "2027-01-21", Some("has ended on 2027-01-21")),
            ("v20.0", "2026-11-26", Some("has ended on 2026-09-24")),
            ("v12.0", "2026-11-26", Some("has ended, so")),
            ("v26.0", "2040-01-01", None),
            ("v27.0", "2026-11-26", None),
            (
                "v28.0",
                "2026-11-26",
                Some("is not a version that is known"),
            ),
            (
                "v25.1",
                "2026-11-26",
                Some("is not a version that is known"),
            ),
        ] {
            let found = at(version, day);
            let fits = |found: &str| expected.is_some_and(|words| found.starts_with(words));
            assert_eq!(
                found.is_some(),
                expected.is_some(),
                "{version} {day}: {found:?}"
            );
            assert!(
                found.as_deref().is_none_or(fits),
                "{version} {day}: {found:?}"
            );
        }
    }

    #[test]
    fn of_a_text_only_versions_are_repeated() {
        for (text, expected) in [
            (
                "The call has been auto-upgraded to v26.0 as v25.0 will be deprecated.",
                &["v26.0", "v25.0"][..],
            ),
            (
                "jane@example.com v1 v.0 v99999999.0 x v2.0, 'v3.0' (v4.0) v5.0",
                &["v2.0", "v3.0", "v4.0"],
            ),
            ("", &[]),
        ] {
            assert_eq!(named_in(text), expected, "{text}");
        }
    }
}
