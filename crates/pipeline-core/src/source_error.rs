//! Why a source stopped before the end of its input, or left a part of it out.

/// Why a source could not read its input to the end. Says what, where, and what to do; never a piece of the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

impl SourceError {
    /// An error with this text: lower case, no full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
