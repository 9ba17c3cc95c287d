//! A server event being written: where values are looked up, and how they get into the bytes.

use super::Mapping;
use super::compile::{EventPlan, FieldPlan};
use super::explain::Trace;
use super::fields::{Fields, Within};
use super::value::{self, LeftOut};
use crate::extract::{Cells, Found, List, Slot};
use crate::path::Path;
use crate::payload::Kind;
use crate::validate::Facts;
use crate::words;
use pipeline_core::Event;
use std::borrow::Cow;

/// Bytes of an ordinary server event; the buffer starts with this size.
pub(super) const USUAL_BYTES: usize = 2_048;

/// A server event being written.
pub(super) struct Draft<'m, 'f, 'a, 't, T> {
    pub(super) mapping: &'m Mapping,
    pub(super) plan: &'m EventPlan,
    pub(super) found: &'f Found<'a>,
    /// What was found in the event itself.
    pub(super) cells: Cells<'f, 'a>,
    /// What was found in the element of the item that is being written.
    pub(super) item: Cells<'f, 'a>,
    pub(super) event: &'f Event,
    pub(super) now_ms: i64,
    pub(super) out: Vec<u8>,
    pub(super) scratch: String,
    pub(super) trace: &'t mut T,
    pub(super) facts: Facts,
}

/// Where the slots of a field plan are looked up: in the event, or in one element of a list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'m> {
    Event,
    /// The one that is being written.
    Item {
        list: List,
        path: &'m Path,
        row: usize,
    },
}

/// Where a value was found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin {
    Slot(Slot),
    Constant,
    Default,
    Derived(&'static str),
}

impl<'m, 'f, 'a, T: Trace> Draft<'m, 'f, 'a, '_, T> {
    /// Writes the whole server event.
    pub(super) fn write(&mut self, name: &str) {
        self.out.extend_from_slice(b"{\"event_name\":");
        self.text(name);
        let rule = match self.plan.meta_name {
            Some(_) => "the preset's name for the event",
            None => "the event's own name",
        };
        self.told("event_name", "event", rule);
        self.event_level();
        self.user_data();
        if self.facts.action_source == "app" {
            self.app_data();
        }
        let original = &self.plan.original_event_data;
        self.object("\"original_event_data\":{", original);
        self.custom_data();
        self.out.push(b'}');
    }

    /// The JSON at a slot, unless there is nothing in it.
    #[inline]
    pub(super) fn get(&self, scope: Scope<'m>, slot: Slot) -> Option<&'a str> {
        match self.cells(scope).get(slot) {
            Some(raw) if !value::is_empty(raw) => Some(raw),
            _ => None,
        }
    }

    #[inline]
    fn cells(&self, scope: Scope<'m>) -> Cells<'f, 'a> {
        match scope {
            Scope::Event => self.cells,
            Scope::Item { .. } => self.item,
        }
    }

    /// Those of these fields that can have a value; all of them where the trace is to hear of the others.
    #[inline]
    pub(super) fn within(&self, scope: Scope<'m>, fields: &'m Fields) -> Within<'m, 'f, 'a> {
        fields.within(self.cells(scope), T::HEARS_OF_ABSENT)
    }

    /// The first value of a field that `read` can use, and where it was; the trace hears of those it cannot.
    pub(super) fn first<R>(
        &mut self,
        scope: Scope<'m>,
        field: &'m FieldPlan,
        read: impl Fn(&'a str) -> Result<R, LeftOut>,
    ) -> Option<(R, Origin)> {
        for slot in &field.places {
            let Some(raw) = self.get(scope, *slot) else {
                continue;
            };
            match read(raw) {
                Ok(value) => return Some((value, Origin::Slot(*slot))),
                Err(why) => self.left_out(scope, field, Origin::Slot(*slot), why),
            }
        }
        None
    }

    /// Starts a field: a comma if one is due, and the key.
    pub(super) fn key(&mut self, field: &FieldPlan) {
        self.comma();
        self.out.extend_from_slice(field.key.as_bytes());
    }

    pub(super) fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    /// Writes text as a JSON string.
    pub(super) fn text(&mut self, text: &str) {
        write_text(text, &mut self.out);
    }

    /// Writes text that has nothing to escape: words of the tables.
    pub(super) fn quoted(&mut self, text: &str) {
        write_quoted(text, &mut self.out);
    }

    /// Writes text that was read from a JSON value. What could be borrowed stood between quotes without an escape, and
    /// can stand so again.
    pub(super) fn text_of(&mut self, text: Cow<'_, str>) {
        match text {
            Cow::Borrowed(text) => self.quoted(text),
            Cow::Owned(text) => self.text(&text),
        }
    }

    /// Writes a value in the form of its kind.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be used; nothing has been written then.
    pub(super) fn value(&mut self, kind: Kind, raw: &str) -> Result<(), LeftOut> {
        match kind {
            Kind::TextUpTo(chars) => {
                let text = value::text(raw)?;
                let end = text
                    .char_indices()
                    .nth(chars)
                    .map_or(text.len(), |(at, _)| at);
                self.text(&text[..end]);
            }
            Kind::Digits => self.text(&value::digits(raw)?),
            Kind::LeadId => self.text(&value::lead_id(raw)?),
            Kind::Year => self.integer(value::year(raw)?),
            Kind::Status if matches!(raw, "true" | "false") => self.json(raw),
            Kind::Text | Kind::Status => self.text_of(value::text(raw)?),
            Kind::Date => self.text(&value::date(raw)?),
            Kind::DeviceId => self.text(&value::device_id(raw)?),
            Kind::Day => self.text(&value::day(raw)?),
            Kind::Platform => self.text(value::platform(raw)?),
            Kind::StoreCode => self.text(&value::store_code(raw)?),
            Kind::Count => {
                let count = value::integer(raw)?;
                self.text(itoa::Buffer::new().format(count));
            }
            Kind::EventTime => {
                let millis = value::time_ms(raw)?;
                self.integer(millis.div_euclid(1_000));
            }
            Kind::Currency => self.quoted(value::currency(raw)?),
            Kind::OneOf(allowed) => self.text(value::one_of(raw, allowed)?),
            Kind::Url => self.text_of(super::url::page_url(raw)?),
            Kind::Number => self.json(&value::number(raw)?),
            Kind::Money => self.json(&value::money(raw)?),
            Kind::Integer => self.integer(value::integer(raw)?),
            Kind::Boolean => self.boolean(value::boolean(raw)?),
            Kind::Tracking => self.boolean(value::tracking(raw)?),
            Kind::TextList => self.text_list(raw)?,
            Kind::Scalar => self.scalar(raw)?,
            // The other kinds have writers of their own; none of them comes here.
            _ => return Err(value::WRONG_TYPE),
        }
        Ok(())
    }

    fn boolean(&mut self, value: bool) {
        self.json(if value { "true" } else { "false" });
    }

    /// Writes a list of texts, or one text as a list.
    fn text_list(&mut self, raw: &str) -> Result<(), LeftOut> {
        let mark = self.out.len();
        self.out.push(b'[');
        for text in value::texts(raw) {
            self.comma();
            self.text(&text);
        }
        if self.out.len() == mark + 1 {
            self.out.truncate(mark);
            return Err(value::WRONG_TYPE);
        }
        self.out.push(b']');
        Ok(())
    }

    /// Writes a scalar or a list of scalars as it stands, with text decoded and encoded anew.
    fn scalar(&mut self, raw: &str) -> Result<(), LeftOut> {
        match raw.as_bytes()[0] {
            b'"' => self.text(&value::text(raw)?),
            b'[' => {
                let mark = self.out.len();
                self.out.push(b'[');
                for element in value::elements(raw).take(crate::extract::MAX_ELEMENTS) {
                    self.comma();
                    if element.starts_with('[') || self.scalar(element).is_err() {
                        self.out.truncate(mark);
                        return Err(value::WRONG_TYPE);
                    }
                }
                self.out.push(b']');
            }
            b'{' => return Err(value::WRONG_TYPE),
            b't' | b'f' => self.json(raw),
            _ => self.json(&value::number(raw)?),
        }
        Ok(())
    }

    pub(super) fn json(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    pub(super) fn integer(&mut self, number: impl itoa::Integer) {
        self.json(itoa::Buffer::new().format(number));
    }

    pub(super) fn sent(&mut self, scope: Scope<'m>, field: &FieldPlan, origin: Origin, rule: &str) {
        let mapping = self.mapping;
        self.trace.sent(
            || place(mapping, scope, field),
            || described(mapping, scope, origin),
            rule,
        );
    }

    /// Tells of a field that needs no plan.
    pub(super) fn told(&mut self, field: &str, from: &str, rule: &str) {
        self.trace
            .sent(|| field.to_owned(), || from.to_owned(), rule);
    }

    pub(super) fn left_out(
        &mut self,
        scope: Scope<'m>,
        field: &FieldPlan,
        origin: Origin,
        why: LeftOut,
    ) {
        let mapping = self.mapping;
        self.trace.left_out(
            || place(mapping, scope, field),
            || described(mapping, scope, origin),
            why,
        );
    }

    pub(super) fn absent(&mut self, scope: Scope<'m>, field: &FieldPlan) {
        let (mapping, plan) = (self.mapping, self.plan);
        self.trace.absent(
            || place(mapping, scope, field),
            || {
                let slots = plan.slots(field);
                slots
                    .map(|slot| described(mapping, scope, Origin::Slot(slot)))
                    .collect()
            },
        );
    }
}

/// Writes text as a JSON string.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    let needs_escape = |byte| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if !words::has(text, needs_escape) {
        return write_quoted(text, out);
    }
    // Writing to a vector does not fail, and text is always JSON.
    let _ = serde_json::to_writer(out, text);
}

fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + "\"\"".len());
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// The field's name, with the place of its item.
fn place(_: &Mapping, scope: Scope<'_>, field: &FieldPlan) -> String {
    match scope {
        // The event itself is its one item.
        Scope::Event => field.name.replace("[]", "[0]"),
        Scope::Item { row, .. } => field.name.replace("[]", &format!("[{row}]")),
    }
}

fn described(mapping: &Mapping, scope: Scope<'_>, origin: Origin) -> String {
    match (origin, scope) {
        (Origin::Slot(slot), Scope::Event) => mapping.paths.path(slot).to_string(),
        (Origin::Slot(slot), Scope::Item { list, path, row }) => {
            let within = mapping.paths.of_list(list).path(slot);
            format!("{path}[{row}].{within}")
        }
        (Origin::Constant, _) => "(constant)".to_owned(),
        (Origin::Default, _) => "(default)".to_owned(),
        (Origin::Derived(from), _) => format!("({from})"),
    }
}

/// The rule by which a kind of value gets its form, in a few words.
pub(crate) fn rule(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::TextUpTo(_) | Kind::TextList => "text, trimmed",
        Kind::Digits => "digits, as text",
        Kind::LeadId => "15 to 17 digits, as text",
        Kind::Year => "a year of four digits",
        Kind::Status => "true, false or a word",
        Kind::Number => "a number",
        Kind::Money => "an amount of money, as a number",
        Kind::Integer => "a whole number",
        Kind::Boolean => "true or false",
        Kind::Currency => "ISO 4217 code, upper case",
        Kind::OneOf(_) => "one of the documented values",
        Kind::Date => "a date in a documented format",
        Kind::DeviceId => "a device's id, as it is",
        Kind::Day => "a day as YYYY-MM-DD",
        Kind::Platform => "a2 for Android, i2 for iOS",
        Kind::Tracking => "true or false, or Apple's word for it",
        Kind::Count => "a whole number, as text",
        Kind::StoreCode => "letters and digits",
        Kind::Price => "amount and currency",
        Kind::Scalar => "as it is",
        Kind::Url => "URL without personal query parameters",
        Kind::EventTime => "Unix seconds",
        Kind::ClickId => "click id, as it is",
        Kind::BrowserId => "browser id, as it is",
        Kind::ClientIp => "public IP address, not hashed",
        Kind::ExternalId => "white space removed, lower case, SHA-256",
        Kind::DataProcessingOptions => "limited data use",
        Kind::Items | Kind::Source => "read by other fields",
        Kind::Hashed(field) => hash_rule(field),
    }
}

fn hash_rule(field: crate::identity::Field) -> &'static str {
    use crate::identity::Field;
    match field {
        Field::Em => "trimmed, lower case, SHA-256",
        Field::Ph => "digits with country code, SHA-256",
        Field::Fn | Field::Ln | Field::Ct => "lower case without punctuation and spaces, SHA-256",
        Field::Ge => "f or m, SHA-256",
        Field::Db => "YYYYMMDD, SHA-256",
        Field::St => "two-letter code or lower-case name, SHA-256",
        Field::Zp => "lower case without spaces and dashes, SHA-256",
        Field::Country => "ISO 3166-1 alpha-2, SHA-256",
        Field::ExternalId => "white space removed, lower case, SHA-256",
    }
}
