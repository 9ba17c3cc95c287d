//! `MAPPING.md`, made from the plugin's reference; its examples are what a sink makes of the values in
//! `fixtures/reference.json`.
//!
//! `UPDATE_EXPECT=1 cargo test` writes it anew.

use crate::generated::assert_file;
use crate::{build, event, outcome, root};
use meta_conversions::{ParameterReference, SourceReference, reference};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;

const INTRO: &str = "# Mapping

Every parameter of Meta's Conversions API that this sink sends: its rule, where each preset takes it from, for which of
Meta's events, and an example. This page is made from the code by a test; `pipeline map --explain` tells the same of one
event of yours.

How to read it:

* In `field_mappings` a parameter's name has its section in front: `user_data.em`, `custom_data.contents[].id`.
* Paths stand in the order in which they are tried; the first usable value wins. \"and\" joins lists that each give a value.
* A line without a preset or an event holds for all of them. `(custom)` is any event name that is not one of Meta's own.
* A pipeline file can change all of it: `field_mappings` for a parameter, `event_mappings` for an event.
* `Purchase` must have `value` and `currency`. Empty text, `null` and empty lists are absent; what is absent is not sent.
* `event_name` comes from the preset's table of events, and `action_source` from the options.
";

const SECTIONS: &[(&str, &str, &str)] = &[
    ("event", "Event", "At the top of a server event."),
    (
        "user_data",
        "`user_data`",
        "Who it was. Strength is what Meta publishes about a parameter's worth for matching, not a weight of ours.",
    ),
    (
        "custom_data",
        "`custom_data`",
        "What happened. Further keys of your own can be mapped: `custom_data.<key>`.",
    ),
    (
        "contents",
        "`custom_data.contents[]`",
        "One element for each item. Paths start at the item.",
    ),
    (
        "source",
        "Sources",
        "Not sent: others are made from them. `source.full_name` gives `fn` and `ln` where neither is given, \
         `source.visitor_id` gives `fbp` where there is no cookie, `source.click_id` gives `fbc`.",
    ),
];

#[tokio::test]
async fn the_mapping_page_is_what_the_code_says() {
    let examples = read("fixtures/reference.json");
    let rows = reference();
    let mut page = INTRO.to_owned();
    for (section, title, about) in SECTIONS {
        write!(page, "\n## {title}\n\n{about}\n\n").expect("text");
        let is_user_data = *section == "user_data";
        page += if is_user_data {
            "| Parameter | Rule | Strength | Where from | Example |\n| --- | --- | --- | --- | --- |\n"
        } else {
            "| Parameter | Rule | Where from | Example |\n| --- | --- | --- | --- |\n"
        };
        for row in rows.iter().filter(|row| row.section == *section) {
            let strength = row.strength.map_or_else(String::new, |s| format!(" {s} |"));
            writeln!(
                page,
                "| `{}` | {} |{strength} {} | {} |",
                key(row),
                row.rule,
                sources(row),
                example(row, &examples).await,
            )
            .expect("text");
        }
        if is_user_data {
            page += &documented();
        }
    }
    assert_file("MAPPING.md", &page);
}

fn read(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).expect(path);
    serde_json::from_str(&text).expect(path)
}

fn sources(row: &ParameterReference) -> String {
    if row.sources.is_empty() {
        return "only where the options say".to_owned();
    }
    let lines: Vec<_> = row.sources.iter().map(source).collect();
    lines.join("<br>")
}

fn source(source: &SourceReference) -> String {
    let code = |names: &[String]| format!("`{}`", names.join("`, `"));
    let lists: Vec<_> = source.paths.iter().map(|paths| code(paths)).collect();
    let mut line = lists.join(" and ");
    if let Some(otherwise) = &source.otherwise {
        let _ = write!(line, "; else {otherwise}");
    }
    let mut only = Vec::new();
    if !source.presets.is_empty() {
        only.push(format!("preset {}", code(&source.presets)));
    }
    if !source.events.is_empty() {
        only.push(source.events.join(", "));
    }
    if !only.is_empty() {
        let _ = write!(line, " *({})*", only.join("; "));
    }
    line
}

/// What a sink makes of the parameter's example: `input → output`.
async fn example(row: &ParameterReference, examples: &Value) -> String {
    let listed = [("by_name", row.name), ("by_rule", &row.rule)];
    let listed = listed
        .iter()
        .find_map(|(table, key)| examples[*table].get(*key).cloned());
    let one_of = row.rule.strip_prefix("one of ").map(|values| {
        let last = values.rsplit(", ").next().expect("a value");
        let other_case = if last.chars().any(char::is_lowercase) {
            last.to_uppercase()
        } else {
            last.to_lowercase()
        };
        Value::from(other_case)
    });
    if row.rule.ends_with("SHA-256") && listed.is_none() {
        return "below".to_owned();
    }
    let Some(input) = listed.or(one_of).filter(|_| row.section != "source") else {
        return String::new();
    };
    let output = sent(row, &input).await;
    assert!(!output.is_null(), "{} is not sent for {input}", row.name);
    format!("`{input}` → `{output}`")
}

/// The parameter as a sink sends it for `input`.
async fn sent(row: &ParameterReference, input: &Value) -> Value {
    let of_item = row.section == "contents";
    let path = if of_item {
        "example"
    } else {
        "properties.example"
    };
    let sink = build(&json!({ "field_mappings": { row.name: path } })).await;
    let encoded = sink.encode(&event(&json!({
        "type": "track",
        "event": "Order Completed",
        "timestamp": "2026-01-15T11:30:00Z",
        "context": { "consent": { "marketing": true } },
        "traits": { "email": "mary@example.com" },
        "properties": {
            "example": input,
            "data_processing_options": ["LDU"],
            "data_processing_options_country": 1,
            "data_processing_options_state": 1000,
            "total": 1,
            "currency": "USD",
            "products": [{ "product_id": "A-1", "example": input }]
        }
    })));
    let server_event = &outcome(&encoded)["event"];
    let section = match row.section {
        "user_data" => &server_event["user_data"],
        "custom_data" => &server_event["custom_data"],
        "contents" => &server_event["custom_data"]["contents"][0],
        _ => server_event,
    };
    section[key(row)].clone()
}

/// The parameter's name without its section.
fn key(row: &ParameterReference) -> &'static str {
    ["custom_data.contents[].", "custom_data.", "user_data."]
        .iter()
        .find_map(|section| row.name.strip_prefix(section))
        .unwrap_or(row.name)
}

/// The values and hashes that Meta's documentation prints; other tests hold the code to them.
fn documented() -> String {
    let mut table = "\nValues as Meta's documentation prints them, and what is hashed of them:\n\n\
                     | Parameter | Value | Normal form | SHA-256 |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for case in read("fixtures/identity/documented.json")["cases"]
        .as_array()
        .expect("cases")
    {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        writeln!(
            table,
            "| `{}` | `{}` | `{}` | `{}` |",
            text("field"),
            text("value"),
            text("normal"),
            text("sha256")
        )
        .expect("text");
    }
    table
}
