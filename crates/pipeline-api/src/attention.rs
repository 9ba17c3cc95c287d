//! What needs a person, and whether the pipeline can take more events.
//!
//! In: what the pipeline is doing. Out: findings, those that keep it from taking events first. A code is for programs, the
//! sentence for people.

use pipeline_host::status::{SourceState, SourceStatus};
use pipeline_host::telemetry::{LetterRoom, SinkState, SinkStatus, Status};
use serde_json::{Value, json};

/// The share of a buffer, or of the room for dead letters, in percent, from which it is told that it fills up.
const HIGH_PERCENT: u64 = 80;

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Snake case, from a closed set.
    pub(crate) code: &'static str,
    /// The sink or the source; empty where it is the whole pipeline.
    pub(crate) component: String,
    /// One sentence.
    pub(crate) message: String,
    /// Whether events cannot be taken or delivered meanwhile.
    pub(crate) is_blocking: bool,
}

impl Finding {
    fn blocking(code: &'static str, component: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            component: component.to_owned(),
            message: message.into(),
            is_blocking: true,
        }
    }

    fn notice(code: &'static str, component: &str, message: impl Into<String>) -> Self {
        Self {
            is_blocking: false,
            ..Self::blocking(code, component, message)
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "code": self.code, "component": self.component, "message": self.message })
    }
}

/// What needs a person; `None` for a pipeline that has not started yet.
pub(crate) fn findings(status: Option<&Status>) -> Vec<Finding> {
    let Some(status) = status else {
        return vec![Finding::blocking(
            "starting",
            "",
            "the pipeline has not started yet",
        )];
    };
    let mut found = Vec::new();
    if status.is_stopping {
        let message = "the pipeline has been told to stop";
        found.push(Finding::blocking("stopping", "", message));
    }
    status
        .sinks
        .iter()
        .for_each(|sink| of_sink(sink, &mut found));
    for source in &status.sources {
        of_source(source, status.is_stopping, &mut found);
    }
    found.sort_by_key(|finding| !finding.is_blocking);
    found
}

fn of_sink(sink: &SinkStatus, found: &mut Vec<Finding>) {
    let name = &sink.counts.name;
    // One that was removed has ended, whatever it was doing.
    let Some(buffer) = &sink.buffer else {
        return;
    };
    match &sink.counts.state {
        SinkState::Blocked { reason } => {
            found.push(Finding::blocking("sink_blocked", name, reason.clone()));
        }
        SinkState::BackingOff { reason, .. } => {
            let message = format!("delivery waits after a failure: {reason}");
            found.push(Finding::notice("sink_backing_off", name, message));
        }
        SinkState::Sending => {}
    }
    if sink.is_paused {
        let message = "delivery was paused; `pipeline resume` lets it resume";
        found.push(Finding::notice("sink_paused", name, message));
    }
    if let Some(problem) = &sink.counts.letter_problem {
        let message = problem.clone();
        found.push(Finding::blocking("dead_letters_stuck", name, message));
    }
    if let Some(percent) = sink.counts.letter_room.map(LetterRoom::percent)
        && percent >= HIGH_PERCENT
    {
        let message = format!(
            "the dead letters have taken {percent} % of their room: replay or purge them, or raise `dead_letters.max_bytes`"
        );
        found.push(Finding::notice("dead_letters_high", name, message));
    }
    if buffer.is_failing {
        let message = "the disk buffer cannot be written; the log says why";
        found.push(Finding::blocking("disk_failing", name, message));
    }
    let percent = buffer.percent();
    if buffer.is_full {
        let message = "the buffer is full: senders wait or are refused until events are delivered";
        found.push(Finding::blocking("buffer_full", name, message));
    } else if percent >= HIGH_PERCENT {
        let message = format!("the buffer is {percent} % full");
        found.push(Finding::notice("buffer_high", name, message));
    }
}

fn of_source(source: &SourceStatus, is_stopping: bool, found: &mut Vec<Finding>) {
    let name = &source.name;
    let listened = source.address.is_some();
    match source.state {
        SourceState::Failed => {
            let message = "the source had to end before its input; the log says why";
            found.push(Finding::blocking("source_down", name, message));
        }
        SourceState::Ended if listened && !is_stopping => {
            let message = "the source takes no more requests";
            found.push(Finding::blocking("source_down", name, message));
        }
        _ => {}
    }
    if source.problems > 0 {
        let message = format!(
            "the source could not read something {} times; the log says what",
            source.problems
        );
        found.push(Finding::notice("source_problems", name, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline_host::status::BufferLevel;

    fn codes(status: &Status) -> Vec<(&'static str, bool)> {
        let found = findings(Some(status)).into_iter();
        found.map(|it| (it.code, it.is_blocking)).collect()
    }

    fn with_source(state: SourceState, address: Option<&str>, is_stopping: bool) -> Status {
        let mut source = SourceStatus::default();
        source.name = "web".to_owned();
        source.state = state;
        source.address = address.map(|address| address.parse().unwrap());
        let mut status = Status::default();
        status.sources = vec![source];
        status.is_stopping = is_stopping;
        status
    }

    #[test]
    fn a_source_is_down_when_it_failed_or_no_longer_listens() {
        let listens = Some("127.0.0.1:80");
        let codes = |state, address, is_stopping| codes(&with_source(state, address, is_stopping));
        assert_eq!(codes(SourceState::Running, listens, false), []);
        // The end of a file is no fault.
        assert_eq!(codes(SourceState::Ended, None, false), []);
        let down = [("source_down", true)];
        assert_eq!(codes(SourceState::Ended, listens, false), down);
        assert_eq!(codes(SourceState::Failed, None, false), down);
        assert_eq!(
            codes(SourceState::Ended, listens, true),
            [("stopping", true)]
        );
        assert_eq!(findings(None)[0].code, "starting");
    }

    #[test]
    fn what_blocks_comes_first_and_the_rest_is_told_only() {
        let mut level = BufferLevel::default();
        (level.bytes, level.max_bytes, level.is_failing) = (85, 100, true);
        let mut sink = SinkStatus::default();
        sink.counts.letter_room = Some(LetterRoom {
            bytes: 80,
            max_bytes: 100,
        });
        sink.buffer = Some(level);
        sink.is_paused = true;
        let mut status = with_source(SourceState::Running, None, false);
        status.sources[0].problems = 2;
        status.sinks = vec![sink];
        let expected = [
            ("disk_failing", true),
            ("sink_paused", false),
            ("dead_letters_high", false),
            ("buffer_high", false),
            ("source_problems", false),
        ];
        assert_eq!(codes(&status), expected);
    }

    #[test]
    fn a_sink_that_was_removed_while_it_was_blocked_blocks_nothing() {
        let mut sink = SinkStatus::default();
        sink.counts.state = SinkState::Blocked {
            reason: "the token is revoked".to_owned(),
        };
        let mut status = Status::default();
        status.sinks = vec![sink];
        assert_eq!(codes(&status), []);
        status.sinks[0].buffer = Some(BufferLevel::default());
        assert_eq!(codes(&status)[0], ("sink_blocked", true));
    }
}
