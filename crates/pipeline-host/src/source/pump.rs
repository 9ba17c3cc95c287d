//! From a thread that reads to the sinks: chunks are encoded on several threads at once and handed on in their order, and
//! what becomes of them is followed where the source remembers how far it has come.

use super::chunk::{Output, Read, Stopped};
use super::file::{Change, FileReader, Keeper, MAX_OPEN_CHUNKS};
use super::line::LineReader;
use super::{SourceError, chunk::Chunk};
use crate::ack::{Ack, Receipt};
use crate::outlet::{Encoding, Feed};
use crate::stop::StopSignal;
use pipeline_core::Clock;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

/// Chunks that wait to be encoded.
const QUEUED_CHUNKS: usize = 4;
/// Chunks that are encoded at the same time, at most.
const MAX_PARALLEL_CHUNKS: usize = 16;

/// A source of lines.
pub(crate) struct Pump {
    pub(crate) name: String,
    pub(crate) from: From,
    pub(crate) clock: Arc<dyn Clock>,
    /// What keeps how far the source has come, if anything does.
    pub(crate) keeper: Option<Keeper>,
}

pub(crate) enum From {
    Files(FileReader),
    Stdin,
}

/// A chunk as the sinks see it.
type Encoded = (Vec<Encoding>, Ack);
/// Chunks that are being encoded, oldest first.
type Encodings = VecDeque<JoinHandle<Encoded>>;

impl Pump {
    /// Runs until the input ends or the pipeline stops, and until it is known what became of everything.
    pub(crate) async fn run(self, feed: Feed, mut stop: StopSignal) -> Vec<SourceError> {
        let (sender, mut chunks) = mpsc::channel::<Read>(QUEUED_CHUNKS);
        let output = Output {
            source: self.name,
            clock: self.clock,
            chunks: sender,
        };
        let from = self.from;
        // A thread of its own, because a read from standard input cannot be interrupted.
        std::thread::spawn(move || from.read(&output));
        let (receipts, keeping) = match self.keeper {
            Some(keeper) => {
                let (sender, receipts) = mpsc::channel(MAX_OPEN_CHUNKS);
                let keeping = tokio::spawn(keeper.run(receipts, stop.clone()));
                (Some(sender), Some(keeping))
            }
            None => (None, None),
        };
        let parallel = std::thread::available_parallelism()
            .map_or(2, usize::from)
            .min(MAX_PARALLEL_CHUNKS);
        let mut encodings = Encodings::new();
        let mut failures = Vec::new();
        loop {
            let chunk = tokio::select! {
                () = stop.stopped() => break,
                Some(encoded) = first(&mut encodings) => {
                    accept(&feed, encoded).await;
                    continue;
                }
                chunk = chunks.recv(), if encodings.len() < parallel => chunk,
            };
            match chunk {
                Some(Ok(Chunk { inputs, change })) => {
                    let Some(ack) = acknowledgement(change, receipts.as_ref(), &mut stop).await
                    else {
                        break;
                    };
                    let outlets = feed.outlets.clone();
                    encodings.push_back(tokio::spawn(async move {
                        (Feed::encode(&outlets, &inputs, &ack), ack)
                    }));
                }
                Some(Err(error)) => {
                    tracing::error!("{error}");
                    failures.push(error);
                }
                None => break,
            }
        }
        drop(chunks);
        while let Some(encoded) = first(&mut encodings).await {
            accept(&feed, encoded).await;
        }
        // Only now can the sinks send what they would have kept for fuller batches.
        drop((feed, receipts));
        if let Some(keeping) = keeping {
            failures.extend(keeping.await.ok().flatten());
        }
        failures
    }
}

/// An acknowledgement whose receipt is followed, if the source keeps how far it has come. Waits while too many are
/// open; `None` when the pipeline is to stop meanwhile.
async fn acknowledgement(
    change: Option<Change>,
    receipts: Option<&mpsc::Sender<(Receipt, Change)>>,
    stop: &mut StopSignal,
) -> Option<Ack> {
    let (Some(change), Some(receipts)) = (change, receipts) else {
        return Some(Ack::none());
    };
    let (ack, receipt) = Ack::new();
    tokio::select! {
        () = stop.stopped() => None,
        // Where nobody follows it any more, the checkpoint stays, and that is safe.
        _ = receipts.send((receipt, change)) => Some(ack),
    }
}

/// The oldest chunk once it is encoded; `None` where there is none.
async fn first(encodings: &mut Encodings) -> Option<Result<Encoded, JoinError>> {
    let encoded = encodings.front_mut()?.await;
    encodings.pop_front();
    Some(encoded)
}

async fn accept(feed: &Feed, encoded: Result<Encoded, JoinError>) {
    // Encoding catches the panics of plugins; a task that fails all the same was aborted with the runtime.
    if let Ok((encodings, ack)) = encoded {
        feed.accept(encodings, ack).await;
    }
}

impl From {
    /// Reads everything, until the end or until nobody listens any more.
    fn read(self, output: &Output) {
        // That nobody listens is no news to anybody.
        let (Ok(()) | Err(Stopped)) = match self {
            Self::Files(files) => files.read(output),
            Self::Stdin => read_stdin(output),
        };
    }
}

fn read_stdin(output: &Output) -> Result<(), Stopped> {
    let mut lines = LineReader::new(io::stdin().lock());
    let label: Arc<str> = output.source.as_str().into();
    loop {
        let (inputs, more) = output.cut(&mut lines, &label, 0);
        output.send(inputs, None)?;
        match more {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                return output.fail(SourceError::Stdin {
                    name: output.source.clone(),
                    error,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::StopHandle;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn reading_pauses_while_too_many_receipts_are_open_and_stops_all_the_same() {
        let (handle, mut stop) = StopHandle::new(Duration::ZERO);
        let (sender, mut receipts) = mpsc::channel(1);
        let mut next =
            async || acknowledgement(Some(Change::Forget(0)), Some(&sender), &mut stop).await;
        assert!(next().await.unwrap().is_awaited());
        let pause = Duration::from_secs(3600);
        assert!(tokio::time::timeout(pause, next()).await.is_err());
        receipts.recv().await.unwrap();
        assert!(next().await.is_some());
        handle.drain();
        assert!(next().await.is_none());
    }
}
