//! `pipeline list`: the linked sinks.

use super::{Failure, print};
use pipeline_core::Registry;
use std::process::ExitCode;

pub(super) fn run(registry: &Registry) -> Result<ExitCode, Failure> {
    let lines = registry
        .iter()
        .map(|sink| format!("{} {}  {}\n", sink.name, sink.version, sink.description));
    print(&lines.collect::<String>())
}
