//! The feed against lists that keep everything, and what is shown of single events.

use super::*;
use crate::row::MAX_PAYLOAD_BYTES;
use pipeline_core::{Filtered, Record, Rejection};
use proptest::prelude::*;

fn origin(line: u64) -> Origin {
    Origin::line("events".into(), line)
}

fn deliver(feed: &Feed, id: &str, line: u64, outcome: &Outcome) {
    let record = Record::new("{}", id).labeled("Order Completed → Purchase");
    let origin = origin(line);
    feed.attempted("meta", &Settlement::new(&record, &origin, 1, outcome));
}

fn rejected(code: &'static str) -> Outcome {
    let reason = Reason::new(code, "a sentence");
    Outcome::Rejected { reason }
}

#[tokio::test(start_paused = true)]
async fn plenty_of_deliveries_never_push_out_a_rare_rejection() {
    let feed = Feed::default();
    deliver(&feed, "rare", 1, &rejected("refused_invalid"));
    for second in 0..100 {
        for number in 0..1_000 {
            deliver(
                &feed,
                "common",
                second * 1_000 + number,
                &Outcome::Delivered,
            );
        }
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    // One more in each of two minutes, for its name.
    assert_eq!(feed.kept(Status::Delivered), 100 * SAMPLED_A_SECOND + 2);
    let (rows, has_more) = feed.newest(&Filter::default(), None, 5_000);
    assert_eq!((rows.len(), has_more), (MAX_ROWS + 1, false));
    let filter = Filter {
        status: Some(Status::Rejected),
        ..Filter::default()
    };
    let (rows, _) = feed.newest(&filter, None, 10);
    assert_eq!(rows[0].event_id.as_deref(), Some("rare"));
    assert_eq!(
        feed.find(rows[0].seq),
        Found::Row(Box::new(rows[0].clone()))
    );
    assert_eq!(feed.find(2), Found::Gone);
    assert_eq!(feed.find(1_000_000), Found::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_rare_name_is_seen_among_plenty_of_another() {
    let feed = Feed::default();
    for line in 0..10_000 {
        deliver(&feed, "common", line, &Outcome::Delivered);
    }
    let rare = Record::new("{}", "rare").labeled("Quote Requested → Lead");
    let origin = origin(1);
    for _ in 0..10_000 {
        let settlement = Settlement::new(&rare, &origin, 1, &Outcome::Delivered);
        feed.attempted("meta", &settlement);
    }
    let filter = Filter {
        name: Some("Lead".to_owned()),
        ..Filter::default()
    };
    assert_eq!(feed.newest(&filter, None, 10).0.len(), 1);
    // Whatever senders make up, there are no more rows than places.
    for line in 0..10_000 {
        let record = Record::new("{}", "odd").labeled(format!("Name {line} → Lead"));
        let settlement = Settlement::new(&record, &origin, 1, &Outcome::Delivered);
        feed.attempted("meta", &settlement);
    }
    let most = SAMPLED_A_SECOND + NAME_PLACES as u64;
    assert!(feed.kept(Status::Delivered) <= most);
}

#[tokio::test]
async fn a_rejection_that_is_told_twice_is_one_row() {
    let feed = Feed::default();
    let event = Event::new("{}", 0).with_origin(origin(1));
    let reason = Reason::new("too_old", "a sentence");
    let encoded = Encoded::Rejected(Rejection::new(reason.clone()));
    feed.encoded("meta", &event, &encoded);
    feed.rejected("meta", &origin(1), &reason);
    // A line that a source could not read is told once.
    feed.rejected("meta", &origin(2), &Reason::new("malformed_json", "no"));
    deliver(&feed, "three", 3, &rejected("refused_invalid"));
    feed.rejected("meta", &origin(3), &Reason::new("refused_invalid", "no"));
    let (rows, _) = feed.newest(&Filter::default(), None, 10);
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.place.as_str(), row.reason))
        .collect();
    let expected = [
        ("events line 3", Some("refused_invalid")),
        ("events line 2", Some("malformed_json")),
        ("events line 1", Some("too_old")),
    ];
    assert_eq!(told, expected);
}

fn explain(feed: &Feed, id: &str, line: u64) {
    let record = Record::new("{}", id).labeled("Order Completed → Purchase");
    let field = pipeline_core::FieldFate::Absent {
        looked_in: vec![format!("path_of_{id}")],
    };
    let fields = vec![pipeline_core::Field::new("user_data.em", field)];
    let explanation = pipeline_core::Explanation::new(fields);
    let explained = Explained::new(Encoded::Record(record), explanation);
    let event = Event::new("{}", 0).with_origin(origin(line));
    feed.explained("meta", &event, &explained);
}

fn row_of(feed: &Feed, id: &str) -> Row {
    let filter = Filter {
        id: Some(id.to_owned()),
        ..Filter::default()
    };
    feed.newest(&filter, None, 1).0.pop().expect(id)
}

#[tokio::test(start_paused = true)]
async fn events_are_explained_only_while_somebody_watches_and_a_few_a_second() {
    let feed = Arc::new(Feed::default());
    let wanted = |sink: &str| (0..100).filter(|_| feed.wants_explanation(sink)).count();
    assert_eq!(wanted("meta"), 0);
    let watcher = feed.watch();
    let second = feed.watch();
    assert_eq!((wanted("meta"), wanted("other")), (20, 20));
    assert_eq!(wanted("meta"), 0);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    drop(second);
    assert_eq!(wanted("meta"), 20);
    drop(watcher);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(wanted("meta"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_explained_is_shown_with_it_among_plenty_of_others() {
    let feed = Feed::default();
    explain(&feed, "chosen", 7);
    for line in 100..1_100 {
        deliver(&feed, "common", line, &Outcome::Delivered);
    }
    let reason = Reason::new("throttled", "a sentence");
    let retry = Outcome::Retry {
        after: None,
        reason,
    };
    deliver(&feed, "chosen", 7, &retry);
    deliver(&feed, "chosen", 7, &Outcome::Delivered);
    let row = row_of(&feed, "chosen");
    let full = row.to_full_json(&feed.related(&row), true);
    let looked_in = &full["explain"]["left_out"]["user_data.em"]["looked_in"];
    assert_eq!(looked_in[0], "path_of_chosen", "{full}");
    assert!(
        feed.related(&row)
            .iter()
            .all(|row| row.explanation.is_some())
    );
    assert_eq!(feed.waiting.load(Ordering::Acquire), 0);
    let other = row_of(&feed, "common").to_full_json(&[], true);
    assert_eq!(other["not_explained"], "not kept: nobody was watching");
    assert!(other["explain"].is_null());
}

#[tokio::test]
async fn the_attempts_of_one_event_are_told_together() {
    let feed = Feed::default();
    let record = Record::new("{\"a\":1}", "one").labeled("Order Completed → Purchase");
    let place = origin(3);
    let mut exchange = pipeline_core::Exchange::new(1, 5);
    exchange.status = Some(503);
    let exchange = Arc::new(exchange);
    let outcome = Outcome::Failed {
        after: None,
        reason: Reason::new("server_error", "a sentence"),
    };
    let failed = Settlement::new(&record, &place, 1, &outcome);
    let failed = failed.with_exchange(Some(&exchange)).received_at(1_000);
    feed.attempted("meta", &failed);
    feed.attempted(
        "meta",
        &Settlement::new(&record, &place, 2, &Outcome::Delivered).received_at(1_000),
    );
    deliver(&feed, "other", 4, &Outcome::Delivered);
    let row = row_of(&feed, "one");
    let full = row.to_full_json(&feed.related(&row), true);
    assert_eq!(full["payload_text"], "{\"a\":1}");
    assert_eq!(full["bytes"], 7);
    let attempts = full["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{full}");
    assert_eq!(attempts[0]["exchange"]["status"], 503);
    assert_eq!(attempts[0]["reason"], "server_error");
    assert_eq!(attempts[1]["status"], "delivered");
    let steps = full["history"].as_array().unwrap().iter();
    let steps: Vec<_> = steps.map(|step| step["what"].as_str().unwrap()).collect();
    assert_eq!(steps, ["received", "mapped", "retrying", "delivered"]);
    let hidden = row.to_full_json(&[], false);
    assert!(hidden.get("payload_text").is_none(), "{hidden}");
}

#[tokio::test]
async fn a_huge_payload_is_counted_and_not_kept() {
    let feed = Feed::default();
    for (bytes, is_kept) in [(MAX_PAYLOAD_BYTES, true), (MAX_PAYLOAD_BYTES + 1, false)] {
        let record = Record::new(vec![b'x'; bytes], "big");
        let place = origin(bytes as u64);
        feed.attempted(
            "meta",
            &Settlement::new(&record, &place, 1, &Outcome::Delivered),
        );
        let row = row_of(&feed, "big");
        assert_eq!((row.bytes, row.payload.is_some()), (Some(bytes), is_kept));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What waits against a list that forgets nothing but the oldest.
    #[test]
    fn explanations_wait_for_their_own_event_and_no_more_than_allowed(
        steps in prop::collection::vec((0_u64..40, 0_u64..4), 1..200),
        crowd in 0_u64..1_500,
    ) {
        let feed = Feed::default();
        let mut model: Vec<u64> = Vec::new();
        for (event, step) in steps {
            let id = format!("id{event}");
            match step {
                0 => {
                    explain(&feed, &id, event);
                    model.retain(|known| *known != event);
                    model.push(event);
                }
                1 => {
                    let id = Some(id.as_str());
                    let found = feed.explanation("meta", &origin(event), id, false);
                    prop_assert_eq!(found.is_some(), model.contains(&event));
                }
                2 => {
                    let found = feed.explanation("meta", &origin(event), Some(&id), true);
                    prop_assert_eq!(found.is_some(), model.contains(&event));
                    if let Some(found) = found {
                        let told = found.to_json().to_string();
                        let path = format!("path_of_id{event}\"");
                        prop_assert!(told.contains(&path));
                    }
                    model.retain(|known| *known != event);
                }
                _ => {
                    let found = feed.explanation("other", &origin(event), Some(&id), true);
                    prop_assert!(found.is_none());
                }
            }
        }
        for number in 0..crowd {
            explain(&feed, "crowd", 1_000 + number);
        }
        let explained = feed.explanations();
        prop_assert!(explained.waiting.len() <= MAX_EXPLAINED);
        prop_assert!(explained.order.len() <= MAX_EXPLAINED);
        prop_assert_eq!(explained.waiting.len(), feed.waiting.load(Ordering::Acquire));
    }
}

/// One event of each fate: delivered, retrying, held, rejected, filtered.
fn one_of_each() -> Feed {
    let feed = Feed::default();
    let reason = |code| Reason::new(code, "a sentence");
    let retry = Outcome::Retry {
        after: None,
        reason: reason("throttled"),
    };
    let blocked = Outcome::Blocked {
        reason: reason("token"),
    };
    deliver(&feed, "sent", 1, &Outcome::Delivered);
    deliver(&feed, "again", 2, &retry);
    deliver(&feed, "kept", 3, &blocked);
    deliver(&feed, "bad", 4, &rejected("refused_invalid"));
    let event = Event::new("{}", 0).with_origin(origin(5));
    let filtered = Filtered::new(reason("consent")).with_label(Some("Cart Viewed".into()));
    feed.encoded("other", &event, &Encoded::Filtered(filtered));
    feed
}

#[tokio::test]
async fn every_fate_has_its_status_and_filters_find_it() {
    let feed = one_of_each();
    let found = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        let (rows, _) = feed.newest(&filter, None, 10);
        rows.iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    let fates = [
        Status::Delivered,
        Status::Retrying,
        Status::Held,
        Status::Rejected,
        Status::Filtered,
    ];
    for (number, status) in (1..).zip(fates) {
        assert_eq!(
            found(&|it| it.status = Some(status)),
            [number],
            "{status:?}"
        );
    }
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(&|it| it.sink = text("other")), [5]);
    assert_eq!(found(&|it| it.reason = text("token")), [3]);
    assert_eq!(found(&|it| it.id = text("again")), [2]);
    assert_eq!(found(&|it| it.name = text("Purchase")), [4, 3, 2, 1]);
    assert_eq!(found(&|it| it.name = text("Cart Viewed")), [5]);
    assert!(found(&|it| it.name = text("Cart")).is_empty());
    assert_eq!(found(&|it| it.part = text("cart v")), [5]);
    assert_eq!(found(&|it| it.part = text("purch")), [4, 3, 2, 1]);
    assert_eq!(found(&|it| it.part = text("gai")), [2]);
}

#[tokio::test]
async fn rows_come_in_pages_and_after_the_last_one_seen() {
    let feed = one_of_each();
    let (rows, has_more) = feed.newest(&Filter::default(), Some(4), 2);
    let seqs: Vec<_> = rows.iter().map(|row| row.seq).collect();
    assert_eq!((seqs, has_more), (vec![3, 2], true));
    let (rows, last, evicted) = feed.after(2, &Filter::default());
    assert_eq!((rows.len(), last, evicted), (3, 5, 0));
    assert_eq!(feed.after(5, &Filter::default()), (vec![], 5, 0));
}

proptest! {
    /// The rings against a list of everything that remembers all.
    #[test]
    fn the_rings_hold_the_latest_of_each_fate_whatever_comes(
        fates in prop::collection::vec((0_usize..5, 1_usize..400), 1..30),
        limit in 1_usize..50,
    ) {
        let feed = Feed::default();
        let mut all: Vec<(u64, usize)> = Vec::new();
        let place = origin(1);
        for (fate, times) in fates {
            for _ in 0..times {
                let seen = Seen::of("meta", &place);
                let mut state = feed.lock();
                state.last += 1;
                let row = Row::new(state.last, 0, Status::ALL[fate], seen);
                all.push((row.seq, fate));
                state.rings[fate].push(row);
            }
        }
        let of = |fate: usize| {
            let rows = all.iter().rev().filter(move |(_, of)| *of == fate);
            rows.take(MAX_ROWS).map(|(seq, _)| *seq)
        };
        let mut kept: Vec<u64> = (0..5).flat_map(of).collect();
        kept.sort_by_key(|seq| std::cmp::Reverse(*seq));
        let (rows, has_more) = feed.newest(&Filter::default(), None, limit);
        let seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
        prop_assert_eq!(&seqs[..], &kept[..kept.len().min(limit)]);
        prop_assert_eq!(has_more, kept.len() > limit);
        let half = all.len() as u64 / 2;
        let (rows, last, evicted) = feed.after(half, &Filter::default());
        let newer = kept.iter().filter(|seq| **seq > half).count();
        prop_assert_eq!((rows.len(), last), (newer, all.len() as u64));
        prop_assert_eq!(evicted, all.len() as u64 - half - newer as u64);
    }
}

#[tokio::test]
async fn the_memory_of_a_fate_is_bounded_in_bytes_too() {
    let mut ring = Ring::default();
    let origin = Origin::whole("f".repeat(200).into());
    let reason = Reason::new("code", "x".repeat(10_000));
    for seq in 0..5_000 {
        let seen = Seen {
            label: Some("ü"),
            event_id: Some("id"),
            reason: Some(&reason),
            payload: Some(&[b'x'; 3_000]),
            ..Seen::of("meta", &origin)
        };
        let mut row = Row::new(seq, 0, Status::Rejected, seen);
        row.detail = Some("x".repeat(10_000));
        ring.push(row);
    }
    assert!(
        ring.bytes <= MAX_RING_BYTES && ring.rows.len() > 100,
        "{}",
        ring.rows.len()
    );
    assert_eq!(
        ring.bytes,
        ring.rows.iter().map(Row::size_bytes).sum::<usize>()
    );
}

/// A sink that counts how often it is asked what an event is worth.
#[derive(Default)]
struct Shop(AtomicUsize);

#[pipeline_core::async_trait]
impl Sink for Shop {
    fn encode(&self, _: &Event) -> Encoded {
        Encoded::Filtered(Filtered::new(Reason::new("unmapped", "no")))
    }

    fn amount(&self, payload: &[u8]) -> Option<Amount> {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(payload != b"panic", "a fault of the plugin");
        Amount::of(serde_json::from_slice(payload).ok(), Some("EUR"))
    }

    async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
        vec![Outcome::Delivered; batch.len()]
    }

    async fn healthcheck(&self) -> Result<(), pipeline_core::HealthcheckError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_amount_is_read_of_events_that_become_rows_and_of_no_others() {
    let feed = Feed::default();
    let shop = Arc::new(Shop::default());
    let sink: Arc<dyn Sink> = shop.clone();
    feed.opened("meta", &sink);
    let deliver = |payload: &'static str, sink: &str| {
        let record = Record::new(payload, "a").labeled("Order → Purchase");
        let place = origin(1);
        feed.attempted(
            sink,
            &Settlement::new(&record, &place, 1, &Outcome::Delivered),
        );
    };
    let newest = || {
        feed.newest(&Filter::default(), None, 1)
            .0
            .remove(0)
            .to_json()
    };
    deliver("19.5", "meta");
    let row = newest();
    assert_eq!(
        (&row["value"], &row["currency"]),
        (&19.5.into(), &"EUR".into())
    );
    for (payload, sink) in [("19.5", "other"), ("panic", "meta")] {
        deliver(payload, sink);
        let row = newest();
        assert!(row["value"].is_null() && row["currency"].is_null(), "{row}");
    }
    for _ in 0..10_000 {
        deliver("1", "meta");
    }
    let asked = shop.0.load(Ordering::Relaxed) as u64;
    assert!(asked <= feed.kept(Status::Delivered), "{asked}");
    // The sink is gone.
    drop((shop, sink));
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    deliver("2", "meta");
    assert!(newest()["value"].is_null());
}

fn explained(encoded: Encoded) -> Explained {
    Explained::new(encoded, pipeline_core::Explanation::default())
}

#[tokio::test(start_paused = true)]
async fn a_test_event_is_a_row_whatever_else_the_second_brought_and_counts_for_no_sample() {
    let feed = Feed::default();
    for line in 0..1_000 {
        deliver(&feed, "common", line, &Outcome::Delivered);
    }
    let kept = feed.kept(Status::Delivered);
    let event = Event::new("{}", 1).with_origin(Origin::whole("test event 1".into()));
    let record = Record::new("{}", "tried").labeled("Order Completed → Purchase");
    let explained = explained(Encoded::Record(record));
    let exchange = Arc::new(Exchange::new(1, 1));
    for (outcome, status) in [
        (Some(Outcome::Delivered), Status::Delivered),
        (Some(rejected("refused_invalid")), Status::Rejected),
        (None, Status::Retrying),
    ] {
        let tested = Tested {
            explained: &explained,
            outcome: outcome.as_ref(),
            exchange: Some(&exchange),
        };
        let seq = feed.tested("meta", &event, &tested);
        let Found::Row(row) = feed.find(seq) else {
            panic!("no row {seq}");
        };
        assert_eq!(
            (row.status, row.event_id.as_deref()),
            (status, Some("tried"))
        );
        assert_eq!(row.to_json()["test"], true);
        assert!(row.exchange.is_some() && row.explanation.is_some());
    }
    assert_eq!(feed.kept(Status::Delivered), kept);
    let (rows, _) = feed.newest(&Filter::default(), None, 2_000);
    let common = rows
        .iter()
        .find(|row| row.event_id.as_deref() == Some("common"));
    assert!(common.unwrap().to_json().get("test").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_newest_row_of_a_reason_says_what_it_means() {
    let feed = Feed::default();
    assert_eq!(feed.detail(Status::Filtered, "consent"), None);
    for sentence in ["the first", "the second"] {
        let encoded = Encoded::Filtered(Filtered::new(Reason::new("consent", sentence)));
        feed.encoded("meta", &Event::new("{}", 1), &encoded);
    }
    let told = feed.detail(Status::Filtered, "consent");
    assert_eq!(told.as_deref(), Some("the second"));
    assert_eq!(feed.detail(Status::Rejected, "consent"), None);
}

/// Bytes that a feed may hold, whatever events come.
const MAX_FEED_BYTES: usize = 16 * 1024 * 1024;

/// A record of this size, with an explanation that shares nothing with others.
fn large(number: usize, bytes: usize) -> (Record, Explained) {
    let record = Record::new("x".repeat(bytes), format!("id-{number}"));
    let fields = (0..200).map(|field| {
        let from = vec![format!(
            "properties.own_{number}_{field}.{}",
            "p".repeat(100)
        )];
        let rule = "as it is".to_owned();
        pipeline_core::Field::new(
            format!("custom_data.own_{number}_{field}"),
            pipeline_core::FieldFate::Sent { from, rule },
        )
    });
    let explanation = pipeline_core::Explanation::new(fields.collect());
    (
        record.clone(),
        Explained::new(Encoded::Record(record), explanation),
    )
}

#[tokio::test(start_paused = true)]
async fn the_feed_holds_less_than_sixteen_mebibytes_whatever_comes() {
    let feed = Arc::new(Feed::default());
    let _watcher = feed.watch();
    let outcomes = [
        Outcome::Delivered,
        rejected("refused_invalid"),
        Outcome::Blocked {
            reason: Reason::new("token_invalid", "a sentence"),
        },
    ];
    for number in 0..600 {
        let (record, explained) = large(
            number,
            if number % 2 == 0 {
                MAX_PAYLOAD_BYTES
            } else {
                500
            },
        );
        let origin = origin(number as u64);
        let event = Event::new("{}", 1).with_origin(origin.clone());
        feed.explained("meta", &event, &explained);
        // The explanations of the others wait.
        for outcome in outcomes.iter().filter(|_| number % 3 == 0) {
            feed.attempted("meta", &Settlement::new(&record, &origin, 1, outcome));
        }
        let filtered = Encoded::Filtered(Filtered::new(Reason::new("consent", "a sentence")));
        feed.encoded("meta", &event, &filtered);
        if number % 10 == 0 {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
        }
    }
    let rows: usize = feed.lock().rings.iter().map(|ring| ring.bytes).sum();
    let waiting: usize = {
        let explained = feed.explanations();
        let kept: usize = explained
            .waiting
            .values()
            .map(|kept| kept.size_bytes())
            .sum();
        kept + explained.pool.size_bytes()
    };
    assert!(
        waiting > MAX_EXPLAINED_BYTES,
        "as many as may wait: {waiting}"
    );
    assert!(rows > MAX_RING_BYTES, "the rings are full: {rows}");
    assert!(
        rows + waiting < MAX_FEED_BYTES,
        "{rows} in rows, {waiting} in explanations"
    );
}
