//! `pipeline validate FILE`: every problem of a pipeline file, or that there is none.

use super::{Failure, load, print, system_clock};
use pipeline_core::Registry;
use pipeline_host::config::ConfigError;
use pipeline_host::source::SourcePlan;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    file: PathBuf,
}

pub(super) async fn run(arguments: &Arguments, registry: &Registry) -> Result<ExitCode, Failure> {
    let pipeline = load(&arguments.file, registry, &system_clock()).await?;
    let unreadable: Vec<_> = pipeline
        .sources
        .iter()
        .flat_map(SourcePlan::check)
        .collect();
    if !unreadable.is_empty() {
        return Err(ConfigError::Invalid(unreadable).into());
    }
    let mut text = String::new();
    for sink in &pipeline.sinks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} ({}): ok", sink.name, sink.kind());
        for notice in &sink.notices {
            let _ = writeln!(text, "  note: {notice}");
        }
    }
    print(&text)
}
