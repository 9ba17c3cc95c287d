//! Decides whether an event may be sent: reads which consent the visitor gave; pure.
//!
//! Senders put consent at many places ([`places`]), in many shapes ([`reader`]) and words ([`crate::answer`]). A category that the
//! sink requires must be granted somewhere, and refused nowhere. In `context` every shape is read; at the other places grants
//! count only under keys that mean consent wherever they are, such as Google's ([`google`]). An option can add places.
//!
//! Consent that cannot be read is not treated as missing: the event is filtered, because it may be a refusal. Data of free form,
//! such as properties, can contain a form field of such a name; there, a grant that is read elsewhere is enough.
//!
//! Invariant: a refusal that can be read overrides every grant and every option. Most events have `true` at `context.consent`
//! and nothing else ([`plain`]); everything else is read on a cold path, from the JSON of the places.

mod found_keys;
mod google;
mod needed;
mod options;
mod places;
mod plain;
mod reader;
mod said;

pub(crate) use options::{ConsentCategory, ConsentOptions, WhenAbsent};

use crate::answer::Words;
use crate::reason;
use json_paths::{Found, ObjectView, Path, Paths, Slot, SlotBits};
use needed::Needed;
use options::OwnPath;
use pipeline_core::Reason;
use pipeline_core::options::Problem;
use places::{CONSENT, MAX_OWN_PATHS, Place};
use plain::Plain;
use reader::Reading;
use said::Said;

/// The bit of values at `context.consent` that the short cut cannot judge.
const IN_FULL: u64 = 1 << 63;

/// The compiled rule.
#[derive(Debug)]
pub(crate) struct Consent {
    when_absent: WhenAbsent,
    needed: Vec<Needed>,
    places: Vec<Place>,
    /// A bit for each place, by its index in `places`, and [`IN_FULL`].
    given: SlotBits,
    /// The bits of an event that the short cut can judge.
    usual: u64,
    plain: Plain,
    words: Words,
    /// The words at the places that options add.
    own_words: Words,
    /// Why an event without consent information is filtered.
    absent: Reason,
}

impl Consent {
    /// Compiles the rule that all of `categories` must be granted.
    ///
    /// # Errors
    ///
    /// Every problem of the options, each with its place.
    pub(crate) fn compile(
        categories: &[ConsentCategory],
        options: &ConsentOptions,
        paths: &mut Paths,
    ) -> Result<Self, Vec<Problem>> {
        let mut needed: Vec<Needed> = Vec::new();
        for category in categories {
            let is_known = needed.iter().any(|known| known.names == category.names());
            if *category != ConsentCategory::Essential && !is_known {
                needed.push(Needed::new(*category, options));
            }
        }
        let mut problems = Vec::new();
        let own_words = options.own_words();
        if own_words.are_ambiguous() {
            problems.push(Problem::new(
                "consent.denied_values",
                "has a value that `granted_values` has as well",
                "each value in one of the two lists",
            ));
        }
        let own = own_places(&options.own_paths(), &needed, paths, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let (plain, in_full) = Plain::compile(&needed, paths);
        let mut rule = Self {
            when_absent: options.when_absent,
            places: all_places(own, paths),
            needed,
            given: SlotBits::default(),
            usual: 0,
            plain,
            words: Words::default(),
            own_words,
            absent: reason::consent_absent(&[]),
        };
        for (index, place) in rule.places.iter().enumerate() {
            place
                .slots()
                .for_each(|slot| rule.given.add(slot, 1 << index));
            if !place.is_own() && &*place.path == CONSENT {
                rule.usual = 1 << index;
            }
        }
        for slot in in_full {
            rule.given.add(slot, IN_FULL);
        }
        let own = rule.places.iter().filter(|place| place.is_own());
        let own: Vec<_> = own.map(|place| &*place.path).collect();
        rule.absent = reason::consent_absent(&own);
        Ok(rule)
    }

    /// Every slot that is looked at.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.places.iter().flat_map(Place::slots)
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
        let given = cells.bits_of(&self.given);
        let is_plain = match given {
            0 => self.when_absent == WhenAbsent::Allow,
            given => given == self.usual && self.plain.is_granted(cells),
        };
        if is_plain {
            return Ok(());
        }
        self.check_in_full(cells, given)
    }

    /// The same from the JSON of every place that has a value.
    #[cold]
    fn check_in_full(&self, cells: ObjectView<'_, '_>, given: u64) -> Result<(), Reason> {
        let mut granted = 0;
        let (mut unreadable, mut outweighed) = (None, None);
        let places: Vec<_> = self.given_places(cells, given).collect();
        for place in &places {
            let excluded: Vec<_> = self
                .given_places(cells, given & place.explained_by)
                .flat_map(|own| own.values(cells).map(|(_, raw)| raw))
                .collect();
            let words = if place.is_own() {
                &self.own_words
            } else {
                &self.words
            };
            let mut most = Said::Nothing;
            for (index, needed) in self.needed.iter().enumerate() {
                let reading = place.read(cells, (index, needed), words, &excluded);
                if reading.said == Said::Refused {
                    return Err(refusal(place, &reading, needed));
                }
                granted |= u64::from(reading.said == Said::Granted) << index;
                most = most.max(reading.said);
            }
            match most {
                Said::Granted => {}
                Said::Nothing if !excluded.is_empty() => {}
                _ if place.is_outweighed(most) => outweighed = outweighed.or(Some(place)),
                _ => unreadable = unreadable.or(Some(place)),
            }
        }
        let is_granted = granted == (1 << self.needed.len()) - 1;
        match unreadable.or(outweighed.filter(|_| !is_granted)) {
            Some(place) => Err(self.unreadable(place, cells)),
            None if is_granted => Ok(()),
            None if !places.is_empty() => Err(reason::consent_incomplete(
                &self.names(|index| granted >> index & 1 == 0),
            )),
            None if self.when_absent == WhenAbsent::Allow => Ok(()),
            None => Err(self.absent.clone()),
        }
    }

    /// The places of these bits that have a value which is not empty.
    fn given_places<'c>(
        &'c self,
        cells: ObjectView<'c, '_>,
        given: u64,
    ) -> impl Iterator<Item = &'c Place> {
        let places = self.places.iter().enumerate();
        let given = places.filter(move |(index, _)| given >> index & 1 == 1);
        given
            .map(|(_, place)| place)
            .filter(move |place| place.values(cells).next().is_some())
    }

    /// The reason for filtering an event with unreadable consent at this place.
    fn unreadable(&self, place: &Place, cells: ObjectView<'_, '_>) -> Reason {
        let found = place.values(cells).map(|(key, raw)| match key {
            "" => found_keys::described(raw),
            key => format!("`{key}`"),
        });
        let found: Vec<_> = found.collect();
        reason::consent_unreadable(
            &place.path,
            &found.join(", "),
            &self.names(|_| true),
            place.expected(),
        )
    }

    /// The canonical names of needed categories, as people read them.
    fn names(&self, is_wanted: impl Fn(usize) -> bool) -> String {
        let needed = self.needed.iter().enumerate();
        let wanted = needed.filter(|(index, _)| is_wanted(*index));
        let names: Vec<_> = wanted.map(|(_, needed)| needed.name()).collect();
        names.join("` and `")
    }
}

/// The reason for filtering an event in which this place refuses a category.
fn refusal(place: &Place, reading: &Reading, needed: &Needed) -> Reason {
    let at = format!("{}{}", place.path, reading.refused_at);
    let at = at.trim_start_matches('.');
    if reading.is_lacking {
        reason::consent_lacking(at, needed.name())
    } else {
        reason::consent(at, needed.name())
    }
}

/// The places that options add. A place for a category that is not needed is left out.
fn own_places(
    own: &[OwnPath<'_>],
    needed: &[Needed],
    paths: &mut Paths,
    problems: &mut Vec<Problem>,
) -> Vec<Place> {
    let mut places = Vec::new();
    for OwnPath {
        written,
        option,
        of,
    } in own
    {
        let Ok(path) = Path::parse(written).map_err(|problem| {
            let expected = "a path such as `context.privacy.ads`";
            problems.push(Problem::new(
                option.as_str(),
                format!("holds a path that {problem}"),
                expected,
            ));
        }) else {
            continue;
        };
        let is_meant = |needed: &Needed| of.is_none_or(|of| of.names() == needed.names);
        let bits = needed.iter().enumerate();
        let about = bits.fold(0, |about, (index, needed)| {
            about | u64::from(is_meant(needed)) << index
        });
        if about != 0 {
            places.push(Place::own(&path, about, paths));
        }
    }
    if own.len() > MAX_OWN_PATHS {
        problems.push(Problem::new(
            "consent.paths",
            "has too many paths",
            format!("at most {MAX_OWN_PATHS}"),
        ));
    }
    places
}

/// The places that options add after those that are known without them. An added place replaces a known one at the same path, and
/// explains the one that it is within.
fn all_places(own: Vec<Place>, paths: &mut Paths) -> Vec<Place> {
    let mut places = Place::built_in(paths);
    let slots: Vec<_> = own.iter().flat_map(Place::slots).collect();
    places.retain_mut(|place| place.leave_out(&slots));
    let first = places.len();
    for (index, own) in own.iter().enumerate() {
        for place in places.iter_mut().filter(|place| own.is_within(place)) {
            place.explained_by |= 1 << (first + index);
        }
    }
    places.extend(own);
    places
}

#[cfg(test)]
mod tests;
