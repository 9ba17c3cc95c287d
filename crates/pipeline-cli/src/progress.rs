//! The line of progress: on a terminal it is refreshed in place and cut at the right edge; elsewhere each second is a line of
//! its own.

use crate::output::{print_line, show_progress};
use clap::ValueEnum;
use pipeline_host::report;
use pipeline_host::telemetry::Telemetry;
use std::io::{self, IsTerminal as _};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often progress is shown.
const PAUSE: Duration = Duration::from_secs(1);
/// Columns of a terminal that does not say how many it has.
const USUAL_WIDTH: usize = 80;

/// When something is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Always, also into a file.
    Always,
    /// On a terminal.
    Auto,
    /// Never.
    Never,
}

impl When {
    /// Whether something is shown on standard error.
    pub(crate) fn is_now(self) -> bool {
        match self {
            Self::Always => true,
            Self::Auto => io::stderr().is_terminal(),
            Self::Never => false,
        }
    }
}

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
            show_progress(cut(&line, width));
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
