//! The plugin as a host sees it: through the registry, with nothing else of it in sight.

mod advice;
mod bad_input;
mod cases;
mod consent;
mod coverage;
mod delivery;
mod explanation;
mod generated;
mod identity;
mod options;
mod presets;
mod private_text;
mod property;
mod reference;
mod refit;
mod registry;
mod reported;
mod senders;
mod styles;

use meta_conversions as _;
use pipeline_core::options::Problem;
use pipeline_core::{
    Encoded, Event, ManualClock, ParseContext, Registry, Sink, SinkConfig, SinkContext,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// 2026-01-15T12:00:00Z: the tests' own now, in milliseconds.
const NOW_MS: i64 = 1_768_478_400_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is wrong with a case of this file that comes out so; with `UPDATE_EXPECT`, the file is changed instead.
fn difference(file: &Path, mut case: Value, actual: Value) -> Option<String> {
    if case["expected"] == actual {
        return None;
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        case["expected"] = actual;
        let text = serde_json::to_string_pretty(&case).expect("JSON");
        std::fs::write(file, text + "\n").expect("a writable case");
        return None;
    }
    let (file, expected) = (file.display(), &case["expected"]);
    Some(format!(
        "{file}\n  expected {expected}\n  actual   {actual}"
    ))
}

/// Valid options, overridden by others.
fn options(over: &Value) -> Value {
    let mut options = json!({
        "preset": "retail",
        "pixel_id": "1234567890123456",
        "access_token": "EAAB-test-token",
    });
    if let (Some(options), Some(over)) = (options.as_object_mut(), over.as_object()) {
        options.extend(over.clone());
    }
    options
}

fn parse(options: &Value) -> Result<Box<dyn SinkConfig>, Vec<Problem>> {
    let registry = Registry::linked().expect("no name twice");
    let description = registry.sink("meta_conversions").expect("linked");
    let base_dir: PathBuf = root().join("fixtures");
    description.parse(options, &ParseContext::new("meta", base_dir))
}

async fn build(over: &Value) -> Box<dyn Sink> {
    build_at(over, NOW_MS).await
}

/// A sink at this time, in milliseconds since the Unix epoch.
async fn build_at(over: &Value, now_ms: i64) -> Box<dyn Sink> {
    let mut cx = SinkContext::new("meta");
    cx.clock = Arc::new(ManualClock::at(now_ms));
    let config = parse(&options(over)).expect("good options");
    config.build(cx).await.expect("a sink")
}

fn event(json: &Value) -> Event {
    Event::new(json.to_string(), NOW_MS)
}

/// What a sink made of an event, in the words of `pipeline map`.
fn outcome(encoded: &Encoded) -> Value {
    match encoded {
        Encoded::Record(record) => {
            let event: Value = serde_json::from_slice(&record.payload).expect("payload is JSON");
            json!({ "outcome": "mapped", "event": event })
        }
        Encoded::Filtered(filtered) => {
            json!({ "outcome": "filtered", "reason": filtered.reason.code })
        }
        Encoded::Rejected(rejection) => {
            json!({ "outcome": "rejected", "reason": rejection.reason.code })
        }
        other => panic!("unknown: {other:?}"),
    }
}
