//! A pipeline made by a program, without a file: components are given as values.

use crate::config::option::SinkOptions;
use crate::config::{
    Fingerprint, Pipeline, SinkPlan, SourcePlan, TransformPlan, Written, limits, shared_resources,
};
use crate::handle::{Handle, InProcess};
use crate::runtime::StartOptions;
use crate::topology::{Running, StartError, start};
use pipeline_core::options::{Problem, check, join, nearest};
use pipeline_core::{BatchLimits, SinkConfig, SourceConfig, TransformConfig};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long buffers may drain unless the program says otherwise.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// A pipeline in the making. Made by [`Pipeline::builder`].
#[derive(Debug)]
pub struct PipelineBuilder {
    data_dir: PathBuf,
    shutdown_limit: Duration,
    sources: Vec<SourcePlan>,
    transforms: Vec<TransformPlan>,
    sinks: Vec<SinkPlan>,
    problems: Vec<Problem>,
}

/// Why a pipeline could not be made: every problem at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidPipeline {
    /// What is wrong, and where, as in a pipeline file: `sinks.out.inputs[0]`.
    pub problems: Vec<Problem>,
}

/// What the host does for one sink: the options of a pipeline file, as defaults to be changed.
///
/// ```
/// let settings = pipeline_host::SinkSettings::default()
///     .options(serde_json::json!({ "buffer": { "type": "disk" }, "batch": { "max_events": 100 } }));
/// ```
#[derive(Debug, Clone)]
pub struct SinkSettings {
    options: Value,
    limits: BatchLimits,
}

impl Default for SinkSettings {
    fn default() -> Self {
        Self {
            options: json!({}),
            limits: BatchLimits::new(usize::MAX, usize::MAX),
        }
    }
}

impl SinkSettings {
    /// The options `batch`, `buffer`, `retry`, `request` and `dead_letters`, as a pipeline file has them.
    #[must_use]
    pub fn options(mut self, options: Value) -> Self {
        self.options = options;
        self
    }

    /// The largest batch that the destination takes; a registered component says so itself.
    #[must_use]
    pub fn batch_limits(mut self, limits: BatchLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Pipeline {
    /// A pipeline without a file. Components are given as values; `inputs` name them.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder {
            data_dir: "data".into(),
            shutdown_limit: SHUTDOWN_LIMIT,
            sources: Vec::new(),
            transforms: Vec::new(),
            sinks: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Starts it, as [`start`] does.
    ///
    /// # Errors
    ///
    /// As [`start`].
    pub async fn start(self, options: StartOptions) -> Result<Running, StartError> {
        start(self, options).await
    }
}

impl PipelineBuilder {
    /// The folder for disk buffers, dead letters and checkpoints. Default: `data`.
    #[must_use]
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = folder.into();
        self
    }

    /// How long buffers may drain when the pipeline stops. Default: 60 seconds.
    #[must_use]
    pub fn shutdown_limit(mut self, limit: Duration) -> Self {
        self.shutdown_limit = limit;
        self
    }

    /// Adds a source.
    #[must_use]
    pub fn source(mut self, name: &str, config: impl SourceConfig + 'static) -> Self {
        self.check_name("sources", name);
        self.sources.push(SourcePlan {
            name: name.to_owned(),
            kind: "value".to_owned(),
            config: Arc::new(config),
            written: unwritten(),
        });
        self
    }

    /// Adds a source inside this process, and gives the handle that sends its events. The source ends when the last clone of
    /// the handle is dropped.
    pub fn handle(mut self, name: &str) -> (Self, Handle) {
        let (source, handle) = InProcess::new(name);
        self = self.source(name, source);
        (self, handle)
    }

    /// Adds a transform that reads these sources and transforms; those have to be added before.
    #[must_use]
    pub fn transform(
        mut self,
        name: &str,
        inputs: &[&str],
        config: impl TransformConfig + 'static,
    ) -> Self {
        self.check_inputs("transforms", name, inputs);
        self.transforms.push(TransformPlan {
            name: name.to_owned(),
            kind: "value".to_owned(),
            inputs: owned(inputs),
            config: Arc::new(config),
            written: unwritten(),
        });
        self
    }

    /// Adds a sink that reads these sources and transforms; those have to be added before.
    #[must_use]
    pub fn sink(
        mut self,
        name: &str,
        inputs: &[&str],
        config: impl SinkConfig + 'static,
        settings: SinkSettings,
    ) -> Self {
        self.check_inputs("sinks", name, inputs);
        match sink_options(name, inputs, settings.options) {
            Ok(options) => {
                let mut problems = Vec::new();
                let (batch, buffer) = limits(&options, settings.limits, &mut problems);
                let path = join("sinks", name);
                self.problems
                    .extend(problems.into_iter().map(|problem| problem.within(&path)));
                self.sinks.push(SinkPlan {
                    name: name.to_owned(),
                    inputs: owned(inputs),
                    config: Arc::new(config),
                    batch,
                    buffer,
                    options,
                    written: unwritten(),
                });
            }
            Err(problems) => self.problems.extend(problems),
        }
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    ///
    /// [`InvalidPipeline`] with every problem: a name twice, an input that names nothing, limits that contradict each other.
    pub fn build(self) -> Result<Pipeline, InvalidPipeline> {
        // Where two checks speak of one place, the first has the more exact answer.
        let mut problems: Vec<Problem> = Vec::new();
        for problem in self.problems {
            if problems.iter().all(|known| known.path != problem.path) {
                problems.push(problem);
            }
        }
        if self.sources.is_empty() {
            problems.push(Problem::new("sources", "is empty", "at least one source"));
        }
        let is_sink = |problem: &Problem| problem.path.starts_with("sinks.");
        if self.sinks.is_empty() && !problems.iter().any(is_sink) {
            problems.push(Problem::new("sinks", "is empty", "at least one sink"));
        }
        problems.extend(shared_resources(&self.sources));
        if !problems.is_empty() {
            return Err(InvalidPipeline { problems });
        }
        Ok(Pipeline {
            data_dir: self.data_dir,
            sources: self.sources,
            transforms: self.transforms,
            sinks: self.sinks,
            shutdown_limit: self.shutdown_limit,
            sections: BTreeMap::new(),
            notes: Vec::new(),
        })
    }

    fn check_inputs(&mut self, section: &str, name: &str, inputs: &[&str]) {
        self.check_name(section, name);
        let path = join(section, name);
        let known: Vec<&str> = self
            .sources
            .iter()
            .map(|source| source.name.as_str())
            .chain(self.transforms.iter().map(|plan| plan.name.as_str()))
            .collect();
        let mut problems = Vec::new();
        if inputs.is_empty() {
            let expected = "the name of a source or transform";
            problems.push(Problem::new(format!("{path}.inputs"), "is empty", expected));
        }
        for (index, input) in inputs.iter().enumerate() {
            if !known.contains(input) {
                let hint = nearest(input, known.iter().copied())
                    .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
                problems.push(Problem::new(
                    format!("{path}.inputs[{index}]"),
                    format!("names no source and no transform{hint}"),
                    format!("one of `{}`", known.join("`, `")),
                ));
            } else if inputs[..index].contains(input) {
                let place = format!("{path}.inputs[{index}]");
                problems.push(Problem::new(place, "is there twice", "each input once"));
            }
        }
        self.problems.extend(problems);
    }

    /// Sources and transforms share their names, because inputs refer to both.
    fn check_name(&mut self, section: &str, name: &str) {
        let is_taken = if section == "sinks" {
            self.sinks.iter().any(|sink| sink.name == name)
        } else {
            let sources = self.sources.iter().map(|source| &source.name);
            let transforms = self.transforms.iter().map(|plan| &plan.name);
            sources.chain(transforms).any(|taken| taken == name)
        };
        if is_taken {
            let path = join(section, name);
            self.problems
                .push(Problem::new(path, "is there twice", "a name of its own"));
        }
    }
}

/// The host's options of a sink, checked as those of a pipeline file are.
fn sink_options(
    name: &str,
    inputs: &[&str],
    mut options: Value,
) -> Result<SinkOptions, Vec<Problem>> {
    let path = join("sinks", name);
    if let Some(map) = options.as_object_mut() {
        map.insert("type".to_owned(), "value".into());
        map.insert("inputs".to_owned(), json!(inputs));
    }
    let schema = schemars::schema_for!(SinkOptions).to_value();
    let checked = check(&schema, &options);
    let mut problems = checked.problems;
    problems.extend(crate::config::sink_name_problem(name));
    if problems.is_empty()
        && let Ok(options) = serde_json::from_value(checked.options)
    {
        return Ok(options);
    }
    Err(problems
        .into_iter()
        .map(|problem| problem.within(&path))
        .collect())
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Options that were never written: they differ from all others.
fn unwritten() -> Written {
    Written {
        fingerprint: Fingerprint::unique(),
        shown: Value::Null,
    }
}
