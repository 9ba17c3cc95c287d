//! What is wrong with a text that is not TOML.

use super::scan;
use super::{Format, Mistake, line_at, start_of_line};

const VALUE: &str = "text in quotes, a number, `true`, `false`, a list or a table";

/// The mistake for which a text was refused.
pub(super) fn mistake(text: &str, error: &::toml::de::Error, known: &[String]) -> Mistake {
    let at = text.floor_char_boundary(error.span().map_or(0, |span| span.start));
    let message = error.message();
    let says = |part: &str| message.contains(part);
    let line = text[..at].matches('\n').count() + 1;
    let start = start_of_line(text, line);
    let content = line_at(text, start);
    // The end of the line belongs to it: a quote that it does not close is open there.
    let open = scan::open(
        Format::Toml,
        &text[..text.ceil_char_boundary(start + content.len() + 1)],
    );
    if let Some(quote) = open.quote {
        return Mistake::open_quote(quote);
    }
    if says("duplicate key") {
        return Mistake::twice(text, at, known);
    }
    if says("cannot extend value") {
        let problem = "something that has a value already is used as a table";
        return Mistake::new(at, problem, "a name of its own");
    }
    if says("escape") {
        let problem = "a `\\` in double quotes begins no known escape";
        return Mistake::new(at, problem, "single quotes, or `\\\\` for one backslash");
    }
    let before = scan::open(Format::Toml, &text[..at]);
    if let Some(bracket) = before.brackets.last().copied() {
        if !scan::is_closed(Format::Toml, text, bracket) {
            return Mistake::open_bracket(text, bracket);
        }
        if let Some(mistake) = within_brackets(text, at, message) {
            return mistake;
        }
    }
    if says("unclosed table") || says("unclosed array table") {
        return Mistake::new(at, "the header of a table has no `]`", "`[name]`");
    }
    of_line(at, start, content, message)
}

/// A mistake between brackets that are closed.
fn within_brackets(text: &str, at: usize, message: &str) -> Option<Mistake> {
    if message.contains("missing comma") {
        return Some(Mistake::no_comma(text, at));
    }
    if message.contains("missing assignment") {
        return Some(Mistake::new(
            at,
            "a key is not followed by `=`",
            "`{ key = value }`",
        ));
    }
    // A word that continues after a space: two values.
    let word = &text[at..];
    let word = word[..word.find([',', ']', '}', '\n']).unwrap_or(word.len())].trim_end();
    let space = word
        .find(' ')
        .filter(|_| message.contains("must be quoted"))?;
    Some(Mistake::no_comma(text, at + space))
}

/// A mistake in one line.
fn of_line(at: usize, start: usize, content: &str, message: &str) -> Mistake {
    let first = start + content.len() - content.trim_start().len();
    let content = content.trim();
    let equals = content.find('=');
    let colon = content.find(':');
    if content.starts_with("//") || content.starts_with("/*") {
        return Mistake::new(first, "a comment begins with `/`", "`#` before a comment");
    }
    if let Some(colon) = colon.filter(|colon| equals.is_none_or(|equals| *colon < equals)) {
        return Mistake::new(first + colon, "a key is followed by `:`", "`key = value`");
    }
    let Some(equals) = equals else {
        return Mistake::new(
            first,
            "a line has no `=`",
            "`key = value`, or `[name]` of a table",
        );
    };
    let value = content[equals + 1..].trim_start();
    let begin = first + content.len() - value.len();
    let word = &value[..value.find([' ', '#', ',']).unwrap_or(value.len())];
    let is = |words: &[&str]| words.iter().any(|it| word.eq_ignore_ascii_case(it));
    if word.is_empty() {
        return Mistake::new(begin, "the key has no value", VALUE);
    }
    if is(&["null", "nil", "none", "~"]) {
        let problem = "TOML has no `null`";
        return Mistake::new(
            begin,
            problem,
            "the option left out, or a YAML or JSON file",
        );
    }
    if is(&["true", "false"]) && message.contains("boolean") {
        return Mistake::new(
            begin,
            "`true` and `false` are in lower case",
            "`true` or `false`",
        );
    }
    if message.contains("leading zero") {
        let problem = "a number begins with a zero";
        return Mistake::new(at, problem, "quotes around digits that are no amount");
    }
    if message.contains("unexpected key or value") && value.starts_with(['"', '\'', '[', '{']) {
        return Mistake::new(at, "something follows the value", "a new line");
    }
    if !value.starts_with(['"', '\'', '[', '{']) && !word.starts_with(|c: char| c.is_ascii_digit())
    {
        return Mistake::new(begin, "a text has no quotes", VALUE);
    }
    if message.contains("unexpected key or value") {
        let rest = &value[word.len()..];
        let at = begin + word.len() + rest.len() - rest.trim_start().len();
        return Mistake::new(at, "something follows the value", "a new line");
    }
    Mistake::new(at, "it cannot be read from here on", VALUE)
}
