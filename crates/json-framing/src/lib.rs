//! The JSON values of a stream, cut apart however they are framed: one a line, over several lines, one behind the other, in a
//! list, or each behind a record separator (RFC 7464). And where in the stream reading can resume.
//!
//! In: bytes. Out: one value after the other, with the line where it begins. The values themselves are not judged: what is
//! not JSON is handed over as well, as it is, so that it is rejected by whoever reads it.
//!
//! NULs and byte order marks between values are nothing; NULs at the end are looked at again when there is more. A carriage return ends a line where a value ends, and in front of
//! `{` and `[`. A value has lost its end if the stream ends, if a line ends within a text, if brackets do not match, at two
//! NULs (a hole that a truncation leaves), at a record separator, or if a line begins like a value where none may begin.
//! Reading then resumes behind what ended it, or at the first line behind its start that is indented no more than its own and
//! begins with `{` or `[`.
//!
//! Invariants: one value at a time is in memory, [`MAX_VALUE_BYTES`] at most; valid values are cut where they end; a
//! line that is one value is handed over as it is, byte for byte; and a stream that is read in parts, each resumed at the
//! mark of the last, gives what it gives as a whole, but for values that reached the end of a part without their own.

mod list;
mod mark;
mod shape;
mod surroundings;
#[cfg(test)]
mod tests;
mod window;

use list::{List, Part};
pub use mark::{FINGERPRINT_BYTES, Fingerprint, Mark};
use shape::{Progress, Shape};
use std::io::{self, Read};
use surroundings::Lost;
pub use surroundings::Surroundings;
use window::Window;

/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 5 * 1024 * 1024;
/// How much may be read again in search of the end of values that have lost theirs. Beyond it, no value extends over a line
/// that begins like a value, until all that was looked at has been passed.
const MAX_REREAD_BYTES: u64 = 4 * MAX_VALUE_BYTES as u64;
/// In front of each value of a JSON text sequence.
const RECORD_SEPARATOR: u8 = 0x1e;

/// What is next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'b> {
    /// The bytes of a value, or what is there in place of one.
    Value(&'b [u8]),
    /// A value longer than [`MAX_VALUE_BYTES`]; not kept.
    TooLong,
    /// A list whose elements are read, but which is not JSON as a whole, and why.
    BrokenList(&'static str),
}

/// What is at a place, as far as values end there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The end of the stream.
    End,
    LineFeed,
    /// A carriage return without a line feed.
    Return,
    ReturnBeforeValue,
    Separator,
    /// More than one NUL.
    Hole,
    Other(u8),
}

impl Kind {
    /// Whether whatever is not structured ends here.
    fn ends_line(self) -> bool {
        !matches!(self, Self::Return | Self::Other(_))
    }
}

/// How far values without an end were followed, as a place in the stream, and how many bytes were read again since then.
#[derive(Debug, Default)]
struct Reread {
    farthest: u64,
    bytes: u64,
}

/// A piece of the stream, as offsets from the head.
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

/// What a stream consisted of so far.
#[derive(Debug, Default)]
struct Seen {
    objects: bool,
    others: bool,
    broken_list: bool,
}

/// Cuts a stream into values.
#[derive(Debug)]
pub struct Values<R> {
    input: Window<R>,
    /// Bytes that the last answer covered, and whether these are one whole line.
    answered: usize,
    is_line: bool,
    around: Surroundings,
    reread: Reread,
    /// The end of the stream may not be the last.
    waits: bool,
    /// Where reading resumed; set until something has been read.
    resumed: Option<Mark>,
    /// In front of the first value that reached the end of the stream without its own end. If the stream grows, reading
    /// resumes there.
    open: Option<Mark>,
    /// In front of the NULs at the head, as long as nothing else was found behind them.
    before_nuls: Option<Mark>,
    /// White space that was seen at the end of the stream and is not consumed.
    tail: usize,
    seen: Seen,
    /// The value that was cut last is complete, though the stream ended behind it.
    is_closed: bool,
}

impl<R: Read> Values<R> {
    /// The values of this stream.
    pub fn new(stream: R) -> Self {
        Self::resume(stream, Mark::default(), b"")
    }

    /// The values of a stream that starts at the offset of `mark`; `before` is what precedes it, as far as is known.
    pub fn resume(stream: R, mark: Mark, before: &[u8]) -> Self {
        let around = mark.around;
        let place = (mark.offset, mark.line);
        Self {
            input: Window::new(stream, before, place, around.in_line),
            answered: 0,
            is_line: false,
            around,
            reread: Reread::default(),
            waits: false,
            resumed: Some(mark),
            open: None,
            before_nuls: None,
            tail: 0,
            seen: Seen::default(),
            is_closed: false,
        }
    }

    /// Returns a value only once what ends it has arrived; the end of the stream may not be the last.
    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    /// The last value will not be continued.
    pub fn stop_waiting(&mut self) {
        self.waits = false;
    }

    /// Whether there were values, and none that begins like an object.
    pub fn has_no_object(&self) -> bool {
        self.seen.others && !self.seen.objects
    }

    /// Whether a list that is broken is the first; then it is worth telling.
    pub fn is_first_broken_list(&mut self) -> bool {
        !std::mem::replace(&mut self.seen.broken_list, true)
    }

    /// Whether the next bytes are there without waiting.
    pub fn has_more_at_hand(&self) -> bool {
        self.input.has_at_hand(self.answered)
    }

    /// The place behind the value that was read last.
    pub fn mark(&mut self) -> Mark {
        self.settle();
        if let Some(mark) = self.resumed {
            return mark;
        }
        // NULs at the end are read again: a writer that has reserved room for a file replaces them.
        let end = self.before_nuls.unwrap_or_else(|| Mark {
            offset: self.input.place() + self.tail as u64,
            last: self.input.last(self.tail),
            ..self.head()
        });
        let start = self.open.or(self.before_nuls);
        let start = start.unwrap_or_else(|| self.head());
        Mark {
            open_bytes: end.offset - start.offset,
            last: end.last,
            ..start
        }
    }

    /// Whether what was read last may be replaced in its place.
    pub fn ends_in_nul(&self) -> bool {
        self.input.ends_in_nul()
    }

    /// Moves behind what was answered last.
    fn settle(&mut self) {
        let answered = std::mem::take(&mut self.answered);
        if std::mem::take(&mut self.is_line) {
            self.input.consume_line(answered);
        } else {
            self.input.consume(answered);
        }
    }

    /// The place of the head; without what can be seen there.
    fn head(&self) -> Mark {
        let in_line = !self.input.is_at_line_start();
        let is_indented = in_line || self.around.list.is_some();
        Mark {
            offset: self.input.place(),
            line: self.input.line() - 1,
            around: Surroundings {
                in_line,
                indent: if is_indented { self.around.indent } else { 0 },
                ..self.around
            },
            ..Mark::default()
        }
    }

    /// The next value and the number of the line where it begins; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn next_value(&mut self) -> io::Result<Option<(u64, Found<'_>)>> {
        self.settle();
        if self.waits {
            self.input.look_again();
        }
        let mut known = self.resumed.map_or(0, |mark| mark.open_bytes);
        if known > 0 && !self.is_longer_than(known)? {
            return Ok(None);
        }
        let (line, cut) = loop {
            let place = self.input.place();
            let next = self.next_cut()?;
            if self.input.place() > place || next.is_some() || self.tail > 0 {
                self.resumed = None;
            }
            let Some((line, cut)) = next else {
                return Ok(None);
            };
            let is_known = known > 0 && self.open.is_none() && self.is_within(cut, known);
            if !is_known {
                break (line, cut);
            }
            // It only lacked its end when it was read.
            self.settle();
            known = 0;
        };
        Ok(Some((
            line,
            match cut {
                Cut::Value { from, to, .. } => {
                    let value = self.input.bytes(from, to);
                    let is_object = begins_object(value);
                    self.seen.objects |= is_object;
                    self.seen.others |= !is_object;
                    Found::Value(value)
                }
                Cut::TooLong { .. } => {
                    self.seen.others = true;
                    Found::TooLong
                }
                Cut::BrokenList(why) => Found::BrokenList(why),
            },
        )))
    }

    /// Whether there is more behind the head than so many bytes.
    fn is_longer_than(&mut self, known: u64) -> io::Result<bool> {
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        Ok(self.input.byte(known)?.is_some())
    }

    /// Whether a value ends within so many bytes, and nothing else is there.
    fn is_within(&self, cut: Cut, known: u64) -> bool {
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let Cut::Value { to, .. } = cut else {
            return false;
        };
        let is_blank = |byte: &u8| byte.is_ascii_whitespace();
        to <= known && self.input.bytes(to, known).iter().all(is_blank)
    }

    fn next_cut(&mut self) -> io::Result<Option<(u64, Cut)>> {
        self.tail = 0;
        self.input.skip_mark()?;
        if let Some(lost) = self.around.lost
            && !self.skip(lost)?
        {
            return Ok(None);
        }
        let found = self.cut()?;
        if let Some((_, Cut::Value { until, .. } | Cut::TooLong { until })) = found {
            // With the end of its line, so that reading resumes at the start of one.
            let is_followed = self.input.at_hand().get(until) == Some(&b'\n');
            let takes_end = is_followed && self.around.lost.is_none();
            self.answered = until + usize::from(takes_end);
        }
        Ok(found)
    }

    /// Skips what is between values, and cuts the next one.
    fn cut(&mut self) -> io::Result<Option<(u64, Cut)>> {
        loop {
            if let Some(cut) = self.whole_line() {
                self.is_line = true;
                return Ok(Some((self.input.line(), cut)));
            }
            let (blank, byte) = self.blank()?;
            let Some(byte) = byte else {
                return Ok(self.end_of_stream(blank));
            };
            if byte == RECORD_SEPARATOR {
                self.input.consume(blank + 1);
                self.around.indent = 0;
                match self.leave_list() {
                    None => continue,
                    broken => return Ok(broken),
                }
            }
            let before = self.around;
            let starts_line = self.input.is_at_line_start();
            if starts_line {
                self.around.indent = blank;
            }
            let line = self.input.line();
            let Some(list) = &mut self.around.list else {
                if byte != b'[' {
                    return self.value(blank, byte, before);
                }
                self.around.list = Some(List::new(line, self.around.indent));
                self.input.consume(blank + 1);
                continue;
            };
            let part = match byte {
                b',' => Part::Comma,
                b']' => Part::End,
                b'[' if starts_line && self.around.indent <= list.indent && list.can_end() => {
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
                Part::Element if broken.is_none() => return self.value(blank, byte, before),
                Part::Element => {}
                Part::Comma => self.input.consume(blank + 1),
                Part::End => {
                    self.input.consume(blank + 1);
                    self.around.list = None;
                }
            }
            if broken.is_some() {
                return Ok(broken);
            }
        }
    }

    /// The usual case, cut without looking at every byte: a line from `{` to `}` in front of a line that begins with `{`.
    /// Whatever it holds, it is what the long way finds too.
    fn whole_line(&mut self) -> Option<Cut> {
        if self.around.list.is_some() || !self.input.is_at_line_start() {
            return None;
        }
        if self.input.at_hand().first() != Some(&b'{') {
            return None;
        }
        let end = self.input.line_at_hand()?;
        let rest = self.input.at_hand();
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        let is_framed = line.last() == Some(&b'}') && rest.get(end + 1) == Some(&b'{');
        if !is_framed || line.len() > MAX_VALUE_BYTES || memchr::memchr(b'\r', line).is_some() {
            return None;
        }
        let begins_value = |at: usize| {
            let mut behind = line[at + 1..].iter().filter(|byte| !is_blank(**byte));
            matches!(behind.next(), Some(b'{' | b'['))
        };
        let is_doubtful = memchr::memchr3_iter(b'}', 0, RECORD_SEPARATOR, line)
            .any(|at| line[at] != b'}' || begins_value(at));
        if is_doubtful {
            return None;
        }
        Some(Cut::Value {
            from: 0,
            to: line.len(),
            until: end,
        })
    }

    /// Passes white space, NULs and byte order marks. Answers with the offset of what comes then, which is not the head if
    /// the white space is in its line, and with its byte.
    fn blank(&mut self) -> io::Result<(usize, Option<u8>)> {
        let mut blank = 0;
        loop {
            let byte = self.input.byte(blank)?;
            if byte.is_some_and(|byte| byte != 0) {
                self.before_nuls = None;
            }
            match byte {
                Some(b'\r') if blank < MAX_VALUE_BYTES => {
                    if let Kind::Return | Kind::ReturnBeforeValue = self.input.kind(blank)? {
                        self.input.consume(blank + 1);
                        blank = 0;
                    } else {
                        blank += 1;
                    }
                }
                Some(byte) if is_blank(byte) && blank < MAX_VALUE_BYTES => blank += 1,
                Some(byte) if is_blank(byte) || byte == b'\n' => {
                    self.input.consume(blank + 1);
                    blank = 0;
                }
                Some(0) => {
                    let before = Mark {
                        last: self.input.last(0),
                        ..self.head()
                    };
                    self.before_nuls.get_or_insert(before);
                    self.input.skip_nuls(blank);
                    blank = 0;
                }
                Some(0xef) if blank < MAX_VALUE_BYTES && self.input.has_mark(blank)? => blank += 3,
                byte => return Ok((blank, byte)),
            }
        }
    }

    /// What the end of the stream means, with so much white space in front of it.
    fn end_of_stream(&mut self, blank: usize) -> Option<(u64, Cut)> {
        if self.waits {
            return None;
        }
        self.tail = blank;
        let list = self.around.list.as_mut()?;
        let is_news = list.end_of_stream();
        is_news.then_some((list.line, Cut::BrokenList(NO_END)))
    }

    /// Ends the list that is being read; says that its end is missing, unless it was said to be broken before.
    fn leave_list(&mut self) -> Option<(u64, Cut)> {
        let list = self.around.list.take()?;
        let is_broken = list.needs_its_end();
        is_broken.then_some((list.line, Cut::BrokenList(NO_END)))
    }

    /// Cuts the value that begins with this byte at an offset. Where the end of the stream may not be the last, nothing if
    /// it was reached; then everything is as it was `before`.
    fn value(
        &mut self,
        start: usize,
        first: u8,
        before: Surroundings,
    ) -> io::Result<Option<(u64, Cut)>> {
        self.is_closed = false;
        let cut = match first {
            b'{' | b'[' => self.structured(start)?,
            _ if self.around.list.is_some() => self.scalar(start)?,
            _ => self.rest_of_line(start, start)?,
        };
        if self.input.is_over() && self.waits {
            self.around = before;
            return Ok(None);
        }
        if self.input.is_over() && !self.is_closed && self.open.is_none() {
            let around = std::mem::replace(&mut self.around, before);
            self.open = Some(self.head());
            self.around = around;
        }
        Ok(Some((self.input.line(), cut)))
    }

    /// Cuts an object, or a list in a list.
    fn structured(&mut self, start: usize) -> io::Result<Cut> {
        let outer = self.around.indent;
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
                b'\n' | b'\r' | 0 => match self.input.kind(at)? {
                    Kind::LineFeed | Kind::ReturnBeforeValue if shape.is_in_text() => {
                        return self.broken(start, at, next_value, outer);
                    }
                    Kind::Hole | Kind::End => {
                        return self.broken(start, at, next_value, outer);
                    }
                    Kind::LineFeed | Kind::ReturnBeforeValue => line_start = Some(at + 1),
                    Kind::Return if !shape.is_in_text() => line_start = Some(at + 1),
                    _ => {}
                },
                byte if is_blank(byte) => {}
                _ => {
                    if let Some(begin) = line_start.take() {
                        self.around.indent = at - begin;
                        if matches!(byte, b'{' | b'[') && self.around.indent <= outer {
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
        let kind = loop {
            match self.input.kind(at)? {
                Kind::Other(byte) if is_blank(byte) && at - end < MAX_VALUE_BYTES => at += 1,
                kind => break kind,
            }
        };
        self.is_closed = kind == Kind::End;
        match (kind, &self.around.list) {
            (Kind::Other(b'{' | b'[' | 0), _) | (Kind::Other(b',' | b']'), Some(_)) => {
                Ok(self.piece(start, end))
            }
            (Kind::Other(_), _) => {
                self.excuse_list();
                self.rest_of_line(start, at)
            }
            _ => Ok(self.line(start, at)),
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
            let farthest = self.input.place() + at as u64;
            self.reread.farthest = self.reread.farthest.max(farthest);
            self.reread.bytes += (at - begin) as u64;
            return Ok(self.piece(start, begin));
        }
        let has_lines = self.input.bytes(start, at).contains(&b'\n');
        let cut = if at - start < MAX_VALUE_BYTES {
            self.rest_of_line(start, at)?
        } else {
            self.around.lost = Some(Lost::Line);
            Cut::TooLong { until: at }
        };
        if has_lines {
            self.around.lost = Some(Lost::Lines(outer));
        }
        Ok(cut)
    }

    /// Cuts a number, a text or anything else in a list.
    fn scalar(&mut self, start: usize) -> io::Result<Cut> {
        let mut text = Shape::default();
        let mut at = start;
        loop {
            let Kind::Other(byte) = self.input.kind(at)? else {
                return Ok(self.piece(start, at));
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
        while !self.input.kind(at)?.ends_line() {
            if at - start > MAX_VALUE_BYTES {
                self.around.lost = Some(Lost::Line);
                return Ok(Cut::TooLong { until: at });
            }
            at += 1;
        }
        Ok(self.line(start, at))
    }

    /// A value that ends with its line. The whole line as it is, if there is nothing else on it.
    fn line(&self, start: usize, end: usize) -> Cut {
        let line = self.input.bytes(0, end);
        let is_alone = self.input.is_at_line_start() && self.around.list.is_none();
        // A byte order mark is no part of it.
        let is_whole = is_alone && self.input.bytes(0, start).is_ascii();
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
        if let Some(list) = &mut self.around.list {
            list.excuse();
        }
    }

    /// Whether so much was read again that values without an end are no longer followed.
    fn is_reread_by_line(&mut self) -> bool {
        if self.input.place() >= self.reread.farthest {
            self.reread.bytes = 0;
        }
        self.reread.bytes > MAX_REREAD_BYTES
    }

    /// Skips what a value without an end has left; returns whether all of it.
    fn skip(&mut self, mut lost: Lost) -> io::Result<bool> {
        loop {
            if !matches!(lost, Lost::FromLine(_)) && !self.input.skip_line()? {
                return Ok(false);
            }
            let outer = match lost {
                Lost::FromLine(outer) => outer,
                Lost::Lines(outer) if self.input.is_at_line_start() => outer,
                Lost::Lines(_) | Lost::Line => break,
            };
            // Whatever is skipped from here on, only whole lines are.
            self.around.lost = Some(Lost::FromLine(outer));
            let of_list = self.around.list.as_ref().map(|list| list.indent);
            let deepest = of_list.map_or(outer, |indent| indent.max(outer));
            let mut blank = 0;
            while blank <= deepest && self.input.byte(blank)?.is_some_and(is_blank) {
                blank += 1;
            }
            match self.input.byte(blank)? {
                None => {
                    self.tail = if self.waits { 0 } else { blank };
                    return Ok(false);
                }
                Some(RECORD_SEPARATOR | 0) => break,
                Some(b'{' | b'[') if blank <= outer => break,
                Some(b']') if of_list.is_some_and(|indent| blank <= indent) => break,
                _ => lost = Lost::Lines(outer),
            }
            self.around.lost = Some(lost);
        }
        self.around.lost = None;
        Ok(true)
    }
}

/// Whether a value begins like an object.
fn begins_object(value: &[u8]) -> bool {
    let is_nothing = |byte: &&u8| is_blank(**byte) || b"\xef\xbb\xbf".contains(byte);
    value.iter().find(|byte| !is_nothing(byte)) == Some(&b'{')
}

/// Whether a byte is white space within a line.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() && byte != b'\n'
}
