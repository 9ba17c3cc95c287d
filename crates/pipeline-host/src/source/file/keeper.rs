//! What moves a checkpoint: the receipts of what was read, in the order of reading.
//!
//! In: receipts, each with how far the source had come. Out: the checkpoint on disk, not more often than
//! [`CHECKPOINT_PAUSE`] allows and once at the end.
//!
//! Invariant: the checkpoint passes an event only when that event and all before it are safe; once one has been given up
//! it stays where it is.

use super::checkpoint::{CheckpointError, Entries, Entry, Store};
use crate::ack::{Receipt, Settled};
use crate::source::SourceError;
use crate::stop::{Stop, StopSignal};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The pause between two writes of a checkpoint.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(200);
/// Chunks of lines that are not safe yet, at most; then reading pauses.
pub(crate) const MAX_OPEN_CHUNKS: usize = 4096;
/// How long after a failed write the next is tried.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often writes that fail are reported.
const REMINDER_PAUSE: Duration = Duration::from_secs(60);
/// Writes that are tried at the end.
const LAST_TRIES: usize = 3;
/// How long sinks may take to say what became of events once the pipeline has to end.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// What one chunk changes in a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The file of this number has been read so far.
    Read(u64, Entry),
    /// The file of this number is gone.
    Forget(u64),
}

/// Keeps the checkpoint of one source.
pub(crate) struct Keeper {
    source: String,
    store: Arc<Store>,
    entries: Entries,
    changed: bool,
    next_save: Instant,
    next_reminder: Instant,
}

impl Keeper {
    pub(crate) fn new(source: String, store: Store, entries: Entries) -> Self {
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

    /// Follows receipts until the last has settled or the pipeline has to end; returns why the end could not be saved.
    pub(crate) async fn run(
        mut self,
        mut receipts: mpsc::Receiver<(Receipt, Change)>,
        stop: StopSignal,
    ) -> Option<SourceError> {
        let mut end = stop.clone();
        let end = async move {
            end.deadline().await;
            tokio::time::sleep(SETTLE_LIMIT).await;
        };
        tokio::pin!(end);
        let mut first = None;
        let mut advances = true;
        loop {
            if self.changed && Instant::now() >= self.next_save {
                // It has been said, and is tried again.
                let _ = self.save().await;
            }
            let settled = tokio::select! {
                () = &mut end => break,
                () = tokio::time::sleep_until(self.next_save), if self.changed => continue,
                settled = next(&mut first, &mut receipts) => settled,
            };
            match settled {
                Some((Settled::Safe, change)) if advances => self.apply(change),
                Some((Settled::GivenUp, _)) if advances => {
                    advances = false;
                    self.say_given_up(&stop);
                }
                Some(_) => {}
                None => return self.save_last().await,
            }
        }
        // The time is up: what is safe by now still counts.
        while advances
            && let Some((mut receipt, change)) = first.take().or_else(|| receipts.try_recv().ok())
        {
            advances = receipt.now() == Some(Settled::Safe);
            if advances {
                self.apply(change);
            }
        }
        self.save_last().await
    }

    fn say_given_up(&self, stop: &StopSignal) {
        let source = &self.source;
        if stop.now() == Stop::Run {
            tracing::warn!(%source, "events were given up: they and all that follow are read again after the next start");
        } else {
            tracing::info!(%source, "stopped before everything was delivered: the next run reads on from there");
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
                    let path = self.store.path().display();
                    tracing::error!(source = %self.source, "the checkpoint `{path}` cannot be written: {error}; nothing is lost, and it is tried again");
                }
            }
        }
        saved
    }

    /// Saves what has not been saved, and says so if it cannot be.
    async fn save_last(mut self) -> Option<SourceError> {
        let mut tries = 1;
        while self.changed {
            match self.save().await {
                Err(error) if tries == LAST_TRIES => {
                    return Some(SourceError::Checkpoint {
                        name: self.source,
                        path: self.store.path().to_owned(),
                        error: CheckpointError::Unsaved(error),
                    });
                }
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
                Ok(()) => {}
            }
            tries += 1;
        }
        None
    }
}

/// The oldest receipt once it has settled; `None` when there are no more.
async fn next(
    first: &mut Option<(Receipt, Change)>,
    receipts: &mut mpsc::Receiver<(Receipt, Change)>,
) -> Option<(Settled, Change)> {
    if first.is_none() {
        *first = receipts.recv().await;
    }
    let settled = first.as_mut()?.0.settled().await;
    first.take().map(|(_, change)| (settled, change))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::Ack;
    use crate::source::mark::{Fingerprint, Mark};
    use crate::stop::StopHandle;
    use std::path::PathBuf;

    fn read(line: u64) -> Change {
        let entry = Entry {
            path: PathBuf::from("/a"),
            device: 1,
            inode: 2,
            start: Fingerprint::default(),
            mark: Mark {
                line,
                ..Mark::default()
            },
        };
        Change::Read(0, entry)
    }

    /// What becomes of a chunk.
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
            let keeper = Keeper::new("events".to_owned(), store, Entries::new());
            let (handle, stop) = StopHandle::new(Duration::from_secs(5));
            let (sender, receipts) = mpsc::channel(MAX_OPEN_CHUNKS);
            let running = tokio::spawn(keeper.run(receipts, stop));
            let mut open = Vec::new();
            for (line, fate) in (1..).zip(fates) {
                let (ack, receipt) = Ack::new();
                sender.send((receipt, read(line))).await.unwrap();
                match fate {
                    Safe => ack.done(),
                    GivenUp => drop(ack),
                    Open => open.push(ack),
                }
            }
            drop(sender);
            // Only where something stays open, this is what ends it.
            handle.drain();
            assert!(running.await.unwrap().is_none());
            let store = Store::open(folder.path(), "events").unwrap();
            let kept = store.load().unwrap().remove(&0);
            assert_eq!(kept.map(|entry| entry.mark.line), expected);
        }
    }
}
