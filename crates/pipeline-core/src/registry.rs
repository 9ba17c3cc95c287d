//! Which sinks are linked into this program.
//!
//! A plugin submits its [`SinkDescription`] with `inventory`. A crate that nothing names is not linked, and its
//! description silently missing: a host's `main.rs` therefore says `use the_plugin as _;`.

use crate::options::{Problem, nearest};
use crate::{BatchLimits, SinkConfig};
use std::path::PathBuf;

/// A sink as its plugin presents it.
#[derive(Debug, Clone, Copy)]
pub struct SinkDescription {
    /// The `type` that selects it in a pipeline file.
    pub name: &'static str,
    /// The plugin's version.
    pub version: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// The JSON Schema of its options.
    pub schema: fn() -> schemars::Schema,
    /// Reads its options.
    pub parse: ParseSink,
    /// The largest batch the destination takes, whatever the options.
    pub batch_limits: BatchLimits,
    /// The presets it comes with, for people to look at.
    pub presets: fn() -> Vec<PresetDescription>,
}

/// Reads options as written into a configuration, or reports every problem at once.
pub type ParseSink =
    fn(&serde_json::Value, &ParseContext) -> Result<Box<dyn SinkConfig>, Vec<Problem>>;

inventory::collect!(SinkDescription);

/// What a plugin may know while it reads its options.
#[derive(Debug, Clone, Default)]
pub struct ParseContext {
    /// Relative paths in the options start here: the folder of the pipeline file.
    pub base_dir: PathBuf,
}

/// A preset, as shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresetDescription {
    /// The name that selects it.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// What it maps.
    pub rows: Vec<PresetRow>,
}

/// One line of a preset's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresetRow {
    /// The names under which an event comes in, the first being the usual one.
    pub from: Vec<String>,
    /// The destination's name for it.
    pub to: String,
}

/// The linked sinks, by name.
#[derive(Debug, Clone)]
pub struct Registry {
    sinks: Vec<&'static SinkDescription>,
}

impl Registry {
    /// The sinks linked into this program.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Duplicate`] when two plugins claim one name.
    pub fn linked() -> Result<Self, RegistryError> {
        Self::of(inventory::iter::<SinkDescription>)
    }

    /// A registry of these sinks, sorted by name.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Duplicate`] when two descriptions share one name.
    pub fn of(
        sinks: impl IntoIterator<Item = &'static SinkDescription>,
    ) -> Result<Self, RegistryError> {
        let mut sinks: Vec<_> = sinks.into_iter().collect();
        sinks.sort_by_key(|sink| sink.name);
        match sinks.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(RegistryError::Duplicate { name: pair[0].name }),
            None => Ok(Self { sinks }),
        }
    }

    /// All sinks, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static SinkDescription> {
        self.sinks.iter().copied()
    }

    /// The sink of this name.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Unknown`], which lists what is linked.
    pub fn find(&self, name: &str) -> Result<&'static SinkDescription, RegistryError> {
        self.iter()
            .find(|sink| sink.name == name)
            .ok_or_else(|| RegistryError::Unknown {
                known: self.iter().map(|sink| sink.name).collect(),
                nearest: nearest(name, self.iter().map(|sink| sink.name)),
            })
    }
}

/// Why a sink could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two plugins claim one name; the program must be linked anew.
    #[error("two linked plugins register a sink named `{name}`; link only one of them")]
    Duplicate {
        /// The name both claim.
        name: &'static str,
    },
    /// No linked plugin has this name.
    #[error("no linked plugin registers a sink of this type; {}{}", list(known), hint(*nearest))]
    Unknown {
        /// What is linked.
        known: Vec<&'static str>,
        /// The known name closest to the one asked for.
        nearest: Option<&'static str>,
    },
}

fn list(known: &[&str]) -> String {
    if known.is_empty() {
        return "none is linked: name the plugin's crate in `main.rs` (`use the_plugin as _;`)"
            .to_owned();
    }
    format!("linked: `{}`", known.join("`, `"))
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn description(name: &'static str) -> SinkDescription {
        SinkDescription {
            name,
            version: "0.0.0",
            description: "",
            schema: || schemars::json_schema!({}),
            parse: |_, _| Err(Vec::new()),
            batch_limits: BatchLimits {
                max_events: 1,
                max_bytes: 1,
            },
            presets: Vec::new,
        }
    }

    static ALPHA: SinkDescription = description("alpha");
    static BETA: SinkDescription = description("beta");
    static OTHER_ALPHA: SinkDescription = description("alpha");

    #[test]
    fn sinks_are_listed_by_name() {
        let registry = Registry::of([&BETA, &ALPHA]).expect("no name twice");
        let names: Vec<_> = registry.iter().map(|sink| sink.name).collect();
        assert_eq!(names, ["alpha", "beta"]);
    }

    #[test]
    fn a_name_that_two_plugins_claim_is_refused() {
        let error = Registry::of([&ALPHA, &BETA, &OTHER_ALPHA]).expect_err("alpha twice");
        assert_eq!(error, RegistryError::Duplicate { name: "alpha" });
    }

    #[test]
    fn an_unknown_type_lists_the_known_ones() {
        let registry = Registry::of([&ALPHA, &BETA]).expect("no name twice");
        let error = registry.find("alhpa").expect_err("misspelt").to_string();
        assert_eq!(
            error,
            "no linked plugin registers a sink of this type; linked: `alpha`, `beta`; did you mean `alpha`?"
        );
        let empty = Registry::of([]).expect("nothing").find("alpha");
        assert!(empty.expect_err("nothing").to_string().contains("as _;"));
    }
}
