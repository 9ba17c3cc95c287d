//! Events from programs that write JSON in different styles, read by one thread: the server event does not depend on the
//! style of the event or of the one before it.

use crate::{NOW_MS, build, root};
use pipeline_core::{Encoded, Event, Sink};
use serde::Serialize as _;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use serde_json::{Value, json};
use std::io::{Result, Write};

/// Distinct events; each is encoded once per style.
const EVENTS: usize = 500;

/// The style of Python's `json.dumps`: a space after every comma and colon.
struct Python;

impl Formatter for Python {
    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> Result<()> {
        out.write_all(b": ")
    }
}

fn written(value: &Value, style: impl Formatter) -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, style);
    value
        .serialize(&mut serializer)
        .expect("a value that can be written");
    text
}

/// Purchases that differ in what they hold, how many products they have, and the order of their keys.
fn purchase(number: usize) -> Value {
    let text = std::fs::read_to_string(root().join("fixtures/purchase.json")).expect("a file");
    let mut event: Value = serde_json::from_str(&text).expect("JSON");
    event["messageId"] = format!("message-{number}").into();
    event["traits"]["email"] = format!("person-{number}@example.com").into();
    let products = (0..number % 4).map(|place| json!({ "product_id": format!("sku-{place}"), "price": 2.5, "quantity": place + 1 }));
    event["properties"]["products"] = products.collect();
    if number.is_multiple_of(3) {
        event["unmapped"] = json!({ "empty": {}, "list": [[], { "a": number }] });
    }
    let keys = event.as_object_mut().expect("an object");
    for _ in 0..number % keys.len() {
        let (key, value) = keys
            .shift_remove_entry(&first_key(keys))
            .expect("the first key");
        keys.insert(key, value);
    }
    event
}

fn first_key(object: &serde_json::Map<String, Value>) -> String {
    object.keys().next().expect("a key").clone()
}

fn encoded(sink: &dyn Sink, text: Vec<u8>, told: &str) -> bytes::Bytes {
    match sink.encode(&Event::new(text, NOW_MS)) {
        Encoded::Record(record) => record.payload,
        other => panic!("{told}: {other:?}"),
    }
}

/// No event needed the fallback parser.
fn assert_no_fallback(sink: &dyn Sink) {
    let notes = sink.coverage().expect("counted").notes;
    assert!(
        !notes.iter().any(|note| note.contains("fallback parser")),
        "{notes:?}"
    );
}

#[tokio::test]
async fn a_thousand_events_that_alternate_between_two_styles_all_become_records() {
    let sink = build(&json!({})).await;
    for number in 0..EVENTS {
        let event = purchase(number);
        let compact = encoded(sink.as_ref(), written(&event, CompactFormatter), "compact");
        let python = encoded(sink.as_ref(), written(&event, Python), "Python");
        assert_eq!(compact, python, "event {number}");
    }
    let coverage = sink.coverage().expect("counted");
    assert_eq!(coverage.events, 2 * EVENTS as u64);
    assert_no_fallback(sink.as_ref());
}

#[tokio::test]
async fn a_change_of_style_does_not_change_the_payload() {
    let (sink, other_sink) = (build(&json!({})).await, build(&json!({})).await);
    let styles: [fn(&Value) -> Vec<u8>; 4] = [
        |event| written(event, CompactFormatter),
        |event| written(event, Python),
        |event| written(event, PrettyFormatter::new()),
        |event| written(event, PrettyFormatter::with_indent(b"\t")),
    ];
    for (first, one) in styles.iter().enumerate() {
        for (second, other) in styles.iter().enumerate() {
            for number in 0..12 {
                let event = purchase(number);
                let told = format!("event {number}, style {second} after {first}");
                encoded(sink.as_ref(), one(&event), &told);
                let payload = encoded(sink.as_ref(), other(&event), &told);
                // The change of sinks discards all guesses.
                let expected = encoded(
                    other_sink.as_ref(),
                    written(&event, CompactFormatter),
                    &told,
                );
                assert_eq!(payload, expected, "{told}");
            }
        }
    }
    assert_no_fallback(sink.as_ref());
}
