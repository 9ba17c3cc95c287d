//! Mappings that a person most likely did not mean: what is refused, what is noted, and what is left alone.

use crate::{options, parse, root};
use pipeline_core::options::{Problem, join};
use serde_json::{Value, json};

/// Everything that is said about options that override valid ones.
fn said(over: &Value) -> Vec<Problem> {
    match parse(&options(over)) {
        Ok(config) => config.notices(),
        Err(problems) => problems,
    }
}

/// Checks that options are refused or noted at exactly one place, with these words.
fn one(over: &Value, is_error: bool, place: &str, words: &str) {
    let found = said(over);
    assert_eq!(found.len(), 1, "{over}: {found:#?}");
    assert_eq!(
        (found[0].is_error(), found[0].path.as_str()),
        (is_error, place),
        "{over}: {found:#?}"
    );
    assert!(found[0].to_string().contains(words), "{}", found[0]);
}

fn refused(over: &Value, place: &str, words: &str) {
    one(over, true, place, words);
}

fn noted(over: &Value, place: &str, words: &str) {
    one(over, false, place, words);
}

/// One field mapping, and its place.
fn field(name: &str, mapping: &Value) -> (Value, String) {
    let place = join("field_mappings", name);
    (json!({ "field_mappings": { name: mapping } }), place)
}

#[test]
fn a_name_that_is_all_but_a_standard_events_is_noted() {
    for (name, meant) in [
        ("Purchse", "Purchase"),
        ("purchase", "Purchase"),
        ("lead", "Lead"),
        ("LEAD", "Lead"),
        ("add_to_cart", "AddToCart"),
        ("Add To Cart", "AddToCart"),
        ("CompleteRegistartion", "CompleteRegistration"),
        ("ViewContents", "ViewContent"),
        ("pageview", "PageView"),
    ] {
        let words = format!("did you mean `{meant}`?");
        let over = json!({ "event_mappings": { "Quote Requested": name } });
        noted(&over, "event_mappings[\"Quote Requested\"]", &words);
        let over = json!({ "event_mappings": { "Quote Requested": { "event_name": name } } });
        noted(
            &over,
            "event_mappings[\"Quote Requested\"].event_name",
            &words,
        );
    }
    for name in [
        "Lead",
        "Purchase",
        "Download",
        "QuoteRequested",
        "Research",
        "LeadQualified",
        "Rate",
    ] {
        let over = json!({ "event_mappings": { "Quote Requested": name } });
        assert_eq!(said(&over), [], "{name}");
    }
}

#[test]
fn a_name_that_is_all_but_a_parameters_is_noted_unless_it_has_a_type() {
    for (name, meant) in [
        ("custom_data.valu", "custom_data.value"),
        ("custom_data.Value", "custom_data.value"),
        ("custom_data.contentname", "custom_data.content_name"),
        ("custom_data.orderId", "custom_data.order_id"),
        ("custom_data.content_id", "custom_data.content_ids"),
        ("custom_data.curency", "custom_data.currency"),
        ("custom_data.external_id", "user_data.external_id"),
        ("custom_data.email", "user_data.em"),
        ("custom_data.first_name", "user_data.fn"),
        ("custom_data.event_id", "event_id"),
    ] {
        let (over, place) = field(name, &json!("properties.x"));
        noted(&over, &place, &format!("did you mean `{meant}`?"));
        let (over, _) = field(name, &json!({ "paths": ["properties.x"], "type": "text" }));
        assert_eq!(said(&over), [], "{name}");
        let over = json!({ "event_mappings": { "Order Completed": { "field_mappings": { name: null } } } });
        let place = format!("event_mappings[\"Order Completed\"].field_mappings[\"{name}\"]");
        noted(&over, &place, &format!("did you mean `{meant}`?"));
    }
    for name in [
        "custom_data.margin",
        "custom_data.shop",
        "custom_data.trip",
        "custom_data.brand",
        "custom_data.tax",
    ] {
        let (over, _) = field(name, &json!("properties.x"));
        assert_eq!(said(&over), [], "{name}");
    }
}

#[test]
fn a_path_in_another_language_is_refused_wherever_a_path_is() {
    for written in [
        "properties.total / 100",
        "{{ properties.order_id }}",
        "$.properties.total",
        "props[*]",
    ] {
        for mapping in [
            json!(written),
            json!(["properties.x", written]),
            json!({ "paths": [written] }),
        ] {
            let (over, place) = field("custom_data.value", &mapping);
            refused(&over, &place, "holds a path that ");
        }
        let (over, place) = field("user_data.em", &json!({ "all": [["traits.x"], [written]] }));
        refused(&over, &place, "holds a path that ");
        let own = json!({ "own": { "path": "properties", "requires": [written] } });
        let (over, place) = field("custom_data.contents[]", &own);
        assert!(
            said(&over)
                .iter()
                .any(|it| it.is_error() && it.path == place),
            "{written}"
        );
    }
    let (over, _) = field(
        "custom_data.value",
        &json!(["properties.Order Total", "properties[\"total / 100\"]"]),
    );
    assert_eq!(said(&over), []);
}

#[test]
fn a_path_that_begins_nowhere_is_noted() {
    let (over, place) = field("custom_data.value", &json!("props.total"));
    noted(&over, &place, "did you mean `properties`?");
    let (over, place) = field("custom_data.value", &json!("event.properties.total"));
    noted(&over, &place, "below `event`");
    let (over, place) = field("custom_data.contents[].id", &json!("properties.sku"));
    noted(&over, &place, "is looked for in each item");
    let (over, _) = field("custom_data.contents[].id", &json!("article_no"));
    assert_eq!(said(&over), []);
}

#[test]
fn a_constant_for_what_a_visitor_is_known_by_is_refused() {
    for name in [
        "user_data.em",
        "user_data.ph",
        "user_data.ct",
        "user_data.external_id",
        "user_data.client_ip_address",
        "user_data.client_user_agent",
        "user_data.fbc",
        "user_data.fbp",
        "user_data.lead_id",
        "user_data.madid",
        "app_data.vendor_id",
    ] {
        let (over, place) = field(name, &json!({ "value": "a@b.example" }));
        refused(&over, &place, "every visitor the same identity");
        assert!(!format!("{:?}", said(&over)).contains("a@b"), "{name}");
        let (over, place) = field(
            name,
            &json!({ "paths": ["traits.x"], "default": "a@b.example" }),
        );
        refused(
            &over,
            &place,
            "every visitor without a value the same identity",
        );
    }
    let (over, place) = field("user_data.country", &json!({ "value": "de" }));
    noted(&over, &place, "in one country");
    let (over, place) = field("user_data.country", &json!({ "value": "Atlantis" }));
    refused(&over, &place, "no country in ISO 3166-1");
    let (over, _) = field("user_data.page_id", &json!({ "value": "1234567890" }));
    assert_eq!(said(&over), []);
    let (over, place) = field(
        "custom_data.contact",
        &json!({ "value": "Shop <a@b.example>" }),
    );
    refused(&over, &place, "never sent: it contains an e-mail address");
}

/// Constants that can never be sent: the parameter, the constant as JSON, what is said.
const NEVER_SENT: &[(&str, &str, &str)] = &[
    (
        "custom_data.delivery_category",
        r#""drone""#,
        "expected one of `in_store`, `curbside`, `home_delivery`",
    ),
    (
        "custom_data.content_type",
        r#""products""#,
        "not one of the values that Meta documents",
    ),
    (
        "custom_data.currency",
        r#""EURO""#,
        "not an ISO 4217 currency code",
    ),
    (
        "custom_data.currency",
        "978",
        "not an ISO 4217 currency code",
    ),
    (
        "custom_data.value",
        r#""abc""#,
        "cannot be read as an amount",
    ),
    ("custom_data.num_items", "-1", "not a whole number"),
    ("custom_data.year", r#""26""#, "a year has four digits"),
    (
        "custom_data.checkin_date",
        r#""soon""#,
        "none of the date formats",
    ),
    (
        "custom_data.lease_start_date",
        r#""31.12.2026""#,
        "YYYY-MM-DD",
    ),
    (
        "custom_data.shop",
        r#"{"a": 1}"#,
        "does not take this kind of JSON value",
    ),
    (
        "custom_data.order_id",
        r#""  ""#,
        "is never sent: it is empty",
    ),
    ("custom_data.order_id", "[]", "is never sent: it is empty"),
    (
        "action_source",
        r#""web""#,
        "not one of the values that Meta documents",
    ),
    ("opt_out", r#""maybe""#, "neither true nor false"),
    ("event_source_url", r#""shop""#, "not an absolute URL"),
    (
        "data_processing_options",
        r#"["LDX"]"#,
        "neither a wish for limited data use",
    ),
    (
        "data_processing_options_country",
        "7",
        "not one of the values",
    ),
    (
        "event_id",
        r#""x""#,
        "this parameter is read from each event",
    ),
    (
        "event_time",
        "1768478400",
        "this parameter is read from each event",
    ),
    (
        "custom_data.price",
        "25000",
        "this parameter is read from each event",
    ),
    (
        "custom_data.contents[].quantity",
        "2",
        "this parameter is read from each event",
    ),
];

/// Constants that are sent, as JSON.
const SENT: &[(&str, &str)] = &[
    ("custom_data.delivery_category", r#""Home_Delivery""#),
    ("custom_data.content_type", r#""product_group""#),
    ("custom_data.currency", r#""eur""#),
    ("custom_data.value", r#""1.299,00 €""#),
    ("custom_data.value", "0"),
    ("custom_data.content_ids", r#""sku-1""#),
    ("custom_data.shop", r#"["a", 1, true]"#),
    ("action_source", r#""physical_store""#),
    ("opt_out", "false"),
    ("data_processing_options", r#"["LDU"]"#),
    ("data_processing_options_state", "1000"),
    ("custom_data.store_data.store_code", r#""A12""#),
    ("app_data.extinfo.version", r#""ios""#),
];

#[test]
fn a_constant_that_can_never_be_sent_is_refused() {
    for (name, constant, words) in NEVER_SENT {
        let constant: Value = serde_json::from_str(constant).expect("JSON");
        let (over, place) = field(name, &json!({ "value": constant }));
        refused(&over, &place, words);
        let path = if name.contains("[].") {
            "x"
        } else {
            "properties.x"
        };
        let (over, place) = field(name, &json!({ "paths": [path], "default": constant }));
        refused(&over, &place, words);
    }
    for (name, constant) in SENT {
        let constant: Value = serde_json::from_str(constant).expect("JSON");
        let (over, _) = field(name, &json!({ "value": constant }));
        assert_eq!(said(&over), [], "{name}");
    }
}

#[test]
fn what_is_beside_a_constant_and_never_used_is_refused() {
    for beside in [
        json!({ "paths": ["properties.x"] }),
        json!({ "default": "x" }),
        json!({ "otherwise": "product" }),
    ] {
        let mut table = beside;
        table["value"] = json!("product");
        let (over, place) = field("custom_data.content_type", &table);
        let found = said(&over);
        assert!(
            found.iter().any(|it| it.is_error()
                && it.path == place
                && it.problem.contains("beside `value`")),
            "{found:?}"
        );
    }
    let (over, _) = field(
        "custom_data.shop",
        &json!({ "paths": ["properties.x"], "default": "main" }),
    );
    assert_eq!(said(&over), []);
}

#[test]
fn a_mapping_that_can_never_match_is_told() {
    let event = |name: &str, to: &Value| {
        let place = join("event_mappings", name);
        (json!({ "event_mappings": { name: to } }), place)
    };
    for name in ["identify", "group", "Alias", "screen"] {
        let (over, place) = event(name, &json!("ViewContent"));
        noted(&over, &place, "never matches a");
    }
    for name in [
        "Pricing",
        "Home",
        "Landing Page",
        "/pricing",
        "https://shop.example/pricing",
        "page:pricing",
    ] {
        let (over, place) = event(name, &json!("ViewContent"));
        noted(&over, &place, "every `page` call is mapped as `page`");
    }
    for name in ["checkout_step_*", "*", "^checkout_.+$", "step_\\d"] {
        let (over, _) = event(name, &json!("ViewContent"));
        let found = said(&over);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].is_error() && found[0].expected.contains("patterns are not supported"),
            "{found:?}"
        );
    }
    for name in [
        "page",
        "Page Viewed",
        "Viewed Landing Page",
        "Ready to Buy?",
        "Quote.Requested",
    ] {
        let (over, _) = event(name, &json!("ViewContent"));
        assert_eq!(said(&over), [], "{name}");
    }
    // What is dropped anyway may be named; a misspelling of what is not drops nothing.
    let (over, _) = event("identify", &Value::Null);
    assert_eq!(said(&over), []);
    let (over, place) = event("Prodct Viewed", &Value::Null);
    noted(&over, &place, "did you mean `Product Viewed`?");
}

#[test]
fn an_event_that_is_given_twice_in_two_spellings_is_refused() {
    let over =
        json!({ "event_mappings": { "Order Completed": "Purchase", "order_completed": "Lead" } });
    refused(
        &over,
        "event_mappings.order_completed",
        "is the same event as `Order Completed`",
    );
    let over = json!({ "event_mappings": { "quote-sent": null, "QuoteSent": "Lead" } });
    refused(
        &over,
        "event_mappings.quote-sent",
        "is the same event as `QuoteSent`",
    );
}

#[test]
fn a_false_in_the_place_of_a_mapping_is_told_what_drops_the_event() {
    let over = json!({ "event_mappings": { "Product Viewed": false } });
    refused(
        &over,
        "event_mappings[\"Product Viewed\"]",
        "is a boolean; expected",
    );
    refused(
        &over,
        "event_mappings[\"Product Viewed\"]",
        "`null` drops the event",
    );
}

#[test]
fn a_preset_of_ones_own_gets_the_same_advice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("my.json");
    let preset = json!({
        "name": "mine", "title": "Mine", "description": "Two events.",
        "include": ["event", "identity"],
        "field_mappings": { "custom_data.valu": "props.x", "custom_data.currency": { "value": "EURO" } },
        "events": [
            { "from": ["Vault Opened", "vault_*"], "to": "contact" },
            { "from": ["vault_opened"], "to": "Lead", "field_mappings": { "custom_data.level": "$.properties.level" } },
        ],
    });
    std::fs::write(&path, preset.to_string()).expect("a file");
    let found = said(&json!({ "preset": { "file": path } }));
    let places: Vec<_> = found
        .iter()
        .map(|it| (it.is_error(), it.path.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (true, "preset mine.events[0].from[1]"),
            (false, "preset mine.events[0].to"),
            (
                true,
                "preset mine.events[1].field_mappings[\"custom_data.level\"]"
            ),
            (true, "preset mine.events[1].from[0]"),
            (true, "preset mine.field_mappings[\"custom_data.currency\"]"),
            (false, "preset mine.field_mappings[\"custom_data.valu\"]"),
            (false, "preset mine.field_mappings[\"custom_data.valu\"]"),
        ]
    );
    std::fs::write(&path, r#"{"name":"a","name":"b"}"#).expect("a file");
    let found = said(&json!({ "preset": { "file": path } }));
    assert!(
        found[0].problem.contains("a key is given twice"),
        "{found:?}"
    );
}

#[test]
fn the_cases_that_come_with_the_project_need_no_advice() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("fixtures/cases")).expect("cases") {
        let path = entry.expect("a case").path();
        let case: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        let over = case.get("options").cloned().unwrap_or_else(|| json!({}));
        let found = said(&over);
        assert_eq!(found, [], "{}", path.display());
        seen += 1;
    }
    assert!(seen > 50);
    let own = json!({ "preset": { "file": "real_estate_preset.json" } });
    assert_eq!(said(&own), []);
}
