//! One sink of a YAML text is edited; everything else stays as it is, byte for byte.
//!
//! In: a text, and the value trees that it has and is to have. Out: the edited text, or nothing where that cannot be done.
//!
//! The library that edits is not trusted: its result is taken only where it leaves every byte outside of the sink, and every
//! comment that is on a line of its own, unless something was taken away. Whether it is read as the wanted tree is for the caller to check.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr as _;
use yaml_edit::{Document, Mapping, ScalarValue, Sequence, YamlNode, YamlValue};

/// The text with the sink as `new` has it.
pub(super) fn edit(text: &str, sink: &str, old: &Value, new: &Value) -> Option<String> {
    let document = Document::from_str(text).ok()?;
    let sinks = document.as_mapping()?.get_mapping("sinks")?;
    let (before, after) = (&old["sinks"][sink], &new["sinks"][sink]);
    let place = sinks.get(sink).map(|node| range_of(&node));
    let is_shorter = match (before.as_object(), sinks.get_mapping(sink)) {
        (Some(before), Some(mapping)) => edit_mapping(&mapping, before, after.as_object()?)?,
        (None, None) => {
            set(&sinks, sink, after)?;
            false
        }
        // An alias, or a value of another form.
        _ => return None,
    };
    let edited = document.to_string();
    let is_within = is_within(text, &edited, place);
    (is_within && (is_shorter || keeps_comments(text, &edited))).then_some(edited)
}

/// Edits what differs; says whether something was taken away.
fn edit_mapping(
    mapping: &Mapping,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Option<bool> {
    let mut is_shorter = false;
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        mapping.remove(key.as_str())?;
        is_shorter = true;
    }
    for (key, value) in new {
        let before = old.get(key);
        if before == Some(value) {
            continue;
        }
        match (before, value) {
            (Some(Value::Object(before)), Value::Object(after)) => {
                is_shorter |= edit_mapping(&mapping.get_mapping(key.as_str())?, before, after)?;
            }
            (Some(Value::Array(before)), Value::Array(after)) => {
                is_shorter |= edit_sequence(&mapping.get_sequence(key.as_str())?, before, after)?;
            }
            (before, _) => {
                is_shorter |= before.is_some_and(|it| it.is_object() || it.is_array());
                set(mapping, key, value)?;
            }
        }
    }
    Some(is_shorter)
}

fn edit_sequence(sequence: &Sequence, old: &[Value], new: &[Value]) -> Option<bool> {
    for index in (new.len()..old.len()).rev() {
        sequence.remove(index)?;
    }
    let mut is_shorter = new.len() < old.len();
    for (index, (before, after)) in old.iter().zip(new).enumerate() {
        match (before, after) {
            _ if before == after => {}
            (Value::Object(before), Value::Object(after)) => {
                let node = sequence.get(index)?;
                is_shorter |= edit_mapping(node.as_mapping()?, before, after)?;
            }
            (_, Value::String(text)) => {
                is_shorter |= before.is_object() || before.is_array();
                sequence.set(index, scalar(text)).then_some(())?;
            }
            _ => {
                is_shorter |= before.is_object() || before.is_array();
                sequence.set(index, node(after)?).then_some(())?;
            }
        }
    }
    for value in new.iter().skip(old.len()) {
        match value {
            Value::String(text) => sequence.push(scalar(text)),
            value => sequence.push(node(value)?),
        }
    }
    Some(is_shorter)
}

fn set(mapping: &Mapping, key: &str, value: &Value) -> Option<()> {
    match value {
        Value::String(text) => mapping.set(key, scalar(text)),
        value => mapping.set(key, node(value)?),
    }
    Some(())
}

fn scalar(text: &str) -> YamlValue {
    YamlValue::scalar(ScalarValue::string(text))
}

/// A value that is no text, as JSON spells it, which is YAML too.
fn node(value: &Value) -> Option<YamlNode> {
    let document = Document::from_str(&format!("v: {value}")).ok()?;
    document.get("v")
}

fn range_of(node: &YamlNode) -> Range<usize> {
    let range = node.byte_range();
    range.start as usize..range.end as usize
}

/// Whether a text was changed within this part only; without a part, whether something was only added.
fn is_within(old: &str, new: &str, part: Option<Range<usize>>) -> bool {
    let (a, b) = (old.as_bytes(), new.as_bytes());
    let first = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let most = a.len().min(b.len()) - first;
    let last = a.iter().rev().zip(b.iter().rev());
    let last = a.len() - last.take_while(|(a, b)| a == b).count().min(most);
    if first >= last {
        return true;
    }
    let Some(part) = part else {
        return false;
    };
    // Empty lines behind it belong to nothing.
    let is_empty = |range: Range<usize>| old.get(range).is_some_and(|it| it.trim().is_empty());
    (first >= part.start || is_empty(first..part.start))
        && (last <= part.end || is_empty(part.end..last))
}

/// Whether every comment that is on a line of its own is still there.
fn keeps_comments(old: &str, new: &str) -> bool {
    let count = |text: &str| {
        let mut comments: BTreeMap<String, usize> = BTreeMap::new();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| line.starts_with('#')) {
            *comments.entry(line.to_owned()).or_default() += 1;
        }
        comments
    };
    let kept = count(new);
    let comments = count(old);
    comments
        .iter()
        .all(|(comment, times)| kept.get(comment).is_some_and(|kept| kept >= times))
}
