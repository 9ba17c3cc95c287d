//! The command `pipeline tap`: what becomes of events, as it happens, one JSON object a line.
//!
//! Invariant: rows go to standard output; what was left out is said on standard error.

use crate::client::ClientError;
use crate::command::{NO_SECTION, open, read};
use async_trait::async_trait;
use clap::{ArgMatches, Args as _, Command};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pipeline_cli::{Extension, Failure, print, print_line};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The longest message of the stream that is read.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

const HELP: &str = "Examples:
  pipeline tap --config pipeline.yaml --status rejected
  pipeline tap --config pipeline.yaml --past --limit 20 | jq -c '[.name, .status, .reason]'

Rows are a sample of what is delivered and filtered (20 a second); the rest is shown as far as possible. The counts of \
`pipeline status` are exact. Names that may be personal are withheld.";

#[derive(Debug, clap::Args)]
struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json); it needs the section `api`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only events of this sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Only events that were delivered, filtered, rejected, retrying or held
    #[arg(long, value_parser = ["delivered", "filtered", "rejected", "retrying", "held"])]
    status: Option<String>,
    /// Only events with this reason
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Only events of this name: the sender's, or the destination's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Begin with the latest events that are still known
    #[arg(long)]
    past: bool,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Adds the command `tap`.
#[derive(Debug)]
pub struct TapExtension;

#[async_trait]
impl Extension for TapExtension {
    fn command(&self) -> Option<Command> {
        let command = Arguments::augment_args(Command::new("tap"));
        let about = "Show what becomes of events in a running pipeline, as it happens";
        Some(command.about(about).after_help(HELP))
    }

    async fn run(&self, matches: &ArgMatches) -> Result<ExitCode, Failure> {
        let arguments = read::<Arguments>(matches)?;
        let (_, client) = open(&arguments.config)?;
        let failed = |error: ClientError| Failure::Run(error.to_string());
        let client = client.ok_or_else(|| Failure::Run(NO_SECTION.to_owned()))?;
        let last_seen = arguments.past.then_some("0");
        let path = arguments.path();
        let response = client.stream(&path, last_seen).await.map_err(failed)?;
        follow(response, arguments.limit.unwrap_or(u64::MAX)).await
    }
}

impl Arguments {
    fn path(&self) -> String {
        let mut path = "/api/v1/events/stream?".to_owned();
        let wanted = [
            ("sink", &self.sink),
            ("status", &self.status),
            ("reason", &self.reason),
            ("name", &self.name),
        ];
        for (key, value) in wanted {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = write!(path, "{key}=");
                for byte in value.bytes() {
                    let _ = match byte {
                        b if b.is_ascii_alphanumeric() => write!(path, "{}", char::from(b)),
                        b => write!(path, "%{b:02X}"),
                    };
                }
                path.push('&');
            }
        }
        path
    }
}

/// Prints the rows of a stream until it ends or enough were printed.
async fn follow(mut stream: Incoming, limit: u64) -> Result<ExitCode, Failure> {
    let broken = || Failure::Run("the pipeline has ended, or its api broke off".to_owned());
    let (mut left, mut unread) = (limit, Vec::new());
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|_| broken())?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        unread.extend_from_slice(data);
        if unread.len() > MAX_MESSAGE_BYTES {
            return Err(broken());
        }
        while let Some(end) = unread.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let message = line.strip_prefix(b"data:");
            let message = message.and_then(|data| serde_json::from_slice::<Value>(data).ok());
            if let Some(message) = message {
                left -= show(&message, left)?;
            }
            if left == 0 {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Err(broken())
}

/// Prints the rows of a message, no more than this many; how many there were.
fn show(message: &Value, most: u64) -> Result<u64, Failure> {
    let (mut text, mut shown) = (String::new(), 0);
    for row in message["events"].as_array().into_iter().flatten() {
        if shown < most {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{row}");
            shown += 1;
        }
    }
    print(&text)?;
    let figure = |key: &str| message[key].as_u64().unwrap_or(0);
    let left_out = figure("not_shown") + figure("lagged");
    if left_out > 0 {
        print_line(&format!("{left_out} events are not shown"));
    }
    Ok(shown)
}
