//! A pipeline file is checked without anything that it needs to run: no secret, no file, no component is made.

use crate::destination::load;
use crate::process::Process;
use pipeline_core::{
    BuildError, Component, Sink, SinkConfig, SinkContext, async_trait, inventory, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

inventory::submit! {
    Component::<dyn SinkConfig>::sink::<Unbuildable>("unbuildable", "Panics when it is made.")
}

/// Panics when it is made.
#[derive(Debug, Deserialize, JsonSchema)]
struct Unbuildable {}

#[async_trait]
impl SinkConfig for Unbuildable {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        panic!("a file is only read")
    }
}

#[test]
fn reading_a_file_makes_no_component_and_touches_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "sources": {
            "events": {"type": "file", "path": "missing.ndjson"},
            "web": {"type": "http_server", "address": "127.0.0.1:0"},
        },
        "sinks": {"out": {"type": "unbuildable", "inputs": ["events", "web"], "buffer": {"type": "disk"}}},
    });
    let pipeline = load(&config, folder.path()).unwrap();
    assert_eq!(pipeline.sinks.len(), 1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A pipeline whose secrets and port come from an environment that is not there.
fn unbound() -> Value {
    json!({
        "sources": {
            "events": {"type": "file", "path": "missing.ndjson"},
            "web": {"type": "http_server", "address": "127.0.0.1:${PORT_OF_THIS_TEST}"},
        },
        "sinks": {"meta": {
            "type": "meta_conversions", "inputs": ["events", "web"], "preset": "retail", "pixel_id": "1234567890123456",
            "access_token": "${TOKEN_OF_THIS_TEST}",
        }},
    })
}

async fn validate(pipeline: &Value, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.json");
    std::fs::write(&file, pipeline.to_string()).unwrap();
    let file = file.display().to_string();
    let process = Process::start(&[&["validate", file.as_str()], arguments].concat());
    let (status, said, errors) = process.end().await;
    (status.code(), said + &errors)
}

#[tokio::test]
async fn without_the_environment_a_file_is_good_as_far_as_it_says_what_was_not_checked() {
    let (code, said) = validate(&unbound(), &["--no-environment"]).await;
    assert_eq!(code, Some(0), "{said}");
    for place in ["sinks.meta.access_token", "sources.web.address"] {
        assert!(said.contains(&format!("`{place}`")), "{place}: {said}");
    }
    let (code, said) = validate(&unbound(), &[]).await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("TOKEN_OF_THIS_TEST"), "{said}");
}

#[tokio::test]
async fn without_the_environment_a_real_mistake_is_still_one() {
    type Edit = fn(&mut Value);
    let edits: [(Edit, &str); 3] = [
        (
            |it| it["sinks"]["meta"]["presett"] = json!("retail"),
            "did you mean `preset`?",
        ),
        (
            |it| it["sinks"]["meta"]["inputs"] = json!(["event"]),
            "did you mean `events`?",
        ),
        (
            |it| it["sources"]["web"]["adress"] = json!("x"),
            "did you mean `address`?",
        ),
    ];
    for (edit, expected) in edits {
        let mut pipeline = unbound();
        edit(&mut pipeline);
        let (code, said) = validate(&pipeline, &["--no-environment"]).await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[tokio::test]
async fn a_buffer_in_memory_behind_clients_that_forget_is_noted() {
    let with = |buffer: &str, kind: &str| {
        json!({
            "sources": {"shop": {"type": kind, "address": "127.0.0.1:0"}},
            "sinks": {"meta": {
                "type": "meta_conversions", "inputs": ["shop"], "preset": "retail", "pixel_id": "1234567890123456",
                "access_token": "token", "buffer": {"type": buffer},
            }},
        })
    };
    let note = "sinks.meta.buffer: is in memory, and clients of the source `shop` forget events";
    for (buffer, kind, noted) in [
        ("memory", "segment", true),
        ("disk", "segment", false),
        ("memory", "http_server", false),
    ] {
        let (code, said) = validate(&with(buffer, kind), &[]).await;
        assert_eq!(
            (code, said.contains(note)),
            (Some(0), noted),
            "{buffer} {kind}: {said}"
        );
    }
    let (code, said) = validate(&with("memory", "segment"), &["--deny-notes"]).await;
    assert_eq!(code, Some(78), "{said}");
}
