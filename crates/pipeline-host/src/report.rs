//! What people see: one line of progress a second, and the tables at the end.

mod closing;
mod coverage;
mod dead_letters;
mod events;
mod grid;
mod replay;

pub use crate::event_counts::{
    ARROW, EventBatch, EventCounts, Fate, Fates, MAX_EVENT_NAMES, NO_NAME, OTHER_NAMES,
};
pub use crate::pulse::age_of as age;
use crate::telemetry::{SinkSnapshot, SinkState};
pub use crate::wording::thousands;
pub use closing::closing;
pub use coverage::coverage;
pub use dead_letters::dead_letters;
pub use events::events;
pub use replay::{letters_left, replay_survey};
use std::time::Duration;
use tokio::time::Instant;

/// One line for all sinks together, and the sink in the worst state: `00:12  read 1,000, delivered 900 (300/s) …`.
pub fn progress(now: &[SinkSnapshot], before: &[SinkSnapshot], elapsed: Duration) -> String {
    let (minutes, seconds) = (elapsed.as_secs() / 60, elapsed.as_secs() % 60);
    let sum = |sinks: &[SinkSnapshot], figure: fn(&SinkSnapshot) -> u64| {
        sinks.iter().map(figure).sum::<u64>()
    };
    let delivered = sum(now, |sink| sink.delivered);
    let rate = delivered.saturating_sub(sum(before, |sink| sink.delivered));
    let mut line = format!(
        "{minutes:02}:{seconds:02}  read {}, delivered {} ({}/s), held {}",
        thousands(sum(now, |sink| sink.received)),
        thousands(delivered),
        thousands(rate),
        thousands(sum(now, |sink| sink.held)),
    );
    let rejected = sum(now, SinkSnapshot::rejected_total);
    let worst = now.iter().max_by_key(|sink| badness(&sink.state));
    let trouble = worst.and_then(|sink| Some((&sink.name, state(&sink.state)?)));
    // A line has 80 columns on many terminals: what keeps events from going out matters more than a count.
    if let Some((name, state)) = trouble {
        line = format!("{line}; {name} {state}");
    } else if rejected > 0 {
        line = format!("{line}, rejected {}", thousands(rejected));
    }
    line
}

/// What a pipeline that is stopping still holds: `left: 1,234 in shop, on their way; 5 in hotel, on disk`.
pub fn remaining(now: &[SinkSnapshot]) -> String {
    let left: Vec<_> = now
        .iter()
        .filter(|sink| sink.held > 0)
        .map(|sink| {
            let place = if sink.is_on_disk {
                "on disk"
            } else {
                "in memory"
            };
            format!("{} in {}, {place}", thousands(sink.held), sink.name)
        })
        .collect();
    if left.is_empty() {
        return "nothing is left".to_owned();
    }
    format!("left: {}", left.join("; "))
}

fn badness(state: &SinkState) -> u8 {
    match state {
        SinkState::Sending => 0,
        SinkState::BackingOff { .. } => 1,
        SinkState::Blocked { .. } => 2,
    }
}

fn state(state: &SinkState) -> Option<String> {
    match state {
        SinkState::Sending => None,
        SinkState::BackingOff { until, reason } => {
            let left = until.saturating_duration_since(Instant::now());
            let secs = left.as_secs_f64().ceil();
            Some(format!("waits {secs:.0} s: {reason}"))
        }
        SinkState::Blocked { reason } => Some(format!("is blocked: {reason}")),
    }
}

/// Lines that the tables of all sinks together may have of one kind, such as lines by event name.
const MAX_LINES: usize = 20;
/// Lines that the table of each sink may have, however many sinks there are.
const MIN_LINES: usize = 5;

/// How many lines of one kind the table of each of so many sinks may have.
fn lines_each(sinks: usize) -> usize {
    (MAX_LINES / sinks.max(1)).max(MIN_LINES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Rejections;

    #[tokio::test(start_paused = true)]
    async fn progress_is_one_line_for_all_sinks_with_the_worst_state() {
        let sink = |name: &str, delivered, state| SinkSnapshot {
            name: name.to_owned(),
            received: 1_234_567,
            delivered,
            held: 1_234_567 - delivered,
            state,
            ..SinkSnapshot::default()
        };
        let waiting = SinkState::BackingOff {
            until: Instant::now() + Duration::from_millis(4_200),
            reason: "throttled".to_owned(),
        };
        let before = [
            sink("shop", 0, SinkState::Sending),
            sink("hotel", 0, SinkState::Sending),
        ];
        let now = [
            sink("shop", 52_000, waiting.clone()),
            sink("hotel", 1_234_567, SinkState::Sending),
        ];
        let line = progress(&now, &before, Duration::from_secs(72));
        let expected = "01:12  read 2,469,134, delivered 1,286,567 (1,286,567/s), held 1,182,567; shop waits 5 s: throttled";
        assert_eq!(line, expected);
        let mut rejecting = sink("shop", 0, SinkState::Sending);
        rejecting.rejected.insert(
            "too_old",
            Rejections {
                count: 1_000,
                ..Rejections::default()
            },
        );
        let line = progress(&[rejecting], &before, Duration::ZERO);
        assert!(line.ends_with("held 1,234,567, rejected 1,000"), "{line}");
        let blocked = SinkState::Blocked {
            reason: "the token is revoked".to_owned(),
        };
        let now = [sink("shop", 0, waiting), sink("hotel", 0, blocked)];
        let line = progress(&now, &before, Duration::ZERO);
        assert!(
            line.ends_with("; hotel is blocked: the token is revoked"),
            "{line}"
        );
    }
}
