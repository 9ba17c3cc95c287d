//! The source `stdin`: JSON events from standard input.
//!
//! Invariant: what was read cannot be read again, so no receipt is followed; what cannot be delivered becomes a dead letter.

use crate::thread::{self, Ended, Output};
use json_framing::Values;
use pipeline_core::{
    BuildError, Clock, Component, Intake, Resource, Source, SourceConfig, SourceContext,
    SourceError, Stop, async_trait, inventory, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::convert::Infallible;
use std::io::{self, Read};
use std::sync::Arc;

inventory::submit! {
    Component::<dyn SourceConfig>::source::<StdinOptions>(
        "stdin",
        "Reads JSON events from standard input, one a line (NDJSON) or framed in another way, then ends.",
    )
    .version(env!("CARGO_PKG_VERSION"))
    .reasons(crate::reason_words::words)
}

/// Reads JSON events from standard input, one a line (NDJSON) or framed in another way, then ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StdinOptions {}

#[async_trait]
impl SourceConfig for StdinOptions {
    async fn open(&self, cx: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        Ok(Box::new(Stdin {
            name: cx.name,
            clock: cx.clock,
        }))
    }

    fn resources(&self) -> Vec<Resource> {
        vec![Resource::Stdin]
    }
}

struct Stdin {
    name: String,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Source for Stdin {
    async fn run(self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        let read = |output: &Output<_>| read_all(io::stdin().lock(), output);
        thread::run(self.name, self.clock, read, None, to, &stop).await
    }
}

fn read_all(input: impl Read, output: &Output<Infallible>) -> Result<(), Ended> {
    let mut values = Values::new(input);
    let label: Arc<str> = output.source.as_str().into();
    loop {
        let (inputs, more) = output.cut(&mut values, &label, thread::BATCH_LINES);
        output.send(inputs, None)?;
        match more {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                let source = &output.source;
                let text = format!("source `{source}`: standard input cannot be read: {error}");
                return Err(Ended::Failed(SourceError::new(text)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::MAX_LINE_BYTES;
    use crate::test_intake::{StopHandle, TestIntake};
    use pipeline_core::ManualClock;
    use std::io::BufReader;
    use std::time::Duration;

    /// Runs the source on this input instead of standard input.
    async fn read(input: impl Read + Send + 'static) -> (Arc<TestIntake>, Result<(), SourceError>) {
        let (_handle, stop) = StopHandle::new(Duration::ZERO);
        let intake = TestIntake::new([]);
        let to = Arc::<TestIntake>::clone(&intake);
        let clock = Arc::new(ManualClock::at(7));
        let read = move |output: &Output<_>| read_all(BufReader::new(input), output);
        let ended = thread::run("pipe".to_owned(), clock, read, None, to, &stop).await;
        (intake, ended)
    }

    #[tokio::test]
    async fn lines_become_events_in_their_order_with_their_numbers() {
        let lines: Vec<_> = (1..=2_000).map(|n| format!("{{\"n\":{n}}}\n\n")).collect();
        let too_long = "x".repeat(MAX_LINE_BYTES + 1);
        let text = format!("{}{too_long}\n{{\"n\":2001}}", lines.concat());
        let (intake, ended) = read(io::Cursor::new(text)).await;
        ended.unwrap();
        let mut expected: Vec<_> = (1..=2_000).map(|n| format!("{{\"n\":{n}}}")).collect();
        expected.push("too_large".to_owned());
        expected.push("{\"n\":2001}".to_owned());
        assert_eq!(intake.inputs(), expected);
        let chunks = intake.chunks();
        // No receipt is followed: what was read cannot be read again.
        assert!(chunks.iter().all(|(_, ack)| ack.is_none()));
        let events: Vec<_> = chunks
            .iter()
            .flat_map(|(chunk, _)| chunk.events())
            .collect();
        assert_eq!(events[1].origin().to_string(), "pipe line 3");
        assert_eq!(events[2_000].origin().to_string(), "pipe line 4002");
        assert_eq!(events[0].received_ms(), 7);
    }

    #[tokio::test]
    async fn an_error_is_not_the_end_of_the_input() {
        /// A line, and then an error.
        struct Broken(bool);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("the pipe broke"));
                }
                buffer[..3].copy_from_slice(b"{}\n");
                Ok(3)
            }
        }
        let (intake, ended) = read(Broken(false)).await;
        assert_eq!(
            ended.unwrap_err().to_string(),
            "source `pipe`: standard input cannot be read: the pipe broke"
        );
        assert_eq!(intake.inputs(), ["{}"]);
    }
}
