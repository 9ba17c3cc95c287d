//! `POST /api/v1/map` beside transforms, which the program that comes with the project has none of. This program is both: with
//! arguments it is the `pipeline` command with plugins of its own, without any it runs itself and asks.

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
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;

inventory::submit! { Component::<dyn SourceConfig>::source::<Idle>("idle", "Sends nothing.") }
inventory::submit! { Component::<dyn TransformConfig>::transform::<Nothing>("nothing", "Changes nothing.") }
inventory::submit! { Component::<dyn SinkConfig>::sink::<Discard>("discard", "Takes everything.") }

/// Sends nothing.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Idle {}

#[async_trait]
impl SourceConfig for Idle {
    async fn open(&self, _: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Source for Idle {
    async fn run(self: Box<Self>, _: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        stop.stopping().await;
        Ok(())
    }
}

/// Changes nothing, and must not be asked.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[async_trait]
impl TransformConfig for Nothing {
    async fn build(&self, _: TransformContext) -> Result<Box<dyn Transform>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Transform for Nothing {
    async fn apply(&self, _: &mut Chunk) -> Result<(), TransformError> {
        Err(TransformError::new("a trial must not change it"))
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

/// A pipeline that runs, until this is dropped.
struct Running(Child, String);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(pipeline: &Value, folder: &tempfile::TempDir) -> Self {
        let file = folder.path().join("pipeline.json");
        std::fs::write(&file, pipeline.to_string()).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.arg("run").arg(&file).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let listens = log.find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once("the api listens on http://")?;
            Some(address.split_whitespace().next().unwrap().to_owned())
        });
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || log.for_each(drop));
        Self(child, listens.expect("an address"))
    }

    /// What a trial answers, asked again until the pipeline has started.
    fn map(&self, body: &Value) -> Value {
        loop {
            let mut connection = TcpStream::connect(&self.1).unwrap();
            let (body, host) = (body.to_string(), &self.1);
            let length = body.len();
            write!(
                connection,
                "POST /api/v1/map HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            if head.starts_with("HTTP/1.1 503") {
                std::thread::yield_now();
                continue;
            }
            assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
            return serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        }
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|first| first == "run") {
        return pipeline_cli::main(&pipeline_api::EXTENSIONS);
    }
    let folder = tempfile::tempdir().unwrap();
    let transform = |input: &str| json!({"type": "nothing", "inputs": [input]});
    let pipeline = json!({
        "data_dir": folder.path().join("data"),
        "api": {"address": "127.0.0.1:0"},
        "sources": {"app": {"type": "idle"}},
        "transforms": {"first": transform("app"), "second": transform("first"), "aside": transform("app")},
        "sinks": {
            "out": {"type": "discard", "inputs": ["second"]},
            "plain": {"type": "discard", "inputs": ["app"]},
            // Reads what an edited sink no longer reads: a transform without a reader is a mistake.
            "other": {"type": "discard", "inputs": ["aside", "second"]},
        },
    });
    let running = Running::start(&pipeline, &folder);
    let options = |input: &str| json!({"type": "discard", "inputs": [input]});
    for (asked, names) in [
        (json!({"sink": "out"}), Some("`first`, `second`")),
        (json!({"sink": "plain"}), None),
        (json!({"options": options("aside")}), Some("`aside`")),
        (json!({"options": options("app")}), None),
        // What is edited counts, not what runs.
        (json!({"sink": "out", "options": options("app")}), None),
        (
            json!({"sink": "plain", "options": options("first")}),
            Some("`first`"),
        ),
    ] {
        let mut body = asked.clone();
        body["event"] = json!({"n": 1});
        let answer = running.map(&body);
        assert_eq!(answer["event"], json!({"n": 1}), "{asked}: {answer}");
        let note = answer["note"].as_str();
        match names {
            Some(names) => assert!(
                note.is_some_and(|note| note.contains(&format!("not applied here: {names};"))),
                "{asked}: {answer}"
            ),
            None => assert_eq!(note, None, "{asked}: {answer}"),
        }
    }
    println!("ok: a trial says which transforms it does not apply");
    ExitCode::SUCCESS
}
