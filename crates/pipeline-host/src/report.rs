//! What people see: one line of progress a second, and the table at the end.

use crate::telemetry::{SinkSnapshot, SinkState};
use crate::topology::Ending;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// One line for each sink: `meta  00:12  read 1000  delivered 900 (300/s) …`.
pub fn progress(now: &[SinkSnapshot], before: &[SinkSnapshot], elapsed: Duration) -> String {
    let (minutes, seconds) = (elapsed.as_secs() / 60, elapsed.as_secs() % 60);
    let mut lines = String::new();
    for sink in now {
        let earlier = before.iter().find(|earlier| earlier.name == sink.name);
        let rate = sink.delivered - earlier.map_or(0, |earlier| earlier.delivered);
        let _ = write!(
            lines,
            "{minutes:02}:{seconds:02}  {}: read {}, delivered {} ({rate}/s), filtered {}, rejected {}, held {}, {}",
            sink.name,
            sink.received,
            sink.delivered,
            sink.filtered_total(),
            sink.rejected_total(),
            sink.held,
            state(&sink.state),
        );
        lines.push('\n');
    }
    lines
}

fn state(state: &SinkState) -> String {
    match state {
        SinkState::Sending => "sending".to_owned(),
        SinkState::BackingOff { until, reason } => {
            let left = until.saturating_duration_since(Instant::now());
            format!("backing off {:.0} s: {reason}", left.as_secs_f64().ceil())
        }
        SinkState::Blocked { reason } => format!("blocked: {reason}"),
    }
}

/// The table at the end: what became of every event, and an example of each reason to reject one.
pub fn closing_table(ending: &Ending) -> String {
    let mut table = String::new();
    for sink in &ending.sinks {
        let mut row = |indent: &str, label: &str, number: u64| {
            let label = format!("{indent}{label}");
            let _ = writeln!(table, "  {label:<28} {number:>12}");
        };
        row("", &format!("{}: read", sink.name), sink.received);
        row("", "delivered", sink.delivered);
        row("", "filtered", sink.filtered_total());
        for (reason, events) in &sink.filtered {
            row("  ", reason, *events);
        }
        row("", "rejected", sink.rejected_total());
        for (reason, rejections) in &sink.rejected {
            row("  ", reason, rejections.count);
        }
        if sink.dropped > 0 {
            row("", "dropped (buffer_full)", sink.dropped);
        }
        row("", "held", sink.held);
        for (reason, rejections) in &sink.rejected {
            let _ = writeln!(table, "  first {reason}: {}", rejections.example);
        }
        if sink.rejected_total() + sink.held > 0
            && let Some(path) = ending.dead_letters.get(&sink.name)
        {
            let _ = writeln!(table, "  dead letters: {}", path.display());
        }
    }
    table
}
