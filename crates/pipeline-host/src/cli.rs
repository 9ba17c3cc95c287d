//! The command line: one file a command.
//!
//! Invariant: results go to standard output, everything said about them to standard error, and a reader that goes
//! away early (a broken pipe) is not an error.

mod dead_letters;
mod list;
mod map;
mod presets;
mod progress;
mod run;
mod sandbox;
mod schema;
mod validate;

use clap::{Parser, Subcommand, ValueEnum};
use pipeline_core::options::Problem;
use pipeline_core::{BuildError, Clock, Registry, RegistryError, SystemClock};
use pipeline_host::config::{self, ConfigError, LoadContext, Pipeline};
use pipeline_host::dead_letter::DeadLetterError;
use pipeline_host::reload::ReloadError;
use pipeline_host::topology::StartError;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// The run could not be made, or something is still held.
const FAILED: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 64;
/// The configuration is wrong.
const CONFIGURATION: u8 = 78;
/// How long threads that still read may keep the process at its end.
const EXIT_GRACE: Duration = Duration::from_millis(200);

const ABOUT: &str = "Reads events, maps and delivers them with the sinks that are linked in.

A pipeline file says where events come from and where they go:

    sources:
      events: { type: file, path: events.ndjson }
    sinks:
      meta: { type: meta_conversions, inputs: [events], ... }

Try it in this order:

    pipeline list                                         the sinks there are
    pipeline schema meta_conversions                      the options of one
    pipeline validate pipeline.yaml                       every problem of a file
    pipeline map --config pipeline.yaml < events.ndjson   what would be sent
    pipeline run pipeline.yaml                            send it
    pipeline dead-letters list --config pipeline.yaml     what could not be delivered, and why";

const EXIT_CODES: &str = "Exit codes:
  0   done: every event was delivered, filtered, rejected, or dropped as configured
  1   the run could not be made, or events are still held (they are in the dead letters, or read again by the next run)
  64  the command line is wrong
  78  the configuration is wrong";

#[derive(Debug, Parser)]
#[command(name = "pipeline", version, about = "Runs event pipelines", long_about = ABOUT, after_help = EXIT_CODES)]
struct Arguments {
    /// What the log shows: off, error, warn, info, debug or trace [default: $PIPELINE_LOG, else info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<LevelFilter>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline until its input ends or it is told to stop (SIGINT, SIGTERM; a second one quits at once)
    Run(run::Arguments),
    /// Report every problem of a pipeline file
    Validate(validate::Arguments),
    /// List the linked sinks
    List,
    /// Print the JSON Schema of the pipeline file, or of one sink
    Schema(schema::Arguments),
    /// Show the presets of the linked sinks, or one preset's mapping table
    Presets(presets::Arguments),
    /// Show what would be sent for the events on standard input, one JSON object a line; nothing is sent
    Map(map::Arguments),
    DeadLetters(dead_letters::Arguments),
    /// Serve a stand-in for the Graph API until interrupted
    Sandbox(sandbox::Arguments),
}

/// When something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// Also where nobody watches.
    Always,
    /// On a terminal.
    Auto,
    /// Not at all.
    Never,
}

/// Why a command failed. Decides the exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    #[error(transparent)]
    Reload(#[from] ReloadError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Run(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// Every problem of a configuration that has some.
    fn problems(&self) -> &[Problem] {
        match self {
            Self::Config(ConfigError::Invalid(problems)) => problems,
            _ => &[],
        }
    }
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too. When even this cannot be written, nobody is listening.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let from_environment = std::env::var("PIPELINE_LOG")
        .ok()
        .and_then(|level| level.parse().ok());
    let level = arguments
        .log_level
        .or(from_environment)
        .unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(|| progress::Above)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::Io(error)),
    };
    let result = runtime.block_on(execute(arguments.command));
    runtime.shutdown_timeout(EXIT_GRACE);
    match result {
        Ok(code) => code,
        Err(failure) => report(&failure),
    }
}

async fn execute(command: Command) -> Result<ExitCode, Failure> {
    let registry = Registry::linked()?;
    match command {
        Command::Run(arguments) => run::run(&arguments, &registry).await,
        Command::Validate(arguments) => validate::run(&arguments, &registry).await,
        Command::List => list::run(&registry),
        Command::Schema(arguments) => schema::run(&arguments, &registry),
        Command::Presets(arguments) => presets::run(&arguments, &registry),
        Command::Map(arguments) => map::run(&arguments, &registry).await,
        Command::DeadLetters(arguments) => dead_letters::run(&arguments, &registry).await,
        Command::Sandbox(arguments) => sandbox::run(&arguments).await,
    }
}

fn report(failure: &Failure) -> ExitCode {
    let code = match failure {
        Failure::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Failure::Usage(_) => USAGE,
        Failure::Config(ConfigError::Build(_)) => FAILED,
        Failure::Config(_) => CONFIGURATION,
        _ => FAILED,
    };
    let mut text = format!("error: {failure}\n");
    for problem in failure.problems() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {problem}");
    }
    // When standard error is gone, the exit code still says it.
    let _ = io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(code)
}

async fn load(
    path: &Path,
    registry: &Registry,
    clock: &Arc<dyn Clock>,
) -> Result<Pipeline, Failure> {
    let cx = LoadContext {
        registry,
        environment: &|name| std::env::var(name).ok(),
        clock,
    };
    Ok(config::load(path, cx).await?)
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn print(text: &str) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}
