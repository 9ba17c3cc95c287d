//! Which values of a pipeline file are secrets, what is shown in their place, and how they come back.
//!
//! A value is a secret where the schema says so (`writeOnly`), and wherever it looks like a token. A text that is exactly
//! `${NAME}` is not a secret: it names the variable that holds one.
//!
//! Invariant: the placeholder comes back as the value that it stood for at that very place, or not at all.

use pipeline_core::options::{MAX_SHOWN_KEY_CHARS, Problem, join};
use serde_json::{Map, Value};

/// What is shown in the place of a secret.
pub(crate) const PLACEHOLDER: &str = "(secret)";
/// The shortest word that is taken for a token without a schema that says so, in characters.
const MIN_TOKEN_CHARS: usize = 24;
/// Digits that a word needs for that; names have fewer.
const MIN_TOKEN_DIGITS: usize = 2;
/// References of a schema that are followed, one after the other.
const MAX_REFERENCES: usize = 16;
/// How deep alternatives of a schema may be nested.
const MAX_ALTERNATIVES: usize = 8;

/// One step to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// A secret of a value tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    /// The way to it.
    pub(crate) place: Vec<Step>,
    /// The variable that holds it, where the text is exactly that.
    pub(crate) variable: Option<String>,
    /// Whether the schema says that it is one; else it looks like a token.
    pub(crate) is_known: bool,
}

impl Secret {
    /// Its place as problems name it.
    pub(crate) fn path(&self) -> String {
        path(&self.place)
    }
}

/// The secrets of a value tree that this schema describes.
pub(crate) fn find(schema: &Value, value: &Value) -> Vec<Secret> {
    let mut found = Vec::new();
    let root = alternatives(schema, schema);
    search(schema, &root, value, &mut Vec::new(), &mut found);
    found
}

/// The value tree with every secret replaced but for those that a variable holds.
pub(crate) fn masked(value: &Value, secrets: &[Secret]) -> Value {
    let mut shown = value.clone();
    for secret in secrets.iter().filter(|secret| secret.variable.is_none()) {
        if let Some(place) = at_mut(&mut shown, &secret.place) {
            *place = PLACEHOLDER.into();
        }
    }
    shown
}

/// Puts the old values where `new` has the placeholder at a place that showed one. Says where it has one without such a value.
pub(crate) fn restore(new: &mut Value, shown: &Value, old: &Value, at: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    put_back(new, shown, old, at, &mut problems);
    problems
}

fn put_back(new: &mut Value, shown: &Value, old: &Value, at: &str, problems: &mut Vec<Problem>) {
    match new {
        Value::String(text) if text == PLACEHOLDER => {
            if shown == PLACEHOLDER {
                *new = old.clone();
            } else {
                let expected = "the value itself, or a variable of the environment: `${NAME}`";
                problems.push(Problem::new(at, "is the sign for a hidden value", expected));
            }
        }
        Value::Array(items) => {
            // An entry that was moved or changed may be another one.
            let same_length = shown.as_array().map(Vec::len) == Some(items.len());
            for (index, item) in items.iter_mut().enumerate() {
                let is_same = same_length && shown[index] == *item;
                let (shown, old) = if is_same {
                    (&shown[index], &old[index])
                } else {
                    (&Value::Null, &Value::Null)
                };
                put_back(item, shown, old, &format!("{at}[{index}]"), problems);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let (shown, old) = (&shown[key.as_str()], &old[key.as_str()]);
                put_back(item, shown, old, &join(at, key), problems);
            }
        }
        _ => {}
    }
}

/// Whether a key of the value looks like a token; it could not be shown, and so not be edited.
pub(crate) fn has_token_key(value: &Value) -> bool {
    match value {
        Value::Object(map) => map
            .iter()
            .any(|(key, inner)| looks_like_token(key) || has_token_key(inner)),
        Value::Array(items) => items.iter().any(has_token_key),
        _ => false,
    }
}

/// Whether a text holds a word that may be a token: long, of letters and digits.
pub(crate) fn looks_like_token(text: &str) -> bool {
    tokens(text).next().is_some()
}

/// The words of a text that may be tokens, each with the byte at which it begins.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    let words = text.split(|c: char| !is_of_token(c)).map(move |word| {
        let start = at;
        // A separator follows, of as many bytes as it has.
        let rest = &text[start + word.len()..];
        at = start + word.len() + rest.chars().next().map_or(0, char::len_utf8);
        (start, word)
    });
    words.filter(|(start, word)| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        word.len() >= MIN_TOKEN_CHARS
            && digits >= MIN_TOKEN_DIGITS
            && digits < word.len()
            && !(text[..*start].ends_with("${") && is_name(word))
    })
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// The name of the variable, where a text is exactly that. A token that is typed between the braces is not a name.
pub(crate) fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    is_name(name).then_some(name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_SHOWN_KEY_CHARS
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !(name.contains(|c: char| c.is_ascii_lowercase())
            && name.contains(|c: char| c.is_ascii_uppercase()))
}

/// A place as problems name it.
pub(crate) fn path(place: &[Step]) -> String {
    place.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => join(&path, key),
        Step::Index(index) => format!("{path}[{index}]"),
    })
}

/// The value at a place.
pub(crate) fn at<'v>(value: &'v Value, place: &[Step]) -> Option<&'v Value> {
    place.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key.as_str()),
        Step::Index(index) => value.get(*index),
    })
}

/// The value at a place.
pub(crate) fn at_mut<'v>(value: &'v mut Value, place: &[Step]) -> Option<&'v mut Value> {
    place.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()),
        Step::Index(index) => value.get_mut(*index),
    })
}

fn search(
    root: &Value,
    schemas: &[&Value],
    value: &Value,
    place: &mut Vec<Step>,
    found: &mut Vec<Secret>,
) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                place.push(Step::Key(key.clone()));
                search(root, &below(root, schemas, map, key), inner, place, found);
                place.pop();
            }
        }
        Value::Array(items) => {
            let of_items = schemas.iter().filter_map(|schema| schema.get("items"));
            let of_items: Vec<_> = of_items.flat_map(|it| alternatives(root, it)).collect();
            for (index, inner) in items.iter().enumerate() {
                place.push(Step::Index(index));
                search(root, &of_items, inner, place, found);
                place.pop();
            }
        }
        Value::Null => {}
        scalar => {
            let text = scalar.as_str();
            let is_empty = text.is_some_and(str::is_empty);
            let is_secret = schemas.iter().any(|schema| schema["writeOnly"] == true);
            let is_token =
                text.is_some_and(|text| variable(text).is_none() && looks_like_token(text));
            if (is_secret && !is_empty) || is_token {
                found.push(Secret {
                    place: place.clone(),
                    variable: text.and_then(variable).map(str::to_owned),
                    is_known: is_secret,
                });
            }
        }
    }
}

/// The schemas of the value below a key, whichever alternative holds.
fn below<'s>(
    root: &'s Value,
    schemas: &[&'s Value],
    map: &Map<String, Value>,
    key: &str,
) -> Vec<&'s Value> {
    // A component is described by the alternative of its type.
    let fits = |schema: &&&Value| {
        let kind = schema["properties"]["type"].get("const");
        kind.is_none_or(|kind| map.get("type").is_none_or(|written| written == kind))
    };
    let inner = schemas.iter().filter(fits).filter_map(|schema| {
        let own = schema["properties"].get(key);
        own.or_else(|| schema.get("additionalProperties"))
    });
    inner.flat_map(|it| alternatives(root, it)).collect()
}

/// The schema and all its alternatives, with references followed.
fn alternatives<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let mut all = Vec::new();
    add_alternatives(root, schema, MAX_ALTERNATIVES, &mut all);
    all
}

fn add_alternatives<'s>(
    root: &'s Value,
    mut schema: &'s Value,
    depth: usize,
    all: &mut Vec<&'s Value>,
) {
    for _ in 0..MAX_REFERENCES {
        all.push(schema);
        let pointer = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        let Some(next) = pointer.and_then(|pointer| root.pointer(pointer)) else {
            break;
        };
        schema = next;
    }
    if depth == 0 {
        return;
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        for inner in schema[keyword].as_array().into_iter().flatten() {
            add_alternatives(root, inner, depth - 1, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "properties": {"sinks": {"additionalProperties": {"oneOf": [
                {"properties": {
                    "type": {"const": "a"}, "token": {"$ref": "#/$defs/Secret"},
                    "keys": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Key"}, {"type": "null"}]}},
                }},
                {"properties": {"type": {"const": "b"}, "name": {"writeOnly": true}}},
            ]}}},
            "$defs": {"Secret": {"type": "string", "writeOnly": true}, "Key": {"properties": {"key": {"writeOnly": true}}}},
        })
    }

    fn paths(value: &Value) -> Vec<String> {
        let found = find(&schema(), value);
        found.iter().map(Secret::path).collect()
    }

    #[test]
    fn secrets_are_found_behind_references_alternatives_and_lists() {
        let value = json!({"sinks": {
            "one": {"type": "a", "token": "t", "name": "shown", "keys": [{"key": "k", "id": 1}, null, {"key": ""}]},
            "two": {"type": "b", "token": "shown", "name": 12},
        }});
        let expected = ["sinks.one.token", "sinks.one.keys[0].key", "sinks.two.name"];
        assert_eq!(paths(&value), expected);
        let shown = masked(&value, &find(&schema(), &value));
        assert_eq!(shown["sinks"]["one"]["token"], PLACEHOLDER);
        assert_eq!(
            shown["sinks"]["one"]["keys"][0],
            json!({"key": PLACEHOLDER, "id": 1})
        );
        assert_eq!(shown["sinks"]["two"]["token"], "shown");
    }

    #[test]
    fn a_variable_is_shown_and_a_token_anywhere_is_not() {
        for (text, is_shown) in [
            ("${META_ACCESS_TOKEN}", true),
            ("${META_ACCESS_TOKEN_OF_SHOP_2026}", true),
            ("${EAABsbCS1iHgBO7ZCq4t1dZBZC2w}", false),
            ("https://graph.facebook.com/v24.0", true),
            ("1234567890123456", true),
            ("Order Completed in the big shop", true),
            ("x EAABsbCS1iHgBO7ZCq4t1dZBZC2w", false),
            ("${T:-EAABsbCS1iHgBO7ZCq4t1dZBZC2w}", false),
        ] {
            let value = json!({"note": text});
            let shown = masked(&value, &find(&schema(), &value));
            assert_eq!(shown["note"] == text, is_shown, "{text}");
        }
    }

    #[test]
    fn a_placeholder_comes_back_only_where_it_was_shown() {
        let old = json!({"sinks": {"one": {"type": "a", "token": "t", "keys": [{"key": "k1", "id": 1}, {"key": "k2", "id": 2}]}}});
        let shown = masked(&old, &find(&schema(), &old));
        let restored = |edit: fn(&mut Value)| {
            let mut new = shown.clone();
            edit(&mut new);
            let problems = restore(&mut new, &shown, &old, "");
            let paths: Vec<_> = problems.into_iter().map(|it| it.path).collect();
            (new, paths)
        };
        assert_eq!(restored(|_| {}), (old.clone(), vec![]));
        // Another sink has no old value.
        let (_, paths) = restored(|new| new["sinks"]["two"] = new["sinks"]["one"].clone());
        assert_eq!(
            paths,
            [
                "sinks.two.token",
                "sinks.two.keys[0].key",
                "sinks.two.keys[1].key"
            ]
        );
        // An entry whose place or content changed may be another one.
        let (_, paths) = restored(|new| {
            new["sinks"]["one"]["keys"]
                .as_array_mut()
                .unwrap()
                .remove(0);
        });
        assert_eq!(paths, ["sinks.one.keys[0].key"]);
        let (_, paths) = restored(|new| new["sinks"]["one"]["keys"][0]["id"] = json!(2));
        assert_eq!(paths, ["sinks.one.keys[0].key"]);
    }
}
