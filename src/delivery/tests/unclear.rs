//! Refusals that do not say whether an event or the configuration is to blame.

use super::attempt::spread;
use super::blame::{MAX_LONE_ATTEMPTS, MIN_ALIKE};
use super::*;

/// A code that is not documented.
const UNKNOWN: i64 = 4711;

/// An event that Meta refuses with this code.
fn refused(id: usize, code: i64) -> Record {
    erroneous(id, &json!({ "code": code }), false)
}

fn erroneous(id: usize, error: &Value, named: bool) -> Record {
    let mut record = record(id, false, false);
    record.payload = json!({"id": id, "error": error, "named": named})
        .to_string()
        .into();
    record
}

fn good(id: usize) -> Record {
    record(id, false, false)
}

fn batch(events: usize) -> Vec<Record> {
    (0..events).map(good).collect()
}

/// `events` events; those for which `is_bad` is true are refused with the unknown code.
fn mixed(events: usize, is_bad: impl Fn(usize) -> bool) -> Vec<Record> {
    let event = |id| {
        if is_bad(id) {
            refused(id, UNKNOWN)
        } else {
            good(id)
        }
    };
    (0..events).map(event).collect()
}

/// The kind of an outcome and its reason's code.
pub(super) fn told(outcome: &Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Delivered => ("delivered", ""),
        Outcome::Retry { reason, .. } => ("retry", reason.code),
        Outcome::Failed { reason, .. } => ("failed", reason.code),
        Outcome::Rejected { reason } => ("rejected", reason.code),
        Outcome::Blocked { reason } => ("blocked", reason.code),
        other => panic!("unknown: {other:?}"),
    }
}

const DELIVERED: (&str, &str) = ("delivered", "");
const REJECTED: (&str, &str) = ("rejected", "refused_invalid");
const ALL_REFUSED: (&str, &str) = ("blocked", "all_refused");
const UNCLEAR: (&str, &str) = ("retry", "refused_unclear");

impl Bench {
    /// The outcome of each event of a batch, and the number of requests.
    pub(super) fn told(&self, batch: &[Record]) -> (Vec<(&'static str, &'static str)>, usize) {
        let (outcomes, requests, _) = self.run(batch);
        (outcomes.iter().map(told).collect(), requests)
    }
}

#[test]
fn a_configuration_error_blocks_at_the_first_request_and_rejects_nothing() {
    let proof = |message: &str| json!({ "code": 100, "message": message });
    let cases = [
        (json!({ "code": 2635 }), "api_version_ended"),
        (json!({ "code": 12 }), "api_version_ended"),
        (json!({ "code": 5 }), "address_not_allowed"),
        (json!({ "code": 101 }), "app_invalid"),
        (
            proof("API calls from the server require an appsecret_proof argument"),
            "app_secret_required",
        ),
        (
            proof("Invalid appsecret_proof provided in the API argument"),
            "app_secret_required",
        ),
    ];
    for (error, code) in cases {
        let bench = Bench::start();
        bench.refuse_all(Some(error));
        for events in [20, 1] {
            assert_eq!(
                bench.told(&batch(events)),
                (vec![("blocked", code); events], 1)
            );
        }
        let health = bench.runtime.block_on(bench.delivery.healthcheck());
        assert!(
            matches!(&health, Err(HealthcheckError::Blocked(reason)) if reason.code == code),
            "{health:?}"
        );
        bench.refuse_all(None);
        assert!(bench.runtime.block_on(bench.delivery.healthcheck()).is_ok());
        assert_eq!(bench.told(&batch(20)), (vec![DELIVERED; 20], 1));
    }
}

#[test]
fn an_unknown_code_for_every_event_blocks_after_a_few_requests_each_time() {
    for (error, events, most) in [
        (json!({ "code": UNKNOWN }), 1000, 18),
        (json!({ "code": UNKNOWN }), 20, 12),
        (json!({ "code": UNKNOWN, "error_subcode": 7 }), 9, 13),
        (json!({ "code": 100, "message": "no" }), 20, 12),
        (json!({ "code": 100, "error_subcode": 1 }), 8, 13),
        (json!({ "code": 105 }), 2, 3),
    ] {
        let bench = Bench::start();
        bench.refuse_all(Some(error.clone()));
        // The health check may succeed meanwhile, so that the host retries.
        for _ in 0..3 {
            let (outcomes, requests) = bench.told(&batch(events));
            assert_eq!(outcomes, vec![ALL_REFUSED; events], "{error}");
            assert!(requests <= most, "{requests} for {events}");
        }
        bench.refuse_all(None);
        assert_eq!(bench.told(&batch(events)), (vec![DELIVERED; events], 1));
    }
}

#[test]
fn the_reason_of_a_block_repeats_metas_codes_and_not_its_words() {
    let bench = Bench::start();
    bench.refuse_all(Some(json!({
        "code": UNKNOWN, "error_subcode": 7, "message": "a@b.example", "fbtrace_id": "A1b",
    })));
    let (outcomes, _, _) = bench.run(&batch(20));
    let Outcome::Blocked { reason } = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(
        reason.detail,
        "Meta refuses every event; look up Meta's code, and check the app, the access token and `api_version` \
         (code 4711, subcode 7, fbtrace_id A1b)"
    );
    assert_eq!(reason.destination.as_deref(), Some("4711/7"));
    assert_eq!(UNKNOWN, 4711);
}

#[test]
fn a_health_check_that_is_refused_with_an_unknown_code_blocks() {
    let bench = Bench::start();
    bench.refuse_all(Some(json!({ "code": UNKNOWN })));
    let health = bench.runtime.block_on(bench.delivery.healthcheck());
    assert!(
        matches!(&health, Err(HealthcheckError::Blocked(reason)) if reason.code == "all_refused")
    );
}

#[test]
fn an_unknown_code_for_one_event_costs_that_event_alone() {
    for events in [2, 20, 1000] {
        let bench = Bench::start();
        for bad in [0, 1, events / 2, events - 1] {
            let (outcomes, requests) = bench.told(&mixed(events, |id| id == bad));
            let expected = (0..events).map(|id| if id == bad { REJECTED } else { DELIVERED });
            assert!(outcomes.into_iter().eq(expected), "{bad} of {events}");
            assert!(is_within(requests, events, 1), "{requests} for {events}");
        }
    }
}

#[test]
fn an_unknown_code_for_half_of_the_events_costs_those_alone() {
    let halves: [fn(usize) -> bool; 4] = [
        |id| id < 10,
        |id| id >= 10,
        |id| id.is_multiple_of(2),
        |id| !id.is_multiple_of(2),
    ];
    for is_bad in halves {
        let bench = Bench::start();
        let (outcomes, requests) = bench.told(&mixed(20, is_bad));
        let expected = (0..20).map(|id| if is_bad(id) { REJECTED } else { DELIVERED });
        assert!(outcomes.into_iter().eq(expected));
        assert!(is_within(requests, 20, 10), "{requests}");
    }
}

#[test]
fn an_event_that_meta_blames_shows_that_others_are_unfit_as_well() {
    for other in [
        erroneous(
            1,
            &json!({ "code": 100, "error_subcode": 2_804_019 }),
            false,
        ),
        erroneous(1, &json!({ "code": UNKNOWN }), true),
        refused(1, UNKNOWN + 1),
        erroneous(1, &json!({ "code": UNKNOWN, "error_subcode": 7 }), false),
    ] {
        let bench = Bench::start();
        let batch = [refused(0, UNKNOWN), other];
        assert_eq!(bench.told(&batch).0, [REJECTED; 2], "{:?}", batch[1]);
    }
}

#[test]
fn a_lone_event_is_sent_again_before_it_is_rejected() {
    let bench = Bench::start();
    let lone = [refused(0, UNKNOWN)];
    for _ in 1..MAX_LONE_ATTEMPTS {
        assert_eq!(bench.told(&lone), (vec![UNCLEAR], 1));
    }
    assert_eq!(bench.told(&lone), (vec![REJECTED], 1));
}

#[test]
fn a_lone_event_is_rejected_as_soon_as_another_passes_with_it() {
    let bench = Bench::start();
    assert_eq!(bench.told(&[refused(0, UNKNOWN)]).0, [UNCLEAR]);
    let (outcomes, _) = bench.told(&[refused(0, UNKNOWN), good(1)]);
    assert_eq!(outcomes, [REJECTED, DELIVERED]);
    // After an event passed, counting starts again.
    assert_eq!(bench.told(&[refused(2, UNKNOWN)]).0, [UNCLEAR]);
}

#[test]
fn a_configuration_error_that_affects_one_event_at_a_time_rejects_no_event() {
    let bench = Bench::start();
    bench.refuse_all(Some(json!({ "code": UNKNOWN })));
    for id in 0..20 {
        let (outcomes, requests) = bench.told(&[good(id)]);
        assert_eq!(outcomes, [if id == 0 { UNCLEAR } else { ALL_REFUSED }]);
        assert_eq!(requests, 1);
    }
    // Further attempts do not change that.
    for _ in 0..2 * MAX_LONE_ATTEMPTS {
        assert_eq!(bench.told(&[good(0)]).0, [ALL_REFUSED]);
    }
    bench.refuse_all(None);
    assert_eq!(bench.told(&[good(0)]).0, [DELIVERED]);
}

#[test]
fn copies_of_one_event_are_no_proof_against_the_configuration() {
    let bench = Bench::start();
    let copies = vec![refused(0, UNKNOWN); 2 * MIN_ALIKE];
    for _ in 1..MAX_LONE_ATTEMPTS {
        let (outcomes, _) = bench.told(&copies);
        assert!(!outcomes.contains(&ALL_REFUSED), "{outcomes:?}");
        if outcomes.contains(&REJECTED) {
            return;
        }
    }
    panic!("held without an end");
}

#[test]
fn an_answer_that_says_nothing_of_events_leaves_a_suspect_undecided() {
    let bench = Bench::start();
    let slow = |id| {
        let mut record = good(id);
        record.payload = json!({ "id": id, "slow": true }).to_string().into();
        record
    };
    let batch = [refused(0, UNKNOWN), slow(1)];
    for _ in 1..MAX_LONE_ATTEMPTS {
        assert_eq!(bench.told(&batch).0, [("retry", "throttled"); 2]);
    }
    assert_eq!(bench.told(&batch).0, [REJECTED, ("retry", "throttled")]);
}

/// Delivers as a host does: at most `most` events at a time, undecided ones first. Returns the outcome of each event, `None` for
/// those that stay undecided.
fn host(bench: &Bench, events: &[Record], most: usize) -> Vec<Option<Outcome>> {
    /// Attempts without progress after which no progress is expected. Within that many, every event of a batch is sent alone.
    const PATIENCE: usize = 64;
    let mut fate: Vec<Option<Outcome>> = vec![None; events.len()];
    let mut idle = 0;
    while idle < PATIENCE {
        let waiting: Vec<usize> = (0..events.len())
            .filter(|&id| fate[id].is_none())
            .take(most)
            .collect();
        if waiting.is_empty() {
            break;
        }
        let batch: Vec<_> = waiting.iter().map(|&id| events[id].clone()).collect();
        let (outcomes, _, _) = bench.run(&batch);
        let passed = outcomes.contains(&Outcome::Delivered);
        let blocked = outcomes.iter().any(|outcome| told(outcome) == ALL_REFUSED);
        assert!(!(passed && blocked), "{outcomes:?}");
        idle += 1;
        for (id, outcome) in waiting.into_iter().zip(outcomes) {
            if matches!(outcome, Outcome::Delivered | Outcome::Rejected { .. }) {
                fate[id] = Some(outcome);
                idle = 0;
            }
        }
    }
    fate
}

#[test]
fn a_run_of_bad_events_does_not_hold_up_the_others_without_an_end() {
    // The first sample misses a single good event.
    let (all_but_one, first) = (|id| id != 10, |id| id < 40);
    let cases: [fn(usize) -> bool; 3] = [all_but_one, first, |id| id >= 3];
    for is_bad in cases {
        let events = mixed(48, is_bad);
        let fate = host(&Bench::start(), &events, 48);
        let expected = (0..48).map(|id| Some(if is_bad(id) { REJECTED } else { DELIVERED }));
        assert!(fate.iter().map(|fate| fate.as_ref().map(told)).eq(expected));
    }
}

#[test]
fn one_bad_event_does_not_hold_up_others_that_never_share_a_batch_with_it() {
    for bad in [0, 3, 7] {
        let events = mixed(8, |id| id == bad);
        let fate = host(&Bench::start(), &events, 1);
        let expected = (0..8).map(|id| Some(if id == bad { REJECTED } else { DELIVERED }));
        assert!(fate.iter().map(|fate| fate.as_ref().map(told)).eq(expected));
    }
}

/// How Meta answers to an event.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Passes,
    /// Refused with one of two unknown codes.
    Unclear(i64),
    /// Refused with the event's place or a subcode of events.
    Blamed {
        named: bool,
    },
}

impl Fate {
    fn record(self, id: usize) -> Record {
        match self {
            Self::Passes => good(id),
            Self::Unclear(code) => refused(id, code),
            Self::Blamed { named: true } => erroneous(id, &json!({ "code": UNKNOWN }), true),
            Self::Blamed { named: false } => erroneous(
                id,
                &json!({ "code": 100, "error_subcode": 2_804_001 }),
                false,
            ),
        }
    }
}

fn fate(good: u32) -> impl Strategy<Value = Fate> {
    prop_oneof![
        good => Just(Fate::Passes),
        4 => Just(Fate::Unclear(UNKNOWN)),
        1 => Just(Fate::Unclear(100)),
        1 => proptest::bool::ANY.prop_map(|named| Fate::Blamed { named }),
    ]
}

/// Events, with few, many or most of them bad.
fn fates(most: usize) -> impl Strategy<Value = Vec<Fate>> {
    prop_oneof![Just(40), Just(6), Just(1)]
        .prop_flat_map(move |good| proptest::collection::vec(fate(good), 1..most))
}

fn records(fates: &[Fate]) -> Vec<Record> {
    (0..).zip(fates).map(|(id, fate)| fate.record(id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn exactly_the_good_events_arrive_whatever_else_is_with_them(fates in fates(60), most in prop_oneof![1..4_usize, 8..60_usize]) {
        let ends = host(&Bench::start(), &records(&fates), most);
        for (fate, end) in fates.iter().zip(&ends) {
            prop_assert!(*end != Some(Outcome::Delivered) || *fate == Fate::Passes);
            let is_rejected = matches!(end, Some(Outcome::Rejected { .. }));
            prop_assert!(*fate != Fate::Passes || !is_rejected);
        }
        // Events that stay undecided look like a configuration error: many events refused alike, and no other event among them.
        let held: Vec<Fate> = ends.iter().zip(&fates).filter(|(end, _)| end.is_none()).map(|(_, fate)| *fate).take(most).collect();
        if let Some(first) = held.first() {
            prop_assert!(matches!(first, Fate::Unclear(_)), "{:?}", held);
            prop_assert!(held.iter().all(|fate| fate == first), "{:?}", held);
            let alike = fates.iter().filter(|fate| *fate == first).count();
            prop_assert!(alike >= MIN_ALIKE, "{:?}", fates);
        }
    }

    #[test]
    fn what_is_remembered_changes_no_outcome_but_that_of_an_unclear_refusal(batches in proptest::collection::vec(fates(MIN_ALIKE), 1..12)) {
        let bench = Bench::start();
        for fates in &batches {
            let batch = records(fates);
            let (remembered, requests) = bench.told(&batch);
            let (afresh, requests_afresh) = Bench::start().told(&batch);
            prop_assert_eq!(requests, requests_afresh);
            for (remembered, afresh) in remembered.iter().zip(&afresh) {
                let is_held = |told| [ALL_REFUSED, UNCLEAR].contains(told);
                let is_unclear = is_held(afresh) && (is_held(remembered) || *remembered == REJECTED);
                prop_assert!(remembered == afresh || is_unclear, "{:?} for {:?}", remembered, afresh);
            }
        }
    }

    #[test]
    fn a_spread_sample_is_ascending_and_reaches_every_event_in_turn(count in 1..10_usize, all in 1..200_usize, turn in 0..usize::MAX) {
        let mut reached = std::collections::BTreeSet::new();
        for turn in 0..all {
            let sample = spread(count, all, turn);
            prop_assert_eq!(sample.len(), count.min(all));
            prop_assert!(sample.is_sorted_by(|one, next| one < next) && sample.iter().all(|n| *n < all));
            reached.extend(sample);
        }
        prop_assert_eq!(reached.len(), all);
        prop_assert!(spread(count, all, turn).iter().all(|n| *n < all));
    }
}
