//! Text on standard output and standard error, and the line of progress that stays below it.
//!
//! Invariant: whatever else is written goes above the line of progress, never into it.

use crate::failure::Failure;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the last line of the terminal is one of progress.
pub(crate) static SHOWN: AtomicBool = AtomicBool::new(false);
/// Goes to the start of the terminal's line and empties it.
pub(crate) const CLEAR: &str = "\r\x1b[K";

/// Writes a result to standard output.
///
/// # Errors
///
/// When standard output cannot be written.
pub fn print(text: &str) -> Result<ExitCode, Failure> {
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
    let _ = Above.write_all(format!("{text}\n").as_bytes());
}

/// Takes the line of progress away.
pub(crate) fn clear() {
    let _ = Above.write(b"");
}

/// Standard error, above the line of progress.
#[derive(Debug)]
pub(crate) struct Above;

impl Write for Above {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // The lock keeps a new line of progress from coming in between.
        let mut stderr = io::stderr().lock();
        if SHOWN.swap(false, Ordering::AcqRel) {
            stderr.write_all(CLEAR.as_bytes())?;
        }
        stderr.write_all(text)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
