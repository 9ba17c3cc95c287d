//! What a replay would do, and what it has left, as tables.
//!
//! Invariant: nothing that was read from a file can move the terminal's cursor.

use super::grid::section;
use crate::replay::{Left, Survey};
use crate::wording::thousands;

/// One line for what would be sent, and one for each reason to leave a letter as it is.
pub fn replay_survey(text: &mut String, sink: &str, survey: &Survey) {
    let sent = match survey.changed {
        0 => String::new(),
        changed => format!("{} of them as the options are now", thousands(changed)),
    };
    let mut rows = vec![("would be sent".to_owned(), survey.would_send, sent)];
    if survey.would_filter > 0 {
        let what = "not meant for the destination any more; the letters would go";
        rows.push((
            "would be filtered".to_owned(),
            survey.would_filter,
            what.to_owned(),
        ));
    }
    rows.extend(left(&survey.left));
    let title = format!("{sink}: a replay now, which sends nothing yet");
    table(text, &title, rows);
}

/// One line for each reason to leave a letter as it is; nothing without such letters.
pub fn letters_left(text: &mut String, sink: &str, of: &Left) {
    let rows = left(of);
    if !rows.is_empty() {
        let letters = of.total();
        let stay = if letters == 1 {
            "1 letter stays as it was".to_owned()
        } else {
            format!("{} letters stay as they were", thousands(letters))
        };
        table(text, &format!("{sink}: {stay}"), rows);
    }
}

fn left(left: &Left) -> Vec<(String, u64, String)> {
    let unfit = left.unfit.iter();
    let unfit = unfit.map(|(code, unfit)| {
        let label = format!("unfit: {code}");
        (label, unfit.letters, unfit.detail.clone())
    });
    let others = [
        ("left out by a filter", left.filtered, ""),
        (
            "left out by `--limit`",
            left.beyond_limit,
            "as many as were wanted come before them",
        ),
        (
            "no payload",
            left.without_payload,
            "such an event can only be sent again by its source",
        ),
        (
            "no sealed copy",
            left.without_copy,
            "only the copy of an event can be mapped anew, and it is kept for a while only",
        ),
        (
            "copy not opened",
            left.not_opened,
            "sealed for another key, or damaged",
        ),
        (
            "another account",
            left.other_account,
            "made for another account than the sink has now",
        ),
    ];
    let others = others
        .into_iter()
        .map(|(label, letters, detail)| (label.to_owned(), letters, detail.to_owned()));
    unfit
        .chain(others)
        .filter(|(_, letters, _)| *letters > 0)
        .collect()
}

fn table(text: &mut String, title: &str, rows: Vec<(String, u64, String)>) {
    let counts: Vec<_> = rows.iter().map(|(_, count, _)| thousands(*count)).collect();
    let width = counts.iter().map(String::len).max().unwrap_or(0);
    let lines = rows.into_iter().zip(counts);
    let lines = lines.map(|((label, _, detail), count)| {
        let detail = pipeline_core::shown(std::path::Path::new(&detail)).to_string();
        [label, format!("{count:>width$}"), detail]
    });
    section(text, title, lines.collect());
}
