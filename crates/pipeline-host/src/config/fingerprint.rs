//! Detects changed options without storing them; they may hold secrets.

use serde_json::Value;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A digest of options as written, and of the files that belong to them. Comparable within one process only.
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

    /// A digest that differs from all others, for options that were never written.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
