//! Paths that are written in another language, and paths that begin where events have nothing.

use crate::field_mapping::FieldMapping;
use crate::preset::FIELDS;
use json_paths::{Path, Segment};
use pipeline_core::options::{Problem, nearest};
use std::collections::HashSet;
use std::sync::LazyLock;

/// The keys at the top of an event that hold others.
const OBJECTS: [&str; 11] = [
    "properties",
    "context",
    "traits",
    "integrations",
    "vendorIds",
    "user_data",
    "custom_data",
    "contents",
    "_metadata",
    "ecommerce",
    "original_event_data",
];

/// The keys at the top of an event that hold one value.
const VALUES: [&str; 29] = [
    "type",
    "event",
    "name",
    "userId",
    "user_id",
    "anonymousId",
    "anonymous_id",
    "messageId",
    "message_id",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
    "groupId",
    "channel",
    "version",
    "request_ip",
    "rudderId",
    "previousId",
    "category",
    "writeKey",
    "event_name",
    "event_time",
    "event_id",
    "event_source_url",
    "referrer_url",
    "action_source",
    "opt_out",
    "projectId",
];

/// The keys at the top of an event where the shared mappings look.
static SHIPPED: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mappings = FIELDS
        .groups
        .values()
        .flat_map(|group| group.field_mappings.values());
    let tables = mappings.flatten().map(FieldMapping::to_table);
    let paths = tables.flat_map(|table| [vec![table.paths], table.all].concat());
    let roots =
        paths
            .flatten()
            .filter_map(|written| match Path::parse(&written).ok()?.segments() {
                [Segment::Key(root), ..] => Some(root.to_string()),
                _ => None,
            });
    roots.collect()
});

/// What a plain key of a path hardly ever holds, and an expression does.
const ALWAYS: [&str; 9] = ["|", "||", "&&", "??", "==", "!=", "===", "=>", "?:"];
/// What is an operator beside a number or another path, and may be a part of a key elsewhere.
const ARITHMETIC: [&str; 10] = ["+", "-", "*", "/", "%", "<", ">", "=", "?", ":"];

const PLAIN: &str =
    "a path such as `properties.total`; a key that is really named so is written `[\"…\"]`";

/// What is wrong with a path, or perhaps is. `is_relative` if it begins at an item.
pub(super) fn check(written: &str, is_relative: bool, place: &str) -> Vec<Problem> {
    if let Some((problem, expected)) = expression(written) {
        return vec![Problem::new(
            place,
            format!("holds a path that {problem}"),
            expected,
        )];
    }
    let Ok(path) = Path::parse(written) else {
        return Vec::new();
    };
    let mut segments = path.segments().iter();
    let Some(Segment::Key(root)) = segments.next() else {
        return Vec::new();
    };
    let goes_on = segments.next().is_some();
    let note = if is_relative {
        begins_at_the_event(root, goes_on)
    } else {
        unknown_root(root, goes_on)
    };
    let note = note.map(|(problem, expected)| Problem::note(place, problem, expected));
    note.into_iter().collect()
}

type Finding = (String, &'static str);

fn begins_at_the_event(root: &str, goes_on: bool) -> Option<Finding> {
    let is_of_event = goes_on && ["properties", "context", "traits"].contains(&root);
    is_of_event.then(|| {
        let problem =
            format!("holds a path that begins with `{root}`, and is looked for in each item");
        (problem, "a path that begins at the item, such as `price`")
    })
}

fn unknown_root(root: &str, goes_on: bool) -> Option<Finding> {
    if OBJECTS.contains(&root) {
        return None;
    }
    if VALUES.contains(&root) {
        return goes_on.then(|| {
            let problem = format!("holds a path below `{root}`, which is one value in an event");
            (
                problem,
                "a path that begins with `properties`, `context` or `traits`",
            )
        });
    }
    if SHIPPED.contains(root) {
        return None;
    }
    let hint = nearest(root, OBJECTS.into_iter().chain(VALUES))
        .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    let problem = format!("holds a path that begins with no usual key of an event{hint}");
    Some((
        problem,
        "a path that begins with `properties`, `context`, `traits` or another key of the event",
    ))
}

/// How a path is an expression of another language, if it is. Keys in `["…"]` can hold anything.
fn expression(written: &str) -> Option<(&'static str, &'static str)> {
    let plain = without_quoted_keys(written);
    let text = plain.trim();
    let is_quoted = ['"', '\'', '`']
        .into_iter()
        .any(|quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote));
    if is_quoted {
        return Some((
            "is in quotation marks",
            "the path without them: `properties.total`",
        ));
    }
    if text.contains(['{', '}']) || text.contains("<%") {
        return Some(("is a template", "the path alone: `properties.order_id`"));
    }
    if ["$", "@"].iter().any(|root| {
        let rest = text.strip_prefix(root);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }) {
        let expected = "the path without it: `properties.total`";
        return Some(("begins with the root sign of JSONPath", expected));
    }
    if text.starts_with("#/") || (text.starts_with('/') && text[1..].contains('/')) {
        return Some((
            "is a JSON pointer",
            "dots between the keys: `properties.total`",
        ));
    }
    if has_wildcard(text) {
        let expected =
            "an index such as `[0]`; lists of items are read by `custom_data.contents[]`";
        return Some(("has a wildcard, a range or an index from the end", expected));
    }
    if text.contains("?.") {
        return Some((
            "has a `?`",
            "the path without it; an absent key is no error",
        ));
    }
    if calls_a_function(text) {
        return Some(("calls a function", PLAIN));
    }
    if lists_paths(text) {
        return Some((
            "is several paths",
            "a list of paths, tried in order: `[properties.total, properties.value]`",
        ));
    }
    has_operator(text).then_some(("has an operator", PLAIN))
}

/// A path with `["…"]` taken out.
fn without_quoted_keys(written: &str) -> String {
    let mut plain = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((before, inside)) = rest.split_once("[\"") {
        plain.push_str(before);
        match inside.split_once("\"]") {
            Some((_, after)) => rest = after,
            None => rest = inside,
        }
    }
    plain.push_str(rest);
    plain
}

fn has_wildcard(text: &str) -> bool {
    let mut brackets = text.split('[').skip(1);
    let in_brackets = brackets.any(|inside| {
        let inside = inside.split(']').next().unwrap_or_default().trim();
        inside.is_empty() || inside.starts_with(['*', '?', '-', ':', '@']) || inside.contains(':')
    });
    in_brackets
        || text
            .split(['.', '['])
            .any(|step| matches!(step, "*" | "**"))
}

/// Whether a text is a name with a bracket behind it that holds a path, or nothing.
fn calls_a_function(text: &str) -> bool {
    if text.ends_with("()") {
        return true;
    }
    let Some((name, inside)) = text.split_once('(') else {
        return false;
    };
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name && begins_a_path(inside.trim_start())
}

/// Whether a text begins like the path of a usual event.
fn begins_a_path(text: &str) -> bool {
    OBJECTS.iter().any(|root| {
        let rest = text.strip_prefix(root);
        rest.is_some_and(|rest| rest.starts_with(['.', '[']))
    })
}

fn lists_paths(text: &str) -> bool {
    let mut parts = text.split([',', ';']).skip(1);
    parts.any(|part| begins_a_path(part.trim_start()))
}

fn has_operator(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_operand = |word: &str| is_number(word) || begins_a_path(word);
    let between = words.windows(3).any(|words| {
        let [left, operator, right] = words else {
            return false;
        };
        ALWAYS.contains(operator)
            || (ARITHMETIC.contains(operator) && (is_operand(right) || is_number(left)))
    });
    let is_sign = |c: char| "+-*/%|<>=&".contains(c);
    let mut behind = text
        .match_indices(is_sign)
        .map(|(at, sign)| (sign, text[at + 1..].trim_start()));
    let attached = behind.any(|(sign, rest)| {
        // A hyphen and a plus before a number are parts of many names.
        begins_a_path(rest) || ("*/%".contains(sign) && is_number(rest))
    });
    between || attached || text.contains("||") || text.contains("&&") || text.contains("??")
}

fn is_number(text: &str) -> bool {
    let mut digits = text.bytes();
    digits.next().is_some_and(|b| b.is_ascii_digit())
        && digits.all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_another_language_is_an_error_that_says_which() {
        for (written, problem) in [
            ("properties.total / 100", "has an operator"),
            ("properties.total/100", "has an operator"),
            ("properties.total * properties.rate", "has an operator"),
            ("properties.total-properties.tax", "has an operator"),
            ("100 * properties.total", "has an operator"),
            ("properties.total || properties.value", "has an operator"),
            ("properties.total ?? 0", "has an operator"),
            ("properties.total | upcase", "has an operator"),
            ("properties.status == paid", "has an operator"),
            ("{{ properties.order_id }}", "is a template"),
            ("shop_{sku}", "is a template"),
            ("<%= total %>", "is a template"),
            (
                "$.properties.total",
                "begins with the root sign of JSONPath",
            ),
            ("$['properties']", "begins with the root sign of JSONPath"),
            ("@.total", "begins with the root sign of JSONPath"),
            ("/properties/total", "is a JSON pointer"),
            ("#/properties", "is a JSON pointer"),
            (
                "props[*]",
                "has a wildcard, a range or an index from the end",
            ),
            (
                "properties.items[].price",
                "has a wildcard, a range or an index from the end",
            ),
            (
                "properties.items[-1]",
                "has a wildcard, a range or an index from the end",
            ),
            (
                "properties.items[0:2]",
                "has a wildcard, a range or an index from the end",
            ),
            (
                "properties.*.price",
                "has a wildcard, a range or an index from the end",
            ),
            ("properties?.total", "has a `?`"),
            ("round(properties.total)", "calls a function"),
            ("properties.items.length()", "calls a function"),
            ("properties.total, properties.value", "is several paths"),
            ("'properties.total'", "is in quotation marks"),
        ] {
            let found = check(written, false, "here");
            assert_eq!(found.len(), 1, "{written} {found:?}");
            assert!(found[0].is_error(), "{written}");
            assert_eq!(
                found[0].problem,
                format!("holds a path that {problem}"),
                "{written}"
            );
        }
    }

    #[test]
    fn a_path_that_a_plain_key_makes_look_odd_is_good() {
        for written in [
            "properties.total",
            "properties.Order Total",
            "properties.Terms & Conditions",
            "properties.Total (EUR)",
            "properties.Brand / Model",
            "properties.Price - Net",
            "properties.Are you sure?",
            "properties.$email",
            "properties.utm-1",
            "properties.a+b",
            "properties[\"total / 100\"]",
            "properties[\"{{ x }}\"][0].price",
            "context[\"a || b\"]",
            "vendorIds.fbp",
            "userId",
            "custom_data.value",
            "_metadata.x",
            "properties.items[12].price",
        ] {
            assert_eq!(check(written, false, "here"), [], "{written}");
        }
    }

    #[test]
    fn a_path_that_begins_nowhere_is_noted() {
        for (written, is_relative, part) in [
            ("props.total", false, "did you mean `properties`?"),
            ("Properties.total", false, "did you mean `properties`?"),
            ("contxt.ip", false, "did you mean `context`?"),
            ("order.total", false, "no usual key of an event"),
            (
                "event.properties.total",
                false,
                "below `event`, which is one value",
            ),
            ("properties.price", true, "is looked for in each item"),
        ] {
            let found = check(written, is_relative, "here");
            assert_eq!(found.len(), 1, "{written}");
            assert!(
                !found[0].is_error() && found[0].problem.contains(part),
                "{found:?}"
            );
        }
        for written in ["price", "order.total", "properties"] {
            assert_eq!(check(written, true, "here"), [], "{written}");
        }
    }
}
