//! One problem of a configuration: where, what is wrong, and what was expected. An error stops the pipeline from starting; a
//! note does not.

use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// How certain it is that a person did not mean what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Level {
    /// It cannot work as written: the configuration is refused.
    #[default]
    Error,
    /// It works, and is perhaps not what was meant: a person is told.
    Note,
}

/// One thing that is wrong with a configuration, or perhaps is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where: `sinks.meta.batch.max_events`.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What was expected instead.
    pub expected: String,
    /// Whether it is an error or a note.
    pub level: Level,
}

impl Problem {
    /// An error at `path`.
    pub fn new(
        path: impl Into<String>,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
            expected: expected.into(),
            level: Level::Error,
        }
    }

    /// A note on what is at `path`.
    pub fn note(
        path: impl Into<String>,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Note,
            ..Self::new(path, problem, expected)
        }
    }

    /// Whether the configuration is refused because of it.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }

    /// The same problem, with its path below this parent.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.path = match (parent.is_empty(), self.path.is_empty()) {
            (true, _) => self.path,
            (false, true) => parent.to_owned(),
            (false, false) if self.path.starts_with('[') => format!("{parent}{}", self.path),
            (false, false) => format!("{parent}.{}", self.path),
        };
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "(top level)"
        } else {
            &self.path
        };
        if self.level == Level::Note {
            f.write_str("note: ")?;
        }
        write!(f, "{path}: {}; expected {}", self.problem, self.expected)
    }
}

/// The name of `known` that `name` was most likely meant to be.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LEAST_SIMILAR: f64 = 0.75;
    nearest_within(name, known, LEAST_SIMILAR)
}

/// As [`nearest`], where the names are at least so similar: 1 for the same name, 0 for one without a common letter. One change of
/// a name counts as similar, because it makes a short one look quite different.
pub fn nearest_within<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
    least_similar: f64,
) -> Option<&'a str> {
    const LEAST_CHARS: usize = 3;
    let similarity = |candidate: &str| {
        let similarity = strsim::jaro_winkler(name, candidate);
        let is_long = name.chars().count() >= LEAST_CHARS && candidate.len() >= LEAST_CHARS;
        if is_long && strsim::osa_distance(name, candidate) == 1 {
            return similarity.max(least_similar);
        }
        similarity
    };
    known
        .into_iter()
        .map(|candidate| (similarity(candidate), candidate))
        .filter(|(similarity, _)| *similarity >= least_similar)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The name of `known` that `name` is a misspelling of: the same but for case, spaces, `_` and `-`, or all but the same.
///
/// Stricter than [`nearest`], because `name` may be a good name of its own. `None` if `name` is one of `known`.
pub fn near_miss<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = comparable(name);
    let distance = |candidate: &str| {
        let other = comparable(candidate);
        let changes = strsim::osa_distance(&written, &other);
        let shorter = written.chars().count().min(other.chars().count());
        let is_longer = written.chars().count() != other.chars().count();
        // Short words are often one letter apart from other good words.
        let most = match shorter {
            0..4 => 0,
            4 => usize::from(is_longer || is_reordered(&written, &other)),
            5..8 => 1,
            _ => 2,
        };
        (changes <= most).then_some(changes)
    };
    let mut best = None;
    for candidate in known {
        if candidate == name {
            return None;
        }
        if let Some(changes) = distance(candidate)
            && best.is_none_or(|(least, _)| changes < least)
        {
            best = Some((changes, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A name without case, spaces, `_` and `-`.
fn comparable(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, ' ' | '_' | '-'));
    kept.flat_map(char::to_lowercase).collect()
}

/// Whether two words have the same letters.
fn is_reordered(one: &str, other: &str) -> bool {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    sorted(one) == sorted(other)
}

/// Whether a text is nothing but a variable that no one has filled in, in one of the usual notations: `$NAME`, `${NAME}`,
/// `%NAME%`, `{{ NAME }}`, `<NAME>`.
pub fn is_placeholder(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_word)
    };
    let text = text.trim();
    let within = |open: &str, close: &str| text.strip_prefix(open)?.strip_suffix(close);
    text.strip_prefix('$').is_some_and(is_name)
        || within("%", "%").is_some_and(is_name)
        || within("${", "}").is_some()
        || within("{{", "}}").is_some()
        || within("<", ">").is_some()
}

/// Longest key that a place shows, in characters. A longer one may be a token at a wrong place.
pub const MAX_SHOWN_KEY_CHARS: usize = 40;

/// A name as problems show it. One that is longer than any usual name, or has the sign of an address, is not repeated, because it
/// may be a token or an address at a wrong place.
pub fn shown_name(name: &str) -> Cow<'_, str> {
    let chars = name.chars().count();
    if chars > MAX_SHOWN_KEY_CHARS {
        return Cow::Owned(format!("(a name of {chars} characters)"));
    }
    if name.contains(['@', '＠']) || name.contains(char::is_control) {
        return Cow::Borrowed("(a name that is not shown)");
    }
    Cow::Borrowed(name)
}

/// `path` with `key` below it: `batch.max_events`, `event_mappings["Order Completed"]`. A key is shown as [`shown_name`] shows it.
pub fn join(path: &str, key: &str) -> String {
    let key = &*shown_name(key);
    let plain = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'$');
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{}]", Value::from(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_told_from_a_name_of_its_own() {
        const KNOWN: [&str; 9] = [
            "Lead",
            "Purchase",
            "Search",
            "AddToCart",
            "CompleteRegistration",
            "value",
            "content_name",
            "trim",
            "vin",
        ];
        for (name, meant) in [
            ("lead", "Lead"),
            ("Leads", "Lead"),
            ("Laed", "Lead"),
            ("Purchse", "Purchase"),
            ("add_to_cart", "AddToCart"),
            ("AddToCard", "AddToCart"),
            ("CompleteRegistartoin", "CompleteRegistration"),
            ("valu", "value"),
            ("contentname", "content_name"),
            ("Content Name", "content_name"),
        ] {
            assert_eq!(near_miss(name, KNOWN), Some(meant), "{name}");
        }
        for name in [
            "Lead",
            "Load",
            "Deal",
            "Research",
            "Quote",
            "AddToList",
            "trip",
            "vip",
            "val",
            "",
        ] {
            assert_eq!(near_miss(name, KNOWN), None, "{name}");
        }
    }

    #[test]
    fn a_short_name_is_found_by_one_change() {
        assert_eq!(nearest("wbe", ["events", "web"]), Some("web"));
        assert_eq!(nearest("wb", ["events", "app"]), None);
        assert_eq!(nearest("evnts", ["events", "web"]), Some("events"));
        assert_eq!(nearest("kafka", ["file", "http_server", "stdin"]), None);
    }

    #[test]
    fn a_variable_that_was_not_filled_in_is_told_from_text_with_a_dollar() {
        for text in [
            "$TOKEN",
            " $a_1 ",
            "%TOKEN%",
            "${TOKEN}",
            "{{ token }}",
            "<your token>",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in [
            "",
            "$",
            "$5",
            "ab$cd${X}$$e",
            "100%",
            "a<b>",
            "$.total",
            "%%",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn a_note_says_that_it_is_one() {
        let note = Problem::note("a", "is odd", "b").within("sinks.x");
        assert_eq!(note.to_string(), "note: sinks.x.a: is odd; expected b");
        assert!(!note.is_error() && Problem::new("a", "is odd", "b").is_error());
    }
}
