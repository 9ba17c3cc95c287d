//! Lines for people on standard error, and the line of progress that stays below them.
//!
//! On a terminal that line is refreshed in place and cut at the right edge; elsewhere each second is a line of its own.
//!
//! Invariant: whatever else is written goes above the line of progress, never into it.

use pipeline_host::report;
use pipeline_host::telemetry::Telemetry;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often progress is shown.
const PAUSE: Duration = Duration::from_secs(1);
/// Columns of a terminal that does not say how many it has.
const USUAL_WIDTH: usize = 80;
/// Goes to the start of the terminal's line and empties it.
const CLEAR: &str = "\r\x1b[K";

/// Whether the last line of the terminal is one of progress.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Shows progress once a second, for ever.
pub(super) async fn show(telemetry: Telemetry) {
    let in_place = io::stderr().is_terminal();
    let started = Instant::now();
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = telemetry.snapshot();
    loop {
        ticks.tick().await;
        let now = telemetry.snapshot();
        let line = report::progress(&now, &before, started.elapsed());
        if in_place {
            let columns = terminal_size::terminal_size_of(io::stderr());
            let width = columns.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0));
            let mut stderr = io::stderr().lock();
            SHOWN.store(true, Ordering::Release);
            let _ = write!(stderr, "{CLEAR}{}", cut(&line, width));
        } else {
            print_line(&line);
        }
        before = now;
    }
}

/// As much of a line as fits: one that wraps could not be refreshed in place.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() < width {
        return line.to_owned();
    }
    let kept = line.chars().take(width.saturating_sub(2));
    kept.chain(['…']).collect()
}

/// Writes a line for people to standard error. When nobody listens there, the pipeline goes on.
pub(super) fn print_line(text: &str) {
    let _ = Above.write_all(format!("{text}\n").as_bytes());
}

/// Takes the line of progress away.
pub(super) fn clear() {
    let _ = Above.write(b"");
}

/// Standard error, above the line of progress.
#[derive(Debug)]
pub(super) struct Above;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_reaches_the_last_column() {
        assert_eq!(cut("read 5", 80), "read 5");
        assert_eq!(cut("read 5", 7), "read 5");
        assert_eq!(cut("read 5, held 3", 10), "read 5, …");
        assert_eq!(cut("ä ö ü", 5), "ä ö…");
        assert_eq!(cut("read", 0), "…");
    }
}
