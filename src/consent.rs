//! May this event leave? Reads what the visitor agreed to; pure.
//!
//! A grant is read at two places:
//!
//! * `context.consent`, in the canonical view (`canonical.marketing`), in the older flat one (`marketing`, where `advertising` says the
//!   same), and by the consent platform's own codes (`categories.C0004`) where the options say what they mean. The canonical view
//!   decides alone where it names a category. Of several codes with one meaning, one grant is enough.
//! * `context.consentManagement`, as `RudderStack` writes it: codes in `allowedConsentIds` and `deniedConsentIds`.
//!
//! A refusal is `false`, or one of the words `"false"` and `"denied"`. It outweighs a grant at any other place, and is read at the
//! further places where senders put consent ([`PARENTS`], [`KEYS`]) as well.
//!
//! What is given at one of these places and cannot be read is never silence: the event is filtered, because it may be a refusal. Data
//! of free form, such as properties, can have a form's field of that name; there, a grant that is read elsewhere is enough.
//!
//! Invariant: only the JSON value `true` is a grant, and an id in the list of those allowed. Not `"true"`, not `1`, not `"granted"`.

use crate::extract::{Cells, Found, Paths, Slot, SlotBits};
use crate::json_text;
use crate::path::Path;
use crate::reason;
use pipeline_core::Reason;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A purpose a visitor can agree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConsentCategory {
    /// Needed for the service itself; always granted.
    Essential,
    /// Conveniences.
    Functional,
    /// Measurement of use.
    Analytics,
    /// Advertising, retargeting and conversion tracking.
    Marketing,
    /// The older name of `marketing`.
    Advertising,
    /// Content that follows the person.
    Personalization,
}

impl ConsentCategory {
    /// The names under which the flat shape holds it. The canonical view knows the first of them.
    fn flat_names(self) -> &'static [&'static str] {
        match self {
            Self::Essential => &["essential"],
            Self::Functional => &["functional"],
            Self::Analytics => &["analytics"],
            Self::Marketing | Self::Advertising => &["marketing", "advertising"],
            Self::Personalization => &["personalization"],
        }
    }
}

/// What happens to an event that says nothing about consent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenAbsent {
    /// It is filtered.
    #[default]
    Drop,
    /// It is sent: consent is asked for elsewhere.
    Allow,
}

/// How consent is read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsentOptions {
    /// What happens to an event that says nothing about consent (default: `drop`); what it says and cannot be read is never taken for nothing. Example: `allow`.
    pub(crate) when_absent: WhenAbsent,
    /// What the consent platform's own codes mean, by code, in `context.consent.categories` and in the lists of `context.consentManagement` (default: none count). Example: `{ C0004: marketing }`.
    pub(crate) categories: BTreeMap<String, ConsentCategory>,
}

/// Where consent is given, inside of each of [`PARENTS`].
const KEYS: [&str; 7] = [
    "consent",
    "consentManagement",
    "consent_management",
    "consentCategories",
    "consent_categories",
    "consentMode",
    "consent_mode",
];

/// What holds [`KEYS`], and whether people can put there what they like.
const PARENTS: [(&str, bool); 5] = [
    ("context.", false),
    ("", false),
    ("properties.", true),
    ("traits.", true),
    ("context.traits.", true),
];

const _: () = assert!(
    KEYS.len() * PARENTS.len() <= u64::BITS as usize,
    "each place has a bit"
);

/// Where grants are read.
const CONSENT: &str = "context.consent";
const CONSENT_MANAGEMENT: &str = "context.consentManagement";

/// The rule, compiled.
#[derive(Debug)]
pub(crate) struct Consent {
    when_absent: WhenAbsent,
    needed: Vec<Needed>,
    places: Vec<Place>,
    /// The bit of each place, by the place in `places`.
    given: SlotBits,
}

/// A place where consent can be given.
#[derive(Debug)]
struct Place {
    path: Path,
    slot: Slot,
    shape: Shape,
}

/// What can be read at a place.
#[derive(Debug)]
enum Shape {
    /// Grants and refusals, by category.
    Categories,
    /// Grants and refusals, as lists of codes.
    Ids {
        allowed: Option<Slot>,
        denied: Option<Slot>,
    },
    /// Refusals.
    Other { is_free_form: bool },
}

/// A category that must be granted, and where [`CONSENT`] says it.
#[derive(Debug)]
struct Needed {
    names: &'static [&'static str],
    /// The consent platform's codes for it.
    codes: Vec<Box<str>>,
    canonical: Option<Slot>,
    flat: Vec<Slot>,
    categories: Vec<Slot>,
    /// Segment's name for `categories`, of which refusals are read.
    preferences: Vec<Slot>,
}

/// What is said of one category, in the order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Nothing,
    Granted,
    Unreadable,
    Refused,
}

impl Consent {
    /// Compiles the rule that all of `categories` must be granted.
    pub(crate) fn compile(
        categories: &[ConsentCategory],
        options: &ConsentOptions,
        paths: &mut Paths,
    ) -> Self {
        let mut needed: Vec<Needed> = Vec::new();
        for category in categories {
            let names = category.flat_names();
            let is_known = needed.iter().any(|known| known.names == names);
            if *category != ConsentCategory::Essential && !is_known {
                needed.push(Needed::compile(names, options, paths));
            }
        }
        let mut rule = Self {
            when_absent: options.when_absent,
            needed,
            places: Vec::new(),
            given: SlotBits::default(),
        };
        for (parent, is_free_form) in PARENTS {
            for key in KEYS {
                rule.add_place(&format!("{parent}{key}"), is_free_form, paths);
            }
        }
        rule
    }

    fn add_place(&mut self, written: &str, is_free_form: bool, paths: &mut Paths) {
        let Ok(path) = Path::parse(written) else {
            return;
        };
        let slot = paths.slot(&path);
        let mut list = |key| slot_at(&format!("{written}.{key}"), paths);
        let shape = match written {
            CONSENT => Shape::Categories,
            CONSENT_MANAGEMENT => Shape::Ids {
                allowed: list("allowedConsentIds"),
                denied: list("deniedConsentIds"),
            },
            _ => Shape::Other { is_free_form },
        };
        self.given.add(slot, 1 << self.places.len());
        self.places.push(Place { path, slot, shape });
    }

    /// Whether the event may be sent.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn check(&self, found: &Found<'_>) -> Result<(), Reason> {
        if self.needed.is_empty() {
            return Ok(());
        }
        let cells = found.cells();
        let (mut granted, mut is_silent) = (0_u64, true);
        let (mut unreadable, mut unreadable_free_form) = (None, None);
        let mut left = cells.bits_of(&self.given);
        while left != 0 {
            let place = &self.places[left.trailing_zeros() as usize];
            left &= left - 1;
            let Some(raw) = cells
                .get(place.slot)
                .filter(|raw| !json_text::is_empty(raw))
            else {
                continue;
            };
            is_silent = false;
            let (most, granted_here) = self.read(place, raw, cells);
            granted |= granted_here;
            match (most, &place.shape) {
                (Said::Refused, _) => return Err(reason::consent()),
                (Said::Granted, _) => {}
                (_, Shape::Other { is_free_form: true }) => {
                    unreadable_free_form = unreadable_free_form.or(Some(place));
                }
                _ => unreadable = unreadable.or(Some(place)),
            }
        }
        let is_granted = granted == (1 << self.needed.len()) - 1;
        let unreadable = unreadable.or(unreadable_free_form.filter(|_| !is_granted));
        match unreadable {
            Some(place) => Err(self.unreadable(place)),
            None if is_granted || is_silent && self.when_absent == WhenAbsent::Allow => Ok(()),
            None => Err(reason::consent()),
        }
    }

    /// The weightiest thing that a place says of any needed category, and a bit for each category that it grants.
    fn read(&self, place: &Place, raw: &str, cells: Cells<'_, '_>) -> (Said, u64) {
        if is_refusal(raw) {
            return (Said::Refused, 0);
        }
        let lists = match place.shape {
            Shape::Categories => None,
            Shape::Ids { allowed, denied } => Some(Lists::read(allowed, denied, cells)),
            Shape::Other { .. } => return (self.read_refusals(raw), 0),
        };
        let (mut most, mut granted) = (Said::Nothing, 0);
        for (place, needed) in self.needed.iter().enumerate() {
            let said = match &lists {
                None => needed.said(cells),
                Some(lists) => lists.say_of(needed),
            };
            granted |= u64::from(said == Said::Granted) << place;
            most = most.max(said);
        }
        (most, granted)
    }

    /// Whether what is given at an unusual place refuses a needed category, in any of the shapes that are known.
    #[cold]
    fn read_refusals(&self, raw: &str) -> Said {
        let given: Value = serde_json::from_str(raw).unwrap_or_default();
        if self
            .needed
            .iter()
            .any(|needed| needed.is_refused_in(&given))
        {
            Said::Refused
        } else {
            Said::Nothing
        }
    }

    /// The reason for filtering an event that gives something at a place which cannot be read.
    #[cold]
    fn unreadable(&self, place: &Place) -> Reason {
        let names: Vec<_> = self.needed.iter().map(|needed| needed.names[0]).collect();
        let expected = match place.shape {
            Shape::Categories => {
                "true or false under this name at `context.consent.canonical` or `context.consent`, or under a code of the option `consent.categories` at `context.consent.categories`"
            }
            Shape::Ids { .. } => {
                "a code of the option `consent.categories` in `allowedConsentIds` or `deniedConsentIds`"
            }
            Shape::Other { .. } => "consent at `context.consent`",
        };
        reason::consent_unreadable(&place.path, &names.join("` and `"), expected)
    }
}

impl Needed {
    fn compile(
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

    /// What [`CONSENT`] says of it.
    fn said(&self, cells: Cells<'_, '_>) -> Said {
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

    /// Whether denying an id denies it.
    fn is_denied_by(&self, id: &str) -> bool {
        self.codes
            .iter()
            .any(|code| code.eq_ignore_ascii_case(id.trim()))
    }

    /// Whether a value refuses it, in any of the shapes that are known.
    fn is_refused_in(&self, given: &Value) -> bool {
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
    /// What a value says of the category under which it stands.
    fn of(raw: &str) -> Self {
        match raw {
            "true" => Self::Granted,
            raw if is_refusal(raw) => Self::Refused,
            _ => Self::Unreadable,
        }
    }
}

/// Codes that were allowed and denied, as they stand in the event.
struct Lists<'a> {
    allowed: Option<&'a str>,
    denied: Option<&'a str>,
}

impl<'a> Lists<'a> {
    fn read(allowed: Option<Slot>, denied: Option<Slot>, cells: Cells<'_, 'a>) -> Self {
        let list = |slot: Option<Slot>| cells.get(slot?).filter(|raw| !json_text::is_empty(raw));
        Self {
            allowed: list(allowed),
            denied: list(denied),
        }
    }

    /// What the lists say of a category. What is denied and is no code in a list may be any code.
    fn say_of(&self, needed: &Needed) -> Said {
        let said_of_denied = |list: &str, raw| match json_text::text(raw) {
            Ok(id) if needed.is_denied_by(&id) => Said::Refused,
            Ok(_) if list.starts_with('[') => Said::Nothing,
            _ => Said::Unreadable,
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

/// Whether a value says no, in JSON or in a word.
fn is_refusal(raw: &str) -> bool {
    raw == "false" || raw.starts_with('"') && json_text::text(raw).is_ok_and(|text| is_no(&text))
}

/// Whether a text is a word for no.
fn is_no(text: &str) -> bool {
    const WORDS: [&str; 2] = ["false", "denied"];
    WORDS
        .iter()
        .any(|word| text.trim().eq_ignore_ascii_case(word))
}

fn slot_at(written: &str, paths: &mut Paths) -> Option<Slot> {
    Path::parse(written).ok().map(|path| paths.slot(&path))
}

#[cfg(test)]
mod tests;
