//! What is explained is true of the event as it is sent in the end.

use crate::property::{PRESETS, any_event};
use crate::{build, event};
use pipeline_core::{Encoded, Explained, FieldFate};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// Random events for each preset and place of action.
const EVENTS: usize = 150;

async fn explained(options: &Value, source: &Value) -> Explained {
    build(options).await.explain(&event(source))
}

fn payload(explained: &Explained) -> Value {
    let Encoded::Record(record) = &explained.encoded else {
        panic!("not mapped: {:?}", explained.encoded);
    };
    serde_json::from_slice(&record.payload).expect("JSON")
}

fn track(name: &str, properties: &Value) -> Value {
    json!({
        "type": "track", "event": name, "messageId": "m", "timestamp": "2026-01-15T11:00:00Z", "userId": "u-1",
        "context": { "consent": { "marketing": true } }, "properties": properties,
    })
}

/// How often each parameter is in a server event. Items are counted together; only filled positions of `extinfo` count.
fn written(payload: &Value) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    let mut add = |name: String, times| *names.entry(name).or_insert(0) += times;
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for (section, value) in object(payload) {
        if !value.is_object() {
            add(section, 1);
            continue;
        }
        for (key, value) in object(&value) {
            let elements = value.as_array();
            match key.as_str() {
                "contents" => {
                    for key in elements.into_iter().flatten().flat_map(object) {
                        add(format!("custom_data.contents[].{}", key.0), 1);
                    }
                }
                "extinfo" => {
                    let filled = elements.into_iter().flatten();
                    let filled = filled.filter(|value| **value != json!("")).count();
                    add("app_data.extinfo".to_owned(), filled);
                }
                "store_data" => {
                    let keys: Map<_, _> = object(&value);
                    keys.keys()
                        .for_each(|key| add(format!("{section}.{}.{key}", "store_data"), 1));
                }
                _ => add(format!("{section}.{key}"), 1),
            }
        }
    }
    names.retain(|_, times| *times > 0);
    names
}

/// The name that `written` counts a field under.
fn counted_as(name: &str) -> String {
    match (name.find('['), name.find(']')) {
        (Some(open), Some(close)) => format!("{}[]{}", &name[..open], &name[close + 1..]),
        _ if name.starts_with("app_data.extinfo.") => "app_data.extinfo".to_owned(),
        _ => name.to_owned(),
    }
}

#[tokio::test]
async fn a_parameter_is_explained_as_sent_if_and_only_if_it_is_in_the_event() {
    let mut runner = TestRunner::deterministic();
    let mut mapped = 0;
    for preset in PRESETS {
        let strategy = any_event(preset);
        for action_source in ["website", "app"] {
            let sink = build(&json!({
                "preset": preset, "action_source": action_source, "unmapped_events": "custom",
                "consent": { "when_absent": "allow" },
            }))
            .await;
            for _ in 0..EVENTS {
                let source = strategy.new_tree(&mut runner).expect("an event").current();
                let explained = sink.explain(&event(&source));
                if !matches!(explained.encoded, Encoded::Record(_)) {
                    continue;
                }
                mapped += 1;
                let mut sent = BTreeMap::new();
                let (mut used, mut unused) = (HashSet::new(), HashSet::new());
                for field in &explained.explanation.fields {
                    match &field.fate {
                        FieldFate::Sent { from, .. } => {
                            *sent.entry(counted_as(&field.name)).or_insert(0) += 1;
                            used.extend(from.iter().map(|from| (&field.name, from)));
                        }
                        FieldFate::Omitted { from, .. } => {
                            unused.insert((&field.name, from));
                        }
                        _ => {}
                    }
                }
                assert_eq!(sent, written(&payload(&explained)), "of {source}");
                let both: Vec<_> = used.intersection(&unused).collect();
                assert!(both.is_empty(), "{both:?} of {source}");
            }
        }
    }
    assert!(mapped > EVENTS, "only {mapped} events are mapped");
}

#[tokio::test]
async fn an_amount_that_is_taken_back_is_left_out_and_not_sent() {
    let unusable = [
        (json!({ "product_id": "p", "price": 5 }), "(the items)"),
        (json!({ "product_id": "p", "value": 7 }), "properties.value"),
        (
            json!({ "product_id": "p", "value": 7, "currency": "euros" }),
            "properties.value",
        ),
    ];
    for (properties, from) in unusable {
        let told = explained(&json!({}), &track("Product Added", &properties)).await;
        assert_eq!(payload(&told)["custom_data"].get("value"), None);
        let told = told.explanation.to_json();
        assert_eq!(told["sent"].get("custom_data.value"), None, "{told}");
        let left_out = &told["left_out"]["custom_data.value"];
        assert_eq!(
            (&left_out["why"], &left_out["from"]),
            (&json!("no_currency"), &json!(from)),
            "{properties}"
        );
    }
}

#[tokio::test]
async fn every_item_that_is_left_out_is_named_and_nothing_of_it_is_sent() {
    let products = json!([
        { "name": "no id", "price": 1, "quantity": 2 },
        { "product_id": "p", "price": "one" },
        { "name": "no id either" },
        { "product_id": "q", "price": [], "delivery_category": "drone" },
    ]);
    let properties = json!({ "products": products, "currency": "EUR" });
    let told = explained(&json!({}), &track("Product Added", &properties)).await;
    let items = payload(&told)["custom_data"]["contents"].clone();
    assert_eq!(items.as_array().map(Vec::len), Some(2), "{items}");
    let told = told.explanation.to_json();
    let items = &told["left_out"]["custom_data.contents[]"];
    assert_eq!(
        (&items["from"], &items["why"]),
        (&json!("properties.products[0]"), &json!("no_id"))
    );
    assert_eq!(items["more"][0]["from"], "properties.products[2]");
    let price = &told["left_out"]["custom_data.contents[1].item_price"];
    assert_eq!(price["from"], "properties.products[1].price");
    let sent = told["sent"].as_object().expect("an object");
    for gone in ["contents[0]", "contents[2]"] {
        let mut names = sent.keys();
        assert!(!names.any(|name| name.contains(gone)), "{gone}: {told}");
    }
}

#[tokio::test]
async fn every_value_of_a_list_that_is_left_out_is_named_with_its_place() {
    let mut source = track("Product Added", &json!({ "product_id": "p" }));
    source["traits"] =
        json!({ "email": ["mary at example", "mary@example.com", "", "x y", "m@example.com"] });
    source["context"]["traits"] = json!({ "email": "nothing" });
    source["context"]["ip"] = json!(["10.0.0.1", "192.168.1.1", "203.0.113.9"]);
    let told = explained(&json!({}), &source).await.explanation.to_json();
    let paths = |told: &Value| -> Vec<Value> {
        let more = told["more"].as_array().into_iter().flatten();
        let more = more.map(|told| told["from"].clone());
        [told["from"].clone()].into_iter().chain(more).collect()
    };
    assert_eq!(
        told["sent"]["user_data.em"]["from"],
        json!(["traits.email[1]", "traits.email[4]"])
    );
    assert_eq!(
        paths(&told["left_out"]["user_data.em"])[..2],
        [json!("traits.email[0]"), json!("traits.email[3]")]
    );
    assert_eq!(
        paths(&told["left_out"]["user_data.client_ip_address"]),
        [json!("context.ip[0]"), json!("context.ip[1]")]
    );
    assert_eq!(
        told["sent"]["user_data.client_ip_address"]["from"],
        "context.ip[2]"
    );
}

#[tokio::test]
async fn values_beyond_what_a_list_can_send_are_told() {
    let emails: Vec<_> = (0..20).map(|n| format!("mary{n}@example.com")).collect();
    let mut source = track("Product Added", &json!({ "product_id": "p" }));
    source["traits"] = json!({ "email": emails });
    let told = explained(&json!({}), &source).await;
    let sent = payload(&told)["user_data"]["em"].clone();
    assert_eq!(sent.as_array().map(Vec::len), Some(16));
    let told = told.explanation.to_json();
    let left_out = &told["left_out"]["user_data.em"];
    assert_eq!(
        (&left_out["from"], &left_out["why"]),
        (&json!("traits.email[16]"), &json!("too_many"))
    );
}

#[tokio::test]
async fn an_event_is_called_what_its_sender_calls_it() {
    let sink = build(&json!({})).await;
    let called = |source: Value| sink.explain(&event(&source)).source_event;
    for (source, name) in [
        (
            json!({ "type": "track", "event": "order_completed" }),
            Some("order_completed"),
        ),
        (json!({ "event": " Cart Viewed " }), Some("Cart Viewed")),
        (json!({ "type": "Track", "event": "" }), Some("Track")),
        (
            json!({ "type": "page", "event": "Order Completed" }),
            Some("page"),
        ),
        (json!({ "type": "screen" }), Some("screen")),
        (
            json!({ "type": "identify", "traits": {} }),
            Some("identify"),
        ),
        (
            json!({ "event": "call +1 650 555 1212" }),
            Some("(a name that is not shown)"),
        ),
        (json!({ "event": { "name": "x" } }), None),
        (json!({}), None),
    ] {
        assert_eq!(called(source.clone()).as_deref(), name, "{source}");
    }
    let broken = pipeline_core::Event::new("{\"event\":\"x\"", 0);
    assert_eq!(sink.explain(&broken).source_event, None);
}
