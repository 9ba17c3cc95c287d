//! A sink of one's own, with the whole `pipeline` command: `cargo run --example sink -- run pipeline.yaml`, where the file says
//!
//! ```yaml
//! sources: { events: { type: file, path: events.ndjson } }
//! sinks: { out: { type: lines, inputs: [events], path: out.ndjson } }
//! ```

use pipeline_core::{
    BuildError, Component, Encoded, Event, HealthcheckError, Outcome, Reason, Record, Rejection,
    Sink, SinkConfig, SinkContext, async_trait, inventory, schemars,
};
use pipeline_sources as _;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

inventory::submit! {
    Component::<dyn SinkConfig>::sink::<Lines>("lines", "Appends events to a file, one JSON document a line.")
        .version(env!("CARGO_PKG_VERSION"))
}

/// Appends events to a file, one JSON document a line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Lines {
    /// The file. It is made where it does not exist. Example: `/var/lib/pipeline/out.ndjson`
    path: PathBuf,
}

#[async_trait]
impl SinkConfig for Lines {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        let file = File::options().append(true).create(true).open(&self.path);
        let file = file.map_err(|error| BuildError::new(format!("the file: {error}")))?;
        Ok(Box::new(Appending(file)))
    }
}

struct Appending(File);

#[async_trait]
impl Sink for Appending {
    fn encode(&self, event: &Event) -> Encoded {
        match serde_json::from_slice::<serde_json::Value>(event.raw()) {
            Ok(json) => Encoded::Record(Record::new(json.to_string(), event.origin().to_string())),
            Err(_) => Encoded::Rejected(Rejection::new(Reason::new(
                "malformed_json",
                "it is not JSON",
            ))),
        }
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        let lines = batch.iter().flat_map(|record| [&record.payload[..], b"\n"]);
        let outcome = match (&self.0).write_all(&lines.collect::<Vec<_>>().concat()) {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::Retry {
                after: None,
                reason: Reason::new("disk", error.to_string()),
            },
        };
        vec![outcome; batch.len()]
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

fn main() -> ExitCode {
    pipeline_cli::main(&[])
}
