//! Entry points for the fuzz targets of `fuzz/`. Compiled for them only (`cfg(fuzzing)`); not an interface.

use crate::response::{self, Answer};
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
    detail(response::read(status, &headers, body, 0))
}

fn detail(answer: Answer) -> String {
    match answer {
        Answer::Received(_) => String::new(),
        Answer::Retry { after, reason } | Answer::Failed { after, reason } => {
            assert!(after.is_none_or(|after| after <= response::pause::MAX_THROTTLE));
            reason.detail.into_owned()
        }
        Answer::Blocked(reason) | Answer::Invalid { reason, .. } => reason.detail.into_owned(),
        Answer::Refused(refusal) => refusal.unclear().detail.into_owned(),
        Answer::TooLarge(single) => detail(*single),
    }
}
