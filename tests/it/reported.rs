//! Cases that people have reported about tools of this kind, or that other tools have in their tests, with data of our own:
//! `fixtures/reported/*.ndjson`, a line each, numbered; variants of one case share a number.
//!
//! `UPDATE_EXPECT=1 cargo test` writes what came out into the files; read the difference before you commit it.

use crate::{build_at, outcome, root};
use pipeline_core::Event;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

/// 2026-11-26T12:00:00Z, in milliseconds: the cases' own now.
const NOW_MS: i64 = 1_795_694_400_000;

async fn check(file: &str, cases: usize) {
    let path = root().join("fixtures/reported").join(file);
    let text = fs::read_to_string(&path).expect("a readable file");
    let (mut lines, mut wrong) = (String::new(), Vec::new());
    for line in text.lines() {
        let mut case: Value = serde_json::from_str(line).expect("a case in JSON");
        let sink = build_at(&case["options"], NOW_MS).await;
        let event = Event::new(case["event"].to_string(), NOW_MS);
        let explained = sink.explain(&event);
        let mut actual = outcome(&explained.encoded);
        let explanation = explained.explanation.to_json();
        let given = |(_, left_out): &(&String, &Value)| left_out["why"] != "not_given";
        let left_out = explanation["left_out"].as_object();
        let left_out = left_out.into_iter().flatten().filter(given);
        actual["left_out"] = left_out
            .map(|(name, left_out)| (name.clone(), left_out["why"].clone()))
            .collect();
        if case["expected"] != actual {
            let (number, expected) = (&case["number"], &case["expected"]);
            wrong.push(format!(
                "{number}\n  expected {expected}\n  actual   {actual}"
            ));
        }
        case["expected"] = actual;
        writeln!(lines, "{case}").expect("text");
    }
    assert_eq!(lines.lines().count(), cases, "cases in {file}");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, lines).expect("a writable file");
    } else {
        assert!(wrong.is_empty(), "{file}: {}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn every_case_that_people_have_reported_comes_out_right() {
    check("mapping.ndjson", 73).await;
}

#[tokio::test]
async fn every_case_of_other_tools_tests_comes_out_right() {
    check("suites.ndjson", 22).await;
}
