//! How a pipeline ended.

use crate::runtime::Failure;
use crate::telemetry::SinkSnapshot;
use pipeline_core::Coverage;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a pipeline ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// The final counters of every sink, in the order of the pipeline file.
    pub sinks: Vec<SinkSnapshot>,
    /// What sources could not read to its end, and tasks that failed.
    pub failures: Vec<Failure>,
    /// The folder of every sink's dead letters, by the sink's name.
    pub dead_letters: BTreeMap<String, PathBuf>,
    /// Which identifiers the events of each sink carried, where it counts them.
    pub coverage: Vec<(String, Coverage)>,
}

impl Ending {
    /// Whether everything was read, and nothing is held but what the next run delivers.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.sinks.iter().all(|sink| sink.held == sink.kept)
    }
}
