//! Lines of a stream, and where in the stream they end.
//!
//! Invariant: a line longer than [`MAX_LINE_BYTES`] is never held in memory, and is reported in its place.

use crate::mark::{Fingerprint, Mark};
use pipeline_core::Reason;
use std::io::{self, BufRead};

/// Longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 5 * 1024 * 1024;

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
    waits: bool,
    /// The line that is being read, and how many of its bytes have been taken from the reader.
    line: Vec<u8>,
    taken: u64,
    too_long: bool,
    /// The line that was read last.
    last: Vec<u8>,
    number: u64,
    /// Where reading resumed; set until a line has been read.
    resumed: Option<Mark>,
    offset: u64,
    open_bytes: u64,
}

impl<R: BufRead> LineReader<R> {
    /// Lines of this stream.
    pub fn new(reader: R) -> Self {
        Self::resume(reader, Mark::default())
    }

    /// Lines of a stream that starts at the offset of `mark`.
    pub(crate) fn resume(reader: R, mark: Mark) -> Self {
        Self {
            reader,
            at_hand: false,
            waits: false,
            line: Vec::new(),
            taken: 0,
            too_long: false,
            last: Vec::new(),
            number: mark.line,
            resumed: Some(mark),
            offset: mark.offset,
            open_bytes: 0,
        }
    }

    /// Returns a line only once its end has arrived; the end of the stream may not be the last.
    pub(crate) fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    /// The last line will not be continued.
    pub(crate) fn stop_waiting(&mut self) {
        self.waits = false;
    }

    /// Whether the next bytes are there without waiting.
    pub fn has_more_at_hand(&self) -> bool {
        self.at_hand
    }

    /// The number of the line that was read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The place after the line that was read last.
    pub(crate) fn mark(&self) -> Mark {
        if let Some(mark) = self.resumed {
            return mark;
        }
        let open = self.open_bytes > 0;
        Mark {
            offset: self.offset,
            line: self.number - u64::from(open),
            open_bytes: self.open_bytes,
            last: Fingerprint::of_end(&self.last, if open { b"" } else { b"\n" }),
        }
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        while let Some(ended) = self.read_line()? {
            let known = self.resumed.map_or(0, |mark| mark.open_bytes);
            let length = self.taken - u64::from(ended);
            let with_return = ended && length == known + 1 && self.line.ends_with(b"\r");
            let is_known = known > 0 && (length == known || with_return);
            if is_known && !ended {
                break;
            }
            self.resumed = None;
            self.number += 1;
            if ended {
                self.offset += self.taken;
            } else {
                self.open_bytes = self.taken;
            }
            self.taken = 0;
            std::mem::swap(&mut self.line, &mut self.last);
            let too_long = std::mem::take(&mut self.too_long);
            // An open line that only lacked its end has been read before.
            if !is_known {
                return Ok(Some(self.last_line(too_long)));
            }
        }
        Ok(None)
    }

    /// Reads to the end of the next line and returns whether it had one; `None` if there is no line to return.
    fn read_line(&mut self) -> io::Result<Option<bool>> {
        // An open line is the last one.
        if self.open_bytes > 0 {
            return Ok(None);
        }
        if self.taken == 0 {
            self.line.clear();
        }
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                self.at_hand = false;
                return Ok((self.taken > 0 && !self.waits).then_some(false));
            }
            let end = memchr::memchr(b'\n', available);
            let part = &available[..end.unwrap_or(available.len())];
            if self.too_long || self.line.len() + part.len() > MAX_LINE_BYTES + 1 {
                (self.too_long, self.line) = (true, Vec::new());
            } else {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(available.len(), |end| end + 1);
            self.at_hand = used < available.len();
            self.reader.consume(used);
            self.taken += used as u64;
            if end.is_some() {
                return Ok(Some(true));
            }
        }
    }

    fn last_line(&self, too_long: bool) -> Line<'_> {
        let line = self.last.strip_suffix(b"\r").unwrap_or(&self.last);
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

    /// The lines from a mark on, and the mark behind them.
    fn resumed(text: &str, mark: Mark) -> (Vec<(u64, String)>, Mark) {
        let start = usize::try_from(mark.offset).unwrap();
        let mut reader = LineReader::resume(&text.as_bytes()[start..], mark);
        let found = rest(&mut reader);
        (found, reader.mark())
    }

    /// A text at first, what it has become, and what the second look finds.
    type Growth = (&'static str, &'static str, &'static [(u64, &'static str)]);

    #[test]
    fn a_resumed_stream_starts_after_what_was_read() {
        let cases: [Growth; 9] = [
            ("a\nb\n", "a\nb\n", &[]),
            (
                "a\nb\n",
                "a\nb\nc\n\nd",
                &[(3, "c"), (4, "(empty)"), (5, "d")],
            ),
            ("\u{feff}a\r\n", "\u{feff}a\r\nb\r\n", &[(2, "b")]),
            ("a\nb", "a\nb", &[]),
            ("a\nb", "a\nb\n", &[]),
            ("a\nb", "a\nb\r\n", &[]),
            ("a\nb", "a\nb\nc", &[(3, "c")]),
            ("a\nb", "a\nbc\nd", &[(2, "bc"), (3, "d")]),
            ("", "a", &[(1, "a")]),
        ];
        for (first, then, expected) in cases {
            let (_, mark) = resumed(first, Mark::default());
            assert_eq!(mark.end(), first.len() as u64, "{first:?}");
            let (found, mark) = resumed(then, mark);
            let found: Vec<_> = found.iter().map(|(n, line)| (*n, &**line)).collect();
            assert_eq!(found, expected, "{first:?} {then:?}");
            assert_eq!(mark.end(), then.len() as u64, "{first:?} {then:?}");
            let last_start = usize::try_from(mark.last_start()).unwrap();
            let last = Fingerprint::of_end(&then.as_bytes()[last_start..], b"");
            assert_eq!(mark.last, last, "{first:?} {then:?}");
            assert_eq!(resumed(then, mark), (Vec::new(), mark), "{then:?}");
        }
    }

    #[test]
    fn a_reader_that_waits_returns_a_line_when_its_end_has_arrived() {
        /// A stream that ends again and again.
        struct Parts(Vec<&'static [u8]>, usize);
        impl io::Read for Parts {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let part = self.0.get(self.1).copied().unwrap_or_default();
                self.1 += 1;
                buffer[..part.len()].copy_from_slice(part);
                Ok(part.len())
            }
        }
        let parts = Parts(vec![b"a\nb", b"", b"c", b"", b"\nd", b""], 0);
        let mut reader = LineReader::new(BufReader::new(parts)).waiting();
        assert_eq!(rest(&mut reader), [(1, "a".to_owned())]);
        assert_eq!((reader.mark().offset, reader.mark().line), (2, 1));
        assert_eq!(rest(&mut reader), []);
        assert_eq!(rest(&mut reader), [(2, "bc".to_owned())]);
        assert_eq!(reader.mark().last, Fingerprint::of_start(b"bc\n"));
        reader.stop_waiting();
        assert_eq!(rest(&mut reader), [(3, "d".to_owned())]);
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
