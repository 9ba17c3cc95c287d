//! Decides whether the sender wants an event at this destination: reads the `integrations` object; pure.
//!
//! Analytics SDKs let a sender say for each event which destinations get it: `{"All": false, "Facebook Pixel": true}`. This sink
//! goes by several names, which an option can replace. In: what was found in an event. Out: nothing, or the reason for filtering it.
//!
//! Invariant: a name of ours that is off, at any of the places, filters the event, whatever else they say; a wish about us that
//! cannot be read is not taken for consent.

use crate::alike::alike;
use crate::answer::{Answer, Words};
use crate::json_text;
use crate::reason;
use json_paths::{Found, Path, Paths, Slot, SlotBits};
use pipeline_core::Reason;

/// Where the object is.
const PLACES: [&str; 2] = ["integrations", "context.integrations"];

/// The key that means every destination.
const ALL: &str = "All";

/// The object as SDKs write it in every event.
const USUAL: [&str; 2] = [r#"{"All":true}"#, r#"{"All": true}"#];

/// The names that mean this destination. Case, spaces, `_`, `-` and parentheses do not matter.
pub(crate) const NAMES: [&str; 13] = [
    "Facebook Conversions API (Actions)",
    "Facebook Conversions API",
    "Facebook Conversions",
    "Facebook Pixel Server Side",
    "Facebook Pixel",
    "Facebook CAPI",
    "Meta Conversions API (Actions)",
    "Meta Conversions API",
    "Meta Conversions",
    "Meta Pixel",
    "Meta CAPI",
    "Facebook",
    "Meta",
];

/// The compiled rule.
#[derive(Debug)]
pub(crate) struct Integrations {
    names: Vec<String>,
    places: Vec<(&'static str, Slot)>,
    /// A bit for each place, by its index.
    given: SlotBits,
    words: Words,
}

/// What the places say together.
#[derive(Debug, Default)]
struct Wishes {
    /// Where everything is off.
    all_off: Option<String>,
    /// Where a name of ours is off.
    off: Option<String>,
    is_on: bool,
    /// Where it cannot be read whether everything is off.
    all_unreadable: Option<String>,
    /// Where it cannot be read whether a name of ours is off.
    unreadable: Option<String>,
}

impl Integrations {
    /// Compiles the rule for a sink of these names.
    pub(crate) fn compile(names: &[String], paths: &mut Paths) -> Self {
        let mut rule = Self {
            names: names.to_vec(),
            places: Vec::new(),
            given: SlotBits::default(),
            words: Words::default(),
        };
        for written in PLACES {
            if let Ok(path) = Path::parse(written) {
                let slot = paths.slot(&path);
                rule.given.add(slot, 1 << rule.places.len());
                rule.places.push((written, slot));
            }
        }
        rule
    }

    /// Every slot that is looked at.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.places.iter().map(|(_, slot)| *slot)
    }

    /// Whether the sender wants the event here.
    ///
    /// # Errors
    ///
    /// The reason why it does not, or why that cannot be said.
    #[inline]
    pub(crate) fn check(&self, found: &Found<'_>) -> Result<(), Reason> {
        if found.object().bits_of(&self.given) == 0 {
            return Ok(());
        }
        self.check_given(found)
    }

    #[cold]
    fn check_given(&self, found: &Found<'_>) -> Result<(), Reason> {
        let mut wishes = Wishes::default();
        for (place, slot) in &self.places {
            let raw = found.get(*slot).filter(|raw| !json_text::is_empty(raw));
            if let Some(raw) = raw.filter(|raw| !USUAL.contains(raw)) {
                self.read(place, raw, &mut wishes);
            }
        }
        let unless_on = |_: &String| !wishes.is_on;
        let all_off = wishes.all_off.filter(unless_on);
        let all_unreadable = wishes.all_unreadable.filter(unless_on);
        match (wishes.off.or(all_off), wishes.unreadable.or(all_unreadable)) {
            (Some(at), _) => Err(reason::integrations(&at)),
            (None, Some(at)) => Err(reason::integrations_unreadable(&at)),
            (None, None) => Ok(()),
        }
    }

    /// Reads the value of one place.
    fn read(&self, place: &str, raw: &str, wishes: &mut Wishes) {
        match (self.words.read(raw), raw.as_bytes().first()) {
            (Some(Answer::No), _) => wishes.all_off = Some(place.to_owned()),
            (Some(Answer::Yes), _) => {}
            (None, Some(b'{')) => self.read_object(place, raw, wishes),
            (None, Some(b'[')) => self.read_list(place, raw, wishes),
            (None, _) => match json_text::text(raw) {
                Ok(text) if alike(&text, ALL) => {}
                Ok(text) if self.name_like(&text).is_some() => wishes.is_on = true,
                _ => wishes.all_unreadable = Some(place.to_owned()),
            },
        }
    }

    fn read_object(&self, place: &str, raw: &str, wishes: &mut Wishes) {
        let entries = json_text::entries(raw);
        if entries.is_empty() {
            wishes.all_unreadable = Some(place.to_owned());
        }
        for (key, value) in entries {
            let name = self.name_like(&key);
            if name.is_none() && !alike(&key, ALL) {
                continue;
            }
            let at = || match name {
                Some(name) => format!("{place}[\"{name}\"]"),
                None => format!("{place}.{ALL}"),
            };
            match (self.switch(value), name) {
                (Switch::Off, Some(_)) => wishes.off = Some(at()),
                (Switch::Off, None) => wishes.all_off = Some(at()),
                (Switch::On, Some(_)) => wishes.is_on = true,
                (Switch::Unreadable, Some(_)) => wishes.unreadable = Some(at()),
                (Switch::Unreadable, None) => wishes.all_unreadable = Some(at()),
                (Switch::On, None) | (Switch::Unsaid, _) => {}
            }
        }
    }

    /// A list names the only destinations that get the event.
    fn read_list(&self, place: &str, raw: &str, wishes: &mut Wishes) {
        let names: Vec<_> = json_text::elements(raw).map(json_text::text).collect();
        let is_ours = |name: &str| alike(name, ALL) || self.name_like(name).is_some();
        if names.iter().flatten().any(|name| is_ours(name)) {
            wishes.is_on = true;
        } else if names.iter().all(Result::is_ok) {
            wishes.all_off = Some(place.to_owned());
        } else {
            wishes.all_unreadable = Some(place.to_owned());
        }
    }

    fn name_like(&self, key: &str) -> Option<&str> {
        let mut names = self.names.iter().map(String::as_str);
        names.find(|name| alike(name, key))
    }

    /// What a value says about the destination that is its key: an object has options for it, and can have `enabled`.
    fn switch(&self, raw: &str) -> Switch {
        let by_word = |raw: &str| match self.words.read(raw) {
            Some(Answer::Yes) => Switch::On,
            Some(Answer::No) => Switch::Off,
            None => Switch::Unreadable,
        };
        match raw.as_bytes().first() {
            _ if json_text::is_empty(raw) && !raw.starts_with('{') => Switch::Unsaid,
            Some(b'{') => {
                let entries = json_text::entries(raw);
                let enabled = entries.iter().filter(|(key, _)| alike(key, "enabled"));
                let enabled = enabled.map(|(_, value)| by_word(value));
                enabled.max().unwrap_or(Switch::On)
            }
            _ => by_word(raw),
        }
    }
}

/// What is said about one destination, the strongest statement last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Switch {
    Unsaid,
    On,
    Unreadable,
    Off,
}

#[cfg(test)]
mod tests;
