//! `MAPPING.md`, made from the plugin's reference; its examples are what a sink makes of the values in
//! `fixtures/reference.json`.
//!
//! `UPDATE_EXPECT=1 cargo test` writes it again.

use crate::generated::assert_file;
use crate::{build, event, outcome, root};
use meta_conversions::{ParameterReference, SourceReference, reference};
use pipeline_core::{Event, Origin, Sink};
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
* `event_name` comes from the preset's table of events. An app event with a name of its own that Meta's SDK for apps would refuse
  (other than letters of English, digits, `_`, `-` and spaces, or more than 40 characters) is sent as it is, because no such rule
  is published for the Conversions API; `--explain` says so.
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
                `source.request_ip` if there is no public address. `source.sent_at`, `source.received_at` \
                and `source.original_time` correct `event_time`, and the others tell a website from an app (below).",
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
    page += &times().await;
    page += &places().await;
    page += &wishes().await;
    page += DECISIONS;
    page += CONSENT;
    page += &crate::consent::table(false).await;
    page += INTEGRATIONS;
    page += &crate::senders::table().await;
    assert_file("MAPPING.md", &page);
}

const TIMES: &str = "
## Times

* A time is ISO 8601, RFC 2822, a form that JavaScript, Java or Go prints, or a Unix time in seconds, milliseconds, microseconds or
  nanoseconds, which its size tells apart. A time without an offset is read in the option `time_zone` (UTC without it).
* The clocks of devices are wrong. Where `sentAt` and the time of receipt are more than 15 minutes apart, `event_time` is moved by
  the difference, but never into the future. The time of receipt is `receivedAt`, else that of the source; for a line of a file it
  is `receivedAt` alone. A batch that its sender keeps for longer, and sends with its first `sentAt`, looks like a clock that is
  behind; libraries that do not renew `sentAt` give up within seconds. `field_mappings: {source.sent_at: null}` switches
  the correction off.
* If `originalTimestamp` and `timestamp` differ, a server has corrected the time already, and it is not corrected again.
* A time that cannot be read, or is more than ten minutes in the future: an event that reaches a source as it is sent happened when
  it came, which the report at the end counts. A line of a file is rejected (`unreadable_time`, `in_future`). An event whose
  `sentAt` shows that the clock is right is rejected in both cases if its time is in the future.
* An event without a time happened when it was received.

The time of an event that a server receives at `2026-01-15T12:00:00Z`, and the same as a line of a file:

| In the event | Received | In a file |
| --- | --- | --- |
";

/// Times in events, one row each.
const TIME_EXAMPLES: &[&str] = &[
    "{}",
    r#"{"timestamp":"2026-01-15T12:30:00+01:00"}"#,
    r#"{"timestamp":"2026-01-15 11:30:00 UTC"}"#,
    r#"{"timestamp":"2026-01-15 12:30:00 +0100"}"#,
    r#"{"timestamp":"Thu, 15 Jan 2026 11:30:00 GMT"}"#,
    r#"{"timestamp":"2026-01-15T11:30:00"}"#,
    r#"{"timestamp":1768476600}"#,
    r#"{"timestamp":1768476600000000}"#,
    r#"{"timestamp":"01/15/2026 11:30"}"#,
    r#"{"timestamp":"yesterday"}"#,
    r#"{"timestamp":"2026-01-15T13:00:00Z"}"#,
    r#"{"timestamp":"2026-01-15T13:00:00Z","sentAt":"2026-01-15T12:00:00Z"}"#,
    r#"{"timestamp":"2026-01-15T12:30:00Z","sentAt":"2026-01-15T13:00:00Z"}"#,
    r#"{"timestamp":"2026-01-15T12:30:00Z","sentAt":"2026-01-15T13:00:00Z","receivedAt":"2026-01-15T12:00:00Z"}"#,
    r#"{"timestamp":"2026-01-15T11:30:00Z","originalTimestamp":"2026-01-15T10:30:00Z","sentAt":"2026-01-15T11:00:00Z","receivedAt":"2026-01-15T12:00:00Z"}"#,
];

/// How times are read, with a sink's result for each example.
async fn times() -> String {
    let sink = build(&json!({ "consent": { "when_absent": "allow" } })).await;
    let mut section = TIMES.to_owned();
    for example in TIME_EXAMPLES {
        let cell = |event: Event| {
            let outcome = outcome(&sink.encode(&event));
            match outcome["event"]["event_time"].as_i64() {
                Some(seconds) => {
                    let of_day = seconds.rem_euclid(24 * 60 * 60) / 60;
                    format!("{:02}:{:02}", of_day / 60, of_day % 60)
                }
                None => format!("`{}`", outcome["reason"].as_str().expect("a reason")),
            }
        };
        let source = of_visitor(example);
        let received = cell(event(&source));
        let in_file = cell(event(&source).with_origin(Origin::line("events".into(), 1)));
        writeln!(section, "| `{example}` | {received} | {in_file} |").expect("text");
    }
    section
}

const PLACES: &str = "
## Where an event took place

* What the event says itself (`action_source`) counts, in Meta's words or in others for the same, whatever their case, hyphens and
  spaces. In unknown words, the event is rejected (`unknown_action_source`).
* Otherwise, where the option `action_source` is `website` or `app`, the event shows which of these two it was: `source.channel`
  is `web`, or there is a page (`source.page`): a website. `source.channel` is `mobile`: an app. The library runs in browsers or
  on phones. There are an app (`source.app`) and Android or iOS (`source.system`): an app. The first of these that says
  something counts. A server's channel or library says nothing.
* Otherwise the option counts. Another place than these two is never overruled by a page or a device.
* An app event needs `app_data`, and is rejected without the system, its version or a readable answer about tracking
  (`missing_app_data`, `unreadable_tracking`). Of several answers about tracking, a no counts; no answer counts as a no.
* Only a website has a browser: a missing `fbp` is made for no other event.

| In the event | `website` in the options | `app` | `physical_store` |
| --- | --- | --- | --- |
";

/// What shows or says where an event took place, one row each.
const PLACE_EXAMPLES: &[&str] = &[
    "{}",
    r#"{"channel":"web"}"#,
    r#"{"channel":"mobile"}"#,
    r#"{"channel":"server"}"#,
    r#"{"context":{"page":{"url":"https://shop.example/"}}}"#,
    r#"{"channel":"mobile","context":{"page":{"url":"https://shop.example/"}}}"#,
    r#"{"context":{"library":{"name":"analytics.js"}}}"#,
    r#"{"context":{"library":{"name":"analytics-ios"}}}"#,
    r#"{"context":{"library":{"name":"analytics-node"}}}"#,
    r#"{"context":{"app":{"version":"2.1"},"os":{"name":"Android"}}}"#,
    r#"{"context":{"os":{"name":"Android"}}}"#,
    r#"{"properties":{"action_source":"somewhere"}}"#,
];

/// Words for places besides Meta's own.
const PLACE_WORDS: &[&str] = &[
    "web",
    "browser",
    "mobile",
    "mobile app",
    "native app",
    "ios",
    "android",
    "phone",
    "call",
    "telephone",
    "live chat",
    "sms",
    "in-store",
    "store",
    "retail store",
    "offline",
    "POS",
    "point of sale",
    "crm",
    "system",
    "server",
    "messaging",
    "whatsapp",
    "online",
];

/// How the place is found, with a sink's result for each example and each word.
async fn places() -> String {
    let mut section = PLACES.to_owned();
    let sink = async |place: &str| {
        build(&json!({ "action_source": place, "consent": { "when_absent": "allow" } })).await
    };
    let sinks = [
        sink("website").await,
        sink("app").await,
        sink("physical_store").await,
    ];
    // An app event that lacks its device is one of an app nevertheless.
    let of = |sink: &dyn Sink, source: &Value| {
        let outcome = outcome(&sink.encode(&event(source)));
        let place = &outcome["event"]["action_source"];
        match outcome["reason"].as_str() {
            Some("missing_app_data") => "app".to_owned(),
            Some(other) => format!("`{other}`"),
            None => place.as_str().expect("a place").to_owned(),
        }
    };
    for example in PLACE_EXAMPLES {
        let source = of_visitor(example);
        let [website, app, store] = sinks.each_ref().map(|sink| of(sink.as_ref(), &source));
        writeln!(section, "| `{example}` | {website} | {app} | {store} |").expect("text");
    }
    section += "\nOther words for places:\n\n| Word | Is |\n| --- | --- |\n";
    for word in PLACE_WORDS {
        let mut source = of_visitor("{}");
        source["properties"] = json!({ "action_source": word });
        let place = of(sinks[2].as_ref(), &source);
        writeln!(section, "| {word} | {place} |").expect("text");
    }
    section
}

const WISHES: &str = "
## Wishes about privacy

* `opt_out` and limited data use are read at every place that their tables list. One yes is enough, whatever the other places say.
* A yes or a no may be a word. Limited data use may be a word, a list, a list with country and state, or such a list as text.
* A wish that cannot be read is never taken for none: the event is rejected (`unreadable_privacy_wish`), unless the option
  `limited_data_use` limits the use of its data anyway.
* An empty list or text and words for a missing value (`undefined`, `null`, `N/A` …) count as absent: the options apply.

| In the event | Sent |
| --- | --- |
";

/// Wishes in events, one row each.
const WISH_EXAMPLES: &[&str] = &[
    r#"{"properties":{"opt_out":true}}"#,
    r#"{"context":{"traits":{"opt_out":"yes"}}}"#,
    r#"{"properties":{"opt_out":"no"}}"#,
    r#"{"opt_out":1,"properties":{"opt_out":false}}"#,
    r#"{"properties":{"opt_out":"newsletter"}}"#,
    r#"{"properties":{"data_processing_options":["LDU"]}}"#,
    r#"{"context":{"data_processing_options":[["LDU"],1,1000]}}"#,
    r#"{"properties":{"data_processing_options":"[\"LDU\"]","data_processing_options_state":"CA"}}"#,
    r#"{"properties":{"data_processing_options":"LDU,1,1000"}}"#,
    r#"{"properties":{"data_processing_options":false}}"#,
    r#"{"properties":{"data_processing_options":[]}}"#,
    r#"{"properties":{"data_processing_options":"restricted"}}"#,
];

/// How wishes are read, with a sink's result for each example.
async fn wishes() -> String {
    let sink = build(&json!({ "consent": { "when_absent": "allow" } })).await;
    let mut section = WISHES.to_owned();
    for example in WISH_EXAMPLES {
        let outcome = outcome(&sink.encode(&event(&of_visitor(example))));
        let mut sent = Vec::new();
        for key in [
            "opt_out",
            "data_processing_options",
            "data_processing_options_country",
            "data_processing_options_state",
        ] {
            let value = &outcome["event"][key];
            if !value.is_null() {
                sent.push(format!("`{key}`: `{value}`"));
            }
        }
        let sent = match outcome["reason"].as_str() {
            Some(reason) => format!("`{reason}`"),
            None if sent.is_empty() => "nothing".to_owned(),
            None => sent.join(", "),
        };
        writeln!(section, "| `{example}` | {sent} |").expect("text");
    }
    section
}

/// An example as an event of a visitor.
fn of_visitor(example: &str) -> Value {
    let mut source: Value = serde_json::from_str(example).expect("JSON");
    source["event"] = "Page View".into();
    source["userId"] = "u-1".into();
    source
}

const DECISIONS: &str = "
## Decisions

Where senders mean different things, or where Meta publishes no rule:

* Defaults and computed values (`default_currency`, `otherwise`) fill only what is absent. A value that was given and cannot be
  read is left out, and `--explain` says why; a `Purchase` whose value or currency cannot be read is rejected
  (`unreadable_value`, `unreadable_currency`).
* Keys are found without regard to case, `_`, `-` and spaces; of two spellings in one object, the one that a path names exactly
  counts. After all paths, every parameter is looked for under Meta's own name: in `properties`, `context`, `traits`,
  `context.traits` and at the top, and in objects called `custom_data`, `user_data` and `app_data`. Names that could be a
  person's (`city`, `country`) are not read from traits into `custom_data`, nor from the properties into `user_data`.
* Meta's standard events and GA4's names are known in every preset, with the parameters of that event. `.` and `:` separate words.
* Some parameters belong to some events at Meta (`search_string`, `num_items`, `status`, `predicted_ltv`). On others they are left out
  as `not_for_this_event`.
* `properties.category` is the `content_category` of every event, as it is for a view.
* `content_type` follows the keys of the items' ids (`hotel_id`: `hotel`); in `retail`, `b2b_saas` and `meta_capi` items with other
  ids are `product`, elsewhere they have no type. Items of different kinds have none.
* A list is not the view of a product: `Product List Viewed` is unmapped, unless `event_mappings` maps it.
* A `Purchase` below zero is rejected (`negative_value`): Meta would count it as negative revenue. A return can be sent as a custom
  event. An item with a quantity below zero is left out; a fraction is rounded up, because a part of a pack is bought as a pack; an
  item whose quantity cannot be read is not in `contents`, which requires one, but its id is in `content_ids`.
* `default_currency` is sent beside an amount only. Without a currency of the event, the items' currency counts if they agree.
";

const CONSENT: &str = "
## Consent

An event is sent if every category that the sink requires (`consent_categories`, of most presets `[marketing]`) is granted
somewhere and refused nowhere. Keys, words and codes are compared without case, spaces, `_` and `-`.

| Shape | Where |
| --- | --- |
| `canonical.<category>`, or `<category>` itself; `advertising` is another name of `marketing` | in the consent objects of `context` |
| `categories.<code>`, or `<code>` itself, for codes that the option `consent.categories` explains | in the consent objects of `context` |
| `categoryPreferences.<id>`, as Segment writes it, for ids that `consent.categories` explains | in the consent objects of `context` |
| a list of granted codes: the value itself, `categories`, `granted`, `allowedConsentIds`; a list of denied codes: `denied`, `deniedConsentIds`; names of categories count as codes | in the consent objects of `context`, such as RudderStack's `consentManagement` |
| `OnetrustActiveGroups` and `OptanonActiveGroups`: granted codes as text, between commas | there, and in the event itself, `context` and `properties` |
| Google's consent mode: `ad_storage` and, where given, `ad_user_data` for `marketing`; `analytics_storage` for `analytics`; `functionality_storage` for `functional`; `personalization_storage` and `ad_personalization` for `personalization` | wherever consent is looked for; in objects such as `google`, `googleConsent`, `googleConsentMode`, `consentMode`, `gcm` within consent; and in the event itself, `context` and `properties` |
| Google's short form `gcs` or `x-ga-gcs`: `G1` and a digit each for `ad_storage` and `analytics_storage`, as in `G110` | the same |
| places of your own | `consent.paths`, with words of their own: `consent.granted_values`, `consent.denied_values` |

* The consent objects of `context` are `consent`, `consentManagement`, `consentCategories` and `consentMode`. At the top of an
  event, in `properties`, `traits` and `context.traits` objects of these names are read as well, but of their grants only
  those under Google's keys and OneTrust's count.
* Words for yes, as text, number or boolean: `true`, `yes`, `1`, `granted`, `grant`, `allowed`, `allow`, `accepted`,
  `accept`, `opt-in`, `opted-in`, `on`, `given`. Words for no: `false`, `no`, `0`, `denied`, `deny`, `disallowed`,
  `disallow`, `rejected`, `reject`, `declined`, `decline`, `refused`, `opt-out`, `opted-out`, `off`, `withdrawn`,
  `revoked`, `none`. Anything else cannot be read.
* A refusal overrides every grant and `when_absent: allow`. So does a key that is written twice in one object with
  different answers, and a list of grants without the category, if it is understood: if an option explains a code
  of the category, or the list contains names of categories. One exception: of several codes in `categories` for one category one
  grant is enough, because the canonical view is merged from them in that way. In `categoryPreferences` all must be granted.
* A yes in place of a consent object says nothing about a category and is no grant; a no there is a refusal of everything. At a
  place that `consent.paths` names, both count. A list there is a list of granted codes, an object there is read like `context.consent`.
* Consent that cannot be read does not count as missing. In `properties` and traits, a grant elsewhere is enough,
  because forms have fields of such names.
* Consent is missing if all these places are absent, `null` or empty. `consent.when_absent` decides what happens then.
* Of two objects of the same key, such as two of `consent`, the last one counts.

An event that is filtered has one of three reasons: `consent` (a place refuses, or only some of the required categories are granted),
`consent_absent` (no place says anything), `consent_unreadable` (a place has a value, and nothing there can be read as consent to what is required).
`pipeline map --explain` says which place it was, and which keys were found there.

What happens to an event if the sink requires `marketing`, and `consent.categories` is `{ C0004: marketing, Advertising: marketing }`:

";

const INTEGRATIONS: &str = "
## Integrations

A sender can say for each event which destinations get it: `{\"All\": false, \"Facebook Pixel\": true}`, in `integrations` at the
top of an event or in `context.integrations`. This is read on top of consent, and an event that is excluded is filtered as
`integrations`.

* These names mean this sink, unless `integration_names` has others; case, spaces, `_`, `-` and parentheses do not matter:
  `Facebook Conversions API (Actions)`, `Facebook Conversions API`, `Facebook Conversions`, `Facebook Pixel Server Side`,
  `Facebook Pixel`, `Facebook CAPI`, `Meta Conversions API (Actions)`, `Meta Conversions API`, `Meta Conversions`,
  `Meta Pixel`, `Meta CAPI`, `Facebook`, `Meta`. So `Facebook Pixel: false` counts as a wish against Meta.
* One of the names with `false`, another word for no or `{\"enabled\": false}` excludes the event, whatever else is said.
* `All` with a no, or a no in place of the object, excludes it, unless one of the names has `true`, another word for yes or an object
  with options. The words are those of consent.
* A list names the only destinations: without one of the names or `All` it excludes the event.
* `null`, an empty object or list, `true`, and other names say nothing.
* Any other value of `All` or of one of the names cannot be read, and may be such a wish: the event is filtered as
  `integrations_unreadable`. An unreadable `All` does not matter where one of the names has a yes.
";

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
