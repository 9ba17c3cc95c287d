//! What a text is read as: an object along all paths, or one list along the paths of its elements.

use crate::error::ReadError;
use crate::scan::Scanner;
use crate::slot::List;

/// What a text is read as.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Root {
    #[default]
    Object,
    List(List),
}

impl Root {
    /// Checks that a text that is JSON is of the right kind.
    #[inline]
    pub(crate) fn check(self, text: &str) -> Result<(), ReadError> {
        match (self, Scanner::new(text).token().byte()) {
            (Self::Object, b'{') | (Self::List(_), b'[' | b'{') => Ok(()),
            (Self::Object, _) => Err(ReadError::NotAnObject),
            (Self::List(_), _) => Err(ReadError::NotAList),
        }
    }
}
