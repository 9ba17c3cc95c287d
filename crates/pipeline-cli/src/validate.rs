//! `pipeline validate FILE`: every problem of a pipeline file, or that it has none; and notes on what is perhaps not meant.

use crate::context::{Context, PipelineFile};
use crate::failure::{CONFIGURATION, Failure, problems};
use crate::output::{print, print_ending};
use clap::ValueEnum;
use pipeline_core::options::Problem;
use pipeline_host::Pipeline;
use pipeline_host::config::ConfigError;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    file: PipelineFile,
    /// Check only what can be checked without the environment: neither variables nor files and folders are looked at
    #[arg(long)]
    no_environment: bool,
    /// Refuse a file that has notes, as if they were errors: exit code 78
    #[arg(long)]
    deny_notes: bool,
    /// How the result is printed: `text` for people, `json` for programs (one object on standard output, also for a bad file)
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// What is known of a pipeline file that can be used.
struct Findings {
    /// The pipeline, where every component could be read.
    pipeline: Option<Pipeline>,
    notes: Vec<Problem>,
    /// The places that were not checked, because their values come from the environment.
    unchecked: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, cx: &Context<'_>) -> Result<ExitCode, Failure> {
    let result = match check(arguments, cx) {
        Ok(findings) if arguments.deny_notes && !findings.notes.is_empty() => {
            Err(Failure::Notes(findings.notes))
        }
        result => result,
    };
    match (arguments.format, result) {
        (Format::Text, result) => print(&text(&result?)),
        (Format::Json, Ok(findings)) => {
            print(&format!("{}\n", object(arguments.file.path(), &findings)))
        }
        (Format::Json, Err(failure)) => {
            let object = object_of_failure(arguments.file.path(), failure)?;
            print_ending(&format!("{object}\n"), ExitCode::from(CONFIGURATION))
        }
    }
}

fn check(arguments: &Arguments, cx: &Context<'_>) -> Result<Findings, Failure> {
    if arguments.no_environment {
        let unbound = cx.load_without_environment(arguments.file.path())?;
        return Ok(Findings {
            pipeline: unbound.pipeline,
            notes: unbound.notes,
            unchecked: unbound.unchecked,
        });
    }
    let pipeline = cx.load(arguments.file.path())?;
    let mut notes = pipeline.notices();
    notes.extend(pipeline.leftovers());
    let mut problems = pipeline.check_machine();
    if !problems.is_empty() {
        problems.extend(notes);
        return Err(ConfigError::Invalid(problems).into());
    }
    Ok(Findings {
        pipeline: Some(pipeline),
        notes,
        unchecked: Vec::new(),
    })
}

/// A line for each sink and each note.
fn text(findings: &Findings) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for sink in findings
        .pipeline
        .iter()
        .flat_map(|pipeline| &pipeline.sinks)
    {
        let _ = writeln!(text, "{} ({}): ok", sink.name, sink.kind());
    }
    for note in &findings.notes {
        let _ = writeln!(text, "{}", pipeline_core::shown(&note.to_string()));
    }
    if !findings.unchecked.is_empty() {
        let places = findings.unchecked.join("`, `");
        let _ = writeln!(
            text,
            "ok as far as it can be checked without the environment"
        );
        let _ = writeln!(
            text,
            "  not checked, because the value comes from it: `{places}`"
        );
    }
    text
}

/// The result for a file that can be used.
fn object(file: &Path, findings: &Findings) -> Value {
    let pipeline = findings.pipeline.as_ref();
    let component = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let sources = pipeline.map_or(&[][..], |pipeline| &pipeline.sources);
    let transforms = pipeline.map_or(&[][..], |pipeline| &pipeline.transforms);
    let sinks = pipeline.map_or(&[][..], |pipeline| &pipeline.sinks);
    let sources = sources.iter().map(|it| component(&it.name, &it.kind));
    let transforms = transforms.iter().map(|it| component(&it.name, &it.kind));
    let sinks = sinks.iter().map(|it| component(&it.name, it.kind()));
    json!({
        "ok": true,
        "file": pipeline_core::shown(file).to_string(),
        "problems": findings.notes.iter().map(entry).collect::<Vec<_>>(),
        "sources": sources.collect::<Vec<_>>(),
        "transforms": transforms.collect::<Vec<_>>(),
        "sinks": sinks.collect::<Vec<_>>(),
        "unchecked": findings.unchecked,
    })
}

/// The result for a file that cannot be used. Fails if the command failed for another reason than its file.
fn object_of_failure(file: &Path, failure: Failure) -> Result<Value, Failure> {
    let problems: Vec<Value> = match &failure {
        Failure::Notes(notes) => notes.iter().map(entry).collect(),
        Failure::Config(ConfigError::Unreadable { problem, .. }) => {
            vec![
                json!({ "level": "error", "place": "", "problem": problem, "expected": "a pipeline file" }),
            ]
        }
        Failure::Config(ConfigError::Syntax { fault, .. }) => vec![json!({
            "level": "error",
            "place": format!("line {}, column {}", fault.line, fault.column),
            "problem": format!("is not valid {}: {}", fault.format, fault.problem),
            "expected": fault.expected,
            "line": fault.line,
            "column": fault.column,
        })],
        Failure::Config(error) => problems(error).iter().map(entry).collect(),
        _ => return Err(failure),
    };
    Ok(json!({
        "ok": false,
        "file": pipeline_core::shown(file).to_string(),
        "problems": problems,
        "sources": [],
        "transforms": [],
        "sinks": [],
        "unchecked": [],
    }))
}

fn entry(problem: &Problem) -> Value {
    json!({
        "level": if problem.is_error() { "error" } else { "note" },
        "place": problem.path,
        "problem": problem.problem,
        "expected": problem.expected,
    })
}
