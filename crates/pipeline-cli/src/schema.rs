//! `pipeline schema [TYPE]`: the JSON Schema of a pipeline file, or of the options of one component.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;
use pipeline_host::config::schema;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The type of a sink, source or transform, as `pipeline list` shows it
    component: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    let schema = match &arguments.component {
        None => schema::pipeline(cx.registry, &cx.sections),
        Some(name) => of(name, cx)?,
    };
    print(&format!("{schema:#}\n"))
}

/// The schema of the component of this type. Where several kinds have one, a sink comes first.
fn of(name: &str, cx: &Context<'_>) -> Result<Value, Failure> {
    let registry = cx.registry;
    let unknown = match registry.sink(name) {
        Ok(sink) => return Ok(schema::sink(sink)),
        Err(unknown) => unknown,
    };
    if let Ok(source) = registry.source(name) {
        return Ok(schema::source(source));
    }
    if let Ok(transform) = registry.transform(name) {
        return Ok(schema::transform(transform));
    }
    Err(Failure::Usage(format!("`{name}`: {unknown}")))
}
