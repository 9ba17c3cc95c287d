//! Sources that read lines: files and standard input.
//!
//! A thread reads and cuts lines into chunks; chunks are encoded on several threads at once and handed on in their order.
//!
//! Invariant: a line longer than [`MAX_LINE_BYTES`] is never held in memory, and is reported in its place.

use super::{SourceError, file};
use crate::ack::Ack;
use crate::event::{Input, Place, Position};
use crate::outlet::{Encoding, Feed};
use crate::stop::StopSignal;
use bytes::Bytes;
use pipeline_core::{Clock, Event, Reason};
use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 5 * 1024 * 1024;
/// Lines of one chunk at most.
const CHUNK_LINES: usize = 256;
/// Bytes of one chunk after which no further line is added.
const CHUNK_BYTES: usize = 512 * 1024;
/// Chunks that wait to be encoded.
const QUEUED_CHUNKS: usize = 4;
/// Chunks that are encoded at the same time, at most.
const MAX_PARALLEL_CHUNKS: usize = 16;

/// A source of lines.
pub(crate) struct Lines {
    pub(crate) name: String,
    pub(crate) from: From,
    pub(crate) clock: Arc<dyn Clock>,
}

#[derive(Clone)]
pub(crate) enum From {
    Files(file::Files),
    Stdin,
}

type Chunk = Result<Vec<Input>, SourceError>;

impl Lines {
    pub(crate) async fn run(self, feed: Feed, mut stop: StopSignal) -> Vec<SourceError> {
        let (sender, mut chunks) = mpsc::channel::<Chunk>(QUEUED_CHUNKS);
        // A thread of its own, because a read from standard input cannot be interrupted.
        std::thread::spawn(move || self.read(&sender));
        let parallel = std::thread::available_parallelism()
            .map_or(2, usize::from)
            .min(MAX_PARALLEL_CHUNKS);
        let mut encoding: VecDeque<JoinHandle<Vec<Encoding>>> = VecDeque::new();
        let mut failures = Vec::new();
        loop {
            let chunk = tokio::select! {
                () = stop.stopped() => None,
                chunk = chunks.recv() => chunk,
            };
            match chunk {
                Some(Ok(inputs)) => {
                    let outlets = feed.outlets.clone();
                    encoding.push_back(tokio::spawn(async move {
                        Feed::encode(&outlets, &inputs, &Ack::none())
                    }));
                }
                Some(Err(error)) => {
                    tracing::error!("{error}");
                    failures.push(error);
                }
                None => break,
            }
            if encoding.len() >= parallel {
                accept_first(&feed, &mut encoding).await;
            }
        }
        while !encoding.is_empty() {
            accept_first(&feed, &mut encoding).await;
        }
        failures
    }

    /// Reads everything, until the end or until nobody listens any more.
    fn read(&self, chunks: &mpsc::Sender<Chunk>) {
        let read = match &self.from {
            From::Stdin => {
                let stdin = Box::new(io::stdin().lock());
                let source = self.name.as_str().into();
                let ended = self.read_from(stdin, &source, 0, chunks);
                ended.map_err(|error| SourceError::Stdin {
                    name: self.name.clone(),
                    error,
                })
            }
            From::Files(files) => return self.read_files(files, chunks),
        };
        if let Err(error) = read {
            // Nobody listens: the pipeline has stopped already.
            let _ = chunks.blocking_send(Err(error));
        }
    }

    /// Reads files one after the other. One that cannot be read costs no other.
    fn read_files(&self, files: &file::Files, chunks: &mpsc::Sender<Chunk>) {
        let found = files.expand();
        let several = found.len() > 1;
        let shift_ms = if files.shift_times {
            file::shift_ms(found.iter().flatten(), self.clock.now_ms())
        } else {
            0
        };
        for path in found {
            let read = path.and_then(|path| {
                let file_name = path.file_name().unwrap_or_default().to_string_lossy();
                let source: Arc<str> = if several {
                    format!("{} {file_name}", self.name).into()
                } else {
                    self.name.as_str().into()
                };
                file::open(&path)
                    .and_then(|reader| self.read_from(reader, &source, shift_ms, chunks))
                    .map_err(|error| (path, error))
            });
            let sent = read.or_else(|(path, error)| {
                chunks.blocking_send(Err(SourceError::File {
                    name: self.name.clone(),
                    path,
                    error,
                }))
            });
            if sent.is_err() || chunks.is_closed() {
                return;
            }
        }
    }

    fn read_from(
        &self,
        reader: Box<dyn BufRead + '_>,
        source: &Arc<str>,
        shift_ms: i64,
        chunks: &mpsc::Sender<Chunk>,
    ) -> io::Result<()> {
        let mut lines = LineReader::new(reader);
        loop {
            let (mut chunk, mut bytes) = (Vec::with_capacity(CHUNK_LINES), 0);
            let received_ms = self.clock.now_ms();
            let mut ended = Ok(true);
            while chunk.len() < CHUNK_LINES && bytes < CHUNK_BYTES {
                let line = match lines.next_line() {
                    Ok(Some(line)) => line,
                    Ok(None) => break,
                    Err(error) => {
                        // What was read before the fault is still good.
                        ended = Err(error);
                        break;
                    }
                };
                let event = match line {
                    Line::Empty => continue,
                    Line::Whole(line) => {
                        bytes += line.len();
                        Ok(Event::new(Bytes::copy_from_slice(line), received_ms)
                            .with_time_shift(shift_ms))
                    }
                    Line::TooLong => Err(too_large()),
                };
                let place = Place::Line(lines.number());
                let position = Position {
                    source: Arc::clone(source),
                    place,
                };
                chunk.push(Input { position, event });
                ended = Ok(false);
                // A person who types, or a slow writer, must not wait for a chunk to fill.
                if !lines.has_more_at_hand() {
                    break;
                }
            }
            let nobody_listens = !chunk.is_empty() && chunks.blocking_send(Ok(chunk)).is_err();
            if ended? || nobody_listens {
                return Ok(());
            }
        }
    }
}

/// Why a line was not read.
pub fn too_large() -> Reason {
    Reason::new(
        "too_large",
        format!("the line is longer than {MAX_LINE_BYTES} bytes"),
    )
}

async fn accept_first(feed: &Feed, encoding: &mut VecDeque<JoinHandle<Vec<Encoding>>>) {
    if let Some(first) = encoding.pop_front() {
        // Encoding catches the panics of plugins; a task that fails all the same was aborted with the runtime.
        if let Ok(encodings) = first.await {
            feed.accept(encodings, Ack::none()).await;
        }
    }
}

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Nothing, or white space only.
    Empty,
    /// The bytes of the line, whatever they are.
    Whole(&'a [u8]),
    /// Longer than [`MAX_LINE_BYTES`]; not kept.
    TooLong,
}

/// Cuts a stream into lines: LF or CRLF, a byte order mark at the start is skipped, the last line may be open.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    line: Vec<u8>,
    at_hand: bool,
    number: u64,
}

impl<R: BufRead> LineReader<R> {
    /// Lines of this stream.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            at_hand: false,
            number: 0,
        }
    }

    /// Whether the next bytes are there without waiting.
    pub fn has_more_at_hand(&self) -> bool {
        self.at_hand
    }

    /// The number of the line that was read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let (mut any, mut too_long) = (false, false);
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            any = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            if too_long || self.line.len() + part.len() > MAX_LINE_BYTES + 1 {
                (too_long, self.line) = (true, Vec::new());
            } else {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(available.len(), |end| end + 1);
            self.at_hand = used < available.len();
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let line = match self.number {
            1 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            _ => line,
        };
        Ok(Some(if too_long || line.len() > MAX_LINE_BYTES {
            Line::TooLong
        } else if line.iter().all(u8::is_ascii_whitespace) {
            Line::Empty
        } else {
            Line::Whole(line)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(text: &[u8], buffer: usize) -> Vec<(u64, String)> {
        let mut reader = LineReader::new(BufReader::with_capacity(buffer, text));
        let mut found = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            let line = match line {
                Line::Empty => "(empty)".to_owned(),
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong => "(too long)".to_owned(),
            };
            found.push((reader.number, line));
        }
        found
    }

    #[test]
    fn lines_are_cut_wherever_the_reads_end() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\r\n  \n{\"b\":2}\n{\"c\":3}";
        let expected = [
            (1, "{\"a\":1}"),
            (2, "(empty)"),
            (3, "(empty)"),
            (4, "{\"b\":2}"),
            (5, "{\"c\":3}"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, line)| (*n, (*line).to_owned()))
            .collect();
        for buffer in 1..12 {
            assert_eq!(lines(text, buffer), expected, "reads of {buffer} bytes");
        }
        assert_eq!(lines(b"", 4), []);
    }

    #[test]
    fn the_longest_line_is_read_and_a_longer_one_is_not() {
        let mut text = vec![b'x'; MAX_LINE_BYTES];
        text.extend_from_slice(b"\r\n");
        text.extend(vec![b'y'; MAX_LINE_BYTES + 1]);
        text.extend_from_slice(b"\nz\n");
        let found = lines(&text, 8192);
        assert_eq!(found[0].1.len(), MAX_LINE_BYTES);
        assert_eq!(found[1].1, "(too long)");
        assert_eq!(found[2], (3, "z".to_owned()));
    }
}
