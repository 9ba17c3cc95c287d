//! Decides whether an event may be sent: reads which consent the visitor gave; pure.
//!
//! A grant is read at two places:
//!
//! * `context.consent`: in the canonical view (`canonical.marketing`), in the older flat view (`marketing`, with `advertising` as a
//!   synonym), and by the consent platform's own codes (`categories.C0004`) if the options define them. If the canonical view has a
//!   category, only the canonical view counts. Of several codes for one category, one grant is enough.
//! * `context.consentManagement`, as `RudderStack` writes it: codes in `allowedConsentIds` and `deniedConsentIds`.
//!
//! A refusal is `false`, or one of the words `"false"` and `"denied"`. It overrides a grant at any other place, and is also read at
//! the other places where senders put consent ([`PARENTS`], [`KEYS`]).
//!
//! ReadError consent at one of these places is not treated as missing: the event is filtered, because it may be a refusal. Data of
//! free form, such as properties, can contain a form field of such a name; there, a grant that is read elsewhere is enough.
//!
//! Invariant: only the JSON value `true` and an id in the list of allowed ids are grants. Not `"true"`, not `1`, not `"granted"`.

mod needed;
mod options;

pub(crate) use options::{ConsentCategory, ConsentOptions};

use crate::json_text;
use crate::reason;
use json_paths::Path;
use json_paths::{Found, ObjectView, Paths, Slot, SlotBits};
use needed::{CONSENT, Lists, Needed, Said, is_refusal, slot_at};
use options::WhenAbsent;
use pipeline_core::Reason;
use serde_json::Value;

/// The keys of consent, inside each of [`PARENTS`].
const KEYS: [&str; 7] = [
    "consent",
    "consentManagement",
    "consent_management",
    "consentCategories",
    "consent_categories",
    "consentMode",
    "consent_mode",
];

/// The objects that can have [`KEYS`], and whether their content is free-form.
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

/// Where grants are read, besides [`CONSENT`].
const CONSENT_MANAGEMENT: &str = "context.consentManagement";

/// The compiled rule.
#[derive(Debug)]
pub(crate) struct Consent {
    when_absent: WhenAbsent,
    needed: Vec<Needed>,
    places: Vec<Place>,
    /// A bit for each place, by its index in `places`.
    given: SlotBits,
}

/// A place where an event can have consent.
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
    /// The reason why it may not.
    pub(crate) fn check(&self, found: &Found<'_>) -> Result<(), Reason> {
        if self.needed.is_empty() {
            return Ok(());
        }
        let cells = found.object();
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

    /// The strongest statement of a place about any needed category, and a bit for each category that it grants.
    fn read(&self, place: &Place, raw: &str, cells: ObjectView<'_, '_>) -> (Said, u64) {
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

    /// Whether a value at an unusual place refuses a needed category, in any known shape.
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

    /// The reason for filtering an event with unreadable consent at this place.
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

#[cfg(test)]
mod tests;
