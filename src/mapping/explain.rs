//! The story of an event's fields: where each came from and by which rule, and why others are absent.
//!
//! Mapping tells its story to a [`Trace`]. On the hot path that is [`Silent`], which compiles to nothing; for people it
//! is a [`Story`]. Invariant: a story holds paths, rules and reasons, never a value.

use super::value::LeftOut;
use serde_json::{Map, Value, json};

/// Listens to a mapping at work.
pub(crate) trait Trace {
    /// A field was written.
    fn sent(&mut self, field: impl FnOnce() -> String, from: impl FnOnce() -> String, rule: &str);
    /// A value was there and could not be used.
    fn left_out(
        &mut self,
        field: impl FnOnce() -> String,
        from: impl FnOnce() -> String,
        why: LeftOut,
    );
    /// No value was there.
    fn absent(&mut self, field: impl FnOnce() -> String, looked_in: impl FnOnce() -> Vec<String>);
}

/// Listens to nothing.
#[derive(Debug)]
pub(crate) struct Silent;

impl Trace for Silent {
    #[inline]
    fn sent(&mut self, _: impl FnOnce() -> String, _: impl FnOnce() -> String, _: &str) {}
    #[inline]
    fn left_out(&mut self, _: impl FnOnce() -> String, _: impl FnOnce() -> String, _: LeftOut) {}
    #[inline]
    fn absent(&mut self, _: impl FnOnce() -> String, _: impl FnOnce() -> Vec<String>) {}
}

/// Keeps everything.
#[derive(Debug, Default)]
pub(crate) struct Story {
    sent: Map<String, Value>,
    left_out: Map<String, Value>,
}

impl Story {
    /// The story as JSON: `{"sent": {field: {from, rule}}, "left_out": {field: {why, …}}}`.
    pub(crate) fn into_json(self) -> Value {
        json!({ "sent": self.sent, "left_out": self.left_out })
    }
}

impl Trace for Story {
    fn sent(&mut self, field: impl FnOnce() -> String, from: impl FnOnce() -> String, rule: &str) {
        let field = field();
        let from = from();
        match self
            .sent
            .get_mut(&field)
            .and_then(|told| told.get_mut("from"))
        {
            // One field from several values: all their paths.
            Some(Value::Array(paths)) => paths.push(from.into()),
            Some(Value::String(first)) if *first != from => {
                let first = std::mem::take(first);
                self.sent
                    .insert(field, json!({ "from": [first, from], "rule": rule }));
            }
            Some(_) => {}
            None => {
                self.sent
                    .insert(field, json!({ "from": from, "rule": rule }));
            }
        }
    }

    fn left_out(
        &mut self,
        field: impl FnOnce() -> String,
        from: impl FnOnce() -> String,
        why: LeftOut,
    ) {
        // Of several values of a field, the one that was looked for first says most.
        self.left_out
            .entry(field())
            .or_insert_with(|| json!({ "from": from(), "why": why.code, "detail": why.sentence }));
    }

    fn absent(&mut self, field: impl FnOnce() -> String, looked_in: impl FnOnce() -> Vec<String>) {
        let field = field();
        if !self.left_out.contains_key(&field) {
            self.left_out.insert(
                field,
                json!({ "why": "not_given", "looked_in": looked_in() }),
            );
        }
    }
}
