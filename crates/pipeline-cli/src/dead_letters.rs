//! `pipeline dead-letters`: looks at what could not be delivered, sends it again, and deletes what is no longer needed.
//!
//! All but `replay` need the pipeline file for the places and names only: no token, no source and no destination. All work
//! beside a running pipeline.

use crate::context::Context;
use crate::failure::{FAILED, Failure};
use crate::output::{print, print_ending};
use crate::run::{readable, stop_on_signals};
use crate::signals::Signals;
use clap::{Args, Subcommand};
use pipeline_core::{Clock as _, SystemClock};
use pipeline_host::config::{self, SinkPlan};
use pipeline_host::dead_letter::{DeadLetters, Filter, Summary};
use pipeline_host::replay::Replaying;
use pipeline_host::telemetry::SinkSnapshot;
use pipeline_host::topology::Ending;
use pipeline_host::{StartOptions, report};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;

const ABOUT: &str =
    "Shows, replays and deletes dead letters: events that could not be delivered, with the reasons

They are kept in segments of the folder `data_dir/dead_letters/<sink>`, one JSON object a line. \
They hold what the destination would have seen, hashed; raw input is never written. \
These commands work beside a running pipeline.";

const EXAMPLES: &str = "Examples:
  pipeline dead-letters list --config pipeline.yaml
  pipeline dead-letters show --config pipeline.yaml --reason refused_invalid --limit 1
  pipeline dead-letters replay --config pipeline.yaml --reason held_at_shutdown
  pipeline dead-letters purge --config pipeline.yaml --reason too_old --older-than-days 30";

const REPLAY_EXAMPLES: &str = "Examples:
  pipeline dead-letters replay --config pipeline.yaml
  pipeline dead-letters replay --config pipeline.yaml --sink meta --reason retries_exhausted

Event ids stay the same, so that nothing counts twice. An event that fails again is a dead letter again, with its \
history. Letters without a payload stay where they are. Interrupting a replay loses nothing.";

const SHOW_EXAMPLES: &str = "Examples:
  pipeline dead-letters show --config pipeline.yaml --sink meta --limit 10
  pipeline dead-letters show --config pipeline.yaml --reason expired | wc -l
  pipeline dead-letters show --config pipeline.yaml > letters.ndjson";

const PURGE_EXAMPLES: &str = "Examples:
  pipeline dead-letters purge --config pipeline.yaml --reason too_old
  pipeline dead-letters purge --config pipeline.yaml --older-than-days 30
  pipeline dead-letters purge --config pipeline.yaml --sink meta --all

What is purged is gone; `show` keeps a copy. What a replay is sending at the time is left to it.";

#[derive(Debug, Args)]
#[command(about = "Show, replay and delete what could not be delivered", long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count them by reason: how many, from when until when, and one example
    List(Place),
    /// Print them as they are, one JSON object a line, the oldest first
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Send them again, and report what became of them
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Replay),
    /// Delete them for good
    #[command(after_help = PURGE_EXAMPLES)]
    Purge(Purge),
}

/// Whose letters are meant.
#[derive(Debug, Args)]
struct Place {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The sink, by its name in the pipeline file [default: all sinks]
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    place: Place,
    /// Only those of this reason, as `list` shows it
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// No more than this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
struct Replay {
    #[command(flatten)]
    place: Place,
    /// Only those of this reason, as `list` shows it
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true))]
struct Purge {
    #[command(flatten)]
    place: Place,
    /// Those of this reason, as `list` shows it
    #[arg(long, value_name = "CODE", group = "which")]
    reason: Option<String>,
    /// Those that became dead letters more than this many days ago
    #[arg(long, value_name = "DAYS", group = "which", value_parser = clap::value_parser!(u32).range(..=36_500))]
    older_than_days: Option<u32>,
    /// All of them, and lines that cannot be read
    #[arg(long, group = "which", conflicts_with_all = ["reason", "older_than_days"])]
    all: bool,
}

pub(crate) async fn run(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::List(place) => list(&place.sinks()?),
        Command::Show(show) => show.run(&show.place.sinks()?),
        Command::Replay(replay) => replay.run(cx).await,
        Command::Purge(purge) => purge.run(&purge.place.sinks()?),
    }
}

type Sinks = Vec<(String, DeadLetters)>;

impl Place {
    fn sinks(&self) -> Result<Sinks, Failure> {
        let environment = |name: &str| std::env::var_os(name);
        let mut sinks = config::load_dead_letters(&self.config, &environment)?;
        let Some(wanted) = &self.sink else {
            return Ok(sinks);
        };
        let known: Vec<_> = sinks.iter().map(|(name, _)| name.as_str()).collect();
        let known = format!("`--sink` must be one of `{}`", known.join("`, `"));
        sinks.retain(|(name, _)| name == wanted);
        if sinks.is_empty() {
            return Err(Failure::Usage(known));
        }
        Ok(sinks)
    }
}

fn list(sinks: &Sinks) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    for (name, letters) in sinks {
        let summary = Summary::of(letters.letters()?);
        let (folder, percent_full) = (readable(letters.path()), letters.percent_full()?);
        report::dead_letters(&mut text, name, &folder, percent_full, &summary);
        if let Some(problem) = &summary.problem {
            let problems = summary.problems;
            tracing::warn!(sink = %name, problems, "not all could be read: {problem}");
        }
    }
    print(&text)
}

impl Replay {
    async fn run(&self, cx: &Context<'_>) -> Result<ExitCode, Failure> {
        // Says which sinks there are, where `--sink` names none of them.
        self.place.sinks()?;
        let mut pipeline = cx.load(&self.place.config)?;
        let wanted = |plan: &SinkPlan| {
            self.place
                .sink
                .as_ref()
                .is_none_or(|name| plan.name == *name)
        };
        pipeline.sinks.retain(wanted);
        let mut ending = Ending::default();
        let mut untouched = 0;
        for plan in pipeline.sinks {
            let name = plan.name.clone();
            let filter = Filter {
                reason: self.reason.clone(),
                before_ms: None,
            };
            let options = StartOptions::default();
            let limit = pipeline.shutdown_limit;
            let replaying =
                Replaying::new(plan, &pipeline.data_dir, filter, limit, &options).await?;
            let signals = Signals::new()?;
            let stopping = tokio::spawn(stop_on_signals(
                signals,
                replaying.stop_handle(),
                replaying.telemetry(),
            ));
            let replayed = replaying.run().await;
            stopping.abort();
            let replayed = replayed?;
            untouched += replayed.untouched;
            ending.dead_letters.insert(name, readable(&replayed.folder));
            ending.sinks.push(replayed.sink);
        }
        let mut text = report::closing(&ending);
        if untouched > 0 {
            let letters = if untouched == 1 {
                "1 letter stays as it was".to_owned()
            } else {
                format!(
                    "{} letters stay as they were",
                    report::thousands(untouched as u64)
                )
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "\n{letters}: another reason, no payload to send, or made for another account than the sink has now"
            );
        }
        let delivered = |sink: &SinkSnapshot| sink.delivered == sink.received;
        let code = if ending.sinks.iter().all(delivered) {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        };
        print_ending(&text, code)
    }
}

impl Show {
    fn run(&self, sinks: &Sinks) -> Result<ExitCode, Failure> {
        let filter = Filter {
            reason: self.reason.clone(),
            before_ms: None,
        };
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut output = io::BufWriter::new(io::stdout().lock());
        for (name, letters) in sinks {
            for letter in letters.letters()? {
                if left == 0 {
                    break;
                }
                match letter {
                    Ok(letter) if filter.fits(&letter) => {
                        output.write_all(&letter.line)?;
                        output.write_all(b"\n")?;
                        left -= 1;
                    }
                    Ok(_) => {}
                    Err(problem) => tracing::warn!(sink = %name, "{problem}"),
                }
            }
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Purge {
    fn run(&self, sinks: &Sinks) -> Result<ExitCode, Failure> {
        let now_ms = SystemClock.now_ms();
        let filter = Filter {
            reason: self.reason.clone(),
            before_ms: self
                .older_than_days
                .map(|days| now_ms - i64::from(days) * MS_PER_DAY),
        };
        for (name, letters) in sinks {
            let purged = letters.purge(&filter)?;
            let (deleted, kept) = (purged.deleted, purged.kept);
            // Said sink by sink: what is deleted is deleted, whatever happens with the next one.
            let text = format!("{name}: {deleted} deleted, {kept} kept\n");
            print_ending(&text, ExitCode::SUCCESS)?;
            if purged.left_to_replay {
                tracing::warn!(sink = %name, "what a replay is sending was left to it");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
