//! `${VAR}` inside the strings of a parsed configuration.
//!
//! In: a value tree and a lookup for environment variables. Out: the same tree with every string expanded, and a
//! problem for each string that cannot be. It runs after parsing, so that no value of a variable can change the shape
//! of the configuration.
//!
//! Invariant: a problem names variables, never their values.

use pipeline_core::options::{Problem, join};
use serde_json::Value;

/// Looks up an environment variable.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// Expands every string in `value`; a string that cannot be expanded is reported and becomes null.
pub(crate) fn expand(
    value: &mut Value,
    environment: Environment<'_>,
    path: &str,
    problems: &mut Vec<Problem>,
) {
    match value {
        Value::String(text) if text.contains('$') => match expand_text(text, environment) {
            Ok(expanded) => *text = expanded,
            Err((problem, expected)) => {
                problems.push(Problem::new(path, problem, expected));
                *value = Value::Null;
            }
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand(item, environment, &format!("{path}[{index}]"), problems);
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                expand(item, environment, &join(path, key), problems);
            }
        }
        _ => {}
    }
}

/// Expands every string that needs no environment: variables with defaults get them. Says where the other strings are; they
/// stay as they were written. What is wrong with a string as such is a problem.
pub(crate) fn expand_defaults(value: &mut Value, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut unset = Vec::new();
    visit(value, "", &mut |text, path| {
        let expand = |environment: Environment<'_>| expand_text(text, environment);
        match (expand(&|_| None), expand(&|_| Some("0".to_owned()))) {
            (Ok(expanded), _) => Some(expanded),
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
fn visit(value: &mut Value, path: &str, edit: &mut impl FnMut(&str, &str) -> Option<String>) {
    match value {
        Value::String(text) if text.contains('$') => {
            if let Some(edited) = edit(text, path) {
                *text = edited;
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                visit(item, &format!("{path}[{index}]"), edit);
            }
        }
        Value::Object(map) => {
            for (key, item) in map.iter_mut() {
                visit(item, &join(path, key), edit);
            }
        }
        _ => {}
    }
}

type Failure = (String, String);

fn expand_text(text: &str, environment: Environment<'_>) -> Result<String, Failure> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some((inside, after)) = after.split_once('}') else {
                return Err((
                    "has a `${` without its `}`".to_owned(),
                    "`${VAR}`, `${VAR:-default}`, `${VAR:?message}`, or `$$` for one `$`"
                        .to_owned(),
                ));
            };
            expanded.push_str(&variable(inside, environment)?);
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn variable(inside: &str, environment: Environment<'_>) -> Result<String, Failure> {
    let name_end = inside
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inside.len());
    let (name, modifier) = inside.split_at(name_end);
    let set = environment(name).filter(|value| modifier.is_empty() || !value.is_empty());
    if name.is_empty() {
        return Err((
            "has a `${}` without a variable's name".to_owned(),
            "`${VAR}`".to_owned(),
        ));
    }
    if let Some(value) = set {
        return Ok(value);
    }
    if let Some(default) = modifier.strip_prefix(":-") {
        return Ok(default.to_owned());
    }
    if let Some(message) = modifier.strip_prefix(":?") {
        return Err((
            format!("needs the environment variable `{name}`"),
            message.to_owned(),
        ));
    }
    if modifier.is_empty() {
        return Err((
            format!("uses the environment variable `{name}`, which is not set"),
            format!("`{name}` in the environment, or a default: `${{{name}:-default}}`"),
        ));
    }
    Err((
        format!("has something after the name `{name}` that is not understood"),
        "`${VAR}`, `${VAR:-default}` or `${VAR:?message}`".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn environment(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("s3cret: {injected}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_expanded_inside_strings() {
        let cases = [
            ("a${TOKEN}z", "as3cret: {injected}z"),
            ("${MISSING:-plan b}", "plan b"),
            ("${EMPTY:-plan b}", "plan b"),
            ("${EMPTY}", ""),
            ("${TOKEN:?needed}", "s3cret: {injected}"),
            ("$$ $5 $${TOKEN}", "$ $5 ${TOKEN}"),
            ("ünïcode$", "ünïcode$"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                expand_text(text, &environment).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_reported_with_its_place() {
        let mut value = json!({"sinks": {"meta": {"ids": ["ok", "${MISSING}", "${A:?set A to the pixel}"]}},
            "b": "${", "c": "${}", "d": "${A!}"});
        let mut problems = Vec::new();
        expand(&mut value, &environment, "", &mut problems);
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 5);
        assert!(shown[0].starts_with("sinks.meta.ids[1]: uses the environment variable `MISSING`"));
        assert!(shown[1].contains("set A to the pixel"));
    }
}
