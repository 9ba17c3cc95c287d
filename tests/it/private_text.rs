//! Addresses and phone numbers in any encoding, in any text of an event: none is in the record, however the record is decoded.

use crate::{build, event};
use pipeline_core::{Encoded, Sink};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Places of texts that leave as they are, or whose names come from the event.
const PLACES: &[&str] = &[
    "/messageId",
    "/userId",
    "/event",
    "/properties/order_id",
    "/properties/subscription_id",
    "/properties/madid",
    "/properties/ctwa_clid",
    "/properties/anon_id",
    "/properties/query",
    "/properties/description",
    "/properties/content_name",
    "/properties/status",
    "/properties/note",
    "/properties/list/0",
    "/properties/content_ids",
    "/properties/products/0/product_id",
    "/properties/products/0/name",
    "/properties/products/0/brand",
    "/properties/products/1",
    "/properties/original_event_data/order_id",
    "/properties/original_event_data/event_name",
    "/context/userAgent",
    "/context/page/url",
    "/context/page/referrer",
];

/// How a text is written where somebody does not see it.
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Percent,
    AllPercent,
    Base64,
    Wide,
    Entity,
    At,
    Capitals,
    Within,
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |at: usize| usize::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(char::from(BASE64[bits >> (18 - 6 * place) & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn percent(text: &str, is_kept: impl Fn(u8) -> bool) -> String {
    let bytes = text.bytes();
    bytes
        .map(|byte| match byte {
            byte if is_kept(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

impl Encoding {
    fn write(self, text: &str) -> String {
        match self {
            Self::Percent => percent(text, |b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
            Self::AllPercent => percent(text, |_| false),
            Self::Base64 => base64(text),
            Self::Wide => text.replace('@', "＠").replace('+', "＋"),
            Self::Entity => text.replace('@', "&#64;").replace('+', "&#x2b;"),
            Self::At => text.replace('@', " (at) "),
            Self::Capitals => text.to_uppercase(),
            Self::Within => format!("x {text} y"),
        }
    }
}

fn encoding() -> impl Strategy<Value = Encoding> {
    use Encoding::{AllPercent, At, Base64, Capitals, Entity, Percent, Wide, Within};
    prop::sample::select(vec![
        Percent, AllPercent, Base64, Wide, Entity, At, Capitals, Within,
    ])
}

/// An address or a phone number, and what it is recognized by in a text without any encoding.
fn secret() -> impl Strategy<Value = (String, String)> {
    let email = "[a-z]{3,8}[.+_-]?[a-z0-9]{2,6}@[a-z]{3,8}\\.(com|de|co\\.uk|example)";
    let email = email.prop_map(|email| (email.clone(), email));
    let phone = "(4915[12][0-9]{7}|1650253[0-9]{4}|447911[0-9]{6}|336[0-9]{8})";
    let phone = phone.prop_map(|digits| (format!("+{digits}"), digits));
    prop_oneof![email, phone]
}

static SINK: LazyLock<Box<dyn Sink>> = LazyLock::new(|| {
    let over = json!({
        "external_id": "raw", "unmapped_events": "custom", "consent": { "when_absent": "allow" },
        "field_mappings": {
            "custom_data.note": "properties.note", "custom_data.list": "properties.list",
            "custom_data.description": "properties.description", "custom_data.content_ids": "properties.content_ids",
        },
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(build(&over))
});

fn usual() -> Value {
    json!({
        "type": "track", "event": "Order Completed", "messageId": "m-1", "timestamp": "2026-01-15T11:00:00Z", "userId": "u-1",
        "traits": { "lastName": "Smith", "address": { "city": "Oslo" } },
        "properties": {
            "total": 10, "currency": "EUR", "order_id": "o-1", "query": "mug", "products": [{ "product_id": "p-1", "name": "Mug", "brand": "B" }, "p-2"],
            "original_event_data": {}, "list": ["a"],
        },
        "context": { "page": {}, "ip": "198.51.100.7" },
    })
}

/// Puts a text at a place.
fn put(event: &mut Value, place: &str, text: &str) {
    let (parent, key) = place.rsplit_once('/').expect("a pointer");
    let parent = event.pointer_mut(parent).expect("a parent");
    match parent {
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = text.into(),
        parent => parent[key] = text.into(),
    }
}

/// The text and what is inside it, of every encoding that is not told apart by a secret: percent, Base64, wide forms, entities.
fn decoded(text: &str) -> Vec<String> {
    let mut layers = vec![text.to_owned()];
    for at in 0.. {
        let Some(layer) = layers.get(at).cloned().filter(|_| at < 200) else {
            break;
        };
        let plain = layer
            .replace('＠', "@")
            .replace('＋', "+")
            .replace("&#64;", "@")
            .replace("&#x2b;", "+")
            .replace(" (at) ", "@");
        let words = layer.split(|c: char| !c.is_ascii_alphanumeric() && !"+/%".contains(c));
        let inside = words.flat_map(|word| [unpercent(word), from_base64(word)]);
        for next in inside.flatten().chain([plain]).chain(unpercent(&layer)) {
            if next.len() >= 6 && !layers.contains(&next) {
                layers.push(next);
            }
        }
    }
    layers
}

fn unpercent(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let code = rest.get(1..3).filter(|_| c == '%');
        if let Some(byte) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &rest[3..];
        } else {
            bytes.extend(c.to_string().bytes());
            rest = &rest[c.len_utf8()..];
        }
    }
    String::from_utf8(bytes).ok().filter(|next| next != text)
}

fn from_base64(text: &str) -> Option<String> {
    let (mut bits, mut count, mut bytes) = (0_usize, 0, Vec::new());
    for byte in text.bytes() {
        bits = bits << 6 | BASE64.iter().position(|known| *known == byte)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf8(bytes).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_address_or_a_phone_number_is_in_no_record_however_it_is_encoded(
        (secret, trace) in secret(),
        encodings in prop::collection::vec(encoding(), 0..4),
        place in prop::sample::select(PLACES),
        form in prop::sample::select(vec!["{}", "https://shop.example/a?x={}&q=1", "https://shop.example/u/{}/b", "https://shop.example/a#{}"]),
    ) {
        let written = encodings.iter().fold(secret.clone(), |text, encoding| encoding.write(&text));
        let is_url = place.starts_with("/context/page");
        let text = if is_url { form.replace("{}", &written.replace(' ', "%20")) } else { written.clone() };
        let mut usual = usual();
        put(&mut usual, place, &text);
        if let Encoded::Record(record) = SINK.encode(&event(&usual)) {
            let payload = String::from_utf8_lossy(&record.payload).into_owned();
            for layer in decoded(&payload) {
                let is_in = layer.to_lowercase().contains(&trace);
                prop_assert!(!is_in, "{} by {:?} at {}: {}", secret, encodings, place, payload);
            }
            prop_assert!(!record.event_id.to_lowercase().contains(&trace));
        }
    }
}
