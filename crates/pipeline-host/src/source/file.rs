//! Files of one JSON event a line, plain or compressed with gzip, and how far they have been read.
//!
//! A thread reads the files one after the other, or follows them as they grow ([`FileReader`]). What it reads becomes safe
//! later; in the order of reading, that moves the checkpoint ([`Keeper`]), from which the next run goes on.
//!
//! Invariant: a line is passed over only when the checkpoint says that it is safe.

mod checkpoint;
mod keeper;
mod opened;
mod reader;
mod recall;
mod time_shift;
mod tracked;

use super::SourceError;
pub use checkpoint::CheckpointError;
use checkpoint::Store;
use flate2::read::MultiGzDecoder;
pub(crate) use keeper::{Change, Keeper, MAX_OPEN_CHUNKS};
use pipeline_core::options::Problem;
pub(crate) use reader::FileReader;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The first bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Read from a file at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// What a `file` source reads.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Paths and patterns as written.
    pub(crate) paths: Vec<PathBuf>,
    /// Where relative ones start.
    pub(crate) base_dir: PathBuf,
    /// Whether times are moved so that the newest is now.
    pub(crate) shift_times: bool,
    /// Whether what has been read once is passed over in the next run.
    pub(crate) checkpoint: bool,
    /// Whether reading goes on when more lines come.
    pub(crate) follow: bool,
}

pub(crate) type Located<T> = Result<T, (PathBuf, io::Error)>;

impl Files {
    /// Refuses what cannot work together.
    pub(crate) fn checked(self, source: &str) -> Result<Self, Problem> {
        let is_odd = |b: u8| !b.is_ascii_alphanumeric() && b != b'_' && b != b'-';
        if self.checkpoint && (source.is_empty() || source.bytes().any(is_odd)) {
            let expected = "letters, digits, `_` and `-`, because the checkpoint is named after it, or `checkpoint: false`";
            return Err(Problem::new("", "is not a name for a source", expected));
        }
        if self.follow && self.shift_times {
            let problem = "does not go with `shift_times`, which needs to know the newest event";
            return Err(Problem::new("follow", problem, "one of the two"));
        }
        Ok(self)
    }

    /// Takes hold of the checkpoint, if there is to be one.
    pub(crate) fn open(
        self,
        source: &str,
        data_dir: &Path,
    ) -> Result<(FileReader, Option<Keeper>), SourceError> {
        if !self.checkpoint {
            return Ok((FileReader::new(self, None), None));
        }
        let opened = Store::open(data_dir, source).and_then(|store| {
            let entries = store.load()?;
            Ok((store, entries))
        });
        let path = Store::path_of(data_dir, source);
        match opened {
            Ok((store, entries)) => {
                let reader = FileReader::new(self, Some((path, entries.clone())));
                let keeper = Keeper::new(source.to_owned(), store, entries);
                Ok((reader, Some(keeper)))
            }
            Err(error) => Err(SourceError::Checkpoint {
                name: source.to_owned(),
                path,
                error,
            }),
        }
    }

    /// The files in their order; those of a pattern sorted by name. A pattern that no file matches is an error.
    pub(crate) fn expand(&self) -> Vec<Located<PathBuf>> {
        let mut files = Vec::new();
        for written in &self.paths {
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
    fn may_be_several(&self) -> bool {
        self.paths.len() > 1 || self.paths.iter().any(|path| is_pattern(path))
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

/// Opens a file; what is compressed is known by its first bytes, whatever its name.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    stream(file)
}

fn stream(file: File) -> io::Result<Box<dyn BufRead + Send>> {
    let mut reader = BufReader::with_capacity(READ_BYTES, file);
    if reader.fill_buf()?.starts_with(&GZIP_MAGIC) {
        let plain = MultiGzDecoder::new(reader);
        return Ok(Box::new(BufReader::with_capacity(READ_BYTES, plain)));
    }
    Ok(Box::new(reader))
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
            let files = Files {
                paths: paths.iter().map(PathBuf::from).collect(),
                base_dir: base_dir.clone(),
                shift_times: false,
                checkpoint: false,
                follow: false,
            };
            let shown = files.expand().into_iter().map(|found| match found {
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
