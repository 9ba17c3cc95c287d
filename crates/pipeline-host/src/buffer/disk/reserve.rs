//! Room that a disk buffer keeps for a day on which the disk is full.
//!
//! What is done can only leave the file by way of the log, and the log can only be brought into the file where the file may
//! grow: both take room before they give any. So a file of the log's size lies beside the store, holding nothing, and goes
//! when the disk is full.

use super::files::open_private;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    is_kept: bool,
}

impl Reserve {
    pub(super) fn new(folder: &Path, bytes: u64) -> Self {
        let path = folder.join("reserve");
        let found = path.symlink_metadata();
        let is_whole = found.is_ok_and(|file| file.is_file() && file.len() == bytes);
        // An earlier version let others read it.
        let is_kept = is_whole && open_private(&path, false).is_ok();
        Self {
            path,
            bytes,
            is_kept,
        }
    }

    /// Keeps another number of bytes from now on.
    pub(super) fn resize(&mut self, bytes: u64) {
        if self.bytes != bytes {
            self.give();
            self.bytes = bytes;
            self.keep();
        }
    }

    /// Takes the room, where there is that much. Where there is not, a later call tries again.
    pub(super) fn keep(&mut self) {
        if !self.is_kept {
            self.is_kept = self.write().is_ok();
            if !self.is_kept {
                self.give();
            }
        }
    }

    /// Gives the room to whoever needs it.
    pub(super) fn give(&mut self) {
        self.is_kept = false;
        // There may have been none.
        let _ = std::fs::remove_file(&self.path);
    }

    fn write(&self) -> io::Result<()> {
        let file = open_private(&self.path, true)?;
        file.set_len(0)?;
        allocate(&file, self.bytes)
    }
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::empty(), 0, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(mut file: &File, bytes: u64) -> io::Result<()> {
    use std::io::Read as _;
    io::copy(&mut io::repeat(0).take(bytes), &mut file).map(|_| ())
}
