//! The file behind a disk buffer: chunks of records in an SQLite database of their own.
//!
//! In: [`Change`]s, each committed as a whole. Out: chunks in the order of their numbers. SQLite's write-ahead log makes a
//! commit atomic and a torn tail harmless; one process has the file for itself.
//!
//! Invariant: what [`Store::commit`] has returned from survives the process; with [`Sync::Commit`] also the machine.

use super::error::{Cause, DiskBufferError, is_damage, is_full, running};
use super::files::{Files, remove_folder};
use super::format::FORMAT_VERSION;
use super::log::{self, Unused};
use super::reserve::Reserve;
use crate::config::option::Sync;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::{Path, PathBuf};

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
/// Chunk numbers that are tried one after the other behind a damaged page, in one step.
const MAX_PROBES: u64 = 1_000;
const WHOLE_CHUNK: &str = "SELECT id, events, data, marks FROM chunk LEFT JOIN progress ON chunk = id WHERE id > ? ORDER BY id LIMIT 1";
const CHUNK_WITHOUT_MARKS: &str =
    "SELECT id, events, data, NULL FROM chunk WHERE id > ? ORDER BY id LIMIT 1";
const CHUNK_WITHOUT_DATA: &str =
    "SELECT id, events, x'', NULL FROM chunk WHERE id > ? ORDER BY id LIMIT 1";

const SCHEMA: &str = "
    CREATE TABLE chunk (id INTEGER PRIMARY KEY, events INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
    CREATE TABLE progress (chunk INTEGER PRIMARY KEY, marks BLOB NOT NULL) STRICT;
    CREATE TABLE total (id INTEGER PRIMARY KEY CHECK (id = 0), events INTEGER NOT NULL, next INTEGER NOT NULL) STRICT;
    INSERT INTO total VALUES (0, 0, 1);
";

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
    /// What SQLite itself cannot read.
    pub(super) gap: Option<Gap>,
}

/// A chunk, or several, that SQLite cannot read. They stay in the file, because a damaged page cannot be changed either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// One chunk whose number of records is known.
    Chunk,
    /// Everything up to the number of the chunk; how many records there were is not known.
    Page,
}

/// An open store.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    sync: Sync,
    syncing: bool,
    reserve: Reserve,
    files: Files,
    log_bytes: u64,
    /// The database is closed, and has to be opened again first.
    is_detached: bool,
}

/// What a store held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inventory {
    pub(super) events: u64,
    pub(super) next: u64,
    /// Bytes at the end of the log that were not written whole, and so are gone. They were never acknowledged,
    /// unless the disk itself failed.
    pub(super) cut_bytes: u64,
    /// What the operator should know.
    pub(super) notices: Vec<String>,
}

impl Store {
    /// Opens the store of this folder, which is made where it is missing. Its lock is held until the store is dropped.
    ///
    /// The log is brought into the file whenever it has `log_bytes`. Pages that were written anew until then, because what
    /// they held is done, are brought there once only: the larger the log, the less is written.
    pub(super) fn open(
        folder: &Path,
        sync: Sync,
        log_bytes: u64,
    ) -> Result<(Self, Inventory), DiskBufferError> {
        let mut files = Files::claim(folder)?;
        let mut reserve = Reserve::new(folder, log_bytes);
        let mut notices = files.notices();
        // Before SQLite sees it: a log that it does not understand is cut.
        let unused = log::unused(&files.log()).map_err(|error| DiskBufferError::Closed {
            folder: folder.to_owned(),
            cause: Cause::of(&error),
        })?;
        notices.extend(keep_log(&files, &mut reserve, unused));
        let connection = match connect(&files, log_bytes) {
            Err(error) if is_full(&error) => {
                reserve.give();
                connect(&files, log_bytes)
            }
            connected => connected,
        };
        let refused = |error: rusqlite::Error| not_opened(&error, &files, None);
        let connection = connection.map_err(refused)?;
        let found = check_format(&connection).map_err(refused)?.ok_or_else(|| {
            DiskBufferError::Unreadable {
                folder: folder.to_owned(),
                problem: "it is a database of another program".to_owned(),
                content: format!("{} bytes", files.bytes()),
            }
        })?;
        if found > FORMAT_VERSION {
            return Err(DiskBufferError::Newer {
                folder: folder.to_owned(),
                found,
                bytes: files.bytes(),
            });
        }
        files.mark_used();
        let mut store = Self {
            connection,
            sync,
            syncing: true,
            reserve,
            files,
            log_bytes,
            is_detached: false,
        };
        let (events, next) = store.read_in()?;
        store.reserve.keep();
        let inventory = Inventory {
            events,
            next,
            cut_bytes: unused.bytes,
            notices,
        };
        Ok((store, inventory))
    }

    /// As [`open`](Self::open), for a person who looks at it.
    pub(super) fn open_for_reading(folder: &Path) -> Result<(Self, Inventory), DiskBufferError> {
        Self::open(folder, Sync::Commit, super::MIN_LOG_BYTES)
    }

    /// Closes the database and keeps the lock.
    pub(super) fn into_files(self) -> Files {
        self.files
    }

    /// Its files, where a database may be made anew beside the one that is open.
    pub(super) fn files_to_rebuild(&mut self) -> Result<&Files, DiskBufferError> {
        self.attach()?;
        self.files
            .may_set_aside()
            .map_err(|error| DiskBufferError::Refused(Cause::of(&error)))?;
        Ok(&self.files)
    }

    /// Continues with the database of another folder, which is removed; says where the old one is now.
    pub(super) fn replace(&mut self, made: &Path) -> Result<PathBuf, DiskBufferError> {
        let closed = Connection::open_in_memory().map_err(|error| self.explain(&error))?;
        drop(std::mem::replace(&mut self.connection, closed));
        self.is_detached = true;
        let replaced = self.files.replace_database(made);
        self.attach()?;
        let aside = replaced.map_err(|error| DiskBufferError::Refused(Cause::of(&error)))?;
        // Only its lock and reserve are left.
        let _ = remove_folder(made);
        Ok(aside)
    }

    /// Opens the database again where that has failed.
    fn attach(&mut self) -> Result<(), DiskBufferError> {
        if self.is_detached {
            let connection = connect(&self.files, self.log_bytes);
            self.connection = connection.map_err(|error| self.explain(&error))?;
            self.is_detached = false;
            self.syncing = true;
        }
        Ok(())
    }

    /// Brings everything to the disk, in the one file.
    pub(super) fn finish(self) -> Result<(), DiskBufferError> {
        self.connection
            .pragma_update(None, "synchronous", "FULL")
            .and_then(|()| self.checkpoint("TRUNCATE"))
            .map_err(|error| self.explain(&error))
    }

    /// Brings the log into the file; the number of records that are not done, and the number of the next chunk.
    fn read_in(&mut self) -> Result<(u64, u64), DiskBufferError> {
        let counted =
            self.connection
                .query_row("SELECT events, next FROM total WHERE id = 0", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                });
        let (events, next) = counted.map_err(|error| not_opened(&error, &self.files, None))?;
        let done = match self.checkpoint("TRUNCATE") {
            Err(error) if is_full(&error) => {
                self.reserve.give();
                self.checkpoint("TRUNCATE")
            }
            done => done,
        };
        match done {
            // On a full disk, the log is as good where it is.
            Err(error) if !is_full(&error) => Err(not_opened(&error, &self.files, Some(events))),
            _ => Ok((events, next)),
        }
    }

    /// Brings the log into the file.
    fn checkpoint(&self, mode: &str) -> rusqlite::Result<()> {
        let pragma = format!("PRAGMA wal_checkpoint({mode})");
        self.connection.query_row(&pragma, [], |_| Ok(()))
    }

    /// What an error of an open database says.
    fn explain(&self, error: &rusqlite::Error) -> DiskBufferError {
        running(error, self.files.folder())
    }

    /// Writes a change as a whole, or nothing of it.
    pub(super) fn commit(&mut self, change: &Change<'_>) -> Result<(), DiskBufferError> {
        self.attach()?;
        // An acknowledgement says that the record is found again, and a file without a name is not.
        if !change.added.is_empty() {
            self.check_place()?;
        }
        self.write(change).map_err(|error| self.explain(&error))
    }

    fn write(&mut self, change: &Change<'_>) -> rusqlite::Result<()> {
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

    /// The first chunk after this one, or what cannot be read before it; none has a number above `last`.
    pub(super) fn read_after(&self, id: u64, last: u64) -> Result<Option<Found>, DiskBufferError> {
        let found = match self.chunk_after(id, WHOLE_CHUNK) {
            Err(error) if is_damage(&error) => self.step_over(id, last),
            found => found,
        };
        found.map_err(|error| self.explain(&error))
    }

    /// What there is after a chunk where SQLite finds damage: as much as can be read, then where reading resumes.
    fn step_over(&self, id: u64, last: u64) -> rusqlite::Result<Option<Found>> {
        // Without the marks, some records are sent twice, under the same event ids.
        if let Ok(found) = self.chunk_after(id, CHUNK_WITHOUT_MARKS) {
            return Ok(found);
        }
        if let Ok(Some(found)) = self.chunk_after(id, CHUNK_WITHOUT_DATA) {
            let gap = Some(Gap::Chunk);
            return Ok(Some(Found { gap, ..found }));
        }
        let end = last.min(id.saturating_add(MAX_PROBES)).max(id + 1);
        let mut next = self
            .connection
            .prepare_cached("SELECT id FROM chunk WHERE id > ? ORDER BY id LIMIT 1")?;
        let is_readable = |id: &u64| {
            let found = next.query_row([*id], |row| row.get::<_, u64>(0));
            !found.optional().is_err_and(|error| is_damage(&error))
        };
        let resume = (id + 1..end).find(is_readable).unwrap_or(end);
        Ok(Some(Found {
            id: resume,
            events: 0,
            data: Bytes::new(),
            marks: None,
            gap: Some(Gap::Page),
        }))
    }

    fn chunk_after(&self, id: u64, columns: &str) -> rusqlite::Result<Option<Found>> {
        let mut first = self.connection.prepare_cached(columns)?;
        let found = first.query_row([id], |row| {
            Ok(Found {
                id: row.get(0)?,
                events: row.get(1)?,
                data: Bytes::from(row.get::<_, Vec<u8>>(2)?),
                marks: row.get(3)?,
                gap: None,
            })
        });
        found.optional()
    }

    /// Bytes of the file that hold something.
    pub(super) fn used_bytes(&self) -> Result<u64, DiskBufferError> {
        let (pages, free) = self.pages().map_err(|error| self.explain(&error))?;
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
        self.give_some().map_err(|error| self.explain(&error))
    }

    fn give_some(&self) -> rusqlite::Result<bool> {
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
        self.log_bytes = bytes;
        set_log(&self.connection, bytes).map_err(|error| self.explain(&error))?;
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
        self.give_free_pages().map_err(|error| self.explain(&error))
    }

    /// Whether the database is where it was opened, and can be found at the next start.
    pub(super) fn check_place(&self) -> Result<(), DiskBufferError> {
        if self.files.are_in_place() {
            return Ok(());
        }
        Err(DiskBufferError::Gone(self.files.folder().to_owned()))
    }

    fn give_free_pages(&self) -> rusqlite::Result<()> {
        for _ in 0..ROOM_STEPS {
            if self.pages()?.1 == 0 {
                break;
            }
            self.give_back()?;
        }
        Ok(())
    }
}

/// Why a store cannot be opened; `events` where their number is known.
fn not_opened(error: &rusqlite::Error, files: &Files, events: Option<u64>) -> DiskBufferError {
    let folder = files.folder().to_owned();
    if !is_damage(error) {
        let cause = Cause::of_database(error, &folder);
        return DiskBufferError::Closed { folder, cause };
    }
    let content = events.map_or_else(
        || format!("{} bytes", files.bytes()),
        |events| format!("{events} events"),
    );
    DiskBufferError::Unreadable {
        folder,
        problem: error.to_string(),
        content,
    }
}

/// Copies a log that will not be used whole, before SQLite cuts it. What is lost is said.
fn keep_log(files: &Files, reserve: &mut Reserve, unused: Unused) -> Option<String> {
    let has_no_database = files.is_missing() && files.bytes() > 0;
    if !unused.has_commit && !has_no_database {
        return None;
    }
    let kept = files.copy_aside(&files.log(), "log").or_else(|error| {
        let is_full = Cause::of(&error) == Cause::Full;
        if is_full {
            reserve.give();
            return files.copy_aside(&files.log(), "log");
        }
        Err(error)
    });
    // Without its database, SQLite uses nothing of a log.
    let bytes = if has_no_database {
        files.bytes()
    } else {
        unused.bytes
    };
    Some(match kept {
        Ok(path) => format!(
            "{bytes} bytes of the disk buffer's log are damaged and cannot be used; events that were acknowledged may be lost with them; the log was copied to `{}`",
            pipeline_core::shown(&path)
        ),
        Err(error) => format!(
            "{bytes} bytes of the disk buffer's log are damaged and cannot be used; events that were acknowledged may be lost with them; the log could not be copied: {error}"
        ),
    })
}

fn connect(files: &Files, log_bytes: u64) -> rusqlite::Result<Connection> {
    let is_new = files
        .database()
        .metadata()
        .is_ok_and(|file| file.len() == 0);
    let connection = Connection::open(files.database())?;
    set_up(&connection, log_bytes, is_new)?;
    Ok(connection)
}

fn set_up(connection: &Connection, log_bytes: u64, is_new: bool) -> rusqlite::Result<()> {
    // Before anything that opens the log: with it no index has to be shared with other processes, in a file that a full disk
    // has no room for.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    // These two only count in a new file, before anything is written. In another one the second writes to the log, even
    // where nothing changes.
    if is_new {
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
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
