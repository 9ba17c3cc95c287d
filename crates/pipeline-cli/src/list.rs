//! `pipeline list`: the linked sinks, sources and transforms.

use crate::failure::Failure;
use crate::output::print;
use pipeline_core::{Component, Kind, Registry};
use std::process::ExitCode;

pub(crate) fn run(registry: &Registry) -> Result<ExitCode, Failure> {
    let sinks = registry.sinks().map(|sink| line(Kind::Sink, sink));
    let sources = registry.sources().map(|source| line(Kind::Source, source));
    let transforms = registry
        .transforms()
        .map(|transform| line(Kind::Transform, transform));
    print(&sinks.chain(sources).chain(transforms).collect::<String>())
}

fn line<C: ?Sized>(kind: Kind, component: &Component<C>) -> String {
    let (name, version) = (component.name(), component.plugin_version());
    format!("{name} {version} ({kind})  {}\n", component.description())
}
