//! What is proposed for a browser, with the sink's own options.

use crate::sink::COMPONENT;
use pipeline_core::{Cookie, Encoded, Event, ManualClock, ParseContext, Sink, SinkContext};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// 2026-01-15T12:00:00Z.
const NOW_MS: i64 = 1_768_478_400_000;

fn sink(options: &Value) -> Box<dyn Sink> {
    let mut all = json!({
        "preset": "retail", "pixel_id": "1234567890123456", "access_token": "EAAB-test-token",
    });
    for (key, value) in options.as_object().unwrap() {
        all[key] = value.clone();
    }
    let config = COMPONENT.parse(&all, &ParseContext::default()).unwrap();
    let cx = SinkContext::new("meta").with_clock(Arc::new(ManualClock::at(NOW_MS)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(config.build(cx)).unwrap()
}

fn event(more: &Value) -> Value {
    let mut event = json!({
        "type": "track", "event": "Product Added", "messageId": "m-1", "userId": "u-1", "anonymousId": "a-1",
        "timestamp": "2026-01-15T11:59:00.250Z",
        "properties": {"product_id": "p-1", "price": 5, "currency": "EUR"},
        "context": {
            "consent": {"marketing": true}, "userAgent": "Mozilla/5.0",
            "page": {"url": "https://shop.example/?fbclid=IwAR_new"},
        },
    });
    merge(&mut event, more);
    event
}

fn merge(to: &mut Value, more: &Value) {
    match more {
        Value::Object(more) if to.is_object() => {
            for (key, value) in more {
                merge(&mut to[key], value);
            }
        }
        _ => *to = more.clone(),
    }
}

fn asked(sink: &dyn Sink, event: &Value) -> Option<Vec<Cookie>> {
    sink.cookies(&Event::new(event.to_string(), NOW_MS))
}

/// Names and values.
fn shown(cookies: Option<Vec<Cookie>>) -> Option<Vec<(&'static str, String, bool)>> {
    let shown = |cookie: Cookie| (cookie.name, cookie.value, cookie.is_sent);
    cookies.map(|cookies| cookies.into_iter().map(shown).collect())
}

/// The ids of the browser with which an event is sent.
fn sent(sink: &dyn Sink, event: &Value) -> Option<[Value; 2]> {
    let Encoded::Record(record) = sink.encode(&Event::new(event.to_string(), NOW_MS)) else {
        return None;
    };
    let sent: Value = serde_json::from_slice(&record.payload).unwrap();
    Some(["fbp", "fbc"].map(|key| sent["user_data"][key].clone()))
}

#[test]
fn a_new_visitor_gets_what_the_event_is_sent_with() {
    let sink = sink(&json!({}));
    let event = event(&json!({}));
    let [fbp, fbc] = sent(&*sink, &event).unwrap();
    let expected = vec![
        ("_fbp", fbp.as_str().unwrap().to_owned(), true),
        ("_fbc", "fb.1.1768478340250.IwAR_new".to_owned(), true),
    ];
    assert_eq!(fbc, "fb.1.1768478340250.IwAR_new");
    assert_eq!(shown(asked(&*sink, &event)), Some(expected));
}

#[test]
fn a_page_has_cookies_as_well() {
    let sink = sink(&json!({}));
    let page = json!({
        "anonymousId": "a", "userId": "u", "type": "page", "messageId": "m",
        "context": {"consent": {"marketing": true}, "page": {"url": "https://www.shop.example/?fbclid=IwAR_1"}},
        "receivedAt": "2026-01-15T12:00:00.000Z",
    });
    let names = asked(&*sink, &page).map(|cookies| cookies.len());
    assert_eq!(names, Some(2));
}

#[test]
fn a_click_that_the_page_does_not_name_is_not_proposed() {
    let sink = sink(&json!({}));
    for (url, fbc, names) in [
        ("https://shop.example/", None, &["_fbp"][..]),
        (
            "https://shop.example/",
            Some("fb.1.1768478000000.Old"),
            &["_fbp"],
        ),
        (
            "https://shop.example/?fbclid=Old",
            Some("fb.1.1768478000000.Old"),
            &["_fbp", "_fbc"],
        ),
        (
            "https://shop.example/?fbclid=Old",
            Some("fb.1.1768478000000.Old.AQQCAQIB"),
            &["_fbp", "_fbc"],
        ),
        (
            "https://shop.example/?fbclid=not%20one",
            Some("fb.1.1768478000000.Old"),
            &["_fbp"],
        ),
        ("https://shop.example/?fbclid=", None, &["_fbp"]),
    ] {
        let event = event(&json!({"context": {"page": {"url": url}, "fbc": fbc}}));
        let cookies = asked(&*sink, &event).unwrap();
        let found: Vec<_> = cookies.iter().map(|cookie| cookie.name).collect();
        assert_eq!(found, names, "{url} {fbc:?}");
        if let (Some(fbc), Some(cookie)) = (fbc, cookies.get(1)) {
            assert_eq!(cookie.value, fbc);
        }
    }
}

#[test]
fn without_a_browser_id_of_its_own_an_event_gets_one_that_stays_the_same() {
    let off = sink(&json!({"generate_fbp": false}));
    let on = sink(&json!({}));
    let of = |sink: &dyn Sink, event: &Value| shown(asked(sink, event)).unwrap().remove(0);
    let first = event(&json!({}));
    let (name, value, is_sent) = of(&*off, &first);
    assert_eq!((name, is_sent), ("_fbp", false));
    assert_eq!(of(&*on, &first), ("_fbp", value.clone(), true));
    // The same visitor, another event.
    let other = event(&json!({"messageId": "m-2", "event": "Products Searched"}));
    assert_eq!(of(&*off, &other).1, value);
    // Once the event has it, it is sent with it.
    let with = event(&json!({"context": {"fbp": value}}));
    assert_eq!(of(&*off, &with), ("_fbp", value, true));
    // Without an anonymous id the event's own id has to do.
    let nameless = event(&json!({"anonymousId": null}));
    let (_, value, is_sent) = of(&*on, &nameless);
    assert_eq!((of(&*on, &nameless).1, is_sent), (value, false));
}

#[test]
fn what_is_not_sent_for_a_website_has_no_cookies() {
    let sink = sink(&json!({}));
    for more in [
        json!({"type": "identify"}),
        json!({"event": "An Unknown Event"}),
        json!({"integrations": {"All": false}}),
        json!({"action_source": "phone_call"}),
    ] {
        assert_eq!(asked(&*sink, &event(&more)), None, "{more}");
    }
    assert_eq!(sink.cookies(&Event::new("no json", NOW_MS)), None);
}

#[test]
fn only_a_grant_of_marketing_in_the_event_itself_counts() {
    let allowing = json!({
        "consent": {"when_absent": "allow", "categories": {"C0004": "marketing"}},
    });
    let requiring_none = json!({"consent_categories": []});
    for options in [allowing.clone(), requiring_none] {
        let sink = sink(&options);
        for consent in [
            json!(null),
            json!({}),
            json!({"analytics": true}),
            json!({"marketing": false}),
            json!({"marketing": "perhaps"}),
            json!({"marketing": true, "canonical": {"marketing": false}}),
            json!("C0002,C0003"),
        ] {
            let mut event = event(&json!({}));
            event["context"]["consent"] = consent.clone();
            assert_eq!(
                asked(&*sink, &event),
                Some(Vec::new()),
                "{consent} {options}"
            );
        }
        let named = event(&json!({"context": {"consent": {"marketing": true}}}));
        assert!(!asked(&*sink, &named).unwrap().is_empty(), "{options}");
    }
    let sink = sink(&allowing);
    let by_code = event(&json!({"context": {
        "consent": null, "consentManagement": {"allowedConsentIds": ["C0004"], "deniedConsentIds": []},
    }}));
    assert!(!asked(&*sink, &by_code).unwrap().is_empty());
}

fn maybe(values: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(values))
}

proptest! {
    #[test]
    fn what_is_proposed_as_sent_is_what_the_event_is_sent_with(
        fbp in maybe(&["fb.1.1768478000000.12345", "fb.2.1.1", "junk", "null", ""]),
        fbc in maybe(&["fb.1.1768478000000.Old", "fb.1.1568478000000.Ancient", "fb.1.1768478000000.IwAR_new", "junk"]),
        click in maybe(&["IwAR_new", "Old", "%%", "undefined", ""]),
        anonymous in maybe(&["a-1", "", "null"]),
        generate in any::<bool>(),
        agreed in any::<bool>(),
    ) {
        // To make a sink takes longer than all of its answers.
        static SINKS: LazyLock<[Box<dyn Sink>; 2]> =
            LazyLock::new(|| [false, true].map(|on| sink(&json!({"generate_fbp": on}))));
        let sink = &SINKS[usize::from(generate)];
        let url = format!("https://shop.example/?fbclid={}", click.unwrap_or_default());
        let event = event(&json!({
            "anonymousId": anonymous,
            "context": {"fbp": fbp, "fbc": fbc, "page": {"url": url}, "consent": {"marketing": agreed}},
        }));
        let cookies = asked(&**sink, &event);
        let sent = sent(&**sink, &event);
        prop_assert_eq!(agreed, sent.is_some());
        if !agreed {
            prop_assert_eq!(cookies, Some(Vec::new()));
            return Ok(());
        }
        for cookie in cookies.unwrap() {
            let of = sent.as_ref().unwrap();
            let value = &of[usize::from(cookie.name == "_fbc")];
            if cookie.is_sent {
                prop_assert_eq!(value, &json!(cookie.value));
            } else {
                prop_assert_eq!(value, &Value::Null);
            }
        }
    }
}
