//! How one event was mapped, for people: where each field came from and by which rule, and why others are absent.
//!
//! Invariants: an explanation holds paths, rules and reasons, never a value; and it tells of the event as it was written in
//! the end, so a value that was taken back is left out, not sent.

use super::browser_ids::MADE_FBP;
use super::trace::Trace;
use crate::match_coverage::MADE_BROWSER_ID;
use crate::omitted::Omitted;
use crate::payload::strength::Identifier;
use pipeline_core::{Explanation, Field, FieldFate};
use std::collections::HashMap;
use std::sync::Arc;

/// How many values of one field are named when they are left out; further ones are counted.
const MAX_OCCURRENCES: usize = 50;

/// Collects everything that mapping reports.
#[derive(Debug, Default)]
pub(crate) struct Explainer {
    source_event: Option<Arc<str>>,
    sent: ByName<Sent>,
    unsent: ByName<Unsent>,
}

/// How a field was written; without a path, it was not.
#[derive(Debug, Default)]
struct Sent {
    from: Vec<String>,
    rule: String,
}

/// What is known of a field's values that were not written.
#[derive(Debug, Default)]
struct Unsent {
    omitted: Vec<(String, Omitted)>,
    /// Values beyond those.
    not_listed: usize,
    /// Where it was looked for, if it was not found.
    looked_in: Option<Vec<String>>,
}

/// What is known of each field, in the order in which they came.
#[derive(Debug, Default)]
struct ByName<V> {
    entries: Vec<(String, V)>,
    places: HashMap<String, usize>,
}

impl<V: Default> ByName<V> {
    fn get(&self, name: &str) -> Option<&V> {
        let entry = self.entries.get(*self.places.get(name)?)?;
        Some(&entry.1)
    }

    /// What is known of a field, from which it is removed.
    fn take(&mut self, name: &str) -> Option<V> {
        let entry = self.entries.get_mut(*self.places.get(name)?)?;
        Some(std::mem::take(&mut entry.1))
    }

    fn entry(&mut self, name: String) -> &mut V {
        let place = self.places.get(&name).copied().unwrap_or_else(|| {
            self.places.insert(name.clone(), self.entries.len());
            self.entries.push((name, V::default()));
            self.entries.len() - 1
        });
        &mut self.entries[place].1
    }
}

impl Explainer {
    /// The event's own name, if it has one that can be shown.
    pub(crate) fn source_event(&self) -> Option<Arc<str>> {
        self.source_event.clone()
    }

    /// The explanation; with identifiers if the event got as far as being written.
    pub(crate) fn into_explanation(self) -> Explanation {
        let identifiers = (!self.sent.entries.is_empty()).then(|| self.identifiers());
        let sent = self.sent.entries.into_iter();
        let sent = sent.filter(|(_, sent)| sent.is_written());
        let sent = sent
            .map(|(name, Sent { from, rule })| Field::new(name, FieldFate::Sent { from, rule }));
        let unsent = self.unsent.entries.into_iter();
        let unsent = unsent.flat_map(|(name, unsent)| {
            let fates = unsent.into_fates().into_iter();
            fates.map(move |fate| Field::new(name.clone(), fate))
        });
        let explanation = Explanation::new(sent.chain(unsent).collect());
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
            let sent = self.sent.get(parameter.name);
            if let Some(sent) = sent.filter(|sent| sent.is_written()) {
                let is_made = sent.rule == MADE_FBP;
                let key = if is_made {
                    MADE_BROWSER_ID
                } else {
                    parameter.key
                };
                carried.push((key.to_owned(), strength.into()));
            } else if identifier.can_be_missed() && identifier.strength.is_strong() {
                let unsent = self.unsent.get(parameter.name);
                let looked_in = unsent.and_then(|unsent| unsent.looked_in.clone());
                let looked_in = looked_in.unwrap_or_default();
                absent.push((parameter.key.to_owned(), strength.into(), looked_in));
            }
        }
        pipeline_core::Identifiers::new(carried, absent)
    }
}

impl Sent {
    fn is_written(&self) -> bool {
        !self.from.is_empty()
    }
}

impl Unsent {
    /// Adds a value, unless it is known: some values are read more than once.
    fn add(&mut self, from: String, why: Omitted) {
        let is_known = |(known, because): &(String, Omitted)| *known == from && *because == why;
        if self.omitted.iter().any(is_known) {
            return;
        }
        if self.omitted.len() < MAX_OCCURRENCES {
            self.omitted.push((from, why));
        } else {
            self.not_listed = self.not_listed.saturating_add(1);
        }
    }

    /// Each value that was left out, the first one that was tried first; without a value, the places that were searched.
    fn into_fates(self) -> Vec<FieldFate> {
        let omitted = self.omitted.into_iter();
        let mut fates: Vec<_> = omitted
            .map(|(from, why)| FieldFate::Omitted {
                from,
                code: why.code().into(),
                detail: why.detail().into(),
            })
            .collect();
        if self.not_listed > 0 {
            fates.push(FieldFate::NotListed {
                values: self.not_listed,
            });
        }
        if fates.is_empty() {
            let absent = self
                .looked_in
                .map(|looked_in| FieldFate::Absent { looked_in });
            fates.extend(absent);
        }
        fates
    }
}

impl Trace for Explainer {
    const WANTS_ABSENT: bool = true;

    fn named(&mut self, name: impl FnOnce() -> Option<Arc<str>>) {
        self.source_event = name();
    }

    fn sent(&mut self, field: impl FnOnce() -> String, from: impl FnOnce() -> String, rule: &str) {
        let (sent, from) = (self.sent.entry(field()), from());
        let is_again = sent.from.len() == 1 && sent.from[0] == from;
        if is_again || !sent.is_written() {
            rule.clone_into(&mut sent.rule);
        }
        // One field from several values: all their paths.
        if !is_again {
            sent.from.push(from);
        }
    }

    fn omitted(
        &mut self,
        field: impl FnOnce() -> String,
        from: impl FnOnce() -> String,
        why: Omitted,
    ) {
        self.unsent.entry(field()).add(from(), why);
    }

    fn taken_back(&mut self, field: impl FnOnce() -> String, why: Omitted) {
        let field = field();
        let Some(sent) = self.sent.take(&field) else {
            return;
        };
        let unsent = self.unsent.entry(field);
        for from in sent.from {
            unsent.add(from, why);
        }
    }

    fn forgotten(&mut self, field: impl FnOnce() -> String) {
        self.sent.take(&field());
    }

    fn absent(&mut self, field: impl FnOnce() -> String, looked_in: impl FnOnce() -> Vec<String>) {
        self.unsent.entry(field()).looked_in = Some(looked_in());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn left_out(explainer: Explainer) -> Value {
        explainer.into_explanation().to_json()["left_out"].take()
    }

    fn omit(explainer: &mut Explainer, from: &str) {
        explainer.omitted(|| "em".to_owned(), || from.to_owned(), Omitted::Blank);
    }

    #[test]
    fn every_value_that_is_left_out_is_named_once_and_the_last_of_very_many_are_counted() {
        let mut explainer = Explainer::default();
        for value in 0..MAX_OCCURRENCES + 3 {
            omit(&mut explainer, &format!("traits.email[{value}]"));
        }
        omit(&mut explainer, "traits.email[7]");
        let told = &left_out(explainer)["em"];
        let more = told["more"].as_array().expect("a list");
        assert_eq!(told["from"], "traits.email[0]");
        assert_eq!(more.len(), MAX_OCCURRENCES - 1);
        assert_eq!(more[48]["from"], "traits.email[49]");
        assert_eq!(told["not_listed"], 3);
    }

    #[test]
    fn a_value_that_is_taken_back_is_left_out_with_every_path_it_came_from() {
        let mut explainer = Explainer::default();
        for from in ["a", "b"] {
            explainer.sent(|| "value".to_owned(), || from.to_owned(), "as it is");
        }
        explainer.taken_back(|| "value".to_owned(), Omitted::NoCurrency);
        explainer.taken_back(|| "other".to_owned(), Omitted::NoCurrency);
        let told = explainer.into_explanation().to_json();
        assert_eq!(told["sent"], json!({}));
        assert_eq!(told["left_out"]["value"]["from"], "a");
        assert_eq!(told["left_out"]["value"]["more"][0]["from"], "b");
        assert_eq!(told["left_out"].get("other"), None);
    }

    #[test]
    fn a_field_that_is_written_again_after_it_was_forgotten_is_sent_by_its_new_rule() {
        let mut explainer = Explainer::default();
        let field = || "id".to_owned();
        explainer.sent(field, || "a".to_owned(), "first");
        explainer.forgotten(field);
        explainer.forgotten(|| "unknown".to_owned());
        explainer.sent(field, || "b".to_owned(), "second");
        assert_eq!(
            explainer.into_explanation().to_json()["sent"],
            json!({"id": {"from": "b", "rule": "second"}})
        );
    }

    #[test]
    fn a_field_without_a_usable_value_is_told_with_the_values_that_were_given() {
        let mut explainer = Explainer::default();
        let looked_in = || vec!["traits.email".to_owned()];
        explainer.absent(|| "em".to_owned(), looked_in);
        omit(&mut explainer, "traits.email");
        explainer.absent(|| "ph".to_owned(), looked_in);
        let told = left_out(explainer);
        assert_eq!(told["em"]["why"], "blank");
        assert_eq!(
            told["ph"],
            json!({"why": "not_given", "looked_in": ["traits.email"]})
        );
    }
}
