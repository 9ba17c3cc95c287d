//! Two lines of a broken file as they can be shown: structure and names of options, nothing else.
//!
//! Invariant: every word that is shown is the name of an option, and is where a key would be.

use super::{line_at, start_of_line};
use std::fmt::Write as _;

/// Characters of a line that are looked at.
const MAX_LINE_CHARS: usize = 160;
/// How many of them are before the mistake, where the line is longer.
const CHARS_BEFORE: usize = 100;
/// What is put in the place of a word.
const MASK: char = '…';

/// The line of the mistake and one beside it, with their numbers.
pub(super) fn excerpt(text: &str, line: usize, column: usize, known: &[String]) -> String {
    let lines = text.lines().count().max(1);
    let last = line.clamp(1, lines).max(2.min(lines));
    let first = last.saturating_sub(1).max(1);
    let mut shown = String::new();
    for number in first..=last {
        let content = line_at(text, start_of_line(text, number));
        let column = if number == line { column } else { 1 };
        // Writing to a string cannot fail.
        let _ = writeln!(
            shown,
            "{number:>6} | {}",
            masked(window(content, column), known)
        );
    }
    shown.truncate(shown.trim_end_matches('\n').len());
    shown
}

/// The part of a line around a column.
fn window(line: &str, column: usize) -> &str {
    if line.chars().count() <= MAX_LINE_CHARS {
        return line;
    }
    let byte_of = |character: usize| {
        let mut indices = line.char_indices();
        indices.nth(character).map_or(line.len(), |(at, _)| at)
    };
    let first = column.saturating_sub(CHARS_BEFORE);
    &line[byte_of(first)..byte_of(first + MAX_LINE_CHARS)]
}

/// A line with every word masked but for names of options.
fn masked(line: &str, known: &[String]) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let (end, word) = match c {
            '\t' => {
                out.push('⇥');
                rest = &rest[1..];
                continue;
            }
            '#' => {
                out.push_str("# ");
                mask(&mut out);
                break;
            }
            ' ' | '{' | '}' | '[' | ']' | ',' | ':' | '=' => {
                out.push(c);
                rest = &rest[1..];
                continue;
            }
            '-' if rest[1..].starts_with(' ') => {
                out.push(c);
                rest = &rest[1..];
                continue;
            }
            '"' | '\'' => {
                let end = end_of_quoted(rest, c);
                (end, rest[..end].trim_matches(c))
            }
            _ => {
                let is_end = |c: char| c.is_whitespace() || "{}[],:=".contains(c);
                let end = rest.find(is_end).unwrap_or(rest.len());
                (end.max(c.len_utf8()), &rest[..end])
            }
        };
        let is_key = rest[end..].trim_start().starts_with([':', '=']);
        if is_key && known.iter().any(|name| name == word) {
            out.push_str(&rest[..end]);
        } else {
            mask(&mut out);
        }
        rest = &rest[end..];
    }
    out
}

/// Adds the mask, unless there is one already but for spaces.
fn mask(out: &mut String) {
    let kept = out.trim_end().len();
    if out[..kept].ends_with(MASK) {
        out.truncate(kept);
    } else {
        out.push(MASK);
    }
}

/// Where the quoted text at the start of `rest` ends; at the end of the line if it has no end.
fn end_of_quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known() -> Vec<String> {
        ["type", "preset", "access_token"].map(str::to_owned).into()
    }

    #[test]
    fn structure_and_names_of_options_are_shown_and_nothing_else() {
        for (line, expected) in [
            (
                "    access_token: \"EAAB x\" # mine",
                "    access_token: … # …",
            ),
            ("\tpreset: retail and more", "⇥preset: …"),
            (
                "  - { type: file, path: a.ndjson }",
                "  - { type: …, …: … }",
            ),
            (
                "{\"type\": \"x\", \"secret\": [1, 2]}",
                "{\"type\": …, …: […, …]}",
            ),
            ("access_token = \"EAAB", "access_token = …"),
            ("EAAB: type", "…: …"),
            ("preset retail", "…"),
            ("a: 'it''s preset: x'", "…: …"),
        ] {
            assert_eq!(masked(line, &known()), expected, "{line}");
        }
    }

    #[test]
    fn two_lines_are_shown_whatever_the_line() {
        let text = "type: a\npreset: b\n";
        let both = "     1 | type: …\n     2 | preset: …";
        for line in [1, 2, 3, 99] {
            assert_eq!(excerpt(text, line, 1, &known()), both);
        }
        assert_eq!(excerpt("type: a", 1, 1, &known()), "     1 | type: …");
        assert_eq!(excerpt("", 1, 1, &known()), "     1 | ");
        let long = format!("{}type: x{}", "é ".repeat(500), " y".repeat(500));
        let shown = excerpt(&long, 1, 1003, &known());
        assert!(
            shown.contains("type: …") && shown.chars().count() < 200,
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn no_word_is_shown_that_is_not_an_option(line in "[a-z_\"'{}\\[\\],:= #\\\\\t-]{0,60}") {
            let shown = masked(&line, &known());
            let words = shown.split(|c: char| !c.is_alphanumeric() && c != '_');
            for word in words.filter(|word| !word.is_empty()) {
                prop_assert!(known().iter().any(|name| name == word), "{word} of {line}");
            }
        }
    }
}
