//! `MAPPING.md`, made from the plugin's reference; its examples are what a sink makes of the values in
//! `fixtures/reference.json`.
//!
//! `UPDATE_EXPECT=1 cargo test` writes it again.

use crate::generated::assert_file;
use crate::{build, event, outcome, root};
use meta_conversions::{ParameterReference, SourceReference, reference};
use pipeline_core::Sink;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;

const INTRO: &str = "# Mapping

Every parameter of Meta's Conversions API that this sink sends: its rule, where each preset takes it from, for which of
Meta's events, and an example. A test makes this page from the code; `pipeline map --explain` shows the same for one of your
events.

How to read it:

* In `field_mappings` a parameter's name begins with its section: `user_data.em`, `custom_data.contents[].id`.
* Paths are listed in the order in which they are tried; the first usable value wins. \"and\" joins lists that each provide a value.
* A line without a preset or an event applies to all of them. `(custom)` is any event name that is not one of Meta's own.
* A pipeline file can override everything here: `field_mappings` for a parameter, `event_mappings` for an event.
* `Purchase` must have `value` and `currency`. Empty text, `null` and empty lists count as absent, and are not sent.
* `event_name` comes from the preset's table of events; `action_source` from the event, else from the options.
* `[0]` is the first element of a list, or the object itself where there is no list; `[type=email]` is the element with this `type`.
* Words that senders write for a missing value (`undefined`, `null`, `N/A`, `(not set)`, an unrendered `{{name}}`, punctuation), ids of
  zeros, and hashes of nothing or of such words are absent in `user_data`, whatever their case. People called Null or Nan, and the cities
  of these names, are left out with them; `Na` as a name, Namibia (`NA`) and `Guest` as a last name are not.
* Ids that were spelled as floating-point numbers are whole numbers: `12345.0` is `12345`. Those that have lost digits on the way
  (`1.23457E+15`, anything from 2^53 on) are left out as `digits_lost`.
* Several e-mail addresses or phone numbers in one text (`a@example.com; b@example.com`), and lists in JSON text, are hashed each.
* Google's containers are read, with their hashes, but for `sha256_phone_number`: Google hashes a phone number with its plus, so that its
  hash never matches at Meta.
* `properties.city`, `region` and `country` are about a trip or a home as often as about the person, so they are not read as the person's.
* `properties.name` is the name of an item, unless `properties` also contain a person's e-mail address or another trait: then
  it could be the person's, and is not sent. `custom_data` values that contain an e-mail address are dropped.
";

/// A table of the page.
struct Section {
    /// As the reference names it.
    name: &'static str,
    title: &'static str,
    about: &'static str,
    /// What names of its parameters begin with.
    prefix: &'static str,
    /// Where in a server event it is, as a JSON pointer. Where it is nowhere, there are no examples.
    at: Option<&'static str>,
}

const SECTIONS: &[Section] = &[
    Section {
        name: "event",
        title: "Event",
        about: "At the top of a server event.",
        prefix: "",
        at: Some(""),
    },
    Section {
        name: "user_data",
        title: "`user_data`",
        about: "Who the visitor was. Strength is what Meta publishes about a parameter's value for matching, not a weight of ours.",
        prefix: "user_data.",
        at: Some("/user_data"),
    },
    Section {
        name: "app_data",
        title: "`app_data`",
        about: "The app and the device, for events that took place in an app.",
        prefix: "app_data.",
        at: Some("/app_data"),
    },
    Section {
        name: "extinfo",
        title: "`app_data.extinfo`",
        about: "A list of 16 positions, in this order; a position without a value is empty text.",
        prefix: "app_data.extinfo.",
        at: Some("/app_data/extinfo"),
    },
    Section {
        name: "original_event_data",
        title: "`original_event_data`",
        about: "The earlier event that this one belongs to.",
        prefix: "original_event_data.",
        at: Some("/original_event_data"),
    },
    Section {
        name: "custom_data",
        title: "`custom_data`",
        about: "What happened. Further keys of your own can be mapped: `custom_data.<key>`.",
        prefix: "custom_data.",
        at: Some("/custom_data"),
    },
    Section {
        name: "store_data",
        title: "`custom_data.store_data`",
        about: "The shop, for events that took place in one.",
        prefix: "custom_data.store_data.",
        at: Some("/custom_data/store_data"),
    },
    Section {
        name: "contents",
        title: "`custom_data.contents[]`",
        about: "One element for each item. Paths start at the item.",
        prefix: "custom_data.contents[].",
        at: Some("/custom_data/contents/0"),
    },
    Section {
        name: "source",
        title: "Sources",
        about: "Not sent, but others are made from them: `fn` and `ln` from `source.full_name` if the event has neither, `fbp` \
                from `source.visitor_id` if there is no cookie, `fbc` from `source.click_id`, `client_ip_address` from \
                `source.request_ip` if there is no public address.",
        prefix: "",
        at: None,
    },
];

#[tokio::test]
async fn the_mapping_page_is_what_the_code_says() {
    let examples = read("fixtures/reference.json");
    let rows = reference();
    let mut page = INTRO.to_owned();
    let mut shown = 0;
    for section in SECTIONS {
        write!(page, "\n## {}\n\n{}\n\n", section.title, section.about).expect("text");
        let is_user_data = section.name == "user_data";
        page += if is_user_data {
            "| Parameter | Rule | Strength | Where from | Example |\n| --- | --- | --- | --- | --- |\n"
        } else {
            "| Parameter | Rule | Where from | Example |\n| --- | --- | --- | --- |\n"
        };
        for row in rows.iter().filter(|row| row.section == section.name) {
            shown += 1;
            let strength = row.strength.map_or_else(String::new, |s| format!(" {s} |"));
            let key = section.key(row);
            let example = section.example(row, &examples).await;
            let (rule, sources) = (&row.rule, sources(row));
            writeln!(
                page,
                "| `{key}` | {rule} |{strength} {sources} | {example} |"
            )
            .expect("text");
        }
        if is_user_data {
            page += &documented();
        }
    }
    assert_eq!(shown, rows.len(), "a section of the reference has no table");
    page += &standard_events(&rows).await;
    page += &consent().await;
    assert_file("MAPPING.md", &page);
}

const CONSENT: &str = "
## Consent

An event is sent if every category that the sink requires (`consent_categories`) is granted, and filtered otherwise.

* A grant is JSON's `true` at `context.consent.canonical.<category>` or `context.consent.<category>`, or at
  `context.consent.categories.<code>` for a code of the option `consent.categories`, or such a code in
  `context.consentManagement.allowedConsentIds`. `advertising` is another name of `marketing`.
* A refusal is `false`, `\"false\"` or `\"denied\"` there, or a code in `deniedConsentIds`. It overrides every grant, with two
  exceptions: if `canonical` has a category, only `canonical` counts in `context.consent`; and of several codes in `categories`
  for one category, one grant is enough. Refusals in these shapes also count at the other places.
* The other places are `consent`, `consentManagement`, `consentCategories`, `consentMode` and these in snake case; at the top of an
  event, in `context`, `properties`, `traits` and `context.traits`. Grants are not read there.
* Unreadable consent at any of these places does not count as missing: the event is filtered as `consent_unreadable`. In
  `properties` and traits, a grant at `context.consent` is enough, because forms have fields of such names.
* Consent is missing if all these places are absent, `null` or empty. `consent.when_absent` decides what happens then.

What happens to an event if the sink requires `marketing` and has the option `C0004: marketing`:

| In the event | Without more options | With `when_absent: allow` |
| --- | --- | --- |
";

/// Consent in events, one row each.
const CONSENT_EXAMPLES: &[&str] = &[
    "{}",
    r#"{"context":{"consent":{"canonical":{"marketing":true}}}}"#,
    r#"{"context":{"consent":{"marketing":true}}}"#,
    r#"{"context":{"consent":{"categories":{"C0001":false,"C0004":true}}}}"#,
    r#"{"context":{"consentManagement":{"allowedConsentIds":["C0001","C0004"]}}}"#,
    r#"{"context":{"consentManagement":{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0004"]}}}"#,
    r#"{"context":{"consentManagement":{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0002"]}}}"#,
    r#"{"context":{"consent":{"canonical":{"marketing":true},"marketing":false}}}"#,
    r#"{"context":{"consent":{"marketing":"denied"}}}"#,
    r#"{"context":{"consent":{"marketing":"granted"}}}"#,
    r#"{"context":{"consent":{"analytics":true}}}"#,
    r#"{"context":{"consent":{"categoryPreferences":{"Advertising":false}}}}"#,
    r#"{"context":{"consent":{"ad_storage":"granted"}}}"#,
    r#"{"consent":{"marketing":true}}"#,
    r#"{"properties":{"consent":true}}"#,
    r#"{"properties":{"consent":true},"context":{"consent":{"marketing":true}}}"#,
];

/// How consent is read, with a sink's result for each example.
async fn consent() -> String {
    let mut section = CONSENT.to_owned();
    let sink = async |when_absent: &str| {
        let consent = json!({ "when_absent": when_absent, "categories": { "C0004": "marketing" } });
        build(&json!({ "consent": consent })).await
    };
    let sinks = [sink("drop").await, sink("allow").await];
    for example in CONSENT_EXAMPLES {
        let mut source: Value = serde_json::from_str(example).expect("JSON");
        source["event"] = "Page View".into();
        source["userId"] = "u-1".into();
        let cell = |sink: &dyn Sink| {
            let outcome = outcome(&sink.encode(&event(&source)));
            let reason = outcome["reason"].as_str();
            reason.map_or("sent".to_owned(), |reason| format!("`{reason}`"))
        };
        let [strict, lenient] = sinks.each_ref().map(|sink| cell(sink.as_ref()));
        writeln!(section, "| `{example}` | {strict} | {lenient} |").expect("text");
    }
    section
}

fn read(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).expect(path);
    serde_json::from_str(&text).expect(path)
}

fn sources(row: &ParameterReference) -> String {
    if row.sources.is_empty() {
        return "the options only".to_owned();
    }
    let lines: Vec<_> = row.sources.iter().map(source).collect();
    lines.join("<br>")
}

fn source(source: &SourceReference) -> String {
    let code = |names: &[String]| format!("`{}`", names.join("`, `"));
    let lists: Vec<_> = source.paths.iter().map(|paths| code(paths)).collect();
    let mut line = lists.join(" and ");
    if let Some(otherwise) = &source.fallback {
        let _ = write!(line, "; else {otherwise}");
    }
    let mut only = Vec::new();
    if !source.presets.is_empty() {
        only.push(format!("preset {}", code(&source.presets)));
    }
    if !source.events.is_empty() {
        only.push(source.events.join(", "));
    }
    if !only.is_empty() {
        let _ = write!(line, " *({})*", only.join("; "));
    }
    line
}

impl Section {
    /// The parameter's name without its section.
    fn key(&self, row: &ParameterReference) -> &'static str {
        row.name.strip_prefix(self.prefix).unwrap_or(row.name)
    }

    /// A sink's result for the parameter's example: `input → output`.
    async fn example(&self, row: &ParameterReference, examples: &Value) -> String {
        let listed = [("by_name", row.name), ("by_rule", &row.rule)];
        let listed = listed
            .iter()
            .find_map(|(table, key)| examples[*table].get(*key).cloned());
        let Some(input) = listed.or_else(|| in_other_case(&row.rule)) else {
            return if row.rule.ends_with("SHA-256") {
                "below".to_owned()
            } else {
                String::new()
            };
        };
        let Some(at) = self.at.filter(|_| !input.is_null()) else {
            return String::new();
        };
        let path = if self.name == "contents" {
            "example"
        } else {
            "properties.example"
        };
        let server_event = server_event(row.name, path, &input).await;
        let section = server_event.pointer(at).expect("the section");
        let output = match section {
            Value::Array(positions) => {
                let mut names = EXTINFO.iter();
                &positions[names
                    .position(|name| *name == self.key(row))
                    .expect("one of 16")]
            }
            _ => &section[self.key(row)],
        };
        assert!(!output.is_null(), "{} is not sent for {input}", row.name);
        format!("`{input}` → `{output}`")
    }
}

/// Of values that a rule lists, the last one, in capitals where it has none and without where it has.
fn in_other_case(rule: &str) -> Option<Value> {
    let last = rule.strip_prefix("one of ")?.rsplit(", ").next()?;
    let lower = last.to_lowercase();
    Some(
        if lower == last {
            last.to_uppercase()
        } else {
            lower
        }
        .into(),
    )
}

/// A purchase with `input` mapped to a parameter, as a sink sends it.
async fn server_event(parameter: &str, path: &str, input: &Value) -> Value {
    let action_source = match parameter {
        "messaging_channel" => "business_messaging",
        name if name.starts_with("app_data.") => "app",
        _ => "website",
    };
    let sink = build(&json!({
        "field_mappings": { parameter: path },
        "action_source": action_source,
    }))
    .await;
    let encoded = sink.encode(&event(&json!({
        "type": "track",
        "event": "Order Completed",
        "timestamp": "2026-01-15T11:30:00Z",
        "context": {
            "consent": { "marketing": true },
            "os": { "name": "iOS", "version": "18.2" },
            "page_id": "1",
            "page_scoped_user_id": "2"
        },
        "traits": { "email": "mary@example.com" },
        "properties": {
            "example": input,
            "data_processing_options": ["LDU"],
            "data_processing_options_country": 1,
            "data_processing_options_state": 1000,
            "total": 1,
            "currency": "USD",
            "products": [{ "product_id": "A-1", "example": input }]
        }
    })));
    outcome(&encoded)["event"].take()
}

/// Meta's standard events, each with the parameters that are special to it and those that it must have.
async fn standard_events(rows: &[ParameterReference]) -> String {
    let mut table = "\n## Standard events\n\nThe parameters of each of Meta's standard events besides `value`, `currency` and \
                     those of every event, as Meta's table of events lists them and as the presets send them. An app event also \
                     needs `app_data`, and an event from a conversation the ids of its channel.\n\n\
                     | Event | Takes | Must have |\n| --- | --- | --- |\n"
        .to_owned();
    for (event, documented) in STANDARD_EVENTS {
        let of_event = rows.iter().filter(|row| {
            let mut sources = row.sources.iter();
            let is_special = row.section == "custom_data" || row.section == "store_data";
            is_special
                && !row.sources.iter().all(|source| source.events.is_empty())
                && sources.any(|source| source.events.iter().any(|name| name == event))
        });
        let takes: Vec<_> = of_event
            .map(|row| {
                let name = row.name.strip_prefix("custom_data.").unwrap_or(row.name);
                name.trim_end_matches("[]")
            })
            .collect();
        for key in *documented {
            let everywhere = matches!(*key, "value" | "currency");
            assert!(
                everywhere || takes.contains(key),
                "{event} takes no `{key}`"
            );
        }
        let needs = must_have(event).await;
        let code = |keys: &[&str]| match keys {
            [] => String::new(),
            keys => format!("`{}`", keys.join("`, `")),
        };
        let (takes, needs) = (code(&takes), code(&needs));
        writeln!(table, "| {event} | {takes} | {needs} |").expect("text");
    }
    table
}

/// What an event lacks in turn until it is taken.
async fn must_have(meta_event: &str) -> Vec<&'static str> {
    let sink = build(&json!({ "event_mappings": { "Any": meta_event } })).await;
    let mut properties = json!({});
    let mut needs = Vec::new();
    loop {
        let encoded = sink.encode(&event(&json!({
            "type": "track",
            "event": "Any",
            "userId": "U 1",
            "timestamp": "2026-01-15T11:30:00Z",
            "context": { "consent": { "marketing": true } },
            "properties": properties,
        })));
        let (key, value) = match outcome(&encoded)["reason"].as_str() {
            Some("missing_value") => ("value", json!(1)),
            Some("missing_currency") => ("currency", json!("EUR")),
            Some(other) => panic!("{meta_event} is refused: {other}"),
            None => return needs,
        };
        properties[key] = value;
        needs.push(key);
    }
}

/// Meta's table of standard events: the parameters that it names for each.
const STANDARD_EVENTS: &[(&str, &[&str])] = &[
    ("PageView", &[]),
    (
        "AddPaymentInfo",
        &["content_ids", "contents", "currency", "value"],
    ),
    (
        "AddToCart",
        &[
            "content_ids",
            "content_type",
            "contents",
            "currency",
            "value",
        ],
    ),
    (
        "AddToWishlist",
        &["content_ids", "contents", "currency", "value"],
    ),
    ("CompleteRegistration", &["currency", "value", "status"]),
    ("Contact", &[]),
    ("CustomizeProduct", &[]),
    ("Donate", &[]),
    ("FindLocation", &[]),
    (
        "InitiateCheckout",
        &["content_ids", "contents", "currency", "num_items", "value"],
    ),
    ("Lead", &["currency", "value"]),
    (
        "Purchase",
        &[
            "content_ids",
            "content_type",
            "contents",
            "currency",
            "num_items",
            "value",
        ],
    ),
    ("Schedule", &[]),
    (
        "Search",
        &[
            "content_ids",
            "content_type",
            "contents",
            "currency",
            "search_string",
            "value",
        ],
    ),
    ("StartTrial", &["currency", "predicted_ltv", "value"]),
    ("SubmitApplication", &[]),
    ("Subscribe", &["currency", "predicted_ltv", "value"]),
    (
        "ViewContent",
        &[
            "content_ids",
            "content_type",
            "contents",
            "currency",
            "value",
        ],
    ),
];

/// What the positions of `extinfo` mean, as Meta's page on app data has it.
const EXTINFO: [&str; 16] = [
    "version",
    "package",
    "short_version",
    "long_version",
    "os_version",
    "device_model",
    "locale",
    "timezone_abbreviation",
    "carrier",
    "screen_width",
    "screen_height",
    "screen_density",
    "cpu_cores",
    "storage_gb",
    "free_storage_gb",
    "timezone",
];

/// The values and hashes that Meta's documentation prints; other tests hold the code to them.
fn documented() -> String {
    let mut table = "\nValues as Meta's documentation prints them, and what is hashed of them:\n\n\
                     | Parameter | Value | Normal form | SHA-256 |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for case in read("fixtures/identity/documented.json")["cases"]
        .as_array()
        .expect("cases")
    {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let (field, value) = (text("field"), text("value"));
        let (normal, sha256) = (text("normal"), text("sha256"));
        let with = match text("default_country") {
            "" => String::new(),
            country => format!(" with `default_country: {}`", country.to_uppercase()),
        };
        writeln!(
            table,
            "| `{field}` | `{value}`{with} | `{normal}` | `{sha256}` |"
        )
        .expect("text");
    }
    table
}
