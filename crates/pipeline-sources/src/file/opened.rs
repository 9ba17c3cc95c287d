//! A file that is open at a place, and what identifies it.
//!
//! Invariant: a file is opened after its start only if its first bytes and those before the place are unchanged.

use super::checkpoint::Entry;
use super::packing::{Behind, Packing, Unpacked};
use json_framing::{FINGERPRINT_BYTES, Fingerprint, Mark, Values};
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What the system says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    device: u64,
    inode: u64,
    pub(super) length: u64,
    modified: (i64, i64),
    is_linked: bool,
    pub(super) is_regular: bool,
}

impl Stat {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self::new(&metadata))
    }

    fn new(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            is_linked: metadata.nlink() > 0,
            is_regular: metadata.is_file(),
        }
    }

    /// Which file this is, as long as it exists.
    pub(super) fn id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether nothing has been written since.
    pub(super) fn is_unchanged(&self, since: &Self) -> bool {
        (self.length, self.modified) == (since.length, since.modified)
    }

    /// Whether no name leads to the file any more.
    pub(super) fn is_deleted(&self) -> bool {
        !self.is_linked
    }

    /// Whether this may be the file of `entry`. Device numbers may change when a machine reboots, so a long start that
    /// matches is enough.
    pub(super) fn may_be(&self, entry: &Entry) -> bool {
        self.is_regular
            && self.inode == entry.inode
            && (self.device == entry.device || entry.start.is_long())
    }

    /// What the checkpoint keeps of a file that is really at `place`.
    pub(super) fn entry(&self, place: &Path, start: Fingerprint, mark: Mark) -> Entry {
        Entry {
            path: place.to_owned(),
            device: self.device,
            inode: self.inode,
            start,
            unread: 0,
            told: None,
            mark,
        }
    }
}

/// Where a path really leads: links resolved, as far as that is possible.
pub(super) fn real_place(path: &Path) -> PathBuf {
    let place = path.canonicalize().or_else(|_| std::path::absolute(path));
    // Without a current folder, the path as it is.
    place.unwrap_or_else(|_| path.to_owned())
}

/// A file that was found, and what the system says about it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
}

impl Found {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            stat: Stat::of(path)?,
        })
    }

    /// Its first plain bytes, as many as a fingerprint takes.
    pub(super) fn head(&self) -> io::Result<Vec<u8>> {
        let file = File::open(&self.path)?;
        let packing = Packing::of(&file)?;
        head(&file, packing)
    }

    /// Whether what has been read is in this file. Of a packed one only the start is compared; opening it at the place
    /// compares the rest.
    pub(super) fn holds(&self, entry: &Entry) -> io::Result<bool> {
        let file = File::open(&self.path)?;
        let packing = Packing::of(&file)?;
        let starts_so = entry.start.is_start_of(&head(&file, packing)?);
        let is_plain = packing == Packing::Plain;
        Ok(starts_so && (!is_plain || last_bytes(&file, entry.mark)?.is_some()))
    }
}

/// The plain bytes of a file.
pub(super) type Bytes = Box<dyn Read + Send>;

/// A file that is open at a place.
pub(super) struct Opened {
    file: File,
    pub(super) values: Values<Bytes>,
    pub(super) start: Fingerprint,
    packing: Packing,
    behind: Behind,
    /// Whether it was opened at its start.
    is_whole: bool,
}

impl Opened {
    /// Opens a file where reading resumes; `None` if the file no longer holds what was read.
    pub(super) fn at(path: &Path, start: Fingerprint, mark: Mark) -> io::Result<Option<Self>> {
        Self::of(File::open(path)?, start, mark)
    }

    /// The same of a file that is open.
    pub(super) fn of(mut file: File, start: Fingerprint, mark: Mark) -> io::Result<Option<Self>> {
        let is_whole = mark.end() == 0;
        if !file.metadata()?.is_file() {
            let unpacked = Unpacked::new(file.try_clone()?);
            return Ok(Some(Self {
                file,
                behind: unpacked.behind(),
                values: Values::new(Box::new(unpacked)),
                start: Fingerprint::default(),
                packing: Packing::Plain,
                is_whole,
            }));
        }
        let packing = Packing::of(&file)?;
        let head = head(&file, packing)?;
        if !start.is_start_of(&head) {
            return Ok(None);
        }
        let mut behind = Behind::default();
        let (stream, last): (Bytes, _) = if packing == Packing::Plain {
            let Some(last) = last_bytes(&file, mark)? else {
                return Ok(None);
            };
            file.seek(SeekFrom::Start(mark.offset))?;
            (Box::new(file.try_clone()?), last)
        } else {
            let Some((unpacked, last)) = unpacked_at(&file, mark)? else {
                return Ok(None);
            };
            behind = unpacked.behind();
            (Box::new(unpacked), last)
        };
        Ok(Some(Self {
            file,
            // What was read and is read again if the file has grown is not before the place.
            values: Values::resume(stream, mark, &last[..before(mark)]),
            start: Fingerprint::of_start(&head),
            packing,
            behind,
            is_whole,
        }))
    }

    pub(super) fn waiting(mut self) -> Self {
        self.values = self.values.waiting();
        self
    }

    /// What is there is all that will come.
    pub(super) fn stop_waiting(&mut self) {
        self.values.stop_waiting();
    }

    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::new(&self.file.metadata()?))
    }

    /// Whether its bytes are those of the file, so that its length tells what is unread.
    pub(super) fn is_plain(&self) -> bool {
        self.packing == Packing::Plain
    }

    /// Whether there is something behind its packed content that is neither padding nor packed.
    pub(super) fn has_more_behind(&self) -> bool {
        self.behind.is_found()
    }

    /// Whether all of it was read, something is there, and nothing of it begins like an event.
    pub(super) fn is_rubbish(&self) -> bool {
        self.is_whole && self.values.has_no_object()
    }

    /// Whether more can be read through the same handle after the file has grown; reads its start again.
    pub(super) fn can_continue(&mut self) -> io::Result<bool> {
        if !self.is_plain() || self.values.ends_in_nul() {
            return Ok(false);
        }
        let head = head(&self.file, Packing::Plain)?;
        let last = last_bytes(&self.file, self.values.mark())?;
        let can_continue = self.start.is_start_of(&head) && last.is_some();
        if can_continue {
            self.start = Fingerprint::of_start(&head);
        }
        Ok(can_continue)
    }
}

/// Opens a file at its start; a packed one is recognized by its first bytes, whatever its name.
pub(super) fn open(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    Ok(Box::new(Unpacked::new(file)))
}

/// Whether a file can be read, without waiting for anything: a pipe or device is not opened.
pub(super) fn check(path: &Path) -> io::Result<()> {
    if Stat::of(path)?.is_regular {
        Packing::of(&File::open(path)?)?;
    }
    Ok(())
}

/// The first plain bytes, as many as a fingerprint takes, without NULs at their end.
fn head(file: &File, packing: Packing) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(FINGERPRINT_BYTES);
    if packing != Packing::Plain {
        let unpacked = unpacked(file)?;
        // Damage is reported when the file is read.
        let _ = unpacked
            .take(FINGERPRINT_BYTES as u64)
            .read_to_end(&mut bytes);
        return Ok(bytes);
    }
    bytes.resize(FINGERPRINT_BYTES, 0);
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    // NULs may be room that a writer has reserved.
    let end = bytes.iter().rposition(|byte| *byte != 0);
    bytes.truncate(end.map_or(0, |at| at + 1));
    Ok(bytes)
}

/// How many of the last bytes that were read are before the place, and not read again if the file has grown.
fn before(mark: Mark) -> usize {
    let open = usize::try_from(mark.open_bytes).unwrap_or(usize::MAX);
    usize::from(mark.last.bytes).saturating_sub(open)
}

/// The bytes that were read last, if they are unchanged.
fn last_bytes(file: &File, mark: Mark) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; usize::from(mark.last.bytes)];
    match file.read_exact_at(&mut bytes, mark.last_start()) {
        Ok(()) => Ok(mark.last.is_start_of(&bytes).then_some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The plain bytes of a packed file from its start.
fn unpacked(file: &File) -> io::Result<Unpacked<File>> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Unpacked::new(file))
}

/// The plain bytes of a packed file from the place on, and those that were read last, if these are unchanged.
fn unpacked_at(file: &File, mark: Mark) -> io::Result<Option<(Unpacked<File>, Vec<u8>)>> {
    let mut reader = unpacked(file)?;
    let mut bytes = vec![0; usize::from(mark.last.bytes)];
    let found = skip(&mut reader, mark.last_start())
        .and_then(|()| reader.read_exact(&mut bytes))
        .map(|()| mark.last.is_start_of(&bytes));
    match found {
        Ok(true) if mark.open_bytes == 0 => Ok(Some((reader, bytes))),
        Ok(true) => {
            let mut reader = unpacked(file)?;
            skip(&mut reader, mark.offset)?;
            Ok(Some((reader, bytes)))
        }
        Ok(false) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn skip(reader: &mut impl Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.by_ref().take(bytes), &mut io::sink())?;
    if skipped < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
