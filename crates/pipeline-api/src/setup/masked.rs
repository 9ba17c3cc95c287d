//! The text of a pipeline file without its secrets, also those in comments.
//!
//! In: the text, its value tree, and the secrets of the tree. Out: the same text with the placeholder in the place of each; or nothing,
//! where that cannot be done faithfully.
//!
//! Invariant: every replacement is checked with the loader's own parser: the tree changes at secrets, to the placeholder, and
//! nowhere else.

use super::secrets::{PLACEHOLDER, Secret, Step, at, masked, tokens};
use serde_json::Value;

/// Replacements that are tried for one file; each costs one reading of it.
const MAX_TRIES: usize = 256;
/// A shorter secret may be a part of other words.
const MIN_WORD_BYTES: usize = 8;

/// Reads a text as the loader does; `None` where it cannot be read.
pub(crate) type Parse<'p> = &'p dyn Fn(&str) -> Option<Value>;

/// The text without its secrets.
pub(crate) fn text(
    text: &str,
    raw: &Value,
    secrets: &[Secret],
    parse: Parse<'_>,
) -> Option<String> {
    let shown = masked(raw, secrets);
    let mut masking = Masking {
        text: text.to_owned(),
        tree: raw.clone(),
        tries: 0,
        parse,
    };
    for secret in secrets.iter().filter(|secret| secret.variable.is_none()) {
        masking.hide(&secret.place, &shown)?;
    }
    if masking.tree != shown {
        return None;
    }
    for secret in secrets.iter().filter(|secret| secret.variable.is_none()) {
        let literal = literal(at(raw, &secret.place)?);
        masking.hide_copies(&literal)?;
    }
    masking.hide_tokens()
}

struct Masking<'p> {
    text: String,
    tree: Value,
    tries: usize,
    parse: Parse<'p>,
}

impl Masking<'_> {
    /// Hides the secret at this place, and others that are spelled in the same words.
    fn hide(&mut self, place: &[Step], shown: &Value) -> Option<()> {
        while at(&self.tree, place)? != PLACEHOLDER {
            let literal = literal(at(&self.tree, place)?);
            let mut from = 0;
            loop {
                let start = from + self.text[from..].find(&literal)?;
                from = start + literal.len();
                let (text, tree) = self.attempt(start, literal.len())?;
                if tree.is_some_and(|tree| self.accept(tree, shown)) {
                    self.text = text;
                    break;
                }
            }
        }
        Some(())
    }

    /// Takes a tree that differs from the last one only where it shows a placeholder that is wanted, and differs at all.
    fn accept(&mut self, tree: Value, shown: &Value) -> bool {
        let is_better = tree != self.tree && is_between(&self.tree, &tree, shown);
        if is_better {
            self.tree = tree;
        }
        is_better
    }

    /// The text with the placeholder in the place of these bytes, and its tree.
    fn attempt(&mut self, start: usize, len: usize) -> Option<(String, Option<Value>)> {
        self.tries += 1;
        if self.tries > MAX_TRIES {
            return None;
        }
        let mut text = self.text.clone();
        text.replace_range(start..start + len, PLACEHOLDER);
        let tree = (self.parse)(&text);
        Some((text, tree))
    }

    /// Hides a secret where it is in no value: in comments.
    fn hide_copies(&mut self, literal: &str) -> Option<()> {
        if literal.len() < MIN_WORD_BYTES {
            return Some(());
        }
        while let Some(start) = self.text.find(literal) {
            let (text, tree) = self.attempt(start, literal.len())?;
            if tree.as_ref() != Some(&self.tree) {
                return None;
            }
            self.text = text;
        }
        Some(())
    }

    /// Hides what looks like a token in a comment.
    fn hide_tokens(mut self) -> Option<String> {
        loop {
            let found = tokens(&self.text).next();
            let Some((start, len)) = found.map(|(start, word)| (start, word.len())) else {
                return Some(self.text);
            };
            let (text, tree) = self.attempt(start, len)?;
            if tree.as_ref() != Some(&self.tree) {
                return None;
            }
            self.text = text;
        }
    }
}

/// A scalar as a file spells it, usually.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether each difference between two trees is a placeholder that a third tree has too.
fn is_between(before: &Value, after: &Value, shown: &Value) -> bool {
    match (before, after) {
        _ if before == after => true,
        _ if after == PLACEHOLDER && shown == PLACEHOLDER => true,
        (Value::Object(old), Value::Object(new)) => {
            old.len() == new.len()
                && old.iter().zip(new).all(|((key, old), (other, new))| {
                    key == other && is_between(old, new, &shown[key.as_str()])
                })
        }
        (Value::Array(old), Value::Array(new)) => {
            let mut pairs = old.iter().zip(new).enumerate();
            old.len() == new.len()
                && pairs.all(|(index, (old, new))| is_between(old, new, &shown[index]))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::secrets::find;
    use serde_json::json;

    const TOKEN: &str = "EAABsbCS1iHgBO7ZCq4t1dZBZC2w";

    fn parse(text: &str) -> Option<Value> {
        serde_json::from_str(text).ok()
    }

    fn shown(written: &str) -> Option<String> {
        let schema = json!({"properties": {"token": {"writeOnly": true}}});
        let raw = parse(written).unwrap();
        text(written, &raw, &find(&schema, &raw), &parse)
    }

    #[test]
    fn a_secret_that_is_a_part_of_other_words_is_replaced_at_its_place_alone() {
        assert_eq!(
            shown("{\"token\": \"token\", \"a\": \"the token\"}").unwrap(),
            "{\"token\": \"(secret)\", \"a\": \"the token\"}"
        );
        // A number without quotes cannot be replaced by a text in JSON.
        assert_eq!(shown("{\"token\": 12, \"a\": 12}"), None);
    }

    #[test]
    fn a_secret_that_is_spelled_with_escapes_keeps_the_text_back() {
        assert_eq!(shown(r#"{"token": "s\u0065cret"}"#), None);
    }

    #[test]
    fn what_looks_like_a_token_is_hidden_wherever_it_is() {
        let written = format!("{{\"a\": \"{TOKEN}\", \"b\": [\"x {TOKEN}\"]}}");
        let shown = shown(&written).unwrap();
        assert!(!shown.contains(TOKEN), "{shown}");
    }
}
