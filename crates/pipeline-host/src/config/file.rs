//! A pipeline file as text, in YAML, TOML or JSON, becomes a value tree.
//!
//! Invariant: a problem says where the file is broken and quotes nothing of it.

use serde_json::Value;
use std::io::Read as _;
use std::path::Path;

/// Largest pipeline file, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// Reads a pipeline file; its ending tells the format. Fails with what is wrong and what was expected.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut text = String::new();
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MAX_CONFIG_BYTES {
        return Err(format!("is larger than {MAX_CONFIG_BYTES} bytes"));
    }
    let text = text.trim_start_matches('\u{feff}');
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => serde_saphyr::from_str(text)
            .map_err(|e| place("YAML", e.location().map(|at| (at.line(), at.column())))),
        Some("toml") => toml::from_str(text)
            .map_err(|e| place("TOML", e.span().map(|span| line_column(text, span.start)))),
        Some("json") => serde_json::from_str(text)
            .map_err(|e| place("JSON", Some((e.line() as u64, e.column() as u64)))),
        _ => Err("has an unknown ending; expected `.yaml`, `.yml`, `.toml` or `.json`".to_owned()),
    }
}

/// Where a parser gave up. Its own message is left out, because it may quote a line with a secret.
fn place(format: &str, at: Option<(u64, u64)>) -> String {
    match at {
        Some((line, column)) => {
            format!("is not valid {format}: look at line {line}, column {column}")
        }
        None => format!("is not valid {format}"),
    }
}

fn line_column(text: &str, offset: usize) -> (u64, u64) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let (line, column) = (
        before.matches('\n').count(),
        before[line_start..].chars().count(),
    );
    (line as u64 + 1, column as u64 + 1)
}
