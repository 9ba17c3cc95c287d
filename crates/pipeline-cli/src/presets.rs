//! `pipeline presets [NAME]`: the presets of the linked sinks, or the mapping table of one.

use crate::failure::Failure;
use crate::output::print;
use pipeline_core::{Component, PresetDescription, Registry};
use std::fmt::Write as _;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A preset's name
    name: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, registry: &Registry) -> Result<ExitCode, Failure> {
    let presets: Vec<_> = registry
        .sinks()
        .flat_map(Component::preset_descriptions)
        .collect();
    let Some(name) = &arguments.name else {
        let lines = presets
            .iter()
            .map(|preset| format!("{:<12} {}\n", preset.name, preset.description));
        return print(&lines.collect::<String>());
    };
    if let Some(preset) = presets.iter().find(|preset| preset.name == *name) {
        return print(&table(preset));
    }
    let known: Vec<_> = presets.iter().map(|preset| preset.name.as_str()).collect();
    let known = known.join("`, `");
    Err(Failure::Usage(format!(
        "no preset is named `{name}`; there are `{known}`"
    )))
}

fn table(preset: &PresetDescription) -> String {
    let from: Vec<_> = preset.rows.iter().map(|row| row.from.join(", ")).collect();
    let width = from
        .iter()
        .map(|names| names.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = format!("{}: {}\n\n", preset.title, preset.description);
    for (names, row) in from.iter().zip(&preset.rows) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{names:<width$}  ->  {}", row.to);
    }
    text
}
