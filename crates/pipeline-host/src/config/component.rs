//! One component of a pipeline file: its options are split between host and plugin, checked, and read.
//!
//! Invariant: every problem of a component is reported, whichever side finds it.

use super::fingerprint::Fingerprint;
use super::plan::Written;
use super::schema;
use pipeline_core::options::{Problem, check, join};
use pipeline_core::{Component, Kind, ParseContext, RegistryError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// What a pipeline file says of one component.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    /// With variables expanded, as far as the schema of the host found it good.
    pub(super) options: &'a Value,
    /// With variables as they are in the file.
    pub(super) raw: &'a Value,
    pub(super) base_dir: &'a Path,
}

/// A component whose options were read on both sides.
pub(super) struct Parsed<H, C: ?Sized> {
    pub(super) host: Option<H>,
    pub(super) plugin: Option<Box<C>>,
    pub(super) problems: Vec<Problem>,
}

/// The section of the file in which components of this kind are.
pub(super) fn section_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Source => "sources",
        Kind::Transform => "transforms",
        _ => "sinks",
    }
}

impl Section<'_> {
    /// Its place in the file.
    pub(super) fn path(&self) -> String {
        join(section_of(self.kind), self.name)
    }

    /// The component that its `type` selects.
    pub(super) fn component<C: ?Sized>(
        &self,
        linked: impl Iterator<Item = &'static Component<C>>,
        find: impl Fn(&str) -> Result<&'static Component<C>, RegistryError>,
    ) -> Result<&'static Component<C>, Problem> {
        let kind = self.kind;
        let place = join(&self.path(), "type");
        let Some(name) = self.options["type"].as_str() else {
            return Err(Problem::new(place, "is missing", one_of(kind, linked)));
        };
        find(name).map_err(|error| {
            let RegistryError::Unknown { nearest, .. } = error else {
                let expected = format!("the type of a linked {kind}");
                return Problem::new(place, format!("cannot be used: {error}"), expected);
            };
            let hint = nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            Problem::new(place, format!("is not known{hint}"), one_of(kind, linked))
        })
    }

    /// Reads the options on both sides. `H` are the host's options of this kind of component.
    pub(super) fn parse<H, C>(&self, component: &Component<C>) -> Parsed<H, C>
    where
        H: DeserializeOwned + schemars::JsonSchema,
        C: ?Sized,
    {
        let checked = check(&schema::component::<H, C>(component), self.options);
        let mut problems = checked.problems;
        let host_keys = schema::host_keys::<H>();
        let options = checked.options.as_object().cloned().unwrap_or_default();
        let (host, plugin): (Map<_, _>, Map<_, _>) = options
            .into_iter()
            .partition(|(key, _)| host_keys.contains(key));
        let context = ParseContext::new(self.name, self.base_dir);
        let plugin = component
            .parse(&Value::Object(plugin), &context)
            .map_err(|found| problems.extend(found))
            .ok();
        Parsed {
            host: serde_json::from_value(Value::Object(host)).ok(),
            plugin,
            problems,
        }
    }

    /// What is kept of the options as they were written. `schema` tells which of them are secrets.
    pub(super) fn written(&self, schema: &Value, files: &[PathBuf]) -> Written {
        let mut options = self.options.clone();
        let mut shown = self.raw.clone();
        for value in [&mut options, &mut shown] {
            if let Some(map) = value.as_object_mut() {
                map.remove("inputs");
            }
        }
        mask_secrets(schema, &mut shown);
        Written {
            fingerprint: Fingerprint::of(&options, files),
            shown,
        }
    }
}

impl<H, C: ?Sized> Parsed<H, C> {
    /// Both sides, or every problem with its place in the file.
    pub(super) fn finish(self, path: &str) -> Result<(H, Box<C>), Vec<Problem>> {
        match (self.host, self.plugin) {
            (Some(host), Some(plugin)) if self.problems.is_empty() => Ok((host, plugin)),
            _ => {
                let problems = self.problems.into_iter();
                Err(problems.map(|problem| problem.within(path)).collect())
            }
        }
    }
}

/// The types of a kind that there are.
fn one_of<C: ?Sized + 'static>(
    kind: Kind,
    linked: impl Iterator<Item = &'static Component<C>>,
) -> String {
    let linked: Vec<_> = linked.map(Component::name).collect();
    if linked.is_empty() {
        return format!(
            "no {kind}, because this program has none; its `main.rs` links one with `use the_plugin as _;`"
        );
    }
    format!("the type of a linked {kind}: `{}`", linked.join("`, `"))
}

/// Takes secrets that are written into the file itself out of what a person is shown.
fn mask_secrets(schema: &Value, shown: &mut Value) {
    let Some(map) = shown.as_object_mut() else {
        return;
    };
    for (key, value) in map {
        let property = &schema["properties"][key.as_str()];
        if property["writeOnly"] == true {
            // Its digest, so that a change is seen.
            *value = Value::from(format!("(secret {:?})", Fingerprint::of(value, &[])));
        }
    }
}
