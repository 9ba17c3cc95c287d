//! Where senders put consent, and what is read there.

use super::google;
use super::needed::Needed;
use super::reader::{GROUPS, Reader, Reading};
use super::said::Said;
use crate::answer::Words;
use crate::json_text;
use json_paths::{ObjectView, Path, Paths, Slot};

/// The place that the usual event has.
pub(super) const CONSENT: &str = "context.consent";

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

/// The objects that can have [`KEYS`], and which statements count there.
const PARENTS: [(&str, Counts); 5] = [
    ("context.", Counts::Everything),
    ("", Counts::RefusalsAndSignals),
    ("properties.", Counts::FreeForm),
    ("traits.", Counts::FreeForm),
    ("context.traits.", Counts::FreeForm),
];

/// The objects that can have Google's keys and those of OneTrust, and whether their content is free-form.
const PARENTS_OF_SIGNALS: [(&str, bool); 3] =
    [("context.", false), ("", false), ("properties.", true)];

/// The places that are known without an option.
const MAX_BUILT_IN: usize =
    KEYS.len() * PARENTS.len() + PARENTS_OF_SIGNALS.len() * (1 + GROUPS.len());
/// The places that options can add.
pub(super) const MAX_OWN_PATHS: usize = 16;

const _: () = assert!(
    MAX_BUILT_IN + MAX_OWN_PATHS < u64::BITS as usize,
    "each place has a bit, and one bit is kept"
);

/// Which statements of an object of consent count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Everything,
    /// Refusals, and grants under keys that mean consent wherever they are.
    RefusalsAndSignals,
    /// The same, in data that can also have a form's field of such a name: a grant elsewhere is enough.
    FreeForm,
}

/// A place where an event can have consent.
#[derive(Debug)]
pub(super) struct Place {
    /// For people; the object that has the keys, for [`What::Signals`].
    pub(super) path: Box<str>,
    what: What,
    /// The places that options add within this one: one bit each.
    pub(super) explained_by: u64,
}

/// What is at a place.
#[derive(Debug)]
enum What {
    /// Consent in any shape.
    Consent { slot: Slot, counts: Counts },
    /// Google's keys, without an object of their own.
    Signals {
        keys: Vec<(&'static str, Slot)>,
        is_free_form: bool,
    },
    /// OneTrust's list of granted codes.
    Groups { slot: Slot },
    /// A place that an option adds; a bit for each needed category that it is about.
    Own { slot: Slot, about: u64 },
}

impl Place {
    /// The places that are known without an option.
    pub(super) fn built_in(paths: &mut Paths) -> Vec<Self> {
        let mut places = Vec::new();
        for (parent, counts) in PARENTS {
            places.extend(KEYS.iter().filter_map(|key| {
                let written = format!("{parent}{key}");
                let slot = slot_at(&written, paths)?;
                Some(Self::new(&written, What::Consent { slot, counts }))
            }));
        }
        for (parent, is_free_form) in PARENTS_OF_SIGNALS {
            let keys = google::KEYS.iter().chain(&google::SHORT_KEYS);
            let keys =
                keys.filter_map(|key| Some((*key, slot_at(&format!("{parent}{key}"), paths)?)));
            let what = What::Signals {
                keys: keys.collect(),
                is_free_form,
            };
            places.push(Self::new(parent.trim_end_matches('.'), what));
            places.extend(GROUPS.iter().filter_map(|key| {
                let written = format!("{parent}{key}");
                let slot = slot_at(&written, paths)?;
                Some(Self::new(&written, What::Groups { slot }))
            }));
        }
        places
    }

    /// A place that an option adds.
    pub(super) fn own(path: &Path, about: u64, paths: &mut Paths) -> Self {
        let slot = paths.slot(path);
        Self::new(&path.to_string(), What::Own { slot, about })
    }

    fn new(path: &str, what: What) -> Self {
        Self {
            path: path.into(),
            what,
            explained_by: 0,
        }
    }

    /// The slots of its values.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let (one, keys): (_, &[_]) = match &self.what {
            What::Consent { slot, .. } | What::Groups { slot } | What::Own { slot, .. } => {
                (Some(*slot), &[])
            }
            What::Signals { keys, .. } => (None, keys),
        };
        one.into_iter().chain(keys.iter().map(|(_, slot)| *slot))
    }

    pub(super) fn is_own(&self) -> bool {
        matches!(self.what, What::Own { .. })
    }

    /// Leaves out what is a place of its own. Answers whether something is left.
    pub(super) fn leave_out(&mut self, own: &[Slot]) -> bool {
        if let What::Signals { keys, .. } = &mut self.what {
            keys.retain(|(_, slot)| !own.contains(slot));
        }
        !self.slots().any(|slot| own.contains(&slot))
    }

    /// Whether it is another place's value, or within it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let is_object = matches!(other.what, What::Consent { .. });
        let steps = |place: &Self| Path::parse(&place.path).ok();
        is_object
            && steps(self)
                .zip(steps(other))
                .is_some_and(|(own, outer)| own.segments().starts_with(outer.segments()))
    }

    /// Its values that are not empty, with the keys of Google's.
    pub(super) fn values<'a>(
        &self,
        cells: ObjectView<'_, 'a>,
    ) -> impl Iterator<Item = (&'static str, &'a str)> {
        let (one, keys): (_, &[_]) = match &self.what {
            What::Consent { slot, .. } | What::Groups { slot } | What::Own { slot, .. } => {
                (Some(("", *slot)), &[])
            }
            What::Signals { keys, .. } => (None, keys),
        };
        let slots = one.into_iter().chain(keys.iter().copied());
        slots.filter_map(move |(key, slot)| {
            let raw = cells.get(slot)?;
            (!json_text::is_empty(raw)).then_some((key, raw))
        })
    }

    /// What it says about a needed category, which has this index. Grants that do not count here are left out, and so are the
    /// values in `excluded`.
    pub(super) fn read(
        &self,
        cells: ObjectView<'_, '_>,
        (index, needed): (usize, &Needed),
        words: &Words,
        excluded: &[&str],
    ) -> Reading {
        let mut reader = Reader::new(needed, words, excluded);
        for (key, raw) in self.values(cells) {
            match self.what {
                What::Consent { .. } => reader.value(raw, false),
                What::Signals { .. } => drop(reader.signal(key, raw)),
                What::Groups { .. } => reader.groups(raw, ""),
                What::Own { about, .. } if about >> index & 1 == 1 => reader.value(raw, true),
                What::Own { .. } => {}
            }
        }
        let counts = match self.what {
            What::Consent { counts, .. } => counts,
            _ => Counts::Everything,
        };
        let mut reading = reader.reading(counts == Counts::Everything);
        if reading.said == Said::Granted && counts != Counts::Everything {
            reading.said = reading.anywhere;
        }
        reading
    }

    /// What would be read there, for people.
    pub(super) fn expected(&self) -> &'static str {
        match &self.what {
            What::Consent {
                counts: Counts::Everything,
                ..
            } => {
                "read are the category's name, Google's consent mode, and codes; explain codes in `consent.categories`, or name the place in `consent.paths`"
            }
            What::Consent { .. } => {
                "grants are read at `context.consent`, or at a place that `consent.paths` names"
            }
            What::Signals { .. } => "read are the words `granted` and `denied` and the like",
            What::Groups { .. } => "explain its codes in `consent.categories`",
            What::Own { .. } => {
                "read are `consent.granted_values`, `consent.denied_values`, and codes that `consent.categories` explains"
            }
        }
    }

    /// Whether a grant that is read elsewhere is enough, when the strongest statement here is this one.
    pub(super) fn is_outweighed(&self, most: Said) -> bool {
        match &self.what {
            What::Consent { counts, .. } => *counts == Counts::FreeForm,
            What::Signals { is_free_form, .. } => *is_free_form || most == Said::Nothing,
            What::Groups { .. } => true,
            What::Own { .. } => false,
        }
    }
}

pub(super) fn slot_at(written: &str, paths: &mut Paths) -> Option<Slot> {
    Path::parse(written).ok().map(|path| paths.slot(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alike::alike;
    use crate::consent::reader::{
        CANONICAL, CATEGORIES, DENIED, GRANTED, GRANTED_IDS, PREFERENCES,
    };

    #[test]
    fn the_mapping_page_names_every_key_that_is_read() {
        let page = include_str!("../../MAPPING.md");
        let words: Vec<_> = page.split(['`', '.', '<', '|', ' ']).collect();
        let views = [CANONICAL, CATEGORIES, PREFERENCES, GRANTED];
        let keys = KEYS.iter().chain(&GROUPS).chain(&views);
        let keys = keys.chain(&GRANTED_IDS).chain(&DENIED);
        let keys = keys.chain(&google::KEYS).chain(&google::SHORT_KEYS);
        for key in keys.chain(&google::CONTAINERS) {
            assert!(words.iter().any(|word| alike(word, key)), "{key}");
        }
    }
}
