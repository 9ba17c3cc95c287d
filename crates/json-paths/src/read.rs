//! Reads a text along [`Paths`]: the fast walk, and the fallback parser for what it rejects.

use crate::cursor::walk;
use crate::error::ReadError;
use crate::fallback;
use crate::found::Found;
use crate::paths::Paths;
use crate::prediction::Memory;
use crate::root::Root;
use crate::rows::MAX_TEXT_BYTES;
use crate::scan::Broken;
use crate::slot::List;

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
        let read = walk(self, Root::Object, text, Memory::Kept);
        let found = read.or_else(|Broken| fallback::read(self, Root::Object, text))?;
        Root::Object.check(text).map(|()| found)
    }

    /// Reads one of the lists from a JSON text of its own, because some senders write lists as text: the caller decodes the
    /// text that it found at the list's path. The result has the elements of this list, and nothing else.
    ///
    /// The result of reading the outer text can still be in use, and what has been learned from such texts is kept.
    ///
    /// # Errors
    ///
    /// When it is neither a list nor an object, and as [`read`](Self::read) says.
    ///
    /// # Panics
    ///
    /// When the list belongs to other paths that have more lists.
    #[cold]
    pub fn read_list<'a>(&self, list: List, text: &'a str) -> Result<Found<'a>, ReadError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(ReadError::TooLong);
        }
        let root = Root::List(list);
        let read = walk(self, root, text, Memory::Kept);
        let found = read.or_else(|Broken| fallback::read(self, root, text))?;
        root.check(text).map(|()| found)
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
