//! The commands `pipeline pause` and `pipeline resume`.

use crate::command::{NO_SECTION, open, read};
use async_trait::async_trait;
use clap::{ArgMatches, Args as _, Command};
use pipeline_cli::{Extension, Failure, print};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json); it needs the section `api` with a token
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The sink, by its name in the pipeline file
    #[arg(long, value_name = "NAME")]
    sink: String,
}

/// Adds the command `pause`.
#[derive(Debug)]
pub struct PauseExtension;

/// Adds the command `resume`.
#[derive(Debug)]
pub struct ResumeExtension;

#[async_trait]
impl Extension for PauseExtension {
    fn command(&self) -> Option<Command> {
        let command = Arguments::augment_args(Command::new("pause"));
        Some(
            command
                .about("Stop the delivery of a sink of a running pipeline; events are still taken"),
        )
    }

    async fn run(&self, matches: &ArgMatches) -> Result<ExitCode, Failure> {
        change(matches, "pause", "paused").await
    }
}

#[async_trait]
impl Extension for ResumeExtension {
    fn command(&self) -> Option<Command> {
        let command = Arguments::augment_args(Command::new("resume"));
        Some(command.about("Let the delivery of a paused sink resume"))
    }

    async fn run(&self, matches: &ArgMatches) -> Result<ExitCode, Failure> {
        change(matches, "resume", "resumed").await
    }
}

async fn change(matches: &ArgMatches, to_do: &str, done: &str) -> Result<ExitCode, Failure> {
    let Arguments { config, sink } = read::<Arguments>(matches)?;
    let (outline, client) = open(&config)?;
    let client = client.ok_or_else(|| Failure::Run(NO_SECTION.to_owned()))?;
    let mut known = outline.sinks.iter().map(|(name, _)| name.as_str());
    if !known.any(|name| name == sink) {
        let known: Vec<_> = outline
            .sinks
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let problem = format!("`--sink` must be one of `{}`", known.join("`, `"));
        return Err(Failure::Usage(problem));
    }
    let answer = client.post(&format!("/api/v1/sinks/{sink}/{to_do}")).await;
    answer.map_err(|error| Failure::Run(error.to_string()))?;
    print(&format!("{sink}: delivery {done}\n"))
}
