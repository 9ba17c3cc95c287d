//! Moves a checkpoint as the receipts of what was read settle, in the order of reading.
//!
//! In: receipts, each with how far the source had come. Out: the checkpoint on disk, not more often than
//! [`CHECKPOINT_PAUSE`] allows and once at the end.
//!
//! Invariant: the checkpoint passes an event only when that event and all before it are safe; once one has been given up,
//! the checkpoint does not move any more.

use super::checkpoint::{Change, CheckpointError, Entries, Store};
use pipeline_core::{AckStatus, Receipt, SourceError, Stop};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The pause between two writes of a checkpoint.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(200);
/// Batches of lines that are not safe yet, at most; then reading pauses.
pub(super) const MAX_OPEN_BATCHES: usize = 4096;
/// How long after a failed write the next is tried.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often writes that fail are reported.
const REMINDER_PAUSE: Duration = Duration::from_secs(60);
/// Writes that are tried at the end.
const LAST_TRIES: usize = 3;
/// How long receipts may take to settle after the deadline.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// Commits the checkpoint of one source.
pub(super) struct Committer {
    source: String,
    store: Arc<Store>,
    entries: Entries,
    changed: bool,
    next_save: Instant,
    next_reminder: Instant,
}

impl Committer {
    pub(super) fn new(source: String, store: Store, entries: Entries) -> Self {
        let now = Instant::now();
        Self {
            source,
            store: Arc::new(store),
            entries,
            changed: false,
            next_save: now,
            next_reminder: now,
        }
    }

    /// Follows receipts until the last has settled or the deadline has passed.
    ///
    /// # Errors
    ///
    /// When the last progress could not be saved.
    pub(super) async fn run(
        mut self,
        mut receipts: mpsc::Receiver<(Receipt, Change)>,
        stop: Stop,
    ) -> Result<(), SourceError> {
        let end = stop.clone();
        let end = async move {
            end.deadline().await;
            tokio::time::sleep(SETTLE_LIMIT).await;
        };
        tokio::pin!(end);
        let mut first = None;
        let mut advances = true;
        loop {
            if self.changed && Instant::now() >= self.next_save {
                // An error has been logged, and saving is tried again.
                let _ = self.save().await;
            }
            let settled = tokio::select! {
                () = &mut end => break,
                () = tokio::time::sleep_until(self.next_save), if self.changed => continue,
                settled = next(&mut first, &mut receipts) => settled,
            };
            match settled {
                Some((AckStatus::Safe, change)) if advances => self.apply(change),
                Some(_) if advances => {
                    advances = false;
                    self.log_given_up(&stop);
                }
                Some(_) => {}
                None => return self.save_last().await,
            }
        }
        // The deadline has passed; what is safe by now still counts.
        while advances
            && let Some((receipt, change)) = first.take().or_else(|| receipts.try_recv().ok())
        {
            advances = receipt.now() == Some(AckStatus::Safe);
            if advances {
                self.apply(change);
            }
        }
        self.save_last().await
    }

    fn log_given_up(&self, stop: &Stop) {
        let source = &self.source;
        if stop.is_stopping() {
            tracing::info!(%source, "stopped before everything was delivered; the next run resumes from there");
        } else {
            tracing::warn!(%source, "some events were not delivered; the next start reads again from the first of them");
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Read(id, entry) => self.entries.insert(id, entry),
            Change::Forget(id) => self.entries.remove(&id),
        };
        self.changed = true;
    }

    async fn save(&mut self) -> io::Result<()> {
        let (store, entries) = (Arc::clone(&self.store), self.entries.clone());
        let saved = tokio::task::spawn_blocking(move || store.save(&entries)).await;
        let saved = saved.unwrap_or_else(|error| Err(io::Error::other(error)));
        let now = Instant::now();
        match &saved {
            Ok(()) => {
                self.changed = false;
                self.next_save = now + CHECKPOINT_PAUSE;
            }
            Err(error) => {
                self.next_save = now + RETRY_PAUSE;
                if now >= self.next_reminder {
                    self.next_reminder = now + REMINDER_PAUSE;
                    let path = pipeline_core::shown(self.store.path());
                    tracing::error!(source = %self.source, "the checkpoint `{path}` cannot be written: {error}; no event is lost, trying again");
                }
            }
        }
        saved
    }

    /// Saves what has not been saved.
    async fn save_last(mut self) -> Result<(), SourceError> {
        let mut tries = 1;
        while self.changed {
            match self.save().await {
                Err(error) if tries == LAST_TRIES => {
                    let (source, path) = (&self.source, pipeline_core::shown(self.store.path()));
                    let error = CheckpointError::Unsaved(error);
                    let text = format!("source `{source}`: the checkpoint `{path}` {error}");
                    return Err(SourceError::new(text));
                }
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
                Ok(()) => {}
            }
            tries += 1;
        }
        Ok(())
    }
}

/// The oldest receipt once it has settled; `None` when there are no more.
async fn next(
    first: &mut Option<(Receipt, Change)>,
    receipts: &mut mpsc::Receiver<(Receipt, Change)>,
) -> Option<(AckStatus, Change)> {
    if first.is_none() {
        *first = receipts.recv().await;
    }
    let settled = first.as_mut()?.0.settled().await;
    first.take().map(|(_, change)| (settled, change))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::checkpoint::Entry;
    use crate::test_intake::StopHandle;
    use json_framing::{Fingerprint, Mark};
    use pipeline_core::receipt;
    use std::path::PathBuf;

    fn read(line: u64) -> Change {
        let entry = Entry {
            path: PathBuf::from("/a"),
            device: 1,
            inode: 2,
            start: Fingerprint::default(),
            unread: 0,
            told: None,
            mark: Mark {
                line,
                ..Mark::default()
            },
        };
        Change::Read(0, entry)
    }

    /// What becomes of a batch.
    #[derive(Clone, Copy)]
    enum Fate {
        Safe,
        GivenUp,
        Open,
    }
    use Fate::{GivenUp, Open, Safe};

    #[tokio::test(start_paused = true)]
    async fn a_checkpoint_passes_what_is_safe_with_all_before_it_and_nothing_else() {
        let cases: [(&[Fate], Option<u64>); 6] = [
            (&[], None),
            (&[Safe, Safe, Safe], Some(3)),
            (&[Safe, GivenUp, Safe], Some(1)),
            (&[Safe, Open, Safe], Some(1)),
            (&[GivenUp, Safe], None),
            (&[Open, Safe], None),
        ];
        for (fates, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), "events").unwrap();
            let committer = Committer::new("events".to_owned(), store, Entries::new());
            let (handle, stop) = StopHandle::new(Duration::from_secs(5));
            let (sender, receipts) = mpsc::channel(MAX_OPEN_BATCHES);
            let running = tokio::spawn(committer.run(receipts, stop));
            let mut open = Vec::new();
            for (line, fate) in (1..).zip(fates) {
                let (settle, receipt) = receipt();
                sender.send((receipt, read(line))).await.unwrap();
                match fate {
                    Safe => settle.settle(AckStatus::Safe),
                    GivenUp => drop(settle),
                    Open => open.push(settle),
                }
            }
            drop(sender);
            // Only where something stays open, this is what ends it.
            handle.stop();
            running.await.unwrap().unwrap();
            let store = Store::open(folder.path(), "events").unwrap();
            let kept = store.load().unwrap().remove(&0);
            assert_eq!(kept.map(|entry| entry.mark.line), expected);
        }
    }
}
