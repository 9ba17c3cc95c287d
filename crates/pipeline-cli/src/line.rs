//! Lines of events on standard input, in bounded memory.

use std::io::{self, BufRead, Read as _};

/// Longest line, in bytes.
pub(crate) const MAX_LINE_BYTES: usize = 5 * 1024 * 1024;

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'l> {
    /// Nothing, or white space only.
    Empty,
    /// The bytes of the line, whatever they are.
    Whole(&'l [u8]),
    /// Longer than [`MAX_LINE_BYTES`]; not kept.
    TooLong,
}

/// Reads the next line into `line`; `None` at the end. A byte order mark in front of the first line is left to the caller.
pub(crate) fn next<'l>(
    input: &mut impl BufRead,
    line: &'l mut Vec<u8>,
) -> io::Result<Option<Line<'l>>> {
    line.clear();
    let limit = MAX_LINE_BYTES as u64 + 1;
    if input.by_ref().take(limit).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > MAX_LINE_BYTES {
        line.clear();
        skip_line(input)?;
        return Ok(Some(Line::TooLong));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(if line.trim_ascii().is_empty() {
        Line::Empty
    } else {
        Line::Whole(line)
    }))
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let (taken, is_over) = end.map_or((buffer.len(), false), |end| (end + 1, true));
        input.consume(taken);
        if is_over {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_one_that_is_too_long_costs_itself() {
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        let exact = "y".repeat(MAX_LINE_BYTES);
        let text = format!("a\r\n \n{long}\n{exact}\nlast");
        let (mut input, mut line) = (text.as_bytes(), Vec::new());
        let mut found = Vec::new();
        while let Some(line) = next(&mut input, &mut line).expect("memory") {
            found.push(match line {
                Line::Empty => "empty".to_owned(),
                Line::TooLong => "too long".to_owned(),
                Line::Whole(bytes) if bytes.len() == MAX_LINE_BYTES => "exact".to_owned(),
                Line::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            });
        }
        assert_eq!(found, ["a", "empty", "too long", "exact", "last"]);
    }
}
