//! Detects changed options without storing them; they may hold secrets.

use serde_json::Value;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// So much of a file is compared, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

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
            content(file).unwrap_or_default().hash(&mut hasher);
        }
        Self(hasher.finish())
    }

    /// A digest that differs from all others, for options that were never written.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The content of a regular file; nothing else is opened, because that may block.
fn content(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if std::fs::metadata(file)?.is_file() {
        let opened = std::fs::File::open(file)?;
        opened.take(MAX_FILE_BYTES).read_to_end(&mut content)?;
    }
    Ok(content)
}
