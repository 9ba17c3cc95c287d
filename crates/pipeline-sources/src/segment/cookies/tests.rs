//! The jar, against sinks that follow a rule of a few lines: agreed, an id made from the visitor, and the click of the page.

use super::*;
use pipeline_core::{Accepted, AckLevel, Chunk, Receipt, Refused, SourceError, async_trait};
use proptest::prelude::*;
use serde_json::{Value, json};

const DAYS: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const KNOWN: &str = "fb.1.1768478000000.1";

/// Sinks that send what the rule says.
struct Sinks;

#[async_trait]
impl Intake for Sinks {
    async fn send(&self, _: Chunk, _: Option<AckLevel>) -> Receipt {
        unreachable!("the jar only asks")
    }

    async fn offer(&self, _: Chunk, _: AckLevel, _: Duration) -> Result<Accepted, Refused> {
        unreachable!("the jar only asks")
    }

    fn report(&self, _: SourceError) {}

    fn cookies(&self, event: &Event) -> Vec<Cookie> {
        let event: Value = serde_json::from_slice(event.raw()).unwrap();
        if event["agreed"] != true {
            return Vec::new();
        }
        let mut cookies = vec![match sent(&event)[0].clone() {
            Some(value) => Cookie::new("_fbp", "fbp", value, DAYS).sent(true),
            None => Cookie::new("_fbp", "fbp", made(&event), DAYS),
        }];
        if event["click"].is_string() {
            let value = sent(&event)[1].clone().unwrap();
            cookies.push(Cookie::new("_fbc", "fbc", value, DAYS).sent(true));
        }
        cookies
    }
}

fn made(event: &Value) -> String {
    format!("fb.1.1600000000000.{}", event["visitor"])
}

/// The ids that an event is sent with.
fn sent(event: &Value) -> [Option<String>; 2] {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let known = text(&event["context"]["fbc"]);
    let fbc = match (event["click"].as_str(), known) {
        (Some(click), Some(known)) if super::click(&known) == Some(click) => Some(known),
        (Some(click), _) => Some(format!("fb.1.{}.{click}", event["at"])),
        (None, known) => known,
    };
    [text(&event["context"]["fbp"]), fbc]
}

fn cookie(name: &'static str, member: &'static str, value: &str) -> CookieOfMeta {
    CookieOfMeta {
        name,
        member,
        value: value.to_owned(),
    }
}

/// What became of events of a browser with these cookies, and the cookies that it has then.
fn visited(
    wanted: &[&'static str],
    of_request: &[CookieOfMeta],
    events: &[Value],
) -> (Vec<Value>, Vec<(String, String)>) {
    let domain = Scope::Domain("shop.example".to_owned());
    let mut jar = Jar::new(domain, wanted, of_request);
    let visit = Visit {
        to: Arc::new(Sinks),
        received_ms: 0,
        meta: Arc::default(),
    };
    let completion = Completion {
        received_at: "1".to_owned(),
        ..Completion::default()
    };
    let complete = |event: &Value| {
        let completed = jar.complete(&completion, &visit, &element(&event.to_string()));
        serde_json::from_slice(&completed).unwrap()
    };
    let events = events.iter().map(complete).collect();
    let set = jar.into_headers().into_iter().map(|header| {
        let (pair, attributes) = header.to_str().unwrap().split_once(';').unwrap();
        let expected = " Max-Age=7776000; Path=/; Domain=shop.example; SameSite=Lax";
        assert_eq!(attributes, expected);
        let (name, value) = pair.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    });
    let set = set.collect();
    (events, set)
}

fn element(event: &str) -> Element {
    Element::read(event.to_owned().into()).unwrap()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn two_clicks_in_one_batch_are_each_sent_and_the_later_one_stays() {
    let event =
        |click: Value, at: u64| json!({"agreed": true, "visitor": 7, "click": click, "at": at});
    let events = [
        event(json!("A"), 1),
        event(json!("A"), 2),
        event(json!(null), 3),
        event(json!("B"), 4),
        event(json!(null), 5),
    ];
    let (events, set) = visited(&["_fbp", "_fbc"], &[], &events);
    let clicks: Vec<_> = events
        .iter()
        .map(|event| sent(event)[1].clone().unwrap())
        .collect();
    assert_eq!(
        clicks,
        ["fb.1.1.A", "fb.1.1.A", "fb.1.1.A", "fb.1.4.B", "fb.1.4.B"]
    );
    let expected = [
        pair("_fbp", "fb.1.1600000000000.7"),
        pair("_fbc", "fb.1.4.B"),
    ];
    assert_eq!(set, expected);
}

#[test]
fn an_event_without_consent_gets_nothing_of_the_others() {
    let events = [
        json!({"agreed": false, "visitor": 1, "click": "A", "at": 1}),
        json!({"agreed": true, "visitor": 1, "click": "A", "at": 2}),
        json!({"visitor": 1, "at": 3}),
    ];
    let known = [cookie("_fbc", "fbc", "fb.1.1768478000000.Old")];
    let (events, set) = visited(&["_fbp", "_fbc"], &known, &events);
    for index in [0, 2] {
        let context = json!({"fbc": "fb.1.1768478000000.Old"});
        assert_eq!(events[index]["context"], context);
    }
    assert_eq!(set.len(), 2);
    let (events, set) = visited(
        &["_fbp", "_fbc"],
        &[],
        &[json!({"agreed": false, "visitor": 1})],
    );
    assert_eq!((events[0].get("context"), set), (None, Vec::new()));
}

#[test]
fn a_malformed_cookie_counts_as_absent_only_where_it_may_be_replaced() {
    for malformed in [
        "fb.1.1.1",
        "fb.1.1768478000000.1.x",
        "fb.100.1768478000000.1",
        "fb.1.1768478000000.a%20b",
        "fb.1.1768478000000",
    ] {
        let event = [json!({"agreed": true, "visitor": 7})];
        let known = [cookie("_fbp", "fbp", malformed)];
        let (events, set) = visited(&["_fbp"], &known, &event);
        assert_eq!(set, [pair("_fbp", "fb.1.1600000000000.7")], "{malformed}");
        assert_eq!(events[0]["context"]["fbp"], "fb.1.1600000000000.7");
        let (events, set) = visited(&["_fbc"], &known, &event);
        assert_eq!(
            (&events[0]["context"]["fbp"], set),
            (&json!(malformed), Vec::new())
        );
    }
}

#[test]
fn a_cookie_that_the_browser_has_stays_and_what_an_event_says_itself_stays() {
    let known = [cookie("_fbp", "fbp", KNOWN)];
    let own = json!({"agreed": true, "visitor": 7, "context": {"fbp": "fb.1.1768478000000.2"}});
    let (events, set) = visited(&["_fbp", "_fbc"], &known, std::slice::from_ref(&own));
    assert_eq!((&events[0]["context"], set), (&own["context"], Vec::new()));
    // Without a cookie, the browser gets what the page's script has told.
    let (_, set) = visited(&["_fbp"], &[], &[own]);
    assert_eq!(set, [pair("_fbp", "fb.1.1768478000000.2")]);
    // A value that is there and cannot be used is not replaced, and nothing else is set beside it.
    let unusable = json!({"agreed": true, "visitor": 7, "context": {"fbp": 5}});
    let (events, set) = visited(&["_fbp"], &[], std::slice::from_ref(&unusable));
    assert_eq!(
        (&events[0]["context"], set),
        (&unusable["context"], Vec::new())
    );
}

#[test]
fn a_value_that_would_need_quoting_is_not_set() {
    for value in [
        "",
        "a b",
        "a;b",
        "a\r\nb",
        "é",
        &"a".repeat(MAX_VALUE_BYTES + 1),
    ] {
        assert!(!is_plain(value), "{value}");
    }
    let mut jar = Jar::new(Scope::Host, &["_fbp"], &[]);
    assert!(!jar.add(&[Cookie::new("_fbp", "fbp", "x; Domain=com", DAYS)]));
    assert!(jar.add(&[Cookie::new("_fbp", "fbp", KNOWN, DAYS)]));
    let headers = jar.into_headers();
    let expected = format!("_fbp={KNOWN}; Max-Age=7776000; Path=/; SameSite=Lax");
    assert_eq!(headers[0].to_str().unwrap(), expected);
}

fn any_event() -> impl Strategy<Value = Value> {
    let fbp = prop::sample::select(vec![json!(null), json!(KNOWN), json!("fb.1.1.1"), json!(3)]);
    let fbc = prop::sample::select(vec![json!(null), json!("fb.1.5.A"), json!("fb.1.5.C")]);
    let click = prop::sample::select(vec![json!(null), json!("A"), json!("B")]);
    let parts = (
        any::<bool>(),
        0..2_u8,
        click,
        0..9_u64,
        fbp,
        fbc,
        any::<bool>(),
    );
    parts.prop_map(|(agreed, visitor, click, at, fbp, fbc, has_context)| {
        let mut event = json!({"agreed": agreed, "visitor": visitor, "click": click, "at": at});
        if has_context {
            event["context"] = json!({});
            for (name, value) in [("fbp", fbp), ("fbc", fbc)] {
                if !value.is_null() {
                    event["context"][name] = value;
                }
            }
        }
        event
    })
}

proptest! {
    #[test]
    fn whatever_comes_the_browser_gets_only_what_an_event_that_agreed_is_sent_with(
        events in prop::collection::vec(any_event(), 1..6),
        known in prop::option::of(prop::sample::select(vec![KNOWN, "fb.1.1.1"])),
        clicked in prop::option::of(prop::sample::select(vec!["fb.1.1768478000000.A", "fb.1.1.A"])),
        wanted in prop::sample::subsequence(vec!["_fbp", "_fbc"], 0..=2),
    ) {
        let of_request: Vec<_> = known.map(|value| cookie("_fbp", "fbp", value)).into_iter()
            .chain(clicked.map(|value| cookie("_fbc", "fbc", value)))
            .collect();
        let (completed, set) = visited(&wanted, &of_request, &events);
        let agreed: Vec<_> = completed.iter().filter(|event| event["agreed"] == true).collect();
        for (name, value) in &set {
            prop_assert!(wanted.contains(&name.as_str()));
            let index = usize::from(name == "_fbc");
            let is_sent = |event: &&Value| sent(event)[index].as_ref() == Some(value);
            prop_assert!(agreed.iter().any(is_sent), "{} {}", name, value);
            if name == "_fbp" {
                prop_assert!(known.is_none_or(|known| !is_well_formed(known)));
            }
        }
        for (before, after) in events.iter().zip(&completed) {
            // Nothing that an event had is another now.
            for name in ["fbp", "fbc"] {
                let own = &before["context"][name];
                prop_assert!(own.is_null() || own == &after["context"][name]);
            }
            // One that did not agree is as if it had come alone, to a source that sets nothing of it.
            if before["agreed"] != true {
                let (alone, set) = visited(&wanted, &of_request, std::slice::from_ref(before));
                prop_assert_eq!(&alone[0], after);
                prop_assert!(set.is_empty());
            }
        }
        // A jar that remembers nothing says the same of every first event.
        let (first, _) = visited(&wanted, &of_request, &events[..1]);
        prop_assert_eq!(&first[0], &completed[0]);
    }
}
