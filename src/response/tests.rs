//! Walks `fixtures/responses`: every answer means what its file says, and every row of the table has a file.

use super::*;
use reqwest::header::{HeaderName, HeaderValue};

#[test]
fn every_answer_means_what_its_fixture_says_and_every_row_has_one() {
    let mut uncovered: Vec<&Row> = ROWS.iter().collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/responses");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let headers = case["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            (name.parse::<HeaderName>().unwrap(), value)
        });
        let body = case["body"]
            .as_str()
            .map_or_else(|| case["body"].to_string(), str::to_owned);
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let (outcome, after, index, reason) =
            match read(status, &headers.collect(), body.as_bytes()) {
                Answer::Retry { after, reason } => ("retry", after, None, reason),
                Answer::Blocked(reason) => ("blocked", None, None, reason),
                Answer::Invalid { index, reason } => ("invalid", None, index, reason),
                Answer::Received(count) => panic!("{}: received {count:?}", path.display()),
            };
        let expected = &case["expected"];
        assert_eq!(expected["outcome"], outcome, "{}", path.display());
        assert_eq!(expected["reason"], reason.code, "{}", path.display());
        assert_eq!(
            expected["after_secs"].as_u64(),
            after.map(|a| a.as_secs()),
            "{}",
            path.display()
        );
        assert_eq!(
            expected["index"].as_u64(),
            index.map(|i| i as u64),
            "{}",
            path.display()
        );
        if let Some(detail) = expected["detail"].as_str() {
            assert_eq!(detail, reason.detail, "{}", path.display());
        }
        let error = &case["body"]["error"];
        if let Some(row) = error["code"]
            .as_i64()
            .and_then(|c| find(c, error["error_subcode"].as_i64()))
        {
            uncovered.retain(|other| !std::ptr::eq(*other, row));
        }
    }
    assert!(uncovered.is_empty(), "no fixture for {uncovered:?}");
}
