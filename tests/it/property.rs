//! Whatever comes in: nothing panics, no personal value comes out, nothing that is accepted is refused at Meta's door, and
//! what is explained is what is sent.

use crate::{NOW_MS, build, event, outcome, root};
use graph_sandbox::{Sandbox, SandboxOptions};
use pipeline_core::{Encoded, Event, Origin, Outcome, Record, Sink};
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
    "/originalTimestamp",
    "/sentAt",
    "/receivedAt",
    "/event_time",
    "/channel",
    "/opt_out",
    "/data_processing_options",
    "/action_source",
    "/app_data",
    "/context/library",
    "/context/app_data",
    "/context/opt_out",
    "/context/traits/opt_out",
    "/context/traits/action_source",
    "/context/traits/data_processing_options",
    "/context/device/attTrackingStatus",
    "/context/cpu_cores",
    "/context/ext_storage_size",
    "/properties/action_source",
    "/properties/app_data",
    "/properties/application_tracking_enabled",
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
    "2026-01-15T14:00:00Z",
    "2026-01-15 11:00:00",
    "Thu, 15 Jan 2026 11:00:00 GMT",
    "01/15/2026 11:00",
    "web",
    "mobile",
    "in_store",
    "yes",
    "undefined",
    "[[\"LDU\"],1,1000]",
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
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
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

pub(crate) fn any_event(preset: &str) -> impl Strategy<Value = Value> {
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
pub(crate) const PRESETS: &[&str] = &["retail", "travel", "b2b_saas", "automotive", "meta_capi"];
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
                let mut source = strategy.new_tree(&mut runner).expect("an event").current();
                if let ("app", Some(context)) = (*action_source, source["context"].as_object_mut())
                {
                    // A page would make it an event of a website.
                    context.remove("page");
                }
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let encoded = SINK.encode(&Event::new(bytes, NOW_MS));
        prop_assert!(!matches!(encoded, Encoded::Record(_)));
    }

    /// A thread keeps memory, and what it expects of the next event; one that has encoded nothing yet has neither.
    #[test]
    fn an_event_is_mapped_alike_whatever_its_thread_has_seen_before(
        sources in prop::collection::vec(any_event("retail"), 1..6),
        order in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(0..2_000_usize)), 1..16),
    ) {
        for (index, cut) in order {
            let mut bytes = index.get(&sources).to_string().into_bytes();
            bytes.truncate(cut.unwrap_or(usize::MAX));
            let event = Event::new(bytes, NOW_MS);
            let shown = |encoded: Encoded| match encoded {
                Encoded::Record(record) => String::from_utf8(record.payload.to_vec()).expect("JSON"),
                other => outcome(&other).to_string(),
            };
            let in_sequence = shown(SINK.encode(&event));
            let alone = std::thread::scope(|scope| scope.spawn(|| shown(SINK.encode(&event))).join());
            prop_assert_eq!(in_sequence, alone.expect("no panic"));
        }
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

/// A sink without further settings, and one of an app.
static WISH_SINKS: LazyLock<[Box<dyn Sink>; 2]> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    ["website", "app"].map(|place| {
        let options = json!({ "consent": { "when_absent": "allow" }, "action_source": place });
        runtime.block_on(build(&options))
    })
});

/// A value of a wish, and what it says: yes, no, nothing, or something that cannot be read.
type Said = (Value, Option<Result<bool, ()>>);

/// Where a parameter of a wish is looked for.
const WISH_PARENTS: &[&str] = &["", "/properties", "/context", "/traits", "/context/traits"];

fn any_opt_out() -> impl Strategy<Value = Said> {
    let yes = [
        json!(true),
        json!(1),
        json!("yes"),
        json!(" ON "),
        json!("1"),
        json!("True"),
    ];
    let no = [json!(false), json!(0), json!("no"), json!("off")];
    let nothing = [
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!("undefined"),
    ];
    let unreadable = [
        json!("perhaps"),
        json!(2),
        json!([true]),
        json!({ "email": true }),
        json!("\u{1f600}"),
    ];
    any_of(yes.into(), no.into(), nothing.into(), unreadable.into())
}

fn any_limited_data_use() -> impl Strategy<Value = Said> {
    let yes = [
        json!(true),
        json!("ldu"),
        json!(["LDU"]),
        json!([["LDU"], 1, 1000]),
        json!("[\"LDU\"]"),
        json!("LDU,1,1000"),
    ];
    let no = [json!(false), json!("none"), json!("0")];
    let nothing = [json!(null), json!([]), json!([[]]), json!("[]")];
    let unreadable = [
        json!("restricted"),
        json!(["CCPA"]),
        json!({ "LDU": 1 }),
        json!(7),
    ];
    any_of(yes.into(), no.into(), nothing.into(), unreadable.into())
}

/// What says yes, no, nothing, and what cannot be read.
fn any_of(
    yes: Vec<Value>,
    no: Vec<Value>,
    nothing: Vec<Value>,
    unreadable: Vec<Value>,
) -> impl Strategy<Value = Said> {
    let of = |values, said| prop::sample::select(values).prop_map(move |value| (value, said));
    prop_oneof![
        1 => of(yes, Some(Ok(true))),
        1 => of(no, Some(Ok(false))),
        3 => of(nothing, None),
        1 => of(unreadable, Some(Err(()))),
    ]
}

/// An event with values of `key` at each of [`WISH_PARENTS`].
fn with_wishes(key: &str, said: &[Said]) -> Value {
    let mut source = json!({
        "event": "Page View", "userId": "u-1", "timestamp": "2026-01-15T11:00:00Z",
        "context": { "traits": {} }, "properties": {}, "traits": {},
    });
    for (parent, (value, _)) in WISH_PARENTS.iter().zip(said) {
        source.pointer_mut(parent).expect("an object")[key] = value.clone();
    }
    source
}

/// What several statements of a wish mean together: an error if one that could be decisive cannot be read.
fn together(said: &[Said], decisive: bool) -> Result<Option<bool>, ()> {
    let said: Vec<_> = said.iter().filter_map(|(_, said)| *said).collect();
    if said.contains(&Ok(decisive)) {
        return Ok(Some(decisive));
    }
    if said.contains(&Err(())) {
        return Err(());
    }
    Ok(said.first().map(|_| !decisive))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_opt_out_that_can_be_read_anywhere_is_never_lost(said in prop::collection::vec(any_opt_out(), 5)) {
        let source = with_wishes("opt_out", &said);
        let outcome = outcome(&WISH_SINKS[0].encode(&event(&source)));
        match together(&said, true) {
            Err(()) => prop_assert_eq!(&outcome["reason"], "unreadable_privacy_wish", "{}", source),
            Ok(wish) => prop_assert_eq!(&outcome["event"]["opt_out"], &json!(wish), "{}", source),
        }
    }

    #[test]
    fn limited_data_use_that_can_be_read_anywhere_is_never_lost(said in prop::collection::vec(any_limited_data_use(), 5)) {
        let source = with_wishes("data_processing_options", &said);
        let outcome = outcome(&WISH_SINKS[0].encode(&event(&source)));
        let expected = |wish| match wish {
            None => Value::Null,
            Some(true) => json!(["LDU"]),
            Some(false) => json!([]),
        };
        match together(&said, true) {
            Err(()) => prop_assert_eq!(&outcome["reason"], "unreadable_privacy_wish", "{}", source),
            Ok(wish) => {
                prop_assert_eq!(&outcome["event"]["data_processing_options"], &expected(wish), "{}", source);
            }
        }
    }

    /// The values of an opt-out say the same as answers about tracking.
    #[test]
    fn a_refusal_of_tracking_that_can_be_read_anywhere_is_never_lost(said in prop::collection::vec(any_opt_out(), 4)) {
        let said: Vec<Said> = said.into_iter().filter(|(value, _)| *value != 2).collect();
        let mut source = json!({
            "event": "Page View", "userId": "u-1", "timestamp": "2026-01-15T11:00:00Z",
            "context": { "os": { "name": "iOS", "version": "18" }, "device": {}, "app": {} },
        });
        let places = [
            "/context/device/adTrackingEnabled", "/context/device/ad_tracking_enabled",
            "/context/device/advertiser_tracking_enabled", "/context/app/advertiser_tracking_enabled",
        ];
        for (place, (value, _)) in places.iter().zip(&said) {
            let (parent, key) = place.rsplit_once('/').expect("a path");
            source.pointer_mut(parent).expect("an object")[key] = value.clone();
        }
        let outcome = outcome(&WISH_SINKS[1].encode(&event(&source)));
        let answer = &outcome["event"]["app_data"]["advertiser_tracking_enabled"];
        match together(&said, false) {
            Err(()) => prop_assert_eq!(&outcome["reason"], "unreadable_tracking", "{}", source),
            Ok(allowed) => prop_assert_eq!(answer, &json!(allowed == Some(true)), "{}", source),
        }
    }

    #[test]
    fn no_json_as_a_time_a_place_or_a_wish_causes_a_panic(
        key in prop::sample::select(vec!["timestamp", "sentAt", "receivedAt", "originalTimestamp", "channel", "action_source", "opt_out", "data_processing_options", "app_data"]),
        given in any_value(), line in any::<bool>(),
    ) {
        let mut source = with_wishes(key, &[]);
        source[key] = given;
        let mut event = event(&source);
        if line {
            event = event.with_origin(Origin::line("events".into(), 1));
        }
        for sink in &*WISH_SINKS {
            let explained = sink.explain(&event);
            prop_assert_eq!(outcome(&sink.encode(&event)), outcome(&explained.encoded));
        }
    }
}
