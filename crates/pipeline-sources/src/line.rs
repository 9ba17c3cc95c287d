//! Lines of a stream, and where in the stream they end.
//!
//! Invariant: a line longer than [`MAX_LINE_BYTES`] is never held in memory, and is reported in its place.

use pipeline_core::Reason;
use std::io::{self, BufRead};

/// Longest line, in bytes.
pub const MAX_LINE_BYTES: usize = json_framing::MAX_VALUE_BYTES;

/// Why a line was not read.
pub fn too_large() -> Reason {
    Reason::new(
        "too_large",
        format!("the line is longer than {MAX_LINE_BYTES} bytes"),
    )
}

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Nothing, or white space only.
    Empty,
    /// The bytes of the line, whatever they are.
    Whole(&'a [u8]),
    /// Longer than [`MAX_LINE_BYTES`]; not kept.
    TooLong,
}

/// Cuts a stream into lines: LF or CRLF, a byte order mark at the start is skipped, the last line may be open.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    at_hand: bool,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> LineReader<R> {
    /// Lines of this stream.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            at_hand: false,
            line: Vec::new(),
            number: 0,
        }
    }

    /// Whether the next bytes are there without waiting.
    pub fn has_more_at_hand(&self) -> bool {
        self.at_hand
    }

    /// The number of the line that was read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let (mut taken, mut too_long) = (false, false);
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                self.at_hand = false;
                if !taken {
                    return Ok(None);
                }
                break;
            }
            let end = memchr::memchr(b'\n', available);
            let part = &available[..end.unwrap_or(available.len())];
            if too_long || self.line.len() + part.len() > MAX_LINE_BYTES + 1 {
                (too_long, self.line) = (true, Vec::new());
            } else {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(available.len(), |end| end + 1);
            self.at_hand = used < available.len();
            self.reader.consume(used);
            taken = true;
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        Ok(Some(self.last_line(too_long)))
    }

    fn last_line(&self, too_long: bool) -> Line<'_> {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let line = match self.number {
            1 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            _ => line,
        };
        if too_long || line.len() > MAX_LINE_BYTES {
            Line::TooLong
        } else if line.iter().all(u8::is_ascii_whitespace) {
            Line::Empty
        } else {
            Line::Whole(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(text: &[u8], buffer: usize) -> Vec<(u64, String)> {
        rest(&mut LineReader::new(BufReader::with_capacity(buffer, text)))
    }

    fn rest<R: BufRead>(reader: &mut LineReader<R>) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            let line = match line {
                Line::Empty => "(empty)".to_owned(),
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong => "(too long)".to_owned(),
            };
            found.push((reader.number, line));
        }
        found
    }

    #[test]
    fn lines_are_cut_wherever_the_reads_end() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\r\n  \n{\"b\":2}\n{\"c\":3}";
        let expected = [
            (1, "{\"a\":1}"),
            (2, "(empty)"),
            (3, "(empty)"),
            (4, "{\"b\":2}"),
            (5, "{\"c\":3}"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, line)| (*n, (*line).to_owned()))
            .collect();
        for buffer in 1..12 {
            assert_eq!(lines(text, buffer), expected, "reads of {buffer} bytes");
        }
        assert_eq!(lines(b"", 4), []);
    }

    #[test]
    fn the_longest_line_is_read_and_a_longer_one_is_not() {
        let mut text = vec![b'x'; MAX_LINE_BYTES];
        text.extend_from_slice(b"\r\n");
        text.extend(vec![b'y'; MAX_LINE_BYTES + 1]);
        text.extend_from_slice(b"\nz\n");
        let found = lines(&text, 8192);
        assert_eq!(found[0].1.len(), MAX_LINE_BYTES);
        assert_eq!(found[1].1, "(too long)");
        assert_eq!(found[2], (3, "z".to_owned()));
    }
}
