//! What to do about events that were filtered: which preset knows them, and which name was probably meant.
//!
//! In: names of events without a mapping, with counts. Out: one sentence for the log. The host asks at most once a minute,
//! so nothing is prepared for it.
//!
//! Invariant: names and shares only.

use crate::preset::{self, Preset, comparable};
use pipeline_core::{MissingEvents, options};
use std::collections::{BTreeMap, HashSet};

/// The code of events without a mapping.
const UNMAPPED: &str = "unmapped";
/// Names for which a known one is looked up.
const MAX_NAMES: usize = 3;
/// How similar a known name must be to be worth a mention; 1 is the same name.
const LEAST_SIMILAR: f64 = 0.9;

/// What to do about events of a sink with the preset `own`, which knows the names `known`; `None` unless most of them have no
/// mapping.
pub(crate) fn advise<'a>(
    missing: &[MissingEvents],
    own: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let all: u64 = missing.iter().map(|kind| kind.events).sum();
    let unmapped = || missing.iter().filter(|kind| kind.code == UNMAPPED);
    let total: u64 = unmapped().map(|kind| kind.events).sum();
    if total == 0 || total < all - total {
        return None;
    }
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for kind in unmapped() {
        if let Some(name) = kind.label.as_deref() {
            *names.entry(name).or_default() += kind.events;
        }
    }
    let others = preset::shipped().iter().filter(|preset| preset.name != own);
    // Of presets that know as many of the events, the one that knows more events at all.
    let best = others
        .map(|preset| (mapped(preset, &names), preset.events.len(), preset))
        .max_by_key(|(events, size, _)| (*events, *size));
    match best {
        Some((events @ 1.., _, preset)) => Some(format!(
            "`{own}` maps none of the unmapped events, `{}` maps {} of them; see `pipeline presets`",
            preset.name,
            share(events, total)
        )),
        _ => Some(meant(&names, known)),
    }
}

/// `100 %`, and the number itself where it is less than one percent.
fn share(events: u64, total: u64) -> String {
    match u128::from(events) * 100 / u128::from(total.max(1)) {
        0 => events.to_string(),
        percent => format!("{percent} %"),
    }
}

/// How many of the events a preset knows.
fn mapped(preset: &Preset, names: &BTreeMap<&str, u64>) -> u64 {
    let mut key = String::new();
    let from = preset.events.iter().flat_map(|event| &event.from);
    let known: HashSet<String> = from
        .map(|name| {
            comparable(name, &mut key);
            key.clone()
        })
        .collect();
    let of_known = names.iter().filter(|(name, _)| {
        comparable(name, &mut key);
        known.contains(&key)
    });
    of_known.map(|(_, events)| events).sum()
}

/// The names that were probably meant, for the most frequent names that nothing knows.
fn meant<'a>(names: &BTreeMap<&str, u64>, known: impl Iterator<Item = &'a str>) -> String {
    let mut key = String::new();
    let shipped = preset::shipped().iter().flat_map(|preset| &preset.events);
    let shipped = shipped.flat_map(|event| &event.from).map(String::as_str);
    let known: BTreeMap<String, &str> = shipped
        .chain(known)
        .map(|name| {
            comparable(name, &mut key);
            (key.clone(), name)
        })
        .collect();
    let mut frequent: Vec<_> = names.iter().collect();
    frequent.sort_by_key(|(_, events)| std::cmp::Reverse(**events));
    let meant = frequent.into_iter().filter_map(|(name, _)| {
        let mut key = String::new();
        comparable(name, &mut key);
        let near = options::nearest_within(&key, known.keys().map(String::as_str), LEAST_SIMILAR)?;
        Some(format!("`{name}` is close to `{}`", known[near]))
    });
    let meant: Vec<_> = meant.take(MAX_NAMES).collect();
    if meant.is_empty() {
        let told =
            "no preset that comes with the sink knows their names; map them under `event_mappings`";
        return told.to_owned();
    }
    let meant = meant.join(", ");
    format!("{meant}; map names as senders write them under `event_mappings`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(kinds: &[(&str, &'static str, u64)]) -> Vec<MissingEvents> {
        let kinds = kinds.iter().map(|(label, code, events)| {
            let label = (!label.is_empty()).then(|| (*label).into());
            MissingEvents::new(label, code, *events)
        });
        kinds.collect()
    }

    fn advice(own: &str, kinds: &[(&str, &'static str, u64)]) -> Option<String> {
        let known = preset::named(own)
            .into_iter()
            .flat_map(|preset| &preset.events);
        advise(
            &missing(kinds),
            own,
            known.flat_map(|event| &event.from).map(String::as_str),
        )
    }

    #[test]
    fn the_preset_that_knows_most_of_the_events_is_named() {
        assert_eq!(
            advice("automotive", &[("Order Completed", UNMAPPED, 2_000)]).as_deref(),
            Some(
                "`automotive` maps none of the unmapped events, `retail` maps 100 % of them; see `pipeline presets`"
            )
        );
        // However a sender writes the names, and whichever preset it is.
        let travel = [
            ("booking_completed", UNMAPPED, 620),
            ("Cart Emptied", UNMAPPED, 380),
        ];
        assert_eq!(
            advice("retail", &travel).as_deref(),
            Some(
                "`retail` maps none of the unmapped events, `travel` maps 62 % of them; see `pipeline presets`"
            )
        );
        let rare = [("vehicle saved", UNMAPPED, 3), ("", UNMAPPED, 997)];
        assert_eq!(
            advice("my-preset.json", &rare).as_deref(),
            Some(
                "`my-preset.json` maps none of the unmapped events, `automotive` maps 3 of them; see `pipeline presets`"
            )
        );
    }

    #[test]
    fn a_name_that_nothing_knows_is_compared_with_the_known_ones() {
        assert_eq!(
            advice(
                "retail",
                &[
                    ("Order Complete", UNMAPPED, 5),
                    ("Lorem Ipsum", UNMAPPED, 7)
                ]
            )
            .as_deref(),
            Some(
                "`Order Complete` is close to `Order Completed`; map names as senders write them under `event_mappings`"
            )
        );
        assert_eq!(
            advice("retail", &[("Lorem Ipsum", UNMAPPED, 5)]).as_deref(),
            Some(
                "no preset that comes with the sink knows their names; map them under `event_mappings`"
            )
        );
    }

    #[test]
    fn there_is_no_advice_on_names_where_names_are_not_the_trouble() {
        assert_eq!(advice("retail", &[]), None);
        assert_eq!(
            advice("retail", &[("Order Completed → Purchase", "consent", 9)]),
            None
        );
        let mostly = [("a → A", "consent", 9), ("Booking Completed", UNMAPPED, 8)];
        assert_eq!(advice("retail", &mostly), None);
    }
}
