//! One JSON object a line for each event: `line`, `source_event`, `outcome`, then `reason` and `detail`, or `event`, then
//! `explain`.
//!
//! Invariant: the payload is written as the sink made it, byte for byte.

use super::Report;
use super::answer::{Answer, Fate};
use serde_json::json;
use std::io::{self, Write};

/// Writes lines of JSON.
#[derive(Debug)]
pub(super) struct Json {
    explain: bool,
}

impl Json {
    pub(super) fn new(explain: bool) -> Self {
        Self { explain }
    }
}

impl Report for Json {
    fn add(&mut self, answer: &Answer, output: &mut dyn Write) -> io::Result<()> {
        write!(
            output,
            "{{\"line\":{},\"source_event\":{},\"outcome\":\"{}\"",
            answer.line,
            json!(answer.source_event.as_deref()),
            answer.fate.word(),
        )?;
        if let Some(reason) = answer.fate.reason() {
            let (code, detail) = (json!(reason.code), json!(reason.detail));
            write!(output, ",\"reason\":{code},\"detail\":{detail}")?;
        }
        if let Fate::Mapped(record) = &answer.fate {
            output.write_all(b",\"event\":")?;
            output.write_all(&record.payload)?;
        }
        if let Some(explanation) = answer.explanation.as_ref().filter(|_| self.explain) {
            write!(output, ",\"explain\":{}", explanation.to_json())?;
        }
        output.write_all(b"}\n")
    }
}
