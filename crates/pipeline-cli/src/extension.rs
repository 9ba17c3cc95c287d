//! What a program adds to the command: a subcommand, and something that runs beside a pipeline because its file asks for it.

use crate::Failure;
use async_trait::async_trait;
use clap::{ArgMatches, Command};
use pipeline_core::Observer;
pub use pipeline_host::config::schema::ProgramSection;
use pipeline_host::telemetry::Telemetry;
use serde_json::Value;
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
    /// The folder for everything that is kept on disk, where it is known.
    pub data_dir: Option<PathBuf>,
}

impl StartedPipeline {
    /// The pipeline of this file.
    pub fn new(file: impl Into<PathBuf>, telemetry: Telemetry) -> Self {
        Self {
            file: file.into(),
            telemetry,
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
