//! `pipeline schema [SINK]`: the JSON Schema of a pipeline file, or of one sink's options.

use super::{Failure, print};
use pipeline_core::Registry;
use pipeline_host::config::schema;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A sink's type, as `pipeline list` shows it
    sink: Option<String>,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Result<ExitCode, Failure> {
    let schema = match &arguments.sink {
        None => schema::pipeline(registry),
        Some(name) => {
            let found = registry.find(name);
            schema::sink(found.map_err(|error| Failure::Usage(format!("`{name}`: {error}")))?)
        }
    };
    print(&format!("{schema:#}\n"))
}
