//! Constants and defaults that are never sent, or that say the same of everybody.
//!
//! A constant is read here by the reader that writes it later, so that both agree.

use super::super::value;
use crate::field_mapping::FieldTable;
use crate::identity;
use crate::json_text;
use crate::payload::rule::rule;
use crate::payload::{Kind, Parameter, ParameterId};
use pipeline_core::options::Problem;
use serde_json::Value;

/// What is wrong with the constants of a field mapping.
pub(super) fn check(name: &str, table: &FieldTable, place: &str) -> Vec<Problem> {
    let mut problems = beside_a_constant(table, place);
    let parameter = ParameterId::named(name).map(ParameterId::get);
    for (key, constant) in [("value", &table.value), ("default", &table.default)] {
        let Some(constant) = constant else {
            continue;
        };
        problems.extend(check_one(name, parameter, table, key, constant, place));
    }
    problems
}

/// A constant always wins, so what is beside it is never used.
fn beside_a_constant(table: &FieldTable, place: &str) -> Vec<Problem> {
    if table.value.is_none() {
        return Vec::new();
    }
    let others = [
        ("paths", !table.paths.is_empty()),
        ("all", !table.all.is_empty()),
        ("default", table.default.is_some()),
        ("otherwise", table.fallback.is_some()),
    ];
    let others = others.into_iter().filter(|(_, is_there)| *is_there);
    others
        .map(|(key, _)| {
            let problem = format!("has `{key}` beside `value`, and is always the constant");
            let expected = "one of the two, or `default` for a value where no path has one";
            Problem::new(place, problem, expected)
        })
        .collect()
}

fn check_one(
    name: &str,
    parameter: Option<&Parameter>,
    table: &FieldTable,
    key: &str,
    constant: &Value,
    place: &str,
) -> Option<Problem> {
    let whose = if key == "value" {
        "every visitor"
    } else {
        "every visitor without a value"
    };
    if is_personal(name) {
        let problem = format!("has a `{key}`, which gives {whose} the same identity");
        return Some(Problem::new(
            place,
            problem,
            "a path to the visitor's own value",
        ));
    }
    if parameter.is_some_and(|parameter| !takes_a_constant(parameter)) {
        let problem = format!("has a `{key}`, which is never sent");
        let expected = "paths; this parameter is read from each event";
        return Some(Problem::new(place, problem, expected));
    }
    let kind = match parameter {
        Some(parameter) => parameter.kind,
        None => super::super::compile::kind_of(table.value_type),
    };
    if let Err(detail) = read(name, kind, constant) {
        let problem = format!("has a `{key}` that is never sent: {detail}");
        return Some(Problem::new(place, problem, expected(kind)));
    }
    if name == "user_data.country" {
        let problem = format!("has a `{key}`, which says of {whose} that they are in one country");
        let expected = "a path to the visitor's own country, unless all are in one";
        return Some(Problem::note(place, problem, expected));
    }
    None
}

/// Whether a parameter says who a visitor is, or which device is theirs.
fn is_personal(name: &str) -> bool {
    /// What belongs to the business, and what many visitors share.
    const SHARED: [&str; 4] = [
        "user_data.country",
        "user_data.page_id",
        "user_data.ig_account_id",
        "user_data.whatsapp_business_account_id",
    ];
    name == "app_data.vendor_id" || (name.starts_with("user_data.") && !SHARED.contains(&name))
}

/// Whether a constant of this parameter is sent at all.
fn takes_a_constant(parameter: &Parameter) -> bool {
    let is_of_event = matches!(
        parameter.name,
        "event_id" | "event_time" | "custom_data.contents[].quantity"
    );
    let is_composed = matches!(parameter.kind, Kind::Items | Kind::Price | Kind::Source);
    !is_of_event && !is_composed
}

/// Reads a constant as it is read when it is sent. Fails with what is wrong with it.
fn read(name: &str, kind: Kind, constant: &Value) -> Result<(), &'static str> {
    let raw = constant.to_string();
    if json_text::is_empty(&raw) {
        return Err("it is empty");
    }
    let read = match kind {
        Kind::DataProcessingOptions => value::limited_data_use(&raw).map(|_| ()),
        Kind::Hashed(identity::Field::Country) => json_text::text(&raw).and_then(|text| {
            let country = identity::country_of(&text);
            country
                .map(|_| ())
                .ok_or(crate::omitted::Omitted::UnknownCountry)
        }),
        _ => value::append(kind, &raw, &mut Vec::new()).map(|_| ()),
    };
    read.map_err(crate::omitted::Omitted::detail)?;
    let is_limited_place = match name {
        "data_processing_options_country" => value::country_code(&raw).is_ok(),
        "data_processing_options_state" => value::state_code(&raw).is_ok(),
        _ => true,
    };
    is_limited_place
        .then_some(())
        .ok_or(crate::omitted::Omitted::NotAllowed.detail())
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::OneOf(allowed) => format!("one of `{}`", allowed.join("`, `")),
        _ => rule(kind).to_owned(),
    }
}
