//! What is written to standard error, in a bounded queue, so that nothing waits for whoever reads it.
//!
//! In: lines of the log and of progress. Out: standard error, written by one thread. Lines that find the queue full are dropped and
//! counted, and the count is told when the queue has drained.
//!
//! Invariant: to put a line in never blocks; at the end no more than the limit that is given is waited for.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines that wait to be written.
const MAX_LINES: usize = 4_096;
/// Bytes of these lines.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Goes to the start of the terminal's line and empties it.
const CLEAR: &str = "\r\x1b[K";

/// What goes to standard error.
pub(crate) static STDERR: LogQueue = LogQueue::new();

/// Text on its way to standard error.
#[derive(Debug)]
pub(crate) enum Item {
    /// Whole lines, which stay.
    Lines(Vec<u8>),
    /// The line of progress at the bottom of a terminal, which the next item takes away.
    Progress(String),
    /// Takes the line of progress away.
    Clear,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Lines(text) => text.len(),
            Self::Progress(text) => text.len(),
            Self::Clear => 0,
        }
    }
}

/// Items that wait, and who writes them.
#[derive(Debug)]
pub(crate) struct LogQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    dropped: u64,
    is_writing: bool,
    /// Whether there is a thread that writes.
    has_writer: bool,
}

impl LogQueue {
    pub(crate) const fn new() -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            is_writing: false,
            has_writer: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Starts the thread that writes to `output`. `told` is called with the number of lines that were dropped.
    pub(crate) fn start(
        &'static self,
        output: impl Write + Send + 'static,
        told: impl Fn(u64) + Send + 'static,
    ) {
        self.lock().has_writer = true;
        let thread = std::thread::Builder::new().name("log".to_owned());
        let started = thread.spawn(move || self.write(output, told));
        if started.is_err() {
            self.lock().has_writer = false;
        }
    }

    /// Puts an item in, or counts it as dropped. Where no thread writes, it is written at once.
    pub(crate) fn put(&self, item: Item) {
        let mut state = self.lock();
        if !state.has_writer {
            drop(state);
            let _ = write_item(&mut io::stderr().lock(), &item, &mut false);
            return;
        }
        let bytes = state.bytes + item.bytes();
        if state.items.len() >= MAX_LINES || (bytes > MAX_BYTES && !state.items.is_empty()) {
            if matches!(item, Item::Lines(_)) {
                state.dropped += 1;
            }
            return;
        }
        state.bytes = bytes;
        state.items.push_back(item);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until everything is written; not longer than this.
    pub(crate) fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut state = self.lock();
        while state.has_writer && (state.is_writing || !state.items.is_empty() || state.dropped > 0)
        {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write(&self, mut output: impl Write, told: impl Fn(u64)) {
        let mut shows_progress = false;
        loop {
            match self.next() {
                Ok(item) => {
                    // When nothing reads it any more, the pipeline continues.
                    let _ = write_item(&mut output, &item, &mut shows_progress);
                    self.lock().is_writing = false;
                    self.changed.notify_all();
                }
                Err(dropped) => told(dropped),
            }
        }
    }

    /// The next item, or how many were dropped, once nothing waits any more.
    fn next(&self) -> Result<Item, u64> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                state.bytes -= item.bytes();
                state.is_writing = true;
                return Ok(item);
            }
            if state.dropped > 0 {
                return Err(std::mem::take(&mut state.dropped));
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes an item in the place of the line of progress.
fn write_item(output: &mut impl Write, item: &Item, shows_progress: &mut bool) -> io::Result<()> {
    if std::mem::take(shows_progress) {
        output.write_all(CLEAR.as_bytes())?;
    }
    match item {
        Item::Lines(text) => output.write_all(text)?,
        Item::Progress(text) => {
            *shows_progress = true;
            write!(output, "{CLEAR}{text}")?;
        }
        Item::Clear => {}
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LONG: Duration = Duration::from_secs(60);

    /// A reader that takes a line only when it is told to.
    struct Reader {
        allowed: Receiver<()>,
        read: Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            // At the end of the test nothing holds it up.
            let _ = self.allowed.recv();
            let _ = self.read.send(String::from_utf8_lossy(text).into_owned());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn queue() -> (
        &'static LogQueue,
        Sender<()>,
        Receiver<String>,
        Receiver<u64>,
    ) {
        let queue: &'static LogQueue = Box::leak(Box::new(LogQueue::new()));
        let (allow, allowed) = channel();
        let (read, lines) = channel();
        let (tell, dropped) = channel();
        queue.start(Reader { allowed, read }, move |count| {
            tell.send(count).unwrap();
        });
        (queue, allow, lines, dropped)
    }

    fn line(text: &str) -> Item {
        Item::Lines(format!("{text}\n").into_bytes())
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_counted_and_holds_nothing_up() {
        let (queue, allow, lines, dropped) = queue();
        for index in 0..MAX_LINES + 100 {
            queue.put(line(&index.to_string()));
        }
        // There is no reader: the flush waits no longer than asked.
        queue.flush(Duration::ZERO);
        let waiting = queue.lock().items.len();
        assert_eq!(waiting, MAX_LINES);
        drop(allow);
        queue.flush(LONG);
        let lost = dropped.recv().unwrap();
        let read: Vec<String> = lines.try_iter().collect();
        assert_eq!(read.len() as u64 + lost, MAX_LINES as u64 + 100);
        assert_eq!(read[0], "0\n");
        assert!(lost == 99 || lost == 100, "{lost}");
    }

    #[test]
    fn bytes_are_bounded_as_well_and_one_long_line_passes() {
        let (queue, allow, lines, dropped) = queue();
        let long = "x".repeat(MAX_BYTES * 2);
        queue.put(line("first"));
        queue.put(line("second"));
        queue.put(line(&long));
        drop(allow);
        queue.flush(LONG);
        queue.put(line(&long));
        queue.flush(LONG);
        let read: Vec<usize> = lines.try_iter().map(|line| line.len()).collect();
        assert_eq!(
            read.iter().filter(|length| **length > MAX_BYTES).count() as u64
                + dropped.try_iter().sum::<u64>(),
            2
        );
    }

    #[test]
    fn lines_are_written_above_the_line_of_progress() {
        let mut output = Vec::new();
        let mut shown = false;
        for item in [
            Item::Progress("1 of 2".to_owned()),
            line("hello"),
            Item::Progress("2 of 2".to_owned()),
            Item::Clear,
            line("end"),
        ] {
            write_item(&mut output, &item, &mut shown).unwrap();
        }
        let text = String::from_utf8(output).unwrap();
        let expected = format!("{CLEAR}1 of 2{CLEAR}hello\n{CLEAR}2 of 2{CLEAR}end\n");
        assert_eq!(text, expected);
    }
}
