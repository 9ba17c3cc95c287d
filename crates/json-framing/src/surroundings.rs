//! What a checkpoint says about a place in a stream besides the place itself, so that reading resumes there as if it had never
//! stopped: the list that it is in, and what is still skipped of a broken value.
//!
//! Invariant: nothing here depends on what values hold.

use super::list::List;
use serde::{Deserialize, Serialize};

/// What matters at a place of a stream besides the place itself. The default is the start of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Surroundings {
    /// Whether the place is within a line.
    #[serde(default)]
    pub(super) in_line: bool,
    /// White space in front of the current line.
    #[serde(default)]
    pub(super) indent: usize,
    /// The list that is being read, if its elements are the values.
    #[serde(default)]
    pub(super) list: Option<List>,
    #[serde(default)]
    pub(super) lost: Option<Lost>,
}

impl Surroundings {
    /// Whether nothing but the place matters.
    pub fn is_line_start(&self) -> bool {
        *self == Self::default()
    }
}

/// What is skipped of a value that has lost its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lost {
    /// The rest of its line.
    Line,
    /// The rest of its line, and then every line up to one that begins with a value and is indented no more than this.
    Lines(usize),
    /// The same, from the start of a line on.
    FromLine(usize),
}
