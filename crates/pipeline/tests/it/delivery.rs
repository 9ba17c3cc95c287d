//! What becomes of records: batches, retries, pauses, blocks, panics, bounds, and the end.

use crate::destination::{Case, Step, ids, lines, until};
use crate::tally::Log;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn every_event_has_one_fate_and_the_counts_say_so() {
    let case = Case::new([]);
    let text = "\u{feff}{\"id\":\"a\"}\r\n\r\n{\"do\":\"filter\"}\n{broken\n{\"do\":\"panic\"}\n\n{}\n{\"id\":\"b\"}";
    let sink = case.run_lines(text, json!({})).await;
    assert_eq!(case.delivered(), ["a", "b"]);
    assert_eq!((sink.received, sink.delivered, sink.held), (6, 2, 0));
    assert_eq!(sink.filtered["consent"], 1);
    let first = &sink.rejected["malformed_json"];
    assert_eq!(
        (&*first.place, &*first.detail),
        ("events line 4", "a sentence")
    );
    let letters = case.dead_letters();
    let reasons: Vec<_> = letters
        .iter()
        .map(|letter| letter["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["malformed_json", "internal", "no_id"]);
    assert_eq!(letters[0]["payload"], json!(null));
    assert_eq!(letters[2]["source"], "events line 7");
}

#[tokio::test(start_paused = true)]
async fn batches_are_full_by_count_and_the_rest_goes_at_the_end_of_input() {
    let case = Case::new([]);
    let sink = case
        .run_lines(
            &lines(23),
            json!({"batch": {"max_events": 10, "timeout_secs": 3600}}),
        )
        .await;
    let sizes: Vec<_> = case.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [10, 10, 3]);
    assert_eq!((sink.delivered, sink.held), (23, 0));
    let mut delivered = case.delivered();
    delivered.sort_by_key(|id| id.parse::<u32>().unwrap());
    assert_eq!(delivered, ids(0..23));
}

#[tokio::test(start_paused = true)]
async fn a_batch_keeps_to_bytes_and_to_one_partition() {
    let case = Case::new([]);
    // A payload is 11 bytes; three fit.
    let text: String = (10..20)
        .map(|id| format!("{{\"id\":\"{id}\",\"partition\":\"{}\"}}\n", id % 2))
        .collect();
    case.run_lines(&text, json!({"batch": {"max_bytes": 35}}))
        .await;
    for batch in case.batches() {
        assert!(batch.len() <= 3, "{batch:?}");
        let parities: std::collections::BTreeSet<_> = batch
            .iter()
            .map(|id| id.parse::<u32>().unwrap() % 2)
            .collect();
        assert_eq!(parities.len(), 1, "{batch:?}");
    }
    assert_eq!(case.delivered().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_is_batched_with_others_after_the_pause_asked_for() {
    let after = Duration::from_secs(700);
    let case = Case::new([Step::Retry(Some(after)), Step::Retry(None)]);
    let sink = case
        .run_lines(
            &lines(15),
            json!({"batch": {"max_events": 10}, "request": {"concurrency": 1}}),
        )
        .await;
    assert_eq!(
        case.batches(),
        [ids(0..10), ids(0..10), ids(0..10), ids(10..15)]
    );
    let times = case.attempt_times();
    assert!(
        times[1] - times[0] >= after,
        "the destination's pause is kept"
    );
    assert!(
        times[2] - times[1] <= Duration::from_secs(3),
        "the second pause is below its limit"
    );
    assert_eq!((sink.delivered, sink.retried, sink.held), (15, 20, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_or_miscounts_loses_nothing() {
    let case = Case::new([Step::Panic, Step::TooFewOutcomes, Step::RejectFirst]);
    let sink = case.run_lines(&lines(3), json!({})).await;
    assert_eq!(case.delivered(), ["1", "2"]);
    assert_eq!(
        (sink.delivered, sink.held, sink.rejected_total()),
        (2, 0, 1)
    );
    let letters = case.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (&letters[0]["attempts"], &letters[0]["reason"]),
        (&json!(3), &json!("invalid"))
    );
    assert_eq!(letters[0]["payload"], json!({"id": "0"}));
    assert_eq!(letters[0]["event_id"], "0");
}

#[tokio::test(start_paused = true)]
async fn a_blocked_sink_keeps_everything_and_resumes_by_itself() {
    let case = Case::new([Step::Block]);
    case.destination.healthy.store(false, Ordering::SeqCst);
    let running = case
        .start_lines(
            &lines(30),
            &json!({"batch": {"max_events": 10}, "request": {"concurrency": 1}}),
        )
        .await;
    let started = Instant::now();
    until(|| case.destination.probes.load(Ordering::SeqCst) == 5).await;
    assert!(
        started.elapsed() >= Duration::from_secs(1 + 2 + 4 + 8 + 16),
        "probes grow rarer"
    );
    assert_eq!(case.batches().len(), 1, "nothing is sent meanwhile");
    let now = running.telemetry().snapshot().remove(0);
    assert_eq!((now.held, now.delivered), (30, 0));
    case.destination.healthy.store(true, Ordering::SeqCst);
    let ending = running.finish().await;
    assert!(ending.is_complete());
    assert_eq!(case.delivered(), ids(0..30));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_sink_says_so_once_a_minute_and_probes_ever_more_rarely() {
    let log = Log::of_this_thread();
    let said = |words: &str| log.text().matches(words).count();
    let case = Case::new([Step::Block, Step::RejectFirst, Step::Block]);
    case.destination.healthy.store(false, Ordering::SeqCst);
    let one_by_one = json!({"batch": {"max_events": 1}, "request": {"concurrency": 1}});
    let running = case.start_lines(&lines(2), &one_by_one).await;
    until(|| case.batches().len() == 1).await;
    let mut last = Instant::now();
    let mut pauses = Vec::new();
    for probe in 1..=9 {
        until(|| case.destination.probes.load(Ordering::SeqCst) == probe).await;
        // To the second.
        pauses.push((last.elapsed() + Duration::from_millis(500)).as_secs());
        last = Instant::now();
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    let sentence = "delivery is blocked: the token is revoked; events are kept, and delivery resumes once this is resolved";
    let minutes = usize::try_from(pauses.iter().sum::<u64>() / 60).unwrap();
    assert_eq!(said(sentence), 1 + minutes, "{}", log.text());
    assert_eq!(said("delivery is blocked"), 1 + minutes);
    assert_eq!(said("delivery has resumed"), 0);
    // Once something got through, a new block is probed as soon as the first was.
    case.destination.healthy.store(true, Ordering::SeqCst);
    until(|| case.batches().len() == 3).await;
    last = Instant::now();
    assert!(running.finish().await.is_complete());
    assert_eq!((last.elapsed() + Duration::from_millis(500)).as_secs(), 1);
    assert_eq!(case.delivered(), ids(1..2));
    assert_eq!(said("delivery has resumed"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_outage_is_told_with_its_attempts_its_length_and_what_waited() {
    let pause = || Step::Retry(Some(Duration::from_secs(10)));
    let one_batch = json!({"batch": {"max_events": 50}, "request": {"concurrency": 1}});
    for (script, blocked, expected) in [
        (vec![pause()], false, "1 failed attempt and 1"),
        (
            vec![pause(), pause(), pause()],
            false,
            "3 failed attempts and 3",
        ),
        (vec![Step::Block], true, "1 failed attempt and "),
        (
            vec![pause(), Step::Block, pause()],
            true,
            "3 failed attempts and ",
        ),
    ] {
        let log = Log::of_this_thread();
        let case = Case::new(script);
        case.destination.healthy.store(!blocked, Ordering::SeqCst);
        let running = case.start_lines(&lines(30), &one_batch).await;
        if blocked {
            until(|| case.destination.probes.load(Ordering::SeqCst) == 2).await;
            case.destination.healthy.store(true, Ordering::SeqCst);
        }
        assert!(running.finish().await.is_complete());
        let text = log.text();
        let told: Vec<_> = text
            .lines()
            .filter(|line| line.contains("delivery resumed after"))
            .collect();
        assert_eq!(told.len(), 1, "{text}");
        assert!(
            told[0].contains(&format!("delivery resumed after {expected}")),
            "{text}"
        );
        assert!(told[0].contains(" s; 30 events waited"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_outage_is_told_of_itself_and_a_delivery_without_one_is_not() {
    let log = Log::of_this_thread();
    let case = Case::new([]);
    let one_by_one = json!({"batch": {"max_events": 1}, "request": {"concurrency": 1}});
    case.run_lines(&lines(3), one_by_one.clone()).await;
    assert!(!log.text().contains("resumed"), "{}", log.text());
    let wait = || Step::Retry(None);
    let case = Case::new([wait(), wait(), Step::RejectFirst, wait()]);
    case.run_lines(&lines(3), one_by_one).await;
    // What is rejected was not delivered: the outage has not ended there.
    assert_eq!(
        log.text()
            .matches("delivery resumed after 3 failed attempts")
            .count(),
        1
    );
    assert!(log.text().contains("2 events waited"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn what_expires_while_it_waits_becomes_a_dead_letter() {
    let case = Case::new([Step::Retry(None)]);
    case.clock.set(1_000_000);
    let text = "{\"id\":\"old\",\"expires_at\":1000}\n{\"id\":\"new\",\"expires_at\":1001}\n";
    let sink = case.run_lines(text, json!({})).await;
    assert_eq!(case.delivered(), ["new"]);
    assert_eq!(sink.rejected["expired"].count, 1);
    assert_eq!(case.dead_letters()[0]["payload"], json!({"id": "old"}));
}

#[tokio::test]
async fn a_full_buffer_makes_the_source_wait_and_its_bound_holds() {
    let case = Case::new([Step::Wait]);
    let options = json!({"batch": {"max_events": 5}, "buffer": {"max_events": 5}});
    let running = case.start_lines(&lines(1000), &options).await;
    until(|| case.batches().len() == 1).await;
    // What is on its way counts, so there is no room for a second batch.
    assert_eq!(case.batches(), [ids(0..5)]);
    case.destination.gate.add_permits(1);
    assert!(running.finish().await.is_complete());
    assert_eq!(case.delivered(), ids(0..1000));
}

#[tokio::test]
async fn drop_newest_drops_what_does_not_fit_and_counts_it() {
    let case = Case::new([Step::Wait]);
    let options = json!({"batch": {"max_events": 5}, "buffer": {"max_events": 5, "when_full": "drop_newest"}});
    let running = case.start_lines(&lines(200), &options).await;
    let telemetry = running.telemetry();
    until(|| telemetry.snapshot()[0].received == 200 && case.batches().len() == 1).await;
    case.destination.gate.add_permits(1);
    let ending = running.finish().await;
    assert_eq!(
        (
            ending.sinks[0].delivered,
            ending.sinks[0].dropped,
            ending.sinks[0].held
        ),
        (5, 195, 0)
    );
    assert!(ending.is_complete());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_drain_in_time_is_held_and_written_down() {
    let mut case = Case::new([Step::Wait]);
    // What cannot be read again is written down.
    case.source["checkpoint"] = json!(false);
    let running = case
        .start_lines(
            &lines(8),
            &json!({"batch": {"max_events": 5}, "request": {"concurrency": 1}}),
        )
        .await;
    until(|| case.batches().len() == 1).await;
    let started = Instant::now();
    running.stop_handle().drain();
    let ending = running.finish().await;
    // The default limit, but for the part that is for letters.
    let took = started.elapsed();
    assert!(
        took >= Duration::from_secs(6) && took < Duration::from_secs(9),
        "{took:?}"
    );
    assert_eq!((ending.sinks[0].held, ending.sinks[0].delivered), (8, 0));
    assert!(!ending.is_complete());
    let letters = case.dead_letters();
    assert_eq!(letters.len(), 8);
    assert!(
        letters
            .iter()
            .all(|letter| letter["reason"] == "held_at_shutdown")
    );
}

#[tokio::test(start_paused = true)]
async fn told_to_quit_it_ends_at_once() {
    let mut case = Case::new([Step::Wait]);
    // What cannot be read again is written down.
    case.source["checkpoint"] = json!(false);
    let running = case.start_lines(&lines(8), &json!({})).await;
    until(|| case.batches().len() == 1).await;
    let stop = running.stop_handle();
    stop.drain();
    stop.quit();
    let ending = running.finish().await;
    assert_eq!(ending.sinks[0].held, 8);
    assert_eq!(case.dead_letters().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_sink_does_not_stop_another() {
    let (stuck, free) = (Case::new([Step::Wait]), Case::new([]));
    std::fs::write(stuck.folder.path().join("in.ndjson"), lines(20)).unwrap();
    let running = stuck
        .start(json!({
            "sources": {"events": {"type": "file", "path": "in.ndjson"}},
            "sinks": {"stuck": stuck.sink("events", &json!({})), "free": free.sink("events", &json!({}))}
        }))
        .await;
    until(|| free.delivered().len() == 20 && stuck.batches().len() == 1).await;
    assert_eq!(stuck.delivered().len(), 0);
    stuck.destination.gate.add_permits(1);
    assert!(running.finish().await.is_complete());
    assert_eq!(stuck.delivered(), ids(0..20));
}

#[tokio::test(start_paused = true)]
async fn lines_that_cannot_be_sent_again_are_counted_when_their_room_is_full_and_stop_nothing() {
    let case = Case::new([]);
    let bound = json!({"dead_letters": {"max_bytes": 300}});
    let text = format!("{}{}", "{}\n".repeat(300), lines(2));
    let sink = case.run_lines(&text, bound).await;
    assert_eq!(
        (sink.rejected_total(), sink.delivered, sink.held),
        (300, 2, 0)
    );
    let letters = case.dead_letters();
    assert_eq!(letters.len() as u64 + sink.unkept, 300);
    assert_eq!(
        (&letters[0]["shape"], &letters[0]["bytes"]),
        (&json!("{}"), &json!(2))
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_never_answers_is_given_up_and_its_records_are_tried_again() {
    let case = Case::new([Step::Wait]);
    let started = Instant::now();
    let sink = case
        .run_lines(&lines(3), json!({"request": {"concurrency": 1}}))
        .await;
    assert!(started.elapsed() >= Duration::from_secs(30 * 60));
    assert_eq!((sink.delivered, sink.retried, sink.held), (3, 3, 0));
    assert_eq!(case.batches(), [ids(0..3), ids(0..3)]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_costs_no_other() {
    let case = Case::new([]);
    let path = |name: &str| case.folder.path().join(name);
    std::fs::create_dir_all(path("many/folder.ndjson")).unwrap();
    std::fs::write(path("many/a.ndjson"), lines(2)).unwrap();
    std::fs::write(path("many/b.ndjson"), "{\"id\":\"2\"}").unwrap();
    let source = json!({"type": "file", "path": ["many/*.ndjson", "gone.ndjson", "none/*"]});
    let config =
        json!({"sources": {"events": source}, "sinks": {"out": case.sink("events", &json!({}))}});
    let ending = case.start(config).await.finish().await;
    assert_eq!(case.delivered(), ids(0..3));
    assert!(!ending.is_complete());
    let said: Vec<_> = ending.failures.iter().map(ToString::to_string).collect();
    let expected = [
        ("many/folder.ndjson", "is a directory"),
        ("gone.ndjson", "No such file or directory"),
        ("none/*", "no file matches this pattern"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, (name, problem)) in said.iter().zip(expected) {
        let full = path(name);
        let start = format!(
            "source `events`: `{}` cannot be read: {problem}",
            full.display()
        );
        assert!(said.starts_with(&start), "{said}\n{start}");
    }
}
