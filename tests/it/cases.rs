//! Golden cases: `fixtures/cases/<a sentence that is true>.json`, each an event, options, and what must come out; with `line`,
//! the event is that line of a file.
//!
//! `UPDATE_EXPECT=1 cargo test` writes what came out into the files; read the difference before you commit it.

use crate::{NOW_MS, build, difference, outcome, refit, root};
use pipeline_core::{Encoded, Event, Origin};
use serde_json::{Value, json};
use std::fs;

#[tokio::test]
async fn every_case_comes_out_as_expected() {
    let mut files: Vec<_> = fs::read_dir(root().join("fixtures/cases"))
        .expect("fixtures/cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 30, "only {} cases", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable case");
        let case: Value = serde_json::from_str(&text).expect("a case in JSON");
        let sink = build(case.get("options").unwrap_or(&json!({}))).await;
        let raw = match &case["raw"] {
            Value::String(raw) => raw.clone(),
            _ => case["event"].to_string(),
        };
        let mut event = Event::new(raw, NOW_MS);
        if let Some(line) = case["line"].as_u64() {
            event = event.with_origin(Origin::line("events".into(), line));
        }
        let explained = sink.explain(&event);
        let mut actual = outcome(&explained.encoded);
        assert_eq!(
            outcome(&sink.encode(&event)),
            actual,
            "{}: explaining changes the outcome",
            file.display()
        );
        refit::check_unchanged(
            &*sink,
            explained.encoded.clone(),
            &file.display().to_string(),
        );
        if case["expected"].get("explain").is_some() {
            actual["explain"] = explained.explanation.to_json();
        }
        if let (Some(_), Encoded::Rejected(rejection)) =
            (case["expected"].get("detail"), &explained.encoded)
        {
            actual["detail"] = rejection.reason.detail.as_ref().into();
        }
        wrong.extend(difference(&file, case, actual));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
