//! What became of each event, for people: a line about the event, then the fields that are sent, and the values that were
//! given and left out.
//!
//! Invariant: no values of an event, and no line longer than [`WIDTH`] unless the name of one event is.

mod columns;
mod places;

use super::Report;
use super::answer::{Answer, Fate};
use columns::{Row, WIDTH, wrap, write_rows};
use pipeline_core::{Explanation, FieldFate};
use pipeline_host::report::{ARROW, NO_NAME};
use places::Merged;
use std::io::{self, Write};

/// Writes a block of lines for each event.
#[derive(Debug, Default)]
pub(super) struct Table {
    is_begun: bool,
}

impl Report for Table {
    fn add(&mut self, answer: &Answer, output: &mut dyn Write) -> io::Result<()> {
        if std::mem::replace(&mut self.is_begun, true) {
            writeln!(output)?;
        }
        header(answer, output)?;
        let Some(explanation) = &answer.explanation else {
            return Ok(());
        };
        if let Fate::Mapped(_) = answer.fate {
            section("sent", &sent(explanation), output)?;
        }
        section("left out", &left_out(explanation), output)
    }
}

/// `line 3  Order Completed → Purchase  mapped`, and why, where it is not sent.
fn header(answer: &Answer, output: &mut dyn Write) -> io::Result<()> {
    let (line, name, fate) = (answer.line, name(answer), answer.fate.word());
    write!(output, "line {line}  {name}  {fate}")?;
    let Some(reason) = answer.fate.reason() else {
        return writeln!(output);
    };
    writeln!(output, ": {}", reason.code)?;
    for line in wrap(&reason.detail, WIDTH - 2) {
        writeln!(output, "  {line}")?;
    }
    Ok(())
}

/// What the sender calls the event, and what it becomes.
fn name(answer: &Answer) -> String {
    let label = answer.label.as_deref();
    let becomes = label.and_then(|label| Some(label.split_once(ARROW)?.1));
    let name = match (answer.source_event.as_deref(), becomes) {
        (Some(name), Some(becomes)) => format!("{name}{ARROW}{becomes}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => label.unwrap_or(NO_NAME).to_owned(),
    };
    name.chars().filter(|c| !c.is_control()).collect()
}

fn section(title: &str, rows: &[Row], output: &mut dyn Write) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(output, "  {title}")?;
    write_rows(rows, output)
}

/// Each field that is sent, the paths it came from, and the rule by which it was made.
fn sent(explanation: &Explanation) -> Vec<Row> {
    let mut rows = Merged::default();
    for field in &explanation.fields {
        if let FieldFate::Sent { from, rule } = &field.fate {
            rows.add(&field.name, &from.join(", "), rule);
        }
    }
    rows.into_rows()
}

/// Each value that was given and left out, its path, and why. Not what the event does not have.
fn left_out(explanation: &Explanation) -> Vec<Row> {
    let mut rows = Merged::default();
    for field in &explanation.fields {
        match &field.fate {
            FieldFate::Omitted { from, code, detail } => {
                rows.add(&field.name, from, &format!("{code}: {detail}"));
            }
            FieldFate::NotListed { values } => {
                rows.add(&field.name, "", &format!("and {values} more values"));
            }
            _ => {}
        }
    }
    rows.into_rows()
}
