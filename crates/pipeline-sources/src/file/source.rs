//! The running source `file`: a reader thread, and the committer of the checkpoint beside it.

use super::checkpoint::Change;
use super::committer::{Committer, MAX_OPEN_BATCHES};
use super::paced::{Pace, PacedIntake};
use super::reader::FileReader;
use crate::thread::{self, Ended, Output};
use pipeline_core::{Clock, Intake, Source, SourceError, Stop, async_trait};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Files that are ready to be read.
pub(super) struct FileSource {
    pub(super) name: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reader: FileReader,
    /// Moves the checkpoint, if the source keeps one.
    pub(super) committer: Option<Committer>,
    /// How fast events are sent, if not as fast as they can be.
    pub(super) pace: Option<Pace>,
}

#[async_trait]
impl Source for FileSource {
    async fn run(self: Box<Self>, to: Arc<dyn Intake>, stop: Stop) -> Result<(), SourceError> {
        let name = self.name.clone();
        let to = match self.pace {
            Some(pace) => Arc::new(PacedIntake::new(to, pace, stop.clone())),
            None => to,
        };
        let (receipts, committing) = match self.committer {
            Some(committer) => {
                let (sender, receipts) = mpsc::channel(MAX_OPEN_BATCHES);
                let committing = tokio::spawn(committer.run(receipts, stop.clone()));
                (Some(sender), Some(committing))
            }
            None => (None, None),
        };
        let reader = self.reader;
        let read = move |output: &Output<Change>| reader.read(output).map_err(Ended::from);
        // Returns once it has dropped the intake: only then do the sinks send what they keep for fuller batches.
        let read = thread::run(self.name, self.clock, read, receipts, to, &stop).await;
        let committed = match committing {
            Some(committing) => committing.await.unwrap_or_else(|_| {
                let text =
                    format!("source `{name}`: the checkpoint committer panicked; please report it");
                Err(SourceError::new(text))
            }),
            None => Ok(()),
        };
        if let (Err(_), Err(error)) = (&read, &committed) {
            tracing::error!("{error}");
        }
        read.and(committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::checkpoint::Store;
    use crate::file::pattern::Patterns;
    use crate::test_intake::{PanickingDeadline, Step, StopHandle, TestIntake};
    use pipeline_core::{AckLevel, AckStatus, Item, ManualClock};
    use std::path::Path;
    use std::time::Duration;

    /// A source of the files `*.log` in `folder`, with a checkpoint there or without one.
    fn source(folder: &Path, checkpoint: bool, shift_times: bool, now_ms: i64) -> Box<FileSource> {
        let patterns = Patterns {
            written: vec!["*.log".into()],
            base_dir: folder.to_owned(),
        };
        let mut reader = FileReader::new(patterns).shifting_times(shift_times);
        let mut committer = None;
        if checkpoint {
            let store = Store::open(folder, "events").unwrap();
            let entries = store.load().unwrap();
            reader = reader.resuming(store.path().to_owned(), entries.clone());
            committer = Some(Committer::new("events".to_owned(), store, entries));
        }
        Box::new(FileSource {
            name: "events".to_owned(),
            clock: Arc::new(ManualClock::at(now_ms)),
            reader,
            committer,
            pace: None,
        })
    }

    async fn run(source: Box<FileSource>, intake: &Arc<TestIntake>) -> Result<(), SourceError> {
        let (handle, stop) = StopHandle::new(Duration::ZERO);
        let ended = source.run(Arc::<TestIntake>::clone(intake), stop).await;
        drop(handle);
        ended
    }

    #[tokio::test]
    async fn the_next_run_resumes_after_what_was_safe() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.log", "b.log"] {
            std::fs::write(folder.path().join(name), format!("{{\"in\":\"{name}\"}}\n")).unwrap();
        }
        let first = TestIntake::new([
            Step::Settle(AckStatus::Safe),
            Step::Settle(AckStatus::GivenUp),
        ]);
        run(source(folder.path(), true, false, 0), &first)
            .await
            .unwrap();
        assert_eq!(first.inputs(), ["{\"in\":\"a.log\"}", "{\"in\":\"b.log\"}"]);
        let stored = |(_, ack): &(_, _)| *ack == Some(AckLevel::Stored);
        assert!(first.chunks().iter().all(stored));
        let origins = |intake: &TestIntake| -> Vec<_> {
            let chunks = intake.chunks();
            let events = chunks.iter().flat_map(|(chunk, _)| chunk.events());
            events.map(|event| event.origin().to_string()).collect()
        };
        assert_eq!(
            origins(&first),
            ["events a.log line 1", "events b.log line 1"]
        );
        let second = TestIntake::new([]);
        run(source(folder.path(), true, false, 0), &second)
            .await
            .unwrap();
        assert_eq!(second.inputs(), ["{\"in\":\"b.log\"}"]);
        let third = TestIntake::new([]);
        run(source(folder.path(), true, false, 0), &third)
            .await
            .unwrap();
        assert!(third.inputs().is_empty());
    }

    #[tokio::test]
    async fn a_source_without_a_checkpoint_follows_no_receipt_and_shifts_times() {
        let folder = tempfile::tempdir().unwrap();
        let lines =
            "{\"timestamp\":1700000000,\"id\":1}\n{\"timestamp\":1700000060,\"id\":2}\n{broken\n";
        std::fs::write(folder.path().join("a.log"), lines).unwrap();
        let intake = TestIntake::new([Step::Open]);
        run(
            source(folder.path(), false, true, 1_800_000_060_000),
            &intake,
        )
        .await
        .unwrap();
        assert_eq!(
            intake.inputs(),
            [
                "{\"timestamp\":1800000000,\"id\":1}",
                "{\"timestamp\":1800000060,\"id\":2}",
                "{broken"
            ]
        );
        assert!(intake.chunks().iter().all(|(_, ack)| ack.is_none()));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_costs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a.log")).unwrap();
        std::fs::write(folder.path().join("b.log"), "{}\n").unwrap();
        let intake = TestIntake::new([]);
        run(source(folder.path(), true, false, 0), &intake)
            .await
            .unwrap();
        assert_eq!(intake.inputs(), ["{}"]);
        let path = folder.path().join("a.log");
        let expected = format!(
            "source `events`: `{}` cannot be read: is a directory",
            path.display()
        );
        assert_eq!(intake.reports(), [expected]);
        let chunks = intake.chunks();
        assert!(matches!(chunks[0].0.entries()[0].item, Item::Event(_)));
    }

    #[tokio::test]
    async fn a_panic_of_the_committer_never_looks_like_the_end_of_the_input() {
        for follow in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("a.log"), "{}\n").unwrap();
            let intake = TestIntake::new([Step::Open]);
            let stop = Stop::new(Arc::new(PanickingDeadline));
            let mut source = source(folder.path(), true, false, 0);
            source.reader = source.reader.following(follow);
            // The receipt stays open as long as the intake is there, so the committer has to wait.
            let ended = source.run(Arc::<TestIntake>::clone(&intake), stop).await;
            assert_eq!(
                ended.unwrap_err().to_string(),
                "source `events`: the checkpoint committer panicked; please report it"
            );
        }
    }
}
