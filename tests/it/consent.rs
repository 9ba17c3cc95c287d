//! What becomes of events with consent in the shapes of `fixtures/consent.json`: the tables of the documents.

use crate::{build, event, outcome, root};
use pipeline_core::Sink;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Every row, or those that the README shows, with what a sink makes of it without more options and where silence is allowed.
pub(crate) async fn table(is_for_readme: bool) -> String {
    let text = std::fs::read_to_string(root().join("fixtures/consent.json")).expect("a file");
    let fixture: Value = serde_json::from_str(&text).expect("JSON");
    let sink = async |when_absent: &str| {
        let mut consent = fixture["options"].clone();
        consent["when_absent"] = when_absent.into();
        build(&json!({ "consent": consent })).await
    };
    let sinks = [sink("drop").await, sink("allow").await];
    let mut table =
        "| Sender, or what it says | In the event | The event is | With `when_absent: allow` |\n| --- | --- | --- | --- |\n"
            .to_owned();
    let rows = fixture["rows"].as_array().expect("rows");
    for row in rows
        .iter()
        .filter(|row| !is_for_readme || row["readme"] == true)
    {
        let mut source = row["event"].clone();
        source["event"] = "Page View".into();
        source["userId"] = "u-1".into();
        let cell = |sink: &dyn Sink| {
            let outcome = outcome(&sink.encode(&event(&source)));
            let reason = outcome["reason"].as_str();
            reason.map_or("sent".to_owned(), |reason| format!("`{reason}`"))
        };
        let [strict, lenient] = sinks.each_ref().map(|sink| cell(sink.as_ref()));
        let (sender, shown) = (row["sender"].as_str().expect("text"), &row["event"]);
        writeln!(table, "| {sender} | `{shown}` | {strict} | {lenient} |").expect("text");
    }
    table
}
