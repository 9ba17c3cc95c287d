//! Dead letters: what could not be delivered, kept for people and for a replay, one JSON object a line.
//!
//! In: rejected events with their reasons. Out: numbered segments in a folder of the sink,
//! `data_dir/dead_letters/<sink>/00000001.ndjson`, bounded in bytes. When they are full, or cannot be written,
//! `DeadLetters::append` fails, and the `letterbox` keeps them for later: losing letters silently is not an option. What has no
//! payload goes to a file of its own, `without_payload.ndjson`, which has a small part of the room.
//!
//! A running pipeline and the commands of `pipeline dead-letters` may work on one folder at the same time: whoever
//! changes it holds the lock of the folder. [`DeadLetters::letters`] reads letters back, [`DeadLetters::purge`] deletes
//! them, and [`DeadLetters::take_for_replay`] takes them out to be sent again.
//!
//! Invariant: what `DeadLetters::append` has taken survives a power cut; it is taken whole or not at all; and raw input
//! is never written, only the payload that the destination would have seen, and, for who asks for it, a copy that only a key opens
//! which is elsewhere.

mod filter;
mod forget;
mod known;
mod letter;
mod marks;
mod page;
mod plain;
mod purge;
mod reader;
mod replay;
mod rewrite;
mod sealed;
mod segment;
mod summary;
mod taken;
mod trace;

pub use filter::Filter;
use known::Known;
pub(crate) use letter::Letter;
pub use letter::{MAX_HISTORY, Past, StoredLetter};
pub use page::{LetterPage, LetterPlace};
pub use plain::PLAIN_SHARE;
pub(crate) use plain::Shares;
pub use purge::Purged;
pub use reader::{Letters, MAX_LETTER_BYTES};
pub use replay::{MAX_SUCCESSORS, Replay};
pub(crate) use sealed::{Closed, Opened, Sealer};
pub use sealed::{MAX_KEPT_DAYS, MAX_RAW_BYTES, Sealed};
pub use segment::Segment;
use segment::{Access, Folder};
use std::io;
use std::path::{Path, PathBuf};
pub use summary::{Group, GroupKey, MAX_GROUPS, Summary};
pub use taken::{TakenLetter, TakenLetters};
pub use trace::MAX_SHAPE_BYTES;
pub(crate) use trace::Trace;

/// Bytes after which a segment is followed by another.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// The dead letters of one sink.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    sink: String,
    folder: Folder,
    max_bytes: u64,
    segment_bytes: u64,
    known: Known,
}

/// Why dead letters could not be kept, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// A person has to make room.
    #[error(
        "the dead letters of sink `{sink}` are full ({max_bytes} bytes); make room with `pipeline dead-letters replay` or \
         `purge`, move `{}` away, or raise `dead_letters.max_bytes`; until then events that became letters wait",
        pipeline_core::shown(folder)
    )]
    Full {
        /// The sink.
        sink: String,
        /// Where its dead letters are.
        folder: PathBuf,
        /// The bytes they may take.
        max_bytes: u64,
    },
    /// Another replay has taken them.
    #[error(
        "the dead letters of sink `{sink}` are being replayed already; wait until that replay has ended"
    )]
    Replaying {
        /// The sink.
        sink: String,
    },
    /// A line is damaged: a crash cut it short, or a person changed it.
    #[error(
        "line {line} of `{}` is not a valid dead letter and was skipped",
        pipeline_core::shown(path)
    )]
    Line {
        /// The segment.
        path: PathBuf,
        /// From 1.
        line: u64,
    },
    /// The disk refuses.
    #[error(
        "the dead letters in `{}` cannot be {action}: {error}",
        pipeline_core::shown(path)
    )]
    Io {
        /// What was to be done: `written`, `read`, `purged`.
        action: &'static str,
        /// The folder or the segment.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl DeadLetters {
    /// The dead letters of this sink, which may take `max_bytes`. Touches nothing.
    pub fn new(data_dir: &Path, sink: &str, max_bytes: u64) -> Self {
        Self {
            sink: sink.to_owned(),
            folder: Folder::new(data_dir, sink),
            max_bytes,
            segment_bytes: SEGMENT_BYTES,
            known: Known::default(),
        }
    }

    /// The folder of the segments.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Appends all letters, or none of them, but for those that an earlier run has written; they are on the disk when this returns.
    /// Blocks.
    pub(crate) fn append(&self, letters: &[Letter], now_ms: i64) -> Result<(), DeadLetterError> {
        let mut recognized = self.known.look(self);
        let mut lines = Vec::new();
        for letter in letters {
            if !recognized.has(letter) {
                letter
                    .write_line(&self.sink, now_ms, &mut lines)
                    .map_err(|error| self.failed("written", error.into()))?;
            }
        }
        if !lines.is_empty() {
            let has_copies = letters.iter().any(|letter| letter.sealed.is_some());
            self.append_lines(&lines, has_copies)?;
        }
        recognized.done();
        Ok(())
    }

    /// Appends whole lines, or nothing.
    fn append_lines(&self, lines: &[u8], has_copies: bool) -> Result<(), DeadLetterError> {
        let written = self.folder.create().and_then(|()| {
            let _lock = self.folder.lock(Access::Change)?;
            let segments = self.folder.segments()?;
            let bytes = self.bytes()?;
            if bytes > 0 && bytes + lines.len() as u64 > self.max_bytes {
                return Ok(false);
            }
            let current = self.folder.current(&segments, self.segment_bytes)?;
            if has_copies {
                self.folder.note_copies(true)?;
            }
            self.folder.append(&current, lines).map(|()| true)
        });
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(DeadLetterError::Full {
                sink: self.sink.clone(),
                folder: self.path().to_owned(),
                max_bytes: self.max_bytes,
            }),
            Err(error) => Err(self.failed("written", error)),
        }
    }

    fn failed(&self, action: &'static str, error: io::Error) -> DeadLetterError {
        DeadLetterError::Io {
            action,
            path: self.path().to_owned(),
            error,
        }
    }
}

#[cfg(test)]
mod tests;
