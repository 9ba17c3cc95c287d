//! What has to happen for one pipeline to become another: added, changed and removed components.
//!
//! Pure: two plans in, steps out. The first start is the difference to an empty pipeline. Invariant: what a step says of
//! options holds no secret.

use crate::config::{Pipeline, SinkPlan, Written};
use pipeline_core::Kind;
use serde_json::Value;
use std::fmt;

/// Differences of options that one change lists.
const MAX_DETAILS: usize = 5;
/// Characters of an option's value that are shown.
const MAX_SHOWN: usize = 40;

/// What changes about one component.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What kind of component.
    pub kind: Kind,
    /// Its name in the pipeline file.
    pub name: String,
    /// What happens to it.
    pub step: Step,
}

/// What happens to one component.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// It is new.
    Add,
    /// Its options are different: `preset retail → travel`.
    Change {
        /// Which options, as far as they may be shown.
        options: Vec<String>,
    },
    /// It is gone.
    Remove,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = (self.kind, &self.name);
        match &self.step {
            Step::Add => write!(f, "added {kind} {name}"),
            Step::Remove => write!(f, "removed {kind} {name}"),
            Step::Change { options } => {
                write!(f, "reloaded {kind} {name}: {}", options.join(", "))
            }
        }
    }
}

/// A component as this file compares it.
struct Compared<'a> {
    name: &'a str,
    kind: &'a str,
    inputs: &'a [String],
    written: &'a Written,
}

/// The components of one kind.
type Components = fn(&Pipeline) -> Vec<Compared<'_>>;

/// The steps from one pipeline to another: removals, then additions and changes, in the order of the files.
pub(crate) fn diff(old: &Pipeline, new: &Pipeline) -> Vec<Change> {
    let mut changes = Vec::new();
    let parts: [(Kind, Components); 3] = [
        (Kind::Source, sources),
        (Kind::Transform, transforms),
        (Kind::Sink, sinks),
    ];
    for (kind, of) in parts {
        let (old, new) = (of(old), of(new));
        let change = |name: &str, step| Change {
            kind,
            name: name.to_owned(),
            step,
        };
        for gone in old.iter().filter(|old| find(&new, old.name).is_none()) {
            changes.push(change(gone.name, Step::Remove));
        }
        for new in &new {
            match find(&old, new.name) {
                None => changes.push(change(new.name, Step::Add)),
                Some(old) => {
                    let options = differences(old, new);
                    if !options.is_empty() {
                        changes.push(change(new.name, Step::Change { options }));
                    }
                }
            }
        }
    }
    changes
}

/// What a reload from one pipeline to another would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preview {
    /// The steps.
    pub changes: Vec<Change>,
    /// The places of the file that only a restart can change; a reload is refused where there are any.
    pub needs_restart: Vec<String>,
}

impl Preview {
    /// What a reload from `old` to `new` would do, as far as the files tell.
    pub fn of(old: &Pipeline, new: &Pipeline) -> Self {
        let mut needs_restart = fixed_parts(old, new);
        for sink in &new.sinks {
            let running = old.sinks.iter().find(|other| other.name == sink.name);
            needs_restart.extend(running.map(|old| fixed(old, sink)).unwrap_or_default());
        }
        Self {
            changes: diff(old, new),
            needs_restart,
        }
    }
}

/// The parts of a file beside its components that only a restart can change, and that differ.
pub(crate) fn fixed_parts(old: &Pipeline, new: &Pipeline) -> Vec<String> {
    let mut parts = Vec::new();
    if old.data_dir != new.data_dir {
        parts.push("data_dir".to_owned());
    }
    if old.shutdown_limit != new.shutdown_limit {
        parts.push("shutdown".to_owned());
    }
    let names = old.sections.keys().chain(new.sections.keys());
    for name in names.filter(|name| old.sections.get(*name) != new.sections.get(*name)) {
        if !parts.contains(name) {
            parts.push(name.clone());
        }
    }
    parts
}

/// The options of a sink that cannot change while it runs, because stored events depend on them; each with the way to do it.
pub(crate) fn fixed(old: &SinkPlan, new: &SinkPlan) -> Vec<String> {
    let differing = [
        (old.kind() != new.kind(), "type"),
        (
            old.buffer.sync.is_some() != new.buffer.sync.is_some(),
            "buffer.type",
        ),
        (
            old.buffer.sync.is_some()
                && new.buffer.sync.is_some()
                && old.buffer.sync != new.buffer.sync,
            "buffer.sync",
        ),
        (
            old.options.dead_letters.max_bytes != new.options.dead_letters.max_bytes,
            "dead_letters.max_bytes",
        ),
    ];
    let differing = differing.into_iter().filter(|(differs, _)| *differs);
    differing
        .map(|(_, key)| format!("sinks.{}.{key}", new.name))
        .collect()
}

fn find<'a, 'b>(among: &'b [Compared<'a>], name: &str) -> Option<&'b Compared<'a>> {
    among.iter().find(|other| other.name == name)
}

fn sources(pipeline: &Pipeline) -> Vec<Compared<'_>> {
    let compared = pipeline.sources.iter().map(|source| Compared {
        name: &source.name,
        kind: &source.kind,
        inputs: &[],
        written: &source.written,
    });
    compared.collect()
}

fn transforms(pipeline: &Pipeline) -> Vec<Compared<'_>> {
    let compared = pipeline.transforms.iter().map(|transform| Compared {
        name: &transform.name,
        kind: &transform.kind,
        inputs: &transform.inputs,
        written: &transform.written,
    });
    compared.collect()
}

fn sinks(pipeline: &Pipeline) -> Vec<Compared<'_>> {
    let compared = pipeline.sinks.iter().map(|sink| Compared {
        name: &sink.name,
        kind: sink.kind(),
        inputs: &sink.inputs,
        written: &sink.written,
    });
    compared.collect()
}

/// Which options differ; empty where none does.
fn differences(old: &Compared<'_>, new: &Compared<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if old.kind != new.kind {
        found.push(format!("type {} → {}", old.kind, new.kind));
    }
    if old.inputs != new.inputs {
        let (old, new) = (old.inputs.join(" "), new.inputs.join(" "));
        found.push(format!("inputs {old} → {new}"));
    }
    if old.written.fingerprint != new.written.fingerprint {
        let before = found.len();
        compare("", &old.written.shown, &new.written.shown, &mut found);
        if found.len() == before {
            found.push("a value from the environment or from a file".to_owned());
        }
    }
    if found.len() > MAX_DETAILS {
        let more = found.len() - MAX_DETAILS;
        found.truncate(MAX_DETAILS);
        found.push(format!("and {more} more"));
    }
    found
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if old == new || path == "type" {
        return;
    }
    if let (Value::Object(olds), Value::Object(news)) = (old, new) {
        let added = news.keys().filter(|key| !olds.contains_key(*key));
        for key in olds.keys().chain(added) {
            let path = pipeline_core::options::join(path, key);
            let side =
                |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or_default();
            compare(&path, &side(olds), &side(news), found);
        }
        return;
    }
    found.push(format!("{path} {} → {}", shown(old), shown(new)));
}

/// A value as a person is shown it: one line, cut.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "(default)".to_owned(),
        Value::String(text) if text.starts_with("(secret ") => "(secret)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => "(other values)".to_owned(),
        other => other.to_string(),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    if text.chars().count() <= MAX_SHOWN {
        return text;
    }
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fingerprint;
    use serde_json::json;

    fn written(shown: &Value, environment: &str) -> Written {
        Written {
            fingerprint: Fingerprint::of(&json!([shown, environment]), &[]),
            shown: shown.clone(),
        }
    }

    fn lines(old: (&Value, &str, &[&str]), new: (&Value, &str, &[&str])) -> Vec<String> {
        let inputs = |inputs: &[&str]| -> Vec<String> {
            inputs.iter().map(|input| (*input).to_owned()).collect()
        };
        let (old_inputs, new_inputs) = (inputs(old.2), inputs(new.2));
        let (old, new) = (written(old.0, old.1), written(new.0, new.1));
        let compared = |inputs, written| Compared {
            name: "meta",
            kind: "m",
            inputs,
            written,
        };
        differences(&compared(&old_inputs, &old), &compared(&new_inputs, &new))
    }

    #[test]
    fn options_that_differ_are_shown_and_secrets_are_not() {
        let old =
            json!({"preset": "retail", "access_token": "(secret 1)", "batch": {"max_events": 5}});
        let new = json!({"preset": "travel", "access_token": "(secret 2)", "batch": {"max_events": 6}, "x": [1]});
        assert_eq!(
            lines((&old, "", &["a"]), (&new, "", &["a", "b"])),
            [
                "inputs a → a b",
                "preset retail → travel",
                "access_token (secret) → (secret)",
                "batch.max_events 5 → 6",
                "x (default) → (other values)",
            ]
        );
        assert_eq!(
            lines((&old, "", &["a"]), (&old, "", &["a"])),
            [] as [&str; 0]
        );
        assert_eq!(
            lines((&old, "1", &["a"]), (&old, "2", &["a"])),
            ["a value from the environment or from a file"]
        );
        let many = json!({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": "x".repeat(99)});
        let found = lines((&json!({}), "", &[]), (&many, "", &[]));
        assert_eq!((found.len(), found[5].as_str()), (6, "and 2 more"));
    }

    #[test]
    fn a_change_reads_like_this() {
        let change = |step| Change {
            kind: Kind::Sink,
            name: "meta".to_owned(),
            step,
        };
        let options = vec!["preset retail → travel".to_owned()];
        let shown = [Step::Add, Step::Remove, Step::Change { options }]
            .map(|step| change(step).to_string());
        assert_eq!(
            shown,
            [
                "added sink meta",
                "removed sink meta",
                "reloaded sink meta: preset retail → travel"
            ]
        );
    }
}
