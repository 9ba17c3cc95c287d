//! A program with a pipeline inside: it sends events through a handle, and a sink of its own gets them in batches, from a buffer
//! that outlives the process. `cargo run --example embed`

#![expect(clippy::print_stdout, reason = "it shows what was delivered")]

use pipeline_core::{
    BuildError, Encoded, Event, HealthcheckError, Outcome, Record, Sink, SinkConfig, SinkContext,
    async_trait,
};
use pipeline_host::{Pipeline, SinkSettings, StartOptions};
use serde_json::json;

#[derive(Debug, Clone)]
struct Console;

#[async_trait]
impl SinkConfig for Console {
    async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Sink for Console {
    fn encode(&self, event: &Event) -> Encoded {
        let id = format!("event {}", event.origin());
        Encoded::Record(Record::new(event.bytes().clone(), id))
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        for record in batch {
            println!("{}", String::from_utf8_lossy(&record.payload));
        }
        vec![Outcome::Delivered; batch.len()]
    }

    async fn healthcheck(&self) -> Result<(), HealthcheckError> {
        Ok(())
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (pipeline, app) = Pipeline::builder().data_dir(folder.path()).handle("app");
    let settings = SinkSettings::default().options(json!({ "buffer": { "type": "disk" } }));
    let pipeline = pipeline
        .sink("console", &["app"], Console, settings)
        .build()?;
    let running = pipeline.start(StartOptions::default()).await?;
    for number in 0..10 {
        app.send(Event::new(format!("{{\"number\":{number}}}"), 0))
            .await?;
    }
    // The pipeline ends once the last handle is gone and everything is delivered.
    drop(app);
    let ending = running.finish().await;
    assert!(ending.is_complete());
    assert_eq!(ending.sinks[0].delivered, 10);
    Ok(())
}
