//! What is wrong with a text that is not YAML.

use super::scan::{self, Open};
use super::{Format, Mistake, first_of_line, line_at, start_of_line};
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Error;
use std::fmt;

const QUOTES: &str = "quotes around the whole text";
const INDENTATION: &str = "the same indentation as the keys that belong together";

/// Reads a text. A value without quotes is a number or an answer only in the forms that JSON has; what YAML 1.1 takes for one besides
/// (`0042`, `1_0`, `0o17`, `no`), and a number with more digits than one can hold, is text, spelled as it is written.
pub(super) fn read(text: &str) -> Result<Value, Error> {
    let mut value = serde_saphyr::from_str_with_options(text, options())?;
    if has_numbers(&value) {
        serde_saphyr::with_deserializer_from_str_with_options(text, options(), |reader| {
            Spelling(&mut value).deserialize(reader)
        })?;
    }
    Ok(value)
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    }
}

fn has_numbers(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::Array(items) => items.iter().any(has_numbers),
        Value::Object(map) => map.values().any(has_numbers),
        _ => false,
    }
}

/// A second look at a text, which gives those numbers of the value their spelling back that are not spelled as JSON spells them.
struct Spelling<'v>(&'v mut Value);

impl<'de> DeserializeSeed<'de> for Spelling<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        match self.0 {
            Value::Number(number) => {
                let spelling = String::deserialize(reader)?;
                if !is_exact(&spelling, number) {
                    *self.0 = Value::String(spelling);
                }
                Ok(())
            }
            Value::Array(_) => reader.deserialize_seq(self),
            Value::Object(_) => reader.deserialize_map(self),
            _ => IgnoredAny::deserialize(reader).map(|_| ()),
        }
    }
}

impl<'de> Visitor<'de> for Spelling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was there at the first look")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for item in self.0.as_array_mut().into_iter().flatten() {
            list.next_element_seed(Spelling(item))?;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.0.get_mut(&key) {
                Some(value) => map.next_value_seed(Spelling(value))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Whether a number is spelled as in JSON, and has no more digits than a number holds.
fn is_exact(spelling: &str, number: &Number) -> bool {
    let is_whole = spelling
        .trim_start_matches('-')
        .bytes()
        .all(|b| b.is_ascii_digit());
    serde_json::from_str::<Number>(spelling).is_ok() && !(is_whole && number.is_f64())
}

/// The mistake for which a text was refused.
pub(super) fn mistake(text: &str, error: &Error, known: &[String]) -> Mistake {
    let error = error.without_snippet();
    let at = error.location().map_or(0, |location| {
        let line = usize::try_from(location.line()).unwrap_or(1);
        let column = usize::try_from(location.column()).unwrap_or(1);
        byte_of(text, line, column)
    });
    let is_of_keys = matches!(error, Error::DuplicateMappingKey { .. });
    if let Some(tab) = tab_in_indentation(text, at).filter(|_| !is_of_keys) {
        return Mistake::new(tab, "a tab cannot indent a line", "spaces");
    }
    match error {
        Error::DuplicateMappingKey { .. } => Mistake::twice(text, at, known),
        Error::MultipleDocuments { .. } => Mistake::new(
            at,
            "a second document begins",
            "one document, without another `---`",
        ),
        Error::UnknownAnchor { .. } => {
            let problem = "`*` refers to an anchor that does not exist";
            Mistake::new(
                at,
                problem,
                "an anchor `&name` before it, or quotes around the text",
            )
        }
        Error::ExternalMessage { msg, .. } => of_parser(text, at, msg),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            Mistake::new(at, "it is nested or repeated too often", "a simpler file")
        }
        _ => of_structure(text, at),
    }
}

/// A mistake in the structure of values that were parsed.
fn of_structure(text: &str, at: usize) -> Mistake {
    match text[at..].chars().next() {
        Some('{' | '[') => {
            let problem = "a list or a table is where a key or a text has to be";
            Mistake::new(at, problem, "quotes around text that begins with a bracket")
        }
        Some('0'..='9' | '.' | '-' | '+') => {
            let problem = "a number is infinite or too large";
            Mistake::new(at, problem, "quotes around what is no number")
        }
        _ => Mistake::new(
            at,
            "it cannot be read from here on",
            "keys, lists and texts",
        ),
    }
}

/// What the parser's message says. A test has each of them.
fn of_parser(text: &str, at: usize, message: &str) -> Mistake {
    let open = scan::open(Format::Yaml, &text[..at]);
    let says = |part: &str| message.contains(part);
    let line = text[..at].matches('\n').count() + 1;
    if says("unclosed quote") {
        return Mistake::open_quote(at);
    }
    if says("trailing content after") {
        // A text that began on an earlier line ended here, at a quote that was meant to begin another.
        let earlier = scan::open(Format::Yaml, &text[..start_of_line(text, line)]);
        return earlier.quote.map_or_else(
            || Mistake::new(at, "something follows the closing quote", QUOTES),
            Mistake::open_quote,
        );
    }
    if says("escape") || says("hexadecimal") || says("surrogate") {
        let problem = "a `\\` in double quotes begins no known escape";
        return Mistake::new(at, problem, "single quotes, or `\\\\` for one backslash");
    }
    if says("mismatched bracket") {
        return Mistake::new(
            at,
            "a bracket is closed by one of the other kind",
            "`[ ]` or `{ }`",
        );
    }
    if says("misplaced bracket") {
        return Mistake::new(at, "a bracket is closed that was not opened", QUOTES);
    }
    if let Some(mistake) = of_brackets(text, at, line, &open, message) {
        return mistake;
    }
    if says("unexpected character") {
        let problem = match text[at..].chars().next() {
            Some('`') => "a text begins with a backtick".to_owned(),
            Some(c) if c.is_ascii_punctuation() => format!("a text begins with `{c}`"),
            _ => "there is a character that YAML does not allow".to_owned(),
        };
        return Mistake::new(at, problem, QUOTES);
    }
    of_lines(text, at, line, message)
}

/// A bracket that is not closed, or a comma that is missing inside it.
fn of_brackets(text: &str, at: usize, line: usize, open: &Open, message: &str) -> Option<Mistake> {
    let bracket = *open.brackets.last()?;
    let of_flow = [
        "flow",
        "illegal placement",
        "unclosed bracket",
        "mapping values",
        "',' or",
    ];
    if !of_flow.iter().any(|part| message.contains(part)) {
        return None;
    }
    if scan::is_closed(Format::Yaml, text, bracket) {
        // Where a key without a comma before it begins on this line, the comma belongs to the line before.
        let first = first_of_line(text, line);
        let word = text[..at]
            .rfind(char::is_whitespace)
            .map_or(at, |space| space + 1);
        let at = if first < at && first > bracket {
            first
        } else {
            word.max(bracket)
        };
        return Some(Mistake::no_comma(text, at));
    }
    Some(Mistake::open_bracket(text, bracket))
}

/// A line that does not fit the lines before it.
fn of_lines(text: &str, at: usize, line: usize, message: &str) -> Mistake {
    let first = first_of_line(text, line);
    if message.contains("did not find expected '-'") {
        let problem = "a key is among the entries of a list";
        return Mistake::new(
            first,
            problem,
            "`- ` before each entry, or another indentation",
        );
    }
    if message.contains("did not find expected key") || message.contains("indent") {
        let problem = "the line is not indented like those beside it";
        return Mistake::new(first, problem, INDENTATION);
    }
    if message.contains("simple key expected") {
        return Mistake::new(first, "a line has no `: `", "`key: value`");
    }
    if !message.contains("mapping values") {
        return Mistake::new(at, "it cannot be read from here on", "YAML");
    }
    if text[first..at].contains(": ") {
        let problem = "a text without quotes holds a second `: `";
        return Mistake::new(at, problem, QUOTES);
    }
    let Some((start, before)) = line_before(text, start_of_line(text, line)) else {
        return Mistake::new(first, "a key is where none can be", "`key: value`");
    };
    let content = before.trim();
    if !content.contains(": ") && content.contains(':') && !content.ends_with(':') {
        let colon = start + before.find(':').unwrap_or(0);
        return Mistake::new(colon, "no space follows the colon", "`key: value`");
    }
    let problem = "the line is indented deeper than the one before, which has a value already";
    Mistake::new(first, problem, INDENTATION)
}

/// The last line before a byte that has something other than a comment, and where it begins.
fn line_before(text: &str, mut end: usize) -> Option<(usize, &str)> {
    while end > 0 {
        let start = text[..end - 1].rfind('\n').map_or(0, |newline| newline + 1);
        let content = text[start..end].trim_start();
        if !content.is_empty() && !content.starts_with('#') {
            return Some((start, &text[start..end]));
        }
        end = start;
    }
    None
}

/// The first tab in the indentation of the line of a mistake, or of the line after it.
fn tab_in_indentation(text: &str, at: usize) -> Option<usize> {
    let line = text[..at].matches('\n').count() + 1;
    (line..=line + 1).find_map(|line| {
        let start = start_of_line(text, line);
        let content = line_at(text, start);
        let indentation = &content[..content.len() - content.trim_start().len()];
        indentation.find('\t').map(|tab| start + tab)
    })
}

/// The byte at a line and a column, both from 1.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let start = start_of_line(text, line);
    let rest = &text[start..];
    let mut indices = rest.char_indices();
    start
        + indices
            .nth(column.saturating_sub(1))
            .map_or(rest.len(), |(at, _)| at)
}
