//! Reads a text along [`Paths`]: the fast walk, and the fallback parser for what it rejects.

use crate::cursor::walk;
use crate::error::ReadError;
use crate::fallback;
use crate::found::Found;
use crate::paths::Paths;
use crate::prediction::Memory;
use crate::rows::MAX_TEXT_BYTES;
use crate::scan::{Broken, is_object};

/// The mark that some programs write before UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

impl Paths {
    /// Reads one JSON text.
    ///
    /// # Errors
    ///
    /// When it is not JSON, not an object, longer than [`MAX_TEXT_BYTES`], or of a kind that is rejected on purpose (see
    /// the crate's guarantees). A byte order mark is not JSON.
    pub fn read<'a>(&self, text: &'a str) -> Result<Found<'a>, ReadError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(ReadError::TooLong);
        }
        let read = walk(self, text, Memory::Kept);
        let found = read.or_else(|Broken| fallback::read(self, text))?;
        if is_object(text) {
            Ok(found)
        } else {
            Err(ReadError::NotAnObject)
        }
    }

    /// Reads one JSON text as it comes from a file or a socket: checks that it is UTF-8, and skips a byte order mark.
    /// Positions in errors about JSON count from behind the mark.
    ///
    /// # Errors
    ///
    /// When it is not UTF-8, and as [`read`](Self::read) says.
    pub fn read_bytes<'a>(&self, bytes: &'a [u8]) -> Result<Found<'a>, ReadError> {
        let text = utf8(bytes)?;
        self.read(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
    }
}

/// The bytes as text. The fast check does not say where the fault is, so the standard one is asked for that.
fn utf8(bytes: &[u8]) -> Result<&str, ReadError> {
    simdutf8::basic::from_utf8(bytes).or_else(|_| {
        std::str::from_utf8(bytes).map_err(|error| ReadError::NotUtf8 {
            valid: error.valid_up_to(),
        })
    })
}
