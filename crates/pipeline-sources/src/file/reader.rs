//! The thread that reads the files of one source: once to their ends, or following them as they grow.
//!
//! Invariant: a file is one file whatever its name, so a rotation neither skips a line nor reads one twice.

use super::checkpoint::{Change, Entries, Entry, MAX_FILES};
use super::opened::{Found, Opened, Stat};
use super::pattern::{Located, Patterns};
use super::recall::{Recalled, Resumed, folders, is_copy, recall, siblings};
use super::time_shift::shift_ms;
use super::tracked::Tracked;
use crate::thread::{self, Stopped};
use json_framing::{Fingerprint, Mark};
use pipeline_core::SourceError;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often followed files are checked for changes.
const POLL_PAUSE: Duration = Duration::from_millis(250);
/// Batches that are read from one file before the next file gets its turn.
const TURN_BATCHES: usize = 64;
/// Files that are kept open while they are followed. Those beyond are opened again when they grow.
const MAX_OPEN_FILES: usize = 64;
/// When a file that could not be read is tried again, unless it changes before.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// New files that may be copies, at most; each is kept open. Those beyond are read at once.
const MAX_SUSPECTS: usize = 64;
/// How long a new file that starts like a known one may be a copy that a rotation is making.
const COPY_PAUSE: Duration = Duration::from_secs(5);

/// What is said of a file none of whose lines begins like an event.
const NO_OBJECT: &str = "no JSON object is in it; expected events as JSON objects in UTF-8";

/// The thread's end of the queue.
type Output = thread::Output<Change>;

/// Reads the files of one source.
pub(super) struct FileReader {
    settings: Settings,
    checkpoint: Option<(PathBuf, Entries)>,
}

/// What is read, and how.
struct Settings {
    patterns: Patterns,
    shift_times: bool,
    follow: bool,
    max_files: usize,
    /// Lines of one batch at most.
    batch_lines: usize,
}

impl FileReader {
    /// A reader of all lines of these files, to their ends.
    pub(super) fn new(patterns: Patterns) -> Self {
        Self {
            settings: Settings {
                patterns,
                shift_times: false,
                follow: false,
                max_files: MAX_FILES,
                batch_lines: thread::BATCH_LINES,
            },
            checkpoint: None,
        }
    }

    /// The same reader; `shift_times` says whether all times are shifted so that the newest is now.
    pub(super) fn shifting_times(mut self, shift_times: bool) -> Self {
        self.settings.shift_times = shift_times;
        self
    }

    /// The same reader; `follow` says whether it continues to read as files grow.
    pub(super) fn following(mut self, follow: bool) -> Self {
        self.settings.follow = follow;
        self
    }

    /// The same reader; a batch has no more lines than this.
    pub(super) fn batching(mut self, lines: usize) -> Self {
        self.settings.batch_lines = lines.clamp(1, thread::BATCH_LINES);
        self
    }

    /// The same reader, resuming from the checkpoint at `path` with these entries.
    pub(super) fn resuming(mut self, path: PathBuf, entries: Entries) -> Self {
        self.checkpoint = Some((path, entries));
        self
    }

    /// Reads everything, or when following, until the pipeline stops.
    pub(super) fn read(self, output: &Output) -> Result<(), Stopped> {
        let follows = self.settings.follow;
        let reading = Reading::start(self, output)?;
        if follows {
            reading.follow()
        } else {
            reading.read_once()
        }
    }
}

struct Reading<'a> {
    settings: Settings,
    output: &'a Output,
    checkpoint: Option<PathBuf>,
    tracked: Vec<Tracked>,
    /// The files that are being read.
    ids: HashSet<(u64, u64)>,
    /// Files whose folder is missing or empty; they may come back.
    away: Entries,
    next_id: u64,
    has_several: bool,
    shift_ms: i64,
    /// Whether any event has been read.
    read_any: bool,
    /// Whether it has been reported that there are too many files.
    reported_too_many: bool,
    /// New files that may be copies.
    suspects: HashMap<(u64, u64), Suspect>,
}

/// A new file that may be a copy of another.
struct Suspect {
    since: Instant,
    path: PathBuf,
    /// Kept open, so that it can be read when its name is gone.
    file: File,
}

impl<'a> Reading<'a> {
    /// Finds the files, and those of the last run among them.
    fn start(reader: FileReader, output: &'a Output) -> Result<Self, Stopped> {
        let settings = reader.settings;
        let located = settings.patterns.expand();
        let may_be_several = settings.follow && settings.patterns.may_be_several();
        let has_several = located.len() > 1 || may_be_several;
        let mut found = Vec::new();
        for located in located {
            match look(located) {
                Ok(file) => found.push(file),
                Err((path, error)) if settings.follow => {
                    let (source, path) = (&output.source, pipeline_core::shown(&path));
                    tracing::warn!(%source, "`{path}` cannot be read yet: {error}; it is read as soon as it can be");
                }
                Err((path, error)) => output.report(file_error(output, &path, &error))?,
            }
        }
        let shift_ms = if settings.shift_times {
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
            settings,
            output,
            checkpoint,
            tracked: Vec::new(),
            ids: HashSet::new(),
            away,
            next_id,
            shift_ms,
            read_any: false,
            reported_too_many: false,
            suspects: HashMap::new(),
        };
        reading.track_all(resumed, gone)?;
        Ok(reading)
    }

    /// Forgets files that are gone, and adds those that were found.
    fn track_all(&mut self, resumed: Vec<Resumed>, gone: Entries) -> Result<(), Stopped> {
        for (id, entry) in gone {
            self.log_gone(&entry);
            self.forget(id)?;
        }
        for file in resumed {
            self.track(file.found, file.known, file.is_configured)?;
        }
        Ok(())
    }

    /// Tells that a file is not there any more as it was known: at WARN if something of it may not have been read.
    fn log_gone(&self, entry: &Entry) {
        let (source, path, line) = (
            &self.output.source,
            pipeline_core::shown(&entry.path),
            entry.mark.line,
        );
        let now = Stat::of(&entry.path);
        if now.as_ref().is_ok_and(|stat| stat.may_be(entry)) {
            tracing::info!(%source, "`{path}` was truncated; it is read from its start");
        } else if entry.unread > 0 {
            let bytes = entry.unread;
            tracing::warn!(%source, "`{path}` as it was known is gone, and so are at least {bytes} bytes behind line {line} that had not been read");
        } else if self.settings.follow && now.is_ok() {
            tracing::warn!(%source, "`{path}` is another file now, and the one that was known is gone; anything that was written to it behind line {line} has not been read");
        } else {
            tracing::debug!(%source, "`{path}` as it was known is gone");
        }
    }

    /// Reads every file to its end. A file that cannot be read does not affect the others.
    fn read_once(mut self) -> Result<(), Stopped> {
        let is_resumed = self.tracked.iter().any(|file| file.mark.end() > 0);
        while !self.tracked.is_empty() {
            for mut file in self.take_tracked() {
                if let Err(error) = self.read_file(&mut file)? {
                    self.report(&mut file, &error)?;
                }
            }
        }
        if let Some(path) = self.checkpoint.filter(|_| is_resumed && !self.read_any) {
            let (source, path) = (&self.output.source, pipeline_core::shown(&path));
            tracing::info!(%source, "nothing new since the last run; to read everything again, set `checkpoint: false` or remove `{path}`");
        }
        Ok(())
    }

    /// Reports what cannot be read; of a packed file that ends too early or is damaged only once.
    fn report(&self, file: &mut Tracked, error: &io::Error) -> Result<(), Stopped> {
        let is_damaged = file
            .opened
            .as_ref()
            .is_some_and(|opened| !opened.is_plain());
        if is_damaged && file.was_told() {
            let (source, path) = (&self.output.source, pipeline_core::shown(file.path()));
            tracing::info!(%source, "the rest of `{path}` cannot be read, as in an earlier run: {error}");
            return Ok(());
        }
        self.output
            .report(file_error(self.output, file.path(), error))?;
        self.send_change(file)
    }

    /// Says what is odd about a file that was read to its end.
    fn remark(&self, file: &mut Tracked) -> Result<(), Stopped> {
        let has_more = file.opened.as_ref().is_some_and(Opened::has_more_behind);
        if has_more && !file.was_told() {
            let (source, path) = (&self.output.source, pipeline_core::shown(file.path()));
            tracing::warn!(%source, "`{path}` has other bytes behind its compressed content; they are not read");
            self.send_change(file)?;
        }
        Ok(())
    }

    /// Takes the files out to be read; more may be found meanwhile.
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
            let (any, more) =
                file.read_batch(self.output, self.shift_ms, self.settings.batch_lines)?;
            self.read_any |= any;
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
        self.remark(file)?;
        let opened = file.opened.take();
        if opened.is_some_and(|opened| opened.is_rubbish()) {
            return Ok(Err(io::Error::new(io::ErrorKind::InvalidData, NO_OBJECT)));
        }
        Ok(Ok(()))
    }

    /// Opens a file where the next line starts, or at its start if it no longer holds what was read.
    fn open(&mut self, file: &mut Tracked) -> Result<io::Result<()>, Stopped> {
        let follows = self.settings.follow;
        match file.open(follows) {
            Ok(true) => Ok(Ok(())),
            Ok(false) => {
                let (source, path) = (&self.output.source, pipeline_core::shown(file.path()));
                tracing::info!(%source, "`{path}` was truncated; it is read from its start");
                self.track_copy(file)?;
                file.restart();
                self.send_change(file)?;
                Ok(file.open(follows).map(|_| ()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Reads whatever is appended, until the pipeline stops.
    fn follow(mut self) -> Result<(), Stopped> {
        let mut looked = Instant::now();
        let mut has_logged = false;
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
                if !has_logged {
                    tracing::info!(source = %self.output.source, "everything has been read; waiting for more lines");
                    has_logged = true;
                }
                std::thread::sleep(POLL_PAUSE);
            }
            if looked.elapsed() >= POLL_PAUSE {
                self.look_around()?;
                looked = Instant::now();
            }
        }
    }

    /// Reads what was appended to a file; returns whether there was anything. An error is logged once, and the file is
    /// tried again.
    fn turn(&mut self, file: &mut Tracked) -> Result<bool, Stopped> {
        let turned = self.try_turn(file)?;
        turned.or_else(|error| {
            if file.retry_at.is_none() {
                let (source, path) = (&self.output.source, pipeline_core::shown(file.path()));
                tracing::warn!(%source, "`{path}` cannot be read: {error}; trying again");
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
            // `look_around` finds out whether it is gone or renamed.
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
            match file.opened.as_mut().map(Opened::can_continue) {
                Some(Ok(true)) | None => {}
                Some(Ok(false)) => file.opened = None,
                Some(Err(error)) => return Ok(Err(error)),
            }
        }
        if stat.is_regular && stat.length == 0 && file.mark.end() == 0 {
            // Its first bytes will tell whether it is compressed.
            file.read_at = Some(stat);
            return Ok(Ok(false));
        }
        if file.opened.is_none()
            && let Err(error) = self.open(file)?
        {
            return Ok(Err(error));
        }
        let mut any = false;
        let turn = if file.is_configured {
            TURN_BATCHES
        } else {
            usize::MAX
        };
        for _ in 0..turn {
            let (events, more) =
                file.read_batch(self.output, self.shift_ms, self.settings.batch_lines)?;
            any |= events;
            match more {
                Ok(true) => {}
                Ok(false) => {
                    (file.read_at, file.retry_at) = (Some(stat), None);
                    self.remark(file)?;
                    self.warn_of_rubbish(file);
                    return Ok(Ok(any));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        file.read_at = None;
        Ok(Ok(true))
    }

    /// Says once that nothing in a followed file is an event.
    fn warn_of_rubbish(&self, file: &mut Tracked) {
        let is_rubbish = file.opened.as_ref().is_some_and(Opened::is_rubbish);
        if is_rubbish && !std::mem::replace(&mut file.is_known_rubbish, true) {
            let (source, path) = (&self.output.source, pipeline_core::shown(file.path()));
            tracing::warn!(%source, "nothing of `{path}` can be read so far: {NO_OBJECT}");
        }
    }

    /// Ends a file that has been deleted: its last line will not be completed any more.
    fn finish(&mut self, file: &mut Tracked) -> Result<(), Stopped> {
        if let Some(opened) = &mut file.opened {
            opened.stop_waiting();
            let (_, read) =
                file.read_batch(self.output, self.shift_ms, self.settings.batch_lines)?;
            if let Err(error) = read {
                let (source, path) = (&self.output.source, pipeline_core::shown(file.path()));
                tracing::warn!(%source, "the last line of `{path}` cannot be read: {error}");
            }
        }
        file.is_gone = true;
        self.forget(file.id)
    }

    /// Looks for new files, and for files that have been renamed or deleted.
    fn look_around(&mut self) -> Result<(), Stopped> {
        let located = self.settings.patterns.expand().into_iter();
        let found = located.filter_map(|located| look(located).ok());
        let tracked: HashMap<_, _> = (0..)
            .zip(&self.tracked)
            .map(|(index, file): (usize, _)| (file.found.stat.id(), index))
            .collect();
        let tracked_ids: HashSet<_> = tracked.keys().copied().collect();
        let (mut ids, mut new) = (HashSet::new(), Vec::new());
        for found in found {
            let id = found.stat.id();
            if !ids.insert(id) {
                continue;
            }
            match tracked.get(&id) {
                Some(index) => self.tracked[*index].is_found_at(found.path),
                None => new.push(found),
            }
        }
        for file in &mut self.tracked {
            file.is_configured = ids.contains(&file.found.stat.id());
            if !file.is_configured
                && file.opened.is_none()
                && !file.is_at_path()
                && !file.relocate()
            {
                file.is_gone = true;
                self.away.insert(file.id, file.entry());
            }
        }
        self.suspects.retain(|id, _| !tracked_ids.contains(id));
        self.tracked.retain(|file| !file.is_gone);
        self.read_lost_suspects(&ids)?;
        new.retain(|found| !self.may_be_copy(found));
        let tracked = self.tracked.iter().map(|file| file.found.stat.id());
        let recalled = recall(std::mem::take(&mut self.away), new, tracked.collect());
        self.away = recalled.away;
        self.track_all(recalled.files, recalled.gone)
    }

    /// Whether a new file starts like one that is followed. If a rotation is copying that one, it will be truncated in a
    /// moment, and then reading resumes in the new file.
    fn may_be_copy(&mut self, found: &Found) -> bool {
        // Opening a pipe might block.
        if !found.stat.is_regular {
            return false;
        }
        let Ok(head) = found.head() else {
            return false;
        };
        let is_like = |file: &Tracked| file.mark.end() > 0 && file.start.is_start_of(&head);
        if !self.tracked.iter().any(is_like) {
            return false;
        }
        let id = found.stat.id();
        if let Some(suspect) = self.suspects.get(&id) {
            return suspect.since.elapsed() < COPY_PAUSE;
        }
        if self.suspects.len() >= MAX_SUSPECTS {
            return false;
        }
        // If it cannot be opened, reading it reports the error.
        let Ok(file) = File::open(&found.path) else {
            return false;
        };
        let suspect = Suspect {
            since: Instant::now(),
            path: found.path.clone(),
            file,
        };
        self.suspects.insert(id, suspect);
        true
    }

    /// Reads files that have lost their names while they waited for being a copy or not: from their starts, because lines
    /// that are read twice are better than lines that are lost.
    fn read_lost_suspects(&mut self, ids: &HashSet<(u64, u64)>) -> Result<(), Stopped> {
        let lost: Vec<_> = self
            .suspects
            .extract_if(|id, _| !ids.contains(id))
            .collect();
        for ((_, inode), suspect) in lost {
            let path = suspect.path;
            let opened = Opened::of(suspect.file, Fingerprint::default(), Mark::default());
            let opened = opened.and_then(|opened| {
                let stat = opened.as_ref().map(Opened::stat).transpose()?;
                Ok(opened.zip(stat))
            });
            let (opened, stat) = match opened {
                Ok(Some((opened, stat))) if stat.id().1 == inode => (opened, stat),
                // Another file has come between the look and the opening; it is found by itself.
                Ok(_) => continue,
                Err(error) => {
                    let (source, path) = (&self.output.source, pipeline_core::shown(&path));
                    tracing::warn!(%source, "`{path}` is gone and cannot be read: {error}");
                    continue;
                }
            };
            let opened = if stat.is_deleted() {
                opened
            } else {
                opened.waiting()
            };
            self.track(Found { path, stat }, None, false)?;
            let tracked = self.tracked.last_mut();
            if let Some(file) = tracked.filter(|file| file.found.stat.id() == stat.id()) {
                file.start = opened.start;
                file.opened = Some(opened);
            }
        }
        Ok(())
    }

    /// If a file was copied and truncated, reads the rest from the copy in its folder.
    fn track_copy(&mut self, file: &Tracked) -> Result<(), Stopped> {
        let entry = file.entry();
        let copy = folders(&entry)
            .into_iter()
            .flat_map(siblings)
            .find(|found| !self.ids.contains(&found.stat.id()) && is_copy(found, &entry));
        let Some(found) = copy else { return Ok(()) };
        let id = self.next_id;
        self.next_id += 1;
        self.track(found, Some((id, entry)), false)?;
        // Before the checkpoint records that the first is at its start again.
        if let Some(mut copy) = self.tracked.pop() {
            self.send_change(&mut copy)?;
            self.tracked.push(copy);
        }
        Ok(())
    }

    fn track(
        &mut self,
        found: Found,
        known: Option<(u64, Entry)>,
        is_configured: bool,
    ) -> Result<(), Stopped> {
        if self.tracked.len() + self.away.len() >= self.settings.max_files && !self.forget_one()? {
            if !std::mem::replace(&mut self.reported_too_many, true) {
                let text = format!(
                    "it is one of more than {} files; name fewer",
                    self.settings.max_files
                );
                let error = file_error(self.output, &found.path, &io::Error::other(text));
                self.output.report(error)?;
            }
            return Ok(());
        }
        let label: Arc<str> = if self.has_several {
            let name = found.path.file_name().unwrap_or_default();
            format!("{} {}", self.output.source, pipeline_core::shown(name)).into()
        } else {
            self.output.source.as_str().into()
        };
        let (id, known) = known.unzip();
        let id = id.unwrap_or(self.next_id);
        self.next_id = self.next_id.max(id + 1);
        let mut file = Tracked::new(id, found, label, known);
        file.is_configured = is_configured;
        self.tracked.push(file);
        Ok(())
    }

    /// Forgets a file whose folder is missing, or one that was rotated and has been read, to make room for another.
    fn forget_one(&mut self) -> Result<bool, Stopped> {
        if let Some((id, _)) = self.away.pop_first() {
            self.forget(id)?;
            return Ok(true);
        }
        let is_finished = |file: &Tracked| !file.is_configured && file.is_complete();
        let Some(index) = self.tracked.iter().position(is_finished) else {
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

    /// Closes files that have been read to their ends, oldest first.
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

fn file_error(output: &Output, path: &Path, error: &io::Error) -> SourceError {
    let (source, path) = (&output.source, pipeline_core::shown(path));
    SourceError::new(format!(
        "source `{source}`: `{path}` cannot be read: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_core::ManualClock;
    use tokio::sync::mpsc;

    /// What one run reads, which files it forgets, and what it complains about.
    fn read(folder: &Path, entries: Entries, max_files: usize) -> (usize, Vec<u64>, Vec<String>) {
        let patterns = Patterns {
            written: vec!["*.log".into()],
            base_dir: folder.to_owned(),
        };
        let mut reader = FileReader::new(patterns).resuming(folder.join("checkpoint"), entries);
        reader.settings.max_files = max_files;
        let (queue, mut batches) = mpsc::channel(100);
        let output = Output {
            source: "events".to_owned(),
            clock: Arc::new(ManualClock::at(0)),
            queue,
        };
        reader.read(&output).unwrap();
        let (mut lines, mut forgotten, mut reports) = (0, Vec::new(), Vec::new());
        while let Ok(read) = batches.try_recv() {
            match read {
                Ok(batch) => {
                    lines += batch.inputs.len();
                    if let Some(Change::Forget(id)) = batch.progress {
                        forgotten.push(id);
                    }
                }
                Err(error) => reports.push(error.to_string()),
            }
        }
        (lines, forgotten, reports)
    }

    /// A reader that follows `*.log`, and the batches that it queues.
    fn following(folder: &Path) -> (FileReader, Output, mpsc::Receiver<thread::Read<Change>>) {
        let patterns = Patterns {
            written: vec!["*.log".into()],
            base_dir: folder.to_owned(),
        };
        let (queue, batches) = mpsc::channel(1000);
        let output = Output {
            source: "events".to_owned(),
            clock: Arc::new(ManualClock::at(0)),
            queue,
        };
        (FileReader::new(patterns).following(true), output, batches)
    }

    /// One look at the files, and a turn for each.
    fn look_and_read(reading: &mut Reading<'_>) {
        reading.look_around().unwrap();
        for _ in 0..2 {
            let mut tracked = reading.take_tracked();
            for file in &mut tracked {
                reading.turn(file).unwrap();
            }
            tracked.retain(|file| !file.is_gone);
            tracked.append(&mut reading.tracked);
            reading.tracked = tracked;
        }
    }

    fn events(batches: &mut mpsc::Receiver<thread::Read<Change>>) -> usize {
        let mut events = 0;
        while let Ok(read) = batches.try_recv() {
            events += read.map_or(0, |batch| batch.inputs.len());
        }
        events
    }

    #[test]
    fn files_that_begin_alike_and_live_only_for_a_moment_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: usize| folder.path().join(format!("{name:03}.log"));
        let alike = |name: usize| {
            let first = format!("{{\"same\":\"{}\"}}\n", "x".repeat(1500));
            let others = (0..10).map(|line| format!("{{\"file\":{name},\"line\":{line}}}\n"));
            // The last line has no end, and will never get one.
            let text = first + &others.collect::<String>();
            text.trim_end().to_owned()
        };
        let (reader, output, mut batches) = following(folder.path());
        std::fs::write(path(0), alike(0) + "\n").unwrap();
        let mut reading = Reading::start(reader, &output).unwrap();
        look_and_read(&mut reading);
        assert_eq!(events(&mut batches), 11);
        // More than are kept open.
        for name in 1..120 {
            std::fs::write(path(name), alike(name)).unwrap();
        }
        look_and_read(&mut reading);
        assert_eq!(reading.suspects.len(), MAX_SUSPECTS, "they may be copies");
        std::fs::rename(path(1), folder.path().join("moved")).unwrap();
        let mut more = std::fs::OpenOptions::new();
        let mut more = more.append(true).open(folder.path().join("moved")).unwrap();
        io::Write::write_all(&mut more, b"\n").unwrap();
        for name in 2..120 {
            std::fs::remove_file(path(name)).unwrap();
        }
        look_and_read(&mut reading);
        assert_eq!(events(&mut batches), 119 * 11);
        assert!(reading.suspects.is_empty());
        look_and_read(&mut reading);
        assert_eq!(events(&mut batches), 0);
    }

    #[test]
    fn a_copy_whose_file_is_truncated_is_read_where_that_one_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (reader, output, mut batches) = following(folder.path());
        std::fs::write(path("a.log"), "{\"a\":1}\n{\"a\":2}\n").unwrap();
        let mut reading = Reading::start(reader, &output).unwrap();
        look_and_read(&mut reading);
        assert_eq!(events(&mut batches), 2);
        std::fs::write(path("b.log"), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n").unwrap();
        look_and_read(&mut reading);
        assert_eq!(events(&mut batches), 0);
        std::fs::write(path("a.log"), "{\"b\":1}\n").unwrap();
        look_and_read(&mut reading);
        std::fs::remove_file(path("b.log")).unwrap();
        look_and_read(&mut reading);
        assert_eq!(events(&mut batches), 2);
    }

    #[test]
    fn no_more_files_are_read_than_can_be_remembered() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.log", "b.log", "c.log"] {
            std::fs::write(folder.path().join(name), "{}\n").unwrap();
        }
        assert_eq!(read(folder.path(), Entries::new(), 3), (3, vec![], vec![]));
        let (lines, _, reports) = read(folder.path(), Entries::new(), 2);
        let expected = "c.log` cannot be read: it is one of more than 2 files; name fewer";
        assert!(
            lines == 2 && reports.len() == 1 && reports[0].ends_with(expected),
            "{reports:?}"
        );
        // A file that is away makes room.
        let away = Entry {
            path: "/a/folder/that/is/missing/a.log".into(),
            device: 1,
            inode: 1,
            start: Fingerprint::of_start(b"x"),
            unread: 0,
            told: None,
            mark: Mark::default(),
        };
        let entries = Entries::from([(7, away)]);
        assert_eq!(read(folder.path(), entries.clone(), 4), (3, vec![], vec![]));
        assert_eq!(read(folder.path(), entries, 3), (3, vec![7], vec![]));
    }
}
