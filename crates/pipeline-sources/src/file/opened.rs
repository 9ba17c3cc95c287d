//! A file that is open at a place, and what identifies it.
//!
//! Invariant: a file is opened after its start only if its first bytes and those before the place are unchanged.

use super::checkpoint::Entry;
use crate::line::LineReader;
use crate::mark::{FINGERPRINT_BYTES, Fingerprint, Mark};
use flate2::read::MultiGzDecoder;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The first bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Read from a file at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;

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
        head(&file, is_gzip(&file)?)
    }

    /// Whether what has been read is in this file. Of a compressed one only the start is compared; opening it at the
    /// place compares the rest.
    pub(super) fn holds(&self, entry: &Entry) -> io::Result<bool> {
        let file = File::open(&self.path)?;
        let compressed = is_gzip(&file)?;
        let starts_so = entry.start.is_start_of(&head(&file, compressed)?);
        Ok(starts_so && (compressed || ends_so(&file, entry.mark)?))
    }
}

/// A file that is open at a place.
pub(super) struct Opened {
    file: File,
    pub(super) lines: LineReader<Box<dyn BufRead + Send>>,
    pub(super) start: Fingerprint,
    is_gzip: bool,
}

impl Opened {
    /// Opens a file where the next line starts; `None` if the file no longer holds what was read.
    pub(super) fn at(path: &Path, start: Fingerprint, mark: Mark) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            let lines = LineReader::new(stream(file.try_clone()?)?);
            let start = Fingerprint::default();
            let is_gzip = false;
            return Ok(Some(Self {
                file,
                lines,
                start,
                is_gzip,
            }));
        }
        let is_gzip = is_gzip(&file)?;
        let head = head(&file, is_gzip)?;
        if !start.is_start_of(&head) {
            return Ok(None);
        }
        let reader: Box<dyn BufRead + Send> = if is_gzip {
            match plain_at(&file, mark)? {
                Some(reader) => Box::new(reader),
                None => return Ok(None),
            }
        } else {
            if !ends_so(&file, mark)? {
                return Ok(None);
            }
            file.seek(SeekFrom::Start(mark.offset))?;
            Box::new(BufReader::with_capacity(READ_BYTES, file.try_clone()?))
        };
        Ok(Some(Self {
            file,
            lines: LineReader::resume(reader, mark),
            start: Fingerprint::of_start(&head),
            is_gzip,
        }))
    }

    pub(super) fn waiting(mut self) -> Self {
        self.lines = self.lines.waiting();
        self
    }

    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::new(&self.file.metadata()?))
    }

    /// Whether its bytes are those of the file, so that its length tells what is unread.
    pub(super) fn is_plain(&self) -> bool {
        !self.is_gzip
    }

    /// Whether more can be read through the same handle after the file has grown; reads its start again.
    pub(super) fn can_continue(&mut self) -> io::Result<bool> {
        if self.is_gzip {
            return Ok(false);
        }
        let head = head(&self.file, false)?;
        let can_continue = self.start.is_start_of(&head) && ends_so(&self.file, self.lines.mark())?;
        if can_continue {
            self.start = Fingerprint::of_start(&head);
        }
        Ok(can_continue)
    }
}

/// Opens a file at its start; a compressed one is recognized by its first bytes, whatever its name.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    stream(file)
}

fn stream(file: File) -> io::Result<Box<dyn BufRead + Send>> {
    let mut reader = BufReader::with_capacity(READ_BYTES, file);
    if reader.fill_buf()?.starts_with(&GZIP_MAGIC) {
        let plain = MultiGzDecoder::new(reader);
        return Ok(Box::new(BufReader::with_capacity(READ_BYTES, plain)));
    }
    Ok(Box::new(reader))
}

fn is_gzip(file: &File) -> io::Result<bool> {
    let mut magic = [0; GZIP_MAGIC.len()];
    let read = file.read_at(&mut magic, 0)?;
    Ok(read == magic.len() && magic == GZIP_MAGIC)
}

/// The first plain bytes, as many as a fingerprint takes.
fn head(file: &File, compressed: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(FINGERPRINT_BYTES);
    if compressed {
        let plain = plain(file)?;
        // Damage is reported when the file is read.
        let _ = plain.take(FINGERPRINT_BYTES as u64).read_to_end(&mut bytes);
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
    Ok(bytes)
}

/// Whether the bytes before the place are unchanged.
fn ends_so(file: &File, mark: Mark) -> io::Result<bool> {
    let mut bytes = vec![0; usize::from(mark.last.bytes)];
    match file.read_exact_at(&mut bytes, mark.last_start()) {
        Ok(()) => Ok(mark.last.is_start_of(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

type Plain = BufReader<MultiGzDecoder<BufReader<File>>>;

/// The plain bytes of a compressed file from its start.
fn plain(file: &File) -> io::Result<Plain> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(0))?;
    let decoder = MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, file));
    Ok(BufReader::with_capacity(READ_BYTES, decoder))
}

/// The plain bytes of a compressed file from the place on, if those before it are unchanged.
fn plain_at(file: &File, mark: Mark) -> io::Result<Option<Plain>> {
    let mut reader = plain(file)?;
    let mut bytes = vec![0; usize::from(mark.last.bytes)];
    let found = skip(&mut reader, mark.last_start())
        .and_then(|()| reader.read_exact(&mut bytes))
        .map(|()| mark.last.is_start_of(&bytes));
    match found {
        Ok(true) if mark.open_bytes == 0 => Ok(Some(reader)),
        Ok(true) => {
            let mut reader = plain(file)?;
            skip(&mut reader, mark.offset)?;
            Ok(Some(reader))
        }
        Ok(false) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn skip(reader: &mut Plain, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.by_ref().take(bytes), &mut io::sink())?;
    if skipped < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
