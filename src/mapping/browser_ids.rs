//! `fbc` and `fbp`: the ids of the click and of the browser, from cookies, or generated if there is no cookie.

use super::event_writer::{EventWriter, Given, Origin};
use super::json;
use super::plan::FieldPlan;
use super::trace::Trace;
use crate::identity::browser_id::{self, Fbc};
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::rule::rule;
use std::borrow::Cow;

impl<'e, 'a, T: Trace> EventWriter<'e, 'a, T> {
    /// Writes the click id: the cookie's, unless the page's URL names another click, which is then sent with the event's time.
    pub(super) fn click_id(&mut self, field: &'e FieldPlan) -> bool {
        let cookie = self.first(field, ClickCookie::read);
        let is_cookie_given = !cookie.is_absent();
        let cookie = cookie.read();
        let click = self.clicked(field);
        self.facts.has_click |= is_cookie_given || click.is_some();
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
                json::text(&scratch, &mut self.out);
                self.sent(field, origin, rule);
            }
            Err(why) => self.omitted(field, origin, why),
        }
        self.scratch = scratch;
        chosen.is_ok()
    }

    /// The click id: in the query of a URL, or alone at a path that ends in `fbclid`.
    fn clicked(&mut self, field: &'e FieldPlan) -> Option<(Cow<'a, str>, Origin)> {
        let plan = self.input.plan;
        let sources = plan.click_id.as_ref()?;
        for slot in &sources.slots {
            let Some(raw) = self.get(*slot) else {
                continue;
            };
            let is_alone = self.input.paths.path(*slot).last_key() == Some("fbclid");
            // Most URLs have no click id, which this finds out without decoding them.
            if !is_alone && !raw.contains("fbclid") {
                continue;
            }
            match click_in(raw, is_alone) {
                Ok(Some(click)) => return Some((click, Origin::Slot(*slot))),
                Ok(None) => {}
                Err(why) => {
                    self.facts.has_click = true;
                    self.omitted(field, Origin::Slot(*slot), why);
                }
            }
        }
        None
    }

    /// Writes the browser id: the cookie's, or one made from the anonymous id.
    pub(super) fn browser_id(&mut self, field: &'e FieldPlan) -> bool {
        match self.first(field, |raw| cookie(raw, browser_id::fbp)) {
            Given::Read(cookie, origin) => {
                self.key(field);
                json::text(&cookie, &mut self.out);
                self.sent(field, origin, rule(field.kind));
                return true;
            }
            Given::Unreadable => return false,
            Given::Absent => {}
        }
        let plan = self.input.plan;
        let Some(visitor) = plan
            .visitor_id
            .as_ref()
            .filter(|_| self.input.rules.generate_fbp)
        else {
            return false;
        };
        let Some((visitor, origin)) = self.first(visitor, json_text::text).read() else {
            return false;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let made = browser_id::fbp_for(&visitor, &mut scratch);
        if made.is_ok() {
            self.key(field);
            json::text(&scratch, &mut self.out);
            let rule = "made from the anonymous id, always the same";
            self.sent(field, origin, rule);
        }
        self.scratch = scratch;
        made.is_ok()
    }
}

/// A click cookie that is well-formed.
enum ClickCookie<'a> {
    Unescaped(Fbc<'a>),
    Decoded(String),
}

impl<'a> ClickCookie<'a> {
    fn read(raw: &'a str) -> Result<Self, Omitted> {
        let cookie = match json_text::text_as_written(raw)? {
            Cow::Borrowed(text) => browser_id::fbc(text).map(Self::Unescaped),
            Cow::Owned(text) => browser_id::fbc(&text)
                .is_some()
                .then_some(Self::Decoded(text)),
        };
        cookie.ok_or(Omitted::MalformedCookie)
    }

    fn fbc(&self) -> Option<Fbc<'_>> {
        match self {
            Self::Unescaped(fbc) => Some(*fbc),
            Self::Decoded(text) => browser_id::fbc(text),
        }
    }
}

/// The value that `read` finds in a cookie's text.
fn cookie(raw: &str, read: impl Fn(&str) -> Option<&str>) -> Result<Cow<'_, str>, Omitted> {
    let value = match json_text::text_as_written(raw)? {
        Cow::Borrowed(text) => read(text).map(Cow::Borrowed),
        Cow::Owned(text) => read(&text).map(|value| Cow::Owned(value.to_owned())),
    };
    value.ok_or(Omitted::MalformedCookie)
}

/// The click id in a URL, or the value itself where it is alone. `None` if the URL has none.
fn click_in(raw: &str, is_alone: bool) -> Result<Option<Cow<'_, str>>, Omitted> {
    let text = json_text::text_as_written(raw)?;
    let click = match text {
        text if is_alone => browser_id::check_click_id(&text).map(|()| text),
        Cow::Borrowed(text) => browser_id::fbclid_in_url(text),
        Cow::Owned(text) => {
            browser_id::fbclid_in_url(&text).map(|click| Cow::Owned(click.into_owned()))
        }
    };
    match click {
        Ok(click) => Ok(Some(click)),
        Err(Omitted::Empty) => Ok(None),
        Err(why) => Err(why),
    }
}
