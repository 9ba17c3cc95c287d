//! The JSON values on standard input, cut apart however they are framed: one a line, over several lines, one behind the
//! other, in a list, or each behind a record separator (RFC 7464).
//!
//! In: bytes. Out: one value after the other, with the line where it begins. The values themselves are not judged: what is
//! not JSON is handed over as well, as it is, so that it is refused by whoever refuses it in a run.
//!
//! A value has lost its end if the input ends, if a line ends within a text, if brackets do not match, or if a line begins
//! like a value where none may begin. Reading then resumes at the first line behind its start that is indented no more than
//! its own and begins with `{` or `[`; at the next line, whatever it holds, if the value is broken on its first one.
//!
//! Invariants: one value at a time is in memory, [`MAX_VALUE_BYTES`] at most; valid values are cut where they end; and a
//! line that is one value is handed over as it is, byte for byte.

mod list;
mod shape;
mod window;

use list::{List, Part};
use shape::{Progress, Shape};
use std::io::{self, Read};
use window::Window;

/// Longest value, in bytes: the longest line that a run takes.
pub(super) const MAX_VALUE_BYTES: usize = 5 * 1024 * 1024;
/// How much may be read again in search of the end of values that have lost theirs. Beyond it, no value extends over a line
/// that begins like a value, until all that was looked at has been passed.
const MAX_REREAD_BYTES: u64 = 4 * MAX_VALUE_BYTES as u64;
/// In front of each value of a JSON text sequence.
const RECORD_SEPARATOR: u8 = 0x1e;

/// What is next in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'b> {
    /// The bytes of a value, or what is there in place of one.
    Value(&'b [u8]),
    /// A value longer than [`MAX_VALUE_BYTES`]; not kept.
    TooLong,
    /// A list whose elements are read, but which is not JSON as a whole, and why.
    BrokenList(&'static str),
}

/// Cuts some input into values.
#[derive(Debug)]
pub(super) struct Values<R> {
    input: Window<R>,
    /// Bytes that the last answer covered.
    answered: usize,
    /// The list that is being read, if its elements are the values.
    list: Option<List>,
    /// White space in front of the current line.
    indent: usize,
    lost: Option<Lost>,
    reread: Reread,
}

/// What is skipped of a value that has lost its end.
#[derive(Debug, Clone, Copy)]
enum Lost {
    /// The rest of its line.
    Line,
    /// Everything up to a line that begins with a value and is indented no more than this.
    Lines(usize),
}

/// How far values without an end were followed, in bytes from the start of the input, and how many bytes were read again
/// since then.
#[derive(Debug, Default)]
struct Reread {
    farthest: u64,
    bytes: u64,
}

/// A piece of the input, as offsets from its head.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// A value; reading resumes at `until`.
    Value {
        from: usize,
        to: usize,
        until: usize,
    },
    TooLong {
        until: usize,
    },
    BrokenList(&'static str),
}

const NO_END: &str = "its end is missing";
const WRONG_COMMA: &str = "a comma is missing, or one too many";

impl<R: Read> Values<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: Window::new(input),
            answered: 0,
            list: None,
            indent: 0,
            lost: None,
            reread: Reread::default(),
        }
    }

    /// The next value and the number of the line where it begins; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Found<'_>)>> {
        self.input.consume(std::mem::take(&mut self.answered));
        self.input.skip_mark()?;
        if let Some(lost) = self.lost.take() {
            self.skip(lost)?;
        }
        let Some((line, cut)) = self.cut()? else {
            return Ok(None);
        };
        let found = match cut {
            Cut::Value { from, to, until } => {
                self.answered = until;
                Found::Value(self.input.bytes(from, to))
            }
            Cut::TooLong { until } => {
                self.answered = until;
                Found::TooLong
            }
            Cut::BrokenList(why) => Found::BrokenList(why),
        };
        Ok(Some((line, found)))
    }

    /// Skips what is between values, and cuts the next one.
    fn cut(&mut self) -> io::Result<Option<(u64, Cut)>> {
        loop {
            let (blank, byte) = self.blank()?;
            let Some(byte) = byte.filter(|byte| *byte != RECORD_SEPARATOR) else {
                let is_end = byte.is_none();
                self.input.consume(blank + usize::from(!is_end));
                self.indent = 0;
                match self.leave_list() {
                    None if !is_end => continue,
                    broken => return Ok(broken),
                }
            };
            let starts_line = self.input.is_at_line_start();
            if starts_line {
                self.indent = blank;
            }
            let line = self.input.line();
            let Some(list) = &mut self.list else {
                if byte != b'[' {
                    return Ok(Some((line, self.value(blank, byte)?)));
                }
                self.list = Some(List::new(line, self.indent));
                self.input.consume(blank + 1);
                continue;
            };
            let part = match byte {
                b',' => Part::Comma,
                b']' => Part::End,
                b'[' if starts_line && self.indent <= list.indent && list.can_end() => {
                    // Another list, so the end of this one is missing.
                    match self.leave_list() {
                        None => continue,
                        broken => return Ok(broken),
                    }
                }
                _ => Part::Element,
            };
            let broken = list
                .add(part)
                .then_some((list.line, Cut::BrokenList(WRONG_COMMA)));
            match part {
                Part::Element if broken.is_none() => {
                    return Ok(Some((line, self.value(blank, byte)?)));
                }
                Part::Element => {}
                Part::Comma => self.input.consume(blank + 1),
                Part::End => {
                    self.input.consume(blank + 1);
                    self.list = None;
                }
            }
            if broken.is_some() {
                return Ok(broken);
            }
        }
    }

    /// Passes white space and byte order marks. Answers with the offset of what comes then, which is not the head if the
    /// white space is in its line, and with its byte.
    fn blank(&mut self) -> io::Result<(usize, Option<u8>)> {
        let mut blank = 0;
        loop {
            match self.input.byte(blank)? {
                Some(byte) if is_blank(byte) && blank < MAX_VALUE_BYTES => blank += 1,
                Some(byte) if is_blank(byte) || byte == b'\n' => {
                    self.input.consume(blank + 1);
                    blank = 0;
                }
                Some(0xef) if blank < MAX_VALUE_BYTES && self.input.has_mark(blank)? => blank += 3,
                byte => return Ok((blank, byte)),
            }
        }
    }

    /// Ends the list that is being read; says that its end is missing, unless it was said to be broken before.
    fn leave_list(&mut self) -> Option<(u64, Cut)> {
        let list = self.list.take()?;
        let is_broken = list.needs_its_end();
        is_broken.then_some((list.line, Cut::BrokenList(NO_END)))
    }

    /// Cuts the value that begins with this byte at an offset.
    fn value(&mut self, start: usize, first: u8) -> io::Result<Cut> {
        match first {
            b'{' | b'[' => self.structured(start),
            _ if self.list.is_some() => self.scalar(start),
            _ => self.rest_of_line(start, start),
        }
    }

    /// Cuts an object, or a list in a list.
    fn structured(&mut self, start: usize) -> io::Result<Cut> {
        let outer = self.indent;
        let is_by_line = self.is_reread_by_line();
        let mut shape = Shape::default();
        // Where the line began, until something other than white space is found on it.
        let mut line_start = None;
        let mut next_value = None;
        let mut at = start;
        loop {
            let byte = match self.input.byte(at)? {
                Some(byte) if byte != RECORD_SEPARATOR && at - start < MAX_VALUE_BYTES => byte,
                _ => return self.broken(start, at, next_value, outer),
            };
            match byte {
                b'\n' if shape.is_in_text() => {
                    return self.broken(start, at, next_value, outer);
                }
                b'\n' => line_start = Some(at + 1),
                byte if is_blank(byte) => {}
                _ => {
                    if let Some(begin) = line_start.take() {
                        self.indent = at - begin;
                        if matches!(byte, b'{' | b'[') && self.indent <= outer {
                            next_value.get_or_insert(begin);
                            if is_by_line || !shape.may_begin_value() {
                                return self.broken(start, at, next_value, outer);
                            }
                        }
                    }
                }
            }
            at += 1;
            match shape.add(byte) {
                Progress::Open => {}
                Progress::Closed => return self.closed(start, at),
                Progress::Broken => return self.broken(start, at, next_value, outer),
            }
        }
    }

    /// Cuts a value that is complete, with what else is in its line if that is no value.
    fn closed(&mut self, start: usize, end: usize) -> io::Result<Cut> {
        let mut at = end;
        while at - end < MAX_VALUE_BYTES && self.input.byte(at)?.is_some_and(is_blank) {
            at += 1;
        }
        match (self.input.byte(at)?, &self.list) {
            (None | Some(b'\n' | RECORD_SEPARATOR), _) => Ok(self.line(start, at)),
            (Some(b'{' | b'['), _) | (Some(b',' | b']'), Some(_)) => Ok(self.piece(start, end)),
            _ => {
                self.excuse_list();
                self.rest_of_line(start, at)
            }
        }
    }

    /// Cuts a value that has lost its end, as was found at an offset, and looks for the next one.
    fn broken(
        &mut self,
        start: usize,
        at: usize,
        next_value: Option<usize>,
        outer: usize,
    ) -> io::Result<Cut> {
        self.excuse_list();
        if let Some(begin) = next_value {
            let farthest = self.input.consumed() + at as u64;
            self.reread.farthest = self.reread.farthest.max(farthest);
            self.reread.bytes += (at - begin) as u64;
            return Ok(self.piece(start, begin));
        }
        let has_lines = self.input.bytes(start, at).contains(&b'\n');
        let cut = if at - start < MAX_VALUE_BYTES {
            self.rest_of_line(start, at)?
        } else {
            self.lost = Some(Lost::Line);
            Cut::TooLong { until: at }
        };
        if has_lines {
            self.lost = Some(Lost::Lines(outer));
        }
        Ok(cut)
    }

    /// Cuts a number, a text or anything else in a list.
    fn scalar(&mut self, start: usize) -> io::Result<Cut> {
        let mut text = Shape::default();
        let mut at = start;
        loop {
            let byte = match self.input.byte(at)? {
                Some(byte) if !matches!(byte, b'\n' | RECORD_SEPARATOR) => byte,
                _ => return Ok(self.piece(start, at)),
            };
            if matches!(byte, b',' | b']') && !text.is_in_text() {
                return Ok(self.piece(start, at));
            }
            if at - start >= MAX_VALUE_BYTES {
                return self.rest_of_line(start, at);
            }
            text.add(byte);
            at += 1;
        }
    }

    /// Cuts everything up to the end of the line.
    fn rest_of_line(&mut self, start: usize, from: usize) -> io::Result<Cut> {
        let mut at = from;
        while let Some(byte) = self.input.byte(at)?
            && !matches!(byte, b'\n' | RECORD_SEPARATOR)
        {
            if at - start > MAX_VALUE_BYTES {
                self.lost = Some(Lost::Line);
                return Ok(Cut::TooLong { until: at });
            }
            at += 1;
        }
        Ok(self.line(start, at))
    }

    /// A value that ends with its line. The whole line as it is, if there is nothing else on it.
    fn line(&self, start: usize, end: usize) -> Cut {
        let line = self.input.bytes(0, end);
        let is_whole = self.input.is_at_line_start() && self.list.is_none();
        if !is_whole || line.contains(&b'\n') {
            return self.piece(start, end);
        }
        let is_return = line.last() == Some(&b'\r');
        Self::checked(0, end - usize::from(is_return), end)
    }

    /// A value without the white space behind it.
    fn piece(&self, start: usize, end: usize) -> Cut {
        let value = self.input.bytes(start, end).trim_ascii_end();
        Self::checked(start, start + value.len(), end)
    }

    fn checked(from: usize, to: usize, until: usize) -> Cut {
        if to - from > MAX_VALUE_BYTES {
            return Cut::TooLong { until };
        }
        Cut::Value { from, to, until }
    }

    fn excuse_list(&mut self) {
        if let Some(list) = &mut self.list {
            list.excuse();
        }
    }

    /// Whether so much was read again that values without an end are no longer followed.
    fn is_reread_by_line(&mut self) -> bool {
        if self.input.consumed() >= self.reread.farthest {
            self.reread.bytes = 0;
        }
        self.reread.bytes > MAX_REREAD_BYTES
    }

    /// Skips what a value without an end has left.
    fn skip(&mut self, lost: Lost) -> io::Result<()> {
        loop {
            self.input.skip_line()?;
            let Lost::Lines(outer) = lost else {
                return Ok(());
            };
            if !self.input.is_at_line_start() {
                return Ok(());
            }
            let of_list = self.list.as_ref().map(|list| list.indent);
            let deepest = of_list.map_or(outer, |indent| indent.max(outer));
            let mut blank = 0;
            while blank <= deepest && self.input.byte(blank)?.is_some_and(is_blank) {
                blank += 1;
            }
            match self.input.byte(blank)? {
                None | Some(RECORD_SEPARATOR) => return Ok(()),
                Some(b'{' | b'[') if blank <= outer => return Ok(()),
                Some(b']') if of_list.is_some_and(|indent| blank <= indent) => return Ok(()),
                _ => {}
            }
        }
    }
}

/// Whether a byte is white space within a line.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() && byte != b'\n'
}

#[cfg(test)]
mod tests;
