//! From a pipeline file to a [`Pipeline`] that can be started, or to every problem of the file at once.
//!
//! The file (YAML, TOML or JSON) becomes a value tree; `${VAR}` is expanded inside its strings; the tree is held
//! against the schema; each sink's options go to its plugin; then meaning is checked: names, addresses, limits.
//!
//! Invariant: neither a problem nor an error holds a value of the file.

mod file;
mod fingerprint;
mod interpolate;
pub mod option;
mod outline;
pub mod schema;
mod sink;

use crate::source::{SourcePlan, socket_address};
pub use file::MAX_CONFIG_BYTES;
pub(crate) use fingerprint::Fingerprint;
pub use interpolate::Environment;
use option::{PipelineOptions, SinkOptions, WhenFull};
pub use outline::load_dead_letters;
use pipeline_core::options::{Problem, check, join, nearest};
use pipeline_core::{Clock, ParseContext, Registry, SensitiveString};
use serde_json::{Map, Value};
pub(crate) use sink::BufferPlan;
pub use sink::SinkPlan;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a pipeline file is read with.
#[derive(Clone, Copy)]
pub struct LoadContext<'a> {
    /// The linked sinks.
    pub registry: &'a Registry,
    /// Where `${VAR}` is looked up.
    pub environment: Environment<'a>,
    /// The clock that sinks are built with.
    pub clock: &'a Arc<dyn Clock>,
}

impl fmt::Debug for LoadContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadContext").finish_non_exhaustive()
    }
}

/// Why a pipeline file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read or is not in its format.
    #[error("`{}`: {problem}", path.display())]
    Unreadable {
        /// The pipeline file.
        path: PathBuf,
        /// What went wrong and what was expected.
        problem: String,
    },
    /// The file says things that do not work.
    #[error("{} in the configuration", count(.0.len()))]
    Invalid(Vec<Problem>),
    /// The options are good, but this machine lacks what the sink needs.
    #[error(transparent)]
    Build(#[from] pipeline_core::BuildError),
}

fn count(problems: usize) -> String {
    match problems {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    }
}

/// A pipeline that is ready to start.
#[derive(Debug)]
pub struct Pipeline {
    /// The folder of what must survive the process.
    pub data_dir: PathBuf,
    /// The stand-in to serve while the pipeline runs.
    pub sandbox: Option<SandboxPlan>,
    /// Where events come from.
    pub sources: Vec<SourcePlan>,
    /// Where events go.
    pub sinks: Vec<SinkPlan>,
    /// How long buffers may drain after a signal.
    pub shutdown_limit: Duration,
    /// The sections that cannot change while the pipeline runs, each with a digest of what was written.
    pub(crate) fixed: Vec<(&'static str, Fingerprint)>,
}

/// The stand-in for the destination's API that a pipeline asks for.
#[derive(Debug, Clone)]
pub struct SandboxPlan {
    /// Where it listens.
    pub address: SocketAddr,
    /// The only token it takes; any when there is none.
    pub access_token: Option<SensitiveString>,
}

/// Reads a pipeline file and builds its sinks.
///
/// # Errors
///
/// [`ConfigError::Unreadable`] for the file as such, [`ConfigError::Invalid`] with every problem of its content, sorted
/// by place, and [`ConfigError::Build`] when a sink cannot be had on this machine.
pub async fn load(path: &Path, cx: LoadContext<'_>) -> Result<Pipeline, ConfigError> {
    let value = file::read(path).map_err(|problem| ConfigError::Unreadable {
        path: path.to_owned(),
        problem,
    })?;
    let base_dir = path.parent().unwrap_or(Path::new("")).to_owned();
    from_value(value, base_dir, cx).await
}

/// As [`load`], from a configuration that has been parsed already; relative paths start at `base_dir`.
///
/// # Errors
///
/// As [`load`].
pub async fn from_value(
    mut value: Value,
    base_dir: PathBuf,
    cx: LoadContext<'_>,
) -> Result<Pipeline, ConfigError> {
    let mut problems = Vec::new();
    interpolate::expand(&mut value, cx.environment, "", &mut problems);
    let checked = check(&schema::host(), &value);
    problems.extend(checked.problems);
    let parse = ParseContext { base_dir };
    let mut parsed = Vec::new();
    for (name, options) in checked.options["sinks"].as_object().into_iter().flatten() {
        match sink::parse(name, options, &parse, cx.registry) {
            Ok(sink) => parsed.push((name, sink)),
            Err(found) => problems.extend(found),
        }
    }
    let sources = sources(&checked.options, &parse.base_dir, &mut problems);
    inputs(&checked.options, &value, &mut problems);
    if let Some(address) = checked.options["sandbox"]["address"].as_str() {
        let problem = socket_address(address).err();
        problems.extend(problem.map(|problem| problem.within("sandbox")));
    }
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(sorted(problems)));
    }
    let options: PipelineOptions = typed(&checked.options, "")?;
    let mut sinks = Vec::new();
    for (name, sink) in parsed {
        let written = &value["sinks"][name.as_str()];
        sinks.push(sink::build(name, sink, written, cx).await?);
    }
    let fixed = ["data_dir", "sandbox", "shutdown", "sources"]
        .map(|section| (section, Fingerprint::of(&value[section], &[])));
    let sandbox = options.sandbox.and_then(|sandbox| {
        Some(SandboxPlan {
            address: socket_address(&sandbox.address).ok()?,
            access_token: sandbox.access_token,
        })
    });
    Ok(Pipeline {
        data_dir: parse.base_dir.join(options.data_dir),
        sandbox,
        sources,
        sinks,
        shutdown_limit: seconds(options.shutdown.limit_secs),
        fixed: fixed.to_vec(),
    })
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    // A stable sort: where two checks speak of one place, the first has the more exact answer.
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    problems.dedup_by(|later, first| later.path == first.path);
    problems
}

fn sources(options: &Value, base_dir: &Path, problems: &mut Vec<Problem>) -> Vec<SourcePlan> {
    let mut plans = Vec::new();
    let mut stdin = None;
    for (name, written) in options["sources"].as_object().into_iter().flatten() {
        let path = join("sources", name);
        let Ok(typed) = serde_json::from_value(written.clone()) else {
            continue; // What made it unreadable has been reported.
        };
        match SourcePlan::new(name, &typed, base_dir) {
            Ok(plan) => plans.push(plan),
            Err(problem) => problems.push(problem.within(&path)),
        }
        if matches!(typed, option::SourceOptions::Stdin {})
            && let Some(first) = stdin.replace(name)
        {
            let problem = format!("reads standard input, as `{first}` does");
            problems.push(Problem::new(path, problem, "one source of type `stdin`"));
        }
    }
    plans
}

/// Checks that every input names a source, and that every source is read.
fn inputs(options: &Value, written: &Value, problems: &mut Vec<Problem>) {
    for section in ["sources", "sinks"] {
        if written[section].as_object().is_some_and(Map::is_empty) {
            problems.push(Problem::new(section, "is empty", "at least one entry"));
        }
    }
    // Names as written: a source with a problem of its own is still a source.
    let names: Vec<&String> = written["sources"]
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .collect();
    let mut read = BTreeSet::new();
    for (sink, sink_options) in options["sinks"].as_object().into_iter().flatten() {
        for (index, input) in sink_options["inputs"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let Some(input) = input.as_str() else {
                continue;
            };
            let place = format!("{}.inputs[{index}]", join("sinks", sink));
            if !names.iter().any(|name| *name == input) {
                let hint = nearest(input, names.iter().map(|name| name.as_str()))
                    .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
                let known: Vec<_> = names.iter().map(|name| name.as_str()).collect();
                let expected = format!("one of `{}`", known.join("`, `"));
                problems.push(Problem::new(
                    place,
                    format!("names no source{hint}"),
                    expected,
                ));
            } else if !read.insert((sink, input)) {
                problems.push(Problem::new(
                    place,
                    "names a source twice",
                    "each source once",
                ));
            }
        }
    }
    for name in names {
        if !read.iter().any(|(_, input)| input == name) {
            let place = join("sources", name);
            problems.push(Problem::new(
                place,
                "is read by no sink",
                "its name in the `inputs` of a sink",
            ));
        }
    }
}

fn typed<T: serde::de::DeserializeOwned>(options: &Value, path: &str) -> Result<T, ConfigError> {
    // The schema was made from this very type, so this is a second line of defence only.
    serde_json::from_value(options.clone()).map_err(|_| {
        let expected = "what `pipeline schema` describes";
        ConfigError::Invalid(vec![Problem::new(path, "cannot be read", expected)])
    })
}

/// Seconds whose range the schema has checked.
pub(crate) fn seconds(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::ZERO)
}

pub(crate) fn drops_newest(options: &SinkOptions) -> bool {
    options.buffer.when_full == WhenFull::DropNewest
}
