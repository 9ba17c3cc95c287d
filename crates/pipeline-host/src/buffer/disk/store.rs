//! The file behind a disk buffer: chunks of records in an SQLite database of their own.
//!
//! In: [`Change`]s, each committed as a whole. Out: chunks in the order of their numbers. SQLite's write-ahead log makes a
//! commit atomic and a torn tail harmless; one process has the file for itself.
//!
//! Invariant: what [`Store::commit`] has returned from survives the process; with [`Sync::Commit`] also the machine.

use super::reserve::Reserve;
use crate::config::option::Sync;
use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// The version of the file's layout.
const FORMAT_VERSION: u32 = 1;
/// Tells our file from other databases: `mcbf` in ASCII.
const APPLICATION_ID: u32 = 0x6d63_6266;
/// Large pages: chunks have hundreds of kilobytes, and every page of the log costs two writes.
pub(super) const PAGE_BYTES: u64 = 16 * 1024;
/// The database's own cache, in KiB.
const CACHE_KIB: i64 = 2048;
/// Pages given back to the file system in one step, so that no step takes long.
const TIDY_PAGES: u64 = 128;
/// Steps of that kind that are taken at a time where the disk is full.
const ROOM_STEPS: usize = 16;
/// Bytes of the log's header, and of the header of each of its pages. Both hold the salts of this turn of the log, after so
/// many bytes (SQLite, "WAL file format").
const LOG_HEADER_BYTES: u64 = 32;
const LOG_PAGE_HEADER_BYTES: u64 = 24;
const SALTS_IN_HEADER: u64 = 16;
const SALTS_IN_PAGE_HEADER: u64 = 8;

const SCHEMA: &str = "
    CREATE TABLE chunk (id INTEGER PRIMARY KEY, events INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
    CREATE TABLE progress (chunk INTEGER PRIMARY KEY, marks BLOB NOT NULL) STRICT;
    CREATE TABLE total (id INTEGER PRIMARY KEY CHECK (id = 0), events INTEGER NOT NULL, next INTEGER NOT NULL) STRICT;
    INSERT INTO total VALUES (0, 0, 1);
";

/// Why a disk buffer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskBufferError {
    /// Another process has it.
    #[error("the disk buffer in `{}` is in use by another process; stop that one, or use another `data_dir`", .0.display())]
    InUse(PathBuf),
    /// A later version of this program made it.
    #[error("the disk buffer in `{}` has format {found}, and this version knows formats up to {FORMAT_VERSION}; run the version that wrote it until the buffer is empty, or move the folder away", folder.display())]
    Newer {
        /// The buffer's folder.
        folder: PathBuf,
        /// The format of the file.
        found: u32,
    },
    /// The file is something else, or damaged beyond reading.
    #[error("the disk buffer in `{}` cannot be read: {problem}; move the folder away to start with an empty buffer", folder.display())]
    Unreadable {
        /// The buffer's folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk takes no more.
    #[error(
        "the disk buffer cannot be written: the disk is full; free some space, and writing resumes by itself"
    )]
    Full,
    /// The disk or the system refuses.
    #[error("the disk buffer cannot be written: {0}")]
    Refused(String),
}

/// What is to be written in one go.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) added: &'a [Row],
    pub(super) finished: &'a [u64],
    /// Marks of chunks with some records done or tried.
    pub(super) progress: &'a [(u64, Vec<u8>)],
    /// Records that are not finished, after this change.
    pub(super) events: u64,
    /// The number of the next chunk, after this change.
    pub(super) next: u64,
}

/// A chunk to be written.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) events: u64,
    pub(super) data: Vec<u8>,
}

/// A chunk as it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: u64,
    pub(super) events: u64,
    pub(super) data: Bytes,
    pub(super) marks: Option<Vec<u8>>,
}

/// An open store.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    sync: Sync,
    syncing: bool,
    reserve: Reserve,
    /// Queued as long as the store is.
    _lock: File,
}

/// What a store queued when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inventory {
    pub(super) events: u64,
    pub(super) next: u64,
    /// Bytes at the end of the log that were not written whole, and so are gone. Nobody was told that they are safe,
    /// unless the disk itself failed.
    pub(super) cut_bytes: u64,
}

impl Store {
    /// Opens the store of this folder, which is made where it is missing. Its lock is queued until the store is dropped.
    ///
    /// The log is brought into the file whenever it has `log_bytes`. Pages that were written anew until then, because what
    /// they queued is done, are brought there once only: the larger the log, the less is written.
    pub(super) fn open(
        folder: &Path,
        sync: Sync,
        log_bytes: u64,
    ) -> Result<(Self, Inventory), DiskBufferError> {
        let refused = |error: io::Error| DiskBufferError::Unreadable {
            folder: folder.to_owned(),
            problem: error.to_string(),
        };
        create_private_folder(folder).map_err(refused)?;
        let lock = File::create(folder.join("lock")).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DiskBufferError::InUse(folder.to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        let log = folder.join("records.db-wal");
        let unreadable = |error: rusqlite::Error| DiskBufferError::Unreadable {
            folder: folder.to_owned(),
            problem: error.to_string(),
        };
        let connection = Connection::open(folder.join("records.db")).map_err(unreadable)?;
        set_up(&connection, log_bytes).map_err(unreadable)?;
        let found = check_format(&connection)
            .map_err(unreadable)?
            .ok_or_else(|| DiskBufferError::Unreadable {
                folder: folder.to_owned(),
                problem: "it is a database of another program".to_owned(),
            })?;
        if found > FORMAT_VERSION {
            let folder = folder.to_owned();
            return Err(DiskBufferError::Newer { folder, found });
        }
        let mut store = Self {
            connection,
            sync,
            syncing: true,
            reserve: Reserve::new(folder, log_bytes),
            _lock: lock,
        };
        let inventory = store.inventory(&log).map_err(unreadable)?;
        store.reserve.keep();
        Ok((store, inventory))
    }

    fn inventory(&mut self, log: &Path) -> rusqlite::Result<Inventory> {
        let (events, next) = self.connection.query_row(
            "SELECT events, next FROM total WHERE id = 0",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let inventory = |cut_bytes| Inventory {
            events,
            next,
            cut_bytes,
        };
        // Truncating leaves nothing to count, so the pages are counted first.
        let pages = match self.checkpoint("PASSIVE") {
            Err(error) if is_full(&error) => {
                self.reserve.give();
                self.checkpoint("PASSIVE")
            }
            counted => counted,
        };
        match pages {
            Ok(pages) => {
                // A log that cannot be read says nothing.
                let cut_bytes = behind_whole_pages(log, pages).unwrap_or(0);
                self.checkpoint("TRUNCATE")?;
                Ok(inventory(cut_bytes))
            }
            // The log is as good where it is.
            Err(error) if is_full(&error) => Ok(inventory(0)),
            Err(error) => Err(error),
        }
    }

    /// Brings the log into the file; the number of its pages.
    fn checkpoint(&self, mode: &str) -> rusqlite::Result<i64> {
        let pragma = format!("PRAGMA wal_checkpoint({mode})");
        self.connection.query_row(&pragma, [], |row| row.get(1))
    }

    /// Writes a change as a whole, or nothing of it.
    pub(super) fn commit(&mut self, change: &Change<'_>) -> Result<(), DiskBufferError> {
        // What only removes may be lost with the machine: it is then sent again, with the same event ids.
        let durable = !change.added.is_empty() && self.sync == Sync::Commit;
        if durable != self.syncing {
            let mode = if durable { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", mode)?;
            self.syncing = durable;
        }
        let transaction = self.connection.transaction()?;
        {
            let mut add = transaction.prepare_cached("INSERT INTO chunk VALUES (?, ?, ?)")?;
            for row in change.added {
                add.execute(params![row.id, row.events, row.data])?;
            }
            let mut finish = transaction.prepare_cached("DELETE FROM chunk WHERE id = ?")?;
            let mut forget = transaction.prepare_cached("DELETE FROM progress WHERE chunk = ?")?;
            for id in change.finished {
                finish.execute([id])?;
                forget.execute([id])?;
            }
            let mut mark = transaction.prepare_cached("REPLACE INTO progress VALUES (?, ?)")?;
            for (id, marks) in change.progress {
                mark.execute(params![id, marks])?;
            }
            let mut total =
                transaction.prepare_cached("UPDATE total SET events = ?, next = ? WHERE id = 0")?;
            total.execute(params![change.events, change.next])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The first chunk after this one.
    pub(super) fn read_after(&self, id: u64) -> Result<Option<Found>, DiskBufferError> {
        let mut first = self.connection.prepare_cached(
            "SELECT id, events, data, marks FROM chunk LEFT JOIN progress ON chunk = id WHERE id > ? ORDER BY id LIMIT 1",
        )?;
        let found = first.query_row([id], |row| {
            Ok(Found {
                id: row.get(0)?,
                events: row.get(1)?,
                data: Bytes::from(row.get::<_, Vec<u8>>(2)?),
                marks: row.get(3)?,
            })
        });
        Ok(found.optional()?)
    }

    /// Bytes of the file that hold something.
    pub(super) fn used_bytes(&self) -> Result<u64, DiskBufferError> {
        let (pages, free) = self.pages()?;
        Ok(pages.saturating_sub(free) * PAGE_BYTES)
    }

    fn pages(&self) -> rusqlite::Result<(u64, u64)> {
        let read = |pragma| {
            let mut statement = self.connection.prepare_cached(pragma)?;
            statement.query_row([], |row| row.get(0))
        };
        Ok((read("PRAGMA page_count")?, read("PRAGMA freelist_count")?))
    }

    /// Gives some free space back to the file system; says whether there is more to give.
    pub(super) fn tidy(&self) -> Result<bool, DiskBufferError> {
        let (pages, free) = self.pages()?;
        // A buffer that is in use keeps some free pages for what comes next.
        let is_worthwhile = free > TIDY_PAGES && free * 4 > pages;
        if !is_worthwhile {
            return Ok(false);
        }
        self.give_back()?;
        Ok(true)
    }

    fn give_back(&self) -> rusqlite::Result<()> {
        let pragma = format!("PRAGMA incremental_vacuum({TIDY_PAGES})");
        self.connection.execute_batch(&pragma)?;
        self.checkpoint("TRUNCATE")?;
        Ok(())
    }

    /// Lets the log have so many bytes before it is brought into the file.
    pub(super) fn set_log(&mut self, bytes: u64) -> Result<(), DiskBufferError> {
        set_log(&self.connection, bytes)?;
        self.reserve.resize(bytes);
        Ok(())
    }

    /// Puts aside again what [`Store::make_room`] gave away, where the disk has it.
    pub(super) fn keep_reserve(&mut self) {
        self.reserve.keep();
    }

    /// Prepares for writing what is done, and nothing else, to a disk that has no room.
    pub(super) fn make_room(&mut self) {
        self.reserve.give();
        // If even this is refused, the log grows behind its end.
        let _ = self.checkpoint("TRUNCATE");
    }

    /// Gives the room of what is done back to a disk that had none.
    pub(super) fn give_room_back(&mut self) -> Result<(), DiskBufferError> {
        for _ in 0..ROOM_STEPS {
            if self.pages()?.1 == 0 {
                break;
            }
            self.give_back()?;
        }
        Ok(())
    }
}

/// How many bytes of a log are behind this number of whole pages. Remains of an earlier turn do not count: it
/// has other salts.
pub(super) fn behind_whole_pages(log: &Path, pages: i64) -> io::Result<u64> {
    let mut log = File::open(log)?;
    let length = log.metadata()?.len();
    let mut salts_at = |at| -> io::Result<[u8; 8]> {
        let mut salts = [0; 8];
        log.seek(SeekFrom::Start(at))?;
        log.read_exact(&mut salts)?;
        Ok(salts)
    };
    let salts = salts_at(SALTS_IN_HEADER)?;
    let page_bytes = LOG_PAGE_HEADER_BYTES + PAGE_BYTES;
    let whole = LOG_HEADER_BYTES + u64::try_from(pages).unwrap_or(0) * page_bytes;
    let mut end = whole;
    while salts_at(end + SALTS_IN_PAGE_HEADER).is_ok_and(|found| found == salts) {
        end += page_bytes;
    }
    Ok(end.min(length) - whole.min(length))
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn set_up(connection: &Connection, log_bytes: u64) -> rusqlite::Result<()> {
    // These two only count in a new file, before anything is written.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Before the log is opened: with it no index has to be shared with other processes.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    set_log(connection, log_bytes)
}

fn set_log(connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "wal_autocheckpoint", bytes / PAGE_BYTES)?;
    // When the log starts anew it is written over, which costs the file system less than cutting it and letting it grow
    // again.
    connection.pragma_update(None, "journal_size_limit", bytes)
}

/// Makes a new file ours, and reads the format of an old one; `None` where it is not ours.
fn check_format(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let (id, version) = (read("application_id")?, read("user_version")?);
    if (id, version) == (0, 0) {
        let pragmas = format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION};"
        );
        connection.execute_batch(&format!("BEGIN; {SCHEMA} {pragmas} COMMIT;"))?;
        return Ok(Some(FORMAT_VERSION));
    }
    Ok((id == APPLICATION_ID).then_some(version))
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

impl From<rusqlite::Error> for DiskBufferError {
    fn from(error: rusqlite::Error) -> Self {
        if is_full(&error) {
            return Self::Full;
        }
        Self::Refused(error.to_string())
    }
}
