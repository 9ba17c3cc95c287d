//! What mapping reports about its decisions while it works.
//!
//! On the hot path that is a tally ([`crate::match_coverage`]), for which all but one of the calls compile to nothing; for
//! people it is an explanation ([`super::explanation`]).

use crate::omitted::Omitted;
use crate::payload::identifiers::Identifiers;
use crate::validate::ReplacedTime;
use std::sync::Arc;

/// An event that is sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    /// The number of its Meta event: see [`super::plan::Plans::meta_events`].
    pub(crate) meta_event: usize,
    pub(crate) identifiers: Identifiers,
    /// Whether it came with a click id or a click cookie, usable or not.
    pub(crate) has_click: bool,
    /// Whether the click that it is sent with is the one that the page's URL names.
    pub(crate) click_is_of_page: bool,
    /// Whether its browser id was made, because it had none.
    pub(crate) fbp_is_made: bool,
}

/// Observes mapping decisions. Every method defaults to a no-op, and texts are made only by those who want them.
pub(crate) trait Trace {
    /// Whether it is told about parameters without a value.
    const WANTS_ABSENT: bool = false;

    /// Whether the reason of an event that is not sent is made for people, with everything that helps.
    fn wants_details(&self) -> bool {
        Self::WANTS_ABSENT
    }

    /// The event's own name, if it has one that can be shown.
    #[inline]
    fn named(&mut self, _: impl FnOnce() -> Option<Arc<str>>) {}

    /// A field was written.
    #[inline]
    fn sent(&mut self, _: impl FnOnce() -> String, _from: impl FnOnce() -> String, _rule: &str) {}
    /// A value was found and could not be used.
    #[inline]
    fn omitted(
        &mut self,
        _: impl FnOnce() -> String,
        _from: impl FnOnce() -> String,
        _why: Omitted,
    ) {
    }
    /// A field that was reported as written was removed again, for this reason. Does nothing where the field was not written.
    #[inline]
    fn taken_back(&mut self, _: impl FnOnce() -> String, _why: Omitted) {}
    /// A field that was reported as written was removed again together with what holds it, which is reported itself.
    #[inline]
    fn forgotten(&mut self, _: impl FnOnce() -> String) {}
    /// No usable value was found at any of the paths where it was looked for.
    #[inline]
    fn absent(&mut self, _: impl FnOnce() -> String, _looked_in: impl FnOnce() -> Vec<String>) {}
    /// The event is sent.
    #[inline]
    fn passed(&mut self, _: Passed) {}
    /// The event is sent with the time of receipt, although it gives a time.
    #[inline]
    fn time_replaced(&mut self, _: ReplacedTime) {}
}
