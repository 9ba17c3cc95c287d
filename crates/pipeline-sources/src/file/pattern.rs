//! Paths and patterns as a person wrote them, and the files that they name.

use std::io;
use std::path::{Path, PathBuf};

/// The files that a `file` source reads, as written.
#[derive(Debug, Clone)]
pub(super) struct Patterns {
    /// Paths and patterns as written.
    pub(super) written: Vec<PathBuf>,
    /// Where relative ones start.
    pub(super) base_dir: PathBuf,
}

/// A result that names its file also when it is an error.
pub(super) type Located<T> = Result<T, (PathBuf, io::Error)>;

impl Patterns {
    /// The files in their order; those of a pattern sorted by name. A pattern that no file matches is an error.
    pub(super) fn expand(&self) -> Vec<Located<PathBuf>> {
        let mut files = Vec::new();
        for written in &self.written {
            let path = self.base_dir.join(written);
            match written.to_str() {
                // A file whose name looks like a pattern is that file.
                Some(text) if is_pattern(written) && !path.exists() => {
                    matching(&self.base_dir, text, &path, &mut files);
                }
                _ => files.push(Ok(path)),
            }
        }
        files
    }

    /// Whether there may be several files, now or later.
    pub(super) fn may_be_several(&self) -> bool {
        self.written.len() > 1 || self.written.iter().any(|path| is_pattern(path))
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

fn matching(base_dir: &Path, pattern: &str, path: &Path, files: &mut Vec<Located<PathBuf>>) {
    // Only what was written is a pattern, not the folder that it starts in.
    let folder = glob::Pattern::escape(&base_dir.to_string_lossy());
    let pattern = Path::new(&folder).join(pattern);
    let fail = |kind, text: String| Err((path.to_owned(), io::Error::new(kind, text)));
    let before = files.len();
    match glob::glob(&pattern.to_string_lossy()) {
        Ok(found) => files.extend(
            found.map(|found| found.map_err(|error| (error.path().to_owned(), error.into()))),
        ),
        Err(error) => files.push(fail(
            io::ErrorKind::InvalidInput,
            format!("it is not a pattern: {}", error.msg),
        )),
    }
    if files.len() == before {
        let text = "no file matches this pattern".to_owned();
        files.push(fail(io::ErrorKind::NotFound, text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_gives_its_files_sorted_and_a_list_keeps_its_order() {
        let folder = tempfile::tempdir().unwrap();
        // The folder's own name must not count as a pattern.
        let base_dir = folder.path().join("a[b]*");
        std::fs::create_dir(&base_dir).unwrap();
        for name in ["b.ndjson", "a.ndjson", "z.txt", "x[1].ndjson"] {
            std::fs::write(base_dir.join(name), "").unwrap();
        }
        let names = |paths: &[&str]| -> Vec<String> {
            let patterns = Patterns {
                written: paths.iter().map(PathBuf::from).collect(),
                base_dir: base_dir.clone(),
            };
            let shown = patterns.expand().into_iter().map(|found| match found {
                Ok(path) => path.strip_prefix(&base_dir).unwrap().display().to_string(),
                Err((_, error)) => error.to_string(),
            });
            shown.collect()
        };
        assert_eq!(
            names(&["z.txt", "*.ndjson"]),
            ["z.txt", "a.ndjson", "b.ndjson", "x[1].ndjson"]
        );
        assert_eq!(names(&["x[1].ndjson"]), ["x[1].ndjson"]);
        assert_eq!(names(&["*.gz"]), ["no file matches this pattern"]);
    }
}
