//! Any bytes as a sequence of events that one thread encodes one after the other.
//!
//! What must hold: what becomes of an event does not depend on the events before it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use meta_conversions as _;
use pipeline_core::{Encoded, Event, ManualClock, ParseContext, Registry, Sink, SinkContext};
use serde_json::json;
use std::sync::{Arc, LazyLock};

/// The time of every run: 2026-01-15, as in the fixtures.
const NOW_MS: i64 = 1_768_478_400_000;

static SINK: LazyLock<Box<dyn Sink>> = LazyLock::new(|| {
    let registry = Registry::linked().expect("no name twice");
    let options = json!({
        "preset": "retail",
        "pixel_id": "1234567890123456",
        "access_token": "fuzz",
        "consent": { "when_absent": "allow" },
    });
    let description = registry.sink("meta_conversions").expect("linked");
    let config = description
        .parse(&options, &ParseContext::default())
        .expect("good options");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let built = runtime.block_on(config.build(SinkContext::new("fuzz").with_clock(clock)));
    built.expect("a sink")
});

fn fate(event: &Event) -> (Option<bytes::Bytes>, String) {
    match SINK.encode(event) {
        Encoded::Record(record) => (Some(record.payload), String::new()),
        Encoded::Filtered(filtered) => (None, format!("{:?}", filtered.reason)),
        Encoded::Rejected(rejection) => (None, format!("{:?}", rejection.reason)),
        _ => (None, String::new()),
    }
}

// `EVENT \0 EVENT \0 …`, because JSON never contains a zero byte.
fuzz_target!(|bytes: &[u8]| {
    let events = bytes.split(|byte| *byte == 0).take(16);
    let events: Vec<_> = events.map(|raw| Event::new(raw.to_vec(), NOW_MS)).collect();
    let forward: Vec<_> = events.iter().map(fate).collect();
    let backward: Vec<_> = events.iter().rev().map(fate).collect();
    assert!(forward.iter().eq(backward.iter().rev()));
});
