//! A secret that a person has typed goes into a file of its own beside the pipeline file, which then names it.
//!
//! In: the options of a sink with new secrets. Out: the same options with the names of files, for those secrets whose sink has an option
//! for that: `access_token` and `access_token_file`.
//!
//! Invariant: only the owner can read such a file, and none that exists is changed.

use crate::setup::secrets::{Secret, Step, at};
use pipeline_core::SensitiveString;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Files of one secret of one sink, at most.
const MAX_FILES: usize = 100;
/// What follows the name of an option that is a secret, where another names its file.
const ENDING: &str = "_file";

/// A secret on its way into a file.
#[derive(Debug)]
pub(super) struct SecretFile {
    path: PathBuf,
    value: SensitiveString,
}

/// Takes the new secrets of a sink out of its options and puts names of files in their place, where `schema` has an option for that.
pub(super) fn take(
    raw: &mut Value,
    old: &Value,
    sink: &str,
    schema: &Value,
    found: &[Secret],
    file: &Path,
) -> Vec<SecretFile> {
    let mut files = Vec::new();
    for secret in found {
        if !is_new(secret, raw, old) {
            continue;
        }
        let [Step::Key(section), Step::Key(name), Step::Key(option)] = &*secret.place else {
            continue;
        };
        let by_file = format!("{option}{ENDING}");
        let has_option = schema["properties"].get(&by_file).is_some();
        if section != "sinks" || name != sink || !has_option {
            continue;
        }
        let Some(path) = free_path(file, sink, option) else {
            continue;
        };
        let Some(options) = raw["sinks"][sink].as_object_mut() else {
            continue;
        };
        // Both are refused together, and the person has given the secret.
        if let Some(Value::String(value)) = options.shift_remove(option) {
            let named = path.file_name().map(|it| it.to_string_lossy().into_owned());
            options.insert(by_file, named.into());
            let value = SensitiveString::from(value);
            files.push(SecretFile { path, value });
        }
    }
    files
}

/// Whether a secret is written out, and is not what the file has at this place already.
pub(super) fn is_new(secret: &Secret, raw: &Value, old: &Value) -> bool {
    let is_kept = at(raw, &secret.place) == at(old, &secret.place);
    secret.is_known && secret.variable.is_none() && !is_kept
}

/// A name beside the pipeline file that no file has.
fn free_path(file: &Path, sink: &str, option: &str) -> Option<PathBuf> {
    let stem = file.file_stem()?.to_str()?;
    let names = (1..=MAX_FILES).map(|number| match number {
        1 => format!("{stem}.{sink}.{option}"),
        _ => format!("{stem}.{sink}.{option}.{number}"),
    });
    let mut paths = names.map(|name| file.with_file_name(name));
    paths.find(|path| path.symlink_metadata().is_err())
}

/// Writes them, all or none.
pub(super) fn write(files: &[SecretFile]) -> io::Result<()> {
    for (index, file) in files.iter().enumerate() {
        let written = write_one(file);
        if let Err(error) = written {
            // What exists under the last name may be somebody else's.
            remove(&files[..index]);
            return Err(error);
        }
    }
    Ok(())
}

fn write_one(file: &SecretFile) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut opened = options.open(&file.path)?;
    let written = opened
        .write_all(file.value.expose().as_bytes())
        .and_then(|()| opened.write_all(b"\n"))
        .and_then(|()| opened.sync_all());
    if written.is_err() {
        remove(std::slice::from_ref(file));
    }
    written
}

/// Removes them again.
pub(super) fn remove(files: &[SecretFile]) {
    for file in files {
        // The pipeline file does not name it.
        let _ = fs::remove_file(&file.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::secrets::find;
    use serde_json::json;
    use std::os::unix::fs::MetadataExt as _;

    fn schema() -> Value {
        json!({"properties": {
            "key": {"writeOnly": true}, "key_file": {}, "pass": {"writeOnly": true}, "inner": {"properties": {"key": {"writeOnly": true}}},
        }})
    }

    #[test]
    fn a_new_secret_goes_into_a_file_that_only_its_owner_reads_and_no_file_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.yaml");
        let whole = json!({"properties": {"sinks": {"additionalProperties": schema()}}});
        let old = json!({"sinks": {"a": {"key": "old", "pass": "p"}}});
        for (value, name) in [("one", "p.a.key"), ("two", "p.a.key.2")] {
            let mut raw = old.clone();
            raw["sinks"]["a"]["key"] = json!(value);
            let found = find(&whole, &raw);
            let files = take(&mut raw, &old, "a", &schema(), &found, &file);
            assert_eq!(
                raw,
                json!({"sinks": {"a": {"pass": "p", "key_file": name}}})
            );
            write(&files).unwrap();
            let path = folder.path().join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{value}\n"));
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
            assert!(write(&files).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{value}\n"));
        }
    }

    #[test]
    fn a_secret_without_an_option_for_its_file_stays_to_be_refused() {
        let whole = json!({"properties": {"sinks": {"additionalProperties": schema()}}});
        let old = json!({"sinks": {"a": {}, "b": {}}});
        let mut raw =
            json!({"sinks": {"a": {"pass": "x", "inner": {"key": "y"}}, "b": {"key": "z"}}});
        let before = raw.clone();
        let found = find(&whole, &raw);
        let files = take(
            &mut raw,
            &old,
            "a",
            &schema(),
            &found,
            Path::new("/nowhere/p.yaml"),
        );
        assert!(files.is_empty());
        assert_eq!(raw, before);
        assert_eq!(found.iter().filter(|it| is_new(it, &raw, &old)).count(), 3);
    }
}
