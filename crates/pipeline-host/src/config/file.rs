//! A pipeline file as text, in YAML, TOML or JSON, becomes a value tree.
//!
//! Invariant: a problem says where the file is broken and quotes nothing of it but names of options.

use super::syntax::{Format, SyntaxFault};
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;

/// Largest pipeline file, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// Why a file has no value tree.
pub(super) enum FileProblem {
    /// It cannot be read, or its format is unknown.
    Unreadable(String),
    /// It is not in its format.
    Syntax(Box<SyntaxFault>),
}

/// Reads a pipeline file; its ending tells the format. `known` are the names of options, which a problem may show.
pub(super) fn read(path: &Path, known: impl FnOnce() -> Vec<String>) -> Result<Value, FileProblem> {
    let text = text(path).map_err(FileProblem::Unreadable)?;
    parse(&text, path, known)
}

/// Reads the text of a pipeline file at this path, whose ending tells the format.
pub(super) fn parse(
    text: &str,
    path: &Path,
    known: impl FnOnce() -> Vec<String>,
) -> Result<Value, FileProblem> {
    let text = text.trim_start_matches('\u{feff}');
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => Format::Yaml,
        Some("toml") => Format::Toml,
        Some("json") => Format::Json,
        _ => {
            let problem = "has an unknown ending; expected `.yaml`, `.yml`, `.toml` or `.json`";
            return Err(FileProblem::Unreadable(problem.to_owned()));
        }
    };
    format.read(text, known).map_err(FileProblem::Syntax)
}

/// The text of a pipeline file, within [`MAX_CONFIG_BYTES`].
pub(super) fn text(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    // A pipe that is never written to would block, and a device may never end.
    if !metadata.is_file() && !metadata.is_dir() {
        return Err("is a pipe, a socket or a device; expected a file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(format!("is larger than {MAX_CONFIG_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return "is UTF-16; expected UTF-8".to_owned();
        }
        let line = bytes[..good].split(|byte| *byte == b'\n').count();
        format!("is not UTF-8 in line {line}; expected UTF-8")
    })
}
