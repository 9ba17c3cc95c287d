//! Every rule for one event, each with an event that it lets pass and one that it refuses.

#![expect(
    clippy::too_many_lines,
    reason = "a table of cases is as long as the rules are many"
)]

use crate::harness::{Bench, HASH, NOW, app, merged, messenger, purchase, store, website};
use graph_sandbox::SandboxOptions;
use serde_json::{Value, json};

/// The subcode that a case is refused with; `OK` for none.
const OK: i64 = 0;
const PARAMETER: i64 = 2_804_019;
const NOT_HASHED: i64 = 2_804_016;
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What is true of the case, what is laid over the base event, the subcode.
type Case = (&'static str, Value, i64);

async fn walk(base: Value, cases: Vec<Case>) {
    let bench = Bench::start().await;
    for (sentence, patch, expected) in cases {
        check(&bench, sentence, merged(base.clone(), &patch), expected).await;
    }
}

async fn check(bench: &Bench, sentence: &str, event: Value, expected: i64) {
    let answer = bench.send(&[event]).await;
    if expected == OK {
        assert_eq!(
            (answer.status, answer.body["events_received"].as_i64()),
            (200, Some(1)),
            "{sentence}: {:?}",
            answer.body
        );
    } else {
        assert_eq!(
            answer.refusal(),
            (400, Some(100), Some(expected)),
            "{sentence}: {:?}",
            answer.body
        );
        assert_eq!(
            answer.body["error"]["is_transient"],
            json!(false),
            "{sentence}"
        );
        let names_the_place = answer.user_message().contains("$['data'][0]");
        assert_eq!(
            names_the_place,
            expected == PARAMETER,
            "{sentence}: {}",
            answer.user_message()
        );
    }
}

#[tokio::test]
async fn the_event_has_its_required_keys_in_their_types() {
    let cases = vec![
        (
            "a full event is accepted",
            json!({ "opt_out": true, "referrer_url": "https://a.example/" }),
            OK,
        ),
        ("no event_name", json!({ "event_name": null }), PARAMETER),
        (
            "a blank event_name",
            json!({ "event_name": " " }),
            PARAMETER,
        ),
        ("no event_time", json!({ "event_time": null }), PARAMETER),
        (
            "event_time as text",
            json!({ "event_time": "1794400000" }),
            PARAMETER,
        ),
        (
            "event_time with a fraction",
            json!({ "event_time": 1_794_399_999.5 }),
            PARAMETER,
        ),
        ("no user_data", json!({ "user_data": null }), PARAMETER),
        ("user_data as a list", json!({ "user_data": [] }), PARAMETER),
        (
            "no action_source",
            json!({ "action_source": null }),
            PARAMETER,
        ),
        (
            "an unknown action_source",
            json!({ "action_source": "web" }),
            PARAMETER,
        ),
        ("event_id as a number", json!({ "event_id": 7 }), PARAMETER),
        ("no event_id", json!({ "event_id": null }), OK),
        ("opt_out as a number", json!({ "opt_out": 1 }), PARAMETER),
        (
            "referrer_url as a number",
            json!({ "referrer_url": 1 }),
            PARAMETER,
        ),
        (
            "an unknown key",
            json!({ "advertiser_tracking_enabled": true }),
            PARAMETER,
        ),
        (
            "custom_data as text",
            json!({ "custom_data": "x" }),
            PARAMETER,
        ),
        (
            "customer_segmentation",
            json!({ "customer_segmentation": "new_customer_to_business" }),
            OK,
        ),
        (
            "an unknown customer_segmentation",
            json!({ "customer_segmentation": "vip" }),
            PARAMETER,
        ),
        (
            "original_event_data",
            json!({ "original_event_data": { "event_name": "Purchase", "event_time": 1 } }),
            OK,
        ),
        (
            "an unknown key in original_event_data",
            json!({ "original_event_data": { "id": "1" } }),
            PARAMETER,
        ),
        (
            "attribution_data",
            json!({ "attribution_data": { "ad_id": "1", "attribution_share": 0.5 } }),
            OK,
        ),
        (
            "a share above one",
            json!({ "attribution_data": { "attribution_share": 1.5 } }),
            PARAMETER,
        ),
        (
            "an unknown attribution_model",
            json!({ "attribution_data": { "attribution_model": "mine" } }),
            PARAMETER,
        ),
        (
            "advanced_measurement_table",
            json!({ "advanced_measurement_table": "t" }),
            OK,
        ),
        (
            "advanced_measurement_table as a number",
            json!({ "advanced_measurement_table": 1 }),
            PARAMETER,
        ),
    ];
    walk(website(), cases).await;
    let sources = ["email", "phone_call", "chat", "system_generated", "other"];
    walk(
        store(),
        sources
            .map(|source| (source, json!({ "action_source": source }), OK))
            .into(),
    )
    .await;
}

#[tokio::test]
async fn an_event_is_neither_old_nor_ahead() {
    const DAY: i64 = 86_400;
    let at = |secs: i64| json!({ "event_time": secs });
    let cases = vec![
        ("seven days", at(NOW - 7 * DAY), OK),
        ("seven days and a second", at(NOW - 7 * DAY - 1), 2_804_003),
        ("a minute ahead", at(NOW + 60), OK),
        ("a minute and a second ahead", at(NOW + 61), 2_804_004),
        ("milliseconds", at(NOW * 1000), 2_804_004),
        ("the distant past", at(i64::MIN), 2_804_003),
        (
            "age comes before the matching baseline",
            json!({ "event_time": NOW - 8 * DAY, "user_data": { "em": null } }),
            2_804_003,
        ),
    ];
    walk(website(), cases).await;
    let cases = vec![
        ("a store's event of 62 days", at(NOW - 62 * DAY), OK),
        (
            "a store's event of 62 days and a second",
            at(NOW - 62 * DAY - 1),
            2_804_003,
        ),
    ];
    walk(store(), cases).await;
}

#[tokio::test]
async fn a_website_event_names_page_and_browser_unless_told_otherwise() {
    let cases = vec![
        (
            "no event_source_url",
            json!({ "event_source_url": null }),
            PARAMETER,
        ),
        (
            "no client_user_agent",
            json!({ "user_data": { "client_user_agent": null } }),
            PARAMETER,
        ),
    ];
    walk(website(), cases.clone()).await;
    let bench = Bench::with(SandboxOptions {
        require_website_fields: false,
        ..SandboxOptions::default()
    })
    .await;
    for (sentence, patch, _) in cases {
        check(&bench, sentence, merged(website(), &patch), OK).await;
    }
}

#[tokio::test]
async fn must_hash_fields_are_hashes() {
    let bench = Bench::start().await;
    let with = |key: &str, value: Value| merged(website(), &json!({ "user_data": { key: value } }));
    for key in [
        "em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country",
    ] {
        check(&bench, key, with(key, json!(HASH)), OK).await;
        check(&bench, key, with(key, json!([HASH, HASH])), OK).await;
        check(
            &bench,
            key,
            with(key, json!(format!("{HASH}.AQQCAQIB"))),
            OK,
        )
        .await;
        check(&bench, key, with(key, json!(["plain"])), NOT_HASHED).await;
        check(&bench, key, with(key, json!("")), NOT_HASHED).await;
    }
    for key in [
        "f5first",
        "f5last",
        "fi",
        "dobd",
        "dobm",
        "doby",
        "app_user_id",
    ] {
        check(&bench, key, with(key, json!(HASH)), OK).await;
        check(&bench, key, with(key, json!([HASH])), NOT_HASHED).await;
    }
    for short in ["AQ", "Ag", "Aw", "BA", "BQ", "Bg"] {
        check(
            &bench,
            short,
            with("em", json!(format!("{HASH}.{short}"))),
            OK,
        )
        .await;
    }
    let refused = [
        json!(HASH.to_uppercase()),
        json!(&HASH[1..]),
        json!(format!("{HASH}0")),
        json!(format!("{HASH}.")),
        json!(format!("{HASH}.AQQ")),
        json!(format!("{HASH}.AQQCAQI!")),
        json!(format!("{HASH}.ZZ")),
        json!(NOTHING),
        json!(format!("{NOTHING}.AQQCAQIB")),
        json!([[HASH]]),
        json!(7),
        json!({ "a": HASH }),
    ];
    for value in refused {
        check(
            &bench,
            &value.to_string(),
            with("em", value.clone()),
            NOT_HASHED,
        )
        .await;
    }
}

#[tokio::test]
async fn other_user_data_has_its_shape() {
    let cases = [
        ("external_id", json!("user-7"), OK),
        ("external_id", json!([HASH, "user-7"]), OK),
        ("external_id", json!(NOTHING), PARAMETER),
        ("external_id", json!(7), PARAMETER),
        ("client_ip_address", json!("168.212.226.204"), OK),
        (
            "client_ip_address",
            json!("2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
            OK,
        ),
        ("client_ip_address", json!("2001:db8::1"), OK),
        ("client_ip_address", json!("168.212.226.204.AQQCAQIB"), OK),
        ("client_ip_address", json!("168.212.226.204:443"), PARAMETER),
        ("client_ip_address", json!(" 168.212.226.204"), PARAMETER),
        ("client_ip_address", json!("168.212.226.256"), PARAMETER),
        ("client_ip_address", json!("[2001:db8::1]"), PARAMETER),
        ("client_ip_address", json!(["168.212.226.204"]), PARAMETER),
        ("client_user_agent", json!(7), PARAMETER),
        (
            "fbc",
            json!("fb.1.1554763741205.AbCdEfGhIjKlMnOpQrStUvWxYz1234567890"),
            OK,
        ),
        ("fbc", json!("fb.2.1554763741205.AbC.AQQCAQIB"), OK),
        ("fbc", json!("fb.1.1554763741.AbC"), PARAMETER),
        ("fbc", json!("FB.1.1554763741205.AbC"), PARAMETER),
        ("fbc", json!("fb.1.1554763741205."), PARAMETER),
        ("fbc", json!("fb.x.1554763741205.AbC"), PARAMETER),
        ("fbc", json!("fb.1.1554763741205.AbC.nope"), PARAMETER),
        ("fbc", json!("fb.1.1554763741205.AbC.AQ.AQ"), PARAMETER),
        ("fbp", json!("fb.1.1596403881668.1116446470"), OK),
        ("fbp", json!("1116446470"), PARAMETER),
        ("subscription_id", json!("s-1"), OK),
        ("subscription_id", json!(1), PARAMETER),
        ("fb_login_id", json!(1_234_567), OK),
        ("fb_login_id", json!("1234567"), OK),
        ("fb_login_id", json!("me"), PARAMETER),
        ("lead_id", json!(1_234_567_890_123_456_i64), OK),
        ("lead_id", json!("12345678901234567"), OK),
        ("lead_id", json!("123456789012345"), OK),
        ("lead_id", json!("12345678901234"), 2_804_036),
        ("lead_id", json!(123_456_789_012_345_678_i64), 2_804_036),
        ("lead_id", json!("l:123456789012345"), 2_804_036),
        ("anon_id", json!("XZ1"), OK),
        ("anon_id", json!(1), PARAMETER),
        ("madid", json!("38400000-8cf0-11bd-b23e-10b96e40000d"), OK),
        ("madid", json!(""), PARAMETER),
        ("page_id", json!(1_234), OK),
        ("page_id", json!(true), PARAMETER),
        ("whatsapp_business_account_id", json!("12"), OK),
        ("instagram_business_account_id", json!("12"), OK),
        ("ig_sid", json!(""), PARAMETER),
        ("email", json!(HASH), PARAMETER),
    ];
    let bench = Bench::start().await;
    for (key, value, expected) in cases {
        let event = merged(website(), &json!({ "user_data": { key: value } }));
        check(&bench, &format!("{key}: {value}"), event, expected).await;
    }
}

#[tokio::test]
async fn null_is_absent_in_user_data_and_nowhere_else() {
    let bench = Bench::start().await;
    let mut event = website();
    event["user_data"]["ph"] = Value::Null;
    event["user_data"]["fn"] = json!([null]);
    event["user_data"]["ln"] = json!([]);
    check(&bench, "null in user_data", event.clone(), OK).await;
    event["user_data"]["em"] = Value::Null;
    check(
        &bench,
        "nothing but nulls identifies no person",
        event,
        2_804_050,
    )
    .await;
    let mut event = website();
    event["event_id"] = Value::Null;
    check(&bench, "null on the event", event, PARAMETER).await;
}

#[tokio::test]
async fn the_matching_baseline_refuses_what_fits_everybody() {
    let bench = Bench::start().await;
    let mut base = store();
    base["user_data"] = json!({});
    let cases: [(&[&str], i64); 13] = [
        (&[], 2_804_050),
        (&["client_user_agent"], 2_804_050),
        (
            &["ct", "country", "st", "zp", "ge", "client_user_agent"],
            2_804_050,
        ),
        (&["ct", "zp"], 2_804_050),
        (&["db", "client_user_agent"], 2_804_050),
        (&["fn", "ge"], 2_804_050),
        (&["ln"], 2_804_050),
        (&["fn", "ln"], OK),
        (&["db", "ge"], OK),
        (&["fn", "client_user_agent"], OK),
        (&["em"], OK),
        (&["external_id"], OK),
        (&["ct", "country", "st", "zp", "ge", "db"], OK),
    ];
    for (keys, expected) in cases {
        let user_data: serde_json::Map<_, _> = keys
            .iter()
            .map(|key| ((*key).to_owned(), json!(HASH)))
            .collect();
        check(
            &bench,
            &keys.join(", "),
            merged(base.clone(), &json!({ "user_data": user_data })),
            expected,
        )
        .await;
    }
    let with_address = json!({ "user_data": { "client_ip_address": "168.212.226.204", "client_user_agent": "Mozilla/5.0" } });
    check(
        &bench,
        "address and user agent",
        merged(base, &with_address),
        OK,
    )
    .await;
}

#[tokio::test]
async fn a_purchase_says_how_much_of_what() {
    let money = |money: Value| json!({ "custom_data": money });
    let cases = vec![
        ("a full purchase", json!({}), OK),
        (
            "lowercase currency",
            money(json!({ "currency": "usd" })),
            OK,
        ),
        ("an integer value", money(json!({ "value": 100 })), OK),
        ("no value", money(json!({ "value": null })), 2_804_009),
        ("no currency", money(json!({ "currency": null })), 2_804_010),
        ("no custom_data", json!({ "custom_data": null }), 2_804_009),
        (
            "value as text",
            money(json!({ "value": "100.2" })),
            PARAMETER,
        ),
        (
            "a currency of four letters",
            money(json!({ "currency": "USDT" })),
            2_804_011,
        ),
        (
            "three letters that are no currency",
            money(json!({ "currency": "XQQ" })),
            2_804_011,
        ),
        (
            "a symbol for a currency",
            money(json!({ "currency": "$" })),
            2_804_011,
        ),
        (
            "a currency that Meta refuses",
            money(json!({ "currency": "MRU" })),
            2_804_011,
        ),
        (
            "another event's bad currency",
            json!({ "event_name": "Lead", "custom_data": { "currency": "$" } }),
            PARAMETER,
        ),
        (
            "value alone on another event",
            json!({ "event_name": "Lead", "custom_data": { "currency": null } }),
            2_804_023,
        ),
        (
            "a custom event of another case needs no value",
            json!({ "event_name": "purchase", "custom_data": null }),
            OK,
        ),
        ("OrderCreated", json!({ "event_name": "OrderCreated" }), OK),
        (
            "OrderCreated without currency",
            json!({ "event_name": "OrderCreated", "custom_data": null }),
            2_804_081,
        ),
    ];
    walk(purchase(), cases).await;
    let bench = Bench::with(SandboxOptions {
        require_currency_with_value: false,
        ..SandboxOptions::default()
    })
    .await;
    check(
        &bench,
        "value alone, not required",
        merged(website(), &money(json!({ "value": 1 }))),
        OK,
    )
    .await;
}

#[tokio::test]
async fn an_attribution_says_for_which_event_and_how_much() {
    let full = merged(
        website(),
        &json!({
            "event_name": "AppendAttribution",
            "attribution_data": { "ad_id": "1", "touchpoint_ts": NOW - 7_200, "attribution_share": 0.5, "attribution_value": 5 },
            "custom_data": { "currency": "USD" },
            "original_event_data": { "event_name": "Purchase", "event_time": NOW - 3_600 },
        }),
    );
    let original = |time: i64| json!({ "original_event_data": { "event_time": time } });
    let clicked = |time: i64| json!({ "attribution_data": { "touchpoint_ts": time } });
    let attribution = |key: &str| json!({ "attribution_data": { key: null } });
    let cases = vec![
        ("a full attribution", json!({}), OK),
        (
            "no attribution",
            json!({ "attribution_data": null }),
            PARAMETER,
        ),
        ("no advertisement", attribution("ad_id"), PARAMETER),
        (
            "no time of the click",
            attribution("touchpoint_ts"),
            PARAMETER,
        ),
        ("no share", attribution("attribution_share"), PARAMETER),
        ("no worth", attribution("attribution_value"), PARAMETER),
        ("no currency", json!({ "custom_data": null }), PARAMETER),
        (
            "no original event",
            json!({ "original_event_data": null }),
            PARAMETER,
        ),
        ("no page", json!({ "event_source_url": null }), PARAMETER),
        ("before the click", original(NOW - 7_201), PARAMETER),
        (
            "within two days",
            merged(original(NOW - 48 * 3_600 + 1), &clicked(NOW - 48 * 3_600)),
            OK,
        ),
        (
            "after two days",
            merged(original(NOW - 48 * 3_600), &clicked(NOW - 49 * 3_600)),
            PARAMETER,
        ),
    ];
    walk(full, cases).await;
}

#[tokio::test]
async fn contents_are_objects_with_an_id_and_a_quantity() {
    let bench = Bench::start().await;
    let full = json!({
        "id": "a", "quantity": 2, "item_price": 1.5, "price": 3, "delivery_category": "curbside",
        "title": "t", "description": "d", "brand": "b", "category": "c",
    });
    let cases = [
        (json!([full]), OK),
        (json!([]), OK),
        (json!({ "id": "a" }), 2_804_008),
        (json!("[]"), 2_804_008),
        (json!(["a"]), 2_804_008),
        (json!([{ "quantity": 1 }]), 2_804_008),
        (json!([{ "id": "" }]), 2_804_008),
        (json!([{ "id": 5 }]), 2_804_008),
        (json!([{ "id": "a" }]), PARAMETER),
        (json!([{ "id": "a", "quantity": "1" }]), PARAMETER),
        (
            json!([{ "id": "a", "quantity": 1, "item_price": "1" }]),
            PARAMETER,
        ),
        (
            json!([{ "id": "a", "quantity": 1, "delivery_category": "drone" }]),
            PARAMETER,
        ),
        (json!([{ "id": "a", "quantity": 1, "title": 1 }]), PARAMETER),
    ];
    for (contents, expected) in cases {
        let event = merged(
            website(),
            &json!({ "custom_data": { "contents": contents } }),
        );
        check(&bench, &contents.to_string(), event, expected).await;
    }
    let unknown = merged(
        website(),
        &json!({ "custom_data": { "contents": [{ "id": "a", "quantity": 1 }, { "id": "b", "name": "x" }] } }),
    );
    let answer = bench.send(&[website(), unknown]).await;
    assert_eq!(
        answer.user_message(),
        r#"Unexpected key "name" on param $['data'][1]['custom_data']['contents'][1]"#
    );
}

#[tokio::test]
async fn custom_data_has_types_and_words() {
    let cases = [
        ("anything_else", json!({ "nested": [1, null] }), OK),
        ("content_ids", json!(["a", 1]), OK),
        ("content_ids", json!("a"), PARAMETER),
        ("content_ids", json!([1.5]), PARAMETER),
        ("content_type", json!("product_group"), OK),
        ("content_type", json!(1), PARAMETER),
        ("content_name", json!("n"), OK),
        ("content_name", json!(1), PARAMETER),
        ("content_category", json!("c"), OK),
        ("content_category", json!([]), PARAMETER),
        ("order_id", json!("o"), OK),
        ("order_id", json!(1), PARAMETER),
        ("num_items", json!(3), OK),
        ("num_items", json!("3"), PARAMETER),
        ("search_string", json!("s"), OK),
        ("search_string", json!(1), PARAMETER),
        ("status", json!(true), OK),
        ("status", json!("done"), OK),
        ("status", json!(1), PARAMETER),
        ("predicted_ltv", json!(9.5), OK),
        ("predicted_ltv", json!("9"), PARAMETER),
        ("net_revenue", json!(9.5), OK),
        ("net_revenue", json!("9"), PARAMETER),
        ("delivery_category", json!("in_store"), OK),
        ("delivery_category", json!("drone"), PARAMETER),
        ("item_number", json!("1"), OK),
        ("item_number", json!(1), PARAMETER),
        ("lead_event_source", json!("crm"), OK),
        ("lead_event_source", json!(1), PARAMETER),
        ("event_source", json!("crm"), OK),
        ("event_source", json!(1), PARAMETER),
        ("product_catalog_id", json!("1"), OK),
        ("product_catalog_id", json!([]), PARAMETER),
        ("user_bucket", json!("1"), OK),
        ("user_bucket", json!(1), PARAMETER),
        (
            "store_data",
            json!({ "store_page_id": 1, "brand_page_id": "2", "store_code": "A1" }),
            OK,
        ),
        ("store_data", json!({ "store_code": "A-1" }), PARAMETER),
        ("store_data", json!({ "name": "x" }), PARAMETER),
        ("description", json!("d"), OK),
        ("description", json!(1), PARAMETER),
        ("level", json!("3"), OK),
        ("level", json!(3), PARAMETER),
        ("max_rating_value", json!(5), OK),
        ("max_rating_value", json!("5"), PARAMETER),
        ("success", json!(1), OK),
        ("success", json!("yes"), PARAMETER),
        (
            "customer_segmentation",
            json!("existing_customer_to_medium"),
            OK,
        ),
        ("customer_segmentation", json!("vip"), PARAMETER),
        ("checkin_date", json!("20261224"), OK),
        ("checkin_date", json!("2026-12-24"), OK),
        ("checkin_date", json!("2026-12-24T10:30Z"), OK),
        ("checkin_date", json!("2026-12-24T10:30:00+01:00"), OK),
        ("checkin_date", json!("2026-12-24T10:30:00"), PARAMETER),
        ("checkin_date", json!("2026-02-30"), PARAMETER),
        ("checkin_date", json!("24.12.2026"), PARAMETER),
        ("travel_class", json!("economy"), OK),
        ("travel_class", json!("Economy"), PARAMETER),
        ("year", json!("2026"), OK),
        ("year", json!(2026), OK),
        ("year", json!("26"), PARAMETER),
        ("trim", json!("x".repeat(50)), OK),
        ("trim", json!("x".repeat(51)), PARAMETER),
        ("body_style", json!("SUV"), OK),
        ("body_style", json!("suv"), PARAMETER),
        ("drivetrain", json!("AWD"), OK),
        ("drivetrain", json!("2WD"), PARAMETER),
        ("fuel_type", json!("HYBRID"), OK),
        ("fuel_type", json!("COAL"), PARAMETER),
        ("transmission", json!("MANUAL"), OK),
        ("transmission", json!("CVT"), PARAMETER),
        ("availability", json!("for_rent"), OK),
        ("availability", json!("in stock"), PARAMETER),
        ("listing_type", json!("foreclosed"), OK),
        ("listing_type", json!("rent"), PARAMETER),
        ("property_type", json!("condo"), OK),
        ("property_type", json!("castle"), PARAMETER),
        ("lease_start_date", json!("2026-12-24"), OK),
        ("lease_start_date", json!("20261224"), PARAMETER),
        ("lease_end_date", json!("2026-12-24"), OK),
        ("lease_end_date", json!("soon"), PARAMETER),
    ];
    let bench = Bench::start().await;
    for (key, value, expected) in cases {
        let event = merged(website(), &json!({ "custom_data": { key: value } }));
        check(&bench, &format!("{key}: {value}"), event, expected).await;
    }
}

#[tokio::test]
async fn an_app_event_describes_app_and_device() {
    let app_data = |key: &str, value: Value| json!({ "app_data": { key: value } });
    let extinfo = |index: usize, value: Value| {
        let mut list = app()["app_data"]["extinfo"].clone();
        list[index] = value;
        json!({ "app_data": { "extinfo": list } })
    };
    let cases = vec![
        ("a full app event", json!({}), OK),
        ("no app_data", json!({ "app_data": null }), PARAMETER),
        (
            "no tracking answer",
            app_data("advertiser_tracking_enabled", Value::Null),
            PARAMETER,
        ),
        (
            "a tracking answer in words",
            app_data("advertiser_tracking_enabled", json!("yes")),
            PARAMETER,
        ),
        (
            "a boolean tracking answer",
            app_data("advertiser_tracking_enabled", json!(false)),
            OK,
        ),
        ("no extinfo", app_data("extinfo", Value::Null), 2_804_043),
        (
            "fifteen positions",
            app_data("extinfo", json!(vec!["i2"; 15])),
            2_804_043,
        ),
        (
            "extinfo as an object",
            app_data("extinfo", json!({ "0": "i2" })),
            2_804_043,
        ),
        ("an unknown platform", extinfo(0, json!("w2")), 2_804_043),
        ("Android", extinfo(0, json!("a2")), OK),
        ("a blank OS version", extinfo(4, json!("")), 2_804_043),
        ("a number that counts", extinfo(9, json!(320)), OK),
        ("a number in place of text", extinfo(6, json!(1)), 2_804_043),
        ("a null position", extinfo(8, Value::Null), 2_804_043),
        ("an unknown key", app_data("idfa", json!("x")), PARAMETER),
        (
            "url_schemes as a list",
            app_data("url_schemes", json!(["x"])),
            OK,
        ),
        (
            "url_schemes as a number",
            app_data("url_schemes", json!(1)),
            PARAMETER,
        ),
        ("campaign_ids", app_data("campaign_ids", json!("c")), OK),
        (
            "campaign_ids as a number",
            app_data("campaign_ids", json!(1)),
            PARAMETER,
        ),
    ];
    walk(app(), cases).await;
}

#[tokio::test]
async fn limited_data_use_is_spelled_out() {
    let ldu = |country: Value, state: Value| {
        json!({
            "data_processing_options": ["LDU"],
            "data_processing_options_country": country, "data_processing_options_state": state,
        })
    };
    let cases = vec![
        ("off", json!({ "data_processing_options": [] }), OK),
        ("geolocated", ldu(json!(0), json!(0)), OK),
        ("California", ldu(json!(1), json!(1000)), OK),
        ("Rhode Island", ldu(json!(1), json!(1013)), OK),
        (
            "a state without a number",
            ldu(json!(1), json!(1014)),
            PARAMETER,
        ),
        ("a state in letters", ldu(json!(1), json!("CA")), PARAMETER),
        ("another country", ldu(json!(2), json!(0)), PARAMETER),
        (
            "neither state nor address",
            ldu(json!(1), Value::Null),
            PARAMETER,
        ),
        (
            "another option",
            json!({ "data_processing_options": ["GDPR"] }),
            PARAMETER,
        ),
        (
            "an option without a list",
            json!({ "data_processing_options": "LDU" }),
            PARAMETER,
        ),
        (
            "an address in place of a state",
            json!({ "data_processing_options": ["LDU"], "user_data": { "client_ip_address": "168.212.226.204" } }),
            OK,
        ),
    ];
    walk(website(), cases).await;
}

#[tokio::test]
async fn a_conversation_names_its_ends() {
    let on = |channel: &str, user_data: Value| {
        let cleared = json!({ "messaging_channel": channel, "user_data": { "page_id": null, "page_scoped_user_id": null } });
        merged(
            merged(messenger(), &cleared),
            &json!({ "user_data": user_data }),
        )
    };
    let bench = Bench::start().await;
    let whatsapp = json!({ "ctwa_clid": "c", "whatsapp_business_account_id": "1" });
    let cases = [
        ("messenger", messenger(), OK),
        (
            "no channel",
            merged(messenger(), &json!({ "messaging_channel": null })),
            PARAMETER,
        ),
        (
            "another channel",
            merged(messenger(), &json!({ "messaging_channel": "sms" })),
            PARAMETER,
        ),
        (
            "another event",
            merged(messenger(), &json!({ "event_name": "Contact" })),
            2_804_066,
        ),
        (
            "no page_id",
            on("messenger", json!({ "page_scoped_user_id": "2" })),
            2_804_069,
        ),
        (
            "no page_scoped_user_id",
            on("messenger", json!({ "page_id": "1" })),
            PARAMETER,
        ),
        ("whatsapp", on("whatsapp", whatsapp), OK),
        (
            "whatsapp by page",
            on("whatsapp", json!({ "ctwa_clid": "c", "page_id": "1" })),
            OK,
        ),
        (
            "no ctwa_clid",
            on("whatsapp", json!({ "whatsapp_business_account_id": "1" })),
            2_804_071,
        ),
        (
            "no account",
            on("whatsapp", json!({ "ctwa_clid": "c" })),
            2_804_116,
        ),
        (
            "instagram",
            on("instagram", json!({ "ig_account_id": "1", "ig_sid": "2" })),
            OK,
        ),
        (
            "no ig_account_id",
            on("instagram", json!({ "ig_sid": "2" })),
            2_804_079,
        ),
        (
            "no ig_sid",
            on("instagram", json!({ "ig_account_id": "1" })),
            2_804_075,
        ),
    ];
    for (sentence, event, expected) in cases {
        check(&bench, sentence, event, expected).await;
    }
}

/// Every key with a plain type: the object it is in, a value that passes, one that does not.
#[tokio::test]
async fn objects_inside_the_event_have_types() {
    let (text, number, list) = (json!("x"), json!(1.5), json!([]));
    let cases = [
        (
            "app_data",
            "application_tracking_enabled",
            json!(0),
            json!(2),
        ),
        ("app_data", "campaign_ids", text.clone(), json!(1)),
        ("app_data", "install_referrer", text.clone(), json!(1)),
        ("app_data", "installer_package", text.clone(), json!(1)),
        ("app_data", "vendor_id", text.clone(), json!(1)),
        ("app_data", "windows_attribution_id", text.clone(), json!(1)),
        ("app_data", "consider_views", json!(true), text.clone()),
        ("app_data", "include_dwell_data", json!(true), text.clone()),
        ("app_data", "include_video_data", json!(true), text.clone()),
        ("app_data", "receipt_data", text.clone(), json!(1)),
        ("original_event_data", "event_name", text.clone(), json!(1)),
        ("original_event_data", "event_time", json!(1), text.clone()),
        ("original_event_data", "order_id", text.clone(), json!(1)),
        ("original_event_data", "event_id", text.clone(), json!(1)),
        ("attribution_data", "scope", text.clone(), json!(1)),
        ("attribution_data", "visit_time", json!(1), number.clone()),
        ("attribution_data", "ad_id", json!(1), number.clone()),
        ("attribution_data", "adset_id", json!("1"), list.clone()),
        ("attribution_data", "campaign_id", json!("1"), list.clone()),
        ("attribution_data", "attr_window", json!(7), number.clone()),
        (
            "attribution_data",
            "attribution_value",
            number.clone(),
            text.clone(),
        ),
        (
            "attribution_data",
            "attribution_source",
            text.clone(),
            json!(1),
        ),
        (
            "attribution_data",
            "attribution_method",
            json!("mir"),
            text.clone(),
        ),
        (
            "attribution_data",
            "decline_reason",
            json!("inactive"),
            text.clone(),
        ),
        (
            "attribution_data",
            "touchpoint_type",
            text.clone(),
            json!(1),
        ),
        (
            "attribution_data",
            "touchpoint_ts",
            json!(1),
            number.clone(),
        ),
        ("attribution_data", "touchpoint_id", text.clone(), json!(1)),
        ("attribution_data", "auditing_token", text.clone(), json!(1)),
        ("attribution_data", "linkage_key", text.clone(), json!(1)),
        (
            "attribution_data",
            "attribution_setting",
            json!({ "inactivity_window_hours": 1 }),
            list,
        ),
        ("attribution_data", "total_credit", number, text.clone()),
        ("attribution_data", "partner_client_id", text, json!(1)),
        ("user_data", "page_id", json!("1"), json!(-1)),
        ("user_data", "page_scoped_user_id", json!("1"), json!("")),
        ("user_data", "ctwa_clid", json!("c"), json!(1)),
        ("user_data", "ig_account_id", json!(1), json!(true)),
        ("user_data", "ig_sid", json!("1"), json!(true)),
        (
            "user_data",
            "whatsapp_business_account_id",
            json!("1"),
            json!(true),
        ),
        (
            "user_data",
            "instagram_business_account_id",
            json!("1"),
            json!(true),
        ),
    ];
    let bench = Bench::start().await;
    for (object, key, good, bad) in cases {
        for (value, expected) in [(good, OK), (bad, PARAMETER)] {
            let event = merged(app(), &json!({ object: { key: value } }));
            check(&bench, &format!("{object}.{key}: {value}"), event, expected).await;
        }
        let unknown = merged(app(), &json!({ object: { (format!("{key}_")): 1 } }));
        check(&bench, &format!("{object}.{key}_"), unknown, PARAMETER).await;
    }
}
