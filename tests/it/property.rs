//! Whatever comes in: nothing panics, no personal value comes out, nothing that is accepted is refused at Meta's door, and
//! what is explained is what is sent.

use crate::{NOW_MS, build, event, outcome, root};
use graph_sandbox::{Sandbox, SandboxOptions};
use pipeline_core::{Encoded, Event, Outcome, Record, Sink};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

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
    "/context/action_source",
    "/context/messaging_channel",
    "/properties/messaging_channel",
    "/properties/page_scoped_user_id",
    "/properties/ctwa_clid",
    "/properties/whatsapp_business_account_id",
    "/properties/ig_account_id",
    "/properties/ig_sid",
    "/context/app",
    "/context/app/namespace",
    "/context/app/version",
    "/context/app/build",
    "/context/app/urlSchemes",
    "/context/app/campaignIds",
    "/context/app/installReferrer",
    "/context/app/applicationTrackingEnabled",
    "/context/device",
    "/context/device/id",
    "/context/device/type",
    "/context/device/model",
    "/context/device/adTrackingEnabled",
    "/context/device/trackingStatus",
    "/context/device/advertisingId",
    "/context/device/cpuCores",
    "/context/device/storageGb",
    "/context/os",
    "/context/os/name",
    "/context/os/version",
    "/context/screen",
    "/context/screen/width",
    "/context/screen/density",
    "/context/network/carrier",
    "/context/locale",
    "/context/timezone",
    "/context/data_processing_options",
    "/context/data_processing_options_state",
    "/properties/original_event_data",
    "/properties/original_event_data/event_name",
    "/properties/original_event_data/event_time",
    "/properties/original_event_data/order_id",
    "/properties/customer_segmentation",
    "/properties/net_revenue",
    "/properties/item_number",
    "/properties/user_bucket",
    "/properties/store_data",
    "/properties/store_data/store_page_id",
    "/properties/store_code",
    "/properties/event_source",
    "/properties/lead_event_source",
    "/properties/product_catalog_id",
    "/properties/level",
    "/properties/description",
    "/properties/max_rating_value",
    "/properties/success",
    "/properties/availability",
    "/properties/listing_type",
    "/properties/property_type",
    "/properties/lease_start_date",
    "/properties/preferred_beds_range",
    "/properties/drivetrain",
    "/properties/fuel_type",
    "/properties/transmission",
    "/properties/preferred_star_ratings",
    "/properties/destination_ids",
    "/properties/hotel_score",
    "/properties/products/0/delivery_category",
    "/properties/products/2/item_price",
    "/request_ip",
    "/user_data",
    "/properties/user_data",
    "/properties/user_data/em",
    "/properties/user_data/phone_number",
    "/properties/user_data/address",
    "/properties/user_data/address/first_name",
    "/properties/customer",
    "/properties/customer/id",
    "/properties/note_attributes",
    "/properties/leadgen_id",
    "/context/cookies",
    "/context/cookies/_fbp",
    "/context/cookie",
    "/context/externalIds",
    "/context/fbclid",
    "/context/traits/id",
];

/// Texts that mean something somewhere.
const WORDS: &[&str] = &[
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
    "2026-03-01",
    "20260301",
    "app",
    "physical_store",
    "business_messaging",
    "system_generated",
    "messenger",
    "whatsapp",
    "instagram",
    "iOS",
    "Android",
    "18.2",
    "authorized",
    "1013",
    "new customer to business",
    "HAM01",
    "for_sale",
    "house",
    "All-wheel",
    "AWD",
    "Add to Cart",
    "LeadSubmitted",
    "OrderCreated",
    "undefined",
    "N/A",
    "0",
    "l:1234567890123456",
    "1.23457E+15",
    "12345.0",
    "mary@example.com; anna@example.com",
    "[\"u-1\",\"u-2\"]",
    "O&#039;Brien",
    "_fbp=fb.1.1768470000000.1116446470; _fbc=fb.1.1768470000000.IwAR0_abc",
    "+52 1 55 1234 5678",
    "75018 Paris",
    "Smith, Mary",
];

/// Values as they should be, as they often are, and unexpected ones.
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
        prop::sample::select(WORDS).prop_map(Value::from),
    ]
}

/// What the context of an app holds beside a page's.
fn mobile() -> Value {
    json!({
        "app": { "namespace": "example.shop", "version": "3.2.0" },
        "device": { "id": "d-1", "type": "ios", "adTrackingEnabled": true },
        "os": { "name": "iOS", "version": "18.2" },
        "screen": {}, "network": {},
    })
}

/// What the properties of a conversation hold, and objects for others to stand in.
fn conversation() -> Value {
    json!({
        "messaging_channel": "messenger", "page_id": "1234567890", "page_scoped_user_id": "2345678901",
        "original_event_data": {}, "store_data": {}, "customer": {}, "user_data": { "address": {} },
    })
}

/// The names under which a preset's events come in, and some that Meta takes as they are.
fn event_names(preset: &str) -> Vec<String> {
    let file = root().join(format!("schema/presets/{preset}.json"));
    let text = std::fs::read_to_string(file).expect("a file");
    let preset: Value = serde_json::from_str(&text).expect("JSON");
    let events = preset["events"].as_array().expect("events");
    let of_preset = events
        .iter()
        .flat_map(|event| event["from"].as_array().expect("names"));
    let others = ["Purchase", "AddToCart", "LeadSubmitted", "OrderCreated"].map(Value::from);
    of_preset
        .chain(&others)
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

fn any_event(preset: &str) -> impl Strategy<Value = Value> {
    let text = std::fs::read_to_string(root().join("fixtures/purchase.json")).expect("a file");
    let mut base: Value = serde_json::from_str(&text).expect("JSON");
    let context = base["context"].as_object_mut().expect("an object");
    context.extend(mobile().as_object().expect("an object").clone());
    let properties = base["properties"].as_object_mut().expect("an object");
    properties.extend(conversation().as_object().expect("an object").clone());
    let changes = prop::collection::vec((prop::sample::select(PLACES), any_value()), 0..12);
    let names = prop::sample::select(event_names(preset));
    (names, changes).prop_map(move |(name, changes)| {
        let mut event = base.clone();
        event["event"] = name.into();
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

/// Presets, and where the events of a sink take place.
const PRESETS: &[&str] = &["retail", "travel", "b2b_saas", "automotive", "meta_capi"];
const PLACES_OF_ACTION: &[&str] = &["website", "app", "business_messaging", "physical_store"];

/// Events in all, unless `PROPERTY_EVENTS` says how many.
const EVENTS: usize = 4_000;

fn events_per_sink() -> usize {
    let asked = std::env::var("PROPERTY_EVENTS").ok();
    let events = asked.map_or(EVENTS, |asked| asked.parse().expect("a number of events"));
    events.div_ceil(PRESETS.len() * PLACES_OF_ACTION.len())
}

#[expect(clippy::print_stderr, reason = "a long run says how much it tried")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_is_never_refused_at_the_door() {
    let sandbox = Sandbox::start(SandboxOptions {
        now_ms: Some(Arc::new(|| NOW_MS)),
        ..SandboxOptions::default()
    })
    .await
    .expect("a sandbox");
    let mut runner = TestRunner::deterministic();
    let (mut generated, mut accepted) = (0, 0);
    for preset in PRESETS {
        let strategy = any_event(preset);
        for action_source in PLACES_OF_ACTION {
            let sink = build(&json!({
                "preset": preset,
                "action_source": action_source,
                "endpoint": sandbox.url(),
                "unmapped_events": "custom",
                "consent": { "when_absent": "allow" },
            }))
            .await;
            let (mut records, mut sources) = (Vec::new(), Vec::new());
            for _ in 0..events_per_sink() {
                let source = strategy.new_tree(&mut runner).expect("an event").current();
                let encoded = sink.encode(&event(&source));
                let told = sink.explain(&event(&source)).encoded;
                assert_eq!(outcome(&encoded), outcome(&told), "of {source}");
                if let Encoded::Record(record) = encoded {
                    records.push(record);
                    sources.push(source);
                }
            }
            generated += events_per_sink();
            accepted += records.len();
            assert!(
                records.len() > events_per_sink() / 20,
                "{preset}, {action_source}: only {} accepted",
                records.len()
            );
            deliver(sink.as_ref(), &records, &sources).await;
        }
    }
    assert!(accepted > generated / 4, "only {accepted} accepted");
    eprintln!("{generated} events generated, {accepted} accepted, none of them refused");
    sandbox.stop().await;
}

/// Delivers what was accepted, all of it.
async fn deliver(sink: &dyn Sink, records: &[Record], sources: &[Value]) {
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

/// One sink for all cases: building one reads the machine's certificates.
static SINK: LazyLock<Box<dyn Sink>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(build(&json!({ "consent": { "when_absent": "allow" } })))
});

/// Places where senders put what the visitor agreed to.
const CONSENT_PLACES: &[&str] = &[
    "/context/consent",
    "/context/consentManagement",
    "/context/consentCategories",
    "/context/consent_mode",
    "/consent",
    "/consentManagement",
    "/properties/consent",
    "/properties/consentMode",
    "/traits/consent",
    "/context/traits/consent",
    "/context/traits/consent_management",
];

/// A sink for which silence is enough, and that knows two codes for what it needs.
static CONSENT_SINK: LazyLock<Box<dyn Sink>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let codes = json!({ "C0004": "marketing", "Ads": "advertising", "C0002": "analytics" });
    runtime.block_on(build(
        &json!({ "consent": { "when_absent": "allow", "categories": codes } }),
    ))
});

/// What consent may look like: known keys and words in any shape, and other things.
fn any_consent() -> impl Strategy<Value = Value> {
    let words = [
        "granted",
        "denied",
        "true",
        "false",
        "C0004",
        "C0001",
        "Ads",
        "marketing",
        "",
        " ",
    ];
    let leaf = prop_oneof![
        4 => any::<bool>().prop_map(Value::from),
        3 => prop::sample::select(words.to_vec()).prop_map(Value::from),
        1 => Just(json!(["C0004"])),
        1 => Just(json!(["C0001", "Ads"])),
        1 => any_value().prop_filter("not long", |value| value.to_string().len() < 1_000),
    ];
    let keys = [
        "canonical",
        "marketing",
        "advertising",
        "analytics",
        "categories",
        "categoryPreferences",
        "C0004",
        "Ads",
        "C0002",
        "allowedConsentIds",
        "deniedConsentIds",
        "provider",
        "ad_storage",
        "consent",
        "consentManagement",
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            4 => prop::collection::btree_map(prop::sample::select(keys.to_vec()), inner.clone(), 0..5)
                .prop_map(|entries| json!(entries)),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

/// Whether a value says nothing at all.
fn is_nothing(given: &Value) -> bool {
    match given {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// Whether a value grants marketing at its place and refuses it nowhere, read in the plainest way.
fn is_grant(place: &str, given: &Value) -> bool {
    let codes = ["C0004", "Ads"];
    match place {
        "/context/consent" => {
            let canonical = &given["canonical"]["marketing"];
            if !canonical.is_null() {
                return *canonical == true;
            }
            let flat = [&given["marketing"], &given["advertising"]];
            let categories = codes.map(|code| &given["categories"][code]);
            let refused = |value: &Value| {
                let word = value.as_str().map(|word| word.trim().to_lowercase());
                *value == false || word.is_some_and(|word| word == "false" || word == "denied")
            };
            let is_good = |value: &&Value| **value == true || value.is_null();
            let code_granted = categories.contains(&&Value::Bool(true));
            flat.iter().all(is_good)
                && (code_granted || categories.iter().all(|value| value.is_null()))
                && (code_granted || flat.contains(&&Value::Bool(true)))
                && !codes
                    .iter()
                    .any(|code| refused(&given["categoryPreferences"][code]))
        }
        "/context/consentManagement" => {
            let ids = |key: &str| given[key].as_array().cloned().unwrap_or_default();
            let has_code = |ids: &[Value]| ids.iter().any(|id| codes.iter().any(|code| id == code));
            let denied = ids("deniedConsentIds");
            has_code(&ids("allowedConsentIds"))
                && !has_code(&denied)
                && denied
                    .iter()
                    .all(|id| id.as_str().is_some_and(|id| !id.trim().is_empty()) || id.is_number())
                && (given["deniedConsentIds"].is_array() || is_nothing(&given["deniedConsentIds"]))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let encoded = SINK.encode(&Event::new(bytes, NOW_MS));
        prop_assert!(!matches!(encoded, Encoded::Record(_)));
    }

    #[test]
    fn no_personal_value_comes_out_in_the_clear(mut source in any_event("retail")) {
        source["userId"] = "visitor-4711".into();
        source["traits"] = json!({
            "email": "Secret.Person@example.org", "phone": "+44 20 7946 0958", "firstName": "Xanthippe",
            "lastName": "Featherstonehaugh", "birthday": "1979-12-31",
            "address": { "city": "Ashby-de-la-Zouch", "postalCode": "LE65 1AB", "country": "United Kingdom" },
        });
        let explained = SINK.explain(&event(&source));
        let shown = format!("{:?} {} {}", explained.encoded, outcome(&explained.encoded), explained.explanation.to_json()).to_lowercase();
        // As they were written and in their normal forms; four digits alone would turn up in hashes by chance.
        for secret in [
            "secret.person", "7946 0958", "79460958", "xanthippe", "feather", "1979-12-31", "19791231", "ashby", "le65",
            "visitor-4711",
        ] {
            prop_assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_given_as_consent_and_is_no_grant_is_never_sent(
        place in prop::sample::select(CONSENT_PLACES), given in any_consent(),
    ) {
        let mut source = json!({
            "event": "Page View", "userId": "u-1", "context": { "traits": {} }, "properties": {}, "traits": {},
        });
        let (parent, key) = place.rsplit_once('/').expect("a path");
        source.pointer_mut(parent).expect("an object")[key] = given.clone();
        let encoded = CONSENT_SINK.encode(&event(&source));
        let may_be_sent = is_nothing(&given) || is_grant(place, &given);
        prop_assert_eq!(matches!(encoded, Encoded::Record(_)), may_be_sent, "{} of {}", outcome(&encoded), source);
    }
}
