//! `pipeline list`: the linked sinks.

use super::{Failure, print};
use pipeline_core::Registry;
use std::process::ExitCode;

pub(super) fn run(registry: &Registry) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    for sink in registry.iter() {
        text.push_str(&format!("{} {}  {}\n", sink.name, sink.version, sink.description));
    }
    if text.is_empty() {
        text.push_str("no sink is linked\n");
    }
    print(&text)
}
