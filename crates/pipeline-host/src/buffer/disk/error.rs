//! Why a disk buffer cannot be opened or written, in words that an operator can act on.
//!
//! In: errors of the system and of SQLite. Out: one sentence for each cause.
//!
//! Invariant: "move the folder away" is advised only where the content is what is wrong, and together with how much is in
//! it. What may pass by itself, or can be put right from outside, never costs the events.

use super::format::FORMAT_VERSION;
use rusqlite::ErrorCode;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// `EMFILE` and `ENFILE`: no file descriptor is left for the process, or for the machine.
const NO_DESCRIPTOR: [i32; 2] = [24, 23];
/// Files that are opened at a time to see whether descriptors are left: the database, its log, and a folder to sync.
const PROBED_FILES: usize = 3;

/// Why a disk buffer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskBufferError {
    /// Another process has it.
    #[error("the disk buffer in `{}` is in use by another process; stop that one, or use another `data_dir`", .0.display())]
    InUse(PathBuf),
    /// A later version of this program made it.
    #[error(
        "the disk buffer in `{}` has format {found}, and this version knows formats up to {FORMAT_VERSION}; run the version that wrote it until the buffer is empty, or move the folder away and keep it: it has {bytes} bytes of events",
        pipeline_core::shown(folder)
    )]
    Newer {
        /// The buffer's folder.
        folder: PathBuf,
        /// The format of the file.
        found: u32,
        /// Bytes of its files.
        bytes: u64,
    },
    /// The file is something else, or damaged beyond reading.
    #[error(
        "the disk buffer in `{}` cannot be read: {problem}; move the folder away to start with an empty buffer, and keep it: it has {content}",
        pipeline_core::shown(folder)
    )]
    Unreadable {
        /// The buffer's folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// How much is in it: events where their number can be read, bytes otherwise.
        content: String,
    },
    /// Something outside of the buffer keeps it from being opened; its content is as it was.
    #[error(
        "the disk buffer in `{}` cannot be opened: {cause}; what is in it is not lost",
        pipeline_core::shown(folder)
    )]
    Closed {
        /// The buffer's folder.
        folder: PathBuf,
        /// What keeps it from being opened.
        cause: Cause,
    },
    /// The disk takes no more.
    #[error(
        "the disk buffer cannot be written: the disk is full; free some space, and writing resumes by itself"
    )]
    Full,
    /// The content is damaged.
    #[error("the disk buffer is damaged: {0}")]
    Damaged(String),
    /// The database is no longer where it was opened.
    #[error("the disk buffer in `{}` was deleted or moved while it is in use; no more events are taken: move it back, or restart", .0.display())]
    Gone(PathBuf),
    /// The disk or the system refuses.
    #[error("the disk buffer cannot be written: {0}")]
    Refused(Cause),
}

/// What keeps a disk buffer from being used, other than its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No room.
    #[error("the disk is full; free some space")]
    Full,
    /// No writing at all.
    #[error("the file system is read-only; mount it for writing")]
    ReadOnly,
    /// No descriptor.
    #[error("no file descriptor is left; raise the limit (`ulimit -n`, `LimitNOFILE` of systemd)")]
    Descriptors,
    /// No permission.
    #[error(
        "permission denied; let the user of this process read and write the folder and its files"
    )]
    Permission,
    /// Another program has locked the database.
    #[error(
        "another program has locked its database; close that program, or wait until it has ended"
    )]
    Locked,
    /// A file of the buffer is a symbolic link.
    #[error("`{0}` is a symbolic link; put a file in its place, or remove the link")]
    Link(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl Cause {
    /// The cause of an error of the system.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            ErrorKind::PermissionDenied => Self::Permission,
            _ if error
                .raw_os_error()
                .is_some_and(|code| NO_DESCRIPTOR.contains(&code)) =>
            {
                Self::Descriptors
            }
            _ => Self::Other(error.to_string()),
        }
    }

    /// The cause of an error of SQLite's that is not about the content. SQLite calls most of them an I/O error, so the system is
    /// asked by trying.
    pub(super) fn of_database(error: &rusqlite::Error, folder: &Path) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            _ => match probe(folder) {
                Err(probed) => Self::of(&probed),
                Ok(()) => match error.sqlite_error_code() {
                    Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => Self::Permission,
                    _ => Self::Other(error.to_string()),
                },
            },
        }
    }
}

/// Whether files can be made in a folder. The database is not touched: closing another descriptor of it would drop SQLite's
/// locks.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".probe-{}", std::process::id()));
    // What an earlier process of this number has left.
    let _ = std::fs::remove_file(&path);
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).open(&path)?;
    let opened: io::Result<Vec<_>> = (1..PROBED_FILES)
        .map(|_| OpenOptions::new().write(true).open(&path))
        .collect();
    let written = io::Write::write_all(&mut &made, &[1]);
    let removed = std::fs::remove_file(&path);
    opened.and(written).and(removed)
}

/// Whether an error is about what is in the file.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    ) || matches!(
        error,
        // A value of another type or shape than the schema says.
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::QueryReturnedNoRows
    ) || matches!(error, rusqlite::Error::SqliteFailure(error, Some(text))
        // The schema itself is gone, as in a file whose first page was written over.
        if error.code == ErrorCode::Unknown && text.starts_with("no such table"))
}

pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// An error of a buffer that is open in this folder.
pub(super) fn running(error: &rusqlite::Error, folder: &Path) -> DiskBufferError {
    if is_full(error) {
        return DiskBufferError::Full;
    }
    if is_damage(error) {
        return DiskBufferError::Damaged(error.to_string());
    }
    match Cause::of_database(error, folder) {
        Cause::Full => DiskBufferError::Full,
        cause => DiskBufferError::Refused(cause),
    }
}
