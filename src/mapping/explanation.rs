//! How one event was mapped, for people: where each field came from and by which rule, and why others are absent.
//!
//! Invariant: an explanation holds paths, rules and reasons, never a value.

use super::trace::Trace;
use crate::omitted::Omitted;
use crate::payload::strength::Identifier;
use pipeline_core::{Explanation, Field, FieldFate};
use std::collections::BTreeMap;

/// Collects everything that mapping reports.
#[derive(Debug, Default)]
pub(crate) struct Explainer {
    sent: Vec<(String, Vec<String>, String)>,
    unsent: Vec<Field>,
    looked_in: BTreeMap<String, Vec<String>>,
}

impl Explainer {
    /// The explanation; with identifiers if the event got as far as being written.
    pub(crate) fn into_explanation(self) -> Explanation {
        let identifiers = (!self.sent.is_empty()).then(|| self.identifiers());
        let sent = self
            .sent
            .into_iter()
            .map(|(name, from, rule)| Field::new(name, FieldFate::Sent { from, rule }));
        let explanation = Explanation::new(sent.chain(self.unsent).collect());
        match identifiers {
            Some(identifiers) => explanation.with_identifiers(identifiers),
            None => explanation,
        }
    }

    /// Which identifiers the event carries, each with its strength, and which strong ones it lacks.
    fn identifiers(&self) -> pipeline_core::Identifiers {
        let (mut carried, mut absent) = (Vec::new(), Vec::new());
        for identifier in Identifier::all() {
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

    fn is_omitted(&self, field: &str) -> bool {
        self.unsent.iter().any(|known| known.name == field)
    }
}

impl Trace for Explainer {
    const WANTS_ABSENT: bool = true;

    fn sent(&mut self, field: impl FnOnce() -> String, from: impl FnOnce() -> String, rule: &str) {
        let (field, from) = (field(), from());
        match self.sent.iter_mut().find(|(name, ..)| *name == field) {
            // One field from several values: all their paths.
            Some((_, paths, _)) if paths.len() > 1 || paths[0] != from => paths.push(from),
            Some((_, _, known)) => rule.clone_into(known),
            None => self.sent.push((field, vec![from], rule.to_owned())),
        }
    }

    fn omitted(
        &mut self,
        field: impl FnOnce() -> String,
        from: impl FnOnce() -> String,
        why: Omitted,
    ) {
        let name = field();
        // Of several values of a field, the first one that was tried is the most informative.
        if !self.is_omitted(&name) {
            let fate = FieldFate::Omitted {
                from: from(),
                code: why.code().into(),
                detail: why.detail().into(),
            };
            self.unsent.push(Field::new(name, fate));
        }
    }

    fn absent(&mut self, field: impl FnOnce() -> String, looked_in: impl FnOnce() -> Vec<String>) {
        let (name, looked_in) = (field(), looked_in());
        if !self.is_omitted(&name) {
            let looked_in = looked_in.clone();
            let fate = FieldFate::Absent { looked_in };
            self.unsent.push(Field::new(name.clone(), fate));
        }
        self.looked_in.insert(name, looked_in);
    }
}
