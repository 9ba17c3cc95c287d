//! What is open at the end of a part of a text: a quoted text, a bracket.

use super::Format;

/// What is open at the end of a part of a text, by the byte at which it begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// A quoted text.
    pub(super) quote: Option<usize>,
    /// Brackets, the innermost last.
    pub(super) brackets: Vec<usize>,
}

/// Looks from the start of a text to the end. A text in quotes that must end on its line and does not ends the search: it is
/// what is open.
pub(super) fn open(format: Format, text: &str) -> Open {
    let mut scan = Scan::new(format, text);
    while scan.at < text.len() && scan.open.quote.is_none() {
        scan.step();
    }
    scan.open
}

/// Whether the bracket that opens at a byte is closed anywhere behind it.
pub(super) fn is_closed(format: Format, text: &str, bracket: usize) -> bool {
    let mut scan = Scan::new(format, &text[bracket..]);
    scan.open.brackets.push(0);
    scan.pass('[');
    while scan.at < scan.text.len() && scan.open.quote.is_none() {
        if scan.open.brackets.is_empty() {
            return true;
        }
        scan.step();
    }
    scan.open.brackets.is_empty()
}

struct Scan<'a> {
    format: Format,
    text: &'a str,
    at: usize,
    /// The character before.
    previous: char,
    /// Whether only white space is before it on its line.
    is_line_start: bool,
    open: Open,
}

impl<'a> Scan<'a> {
    fn new(format: Format, text: &'a str) -> Self {
        Self {
            format,
            text,
            at: 0,
            previous: '\n',
            is_line_start: true,
            open: Open::default(),
        }
    }

    /// Goes behind the next character, comment or quoted text.
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let Some(c) = rest.chars().next() else {
            return;
        };
        let is_spaced = self.is_line_start || self.previous.is_whitespace();
        let is_flow = !self.open.brackets.is_empty();
        let begins_value = match self.format {
            Format::Yaml => is_spaced || (is_flow && "[{,:".contains(self.previous)),
            _ => true,
        };
        match c {
            '#' if self.format == Format::Toml || (self.format == Format::Yaml && is_spaced) => {
                self.at += rest.find('\n').unwrap_or(rest.len());
            }
            '"' if begins_value => self.quoted(rest),
            '\'' if self.format != Format::Json && begins_value => self.quoted(rest),
            // The header of a table.
            '[' if self.format == Format::Toml && self.is_line_start && !is_flow => {
                self.at += rest.find('\n').unwrap_or(rest.len());
            }
            '[' | '{' if begins_value || is_flow => {
                self.open.brackets.push(self.at);
                self.pass(c);
            }
            ']' | '}' => {
                self.open.brackets.pop();
                self.pass(c);
            }
            _ => self.pass(c),
        }
    }

    /// Goes behind a character.
    fn pass(&mut self, c: char) {
        self.at += c.len_utf8();
        self.previous = c;
        self.is_line_start = c == '\n' || (self.is_line_start && c.is_whitespace());
    }

    /// Goes behind the quoted text that begins here.
    fn quoted(&mut self, rest: &str) {
        let quote = &rest[..1];
        let triple = quote.repeat(3);
        let (end, is_multiline) = if self.format == Format::Toml && rest.starts_with(&triple) {
            (triple.as_str(), true)
        } else {
            (quote, self.format == Format::Yaml)
        };
        let has_escapes = quote == "\"";
        let mut at = end.len();
        while let Some(c) = rest[at..].chars().next() {
            if rest[at..].starts_with(end) {
                let is_doubled = self.format == Format::Yaml && !has_escapes;
                if is_doubled && rest[at + 1..].starts_with(quote) {
                    at += 2;
                    continue;
                }
                self.at += at + end.len();
                (self.previous, self.is_line_start) = ('"', false);
                return;
            }
            if c == '\n' && !is_multiline {
                break;
            }
            at += c.len_utf8();
            if c == '\\' && has_escapes {
                at += rest[at..].chars().next().map_or(0, char::len_utf8);
            }
        }
        self.open.quote = Some(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_found_where_it_begins() {
        for (format, text, quote, bracket) in [
            (
                Format::Json,
                r#"{"a": [1, "x]\"}", {"b": 2}"#,
                None,
                Some(6),
            ),
            (Format::Json, "{\"a\": \"x\n\"}", Some(6), Some(0)),
            (Format::Json, "{\"a\": \"x", Some(6), Some(0)),
            (Format::Json, "[[], {}]", None, None),
            (Format::Toml, "[a]\nb = [1, # ]\n2", None, Some(8)),
            (
                Format::Toml,
                "a = \"\"\"x\n\"y\n\"\"\"\nb = 'x\n",
                Some(20),
                None,
            ),
            (Format::Yaml, "a: don't # '\nb: [x, 'it''s']\n", None, None),
            (Format::Yaml, "a: \"x\n  y: z\n", Some(3), None),
            (Format::Yaml, "a: b[c\nd: {e: [f]\n", None, Some(10)),
        ] {
            let open = open(format, text);
            assert_eq!(open.quote, quote, "{text}");
            assert_eq!(open.brackets.last().copied(), bracket, "{text}");
        }
        assert!(is_closed(Format::Yaml, "a: {\n b: [c]\n}\n", 3));
        assert!(!is_closed(Format::Yaml, "a: {b: [c]\nd: e\n", 3));
    }
}
