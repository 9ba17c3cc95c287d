//! SQLite's write-ahead log, looked at before SQLite uses and cuts it.
//!
//! In: a log as the last process left it. Out: how many of its bytes will not be used, and whether a commit is among them.
//! The format is SQLite's ("WAL file format"): a header, then frames of a header and a page, each with a running checksum;
//! what an earlier turn of the log has left behind the last frame has other salts.
//!
//! Invariant: nothing is written here.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first bytes of a log; the last bit says that checksums read words as big endian.
const MAGIC: u32 = 0x377f_0682;
/// The largest page that SQLite knows.
const MAX_PAGE_BYTES: usize = 64 * 1024;

/// What of a log SQLite will not use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unused {
    /// Bytes of this turn of the log behind the last commit that is whole.
    pub(super) bytes: u64,
    /// Whether they may hold a commit, and so records that were acknowledged. What a killed process was writing has none.
    pub(super) has_commit: bool,
}

/// SQLite's checksum, as far as it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Checksum(u32, u32);

impl Checksum {
    fn add(mut self, bytes: &[u8], is_big_endian: bool) -> Self {
        let word = |bytes: [u8; 4]| {
            if is_big_endian {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        for pair in bytes.chunks_exact(8) {
            let (first, second) = (word_at(pair, 0), word_at(pair, 4));
            self.0 = self.0.wrapping_add(word(first)).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(word(second)).wrapping_add(self.0);
        }
        self
    }

    /// Whether this is what is written at a place.
    fn is_at(self, bytes: &[u8], at: usize) -> bool {
        self == Self(number(bytes, at), number(bytes, at + 4))
    }
}

fn word_at(bytes: &[u8], at: usize) -> [u8; 4] {
    let mut word = [0; 4];
    if let Some(found) = bytes.get(at..at + 4) {
        word.copy_from_slice(found);
    }
    word
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(word_at(bytes, at))
}

/// Reads as much as there is of what is wanted.
fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

/// Looks at a log. A missing one has no bytes.
pub(super) fn unused(path: &Path) -> io::Result<Unused> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Unused::default()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut file = BufReader::with_capacity(4 * MAX_PAGE_BYTES, file);
    let mut header = [0; HEADER_BYTES];
    if fill(&mut file, &mut header)? == 0 {
        return Ok(Unused::default());
    }
    let all = Unused {
        bytes: length,
        has_commit: true,
    };
    let is_big_endian = number(&header, 0) & 1 == 1;
    let page_bytes = usize::try_from(number(&header, 8)).unwrap_or(usize::MAX);
    let sum = Checksum::default().add(&header[..24], is_big_endian);
    let is_whole = number(&header, 0) & !1 == MAGIC
        && (512..=MAX_PAGE_BYTES).contains(&page_bytes)
        && sum.is_at(&header, 24);
    if !is_whole {
        return Ok(all);
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    behind_last_commit(&mut file, &header, &mut frame, sum, is_big_endian)
}

fn behind_last_commit(
    file: &mut impl Read,
    header: &[u8],
    frame: &mut [u8],
    mut sum: Checksum,
    is_big_endian: bool,
) -> io::Result<Unused> {
    let salts = [word_at(header, 16), word_at(header, 20)];
    let mut unused = Unused::default();
    // Bytes behind the last commit, up to the last frame of this turn.
    let (mut pending, mut is_chained) = (0, true);
    loop {
        let filled = fill(file, frame)?;
        if filled < FRAME_HEADER_BYTES {
            return Ok(unused);
        }
        pending += filled as u64;
        let found = [word_at(frame, 8), word_at(frame, 12)];
        let is_whole = filled == frame.len();
        let is_commit = number(frame, 4) != 0;
        // A frame of an earlier turn has both salts of that turn; one damaged salt still tells this one.
        let is_of_turn = found[0] == salts[0] || found[1] == salts[1];
        if is_chained && is_whole && found == salts {
            let next = sum
                .add(&frame[..8], is_big_endian)
                .add(&frame[FRAME_HEADER_BYTES..], is_big_endian);
            if next.is_at(frame, 16) {
                sum = next;
                if is_commit {
                    unused = Unused::default();
                    pending = 0;
                } else {
                    unused.bytes = pending;
                }
                continue;
            }
        }
        is_chained = false;
        if is_of_turn {
            unused.bytes = pending;
            unused.has_commit |= is_commit;
        }
    }
}
