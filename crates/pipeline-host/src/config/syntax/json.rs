//! What is wrong with a text that is not JSON.

use super::scan;
use super::{Format, Mistake, start_of_line};
use pipeline_core::options::DUPLICATE_KEY;

const VALUE: &str = "text in double quotes, a number, `true`, `false`, `null`, a list or a table";

/// The mistake for which a text was refused.
pub(super) fn mistake(text: &str, error: &serde_json::Error, known: &[String]) -> Mistake {
    // Columns count bytes; 0 is the end of the line before.
    let at = start_of_line(text, error.line()) + error.column();
    let at = text.floor_char_boundary(at.saturating_sub(1));
    let message = error.to_string();
    let says = |part: &str| message.starts_with(part);
    if says(DUPLICATE_KEY) {
        let before = &text[..at];
        let quote = before.rfind('"').unwrap_or(at);
        return Mistake::twice(text, quote, known);
    }
    if text.trim().is_empty() {
        return Mistake::new(0, "the file is empty", "a table of options");
    }
    let open = scan::open(Format::Json, &text[..text.ceil_char_boundary(at + 1)]);
    if says("control character") || says("EOF while parsing a string") {
        return match open.quote {
            Some(_) if text[at..].starts_with('\t') => {
                Mistake::new(at, "a tab is in a text", "`\\t` for a tab")
            }
            Some(quote) => Mistake::open_quote(quote),
            None => Mistake::new(
                at,
                "a text holds a control character",
                "`\\n`, `\\t` or `\\u0000`",
            ),
        };
    }
    if says("invalid escape") || says("unexpected end of hex") || says("lone leading") {
        let problem = "a `\\` begins no known escape";
        return Mistake::new(at, problem, "`\\\\` for one backslash");
    }
    if says("recursion limit") {
        return Mistake::new(at, "it is nested too deeply", "a simpler file");
    }
    if says("EOF") {
        let bracket = open.brackets.last().copied();
        return bracket.map_or_else(
            || Mistake::new(at, "the value is missing", VALUE),
            |bracket| Mistake::open_bracket(text, bracket),
        );
    }
    by_character(text, at, &message, &open)
}

/// A mistake that the character at its place tells.
fn by_character(text: &str, at: usize, message: &str, open: &scan::Open) -> Mistake {
    let rest = &text[at..];
    let c = rest.chars().next().unwrap_or_default();
    let says = |part: &str| message.starts_with(part);
    if rest.starts_with("//") || rest.starts_with("/*") || c == '#' {
        return Mistake::new(
            at,
            "JSON has no comments",
            "no comment, or a YAML or TOML file",
        );
    }
    if says("trailing comma") || (c == ',' && text[..at].trim_end().ends_with(',')) {
        let comma = text[..at].rfind(',').unwrap_or(at);
        return Mistake::new(
            comma,
            "a comma has no entry behind it",
            "commas between entries only",
        );
    }
    if says("trailing characters") {
        return Mistake::new(at, "something follows the last bracket", "one table");
    }
    if says("expected `,` or") {
        let bracket = open.brackets.last().copied();
        return match (c, bracket) {
            (']' | '}', _) => {
                let problem = "a bracket is closed by one of the other kind";
                Mistake::new(at, problem, "`[ ]` or `{ }`")
            }
            _ => Mistake::no_comma(text, at),
        };
    }
    if says("expected `:`") {
        return Mistake::new(at, "a key is not followed by `:`", "`\"key\": value`");
    }
    if c == '\'' || ['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'].contains(&c) {
        return Mistake::new(at, "a text is in other quotes", "double quotes: `\"`");
    }
    if says("key must be a string") {
        return Mistake::new(at, "a key has no quotes", "double quotes around every key");
    }
    if says("invalid number") || says("number out of range") {
        let problem = "a number is written in a form that JSON does not have";
        return Mistake::new(at, problem, "quotes around digits that are no amount");
    }
    if says("expected ident") || c.is_alphabetic() || c == '$' {
        return Mistake::new(at, "a word has no quotes", VALUE);
    }
    if matches!(c, '}' | ']' | ',') {
        return Mistake::new(at, "the value is missing", VALUE);
    }
    Mistake::new(at, "it cannot be read from here on", VALUE)
}
