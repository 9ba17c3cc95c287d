//! One category of consent that must be granted, and what an event says about it.

use super::options::ConsentOptions;
use crate::json_text;
use json_paths::Path;
use json_paths::{ObjectView, Paths, Slot};
use serde_json::Value;

/// Where grants are read.
pub(super) const CONSENT: &str = "context.consent";

/// A category that must be granted, and where [`CONSENT`] has it.
#[derive(Debug)]
pub(super) struct Needed {
    pub(super) names: &'static [&'static str],
    /// The consent platform's codes for it.
    codes: Vec<Box<str>>,
    canonical: Option<Slot>,
    flat: Vec<Slot>,
    categories: Vec<Slot>,
    /// Segment's name for `categories`; only its refusals are read.
    preferences: Vec<Slot>,
}

/// What an event says about one category, the strongest statement last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Nothing,
    Granted,
    ReadError,
    Refused,
}

impl Needed {
    pub(super) fn compile(
        names: &'static [&'static str],
        options: &ConsentOptions,
        paths: &mut Paths,
    ) -> Self {
        let codes = options.categories.iter();
        let codes: Vec<Box<str>> = codes
            .filter(|(_, meaning)| meaning.flat_names() == names)
            .map(|(code, _)| code.as_str().into())
            .collect();
        let mut slots = |parent: &str, keys: &[&str]| -> Vec<Slot> {
            let written = keys
                .iter()
                .map(|key| format!("{CONSENT}{parent}[\"{key}\"]"));
            written
                .filter_map(|written| slot_at(&written, paths))
                .collect()
        };
        let as_keys: Vec<&str> = codes.iter().map(AsRef::as_ref).collect();
        Self {
            names,
            canonical: slots(".canonical", &names[..1]).pop(),
            flat: slots("", names),
            categories: slots(".categories", &as_keys),
            preferences: slots(".categoryPreferences", &as_keys),
            codes,
        }
    }

    /// What [`CONSENT`] says about it.
    pub(super) fn said(&self, cells: ObjectView<'_, '_>) -> Said {
        let said = |slot: &Slot| {
            let raw = cells.get(*slot).filter(|raw| *raw != "null");
            raw.map_or(Said::Nothing, Said::of)
        };
        if let Some(canonical) = self.canonical.as_ref().map(said)
            && canonical != Said::Nothing
        {
            return canonical;
        }
        let flat = self.flat.iter().map(said).max();
        let is_one_granted = |said: &Said| *said == Said::Granted;
        let codes = self.categories.iter().map(said);
        let of_codes = codes.clone().find(is_one_granted).or(codes.max());
        let preferences = self.preferences.iter().map(said);
        let refused = preferences.filter(|said| *said == Said::Refused).max();
        flat.max(of_codes).max(refused).unwrap_or(Said::Nothing)
    }

    /// Whether denying this id denies the category.
    fn is_denied_by(&self, id: &str) -> bool {
        self.codes
            .iter()
            .any(|code| code.eq_ignore_ascii_case(id.trim()))
    }

    /// Whether a value refuses the category, in any known shape.
    pub(super) fn is_refused_in(&self, given: &Value) -> bool {
        let refuses = |value: Option<&Value>| match value {
            Some(Value::Bool(granted)) => !granted,
            Some(Value::String(word)) => is_no(word),
            _ => false,
        };
        let refuses_code = |by_code: &Value| {
            let mut codes = self.codes.iter();
            codes.any(|code| refuses(by_code.get(&**code)))
        };
        let denied = given["deniedConsentIds"].as_array();
        let mut denied = denied.into_iter().flatten().filter_map(Value::as_str);
        refuses(given["canonical"].get(self.names[0]))
            || self.names.iter().any(|name| refuses(given.get(name)))
            || refuses_code(&given["categories"])
            || refuses_code(&given["categoryPreferences"])
            || denied.any(|id| self.is_denied_by(id))
    }
}

impl Said {
    /// What a value says about the category that is its key.
    fn of(raw: &str) -> Self {
        match raw {
            "true" => Self::Granted,
            raw if is_refusal(raw) => Self::Refused,
            _ => Self::ReadError,
        }
    }
}

/// The lists of allowed and denied codes, as JSON of the event.
pub(super) struct Lists<'a> {
    allowed: Option<&'a str>,
    denied: Option<&'a str>,
}

impl<'a> Lists<'a> {
    pub(super) fn read(
        allowed: Option<Slot>,
        denied: Option<Slot>,
        cells: ObjectView<'_, 'a>,
    ) -> Self {
        let list = |slot: Option<Slot>| cells.get(slot?).filter(|raw| !json_text::is_empty(raw));
        Self {
            allowed: list(allowed),
            denied: list(denied),
        }
    }

    /// What the lists say about a category. A denied value that is not a code in a list could be any code.
    pub(super) fn say_of(&self, needed: &Needed) -> Said {
        let said_of_denied = |list: &str, raw| match json_text::text(raw) {
            Ok(id) if needed.is_denied_by(&id) => Said::Refused,
            Ok(_) if list.starts_with('[') => Said::Nothing,
            _ => Said::ReadError,
        };
        let denied = self.denied.and_then(|list| {
            let entries = json_text::elements(list);
            entries.map(|raw| said_of_denied(list, raw)).max()
        });
        let lists = self.allowed.filter(|list| list.starts_with('['));
        let allowed = lists.into_iter().flat_map(json_text::elements);
        let mut ids = allowed.filter_map(|raw| json_text::text(raw).ok());
        let granted = ids.any(|id| needed.codes.iter().any(|code| **code == *id));
        denied
            .max(granted.then_some(Said::Granted))
            .unwrap_or(Said::Nothing)
    }
}

/// Whether a value is a refusal: `false`, or a word for it.
pub(super) fn is_refusal(raw: &str) -> bool {
    raw == "false" || raw.starts_with('"') && json_text::text(raw).is_ok_and(|text| is_no(&text))
}

/// Whether a text is a word for a refusal.
fn is_no(text: &str) -> bool {
    const WORDS: [&str; 2] = ["false", "denied"];
    WORDS
        .iter()
        .any(|word| text.trim().eq_ignore_ascii_case(word))
}

pub(super) fn slot_at(written: &str, paths: &mut Paths) -> Option<Slot> {
    Path::parse(written).ok().map(|path| paths.slot(&path))
}
