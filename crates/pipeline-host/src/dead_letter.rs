//! Dead letters: what could not be delivered, kept for people, one JSON object a line.
//!
//! In: rejected events with their reasons. Out: `data_dir/dead_letters/<sink>.ndjson`. When the file is full, or cannot
//! be written, [`DeadLetters::append`] fails and the caller waits: losing letters silently is not an option.
//!
//! Invariant: raw input is never written, only the payload that the destination would have seen.

use crate::event::Position;
use jiff::Timestamp;
use pipeline_core::{Reason, Record};
use serde::Serialize;
use serde_json::value::RawValue;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Largest dead letter file of one sink, in bytes.
pub const MAX_DEAD_LETTER_BYTES: u64 = 256 * 1024 * 1024;

/// An event that could not be delivered.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) reason: Reason,
    pub(crate) position: Position,
    pub(crate) attempts: u32,
    pub(crate) record: Option<Record>,
}

/// The dead letter file of one sink.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    sink: String,
    path: PathBuf,
    max_bytes: u64,
    writing: Mutex<()>,
}

/// Why dead letters could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadLetterError {
    /// A person has to make room.
    #[error("the dead letter file is full ({max_bytes} bytes); move it away, and the sink goes on")]
    Full { max_bytes: u64 },
    /// The disk refuses.
    #[error("the dead letter file cannot be written: {0}")]
    Io(#[from] io::Error),
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    sink: &'a str,
    reason: &'a str,
    detail: &'a str,
    attempts: u32,
    event_id: Option<&'a str>,
    event_time: Option<i64>,
    label: Option<&'a str>,
    source: String,
    payload: Option<Box<RawValue>>,
}

impl DeadLetters {
    pub(crate) fn new(data_dir: &Path, sink: &str, max_bytes: u64) -> Self {
        Self {
            sink: sink.to_owned(),
            path: data_dir.join("dead_letters").join(format!("{sink}.ndjson")),
            max_bytes,
            writing: Mutex::new(()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends all letters, or none of them. Blocks on the disk.
    pub(crate) fn append(&self, letters: &[Letter], now_ms: i64) -> Result<(), DeadLetterError> {
        let time = Timestamp::from_millisecond(now_ms)
            .unwrap_or_default()
            .to_string();
        let mut lines = Vec::new();
        for letter in letters {
            serde_json::to_writer(&mut lines, &self.line(letter, &time))
                .map_err(io::Error::from)?;
            lines.push(b'\n');
        }
        let _guard = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self.open()?;
        let length = file.metadata()?.len();
        if length > 0 && length + lines.len() as u64 > self.max_bytes {
            return Err(DeadLetterError::Full {
                max_bytes: self.max_bytes,
            });
        }
        if let Err(error) = file.write_all(&lines).and_then(|()| file.flush()) {
            // Half a line would spoil the file for its reader.
            file.set_len(length)?;
            return Err(error.into());
        }
        Ok(())
    }

    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Opened anew each time, so that moving the file away makes room.
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // A hash of an address is still about a person: only the owner reads it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }

    fn line<'a>(&'a self, letter: &'a Letter, time: &str) -> Line<'a> {
        let record = letter.record.as_ref();
        Line {
            time: time.to_owned(),
            sink: &self.sink,
            reason: letter.reason.code,
            detail: &letter.reason.detail,
            attempts: letter.attempts,
            event_id: record.map(|record| &*record.event_id),
            event_time: record.map(|record| record.event_time),
            label: record.map(|record| &*record.label),
            source: letter.position.to_string(),
            payload: record.and_then(|record| serde_json::from_slice(&record.payload).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Place;

    fn letter() -> Letter {
        Letter {
            reason: Reason::new("too_old", "older than seven days"),
            position: Position {
                source: "events".into(),
                place: Place::Line(17),
            },
            attempts: 2,
            record: None,
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_dead_letters() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(folder.path(), "meta", 300);
        letters.append(&[letter()], 0).unwrap();
        let mode = letters.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn a_full_file_refuses_and_takes_again_once_it_is_moved() {
        let folder = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(folder.path(), "meta", 300);
        letters.append(&[letter()], 0).unwrap();
        let refused = letters.append(&[letter()], 0).unwrap_err();
        assert!(
            matches!(refused, DeadLetterError::Full { max_bytes: 300 }),
            "{refused}"
        );
        std::fs::rename(letters.path(), folder.path().join("moved")).unwrap();
        letters.append(&[letter()], 0).unwrap();
        let text = std::fs::read_to_string(letters.path()).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(
            text.contains(r#""source":"events line 17","payload":null"#),
            "{text}"
        );
    }
}
