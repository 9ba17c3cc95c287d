//! A disk buffer looked at by a person, and what can be read of a damaged one brought into a new one.
//!
//! In: the folder of a buffer that no process uses. Out: counts; and, where asked, a new database in its place.
//!
//! Invariant: the old database is set aside under another name, never changed or deleted; it makes way only for a new one that is
//! on the disk.

use super::chunk;
use super::error::{Cause, DiskBufferError};
use super::files::Files;
use super::pages::Pages;
use super::store::{Change, Found, Row, Store};
use super::{DONE, MIN_LOG_BYTES};
use crate::config::option::Sync;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// The folder in which a new database is made.
const SALVAGED: &str = "salvaged";
/// Partitions that are told apart.
const MAX_PARTITIONS: usize = 1_000;

/// What a disk buffer holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferCheck {
    /// Events that it says it holds; `None` where even that cannot be read.
    pub expected: Option<u64>,
    /// Events that can be read.
    pub events: u64,
    /// Chunks that can be read.
    pub chunks: u64,
    /// Chunks whose content is damaged.
    pub damaged_chunks: u64,
    /// Places where pages cannot be read; what was there is not known.
    pub damaged_pages: u64,
    /// When the oldest event that can be read was first seen, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<i64>,
    /// The events that can be read, by what they were made for, such as the account.
    pub partitions: BTreeMap<String, u64>,
    /// Why the database cannot be opened.
    pub problem: Option<String>,
}

impl BufferCheck {
    /// Whether everything can be read.
    pub fn is_whole(&self) -> bool {
        self.problem.is_none()
            && self.damaged_chunks == 0
            && self.damaged_pages == 0
            && self.expected.is_none_or(|expected| expected == self.events)
    }

    /// Counts a chunk; says whether it can be used.
    fn add(&mut self, found: &Found) -> bool {
        let Ok(records) = chunk::decode(found.id, &found.data) else {
            self.damaged_chunks += 1;
            return false;
        };
        let marks = found.marks.as_deref();
        let marks: Option<Vec<u32>> = marks.and_then(|marks| postcard::from_bytes(marks).ok());
        let marks = marks.filter(|marks| marks.len() == records.len());
        self.chunks += 1;
        for (index, queued) in records.iter().enumerate() {
            if marks.as_ref().is_some_and(|marks| marks[index] == DONE) {
                continue;
            }
            self.events += 1;
            let first_ms = queued.meta.first_ms;
            self.oldest_ms = Some(
                self.oldest_ms
                    .map_or(first_ms, |oldest| oldest.min(first_ms)),
            );
            let partition = &*queued.record.partition;
            if self.partitions.len() < MAX_PARTITIONS || self.partitions.contains_key(partition) {
                *self.partitions.entry(partition.to_owned()).or_default() += 1;
            }
        }
        true
    }
}

/// What became of a damaged buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// What was found, and is in the new database.
    pub found: BufferCheck,
    /// Where the old database is now.
    pub aside: PathBuf,
}

/// Looks at the disk buffer in this folder.
///
/// # Errors
///
/// When another process uses it, or the machine refuses. Damage is no error; it is counted.
pub fn check(folder: &Path) -> Result<BufferCheck, DiskBufferError> {
    let mut check = BufferCheck::default();
    let files = read(folder, &mut check, |_| Ok(()))?;
    drop(files);
    Ok(check)
}

/// Brings what can be read of a disk buffer into a new one, which takes its place. Blocks.
///
/// # Errors
///
/// When another process uses it, or the machine refuses; the buffer is as it was then.
pub fn salvage(folder: &Path) -> Result<Salvaged, DiskBufferError> {
    let making = folder.join(SALVAGED);
    let refused = |error: &io::Error| DiskBufferError::Refused(Cause::of(error));
    if making.exists() {
        // What an earlier attempt has not finished.
        std::fs::remove_dir_all(&making).map_err(|error| refused(&error))?;
    }
    let mut found = BufferCheck::default();
    let mut files = {
        let (mut new, _) = Store::open(&making, Sync::Commit, MIN_LOG_BYTES)?;
        let (mut events, mut next) = (0, 1);
        read(folder, &mut found, |chunk| {
            let row = Row {
                id: chunk.id,
                events: chunk.events,
                data: chunk.data.to_vec(),
            };
            let done = chunk.done();
            events += chunk.events - done;
            next = next.max(chunk.id + 1);
            let marks = chunk.marks.map(|marks| (chunk.id, marks));
            new.commit(&Change {
                added: &[row],
                finished: &[],
                progress: marks.as_slice(),
                events,
                next,
            })
        })?
    };
    let aside = files
        .replace_database(&making)
        .map_err(|error| refused(&error))?;
    // Only its lock and reserve are left.
    let _ = std::fs::remove_dir_all(&making);
    Ok(Salvaged { found, aside })
}

/// Reads everything that can be read: along the tree first, then page by page where that is not all. The lock is held until what
/// is returned is dropped.
fn read(
    folder: &Path,
    check: &mut BufferCheck,
    mut take: impl FnMut(Found) -> Result<(), DiskBufferError>,
) -> Result<Files, DiskBufferError> {
    let mut taken = BTreeSet::new();
    let files = match Store::open_for_reading(folder) {
        Ok((store, inventory)) => {
            check.expected = Some(inventory.events);
            let (mut after, last) = (0, inventory.next.saturating_sub(1));
            while let Some(found) = store.read_after(after, last)? {
                after = found.id;
                if found.gap.is_some() || found.is_noted_gap() {
                    check.damaged_pages += 1;
                } else if check.add(&found) {
                    taken.insert(found.id);
                    take(found)?;
                }
                if after >= last {
                    break;
                }
            }
            store.into_files()
        }
        Err(error @ DiskBufferError::Unreadable { .. }) => {
            check.problem = Some(error.to_string());
            Files::claim(folder)?
        }
        Err(error) => return Err(error),
    };
    if check.problem.is_some() || check.damaged_pages > 0 {
        let pages = Pages::open(&files.database(), &files.log());
        let mut pages = pages.map_err(|error| DiskBufferError::Refused(Cause::of(&error)))?;
        pages.chunks(|chunk| {
            if !taken.insert(chunk.id) {
                return Ok(());
            }
            let found = Found {
                id: chunk.id,
                events: chunk.events,
                data: chunk.data,
                marks: None,
                gap: None,
            };
            if check.add(&found) {
                take(found)
            } else {
                Ok(())
            }
        })?;
    }
    Ok(files)
}

impl Found {
    /// Records that are done already.
    fn done(&self) -> u64 {
        let marks = self.marks.as_deref();
        let marks: Option<Vec<u32>> = marks.and_then(|marks| postcard::from_bytes(marks).ok());
        let done = marks.iter().flatten().filter(|mark| **mark == DONE).count() as u64;
        done.min(self.events)
    }
}
