//! The story of an event's fields: where each came from and by which rule, and why others are absent.
//!
//! Mapping tells its story to a [`Trace`]. On the hot path that is a tally ([`crate::quality`]), for which all but one of
//! its calls compile to nothing; for people it is a [`Story`]. Invariant: a story holds paths, rules and reasons, never a value.

use super::value::LeftOut;
use crate::quality;
use crate::validate::Identifiers;
use pipeline_core::{Explanation, Field, FieldFate};
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
    sent: Vec<(String, Vec<String>, String)>,
    left_out: Vec<Field>,
    looked_in: BTreeMap<String, Vec<String>>,
}

impl Story {
    /// The story as an explanation; with identifiers where the event came as far as being written.
    pub(crate) fn into_explanation(self) -> Explanation {
        let identifiers = (!self.sent.is_empty()).then(|| self.identifiers());
        let sent = self
            .sent
            .into_iter()
            .map(|(name, from, rule)| Field::new(name, FieldFate::Sent { from, rule }));
        let explanation = Explanation::new(sent.chain(self.left_out).collect());
        match identifiers {
            Some(identifiers) => explanation.with_identifiers(identifiers),
            None => explanation,
        }
    }

    /// Which identifiers the event carries, each with its strength, and which strong ones it lacks.
    fn identifiers(&self) -> pipeline_core::Identifiers {
        let (mut carried, mut absent) = (Vec::new(), Vec::new());
        for identifier in quality::identifiers() {
            let parameter = identifier.parameter();
            let strength = identifier.strength.word();
            if self.sent.iter().any(|(name, ..)| name == parameter.name) {
                carried.push((parameter.key.to_owned(), strength.into()));
            } else if identifier.can_be_missed() && identifier.strength.is_strong() {
                let looked_in = self.looked_in.get(parameter.name);
                let looked_in = looked_in.cloned().unwrap_or_default();
                absent.push((parameter.key.to_owned(), strength.into(), looked_in));
            }
        }
        pipeline_core::Identifiers::new(carried, absent)
    }

    fn is_left_out(&self, field: &str) -> bool {
        self.left_out.iter().any(|told| told.name == field)
    }
}

impl Trace for Story {
    const HEARS_OF_ABSENT: bool = true;

    fn sent(&mut self, field: impl FnOnce() -> String, from: impl FnOnce() -> String, rule: &str) {
        let (field, from) = (field(), from());
        match self.sent.iter_mut().find(|(name, ..)| *name == field) {
            // One field from several values: all their paths.
            Some((_, paths, _)) if paths.len() > 1 || paths[0] != from => paths.push(from),
            Some(_) => {}
            None => self.sent.push((field, vec![from], rule.to_owned())),
        }
    }

    fn left_out(
        &mut self,
        field: impl FnOnce() -> String,
        from: impl FnOnce() -> String,
        why: LeftOut,
    ) {
        let name = field();
        // Of several values of a field, the one that was looked for first says most.
        if !self.is_left_out(&name) {
            let fate = FieldFate::Omitted {
                from: from(),
                code: why.code.into(),
                detail: why.sentence.into(),
            };
            self.left_out.push(Field::new(name, fate));
        }
    }

    fn absent(&mut self, field: impl FnOnce() -> String, looked_in: impl FnOnce() -> Vec<String>) {
        let (name, looked_in) = (field(), looked_in());
        if !self.is_left_out(&name) {
            let looked_in = looked_in.clone();
            let fate = FieldFate::Absent { looked_in };
            self.left_out.push(Field::new(name.clone(), fate));
        }
        self.looked_in.insert(name, looked_in);
    }
}
