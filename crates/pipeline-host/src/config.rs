//! From a pipeline file to a [`Pipeline`] that can be started, or to every problem of the file at once.
//!
//! The file (YAML, TOML or JSON) becomes a value tree; `${VAR}` is expanded inside its strings; the tree is checked against
//! the schema; the options of each component go to its plugin; then meaning is checked: names, inputs, limits. Nothing is
//! built or opened.
//!
//! Invariant: neither a problem nor an error holds a value of the file.

mod component;
mod data_dir;
mod file;
mod fingerprint;
mod inputs;
mod interpolate;
pub mod option;
mod outline;
mod plan;
pub mod schema;
mod sink;
mod syntax;

use component::{Section, section_of};
use file::FileProblem;
pub use file::MAX_CONFIG_BYTES;
pub(crate) use fingerprint::Fingerprint;
pub use interpolate::Environment;
use option::{PipelineOptions, SourceOptions, TransformOptions, seconds};
pub use outline::{Outline, load_data_dir, load_dead_letters, load_outline};
use pipeline_core::options::{Problem, check, join};
use pipeline_core::{Kind, Registry, Resource};
pub(crate) use plan::{BufferPlan, Written};
pub use plan::{Pipeline, SinkPlan, SourcePlan, TransformPlan};
use schema::ProgramSection;
use serde_json::Value;
pub(crate) use sink::{limits, name_problem as sink_name_problem};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub use syntax::SyntaxFault;

/// What a pipeline file is read with.
#[derive(Clone, Copy)]
pub struct LoadContext<'a> {
    /// The linked components.
    pub registry: &'a Registry,
    /// Where `${VAR}` is looked up.
    pub environment: Environment<'a>,
    /// The sections of the file that belong to the program.
    pub sections: &'a [ProgramSection],
}

impl fmt::Debug for LoadContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadContext").finish_non_exhaustive()
    }
}

/// Why a pipeline file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("`{}`: {problem}", pipeline_core::shown(path))]
    Unreadable {
        /// The pipeline file.
        path: PathBuf,
        /// What went wrong and what was expected.
        problem: String,
    },
    /// The file is not in its format.
    #[error("`{}`: {fault}", pipeline_core::shown(path))]
    Syntax {
        /// The pipeline file.
        path: PathBuf,
        /// Where and how it is broken.
        fault: Box<SyntaxFault>,
    },
    /// The file says things that do not work. There may be notes among the errors.
    #[error("{} in the configuration", count(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigError {
    fn of_file(path: &Path, problem: FileProblem) -> Self {
        let path = path.to_owned();
        match problem {
            FileProblem::Unreadable(problem) => Self::Unreadable { path, problem },
            FileProblem::Syntax(fault) => Self::Syntax { path, fault },
        }
    }
}

fn count(problems: &[Problem]) -> String {
    match problems.iter().filter(|problem| problem.is_error()).count() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    }
}

/// Reads a pipeline file.
///
/// # Errors
///
/// [`ConfigError::Unreadable`] or [`ConfigError::Syntax`] for the file as such, and [`ConfigError::Invalid`] with every problem
/// of its content, sorted by place.
pub fn load(path: &Path, cx: LoadContext<'_>) -> Result<Pipeline, ConfigError> {
    from_value(&read(path, cx)?, &folder_of(path), cx)
}

/// As [`load`], from a configuration that has been parsed already; relative paths start at `base_dir`.
///
/// # Errors
///
/// As [`load`].
pub fn from_value(
    raw: &Value,
    base_dir: &Path,
    cx: LoadContext<'_>,
) -> Result<Pipeline, ConfigError> {
    let mut value = raw.clone();
    let expanded = interpolate::expand(&mut value, cx.environment);
    let file = FileValue {
        raw,
        value: &value,
        base_dir,
    };
    let mut problems = expanded.problems.clone();
    let pipeline = read_all(file, cx, &mut problems);
    match pipeline {
        Some(mut pipeline) if problems.is_empty() => {
            pipeline.notes.extend(expanded.notes);
            Ok(pipeline)
        }
        _ => {
            problems.extend(expanded.notes.iter().cloned());
            expanded.explain(&mut problems);
            Err(ConfigError::Invalid(sorted(problems)))
        }
    }
}

/// What could be checked of a pipeline file without its environment.
#[derive(Debug)]
pub struct Unbound {
    /// The pipeline, where every component could be read.
    pub pipeline: Option<Pipeline>,
    /// The places of the options whose values come from the environment and were not checked.
    pub unchecked: Vec<String>,
    /// What works as written and is perhaps not meant.
    pub notes: Vec<Problem>,
}

/// Checks a pipeline file as far as that is possible without the values of environment variables.
///
/// # Errors
///
/// As [`load`], without the problems of options whose values come from the environment.
pub fn load_without_environment(path: &Path, cx: LoadContext<'_>) -> Result<Unbound, ConfigError> {
    let raw = read(path, cx)?;
    let mut problems = Vec::new();
    let mut value = raw.clone();
    let unchecked = interpolate::expand_defaults(&mut value, &mut problems);
    let base_dir = folder_of(path);
    let file = FileValue {
        raw: &raw,
        value: &value,
        base_dir: &base_dir,
    };
    let pipeline = read_all(file, cx, &mut problems);
    problems.retain(|problem| {
        let is_below = |place: &String| problem.path == *place || is_part(&problem.path, place);
        !unchecked.iter().any(is_below)
    });
    if problems.iter().any(Problem::is_error) {
        return Err(ConfigError::Invalid(sorted(problems)));
    }
    let notes = match &pipeline {
        Some(pipeline) => pipeline.notices(),
        None => sorted(problems),
    };
    Ok(Unbound {
        pipeline: pipeline.filter(|_| unchecked.is_empty()),
        unchecked,
        notes,
    })
}

/// Whether one place of the file is below another.
fn is_part(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// The text of a pipeline file.
///
/// # Errors
///
/// [`ConfigError::Unreadable`].
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    file::text(path).map_err(|problem| ConfigError::of_file(path, FileProblem::Unreadable(problem)))
}

/// The value tree of a text, as if it were the file at `path`, whose ending tells the format. Variables are not filled in.
///
/// # Errors
///
/// [`ConfigError::Syntax`], or [`ConfigError::Unreadable`] where the ending is not known.
pub fn parse_text(text: &str, path: &Path, cx: LoadContext<'_>) -> Result<Value, ConfigError> {
    let known = || schema::option_names(&schema::pipeline(cx.registry, cx.sections));
    file::parse(text, path, known).map_err(|problem| ConfigError::of_file(path, problem))
}

/// The folder at which relative paths of a pipeline file start.
pub fn base_dir(path: &Path) -> PathBuf {
    folder_of(path)
}

fn read(path: &Path, cx: LoadContext<'_>) -> Result<Value, ConfigError> {
    let known = || schema::option_names(&schema::pipeline(cx.registry, cx.sections));
    file::read(path, known).map_err(|problem| ConfigError::of_file(path, problem))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

/// A configuration as it was written, and with its variables expanded.
#[derive(Clone, Copy)]
struct FileValue<'a> {
    raw: &'a Value,
    value: &'a Value,
    base_dir: &'a Path,
}

impl<'a> FileValue<'a> {
    /// The components of one kind, in the order of the file, as far as the host's schema found them good.
    fn sections(self, kind: Kind, checked: &'a Value) -> impl Iterator<Item = Section<'a>> {
        let key = section_of(kind);
        let entries = checked[key].as_object().into_iter().flatten();
        entries.map(move |(name, options)| Section {
            kind,
            name,
            options,
            raw: &self.raw[key][name.as_str()],
            base_dir: self.base_dir,
        })
    }

    /// What `read` makes of each component of one kind; the problems of the others.
    fn read_each<P>(
        self,
        kind: Kind,
        checked: &'a Value,
        problems: &mut Vec<Problem>,
        read: impl Fn(Section<'a>) -> Result<P, Vec<Problem>>,
    ) -> Vec<P> {
        let mut plans = Vec::new();
        for section in self.sections(kind, checked) {
            match read(section) {
                Ok(plan) => plans.push(plan),
                Err(found) => problems.extend(found),
            }
        }
        plans
    }
}

/// Reads every part of a configuration, and reports every problem. The pipeline is complete where there are no problems.
fn read_all(
    file: FileValue<'_>,
    cx: LoadContext<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Pipeline> {
    let checked = check(&schema::host(cx.sections), file.value);
    problems.extend(checked.problems);
    let options = &checked.options;
    let sources = sources(file, options, cx.registry, problems);
    let transforms = transforms(file, options, cx.registry, problems);
    let sinks = file.read_each(Kind::Sink, options, problems, |section| {
        read_sink(section, cx.registry)
    });
    inputs::check(options, file.value, problems);
    let sections = cx.sections.iter().filter_map(|section| {
        let written = options.get(section.name)?;
        (!written.is_null()).then(|| (section.name.to_owned(), written.clone()))
    });
    let sections = sections.collect();
    let notes = interpolate::notes(file.raw);
    if !problems.is_empty() {
        problems.extend(notes);
        problems.extend(sinks.iter().flat_map(SinkPlan::notices));
        return None;
    }
    let mut host = options.clone();
    if let Some(map) = host.as_object_mut() {
        map.retain(|key, _| cx.sections.iter().all(|section| section.name != key));
    }
    match typed::<PipelineOptions>(&host, "") {
        Ok(options) => Some(Pipeline {
            data_dir: file.base_dir.join(options.data_dir),
            sources,
            transforms,
            sinks,
            shutdown_limit: seconds(options.shutdown.limit_secs),
            sections,
            notes,
        }),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn read_sink(section: Section<'_>, registry: &Registry) -> Result<SinkPlan, Vec<Problem>> {
    if let Some(problem) = sink::name_problem(section.name) {
        return Err(vec![problem]);
    }
    let component = section
        .component(registry.sinks(), |name| registry.sink(name))
        .map_err(|problem| vec![problem])?;
    sink::parse(section, component)
}

fn sources(
    file: FileValue<'_>,
    options: &Value,
    registry: &Registry,
    problems: &mut Vec<Problem>,
) -> Vec<SourcePlan> {
    let read = |section: Section<'_>| -> Result<SourcePlan, Vec<Problem>> {
        let component = section
            .component(registry.sources(), |name| registry.source(name))
            .map_err(|problem| vec![problem])?;
        let parsed = section.parse::<SourceOptions, _>(component);
        let (_, config) = parsed.finish(&section.path())?;
        let schema = schema::component::<SourceOptions, _>(component);
        Ok(SourcePlan {
            name: section.name.to_owned(),
            kind: component.name().to_owned(),
            config: Arc::from(config),
            written: section.written(&schema, &[]),
        })
    };
    let plans = file.read_each(Kind::Source, options, problems, read);
    problems.extend(shared_resources(&plans));
    plans
}

/// Two sources that need the same thing for themselves alone.
pub(crate) fn shared_resources(sources: &[SourcePlan]) -> Vec<Problem> {
    let taken = sources.iter().flat_map(|source| {
        let resources = source.config.resources().into_iter();
        resources.map(|resource| (join("sources", &source.name), resource))
    });
    conflicts(&taken.collect::<Vec<_>>())
}

/// What cannot run at the same time, because it needs what another needs for itself alone; each with its place in the file.
pub fn conflicts(taken: &[(String, Resource)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, (place, resource)) in taken.iter().enumerate() {
        let mut before = taken[..index].iter();
        let Some((first, other)) = before.find(|(_, other)| other.conflicts_with(resource)) else {
            continue;
        };
        let (problem, expected) = match (resource, other) {
            (Resource::Stdin, _) => (
                format!("reads standard input, as `{first}` does"),
                "one source that reads standard input",
            ),
            (Resource::Listen(address), Resource::Listen(other)) if address != other => (
                format!("listens on {address}, and `{first}` on {other}"),
                "an address and port of its own",
            ),
            (Resource::Listen(address), _) => (
                format!("listens on {address}, as `{first}` does"),
                "an address and port of its own",
            ),
            _ => (
                format!("needs for itself what `{first}` needs"),
                "one of the two",
            ),
        };
        problems.push(Problem::new(place.clone(), problem, expected));
    }
    problems
}

/// The transforms, each after all that it reads.
fn transforms(
    file: FileValue<'_>,
    options: &Value,
    registry: &Registry,
    problems: &mut Vec<Problem>,
) -> Vec<TransformPlan> {
    let read = |section: Section<'_>| -> Result<TransformPlan, Vec<Problem>> {
        let component = section
            .component(registry.transforms(), |name| registry.transform(name))
            .map_err(|problem| vec![problem])?;
        let parsed = section.parse::<TransformOptions, _>(component);
        let (host, config) = parsed.finish(&section.path())?;
        let schema = schema::component::<TransformOptions, _>(component);
        Ok(TransformPlan {
            name: section.name.to_owned(),
            kind: host.r#type,
            inputs: host.inputs,
            config: Arc::from(config),
            written: section.written(&schema, &[]),
        })
    };
    let mut plans = file.read_each(Kind::Transform, options, problems, read);
    let names: Vec<_> = plans.iter().map(|plan| plan.name.clone()).collect();
    let order = inputs::ordered(options, &names);
    plans.sort_by_key(|plan| order.iter().position(|name| *name == plan.name));
    plans
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    // A stable sort: where two checks speak of one place, the first has the more exact answer, and an error says enough.
    problems.sort_by(|a, b| (&a.path, a.level).cmp(&(&b.path, b.level)));
    problems.dedup_by(|later, first| {
        later.path == first.path && (first.is_error() || *later == *first)
    });
    problems
}

fn typed<T: serde::de::DeserializeOwned>(options: &Value, path: &str) -> Result<T, Problem> {
    // The schema was made from this very type, so this is a second line of defense only.
    serde_json::from_value(options.clone()).map_err(|_| {
        let expected = "what `pipeline schema` describes";
        Problem::new(path, "cannot be read", expected)
    })
}
