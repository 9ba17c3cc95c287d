//! Events as common senders write them: `fixtures/senders/<sender>.json`, each an event, the options that a user needs, and
//! what must come out.
//!
//! `UPDATE_EXPECT=1 cargo test` writes what came out into the files; read the difference before you commit it. The page
//! `MAPPING.md` has a table of the same data.

use crate::{NOW_MS, build, outcome, root};
use pipeline_core::{Event, Explained};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

const INTRO: &str = "
## Events of common senders

Events as these senders write them, recorded or from their documentation. What each becomes, with the options of the second
column, and where each parameter is taken from. The events are in `fixtures/senders`.

| Sender | Options | Becomes | Parameters |
| --- | --- | --- | --- |
";

/// The files of all senders, by name.
fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("fixtures/senders")).expect("fixtures/senders");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn read(file: &PathBuf) -> Value {
    let text = fs::read_to_string(file).expect("a readable file");
    serde_json::from_str(&text).expect("JSON")
}

async fn explain(sender: &Value) -> Explained {
    let sink = build(&sender["options"]).await;
    sink.explain(&Event::new(sender["event"].to_string(), NOW_MS))
}

#[tokio::test]
async fn the_events_of_common_senders_are_read_as_they_write_them() {
    let files = files();
    assert!(files.len() >= 7, "only {} senders", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let mut sender = read(&file);
        let explained = explain(&sender).await;
        let mut actual = outcome(&explained.encoded);
        let explanation = explained.explanation.to_json();
        let given = |(_, left_out): &(&String, &Value)| left_out["why"] != "not_given";
        let left_out = explanation["left_out"].as_object();
        let left_out = left_out.into_iter().flatten().filter(given);
        actual["left_out"] = left_out
            .map(|(name, left_out)| (name.clone(), left_out.clone()))
            .collect();
        assert_eq!(actual["outcome"], "mapped", "{}: {actual}", file.display());
        if sender["expected"] == actual {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            sender["expected"] = actual;
            let text = serde_json::to_string_pretty(&sender).expect("JSON");
            fs::write(&file, text + "\n").expect("a writable file");
        } else {
            wrong.push(format!(
                "{}\n  expected {}\n  actual   {actual}",
                file.display(),
                sender["expected"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The table of the page.
pub(crate) async fn table() -> String {
    let mut section = INTRO.to_owned();
    for file in files() {
        let sender = read(&file);
        let explained = explain(&sender).await;
        let event = outcome(&explained.encoded)["event"]["event_name"].clone();
        let explanation = explained.explanation.to_json();
        let sent = explanation["sent"].as_object().into_iter().flatten();
        let from = |from: &Value| match from {
            Value::String(path) => format!("`{path}`"),
            paths => {
                let paths = paths.as_array().into_iter().flatten();
                let paths: Vec<_> = paths.filter_map(Value::as_str).collect();
                format!("`{}`", paths.join("`, `"))
            }
        };
        let parameters: Vec<_> = sent
            .filter(|(name, _)| *name != "event_name")
            .map(|(name, sent)| format!("`{name}` ← {}", from(&sent["from"])))
            .collect();
        let options = match &sender["options"] {
            options if *options == json!({}) => "none".to_owned(),
            options => format!("`{options}`"),
        };
        writeln!(
            section,
            "| {}: {} | {options} | `{}` | {} |",
            sender["title"].as_str().expect("a title"),
            sender["about"].as_str().expect("what it is"),
            event.as_str().expect("a name"),
            parameters.join("; ")
        )
        .expect("text");
    }
    section
}
