//! Lines cut into chunks, by a thread that may block on what it reads.
//!
//! Invariant: chunks keep the order of the lines, and a chunk that says how far the source has come holds every event up
//! to there that no chunk before it held.

use super::SourceError;
use super::file::Change;
use super::line::{Line, LineReader, too_large};
use crate::event::{Input, Place, Position};
use bytes::Bytes;
use pipeline_core::{Clock, Event};
use std::io::{self, BufRead};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Lines of one chunk at most.
const CHUNK_LINES: usize = 256;
/// Bytes of one chunk after which no further line is added.
const CHUNK_BYTES: usize = 512 * 1024;

/// What was read at once.
pub(crate) struct Chunk {
    pub(crate) inputs: Vec<Input>,
    /// How far the source has come with it, where it keeps that.
    pub(crate) change: Option<Change>,
}

/// What goes from the thread to the pipeline.
pub(crate) type Read = Result<Chunk, SourceError>;

/// Nobody listens any more: the pipeline has stopped.
#[derive(Debug)]
pub(crate) struct Stopped;

/// The thread's end of the way into the pipeline.
pub(crate) struct Output {
    pub(crate) source: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chunks: mpsc::Sender<Read>,
}

impl Output {
    /// Hands a chunk on, waiting for room.
    pub(crate) fn send(&self, inputs: Vec<Input>, change: Option<Change>) -> Result<(), Stopped> {
        if inputs.is_empty() && change.is_none() {
            return Ok(());
        }
        let chunk = Chunk { inputs, change };
        self.chunks.blocking_send(Ok(chunk)).map_err(|_| Stopped)
    }

    /// Reports what could not be read.
    pub(crate) fn fail(&self, error: SourceError) -> Result<(), Stopped> {
        self.chunks.blocking_send(Err(error)).map_err(|_| Stopped)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.chunks.is_closed()
    }

    /// Cuts the next chunk: its events, and whether there is more. What was read before a fault is good.
    pub(crate) fn cut<R: BufRead>(
        &self,
        lines: &mut LineReader<R>,
        label: &Arc<str>,
        shift_ms: i64,
    ) -> (Vec<Input>, io::Result<bool>) {
        // One piece of memory for all lines, which come and go together.
        let room = if lines.has_more_at_hand() {
            CHUNK_BYTES
        } else {
            0
        };
        let (mut text, mut places) = (Vec::with_capacity(room), Vec::new());
        let received_ms = self.clock.now_ms();
        let mut more = Ok(true);
        while places.len() < CHUNK_LINES && text.len() < CHUNK_BYTES {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => {
                    more = Ok(false);
                    break;
                }
                Err(error) => {
                    more = Err(error);
                    break;
                }
            };
            let start = text.len();
            let place = match line {
                Line::Empty => continue,
                Line::Whole(line) => {
                    text.extend_from_slice(line);
                    Some(start..text.len())
                }
                Line::TooLong => None,
            };
            places.push((lines.number(), place));
            // A person who types, or a slow writer, must not wait for a chunk to fill.
            if !lines.has_more_at_hand() {
                break;
            }
        }
        let text = Bytes::from(text);
        let inputs = places.into_iter().map(|(number, place)| Input {
            position: Position {
                source: Arc::clone(label),
                place: Place::Line(number),
            },
            event: place.map_or_else(
                || Err(too_large()),
                |place| Ok(Event::new(text.slice(place), received_ms).with_time_shift(shift_ms)),
            ),
        });
        (inputs.collect(), more)
    }
}
