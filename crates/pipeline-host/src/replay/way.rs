//! Letters that are on their way, each until the host knows what became of it.
//!
//! Invariant: the line of a letter comes out once, when it is finished; that of one that was given up never comes out.

use crate::ack::Ack;
use crate::batch::{Queued, RecordMeta};
use crate::dead_letter::StoredLetter;
use crate::sink_input::SinkInput;
use crate::telemetry::SinkTelemetry;
use pipeline_core::{AckLevel, AckStatus, Origin, Record};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// Letters on their way, by their lines.
#[derive(Default)]
pub(super) struct OnTheWay(JoinSet<(u64, AckStatus)>);

impl OnTheWay {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts letters into the queue, as room is made.
    pub(super) async fn send(
        &mut self,
        input: &SinkInput,
        letters: Vec<(u64, StoredLetter, Record)>,
    ) {
        let mut records = Vec::with_capacity(letters.len());
        for (line, letter, record) in letters {
            let (ack, mut receipt) = Ack::until(AckLevel::Final);
            let meta = RecordMeta {
                origin: Origin::whole(letter.source.as_str().into()),
                attempts: 0,
                failures: 0,
                since: Instant::now(),
                first_ms: letter.first_ms,
                history: letter.history_when_replayed(),
                ack,
                slot: None,
            };
            records.push(Queued { record, meta });
            self.0.spawn(async move { (line, receipt.settled().await) });
        }
        SinkTelemetry::add(&input.telemetry.received, records.len());
        let found = records.iter().map(|queued| &queued.record);
        input.telemetry.find(found);
        input.push(records).await;
    }

    /// Waits until something has become of at least one letter; the lines of those that are finished.
    pub(super) async fn settled(&mut self) -> Vec<u64> {
        let first = self.0.join_next().await;
        let mut lines: Vec<u64> = first.and_then(finished).into_iter().collect();
        lines.extend(self.settled_now());
        lines
    }

    /// The same without waiting.
    pub(super) fn settled_now(&mut self) -> Vec<u64> {
        let mut lines = Vec::new();
        while let Some(settled) = self.0.try_join_next() {
            lines.extend(finished(settled));
        }
        lines
    }
}

fn finished(settled: Result<(u64, AckStatus), JoinError>) -> Option<u64> {
    let (line, status) = settled.ok()?;
    (status == AckStatus::Safe).then_some(line)
}
