//! Which parameters the explained events sent, and from where: `GET /api/v1/fields`.
//!
//! In: the explanations that the feed keeps. Out: for each parameter how many of these events had it, and the paths of its values.
//!
//! Invariant: counts, names of parameters and paths, never a value; at most [`MAX_PARAMETERS`] with [`MAX_PATHS`] each.

use crate::answer::{Refusal, bad_request};
use crate::explained::Kept;
use crate::shared::Shared;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Parameters that are told.
const MAX_PARAMETERS: usize = 512;
/// Paths of one parameter that are told.
const MAX_PATHS: usize = 16;

/// Which sink is meant; all, where none is given.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Asked {
    sink: Option<String>,
}

/// `{events, parameters: {name: {events, from: {path: events}}}}`: of the explained events that are kept, how many sent each parameter.
pub(crate) async fn fields(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let Query(asked) = asked.map_err(|_| bad_request("the query takes sink"))?;
    shared.check_sink(asked.sink.as_deref())?;
    Ok(Json(counted(
        &shared.feed.explanations_of(asked.sink.as_deref()),
    )))
}

/// A parameter counts once for each event, as does each of its paths.
fn counted(explanations: &[Arc<Kept>]) -> Value {
    let mut parameters: BTreeMap<String, (u64, BTreeMap<String, u64>)> = BTreeMap::new();
    let mut events = 0_u64;
    for explanation in explanations {
        let mut sent: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, from) in explanation.sent() {
            sent.entry(name).or_default().extend(from);
        }
        // What was filtered has sent nothing, and says nothing of where values are.
        events += u64::from(!sent.is_empty());
        for (name, from) in sent {
            if parameters.len() >= MAX_PARAMETERS && !parameters.contains_key(&name) {
                continue;
            }
            let (events, paths) = parameters.entry(name).or_default();
            *events += 1;
            for path in from {
                if paths.len() < MAX_PATHS || paths.contains_key(&path) {
                    *paths.entry(path).or_default() += 1;
                }
            }
        }
    }
    let parameters = parameters.into_iter();
    let parameters: Map<String, Value> = parameters
        .map(|(name, (events, from))| (name, json!({ "events": events, "from": from })))
        .collect();
    json!({ "events": events, "parameters": parameters })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explained::Pool;
    use pipeline_core::{Explanation, Field, FieldFate};

    fn kept(pool: &mut Pool, fields: &[(&str, &str)]) -> Arc<Kept> {
        let fields = fields.iter().map(|(name, from)| {
            let fate = FieldFate::Sent {
                from: vec![(*from).to_owned()],
                rule: String::new(),
            };
            Field::new(*name, fate)
        });
        Arc::new(pool.keep(&Explanation::new(fields.collect())))
    }

    #[test]
    fn a_parameter_counts_once_an_event_however_many_items_have_it() {
        let mut pool = Pool::default();
        let items = [
            ("custom_data.contents[0].id", "products[0].sku"),
            ("custom_data.contents[1].id", "products[1].sku"),
        ];
        let events = [
            kept(&mut pool, &items),
            kept(&mut pool, &[("custom_data.contents[0].id", "items[0].id")]),
            kept(&mut pool, &[]),
        ];
        assert_eq!(
            counted(&events),
            json!({"events": 2, "parameters": {"custom_data.contents[].id": {
                "events": 2, "from": {"products[].sku": 1, "items[].id": 1},
            }}})
        );
    }

    #[test]
    fn more_parameters_and_paths_than_are_told_are_left_out() {
        let mut pool = Pool::default();
        let events: Vec<_> = (0..2 * MAX_PARAMETERS)
            .map(|number| {
                let (name, path) = (format!("custom_data.own_{number}"), format!("a.b{number}"));
                kept(&mut pool, &[(&name, &path), ("event_id", &path)])
            })
            .collect();
        let told = counted(&events);
        let parameters = told["parameters"].as_object().unwrap();
        assert_eq!(parameters.len(), MAX_PARAMETERS);
        assert_eq!(parameters["event_id"]["events"], json!(events.len()));
        assert_eq!(
            parameters["event_id"]["from"].as_object().unwrap().len(),
            MAX_PATHS
        );
    }
}
