//! Tells options from others without keeping them: they may hold a secret.

use serde_json::Value;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

/// A digest of options as written, and of the files that belong to them. Of use within one process only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// The digest of these options. A file that cannot be read counts as an empty one.
    pub(crate) fn of(options: &Value, files: &[PathBuf]) -> Self {
        let mut hasher = DefaultHasher::new();
        options.to_string().hash(&mut hasher);
        for file in files {
            file.hash(&mut hasher);
            std::fs::read(file).unwrap_or_default().hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}
