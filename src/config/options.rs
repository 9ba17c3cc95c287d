//! Options as people write them.
//!
//! The doc comments of [`Options`] are the manual: the JSON Schema, and every form that is drawn from it, quotes them.

use crate::consent::{ConsentCategory, ConsentOptions};
use crate::field_mapping::{self, EventMapping, FieldMappings};
use crate::integrations;
use crate::payload::action_source::ActionSource;
use crate::preset;
use pipeline_core::SensitiveString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Delivers events to Meta's Conversions API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "meta_conversions", transform = require)]
pub(super) struct Options {
    /// How events are mapped to Meta's: the name of a preset, or `{ file: PATH }` for a preset of your own. Example: `retail`.
    pub(super) preset: PresetChoice,
    /// The pixel (or dataset) that receives the events: its id in digits, as Events Manager shows it. Example: `"1234567890123456"`.
    #[schemars(length(min = 1, max = 24), extend("pattern" = "^[0-9]+$"))]
    pub(super) pixel_id: String,
    /// The access token for the Conversions API, usually from an environment variable (no default; give this or `access_token_file`). Example: `"${META_ACCESS_TOKEN}"`.
    pub(super) access_token: SensitiveString,
    /// A file that contains only the access token; when it changes, the new token is used without a restart (no default; give this or `access_token`). Example: `/run/secrets/meta`.
    pub(super) access_token_file: Option<PathBuf>,
    /// The secret of the app that the access token belongs to, for apps that require `appsecret_proof` with every call (no default). Example: `"${META_APP_SECRET}"`.
    pub(super) app_secret: SensitiveString,
    /// A file that contains only the app's secret; when it changes, the new secret is used without a restart (no default). Example: `/run/secrets/meta-app`.
    pub(super) app_secret_file: Option<PathBuf>,
    /// The version of the Graph API (default: `v25.0`). Example: `v26.0`.
    #[schemars(extend("pattern" = "^v[0-9]+\\.[0-9]+$"))]
    pub(super) api_version: String,
    /// Where events took place that do not say so themselves; where this is `website` or `app`, the event's channel, page, library or device decide between these two (default: `website`). Example: `physical_store`.
    #[schemars(schema_with = "action_source_schema")]
    pub(super) action_source: String,
    /// Shows the events under Test Events in Events Manager; Meta still counts them as real events, so remove it in production (no default). Example: `TEST12345`.
    #[schemars(length(max = 64))]
    pub(super) test_event_code: Option<String>,
    /// The platform that sends the events, as agreed with Meta, for partners of Meta only: fewer than 23 characters, at least two of them letters (no default). Example: `acme_1_0`.
    #[schemars(length(min = 2, max = 22))]
    pub(super) partner_agent: Option<String>,
    /// The consent categories that must all be granted for an event to be sent (default: those of the preset, `[marketing]`). Example: `[marketing, analytics]`.
    pub(super) consent_categories: Option<Vec<ConsentCategory>>,
    /// How consent is read (default: an event without consent information is dropped). Example: `{ when_absent: allow }`.
    pub(super) consent: ConsentOptions,
    /// The names that mean this sink in the `integrations` object of events, with which senders switch destinations on and off (default: the names under which Segment and RudderStack know Meta's Conversions API and pixel). Example: `[Facebook Conversions API (Actions)]`.
    pub(super) integration_names: Vec<String>,
    /// What happens to events that the preset does not map: `drop`, `custom` to send them under their own names, or `dead_letter` to keep a dead letter of each, with its name and place but without the event itself, so that it cannot be replayed; when the dead letters are full, the sink waits (default: `drop`). Example: `custom`.
    pub(super) unmapped_events: UnmappedEvents,
    /// Event mappings that override the preset's, by event name: Meta's name, a table, or `null` to drop the event (default: none). Example: `{ Quote Requested: Lead }`.
    pub(super) event_mappings: BTreeMap<String, Option<EventMapping>>,
    /// Field mappings that override the preset's, by Meta parameter: a path, a list of paths, a table, or `null` to drop the parameter (default: none). Example: `{ custom_data.order_id: properties.cart_id }`.
    #[schemars(schema_with = "field_mapping::mappings_schema")]
    pub(super) field_mappings: FieldMappings,
    /// The ISO 4217 currency of amounts without a currency (no default). Example: `EUR`.
    #[schemars(extend("pattern" = "^[A-Za-z]{3}$"))]
    pub(super) default_currency: Option<String>,
    /// The country of national phone numbers in events without a country, ISO 3166-1 alpha-2 (no default). Example: `DE`.
    pub(super) default_country: Option<String>,
    /// The time zone of times without an offset: a name of the IANA database or an offset (default: UTC). Example: `Europe/Berlin`.
    #[schemars(length(min = 1, max = 64))]
    pub(super) time_zone: Option<String>,
    /// Whether external ids are sent hashed or as they are: `hash` or `raw`; use the same on every channel (default: `hash`). Example: `raw`.
    pub(super) external_id: ExternalId,
    /// Whether a visitor of a website without an `_fbp` cookie gets a browser id that is made from the anonymous id (default: `true`). Example: `false`.
    pub(super) generate_fbp: bool,
    /// Limited data use for events that do not specify it; with country 0 and state 0 Meta determines the location (no default). Example: `{ country: 1, state: 1000 }`.
    pub(super) limited_data_use: Option<LimitedDataUse>,
    /// The address of the Graph API, without a path (default: `https://graph.facebook.com`); plain http is allowed for loopback addresses only. Example: `http://127.0.0.1:8917`.
    pub(super) endpoint: String,
    /// Whether `endpoint` may be plain http to other machines, which sends the token unencrypted (default: `false`). Example: `true`.
    pub(super) allow_plain_http: bool,
    /// The proxy through which `endpoint` is reached, of HTTP (`http`, `https`) or of SOCKS 5 (`socks5`, or `socks5h` where it is the proxy that looks up names), with a user name and a password if it wants them; empty for none (default: the environment's `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`). Example: `"http://user:${PROXY_PASSWORD}@proxy.example:3128"`.
    pub(super) proxy: Option<SensitiveString>,
    /// A PEM file with the certificates of authorities that are trusted besides the machine's, for a proxy that opens TLS, for example (no default). Example: `/etc/ssl/company-ca.pem`.
    pub(super) ca_file: Option<PathBuf>,
    /// A PEM file with a certificate and its private key, for a server or a gateway that wants one of its clients (no default). Example: `/run/secrets/client.pem`.
    pub(super) client_cert_file: Option<PathBuf>,
    /// How long one request may take, in seconds (default: 30). Example: `10`.
    #[schemars(range(min = 1, max = 300))]
    pub(super) timeout_secs: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preset: PresetChoice::Name(String::new()),
            pixel_id: String::new(),
            access_token: SensitiveString::default(),
            access_token_file: None,
            app_secret: SensitiveString::default(),
            app_secret_file: None,
            api_version: "v25.0".to_owned(),
            action_source: "website".to_owned(),
            test_event_code: None,
            partner_agent: None,
            consent_categories: None,
            consent: ConsentOptions::default(),
            integration_names: integrations::NAMES.map(str::to_owned).into(),
            unmapped_events: UnmappedEvents::Drop,
            event_mappings: BTreeMap::new(),
            field_mappings: FieldMappings::new(),
            default_currency: None,
            default_country: None,
            time_zone: None,
            external_id: ExternalId::Hash,
            generate_fbp: true,
            limited_data_use: None,
            endpoint: "https://graph.facebook.com".to_owned(),
            allow_plain_http: false,
            proxy: None,
            ca_file: None,
            client_cert_file: None,
            timeout_secs: 30,
        }
    }
}

/// Marks the required options. They have empty defaults when read, so that a missing one does not hide the problems of the
/// others; the schema must not show those defaults.
fn require(schema: &mut Schema) {
    const REQUIRED: [&str; 2] = ["preset", "pixel_id"];
    /// One of these, and not the other. The check of options itself says so in its own words.
    const TOKENS: [&str; 2] = ["access_token", "access_token_file"];
    for name in REQUIRED {
        if let Some(property) = schema.pointer_mut(&format!("/properties/{name}"))
            && let Some(property) = property.as_object_mut()
        {
            property.remove("default");
        }
    }
    schema.insert("required".to_owned(), serde_json::json!(REQUIRED));
    let one_token = TOKENS.map(|name| serde_json::json!({ "required": [name] }));
    schema.insert(
        "allOf".to_owned(),
        serde_json::json!([{ "oneOf": one_token }]),
    );
}

/// The name of a preset, or a file with one.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum PresetChoice {
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
                        "description": "A preset of your own, as described by schema/preset.schema.json; relative paths start at the folder of the pipeline file. Example: `my-preset.json`."
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
pub(super) enum UnmappedEvents {
    /// They are filtered.
    Drop,
    /// They are sent under their own names.
    Custom,
    /// They become dead letters without a payload: nothing says which of their values would be sent, so none is stored.
    DeadLetter,
}

/// The form of external ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExternalId {
    /// White space removed, lower case, SHA-256.
    Hash,
    /// As they are.
    Raw,
}

/// Limited data use, by place.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitedDataUse {
    /// 1 for the United States, 0 to let Meta determine it (default: 0). Example: `1`.
    #[schemars(range(min = 0, max = 1))]
    pub(super) country: u64,
    /// Meta's code of the state, 1000 (California) to 1013, or 0 to let Meta determine it (default: 0). Example: `1000`.
    #[schemars(range(min = 0, max = 1013))]
    pub(super) state: u64,
}
