//! What a schema asks for, in a few words.

use serde_json::Value;

pub(super) fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

pub(super) fn allowed_values(schema: &Value) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema["enum"].as_array()) {
        (Some(only), _) => Some(vec![only]),
        (None, Some(several)) => Some(several.iter().collect()),
        (None, None) => None,
    }
}

pub(super) fn choices(allowed: &[&Value]) -> String {
    let names: Vec<_> = allowed
        .iter()
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect();
    match names.as_slice() {
        [only] => format!("`{only}`"),
        several => format!("one of `{}`", several.join("`, `")),
    }
}

pub(super) fn article(kind: &str) -> &'static str {
    match kind {
        "null" => "empty (null)",
        "boolean" => "a boolean",
        "number" => "a number with a fraction",
        "integer" => "a whole number",
        "string" => "text",
        "array" => "a list",
        _ => "a table",
    }
}

/// What a schema asks for, in a few words.
pub(super) fn describe(schema: &Value) -> String {
    if let Some(allowed) = allowed_values(schema) {
        return choices(&allowed);
    }
    if let Some(table) = table(schema) {
        return table;
    }
    let kinds: Vec<_> = types(schema)
        .into_iter()
        .map(|kind| match kind {
            "boolean" => "`true` or `false`",
            "number" => "a number",
            other => article(other),
        })
        .collect();
    let kinds = if kinds.is_empty() {
        "another form".to_owned()
    } else {
        kinds.join(" or ")
    };
    match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!("{kinds} from {least} to {most}"),
        (Some(least), None) => format!("{kinds} of at least {least}"),
        (None, Some(most)) => format!("{kinds} of at most {most}"),
        (None, None) => kinds,
    }
}

/// A table that must have a few keys, as one would write it: `{ file: … }`.
fn table(schema: &Value) -> Option<String> {
    /// More keys are no help to the reader.
    const MOST: usize = 3;
    let required = schema["required"].as_array()?;
    if types(schema) != ["object"] || required.is_empty() || required.len() > MOST {
        return None;
    }
    let keys = required.iter().filter_map(Value::as_str);
    let keys: Vec<_> = keys.map(|key| format!("{key}: …")).collect();
    Some(format!("`{{ {} }}`", keys.join(", ")))
}

pub(super) fn first_sentence(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    // A line of a doc comment ends anywhere.
    let paragraph = paragraph.replace('\n', " ");
    let sentence = paragraph.split(". ").next().unwrap_or(&paragraph);
    let mut chars = sentence.trim_end_matches('.').chars();
    match chars.next() {
        // An acronym keeps its capitals.
        Some(first) if chars.clone().next().is_none_or(|c| !c.is_uppercase()) => {
            first.to_lowercase().chain(chars).collect()
        }
        Some(first) => std::iter::once(first).chain(chars).collect(),
        None => String::new(),
    }
}
