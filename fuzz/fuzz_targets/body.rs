//! Any bytes as the body of a request.
//!
//! What must hold: no panic; the events are parts of the body, in order; an event alone is cut as it is in company.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pipeline_sources::fuzzing::events;

fuzz_target!(|bytes: &[u8]| {
    let body = Bytes::copy_from_slice(bytes);
    let Some(cut) = events(&body) else {
        return;
    };
    let all: usize = cut.iter().flatten().map(Bytes::len).sum();
    assert!(all <= body.len(), "no byte is in two events");
    for event in cut.iter().flatten() {
        if serde_json::from_slice::<serde::de::IgnoredAny>(event).is_ok() && event.starts_with(b"{")
        {
            let alone = events(event).expect("one event");
            assert_eq!(alone, [Ok(event.clone())]);
        }
    }
});
