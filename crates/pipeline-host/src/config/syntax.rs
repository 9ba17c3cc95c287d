//! Where and how the text of a pipeline file is broken, for the person who wrote it.
//!
//! In: the text, and what its parser said. Out: a [`SyntaxFault`] with the place that has to be changed, the kind of mistake, and
//! two lines of the file.
//!
//! Invariant: nothing of the file is shown but names of options; any other word may be a secret in the wrong place. The parsers'
//! own messages are therefore read, and never shown.

mod excerpt;
mod json;
mod scan;
mod toml;
mod yaml;

use serde_json::Value;
use std::fmt;

/// Where and how the text of a file is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyntaxFault {
    /// The format that the file's ending promises.
    pub format: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// The character of the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
    /// What was expected instead.
    pub expected: String,
    /// Two lines of the file, with only structure and names of options in them.
    pub excerpt: String,
}

impl fmt::Display for SyntaxFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        let (format, problem, expected) = (self.format, &self.problem, &self.expected);
        write!(
            f,
            "is not valid {format}: line {line}, column {column}: {problem}; expected {expected}\n{}",
            self.excerpt
        )
    }
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Toml,
    Json,
}

/// A mistake, and the byte of the text at which it is.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    at: usize,
    problem: String,
    expected: &'static str,
}

impl Mistake {
    fn new(at: usize, problem: impl Into<String>, expected: &'static str) -> Self {
        Self {
            at,
            problem: problem.into(),
            expected,
        }
    }

    /// A key that is given twice; it begins at `at`.
    fn twice(text: &str, at: usize, known: &[String]) -> Self {
        let rest = text.get(at..).unwrap_or_default();
        let rest = rest.trim_start_matches(['"', '\'']);
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        let key = &rest[..end.unwrap_or(rest.len())];
        let problem = if known.iter().any(|name| name == key) {
            format!("the key `{key}` is given twice")
        } else {
            "a key is given twice".to_owned()
        };
        Self::new(at, problem, "each key once")
    }

    /// A text without an end.
    fn open_quote(at: usize) -> Self {
        let problem = "the text that begins here has no closing quote";
        Self::new(at, problem, "a quote at its end")
    }

    /// A bracket without an end.
    fn open_bracket(text: &str, at: usize) -> Self {
        let (problem, expected) = match text[at..].chars().next() {
            Some('[') => ("the `[` here has no `]`", "`]` at the end of the list"),
            _ => ("the `{` here has no `}`", "`}` at the end of the table"),
        };
        Self::new(at, problem, expected)
    }

    /// A comma that is missing behind what ends before `at`.
    fn no_comma(text: &str, at: usize) -> Self {
        let end = text[..at].trim_end().len();
        Self::new(end, "a comma is missing", "`,` between two entries")
    }
}

impl Format {
    /// Reads a text of this format. `known` are the names of options, which may be shown.
    pub(super) fn read(
        self,
        text: &str,
        known: impl FnOnce() -> Vec<String>,
    ) -> Result<Value, Box<SyntaxFault>> {
        let (format, (error, known)) = match self {
            Self::Yaml => match yaml::read(text) {
                Ok(value) => return Ok(value),
                Err(error) => (
                    "YAML",
                    with(known(), |known| yaml::mistake(text, &error, known)),
                ),
            },
            Self::Toml => match ::toml::from_str(text) {
                Ok(value) => return Ok(value),
                Err(error) => (
                    "TOML",
                    with(known(), |known| toml::mistake(text, &error, known)),
                ),
            },
            Self::Json => match pipeline_core::options::from_json(text) {
                Ok(value) => return Ok(value),
                Err(error) => (
                    "JSON",
                    with(known(), |known| json::mistake(text, &error, known)),
                ),
            },
        };
        let (line, column) = place_of(text, error.at);
        Err(Box::new(SyntaxFault {
            format,
            line,
            column,
            problem: error.problem,
            expected: error.expected.to_owned(),
            excerpt: excerpt::excerpt(text, line, column, &known),
        }))
    }
}

fn with<R>(known: Vec<String>, read: impl FnOnce(&[String]) -> R) -> (R, Vec<String>) {
    (read(&known), known)
}

/// Line and column of a byte, both from 1; columns count characters.
fn place_of(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[start..].chars().count() + 1)
}

/// The byte at which a line begins; lines count from 1.
fn start_of_line(text: &str, line: usize) -> usize {
    let mut newlines = text.match_indices('\n').map(|(at, _)| at + 1);
    match line {
        0 | 1 => 0,
        _ => newlines.nth(line - 2).unwrap_or(text.len()),
    }
}

/// The line that begins at a byte, without its end.
fn line_at(text: &str, start: usize) -> &str {
    text[start..].lines().next().unwrap_or_default()
}

/// The byte of a line's first character that is not white space.
fn first_of_line(text: &str, line: usize) -> usize {
    let start = start_of_line(text, line);
    let content = line_at(text, start);
    start + content.len() - content.trim_start().len()
}

#[cfg(test)]
mod tests;
