//! Records of dead letters before they are sent again. Golden cases: `fixtures/refits/<a sentence that is true>.json`, each an
//! event, the options that it was mapped with, the options now, and what is to be sent of its record.

use crate::{NOW_MS, build, build_at, difference, root};
use pipeline_core::{Encoded, Event, Record, Refit, Sink};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(root().join(folder))
        .expect("a folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

/// The record of a letter, and the code of its reason where mapping refused it.
fn letter(encoded: Encoded) -> Option<(Record, &'static str)> {
    match encoded {
        Encoded::Record(record) => Some((record, "held_at_shutdown")),
        Encoded::Rejected(rejection) => {
            let record = rejection.record.map(|record| *record)?;
            Some((record, rejection.reason.code))
        }
        _ => None,
    }
}

fn shown(refit: &Refit, before: &Record) -> Value {
    let event = |record: &Record| serde_json::from_slice::<Value>(&record.payload).expect("JSON");
    match refit {
        Refit::Same => json!({"outcome": "same"}),
        Refit::Changed(record) => {
            assert_eq!(record.event_id, before.event_id);
            assert_eq!(record.partition, before.partition);
            assert_eq!(record.label, before.label);
            json!({"outcome": "changed", "event": event(record)})
        }
        Refit::Unfit(reason) => json!({"outcome": "unfit", "reason": reason.code}),
        _ => json!({"outcome": "unknown"}),
    }
}

#[tokio::test]
async fn every_refit_comes_out_as_expected() {
    let files = files("fixtures/refits");
    assert!(files.len() >= 12, "only {} cases", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable case");
        let case: Value = serde_json::from_str(&text).expect("a case in JSON");
        let options = |key: &str| case.get(key).cloned().unwrap_or_else(|| json!({}));
        let made_with = build(&options("made_with")).await;
        let later_ms = case["days_later"].as_i64().unwrap_or(0) * 86_400_000;
        let now = build_at(&options("options"), NOW_MS + later_ms).await;
        let raw = case["event"].to_string();
        let encoded = made_with.encode(&Event::new(raw, NOW_MS));
        let (mut record, code) = letter(encoded).expect("a record");
        if let Some(payload) = case["payload"].as_str() {
            record.payload = payload.to_owned().into();
        }
        let code = case["stored_for"].as_str().unwrap_or(code);
        let refit = now.refit(&record, code);
        let actual = shown(&refit, &record);
        if let Refit::Changed(changed) = &refit {
            assert_eq!(now.refit(changed, code), Refit::Same, "{}", file.display());
        }
        wrong.extend(difference(&file, case, actual));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Under the options that made it, a record stays as it is, and what was refused stays refused for the same reason.
pub(crate) fn check_unchanged(sink: &dyn Sink, encoded: Encoded, case: &str) {
    let is_refused = matches!(encoded, Encoded::Rejected(_));
    let Some((record, code)) = letter(encoded) else {
        return;
    };
    let refit = sink.refit(&record, code);
    if is_refused {
        let Refit::Unfit(reason) = refit else {
            panic!("{case}: {code} became {refit:?}");
        };
        assert_eq!(reason.code, code, "{case}");
    } else {
        assert_eq!(refit, Refit::Same, "{case}");
    }
}

#[tokio::test]
async fn what_is_no_server_event_is_unfit() {
    let sink: Box<dyn Sink> = build(&json!({})).await;
    for payload in [
        &b""[..],
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"7",
        b"{}",
        br#"{"event_name":7,"event_time":"x","user_data":[],"custom_data":7}"#,
        br#"{"event_time":-9223372036854775808,"action_source":"moon","user_data":null}"#,
    ] {
        let record = Record::new(payload.to_vec(), "a").labeled("x → y");
        let refit = sink.refit(&record, "refused_invalid");
        assert!(matches!(refit, Refit::Unfit(_)), "{payload:?}: {refit:?}");
    }
}
