//! A pipeline as data: what its file says, checked and read, with nothing built or opened.
//!
//! Invariant: two plans compare as equal only when they were written alike, including the values of environment variables
//! and the content of the files that they name.

use super::fingerprint::Fingerprint;
use super::option::{RetryOptions, SinkOptions, Sync, WhenFull};
use crate::batch::BatchLimit;
use crate::buffer::QueueLimit;
use pipeline_core::options::{Problem, join};
use pipeline_core::{SinkConfig, SourceConfig, TransformConfig};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A pipeline that is ready to start.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The folder for what has to survive the process.
    pub data_dir: PathBuf,
    /// Where events come from.
    pub sources: Vec<SourcePlan>,
    /// What changes events on their way; each after all that it reads.
    pub transforms: Vec<TransformPlan>,
    /// Where events go.
    pub sinks: Vec<SinkPlan>,
    /// How long buffers may drain after a signal.
    pub shutdown_limit: Duration,
    /// The sections of the file that belong to the program, by name.
    pub sections: BTreeMap<String, Value>,
    /// What is perhaps not meant in what belongs to no component.
    pub(crate) notes: Vec<Problem>,
}

/// One source.
#[derive(Clone)]
pub struct SourcePlan {
    /// Its name in the pipeline file.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Its options, read.
    pub config: Arc<dyn SourceConfig>,
    pub(crate) written: Written,
}

/// One transform.
#[derive(Clone)]
pub struct TransformPlan {
    /// Its name in the pipeline file.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// The sources and transforms that it reads.
    pub inputs: Vec<String>,
    /// Its options, read.
    pub config: Arc<dyn TransformConfig>,
    pub(crate) written: Written,
}

/// One sink, with what the host does for it.
#[derive(Clone)]
pub struct SinkPlan {
    /// Its name in the pipeline file.
    pub name: String,
    /// The sources and transforms that it reads.
    pub inputs: Vec<String>,
    /// Its options, read.
    pub config: Arc<dyn SinkConfig>,
    pub(crate) batch: BatchLimit,
    pub(crate) buffer: BufferPlan,
    pub(crate) options: SinkOptions,
    pub(crate) written: Written,
}

/// The buffer of one sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BufferPlan {
    pub(crate) limit: QueueLimit,
    /// Set for a buffer on disk.
    pub(crate) sync: Option<Sync>,
}

/// Options as they were written: what tells them from others, and what a person may be shown of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// Without `inputs`, with the values of variables and the content of files.
    pub(crate) fingerprint: Fingerprint,
    /// With variables as they are in the file, and without secrets.
    pub(crate) shown: Value,
}

impl Pipeline {
    /// The files besides the pipeline file that options were read from.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.sinks.iter().flat_map(|sink| sink.config.files());
        files.collect()
    }

    /// The transforms that change events on their way to what reads these inputs, by name, in the order in which they do.
    pub fn transforms_before(&self, inputs: &[String]) -> Vec<&str> {
        let mut wanted: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        // Each comes after all that it reads.
        for transform in self.transforms.iter().rev() {
            if wanted.contains(&transform.name.as_str()) {
                wanted.extend(transform.inputs.iter().map(String::as_str));
                found.push(transform.name.as_str());
            }
        }
        found.reverse();
        found
    }

    /// What would stop the pipeline on this machine now: a source that cannot read, a folder that cannot be written.
    pub fn check_machine(&self) -> Vec<Problem> {
        let check = |source: &SourcePlan| {
            let path = join("sources", &source.name);
            let problems = source.config.check().into_iter();
            problems.map(move |problem| problem.within(&path))
        };
        let of_sources = self.sources.iter().flat_map(check);
        self.check_data_dir()
            .into_iter()
            .chain(of_sources)
            .collect()
    }

    /// What works as written and is perhaps not meant, sorted by place.
    pub fn notices(&self) -> Vec<Problem> {
        let of_sinks = self.sinks.iter().flat_map(SinkPlan::notices);
        let of_buffers = self.sinks.iter().filter_map(|sink| self.forgetful(sink));
        let all = self.notes.iter().cloned().chain(of_sinks).chain(of_buffers);
        super::sorted(all.collect())
    }

    /// A note on a buffer in memory that holds events whose clients have forgotten them.
    fn forgetful(&self, sink: &SinkPlan) -> Option<Problem> {
        if sink.buffer.sync.is_some() {
            return None;
        }
        let read = self.read_by(sink);
        let source = read
            .into_iter()
            .find(|source| source.config.clients_forget())?;
        let (path, name) = (join(&join("sinks", &sink.name), "buffer"), &source.name);
        let problem = format!(
            "is in memory, and clients of the source `{name}` forget events once they are answered: what it holds is lost \
             when the process ends without notice"
        );
        Some(Problem::note(
            path,
            problem,
            "a buffer on disk: `{ type: disk }`",
        ))
    }

    /// The sources that a sink reads, through transforms too.
    fn read_by(&self, sink: &SinkPlan) -> Vec<&SourcePlan> {
        let mut names: Vec<&String> = sink.inputs.iter().collect();
        // Each transform comes after all that it reads.
        for transform in self.transforms.iter().rev() {
            if names.contains(&&transform.name) {
                names.extend(&transform.inputs);
            }
        }
        let sources = self.sources.iter();
        sources
            .filter(|source| names.contains(&&source.name))
            .collect()
    }
}

impl SinkPlan {
    /// The sink's type.
    pub fn kind(&self) -> &str {
        &self.options.r#type
    }

    /// What works as written and is perhaps not meant, with its place in the pipeline file.
    pub fn notices(&self) -> Vec<Problem> {
        let path = join("sinks", &self.name);
        let notices = self.config.notices().into_iter();
        notices.map(|notice| notice.within(&path)).collect()
    }

    pub(crate) fn drops_newest(&self) -> bool {
        self.options.buffer.when_full == WhenFull::DropNewest
    }

    pub(crate) fn retry(&self) -> &RetryOptions {
        &self.options.retry
    }
}

impl fmt::Debug for SourcePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourcePlan")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TransformPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformPlan")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SinkPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkPlan")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
