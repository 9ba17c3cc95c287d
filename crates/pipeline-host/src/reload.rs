//! Other options for a pipeline that runs.
//!
//! In: the pipeline as its file describes it now. Sinks whose options have changed go on with the new ones; their buffers,
//! and what is in them, stay. All other sinks do not notice.
//!
//! Invariant: all of a change is made, or nothing of it.

use crate::config::{Fingerprint, Pipeline, SinkPlan};
use crate::outlet::Outlet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Changes the options of a pipeline that runs.
pub struct Reloader {
    fixed: Vec<(&'static str, Fingerprint)>,
    sinks: Mutex<Vec<Entry>>,
}

struct Entry {
    outlet: Arc<Outlet>,
    shape: Shape,
    fingerprint: Fingerprint,
    files: Vec<PathBuf>,
}

/// What cannot change about a sink while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    kind: String,
    inputs: Vec<String>,
    sync: Option<crate::config::option::Sync>,
    max_letter_bytes: u64,
}

/// Why other options were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Things changed that only a restart can change.
    #[error("{} cannot change while the pipeline runs; restart it", listed(.0))]
    NeedsRestart(Vec<String>),
}

fn listed(places: &[String]) -> String {
    format!("`{}`", places.join("`, `"))
}

impl Shape {
    fn of(plan: &SinkPlan) -> Self {
        Self {
            kind: plan.kind().to_owned(),
            inputs: plan.inputs.clone(),
            sync: plan.buffer.sync,
            max_letter_bytes: plan.options.dead_letters.max_bytes,
        }
    }

    /// The options that differ.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        let differing = [
            (self.kind != other.kind, "type"),
            (self.inputs != other.inputs, "inputs"),
            (self.sync.is_some() != other.sync.is_some(), "buffer.type"),
            (self.sync != other.sync, "buffer.sync"),
            (
                self.max_letter_bytes != other.max_letter_bytes,
                "dead_letters.max_bytes",
            ),
        ];
        let differing = differing.into_iter().filter(|(differs, _)| *differs);
        differing.map(|(_, key)| key).collect()
    }
}

impl Reloader {
    pub(crate) fn new(fixed: Vec<(&'static str, Fingerprint)>) -> Self {
        Self {
            fixed,
            sinks: Mutex::default(),
        }
    }

    pub(crate) fn add(&mut self, plan: &SinkPlan, outlet: Arc<Outlet>) {
        let sinks = self.sinks.get_mut().unwrap_or_else(PoisonError::into_inner);
        sinks.push(Entry {
            outlet,
            shape: Shape::of(plan),
            fingerprint: plan.fingerprint,
            files: plan.files.clone(),
        });
    }

    /// Files besides the pipeline file that the options were read from.
    pub fn files(&self) -> Vec<PathBuf> {
        let sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.iter().flat_map(|entry| entry.files.clone()).collect()
    }

    /// Goes on with the options of this pipeline; says which sinks they changed.
    ///
    /// # Errors
    ///
    /// [`ReloadError::NeedsRestart`], and then nothing has changed.
    pub fn reload(&self, pipeline: &Pipeline) -> Result<Vec<String>, ReloadError> {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused: Vec<String> = self
            .fixed
            .iter()
            .zip(&pipeline.fixed)
            .filter(|(old, new)| old != new)
            .map(|((section, _), _)| (*section).to_owned())
            .collect();
        let is_new = |plan: &&SinkPlan| sinks.iter().all(|entry| entry.outlet.name != plan.name);
        let new = pipeline.sinks.iter().filter(is_new);
        refused.extend(new.map(|plan| format!("sinks.{}", plan.name)));
        let mut fresh = Vec::new();
        for entry in sinks.iter_mut() {
            let name = &entry.outlet.name;
            let Some(plan) = pipeline.sinks.iter().find(|plan| plan.name == *name) else {
                refused.push(format!("sinks.{name}"));
                continue;
            };
            let differences = entry.shape.differences(&Shape::of(plan));
            refused.extend(differences.iter().map(|key| format!("sinks.{name}.{key}")));
            if plan.fingerprint != entry.fingerprint {
                fresh.push((entry, plan));
            }
        }
        if !refused.is_empty() {
            return Err(ReloadError::NeedsRestart(refused));
        }
        let mut changed = Vec::new();
        for (entry, plan) in fresh {
            entry.outlet.change(plan);
            entry.fingerprint = plan.fingerprint;
            entry.files.clone_from(&plan.files);
            changed.push(plan.name.clone());
        }
        Ok(changed)
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}
