//! The checkpoint of one source on disk: which files it has read, and how far.
//!
//! It lives in `data_dir/checkpoints/<source>.json`, is replaced as a whole, and is locked through
//! `<source>.lock` beside it, so that two processes never read for one checkpoint.
//!
//! Invariant: at every moment the file holds one whole checkpoint, the old or the new one; and nothing of what files say,
//! only lengths and checksums.

use json_framing::{Fingerprint, Mark};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The version that is written.
const VERSION: u64 = 1;
/// Files that one source remembers at most.
pub(super) const MAX_FILES: usize = 10_000;
/// Largest checkpoint that is read, in bytes: [`MAX_FILES`] with long paths.
const MAX_CHECKPOINT_BYTES: u64 = 64 * 1024 * 1024;

/// How far one file has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where it really was, links resolved; it may have been renamed since. Older checkpoints hold the path as it was named.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub(super) path: PathBuf,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Its first bytes, because an inode is used again when a file is gone.
    pub(super) start: Fingerprint,
    /// Bytes of a plain file that were there and had not been read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) unread: u64,
    /// Its length when it was told that a part of it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told: Option<u64>,
    #[serde(flatten)]
    pub(super) mark: Mark,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// The files by a number that is valid during one run, in the order in which they were found.
pub(super) type Entries = BTreeMap<u64, Entry>;

/// What one batch of lines changes in a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The file of this number has been read so far.
    Read(u64, Entry),
    /// The file of this number is gone.
    Forget(u64),
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointError {
    /// The folder or the file cannot be used.
    #[error("cannot be used: {0}; make it readable and writable, or set `checkpoint: false`")]
    Io(#[from] io::Error),
    /// A newer program wrote it.
    #[error(
        "has version {0}, and this program knows version {VERSION}; use the newer program, or move the file away to read \
         everything from the start"
    )]
    Newer(u64),
    /// What was read last could not be saved.
    #[error(
        "cannot be written: {0}; until it can be, the next run reads the last lines of this one again"
    )]
    Unsaved(io::Error),
    /// Another process holds it.
    #[error(
        "is kept by another process; end that one, or give this pipeline a `data_dir` of its own"
    )]
    InUse,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct Document<F> {
    version: u64,
    files: F,
}

/// In front of the bytes of a path that is not UTF-8, in hexadecimal. Whole paths begin otherwise.
const BYTES: &str = "bytes:";

fn as_text<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    if let Some(text) = path.to_str() {
        return serializer.serialize_str(text);
    }
    let mut text = BYTES.to_owned();
    for byte in path.as_os_str().as_bytes() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    serializer.serialize_str(&text)
}

fn from_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = text.strip_prefix(BYTES).and_then(|hexadecimal| {
        let pairs = hexadecimal.as_bytes().chunks(2);
        let digits = pairs.map(|pair| std::str::from_utf8(pair).ok());
        let bytes = digits.map(|digits| u8::from_str_radix(digits?, 16).ok());
        bytes.collect::<Option<Vec<_>>>()
    });
    Ok(match bytes {
        Some(bytes) => OsString::from_vec(bytes).into(),
        None => text.into(),
    })
}

/// The checkpoint file of one source, held by this process alone.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl Store {
    pub(super) fn path_of(data_dir: &Path, source: &str) -> PathBuf {
        data_dir.join("checkpoints").join(format!("{source}.json"))
    }

    /// Locks a source's checkpoint.
    pub(super) fn open(data_dir: &Path, source: &str) -> Result<Self, CheckpointError> {
        let path = Self::path_of(data_dir, source);
        let folder = data_dir.join("checkpoints");
        std::fs::create_dir_all(data_dir)?;
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let lock = create(&path.with_extension("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(Self {
            path,
            folder,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved last; empty if nothing was. A file that cannot be parsed is renamed to `.bad`.
    pub(super) fn load(&self) -> Result<Entries, CheckpointError> {
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(MAX_CHECKPOINT_BYTES).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entries::new()),
            Err(error) => return Err(error.into()),
        };
        match serde_json::from_slice(&bytes) {
            Ok(Versioned { version }) if version > VERSION => {
                return Err(CheckpointError::Newer(version));
            }
            _ => {}
        }
        if let Ok(document) = serde_json::from_slice::<Document<Vec<Entry>>>(&bytes)
            && document.version == VERSION
        {
            return Ok((0..).zip(document.files).collect());
        }
        // Writes are atomic, so this is disk corruption or a manual edit.
        let aside = self.path.with_extension("json.bad");
        std::fs::rename(&self.path, &aside)?;
        tracing::error!(
            "the checkpoint `{}` is damaged and has been set aside as `{}`: everything is read from the start, and events \
             that were delivered before are sent again under the same ids",
            pipeline_core::shown(&self.path),
            pipeline_core::shown(&aside)
        );
        Ok(Entries::new())
    }

    /// Replaces what was saved. Blocks on the disk.
    pub(super) fn save(&self, entries: &Entries) -> io::Result<()> {
        let document = Document {
            version: VERSION,
            files: entries.values().collect::<Vec<_>>(),
        };
        let mut bytes = serde_json::to_vec(&document)?;
        bytes.push(b'\n');
        let new = self.path.with_extension("json.new");
        let mut file = create(&new)?;
        file.set_len(0)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// Opens a file for writing that only its owner reads. A link in its place is refused, because what it leads to is not ours.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let file = options.open(path).map_err(|error| {
        if path.is_symlink() {
            io::Error::other("a symbolic link is in its place")
        } else {
            error
        }
    })?;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        // A file of somebody else stays as it is.
        let _ = file.set_permissions(permissions);
    }
    Ok(file)
}

/// For the fuzz targets: reads a checkpoint, writes what was read, and reads that again. Returns how many files each reading has.
#[cfg(fuzzing)]
#[expect(clippy::expect_used, reason = "a folder of the fuzzer")]
pub fn again(data_dir: &Path, source: &str, bytes: &[u8]) -> (usize, usize) {
    let opened = Store::open(data_dir, source).expect("a folder of this process");
    std::fs::write(opened.path(), bytes).expect("a writable folder");
    let Ok(first) = opened.load() else {
        return (0, 0);
    };
    opened.save(&first).expect("a writable folder");
    let second = opened.load().expect("what was just written");
    (first.len(), second.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use json_framing::Surroundings;
    use std::os::unix::fs::symlink;

    fn entries() -> Entries {
        let entry = |inode| Entry {
            path: match inode {
                7 => PathBuf::from("/logs/app.ndjson"),
                _ => OsString::from_vec(b"/logs/caf\xe9".to_vec()).into(),
            },
            device: 1,
            inode,
            start: Fingerprint::of_start(b"{\"email\":\"jane@example.com\"}"),
            unread: inode - 7,
            told: (inode == 7).then_some(30),
            mark: Mark {
                offset: 29,
                line: 1,
                open_bytes: 0,
                last: Fingerprint::of_start(b"{\"email\":\"jane@example.com\"}\n"),
                around: Surroundings::default(),
            },
        };
        (0..2).map(|id| (id, entry(id + 7))).collect()
    }

    #[test]
    fn what_was_saved_is_loaded_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data"), "events").unwrap();
        assert_eq!(store.load().unwrap(), Entries::new());
        store.save(&entries()).unwrap();
        store.save(&entries()).unwrap();
        assert_eq!(store.load().unwrap(), entries());
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(store.path()), 0o600);
        assert_eq!(mode(&store.folder), 0o700);
        let text = std::fs::read_to_string(store.path()).unwrap();
        assert!(text.starts_with("{\"version\":1,"), "{text}");
        assert!(
            !text.contains("jane") && !text.contains("example.com"),
            "{text}"
        );
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_refused_and_its_target_is_untouched() {
        let victim = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(victim.path(), "precious").unwrap();
        for link in ["in.lock", "in.json.new", "in.json"] {
            let folder = tempfile::tempdir().unwrap();
            let checkpoints = folder.path().join("checkpoints");
            std::fs::create_dir(&checkpoints).unwrap();
            symlink(victim.path(), checkpoints.join(link)).unwrap();
            let saved = Store::open(folder.path(), "in").and_then(|store| {
                let saved = store.save(&entries());
                saved.map_err(CheckpointError::Unsaved)
            });
            // The checkpoint itself is replaced, whatever is there.
            if link == "in.json" {
                saved.unwrap();
                assert!(!checkpoints.join(link).is_symlink());
            } else {
                let said = saved.unwrap_err().to_string();
                assert!(said.contains("a symbolic link is in its place"), "{said}");
            }
            assert_eq!(std::fs::read_to_string(victim.path()).unwrap(), "precious");
        }
    }

    #[test]
    fn files_that_others_could_read_are_closed_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("checkpoints");
        std::fs::create_dir(&checkpoints).unwrap();
        for name in ["in.lock", "in.json", "in.json.new"] {
            std::fs::write(checkpoints.join(name), "").unwrap();
            let open = std::fs::Permissions::from_mode(0o666);
            std::fs::set_permissions(checkpoints.join(name), open).unwrap();
        }
        let store = Store::open(folder.path(), "in").unwrap();
        store.save(&entries()).unwrap();
        for name in ["in.lock", "in.json"] {
            let mode = checkpoints.join(name).metadata().unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_checkpoint_is_held_by_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path(), "events").unwrap();
        let second = Store::open(folder.path(), "events").unwrap_err();
        assert!(matches!(second, CheckpointError::InUse), "{second}");
        Store::open(folder.path(), "others").unwrap();
        drop(first);
        Store::open(folder.path(), "events").unwrap();
    }

    #[test]
    fn what_cannot_be_understood_is_set_aside_and_what_is_newer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "events").unwrap();
        let whole = {
            store.save(&entries()).unwrap();
            std::fs::read_to_string(store.path()).unwrap()
        };
        let bad = store.path().with_extension("json.bad");
        for damaged in [
            "",
            "{\"version\":1",
            "[]",
            "{\"version\":0,\"files\":[]}",
            &whole[..whole.len() / 2],
        ] {
            std::fs::write(store.path(), damaged).unwrap();
            assert_eq!(store.load().unwrap(), Entries::new(), "{damaged}");
            assert_eq!(std::fs::read_to_string(&bad).unwrap(), damaged);
            assert!(!store.path().exists());
        }
        std::fs::write(store.path(), "{\"version\":2,\"pages\":{}}").unwrap();
        let refused = store.load().unwrap_err();
        assert!(matches!(refused, CheckpointError::Newer(2)), "{refused}");
        assert!(store.path().exists());
    }
}
