//! The dead letters of a sink as a table: what went wrong, how often, from when until when, and one example.
//!
//! Invariant: nothing that was read from a file can move the terminal's cursor.

use super::grid::{section, separate};
use crate::dead_letter::{GroupKey, Summary};
use crate::wording::thousands;
use jiff::Timestamp;
use std::path::Path;

/// One line a reason, under a title; a sentence without letters.
pub fn dead_letters(
    text: &mut String,
    sink: &str,
    folder: &Path,
    percent_full: u64,
    summary: &Summary,
) {
    if summary.groups.is_empty() {
        separate(text);
        text.push_str(&plain(&format!("{sink}: no dead letters\n")));
        return;
    }
    let counts: Vec<_> = summary
        .groups
        .values()
        .map(|group| thousands(group.letters))
        .collect();
    let width = counts
        .iter()
        .map(String::len)
        .chain(["letters".len()])
        .max();
    let width = width.unwrap_or(0);
    let header = ["reason", "code", "letters", "first", "last", "example"];
    let mut lines = vec![header.map(str::to_owned)];
    for ((key, group), count) in summary.groups.iter().zip(counts) {
        lines.push([
            plain(&key.reason),
            code(key),
            format!("{count:>width$}"),
            time(group.first_ms),
            time(group.last_ms),
            plain(&group.example),
        ]);
    }
    lines[0][2] = format!("{:>width$}", lines[0][2]);
    let noun = if summary.letters == 1 {
        "letter"
    } else {
        "letters"
    };
    let letters = thousands(summary.letters);
    let title = format!(
        "{sink}: {letters} dead {noun} in {}, {percent_full} % full",
        pipeline_core::shown(folder)
    );
    section(text, &plain(&title), lines);
}

/// The destination's own code: `100/2804019`.
fn code(key: &GroupKey) -> String {
    plain(key.destination.as_deref().unwrap_or_default())
}

/// To the second.
fn time(ms: i64) -> String {
    Timestamp::from_second(ms.div_euclid(1_000))
        .unwrap_or_default()
        .to_string()
}

fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::Group;

    #[test]
    fn the_table_reads_like_this() {
        let group = |letters, example: &str| Group {
            letters,
            first_ms: 1_769_860_800_999,
            last_ms: 1_769_864_400_000,
            example: example.to_owned(),
        };
        let key = |reason: &str, destination: Option<&str>| GroupKey {
            reason: reason.to_owned(),
            destination: destination.map(Into::into),
        };
        let summary = Summary {
            groups: [
                (key("expired", None), group(12_345, "too old by now")),
                (
                    key("refused_invalid", Some("100/2804019")),
                    group(1, "a\u{1b}[2Jb"),
                ),
                (key("refused_invalid", Some("105")), group(2, "too many")),
            ]
            .into(),
            letters: 12_348,
            ..Summary::default()
        };
        let mut text = String::new();
        dead_letters(
            &mut text,
            "meta",
            Path::new("data/dead_letters/meta"),
            5,
            &summary,
        );
        dead_letters(
            &mut text,
            "other",
            Path::new("unused"),
            0,
            &Summary::default(),
        );
        let expected = "\
meta: 12,348 dead letters in data/dead_letters/meta, 5 % full
  reason           code         letters  first                 last                  example
  expired                        12,345  2026-01-31T12:00:00Z  2026-01-31T13:00:00Z  too old by now
  refused_invalid  100/2804019        1  2026-01-31T12:00:00Z  2026-01-31T13:00:00Z  a [2Jb
  refused_invalid  105                2  2026-01-31T12:00:00Z  2026-01-31T13:00:00Z  too many

other: no dead letters
";
        assert_eq!(text, expected);
    }
}
