//! Why a command failed, and the exit code that follows from it.

use crate::log_queue::{Item, STDERR};
use pipeline_core::RegistryError;
use pipeline_core::options::Problem;
use pipeline_core::shown;
use pipeline_host::config::ConfigError;
use pipeline_host::dead_letter::DeadLetterError;
use pipeline_host::replay::ReplayError;
use pipeline_host::topology::StartError;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

/// The run could not be made, or something is still held.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 64;
/// The configuration is wrong.
pub(crate) const CONFIGURATION: u8 = 78;

/// Why a command failed. Decides the exit code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The pipeline file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A pipeline file has notes, and the command line denies them.
    #[error("{} in the configuration, which `--deny-notes` does not allow", notes(.0.len()))]
    Notes(Vec<Problem>),
    /// A component cannot be made on this machine.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The program was linked in a way that does not work.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Dead letters cannot be read or removed.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// Dead letters cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The command could not do its work.
    #[error("{0}")]
    Run(String),
    /// Input or output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// Every problem of a configuration that has some.
    pub(crate) fn problems(&self) -> &[Problem] {
        match self {
            Self::Config(error) => problems(error),
            Self::Notes(notes) => notes,
            _ => &[],
        }
    }
}

/// Every problem of a configuration that has some.
pub(crate) fn problems(error: &ConfigError) -> &[Problem] {
    match error {
        ConfigError::Invalid(problems) => problems,
        ConfigError::Unreadable { .. } | ConfigError::Syntax { .. } => &[],
    }
}

fn notes(count: usize) -> String {
    match count {
        1 => "1 note".to_owned(),
        n => format!("{n} notes"),
    }
}

/// A text whose lines are our own, each shown without what controls a terminal.
pub(crate) fn shown_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| shown(line).to_string()).collect();
    lines.join("\n")
}

/// Says why a command failed; its exit code.
pub(crate) fn report(failure: &Failure) -> ExitCode {
    let code = match failure {
        Failure::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Failure::Usage(_) => USAGE,
        Failure::Config(_) | Failure::Notes(_) => CONFIGURATION,
        _ => FAILED,
    };
    let shows_lines = matches!(
        failure,
        Failure::Usage(_) | Failure::Config(ConfigError::Syntax { .. })
    );
    let said = failure.to_string();
    let mut text = if shows_lines {
        format!("error: {}\n", shown_lines(&said))
    } else {
        format!("error: {}\n", shown(&said))
    };
    for problem in failure.problems() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", shown(&problem.to_string()));
    }
    // When standard error is gone, the exit code still says it.
    STDERR.put(Item::Lines(text.into_bytes()));
    ExitCode::from(code)
}
