//! Whoever runs the program sees which events are missing and why: in the log, in the closing table, in the dead letters.

use crate::destination::dead_letters;
use crate::process::{Process, event, post, write};
use serde_json::{Value, json};
use std::path::Path;

/// A port without a server.
const UNREACHABLE: &str = "http://127.0.0.1:9";

fn purchase(id: usize) -> Value {
    let mut purchase = event(&id.to_string());
    purchase["event"] = json!("Order Completed");
    purchase
}

fn named(name: &str, id: usize) -> Value {
    let mut event = event(&id.to_string());
    event["event"] = json!(name);
    event
}

/// A pipeline that reads `source` into a sink of Meta with these options.
fn pipeline(folder: &Path, source: &Value, options: &Value) -> String {
    let mut sink = json!({
        "type": "meta_conversions", "inputs": ["events"], "preset": "retail", "pixel_id": "1234567890123456",
        "access_token": "token", "endpoint": UNREACHABLE, "batch": {"timeout_secs": 0},
    });
    let over = options.as_object().unwrap().clone();
    sink.as_object_mut().unwrap().extend(over);
    let pipeline = json!({
        "data_dir": folder.join("data"), "sources": {"events": source}, "sinks": {"meta": sink},
        "shutdown": {"limit_secs": 0.1},
    });
    write(folder, &pipeline)
}

/// A pipeline that reads these events from a file and ends.
fn of_file(folder: &Path, events: &[Value], options: &Value) -> String {
    let lines: Vec<_> = events.iter().map(Value::to_string).collect();
    std::fs::write(folder.join("events.ndjson"), lines.join("\n")).unwrap();
    let source = json!({"type": "file", "path": folder.join("events.ndjson"), "checkpoint": false});
    pipeline(folder, &source, options)
}

#[tokio::test]
async fn a_wrong_preset_is_told_while_it_loses_events_with_the_preset_that_knows_them() {
    let folder = tempfile::tempdir().unwrap();
    let source = json!({"type": "http_server", "address": "127.0.0.1:0"});
    let file = pipeline(folder.path(), &source, &json!({"preset": "automotive"}));
    let mut run = Process::start(&["run", &file]);
    let listening = run.says("listening").await;
    assert!(listening.contains("path=/v1/events"), "{listening}");
    let (_, address) = listening.split_once("address=").unwrap();
    let address = address.split(' ').next().unwrap();
    let purchases: Vec<_> = (0..2_000).map(purchase).collect();
    let answer = post(
        &format!("http://{address}/v1/events"),
        // As `curl -d` says it.
        "application/x-www-form-urlencoded",
        json!(purchases).to_string(),
    )
    .await;
    assert_eq!(
        answer,
        json!({
            "received": 2_000, "accepted": 0, "filtered": 2_000, "filtered_by_reason": {"unmapped": 2_000}, "rejected": [],
        })
    );
    // While it runs.
    let warning = run.says("were filtered").await;
    for part in [
        "all 2,000 events so far were filtered: unmapped 2,000 (the preset has no Meta event for this event; ",
        "; by name: Order Completed 2,000; ",
        "`automotive` maps none of the unmapped events, `retail` maps 100 % of them",
        "sink=meta",
        "reason=\"unmapped\"",
    ] {
        assert!(warning.contains(part), "{part} in {warning}");
    }
    run.terminate();
    let (status, table, _) = run.end().await;
    let names = "
meta: names without a mapping
  Order Completed  2,000  unmapped 2,000
";
    assert!(status.success() && table.contains(names), "{table}");
}

#[tokio::test]
async fn the_end_of_a_run_says_by_name_what_became_of_every_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut sandbox = Process::start(&["sandbox", "--address", "127.0.0.1:0"]);
    let endpoint = sandbox.address("listens on ").await;
    let mut events: Vec<_> = (0..5).map(purchase).collect();
    let mut refusal = purchase(5);
    refusal["context"]["consent"]["marketing"] = json!(false);
    let mut without_value = purchase(6);
    without_value["properties"] = json!({});
    events.extend([refusal, without_value]);
    events.extend((7..9).map(|id| named("add_to_cart", id)));
    events.extend((9..12).map(|id| named("Cart Shared", id)));
    events.push(named("mary@example.com", 12));
    events.push(named("Product Viewed", 13));
    let options = json!({"endpoint": endpoint, "event_mappings": {"Product Viewed": null}});
    let run = Process::start(&["run", &of_file(folder.path(), &events, &options)]);
    let (status, table, log) = run.end().await;
    let names = "
meta: events by name
  Order Completed → Purchase  7  delivered 5, consent 1, missing_value 1
  Product Added → AddToCart   2  delivered 2

meta: names without a mapping
  Cart Shared                 3  unmapped 3
  (a name that is not shown)  1  unmapped 1
  Product Viewed              1  dropped_by_config 1
";
    assert!(table.contains(names), "{table}");
    assert!(status.success() && !table.contains("mary"), "{table}");
    // Most events were sent; one became a dead letter.
    assert!(!log.contains("were filtered"), "{log}");
    let letter = "1 event became a dead letter: missing_value 1 (Meta does not accept a Purchase without a value; ";
    assert!(log.contains(letter), "{log}");
    assert!(log.contains("; the first: events line 7)"), "{log}");
}

#[tokio::test]
async fn a_short_run_that_sends_nothing_warns_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let events: Vec<_> = (0..30).map(|id| named("Order Complete", id)).collect();
    let run = Process::start(&["run", &of_file(folder.path(), &events, &json!({}))]);
    let (status, _, log) = run.end().await;
    assert!(status.success(), "{log}");
    let warning = "all 30 events of the last minute were filtered: unmapped 30 (";
    let advice = "; by name: Order Complete 30; `Order Complete` is close to `Order Completed`; map names as senders write them";
    assert!(log.contains(warning) && log.contains(advice), "{log}");
}

#[tokio::test]
async fn unmapped_events_can_be_dead_letters_that_hold_a_name_and_a_place_and_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut shared = named("Cart Shared", 1);
    shared["traits"] = json!({"email": "mary@example.com"});
    let file = of_file(
        folder.path(),
        &[shared],
        &json!({"unmapped_events": "dead_letter"}),
    );
    let (status, table, _) = Process::start(&["run", &file]).end().await;
    assert!(status.success(), "{table}");
    assert!(table.contains("  Cart Shared  1  unmapped 1\n"), "{table}");
    let line = dead_letters(folder.path(), "meta");
    let letter: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&letter["reason"], &letter["label"], &letter["source"]),
        (
            &json!("unmapped"),
            &json!("Cart Shared"),
            &json!("events line 1")
        )
    );
    assert_eq!(letter["payload"], json!(null));
    assert!(!line.contains("mary"), "{line}");
    // There is nothing to send again, so the letter stays.
    let replay = Process::start(&[
        "dead-letters",
        "replay",
        "--config",
        &file,
        "--sink",
        "meta",
    ]);
    let (_, said, log) = replay.end().await;
    assert_eq!(dead_letters(folder.path(), "meta"), line, "{said}{log}");
}

#[tokio::test]
async fn what_an_earlier_run_left_on_disk_has_its_names_too() {
    let folder = tempfile::tempdir().unwrap();
    let options = |endpoint: &str| json!({"endpoint": endpoint, "buffer": {"type": "disk", "max_bytes": 33_554_432}});
    let events: Vec<_> = (0..4).map(purchase).collect();
    let mut run = Process::start(&[
        "run",
        &of_file(folder.path(), &events, &options(UNREACHABLE)),
    ]);
    run.says("delivery failed").await;
    run.terminate();
    let (_, table, _) = run.end().await;
    assert!(
        table.contains("  Order Completed → Purchase  4  held 4\n"),
        "{table}"
    );

    let mut sandbox = Process::start(&["sandbox", "--address", "127.0.0.1:0"]);
    let endpoint = sandbox.address("listens on ").await;
    let more = [named("Product Added", 4), named("Cart Shared", 5)];
    let run = Process::start(&["run", &of_file(folder.path(), &more, &options(&endpoint))]);
    let (status, table, _) = run.end().await;
    let names = "
meta: events by name
  Order Completed → Purchase  4  delivered 4
  Product Added → AddToCart   1  delivered 1

meta: names without a mapping
  Cart Shared  1  unmapped 1
";
    assert!(status.success() && table.contains(names), "{table}");
}

#[tokio::test]
async fn requests_that_are_refused_are_told_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let source = json!({"type": "http_server", "address": "127.0.0.1:0"});
    let mut run = Process::start(&["run", &pipeline(folder.path(), &source, &json!({}))]);
    let address = run.address("address=").await;
    for (path, body) in [
        ("v1/events", "hello"),
        ("v1/track", "{}"),
        ("v1/events", ""),
    ] {
        post(
            &format!("http://{address}/{path}"),
            "application/json",
            body.to_owned(),
        )
        .await;
    }
    let first = run.says("1 request was refused: malformed_json 1").await;
    assert!(
        first.contains("WARN") && first.contains("source=events"),
        "{first}"
    );
    run.terminate();
    let (_, _, log) = run.end().await;
    assert!(
        log.contains("2 requests were refused: empty 1, not_found 1"),
        "{log}"
    );
}
