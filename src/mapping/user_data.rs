//! `user_data`: who it was, hashed; and the browser's and the click's ids, as they are.

use super::compile::FieldPlan;
use super::draft::{Draft, Origin, Scope, rule, write_text};
use super::explain::Trace;
use super::value::{self, LeftOut};
use crate::identity::{self, Field, Hashed, Locale, browser_id, browser_id::Fbc};
use crate::payload::{Kind, MAX_VALUES};
use std::borrow::Cow;

impl From<identity::LeftOut> for LeftOut {
    fn from(why: identity::LeftOut) -> Self {
        Self {
            code: why.code(),
            sentence: why.sentence(),
        }
    }
}

impl<'m, 'a, T: Trace> Draft<'m, '_, 'a, '_, T> {
    pub(super) fn user_data(&mut self) {
        self.json(",\"user_data\":{");
        let locale = self.locale();
        let plan = self.plan;
        for field in self.within(Scope::Event, &plan.user_data) {
            let mark = self.out.len();
            let written = match field.kind {
                Kind::Hashed(kind) => self.identity(field, Some(kind), locale),
                Kind::ExternalId => {
                    let kind = self.mapping.rules.hash_external_id;
                    self.identity(field, kind.then_some(Field::ExternalId), locale)
                }
                Kind::ClientIp => self.client_ip(field),
                Kind::ClickId => self.click_id(field),
                Kind::BrowserId => self.browser_id(field),
                _ => {
                    self.plain(Scope::Event, field);
                    self.out.len() > mark
                }
            };
            if let Some(known) = field.known.filter(|_| written) {
                self.facts.identifiers.insert(known);
            } else {
                self.out.truncate(mark);
                self.absent(Scope::Event, field);
            }
        }
        self.out.push(b'}');
    }

    /// What the event says about how its values are to be read.
    fn locale(&mut self) -> Locale {
        let plan = self.plan;
        let country = plan
            .user_data
            .iter()
            .find(|field| field.kind == Kind::Hashed(Field::Country))
            .and_then(|field| {
                field.places.iter().find_map(|slot| {
                    let raw = self.get(Scope::Event, *slot)?;
                    identity::country_of(&value::text_as_written(raw).ok()?)
                })
            });
        Locale {
            country,
            default_country: self.mapping.rules.default_country,
            year: year_of(self.now_ms),
        }
    }

    /// Writes a field of many values, each hashed by the rule of `kind`, or as it is where there is none.
    fn identity(&mut self, field: &'m FieldPlan, kind: Option<Field>, locale: Locale) -> bool {
        self.key(field);
        self.out.push(b'[');
        let start = self.out.len();
        let mut begin = 0;
        for end in &field.group_ends {
            let group = field.places.get(begin..*end).unwrap_or_default();
            begin = *end;
            for slot in group {
                let Some(raw) = self.get(Scope::Event, *slot) else {
                    continue;
                };
                let before = self.out.len();
                if raw.starts_with('[') {
                    for element in value::elements(raw).take(MAX_VALUES) {
                        self.identifier(field, kind, locale, start, element, Origin::Slot(*slot));
                    }
                } else {
                    self.identifier(field, kind, locale, start, raw, Origin::Slot(*slot));
                }
                if self.out.len() > before {
                    break;
                }
            }
        }
        let constants = [
            (&field.constant, Origin::Constant),
            (&field.default, Origin::Default),
        ];
        for (constant, origin) in constants {
            if let Some(raw) = constant
                && self.out.len() == start
            {
                self.identifier(field, kind, locale, start, raw, origin);
            }
        }
        if self.out.len() == start
            && let Some(kind @ (Field::Fn | Field::Ln)) = kind
        {
            self.part_of_name(field, kind, locale, start);
        }
        self.out.push(b']');
        self.out.len() > start + 1
    }

    /// Writes one value of a list that begins at `start`, unless it is there already.
    fn identifier(
        &mut self,
        field: &'m FieldPlan,
        kind: Option<Field>,
        locale: Locale,
        start: usize,
        raw: &str,
        origin: Origin,
    ) {
        if value::is_empty(raw) {
            return;
        }
        let text = match kind {
            Some(_) => value::text_as_written(raw),
            None => value::text(raw),
        };
        let written = text.and_then(|text| self.normal_form(field, kind, locale, start, &text));
        match written {
            Ok(rule) => self.sent(Scope::Event, field, origin, rule),
            Err(why) => self.left_out(Scope::Event, field, origin, why),
        }
    }

    /// Adds a value in its form to the list that begins at `start`, unless it is in it.
    fn normal_form(
        &mut self,
        field: &FieldPlan,
        kind: Option<Field>,
        locale: Locale,
        start: usize,
        text: &str,
    ) -> Result<&'static str, LeftOut> {
        let mark = self.out.len();
        self.comma();
        let value = self.out.len();
        let rule = self.form(field, kind, locale, text);
        let is_there = rule.is_ok() && {
            let (list, new) = self.out[start..].split_at(value - start);
            // Texts begin with a quote, and few bytes of a list are one.
            let mut places = list.windows(new.len());
            places.any(|present| present[0] == b'"' && present == new)
        };
        if is_there || rule.is_err() {
            self.out.truncate(mark);
        }
        rule
    }

    /// Writes a value in its form, as a JSON string, and says by which rule. Where it has none, what was written is to be
    /// taken back.
    fn form(
        &mut self,
        field: &FieldPlan,
        kind: Option<Field>,
        locale: Locale,
        text: &str,
    ) -> Result<&'static str, LeftOut> {
        let (scratch, out) = (&mut self.scratch, &mut self.out);
        let Some(kind) = kind else {
            identity::external_id_raw(text, scratch)?;
            write_text(scratch, out);
            return Ok("as it is");
        };
        out.push(b'"');
        let hashed = identity::hash(kind, text, locale, scratch, out)?;
        out.push(b'"');
        Ok(match hashed {
            Hashed::Here => rule(field.kind),
            Hashed::Before => "already hashed, as it is",
        })
    }

    /// Writes a part of the full name, where neither a first nor a last name is given.
    fn part_of_name(&mut self, field: &'m FieldPlan, kind: Field, locale: Locale, start: usize) {
        let plan = self.plan;
        let Some(full_name) = &plan.full_name else {
            return;
        };
        let given = plan.user_data.iter().any(|field| {
            let is_name = matches!(field.kind, Kind::Hashed(Field::Fn | Field::Ln));
            let mut slots = field.places.iter();
            is_name && slots.any(|slot| self.get(Scope::Event, *slot).is_some())
        });
        if given {
            return;
        }
        let Some((full, origin)) = self.first(Scope::Event, full_name, value::text) else {
            return;
        };
        let (first, last) = identity::split_name(&full);
        let part = if kind == Field::Fn { first } else { last };
        let Some(part) = part else {
            return;
        };
        match self.normal_form(field, Some(kind), locale, start, part) {
            Ok(rule) => self.sent(Scope::Event, field, origin, rule),
            Err(why) => self.left_out(Scope::Event, field, origin, why),
        }
    }

    /// The visitor's public address: the first IPv6 one, else the first IPv4 one.
    fn client_ip(&mut self, field: &'m FieldPlan) -> bool {
        let mut best: Option<(Cow<'a, str>, Origin)> = None;
        for slot in &field.places {
            let origin = Origin::Slot(*slot);
            let Some(raw) = self.get(Scope::Event, *slot) else {
                continue;
            };
            for text in value::texts(raw).take(MAX_VALUES) {
                let address = match text {
                    Cow::Borrowed(text) => identity::client_ip(text),
                    Cow::Owned(text) => {
                        identity::client_ip(&text).map(|address| Cow::Owned(address.into_owned()))
                    }
                };
                match address {
                    Ok(address) if best.is_none() || address.contains(':') => {
                        let is_v6 = address.contains(':');
                        best = Some((address, origin));
                        if is_v6 {
                            break;
                        }
                    }
                    Ok(_) => {}
                    Err(why) => self.left_out(Scope::Event, field, origin, why.into()),
                }
            }
            if best
                .as_ref()
                .is_some_and(|(address, _)| address.contains(':'))
            {
                break;
            }
        }
        let Some((address, origin)) = best else {
            return false;
        };
        self.key(field);
        self.text(&address);
        self.sent(Scope::Event, field, origin, rule(field.kind));
        true
    }

    /// The click: the cookie's while it is of the same click as the page's URL says, else a new one with the event's
    /// own time.
    fn click_id(&mut self, field: &'m FieldPlan) -> bool {
        let cookie = self.first(Scope::Event, field, ClickCookie::read);
        let click = self.clicked(field);
        let of_cookie = cookie.as_ref().map(|(_, origin)| *origin);
        let of_click = click.as_ref().map(|(_, origin)| *origin);
        let Some(mut origin) = of_cookie.or(of_click) else {
            return false;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let chosen = browser_id::choose(
            cookie.as_ref().and_then(|(cookie, _)| cookie.fbc()),
            click.as_ref().map(|(click, _)| &**click),
            self.facts.event_ms,
            &mut scratch,
        );
        match chosen {
            Ok(()) => {
                let fbc = cookie.as_ref().and_then(|(cookie, _)| cookie.fbc());
                let of_cookie = fbc.is_some_and(|fbc| fbc.value == scratch.as_str());
                let rule = if of_cookie {
                    "cookie value, as it is"
                } else {
                    origin = of_click.unwrap_or(origin);
                    "made from the click id and the event's time"
                };
                self.key(field);
                self.text(&scratch);
                self.sent(Scope::Event, field, origin, rule);
            }
            Err(why) => self.left_out(Scope::Event, field, origin, why.into()),
        }
        self.scratch = scratch;
        chosen.is_ok()
    }

    /// The click id: in the query of a URL, or by itself where a path ends in `fbclid`.
    fn clicked(&mut self, field: &'m FieldPlan) -> Option<(Cow<'a, str>, Origin)> {
        let plan = self.plan;
        let sources = plan.click_id.as_ref()?;
        for slot in &sources.places {
            let Some(raw) = self.get(Scope::Event, *slot) else {
                continue;
            };
            let bare = self.mapping.paths.path(*slot).last_key() == Some("fbclid");
            // Most URLs have no click id; they are not decoded to find that out.
            if !bare && !raw.contains("fbclid") {
                continue;
            }
            match click_in(raw, bare) {
                Ok(Some(click)) => return Some((click, Origin::Slot(*slot))),
                Ok(None) => {}
                Err(why) => self.left_out(Scope::Event, field, Origin::Slot(*slot), why),
            }
        }
        None
    }

    fn browser_id(&mut self, field: &'m FieldPlan) -> bool {
        let cookie = self.first(Scope::Event, field, |raw| cookie(raw, browser_id::fbp));
        if let Some((cookie, origin)) = cookie {
            self.key(field);
            self.text(&cookie);
            self.sent(Scope::Event, field, origin, rule(field.kind));
            return true;
        }
        let plan = self.plan;
        let Some(visitor) = plan
            .visitor_id
            .as_ref()
            .filter(|_| self.mapping.rules.generate_fbp)
        else {
            return false;
        };
        let Some((visitor, origin)) = self.first(Scope::Event, visitor, value::text) else {
            return false;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let made = browser_id::fbp_for(&visitor, &mut scratch);
        if made.is_ok() {
            self.key(field);
            self.text(&scratch);
            let rule = "made from the anonymous id, always the same";
            self.sent(Scope::Event, field, origin, rule);
        }
        self.scratch = scratch;
        made.is_ok()
    }
}

/// A click cookie that is well-formed.
enum ClickCookie<'a> {
    AsItStands(Fbc<'a>),
    Decoded(String),
}

impl<'a> ClickCookie<'a> {
    fn read(raw: &'a str) -> Result<Self, LeftOut> {
        let cookie = match value::text_as_written(raw)? {
            Cow::Borrowed(text) => browser_id::fbc(text).map(Self::AsItStands),
            Cow::Owned(text) => browser_id::fbc(&text)
                .is_some()
                .then_some(Self::Decoded(text)),
        };
        cookie.ok_or_else(|| identity::LeftOut::MalformedCookie.into())
    }

    fn fbc(&self) -> Option<Fbc<'_>> {
        match self {
            Self::AsItStands(fbc) => Some(*fbc),
            Self::Decoded(text) => browser_id::fbc(text),
        }
    }
}

/// A cookie's value, as `read` finds it in the text.
fn cookie(raw: &str, read: impl Fn(&str) -> Option<&str>) -> Result<Cow<'_, str>, LeftOut> {
    let value = match value::text_as_written(raw)? {
        Cow::Borrowed(text) => read(text).map(Cow::Borrowed),
        Cow::Owned(text) => read(&text).map(|value| Cow::Owned(value.to_owned())),
    };
    value.ok_or_else(|| identity::LeftOut::MalformedCookie.into())
}

/// The click id in a URL, or the one that the value is.
fn click_in(raw: &str, bare: bool) -> Result<Option<Cow<'_, str>>, LeftOut> {
    let text = value::text_as_written(raw)?;
    let click = match text {
        text if bare => browser_id::check_click_id(&text).map(|()| text),
        Cow::Borrowed(text) => browser_id::fbclid_in_url(text),
        Cow::Owned(text) => {
            browser_id::fbclid_in_url(&text).map(|click| Cow::Owned(click.into_owned()))
        }
    };
    match click {
        Ok(click) => Ok(Some(click)),
        Err(identity::LeftOut::Empty) => Ok(None),
        Err(why) => Err(why.into()),
    }
}

fn year_of(now_ms: i64) -> i16 {
    jiff::Timestamp::from_millisecond(now_ms)
        .map_or(1970, |now| jiff::tz::Offset::UTC.to_datetime(now).year())
}
