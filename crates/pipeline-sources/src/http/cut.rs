//! Cuts a body into events, whatever frames them: an array, one a line, one after the other, with line breaks inside, or
//! a JSON text sequence (RFC 7464). It does not look inside an event.
//!
//! Values are read one after the other; between them may be white space, commas and record separators, and an array at
//! the top gives its elements. Where a value is damaged, [`damage`] finds the next one: what lies between
//! is one event that sinks reject.
//!
//! Invariant: an event is cut in the same way in every framing, and whatever comes before or after it.

use super::damage;
use super::refusal::Refusal;
use super::values::{Effort, is_separator, is_space, past_separators, read_value};
use crate::line::{MAX_LINE_BYTES, too_large};
use bytes::Bytes;
use pipeline_core::Reason;
use std::ops::Range;

/// Events of one request.
pub const MAX_EVENTS_PER_REQUEST: usize = 10_000;
/// How often a body may be read to find where damage in it ends; what is left then is one damaged event.
const MAX_SCANS: usize = 8;
/// Every event of a body, or the reason why one of them cannot be an event.
pub(crate) fn events(body: &Bytes) -> Result<Vec<Result<Bytes, Reason>>, Refusal> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = body.slice_ref(text);
    let mut cutter = Cutter::new(&text);
    let (mut events, mut is_readable) = (Vec::new(), false);
    for piece in &mut cutter {
        if events.len() == MAX_EVENTS_PER_REQUEST {
            let message = format!("more than {MAX_EVENTS_PER_REQUEST} events in one request");
            return Err(Refusal::new(413, "too_many_events", message));
        }
        is_readable |= piece.is_whole;
        events.push(if piece.range.len() > MAX_LINE_BYTES {
            Err(too_large())
        } else {
            Ok(text.slice(piece.range))
        });
    }
    if cutter.lacks_end {
        let problem = "the array has no end: the request was cut short where it was made";
        events.push(Err(Reason::new("malformed_json", problem)));
    }
    match (is_readable, events.is_empty()) {
        (true, _) => Ok(events),
        (false, true) if cutter.has_array => Ok(events),
        (false, true) => Err(Refusal::new(400, "empty", "the body is empty")),
        // Senders repeat what gets 400 for ever, and drop what gets 422.
        (false, false) => {
            let problem = "nothing in the body is JSON; expected a JSON object, a JSON array, or JSON objects one after \
                           the other";
            Err(Refusal::new(422, "malformed_json", problem))
        }
    }
}

/// One event of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    /// Whether it is one JSON value. What is not is for the sinks to reject.
    pub(super) is_whole: bool,
}

/// Cuts a text into pieces.
#[derive(Debug)]
pub(super) struct Cutter<'t> {
    text: &'t [u8],
    at: usize,
    is_in_array: bool,
    /// Whether an array was there at all.
    has_array: bool,
    /// Whether the last array was not closed.
    lacks_end: bool,
    /// Where the first whole event starts.
    first_whole: Option<usize>,
    effort: Effort,
}

impl<'t> Cutter<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            is_in_array: false,
            has_array: false,
            lacks_end: false,
            first_whole: None,
            effort: Effort::new(text.len().saturating_mul(MAX_SCANS)),
        }
    }
}

impl Iterator for Cutter<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            self.at = past_separators(self.text, self.at);
            match self.text.get(self.at) {
                None => {
                    self.lacks_end = std::mem::take(&mut self.is_in_array) || self.lacks_end;
                    return None;
                }
                Some(b']') if self.is_in_array => self.is_in_array = false,
                Some(b'[') if !self.is_in_array => {
                    (self.is_in_array, self.has_array) = (true, true);
                }
                Some(_) => break,
            }
            self.at += 1;
        }
        let start = self.at;
        let read = read_value(self.text, start);
        let whole = read.ok().filter(|end| is_boundary(self.text, *end));
        if whole.is_some() {
            self.first_whole.get_or_insert(start);
        }
        self.at = whole.unwrap_or_else(|| {
            let (text, effort) = (self.text, &mut self.effort);
            let read = read.map_or_else(|read| read, |end| end - start);
            let end = effort.spend(read).and_then(|()| {
                if self.is_in_array {
                    damage::end_in_array(text, start, self.first_whole, effort)
                } else {
                    damage::end_in_sequence(text, start, effort)
                }
            });
            let end = end.unwrap_or_else(|_| damage::end_of_array(text, start));
            end.max(start + 1)
        });
        let piece = &self.text[start..self.at];
        let end = start
            + piece
                .iter()
                .rposition(|byte| !is_space(*byte))
                .map_or(0, |last| last + 1);
        Some(Piece {
            range: start..end.max(start + 1),
            is_whole: whole.is_some(),
        })
    }
}

/// Whether a value that ends here can be followed by what follows.
fn is_boundary(text: &[u8], end: usize) -> bool {
    text.get(end)
        .is_none_or(|next| is_separator(*next) || matches!(next, b'{' | b'[' | b']'))
}

#[cfg(test)]
mod tests;
