//! Paths and patterns as a person wrote them, and the files that they name, whatever bytes their names consist of.
//!
//! Invariant: a search ends: below `**` each folder is entered once, whatever links lead to it, and at most [`MAX_FOLDERS`].

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// Folders that are looked through for one pattern.
const MAX_FOLDERS: usize = 10_000;
/// Files that one pattern matches, and names that are listed of one folder.
const MAX_MATCHES: usize = 100_000;

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
            // A file whose name looks like a pattern is that file.
            if is_pattern(written) && !path.exists() {
                matching(&self.base_dir, written, &mut files);
            } else {
                files.push(Ok(path));
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

/// A part of a pattern between two separators.
enum Part {
    /// The name of one file or folder, or `..`.
    Name(OsString),
    /// Names that match.
    Names(glob::Pattern),
    /// Folders of any depth, `**`.
    Folders,
}

/// Looks for the files of one pattern.
struct Search {
    parts: Vec<Part>,
    /// Folders that may still be listed.
    folders_left: usize,
    found: Vec<Located<PathBuf>>,
}

impl Search {
    /// Finds what matches from part `at` of the pattern on, in this folder.
    fn look(&mut self, folder: &Path, at: usize) {
        let is_last = at + 1 == self.parts.len();
        match &self.parts[at] {
            Part::Name(name) => {
                let path = folder.join(name);
                if !is_last {
                    self.look(&path, at + 1);
                } else if path.symlink_metadata().is_ok() {
                    self.found.push(Ok(path));
                }
            }
            Part::Names(pattern) => {
                let pattern = pattern.clone();
                for name in self.list(folder) {
                    // What is not UTF-8 matches as a character that it can be shown as.
                    if !pattern.matches(&name.to_string_lossy()) {
                        continue;
                    }
                    let path = folder.join(name);
                    if is_last {
                        self.found.push(Ok(path));
                    } else if path.is_dir() {
                        self.look(&path, at + 1);
                    }
                }
            }
            Part::Folders => self.look_below(folder, at),
        }
    }

    /// Does the same in this folder and all below it, each once, whatever links lead to it: first by the names that are no
    /// links, so that a file keeps its shortest real name.
    fn look_below(&mut self, folder: &Path, at: usize) {
        let is_last = at + 1 == self.parts.len();
        let mut seen = HashSet::new();
        let (mut folders, mut links) = (vec![folder.to_owned()], Vec::new());
        while let Some(folder) = folders.pop().or_else(|| links.pop()) {
            let identity = folder.metadata().map(|it| (it.dev(), it.ino()));
            if !identity.is_ok_and(|identity| seen.insert(identity)) {
                continue;
            }
            if is_last {
                self.found.push(Ok(folder.clone()));
            } else {
                self.look(&folder, at + 1);
            }
            for name in self.list(&folder) {
                let path = folder.join(name);
                match path.symlink_metadata() {
                    Ok(it) if it.is_dir() => folders.push(path),
                    Ok(it) if it.is_symlink() && path.is_dir() => links.push(path),
                    _ => {}
                }
            }
        }
    }

    /// The names in a folder; none if it is no folder.
    fn list(&mut self, folder: &Path) -> Vec<OsString> {
        let Some(left) = self.folders_left.checked_sub(1) else {
            return Vec::new();
        };
        self.folders_left = left;
        let listed = std::fs::read_dir(folder).and_then(|listed| {
            let listed = listed.take(MAX_MATCHES + 1);
            let listed = listed.map(|entry| Ok(entry?.file_name()));
            listed.collect::<io::Result<Vec<_>>>()
        });
        match listed {
            Ok(names) if names.len() > MAX_MATCHES => {
                let text = format!("there are more than {MAX_MATCHES} files in it");
                let error = io::Error::new(io::ErrorKind::InvalidInput, text);
                self.found.push(Err((folder.to_owned(), error)));
                names
            }
            Ok(names) => names,
            Err(error) => {
                let is_missing = matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                );
                if !is_missing {
                    self.found.push(Err((folder.to_owned(), error)));
                }
                Vec::new()
            }
        }
    }
}

/// The parts of a pattern.
fn parts(written: &Path) -> Result<Vec<Part>, glob::PatternError> {
    let components = written
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            Component::ParentDir => Some(OsStr::new("..")),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        });
    let part = |name: &OsStr| match name.to_str() {
        Some("**") => Ok(Part::Folders),
        Some(text) if is_pattern(Path::new(name)) => glob::Pattern::new(text).map(Part::Names),
        _ => Ok(Part::Name(name.to_owned())),
    };
    components.map(part).collect()
}

fn matching(base_dir: &Path, written: &Path, files: &mut Vec<Located<PathBuf>>) {
    let path = base_dir.join(written);
    let fail = |kind, text: String| Err((path.clone(), io::Error::new(kind, text)));
    let parts = match parts(written) {
        Ok(parts) => parts,
        Err(error) => {
            let text = format!("it is not a pattern: {}", error.msg);
            files.push(fail(io::ErrorKind::InvalidInput, text));
            return;
        }
    };
    let mut search = Search {
        parts,
        folders_left: MAX_FOLDERS,
        found: Vec::new(),
    };
    let start = if written.is_absolute() {
        Path::new("/")
    } else {
        base_dir
    };
    search.look(start, 0);
    let mut found = search.found;
    if search.folders_left == 0 {
        let text = format!(
            "more than {MAX_FOLDERS} folders would have to be looked through; name them more closely"
        );
        found.push(fail(io::ErrorKind::InvalidInput, text));
    }
    if found.len() > MAX_MATCHES {
        found.truncate(MAX_MATCHES);
        let text = format!("more than {MAX_MATCHES} files match; name them more closely");
        found.push(fail(io::ErrorKind::InvalidInput, text));
    }
    if found.is_empty() {
        let text = "no file matches this pattern".to_owned();
        found.push(fail(io::ErrorKind::NotFound, text));
    }
    let place = |found: &Located<PathBuf>| match found {
        Ok(path) | Err((path, _)) => path.clone(),
    };
    found.sort_by_cached_key(place);
    // Two ways through a pattern may lead to one path.
    found.dedup_by(|a, b| matches!((a, b), (Ok(a), Ok(b)) if a == b));
    files.append(&mut found);
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

    /// The files of a pattern below a folder, as they are shown.
    fn found(folder: &Path, pattern: &str) -> Vec<String> {
        let patterns = Patterns {
            written: vec![pattern.into()],
            base_dir: folder.to_owned(),
        };
        let shown = patterns.expand().into_iter().map(|found| match found {
            Ok(path) => pipeline_core::shown(path.strip_prefix(folder).unwrap()).to_string(),
            Err((_, error)) => error.to_string(),
        });
        shown.collect()
    }

    #[test]
    fn a_name_that_is_not_text_is_matched() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join(OsStr::from_bytes(b"b\xe9"));
        std::fs::create_dir(&odd).unwrap();
        for name in [&b"caf\xe9.log"[..], b"\xff.log", b"a\nb.log", b"\xff.txt"] {
            std::fs::write(folder.path().join(OsStr::from_bytes(name)), "").unwrap();
            std::fs::write(odd.join(OsStr::from_bytes(name)), "").unwrap();
        }
        let names = ["a\\nb.log", "caf\\xe9.log", "\\xff.log"];
        assert_eq!(found(folder.path(), "*.log"), names);
        assert_eq!(found(folder.path(), "caf?.log"), ["caf\\xe9.log"]);
        let below = names.map(|name| format!("b\\xe9/{name}"));
        assert_eq!(found(folder.path(), "b*/*.log"), below);
        assert_eq!(found(folder.path(), "**/*.log").len(), 6);
    }

    #[test]
    fn links_that_lead_upwards_are_followed_once() {
        let folder = tempfile::tempdir().unwrap();
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        };
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::create_dir(folder.path().join("elsewhere")).unwrap();
        for name in ["a/1.log", "a/b/2.log", "elsewhere/3.log"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        link("..", "a/up");
        link("../..", "a/b/up");
        link(".", "a/self");
        assert_eq!(found(folder.path(), "a/b/**/*.log").len(), 3);
        assert_eq!(
            found(folder.path(), "**/*.log"),
            ["a/1.log", "a/b/2.log", "elsewhere/3.log"]
        );
        link("../elsewhere", "a/linked");
        assert_eq!(found(folder.path(), "a/linked/*.log"), ["a/linked/3.log"]);
        assert_eq!(found(folder.path(), "*/linked/3.log"), ["a/linked/3.log"]);
    }

    #[test]
    fn a_pattern_over_too_many_folders_says_so() {
        let folder = tempfile::tempdir().unwrap();
        for name in 0..=MAX_FOLDERS {
            std::fs::create_dir(folder.path().join(name.to_string())).unwrap();
        }
        std::fs::write(folder.path().join("a.log"), "").unwrap();
        let found = found(folder.path(), "**/*.log");
        assert!(found.iter().any(|found| found == "a.log"), "{found:?}");
        assert!(
            found.iter().any(|found| found.contains("folders")),
            "{found:?}"
        );
    }
}
