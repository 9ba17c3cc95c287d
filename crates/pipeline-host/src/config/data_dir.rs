//! Whether the folders that a pipeline writes to can be written.
//!
//! What is needed on a bad day, a folder for dead letters above all, is tried before the first event. Nothing is left behind.

use super::plan::Pipeline;
use pipeline_core::options::Problem;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

impl Pipeline {
    /// What would keep the pipeline from writing to `data_dir` on this machine now.
    pub fn check_data_dir(&self) -> Vec<Problem> {
        let mut folders = vec![self.data_dir.clone()];
        for sink in &self.sinks {
            folders.push(self.data_dir.join("dead_letters").join(&sink.name));
            if sink.buffer.sync.is_some() {
                folders.push(self.data_dir.join("buffer").join(&sink.name));
            }
        }
        let mut tried = BTreeSet::new();
        for wanted in folders {
            let folder = nearest_existing(&wanted);
            if !tried.insert(folder.clone()) {
                continue;
            }
            let Err(error) = try_to_write(&folder) else {
                continue;
            };
            let problem = if folder == wanted {
                format!(
                    "`{}` cannot be written: {error}",
                    pipeline_core::shown(&folder)
                )
            } else {
                let (wanted, folder) =
                    (pipeline_core::shown(&wanted), pipeline_core::shown(&folder));
                format!("`{wanted}` cannot be made, because `{folder}` cannot be written: {error}")
            };
            let expected = "a folder that this process can write to, for dead letters, checkpoints and disk buffers";
            return vec![Problem::new("data_dir", problem, expected)];
        }
        Vec::new()
    }
}

/// The folder, or else the nearest one above it that exists.
fn nearest_existing(folder: &Path) -> PathBuf {
    let existing = folder.ancestors().find(|folder| {
        // What exists and cannot be looked at is the folder that has to be told.
        !matches!(folder.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound
            || error.kind() == ErrorKind::NotADirectory)
    });
    match existing {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes a file in a folder, and removes it.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let name = format!(".pipeline-write-test-{}", std::process::id());
    let file = folder.join(name);
    match OpenOptions::new().write(true).create_new(true).open(&file) {
        Ok(_) => std::fs::remove_file(&file),
        // Room can be made while the pipeline runs; it waits for that.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::AlreadyExists
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
