//! `user_data`: who the visitor was, hashed; addresses and Meta's own ids as they are.

use super::event_writer::EventWriter;
use super::given::Origin;
use super::plan::FieldPlan;
use super::several;
use super::trace::Trace;
use super::{json, value};
use crate::identity::{self, Field, Hashed, Locale, entity};
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::rule::{HASHED_ID, rule};
use crate::payload::{Kind, MAX_VALUES};
use crate::placeholder::{Role, is_placeholder};
use crate::private_text::{Key, Use};
use json_paths::{Slot, SlotSequence};
use std::borrow::Cow;

/// A list of identifiers that is being written.
struct IdentifierList<'e> {
    field: &'e FieldPlan,
    /// The field by whose rule its values are normalized and hashed; `None` sends them as they are.
    hash: Option<Field>,
    locale: Locale,
    /// What the key of the value that is being added says about it.
    key: Option<Key>,
    /// Where in the output its first value begins.
    start: usize,
}

impl<'e, 'a, T: Trace> EventWriter<'e, 'a, T> {
    pub(super) fn user_data(&mut self) {
        self.append(",\"user_data\":{");
        let locale = self.locale();
        let plan = self.input.plan;
        for field in self.within(&plan.user_data) {
            let mark = self.out.len();
            let written = match field.kind {
                Kind::Hashed(hash) => self.identifiers(field, Some(hash), locale),
                Kind::ExternalId => {
                    let is_hashed = self.input.rules.hash_external_id;
                    self.identifiers(field, is_hashed.then_some(Field::ExternalId), locale)
                }
                Kind::ClientIp => self.client_ip(field),
                Kind::ClickId => self.click_id(field),
                Kind::BrowserId => self.browser_id(field),
                _ => {
                    self.plain(field);
                    self.out.len() > mark
                }
            };
            if let Some(known) = field.known.filter(|_| written) {
                self.facts.identifiers.insert(known);
            } else {
                self.out.truncate(mark);
                self.absent(field);
            }
        }
        self.out.push(b'}');
    }

    /// What the event says about how to read its values.
    fn locale(&mut self) -> Locale {
        let plan = self.input.plan;
        let country = plan
            .user_data
            .iter()
            .find(|field| field.kind == Kind::Hashed(Field::Country))
            .and_then(|field| {
                self.values(field).find_map(|(_, raw)| {
                    identity::country_of(&json_text::text_as_written(raw).ok()?)
                })
            });
        Locale {
            country,
            default_country: self.input.rules.default_country,
            year: year_of(self.input.now_ms),
        }
    }

    /// Writes a field of many values, each hashed by the rule of `hash`, or as it is without one. Answers whether it has any.
    fn identifiers(&mut self, field: &'e FieldPlan, hash: Option<Field>, locale: Locale) -> bool {
        self.key(field);
        self.out.push(b'[');
        let start = self.out.len();
        let mut list = IdentifierList {
            field,
            hash,
            locale,
            key: None,
            start,
        };
        for group in &field.groups {
            for (slot, raw) in self.filled(group) {
                let before = self.out.len();
                list.key = field.key_at(slot);
                if raw.starts_with('[') {
                    self.identifiers_of_list(&list, raw, slot);
                } else {
                    self.identifier(&list, raw, Origin::Slot(slot));
                }
                if self.out.len() > before {
                    break;
                }
            }
        }
        if self.out.len() == start {
            list.key = None;
            self.identifier_from_elsewhere(&list);
        }
        self.out.push(b']');
        self.out.len() > start + 1
    }

    /// Adds the values of a list in JSON.
    #[cold]
    fn identifiers_of_list(&mut self, list: &IdentifierList<'e>, raw: &str, slot: Slot) {
        for (place, element) in json_text::elements(raw).enumerate() {
            let origin = Origin::Element(slot, place);
            if place == MAX_VALUES {
                self.omitted(list.field, origin, Omitted::TooManyValues);
                break;
            }
            if !json_text::is_empty(element) {
                self.identifier(list, element, origin);
            }
        }
    }

    /// Adds a value to a list that has none from the slots of its field: a configured one, or a part of the full name.
    #[inline(never)]
    fn identifier_from_elsewhere(&mut self, list: &IdentifierList<'e>) {
        let configured = [
            (&list.field.constant, Origin::Constant),
            (&list.field.default, Origin::Default),
        ];
        for (raw, origin) in configured {
            if let Some(raw) = raw
                && self.out.len() == list.start
                && !json_text::is_empty(raw)
            {
                self.identifier(list, raw, origin);
            }
        }
        if self.out.len() == list.start
            && let Some(hash @ (Field::Fn | Field::Ln)) = list.hash
        {
            self.part_of_name(list, hash);
        }
    }

    /// Adds one value to a list, unless the list has it already; each of several, if they are in one text.
    fn identifier(&mut self, list: &IdentifierList<'e>, raw: &str, origin: Origin) {
        if let (Some(hash), Some(text)) = (list.hash, json_text::unescaped(raw)) {
            return self.identifier_text(list, hash, text, origin);
        }
        let text = match list.hash {
            Some(_) => json_text::id_as_written(raw),
            None => json_text::id_text(raw),
        };
        match text {
            Ok(text) => {
                let field = list.hash.unwrap_or(Field::ExternalId);
                self.identifier_text(list, field, &text, origin);
            }
            Err(why) => self.report(list, origin, Err(why)),
        }
    }

    /// Adds the value of a text, or each of several. `field` is the rule by which a text is split.
    #[inline]
    fn identifier_text(
        &mut self,
        list: &IdentifierList<'e>,
        field: Field,
        text: &str,
        origin: Origin,
    ) {
        let Some(several) = several::several(field, text) else {
            let written = self.add_normal_form(list, text);
            return self.report(list, origin, written);
        };
        for one in several {
            let written = self.add_normal_form(list, &one);
            self.report(list, origin, written);
        }
    }

    fn report(
        &mut self,
        list: &IdentifierList<'e>,
        origin: Origin,
        written: Result<&'static str, Omitted>,
    ) {
        match written {
            Ok(rule) => self.sent(list.field, origin, rule),
            Err(why) => self.omitted(list.field, origin, why),
        }
    }

    /// Adds the normal form of a value to a list, unless the list has it already. Returns the rule that was applied.
    fn add_normal_form(
        &mut self,
        list: &IdentifierList<'e>,
        text: &str,
    ) -> Result<&'static str, Omitted> {
        let mark = self.out.len();
        json::comma(&mut self.out);
        let value = self.out.len();
        let rule = self.append_normal_form(list, text);
        let is_first = mark == list.start;
        let is_known = !is_first && rule.is_ok() && {
            let (known, new) = self.out[list.start..].split_at(value - list.start);
            // A value begins with a quote, and few bytes of the list are one.
            let mut windows = known.windows(new.len());
            windows.any(|window| window[0] == b'"' && window == new)
        };
        if is_known || rule.is_err() {
            self.out.truncate(mark);
        }
        rule
    }

    /// Appends the normal form of a value as a JSON string. Returns the rule that was applied; after an error, the caller
    /// removes what was appended.
    fn append_normal_form(
        &mut self,
        list: &IdentifierList<'e>,
        text: &str,
    ) -> Result<&'static str, Omitted> {
        let (scratch, out) = (&mut self.scratch, &mut self.out);
        let Some(hash) = list.hash else {
            identity::external_id_raw(text, scratch)?;
            let is_private = list.key.is_some_and(|key| key.why(scratch).is_some());
            if is_private {
                value::append_hashed_id(scratch, out)?;
                return Ok(HASHED_ID);
            }
            let is_hashed = value::append_id(scratch, Use::Id, out)?;
            return Ok(if is_hashed { HASHED_ID } else { "as it is" });
        };
        out.push(b'"');
        let hashed = identity::hash(hash, text, list.locale, scratch, out)?;
        out.push(b'"');
        Ok(match hashed {
            Hashed::Here => rule(list.field.kind),
            Hashed::Before => "already hashed, as it is",
        })
    }

    /// Adds a part of the full name, if the event has neither a first nor a last name.
    fn part_of_name(&mut self, list: &IdentifierList<'e>, field: Field) {
        let plan = self.input.plan;
        let Some(full_name) = &plan.full_name else {
            return;
        };
        let has_part = plan.user_data.iter().any(|field| {
            let is_part = matches!(field.kind, Kind::Hashed(Field::Fn | Field::Ln));
            is_part && self.values(field).next().is_some()
        });
        if has_part {
            return;
        }
        let Some((full, origin)) = self.first(full_name, name).read() else {
            return;
        };
        let full = entity::decoded(&full);
        let (first_name, last_name) = identity::split_name(&full);
        let part = if field == Field::Fn {
            first_name
        } else {
            last_name
        };
        if let Some(part) = part {
            let written = self.add_normal_form(list, part);
            self.report(list, origin, written);
        }
    }

    /// Writes the visitor's public address: the first IPv6 address, else the first IPv4 address, else that of the request.
    fn client_ip(&mut self, field: &'e FieldPlan) -> bool {
        let plan = self.input.plan;
        let of_request = plan.request_ip.as_ref();
        let found = self
            .address_in(field, &field.places)
            .or_else(|| self.address_in(field, &of_request?.places));
        let Some((address, origin)) = found else {
            return false;
        };
        self.key(field);
        json::text(&address, &mut self.out);
        self.sent(field, origin, rule(field.kind));
        true
    }

    /// The best public address at these slots.
    fn address_in(
        &mut self,
        field: &'e FieldPlan,
        slots: &'e SlotSequence,
    ) -> Option<(Cow<'a, str>, Origin)> {
        let mut best: Option<(Cow<'a, str>, Origin)> = None;
        for (slot, raw) in self.filled(slots) {
            let is_list = raw.starts_with('[');
            for (place, element) in json_text::elements(raw).enumerate() {
                let origin = if is_list {
                    Origin::Element(slot, place)
                } else {
                    Origin::Slot(slot)
                };
                if place == MAX_VALUES {
                    self.omitted(field, origin, Omitted::TooManyValues);
                    break;
                }
                match client_ip(element) {
                    Ok(address) if address.contains(':') => return Some((address, origin)),
                    Ok(address) => best = best.or(Some((address, origin))),
                    Err(why) => self.omitted(field, origin, why),
                }
            }
        }
        best
    }
}

/// A full name.
fn name(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match json_text::text(raw)? {
        name if is_placeholder(&name, Role::FirstName) => Err(Omitted::Placeholder),
        name => Ok(name),
    }
}

fn client_ip(raw: &str) -> Result<Cow<'_, str>, Omitted> {
    match json_text::text(raw)? {
        Cow::Borrowed(text) => identity::client_ip(text),
        Cow::Owned(text) => {
            identity::client_ip(&text).map(|address| Cow::Owned(address.into_owned()))
        }
    }
}

fn year_of(now_ms: i64) -> i16 {
    jiff::Timestamp::from_millisecond(now_ms)
        .map_or(1970, |now| jiff::tz::Offset::UTC.to_datetime(now).year())
}
