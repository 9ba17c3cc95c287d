//! Runs `fixtures/responses`: every answer means what its file says, and every row of the table, every subcode with its own
//! words and every reason code has a file.

use super::table::{ROWS, Row};
use super::*;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;
use std::collections::BTreeSet;

/// The reason codes that do not come from an answer, but from `delivery` itself.
const WITHOUT_ANSWER: &[Code] = &[
    Code::Timeout,
    Code::ConnectionFailed,
    Code::NotConfirmed,
    Code::ManyRefused,
    Code::RefusedUnclear,
    Code::AllRefused,
    Code::WayBlocked,
    Code::Expired,
    Code::UsageHigh,
    Code::VersionWarning,
];

/// Every fixture, by name.
fn cases() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/responses");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let case = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path.display().to_string(), case)
    });
    files.collect()
}

fn answer(case: &Value) -> Answer {
    let headers = case["headers"].as_object().unwrap().iter();
    let headers = headers.map(|(name, value)| {
        let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
        (name.parse::<HeaderName>().unwrap(), value)
    });
    let body = case["body"].as_str();
    let body = body.map_or_else(|| case["body"].to_string(), str::to_owned);
    let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
    read(status, &headers.collect(), body.as_bytes(), 0)
}

/// An answer in the words of the fixtures' `expected`.
fn described(answer: &Answer) -> Value {
    let unclear;
    let (outcome, after, index, reason) = match answer {
        Answer::Received(count) => return json!({ "outcome": "received", "count": count }),
        Answer::Retry { after, reason } => ("retry", *after, None, reason),
        Answer::Failed { after, reason } => ("failed", *after, None, reason),
        Answer::TooLarge(alone) => {
            let mut described = described(alone);
            described["outcome"] = format!("too large, alone {}", word(&described)).into();
            return described;
        }
        Answer::Blocked(reason) => ("blocked", None, None, reason),
        Answer::Invalid { index, reason } => ("invalid", None, *index, reason),
        Answer::Refused(refusal) => {
            unclear = refusal.of_event();
            ("refused", None, None, &unclear)
        }
    };
    let after = after.map(|after| after.as_secs());
    json!({ "outcome": outcome, "reason": reason.code, "after_secs": after, "index": index, "detail": reason.detail })
}

fn word(described: &Value) -> &str {
    described["outcome"].as_str().unwrap()
}

#[test]
fn every_answer_means_what_its_fixture_says() {
    for (name, case) in cases() {
        let mut described = described(&answer(&case));
        if case["expected"]["detail"].is_null() && described["detail"].is_string() {
            described["detail"] = Value::Null;
        }
        assert_eq!(described, case["expected"], "{name}");
    }
}

/// The reason of an answer, if it has one.
fn reason(answer: Answer) -> Option<Reason> {
    Some(match answer {
        Answer::Received(_) => return None,
        Answer::Retry { reason, .. }
        | Answer::Failed { reason, .. }
        | Answer::Blocked(reason)
        | Answer::Invalid { reason, .. } => reason,
        Answer::TooLarge(alone) => return reason(*alone),
        Answer::Refused(refusal) => refusal.of_event(),
    })
}

#[test]
fn a_reason_carries_the_codes_that_meta_gave_and_no_others() {
    let number = |value: &Value| -> Option<i64> {
        match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        }
    };
    let mut carried = 0;
    for (name, case) in cases() {
        let error = &case["body"]["error"];
        let given: Option<i64> = number(&error["code"]);
        let given = given.map(|code| match number(&error["error_subcode"]) {
            Some(subcode) => format!("{code}/{subcode}"),
            None => code.to_string(),
        });
        let Some(Reason { destination, .. }) = reason(answer(&case)) else {
            continue;
        };
        assert_eq!(destination.as_deref(), given.as_deref(), "{name}");
        carried += usize::from(given.is_some());
    }
    assert!(carried > 50, "{carried}");
}

#[test]
fn every_row_every_subcode_and_every_reason_code_has_a_fixture() {
    let (mut rows, mut subcodes) = (Vec::<*const Row>::new(), BTreeSet::new());
    let mut codes = BTreeSet::new();
    for (_, case) in cases() {
        let error = &case["body"]["error"];
        let (code, subcode) = (error["code"].as_i64(), error["error_subcode"].as_i64());
        rows.extend(
            code.and_then(|code| find(code, subcode))
                .map(std::ptr::from_ref),
        );
        subcodes.extend(subcode.filter(|_| case["expected"]["detail"].is_string()));
        codes.extend(case["expected"]["reason"].as_str().map(str::to_owned));
    }
    for row in ROWS {
        assert!(rows.contains(&std::ptr::from_ref(row)), "{row:?}");
    }
    for (subcode, words) in SUBCODES {
        assert!(subcodes.contains(subcode), "{subcode}: {words}");
    }
    let with_answer = Code::ALL
        .iter()
        .filter(|code| !WITHOUT_ANSWER.contains(code));
    let with_answer: BTreeSet<_> = with_answer.map(|code| code.as_str().to_owned()).collect();
    assert_eq!(codes, with_answer);
}

#[test]
fn reasons_are_made_of_the_closed_set_alone() {
    let delivery = [
        include_str!("../delivery.rs"),
        include_str!("../delivery/attempt.rs"),
        include_str!("../delivery/blame.rs"),
        include_str!("../delivery/exchange.rs"),
        include_str!("../delivery/failure.rs"),
        include_str!("../delivery/on_the_way.rs"),
        include_str!("../delivery/signals.rs"),
        include_str!("../delivery/size.rs"),
        include_str!("../response/way.rs"),
        include_str!("../response.rs"),
    ];
    for source in delivery {
        assert!(!source.contains("Reason::new"));
    }
    for code in WITHOUT_ANSWER {
        let code = format!("Code::{code:?}");
        assert!(
            delivery.iter().any(|source| source.contains(&code)),
            "{code}"
        );
    }
}

#[test]
fn no_subcode_is_listed_twice_or_has_words_that_repeat_another() {
    let subcodes: BTreeSet<_> = SUBCODES.iter().map(|(subcode, _)| subcode).collect();
    let words: BTreeSet<_> = SUBCODES.iter().map(|(_, words)| words).collect();
    assert_eq!(
        (subcodes.len(), words.len()),
        (SUBCODES.len(), SUBCODES.len())
    );
}

proptest::proptest! {
    #[test]
    fn no_body_makes_the_reader_panic_or_repeat_a_long_text(status in 100_u16..600, body in ".*", message in ".*") {
        let hash = "0a".repeat(32);
        let text = format!("{message} $['data'][1]['{hash}'] {message}");
        let error = json!({"error": {"code": 100, "message": text, "fbtrace_id": hash}});
        for body in [body, error.to_string()] {
            let described = described(&read(status, &HeaderMap::new(), body.as_bytes(), 0));
            proptest::prop_assert!(!described.to_string().contains(&hash));
        }
    }
}
