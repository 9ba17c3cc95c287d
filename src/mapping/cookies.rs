//! The cookies `_fbp` and `_fbc` that a website would keep in the browser that sent an event.
//!
//! In: an event. Out: its browser id, and its click id where the page's own URL names the click, with the values that the event
//! is sent with. Where an event has no browser id, one is proposed that is made from the visitor's anonymous id, as `generate_fbp`
//! makes it, or from the event's id: a request that is sent again proposes the same.
//!
//! Invariant: without a grant of marketing that can be read in this very event, nothing is proposed, whatever the options allow.

use super::Mapping;
use super::trace::{Passed, Trace};
use crate::identity::browser_id;
use crate::payload::action_source::ActionSource;
use pipeline_core::{Cookie, Encoded, Event};
use serde::Deserialize;
use std::time::Duration;

/// How long browsers keep both, as Meta's own script says it.
const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What is read of a server event.
#[derive(Debug, Deserialize)]
struct Sent<'a> {
    action_source: &'a str,
    #[serde(borrow, default)]
    user_data: SentIds<'a>,
}

/// The ids of the browser in a server event.
#[derive(Debug, Default, Deserialize)]
struct SentIds<'a> {
    fbp: Option<&'a str>,
    fbc: Option<&'a str>,
}

/// Takes note of whether the click that is sent is that of the page.
#[derive(Debug, Default)]
struct OfPage(bool);

impl Trace for OfPage {
    fn passed(&mut self, passed: Passed) {
        self.0 = passed.click_is_of_page;
    }
}

impl Mapping {
    /// The cookies for the browser that sent an event; `None` where the event is not sent as one of a website, empty where it
    /// does not say that the visitor agreed to marketing.
    #[cold]
    pub(crate) fn cookies(&self, event: &Event, now_ms: i64) -> Option<Vec<Cookie>> {
        let found = self.paths.read_bytes(event.raw()).ok()?;
        if self.consent_to_cookies.check(&found).is_err() {
            return Some(Vec::new());
        }
        let mut of_page = OfPage::default();
        let Encoded::Record(record) = self.encode(event, now_ms, &mut of_page) else {
            return None;
        };
        let sent: Sent<'_> = serde_json::from_slice(&record.payload).ok()?;
        if sent.action_source != ActionSource::Website.word() {
            return None;
        }
        let mut cookies = Vec::new();
        let cookie = |name, member, value: &str| Cookie::new(name, member, value, MAX_AGE);
        if let Some(fbp) = sent.user_data.fbp {
            cookies.push(cookie("_fbp", "fbp", fbp).sent(true));
        } else if let Some(fbp) = self.made_fbp(event, now_ms, &record.event_id) {
            cookies.push(cookie("_fbp", "fbp", &fbp));
        }
        if let Some(fbc) = sent.user_data.fbc.filter(|_| of_page.0) {
            cookies.push(cookie("_fbc", "fbc", fbc).sent(true));
        }
        Some(cookies)
    }

    /// A browser id for an event that is sent without one.
    fn made_fbp(&self, event: &Event, now_ms: i64, event_id: &str) -> Option<String> {
        let mut rules = self.rules.clone();
        rules.generate_fbp = true;
        let encoded = self.encode_by(&rules, event, now_ms, &mut OfPage::default());
        if let Encoded::Record(record) = encoded {
            let sent: Sent<'_> = serde_json::from_slice(&record.payload).ok()?;
            if let Some(fbp) = sent.user_data.fbp {
                return Some(fbp.to_owned());
            }
        }
        let mut made = String::new();
        browser_id::fbp_for(event_id, &mut made).ok()?;
        Some(made)
    }
}

#[cfg(test)]
mod tests;
