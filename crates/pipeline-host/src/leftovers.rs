//! What earlier runs have left in the data folder and no sink of the file owns: a sink was renamed or removed, or its buffer changed.
//!
//! In: a pipeline as data. Out: notes, with counts. Changes nothing.

use crate::buffer::{self, Stored};
use crate::config::Pipeline;
use crate::dead_letter::DeadLetters;
use crate::wording::{plain, thousands};
use pipeline_core::options::Problem;
use std::path::Path;

/// Folders of each kind that are looked at.
const MAX_FOLDERS: usize = 1_000;

impl Pipeline {
    /// Stored events and dead letters that no sink of this pipeline owns. Looks at the disk.
    pub fn leftovers(&self) -> Vec<Problem> {
        let mut notes = Vec::new();
        for name in folders(&self.data_dir.join("buffer")) {
            let is_owned =
                |sink: &crate::config::SinkPlan| sink.name == name && sink.buffer.sync.is_some();
            if self.sinks.iter().any(is_owned) {
                continue;
            }
            let folder = self.data_dir.join("buffer").join(&name);
            // Without a database there is nothing to look at, and looking would make one.
            let has_database = folder
                .join("records.db")
                .metadata()
                .is_ok_and(|file| file.len() > 0);
            let events = match has_database.then(|| buffer::stored(&self.data_dir, &name)) {
                None | Some(Stored::Events(0)) => continue,
                Some(Stored::Events(events)) => thousands(events),
                Some(_) => "an unknown number of".to_owned(),
            };
            let problem = format!(
                "holds {events} events that no sink of this file sends: no sink `{}` has a disk buffer",
                plain(&name)
            );
            let expected = "a sink of that name with `buffer: { type: disk }`, to deliver them; or move the folder away";
            notes.push(note(&self.data_dir, "buffer", &name, &problem, expected));
        }
        for name in folders(&self.data_dir.join("dead_letters")) {
            if self.sinks.iter().any(|sink| sink.name == name) {
                continue;
            }
            let letters = DeadLetters::new(&self.data_dir, &name, 0).letters();
            let count = letters.map_or(0, |letters| letters.flatten().count());
            if count > 0 {
                let count = thousands(count as u64);
                let problem =
                    format!("holds {count} dead letters of a sink that is not in this file");
                let expected =
                    "a sink of that name, to replay or purge them; or move the folder away";
                notes.push(note(
                    &self.data_dir,
                    "dead_letters",
                    &name,
                    &problem,
                    expected,
                ));
            }
        }
        notes
    }
}

fn note(data_dir: &Path, kind: &str, name: &str, problem: &str, expected: &str) -> Problem {
    let shown = data_dir.join(kind).join(name);
    Problem::note(
        "data_dir",
        format!("`{}` {problem}", plain(&shown.display().to_string())),
        expected,
    )
}

fn folders(parent: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.take(MAX_FOLDERS).collect();
    names.sort();
    names
}
