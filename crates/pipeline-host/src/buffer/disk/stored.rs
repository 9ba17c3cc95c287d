//! How many events a disk buffer holds while no pipeline runs, for a person who asks.
//!
//! Invariant: what is in the folder stays as it is, and a pipeline that runs is not disturbed.

use super::files::{DATABASE, LOCK, LOG};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// What is known of a disk buffer from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// No run has made one.
    Nothing,
    /// So many events wait in it for the next run.
    Events(u64),
    /// A pipeline that runs has it for itself.
    InUse,
    /// It is not a disk buffer, or damaged: the next run says why.
    Unreadable,
}

/// Looks into the disk buffer of a sink. Blocks on the disk.
pub fn stored(data_dir: &Path, sink: &str) -> Stored {
    let folder = data_dir.join("buffer").join(sink);
    let Ok(lock) = File::open(folder.join(LOCK)) else {
        return Stored::Nothing;
    };
    // Shared: several people may look at a time.
    match lock.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Stored::InUse,
        Err(TryLockError::Error(_)) => return Stored::Unreadable,
    }
    let has_log = folder.join(LOG).metadata().is_ok_and(|log| log.len() > 0);
    let counted = connect(&folder.join(DATABASE), has_log).and_then(|it| count(&it));
    counted.map_or(Stored::Unreadable, Stored::Events)
}

fn connect(database: &Path, has_log: bool) -> rusqlite::Result<Connection> {
    if !has_log {
        // All is in the file. As one that does not change, it is read without a log being made for it.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        return Connection::open_with_flags(uri(database), flags);
    }
    // A log can only be read by a connection that may write; it writes nothing.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Without an index of the log that other processes share, which would be a file of its own.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    Ok(connection)
}

fn count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT events FROM total WHERE id = 0", [], |row| {
        row.get(0)
    })
}

/// The file as a URI that says that it does not change.
fn uri(path: &Path) -> OsString {
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'?' | b'#' | b'%' => uri.extend(format!("%{byte:02x}").into_bytes()),
            _ => uri.push(*byte),
        }
    }
    uri.extend(b"?immutable=1");
    OsString::from_vec(uri)
}
