//! What the program can do with pipeline files while one of them runs: for what runs beside the pipeline.
//!
//! In: a text, a value tree, or the options of one sink. Out: what `validate`, `map` and a reload make of them, by the same code as
//! the commands.
//!
//! Invariant: nothing is written, and nothing of a text is shown but what problems show.

use pipeline_core::Registry;
use pipeline_host::Pipeline;
use pipeline_host::config::schema::ProgramSection;
use pipeline_host::config::{self, ConfigError, LoadContext, SinkPlan, schema};
use serde_json::{Map, Value};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot};

/// A reload that is asked for.
pub(crate) type Ask = oneshot::Sender<Result<Vec<String>, ReloadRefused>>;

/// The name of a sink that has none.
const NAMELESS: &str = "sink";

/// What the program can do with pipeline files, and the one that runs.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

/// Reads a value tree as if it were the pipeline file.
type LoadValue = dyn Fn(&Value) -> Result<Pipeline, ConfigError> + Send + Sync;

struct Inner {
    registry: Registry,
    sections: Vec<ProgramSection>,
    schema: OnceLock<Value>,
    file: PathBuf,
    load: Box<LoadValue>,
    reloads: mpsc::Sender<Ask>,
}

/// Why a file was not loaded into the running pipeline; it continues as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ReloadRefused {
    /// Why.
    pub message: String,
    /// Whether a restart makes the change.
    pub needs_restart: bool,
}

impl ReloadRefused {
    pub(crate) fn new(error: &dyn std::error::Error, needs_restart: bool) -> Self {
        Self {
            message: error.to_string(),
            needs_restart,
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("file", &self.0.file)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// The program that runs this file, and the reloads that are asked for.
    pub(crate) fn new(
        registry: &Registry,
        sections: &[ProgramSection],
        file: &Path,
        load: impl Fn(&Value) -> Result<Pipeline, ConfigError> + Send + Sync + 'static,
    ) -> (Self, mpsc::Receiver<Ask>) {
        let (reloads, asked) = mpsc::channel(1);
        let inner = Inner {
            registry: registry.clone(),
            sections: sections.to_vec(),
            schema: OnceLock::new(),
            file: file.to_owned(),
            load: Box::new(load),
            reloads,
        };
        (Self(Arc::new(inner)), asked)
    }

    /// The linked components.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The pipeline file that runs.
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// The JSON Schema of a pipeline file.
    pub fn schema(&self) -> &Value {
        let make = || schema::pipeline(&self.0.registry, &self.0.sections);
        self.0.schema.get_or_init(make)
    }

    /// The value tree of a text in the format of the pipeline file, with variables as they are in the text.
    ///
    /// # Errors
    ///
    /// When the text is not in that format.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let cx = LoadContext {
            registry: &self.0.registry,
            environment: &|_| None,
            sections: &self.0.sections,
        };
        config::parse_text(text, &self.0.file, cx)
    }

    /// As [`parse`](Self::parse), without a word about what is wrong: for who tries many texts.
    pub fn try_parse(&self, text: &str) -> Option<Value> {
        let registry = Registry::default();
        let cx = LoadContext {
            registry: &registry,
            environment: &|_| None,
            sections: &[],
        };
        config::parse_text(text, &self.0.file, cx).ok()
    }

    /// Reads a value tree as if it were the pipeline file.
    ///
    /// # Errors
    ///
    /// As `pipeline validate` reports them.
    pub fn load_value(&self, raw: &Value) -> Result<Pipeline, ConfigError> {
        (self.0.load)(raw)
    }

    /// Reads the options of one sink as if they were in this value tree of the pipeline file, beside the other sinks. Where they
    /// have no `inputs`, the sink reads every source.
    ///
    /// # Errors
    ///
    /// Every problem, with its place in the pipeline file.
    pub fn load_sink(
        &self,
        file: &Value,
        name: Option<&str>,
        options: &Value,
    ) -> Result<SinkPlan, ConfigError> {
        let name = name.unwrap_or(NAMELESS);
        let mut raw = file.clone();
        let mut options = options.clone();
        if let Some(map) = options.as_object_mut()
            && !map.contains_key("inputs")
        {
            let sources = file["sources"].as_object().into_iter().flat_map(Map::keys);
            let sources = sources.map(|name| Value::from(name.as_str()));
            map.insert("inputs".to_owned(), sources.collect());
        }
        if let Some(sinks) = raw.get_mut("sinks").and_then(Value::as_object_mut) {
            sinks.insert(name.to_owned(), options);
        }
        let cx = LoadContext {
            registry: &self.0.registry,
            environment: &|name| std::env::var_os(name),
            sections: &self.0.sections,
        };
        let pipeline = config::from_value(&raw, &config::base_dir(&self.0.file), cx)?;
        let mut sinks = pipeline.sinks.into_iter();
        let sink = sinks.find(|sink| *sink.name == *name);
        sink.ok_or_else(|| ConfigError::Invalid(Vec::new()))
    }

    /// Reads the file again and changes the running pipeline, as SIGHUP does; says what changed.
    ///
    /// # Errors
    ///
    /// Why nothing has changed.
    pub async fn reload(&self) -> Result<Vec<String>, ReloadRefused> {
        let (reply, answer) = oneshot::channel();
        let ended = || ReloadRefused {
            message: "the pipeline has ended".to_owned(),
            needs_restart: true,
        };
        self.0.reloads.send(reply).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}
