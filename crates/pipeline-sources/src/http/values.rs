//! JSON values one after the other in a text: where one ends, and what may be between two.

use serde_json::value::RawValue;

/// Begins a text of a JSON text sequence.
pub(super) const RECORD_SEPARATOR: u8 = 0x1e;

/// How many bytes may still be read more than once to find out where damage ends.
#[derive(Debug)]
pub(super) struct Effort(usize);

/// Too much has been read again.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Effort {
    pub(super) fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Reads so many bytes again; `Err` when that is too much.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.0 = self.0.checked_sub(bytes).ok_or(Exhausted)?;
        Ok(())
    }
}

/// The end of the JSON value that starts here; `Err` with how many bytes were read of what is no value.
#[inline]
pub(crate) fn read_value(text: &[u8], start: usize) -> Result<usize, usize> {
    let rest = text.get(start..).unwrap_or_default();
    match whole_value(rest) {
        Some(length) => Ok(start + length),
        None => read_closely(rest, start),
    }
}

/// The same for a value in a text that is known to be UTF-8; `None` where it is damaged, or does not start here.
#[inline]
pub(crate) fn read_sound(text: &str, start: usize) -> Option<usize> {
    let rest = text.as_bytes().get(start..)?;
    Some(start + sound_value(rest)?)
}

/// The length of the value that a text begins with, where nothing is wrong with it.
fn whole_value(text: &[u8]) -> Option<usize> {
    let length = sound_value(text)?;
    std::str::from_utf8(&text[..length])
        .is_ok()
        .then_some(length)
}

/// The same, whatever its encoding.
#[inline]
fn sound_value(text: &[u8]) -> Option<usize> {
    let length = json_paths::value_end(text)?;
    let (value, behind) = text.split_at(length);
    let ends = matches!(value, [b'{' | b'[' | b'"', ..])
        || behind.first().is_none_or(|next| {
            matches!(
                next,
                b' ' | b'\n' | b'\t' | b'\r' | b'"' | b'[' | b']' | b'{' | b'}' | b',' | b':'
            )
        });
    ends.then_some(length)
}

/// The same, with the place where a value is damaged.
#[cold]
fn read_closely(rest: &[u8], start: usize) -> Result<usize, usize> {
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(_)) => Ok(start + values.byte_offset()),
        Some(Err(error)) => {
            let line = error.line().saturating_sub(2);
            let before = memchr::memchr_iter(b'\n', rest).nth(line);
            let before = if error.line() > 1 { before } else { None };
            Err(before.map_or(0, |end| end + 1) + error.column())
        }
        None => Err(0),
    }
}

/// The next place that is neither white space nor a separator.
pub(super) fn past_separators(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let next = rest.iter().position(|byte| !is_separator(*byte));
    next.map_or(text.len(), |next| start + next)
}

pub(super) fn is_separator(byte: u8) -> bool {
    byte == b',' || is_space(byte)
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | RECORD_SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agree(text: &[u8]) {
        for start in 0..text.len().min(4) {
            let (fast, closely) = (read_value(text, start), read_closely(&text[start..], start));
            assert_eq!(fast, closely, "{text:?} from {start}");
            let is_blank = text.get(start).is_some_and(u8::is_ascii_whitespace);
            if let (Ok(text), false) = (std::str::from_utf8(text), is_blank) {
                assert_eq!(read_sound(text, start), fast.ok(), "{text:?} from {start}");
            }
        }
    }

    #[test]
    fn a_value_ends_where_a_parser_says_it_does() {
        for text in [
            "1",
            "1 ",
            "1,",
            "1x",
            "1:",
            "1\u{1e}",
            "-",
            "tru",
            "true",
            "truex",
            "true]",
            "\"a\"x",
            "{}x",
            "[1]1",
            " 1",
            "  {}",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "{\"a\":1,}",
            "",
            "\"é\"",
            "null\"",
        ] {
            agree(text.as_bytes());
        }
        agree(b"\"\xff\"");
        agree(b"{\"a\xc3\":1}");
        agree(b"[1]\xff");
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_a_parser_reads_it(
            text in prop::collection::vec(prop::sample::select(b"{}[],:\"\\u01-.e tn\n\xc3\xa9\x1e".to_vec()), 0..30),
            event in "\\{\"[a-zé\\\\\"]{0,4}\":(1|true|\"[aé\\\\n]{0,6}\"|\\[1,2\\]|\\{\\})[,}\\] ]{0,3}",
        ) {
            agree(&text);
            agree(event.as_bytes());
        }
    }
}
