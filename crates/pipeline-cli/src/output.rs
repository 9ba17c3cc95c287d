//! Text on standard output and standard error, and the line of progress that stays below it.
//!
//! Invariant: whatever else is written goes above the line of progress, never into it, and nothing waits for whoever reads
//! standard error.

use crate::failure::Failure;
use crate::log_queue::{Item, STDERR};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// How long lines that are not written yet may keep the process at its end.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Starts the thread that writes to standard error.
pub(crate) fn start() {
    STDERR.start(io::stderr(), |lines| {
        tracing::warn!(
            lines,
            "lines of the log were dropped, because standard error was not read"
        );
    });
}

/// Writes what is left to standard error, as far as somebody reads it.
pub(crate) fn flush() {
    STDERR.flush(FLUSH_LIMIT);
}

/// Writes a result to standard output.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn print(text: &str) -> Result<ExitCode, Failure> {
    // What was said before is to be read before.
    flush();
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a result to standard output, and answers with the exit code of what was done before: it is the same when the reader
/// has gone away.
pub(crate) fn print_ending(text: &str, code: ExitCode) -> Result<ExitCode, Failure> {
    match print(text) {
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(code),
        printed => printed.map(|_| code),
    }
}

/// Writes a line for people to standard error. When it is closed, the pipeline continues.
pub fn print_line(text: &str) {
    STDERR.put(Item::Lines(format!("{text}\n").into_bytes()));
}

/// Shows a line of progress in the place of the last.
pub(crate) fn show_progress(line: String) {
    STDERR.put(Item::Progress(line));
}

/// Takes the line of progress away.
pub(crate) fn clear() {
    STDERR.put(Item::Clear);
    // What follows may go to standard output.
    flush();
}

/// Standard error, above the line of progress. Each write is a whole line of the log.
#[derive(Debug)]
pub(crate) struct Above;

impl Write for Above {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        STDERR.put(Item::Lines(text.to_vec()));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
