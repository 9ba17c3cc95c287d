//! Where an event was read, so that a person can find it again.

use std::fmt;
use std::sync::Arc;

/// Where an event was read: `events line 17`, `web request 4 event 0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    source: Arc<str>,
    place: Place,
}

/// The place of an event within its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// The line of a file, from 1.
    Line(u64),
    /// The event of a request: requests from 1, events from 0 as in the answer.
    Request {
        /// The request, from 1.
        request: u64,
        /// The event within the request, from 0.
        event: usize,
    },
    /// The message of a partitioned log.
    Offset {
        /// The partition; 0 for a stream without partitions.
        partition: u64,
        /// The offset or sequence number within the partition.
        offset: u64,
    },
    /// The name of the source says everything.
    Whole,
}

impl Origin {
    /// A place in a source. `source` is the source's name in the pipeline file, with the file where it reads several.
    pub fn new(source: Arc<str>, place: Place) -> Self {
        Self { source, place }
    }

    /// The line of a file, from 1.
    pub fn line(source: Arc<str>, line: u64) -> Self {
        Self::new(source, Place::Line(line))
    }

    /// The event of a request: requests from 1, events from 0.
    pub fn request(source: Arc<str>, request: u64, event: usize) -> Self {
        Self::new(source, Place::Request { request, event })
    }

    /// The message of a partitioned log.
    pub fn offset(source: Arc<str>, partition: u64, offset: u64) -> Self {
        Self::new(source, Place::Offset { partition, offset })
    }

    /// A source that has one event only, or whose name says where the event was.
    pub fn whole(source: Arc<str>) -> Self {
        Self::new(source, Place::Whole)
    }

    /// No source is known.
    pub(crate) fn unknown() -> Self {
        Self::whole(Arc::default())
    }

    /// The source, with the file where it reads several.
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// The place within the source.
    pub fn place(&self) -> Place {
        self.place
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.source;
        match self.place {
            Place::Whole => f.write_str(source),
            Place::Line(line) => write!(f, "{source} line {line}"),
            Place::Request { request, event } => {
                write!(f, "{source} request {request} event {event}")
            }
            Place::Offset { partition, offset } => {
                write!(f, "{source} partition {partition} offset {offset}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_like_this() {
        let source: Arc<str> = "app".into();
        for (origin, expected) in [
            (Origin::line(Arc::clone(&source), 17), "app line 17"),
            (
                Origin::request(Arc::clone(&source), 4, 0),
                "app request 4 event 0",
            ),
            (
                Origin::offset(Arc::clone(&source), 2, 9),
                "app partition 2 offset 9",
            ),
            (Origin::whole(source), "app"),
        ] {
            assert_eq!(origin.to_string(), expected);
        }
    }
}
