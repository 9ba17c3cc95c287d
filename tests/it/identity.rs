//! Who it was: every path of the group `identity` is read, nothing there panics, and no word for a missing value becomes a person.

use crate::{NOW_MS, build, event, outcome, root};
use pipeline_core::{Event, Sink};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The paths of the group, by parameter.
fn paths() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(root().join("schema/fields.json")).expect("a file");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let group = &file["groups"]["identity"]["field_mappings"];
    let list = |paths: &Value| -> Vec<String> {
        let paths = paths.as_array().expect("paths").iter();
        paths
            .map(|path| path.as_str().expect("a path").to_owned())
            .collect()
    };
    let parameters = group.as_object().expect("parameters").iter();
    parameters
        .map(|(name, paths)| {
            let lists = match paths.get("all") {
                Some(all) => all
                    .as_array()
                    .expect("lists")
                    .iter()
                    .flat_map(list)
                    .collect(),
                None => list(paths),
            };
            (name.clone(), lists)
        })
        .collect()
}

/// An event without any identity.
fn without_identity() -> Value {
    json!({
        "type": "track",
        "event": "Lead Submitted",
        "messageId": "m-1",
        "timestamp": "2026-01-15T11:00:00Z",
        "context": { "consent": { "canonical": { "marketing": true } } },
    })
}

/// Puts a value where a path leads; `[0]` is an object, because it can be one.
fn put(into: &mut Value, path: &str, value: Value) {
    let (step, rest) = match path.find(['.', '[']) {
        Some(end) if end > 0 => path.split_at(end),
        _ => (path, ""),
    };
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let next = &mut into[step];
    if let Some(selector) = rest
        .strip_prefix('[')
        .filter(|rest| !rest.starts_with("0]"))
    {
        let (selector, rest) = selector.split_once("].").expect("a selector and a key");
        let (key, text) = selector.split_once('=').expect("a key and a text");
        let mut element = json!({ key: text.trim_matches('"') });
        put(&mut element, rest, value);
        *next = json!([{ "id": "other" }, element]);
    } else if rest.is_empty() {
        *next = value;
    } else {
        if !next.is_object() {
            *next = json!({});
        }
        put(next, rest.strip_prefix("[0].").unwrap_or(rest), value);
    }
}

/// A value that a parameter takes.
fn sample(parameter: &str, path: &str) -> Value {
    match parameter.rsplit('.').next().expect("a key") {
        _ if path.contains("sha256_") => {
            json!("a24a7f55f278dd49fb1f99c5507800cb198a5bfe10fe2126cd0b25672152b0da")
        }
        _ if path.ends_with("cookie") || path.ends_with("cookies") => {
            json!("_fbp=fb.1.1768470000000.1116446470; _fbc=fb.1.1768470000000.IwAR0_abc")
        }
        "em" => json!("mary@example.com"),
        "ph" => json!("+16505551212"),
        "fn" | "ln" | "ct" | "st" => json!("Paris"),
        "full_name" => json!("Mary Smith"),
        "ge" => json!("female"),
        "db" => json!("1990-01-02"),
        "country" => json!("FR"),
        "client_ip_address" | "request_ip" => json!("203.0.113.9"),
        "fbp" | "fbc" => json!("fb.1.1768470000000.1116446470"),
        "click_id" if path.ends_with("fbclid") => json!("IwAR0_abc"),
        "click_id" => json!("https://shop.example/?fbclid=IwAR0_abc"),
        "client_user_agent" => json!("Mozilla/5.0"),
        "zp" => json!("75018"),
        _ => json!("1234567890123456"),
    }
}

/// The parameter of `user_data` that a source is for.
fn sent_as(parameter: &str) -> &str {
    match parameter {
        "source.full_name" => "fn",
        "source.visitor_id" => "fbp",
        "source.request_ip" => "client_ip_address",
        "source.click_id" => "fbc",
        other => other
            .strip_prefix("user_data.")
            .expect("a parameter of `user_data`"),
    }
}

fn user_data(sink: &dyn Sink, of: &Value) -> Value {
    outcome(&sink.encode(&event(of)))["event"]["user_data"].clone()
}

#[tokio::test]
async fn every_path_of_the_group_is_read() {
    let sink = build(&json!({})).await;
    let mut tried = 0;
    for (parameter, paths) in paths() {
        for path in paths {
            let mut event = without_identity();
            // What is too weak alone goes with something that is not.
            event["properties"]["page_id"] = json!("1234567890123456");
            put(&mut event, &path, sample(&parameter, &path));
            let user_data = user_data(&*sink, &event);
            assert!(
                !user_data[sent_as(&parameter)].is_null(),
                "{parameter} at {path}: {user_data}"
            );
            tried += 1;
        }
    }
    assert!(tried > 400, "{tried}");
}

#[tokio::test]
async fn no_value_at_any_path_panics_or_makes_anything_but_json() {
    let sink = build(&json!({ "action_source": "website" })).await;
    let places: Vec<_> = paths().into_values().flatten().collect();
    let changes = prop::collection::vec((prop::sample::select(places), any_value()), 1..8);
    let mut runner = TestRunner::deterministic();
    for _ in 0..2_000 {
        let changes = changes.new_tree(&mut runner).expect("changes").current();
        let mut event = without_identity();
        event["userId"] = json!("u-1");
        for (path, value) in changes {
            put(&mut event, &path, value);
        }
        let raw = Event::new(event.to_string(), NOW_MS);
        let sent = outcome(&sink.encode(&raw));
        assert_eq!(outcome(&sink.explain(&raw).encoded), sent, "{event}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[-+0-9.eE,; ]{0,20}",
        "[a-z@.&#;%0-9<>\"' ,]{0,24}",
        "_fb[pc]=[a-z0-9.]{0,20}",
        "\\[[\"a-z,0-9]{0,10}\\]",
    ];
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    scalar.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_0-9]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What senders write where they have no value.
const WORDS: &[&str] = &[
    "undefined",
    "null",
    "none",
    "nil",
    "nan",
    "n/a",
    "(not set)",
    "not set",
    "(none)",
    "unknown",
    "anonymous",
    "-",
    ".",
    "[object Object]",
    "00000000-0000-0000-0000-000000000000",
    "{{user_id}}",
];

/// A word in any case, with any quotes and white space around it, or its hash.
fn any_spelling() -> impl Strategy<Value = String> {
    let around = prop::sample::select(vec!["", " ", "  ", "\"", "'", "\t", "\u{a0}", "“"]);
    let words = prop::sample::select(WORDS);
    (words, any::<u64>(), around.clone(), around).prop_map(|(word, upper, before, after)| {
        let letters = word.chars().enumerate();
        let in_case = letters.map(|(at, c)| {
            let is_upper = upper >> (at % 64) & 1 == 1;
            if is_upper { c.to_ascii_uppercase() } else { c }
        });
        format!("{before}{}{after}", in_case.collect::<String>())
    })
}

#[tokio::test]
async fn no_word_for_a_missing_value_becomes_a_person_however_it_is_spelled() {
    let sink = build(&json!({})).await;
    let unhashed = build(&json!({ "external_id": "raw" })).await;
    let paths = paths();
    let named = |parameter: &str| sent_as(parameter).to_owned();
    let places: Vec<_> = paths
        .iter()
        .flat_map(|(parameter, paths)| paths.iter().map(|path| (named(parameter), path.clone())))
        .collect();
    let strategy = (prop::sample::select(places), any_spelling());
    let mut runner = TestRunner::deterministic();
    for _ in 0..3_000 {
        let ((parameter, path), word) = strategy.new_tree(&mut runner).expect("a word").current();
        let mut event = without_identity();
        event["properties"]["page_id"] = json!("1234567890123456");
        put(&mut event, &path, json!(word));
        // Only ids are zeros; a name of zeros is as good as any other name.
        let is_zero =
            word.contains("0000") && !matches!(&*parameter, "external_id" | "fbp" | "fbc" | "zp");
        for sink in [&sink, &unhashed] {
            let user_data = user_data(&**sink, &event);
            let expected = if path == "properties.page_id" {
                json!(null)
            } else {
                json!({ "page_id": "1234567890123456" })
            };
            assert!(
                is_zero || user_data == expected,
                "{word:?} at {path}: {user_data}"
            );
        }
    }
}

#[tokio::test]
async fn a_placeholder_and_lost_digits_are_said_in_the_explanation() {
    let sink = build(&json!({})).await;
    let mut event = without_identity();
    event["userId"] = json!("undefined");
    event["traits"] = json!({ "email": "mary@example.com", "first_name": "N/A", "address": { "city": "(not set)" } });
    event["properties"] = json!({ "lead_id": "1.23457E+15" });
    event["context"]["fbc"] = json!("fb.1.1768470000000.null");
    let explained = sink.explain(&Event::new(event.to_string(), NOW_MS));
    let left_out = &explained.explanation.to_json()["left_out"];
    for (parameter, why) in [
        ("external_id", "placeholder"),
        ("fn", "placeholder"),
        ("ct", "placeholder"),
        ("fbc", "placeholder"),
        ("lead_id", "digits_lost"),
    ] {
        assert_eq!(
            left_out[format!("user_data.{parameter}")]["why"],
            why,
            "{parameter}: {left_out}"
        );
    }
    assert!(!left_out.to_string().contains("1.23457"));
}
