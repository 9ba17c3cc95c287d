//! The part of a stream that is being looked at.
//!
//! In: bytes. Out: any byte from the head on, as often as wanted. Invariant: memory holds what lies between the head and the
//! farthest byte that was asked for, [`CHUNK_BYTES`] more, and of what was consumed only as much as a fingerprint takes.

use super::{Kind, MAX_VALUE_BYTES, RECORD_SEPARATOR};
use crate::mark::{FINGERPRINT_BYTES, Fingerprint};
use std::io::{self, Read};

/// How much is read at once, at most.
const CHUNK_BYTES: usize = 128 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A window on some stream; offsets are counted from its head.
#[derive(Debug)]
pub(super) struct Window<R> {
    reader: R,
    chunk: Box<[u8]>,
    buffer: Vec<u8>,
    /// The place of the head in the buffer.
    head: usize,
    /// Whether the last read found the end of the stream.
    is_over: bool,
    line: u64,
    /// Where the head is in the stream.
    place: u64,
    is_at_line_start: bool,
    /// Up to this place of the stream there is no line feed behind the head.
    no_line_feed_before: u64,
}

impl<R: Read> Window<R> {
    /// A window on a stream that was read up to `place`; `line` lines, and these bytes at last.
    pub(super) fn new(reader: R, before: &[u8], (place, line): (u64, u64), in_line: bool) -> Self {
        Self {
            reader,
            chunk: vec![0; CHUNK_BYTES].into(),
            buffer: before.to_vec(),
            head: before.len(),
            is_over: false,
            line: line + 1,
            place,
            is_at_line_start: !in_line,
            no_line_feed_before: 0,
        }
    }

    /// The number of the line at the head, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Where the head is in the stream.
    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// Bytes in memory.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.buffer.capacity()
    }

    /// Whether the head is at the start of a line.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.is_at_line_start
    }

    /// Whether something was looked for beyond the end of the stream.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Looks for more at the end of the stream, which may have grown.
    pub(super) fn look_again(&mut self) {
        self.is_over = false;
    }

    /// Whether there are bytes behind this offset without reading.
    pub(super) fn has_at_hand(&self, offset: usize) -> bool {
        self.buffer.len() > self.head + offset
    }

    /// The bytes from the head on that need no reading.
    pub(super) fn at_hand(&self) -> &[u8] {
        self.buffer.get(self.head..).unwrap_or_default()
    }

    /// The fingerprint of the bytes before an offset.
    pub(super) fn last(&self, offset: usize) -> Fingerprint {
        let end = self.head + offset;
        let bytes = self.buffer.get(end.saturating_sub(FINGERPRINT_BYTES)..end);
        Fingerprint::of_start(bytes.unwrap_or_default())
    }

    /// The byte at this offset; `None` beyond the end of the stream.
    #[inline]
    pub(super) fn byte(&mut self, offset: usize) -> io::Result<Option<u8>> {
        loop {
            if let Some(byte) = self.buffer.get(self.head + offset) {
                return Ok(Some(*byte));
            }
            if self.is_over {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Bytes that were looked at.
    pub(super) fn bytes(&self, from: usize, to: usize) -> &[u8] {
        let whole = self.buffer.get(self.head + from..self.head + to);
        whole.unwrap_or_default()
    }

    /// What is at this offset, as far as values end there.
    pub(super) fn kind(&mut self, offset: usize) -> io::Result<Kind> {
        let Some(byte) = self.byte(offset)? else {
            return Ok(Kind::End);
        };
        Ok(match byte {
            b'\n' => Kind::LineFeed,
            RECORD_SEPARATOR => Kind::Separator,
            0 if self.byte(offset + 1)? == Some(0) => self.hole(offset)?,
            b'\r' => match self.byte(offset + 1)? {
                Some(b'{' | b'[') => Kind::ReturnBeforeValue,
                Some(b'\n') | None => Kind::Other(byte),
                Some(_) => Kind::Return,
            },
            byte => Kind::Other(byte),
        })
    }

    /// What the NULs at this offset are: those at the end of the stream are room that its writer will fill.
    fn hole(&mut self, offset: usize) -> io::Result<Kind> {
        for at in offset..offset + MAX_VALUE_BYTES {
            match self.byte(at)? {
                Some(0) => {}
                Some(_) => return Ok(Kind::Hole),
                None => return Ok(Kind::End),
            }
        }
        Ok(Kind::Hole)
    }

    /// Whether the last byte that was read is a NUL, which a writer may replace.
    pub(super) fn ends_in_nul(&self) -> bool {
        self.buffer.last() == Some(&0)
    }

    /// The length of the line at the head without its line feed, if it is at hand.
    pub(super) fn line_at_hand(&mut self) -> Option<usize> {
        let known = self.no_line_feed_before.saturating_sub(self.place);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let rest = self.at_hand().get(known..)?;
        let found = memchr::memchr(b'\n', rest);
        if found.is_none() {
            self.no_line_feed_before = self.place + (known + rest.len()) as u64;
        }
        found.map(|at| known + at)
    }

    /// Whether a byte order mark is at this offset.
    pub(super) fn has_mark(&mut self, offset: usize) -> io::Result<bool> {
        for (place, expected) in BYTE_ORDER_MARK.iter().enumerate() {
            if self.byte(offset + place)? != Some(*expected) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Consumes the byte order mark in front of the first line, if there is one.
    pub(super) fn skip_mark(&mut self) -> io::Result<()> {
        if self.place == 0 && self.has_mark(0)? {
            self.consume(BYTE_ORDER_MARK.len());
            self.is_at_line_start = true;
        }
        Ok(())
    }

    /// Moves the head behind bytes that were looked at.
    pub(super) fn consume(&mut self, bytes: usize) {
        let end = self.head + bytes;
        let taken = self.buffer.get(self.head..end).unwrap_or_default();
        let Some(last) = taken.last() else {
            return;
        };
        let nexts = self.buffer[self.head + 1..].iter().map(Some);
        let lines = taken.iter().zip(nexts.chain([None]));
        // Any other carriage return may be a part of a line.
        let ends_line = |(byte, next): &(&u8, Option<&u8>)| {
            **byte == b'\n' || **byte == b'\r' && matches!(next, Some(b'{' | b'['))
        };
        self.line += lines.filter(ends_line).count() as u64;
        let next = self.buffer.get(end);
        self.is_at_line_start =
            *last == b'\n' || *last == b'\r' && next.is_some_and(|next| *next != b'\n');
        self.head = end;
        self.place += bytes as u64;
    }

    /// Moves the head behind a line of this length, its line feed included.
    pub(super) fn consume_line(&mut self, bytes: usize) {
        self.head += bytes;
        self.place += bytes as u64;
        self.line += 1;
        self.is_at_line_start = true;
    }

    /// Moves the head behind the NULs at an offset. More than one are a hole in the file, and a line starts behind it.
    pub(super) fn skip_nuls(&mut self, offset: usize) {
        let was_at_line_start = self.is_at_line_start;
        self.consume(offset);
        // The first of them may have been at hand before the others.
        let continues = self.head > 0 && self.buffer.get(self.head - 1) == Some(&0);
        let rest = self.at_hand();
        let nuls = rest.iter().position(|byte| *byte != 0);
        let nuls = nuls.unwrap_or(rest.len());
        self.consume(nuls);
        self.is_at_line_start = was_at_line_start || continues || nuls > 1;
    }

    /// Moves the head to the start of the next line, or to what else ends one; returns whether there is such a place.
    pub(super) fn skip_line(&mut self) -> io::Result<bool> {
        loop {
            let rest = self.at_hand();
            let may_end = |byte: &u8| matches!(*byte, b'\n' | b'\r' | 0 | RECORD_SEPARATOR);
            let skipped = rest.iter().position(may_end).unwrap_or(rest.len());
            self.consume(skipped);
            match self.kind(0)? {
                Kind::End => return Ok(false),
                Kind::LineFeed | Kind::ReturnBeforeValue => {
                    self.consume(1);
                    return Ok(true);
                }
                Kind::Separator | Kind::Hole => return Ok(true),
                // At the end of the stream a line feed may follow.
                Kind::Other(b'\r') if self.is_over => return Ok(false),
                Kind::Return | Kind::Other(_) => self.consume(1),
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let unneeded = self.head.saturating_sub(FINGERPRINT_BYTES);
        self.buffer.drain(..unneeded);
        self.head -= unneeded;
        let read = loop {
            match self.reader.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.buffer.extend_from_slice(&self.chunk[..read]);
        self.is_over = read == 0;
        Ok(())
    }
}
