//! What a program adds to the command: a subcommand, and something that runs beside a pipeline because its file asks for it.

use crate::Failure;
use crate::program::Program;
use crate::progress::When;
use async_trait::async_trait;
use clap::{ArgMatches, Command};
use pipeline_core::Observer;
pub use pipeline_host::config::schema::ProgramSection;
use pipeline_host::telemetry::Telemetry;
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Something that a program adds to the command.
#[async_trait]
pub trait Extension: Sync {
    /// A subcommand.
    fn command(&self) -> Option<Command> {
        None
    }

    /// Runs the subcommand.
    ///
    /// # Errors
    ///
    /// Why it failed; the exit code follows from it.
    async fn run(&self, _matches: &ArgMatches) -> Result<ExitCode, Failure> {
        Ok(ExitCode::SUCCESS)
    }

    /// Where the subcommand is a run of a pipeline file with one section changed: which, and how. [`run`](Self::run) is not called
    /// then.
    ///
    /// # Errors
    ///
    /// When the command line is wrong.
    fn run_order(&self, _matches: &ArgMatches) -> Result<Option<RunOrder>, Failure> {
        Ok(None)
    }

    /// A section of the pipeline file.
    fn section(&self) -> Option<ProgramSection> {
        None
    }

    /// What is wrong with the options of the section, beyond what its schema says.
    fn check(&self, _options: &Value) -> Vec<pipeline_core::options::Problem> {
        Vec::new()
    }

    /// What the section needs for itself alone, such as an address to listen on.
    fn resources(&self, _options: &Value) -> Vec<pipeline_core::Resource> {
        Vec::new()
    }

    /// Starts what the section asks for, before the pipeline starts.
    ///
    /// # Errors
    ///
    /// Why it cannot be started; the pipeline does not start then.
    async fn start(&self, _options: &Value) -> Result<Option<Box<dyn Companion>>, Failure> {
        Ok(None)
    }
}

/// Something that runs beside a pipeline.
#[async_trait]
pub trait Companion: Send {
    /// What watches the events of the pipeline for it. Asked before the pipeline starts.
    fn observers(&self) -> Vec<Arc<dyn Observer>> {
        Vec::new()
    }

    /// Whether the pipeline is to run on after the end of its input until it is told to stop, because somebody may ask what it did.
    fn stays(&self) -> bool {
        false
    }

    /// The pipeline runs now.
    fn started(&mut self, _pipeline: StartedPipeline) {}

    /// What it did, for the end of the run; a text that ends with a newline, or an empty one.
    fn describe(&self) -> String;

    /// Stops it.
    async fn stop(self: Box<Self>);
}

/// A pipeline that runs, for what runs beside it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StartedPipeline {
    /// The pipeline file.
    pub file: PathBuf,
    /// The counters, and what the pipeline is doing.
    pub telemetry: Telemetry,
    /// What the program can do with pipeline files, and with this one.
    pub program: Program,
    /// The folder for everything that is kept on disk, where it is known.
    pub data_dir: Option<PathBuf>,
}

impl StartedPipeline {
    /// The pipeline of the file of this program.
    pub fn new(program: Program, telemetry: Telemetry) -> Self {
        Self {
            file: program.file().to_owned(),
            telemetry,
            program,
            data_dir: None,
        }
    }

    /// The same with the folder for everything that is kept on disk.
    #[must_use]
    pub fn with_data_dir(mut self, data_dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(data_dir.into());
        self
    }
}

/// A run of a pipeline file with one section changed.
#[derive(Debug, Clone)]
pub struct RunOrder {
    /// The pipeline file.
    pub file: PathBuf,
    /// When progress is shown.
    pub progress: When,
    /// Whether the file is read again when it changes.
    pub watch_config: bool,
    /// What is changed.
    pub overlay: Overlay,
}

/// Makes a section as it is to be from the section as it is written.
type ChangeSection = dyn Fn(Option<&Value>) -> Value + Send + Sync;

/// What a command changes of a section of the pipeline file, each time that the file is read.
#[derive(Clone)]
pub struct Overlay {
    /// The section.
    pub section: &'static str,
    change: Arc<ChangeSection>,
}

impl Overlay {
    /// The section becomes what `change` makes of it; it gets `None` where the file has no such section.
    pub fn new(
        section: &'static str,
        change: impl Fn(Option<&Value>) -> Value + Send + Sync + 'static,
    ) -> Self {
        let change = Arc::new(change);
        Self { section, change }
    }

    /// The section as it is to be.
    pub(crate) fn change(&self, written: Option<&Value>) -> Value {
        (self.change)(written)
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay")
            .field("section", &self.section)
            .finish_non_exhaustive()
    }
}
