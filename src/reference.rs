//! The reference: every parameter of a server event, its rule, and where each shipped preset takes it from, as data.
//!
//! In: the table of parameters, the presets and the field mappings that they share. Out: rows for a document or a user
//! interface. Invariant: it is made from the data that mapping itself uses, so that the two cannot differ.

use crate::field_mapping::{Derived, FieldTable};
use crate::mapping::layers::sources;
use crate::payload::rule::rule;
use crate::payload::strength::Strength;
use crate::payload::{Kind, PARAMETERS, Parameter, Section};
use crate::preset::{FIELDS, Preset, shipped};

/// In lists of events, represents every name that is not one of Meta's standard events.
const CUSTOM_EVENT: &str = "(custom)";

/// One parameter of a server event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterReference {
    /// As mappings name it: `user_data.em`, `custom_data.contents[].id`, `event_id`.
    pub name: &'static str,
    /// `event`, `user_data`, `app_data`, `extinfo`, `original_event_data`, `custom_data`, `store_data` or `contents`; `source`
    /// for values that other parameters are made from.
    pub section: &'static str,
    /// Its type and form, in words.
    pub rule: String,
    /// How strongly it helps to match people, as Meta publishes it. For `user_data` only.
    pub strength: Option<&'static str>,
    /// Where its value comes from; empty for a parameter that only the options set.
    pub sources: Vec<SourceReference>,
}

/// Where a parameter's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReference {
    /// Lists of paths; the first usable value of each list is sent.
    pub paths: Vec<Vec<String>>,
    /// What it is computed from when no path holds a usable value.
    pub fallback: Option<String>,
    /// The presets to which this applies; empty for all.
    pub presets: Vec<String>,
    /// Meta's events to which this applies; empty for all. `(custom)` means every name that is not Meta's.
    pub events: Vec<String>,
}

/// Every parameter, in the order of sending.
pub fn reference() -> Vec<ParameterReference> {
    let row = |parameter: &'static Parameter| ParameterReference {
        name: parameter.name,
        section: match parameter.section {
            Section::Source => "source",
            Section::Event => "event",
            Section::UserData => "user_data",
            Section::AppData => "app_data",
            Section::ExtInfo => "extinfo",
            Section::OriginalEventData => "original_event_data",
            Section::CustomData => "custom_data",
            Section::StoreData => "store_data",
            Section::Contents => "contents",
        },
        rule: match parameter.kind {
            Kind::OneOf(values) => format!("one of {}", values.join(", ")),
            Kind::TextUpTo(chars) => format!("text, cut after {chars} characters"),
            kind => rule(kind).to_owned(),
        },
        strength: (parameter.section == Section::UserData)
            .then(|| Strength::of(parameter.key).word()),
        sources: sources_of(parameter.name),
    };
    PARAMETERS.iter().map(row).collect()
}

/// The sources of one parameter: presets that take it from the same places for the same events share a row.
fn sources_of(parameter: &str) -> Vec<SourceReference> {
    let events: Vec<_> = FIELDS.standard_events.keys().map(String::as_str).collect();
    let events = [&events[..], &[CUSTOM_EVENT]].concat();
    let mut rows: Vec<SourceReference> = Vec::new();
    for preset in shipped() {
        for mut row in of_preset(preset, parameter, &events) {
            if row.events.len() == events.len() {
                row.events.clear();
            }
            let same = rows.iter_mut().find(|known| {
                (&known.paths, &known.fallback, &known.events)
                    == (&row.paths, &row.fallback, &row.events)
            });
            match same {
                Some(known) => known.presets.push(preset.name.clone()),
                None => rows.push(row),
            }
        }
    }
    for row in &mut rows {
        if row.presets.len() == shipped().len() {
            row.presets.clear();
        }
    }
    rows
}

/// The sources of one parameter in one preset, each with its events.
fn of_preset(preset: &Preset, parameter: &str, events: &[&str]) -> Vec<SourceReference> {
    let mut rows: Vec<SourceReference> = Vec::new();
    for event in events {
        let Some(table) = sources(preset, event).remove(parameter) else {
            continue;
        };
        let fallback = fallback(&table);
        let groups = std::iter::once(table.paths).chain(table.all);
        let paths: Vec<_> = groups.filter(|group| !group.is_empty()).collect();
        let mut known = rows.iter_mut();
        match known.find(|row| row.paths == paths && row.fallback == fallback) {
            Some(row) => row.events.push((*event).to_owned()),
            None => rows.push(SourceReference {
                paths,
                fallback,
                presets: vec![preset.name.clone()],
                events: vec![(*event).to_owned()],
            }),
        }
    }
    rows
}

fn fallback(table: &FieldTable) -> Option<String> {
    if let Some(own) = &table.own {
        return Some(format!(
            "the event's own item in `{}`, where it has one of `{}`",
            own.path,
            own.requires.join("`, `")
        ));
    }
    if let Some(constant) = table.value.as_ref().or(table.default.as_ref()) {
        return Some(format!("`{constant}`"));
    }
    let words = match table.fallback? {
        Derived::ContentIds => "the ids of the items",
        Derived::NumItems => "the quantities of the items, added up",
        Derived::ItemTotal => "price times quantity of the only item",
        Derived::ItemPrice => "the price of the only item",
        Derived::Product => "what the keys of the items' ids say, else `product`",
        Derived::ItemKind => "what the keys of the items' ids say",
    };
    Some(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> ParameterReference {
        let mut rows = reference().into_iter();
        rows.find(|row| row.name == name).expect("a parameter")
    }

    #[test]
    fn a_source_that_all_presets_share_is_listed_once() {
        let em = row("user_data.em");
        assert_eq!(em.strength, Some("highest"));
        assert_eq!(em.sources.len(), 1);
        assert!(em.sources[0].presets.is_empty() && em.sources[0].events.is_empty());
        assert_eq!(em.sources[0].paths[0][0], "traits.email");
    }

    #[test]
    fn a_source_that_differs_names_its_presets_and_events() {
        let adults = row("custom_data.num_adults");
        assert_eq!(adults.sources[0].presets, ["travel"]);
        let search = row("custom_data.search_string");
        assert_eq!(search.sources[0].events, ["Search"]);
        assert_eq!(row("user_data.external_id").sources[0].paths.len(), 3);
    }
}
