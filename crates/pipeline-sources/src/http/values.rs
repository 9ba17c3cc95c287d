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
pub(crate) fn read_value(text: &[u8], start: usize) -> Result<usize, usize> {
    let rest = text.get(start..).unwrap_or_default();
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
