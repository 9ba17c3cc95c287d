//! Options as people write them ([`Options`]), and what the sink works with after checking them ([`Settings`]).
//!
//! Reading reports every problem at once, with its path.

mod advice;
mod endpoint;
mod options;

use crate::consent::ConsentCategory;
use crate::identity::{Alpha2, country_of};
use crate::mapping::Mapping;
use crate::mapping::advice as advice_on_mappings;
use crate::mapping::layers::Overrides;
use crate::mapping::plan::Rules;
use crate::mapping::value::{time_zone, time_zone_names};
use crate::payload::action_source::ActionSource;
use crate::preset::{self, Preset};
use crate::token;
use crate::validate;
use crate::way::{self, Way};
use jiff::tz::TimeZone;
use options::{ExternalId, LimitedDataUse, Options, PresetChoice, UnmappedEvents};
use pipeline_core::options::{Problem, check, is_placeholder, nearest};
use pipeline_core::{ParseContext, SensitiveString};
use schemars::Schema;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options that passed every check.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) mapping: Mapping,
    pub(crate) pixel_id: String,
    pub(crate) access_token: SensitiveString,
    /// The file that may get a newer token.
    pub(crate) access_token_file: Option<PathBuf>,
    /// The secret of the token's app, if it is to prove its calls.
    pub(crate) app_secret: Option<SensitiveString>,
    /// The file that may get a newer secret.
    pub(crate) app_secret_file: Option<PathBuf>,
    pub(crate) api_version: String,
    pub(crate) endpoint: String,
    /// How `endpoint` is reached.
    pub(crate) way: Way,
    pub(crate) test_event_code: Option<String>,
    pub(crate) partner_agent: Option<String>,
    pub(crate) timeout: Duration,
    /// The preset as the pipeline file names it: its name or its file.
    pub(crate) preset: String,
    /// The file of the preset, if it is the user's own.
    pub(crate) preset_file: Option<PathBuf>,
    /// What is perhaps not meant.
    pub(crate) notes: Vec<Problem>,
}

/// The JSON Schema of the options.
pub(crate) fn schema() -> Schema {
    let mut schema = schemars::schema_for!(Options);
    // Any name is good; editors complete Meta's own.
    let names = preset::FIELDS.standard_events.keys();
    let names: Vec<_> = names.cloned().chain(validate::messaging_events()).collect();
    let places = [
        "/$defs/EventMapping/anyOf/0",
        "/$defs/EventTable/properties/event_name",
    ];
    for place in places {
        if let Some(name) = schema
            .pointer_mut(place)
            .and_then(|name| name.as_object_mut())
        {
            name.insert("examples".to_owned(), serde_json::json!(names));
        }
    }
    schema
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
    let checked = check(schema().as_value(), written);
    let mut problems = checked.problems;
    let options: Options = serde_json::from_value(checked.options).map_err(|_| {
        // The check makes sure that this succeeds. If it fails nevertheless, the check's problems are the best explanation.
        std::mem::take(&mut problems)
    })?;
    let settings = options.settle(cx, &mut problems);
    problems.sort();
    problems.dedup();
    // An error says enough of its place.
    let errors: Vec<_> = problems
        .iter()
        .filter(|it| it.is_error())
        .map(|it| it.path.clone())
        .collect();
    problems.retain(|it| it.is_error() || !errors.contains(&it.path));
    match settings {
        Some(settings) if !problems.iter().any(Problem::is_error) => Ok(Settings {
            notes: problems,
            ..settings
        }),
        _ => Err(problems),
    }
}

impl Options {
    /// Checks what a schema cannot express. Adds to `problems`; `None` only if there are errors among them.
    fn settle(self, cx: &ParseContext, problems: &mut Vec<Problem>) -> Option<Settings> {
        self.check_delivery(problems);
        problems.extend(advice::notes(&self, cx.clock.now_ms()));
        self.check_limited_data_use(problems);
        let mut report = |path: &str, problem: &str, expected: &str| {
            problems.push(Problem::new(path, problem, expected));
        };
        let default_currency = self.default_currency.as_deref().and_then(|written| {
            let found = iso_currency::Currency::from_code(&written.to_ascii_uppercase());
            if found.is_none() {
                report(
                    "default_currency",
                    "is not an ISO 4217 code",
                    "three letters such as `EUR`",
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
        let time_zone = self.time_zone.as_deref().and_then(|written| {
            let zone = time_zone(written);
            if zone.is_none() {
                let names = time_zone_names();
                let near = nearest(written, names.iter().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let expected = "a name of the IANA database such as `Europe/Berlin`, or an offset such as `+09:00`";
                report("time_zone", &format!("is not a time zone{hint}"), expected);
            }
            zone
        });
        let way = self.way(&cx.base_dir, problems);
        let access_token = self.token(&cx.base_dir, problems);
        let app_secret = self.app_secret(&cx.base_dir, problems);
        let mapping = self.mapping(cx, default_currency, default_country, time_zone, problems);
        Some(Settings {
            preset: match &self.preset {
                PresetChoice::File { file } => file.display().to_string(),
                PresetChoice::Name(name) => name.clone(),
            },
            preset_file: match &self.preset {
                PresetChoice::File { file } => Some(cx.base_dir.join(file)),
                PresetChoice::Name(_) => None,
            },
            mapping: mapping?,
            pixel_id: self.pixel_id,
            access_token: access_token?,
            access_token_file: self.access_token_file.map(|file| cx.base_dir.join(file)),
            app_secret,
            app_secret_file: self.app_secret_file.map(|file| cx.base_dir.join(file)),
            api_version: self.api_version,
            endpoint: self.endpoint.trim_end_matches('/').to_owned(),
            way,
            test_event_code: self.test_event_code,
            partner_agent: self.partner_agent,
            timeout: Duration::from_secs(self.timeout_secs),
            notes: Vec::new(),
        })
    }

    fn check_limited_data_use(&self, problems: &mut Vec<Problem>) {
        if let Some(LimitedDataUse { country, state }) = self.limited_data_use
            && !matches!((country, state), (0, 0) | (1, 1000..=1013))
        {
            let expected = "country 0 and state 0, or country 1 and a state from 1000 to 1013";
            let problem = "is not a documented place";
            problems.push(Problem::new("limited_data_use", problem, expected));
        }
    }

    /// Checks the options that say where events go.
    fn check_delivery(&self, problems: &mut Vec<Problem>) {
        let mut report = |path: &str, problem: &str, expected: &str| {
            problems.push(Problem::new(path, problem, expected));
        };
        if is_placeholder(&self.pixel_id) {
            let expected = "the id in digits, or `${NAME}` for an environment variable";
            report("pixel_id", "is a variable that is not filled in", expected);
        } else if !self.pixel_id.bytes().all(|b| b.is_ascii_digit()) {
            report(
                "pixel_id",
                "has characters other than digits",
                "the id as Events Manager shows it",
            );
        }
        if !endpoint::is_version(&self.api_version) {
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
        if let Some(agent) = &self.partner_agent
            && !is_partner_agent(agent)
        {
            let expected =
                "letters, digits, `_`, `-` and `.`, two of them letters, such as `acme_1_0`";
            report("partner_agent", "is not a platform's name", expected);
        }
        if let Some(problem) = endpoint::problem(&self.endpoint, self.allow_plain_http) {
            report(
                "endpoint",
                problem,
                "`https://graph.facebook.com`, or http on loopback, and nothing behind the host and port",
            );
        }
    }

    /// Reads the options that say how `endpoint` is reached.
    fn way(&self, base_dir: &Path, problems: &mut Vec<Problem>) -> Way {
        let mut report = |path: &str, problem: &str, expected: &str| {
            problems.push(Problem::new(path, problem, expected));
        };
        if let Some(proxy) = self.proxy.as_ref().filter(|proxy| !proxy.is_empty())
            && way::proxy_url(proxy.expose()).is_none()
        {
            let expected = "http, https, socks5 or socks5h, a host and a port, such as `http://proxy.example:3128`";
            report("proxy", "is not a proxy's address", expected);
        }
        let authorities = self.ca_file.as_ref().map(|file| {
            way::authorities(&base_dir.join(file)).unwrap_or_else(|problem| {
                let expected = "a readable file with certificates in PEM";
                report("ca_file", &problem.to_string(), expected);
                Vec::new()
            })
        });
        let identity = self.client_cert_file.as_ref().and_then(|file| {
            let read = way::identity(&base_dir.join(file));
            read.map_err(|problem| {
                let expected = "a readable file with a certificate and its private key in PEM";
                report("client_cert_file", &problem.to_string(), expected);
            })
            .ok()
        });
        Way {
            proxy: self.proxy.clone(),
            authorities: authorities.unwrap_or_default(),
            identity,
        }
    }

    /// The secret of the token's app, if one is given and can be used.
    fn app_secret(&self, base_dir: &Path, problems: &mut Vec<Problem>) -> Option<SensitiveString> {
        let (path, secret) = match (&self.app_secret_file, self.app_secret.is_empty()) {
            (Some(_), false) => {
                let problem = "is given beside `app_secret`";
                problems.push(Problem::new("app_secret_file", problem, "one of the two"));
                return None;
            }
            (None, true) => return None,
            (None, false) => ("app_secret", token::check(self.app_secret.clone())),
            (Some(file), true) => ("app_secret_file", token::read(&base_dir.join(file))),
        };
        let report = |problem: token::TokenProblem| {
            let text = problem.to_string().replace("token", "secret");
            let expected = problem.expected().replace("token", "secret");
            problems.push(Problem::new(path, text, expected));
        };
        secret.map_err(report).ok()
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
        time_zone: Option<TimeZone>,
        problems: &mut Vec<Problem>,
    ) -> Option<Mapping> {
        let preset: Cow<'_, Preset> = match &self.preset {
            // The check has reported an unknown name; the mappings are still checked.
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
            sends_unmapped: self.unmapped_events == UnmappedEvents::Custom,
        };
        let mut advice = advice_on_mappings::of_overrides(&overrides, &preset);
        if let PresetChoice::File { .. } = &self.preset {
            advice.extend(advice_on_mappings::of_preset(&preset));
        }
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
            time_zone,
            rejects_unmapped: self.unmapped_events == UnmappedEvents::DeadLetter,
        };
        let mapping = Mapping::compile(
            &preset,
            &overrides,
            &categories,
            &self.consent,
            &self.integration_names,
            rules,
        );
        let mapping = mapping.map_err(|mut found| {
            // Where there is advice on a mistake, it is the more exact answer.
            found.retain(|one| !advice.iter().any(|it| it.is_error() && it.path == one.path));
            problems.extend(found);
        });
        problems.extend(advice);
        mapping.ok()
    }
}

/// Whether a text can name a platform in `partner_agent`.
fn is_partner_agent(text: &str) -> bool {
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    letters >= 2 && text.bytes().all(is_plain)
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
