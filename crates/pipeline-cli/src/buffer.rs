//! `pipeline buffer`: looks at disk buffers, and brings what can be read of a damaged one into a new one.
//!
//! Needs the pipeline file for the place of the data only, so buffers of sinks that are not in the file any more are found as well.

use crate::failure::{FAILED, Failure};
use crate::output::print;
use crate::run::readable;
use clap::{Args, Subcommand};
use pipeline_core::{Clock as _, SystemClock};
use pipeline_host::buffer::{self, BufferCheck};
use pipeline_host::config;
use pipeline_host::report::{age, thousands};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

const ABOUT: &str = "Checks disk buffers, and salvages what can be read of a damaged one

A buffer is in `data_dir/buffer/<sink>`. A running pipeline has its buffers for itself: stop it first.";

const EXAMPLES: &str = "Examples:
  pipeline buffer check --config pipeline.yaml
  pipeline buffer salvage --config pipeline.yaml --sink meta

`salvage` copies what can be read into a new database, puts it in the place of the old one, and keeps that as \
`damaged-<time>…`. Some events may be sent twice then, under the same event ids.";

#[derive(Debug, Args)]
#[command(about = "Check disk buffers, and salvage what can be read of a damaged one", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count what is in them, what of it can be read, and how old it is; exit code 1 where something is damaged
    Check(Place),
    /// Bring what can be read of damaged ones into new ones; whole ones are left as they are
    Salvage(Place),
}

/// Whose buffers are meant.
#[derive(Debug, Args)]
struct Place {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The sink, by its name, also one that is not in the file any more [default: all]
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (Command::Check(place) | Command::Salvage(place)) = &arguments.command;
    let salvages = matches!(arguments.command, Command::Salvage(_));
    let buffers = place.buffers()?;
    if buffers.is_empty() {
        return print("no disk buffer\n");
    }
    let mut is_whole = true;
    for (name, folder) in buffers {
        let found = buffer::check(&folder).map_err(|error| Failure::Run(error.to_string()))?;
        let mut text = told(&name, &found);
        if salvages && !found.is_whole() {
            let result =
                buffer::salvage(&folder).map_err(|error| Failure::Run(error.to_string()))?;
            let events = thousands(result.found.events);
            let aside = readable(&result.aside);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  salvaged      {events} events");
            let lost = result
                .found
                .expected
                .map(|expected| expected.saturating_sub(result.found.events));
            let lost = lost.map_or_else(|| "not known".to_owned(), thousands);
            let _ = writeln!(text, "  lost          {lost}");
            let _ = writeln!(text, "  set aside     {}", aside.display());
        } else {
            is_whole &= found.is_whole();
        }
        print(&text)?;
    }
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

impl Place {
    /// The folders of the buffers there are, by the names of their sinks.
    fn buffers(&self) -> Result<Vec<(String, PathBuf)>, Failure> {
        let environment = |name: &str| std::env::var_os(name);
        let data_dir = config::load_data_dir(&self.config, &environment)?;
        let folder = data_dir.join("buffer");
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names
            .filter(|name| folder.join(name).join("records.db").is_file())
            .collect();
        names.sort();
        if let Some(wanted) = &self.sink {
            if !names.contains(wanted) {
                let known = names.join("`, `");
                return Err(Failure::Usage(format!(
                    "`--sink` must be one of those with a disk buffer: `{known}`"
                )));
            }
            names.retain(|name| name == wanted);
        }
        Ok(names
            .into_iter()
            .map(|name| (name.clone(), folder.join(name)))
            .collect())
    }
}

/// What was found, a line each.
fn told(name: &str, found: &BufferCheck) -> String {
    let state = if found.is_whole() { "ok" } else { "damaged" };
    let mut text = format!("{name}: {state}\n");
    let mut line = |label: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {label:<12}  {value}");
    };
    if let Some(expected) = found.expected {
        line("holds", format!("{} events", thousands(expected)));
    }
    line(
        "readable",
        format!(
            "{} events in {} chunks",
            thousands(found.events),
            thousands(found.chunks)
        ),
    );
    if let Some(first_ms) = found.oldest_ms {
        line("oldest", age(SystemClock.now_ms().saturating_sub(first_ms)));
    }
    for (partition, events) in found
        .partitions
        .iter()
        .filter(|(partition, _)| !partition.is_empty())
    {
        let shown: String = partition
            .chars()
            .filter(|c| !c.is_control())
            .take(40)
            .collect();
        line(
            "made for",
            format!("{shown}: {} events", thousands(*events)),
        );
    }
    if found.damaged_chunks > 0 {
        line(
            "damaged",
            format!("{} chunks", thousands(found.damaged_chunks)),
        );
    }
    if found.damaged_pages > 0 {
        line(
            "unreadable",
            format!("pages in {} places", thousands(found.damaged_pages)),
        );
    }
    if let Some(problem) = &found.problem {
        line("problem", problem.clone());
    }
    text
}
