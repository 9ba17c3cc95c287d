//! Which sources, transforms and sinks are linked into this program.
//!
//! A plugin submits a [`Component`] for each of them with [`inventory`]. A crate that nothing names is not linked, and its
//! components are silently missing: a program's `main.rs` therefore says `use the_plugin as _;`.

use crate::options::{Problem, nearest};
use crate::{
    API_VERSION, BatchLimits, Clock, SinkConfig, SourceConfig, SystemClock, TransformConfig,
};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A source, transform or sink as its plugin presents it: `Component<dyn SinkConfig>` and so on.
///
/// ```
/// # use pipeline_core::*;
/// # use serde::Deserialize;
/// # #[derive(Debug, Deserialize, schemars::JsonSchema)]
/// # struct Options {}
/// # #[async_trait] impl SinkConfig for Options {
/// #     async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> { Err(BuildError::new("")) }
/// # }
/// inventory::submit! {
///     Component::<dyn SinkConfig>::sink::<Options>("my_sink", "Sends events somewhere.")
///         .version(env!("CARGO_PKG_VERSION"))
///         .batch_limits(BatchLimits::new(500, 1_000_000))
/// }
/// # fn main() { assert!(Registry::linked().unwrap().sink("my_sink").is_ok()); }
/// ```
pub struct Component<C: ?Sized + 'static> {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    api_version: u32,
    schema: fn() -> Schema,
    parse: Parse<C>,
    batch_limits: BatchLimits,
    presets: fn() -> Vec<PresetDescription>,
    reason_labels: &'static [(&'static str, &'static str)],
}

/// Reads options as written into a configuration, or reports every problem at once, with paths relative to the options.
pub type Parse<C> = fn(&Value, &ParseContext) -> Result<Box<C>, Vec<Problem>>;

inventory::collect!(Component<dyn SourceConfig>);
inventory::collect!(Component<dyn TransformConfig>);
inventory::collect!(Component<dyn SinkConfig>);

impl<C: ?Sized> Component<C> {
    /// A component whose options are read by a function of its own: `schema` describes them, `parse` reads them.
    ///
    /// `name` is the `type` that selects it in a pipeline file; `description` is one sentence for people.
    pub const fn new(
        name: &'static str,
        description: &'static str,
        schema: fn() -> Schema,
        parse: Parse<C>,
    ) -> Self {
        Self {
            name,
            version: "",
            description,
            api_version: API_VERSION,
            schema,
            parse,
            batch_limits: BatchLimits::new(usize::MAX, usize::MAX),
            presets: Vec::new,
            reason_labels: &[],
        }
    }

    /// The same component with the version of its plugin, usually `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub const fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// The same component, written for this version of the contract. A registry refuses any other than [`API_VERSION`].
    #[must_use]
    pub const fn written_for(mut self, api_version: u32) -> Self {
        self.api_version = api_version;
        self
    }

    /// The same component with presets for people to look at.
    #[must_use]
    pub const fn presets(mut self, presets: fn() -> Vec<PresetDescription>) -> Self {
        self.presets = presets;
        self
    }

    /// The same component with short labels of reasons, by their codes: for lists, where the code as words would not say it.
    #[must_use]
    pub const fn reason_labels(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.reason_labels = labels;
        self
    }

    /// The `type` that selects it in a pipeline file.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The version of its plugin.
    pub fn plugin_version(&self) -> &'static str {
        self.version
    }

    /// One sentence for people.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// The version of the contract that it was written for.
    pub fn api_version(&self) -> u32 {
        self.api_version
    }

    /// The JSON Schema of its options.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// Its presets.
    pub fn preset_descriptions(&self) -> Vec<PresetDescription> {
        (self.presets)()
    }

    /// Code and label of reasons whose code as words would not say it.
    pub fn labels_of_reasons(&self) -> &'static [(&'static str, &'static str)] {
        self.reason_labels
    }

    /// Reads its options. Opens nothing and reads no secret.
    ///
    /// # Errors
    ///
    /// Every problem, with paths relative to the options.
    pub fn parse(&self, options: &Value, cx: &ParseContext) -> Result<Box<C>, Vec<Problem>> {
        (self.parse)(options, cx)
    }
}

impl Component<dyn SourceConfig> {
    /// A source whose options are `T` as serde reads it.
    pub const fn source<T>(name: &'static str, description: &'static str) -> Self
    where
        T: SourceConfig + DeserializeOwned + JsonSchema + 'static,
    {
        Self::new(name, description, schema_of::<T>, |options, _| {
            Ok(Box::new(typed::<T>(options)?))
        })
    }
}

impl Component<dyn TransformConfig> {
    /// A transform whose options are `T` as serde reads it.
    pub const fn transform<T>(name: &'static str, description: &'static str) -> Self
    where
        T: TransformConfig + DeserializeOwned + JsonSchema + 'static,
    {
        Self::new(name, description, schema_of::<T>, |options, _| {
            Ok(Box::new(typed::<T>(options)?))
        })
    }
}

impl Component<dyn SinkConfig> {
    /// A sink whose options are `T` as serde reads it.
    pub const fn sink<T>(name: &'static str, description: &'static str) -> Self
    where
        T: SinkConfig + DeserializeOwned + JsonSchema + 'static,
    {
        Self::new(name, description, schema_of::<T>, |options, _| {
            Ok(Box::new(typed::<T>(options)?))
        })
    }

    /// The same sink with the largest batch that its destination takes, whatever the options.
    #[must_use]
    pub const fn batch_limits(mut self, limits: BatchLimits) -> Self {
        self.batch_limits = limits;
        self
    }

    /// The largest batch that its destination takes, whatever the options.
    pub fn max_batch(&self) -> BatchLimits {
        self.batch_limits
    }
}

fn schema_of<T: JsonSchema>() -> Schema {
    schemars::schema_for!(T)
}

/// Options as their type. A host checks them against the schema before, so what fails here is a difference between the two.
fn typed<T: DeserializeOwned>(options: &Value) -> Result<T, Vec<Problem>> {
    serde_json::from_value(options.clone()).map_err(|_| {
        let problem = "cannot be read as the options of this component";
        vec![Problem::new("", problem, "what its schema describes")]
    })
}

impl<C: ?Sized> fmt::Debug for Component<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What a plugin may know while it reads its options.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ParseContext {
    /// The component's name in the pipeline file; empty if it has no name.
    pub name: String,
    /// Relative paths in the options start here: the folder of the pipeline file.
    pub base_dir: PathBuf,
    /// Where a plugin reads the time, for what is no longer good from a certain day on.
    pub clock: Arc<dyn Clock>,
}

impl Default for ParseContext {
    /// Without a name, with the machine's clock.
    fn default() -> Self {
        Self::new("", "")
    }
}

impl ParseContext {
    /// A context of the component of this name, with relative paths starting at `base_dir`.
    pub fn new(name: impl Into<String>, base_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            base_dir: base_dir.into(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The same context with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// A preset, as shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresetDescription {
    /// The name that selects it.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// What it maps.
    pub rows: Vec<PresetRow>,
    /// Where it looks for the values of fields; empty where the sink does not say so.
    pub fields: Vec<PresetField>,
}

impl PresetDescription {
    /// A preset of this name.
    pub fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        description: impl Into<String>,
        rows: Vec<PresetRow>,
    ) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            description: description.into(),
            rows,
            fields: Vec::new(),
        }
    }

    /// The same preset, which looks for the values of these fields.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<PresetField>) -> Self {
        self.fields = fields;
        self
    }
}

/// Where a preset looks for the value of one field, over all its events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresetField {
    /// The destination's name for it: `custom_data.value`.
    pub name: String,
    /// The paths, in the order in which they are tried.
    pub paths: Vec<String>,
}

impl PresetField {
    /// A field that is looked for at these paths.
    pub fn new(name: impl Into<String>, paths: Vec<String>) -> Self {
        Self {
            name: name.into(),
            paths,
        }
    }
}

/// One line of a preset's table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresetRow {
    /// The names under which an event comes in, the first being the usual one.
    pub from: Vec<String>,
    /// The destination's name for it.
    pub to: String,
}

impl PresetRow {
    /// Events of these names become events of that name.
    pub fn new(from: Vec<String>, to: impl Into<String>) -> Self {
        Self {
            from,
            to: to.into(),
        }
    }
}

/// What kind of component is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A source.
    Source,
    /// A transform.
    Transform,
    /// A sink.
    Sink,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Transform => "transform",
            Self::Sink => "sink",
        })
    }
}

type Components<C> = Vec<&'static Component<C>>;

/// The linked components of each kind, by name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    sources: Components<dyn SourceConfig>,
    transforms: Components<dyn TransformConfig>,
    sinks: Components<dyn SinkConfig>,
}

impl Registry {
    /// The components linked into this program.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Duplicate`] when two plugins claim one name for one kind, [`RegistryError::ApiVersion`] when a
    /// component was written for another version of the contract.
    pub fn linked() -> Result<Self, RegistryError> {
        Self::of(
            inventory::iter::<Component<dyn SourceConfig>>,
            inventory::iter::<Component<dyn TransformConfig>>,
            inventory::iter::<Component<dyn SinkConfig>>,
        )
    }

    /// A registry of these components, each kind sorted by name.
    ///
    /// # Errors
    ///
    /// As [`linked`](Self::linked).
    pub fn of(
        sources: impl IntoIterator<Item = &'static Component<dyn SourceConfig>>,
        transforms: impl IntoIterator<Item = &'static Component<dyn TransformConfig>>,
        sinks: impl IntoIterator<Item = &'static Component<dyn SinkConfig>>,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            sources: checked(Kind::Source, sources)?,
            transforms: checked(Kind::Transform, transforms)?,
            sinks: checked(Kind::Sink, sinks)?,
        })
    }

    /// All sources, sorted by name.
    pub fn sources(&self) -> impl Iterator<Item = &'static Component<dyn SourceConfig>> {
        self.sources.iter().copied()
    }

    /// All transforms, sorted by name.
    pub fn transforms(&self) -> impl Iterator<Item = &'static Component<dyn TransformConfig>> {
        self.transforms.iter().copied()
    }

    /// All sinks, sorted by name.
    pub fn sinks(&self) -> impl Iterator<Item = &'static Component<dyn SinkConfig>> {
        self.sinks.iter().copied()
    }

    /// The source of this name.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Unknown`], which lists what is linked.
    pub fn source(
        &self,
        name: &str,
    ) -> Result<&'static Component<dyn SourceConfig>, RegistryError> {
        find(Kind::Source, &self.sources, name)
    }

    /// The transform of this name.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Unknown`], which lists what is linked.
    pub fn transform(
        &self,
        name: &str,
    ) -> Result<&'static Component<dyn TransformConfig>, RegistryError> {
        find(Kind::Transform, &self.transforms, name)
    }

    /// The sink of this name.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Unknown`], which lists what is linked.
    pub fn sink(&self, name: &str) -> Result<&'static Component<dyn SinkConfig>, RegistryError> {
        find(Kind::Sink, &self.sinks, name)
    }
}

fn checked<C: ?Sized>(
    kind: Kind,
    components: impl IntoIterator<Item = &'static Component<C>>,
) -> Result<Components<C>, RegistryError> {
    let mut components: Vec<_> = components.into_iter().collect();
    components.sort_by_key(|component| component.name);
    if let Some(pair) = components
        .windows(2)
        .find(|pair| pair[0].name == pair[1].name)
    {
        let name = pair[0].name;
        return Err(RegistryError::Duplicate { kind, name });
    }
    let other = components
        .iter()
        .find(|component| component.api_version != API_VERSION);
    match other {
        Some(component) => Err(RegistryError::ApiVersion {
            kind,
            name: component.name,
            found: component.api_version,
        }),
        None => Ok(components),
    }
}

fn find<C: ?Sized>(
    kind: Kind,
    components: &Components<C>,
    name: &str,
) -> Result<&'static Component<C>, RegistryError> {
    let names = || components.iter().map(|component| component.name);
    components
        .iter()
        .find(|component| component.name == name)
        .copied()
        .ok_or_else(|| RegistryError::Unknown {
            kind,
            known: names().collect(),
            nearest: nearest(name, names()),
        })
}

/// Why a component could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two plugins claim one name; the program must be linked anew.
    #[error("two linked plugins register a {kind} named `{name}`; link only one of them")]
    Duplicate {
        /// What kind of component.
        kind: Kind,
        /// The name that both claim.
        name: &'static str,
    },
    /// A plugin was written for another version of the contract; the program must be linked anew.
    #[error(
        "the {kind} `{name}` was written for version {found} of the plugin contract, and this program has version \
         {API_VERSION}; link a release of the plugin for version {API_VERSION}"
    )]
    ApiVersion {
        /// What kind of component.
        kind: Kind,
        /// The component.
        name: &'static str,
        /// The version that it was written for.
        found: u32,
    },
    /// No linked plugin has this name.
    #[error("no linked plugin registers a {kind} of this type; {}{}", list(known), hint(*nearest))]
    Unknown {
        /// What kind of component.
        kind: Kind,
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

    const fn component<C: ?Sized>(name: &'static str) -> Component<C> {
        Component::new(
            name,
            "",
            || schemars::json_schema!({}),
            |_, _| Err(Vec::new()),
        )
    }

    static ALPHA: Component<dyn SinkConfig> = component("alpha");
    static BETA: Component<dyn SinkConfig> = component("beta");
    static OTHER_ALPHA: Component<dyn SinkConfig> = component("alpha");
    static SOURCE_ALPHA: Component<dyn SourceConfig> = component("alpha");
    static OLD: Component<dyn TransformConfig> = component("old").written_for(API_VERSION - 1);

    #[test]
    fn components_are_listed_by_name() {
        let registry = Registry::of([], [], [&BETA, &ALPHA]).expect("no name twice");
        let names: Vec<_> = registry.sinks().map(Component::name).collect();
        assert_eq!(names, ["alpha", "beta"]);
    }

    #[test]
    fn a_name_that_two_plugins_claim_is_refused_per_kind() {
        let error = Registry::of([], [], [&ALPHA, &BETA, &OTHER_ALPHA]).expect_err("alpha twice");
        let (kind, name) = (Kind::Sink, "alpha");
        assert_eq!(error, RegistryError::Duplicate { kind, name });
        // A source and a sink may share a name.
        assert!(Registry::of([&SOURCE_ALPHA], [], [&ALPHA]).is_ok());
    }

    #[test]
    fn a_component_of_another_contract_is_refused_when_the_registry_is_read() {
        let error = Registry::of([], [&OLD], [])
            .expect_err("an old one")
            .to_string();
        assert_eq!(
            error,
            format!(
                "the transform `old` was written for version {} of the plugin contract, and this program has version \
                 {API_VERSION}; link a release of the plugin for version {API_VERSION}",
                API_VERSION - 1
            )
        );
    }

    #[test]
    fn an_unknown_type_lists_the_known_ones() {
        let registry = Registry::of([], [], [&ALPHA, &BETA]).expect("no name twice");
        let error = registry.sink("alhpa").expect_err("misspelt").to_string();
        assert_eq!(
            error,
            "no linked plugin registers a sink of this type; linked: `alpha`, `beta`; did you mean `alpha`?"
        );
        let error = registry.source("alpha").expect_err("no source").to_string();
        assert!(error.contains("as _;"), "{error}");
    }
}
