//! Why a text could not be read.

use crate::rows::MAX_TEXT_BYTES;

/// Why a text could not be read. Holds positions and kinds, never a piece of the text.
///
/// Positions count bytes from the beginning of the text, and are those of serde_json.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The text is JSON, but not an object.
    #[error("the text is not a JSON object")]
    NotAnObject,
    /// The text is JSON, but neither a list nor an object that is read as one.
    #[error("the text is not a JSON list")]
    NotAList,
    /// The bytes are not UTF-8.
    #[error("the text is not valid UTF-8 from byte {valid} on")]
    NotUtf8 {
        /// Bytes before the first invalid one.
        valid: usize,
    },
    /// The text is longer than [`MAX_TEXT_BYTES`].
    #[error("the text is longer than {MAX_TEXT_BYTES} bytes")]
    TooLong,
    /// The text ends before its JSON does.
    #[error("the text ends in the middle of its JSON, after {byte} bytes")]
    Cut {
        /// Where the text ends.
        byte: usize,
    },
    /// The text is not JSON, or it is JSON of a kind that is rejected on purpose.
    #[error("the text is not valid JSON at byte {byte}")]
    Malformed {
        /// Where reading stopped, from 1 on.
        byte: usize,
    },
}

impl ReadError {
    /// What serde_json said about this text.
    pub(crate) fn of_json(text: &str, error: &serde_json::Error) -> Self {
        let lines_before = text.split_inclusive('\n').take(error.line().max(1) - 1);
        let byte = lines_before.map(str::len).sum::<usize>() + error.column();
        if error.is_eof() {
            Self::Cut { byte }
        } else {
            Self::Malformed { byte }
        }
    }
}
