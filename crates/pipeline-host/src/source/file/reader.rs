//! The thread that reads the files of one source: once to their ends, or following them as they grow.
//!
//! Invariant: a file is one file whatever its name, so a rotation neither skips a line nor reads one twice.

use super::checkpoint::{Entries, MAX_FILES};
use super::keeper::Change;
use super::opened::{Found, Stat};
use super::recall::{Recalled, Resumed, folder, is_copy, recall, siblings};
use super::time_shift::shift_ms;
use super::tracked::Tracked;
use super::{Files, Located};
use crate::source::SourceError;
use crate::source::chunk::{Output, Stopped};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often files that are followed are looked at.
const POLL_PAUSE: Duration = Duration::from_millis(250);
/// Chunks that are read from one file before it is another's turn.
const TURN_CHUNKS: usize = 64;
/// Files that are kept open while they are followed. Those beyond are opened again when they grow.
const MAX_OPEN_FILES: usize = 64;
/// When a file that could not be read is tried again, unless it changes before.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How long a new file that starts like a known one may be a copy that a rotation is making.
const COPY_PAUSE: Duration = Duration::from_secs(5);

/// Reads the files of one source.
pub(crate) struct FileReader {
    files: Files,
    checkpoint: Option<(PathBuf, Entries)>,
    max_files: usize,
}

impl FileReader {
    /// A reader that goes on from a checkpoint, if there is one.
    pub(crate) fn new(files: Files, checkpoint: Option<(PathBuf, Entries)>) -> Self {
        Self {
            files,
            checkpoint,
            max_files: MAX_FILES,
        }
    }

    /// Reads everything, or for ever, or until nobody listens.
    pub(crate) fn read(self, output: &Output) -> Result<(), Stopped> {
        let follows = self.files.follow;
        let reading = Reading::start(self, output)?;
        if follows {
            reading.follow()
        } else {
            reading.read_once()
        }
    }
}

struct Reading<'a> {
    files: Files,
    output: &'a Output,
    checkpoint: Option<PathBuf>,
    max_files: usize,
    tracked: Vec<Tracked>,
    /// The files that are being read.
    ids: HashSet<(u64, u64)>,
    /// Files that may come back.
    away: Entries,
    next_id: u64,
    has_several: bool,
    shift_ms: i64,
    /// Whether there were events.
    read_any: bool,
    /// Whether it has been said that there are too many files.
    said_too_many: bool,
    /// New files that may be copies, and since when they are known.
    suspects: HashMap<(u64, u64), Instant>,
}

impl<'a> Reading<'a> {
    /// Finds the files, and those of the last run among them.
    fn start(reader: FileReader, output: &'a Output) -> Result<Self, Stopped> {
        let files = reader.files;
        let located = files.expand();
        let has_several = located.len() > 1 || (files.follow && files.may_be_several());
        let mut found = Vec::new();
        for located in located {
            match look(located) {
                Ok(file) => found.push(file),
                Err((path, error)) if files.follow => {
                    let (source, path) = (&output.source, path.display());
                    tracing::warn!(%source, "`{path}` cannot be read yet: {error}; it is read as soon as it can be");
                }
                Err((path, error)) => output.fail(file_error(output, path, error))?,
            }
        }
        let shift_ms = if files.shift_times {
            let paths = found.iter().map(|found| found.path.as_path());
            shift_ms(paths, output.clock.now_ms())
        } else {
            0
        };
        let (checkpoint, entries) = reader.checkpoint.unzip();
        let entries = entries.unwrap_or_default();
        let next_id = entries.last_key_value().map_or(0, |(id, _)| id + 1);
        let Recalled {
            files: resumed,
            gone,
            away,
        } = recall(entries, found, HashSet::new());
        let mut reading = Self {
            has_several: has_several || resumed.len() > 1,
            files,
            output,
            checkpoint,
            max_files: reader.max_files,
            tracked: Vec::new(),
            ids: HashSet::new(),
            away,
            next_id,
            shift_ms,
            read_any: false,
            said_too_many: false,
            suspects: HashMap::new(),
        };
        reading.track_all(resumed, gone)?;
        Ok(reading)
    }

    /// Forgets files that are gone, and takes up those that were found.
    fn track_all(&mut self, resumed: Vec<Resumed>, gone: Entries) -> Result<(), Stopped> {
        for (id, entry) in gone {
            let (source, path) = (&self.output.source, entry.path.display());
            if Stat::of(&entry.path).is_ok_and(|stat| stat.may_be(&entry)) {
                tracing::info!(%source, "`{path}` was truncated; it is read from its start");
            } else {
                tracing::debug!(%source, "`{path}` as it was known is gone");
            }
            self.forget(id)?;
        }
        for file in resumed {
            self.track(file.found, file.known, file.is_asked_for)?;
        }
        Ok(())
    }

    /// Reads every file to its end. One that cannot be read costs no other.
    fn read_once(mut self) -> Result<(), Stopped> {
        let is_resumed = self.tracked.iter().any(|file| file.mark.end() > 0);
        while !self.tracked.is_empty() {
            for mut file in self.take_tracked() {
                if let Err(error) = self.read_file(&mut file)? {
                    let error = file_error(self.output, file.found.path, error);
                    self.output.fail(error)?;
                }
            }
        }
        if let Some(path) = self.checkpoint.filter(|_| is_resumed && !self.read_any) {
            let (source, path) = (&self.output.source, path.display());
            tracing::info!(%source, "nothing new since the last run; to read everything again, set `checkpoint: false` or remove `{path}`");
        }
        Ok(())
    }

    /// Takes the files out to be read; meanwhile more may be found.
    fn take_tracked(&mut self) -> Vec<Tracked> {
        self.ids = self
            .tracked
            .iter()
            .map(|file| file.found.stat.id())
            .collect();
        std::mem::take(&mut self.tracked)
    }

    fn read_file(&mut self, file: &mut Tracked) -> Result<io::Result<()>, Stopped> {
        if let Err(error) = self.open(file)? {
            return Ok(Err(error));
        }
        loop {
            let (any, more) = file.read_chunk(self.output, self.shift_ms)?;
            self.read_any |= any;
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
        file.opened = None;
        Ok(Ok(()))
    }

    /// Opens a file where it goes on, or at its start when it no longer holds what was read.
    fn open(&mut self, file: &mut Tracked) -> Result<io::Result<()>, Stopped> {
        let follows = self.files.follow;
        match file.open(follows) {
            Ok(true) => Ok(Ok(())),
            Ok(false) => {
                let (source, path) = (&self.output.source, file.path().display());
                tracing::info!(%source, "`{path}` was truncated; it is read from its start");
                self.track_copy(file)?;
                file.restart();
                self.send_change(file)?;
                Ok(file.open(follows).map(|_| ()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Reads whatever comes, until nobody listens.
    fn follow(mut self) -> Result<(), Stopped> {
        let mut looked = Instant::now();
        let mut has_said = false;
        loop {
            let mut any = false;
            let mut tracked = self.take_tracked();
            for file in &mut tracked {
                any |= self.turn(file)?;
            }
            tracked.retain(|file| !file.is_gone);
            tracked.append(&mut self.tracked);
            self.tracked = tracked;
            self.close_some();
            if self.output.is_closed() {
                return Err(Stopped);
            }
            if !any {
                if !has_said {
                    tracing::info!(source = %self.output.source, "all that is there has been read; waiting for more lines");
                    has_said = true;
                }
                std::thread::sleep(POLL_PAUSE);
            }
            if looked.elapsed() >= POLL_PAUSE {
                self.look_around()?;
                looked = Instant::now();
            }
        }
    }

    /// Reads what has come to a file; says whether there was anything. What goes wrong is said once and tried again.
    fn turn(&mut self, file: &mut Tracked) -> Result<bool, Stopped> {
        let turned = self.try_turn(file)?;
        turned.or_else(|error| {
            if file.retry_at.is_none() {
                let (source, path) = (&self.output.source, file.path().display());
                tracing::warn!(%source, "`{path}` cannot be read: {error}; it is tried again");
            }
            file.opened = None;
            file.read_at = Some(file.found.stat);
            file.retry_at = Some(Instant::now() + RETRY_PAUSE);
            Ok(false)
        })
    }

    fn try_turn(&mut self, file: &mut Tracked) -> Result<io::Result<bool>, Stopped> {
        let stat = match file.look() {
            Ok(stat) if stat.id() == file.found.stat.id() => stat,
            // Whether it is gone or renamed shows when the folder is looked at.
            Ok(_) => return Ok(Ok(false)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(false)),
            Err(error) => return Ok(Err(error)),
        };
        if let Some(read_at) = &file.read_at {
            let is_due = file.retry_at.is_some_and(|at| Instant::now() >= at);
            if !stat.is_regular || (stat.is_unchanged(read_at) && !is_due) {
                if stat.is_deleted() {
                    self.finish(file)?;
                }
                return Ok(Ok(false));
            }
            match file.opened.as_mut().map(super::opened::Opened::goes_on) {
                Some(Ok(true)) | None => {}
                Some(Ok(false)) => file.opened = None,
                Some(Err(error)) => return Ok(Err(error)),
            }
        }
        if stat.is_regular && stat.length == 0 && file.mark.end() == 0 {
            // Whether it will be compressed shows with its first bytes.
            file.read_at = Some(stat);
            return Ok(Ok(false));
        }
        if file.opened.is_none()
            && let Err(error) = self.open(file)?
        {
            return Ok(Err(error));
        }
        let mut any = false;
        let turn = if file.is_asked_for {
            TURN_CHUNKS
        } else {
            usize::MAX
        };
        for _ in 0..turn {
            let (events, more) = file.read_chunk(self.output, self.shift_ms)?;
            any |= events;
            match more {
                Ok(true) => {}
                Ok(false) => {
                    (file.read_at, file.retry_at) = (Some(stat), None);
                    return Ok(Ok(any));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        file.read_at = None;
        Ok(Ok(true))
    }

    /// The end of a file that has been deleted: a last line will not get its end any more.
    fn finish(&mut self, file: &mut Tracked) -> Result<(), Stopped> {
        if let Some(opened) = &mut file.opened {
            opened.lines.stop_waiting();
            let (_, read) = file.read_chunk(self.output, self.shift_ms)?;
            if let Err(error) = read {
                let (source, path) = (&self.output.source, file.path().display());
                tracing::warn!(%source, "the last line of `{path}` cannot be read: {error}");
            }
        }
        file.is_gone = true;
        self.forget(file.id)
    }

    /// Looks for new files, and for those that have been renamed or deleted.
    fn look_around(&mut self) -> Result<(), Stopped> {
        let located = self.files.expand().into_iter();
        let found = located.filter_map(|located| look(located).ok());
        let tracked: HashMap<_, _> = (0..)
            .zip(&self.tracked)
            .map(|(index, file): (usize, _)| (file.found.stat.id(), index))
            .collect();
        let (mut ids, mut new) = (HashSet::new(), Vec::new());
        for found in found {
            let id = found.stat.id();
            if !ids.insert(id) {
                continue;
            }
            match tracked.get(&id) {
                Some(index) => self.tracked[*index].found.path = found.path,
                None => new.push(found),
            }
        }
        for file in &mut self.tracked {
            file.is_asked_for = ids.contains(&file.found.stat.id());
            if !file.is_asked_for && file.opened.is_none() && !file.is_at_path() && !file.relocate()
            {
                file.is_gone = true;
                self.away.insert(file.id, file.entry());
            }
        }
        self.tracked.retain(|file| !file.is_gone);
        self.suspects.retain(|id, _| ids.contains(id));
        new.retain(|found| !self.may_be_copy(found));
        let tracked = self.tracked.iter().map(|file| file.found.stat.id());
        let recalled = recall(std::mem::take(&mut self.away), new, tracked.collect());
        self.away = recalled.away;
        self.track_all(recalled.files, recalled.gone)
    }

    /// Whether a new file starts like one that is followed. If a rotation is copying that one, it is truncated in a
    /// moment, and then the new file goes on where it stood.
    fn may_be_copy(&mut self, found: &Found) -> bool {
        let Ok(head) = found.head() else {
            return false;
        };
        let is_like = |file: &Tracked| file.mark.end() > 0 && file.start.is_start_of(&head);
        if !self.tracked.iter().any(is_like) {
            return false;
        }
        let since = self.suspects.entry(found.stat.id());
        since.or_insert_with(Instant::now).elapsed() < COPY_PAUSE
    }

    /// Reads what is left of a file that was truncated in its copy, if its folder holds one.
    fn track_copy(&mut self, file: &Tracked) -> Result<(), Stopped> {
        let entry = file.entry();
        let copy = folder(&entry)
            .into_iter()
            .flat_map(siblings)
            .find(|found| !self.ids.contains(&found.stat.id()) && is_copy(found, &entry));
        let Some(found) = copy else { return Ok(()) };
        let id = self.next_id;
        self.next_id += 1;
        self.track(found, Some((id, entry)), false)?;
        // Before the checkpoint learns that the first is at its start again.
        if let Some(mut copy) = self.tracked.pop() {
            self.send_change(&mut copy)?;
            self.tracked.push(copy);
        }
        Ok(())
    }

    fn track(
        &mut self,
        found: Found,
        known: Option<(u64, super::checkpoint::Entry)>,
        is_asked_for: bool,
    ) -> Result<(), Stopped> {
        if self.tracked.len() + self.away.len() >= self.max_files && !self.forget_one()? {
            if !std::mem::replace(&mut self.said_too_many, true) {
                let text = format!(
                    "it is one of more than {} files; name fewer",
                    self.max_files
                );
                let error = file_error(self.output, found.path, io::Error::other(text));
                self.output.fail(error)?;
            }
            return Ok(());
        }
        let label: Arc<str> = if self.has_several {
            let name = found.path.file_name().unwrap_or_default();
            format!("{} {}", self.output.source, name.to_string_lossy()).into()
        } else {
            self.output.source.as_str().into()
        };
        let (id, known) = known.unzip();
        let id = id.unwrap_or(self.next_id);
        self.next_id = self.next_id.max(id + 1);
        let mut file = Tracked::new(id, found, label, known);
        file.is_asked_for = is_asked_for;
        self.tracked.push(file);
        Ok(())
    }

    /// Forgets a file that is away, or else was rotated and has been read, to make room for another.
    fn forget_one(&mut self) -> Result<bool, Stopped> {
        if let Some((id, _)) = self.away.pop_first() {
            self.forget(id)?;
            return Ok(true);
        }
        let is_over = |file: &Tracked| !file.is_asked_for && file.is_complete();
        let Some(index) = self.tracked.iter().position(is_over) else {
            return Ok(false);
        };
        let file = self.tracked.remove(index);
        self.forget(file.id)?;
        Ok(true)
    }

    fn forget(&self, id: u64) -> Result<(), Stopped> {
        let change = self.checkpoint.as_ref().map(|_| Change::Forget(id));
        self.output.send(Vec::new(), change)
    }

    fn send_change(&self, file: &mut Tracked) -> Result<(), Stopped> {
        self.output.send(Vec::new(), file.change())
    }

    /// Closes files that have been read to their ends, those met first before the others.
    fn close_some(&mut self) {
        let opened = self.tracked.iter().filter(|file| file.opened.is_some());
        let mut excess = opened.count().saturating_sub(MAX_OPEN_FILES);
        for file in &mut self.tracked {
            if excess > 0 && file.opened.is_some() && file.read_at.is_some() {
                file.opened = None;
                excess -= 1;
            }
        }
    }
}

fn look(located: Located<PathBuf>) -> Located<Found> {
    let path = located?;
    Found::at(&path).map_err(|error| (path, error))
}

fn file_error(output: &Output, path: PathBuf, error: io::Error) -> SourceError {
    SourceError::File {
        name: output.source.clone(),
        path,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::Entry;
    use super::*;
    use crate::source::mark::Mark;
    use pipeline_core::ManualClock;
    use std::path::Path;
    use tokio::sync::mpsc;

    /// What one run reads, which files it forgets, and what it complains about.
    fn read(folder: &Path, entries: Entries, max_files: usize) -> (usize, Vec<u64>, Vec<String>) {
        let files = Files {
            paths: vec!["*.log".into()],
            base_dir: folder.to_owned(),
            shift_times: false,
            checkpoint: true,
            follow: false,
        };
        let mut reader = FileReader::new(files, Some((folder.join("checkpoint"), entries)));
        reader.max_files = max_files;
        let (chunks, mut read) = mpsc::channel(100);
        let output = Output {
            source: "events".to_owned(),
            clock: Arc::new(ManualClock::at(0)),
            chunks,
        };
        reader.read(&output).unwrap();
        let (mut lines, mut forgotten, mut said) = (0, Vec::new(), Vec::new());
        while let Ok(read) = read.try_recv() {
            match read {
                Ok(chunk) => {
                    lines += chunk.inputs.len();
                    if let Some(Change::Forget(id)) = chunk.change {
                        forgotten.push(id);
                    }
                }
                Err(error) => said.push(error.to_string()),
            }
        }
        (lines, forgotten, said)
    }

    #[test]
    fn no_more_files_are_read_than_can_be_remembered() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.log", "b.log", "c.log"] {
            std::fs::write(folder.path().join(name), "{}\n").unwrap();
        }
        assert_eq!(read(folder.path(), Entries::new(), 3), (3, vec![], vec![]));
        let (lines, _, said) = read(folder.path(), Entries::new(), 2);
        let expected = "c.log` cannot be read: it is one of more than 2 files; name fewer";
        assert!(
            lines == 2 && said.len() == 1 && said[0].ends_with(expected),
            "{said:?}"
        );
        // A file that is away makes room.
        let away = Entry {
            path: "/a/folder/that/is/missing/a.log".into(),
            device: 1,
            inode: 1,
            start: crate::source::mark::Fingerprint::of_start(b"x"),
            mark: Mark::default(),
        };
        let entries = Entries::from([(7, away)]);
        assert_eq!(read(folder.path(), entries.clone(), 4), (3, vec![], vec![]));
        assert_eq!(read(folder.path(), entries, 3), (3, vec![7], vec![]));
    }
}
