//! Files of an earlier run, found again: under their name, renamed by a rotation, or copied by one.
//!
//! Invariant: a file resumes from a checkpoint only if it holds what the checkpoint says has been read.

use super::checkpoint::{Entries, Entry};
use super::opened::{Found, real_place};
use json_framing::Fingerprint;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Files of one folder that are looked through for one that was renamed or copied.
const MAX_FOLDER_FILES: usize = 10_000;

/// A file to read, and what is known of it.
#[derive(Debug)]
pub(super) struct Resumed {
    pub(super) found: Found,
    pub(super) known: Option<(u64, Entry)>,
    /// Whether the source's `path` names it.
    pub(super) is_configured: bool,
}

/// What became of the files of an earlier run.
#[derive(Debug)]
pub(super) struct Recalled {
    /// All files to read: those under another name first, then the others in the order in which they were found.
    pub(super) files: Vec<Resumed>,
    /// Files that are gone, or no longer hold what was read.
    pub(super) gone: Entries,
    /// Files whose folder is missing or empty: a disk that is not mounted comes back.
    pub(super) away: Entries,
}

/// Looks for the files of `entries` among those found, and in the folders where they were; not among `others`.
pub(super) fn recall(entries: Entries, found: Vec<Found>, others: HashSet<(u64, u64)>) -> Recalled {
    let mut pool = Pool {
        ids: others,
        ..Pool::default()
    };
    pool.extend(found);
    let configured = pool.files.len();
    let missing = pool.claim(entries, Pool::same);
    let folders: HashSet<_> = missing.values().flat_map(folders).collect();
    pool.extend(folders.into_iter().flat_map(siblings));
    let missing = pool.claim(missing, Pool::same);
    if !missing.is_empty() {
        pool.read_starts();
    }
    let gone = pool.claim(missing, Pool::copy);

    let (mut files, mut later) = (Vec::new(), Vec::new());
    for (index, found) in pool.files.into_iter().enumerate() {
        let known = pool.claims.remove(&index);
        let is_configured = index < configured;
        let was_there = known.as_ref().is_none_or(|(_, entry)| {
            let is_named_so = |now: PathBuf| now == entry.path;
            std::path::absolute(&found.path).is_ok_and(is_named_so)
                || is_named_so(real_place(&found.path))
        });
        let resumed = Resumed {
            found,
            known,
            is_configured,
        };
        match (&resumed.known, is_configured) {
            (Some(_), _) if !was_there => files.push(resumed),
            (Some(_), _) | (None, true) => later.push(resumed),
            (None, false) => {}
        }
    }
    files.append(&mut later);
    let (gone, away) = gone.into_iter().partition(|(_, entry)| has_files(entry));
    Recalled { files, gone, away }
}

/// Whether there is anything in the folder where a file was.
pub(super) fn has_files(entry: &Entry) -> bool {
    let listed = folders(entry)
        .into_iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok());
    listed.flatten().any(|listed| listed.is_ok())
}

/// The regular files beside a file, as far as their metadata can be read.
pub(super) fn siblings(folder: PathBuf) -> Vec<Found> {
    let Ok(listed) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let found = listed
        .take(MAX_FOLDER_FILES)
        .filter_map(|listed| Found::at(&listed.ok()?.path()).ok());
    found.filter(|found| found.stat.is_regular).collect()
}

/// The folders in which a file was: by its path, and where that leads now, if it is a link.
pub(super) fn folders(entry: &Entry) -> Vec<PathBuf> {
    let mut places = vec![entry.path.clone(), real_place(&entry.path)];
    places.dedup();
    let folders = places.iter().filter_map(|place| place.parent());
    let mut folders: Vec<_> = folders.map(Path::to_owned).collect();
    folders.dedup();
    folders
}

/// Whether a file holds all that was read of another, and so is a copy of it.
pub(super) fn is_copy(found: &Found, entry: &Entry) -> bool {
    entry.mark.end() > 0 && found.holds(entry).unwrap_or(false)
}

/// Files that may be those of an earlier run.
#[derive(Default)]
struct Pool {
    files: Vec<Found>,
    ids: HashSet<(u64, u64)>,
    by_inode: HashMap<u64, Vec<usize>>,
    by_start: HashMap<Fingerprint, Vec<usize>>,
    claims: BTreeMap<usize, (u64, Entry)>,
}

impl Pool {
    /// Adds files, each once whatever its names.
    fn extend(&mut self, files: impl IntoIterator<Item = Found>) {
        for found in files {
            let (id, index) = (found.stat.id(), self.files.len());
            // Pipes and devices have no identity that can be compared.
            if !found.stat.is_regular || self.ids.insert(id) {
                self.by_inode.entry(id.1).or_default().push(index);
                self.files.push(found);
            }
        }
    }

    /// Gives each entry the file that `find` finds for it, and returns the entries without one.
    fn claim(
        &mut self,
        entries: Entries,
        find: impl Fn(&Self, &Entry) -> Option<usize>,
    ) -> Entries {
        let mut missing = Entries::new();
        for (id, entry) in entries {
            match find(self, &entry) {
                Some(index) => drop(self.claims.insert(index, (id, entry))),
                None => drop(missing.insert(id, entry)),
            }
        }
        missing
    }

    fn same(&self, entry: &Entry) -> Option<usize> {
        let candidates = self.by_inode.get(&entry.inode)?;
        candidates.iter().copied().find(|index| {
            let found = &self.files[*index];
            // A file that cannot be read now is kept; reading it reports the error.
            self.is_free(*index) && found.stat.may_be(entry) && found.holds(entry).unwrap_or(true)
        })
    }

    fn copy(&self, entry: &Entry) -> Option<usize> {
        let is_copy = |index: &usize| self.is_free(*index) && is_copy(&self.files[*index], entry);
        if entry.start.is_long() {
            return self
                .by_start
                .get(&entry.start)?
                .iter()
                .copied()
                .find(is_copy);
        }
        // A short file may have grown before it was copied.
        (0..self.files.len()).find(is_copy)
    }

    fn is_free(&self, index: usize) -> bool {
        !self.claims.contains_key(&index)
    }

    fn read_starts(&mut self) {
        for (index, found) in self.files.iter().enumerate() {
            if found.stat.is_regular
                && !self.claims.contains_key(&index)
                && let Ok(head) = found.head()
            {
                let start = Fingerprint::of_start(&head);
                self.by_start.entry(start).or_default().push(index);
            }
        }
    }
}
