//! Options as people write them ([`Options`]), and what the sink works with once they are found good ([`Settings`]).
//!
//! Reading reports every problem at once, with its path. The doc comments of [`Options`] are the manual: the JSON
//! Schema, and every form that is drawn from it, is made from them.

use crate::consent::{ConsentCategory, ConsentOptions};
use crate::field_mapping::{EventMapping, FieldMappings};
use crate::identity::{Alpha2, country_of};
use crate::mapping::Mapping;
use crate::mapping::layers::Overrides;
use crate::mapping::plan::Rules;
use crate::payload::action_source::ActionSource;
use crate::preset::{self, Preset};
use crate::token;
use pipeline_core::options::{self, Problem};
use pipeline_core::{ParseContext, SensitiveString};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Delivers events to Meta's Conversions API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "meta_conversions", transform = require)]
pub(crate) struct Options {
    /// What maps events to Meta's: the name of a preset, or `{ file: PATH }` for one of your own. Example: `retail`.
    preset: PresetChoice,
    /// The pixel (or dataset) that receives the events: its id in digits, as Events Manager shows it. Example: `"1234567890123456"`.
    #[schemars(length(min = 1, max = 24))]
    pixel_id: String,
    /// The Conversions API access token, usually from the environment (no default; this or `access_token_file`). Example: `"${META_ACCESS_TOKEN}"`.
    access_token: SensitiveString,
    /// A file that holds the access token alone; when it changes, the new token is used without a restart (no default; this or `access_token`). Example: `/run/secrets/meta`.
    access_token_file: Option<PathBuf>,
    /// The version of the Graph API (default: `v25.0`). Example: `v26.0`.
    api_version: String,
    /// Where events take place that do not say so themselves (default: `website`). Example: `physical_store`.
    #[schemars(schema_with = "action_source_schema")]
    action_source: String,
    /// Shows the events under Test Events in Events Manager; they count all the same, so remove it in production (no default). Example: `TEST12345`.
    #[schemars(length(max = 64))]
    test_event_code: Option<String>,
    /// The consent categories that an event needs, all of them (default: what the preset says, `[marketing]`). Example: `[marketing, analytics]`.
    consent_categories: Option<Vec<ConsentCategory>>,
    /// How consent is read (default: an event that says nothing is dropped). Example: `{ when_absent: allow }`.
    consent: ConsentOptions,
    /// What happens to events that the preset does not map: `drop`, or `custom` to send them under their own names (default: `drop`). Example: `custom`.
    unmapped_events: UnmappedEvents,
    /// Event mappings laid over the preset's, by event name: Meta's name, a table, or `null` to drop one (default: none). Example: `{ Quote Requested: Lead }`.
    event_mappings: BTreeMap<String, Option<EventMapping>>,
    /// Field mappings laid over the preset's, by Meta parameter: a path, a list of paths, a table, or `null` to drop one (default: none). Example: `{ custom_data.order_id: properties.cart_id }`.
    field_mappings: FieldMappings,
    /// The ISO 4217 currency of amounts that come without one (no default). Example: `EUR`.
    #[schemars(length(min = 3, max = 3))]
    default_currency: Option<String>,
    /// The country of national phone numbers whose event names no country, ISO 3166-1 alpha-2 (no default). Example: `DE`.
    default_country: Option<String>,
    /// Whether external ids are sent hashed or as they are: `hash` or `raw`, the same as on every other channel (default: `hash`). Example: `raw`.
    external_id: ExternalId,
    /// Whether a visitor without an `_fbp` cookie gets a browser id made from the anonymous id (default: `true`). Example: `false`.
    generate_fbp: bool,
    /// Limited data use for every event that does not say so itself; country and state 0 let Meta find out (no default). Example: `{ country: 1, state: 1000 }`.
    limited_data_use: Option<LimitedDataUse>,
    /// Where the Graph API is (default: `https://graph.facebook.com`); plain http is for loopback addresses. Example: `http://127.0.0.1:8917`.
    endpoint: String,
    /// Whether `endpoint` may be plain http beyond this machine, token and all (default: `false`). Example: `true`.
    allow_plain_http: bool,
    /// How long one request may take, in seconds (default: 30). Example: `10`.
    #[schemars(range(min = 1, max = 300))]
    timeout_secs: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preset: PresetChoice::Name(String::new()),
            pixel_id: String::new(),
            access_token: SensitiveString::default(),
            access_token_file: None,
            api_version: "v25.0".to_owned(),
            action_source: "website".to_owned(),
            test_event_code: None,
            consent_categories: None,
            consent: ConsentOptions::default(),
            unmapped_events: UnmappedEvents::Drop,
            event_mappings: BTreeMap::new(),
            field_mappings: FieldMappings::new(),
            default_currency: None,
            default_country: None,
            external_id: ExternalId::Hash,
            generate_fbp: true,
            limited_data_use: None,
            endpoint: "https://graph.facebook.com".to_owned(),
            allow_plain_http: false,
            timeout_secs: 30,
        }
    }
}

/// The options without which there is no sink. Reading gives them empty defaults, so that one that is missing does not
/// hide the problems of the others; the schema must not show those defaults.
fn require(schema: &mut Schema) {
    const REQUIRED: [&str; 2] = ["preset", "pixel_id"];
    for name in REQUIRED {
        if let Some(property) = schema.pointer_mut(&format!("/properties/{name}"))
            && let Some(property) = property.as_object_mut()
        {
            property.remove("default");
        }
    }
    schema.insert("required".to_owned(), serde_json::json!(REQUIRED));
}

/// The name of a preset, or a file with one.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum PresetChoice {
    Name(String),
    File { file: PathBuf },
}

impl JsonSchema for PresetChoice {
    fn schema_name() -> Cow<'static, str> {
        "PresetChoice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = preset::shipped().iter().map(|p| &p.name).collect();
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": names },
                {
                    "type": "object",
                    "properties": { "file": {
                        "type": "string",
                        "minLength": 1,
                        "description": "A preset of your own, in the form of schema/preset.schema.json; relative paths start at the pipeline file. Example: `my-preset.json`."
                    }},
                    "required": ["file"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

fn action_source_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ActionSource::WORDS })
}

/// What happens to events without a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum UnmappedEvents {
    /// They are filtered.
    Drop,
    /// They are sent under their own names.
    Custom,
}

/// The form of external ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ExternalId {
    /// White space removed, lower case, SHA-256.
    Hash,
    /// As they are.
    Raw,
}

/// Limited data use, by place.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LimitedDataUse {
    /// 1 for the United States, 0 to let Meta find out (default: 0). Example: `1`.
    #[schemars(range(min = 0, max = 1))]
    country: u64,
    /// Meta's code of the state, 1000 (California) to 1013, or 0 to let Meta find out (default: 0). Example: `1000`.
    #[schemars(range(min = 0, max = 1013))]
    state: u64,
}

/// Options that have been found good.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) mapping: Mapping,
    pub(crate) pixel_id: String,
    pub(crate) access_token: SensitiveString,
    /// Where a newer token may be.
    pub(crate) access_token_file: Option<PathBuf>,
    pub(crate) api_version: String,
    pub(crate) endpoint: String,
    pub(crate) test_event_code: Option<String>,
    pub(crate) timeout: Duration,
    /// The preset's file, where it is the user's own.
    pub(crate) preset_file: Option<PathBuf>,
}

/// The JSON Schema of the options.
pub(crate) fn schema() -> Schema {
    schemars::schema_for!(Options)
}

/// Reads options.
///
/// # Errors
///
/// Every problem, each with its path.
pub(crate) fn parse(
    written: &serde_json::Value,
    cx: &ParseContext,
) -> Result<Settings, Vec<Problem>> {
    let checked = options::check(schema().as_value(), written);
    let mut problems = checked.problems;
    let options: Options = serde_json::from_value(checked.options).map_err(|_| {
        // The check has seen to it that this cannot fail; if it does, its problems are the best explanation.
        std::mem::take(&mut problems)
    })?;
    match options.settle(cx, &mut problems) {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => {
            problems.sort();
            problems.dedup();
            Err(problems)
        }
    }
}

impl Options {
    /// Checks what a schema cannot say. Adds to `problems`; `None` only where there are some.
    fn settle(self, cx: &ParseContext, problems: &mut Vec<Problem>) -> Option<Settings> {
        self.check_delivery(problems);
        let mut report = |path: &str, problem: &str, expected: &str| {
            problems.push(Problem::new(path, problem, expected));
        };
        let default_currency = self.default_currency.as_deref().and_then(|written| {
            let found = iso_currency::Currency::from_code(&written.to_ascii_uppercase());
            if found.is_none() {
                report(
                    "default_currency",
                    "is not a currency",
                    "an ISO 4217 code such as `EUR`",
                );
            }
            found.map(|currency| currency.code())
        });
        let default_country = self.default_country.as_deref().and_then(|written| {
            let found = country_of(written);
            if found.is_none() {
                report(
                    "default_country",
                    "is not a country",
                    "an ISO 3166-1 code such as `DE`",
                );
            }
            found
        });
        if let Some(LimitedDataUse { country, state }) = self.limited_data_use
            && !matches!((country, state), (0, 0) | (1, 1000..=1013))
        {
            let expected = "country 0 and state 0, or country 1 and a state from 1000 to 1013";
            report("limited_data_use", "is no documented place", expected);
        }
        let access_token = self.token(&cx.base_dir, problems);
        let mapping = self.mapping(cx, default_currency, default_country, problems);
        Some(Settings {
            preset_file: match &self.preset {
                PresetChoice::File { file } => Some(cx.base_dir.join(file)),
                PresetChoice::Name(_) => None,
            },
            mapping: mapping?,
            pixel_id: self.pixel_id,
            access_token: access_token?,
            access_token_file: self.access_token_file.map(|file| cx.base_dir.join(file)),
            api_version: self.api_version,
            endpoint: self.endpoint.trim_end_matches('/').to_owned(),
            test_event_code: self.test_event_code,
            timeout: Duration::from_secs(self.timeout_secs),
        })
    }

    /// Checks the options that say where events go.
    fn check_delivery(&self, problems: &mut Vec<Problem>) {
        let mut report = |path: &str, problem: &str, expected: &str| {
            problems.push(Problem::new(path, problem, expected));
        };
        if !self.pixel_id.bytes().all(|b| b.is_ascii_digit()) {
            report(
                "pixel_id",
                "is not made of digits",
                "the id as Events Manager shows it",
            );
        }
        if !is_version(&self.api_version) {
            report(
                "api_version",
                "is not a version",
                "a version such as `v25.0`",
            );
        }
        if let Some(code) = &self.test_event_code
            && (code.is_empty() || !code.bytes().all(|b| b.is_ascii_alphanumeric()))
        {
            let expected = "letters and digits, as Events Manager shows it";
            report("test_event_code", "is not a test event code", expected);
        }
        if let Some(problem) = endpoint_problem(&self.endpoint, self.allow_plain_http) {
            report(
                "endpoint",
                problem,
                "`https://graph.facebook.com`, or http on loopback",
            );
        }
    }

    fn token(&self, base_dir: &Path, problems: &mut Vec<Problem>) -> Option<SensitiveString> {
        let mut report = |path: &str, problem: String, expected: &str| {
            problems.push(Problem::new(path, problem, expected));
            None
        };
        let (path, token) = match (&self.access_token_file, self.access_token.is_empty()) {
            (Some(_), false) => {
                let problem = "is given beside `access_token`".to_owned();
                return report("access_token_file", problem, "one of the two");
            }
            (None, true) => {
                let expected = "the token from Events Manager, or `access_token_file`";
                return report("access_token", "is missing".to_owned(), expected);
            }
            (None, false) => ("access_token", token::check(self.access_token.clone())),
            (Some(file), true) => ("access_token_file", token::read(&base_dir.join(file))),
        };
        token.map_or_else(
            |problem| report(path, problem.to_string(), problem.expected()),
            Some,
        )
    }

    fn mapping(
        &self,
        cx: &ParseContext,
        default_currency: Option<&'static str>,
        default_country: Option<Alpha2>,
        problems: &mut Vec<Problem>,
    ) -> Option<Mapping> {
        let preset: Cow<'_, Preset> = match &self.preset {
            // An unknown name is a problem that has been reported; those of the mappings are still to be found.
            PresetChoice::Name(name) => {
                preset::named(name).map_or_else(|| Cow::Owned(Preset::unknown()), Cow::Borrowed)
            }
            PresetChoice::File { file } => match preset::read(&cx.base_dir.join(file)) {
                Ok(preset) => Cow::Owned(preset),
                Err(found) => {
                    problems.extend(found.into_iter().map(|problem| problem.within("preset")));
                    return None;
                }
            },
        };
        let categories = match &self.consent_categories {
            Some(categories) => categories.clone(),
            None => preset_categories(&preset, problems)?,
        };
        let overrides = Overrides {
            event_mappings: Some(&self.event_mappings),
            field_mappings: Some(&self.field_mappings),
            unmapped_events: self.unmapped_events == UnmappedEvents::Custom,
        };
        let rules = Rules {
            pixel_id: self.pixel_id.as_str().into(),
            action_source: ActionSource::named(&self.action_source)?,
            default_currency,
            default_country,
            hash_external_id: self.external_id == ExternalId::Hash,
            generate_fbp: self.generate_fbp,
            limited_data_use: self
                .limited_data_use
                .map(|place| (place.country, place.state)),
        };
        Mapping::compile(&preset, &overrides, &categories, &self.consent, rules)
            .map_err(|found| problems.extend(found))
            .ok()
    }
}

fn preset_categories(preset: &Preset, problems: &mut Vec<Problem>) -> Option<Vec<ConsentCategory>> {
    let written = serde_json::Value::from(preset.consent_categories.clone());
    let categories = serde_json::from_value(written).ok();
    if categories.is_none() {
        problems.push(Problem::new(
            "preset",
            "names a consent category that is not known",
            "essential, functional, analytics, marketing, advertising or personalization",
        ));
    }
    categories
}

fn is_version(text: &str) -> bool {
    let digits = |part: &str| {
        !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit())
    };
    text.strip_prefix('v')
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// What is wrong with an endpoint, if anything.
fn endpoint_problem(endpoint: &str, allow_plain_http: bool) -> Option<&'static str> {
    let Ok(url) = reqwest::Url::parse(endpoint) else {
        return Some("is not a URL");
    };
    let has_more = url.query().is_some() || url.fragment().is_some();
    if has_more || !url.username().is_empty() || url.password().is_some() {
        return Some("has more than a scheme, a host and a path");
    }
    let is_loopback = match url.host_str() {
        None => return Some("has no host"),
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
    };
    match url.scheme() {
        "https" => None,
        "http" if is_loopback || allow_plain_http => None,
        "http" => Some(
            "is plain http, which would send the token in the clear (`allow_plain_http: true` if you must)",
        ),
        _ => Some("is neither https nor http"),
    }
}
