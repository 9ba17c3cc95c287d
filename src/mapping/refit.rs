//! A stored server event, made fit for the options as they are now; and what Meta would refuse of it.
//!
//! In: the record of a dead letter, and the reason why it became one. Out: whether it can be sent as it is, the record to send
//! instead, or why it cannot be sent. The event that it was made from is gone, so what is applied is only what says the same
//! whatever the event was: parameters that the options no longer send are taken out, constants are put in, limited data use is
//! added where the event said nothing of it, and `default_currency` is added beside an amount.
//!
//! Invariant: under the options with which a record was made, nothing of it changes; a value that was given and not understood
//! is not replaced here either; and the bytes of what does not change are kept.

use super::plan::{EventPlan, FieldPlan};
use super::{Mapping, value};
use crate::mapping::json;
use crate::omitted::Omitted;
use crate::payload::action_source::{ActionSource, MessagingChannel};
use crate::payload::identifiers::Identifiers;
use crate::payload::{Kind, PARAMETERS, Section};
use crate::preset::comparable;
use crate::reason;
use crate::validate::{self, Facts};
use json_paths::ReadError;
use pipeline_core::{Record, Refit};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What is at the top of every server event, or says what its data may be used for: never taken out.
const ALWAYS_SENT: [&str; 8] = [
    "event_name",
    "event_time",
    "event_id",
    "action_source",
    "opt_out",
    LDU,
    "data_processing_options_country",
    "data_processing_options_state",
];
const LDU: &str = "data_processing_options";
/// Members of `custom_data` that are objects, or lists of them.
const NESTED: [&str; 2] = ["contents", "store_data"];
/// Between the name of an event and that of Meta's in a label.
const ARROW: &str = " → ";

/// A JSON object whose values are kept as they were written, in their order.
#[derive(Debug, Default)]
struct Object<'a> {
    entries: Vec<(String, Cow<'a, str>)>,
    is_changed: bool,
}

impl Mapping {
    /// What is to be sent of a record that was stored, at the time `now_ms`; `stored_for` is the code of the reason that its
    /// letter has.
    #[cold]
    pub(crate) fn refit(&self, record: &Record, stored_for: &str, now_ms: i64) -> Refit {
        let parsed = Object::parse(&record.payload);
        let Some(mut event) = parsed else {
            return Refit::Unfit(reason::malformed_json(ReadError::NotAnObject));
        };
        if self.is_dropped(&record.label) {
            return Refit::Unfit(reason::dropped_by_config());
        }
        let mut user_data = event.nested("user_data");
        let mut custom_data = event.nested("custom_data");
        let plan = self
            .plans
            .iter()
            .find(|plan| plan.label == record.label)
            .filter(|_| !record.label.is_empty());
        if let Some(plan) = plan {
            drop_fields(plan, &mut event, &mut user_data, &mut custom_data);
            put_constants(plan, &mut event, &mut custom_data);
        }
        if let Some((country, state)) = self.rules.limited_data_use
            && event.get(LDU).is_none()
        {
            event.set(LDU, "[\"LDU\"]");
            event.set("data_processing_options_country", country.to_string());
            event.set("data_processing_options_state", state.to_string());
        }
        // That of any other letter may have had a currency that could not be read.
        if let Some(code) = self.rules.default_currency
            && stored_for == "missing_currency"
            && custom_data.get("currency").is_none()
            && custom_data.get("value").is_some()
        {
            custom_data.set("currency", format!("\"{code}\""));
        }
        let facts = facts(&event, &user_data, &custom_data, stored_for);
        let name = event.text("event_name").unwrap_or_default();
        if let Some(reason) = validate::check(&name, &facts, now_ms) {
            return Refit::Unfit(reason);
        }
        event.put_back("user_data", &user_data);
        event.put_back("custom_data", &custom_data);
        if !event.is_changed {
            return Refit::Same;
        }
        Refit::Changed(Box::new(Record::from_parts(
            event.to_bytes().into(),
            record.event_id.clone(),
            Arc::clone(&record.partition),
            Arc::clone(&record.label),
            record.event_time,
            facts.expires_at(),
        )))
    }

    /// Whether the options now say that events of this label are not sent.
    fn is_dropped(&self, label: &str) -> bool {
        let Some((source, _)) = label.rsplit_once(ARROW) else {
            return false;
        };
        let mut key = String::new();
        comparable(source, &mut key);
        self.plans.dropped(&key).is_some()
    }
}

/// Takes out what the options no longer send.
fn drop_fields(
    plan: &EventPlan,
    event: &mut Object<'_>,
    user_data: &mut Object<'_>,
    custom_data: &mut Object<'_>,
) {
    let is_of_event = |key: &str| {
        PARAMETERS
            .iter()
            .any(|parameter| parameter.section == Section::Event && parameter.key == key)
    };
    let has_channel = plan.messaging_channel.is_some();
    event.retain(|key| {
        !is_of_event(key)
            || ALWAYS_SENT.contains(&key)
            || (has_channel && key == "messaging_channel")
            || is_planned(&plan.event, key)
    });
    user_data.retain(|key| is_planned(&plan.user_data, key));
    let has_items = plan.items.is_some();
    custom_data.retain(|key| {
        is_planned(&plan.custom_data, key)
            || (key == NESTED[0] && has_items)
            || (key == NESTED[1] && !plan.store_data.is_empty())
    });
}

/// Puts in what the options always send.
fn put_constants(plan: &EventPlan, event: &mut Object<'_>, custom_data: &mut Object<'_>) {
    if let Some(raw) = constant(plan.action_source.as_ref())
        && let Ok(at) = value::position_of(raw, ActionSource::WORDS)
    {
        event.set("action_source", format!("\"{}\"", ActionSource::WORDS[at]));
    }
    let is_conversation =
        event.text("action_source").as_deref() == Some(ActionSource::BusinessMessaging.word());
    if let Some(raw) = constant(plan.messaging_channel.as_ref())
        && is_conversation
        && let Ok(at) = value::position_of(raw, MessagingChannel::WORDS)
    {
        let word = MessagingChannel::WORDS[at];
        event.set("messaging_channel", format!("\"{word}\""));
    }
    for field in plan.event.iter() {
        put_constant(field, event);
    }
    let is_amount = |field: &&FieldPlan| field.kind == Kind::Money;
    // The currency first: an amount is not sent without one.
    for field in plan.custom_data.iter().filter(|field| !is_amount(field)) {
        put_constant(field, custom_data);
    }
    for field in plan.custom_data.iter().filter(is_amount) {
        if custom_data.get("currency").is_some() {
            put_constant(field, custom_data);
        }
    }
}

fn constant(field: Option<&FieldPlan>) -> Option<&str> {
    field?.constant.as_deref()
}

/// Puts in one constant, written as mapping writes it.
fn put_constant(field: &FieldPlan, object: &mut Object<'_>) {
    let Some(raw) = &field.constant else {
        return;
    };
    // The price of the only item is written with the event's currency.
    if field.kind == Kind::Price {
        return;
    }
    let mut written = Vec::new();
    if value::append(field.kind, raw, &mut written).is_ok()
        && let Ok(written) = String::from_utf8(written)
    {
        object.set(plain_key(field), written);
    }
}

/// Meta's name of the field: mapping keeps it as it is written, `"value":`.
fn plain_key(field: &FieldPlan) -> &str {
    field.key.trim_matches([',', ':', '"'])
}

fn is_planned(fields: &[FieldPlan], key: &str) -> bool {
    fields.iter().any(|field| plain_key(field) == key)
}

/// What the rules ask of the event.
fn facts(
    event: &Object<'_>,
    user_data: &Object<'_>,
    custom_data: &Object<'_>,
    stored_for: &str,
) -> Facts {
    let number = |raw: Option<&str>| raw.and_then(|raw| raw.parse::<f64>().ok());
    let keys: Vec<&str> = user_data
        .entries
        .iter()
        .map(|(key, _)| key.as_str())
        .collect();
    let event_time: i64 = event
        .get("event_time")
        .and_then(|raw| raw.parse().ok())
        .unwrap_or_default();
    let has_currency = custom_data.get("currency").is_some();
    // The amount of an event without a readable currency is not in its payload.
    let amount_was_left_out =
        !has_currency && matches!(stored_for, "missing_currency" | "unreadable_currency");
    Facts {
        event_ms: event_time.saturating_mul(1_000),
        event_time,
        action_source: event
            .text("action_source")
            .and_then(|word| ActionSource::named(&word))
            .unwrap_or_default(),
        identifiers: Identifiers::of(&keys),
        damaged_id: (stored_for == "digits_lost").then_some(Omitted::DigitsLost),
        has_value: custom_data.get("value").is_some() || amount_was_left_out,
        has_currency,
        value_is_unreadable: stored_for == "unreadable_value",
        currency_is_unreadable: stored_for == "unreadable_currency",
        value_is_negative: number(custom_data.get("value")).is_some_and(|value| value < 0.0),
        // A part of it may be there.
        has_app_data: event.get("app_data").is_some() && stored_for != "missing_app_data",
        messaging_channel: event.text("messaging_channel").and_then(|word| {
            let at = MessagingChannel::WORDS
                .iter()
                .position(|known| *known == word)?;
            Some(MessagingChannel::ALL[at])
        }),
        ..Facts::default()
    }
}

impl<'a> Object<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The object at this key; an empty one where it has none.
    fn nested(&self, key: &str) -> Object<'a> {
        let found = self.entries.iter().find(|(known, _)| known == key);
        let Some((_, Cow::Borrowed(text))) = found else {
            return Object::default();
        };
        Object::parse(text.as_bytes()).unwrap_or_default()
    }

    fn get(&self, key: &str) -> Option<&str> {
        let found = self.entries.iter().find(|(known, _)| known == key);
        found.map(|(_, raw)| &**raw)
    }

    fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?).ok()
    }

    /// Sets the value at this key, if it is not the same already.
    fn set(&mut self, key: &str, raw: impl Into<Cow<'a, str>>) {
        let raw = raw.into();
        match self.entries.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) if *known == raw => return,
            Some((_, known)) => *known = raw,
            None => self.entries.push((key.to_owned(), raw)),
        }
        self.is_changed = true;
    }

    fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|(key, _)| is_kept(key));
        self.is_changed |= self.entries.len() != before;
    }

    /// Puts a nested object in its place, where it has changed.
    fn put_back(&mut self, key: &str, nested: &Object<'_>) {
        if !nested.is_changed {
            return;
        }
        if nested.entries.is_empty() && key != "user_data" {
            self.retain(|known| known != key);
        } else {
            let text = String::from_utf8(nested.to_bytes()).unwrap_or_default();
            self.set(key, text);
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (key, raw) in &self.entries {
            if out.len() > 1 {
                out.push(b',');
            }
            json::text(key, &mut out);
            out.push(b':');
            out.extend_from_slice(raw.as_bytes());
        }
        out.push(b'}');
        out
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut object = Object::default();
                while let Some((key, raw)) = map.next_entry::<String, &'de RawValue>()? {
                    object.entries.push((key, Cow::Borrowed(raw.get())));
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
