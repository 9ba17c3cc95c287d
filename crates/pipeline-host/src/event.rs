//! An event with the place it was read from, so that a rejection can be found again.

use pipeline_core::{Event, Reason};
use std::fmt;
use std::sync::Arc;

/// Where an event stood: `events line 17`, `web request 4 event 0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The source, and the file where it has several.
    pub(crate) source: Arc<str>,
    /// Where in the source.
    pub(crate) place: Place,
}

/// Where in a source an event stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The line of a file, from 1.
    Line(u64),
    /// The event of a request; requests from 1, events from 0 as in the answer.
    Request { request: u64, event: usize },
    /// The source says it all.
    Replayed,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Replayed => f.write_str(&self.source),
            Place::Line(line) => write!(f, "{} line {line}", self.source),
            Place::Request { request, event } => {
                write!(f, "{} request {request} event {event}", self.source)
            }
        }
    }
}

/// What a source read: an event, or something it could not keep.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) position: Position,
    pub(crate) event: Result<Event, Reason>,
}
