//! Where a damaged event ends, so that it costs only itself.
//!
//! Most damage leaves the brackets right (`NaN`, a wrong escape, a byte that is not UTF-8): they say where the event ends.
//! Where they do not (an event that was cut short, a string without end), the next place is looked for from which events
//! follow one another as they should. A list inside of the damaged event looks like that too, except that what follows
//! its end is more of the event; so the events have to follow one another up to the end of the array, or to the next
//! damage.
//!
//! Invariant: a piece of an event is never taken for an event of its own as far as the text shows it, and the work is
//! bounded by an [`Effort`].

use super::values::{Effort, Exhausted, RECORD_SEPARATOR, is_space, past_separators, read_value};
use memchr::{memchr, memchr_iter};
use std::ops::ControlFlow;

/// The end of the damaged element of an array that starts here; `whole` is where a whole event starts, if one was found.
pub(super) fn end_in_array(
    text: &[u8],
    start: usize,
    whole: Option<usize>,
    effort: &mut Effort,
) -> Result<usize, Exhausted> {
    let end = match text[start] {
        b'{' | b'[' => scan(text, start, true, effort)?,
        b'"' => {
            let end = string_end(text, start);
            effort.spend(end.unwrap_or(text.len()) - start)?;
            end.ok_or(start + 1)
        }
        _ => Ok(word_end(text, start)),
    };
    let from = match end {
        Ok(end) if end > start && ends_element(text, end) => return Ok(end),
        Ok(from) | Err(from) => from,
    };
    // Behind brackets that close nothing the damage is known to end, so any event may follow there.
    if let Ok(end) = end
        && text.get(end) == Some(&b'}')
    {
        let end = past_stray(text, end);
        let next = next_element(text, end, b"{", effort)?;
        if next.is_some_and(|next| before(text, start, next) == end) {
            return Ok(end);
        }
    }
    // Events of one sender begin alike; elements of their lists begin with something else.
    let head = first_key(text, start);
    let alike = next_element(text, from, head, effort)?;
    let begin_alike = whole.is_some_and(|whole| head.len() > 1 && text[whole..].starts_with(head));
    let next = match alike {
        None if !begin_alike => next_element(text, from, b"{", effort)?,
        next => next,
    };
    Ok(next.map_or_else(
        || end_of_array(text, start),
        |next| before(text, start, next),
    ))
}

/// The end of the damaged event of a sequence that starts here: by its brackets, or where the next line begins an event.
pub(super) fn end_in_sequence(
    text: &[u8],
    start: usize,
    effort: &mut Effort,
) -> Result<usize, Exhausted> {
    let separator = |end: usize| {
        let rest = &text[start + 1..end.max(start + 1)];
        memchr(RECORD_SEPARATOR, rest).map_or(end, |at| start + 1 + at)
    };
    if !matches!(text[start], b'{' | b'[') {
        return Ok(separator(line_end(text, start)));
    }
    let line = separator(next_line(text, start));
    effort.spend(line - start)?;
    let closed = scan(&text[..line], start, false, effort)?;
    let closed = closed.map(|end| past_stray(text, end));
    Ok(match closed {
        Ok(end) if text.get(end).is_none_or(|next| begins_next(*next)) => end,
        Ok(end) => line_end(text, end).min(line),
        Err(_) if line < text.len() => line,
        Err(from) => next_value(text, from, effort)?.unwrap_or(line),
    })
}

/// Behind brackets that close nothing: they are a part of the damage.
fn past_stray(text: &[u8], end: usize) -> usize {
    let stray = text[end..]
        .iter()
        .take_while(|byte| matches!(byte, b'}' | b']'));
    end + stray.count()
}

/// The longest first key that is compared.
const MAX_KEY_BYTES: usize = 64;

/// What the last token was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Open,
    Comma,
    Colon,
    /// A string that starts here, without anything after it.
    String(usize),
    Value,
}

/// Follows brackets and strings from the `{` or `[` at `start`, whatever else is wrong: behind the bracket that closes it,
/// or (`Err`) the place from which on brackets and strings mean nothing.
fn scan(
    text: &[u8],
    start: usize,
    is_in_array: bool,
    effort: &mut Effort,
) -> Result<Result<usize, usize>, Exhausted> {
    let end = follow(text, start, is_in_array);
    let read = end.1 - start;
    effort.spend(read)?;
    Ok(end.0)
}

/// The same, and how far it had to be read.
fn follow(text: &[u8], start: usize, is_in_array: bool) -> (Result<usize, usize>, usize) {
    let (mut open, mut last, mut at) = (Vec::new(), Last::Open, start);
    while let Some(&byte) = text.get(at) {
        let mut next = at + 1;
        last = match byte {
            byte if is_space(byte) => last,
            // Neither can follow here: it is the next event.
            b'{' | b'[' if matches!(last, Last::Value | Last::String(_)) => return (Err(at), at),
            b'{' if last == Last::Comma && open.last() == Some(&b'{') => return (Err(at), at),
            b'{' | b'[' => {
                open.push(byte);
                Last::Open
            }
            b'}' | b']' => {
                // `[` and `{` come two before their ends in ASCII.
                if open.pop() != Some(byte - 2) {
                    return (Err(at), at);
                }
                if open.is_empty() {
                    return (Ok(next), next);
                }
                Last::Value
            }
            b',' => Last::Comma,
            b':' => Last::Colon,
            b'"' => {
                let end = string_end(text, at);
                // Lines end events, unless an array frames them.
                let end = end.filter(|end| is_in_array || memchr(b'\n', &text[at..*end]).is_none());
                let Some(end) = end else {
                    return (Err(at), text.len());
                };
                next = end;
                Last::String(at)
            }
            // A word behind a string: the string began where another should have ended.
            _ if let Last::String(string) = last => return (Err(string), at),
            _ => Last::Value,
        };
        at = next;
    }
    (Err(start), text.len())
}

/// Behind the `"` that ends the string that starts here.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn word_end(text: &[u8], start: usize) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
    let length = text[start..].iter().take_while(|byte| is_word(byte));
    start + length.count()
}

/// Whether an element that ends here is followed by the next or by the end.
fn ends_element(text: &[u8], end: usize) -> bool {
    next_byte(text, end).is_none_or(|next| matches!(next, b',' | b']' | b'{'))
}

/// The next byte that is no white space.
fn next_byte(text: &[u8], start: usize) -> Option<u8> {
    let mut rest = text.get(start..)?.iter().copied();
    rest.find(|byte| !is_space(*byte))
}

/// Without the commas and white space before the next element.
fn before(text: &[u8], start: usize, next: usize) -> usize {
    let end = text[start..next]
        .iter()
        .rposition(|byte| *byte != b',' && !is_space(*byte));
    start + end.map_or(1, |last| last + 1)
}

/// The `]` that ends the text, or the end of the text.
pub(super) fn end_of_array(text: &[u8], start: usize) -> usize {
    let trimmed = text.trim_ascii_end();
    let ends = trimmed.last() == Some(&b']') && trimmed.len() > start + 1;
    if ends { trimmed.len() - 1 } else { text.len() }
}

/// The event's text up to the end of its first key; `{` if it has no key.
fn first_key(text: &[u8], start: usize) -> &[u8] {
    let head = &text[start..text.len().min(start + MAX_KEY_BYTES)];
    match memchr(b':', head) {
        Some(end) if head[0] == b'{' => &head[..end],
        _ => b"{",
    }
}

/// The next element of an array that is followed by others as it should be, from `from` on.
fn next_element(
    text: &[u8],
    from: usize,
    head: &[u8],
    effort: &mut Effort,
) -> Result<Option<usize>, Exhausted> {
    let follows_comma = |at: usize| {
        if !text[at..].starts_with(head) {
            return false;
        }
        let earlier = text[..at].iter().rev().find(|byte| !is_space(**byte));
        earlier == Some(&b',')
    };
    next_chain(text, from, effort, follows_comma, |text, end| {
        let next = text[end..].iter().position(|byte| !is_space(*byte));
        let at = next.map(|next| end + next)?;
        match text[at] {
            b',' => Some(match next_byte(text, at + 1) {
                Some(b'{') => ControlFlow::Continue(past_separators(text, at)),
                // A comma in front of the end, or something that is no object.
                Some(b'"') => return None,
                _ => ControlFlow::Break(()),
            }),
            b']' => match next_byte(text, at + 1) {
                None | Some(b'{' | b'[') => Some(ControlFlow::Break(())),
                _ => None,
            },
            b'{' => Some(ControlFlow::Continue(at)),
            _ => None,
        }
    })
}

/// The next value of a sequence that is followed by others up to the end, from `from` on.
fn next_value(text: &[u8], from: usize, effort: &mut Effort) -> Result<Option<usize>, Exhausted> {
    next_chain(
        text,
        from,
        effort,
        |_| true,
        |text, end| match next_byte(text, end) {
            None => Some(ControlFlow::Break(())),
            Some(b'{') => Some(ControlFlow::Continue(past_separators(text, end))),
            _ => None,
        },
    )
}

/// The first `{` from which whole values follow one another: `step` says, for the end of each, where the next starts, that
/// it was the last, or (`None`) that it is followed by something else.
fn next_chain(
    text: &[u8],
    from: usize,
    effort: &mut Effort,
    may_start: impl Fn(usize) -> bool,
    step: impl Fn(&[u8], usize) -> Option<ControlFlow<(), usize>>,
) -> Result<Option<usize>, Exhausted> {
    effort.spend(text.len() - from)?;
    // Where the last chain failed: nothing before leads further.
    let mut failed = from;
    for start in memchr_iter(b'{', &text[from..]).map(|at| from + at) {
        if start < failed || !may_start(start) {
            continue;
        }
        let mut at = start;
        loop {
            let end = match read_value(text, at) {
                Ok(end) => end,
                // Another damage behind whole events ends the chain as well as the end of the array does.
                Err(_) if at > start => return Ok(Some(start)),
                Err(read) => {
                    effort.spend(read)?;
                    break;
                }
            };
            effort.spend(end - at)?;
            match step(text, end) {
                Some(ControlFlow::Break(())) => return Ok(Some(start)),
                Some(ControlFlow::Continue(next)) => at = next,
                // A bracket too many is another damage; what ends a list is not.
                None if at > start && next_byte(text, end) == Some(b'}') => {
                    return Ok(Some(start));
                }
                None => {
                    failed = end;
                    break;
                }
            }
        }
    }
    Ok(None)
}

fn begins_next(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b'{' | b'[')
}

/// The end of this line.
fn line_end(text: &[u8], start: usize) -> usize {
    let end = memchr::memchr2(b'\n', b'\r', &text[start..]);
    end.map_or(text.len(), |end| start + end)
}

/// The next line that begins an object or an array, without white space in front: lines inside of one are indented.
fn next_line(text: &[u8], start: usize) -> usize {
    let mut ends = memchr::memchr2_iter(b'\n', b'\r', &text[start..]).map(|at| start + at + 1);
    let next = ends.find(|next| matches!(text.get(*next), Some(b'{' | b'[' | &RECORD_SEPARATOR)));
    next.unwrap_or(text.len())
}
