//! The part of the input that is being looked at.
//!
//! In: bytes. Out: any byte from the head on, as often as wanted. Invariant: what was consumed is not kept, so memory holds
//! what lies between the head and the farthest byte that was asked for, and [`CHUNK_BYTES`] more.

use super::RECORD_SEPARATOR;
use std::io::{self, Read};

/// How much is read at once, at most.
const CHUNK_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A window on some input; offsets are counted from its head.
#[derive(Debug)]
pub(super) struct Window<R> {
    reader: R,
    chunk: Box<[u8]>,
    buffer: Vec<u8>,
    /// The place of the head in the buffer.
    head: usize,
    is_over: bool,
    line: u64,
    consumed: u64,
    is_at_line_start: bool,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            chunk: vec![0; CHUNK_BYTES].into(),
            buffer: Vec::new(),
            head: 0,
            is_over: false,
            line: 1,
            consumed: 0,
            is_at_line_start: true,
        }
    }

    /// The number of the line at the head, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Bytes in front of the head.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
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

    /// The byte at this offset; `None` beyond the end of the input.
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
        if self.consumed == 0 && self.has_mark(0)? {
            self.consume(BYTE_ORDER_MARK.len());
            self.is_at_line_start = true;
        }
        Ok(())
    }

    /// Moves the head behind bytes that were looked at.
    pub(super) fn consume(&mut self, bytes: usize) {
        let taken = self.bytes(0, bytes);
        let Some(last) = taken.last() else {
            return;
        };
        let is_at_line_start = *last == b'\n';
        let lines: u64 = taken.iter().map(|byte| u64::from(*byte == b'\n')).sum();
        self.is_at_line_start = is_at_line_start;
        self.line += lines;
        self.head += bytes;
        self.consumed += bytes as u64;
    }

    /// Moves the head to the start of the next line, or to a record separator in front of it.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let rest = self.buffer.get(self.head..).unwrap_or_default();
            let is_end = |byte: &u8| matches!(*byte, b'\n' | RECORD_SEPARATOR);
            match rest.iter().position(is_end) {
                Some(place) if rest[place] == b'\n' => {
                    self.consume(place + 1);
                    return Ok(());
                }
                Some(place) => {
                    self.consume(place);
                    return Ok(());
                }
                None => self.consume(rest.len()),
            }
            if self.byte(0)?.is_none() {
                return Ok(());
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.head);
        self.head = 0;
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
