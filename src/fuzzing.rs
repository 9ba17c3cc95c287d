//! Entry points for the fuzz targets of `fuzz/`. Compiled for them only (`cfg(fuzzing)`); not an interface.

use crate::extract::{Paths, Readings};
use crate::path::Path;
use crate::response::{self, Answer, Code};
use reqwest::header::{HeaderMap, HeaderValue};

/// Reads an answer with `header` as the value of every header that is read; returns the detail that people would see.
pub fn read_answer(status: u16, header: &[u8], body: &[u8]) -> String {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(header) {
        for name in [
            "retry-after",
            "x-ad-account-usage",
            "x-business-use-case-usage",
        ] {
            headers.insert(name, value.clone());
        }
    }
    match response::read(status, &headers, body) {
        Answer::Received(_) => String::new(),
        Answer::Retry { after, reason } => {
            assert!(after.is_none_or(|after| after <= response::MAX_THROTTLE));
            reason.detail.into_owned()
        }
        Answer::Blocked(reason) | Answer::Invalid { reason, .. } => reason.detail.into_owned(),
        Answer::Refused(refusal) => refusal.because(Code::RefusedInvalid).detail.into_owned(),
    }
}

/// Reads texts one after the other on this thread, as a sink does, along paths of every kind; then without memory, and with
/// serde_json.
///
/// # Panics
///
/// When the results differ, or the walk rejects what serde_json accepts.
pub fn read_sequence(texts: &[&str]) {
    let mut paths = Paths::default();
    let path = |written: &str| Path::parse(written).expect("a good path");
    for written in ["a", "a.b", "a.b.c", "b", "b.a", "c[0]", "c[1].a"] {
        paths.slot(&path(written));
    }
    for written in ["d", "a.d", "c"] {
        let (_, items) = paths.list(&path(written));
        for written in ["a", "b.c", "c[1]"] {
            items.slot(&path(written));
        }
    }
    let readings = paths.readings(texts);
    let Readings {
        in_sequence,
        stateless,
        by_serde_json,
        fallback_reads,
    } = &readings;
    assert_eq!(in_sequence, stateless, "memory changes what is found");
    assert_eq!(
        stateless, by_serde_json,
        "the walk finds other things than serde_json"
    );
    assert_eq!(*fallback_reads, 0, "the walk rejected JSON");
}
