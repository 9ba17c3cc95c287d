//! One file that a source reads: which it is, how far it has been read, and what of that is known to the checkpoint.
//!
//! Invariant: the place only moves past lines that have been queued for the intake.

use super::checkpoint::{Change, Entry};
use super::opened::{Found, Opened, Stat, real_place};
use super::recall::siblings;
use super::time_shift::shift_events;
use crate::thread::{self, Stopped};
use json_framing::{Fingerprint, Mark};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// A file that is read.
pub(super) struct Tracked {
    pub(super) id: u64,
    pub(super) found: Found,
    /// Where it really was when it was found there, links resolved.
    place: PathBuf,
    /// Whether the source's `path` names it. If not, it is a renamed or copied file that the source has not read to the end.
    pub(super) is_configured: bool,
    pub(super) label: Arc<str>,
    pub(super) start: Fingerprint,
    pub(super) mark: Mark,
    pub(super) opened: Option<Opened>,
    /// Its state when it was last read to its end.
    pub(super) read_at: Option<Stat>,
    /// When a file that could not be read is tried again.
    pub(super) retry_at: Option<Instant>,
    pub(super) is_gone: bool,
    /// Whether it was told that nothing of it is an event.
    pub(super) is_known_rubbish: bool,
    /// Its length when it was told that a part of it cannot be read.
    told: Option<u64>,
    /// The line after which it resumes, until that has been logged.
    resumed_after: Option<u64>,
    sent: Option<Entry>,
}

impl Tracked {
    pub(super) fn new(id: u64, found: Found, label: Arc<str>, known: Option<Entry>) -> Self {
        let (start, mark) = known
            .as_ref()
            .map(|entry| (entry.start, entry.mark))
            .unwrap_or_default();
        Self {
            id,
            place: real_place(&found.path),
            found,
            is_configured: true,
            label,
            start,
            mark,
            opened: None,
            read_at: None,
            retry_at: None,
            is_gone: false,
            is_known_rubbish: false,
            told: known.as_ref().and_then(|entry| entry.told),
            resumed_after: (mark.end() > 0).then_some(mark.line),
            sent: known,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.found.path
    }

    pub(super) fn entry(&self) -> Entry {
        let entry = self.found.stat.entry(&self.place, self.start, self.mark);
        let is_plain = self.opened.as_ref().is_some_and(Opened::is_plain);
        let unread = self.found.stat.length.saturating_sub(self.mark.end());
        Entry {
            unread: if is_plain { unread } else { 0 },
            told: self.told,
            ..entry
        }
    }

    /// Takes note of the path under which it was found again.
    pub(super) fn is_found_at(&mut self, path: PathBuf) {
        if path != self.found.path {
            self.place = real_place(&path);
            self.found.path = path;
        }
    }

    /// What changes in the checkpoint; nothing for a pipe or device, which cannot be read twice.
    pub(super) fn change(&mut self) -> Option<Change> {
        let entry = self.entry();
        let is_known = self.sent.as_ref() == Some(&entry);
        let is_nothing = self.sent.is_none() && self.mark.end() == 0;
        if !self.found.stat.is_regular || is_known || is_nothing {
            return None;
        }
        self.sent = Some(entry.clone());
        Some(Change::Read(self.id, entry))
    }

    /// Whether all that is there has been read, as far as the length says.
    pub(super) fn is_complete(&self) -> bool {
        self.read_at.is_some() && self.found.stat.length == self.mark.end()
    }

    /// Opens it where the next line starts; returns whether it still holds what has been read.
    pub(super) fn open(&mut self, follows: bool) -> io::Result<bool> {
        if self.found.stat.is_regular && !self.is_at_path() && !self.relocate() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it is gone"));
        }
        let Some(opened) = Opened::at(self.path(), self.start, self.mark)? else {
            return Ok(false);
        };
        let stat = opened.stat()?;
        if stat.id() != self.found.stat.id() {
            return Err(io::Error::other("it was replaced while it was opened"));
        }
        self.found.stat = stat;
        self.start = opened.start;
        self.opened = Some(if follows { opened.waiting() } else { opened });
        Ok(true)
    }

    /// Restarts at the first line, because what was read is no longer there.
    pub(super) fn restart(&mut self) {
        self.opened = None;
        self.start = Fingerprint::default();
        self.mark = Mark::default();
        self.resumed_after = None;
    }

    /// Queues the next batch of no more than so many lines; returns whether there were events, and whether there is more.
    pub(super) fn read_batch(
        &mut self,
        output: &thread::Output<Change>,
        shift_ms: i64,
        most: usize,
    ) -> Result<(bool, io::Result<bool>), Stopped> {
        let Some(opened) = &mut self.opened else {
            return Ok((false, Ok(false)));
        };
        let (inputs, more) = output.cut(&mut opened.values, &self.label, most);
        self.mark = opened.values.mark();
        self.start = opened.start;
        let any = !inputs.is_empty();
        if any && let Some(line) = self.resumed_after.take() {
            let (source, path) = (&output.source, pipeline_core::shown(&self.found.path));
            tracing::info!(%source, "resuming `{path}` after line {line}");
        }
        let change = self.change();
        output.send(shift_events(inputs, shift_ms), change)?;
        Ok((any, more))
    }

    /// Its state: through its handle if it is open, else by its name.
    pub(super) fn look(&mut self) -> io::Result<Stat> {
        let stat = match &self.opened {
            Some(opened) => opened.stat()?,
            None => Stat::of(self.path())?,
        };
        if stat.id() == self.found.stat.id() {
            self.found.stat = stat;
        }
        Ok(stat)
    }

    /// Whether its path still leads to it.
    pub(super) fn is_at_path(&self) -> bool {
        Stat::of(self.path()).is_ok_and(|stat| stat.id() == self.found.stat.id())
    }

    /// Whether it was told before, of the file as it is, that a part of it cannot be read. From now on it was.
    pub(super) fn was_told(&mut self) -> bool {
        let length = Some(self.found.stat.length);
        std::mem::replace(&mut self.told, length) == length
    }

    /// Looks for it under another name in the folder where it really was, and in the folder of its path.
    pub(super) fn relocate(&mut self) -> bool {
        let mut folders: Vec<_> = [&*self.place, self.path()]
            .into_iter()
            .filter_map(Path::parent)
            .map(Path::to_owned)
            .collect();
        folders.dedup();
        let id = self.found.stat.id();
        let found = folders
            .into_iter()
            .flat_map(siblings)
            .find(|found| found.stat.id() == id);
        let is_found = found.is_some();
        if let Some(found) = found {
            self.place = real_place(&found.path);
            self.found = found;
        }
        is_found
    }
}
