//! Chunks read from the pages of a database whose tree, header or tables SQLite cannot follow any more.
//!
//! In: the database and its log, by page. Out: every chunk whose pages are all there; its checksum says so. The format is
//! SQLite's ("Database File Format"): leaves of tables with cells, each with a record, and chains of overflow pages.
//!
//! Invariant: nothing is written; effort is bounded by the number of pages, and by [`MAX_CHUNK_BYTES`] for each chunk.

use super::chunk;
use super::store::PAGE_BYTES;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The largest chunk that is looked for. The host writes far smaller ones, but a single event may be large.
const MAX_CHUNK_BYTES: usize = 64 * 1024 * 1024;
/// Pages of a log that are looked at.
const MAX_LOG_PAGES: usize = 1_000_000;
const PAGE: usize = 16 * 1024;
const _: () = assert!(PAGE as u64 == PAGE_BYTES);
const LEAF_OF_TABLE: u8 = 0x0d;
const FILE_HEADER: usize = 100;
/// Where the header names the first page of the list of free ones.
const FIRST_FREE: usize = 32;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The pages of a database: those of its log are newer than those of the file.
pub(super) struct Pages {
    database: File,
    log: Option<File>,
    /// Where in the log the newest form of a page is.
    in_log: HashMap<u32, u64>,
    count: u32,
    /// Pages that hold nothing any more, only what was there before: events that are done.
    free: HashSet<u32>,
}

/// A chunk whose checksum is right.
#[derive(Debug)]
pub(super) struct PageChunk {
    pub(super) id: u64,
    pub(super) events: u64,
    pub(super) data: Bytes,
}

impl Pages {
    pub(super) fn open(database: &Path, log: &Path) -> io::Result<Self> {
        let database = File::open(database)?;
        let pages = database.metadata()?.len() / PAGE_BYTES;
        let mut opened = Self {
            database,
            log: File::open(log).ok(),
            in_log: HashMap::new(),
            count: u32::try_from(pages).unwrap_or(u32::MAX),
            free: HashSet::new(),
        };
        opened.read_log()?;
        opened.read_free();
        Ok(opened)
    }

    /// Takes note of the frames of this turn of the log.
    fn read_log(&mut self) -> io::Result<()> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let mut header = [0; LOG_HEADER];
        if log.read_exact(&mut header).is_err() {
            return Ok(());
        }
        let mut at = LOG_HEADER as u64;
        let mut frame = [0; FRAME_HEADER];
        for _ in 0..MAX_LOG_PAGES {
            log.seek(SeekFrom::Start(at))?;
            if log.read_exact(&mut frame).is_err() || frame[8..16] != header[16..24] {
                break;
            }
            let page = number(&frame, 0);
            self.in_log.insert(page, at + FRAME_HEADER as u64);
            self.count = self.count.max(page);
            at += FRAME_HEADER as u64 + PAGE_BYTES;
        }
        Ok(())
    }

    /// Follows the list of free pages, as far as it can be followed.
    fn read_free(&mut self) {
        let first = self.read(1).map(|header| number(&header, FIRST_FREE));
        let mut next = first.unwrap_or_default();
        while (1..=self.count).contains(&next) && self.free.insert(next) {
            let Some(trunk) = self.read(next) else { return };
            let most = trunk.len() / 4 - 2;
            let leaves = (number(&trunk, 4) as usize).min(most);
            self.free
                .extend((0..leaves).map(|leaf| number(&trunk, 8 + 4 * leaf)));
            next = number(&trunk, 0);
        }
    }

    fn read(&mut self, page: u32) -> Option<Vec<u8>> {
        let mut bytes = vec![0; PAGE];
        let (file, at) = match (self.in_log.get(&page), &mut self.log) {
            (Some(at), Some(log)) => (log, *at),
            _ => (
                &mut self.database,
                u64::from(page.checked_sub(1)?) * PAGE_BYTES,
            ),
        };
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Calls `found` with every chunk that is whole, in the order of the pages.
    pub(super) fn chunks<E>(
        &mut self,
        mut found: impl FnMut(PageChunk) -> Result<(), E>,
    ) -> Result<(), E> {
        for number in 1..=self.count {
            if self.free.contains(&number) {
                continue;
            }
            let Some(page) = self.read(number) else {
                continue;
            };
            let start = if number == 1 { FILE_HEADER } else { 0 };
            if page[start] != LEAF_OF_TABLE {
                continue;
            }
            let cells = usize::from(short(&page, start + 3));
            for index in 0..cells.min(PAGE / 4) {
                let cell = usize::from(short(&page, start + 8 + 2 * index));
                if let Some(chunk) = self.chunk(&page, cell) {
                    found(chunk)?;
                }
            }
        }
        Ok(())
    }

    /// The chunk of a cell, if it is one and whole.
    fn chunk(&mut self, page: &[u8], cell: usize) -> Option<PageChunk> {
        let (length, at) = varint(page, cell)?;
        let (id, at) = varint(page, at)?;
        let payload = self.payload(page, at, usize::try_from(length).ok()?)?;
        let (header, mut types) = varint(&payload, 0)?;
        let mut column = || {
            let (kind, next) = varint(&payload, types)?;
            types = next;
            Some(kind)
        };
        let (own, events, data) = (column()?, column()?, column()?);
        // The number of the chunk is the key of the row; a blob's type says its length.
        if own != 0 || data < 12 || data % 2 == 1 {
            return None;
        }
        let at = usize::try_from(header).ok()?;
        let (events, width) = integer(&payload, at, events)?;
        let data = payload.get(at + width..)?;
        let data = Bytes::copy_from_slice(data);
        let records = chunk::decode(id, &data).ok()?;
        (records.len() as u64 == events).then_some(PageChunk { id, events, data })
    }

    /// The bytes of a row, on its page and on others.
    fn payload(&mut self, page: &[u8], at: usize, length: usize) -> Option<Vec<u8>> {
        if length > MAX_CHUNK_BYTES {
            return None;
        }
        let (most, least) = (PAGE - 35, (PAGE - 12) * 32 / 255 - 23);
        let local = if length <= most {
            length
        } else {
            let rest = least + (length - least) % (PAGE - 4);
            if rest <= most { rest } else { least }
        };
        let mut payload = page.get(at..at + local)?.to_vec();
        if local == length {
            return Some(payload);
        }
        let mut next = number(page.get(at + local..at + local + 4)?, 0);
        while payload.len() < length {
            let page = self.read(next)?;
            let part = (length - payload.len()).min(PAGE - 4);
            payload.extend_from_slice(&page[4..4 + part]);
            next = number(&page, 0);
        }
        Some(payload)
    }
}

fn short(bytes: &[u8], at: usize) -> u16 {
    let pair = bytes.get(at..at + 2);
    pair.map_or(0, |pair| u16::from_be_bytes([pair[0], pair[1]]))
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4);
    four.map_or(0, |four| {
        u32::from_be_bytes([four[0], four[1], four[2], four[3]])
    })
}

/// SQLite's variable-length integer, and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for index in 0..8 {
        let byte = *bytes.get(at + index)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + index + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(at + 8)?), at + 9))
}

/// An integer of this type in a record, and how many bytes it has.
fn integer(bytes: &[u8], at: usize, kind: u64) -> Option<(u64, usize)> {
    let width = match kind {
        1..=4 => usize::try_from(kind).ok()?,
        5 => 6,
        6 => 8,
        8 | 9 => return Some((kind - 8, 0)),
        _ => return None,
    };
    let value = bytes.get(at..at + width)?;
    Some((
        value
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        width,
    ))
}
