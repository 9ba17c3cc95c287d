//! `pipeline validate FILE`: every problem of a pipeline file, or that it has none.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;
use pipeline_host::Pipeline;
use pipeline_host::config::ConfigError;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    file: PathBuf,
    /// Check only what can be checked without the environment: neither variables nor files are looked at
    #[arg(long)]
    no_environment: bool,
}

pub(crate) fn run(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    if arguments.no_environment {
        return without_environment(arguments, cx);
    }
    let pipeline = cx.load(&arguments.file)?;
    let unreadable = pipeline.check_machine();
    if !unreadable.is_empty() {
        return Err(ConfigError::Invalid(unreadable).into());
    }
    print(&sinks(&pipeline))
}

fn without_environment(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    let unbound = cx.load_without_environment(&arguments.file)?;
    let mut text = unbound.pipeline.as_ref().map(sinks).unwrap_or_default();
    if !unbound.unchecked.is_empty() {
        let places = unbound.unchecked.join("`, `");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "ok as far as it can be checked without the environment"
        );
        let _ = writeln!(
            text,
            "  not checked, because the value comes from it: `{places}`"
        );
    }
    print(&text)
}

/// A line for each sink, and its notices.
fn sinks(pipeline: &Pipeline) -> String {
    let mut text = String::new();
    for sink in &pipeline.sinks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} ({}): ok", sink.name, sink.kind());
        for notice in sink.notices() {
            let _ = writeln!(text, "  note: {notice}");
        }
    }
    text
}
