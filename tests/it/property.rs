//! Whatever comes in: nothing panics, no personal value comes out, and nothing that is accepted is refused at Meta's
//! door.

use crate::{NOW_MS, build, event, outcome, root};
use graph_sandbox::{Sandbox, SandboxOptions};
use pipeline_core::{Encoded, Event, Outcome};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::sync::Arc;

/// Places of an event that the presets read.
const PLACES: &[&str] = &[
    "/type",
    "/event",
    "/messageId",
    "/timestamp",
    "/userId",
    "/anonymousId",
    "/traits",
    "/context",
    "/properties",
    "/context/ip",
    "/context/userAgent",
    "/context/page",
    "/context/page/url",
    "/context/page/referrer",
    "/context/fbp",
    "/context/fbc",
    "/context/traits",
    "/context/traits/email",
    "/context/traits/phone",
    "/context/traits/firstName",
    "/context/traits/lastName",
    "/context/traits/name",
    "/context/traits/birthday",
    "/context/traits/gender",
    "/context/traits/address",
    "/context/traits/address/city",
    "/context/traits/address/state",
    "/context/traits/address/postalCode",
    "/context/traits/address/country",
    "/properties/total",
    "/properties/revenue",
    "/properties/currency",
    "/properties/order_id",
    "/properties/products",
    "/properties/products/0",
    "/properties/products/0/product_id",
    "/properties/products/0/quantity",
    "/properties/products/0/price",
    "/properties/products/1/name",
    "/properties/event_id",
    "/properties/lead_id",
    "/properties/page_id",
    "/properties/status",
    "/properties/query",
    "/properties/num_items",
    "/properties/content_ids",
    "/properties/content_type",
    "/properties/delivery_category",
    "/properties/opt_out",
    "/properties/data_processing_options",
    "/properties/data_processing_options_country",
    "/properties/data_processing_options_state",
    "/properties/predicted_ltv",
    "/properties/year",
    "/properties/trim",
    "/properties/body_style",
    "/properties/mileage",
    "/properties/price",
    "/properties/checkin_date",
    "/properties/travel_class",
    "/properties/num_adults",
    "/properties/fb_login_id",
    "/properties/subscription_id",
    "/properties/madid",
    "/properties/make",
];

/// Values as they should be, as they are, and as nobody would expect them.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..100_u32).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,20}".prop_map(Value::from),
        "\\PC{1,3}".prop_map(Value::from),
        Just(json!("x".repeat(100_000))),
        Just(json!("\u{0}\u{1}\u{7f}")),
        Just(json!("👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿")),
        Just(json!(
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        )),
        Just(json!({ "a": { "b": [] } })),
        Just(json!([null, 1, "two", [3], { "four": 4 }])),
        prop::sample::select(vec![
            "page",
            "track",
            "Order Completed",
            "Lead Submitted",
            "Product Added",
            "2026-01-15T11:00:00Z",
            "EUR",
            "MRU",
            "12.5",
            "$1,299.00",
            "1e999",
            "NaN",
            "mary@example.com",
            "+1 650 555 0134",
            "(650) 555-0134",
            "US",
            "Germany",
            "1997-02-16",
            "female",
            "fb.1.1768470000000.IwAR0_abc",
            "fb.1.1.x",
            "10.0.0.1",
            "2001:db8::1",
            "LDU",
            "https://shop.example/?fbclid=IwAR0&x=1",
            "true",
            "123456789012345",
            "2024",
            "home delivery",
            "2026-03-01T10:00Z",
        ])
        .prop_map(Value::from),
    ]
}

fn any_event() -> impl Strategy<Value = Value> {
    let text = std::fs::read_to_string(root().join("fixtures/purchase.json")).expect("a file");
    let base: Value = serde_json::from_str(&text).expect("JSON");
    let changes = prop::collection::vec((prop::sample::select(PLACES), any_value()), 0..12);
    changes.prop_map(move |changes| {
        let mut event = base.clone();
        for (place, value) in changes {
            let (parent, key) = place.rsplit_once('/').expect("a path");
            match event.pointer_mut(parent) {
                Some(Value::Object(object)) => {
                    object.insert(key.to_owned(), value);
                }
                Some(Value::Array(list)) => {
                    if let Some(slot) = key.parse::<usize>().ok().and_then(|i| list.get_mut(i)) {
                        *slot = value;
                    }
                }
                _ => {}
            }
        }
        event
    })
}

/// Events per preset.
const EVENTS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_is_never_refused_at_the_door() {
    let sandbox = Sandbox::start(SandboxOptions {
        now_ms: Some(Arc::new(|| NOW_MS)),
        ..SandboxOptions::default()
    })
    .await
    .expect("a sandbox");
    let mut runner = TestRunner::deterministic();
    let strategy = any_event();
    for preset in ["retail", "travel", "b2b_saas", "automotive"] {
        let sink = build(&json!({
            "preset": preset,
            "endpoint": sandbox.url(),
            "unmapped_events": "custom",
            "consent": { "when_absent": "allow" },
        }))
        .await;
        let mut records = Vec::new();
        let mut sources = Vec::new();
        for _ in 0..EVENTS {
            let source = strategy.new_tree(&mut runner).expect("an event").current();
            if let Encoded::Record(record) = sink.encode(&event(&source)) {
                records.push(record);
                sources.push(source);
            }
        }
        assert!(
            records.len() > EVENTS / 4,
            "{preset}: only {} accepted",
            records.len()
        );
        for (batch, sources) in records.chunks(100).zip(sources.chunks(100)) {
            let outcomes = sink.deliver(batch).await;
            for ((outcome, record), source) in outcomes.iter().zip(batch).zip(sources) {
                assert_eq!(
                    *outcome,
                    Outcome::Delivered,
                    "{:?} of {source}",
                    record.payload
                );
            }
        }
    }
    sandbox.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_whatsoever_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sink = runtime.block_on(build(&json!({})));
        let encoded = sink.encode(&Event::new(bytes, NOW_MS));
        prop_assert!(!matches!(encoded, Encoded::Record(_)));
    }

    #[test]
    fn no_personal_value_comes_out_in_the_clear(mut source in any_event()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sink = runtime.block_on(build(&json!({ "consent": { "when_absent": "allow" } })));
        source["userId"] = "visitor-4711".into();
        source["traits"] = json!({
            "email": "Secret.Person@example.org", "phone": "+44 20 7946 0958", "firstName": "Xanthippe",
            "lastName": "Featherstonehaugh", "birthday": "1979-12-31",
            "address": { "city": "Ashby-de-la-Zouch", "postalCode": "LE65 1AB", "country": "United Kingdom" },
        });
        let explained = sink.explain(&event(&source));
        let shown = format!("{:?} {} {}", explained.encoded, outcome(&explained.encoded), explained.explain).to_lowercase();
        for secret in ["secret.person", "7946", "xanthippe", "feather", "1979", "ashby", "le65", "visitor-4711"] {
            prop_assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}
