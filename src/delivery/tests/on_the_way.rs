//! Answers that are not Meta's, and places that it names wrongly.

use super::super::blame::FLAPPING_MS;
use super::super::on_the_way::CONFIRMATIONS;
use super::unclear::told;
use super::*;

const DELIVERED: (&str, &str) = ("delivered", "");
const REFUSED: (&str, &str) = ("rejected", "refused_on_the_way");
const CLOSED: (&str, &str) = ("blocked", "way_blocked");
const UNCLEAR: (&str, &str) = ("failed", "way_unclear");
/// The statuses of pages that say something about a request.
const STATUSES: [u16; 10] = [200, 302, 400, 401, 403, 404, 406, 413, 431, 451];

fn page(id: usize, status: u16) -> Record {
    let mut record = record(id, false, false);
    record.payload = json!({"id": id, "page": status}).to_string().into();
    record
}

fn mixed(events: usize, status: u16, is_bad: impl Fn(usize) -> bool) -> Vec<Record> {
    let event = |id| {
        if is_bad(id) {
            page(id, status)
        } else {
            record(id, false, false)
        }
    };
    (0..events).map(event).collect()
}

impl Bench {
    fn way(&self, change: impl FnOnce(&mut OnTheWay)) {
        change(&mut self.ledger.lock().unwrap().way);
    }
}

/// What a reason may not speak of where the answer is not Meta's.
fn speaks_of_the_token(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Delivered => false,
        Outcome::Retry { reason, .. }
        | Outcome::Failed { reason, .. }
        | Outcome::Rejected { reason }
        | Outcome::Blocked { reason } => ["token", "permission", "owner"]
            .iter()
            .any(|word| reason.detail.contains(word)),
        other => panic!("unknown: {other:?}"),
    }
}

#[test]
fn one_event_that_something_on_the_way_dislikes_costs_no_other() {
    for status in STATUSES {
        let bench = Bench::start();
        for events in [2, 3, 100] {
            for bad in [0, 1, events / 2, events - 1] {
                let (outcomes, requests, accepted) =
                    bench.run(&mixed(events, status, |id| id == bad));
                let expected = (0..events).map(|id| if id == bad { REFUSED } else { DELIVERED });
                assert!(
                    outcomes.iter().map(told).eq(expected),
                    "{status}: {outcomes:?}"
                );
                assert_eq!(accepted.len(), events - 1, "each good event arrives once");
                assert!(!outcomes.iter().any(speaks_of_the_token), "{outcomes:?}");
                let most = if status == 413 {
                    2.0 * most_extra(events)
                } else {
                    most_extra(events)
                };
                let most = most + 1.0 + f64::from(CONFIRMATIONS);
                let extra = f64::from(u32::try_from(requests - 1).unwrap());
                assert!(extra <= most, "{status}: {requests} for {bad} of {events}");
            }
        }
    }
}

#[test]
fn several_such_events_cost_no_other_wherever_they_are() {
    let positions: [fn(usize) -> bool; 4] = [
        |id| id < 7,
        |id| id % 9 == 4,
        |id| id.is_multiple_of(2),
        |id| [0, 50, 99].contains(&id),
    ];
    for is_bad in positions {
        let bench = Bench::start();
        let batch = mixed(100, 403, is_bad);
        let mut waiting: Vec<usize> = (0..100).collect();
        // A batch with more bad events than one attempt takes apart is decided with the next.
        for _ in 0..2 {
            let events: Vec<_> = waiting.iter().map(|&id| batch[id].clone()).collect();
            let (outcomes, requests, _) = bench.run(&events);
            assert!(requests <= MAX_REQUESTS);
            let ids = std::mem::take(&mut waiting);
            for (id, outcome) in ids.into_iter().zip(&outcomes) {
                let expected = if is_bad(id) { REFUSED } else { DELIVERED };
                match told(outcome) {
                    ("retry", "many_refused") => waiting.push(id),
                    outcome => assert_eq!(outcome, expected, "{id}"),
                }
            }
        }
        assert_eq!(waiting.len(), 0);
    }
}

#[test]
fn a_way_that_is_closed_for_all_blocks_after_a_few_requests_and_rejects_nothing() {
    for status in STATUSES {
        let bench = Bench::start();
        bench.way(|way| way.closed = Some(status));
        let batch: Vec<_> = (0..1000).map(|id| record(id, false, false)).collect();
        for _ in 0..3 {
            let (outcomes, requests, _) = bench.run(&batch);
            assert!(
                outcomes.iter().all(|it| told(it) == CLOSED),
                "{status}: {:?}",
                outcomes[0]
            );
            assert!(
                !outcomes.iter().any(speaks_of_the_token),
                "{:?}",
                outcomes[0]
            );
            assert!(requests <= 19, "{requests}");
        }
        let health = bench.runtime.block_on(bench.delivery.healthcheck());
        assert!(health.is_err());
        bench.way(|way| way.closed = None);
        assert!(bench.run(&batch).0.iter().all(|it| told(it) == DELIVERED));
    }
}

#[test]
fn a_lone_event_that_is_refused_on_the_way_is_held_however_often_it_is_tried() {
    let bench = Bench::start();
    for _ in 0..30 {
        assert_eq!(bench.told(&[page(0, 403)]), (vec![UNCLEAR], 1));
    }
    // Other events, each alone, show that the way is closed for more than one.
    assert_eq!(bench.told(&[page(1, 403)]).0, [CLOSED]);
    assert_eq!(bench.told(&[record(2, false, false)]).0, [DELIVERED]);
    assert_eq!(bench.told(&[page(0, 403)]).0, [UNCLEAR]);
}

#[test]
fn a_way_that_closes_while_a_batch_is_sent_costs_no_event() {
    for closes_after in 1..12 {
        for bad in [0, 17, 63] {
            let bench = Bench::start();
            bench.way(|way| way.closes_after = Some(closes_after));
            let batch = mixed(64, 403, |id| id == bad);
            let (outcomes, requests, accepted) = bench.run(&batch);
            for (id, outcome) in outcomes.iter().enumerate() {
                let is_good = id != bad;
                assert!(!is_good || told(outcome) != REFUSED, "{closes_after}: {id}");
                let has_arrived = accepted.contains(&(id as u64));
                assert_eq!(told(outcome) == DELIVERED, has_arrived);
            }
            assert!(requests <= 64, "{requests}");
        }
    }
}

#[test]
fn requests_that_are_too_large_are_halved_and_later_ones_keep_to_what_passes() {
    for asks_for_less in [false, true] {
        let bench = Bench::start();
        let batch: Vec<_> = (0..1000).map(|id| record(id, false, false)).collect();
        let bytes: usize = batch.iter().map(|record| record.payload.len() + 1).sum();
        bench.way(|way| {
            way.most_bytes = Some(bytes * 3 / 10);
            way.asks_for_less = asks_for_less;
        });
        let (outcomes, requests, accepted) = bench.run(&batch);
        assert!(outcomes.iter().all(|it| told(it) == DELIVERED));
        assert_eq!(accepted, (0..1000).collect::<Vec<_>>());
        assert_eq!(requests, 1 + 1 + 4, "whole, a half, and the quarters");
        let (_, requests, accepted) = bench.run(&batch);
        assert_eq!((requests, accepted.len()), (6, 1000), "one more is refused");
        let (_, requests, accepted) = bench.run(&batch);
        assert_eq!((requests, accepted.len()), (4, 1000), "none is refused");
        bench.way(|way| way.most_bytes = None);
        assert_eq!(bench.run(&batch).1, 4, "it is remembered");
    }
}

#[test]
fn a_single_event_that_is_too_large_ends_alone_and_the_others_are_sent_together() {
    let bench = Bench::start();
    let mut batch: Vec<_> = (0..100).map(|id| record(id, false, false)).collect();
    batch[40].payload = json!({"id": 40, "x": "x".repeat(9000)}).to_string().into();
    bench.way(|way| way.most_bytes = Some(8000));
    let (outcomes, requests, accepted) = bench.run(&batch);
    assert_eq!((told(&outcomes[40]), accepted.len()), (REFUSED, 99));
    assert!(requests <= 22, "{requests}");
    let small: Vec<_> = (100..200).map(|id| record(id, false, false)).collect();
    assert_eq!(
        bench.run(&small).1,
        1,
        "size is not the cause for the others"
    );
}

#[test]
fn a_size_that_nothing_keeps_to_blocks() {
    let bench = Bench::start();
    bench.way(|way| way.most_bytes = Some(5));
    let batch: Vec<_> = (0..100).map(|id| record(id, false, false)).collect();
    let (outcomes, requests, _) = bench.run(&batch);
    assert!(outcomes.iter().all(|it| told(it) == CLOSED));
    assert!(requests <= 20, "{requests}");
}

#[test]
fn a_place_that_is_named_wrongly_costs_no_good_event() {
    for bad in [0, 7, 59] {
        let bench = Bench::start();
        bench.way(|way| way.names_the_first = true);
        let batch: Vec<_> = (0..60).map(|id| record(id, id == bad, false)).collect();
        let (outcomes, requests, accepted) = bench.run(&batch);
        assert_eq!(accepted.len(), 59);
        for (id, outcome) in outcomes.iter().enumerate() {
            assert_eq!(
                matches!(outcome, Outcome::Rejected { .. }),
                id == bad,
                "{id}"
            );
        }
        assert!(requests <= 16, "{requests}");
    }
}

#[test]
fn a_failure_that_an_event_may_have_caused_says_which_events_were_in_the_request() {
    let bench = Bench::start();
    let mut batch: Vec<_> = (0..8).map(|id| record(id, false, false)).collect();
    let blamed = json!({"code": 100, "error_subcode": 2_804_009});
    for (id, error) in [(0, blamed), (2, json!({"code": 2}))] {
        batch[id].payload = json!({"id": id, "error": error}).to_string().into();
    }
    let (outcomes, _, _) = bench.run(&batch);
    let kinds: Vec<_> = outcomes.iter().map(|outcome| told(outcome).0).collect();
    // The bad one is found first: it alone, its neighbor, then the pair with the failing one.
    assert_eq!(
        kinds,
        [
            "rejected",
            "delivered",
            "failed",
            "failed",
            "retry",
            "retry",
            "retry",
            "retry"
        ]
    );
}

#[test]
fn where_refusals_have_nothing_to_do_with_events_none_is_rejected_for_them() {
    for every in [2, 3, 4] {
        let bench = Bench::start();
        bench.way(|way| way.every = Some(every));
        let batch: Vec<_> = (0..100).map(|id| record(id, false, false)).collect();
        let mut waiting = batch.clone();
        for _ in 0..200 {
            let (outcomes, _, _) = bench.run(&waiting);
            let mut outcomes = outcomes.iter().map(told);
            waiting.retain(|_| {
                let outcome = outcomes.next().unwrap();
                assert!(outcome.0 != "rejected", "{every}: {outcome:?}");
                outcome != DELIVERED
            });
            if waiting.is_empty() {
                break;
            }
        }
        assert_eq!(waiting.len(), 0, "{every}");
        // While that is remembered, a refusal ends the attempt; then it is looked for events again.
        let mut odd = mixed(10, 403, |id| id == 4);
        for record in &mut odd {
            record.expires_at = i64::MAX;
        }
        bench.way(|way| way.every = None);
        assert!(bench.run(&odd).0.iter().all(|it| told(it) == UNCLEAR));
        bench.clock.set(50_000 + FLAPPING_MS);
        let (outcomes, _, _) = bench.run(&odd);
        assert_eq!(told(&outcomes[4]), REFUSED);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// What is remembered between batches changes how requests are cut, and no outcome.
    #[test]
    fn sizes_that_are_remembered_change_no_outcome(batches in proptest::collection::vec((1..80_usize, proptest::option::of(200..3000_usize), proptest::collection::vec(0..80_usize, 0..3)), 1..6)) {
        let bench = Bench::start();
        for (events, most, bad) in &batches {
            let batch = mixed(*events, 403, |id| bad.contains(&id));
            let run = |bench: &Bench| {
                bench.way(|way| way.most_bytes = *most);
                let (outcomes, requests, mut accepted) = bench.run(&batch);
                accepted.sort_unstable();
                let told: Vec<_> = outcomes.iter().map(told).collect();
                (told, accepted, requests)
            };
            let (remembered, afresh) = (run(&bench), run(&Bench::start()));
            let is_held = |told: &Vec<(&str, &str)>| told.iter().any(|it| [CLOSED, UNCLEAR].contains(it));
            if !is_held(&afresh.0) && !is_held(&remembered.0) {
                prop_assert_eq!(&remembered.0, &afresh.0);
                prop_assert_eq!(&remembered.1, &afresh.1);
            }
            for (id, told) in remembered.0.iter().enumerate() {
                prop_assert!(*told != REFUSED || bad.contains(&id));
                prop_assert_eq!(*told == DELIVERED, remembered.1.contains(&(id as u64)));
            }
            prop_assert!(remembered.2 <= MAX_REQUESTS);
        }
    }
}
