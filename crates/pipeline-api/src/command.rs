//! The commands `pipeline status` and `pipeline top`.
//!
//! `status` works in three cases: beside a pipeline that runs with the section `api`, it asks it; without one, it looks at
//! what the last run has left on disk; and where a pipeline runs without the section, it says so.

use crate::client::{Client, ClientError};
use crate::extension::section;
use crate::options::Settings;
use crate::table::{offline, online};
use async_trait::async_trait;
use clap::{ArgMatches, Args as _, Command, ValueEnum};
use pipeline_cli::{Extension, Failure, print};
use pipeline_host::buffer::{Stored, stored};
use pipeline_host::config::{self, Outline};
use pipeline_host::dead_letter::{DeadLetters, Summary};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How often `top` draws the table anew.
const TOP_PAUSE: Duration = Duration::from_secs(1);
/// Goes to the top left corner of a terminal and empties it.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Why a running pipeline cannot be asked.
pub(crate) const NO_SECTION: &str =
    "the pipeline file has no section `api`; a running pipeline can be asked only through it";

const STATUS_HELP: &str = "Examples:
  pipeline status --config pipeline.yaml
  pipeline status --config pipeline.yaml --format json | jq .sinks[].buffer

Beside a running pipeline it needs the section `api` of the pipeline file; without one it shows what waits on disk.";

#[derive(Debug, clap::Args)]
struct Status {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How the result is printed: `table` for people, `json` for programs
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Top {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// One JSON object.
    Json,
}

/// Adds the command `status`.
#[derive(Debug)]
pub struct StatusExtension;

/// Adds the command `top`.
#[derive(Debug)]
pub struct TopExtension;

#[async_trait]
impl Extension for StatusExtension {
    fn command(&self) -> Option<Command> {
        let command = Status::augment_args(Command::new("status"));
        let about = "Show what a pipeline is doing, or what its last run has left";
        Some(command.about(about).after_help(STATUS_HELP))
    }

    async fn run(&self, matches: &ArgMatches) -> Result<ExitCode, Failure> {
        let arguments = read::<Status>(matches)?;
        let (outline, client) = open(&arguments.config)?;
        let mut status = match client {
            None => json!({ "running": null }),
            Some(client) => match client.get("/api/v1/status").await {
                Ok(mut status) => {
                    status["running"] = json!(true);
                    status
                }
                Err(ClientError::NotRunning(_)) => json!({ "running": false }),
                Err(error) => return Err(Failure::Run(error.to_string())),
            },
        };
        add_left(&mut status, &outline.sinks, &outline.data_dir)?;
        let text = match arguments.format {
            Format::Json => format!("{status}\n"),
            Format::Table if status["running"] == true => online(&status, None),
            Format::Table => offline(&status),
        };
        print(&text)
    }
}

#[async_trait]
impl Extension for TopExtension {
    fn command(&self) -> Option<Command> {
        let command = Top::augment_args(Command::new("top"));
        Some(
            command.about(
                "Show what a running pipeline is doing, again every second until interrupted",
            ),
        )
    }

    async fn run(&self, matches: &ArgMatches) -> Result<ExitCode, Failure> {
        let arguments = read::<Top>(matches)?;
        let (_, client) = open(&arguments.config)?;
        let client = client.ok_or_else(|| Failure::Run(NO_SECTION.to_owned()))?;
        let in_place = stdout().is_terminal();
        let mut before = None;
        loop {
            let status = client.get("/api/v1/status").await;
            let status = status.map_err(|error| Failure::Run(error.to_string()))?;
            let table = online(&status, before.as_ref());
            print(&format!("{}{table}", if in_place { CLEAR } else { "" }))?;
            before = Some(status);
            tokio::time::sleep(TOP_PAUSE).await;
        }
    }
}

/// The arguments of a command.
pub(crate) fn read<A: clap::FromArgMatches>(matches: &ArgMatches) -> Result<A, Failure> {
    A::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))
}

/// What a pipeline file says of where its data is, and a client where it has an interface.
pub(crate) fn open(file: &Path) -> Result<(Outline, Option<Client>), Failure> {
    let environment = |name: &str| std::env::var_os(name);
    let outline = config::load_outline(file, &environment, Some(&section()))?;
    let client = outline.section.as_ref().map(|options| {
        let settings = Settings::read(options).map_err(|problems| {
            let problems = problems.into_iter().map(|it| it.within(section().name));
            Failure::from(config::ConfigError::Invalid(problems.collect()))
        })?;
        Client::new(&settings).map_err(|error| Failure::Run(error.to_string()))
    });
    Ok((outline, client.transpose()?))
}

/// Adds to each sink what is on disk: events that wait for the next run, where none runs, and dead letters.
fn add_left(
    status: &mut Value,
    sinks: &[(String, DeadLetters)],
    data_dir: &Path,
) -> Result<(), Failure> {
    let is_running = status["running"] == true;
    if !is_running {
        status["sinks"] = json!([]);
    }
    for (name, letters) in sinks {
        let summary = Summary::of(letters.letters()?);
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, group) in &summary.groups {
            *reasons.entry(&key.reason).or_default() += group.letters;
        }
        let letters = json!({
            "letters": summary.letters,
            "percent_full": letters.percent_full()?,
            "reasons": reasons,
        });
        let known = status["sinks"].as_array_mut();
        let Some(known) = known else { continue };
        // The last of a name is the one that runs: a reload may have removed another before.
        if let Some(sink) = known.iter_mut().rfind(|sink| sink["name"] == **name) {
            sink["dead_letters"] = letters;
        } else if !is_running {
            known.push(json!({
                "name": name,
                "stored": stored_events(data_dir, name),
                "dead_letters": letters,
            }));
        }
    }
    Ok(())
}

fn stored_events(data_dir: &Path, sink: &str) -> Value {
    match stored(data_dir, sink) {
        Stored::Events(events) => json!({ "events": events, "state": "waiting" }),
        Stored::Nothing => json!({ "events": 0, "state": "nothing" }),
        Stored::InUse => json!({ "events": null, "state": "in_use" }),
        _ => json!({ "events": null, "state": "unreadable" }),
    }
}
