//! Every path that a mapping reads, with every kind of value that does not belong there: the event lives, the value is
//! left out or brought into form, the explanation says so, and the sandbox takes what comes out.

use crate::{NOW_MS, build, root};
use graph_sandbox::{Sandbox, SandboxOptions};
use pipeline_core::{Encoded, Event, Origin, Outcome, Sink};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Bytes of an unexpected text.
const LONG: usize = 1024 * 1024;
/// Replaces it until the event is text: a tree of such values is slow to write.
const LONG_MARK: &str = "(one long text)";

/// What an event cannot do without where it takes place, and the reason that says so.
const REQUIRED: &[(&str, &str)] = &[
    ("app_data.extinfo.version", "missing_app_data"),
    ("app_data.extinfo.os_version", "missing_app_data"),
    ("source.system", "missing_app_data"),
    ("messaging_channel", "missing_messaging_channel"),
    ("action_source", "unknown_action_source"),
    ("opt_out", "unreadable_privacy_wish"),
    ("data_processing_options", "unreadable_privacy_wish"),
    (
        "app_data.advertiser_tracking_enabled",
        "unreadable_tracking",
    ),
    (
        "app_data.application_tracking_enabled",
        "unreadable_tracking",
    ),
    ("user_data.page_id", "missing_messaging_ids"),
    ("user_data.page_scoped_user_id", "missing_messaging_ids"),
];

/// Values by name; the empty ones count as absent.
fn bad_values() -> Vec<(&'static str, Value)> {
    vec![
        ("number", json!(-1.5)),
        ("huge number", json!(1e300)),
        ("boolean", json!(true)),
        ("list", json!([null, [], {}, "", 7, "x"])),
        ("object", json!({ "a": { "b": [1] } })),
        ("text", json!("none of it")),
        ("long text", json!(LONG_MARK)),
        ("control characters", json!("\u{0}a\u{1}\u{7f}\u{85}b\n")),
        ("emoji", json!("👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿")),
        ("null", Value::Null),
        ("empty text", json!("")),
        ("empty list", json!([])),
        ("blank text", json!(" \t ")),
    ]
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// A parameter and one of the paths that it is read from.
#[derive(Debug)]
struct Source {
    parameter: String,
    path: String,
    /// The other paths of the same parameter, which must not answer in its place.
    rivals: Vec<String>,
}

/// Every path of `schema/fields.json`. Those of items stand in the first product.
fn sources(groups: &Map<String, Value>) -> Vec<Source> {
    let mut sources = Vec::new();
    for (parameter, mapping) in groups
        .values()
        .flat_map(|group| group["field_mappings"].as_object().expect("mappings"))
    {
        let lists = [&mapping["all"], &mapping["paths"], mapping];
        let written = lists.iter().find_map(|list| list.as_array());
        let paths: Vec<String> = written
            .expect("paths")
            .iter()
            .flat_map(|path| match path {
                Value::Array(group) => group.clone(),
                one => vec![one.clone()],
            })
            .map(|path| {
                let path = path.as_str().expect("a path").to_owned();
                match parameter.strip_prefix("custom_data.contents[].") {
                    Some(_) => format!("properties.products[0].{path}"),
                    None => path,
                }
            })
            .collect();
        for path in &paths {
            sources.push(Source {
                parameter: parameter.clone(),
                path: path.clone(),
                rivals: paths.clone(),
            });
        }
    }
    sources
}

/// An event that has what each of the sinks below asks for, and little more.
fn base() -> Value {
    json!({
        "type": "track", "event": "Everything", "messageId": "m-1", "timestamp": "2026-01-15T11:00:00Z",
        // An hour ago, so that the clock of the sender is looked at.
        "sentAt": "2026-01-15T11:00:00Z",
        "userId": "u-1", "anonymousId": "a-1",
        "properties": {
            "products": [{ "product_id": "sku-1" }], "currency": "EUR", "messaging_channel": "messenger",
            "page_id": "1234567890", "page_scoped_user_id": "2345678901",
        },
        "context": {
            "consent": { "marketing": true }, "ip": "2001:db8::1", "userAgent": "Mozilla/5.0",
            "os": { "name": "iOS", "version": "18.2" },
        },
    })
}

/// The place in `event` that a path names, made where it is not there.
fn place<'a>(event: &'a mut Value, path: &str) -> &'a mut Value {
    let path = path.replace('[', ".[").replace(']', "");
    path.split('.').fold(event, |value, step| {
        let Some(place) = step.strip_prefix('[') else {
            if !value.is_object() {
                *value = json!({});
            }
            return &mut value[step];
        };
        if !value.is_array() {
            *value = json!([]);
        }
        let list = value.as_array_mut().expect("a list");
        if let Some((key, text)) = place.split_once('=') {
            let selected = json!({ key: text.trim_matches('"') });
            let place = list
                .iter()
                .position(|element| element[key] == selected[key]);
            let place = place.unwrap_or(list.len());
            list.resize(list.len().max(place + 1), selected);
            return &mut list[place];
        }
        let place = place.parse::<usize>().expect("a place");
        list.resize(list.len().max(place + 1), Value::Null);
        &mut list[place]
    })
}

fn with(source: &Source, value: Value) -> Value {
    let mut event = base();
    for rival in &source.rivals {
        *place(&mut event, rival) = Value::Null;
    }
    if source.parameter == "source.request_ip" {
        // It is looked at where the context has no address.
        *place(&mut event, "context.ip") = Value::Null;
    }
    *place(&mut event, &source.path) = value;
    event
}

/// Whether the explanation says what became of the value at the path. What other parameters read is told of them; an
/// absent value need not be told where another one stands in.
fn says(explain: &Value, source: &Source, value: &Value) -> bool {
    let told = |list: &str| explain[list].as_object().expect("an object");
    let of_another = source.parameter.starts_with("source.");
    // An element of a list has its place behind the path.
    let is_path = |told: &Value| {
        told.as_str()
            .is_some_and(|told| told.starts_with(&source.path))
    };
    let mut fields = told("sent").iter().chain(told("left_out"));
    fields.any(|(field, told)| {
        let is_own =
            item_name(field) == source.parameter || source.parameter == "custom_data.contents[]";
        let names_path = |key: &str| match &told[key] {
            Value::Array(paths) => paths.iter().any(is_path),
            one => is_path(one),
        };
        (is_own || of_another) && (is_empty(value) || names_path("from") || names_path("looked_in"))
    })
}

fn item_name(field: &str) -> String {
    field.replace("contents[0]", "contents[]")
}

/// A sink whose preset maps everything there is.
async fn sink(folder: &std::path::Path, groups: &Map<String, Value>, over: Value) -> Box<dyn Sink> {
    let file = folder.join("everything.json");
    let preset = json!({
        "name": "everything", "title": "Everything", "description": "Every group.",
        "include": groups.keys().collect::<Vec<_>>(),
        "events": [{ "from": ["Everything"], "to": "ViewContent" }],
    });
    std::fs::write(&file, preset.to_string()).expect("a writable folder");
    let mut options = json!({ "preset": { "file": file } });
    options
        .as_object_mut()
        .expect("an object")
        .extend(over.as_object().expect("an object").clone());
    build(&options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_does_not_belong_costs_itself_and_nothing_else() {
    let sandbox = Sandbox::start(SandboxOptions {
        now_ms: Some(Arc::new(|| NOW_MS)),
        ..SandboxOptions::default()
    })
    .await
    .expect("a sandbox");
    let fields = std::fs::read_to_string(root().join("schema/fields.json")).expect("a file");
    let fields: Value = serde_json::from_str(&fields).expect("JSON");
    let groups = fields["groups"].as_object().expect("groups");
    let sources = sources(groups);
    assert!(sources.len() > 300, "only {} paths", sources.len());
    let folder = tempfile::tempdir().expect("a folder");
    let long = "x".repeat(LONG);
    let mut wrong = Vec::new();
    for action_source in ["app", "business_messaging"] {
        let over = json!({ "endpoint": sandbox.url(), "action_source": action_source });
        let sink = sink(folder.path(), groups, over).await;
        let mut records = Vec::new();
        for source in &sources {
            // The long way once: what one kind of event reads in addition is little.
            let only_here = source.parameter == "messaging_channel"
                || source.parameter.starts_with("user_data.");
            if action_source == "business_messaging" && !only_here {
                continue;
            }
            for (name, value) in bad_values() {
                let told = || {
                    format!(
                        "{action_source}: {} at {}, for {}",
                        name, source.path, source.parameter
                    )
                };
                let text = with(source, value.clone())
                    .to_string()
                    .replace(LONG_MARK, &long);
                let explained = sink.explain(&Event::new(text, NOW_MS));
                match explained.encoded {
                    Encoded::Record(record) => records.push((record, told())),
                    Encoded::Rejected(rejection)
                        if REQUIRED.contains(&(&source.parameter, rejection.reason.code)) => {}
                    other => wrong.push(format!("{}: {other:?}", told())),
                }
                if action_source == "app"
                    && source.parameter != "messaging_channel"
                    && !says(&explained.explanation.to_json(), source, &value)
                {
                    wrong.push(format!("{}: not explained", told()));
                }
            }
        }
        for batch in records.chunks(100) {
            let (records, told): (Vec<_>, Vec<_>) = batch.iter().cloned().unzip();
            for (outcome, told) in sink.deliver(&records).await.iter().zip(told) {
                if *outcome != Outcome::Delivered {
                    wrong.push(format!("{told}: {outcome:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of\n{}", wrong.len(), wrong.join("\n"));
    sandbox.stop().await;
}

#[tokio::test]
async fn an_event_that_was_not_understood_leaves_nothing_that_could_be_sent_later() {
    let sink = build(&json!({})).await;
    for (change, reason) in [
        (json!({ "timestamp": "yesterday" }), "unreadable_time"),
        (
            json!({ "action_source": "somewhere" }),
            "unknown_action_source",
        ),
        (json!({ "opt_out": "perhaps" }), "unreadable_privacy_wish"),
        (
            json!({ "data_processing_options": "restricted" }),
            "unreadable_privacy_wish",
        ),
        (
            json!({ "action_source": "app", "app_data": { "advertiser_tracking_enabled": "perhaps" } }),
            "unreadable_tracking",
        ),
    ] {
        let mut source = base();
        source["event"] = "Product Added".into();
        let members = source.as_object_mut().expect("an object");
        members.extend(change.as_object().expect("an object").clone());
        let event = Event::new(source.to_string(), NOW_MS);
        let event = event.with_origin(Origin::line("events".into(), 1));
        let Encoded::Rejected(rejection) = sink.encode(&event) else {
            panic!("{source} is not rejected");
        };
        assert_eq!(rejection.reason.code, reason, "{source}");
        assert_eq!(rejection.record, None, "{source}");
        // The path is named, the value is not.
        let detail = &rejection.reason.detail;
        assert!(detail.starts_with("the value of `"), "{detail}");
        for value in ["yesterday", "somewhere", "perhaps", "restricted"] {
            assert!(!detail.contains(value), "{detail}");
        }
    }
}
