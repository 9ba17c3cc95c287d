//! Where a parameter is looked for under Meta's own name, after every place that a preset names.
//!
//! People who know Meta's parameters write them into their events: in the properties, in objects that are called as Meta calls
//! them (`custom_data`, `user_data`), beside the traits or at the top. So each parameter is found under its own name without a
//! mapping.
//!
//! Invariant: a word that could also be part of a person's address (`city`, `country`) is never read from the person's traits into
//! `custom_data`, which is sent as it is.

use super::layers::Located;
use crate::payload::{Parameter, ParameterId, Section};
use std::collections::BTreeMap;

/// Adds the places of Meta's own names to the mappings of one event that may have them.
pub(super) fn add(fields: &mut BTreeMap<String, Located>) {
    for (name, located) in fields {
        let Some(parameter) = ParameterId::named(name).filter(|_| located.by_meta_name) else {
            continue;
        };
        let (known, all) = (&mut located.table.paths, &mut located.table.all);
        let mut new = paths(parameter.get());
        new.retain(|path| {
            !known.contains(path) && !all.iter().flatten().any(|known| known == path)
        });
        located.added = new.len();
        if all.is_empty() {
            known.extend(new);
        } else if !new.is_empty() {
            all.push(new);
        }
    }
}

/// Where every parameter of an event is, besides the objects of its section.
const EVERYWHERE: &[&str] = &["properties", "context", "traits", "context.traits", ""];

/// Where a country is a person's; elsewhere it is as often that of a trip or a home.
const OF_A_PERSON: &[&str] = &["traits", "context.traits"];

/// Parameters of `custom_data` whose names mean the same wherever they are. The others are looked for in the properties and in
/// `custom_data` only.
const UNMISTAKABLE: &[&str] = &[
    "value",
    "currency",
    "order_id",
    "content_ids",
    "content_type",
    "content_name",
    "content_category",
    "num_items",
    "search_string",
    "status",
    "predicted_ltv",
    "delivery_category",
    "item_number",
    "net_revenue",
    "event_source",
    "lead_event_source",
    "product_catalog_id",
    "customer_segmentation",
    "user_bucket",
    "contents[]",
];

/// The paths of a parameter's own name, in the order in which they are tried.
fn paths(parameter: &Parameter) -> Vec<String> {
    let key = parameter.key.trim_end_matches("[]");
    let objects: &[&str] = match parameter.section {
        Section::Source | Section::ExtInfo => return Vec::new(),
        Section::Contents => return vec![quoted("", key)],
        Section::Event => &[],
        Section::UserData => &["user_data", "properties.user_data", "context.user_data"],
        Section::AppData => &["app_data", "properties.app_data", "context.app_data"],
        Section::OriginalEventData => {
            let objects = ["original_event_data", "properties.original_event_data"];
            return objects.map(|object| quoted(object, key)).into();
        }
        Section::StoreData => {
            let objects = [
                "custom_data.store_data",
                "properties.custom_data.store_data",
            ];
            return objects.map(|object| quoted(object, key)).into();
        }
        Section::CustomData => &["properties.custom_data", "custom_data"],
    };
    let others = match parameter.section {
        Section::UserData if parameter.key == "country" => OF_A_PERSON,
        Section::CustomData if !UNMISTAKABLE.contains(&parameter.key) => &EVERYWHERE[..1],
        _ => EVERYWHERE,
    };
    let of_objects = objects.iter().map(|object| quoted(object, key));
    let of_others = others.iter().map(|object| quoted(object, key));
    match parameter.section {
        // The properties are what the event is about.
        Section::CustomData => of_others.chain(of_objects).collect(),
        _ => of_objects.chain(of_others).collect(),
    }
}

/// The path of a key in an object. Keys with dots (`mileage.value`) are quoted.
fn quoted(object: &str, key: &str) -> String {
    let key = match key.contains('.') {
        true => format!("[\"{key}\"]"),
        false if object.is_empty() => key.to_owned(),
        false => format!(".{key}"),
    };
    format!("{object}{key}")
}
