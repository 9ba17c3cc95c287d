//! What becomes of one value of the input.

use super::as_of::AsOf;
use json_framing::{Found, MAX_VALUE_BYTES};
use pipeline_core::{Clock, Encoded, Event, Explained, Explanation, Origin, Reason, Record, Sink};
use std::sync::Arc;

/// What became of one value.
#[derive(Debug)]
pub(super) struct Answer {
    /// The line where the value begins.
    pub(super) line: u64,
    /// What the event's sender calls it.
    pub(super) source_event: Option<Arc<str>>,
    /// Which kind of event the sink takes it for.
    pub(super) label: Option<Arc<str>>,
    pub(super) fate: Fate,
    pub(super) explanation: Option<Explanation>,
}

/// What became of an event.
#[derive(Debug)]
pub(super) enum Fate {
    /// This would be sent.
    Mapped(Record),
    Filtered(Reason),
    Rejected(Reason),
    /// A fate that this program does not know.
    Unknown,
}

/// Maps the values of an input with a sink.
pub(super) struct Mapper {
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    as_of: AsOf,
    /// What the lines are of, where events are lines of a file.
    input: Option<Arc<str>>,
}

impl Answer {
    fn rejected(line: u64, code: &'static str, detail: String) -> Self {
        Self {
            line,
            source_event: None,
            label: None,
            fate: Fate::Rejected(Reason::new(code, detail)),
            explanation: None,
        }
    }
}

impl Fate {
    /// Its word in the output.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Mapped(_) => "mapped",
            Self::Filtered(_) => "filtered",
            Self::Rejected(_) => "rejected",
            Self::Unknown => "unknown",
        }
    }

    /// Why the event is not sent.
    pub(super) fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Filtered(reason) | Self::Rejected(reason) => Some(reason),
            Self::Mapped(_) | Self::Unknown => None,
        }
    }
}

impl Mapper {
    pub(super) fn new(sink: Arc<dyn Sink>, clock: Arc<dyn Clock>, as_of: AsOf) -> Self {
        Self {
            sink,
            clock,
            as_of,
            input: None,
        }
    }

    /// Lets events count as lines of a file from now on.
    pub(super) fn read_as_lines(&mut self) {
        self.input = Some("standard input".into());
    }

    /// What becomes of what was found at a line.
    pub(super) fn answer(&mut self, line: u64, found: Found<'_>, explain: bool) -> Answer {
        match found {
            Found::Value(bytes) => self.event(line, bytes.to_vec(), explain),
            Found::TooLong => {
                let detail = format!("the event is longer than {MAX_VALUE_BYTES} bytes");
                Answer::rejected(line, "too_large", detail)
            }
            Found::BrokenList(why) => {
                let detail = format!(
                    "the list that begins here is not valid JSON: {why}; its events are read nevertheless"
                );
                Answer::rejected(line, "malformed_json", detail)
            }
        }
    }

    fn event(&mut self, line: u64, raw: Vec<u8>, explain: bool) -> Answer {
        let now_ms = self.clock.now_ms();
        let event = Event::new(raw, now_ms);
        let event = match &self.input {
            Some(input) => event.with_origin(Origin::line(Arc::clone(input), line)),
            None => event,
        };
        let explained = if explain {
            self.sink.explain(&event)
        } else {
            Explained::new(self.sink.encode(&event), Explanation::default())
        };
        let label = explained.encoded.label().cloned();
        let fate = match explained.encoded {
            Encoded::Record(record) => Fate::Mapped(record),
            Encoded::Filtered(filtered) => Fate::Filtered(filtered.reason),
            Encoded::Rejected(mut rejection) => {
                if let Some(advice) = self.as_of.advise(&rejection, now_ms) {
                    let detail = &rejection.reason.detail;
                    rejection.reason.detail = format!("{detail} {advice}").into();
                }
                Fate::Rejected(rejection.reason)
            }
            _ => Fate::Unknown,
        };
        Answer {
            line,
            source_event: explained.source_event,
            label,
            fate,
            explanation: explain.then_some(explained.explanation),
        }
    }

    /// What there is to say about all values together.
    pub(super) fn note(&self) -> Option<String> {
        self.as_of.note()
    }
}
