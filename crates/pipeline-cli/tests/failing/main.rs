//! What the command says and how it ends when a plugin fails or panics. This program is both: with arguments it is the `pipeline`
//! command with plugins that fail, without any it runs itself with each of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]
#![expect(clippy::print_stdout, reason = "there is no test harness here")]

use pipeline_core::{
    BuildError, Chunk, Component, Encoded, Event, HealthcheckError, Intake, Outcome, Record, Sink,
    SinkConfig, SinkContext, Source, SourceConfig, SourceContext, SourceError, Stop, Transform,
    TransformConfig, TransformContext, TransformError, async_trait, inventory, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::process::{Command, ExitCode};
use std::sync::Arc;

inventory::submit! { Component::<dyn SourceConfig>::source::<FailingSource>("failing", "Sends one event, then fails.") }
inventory::submit! { Component::<dyn TransformConfig>::transform::<FailingTransform>("failing", "Fails.") }
inventory::submit! { Component::<dyn SinkConfig>::sink::<Discard>("discard", "Takes everything.") }

/// How something fails.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    /// It panics, with a text that must not be shown.
    Panic,
    /// It returns an error.
    Error,
    /// It does not fail.
    Never,
}

/// Sends one event, then fails.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FailingSource {
    how: How,
}

#[async_trait]
impl SourceConfig for FailingSource {
    async fn open(&self, _: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Source for FailingSource {
    async fn run(self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        to.send(Chunk::from(Event::new("{}", 0)), None).await;
        match self.how {
            How::Panic => panic!("a person's address"),
            How::Error => Err(SourceError::new("source `app`: the log was cut off")),
            How::Never => {
                stop.stopping().await;
                Ok(())
            }
        }
    }
}

/// Fails.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FailingTransform {
    how: How,
}

#[async_trait]
impl TransformConfig for FailingTransform {
    async fn build(&self, _: TransformContext) -> Result<Box<dyn Transform>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Transform for FailingTransform {
    async fn apply(&self, _: &mut Chunk) -> Result<(), TransformError> {
        match self.how {
            How::Panic => panic!("a person's address"),
            How::Error => Err(TransformError::new("its store is full")),
            How::Never => Ok(()),
        }
    }
}

/// Takes everything.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Discard {}

#[async_trait]
impl SinkConfig for Discard {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Discard {
    fn encode(&self, event: &Event) -> Encoded {
        Encoded::Record(Record::new(event.bytes().clone(), "1"))
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        vec![Outcome::Delivered; batch.len()]
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

/// Runs a pipeline with these plugins in a process of its own: it ends by itself, with exit code 1 and a line that says what
/// failed, and shows no text of a panic in its log.
fn fails(source: &str, transform: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let pipeline: Value = json!({
        "sources": {"app": {"type": "failing", "how": source}},
        "transforms": {"edit": {"type": "failing", "inputs": ["app"], "how": transform}},
        "sinks": {"out": {"type": "discard", "inputs": ["edit"]}},
    });
    let file = folder.path().join("pipeline.json");
    std::fs::write(&file, pipeline.to_string()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("run")
        .arg(&file)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said.lines().find(|line| line.contains(expected));
    let line = line.unwrap_or_else(|| panic!("no `{expected}` in {said}"));
    assert!(line.contains("ERROR"), "{line}");
    // The text of a panic is nowhere, its place is.
    assert!(!said.contains("address"), "{said}");
    let has_place = said.contains("panicked at crates/pipeline-cli/tests/failing/main.rs:");
    assert_eq!(has_place, [source, transform].contains(&"panic"), "{said}");
    println!("ok: {expected}");
}

fn main() -> ExitCode {
    let is_the_command = std::env::args()
        .nth(1)
        .is_some_and(|first| first == "run" || first == "map");
    if is_the_command {
        return pipeline_cli::main(&[]);
    }
    let panicked = "panicked; please report it; the pipeline stops";
    fails("panic", "never", &format!("source `app` {panicked}"));
    fails(
        "error",
        "never",
        "source `app` failed: the log was cut off; the pipeline stops",
    );
    fails("never", "panic", &format!("transform `edit` {panicked}"));
    fails(
        "never",
        "error",
        "transform `edit` failed: its store is full; the pipeline stops",
    );
    map_says_what_it_does_not_do();
    ExitCode::SUCCESS
}

/// A trial says that it applies no transforms, and names those that are between the sources and the sink, and no others.
fn map_says_what_it_does_not_do() {
    let folder = tempfile::tempdir().unwrap();
    let transform = |inputs: Value| json!({"type": "failing", "inputs": inputs, "how": "panic"});
    let pipeline: Value = json!({
        "sources": {"app": {"type": "failing", "how": "never"}},
        "transforms": {
            "first": transform(json!(["app"])),
            "second": transform(json!(["first"])),
            "aside": transform(json!(["app"])),
        },
        "sinks": {
            "out": {"type": "discard", "inputs": ["second", "app"]},
            "plain": {"type": "discard", "inputs": ["app"]},
            "other": {"type": "discard", "inputs": ["aside"]},
        },
    });
    let file = folder.path().join("pipeline.json");
    std::fs::write(&file, pipeline.to_string()).unwrap();
    for (sink, names) in [("out", Some("`first`, `second`")), ("plain", None)] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["map", "--config"])
            .arg(&file)
            .args(["--sink", sink]);
        let mut map = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut map.stdin.take().unwrap(), b"{}").unwrap();
        let output = map.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{said}"
        );
        match names {
            Some(names) => assert!(
                said.contains(&format!("not applied here: {names};")),
                "{said}"
            ),
            None => assert!(!said.contains("transforms"), "{said}"),
        }
    }
    println!("ok: map says which transforms it does not apply");
}
