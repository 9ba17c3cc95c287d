//! What every command works with: the linked components, and what the program adds.

use crate::extension::{Extension, Overlay};
use crate::failure::Failure;
use pipeline_core::options::join;
use pipeline_core::{Registry, Resource};
use pipeline_host::Pipeline;
use pipeline_host::config::schema::ProgramSection;
use pipeline_host::config::{self, ConfigError, LoadContext, Unbound};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The pipeline file that a command is about, behind the command or behind `--config`.
#[derive(Debug, clap::Args)]
pub(crate) struct PipelineFile {
    /// The pipeline file (.yaml, .yml, .toml or .json)
    #[arg(required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The same, as `map` and `dead-letters` take it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

impl PipelineFile {
    /// Where it is. The command line was refused where neither is given.
    pub(crate) fn path(&self) -> &Path {
        let path = self.file.as_deref().or(self.config.as_deref());
        path.unwrap_or(Path::new(""))
    }
}

/// What every command works with.
pub(crate) struct Context<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) extensions: &'a [&'a dyn Extension],
    pub(crate) sections: Vec<ProgramSection>,
    /// What the command changes of the file, if anything.
    pub(crate) overlay: Option<&'a Overlay>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(registry: &'a Registry, extensions: &'a [&'a dyn Extension]) -> Self {
        let sections = extensions
            .iter()
            .filter_map(|extension| extension.section());
        Self {
            registry,
            extensions,
            sections: sections.collect(),
            overlay: None,
        }
    }

    /// Reads a pipeline file with the environment of the process.
    pub(crate) fn load(&self, path: &Path) -> Result<Pipeline, Failure> {
        let pipeline = config::load(path, self.with(&|name| std::env::var_os(name)))?;
        Ok(self.finish(pipeline)?)
    }

    /// Reads a value tree as if it were the pipeline file at this path, with the environment of the process.
    pub(crate) fn load_value(&self, raw: &Value, path: &Path) -> Result<Pipeline, ConfigError> {
        let cx = self.with(&|name| std::env::var_os(name));
        self.finish(config::from_value(raw, &config::base_dir(path), cx)?)
    }

    /// Lays over it what the command changes, and checks its sections.
    fn finish(&self, mut pipeline: Pipeline) -> Result<Pipeline, ConfigError> {
        if let Some(overlay) = self.overlay {
            let changed = overlay.change(pipeline.sections.get(overlay.section));
            pipeline
                .sections
                .insert(overlay.section.to_owned(), changed);
        }
        self.check_sections(&pipeline)?;
        Ok(pipeline)
    }

    /// Checks a pipeline file as far as that is possible without the environment.
    pub(crate) fn load_without_environment(&self, path: &Path) -> Result<Unbound, Failure> {
        let unbound = config::load_without_environment(path, self.with(&|_| None))?;
        if let Some(pipeline) = &unbound.pipeline {
            self.check_sections(pipeline)?;
        }
        Ok(unbound)
    }

    pub(crate) fn with<'c>(&'c self, environment: config::Environment<'c>) -> LoadContext<'c> {
        LoadContext {
            registry: self.registry,
            environment,
            sections: &self.sections,
        }
    }

    /// Checks what the sections of the program say beyond their schemas, and what they need that a source needs too.
    fn check_sections(&self, pipeline: &Pipeline) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let of_sources = pipeline.sources.iter().flat_map(|source| {
            let resources = source.config.resources().into_iter();
            resources.map(|resource| (join("sources", &source.name), resource))
        });
        let mut taken: Vec<(String, Resource)> = of_sources.collect();
        for extension in self.extensions {
            let Some(section) = extension.section() else {
                continue;
            };
            if let Some(options) = pipeline.sections.get(section.name) {
                let found = extension.check(options).into_iter();
                problems.extend(found.map(|problem| problem.within(section.name)));
                let resources = extension.resources(options).into_iter();
                taken.extend(resources.map(|resource| (section.name.to_owned(), resource)));
            }
        }
        problems.extend(config::conflicts(&taken));
        if problems.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Invalid(problems))
    }
}
