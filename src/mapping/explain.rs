//! The story of an event's fields: where each came from and by which rule, and why others are absent.
//!
//! Mapping tells its story to a [`Trace`]. On the hot path that is a tally ([`crate::quality`]), for which all but one of
//! its calls compile to nothing; for people it is a [`Story`]. Invariant: a story holds paths, rules and reasons, never a value.

use super::value::LeftOut;
use crate::quality;
use crate::validate::Identifiers;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Listens to a mapping at work. Whoever wants to hear only some of it leaves the rest out.
pub(crate) trait Trace {
    /// Whether it is to hear of parameters that have no value.
    const HEARS_OF_ABSENT: bool = false;

    /// A field was written.
    #[inline]
    fn sent(&mut self, _: impl FnOnce() -> String, _: impl FnOnce() -> String, _rule: &str) {}
    /// A value was there and could not be used.
    #[inline]
    fn left_out(&mut self, _: impl FnOnce() -> String, _: impl FnOnce() -> String, _: LeftOut) {}
    /// No value was there, or none that could be used; the paths where it was looked for.
    #[inline]
    fn absent(&mut self, _: impl FnOnce() -> String, _looked_in: impl FnOnce() -> Vec<String>) {}
    /// The event goes out with these identifiers.
    #[inline]
    fn passed(&mut self, _: Identifiers) {}
}

/// Keeps everything.
#[derive(Debug, Default)]
pub(crate) struct Story {
    sent: Map<String, Value>,
    left_out: Map<String, Value>,
    looked_in: BTreeMap<String, Vec<String>>,
}

impl Story {
    /// The story as JSON: `{"sent": {field: {from, rule}}, "left_out": {field: {why, …}}, "identifiers": {…}}`; the
    /// last where the event came as far as being written.
    pub(crate) fn into_json(self) -> Value {
        let identifiers = (!self.sent.is_empty()).then(|| self.identifiers());
        let mut story = json!({ "sent": self.sent, "left_out": self.left_out });
        if let Some(identifiers) = identifiers {
            story["identifiers"] = identifiers;
        }
        story
    }

    /// Which identifiers the event carries, each with its strength, and which strong ones it lacks.
    fn identifiers(&self) -> Value {
        let (mut carried, mut absent) = (Map::new(), Map::new());
        for identifier in quality::identifiers() {
            let parameter = identifier.parameter();
            let strength = identifier.strength.word();
            if self.sent.contains_key(parameter.name) {
                carried.insert(parameter.key.to_owned(), strength.into());
            } else if identifier.can_be_missed() && identifier.strength.is_strong() {
                let looked_in = self.looked_in.get(parameter.name);
                let told = json!({ "strength": strength, "looked_in": looked_in.map_or(&[][..], Vec::as_slice) });
                absent.insert(parameter.key.to_owned(), told);
            }
        }
        json!({ "carried": carried, "absent": absent })
    }
}

impl Trace for Story {
    const HEARS_OF_ABSENT: bool = true;

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
        let (field, looked_in) = (field(), looked_in());
        if !self.left_out.contains_key(&field) {
            self.left_out.insert(
                field.clone(),
                json!({ "why": "not_given", "looked_in": looked_in }),
            );
        }
        self.looked_in.insert(field, looked_in);
    }
}
