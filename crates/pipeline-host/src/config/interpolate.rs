//! `${VAR}` inside the strings of a parsed configuration.
//!
//! In: a value tree and a lookup for environment variables. Out: the same tree with every string expanded, and a
//! problem for each string that cannot be. It runs after parsing, so that no value of a variable can change the shape
//! of the configuration.
//!
//! Invariant: a problem names variables, never their values.

use pipeline_core::options::{MAX_SHOWN_KEY_CHARS, Problem, is_placeholder, join};
use serde_json::Value;
use std::ffi::OsString;

/// Looks up an environment variable.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<OsString> + Sync);

/// Variables within the defaults of others, at most.
const MAX_NESTING: usize = 8;

/// The name of a variable as problems show it. A token that is typed between the braces has capitals and small letters, or is long.
fn shown(name: &str) -> String {
    let is_token = name.contains(|c: char| c.is_ascii_lowercase())
        && name.contains(|c: char| c.is_ascii_uppercase());
    if is_token || name.chars().count() > MAX_SHOWN_KEY_CHARS {
        return "(a name that is not shown)".to_owned();
    }
    name.to_owned()
}

/// What became of the strings of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    /// What cannot be expanded.
    pub(crate) problems: Vec<Problem>,
    /// The places whose text needed a variable that is set and empty, with its name.
    pub(crate) empty: Vec<(String, String)>,
    /// Notes on values of variables that are perhaps not meant.
    pub(crate) notes: Vec<Problem>,
}

impl Expanded {
    /// Adds to the problems of an option that its variable is empty.
    pub(crate) fn explain(&self, problems: &mut [Problem]) {
        for problem in problems {
            if let Some((_, name)) = self.empty.iter().find(|(path, _)| *path == problem.path) {
                let problem = &mut problem.problem;
                *problem = format!("{problem} (the environment variable `{name}` is empty)");
            }
        }
    }
}

/// Expands every string in `value`; a string that cannot be expanded is reported and becomes null.
pub(crate) fn expand(value: &mut Value, environment: Environment<'_>) -> Expanded {
    let mut expanded = Expanded::default();
    visit(value, "", &mut |text, path| {
        let mut expansion = Expansion::new(environment);
        let result = expansion.text(text, 0);
        let empty = expansion.empty.into_iter();
        expanded
            .empty
            .extend(empty.map(|name| (path.to_owned(), name)));
        expanded.notes.extend(expansion.in_quotes.into_iter().map(|name| {
            let problem = format!(
                "uses the environment variable `{name}`, whose value begins and ends with a quote, which is sent as a part of it"
            );
            Problem::note(path, problem, "the value without quotes")
        }));
        match result {
            Ok(text) => Some(Value::String(text)),
            Err((problem, expected)) => {
                expanded
                    .problems
                    .push(Problem::new(path, problem, expected));
                Some(Value::Null)
            }
        }
    });
    expanded
}

/// Notes on strings of a file that look as if a variable had to be filled in, and none is.
pub(crate) fn notes(raw: &Value) -> Vec<Problem> {
    let mut notes = Vec::new();
    let mut raw = raw.clone();
    visit_all(&mut raw, "", &mut |text, path| {
        if names_a_variable(text) {
            let problem = "holds a variable that is not filled in";
            let expected = "`${NAME}` for an environment variable, or `$$` for one `$`";
            notes.push(Problem::note(path, problem, expected));
        }
        None
    });
    notes
}

/// Whether a text is a variable in a notation that is not ours: `%NAME%`, `{{ name }}`, `<name>`.
fn names_a_variable(text: &str) -> bool {
    !text.starts_with('$') && is_placeholder(text)
}

/// Whether a text has a `$NAME`, which a shell would fill in.
fn has_bare_variable(text: &str) -> bool {
    if !text.starts_with("$$")
        && !text.starts_with("${")
        && text.starts_with('$')
        && is_placeholder(text)
    {
        return true;
    }
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let name = rest.split(|c| !is_word(c)).next().unwrap_or_default();
        let goes_on = rest[name.len()..].starts_with(|c: char| c.is_alphanumeric());
        if name.len() > 1 && !goes_on && name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return true;
        }
    }
    false
}

/// Expands every string that needs no environment: variables with defaults get them. Says where the other strings are; they
/// stay as they were written. What is wrong with a string as such is a problem.
pub(crate) fn expand_defaults(value: &mut Value, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut unset = Vec::new();
    visit(value, "", &mut |text, path| {
        let expand = |environment: Environment<'_>| Expansion::new(environment).text(text, 0);
        match (expand(&|_| None), expand(&|_| Some("0".into()))) {
            (Ok(expanded), _) => Some(Value::String(expanded)),
            // With every variable set, it would be good.
            (Err(_), Ok(_)) => {
                unset.push(path.to_owned());
                None
            }
            (Err((problem, expected)), Err(_)) => {
                problems.push(Problem::new(path, problem, expected));
                None
            }
        }
    });
    unset
}

/// Calls `edit` for every string with a `$`, and takes what it returns in its place.
fn visit(value: &mut Value, path: &str, edit: &mut impl FnMut(&str, &str) -> Option<Value>) {
    visit_all(value, path, &mut |text, path| {
        text.contains('$').then(|| edit(text, path)).flatten()
    });
}

/// Calls `edit` for every string, and takes what it returns in its place.
fn visit_all(value: &mut Value, path: &str, edit: &mut impl FnMut(&str, &str) -> Option<Value>) {
    match value {
        Value::String(text) => {
            if let Some(edited) = edit(text, path) {
                *value = edited;
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                visit_all(item, &format!("{path}[{index}]"), edit);
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                visit_all(item, &join(path, key), edit);
            }
        }
        _ => {}
    }
}

/// What is wrong with a string, and what was expected.
type Failure = (String, String);

/// A string being expanded.
struct Expansion<'a> {
    environment: Environment<'a>,
    /// The variables that are set and empty, and were used as they are.
    empty: Vec<String>,
    /// The variables whose values are in quotes, as an environment file of Docker leaves them.
    in_quotes: Vec<String>,
}

impl<'a> Expansion<'a> {
    fn new(environment: Environment<'a>) -> Self {
        Self {
            environment,
            empty: Vec::new(),
            in_quotes: Vec::new(),
        }
    }

    fn text(&mut self, text: &str, depth: usize) -> Result<String, Failure> {
        if depth == 0 && has_bare_variable(text) {
            let problem = if is_placeholder(text) {
                "is a variable that is not filled in"
            } else {
                "holds a variable that is not filled in"
            };
            let expected = "`${NAME}` for an environment variable, or `$$` for one `$`";
            return Err((problem.to_owned(), expected.to_owned()));
        }
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            expanded.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = closing_brace(after).filter(|_| depth < MAX_NESTING);
                let end = end.ok_or_else(|| {
                    (
                        "has a `${` without its `}`".to_owned(),
                        "`${VAR}`, `${VAR:-default}`, `${VAR:?message}`, or `$$` for one `$`"
                            .to_owned(),
                    )
                })?;
                expanded.push_str(&self.variable(&after[..end], depth)?);
                rest = &after[end + 1..];
            } else {
                expanded.push('$');
            }
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn variable(&mut self, inside: &str, depth: usize) -> Result<String, Failure> {
        let name_end = inside
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(inside.len());
        let (name, modifier) = inside.split_at(name_end);
        if name.is_empty() {
            return Err((
                "has a `${}` without a variable's name".to_owned(),
                "`${VAR}`".to_owned(),
            ));
        }
        let (default, message) = (modifier.strip_prefix(":-"), modifier.strip_prefix(":?"));
        if !modifier.is_empty() && default.is_none() && message.is_none() {
            return Err((
                format!(
                    "has something after the name `{}` that is not understood",
                    shown(name)
                ),
                "`${VAR}`, `${VAR:-default}` or `${VAR:?message}`".to_owned(),
            ));
        }
        if let Some(default) = default {
            // Looked at even if it is not needed, so that a mistake in it is one on every machine.
            Expansion::new(&|_| Some("0".into())).text(default, depth + 1)?;
        }
        let set = (self.environment)(name)
            .map(OsString::into_string)
            .transpose();
        let set = set.map_err(|_| {
            let name = shown(name);
            (
                format!("uses the environment variable `{name}`, which is not UTF-8 text"),
                format!("UTF-8 text in `{name}`"),
            )
        })?;
        if set.as_deref().is_some_and(is_in_quotes) {
            self.in_quotes.push(shown(name));
        }
        match (set, default) {
            (Some(value), None) if value.is_empty() && message.is_none() => {
                self.empty.push(shown(name));
                Ok(value)
            }
            (Some(value), _) if !value.is_empty() => Ok(value),
            (_, Some(default)) => self.text(default, depth + 1),
            (set, None) => {
                let name = shown(name);
                let state = if set.is_some() { "empty" } else { "not set" };
                let why = message.filter(|message| !message.trim().is_empty());
                let why = why.map_or_else(String::new, |why| format!(": {}", why.trim()));
                Err((
                    format!("uses the environment variable `{name}`, which is {state}{why}"),
                    format!("`{name}` in the environment, or a default: `${{{name}:-default}}`"),
                ))
            }
        }
    }
}

/// Whether a value is in quotes of one kind.
fn is_in_quotes(value: &str) -> bool {
    let is_in = |quote: char| {
        let inside = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        inside.is_some_and(|inside| !inside.is_empty() && !inside.contains(quote))
    };
    is_in('"') || is_in('\'')
}

/// Where the `}` is that ends the variable at whose name `inside` begins; variables in its default have their own.
fn closing_brace(inside: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(c) = inside[at..].chars().next() {
        let rest = &inside[at..];
        if rest.starts_with("$$") {
            at += 2;
            continue;
        }
        if rest.starts_with("${") {
            depth += 1;
            at += 2;
            continue;
        }
        if c == '}' {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
        }
        at += c.len_utf8();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn environment(name: &str) -> Option<OsString> {
        match name {
            "TOKEN" => Some("s3cret: {injected} ${TOKEN} $$".into()),
            "EMPTY" => Some(OsString::new()),
            #[cfg(unix)]
            "BYTES" => Some(std::os::unix::ffi::OsStringExt::from_vec(vec![0xff])),
            _ => None,
        }
    }

    fn expand_text(text: &str) -> Result<String, Failure> {
        Expansion::new(&environment).text(text, 0)
    }

    #[test]
    fn variables_are_expanded_inside_strings() {
        let cases = [
            ("a${TOKEN}z", "as3cret: {injected} ${TOKEN} $$z"),
            ("${MISSING:-plan b}", "plan b"),
            ("${EMPTY:-plan b}", "plan b"),
            ("${EMPTY}", ""),
            ("${TOKEN:?needed}", "s3cret: {injected} ${TOKEN} $$"),
            ("$$ $5 $${TOKEN}", "$ $5 ${TOKEN}"),
            ("ünïcode$", "ünïcode$"),
            // A default can have variables of its own.
            ("${MISSING:-${ALSO:-plan c}}!", "plan c!"),
            ("${MISSING:-a${EMPTY:-b}c}", "abc"),
            ("${EMPTY:-${TOKEN}}", "s3cret: {injected} ${TOKEN} $$"),
            ("${TOKEN:-${MISSING}}", "s3cret: {injected} ${TOKEN} $$"),
            ("${TOKEN:-${MISSING:-x}}", "s3cret: {injected} ${TOKEN} $$"),
            ("${MISSING:-$${x}", "${x"),
            ("${MISSING:-{x}}", "{x}"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand_text(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_reported_with_its_place() {
        let mut value = json!({"sinks": {"meta": {"ids": ["ok", "${MISSING}", "${A:?set A to the pixel}"]}},
            "b": "${", "c": "${}", "d": "${A!}", "e": "${EMPTY:?}"});
        let problems = expand(&mut value, &environment).problems;
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 6);
        assert!(shown[0].starts_with("sinks.meta.ids[1]: uses the environment variable `MISSING`"));
        assert_eq!(
            shown[1],
            "sinks.meta.ids[2]: uses the environment variable `A`, which is not set: set A to the pixel; expected `A` in the \
             environment, or a default: `${A:-default}`"
        );
        assert!(
            shown[5].contains("`EMPTY`, which is empty;"),
            "{}",
            shown[5]
        );
        assert_eq!(value["b"], Value::Null);
    }

    #[test]
    fn what_is_not_understood_is_refused_whether_or_not_the_variable_is_set() {
        for text in [
            "${TOKEN!}",
            "${TOKEN:=x}",
            "${TOKEN-x}",
            "${env:TOKEN}",
            "${{TOKEN}}",
            "${TOKEN:-${}}",
            "${TOKEN:-${MISSING!}}",
            "${EMPTY:-${MISSING}}",
            "${TOKEN:-${MISSING}",
        ] {
            assert!(expand_text(text).is_err(), "{text}");
        }
        let deep = format!("{}x{}", "${A:-".repeat(20), "}".repeat(20));
        assert!(expand_text(&deep).is_err());
    }

    #[test]
    fn what_is_typed_as_a_variable_and_may_be_a_token_is_not_repeated() {
        let long = "META_".repeat(10);
        for token in ["EAABsbCS1iHgBAKZC", "eyJhbGciOiJIUzI1", &long] {
            for text in ["${NAME}", "${NAME:?set it}", "${NAME!}", "${NAME:-${NAME}}"] {
                let text = text.replace("NAME", token);
                let (problem, expected) = expand_text(&text).expect_err("not set");
                assert!(!problem.contains(token), "{problem}");
                assert!(!expected.contains(token), "{expected}");
            }
        }
        let (problem, _) = expand_text("${META_ACCESS_TOKEN}").expect_err("not set");
        assert!(problem.contains("`META_ACCESS_TOKEN`"), "{problem}");
    }

    #[test]
    fn quotes_around_the_value_of_a_variable_are_noted() {
        let environment = |name: &str| match name {
            "DOUBLE" => Some("\"abc\"".into()),
            "SINGLE" => Some("'abc'".into()),
            "INSIDE" => Some("a \"b\" c".into()),
            "LONE" => Some("\"".into()),
            "TWO" => Some("\"a\" or \"b\"".into()),
            _ => None,
        };
        let mut value = json!({"a": "${DOUBLE}", "b": "x${SINGLE}", "c": "${INSIDE}${LONE}${TWO}"});
        let expanded = expand(&mut value, &environment);
        let places: Vec<_> = expanded.notes.iter().map(|note| &*note.path).collect();
        assert_eq!(places, ["a", "b"]);
        assert!(
            expanded
                .notes
                .iter()
                .all(|note| !note.is_error() && !note.to_string().contains("abc"))
        );
        assert_eq!(value["a"], "\"abc\"");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_not_said_to_be_unset() {
        let (problem, _) = expand_text("${BYTES}").expect_err("not text");
        assert_eq!(
            problem,
            "uses the environment variable `BYTES`, which is not UTF-8 text"
        );
    }

    #[test]
    fn an_empty_variable_is_named_where_an_option_is_refused() {
        let mut value = json!({"token": "${EMPTY}", "other": "${EMPTY:-x}"});
        let expanded = expand(&mut value, &environment);
        let mut problems = ["token", "other"].map(|path| Problem::new(path, "is missing", "it"));
        expanded.explain(&mut problems);
        let token = "token: is missing (the environment variable `EMPTY` is empty); expected it";
        assert_eq!(problems[0].to_string(), token);
        assert_eq!(problems[1].to_string(), "other: is missing; expected it");
    }

    #[test]
    fn a_variable_without_braces_is_refused_and_a_dollar_sign_alone_is_not() {
        for text in ["$TOKEN", "$token", "https://$HOST/x", "a-$A_B"] {
            let (problem, _) = expand_text(text).expect_err(text);
            assert!(
                problem.ends_with("a variable that is not filled in"),
                "{problem}"
            );
            assert!(expand_text(&text.replace('$', "$$")).is_ok(), "{text}");
        }
        for text in ["%TOKEN%", "{{ x }}", "<pixel>"] {
            assert!(
                names_a_variable(text) && expand_text(text).is_ok(),
                "{text}"
            );
        }
        for text in [
            "${TOKEN}",
            "$$TOKEN",
            "a$$HOST",
            "properties.$email",
            "$",
            "$5",
            "US$",
            "$.total",
            "a$Bc",
            "100 %",
            "$A",
        ] {
            assert!(!names_a_variable(text), "{text}");
            assert_eq!(has_bare_variable(text), text == "$A", "{text}");
        }
        let notes = notes(&json!({"a": ["x", "{{ NAME }}"]}));
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0]
                .to_string()
                .starts_with("note: a[1]: holds a variable"),
            "{notes:?}"
        );
    }
}
