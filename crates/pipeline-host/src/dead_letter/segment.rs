//! The folder of one sink's dead letters: numbered segments, and the lock that guards them.
//!
//! Invariant: a segment is only ever changed under the lock, and grows by whole lines; what a crash has left of a line is
//! closed with a newline before the next one, so that it costs itself alone. No number is given to two segments that
//! exist at the same time.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The folder below `data_dir`.
const DEAD_LETTERS: &str = "dead_letters";
/// The ending of a segment.
const SEGMENT: &str = "ndjson";
/// The file that is locked.
const LOCK: &str = "lock";
/// The folder, below that of a sink, of the segments that a replay has taken.
const REPLAYING: &str = "replaying";
/// The file of the letters that have no payload.
const PLAIN: &str = "without_payload.ndjson";
/// The file that says that letters may have sealed copies of their events.
const COPIES: &str = "sealed_copies";
/// Digits of a segment's number; a larger number has more.
const NUMBER_DIGITS: usize = 8;

/// Where one sink's segments are.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    replaying: PathBuf,
    /// All dead letters of an earlier version.
    single_file: PathBuf,
    data_dir: PathBuf,
    /// Whether the data folder was there from the beginning, so that it is gone where it is missing later.
    had_data_dir: bool,
}

/// Why the folder is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Others may look at the same time.
    Look,
    /// Other users may neither read nor write.
    Change,
}

/// One file of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Segments are read in the order of their numbers; 0 is the single file of an earlier version.
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// Its length when it was listed.
    pub(super) bytes: u64,
}

impl Folder {
    pub(super) fn new(data_dir: &Path, sink: &str) -> Self {
        let all = data_dir.join(DEAD_LETTERS);
        Self {
            path: all.join(sink),
            replaying: all.join(sink).join(REPLAYING),
            single_file: all.join(format!("{sink}.{SEGMENT}")),
            data_dir: data_dir.to_owned(),
            had_data_dir: data_dir.is_dir(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the segments are that a replay has taken.
    pub(super) fn replaying(&self) -> &Path {
        &self.replaying
    }

    /// Where a segment of this number is, unless a replay has taken it.
    pub(super) fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(name(number))
    }

    /// Whether the sink has or had dead letters.
    pub(super) fn exists(&self) -> bool {
        self.path.is_dir() || self.single_file.is_file()
    }

    /// Makes the folder, but no second data folder in the place of one that was deleted or moved away.
    pub(super) fn create(&self) -> io::Result<()> {
        if self.had_data_dir && !self.data_dir.is_dir() {
            let gone = "the data folder was deleted or moved; move it back, or restart";
            return Err(io::Error::new(ErrorKind::NotFound, gone));
        }
        create_folder(&self.path)
    }

    /// Lets the entries of a folder, and the folder itself, outlive a power cut.
    fn sync(&self, folder: &Path) -> io::Result<()> {
        for folder in folder.ancestors() {
            sync_folder(folder)?;
            if folder == self.data_dir {
                break;
            }
        }
        // Where the data folder itself is new, the entry in its parent is; that folder may not be ours to open.
        let _ = self.data_dir.parent().map(sync_folder);
        Ok(())
    }

    /// Waits until the folder is free for this; the lock ends when what is returned is dropped.
    pub(super) fn lock(&self, access: Access) -> io::Result<File> {
        let lock = lock_file(&self.path)?;
        match access {
            Access::Look => lock.lock_shared()?,
            Access::Change => lock.lock()?,
        }
        Ok(lock)
    }

    /// Makes sure that no replay is under way and none begins until what is returned is dropped; `None` where one is.
    pub(super) fn lock_replay(&self) -> io::Result<Option<File>> {
        create_folder(&self.replaying)?;
        let lock = lock_file(&self.replaying)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The segments that a replay has taken, the oldest first.
    pub(super) fn taken(&self) -> io::Result<Vec<Segment>> {
        let mut segments = numbered(&self.replaying)?;
        segments.sort();
        Ok(segments)
    }

    /// Moves all segments to those that a replay has taken. Under the lock, as everything below.
    pub(super) fn take(&self) -> io::Result<()> {
        self.sync(&self.replaying)?;
        let segments = self.segments()?;
        let mut number = self.highest(&segments)?;
        for segment in &segments {
            // A number of its own, so that none is written over.
            number = following(number)?;
            std::fs::rename(&segment.path, self.replaying.join(name(number)))?;
        }
        self.sync(&self.replaying)
    }

    /// All segments apart from those that a replay has taken, the oldest first.
    pub(super) fn segments(&self) -> io::Result<Vec<Segment>> {
        let mut segments = numbered(&self.path)?;
        match self.single_file.metadata() {
            Ok(metadata) if metadata.is_file() => segments.push(Segment {
                number: 0,
                path: self.single_file.clone(),
                bytes: metadata.len(),
            }),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        segments.sort();
        Ok(segments)
    }

    /// Whether letters may have sealed copies of their events.
    pub(super) fn has_copies(&self) -> io::Result<bool> {
        self.path.join(COPIES).try_exists()
    }

    /// Takes note of whether letters may have sealed copies, before the first one is written and after the last one is gone.
    pub(super) fn note_copies(&self, are_there: bool) -> io::Result<()> {
        let path = self.path.join(COPIES);
        if are_there == path.try_exists()? {
            return Ok(());
        }
        if are_there {
            owner_only()
                .create(true)
                .write(true)
                .truncate(true)
                .open(&path)?;
        } else {
            std::fs::remove_file(&path)?;
        }
        sync_parent(&path)
    }

    /// Where the letters without a payload are.
    pub(super) fn plain_path(&self) -> PathBuf {
        self.path.join(PLAIN)
    }

    /// The letters without a payload, where there are some. They come after all others.
    pub(super) fn plain(&self) -> io::Result<Option<Segment>> {
        let path = self.plain_path();
        match path.metadata() {
            Ok(metadata) => Ok(Some(Segment {
                number: u64::MAX,
                path,
                bytes: metadata.len(),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The segment that takes the next lines: the newest, or one after it.
    pub(super) fn current(&self, segments: &[Segment], segment_bytes: u64) -> io::Result<PathBuf> {
        let newest = segments.last().filter(|newest| newest.number > 0);
        if let Some(newest) = newest.filter(|newest| newest.bytes < segment_bytes) {
            return Ok(newest.path.clone());
        }
        Ok(self.path.join(name(following(self.highest(segments)?)?)))
    }

    /// The highest number that a segment has.
    fn highest(&self, segments: &[Segment]) -> io::Result<u64> {
        let taken = self.taken()?;
        let all = segments.iter().chain(&taken);
        Ok(all.map(|segment| segment.number).max().unwrap_or(0))
    }

    /// Appends whole lines to a segment, which may be new. They are on the disk when this returns, or not there at all.
    pub(super) fn append(&self, segment: &Path, lines: &[u8]) -> io::Result<()> {
        let mut file = owner_only()
            .create(true)
            .read(true)
            .append(true)
            .open(segment)?;
        let length = file.metadata()?.len();
        if length == 0 {
            self.sync(&self.path)?;
        }
        let written = close_line(&mut file, length)
            .and_then(|()| file.write_all(lines))
            .and_then(|()| file.sync_data());
        if written.is_err() {
            file.set_len(length)?;
        }
        written
    }
}

impl Segment {
    /// Deletes the segment, if it is still there.
    pub(super) fn delete(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => sync_parent(&self.path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Ends a line that a crash has cut short.
fn close_line(file: &mut File, length: u64) -> io::Result<()> {
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] {
        Ok(())
    } else {
        file.write_all(b"\n")
    }
}

/// The numbered segments of a folder; empty without the folder.
fn numbered(folder: &Path) -> io::Result<Vec<Segment>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let Some(number) = number(&path) else {
            continue;
        };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => segments.push(Segment {
                number,
                path,
                bytes: metadata.len(),
            }),
            Ok(_) => {}
            // Moved away by a person between two looks.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(segments)
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    // A hash of an address is still about a person: only the owner looks in.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The name of the segment of this number.
fn name(number: u64) -> String {
    format!("{number:0NUMBER_DIGITS$}.{SEGMENT}")
}

fn following(number: u64) -> io::Result<u64> {
    number
        .checked_add(1)
        .ok_or_else(|| io::Error::other("no number is left for a further segment"))
}

/// The number in a segment's name; `None` for other files, which are left alone.
fn number(path: &Path) -> Option<u64> {
    let stem = path.file_stem().and_then(OsStr::to_str)?;
    let is_segment = path.extension() == Some(OsStr::new(SEGMENT))
        && stem.len() >= NUMBER_DIGITS
        && stem.bytes().all(|byte| byte.is_ascii_digit());
    stem.parse().ok().filter(|number| is_segment && *number > 0)
}

fn lock_file(folder: &Path) -> io::Result<File> {
    let mut options = owner_only();
    let options = options.create(true).truncate(false).write(true);
    options.open(folder.join(LOCK))
}

/// Files that only their owner can read. A link in the place of one is refused: its target belongs to somebody else.
pub(super) fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
        #[cfg(target_os = "linux")]
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options
}

/// As [`sync_folder`], of the folder that a file is in.
pub(super) fn sync_parent(file: &Path) -> io::Result<()> {
    sync_folder(file.parent().unwrap_or(Path::new("")))
}

/// Lets the entries of a folder outlive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
