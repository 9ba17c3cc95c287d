//! How well events can be matched, and which of them are seen: `GET /api/v1/quality` and `GET /api/v1/seen`.
//!
//! In: what the sinks have counted. Out: identifiers for each kind of event of the destination, and names of senders that have no
//! counterpart there.
//!
//! Invariant: counts, names of the destination and paths; a name that a sender chose only where it cannot be personal. Whatever
//! senders send, there are at most [`MAX_GROUPS`] and [`MAX_NAMES`] entries.

use crate::answer::{Refusal, bad_request};
use crate::shared::Shared;
use crate::withheld::{WITHHELD, withhold};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use pipeline_core::{Coverage, CoverageRow};
use pipeline_host::report::{ARROW, EventCounts, Fates, NO_NAME, OTHER_NAMES};
use pipeline_host::telemetry::SinkStatus;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kinds of events for which identifiers are told apart; the rest is told together.
const MAX_GROUPS: usize = 64;
/// Names of events that are told apart; the rest is counted together.
const MAX_NAMES: usize = 256;
/// Identifiers that are most worth adding.
const MAX_GAPS: usize = 3;
/// The name for all further kinds of events.
const OTHER: &str = "other";

/// Which sink is meant; all, where none is given.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    sink: Option<String>,
}

type AskedOr = Result<Query<Asked>, QueryRejection>;

/// The paths of this file.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/quality", get(quality))
        .route("/api/v1/seen", get(seen))
}

async fn quality(State(shared): State<Arc<Shared>>, asked: AskedOr) -> Result<Response, Refusal> {
    let sinks = sinks(&shared, asked)?.into_iter();
    let coverage = sinks.filter_map(|sink| sink.coverage);
    Ok(Json(of_coverage(coverage.reduce(Coverage::and_later))).into_response())
}

async fn seen(State(shared): State<Arc<Shared>>, asked: AskedOr) -> Result<Response, Refusal> {
    let sinks = sinks(&shared, asked)?;
    let counts = sinks.iter().map(|sink| &sink.counts.events);
    Ok(Json(of_counts(counts)).into_response())
}

/// The sinks that are meant.
fn sinks(shared: &Shared, asked: AskedOr) -> Result<Vec<SinkStatus>, Refusal> {
    let Query(asked) = asked.map_err(|_| bad_request("the query takes sink"))?;
    shared.sinks(asked.sink.as_deref())
}

/// `{about, events, names: [{name, events, identifiers: {em: n}}], worst: [{identifier, strength, name, carried, events,
/// looked_in}]}`.
fn of_coverage(coverage: Option<Coverage>) -> Value {
    let Some(coverage) = coverage else {
        let about = "the sink does not count identifiers";
        return json!({"about": about, "events": 0, "names": [], "worst": []});
    };
    let group = |name: &str, events: u64, rows: &BTreeMap<&str, (u64, Option<u64>)>| {
        let carried = rows.iter();
        let carried: Map<_, _> = carried
            .map(|(name, (events, _))| ((*name).to_owned(), json!(events)))
            .collect();
        let possible = rows.iter().filter_map(|(name, (_, base))| {
            let base = (*base)?;
            Some(((*name).to_owned(), json!(base)))
        });
        // Of how many events, where not every event can carry the identifier.
        let possible: Map<_, _> = possible.collect();
        json!({"name": name, "events": events, "identifiers": carried, "possible": possible})
    };
    let (shown, rest) = coverage
        .groups
        .split_at(coverage.groups.len().min(MAX_GROUPS));
    let mut names: Vec<_> = shown
        .iter()
        .map(|it| group(&it.name, it.events, &sums(it.rows.iter())))
        .collect();
    if !rest.is_empty() {
        let events = rest.iter().map(|group| group.events).sum();
        let rows = sums(rest.iter().flat_map(|group| &group.rows));
        names.push(group(OTHER, events, &rows));
    }
    let worst = coverage.gaps.iter().take(MAX_GAPS).map(|gap| {
        json!({
            "identifier": gap.identifier,
            "strength": gap.label,
            "name": gap.group,
            "carried": gap.carried,
            "events": gap.events,
            "looked_in": gap.looked_in,
        })
    });
    json!({
        "about": coverage.about,
        "events": coverage.events,
        "names": names,
        "worst": worst.collect::<Vec<_>>(),
    })
}

/// Events that carried each identifier, and those that could, where not all can.
fn sums<'a>(rows: impl Iterator<Item = &'a CoverageRow>) -> BTreeMap<&'a str, (u64, Option<u64>)> {
    let mut sums: BTreeMap<&str, (u64, Option<u64>)> = BTreeMap::new();
    for row in rows {
        let (events, base) = sums.entry(&row.name).or_default();
        *events += row.events;
        if let Some(more) = &row.base {
            *base = Some(base.unwrap_or(0) + more.events);
        }
    }
    sums
}

/// `{events, names: [{name, events}], other, unnamed, mapped: [{name, destination_event, events}]}`, those with the most events
/// first: what has no counterpart at the destination, and what has one.
fn of_counts<'a>(counts: impl Iterator<Item = &'a EventCounts>) -> Value {
    let (mut unmapped, mut mapped) = (BTreeMap::new(), BTreeMap::new());
    let (mut other, mut unnamed) = (0, 0);
    let total = |fates: &Fates| fates.values().sum::<u64>();
    for counts in counts {
        for (label, fates) in counts.unmapped() {
            match &**label {
                OTHER_NAMES => other += total(fates),
                NO_NAME => unnamed += total(fates),
                name => *unmapped.entry(withhold(name)).or_insert(0) += total(fates),
            }
        }
        for (label, fates) in counts.mapped() {
            let (name, destination) = label.split_once(ARROW).unwrap_or((label, ""));
            let names = (withhold(name), withhold(destination));
            *mapped.entry(names).or_insert(0) += total(fates);
        }
    }
    let mut names: Vec<_> = unmapped.into_iter().collect();
    names.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
    other += names.iter().skip(MAX_NAMES).map(|(_, it)| it).sum::<u64>();
    let mut mapped: Vec<_> = mapped.into_iter().collect();
    mapped.sort_by_key(|(_, events)| std::cmp::Reverse(*events));
    let events: u64 = names.iter().take(MAX_NAMES).map(|(_, it)| it).sum();
    let names = names.into_iter().take(MAX_NAMES).map(|(name, events)| {
        let is_withheld = name == WITHHELD;
        json!({"name": name, "events": events, "withheld": is_withheld})
    });
    let mapped = mapped.into_iter().take(MAX_NAMES).map(
        |(names, events)| json!({"name": names.0, "destination_event": names.1, "events": events}),
    );
    json!({
        "events": events + other + unnamed,
        "names": names.collect::<Vec<_>>(),
        "other": other,
        "unnamed": unnamed,
        "mapped": mapped.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::{CoverageGap, CoverageGroup};
    use pipeline_host::report::Fate;
    use proptest::prelude::*;

    fn group(name: &str, events: u64, em: u64) -> CoverageGroup {
        let fbc = CoverageRow::new("fbc", 1, "").measured_against(2, "events with a click");
        let rows = vec![CoverageRow::new("em", em, "highest"), fbc];
        CoverageGroup::new(name, events, rows)
    }

    #[test]
    fn identifiers_are_told_for_each_event_of_the_destination_and_the_worst_first() {
        let gap = CoverageGap::new("ph", "high", "Purchase", (1, 9));
        let coverage = Coverage::new("an estimate", 12, Vec::new())
            .with_groups(vec![group("Purchase", 9, 4), group("Lead", 3, 3)])
            .with_gaps(vec![gap.looked_for_in(vec!["traits.phone".to_owned()])]);
        let told = of_coverage(Some(coverage));
        assert_eq!(
            told,
            json!({
                "about": "an estimate", "events": 12,
                "names": [
                    {"name": "Purchase", "events": 9, "identifiers": {"em": 4, "fbc": 1}, "possible": {"fbc": 2}},
                    {"name": "Lead", "events": 3, "identifiers": {"em": 3, "fbc": 1}, "possible": {"fbc": 2}},
                ],
                "worst": [{
                    "identifier": "ph", "strength": "high", "name": "Purchase", "carried": 1, "events": 9,
                    "looked_in": ["traits.phone"],
                }],
            })
        );
        assert_eq!(of_coverage(None)["names"], json!([]));
    }

    #[test]
    fn events_of_the_destination_beyond_the_bound_are_told_together() {
        let groups = (0..100).map(|number| group(&format!("Event {number}"), 10, 5));
        let coverage = Coverage::new("", 1_000, Vec::new()).with_groups(groups.collect());
        let told = of_coverage(Some(coverage));
        let names = told["names"].as_array().unwrap();
        assert_eq!(names.len(), MAX_GROUPS + 1);
        let rest = &names[MAX_GROUPS];
        assert_eq!(
            (&rest["name"], &rest["events"]),
            (&json!(OTHER), &json!(360))
        );
        assert_eq!(rest["identifiers"]["em"], 180);
        assert_eq!(rest["possible"]["fbc"], 72);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// What is told against a recount of every event.
        #[test]
        fn every_event_without_a_counterpart_is_counted_once_whatever_its_name(
            events in prop::collection::vec((0_usize..700, any::<bool>()), 0..1_500),
        ) {
            let mut counts = EventCounts::default();
            let mut without = 0;
            for (name, is_mapped) in events {
                let label: Arc<str> = match name {
                    0 => "jane@example.com".into(),
                    _ if is_mapped => format!("Name {name} → Lead").into(),
                    _ => format!("Name {name}").into(),
                };
                without += u64::from(!label.contains(ARROW));
                counts.add(Some(&label), Fate::Filtered("unmapped"), 1);
            }
            counts.add(None, Fate::Rejected("malformed_json"), 3);
            let told = of_counts([&counts].into_iter());
            prop_assert_eq!(&told["events"], &json!(without + 3));
            prop_assert_eq!(&told["unnamed"], &json!(3));
            let names = told["names"].as_array().unwrap();
            prop_assert!(names.len() <= MAX_NAMES);
            let named: u64 = names.iter().map(|it| it["events"].as_u64().unwrap()).sum();
            prop_assert_eq!(named + told["other"].as_u64().unwrap(), without);
            prop_assert!(!told.to_string().contains("jane"));
        }
    }
}
