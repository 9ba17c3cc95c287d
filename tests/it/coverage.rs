//! What a sink says of the identifiers its events carry: in numbers over all of them, and for one event.

use crate::{build, event};
use pipeline_core::{Coverage, Encoded, Origin};
use serde_json::{Value, json};

fn added(user: &Value) -> Value {
    let mut event = json!({
        "type": "track", "event": "Product Added", "messageId": "m", "timestamp": "2026-01-15T11:00:00Z",
        "context": { "consent": { "marketing": true } },
    });
    let event_map = event.as_object_mut().expect("an object");
    event_map.extend(user.as_object().expect("an object").clone());
    event
}

fn carried<'c>(coverage: &'c Coverage, name: &str) -> Option<(u64, &'c str)> {
    let mut rows = coverage.rows.iter();
    let row = rows.find(|row| row.name == name)?;
    Some((row.events, &*row.label))
}

#[tokio::test]
async fn events_that_go_out_are_counted_and_no_others() {
    let sink = build(&json!({ "field_mappings": { "user_data.ph": null } })).await;
    let mary =
        added(&json!({ "traits": { "email": "mary@example.com", "phone": "+16505551212" } }));
    let somebody = added(&json!({ "userId": "u-1" }));
    for good in [&mary, &somebody] {
        assert!(matches!(sink.encode(&event(good)), Encoded::Record(_)));
    }
    sink.explain(&event(&mary));
    let too_little = added(&json!({ "traits": { "city": "Paris" } }));
    assert!(matches!(
        sink.encode(&event(&too_little)),
        Encoded::Rejected(_)
    ));
    let mut silent = mary.clone();
    silent["context"] = json!({});
    assert!(matches!(sink.encode(&event(&silent)), Encoded::Filtered(_)));

    let coverage = sink.coverage().expect("counted");
    assert_eq!(coverage.events, 2);
    assert_eq!(carried(&coverage, "em"), Some((1, "highest")));
    assert_eq!(
        carried(&coverage, "external_id"),
        Some((1, "not published"))
    );
    assert_eq!(carried(&coverage, "ct"), Some((0, "medium")));
    // What only leads of Meta's forms have, or what Meta does not rate, does not count as missing.
    assert_eq!(carried(&coverage, "lead_id"), None);
    assert_eq!(carried(&coverage, "fbp"), None);
    let shown: Vec<_> = coverage.hints.iter().map(String::as_str).collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(
        shown[0].starts_with("em (highest): 1 of 2 events lack it; looked for in traits.email, "),
        "{}",
        shown[0]
    );
    assert_eq!(
        shown[1],
        "ph (high): 2 of 2 events lack it; no mapping looks for it"
    );
}

fn share(coverage: &Coverage, name: &str) -> (u64, Option<u64>) {
    let row = coverage.rows.iter().find(|row| row.name == name);
    let row = row.expect("a row");
    (row.events, row.base.as_ref().map(|base| base.events))
}

#[tokio::test]
async fn a_click_id_is_measured_against_the_events_that_came_from_a_click() {
    let sink = build(&json!({})).await;
    let page = |url: &str| json!({ "userId": "u-1", "context": { "consent": { "marketing": true }, "page": { "url": url } } });
    let cookie = |fbc: &str| json!({ "userId": "u-1", "context": { "consent": { "marketing": true }, "fbc": fbc } });
    let click = "IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB";
    for (user, expected) in [
        // No click.
        (json!({ "userId": "u-1" }), (0, Some(0))),
        (page("https://shop.example/?q=fbclid"), (0, Some(0))),
        (cookie(""), (0, Some(0))),
        (
            page(&format!("https://shop.example/?fbclid={click}")),
            (1, Some(1)),
        ),
        (cookie(&format!("fb.1.1767000000000.{click}")), (2, Some(2))),
        // A cookie that cannot be used is a click all the same.
        (cookie("abc123"), (2, Some(3))),
    ] {
        assert!(
            matches!(sink.encode(&event(&added(&user))), Encoded::Record(_)),
            "{user}"
        );
        assert_eq!(
            share(&sink.coverage().expect("counted"), "fbc"),
            expected,
            "{user}"
        );
    }
}

#[tokio::test]
async fn browser_ids_that_were_made_are_counted_apart_from_those_that_browsers_sent() {
    let page = |more: &Value| {
        let mut call =
            added(&json!({ "anonymousId": "a-1", "traits": { "email": "m@example.com" } }));
        call["context"]["page"] = json!({ "url": "https://shop.example/" });
        let context = call["context"].as_object_mut().expect("an object");
        context.extend(more.as_object().expect("an object").clone());
        call
    };
    let cookie = json!({ "fbp": "fb.1.1700000000000.1234567890" });
    let (without, with) = (page(&json!({})), page(&cookie));
    let sink = build(&json!({})).await;
    for call in [&without, &with, &without] {
        assert!(matches!(sink.encode(&event(call)), Encoded::Record(_)));
    }
    let coverage = sink.coverage().expect("counted");
    let counts = ["fbp", "fbp_generated"].map(|name| {
        let group = coverage.groups[0].rows.iter().find(|row| row.name == name);
        (share(&coverage, name).0, group.expect("a row").events)
    });
    assert_eq!(counts, [(1, 1), (2, 2)]);
    for (call, expected) in [(&without, "fbp_generated"), (&with, "fbp")] {
        let explanation = sink.explain(&event(call)).explanation;
        let carried = explanation.identifiers.expect("identifiers").carried;
        let ids = carried.iter().map(|(name, _)| name.as_str());
        let ids: Vec<_> = ids.filter(|name| name.starts_with("fbp")).collect();
        assert_eq!(ids, [expected]);
    }
    // Who wants none made has none, and no such column.
    let sink = build(&json!({ "generate_fbp": false })).await;
    assert!(matches!(sink.encode(&event(&without)), Encoded::Record(_)));
    let coverage = sink.coverage().expect("counted");
    assert_eq!(carried(&coverage, "fbp_generated"), None);
    assert!(
        coverage.groups[0]
            .rows
            .iter()
            .all(|row| row.name != "fbp_generated")
    );
}

#[tokio::test]
async fn every_meta_event_has_a_coverage_of_its_own() {
    let sink = build(&json!({ "unmapped_events": "custom" })).await;
    let mary = json!({ "traits": { "email": "mary@example.com" } });
    let sent = |name: &str, user: &Value| {
        let mut call = added(user);
        call["event"] = json!(name);
        assert!(
            matches!(sink.encode(&event(&call)), Encoded::Record(_)),
            "{name}"
        );
    };
    // Two names of one Meta event, and two events under their own names.
    sent("Product Added", &mary);
    sent("add_to_cart", &json!({ "userId": "u-1" }));
    sent("Product Viewed", &mary);
    sent("Cart Emptied", &mary);
    sent("Cart Shared", &mary);
    sent("Cart Shared", &mary);
    let coverage = sink.coverage().expect("counted");
    let groups = coverage.groups.iter().map(|group| {
        let em = group.rows.iter().find(|row| row.name == "em");
        (&*group.name, group.events, em.expect("a row").events)
    });
    assert_eq!(
        groups.collect::<Vec<_>>(),
        [
            ("(own names)", 3, 3),
            ("AddToCart", 2, 1),
            ("ViewContent", 1, 1)
        ]
    );
}

#[tokio::test]
async fn an_explained_event_names_its_identifiers_and_the_strong_ones_it_lacks() {
    let sink = build(&json!({})).await;
    let person = added(&json!({
        "userId": "u-1",
        "traits": { "email": "mary@example.com", "phone": "call me", "name": "Mary" }
    }));
    let explained = sink.explain(&event(&person)).explanation.to_json();
    let identifiers = &explained["identifiers"];
    assert_eq!(
        identifiers["carried"],
        json!({ "em": "highest", "fn": "high", "external_id": "not published" })
    );
    let absent = identifiers["absent"].as_object().expect("an object");
    let keys: Vec<_> = absent.keys().map(String::as_str).collect();
    assert_eq!(keys, ["ph", "ln", "client_ip_address", "fbc"]);
    // A phone number that cannot be used is as absent as one that is not there.
    assert_eq!(absent["ph"]["strength"], "high");
    let looked_in = absent["ph"]["looked_in"].as_array().expect("paths");
    assert_eq!(
        looked_in[..3],
        ["traits.phone", "context.traits.phone", "properties.phone"]
    );
    let of_last_name = absent["ln"]["looked_in"].as_array().expect("a list");
    assert!(of_last_name.contains(&json!("traits.name")));
    // An event that does not go as far as being written has no identifiers to speak of.
    let explained = sink
        .explain(&event(&json!({ "type": "identify" })))
        .explanation
        .to_json();
    assert_eq!(explained.get("identifiers"), None);
}

#[tokio::test]
async fn events_that_took_the_time_of_receipt_are_noted_with_the_reason() {
    let sink = build(&json!({})).await;
    let notes = || {
        let notes = sink.coverage().expect("counted").notes;
        let about_times = notes
            .into_iter()
            .filter(|note| note.contains("time of receipt"));
        about_times.collect::<Vec<_>>()
    };
    let at = |time: Value| {
        let mut call = added(&json!({ "userId": "u-1" }));
        call["timestamp"] = time;
        event(&call)
    };
    for usual in [
        json!("2026-01-15T11:00:00Z"),
        json!("2026-01-15T12:05:00Z"),
        json!(null),
    ] {
        sink.encode(&at(usual));
    }
    assert_eq!(notes(), [""; 0]);
    let unreadable = at(json!("01/15/2026 11:00"));
    sink.encode(&unreadable);
    sink.encode(&at(json!("soon")));
    sink.encode(&at(json!("2026-01-15T20:00:00")));
    // What is not sent, and what is only explained, is not counted.
    sink.encode(
        &unreadable
            .clone()
            .with_origin(Origin::line("events".into(), 1)),
    );
    sink.explain(&unreadable);
    let [cannot_be_read, in_future] = notes().try_into().expect("two notes");
    assert_eq!(
        cannot_be_read,
        "2 events took the time of receipt: the given time cannot be read"
    );
    assert!(
        in_future.starts_with("1 event took the time of receipt: the given time is in the future"),
        "{in_future}"
    );
}
