//! The files of a disk buffer: opened for this user only, never through a link, and watched while they are in use.
//!
//! In: the buffer's folder. Out: its lock, held; notices for the operator.
//!
//! Invariant: a file that this module opens is in the folder itself, and only its owner may read or write it.

use super::error::{Cause, DiskBufferError};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub(super) const DATABASE: &str = "records.db";
pub(super) const LOG: &str = "records.db-wal";
pub(super) const LOCK: &str = "lock";
const RESERVE: &str = "reserve";
/// What a lock holds from the moment on when there is a database.
const USED: &[u8] = b"used\n";
/// How the names of files start that were set aside.
const ASIDE: &str = "damaged-";
/// The folder of a database that is being made anew, and its name once it is whole.
const MAKING: &str = "rebuilding";
const MADE: &str = "rebuilt";
/// The largest number of files that are set aside; one more is left out, and that is said.
const MAX_SET_ASIDE: usize = 8;
/// Folders that are looked at: the buffer's own, `buffer`, and `data_dir`.
#[cfg(target_os = "linux")]
const FOLDERS: usize = 3;

/// The files of an open buffer. The lock is held as long as this lives.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    lock: File,
    /// Device and inode of the database.
    #[cfg(unix)]
    identity: (u64, u64),
    /// Whether there was a database once that is not there any more.
    is_missing: bool,
}

impl Files {
    /// Takes the lock, and makes an empty database where there is no file.
    pub(super) fn claim(folder: &Path) -> Result<Self, DiskBufferError> {
        let closed = |cause| DiskBufferError::Closed {
            folder: folder.to_owned(),
            cause,
        };
        create_private_folder(folder).map_err(|error| closed(Cause::of(&error)))?;
        let open = |name: &str, create| {
            let path = folder.join(name);
            open_private(&path, create).map_err(|error| {
                let is_link = path.is_symlink();
                closed(if is_link {
                    Cause::Link(name.to_owned())
                } else {
                    Cause::of(&error)
                })
            })
        };
        let lock = open(LOCK, true)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DiskBufferError::InUse(folder.to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(closed(Cause::of(&error))),
        }
        finish_replacing(folder).map_err(|error| closed(Cause::of(&error)))?;
        let length = |name: &str| folder.join(name).metadata().map_or(0, |file| file.len());
        let was_used = lock.metadata().is_ok_and(|lock| lock.len() > 0)
            || length(RESERVE) > 0
            || length(LOG) > 0;
        let is_missing = was_used && length(DATABASE) == 0;
        let database = open(DATABASE, true)?;
        if folder.join(LOG).symlink_metadata().is_ok() {
            open(LOG, false)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            lock,
            #[cfg(unix)]
            identity: database
                .metadata()
                .map(|file| identity(&file))
                .map_err(|error| closed(Cause::of(&error)))?,
            is_missing,
        })
    }

    /// Whether there was a database once that is not there any more.
    pub(super) fn is_missing(&self) -> bool {
        self.is_missing
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// Bytes of the database and its log.
    pub(super) fn bytes(&self) -> u64 {
        let length = |path: PathBuf| path.metadata().map_or(0, |file| file.len());
        length(self.database()) + length(self.log())
    }

    /// Remembers that there is a database. On a disk that takes nothing, the reserve says the same.
    pub(super) fn mark_used(&mut self) {
        if self.lock.metadata().is_ok_and(|lock| lock.len() == 0) {
            let _ = self.lock.write_all(USED);
        }
    }

    /// Copies a file beside the others, named after the moment at which it was last written. No more than [`MAX_SET_ASIDE`] are kept.
    pub(super) fn copy_aside(&self, from: &Path, kind: &str) -> io::Result<PathBuf> {
        let path = aside(&self.folder, from, kind)?;
        let mut to = open_private(&path, true)?;
        let copied = File::open(from).and_then(|mut from| io::copy(&mut from, &mut to));
        if let Err(error) = copied.and_then(|_| to.sync_all()) {
            // A part of it helps less than the room that it takes.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(path)
    }

    /// Puts the database of another folder in the place of this one, which is set aside with its log; where it is now.
    pub(super) fn replace_database(&mut self, other: &Path) -> io::Result<PathBuf> {
        let aside = replace_database(&self.folder, other)?;
        #[cfg(unix)]
        {
            self.identity = identity(&self.database().metadata()?);
        }
        Ok(aside)
    }

    /// A folder for a new database, without anything in it.
    pub(super) fn making(&self) -> io::Result<PathBuf> {
        let making = self.folder.join(MAKING);
        remove_folder(&making)?;
        Ok(making)
    }

    /// Says of the database in [`Self::making`] that it is whole: it replaces this one, now or at the next start.
    pub(super) fn complete(&self) -> io::Result<PathBuf> {
        let (making, made) = (self.folder.join(MAKING), self.folder.join(MADE));
        File::open(making.join(DATABASE))?.sync_all()?;
        File::open(&making)?.sync_all()?;
        remove_folder(&made)?;
        std::fs::rename(making, &made)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(made)
    }

    /// Refuses where a database was set aside already: each one takes as much room as the buffer may.
    pub(super) fn may_set_aside(&self) -> io::Result<()> {
        for file in std::fs::read_dir(&self.folder)? {
            let name = file?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(ASIDE) && name.ends_with(".db") {
                let problem = format!("`{name}` was set aside before; move it away");
                return Err(io::Error::other(problem));
            }
        }
        Ok(())
    }

    /// Whether the database is still the file that has its name.
    #[cfg(unix)]
    pub(super) fn are_in_place(&self) -> bool {
        self.database()
            .symlink_metadata()
            .is_ok_and(|file| identity(&file) == self.identity)
    }

    #[cfg(not(unix))]
    pub(super) fn are_in_place(&self) -> bool {
        self.database().exists()
    }

    /// What an operator should know about the folder.
    pub(super) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.is_missing {
            notices.push(format!(
                "the disk buffer in `{}` was in use before, and its database is gone or empty: events that waited in it are lost, unless `{DATABASE}` is brought back from elsewhere; it starts empty",
                pipeline_core::shown(&self.folder)
            ));
        }
        #[cfg(target_os = "linux")]
        notices.extend(open_folders(&self.folder));
        notices
    }
}

/// Does what a process that was killed has left: a whole new database takes its place, another one is removed.
fn finish_replacing(folder: &Path) -> io::Result<()> {
    let made = folder.join(MADE);
    if made.join(DATABASE).exists() {
        let aside = replace_database(folder, &made)?;
        let aside = pipeline_core::shown(&aside).to_string();
        tracing::warn!(
            "a disk buffer that an earlier run has made anew takes its place; the damaged database is now `{aside}`"
        );
    }
    remove_folder(&made)?;
    remove_folder(&folder.join(MAKING))
}

/// Sets a database aside with its log, and puts another one in its place. What is left to do when it ends early can be done later.
fn replace_database(folder: &Path, other: &Path) -> io::Result<PathBuf> {
    let (database, log) = (folder.join(DATABASE), folder.join(LOG));
    let aside = aside(folder, &other.join(DATABASE), "db")?;
    if database.exists() {
        std::fs::rename(&database, &aside)?;
    }
    if log.exists() {
        std::fs::rename(&log, aside.with_extension("db-wal"))?;
    }
    if let Err(error) = std::fs::rename(other.join(DATABASE), &database) {
        // Better the old one than none.
        let _ = std::fs::rename(aside.with_extension("db-wal"), &log);
        let _ = std::fs::rename(&aside, &database);
        return Err(error);
    }
    File::open(folder)?.sync_all()?;
    Ok(aside)
}

/// Removes a folder with all that is in it, where there is one.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A new name for what is set aside, after the moment at which `from` was last written.
fn aside(folder: &Path, from: &Path, kind: &str) -> io::Result<PathBuf> {
    let names = std::fs::read_dir(folder)?;
    let kept = names
        .filter_map(Result::ok)
        .filter(|file| {
            let is_of_kind = file.path().extension().is_some_and(|found| found == kind);
            is_of_kind && file.file_name().to_string_lossy().starts_with(ASIDE)
        })
        .count();
    if kept >= MAX_SET_ASIDE {
        let problem = format!("there are {kept} files `{ASIDE}…` already; move them away");
        return Err(io::Error::other(problem));
    }
    let written = jiff::Timestamp::try_from(from.metadata()?.modified()?);
    let written = written.map_err(io::Error::other)?;
    let time = written.strftime("%Y%m%dT%H%M%S");
    Ok(folder.join(format!("{ASIDE}{time}-{kept}.{kind}")))
}

#[cfg(unix)]
fn identity(file: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (file.dev(), file.ino())
}

/// Opens a file for this user only. A link in its place is refused, and a file that others may read is closed to them.
pub(super) fn open_private(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
        #[cfg(target_os = "linux")]
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mut permissions = file.metadata()?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o600);
            // Where it belongs to somebody else, the folder's owner is told.
            let _ = file.set_permissions(permissions);
        }
    }
    Ok(file)
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Folders that belong to another user, or in which others could read or replace files.
#[cfg(target_os = "linux")]
fn open_folders(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid().as_raw();
    let own = folder;
    let notice = |folder: &Path| {
        let found = folder.metadata().ok()?;
        let shown = pipeline_core::shown(folder);
        if found.uid() != user && found.uid() != 0 {
            return Some(format!(
                "the folder `{shown}` belongs to another user (id {}), who can read and replace the disk buffer; give it to the user of this process",
                found.uid()
            ));
        }
        // What is above need only be closed to writing; the sticky bit does that, too.
        let is_own = folder == own;
        let mode = found.mode();
        let is_open = if is_own {
            mode & 0o077 != 0
        } else {
            mode & 0o022 != 0 && mode & 0o1000 == 0
        };
        let advice = if is_own { "700" } else { "go-w" };
        is_open.then(|| {
            format!(
                "other users may use the folder `{shown}` (mode {:o}); close it with `chmod {advice}`",
                mode & 0o7777
            )
        })
    };
    folder
        .ancestors()
        .take(FOLDERS)
        .filter_map(notice)
        .collect()
}
