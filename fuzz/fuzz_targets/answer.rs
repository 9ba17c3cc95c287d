//! Any bytes as an answer of the Conversions API.
//!
//! What must hold: no panic, and no text of the answer that could be somebody's in the reason that people see.

#![no_main]

use libfuzzer_sys::fuzz_target;

// `STATUS \n HEADER VALUE \n BODY`: the value stands in each of the headers that the reader looks at.
fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let status = std::str::from_utf8(part())
        .ok()
        .and_then(|text| text.parse().ok());
    let (header, body) = (part(), part());
    let reason = meta_conversions::fuzzing::read_answer(status.unwrap_or(400), header, body);
    assert!(reason.len() <= 1_024, "a reason is a sentence");
    assert!(!reason.contains(['@', '\n', '\r', '\0']), "{reason}");
});
