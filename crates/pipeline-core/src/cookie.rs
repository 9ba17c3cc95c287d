//! A cookie that a destination would keep in the browser of the visitor who sent an event.
//!
//! Sinks know which cookies those are and whether the visitor agreed; sources know the browser and may set cookies.
//! Neither has to know the other.
//!
//! Invariant: holds an id of a browser, which is data about a person: it is never shown.

use std::fmt;
use std::time::Duration;

/// A cookie that a destination would keep in a visitor's browser.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cookie {
    /// Its name in the browser.
    pub name: &'static str,
    /// The member of `context` under which an event has its value.
    pub member: &'static str,
    /// Its value: letters, digits, and `.`, `-`, `_` only.
    pub value: String,
    /// How long the browser keeps it.
    pub max_age: Duration,
    /// Whether the event, as it is, would be sent with this value. Otherwise a source that sets the cookie also adds the
    /// value to the event, so that both sides have the same.
    pub is_sent: bool,
}

impl Cookie {
    /// A cookie of this name, whose value an event has at this member of `context`.
    pub fn new(
        name: &'static str,
        member: &'static str,
        value: impl Into<String>,
        max_age: Duration,
    ) -> Self {
        Self {
            name,
            member,
            value: value.into(),
            max_age,
            is_sent: false,
        }
    }

    /// The same cookie; `is_sent` says whether the event would be sent with it.
    #[must_use]
    pub fn sent(mut self, is_sent: bool) -> Self {
        self.is_sent = is_sent;
        self
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("is_sent", &self.is_sent)
            .finish_non_exhaustive()
    }
}
