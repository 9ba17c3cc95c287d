//! Cookies of a destination's in a visitor's browser: those that came with a request, and those that its answer sets.
//!
//! Which cookies there are, and whether the visitor agreed, the sinks say for each event ([`Intake::cookies`]). What is set here
//! is added to the event in the same step, so that the browser's scripts and the server send the same ids.
//!
//! Invariants: a cookie is set only with a value that an event of this request is sent with; an event that does not say that the
//! visitor agreed gets nothing that was not in the request; a cookie that a browser has is replaced only by a new click.

use super::client::{CookieOfMeta, is_click, is_well_formed};
use super::completion::Completion;
use super::outline::Element;
use super::site::Scope;
use axum::http::HeaderValue;
use bytes::Bytes;
use pipeline_core::{Cookie, Event, Intake, Meta};
use std::sync::Arc;
use std::time::Duration;

/// The longest value of a cookie that is set.
const MAX_VALUE_BYTES: usize = 600;
/// Cookies of one request.
const MAX_COOKIES: usize = 8;
/// Bytes that cookies that are set may add to an event.
pub(super) const MAX_ADDED_BYTES: usize = 2 * (MAX_VALUE_BYTES + 16);

/// The cookies of one browser, while the events of a request are completed.
#[derive(Debug, Clone)]
pub(super) struct Jar {
    scope: Scope,
    /// The cookies that may be set.
    wanted: Vec<&'static str>,
    /// Those that came with the request.
    came: Vec<Held>,
    /// Those that the browser will have.
    held: Vec<Held>,
}

/// A cookie in the jar.
#[derive(Clone, PartialEq, Eq)]
struct Held {
    name: &'static str,
    member: &'static str,
    value: String,
    /// How long the browser shall keep it, where it is a new one.
    set: Option<Duration>,
}

/// A request, as its events are looked at.
pub(super) struct Visit {
    pub(super) to: Arc<dyn Intake>,
    pub(super) received_ms: i64,
    pub(super) meta: Arc<Meta>,
}

impl Jar {
    /// The cookies that came with a request. Of those that may be set, a malformed one counts as absent.
    pub(super) fn new(scope: Scope, wanted: &[&'static str], of_request: &[CookieOfMeta]) -> Self {
        let is_kept = |cookie: &&CookieOfMeta| {
            !wanted.contains(&cookie.name) || is_well_formed(&cookie.value)
        };
        let held = of_request.iter().filter(is_kept).map(|cookie| Held {
            name: cookie.name,
            member: cookie.member,
            value: cookie.value.clone(),
            set: None,
        });
        let held: Vec<_> = held.collect();
        Self {
            scope,
            wanted: wanted.to_vec(),
            came: held.clone(),
            held,
        }
    }

    /// An event with what was absent, and with the cookies that are or will be in the browser.
    pub(super) fn complete(
        &mut self,
        completion: &Completion,
        visit: &Visit,
        event: &Element,
    ) -> Bytes {
        let ask = |event: &Bytes| {
            let event = Event::new(event.clone(), visit.received_ms);
            visit.to.cookies(&event.with_meta(Arc::clone(&visit.meta)))
        };
        let plain = completion.with(members(&self.came)).of(event);
        let mut tried = self.clone();
        let mut completed = completion.with(members(&tried.held)).of(event);
        let mut cookies = ask(&completed);
        // What the first answer adds, the second confirms.
        if tried.add(&cookies) {
            completed = completion.with(members(&tried.held)).of(event);
            cookies = ask(&completed);
        }
        if cookies.is_empty() {
            return plain;
        }
        let confirms = |held: &Held| {
            let is_it = |cookie: &Cookie| cookie.name == held.name && cookie.value == held.value;
            cookies.iter().any(|cookie| cookie.is_sent && is_it(cookie))
        };
        let is_new = |held: &&Held| !self.held.contains(held);
        let new: Vec<_> = tried.held.iter().filter(is_new).cloned().collect();
        let is_confirmed = new.iter().all(confirms);
        for held in new.into_iter().filter(confirms) {
            self.put(held);
        }
        if is_confirmed {
            completed
        } else {
            completion.with(members(&self.held)).of(event)
        }
    }

    /// The headers that set what is new.
    pub(super) fn into_headers(self) -> Vec<HeaderValue> {
        let scope = &self.scope;
        let new = self.held.iter().filter_map(|held| {
            let domain = match scope {
                Scope::Host => String::new(),
                Scope::Domain(domain) => format!("; Domain={domain}"),
            };
            let (name, value, secs) = (held.name, &held.value, held.set?.as_secs());
            let text = format!("{name}={value}; Max-Age={secs}; Path=/{domain}; SameSite=Lax");
            HeaderValue::try_from(text).ok()
        });
        new.collect()
    }

    /// Adds those of these cookies that the browser lacks. Answers whether there were any.
    fn add(&mut self, cookies: &[Cookie]) -> bool {
        let mut added = false;
        for cookie in cookies.iter().take(MAX_COOKIES) {
            let held = self.held.iter().find(|held| held.name == cookie.name);
            let is_new = match held {
                None => true,
                Some(held) => is_click(held.name) && click(&held.value) != click(&cookie.value),
            };
            if is_new && self.wanted.contains(&cookie.name) && is_plain(&cookie.value) {
                added = true;
                self.put(Held {
                    name: cookie.name,
                    member: cookie.member,
                    value: cookie.value.clone(),
                    set: Some(cookie.max_age),
                });
            }
        }
        added
    }

    fn put(&mut self, held: Held) {
        self.held.retain(|other| other.name != held.name);
        self.held.push(held);
    }
}

/// Members of `context` for cookies of a request: names and JSON.
pub(super) fn members_of(cookies: &[CookieOfMeta]) -> impl Iterator<Item = (&'static str, String)> {
    let json = |value: &str| serde_json::Value::from(value).to_string();
    cookies
        .iter()
        .map(move |cookie| (cookie.member, json(&cookie.value)))
}

/// The same for those in a jar.
fn members(held: &[Held]) -> impl Iterator<Item = (&'static str, String)> {
    let json = |value: &str| serde_json::Value::from(value).to_string();
    held.iter()
        .map(move |held| (held.member, json(&held.value)))
}

/// The id of the click in a cookie: its fourth part.
fn click(value: &str) -> Option<&str> {
    value.split('.').nth(3)
}

/// Whether a value needs no quoting in a header.
fn is_plain(value: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !value.is_empty() && value.len() <= MAX_VALUE_BYTES && value.bytes().all(known)
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests;
