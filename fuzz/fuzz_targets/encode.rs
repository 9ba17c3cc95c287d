//! Any bytes as an event, through every shipped preset.
//!
//! What must hold: no panic; what is encoded is one JSON object of a bounded size; explaining an event changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeline_core::{Encoded, Event, ManualClock, ParseContext, Registry, Sink, SinkContext};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

use meta_conversions as _;

/// The time of every run: 2026-01-15, as in the fixtures.
const NOW_MS: i64 = 1_768_478_400_000;

/// One sink for each preset, and one with every option that lets more through.
static SINKS: LazyLock<Vec<Box<dyn Sink>>> = LazyLock::new(|| {
    let registry = Registry::linked().expect("no name twice");
    let description = registry.sink("meta_conversions").expect("linked");
    let presets = description.preset_descriptions();
    let plain = presets
        .iter()
        .map(|preset| json!({ "preset": preset.name, "consent": { "when_absent": "allow" } }));
    let open = json!({
        "preset": "retail",
        "unmapped_events": "custom",
        "external_id": "raw",
        "default_country": "DE",
        "default_currency": "EUR",
        "consent": { "when_absent": "allow" },
        "field_mappings": { "custom_data.any": "properties.any" }
    });
    plain.chain([open]).map(sink).collect()
});

fn sink(mut options: Value) -> Box<dyn Sink> {
    options["pixel_id"] = "1234567890123456".into();
    options["access_token"] = "fuzz".into();
    let registry = Registry::linked().expect("no name twice");
    let description = registry.sink("meta_conversions").expect("linked");
    let config = description.parse(&options, &ParseContext::default()).expect("good options");
    let mut cx = SinkContext::new("fuzz");
    cx.clock = Arc::new(ManualClock::at(NOW_MS));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime
        .expect("a runtime")
        .block_on(config.build(cx))
        .expect("a sink")
}

fuzz_target!(|bytes: &[u8]| {
    // Which sink: any property of the input will do that leaves the seeds whole.
    let sink = &SINKS[bytes.len() % SINKS.len()];
    let event = Event::new(bytes.to_vec(), NOW_MS);
    let encoded = sink.encode(&event);
    assert_eq!(sink.explain(&event).encoded, encoded);
    if let Encoded::Record(record) = encoded {
        let sent: Value = serde_json::from_slice(&record.payload).expect("JSON");
        assert!(sent["event_name"].is_string() && sent["user_data"].is_object());
        // Escapes can make text six times as long; ids and names of fields come on top.
        assert!(record.payload.len() <= 6 * bytes.len() + 8_192);
    }
});
