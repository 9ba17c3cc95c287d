//! `fbc` and `fbp`: the ids of the click and of the browser, from cookies, or generated if there is no cookie.

use super::event_writer::EventWriter;
use super::given::{Given, Origin};
use super::plan::FieldPlan;
use super::trace::Trace;
use super::{json, value};
use crate::byte_search;
use crate::identity::browser_id::{self, Fbc};
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::action_source::ActionSource;
use crate::payload::rule::rule;
use json_paths::Path;
use std::borrow::Cow;

/// The rule of a browser id that the event did not have.
pub(super) const MADE_FBP: &str = "made from the anonymous id, always the same";

impl<'e, 'a, T: Trace> EventWriter<'e, 'a, T> {
    /// Writes the click id: the cookie's, unless the page's URL names another click, which is then sent with the event's time.
    pub(super) fn click_id(&mut self, field: &'e FieldPlan) -> bool {
        let cookie = self.first_cookie(field, "_fbc", ClickCookie::read);
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
        let mut choose = |event_ms| {
            browser_id::choose(
                cookie.as_ref().and_then(|(cookie, _)| cookie.fbc()),
                click.as_ref().map(|(click, _)| &**click),
                event_ms,
                &mut scratch,
            )
        };
        let chosen = match (choose(self.facts.event_ms), self.facts.by_wrong_clock_ms) {
            // The clock that was ahead has stamped the cookie, too.
            (Err(Omitted::ClickInFuture), Some(event_ms)) => choose(event_ms),
            (chosen, _) => chosen,
        };
        match chosen {
            Ok(()) => {
                let fbc = cookie.as_ref().and_then(|(cookie, _)| cookie.fbc());
                let fbc = fbc.filter(|fbc| fbc.value == scratch.as_str());
                let of_cookie = fbc.is_some();
                let is_of_page = |click: &str| fbc.is_none_or(|fbc| fbc.click_id == click);
                let click = click.as_ref().map(|(click, _)| &**click);
                self.facts.click_is_of_page = click.is_some_and(is_of_page);
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
        for (slot, raw) in self.values(sources) {
            let is_alone = self.input.paths.path(slot).last_key() == Some("fbclid");
            // Most URLs have no click id, which this finds out without decoding them.
            let may_have_one = || byte_search::has_pair(raw, *b"fb") && raw.contains("fbclid");
            if !is_alone && !may_have_one() {
                continue;
            }
            match click_in(raw, is_alone) {
                Ok(Some(click)) => return Some((click, Origin::Slot(slot))),
                Ok(None) => {}
                Err(why) => {
                    self.facts.has_click |= !why.counts_as_absent();
                    self.omitted(field, Origin::Slot(slot), why);
                }
            }
        }
        None
    }

    /// Whether an event without a browser id gets one: only a website has a browser.
    fn may_make_fbp(&self) -> bool {
        self.input.rules.generate_fbp && self.facts.action_source == ActionSource::Website
    }

    /// The first value of a field of cookies that `read` can use. Some paths lead to the header `Cookie`, which has it under `name`.
    fn first_cookie<R>(
        &mut self,
        field: &'e FieldPlan,
        name: &str,
        read: impl Fn(Cow<'a, str>) -> Result<R, Omitted>,
    ) -> Given<R> {
        let mut given = Given::Absent;
        for (slot, raw) in self.values(field) {
            let cookie = if is_of_header(self.input.paths.path(slot)) {
                in_header(raw, name).and_then(&read)
            } else {
                json_text::text_as_written(raw).and_then(&read)
            };
            match cookie {
                Ok(cookie) => return Given::Read(cookie, Origin::Slot(slot)),
                Err(why) => {
                    self.omitted(field, Origin::Slot(slot), why);
                    if !why.counts_as_absent() {
                        given = Given::Unreadable;
                    }
                }
            }
        }
        given
    }

    /// Writes the browser id: the cookie's, or one made from the anonymous id.
    pub(super) fn browser_id(&mut self, field: &'e FieldPlan) -> bool {
        match self.first_cookie(field, "_fbp", browser_id_cookie) {
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
        let Some(visitor) = plan.visitor_id.as_ref().filter(|_| self.may_make_fbp()) else {
            return false;
        };
        let Some((visitor, origin)) = self.first(visitor, value::identifier).read() else {
            return false;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let made = browser_id::fbp_for(&visitor, &mut scratch);
        match made {
            Ok(()) => {
                self.key(field);
                json::text(&scratch, &mut self.out);
                self.sent(field, origin, MADE_FBP);
                self.facts.fbp_is_made = true;
            }
            Err(why) => self.omitted(field, origin, why),
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
    fn read(text: Cow<'a, str>) -> Result<Self, Omitted> {
        Ok(match text {
            Cow::Borrowed(text) => Self::Unescaped(browser_id::fbc(text)?),
            Cow::Owned(text) => {
                browser_id::fbc(&text)?;
                Self::Decoded(text)
            }
        })
    }

    fn fbc(&self) -> Option<Fbc<'_>> {
        match self {
            Self::Unescaped(fbc) => Some(*fbc),
            Self::Decoded(text) => browser_id::fbc(text).ok(),
        }
    }
}

fn browser_id_cookie(text: Cow<'_, str>) -> Result<Cow<'_, str>, Omitted> {
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(browser_id::fbp(text)?),
        Cow::Owned(text) => Cow::Owned(browser_id::fbp(&text)?.to_owned()),
    })
}

/// Whether a path leads to all cookies of a request, rather than to one.
fn is_of_header(path: &Path) -> bool {
    let key = path.last_key().unwrap_or_default();
    key.eq_ignore_ascii_case("cookie") || key.eq_ignore_ascii_case("cookies")
}

/// The cookie of this name in the header `Cookie`. Elsewhere, the same key has an object or a list of cookies, whose members have paths
/// of their own.
fn in_header<'a>(raw: &'a str, name: &str) -> Result<Cow<'a, str>, Omitted> {
    if raw.starts_with(['{', '[']) {
        return Err(Omitted::NoCookie);
    }
    let cookie = match json_text::text_as_written(raw)? {
        Cow::Borrowed(header) => browser_id::in_header(header, name).map(Cow::Borrowed),
        Cow::Owned(header) => {
            browser_id::in_header(&header, name).map(|cookie| Cow::Owned(cookie.to_owned()))
        }
    };
    cookie.ok_or(Omitted::NoCookie)
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
