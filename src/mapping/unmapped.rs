//! What to do about an event that the preset does not map, for people: the nearest name that is mapped, the preset that knows
//! the event, or what Meta has for it.
//!
//! In: an event's name. Out: a sentence. It compares the name with every known one, so it is made for explanations only.

use super::label;
use super::plan::Plans;
use crate::preset::{FIELDS, comparable, shipped};
use pipeline_core::options::nearest;

/// Why an event of this name is not mapped, and what can be done about it.
#[cold]
pub(super) fn detail(name: &str, plans: &Plans) -> String {
    let shown = label::of_unmapped(name);
    let advice = known_advice(name)
        .or_else(|| other_preset(name))
        .or_else(|| near_name(name, plans))
        .unwrap_or_else(|| {
            "add it under `event_mappings`, or set `unmapped_events: custom`".to_owned()
        });
    format!("the preset has no Meta event for `{shown}`; {advice}")
}

/// What is known about events of this name that no preset maps.
fn known_advice(name: &str) -> Option<String> {
    let is_same = same_as(name);
    let mut advice = FIELDS.advice.iter();
    let (_, advice) = advice.find(|(known, _)| is_same(known))?;
    Some(format!("{advice} (under `event_mappings`)"))
}

/// The shipped preset that maps events of this name; of several, the one with the most events.
fn other_preset(name: &str) -> Option<String> {
    let is_same = same_as(name);
    let knowing = shipped().iter().filter_map(|preset| {
        let mut events = preset.events.iter();
        let event = events.find(|event| event.from.iter().any(|known| is_same(known)))?;
        Some((preset, event))
    });
    let (preset, event) = knowing.max_by_key(|(preset, _)| preset.events.len())?;
    Some(format!(
        "the preset `{}` maps it to `{}`",
        preset.name, event.to
    ))
}

/// The nearest name that is mapped.
fn near_name(name: &str, plans: &Plans) -> Option<String> {
    let mut key = String::new();
    comparable(name, &mut key);
    let names: Vec<(&str, &str)> = plans.names().collect();
    let by_form = nearest(&key, names.iter().map(|(_, form)| *form)).or_else(|| {
        // A name with something added: `order_completed_v2`, `checkout/order_completed`.
        const MIN_CHARS: usize = 6;
        let within = names
            .iter()
            .filter(|(_, form)| form.len() >= MIN_CHARS && key.contains(form));
        within.map(|(_, form)| *form).max_by_key(|form| form.len())
    })?;
    let (near, _) = names.iter().find(|(_, form)| *form == by_form)?;
    let to = plans.find(near, &mut key)?.meta_name.as_deref()?;
    Some(format!(
        "the nearest known name is `{near}`, which becomes `{to}`; map yours under `event_mappings`"
    ))
}

/// Whether a name is the same as this one, as names of events are compared.
fn same_as(name: &str) -> impl Fn(&str) -> bool {
    let mut wanted = String::new();
    comparable(name, &mut wanted);
    move |known| {
        let mut key = String::new();
        comparable(known, &mut key);
        key == wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_a_mapping_is_told_what_can_be_done() {
        let plans = Plans::default();
        for (name, expected) in [
            (
                "order_completed",
                "the preset `retail` maps it to `Purchase`",
            ),
            (
                "vehicle.viewed",
                "the preset `automotive` maps it to `ViewContent`",
            ),
            ("product-list-viewed", "`Product List Viewed: ViewContent`"),
            ("Refund", "`refund: Refund`"),
            ("Application Installed", "`MobileAppInstall`"),
            ("Kettle Boiled", "add it under `event_mappings`"),
        ] {
            let detail = detail(name, &plans);
            assert!(detail.contains(expected), "{name}: {detail}");
        }
        let hidden = detail("mary@example.com", &plans);
        assert!(!hidden.contains("mary"), "{hidden}");
    }
}
