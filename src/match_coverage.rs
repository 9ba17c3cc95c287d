//! How many events can be matched to people, and by what: an estimate of coverage, not Meta's score.
//!
//! In: the Meta event and the set of identifiers of each event that is sent. Out: how many events carried which identifier,
//! also for each Meta event, because Meta judges each alone; how strong Meta calls it, and which ones are missing most.
//!
//! Invariant: counts and names, never a value.

use crate::mapping::trace::{Passed, Trace};
use crate::payload::ParameterId;
use crate::payload::identifiers::Identifiers;
use crate::payload::strength::{Identifier, Strength};
use crate::validate::ReplacedTime;
use pipeline_core::{Coverage, CoverageGap, CoverageGroup, CoverageRow};
use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// How many missing identifiers are named.
const MAX_MISSING: usize = 3;
/// Paths that are listed for a missing identifier.
const MAX_PATHS: usize = 5;
/// The identifiers that are shown for each Meta event: the strongest, and those that most senders can have.
const OF_EACH_EVENT: [&str; 5] = ["em", "ph", "external_id", "fbc", "fbp"];
/// An IP address and a user agent, which match only together.
const PAIR: &str = "ip+ua";
/// Browser ids that were made because the event had none; `fbp` counts those that browsers sent.
pub(crate) const MADE_BROWSER_ID: &str = "fbp_generated";
/// The events that can have an `fbc`: only a click on an ad brings one.
const CLICKED: &str = "events with a click id or a click cookie";

static PAIRED: LazyLock<Identifiers> =
    LazyLock::new(|| Identifiers::of(&["client_ip_address", "client_user_agent"]));

static FBP: LazyLock<Identifiers> = LazyLock::new(|| Identifiers::of(&["fbp"]));

static FBP_PLACE: LazyLock<usize> = LazyLock::new(|| {
    let mut all = Identifier::all();
    let fbp = all.find(|identifier| identifier.parameter().key == "fbp");
    fbp.map_or(0, |identifier| identifier.place)
});

/// Counts the identifiers of events that are sent, apart for each Meta event. Run-length counts: consecutive events with equal
/// sets increment one counter, since counting each identifier of each event would cost more than hashing one; events of one
/// kind are more often alike than events of several.
#[derive(Debug)]
pub(crate) struct Tally {
    /// For each Meta event.
    counts: Box<[Mutex<Counts>]>,
    /// Events that were sent with the time of receipt, although they gave a time: it cannot be read, it is in the future.
    times_replaced: [AtomicU64; 2],
}

#[derive(Debug, Clone)]
struct Counts {
    events: u64,
    /// Events with a click.
    clicked: u64,
    /// Events with both of [`PAIR`].
    paired: u64,
    /// Events with a browser id that was made; they are not in `carried`.
    made_fbp: u64,
    /// By place in the table of parameters.
    carried: [u64; ParameterId::MAX_PLACES],
    /// The set of the last events, whether their browser ids were made, and how many of them are not in `carried` yet.
    run: (Identifiers, bool, u64),
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            events: 0,
            clicked: 0,
            paired: 0,
            made_fbp: 0,
            carried: [0; ParameterId::MAX_PLACES],
            run: Default::default(),
        }
    }
}

impl Counts {
    fn count(&mut self, event: Passed) {
        self.events += 1;
        self.clicked += u64::from(event.has_click);
        if (self.run.0, self.run.1) != (event.identifiers, event.fbp_is_made) {
            self.settle();
            (self.run.0, self.run.1) = (event.identifiers, event.fbp_is_made);
        }
        self.run.2 += 1;
    }

    fn settle(&mut self) {
        let (identifiers, fbp_is_made, events) = std::mem::take(&mut self.run);
        for place in identifiers.places() {
            self.carried[place] += events;
        }
        if fbp_is_made && FBP.is_subset_of(identifiers) {
            self.made_fbp += events;
            self.carried[*FBP_PLACE] -= events;
        }
        if PAIRED.is_subset_of(identifiers) {
            self.paired += events;
        }
    }

    /// Adds settled counts.
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.clicked += other.clicked;
        self.paired += other.paired;
        self.made_fbp += other.made_fbp;
        for (sum, carried) in self.carried.iter_mut().zip(other.carried) {
            *sum += carried;
        }
    }

    /// The events that carried an identifier.
    fn of(&self, identifier: Identifier) -> u64 {
        self.carried[identifier.place]
    }

    /// The events that an identifier is measured against.
    fn base(&self, identifier: Identifier) -> u64 {
        if needs_click(identifier) {
            self.clicked
        } else {
            self.events
        }
    }

    /// The events whose browser id was made.
    fn made_row(&self) -> CoverageRow {
        let strength = Strength::of("fbp").word();
        CoverageRow::new(MADE_BROWSER_ID, self.made_fbp, strength)
    }

    fn row(&self, identifier: Identifier) -> CoverageRow {
        let strength = identifier.strength.word();
        let row = CoverageRow::new(identifier.parameter().key, self.of(identifier), strength);
        if needs_click(identifier) {
            row.measured_against(self.clicked, CLICKED)
        } else {
            row
        }
    }
}

fn needs_click(identifier: Identifier) -> bool {
    identifier.parameter().key == "fbc"
}

impl Tally {
    /// A tally of events that become so many Meta events.
    pub(crate) fn of(meta_events: usize) -> Self {
        Self {
            counts: (0..meta_events).map(|_| Mutex::default()).collect(),
            times_replaced: Default::default(),
        }
    }

    /// Counting cannot panic, so that a poisoned lock still guards good counts.
    fn counts(&self) -> impl Iterator<Item = MutexGuard<'_, Counts>> {
        let counts = self.counts.iter();
        counts.map(|counts| counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Trace for &Tally {
    fn passed(&mut self, event: Passed) {
        if let Some(counts) = self.counts.get(event.meta_event) {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.count(event);
        }
    }

    fn time_replaced(&mut self, why: ReplacedTime) {
        self.times_replaced[why as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// What to say about events that were sent with the time of receipt, although they gave a time.
pub(crate) fn notes_about_times(tally: &Tally) -> Vec<String> {
    let counted = [0, 1].map(|why: usize| tally.times_replaced[why].load(Ordering::Relaxed));
    let reasons = [
        "the given time cannot be read",
        "the given time is in the future; check the clocks, and set `time_zone` if times have no offset",
    ];
    let counted = counted.into_iter().zip(reasons);
    counted
        .filter(|(events, _)| *events > 0)
        .map(|(events, why)| {
            let noun = if events == 1 { "event" } else { "events" };
            format!("{events} {noun} took the time of receipt: {why}")
        })
        .collect()
}

/// The coverage so far. `meta_events` are the names of those that the tally counts; `looked_in` gives the paths at which a
/// parameter is looked for.
pub(crate) fn coverage(
    tally: &Tally,
    meta_events: &[Box<str>],
    looked_in: impl Fn(&str) -> Vec<String>,
) -> Coverage {
    let settled = |mut counts: MutexGuard<'_, Counts>| {
        counts.settle();
        counts.clone()
    };
    let each: Vec<_> = tally.counts().map(settled).collect();
    let mut all = Counts::default();
    for counts in &each {
        all.add(counts);
    }
    let is_known_here =
        |identifier: &Identifier| all.of(*identifier) > 0 || identifier.can_be_missed();
    let mut rows = Vec::new();
    for identifier in Identifier::all() {
        if is_known_here(&identifier) {
            rows.push(all.row(identifier));
        }
        if identifier.place == *FBP_PLACE && all.made_fbp > 0 {
            rows.push(all.made_row());
        }
    }
    let about = "an estimate of coverage, not Meta's score; strength as Meta publishes it";
    Coverage::new(about, all.events, rows)
        .with_groups(groups(&each, meta_events, all.made_fbp > 0))
        .with_hints(hints(&all, &looked_in))
        .with_gaps(gaps(&all, &each, meta_events, looked_in))
}

/// The coverage of each Meta event, those with the most events first; with the browser ids that were made, if there are any.
fn groups(each: &[Counts], meta_events: &[Box<str>], has_made: bool) -> Vec<CoverageGroup> {
    let shown: Vec<_> = OF_EACH_EVENT
        .iter()
        .filter_map(|key| Identifier::all().find(|identifier| identifier.parameter().key == *key))
        .collect();
    let mut groups: Vec<_> = meta_events
        .iter()
        .zip(each)
        .filter(|(_, counts)| counts.events > 0)
        .map(|(name, counts)| {
            let rows = shown.iter().map(|identifier| counts.row(*identifier));
            let made = has_made.then(|| counts.made_row());
            let pair = CoverageRow::new(PAIR, counts.paired, "");
            CoverageGroup::new(
                &**name,
                counts.events,
                rows.chain(made).chain([pair]).collect(),
            )
        })
        .collect();
    groups.sort_by_key(|group| Reverse(group.events));
    groups
}

/// What is missing most: of the strongest identifiers those that the most events lack; with how many lack it, of how many.
fn missing(all: &Counts) -> Vec<(Identifier, u64, u64)> {
    let mut missing: Vec<_> = Identifier::all()
        .filter(|identifier| {
            let is_known_here = all.of(*identifier) > 0 || identifier.can_be_missed();
            identifier.strength != Strength::NotPublished && is_known_here
        })
        .map(|identifier| {
            let base = all.base(identifier);
            (identifier, base.saturating_sub(all.of(identifier)), base)
        })
        .filter(|(_, lacking, _)| *lacking > 0)
        .collect();
    missing.sort_by_key(|(identifier, lacking, _)| (identifier.strength, Reverse(*lacking)));
    missing.truncate(MAX_MISSING);
    missing
}

/// What is missing most, each with the Meta event that lacks it most.
fn gaps(
    all: &Counts,
    each: &[Counts],
    meta_events: &[Box<str>],
    looked_in: impl Fn(&str) -> Vec<String>,
) -> Vec<CoverageGap> {
    let gaps = missing(all).into_iter().filter_map(|(identifier, ..)| {
        let lacking = |counts: &Counts| {
            let base = counts.base(identifier);
            base.saturating_sub(counts.of(identifier))
        };
        let of_events = meta_events.iter().zip(each);
        let (name, counts) = of_events.max_by_key(|(_, counts)| lacking(counts))?;
        let carried = (counts.of(identifier), counts.base(identifier));
        let parameter = identifier.parameter();
        let gap = CoverageGap::new(parameter.key, identifier.strength.word(), &**name, carried);
        Some(gap.looked_for_in(looked_in(parameter.name)))
    });
    gaps.collect()
}

fn hints(all: &Counts, looked_in: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let hints = missing(all).into_iter().map(|(identifier, lacking, base)| {
        let paths = looked_in(identifier.parameter().name);
        hint(identifier, lacking, base, &paths)
    });
    hints.collect()
}

fn hint(identifier: Identifier, lacking: u64, base: u64, looked_in: &[String]) -> String {
    let (key, strength) = (identifier.parameter().key, identifier.strength.word());
    let what = if needs_click(identifier) {
        CLICKED
    } else {
        "events"
    };
    let lacked = format!("{key} ({strength}): {lacking} of {base} {what} lack it");
    let (shown, more) = looked_in.split_at(looked_in.len().min(MAX_PATHS));
    match (shown, more.len()) {
        ([], _) => format!("{lacked}; no mapping looks for it"),
        (_, 0) => format!("{lacked}; looked for in {}", shown.join(", ")),
        (_, more) => format!(
            "{lacked}; looked for in {} and {more} more",
            shown.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set_of(keys: &[&str]) -> Identifiers {
        let mut set = Identifiers::default();
        for key in keys {
            let name = format!("user_data.{key}");
            set.insert(ParameterId::named(&name).expect("a parameter"));
        }
        set
    }

    fn event(meta_event: usize, has_click: bool, keys: &[&str]) -> Passed {
        Passed {
            meta_event,
            has_click,
            identifiers: set_of(keys),
            ..Passed::default()
        }
    }

    /// A tally of events of one kind, without clicks.
    fn tally(events: &[&[&str]]) -> Tally {
        let tally = Tally::of(1);
        for keys in events {
            (&tally).passed(event(0, false, keys));
        }
        tally
    }

    fn names(count: usize) -> Vec<Box<str>> {
        (0..count)
            .map(|number| format!("Event{number}").into())
            .collect()
    }

    fn coverage_of(tally: &Tally) -> Coverage {
        coverage(tally, &names(tally.counts.len()), |name| {
            vec![format!("at.{name}")]
        })
    }

    fn shown(coverage: &Coverage) -> Vec<(&str, u64, &str)> {
        let rows = coverage.rows.iter();
        rows.filter(|row| row.events > 0)
            .map(|row| (&*row.name, row.events, &*row.label))
            .collect()
    }

    #[test]
    fn every_event_counts_once_for_each_identifier_it_carries() {
        let tally = tally(&[
            &["em", "fbp"],
            &["em"],
            &["ph", "whatsapp_business_account_id"],
        ]);
        let coverage = coverage_of(&tally);
        assert_eq!(coverage.events, 3);
        assert_eq!(
            shown(&coverage),
            [
                ("em", 2, "highest"),
                ("ph", 1, "high"),
                ("fbp", 1, "not published"),
                ("whatsapp_business_account_id", 1, "not published"),
            ]
        );
    }

    #[test]
    fn a_run_of_equal_events_is_counted_in_full_whenever_coverage_is_asked_for() {
        let tally = tally(&[]);
        for (events, keys, counted) in [
            (3, &["em"][..], 3),
            (2, &["em"], 5),
            (1, &[], 5),
            (4, &["em"], 9),
        ] {
            (0..events).for_each(|_| (&tally).passed(event(0, false, keys)));
            assert_eq!(shown(&coverage_of(&tally)), [("em", counted, "highest")]);
        }
        assert_eq!(coverage_of(&tally).events, 10);
    }

    #[test]
    fn the_strongest_identifiers_that_most_events_lack_are_missing_most() {
        let hints = |events: &[&[&str]]| coverage_of(&tally(events)).hints;
        assert_eq!(
            hints(&[
                &["em", "ph", "fn", "ln"],
                &["ph", "ln", "client_ip_address"]
            ]),
            [
                "em (highest): 1 of 2 events lack it; looked for in at.user_data.em",
                "fn (high): 1 of 2 events lack it; looked for in at.user_data.fn",
                "client_ip_address (high): 1 of 2 events lack it; looked for in at.user_data.client_ip_address",
            ]
        );
        // An identifier that all events carry is not missing; a lead id is missing once one event has it.
        assert_eq!(
            hints(&[&["em", "lead_id", "ph"], &["em", "ph"]])[0],
            "lead_id (highest): 1 of 2 events lack it; looked for in at.user_data.lead_id"
        );
        assert_eq!(hints(&[]), [""; 0]);
    }

    #[test]
    fn a_gap_names_the_meta_event_that_lacks_it_most() {
        let mut counts = &Tally::of(2);
        for _ in 0..3 {
            counts.passed(event(0, false, &["em"]));
            counts.passed(event(1, false, &["ph"]));
        }
        counts.passed(event(1, false, &["em"]));
        let gaps = coverage_of(counts).gaps;
        let em = gaps.iter().find(|gap| gap.identifier == "em").unwrap();
        assert_eq!((em.carried, em.events), (1, 4));
        assert_eq!(em.group, &*names(2)[1]);
        assert_eq!(em.label, "highest");
        assert_eq!(em.looked_in, ["at.user_data.em"]);
        assert_eq!(gaps.len(), MAX_MISSING);
        assert_eq!(coverage_of(&Tally::of(1)).gaps, []);
    }

    #[test]
    fn replaced_times_are_counted_by_their_reason() {
        let tally = Tally::of(1);
        assert_eq!(notes_about_times(&tally), [""; 0]);
        for why in [
            ReplacedTime::InFuture,
            ReplacedTime::Unreadable,
            ReplacedTime::InFuture,
        ] {
            (&tally).time_replaced(why);
        }
        let notes = notes_about_times(&tally);
        assert_eq!(
            notes[0],
            "1 event took the time of receipt: the given time cannot be read"
        );
        assert!(
            notes[1].starts_with("2 events took the time of receipt: the given time is in"),
            "{notes:?}"
        );
        assert_eq!(notes.len(), 2);
    }

    #[test]
    fn a_click_id_is_missed_by_events_with_a_click_only() {
        let tally = Tally::of(1);
        for _ in 0..90 {
            (&tally).passed(event(0, false, &["em"]));
        }
        // One cookie was not usable.
        (&tally).passed(event(0, true, &["em"]));
        for _ in 0..9 {
            (&tally).passed(event(0, true, &["em", "fbc"]));
        }
        let coverage = coverage_of(&tally);
        let fbc = coverage
            .rows
            .iter()
            .find(|row| row.name == "fbc")
            .expect("a row");
        assert_eq!((fbc.events, fbc.permille(coverage.events)), (9, Some(900)));
        assert_eq!(
            coverage.hints[0],
            "fbc (highest): 1 of 10 events with a click id or a click cookie lack it; looked for in at.user_data.fbc"
        );
        // Without any click nothing is missing.
        let coverage = coverage_of(&self::tally(&[&["em"]]));
        let fbc = coverage
            .rows
            .iter()
            .find(|row| row.name == "fbc")
            .expect("a row");
        assert_eq!(fbc.permille(coverage.events), None);
        assert!(
            !coverage.hints.iter().any(|hint| hint.starts_with("fbc")),
            "{:?}",
            coverage.hints
        );
    }

    #[test]
    fn an_identifier_says_where_it_was_looked_for_or_that_nothing_maps_it() {
        let tally = tally(&[&["ph"]]);
        let hint = |paths: usize| {
            let paths: Vec<_> = (0..paths).map(|number| format!("p{number}")).collect();
            let coverage = coverage(&tally, &names(1), |_| paths.clone());
            coverage.hints.into_iter().next()
        };
        let lacked = "em (highest): 1 of 1 events lack it; ";
        for (paths, expected) in [
            (0, "no mapping looks for it"),
            (5, "looked for in p0, p1, p2, p3, p4"),
            (7, "looked for in p0, p1, p2, p3, p4 and 2 more"),
        ] {
            assert_eq!(hint(paths), Some(format!("{lacked}{expected}")));
        }
    }

    proptest! {
        #[test]
        fn the_counts_are_those_of_a_recount(
            events in prop::collection::vec((0_usize..4, any::<bool>(), 0_usize..128), 0..200),
            looks in 0_usize..3,
        ) {
            const KEYS: [&str; 6] = ["em", "ph", "fbc", "fbp", "client_ip_address", "client_user_agent"];
            let keys = |mask: usize| {
                let picked = (0..KEYS.len()).filter(|bit| mask >> bit & 1 == 1);
                picked.map(|bit| KEYS[bit]).collect::<Vec<_>>()
            };
            let is_made = |mask: usize| mask >> KEYS.len() == 1;
            // A fourth kind is beyond the table, and must not be counted as another.
            let tally = Tally::of(3);
            for (number, (kind, has_click, mask)) in events.iter().enumerate() {
                let fbp_is_made = is_made(*mask);
                (&tally).passed(Passed { fbp_is_made, ..event(*kind, *has_click, &keys(*mask)) });
                if looks > 0 && number % looks == 0 {
                    coverage_of(&tally);
                }
            }
            let coverage = coverage_of(&tally);
            let known: Vec<_> = events.iter().filter(|(kind, ..)| *kind < 3).collect();
            let count = |kind: Option<usize>, wanted: &[&str], needs_click: bool| {
                let fits = known.iter().filter(|(of, has_click, mask)| {
                    let keys = keys(*mask);
                    kind.is_none_or(|kind| kind == *of)
                        && (!needs_click || *has_click)
                        && wanted.iter().all(|key| match *key {
                            "fbp" => keys.contains(key) && !is_made(*mask),
                            MADE_BROWSER_ID => keys.contains(&"fbp") && is_made(*mask),
                            _ => keys.contains(key),
                        })
                });
                fits.count() as u64
            };
            prop_assert_eq!(coverage.events, count(None, &[], false));
            let has_made = count(None, &[MADE_BROWSER_ID], false) > 0;
            for key in KEYS.into_iter().chain([MADE_BROWSER_ID]) {
                let row = coverage.rows.iter().find(|row| row.name == key);
                let counted = row.map_or(0, |row| row.events);
                prop_assert_eq!(counted, count(None, &[key], false), "{}", key);
            }
            let mut kinds = 0;
            for kind in 0..3 {
                let name = format!("Event{kind}");
                let Some(group) = coverage.groups.iter().find(|group| group.name == name) else {
                    prop_assert_eq!(count(Some(kind), &[], false), 0);
                    continue;
                };
                kinds += 1;
                prop_assert_eq!(group.events, count(Some(kind), &[], false));
                let names: Vec<_> = group.rows.iter().map(|row| &*row.name).collect();
                let made = has_made.then_some(MADE_BROWSER_ID);
                let expected = ["em", "ph", "external_id", "fbc", "fbp"];
                prop_assert_eq!(names, expected.into_iter().chain(made).chain([PAIR]).collect::<Vec<_>>());
                for row in &group.rows {
                    let wanted = match &*row.name {
                        PAIR => vec!["client_ip_address", "client_user_agent"],
                        other => vec![other],
                    };
                    prop_assert_eq!(row.events, count(Some(kind), &wanted, false), "{}", row.name);
                    let base = row.base.as_ref().map(|base| base.events);
                    let clicked = count(Some(kind), &[], true);
                    prop_assert_eq!(base, (row.name == "fbc").then_some(clicked));
                }
            }
            prop_assert_eq!(coverage.groups.len(), kinds);
            let is_sorted = coverage.groups.windows(2).all(|two| two[0].events >= two[1].events);
            prop_assert!(is_sorted);
        }
    }
}
