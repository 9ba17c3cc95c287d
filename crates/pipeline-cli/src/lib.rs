//! The `pipeline` command as a library: a program names the plugins that it links, and calls [`main`].
//!
//! ```no_run
//! // use my_sink as _;            what the program links
//! fn main() -> std::process::ExitCode {
//!     pipeline_cli::main(&[])
//! }
//! ```
//!
//! One file a command. Invariant: results go to standard output, everything said about them to standard error, and a reader
//! that goes away early (a broken pipe) is not an error.

mod buffer;
mod context;
mod dead_letters;
mod extension;
mod failure;
mod list;
mod log_queue;
mod map;
mod output;
mod panic_log;
mod presets;
mod program;
mod progress;
mod run;
mod schema;
mod signals;
mod validate;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use context::Context;
pub use extension::{Companion, Extension, Overlay, ProgramSection, RunOrder, StartedPipeline};
pub use failure::Failure;
use failure::{USAGE, report};
pub use map::{map_event, skipped};
pub use output::{print, print_line};
use pipeline_core::Registry;
pub use program::{Program, ReloadRefused};
pub use progress::When;
use signals::RunSignals;
pub use signals::Signals;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;
use tracing::level_filters::LevelFilter;

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
  78  the configuration is wrong, or has notes and `validate --deny-notes` was asked";

#[derive(Debug, Parser)]
#[command(name = "pipeline", version, about = "Runs event pipelines", long_about = ABOUT, after_help = EXIT_CODES)]
struct Arguments {
    /// What the log shows: off, error, warn, info, debug or trace [default: $PIPELINE_LOG, else info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<LevelFilter>,
    /// How the lines of the log are written: `text` for people, `json` for programs (one object a line) [default: text]
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    command: Command,
}

/// How the lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, with `timestamp`, `level`, `message` and the fields beside them.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline until its input ends or it is told to stop (SIGINT, SIGTERM; a second one quits at once)
    Run(run::Arguments),
    /// Report every problem of a pipeline file, and note what is perhaps not meant
    Validate(validate::Arguments),
    /// List the linked sources, transforms and sinks
    List,
    /// Print the JSON Schema of the pipeline file, or of one component
    Schema(schema::Arguments),
    /// Show the presets of the linked sinks, or one preset's mapping table
    Presets(presets::Arguments),
    /// Show what would become of the events on standard input; nothing is sent
    ///
    /// Events are JSON values: one a line, over several lines, one behind the other, the elements of a list, or a JSON text
    /// sequence. A value that is broken costs itself; reading resumes at the next line that begins with `{`.
    Map(map::Arguments),
    DeadLetters(dead_letters::Arguments),
    Buffer(buffer::Arguments),
}

/// Runs the command that the process was started with. `extensions` are the commands and sections that the program adds.
pub fn main(extensions: &[&'static dyn Extension]) -> ExitCode {
    // First of all: a signal that comes while the rest is made ready must find its handler.
    let (runtime, signals) = match start_runtime() {
        Ok(started) => started,
        Err(error) => return report(&Failure::Io(error)),
    };
    let mut command = Arguments::command();
    for extension in extensions {
        command = command.subcommands(extension.command());
    }
    let matches = match command.try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version come this way too. When even this cannot be written, nothing reads it.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let level: Option<LevelFilter> = matches.get_one("log_level").copied();
    let from_environment = std::env::var_os("PIPELINE_LOG").filter(|level| !level.is_empty());
    let from_environment = from_environment.map(|level| level.to_str()?.parse().ok());
    let chosen = level.or(from_environment.flatten());
    output::start();
    log_to_queue(
        chosen.unwrap_or(LevelFilter::INFO),
        matches.get_one("log_format").copied(),
    );
    if level.is_none() && from_environment == Some(None) {
        tracing::warn!(
            "the environment variable `PIPELINE_LOG` is not a level and is ignored; expected off, error, warn, info, debug or trace"
        );
    }
    panic_log::install();
    let result = runtime.block_on(execute(&matches, extensions, signals));
    runtime.shutdown_timeout(EXIT_GRACE);
    let code = match result {
        Ok(code) => code,
        Err(failure) => report(&failure),
    };
    output::flush();
    code
}

/// Lets the log go to the queue of standard error.
fn log_to_queue(level: LevelFilter, format: Option<LogFormat>) {
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(|| output::Above);
    if format == Some(LogFormat::Json) {
        log.json().flatten_event(true).init();
    } else {
        let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
        log.with_ansi(is_terminal).init();
    }
}

/// The commands that run a pipeline.
const RUNS: [&str; 2] = ["run", "console"];

/// Starts the runtime; and for a command that runs a pipeline, listens for the signals that it promises to act on.
fn start_runtime() -> io::Result<(Runtime, Option<RunSignals>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let context = runtime.enter();
    let is_run = std::env::args_os().any(|argument| RUNS.iter().any(|run| argument == *run));
    let signals = is_run.then(RunSignals::new).transpose()?;
    drop(context);
    Ok((runtime, signals))
}

async fn execute(
    matches: &clap::ArgMatches,
    extensions: &[&'static dyn Extension],
    signals: Option<RunSignals>,
) -> Result<ExitCode, Failure> {
    if let Some((name, matches)) = matches.subcommand() {
        let extension = extensions.iter().find(|extension| {
            let command = extension.command();
            command.is_some_and(|command| command.get_name() == name)
        });
        if let Some(extension) = extension {
            let Some(order) = extension.run_order(matches)? else {
                return extension.run(matches).await;
            };
            let signals = signals.map_or_else(RunSignals::new, Ok)?;
            let registry = Registry::linked()?;
            return run::run(&order.into(), registry, extensions, signals).await;
        }
    }
    let arguments =
        Arguments::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let registry = Registry::linked()?;
    let cx = Context::new(&registry, extensions);
    match arguments.command {
        Command::Run(arguments) => {
            let signals = signals.map_or_else(RunSignals::new, Ok)?;
            run::run(&arguments.order(), registry.clone(), extensions, signals).await
        }
        Command::Validate(arguments) => validate::run(&arguments, &cx),
        Command::List => list::run(&registry),
        Command::Schema(arguments) => schema::run(&arguments, &cx),
        Command::Presets(arguments) => presets::run(&arguments, &registry),
        Command::Map(arguments) => map::run(&arguments, &cx).await,
        Command::Buffer(arguments) => buffer::run(&arguments),
        Command::DeadLetters(arguments) => dead_letters::run(&arguments, &cx).await,
    }
}
