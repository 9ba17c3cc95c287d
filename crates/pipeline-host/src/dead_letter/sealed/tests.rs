//! Copies that are made, kept for their time, and removed, against a list that knows when each was made.

use super::*;
use crate::dead_letter::{DeadLetters, Letter, StoredLetter, Trace};
use pipeline_core::{Reason, Record};
use proptest::prelude::*;

const PUBLIC: &str = "age1vumt3605pkgy6wt2atq7cy99q52w2gqexh68ns79an4lhgm0jvxqnm2cjw";
const SECRET: &str = "AGE-SECRET-KEY-1YAH69THXWQSK50VZEJHSY602CZ3UYTTMSXCYWHWYZFLS9XZKXA5S90JHV7";

fn sealer(days: u32) -> Sealer {
    Sealer::new(PUBLIC, days).unwrap()
}

fn event(raw: &str) -> Event {
    let mut meta = Meta::default();
    meta.peer = Some([203, 0, 113, 9].into());
    meta.user_agent = Some("agent/1".into());
    Event::new(raw.to_owned(), 77).with_meta(Arc::new(meta))
}

/// A letter of this number, with a payload or without one.
fn letter(number: usize, sealed: Option<Box<Sealed>>) -> Letter {
    let raw = format!("{{\"n\":{number}}}");
    Letter {
        reason: Reason::new("missing_value", "no value"),
        origin: Origin::line("events".into(), number as u64),
        attempts: 0,
        first_ms: 0,
        record: (!number.is_multiple_of(3))
            .then(|| Record::new(format!("{{\"n\":  {number}}}"), "id")),
        label: None,
        history: Arc::default(),
        trace: Some(Box::new(Trace::of(raw.as_bytes(), None))),
        sealed,
    }
}

fn letters(folder: &tempfile::TempDir) -> DeadLetters {
    DeadLetters {
        segment_bytes: 2_000,
        ..DeadLetters::new(folder.path(), "meta", 10_000_000)
    }
}

fn stored(letters: &DeadLetters) -> Vec<StoredLetter> {
    letters.letters().unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_copy_opens_to_the_event_as_it_came_until_its_time_is_over() {
    let raw = "{\"email\":\"jane@example.com\"}\n";
    let sealed = sealer(2)
        .seal(&event(raw), "missing_value", Some("42"), 1_000)
        .unwrap();
    assert!(!format!("{sealed:?}").contains("jane"));
    let keys = Identities::parse(SECRET).unwrap();
    let end = 1_000 + 2 * MS_PER_DAY;
    let opened = sealed.open(&keys, "events line 3", end - 1).unwrap();
    let meta = opened.event.meta().unwrap();
    assert_eq!(opened.event.raw(), raw.as_bytes());
    assert_eq!(
        (opened.event.received_ms(), meta.peer),
        (77, Some([203, 0, 113, 9].into()))
    );
    assert_eq!(meta.user_agent.as_deref(), Some("agent/1"));
    assert_eq!(opened.partition.as_deref(), Some("42"));
    assert_eq!(sealed.open(&keys, "", end).unwrap_err(), Closed::TooOld);
    let damaged = Sealed {
        text: sealed.text[8..].into(),
        until_ms: end,
    };
    assert_eq!(damaged.open(&keys, "", 0).unwrap_err(), Closed::Damaged);
}

#[test]
fn what_is_too_large_or_cannot_be_mapped_by_any_options_has_no_copy() {
    let seal = |raw: &str, reason| sealer(7).seal(&event(raw), reason, None, 0);
    assert!(seal(&"x".repeat(MAX_RAW_BYTES), "missing_value").is_some());
    assert!(seal(&"x".repeat(MAX_RAW_BYTES + 1), "missing_value").is_none());
    assert!(seal("{", "malformed_json").is_none());
}

#[test]
fn a_line_keeps_every_other_byte_of_its_payload_when_its_copy_goes() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder);
    let sealed = sealer(1).seal(&event("{}"), "missing_value", None, 0);
    letters
        .append(&[letter(1, sealed), letter(2, None)], 0)
        .unwrap();
    let before = stored(&letters);
    assert!(before[0].sealed.is_some());
    assert_eq!(letters.forget_raw(MS_PER_DAY - 1).unwrap(), 0);
    assert_eq!(letters.forget_raw(MS_PER_DAY).unwrap(), 1);
    let after = stored(&letters);
    assert_eq!(after[0].record, before[0].record);
    assert_eq!((&after[0].sealed, &after[1].line), (&None, &before[1].line));
    assert!(!String::from_utf8_lossy(&after[0].line).contains("sealed"));
    // Nothing is left to look for.
    assert!(!letters.folder.has_copies().unwrap());
}

#[test]
fn what_a_killed_replay_has_finished_does_not_come_back_when_copies_go() {
    let folder = tempfile::tempdir().unwrap();
    let letters = letters(&folder);
    let sealed = || sealer(1).seal(&event("{}"), "missing_value", None, 0);
    let all: Vec<_> = (0..3).map(|number| letter(number, sealed())).collect();
    letters.append(&all, 0).unwrap();
    let replay = letters.take_for_replay().unwrap();
    replay.mark(&replay.segments()[0], &[2]).unwrap();
    // One that is under way has them.
    assert_eq!(letters.forget_raw(MS_PER_DAY).unwrap(), 0);
    assert!(letters.folder.has_copies().unwrap());
    drop(replay);
    assert_eq!(letters.forget_raw(MS_PER_DAY).unwrap(), 2);
    let left: Vec<_> = stored(&letters).into_iter().map(|it| it.source).collect();
    assert_eq!(left, ["events line 0", "events line 2"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_copy_is_kept_for_its_time_and_no_letter_is_lost(
        made in prop::collection::vec((0_i64..20, 1_u32..10, any::<bool>()), 1..40),
        looks in prop::collection::vec(0_i64..35, 1..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(&folder);
        let mut deadlines = Vec::new();
        for (number, (day, days, is_sealed)) in made.iter().enumerate() {
            let sealed = is_sealed
                .then(|| sealer(*days).seal(&event("{}"), "missing_value", None, day * MS_PER_DAY))
                .flatten();
            deadlines.push(sealed.as_ref().map(|sealed| sealed.until_ms));
            letters.append(&[letter(number, sealed)], 0).unwrap();
        }
        let mut latest = 0;
        for day in looks {
            latest = latest.max(day * MS_PER_DAY);
            letters.forget_raw(day * MS_PER_DAY).unwrap();
            let found = stored(&letters);
            prop_assert_eq!(found.len(), made.len());
            for (number, (letter, until)) in found.iter().zip(&deadlines).enumerate() {
                prop_assert_eq!(&letter.source, &format!("events line {number}"));
                let kept = letter.sealed.as_ref().map(|sealed| sealed.until_ms);
                prop_assert_eq!(kept, until.filter(|until| *until > latest));
            }
            let has_any = found.iter().any(|letter| letter.sealed.is_some());
            prop_assert_eq!(letters.folder.has_copies().unwrap() || !has_any, true);
        }
    }
}
