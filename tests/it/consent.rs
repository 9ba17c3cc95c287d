//! Whatever an event says about consent and destinations: a refusal is never sent, and nothing is taken for a grant. And what
//! becomes of the shapes of `fixtures/consent.json`: the tables of the documents.

use crate::property::any_value;
use crate::{build, event, outcome, root};
use pipeline_core::{Encoded, Sink};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::LazyLock;

/// Every row, or those that the README shows, with what a sink makes of it without more options and where silence is allowed.
pub(crate) async fn table(is_for_readme: bool) -> String {
    let text = std::fs::read_to_string(root().join("fixtures/consent.json")).expect("a file");
    let fixture: Value = serde_json::from_str(&text).expect("JSON");
    let sink = async |when_absent: &str| {
        let mut consent = fixture["options"].clone();
        consent["when_absent"] = when_absent.into();
        build(&json!({ "consent": consent })).await
    };
    let sinks = [sink("drop").await, sink("allow").await];
    let mut table =
        "| Sender, or what it says | In the event | The event is | With `when_absent: allow` |\n| --- | --- | --- | --- |\n"
            .to_owned();
    let rows = fixture["rows"].as_array().expect("rows");
    for row in rows
        .iter()
        .filter(|row| !is_for_readme || row["readme"] == true)
    {
        let mut source = row["event"].clone();
        source["event"] = "Page View".into();
        source["userId"] = "u-1".into();
        let cell = |sink: &dyn Sink| {
            let outcome = outcome(&sink.encode(&event(&source)));
            let reason = outcome["reason"].as_str();
            reason.map_or("sent".to_owned(), |reason| format!("`{reason}`"))
        };
        let [strict, lenient] = sinks.each_ref().map(|sink| cell(sink.as_ref()));
        let (sender, shown) = (row["sender"].as_str().expect("text"), &row["event"]);
        writeln!(table, "| {sender} | `{shown}` | {strict} | {lenient} |").expect("text");
    }
    table
}

/// Places where senders put what the visitor agreed to.
const PLACES: &[&str] = &[
    "/context/consent",
    "/context/consentManagement",
    "/context/consent_management",
    "/context/consentCategories",
    "/context/consent_mode",
    "/context/ad_storage",
    "/context/gcs",
    "/context/OnetrustActiveGroups",
    "/context/privacy",
    "/consent",
    "/consentManagement",
    "/ad_user_data",
    "/properties/consent",
    "/properties/consentMode",
    "/properties/ad_storage",
    "/properties/OnetrustActiveGroups",
    "/traits/consent",
    "/context/traits/consent",
    "/context/traits/consent_management",
];

/// Where senders say which destinations get an event.
const INTEGRATIONS: &[&str] = &["/integrations", "/context/integrations"];

/// Refusals in every shape that is read, each enough alone.
const REFUSALS: &[(&str, &str)] = &[
    ("/context/consent", "false"),
    ("/context/consent", r#""denied""#),
    ("/context/consent", r#"["C0001","analytics"]"#),
    ("/context/consent", r#"",C0001,C0002,""#),
    ("/context/consent/canonical/marketing", "false"),
    ("/context/consent/canonical/Marketing", r#""No""#),
    ("/context/consent/marketing", "0"),
    ("/context/consent/advertising", r#""opt_out""#),
    (
        "/context/consent/categories",
        r#"{"C0004":false,"Ads":"off"}"#,
    ),
    ("/context/consent/categories", r#"["C0001"]"#),
    ("/context/consent/categoryPreferences/Ads", "false"),
    (
        "/context/consent/category_preferences/C0004",
        r#""withdrawn""#,
    ),
    ("/context/consent/C0004", r#""declined""#),
    ("/context/consent/granted", r#"["C0002"]"#),
    ("/context/consent/denied", r#"["Marketing"]"#),
    ("/context/consent/ad_storage", r#""denied""#),
    ("/context/consent/ad_user_data", "false"),
    ("/context/consent/google/adStorage", r#""denied""#),
    ("/context/consent/googleConsentMode/ad_user_data", "0"),
    ("/context/consent/gcs", r#""G100""#),
    (
        "/context/consentManagement/deniedConsentIds",
        r#"["C0004"]"#,
    ),
    (
        "/context/consent_management/denied_consent_ids",
        r#"["x","ads"]"#,
    ),
    (
        "/context/consentManagement/allowedConsentIds",
        r#"["C0001"]"#,
    ),
    ("/context/consentCategories", r#"{"C0004":false}"#),
    ("/context/consentMode/ad_storage", r#""denied""#),
    ("/context/consent_mode", r#""G101""#),
    ("/context/ad_storage", r#""denied""#),
    ("/context/gcs", r#""G100""#),
    ("/context/OnetrustActiveGroups", r#"",C0001,""#),
    ("/context/privacy/ads", r#""rejected""#),
    ("/context/privacy/ads", r#"["C0001"]"#),
    ("/consent/marketing", "false"),
    ("/consentManagement/deniedConsentIds", r#""C0001,C0004""#),
    ("/ad_user_data", r#""denied""#),
    ("/x-ga-gcs", r#""G100""#),
    ("/properties/consent", r#""no""#),
    ("/properties/consent/canonical/marketing", "false"),
    ("/properties/ad_storage", "false"),
    ("/properties/OnetrustActiveGroups", r#"",C0002,""#),
    ("/traits/consent/categories", r#"{"C0004":0,"Ads":0}"#),
    ("/context/traits/consent_mode/gcs", r#""G100""#),
    ("/integrations/Facebook Pixel", "false"),
    ("/integrations/meta_conversions_api", r#"{"enabled":"no"}"#),
    ("/context/integrations/facebook-conversions", r#""off""#),
];

/// A sink for which silence is enough, that knows codes for what it needs, and has a place of its own.
static SINK: LazyLock<Box<dyn Sink>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let codes = json!({ "C0004": "marketing", "Ads": "advertising", "C0002": "analytics" });
    let consent =
        json!({ "when_absent": "allow", "categories": codes, "paths": "context.privacy.ads" });
    runtime.block_on(build(&json!({ "consent": consent })))
});

/// What consent and wishes may look like: known keys and words in any shape, and other things.
fn anything() -> impl Strategy<Value = Value> {
    let words = [
        "granted",
        "denied",
        "true",
        "false",
        "yes",
        "no",
        "C0004",
        "C0001",
        "Ads",
        "marketing",
        "G111",
        "G100",
        ",C0001,C0004,",
        "perhaps",
        "",
        " ",
    ];
    let leaf = prop_oneof![
        4 => any::<bool>().prop_map(Value::from),
        3 => prop::sample::select(words.to_vec()).prop_map(Value::from),
        1 => Just(json!(["C0004"])),
        1 => Just(json!(["C0001", "Ads"])),
        1 => (0..3).prop_map(Value::from),
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
        "granted",
        "denied",
        "provider",
        "ad_storage",
        "ad_user_data",
        "gcs",
        "google",
        "consent",
        "consentManagement",
        "ads",
        "All",
        "Facebook Pixel",
        "Meta",
        "enabled",
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            4 => prop::collection::btree_map(prop::sample::select(keys.to_vec()), inner.clone(), 0..5)
                .prop_map(|entries| json!(entries)),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

/// An event with these values at these places; what is in the way of one is replaced.
fn event_with(values: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mut source = json!({
        "event": "Page View", "userId": "u-1", "context": { "traits": {} }, "properties": {}, "traits": {},
    });
    for (place, value) in values {
        let mut at = &mut source;
        for key in place.split('/').skip(1) {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[key];
        }
        *at = value;
    }
    source
}

/// Whether something in a value could be a yes, looked at in the plainest way.
fn has_a_yes(given: &Value) -> bool {
    match given {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() == Some(1.0),
        Value::String(text) => {
            let text = text.to_lowercase();
            let yes = [
                "granted",
                "true",
                "yes",
                "1",
                "c0004",
                "ads",
                "marketing",
                "g11",
            ];
            yes.iter().any(|word| text.contains(word))
        }
        Value::Array(list) => list.iter().any(has_a_yes),
        Value::Object(object) => object.values().any(has_a_yes),
    }
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

/// What a sink makes of an event, which is the same when it explains it.
fn fate(source: &Value) -> Encoded {
    let encoded = SINK.encode(&event(source));
    let explained = SINK.explain(&event(source)).encoded;
    assert_eq!(outcome(&encoded), outcome(&explained), "{source}");
    encoded
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_given_as_consent_and_has_no_yes_is_never_sent(
        place in prop::sample::select(PLACES), given in anything(),
    ) {
        // Here only one key is read, which may be absent.
        prop_assume!(place != "/context/privacy");
        let source = event_with([(place, given.clone())]);
        let is_sent = matches!(fate(&source), Encoded::Record(_));
        prop_assert!(!is_sent || is_nothing(&given) || has_a_yes(&given), "{}", source);
        prop_assert!(is_sent || !is_nothing(&given), "{}", source);
    }

    #[test]
    fn a_refusal_in_any_shape_is_never_sent_whatever_else_the_event_says(
        (place, refusal) in prop::sample::select(REFUSALS),
        others in prop::collection::vec((prop::sample::select([PLACES, INTEGRATIONS].concat()), anything()), 0..5),
    ) {
        let refusal = serde_json::from_str(refusal).expect("JSON");
        let source = event_with(others.into_iter().chain([(place, refusal)]));
        prop_assert!(matches!(fate(&source), Encoded::Filtered(_)), "{}", source);
    }

    #[test]
    fn an_event_that_its_sender_excludes_is_never_sent(
        place in prop::sample::select(INTEGRATIONS), given in anything(),
    ) {
        let source = event_with([("/context/consent", json!({ "marketing": true })), (place, given.clone())]);
        match fate(&source) {
            Encoded::Record(_) => {
                let off = |key: &str| matches!(&given[key], Value::Bool(false)) || given[key] == "no";
                prop_assert!(given != false && !off("Facebook Pixel") && !off("Meta"), "{}", source);
            }
            Encoded::Filtered(filtered) => {
                prop_assert!(!is_nothing(&given) && given != true, "{}", source);
                prop_assert!(filtered.reason.code.starts_with("integrations"), "{}: {}", filtered.reason.code, source);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn each_refusal_of_the_property_is_one_and_its_place_is_named() {
    for (place, refusal) in REFUSALS {
        let refusal = serde_json::from_str(refusal).expect("JSON");
        let source = event_with([
            ("/context/consent/canonical/marketing", json!(true)),
            (place, refusal),
        ]);
        let Encoded::Filtered(filtered) = fate(&source) else {
            panic!("sent: {source}");
        };
        let expected = ["consent", "integrations"];
        assert!(
            expected.contains(&filtered.reason.code),
            "{} {source}",
            filtered.reason.code
        );
        let key = place.rsplit('/').next().expect("a key");
        let letters = |text: &str| text.replace(['_', '-', ' '], "").to_lowercase();
        assert!(
            letters(&filtered.reason.detail).contains(&letters(key)),
            "{} {source}",
            filtered.reason.detail
        );
    }
}
