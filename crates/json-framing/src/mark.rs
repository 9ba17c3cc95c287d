//! How far a file has been read, in a form that can be saved and checked against the file.
//!
//! Invariant: nothing here can be read as text; of what a file says only lengths and 32-bit checksums are kept.

use crate::surroundings::Surroundings;
use flate2::Crc;
use serde::{Deserialize, Serialize};

/// Bytes that a fingerprint covers at most.
pub const FINGERPRINT_BYTES: usize = 1024;

/// A checksum that recognizes a few bytes. Too short to tell anything about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// How many bytes it covers, at most [`FINGERPRINT_BYTES`].
    pub bytes: u16,
    /// Their checksum.
    pub crc32: u32,
}

impl Fingerprint {
    /// The fingerprint of the first bytes.
    pub fn of_start(bytes: &[u8]) -> Self {
        Self::new(&bytes[..bytes.len().min(FINGERPRINT_BYTES)])
    }

    /// Whether `head` starts with the bytes that this fingerprint was made of.
    pub fn is_start_of(self, head: &[u8]) -> bool {
        let covered = head.get(..usize::from(self.bytes));
        covered.is_some_and(|covered| Self::new(covered) == self)
    }

    /// Whether it covers as much as it can.
    pub fn is_long(self) -> bool {
        usize::from(self.bytes) == FINGERPRINT_BYTES
    }

    fn new(bytes: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(bytes);
        Self {
            // No more than `FINGERPRINT_BYTES`.
            bytes: u16::try_from(bytes.len()).unwrap_or(u16::MAX),
            crc32: crc.sum(),
        }
    }
}

/// A place in a file: everything before it has been read. Counts plain bytes, also in a compressed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mark {
    /// Where reading resumes: in front of a value, or of what is between values.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
    /// Bytes behind it that were read, and had no end yet. If the file has grown since, they are read again.
    pub open_bytes: u64,
    /// The bytes before the place.
    pub last: Fingerprint,
    /// What else matters there, unless it is the start of a line.
    #[serde(default, skip_serializing_if = "Surroundings::is_line_start")]
    pub around: Surroundings,
}

impl Mark {
    /// The first byte that has not been read.
    pub fn end(&self) -> u64 {
        self.offset + self.open_bytes
    }

    /// Where the bytes of `last` start.
    pub fn last_start(&self) -> u64 {
        self.end().saturating_sub(u64::from(self.last.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_recognizes_what_it_covers_and_nothing_else() {
        let long = vec![b'x'; FINGERPRINT_BYTES + 1];
        let cases: [(&[u8], &[u8], bool); 7] = [
            (b"abc", b"abc", true),
            (b"abc", b"abcdef", true),
            (b"abc", b"ab", false),
            (b"abc", b"abd", false),
            (b"", b"anything", true),
            (&long, &long[1..], true),
            (&long, &long[2..], false),
        ];
        for (made_of, head, expected) in cases {
            let start = Fingerprint::of_start(made_of);
            assert_eq!(start.is_start_of(head), expected, "{made_of:?} {head:?}");
        }
        assert_eq!(
            usize::from(Fingerprint::of_start(&long).bytes),
            FINGERPRINT_BYTES
        );
    }
}
