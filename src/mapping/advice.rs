//! What a person who wrote mappings most likely did not mean: errors where a mapping can never do anything, notes where it can.
//!
//! In: mappings as they were written, of the pipeline file and of a preset of the user's own. Out: problems with their places. It
//! runs once, when options are read, and changes nothing. What cannot be compiled is reported by `compile`.
//!
//! Invariant: a problem names keys and words of the vocabulary, never a constant.

mod constant;
mod path;

use super::layers::Overrides;
use crate::field_mapping::{EventMapping, FieldMapping, FieldMappings};
use crate::payload::{PARAMETERS, ParameterId, Section};
use crate::preset::{FIELDS, Preset, comparable};
use pipeline_core::options::{Problem, join, near_miss};
use std::collections::BTreeMap;

/// Where the event's own type is looked for, other than in the name of a `track` call.
const CALLS: [&str; 3] = ["identify", "group", "alias"];

/// What people call parameters of `user_data`.
const PERSONAL_NAMES: [(&str, &str); 8] = [
    ("email", "user_data.em"),
    ("mail", "user_data.em"),
    ("phone", "user_data.ph"),
    ("firstname", "user_data.fn"),
    ("lastname", "user_data.ln"),
    ("gender", "user_data.ge"),
    ("birthday", "user_data.db"),
    ("ip", "user_data.client_ip_address"),
];

/// What is wrong, or perhaps not meant, in the overrides of a pipeline file.
pub(crate) fn of_overrides(overrides: &Overrides<'_>, preset: &Preset) -> Vec<Problem> {
    let mut advice = Advice::default();
    for (name, mapping) in overrides.event_mappings.into_iter().flatten() {
        let place = join("event_mappings", name);
        advice.event_name(name, &place, mapping.is_some());
        match mapping {
            Some(mapping) => advice.event_mapping(mapping, &place),
            None => advice.dropped(name, preset, &place),
        }
    }
    if let Some(mappings) = overrides.field_mappings {
        advice.fields(mappings, "field_mappings");
    }
    advice.problems
}

/// What is wrong, or perhaps not meant, in a preset.
pub(crate) fn of_preset(preset: &Preset) -> Vec<Problem> {
    let mut advice = Advice::default();
    let place = format!("preset {}", preset.name);
    advice.fields(&preset.field_mappings, &format!("{place}.field_mappings"));
    for (i, event) in preset.events.iter().enumerate() {
        let place = format!("{place}.events[{i}]");
        for (j, name) in event.from.iter().enumerate() {
            advice.event_name(name, &format!("{place}.from[{j}]"), true);
        }
        advice.meta_name(&event.to, &format!("{place}.to"));
        advice.fields(&event.field_mappings, &format!("{place}.field_mappings"));
    }
    advice.problems
}

#[derive(Default)]
struct Advice {
    problems: Vec<Problem>,
    /// The names of events so far, by their comparable form.
    names: BTreeMap<String, String>,
}

impl Advice {
    fn error(&mut self, place: &str, problem: impl Into<String>, expected: impl Into<String>) {
        self.problems.push(Problem::new(place, problem, expected));
    }

    fn note(&mut self, place: &str, problem: impl Into<String>, expected: impl Into<String>) {
        self.problems.push(Problem::note(place, problem, expected));
    }

    /// The name of an event as it comes in; `is_sent` unless the mapping drops it.
    fn event_name(&mut self, name: &str, place: &str, is_sent: bool) {
        let mut key = String::new();
        comparable(name, &mut key);
        if let Some(first) = self.names.insert(key.clone(), name.to_owned()) {
            let problem = format!(
                "is the same event as `{first}`, because names are compared without case, spaces, `_` and `-`"
            );
            return self.error(place, problem, "each event once");
        }
        if is_pattern(name) {
            let expected = "the name of each event; patterns are not supported";
            return self.error(
                place,
                "is a pattern, and would match an event of exactly this name only",
                expected,
            );
        }
        if !is_sent {
            return;
        }
        if let Some(call) = CALLS.into_iter().find(|call| *call == key) {
            let problem = format!(
                "never matches a call of type `{call}`, because only `page`, `screen` and `track` calls are sent"
            );
            return self.note(place, problem, "the name of a `track` event, or `page`");
        }
        if key == "screen" {
            let problem = "never matches a call of type `screen`, which is mapped as `page`";
            return self.note(place, problem, "`page`, or the name of a `track` event");
        }
        if is_page_name(name, &key) {
            let problem = "never matches the name or the address of a page; every `page` call is mapped as `page`";
            self.note(place, problem, "`page`, or the name of a `track` event");
        }
    }

    fn event_mapping(&mut self, mapping: &EventMapping, place: &str) {
        match mapping {
            EventMapping::Name(name) => self.meta_name(name, place),
            EventMapping::Table(table) => {
                if let Some(name) = &table.event_name {
                    self.meta_name(name, &join(place, "event_name"));
                }
                self.fields(&table.field_mappings, &join(place, "field_mappings"));
            }
        }
    }

    /// Meta's name for an event: any name is good, but one that all but is a standard event's.
    fn meta_name(&mut self, name: &str, place: &str) {
        let standard = FIELDS.standard_events.keys().map(String::as_str);
        if let Some(meant) = near_miss(name, standard) {
            let problem = format!(
                "is not a standard event of Meta's, so a custom event is sent; did you mean `{meant}`?"
            );
            self.note(
                place,
                problem,
                format!("`{meant}`, or a name of your own that is not all but the same"),
            );
        }
    }

    /// An event that the file drops, and that the preset does not send anyway.
    fn dropped(&mut self, name: &str, preset: &Preset, place: &str) {
        let mut key = String::new();
        comparable(name, &mut key);
        let known = || preset.events.iter().flat_map(|event| &event.from);
        let is_known = known().any(|from| {
            let mut other = String::new();
            comparable(from, &mut other);
            other == key
        });
        let near = near_miss(name, known().map(String::as_str)).filter(|_| !is_known);
        if let Some(meant) = near {
            let problem = format!(
                "drops nothing, because the preset has no such event; did you mean `{meant}`?"
            );
            self.note(
                place,
                problem,
                "the name of an event that is sent otherwise",
            );
        }
    }

    fn fields(&mut self, mappings: &FieldMappings, place: &str) {
        for (name, mapping) in mappings {
            let place = join(place, name);
            self.parameter(name, mapping.as_ref(), &place);
            if let Some(mapping) = mapping {
                self.field(name, mapping, &place);
            }
        }
    }

    /// The name of a parameter of the user's own. A `type` says that it is meant.
    fn parameter(&mut self, name: &str, mapping: Option<&FieldMapping>, place: &str) {
        let Some(key) = name.strip_prefix("custom_data.") else {
            return;
        };
        let has_type =
            matches!(mapping, Some(FieldMapping::Table(table)) if table.value_type.is_some());
        if has_type || ParameterId::named(name).is_some() {
            return;
        }
        let expected = "Meta's parameter, or a `type` if the name is meant";
        let standard = PARAMETERS.iter().filter(|parameter| {
            parameter.section == Section::CustomData && !parameter.name.ends_with("[]")
        });
        let standard = standard.filter_map(|parameter| parameter.name.strip_prefix("custom_data."));
        if let Some(meant) = near_miss(key, standard) {
            let problem = format!("is a custom parameter; did you mean `custom_data.{meant}`?");
            return self.note(place, problem, expected);
        }
        if let Some(meant) = elsewhere(key) {
            let problem =
                format!("is a custom parameter, which is sent as it is; did you mean `{meant}`?");
            self.note(place, problem, expected);
        }
    }

    fn field(&mut self, name: &str, mapping: &FieldMapping, place: &str) {
        let table = mapping.to_table();
        let is_of_item = name.starts_with("custom_data.contents[].");
        let of_own = table.own.iter().map(|own| (&own.path, false));
        let relative = table.own.iter().flat_map(|own| &own.requires);
        let paths = table.paths.iter().chain(table.all.iter().flatten());
        let paths = paths.map(|path| (path, is_of_item));
        for (path, is_relative) in paths.chain(of_own).chain(relative.map(|path| (path, true))) {
            self.problems.extend(path::check(path, is_relative, place));
        }
        self.problems.extend(constant::check(name, &table, place));
    }
}

/// Whether the name of an event looks like a pattern for several.
fn is_pattern(name: &str) -> bool {
    name.contains('*') || name.starts_with('^') || name.contains("\\d") || name.contains(".+")
}

/// Whether the name of an event looks like a page's name or address. Those that say that something is viewed are events.
fn is_page_name(name: &str, comparable: &str) -> bool {
    const PAGES: [&str; 3] = ["home", "index", "pricing"];
    let is_address = name.starts_with('/') || name.contains("://");
    let is_event = ["view", "visit", "load"]
        .into_iter()
        .any(|word| comparable.contains(word));
    let is_page = name.to_ascii_lowercase().starts_with("page:")
        || PAGES.contains(&comparable)
        || (comparable.ends_with("page") && comparable != "page");
    is_address || (is_page && !is_event)
}

/// The parameter of another section that a key of `custom_data` is the name of.
fn elsewhere(key: &str) -> Option<&'static str> {
    let mut written = String::new();
    comparable(key, &mut written);
    let is_same = |other: &str| {
        let mut form = String::new();
        comparable(other, &mut form);
        form == written
    };
    let mut others = PARAMETERS
        .iter()
        .filter(|parameter| matches!(parameter.section, Section::UserData | Section::Event));
    let found = others.find(|parameter| is_same(parameter.key));
    let usual = || PERSONAL_NAMES.iter().find(|(name, _)| *name == written);
    found
        .map(|parameter| parameter.name)
        .or_else(|| usual().map(|(_, name)| *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset;

    #[test]
    fn what_comes_with_the_sink_needs_no_advice() {
        for preset in preset::shipped() {
            assert_eq!(of_preset(preset), [], "{}", preset.name);
        }
        let mut advice = Advice::default();
        for (name, group) in &FIELDS.groups {
            advice.fields(&group.field_mappings, name);
        }
        assert_eq!(advice.problems, []);
    }
}
