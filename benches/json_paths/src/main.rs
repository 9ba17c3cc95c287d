//! What reading the paths of an event costs, beside other JSON readers.
//!
//!     cargo run --release -p json-paths-bench
//!
//! All read the same events along the same paths, those of the preset `retail`. The floor is one scan by serde_json, which
//! keeps nothing. Before anything is measured, what each reader finds is compared with what `json-paths` finds. The
//! readers are measured in turn, many times over, so that a machine that drifts drifts for all of them. The clock counts
//! the processor time of this thread, and of all rounds the least one counts: what other programs do only ever adds.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints, and stops when its set-up is wrong"
)]

mod readers;
#[path = "../../encode/reference.rs"]
mod reference;
mod retail_paths;

use readers::{JiterWalk, Ours, Reader, SonicGetMany};
use retail_paths::RetailPaths;
use rustix::time::{ClockId, clock_gettime};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use std::hint::black_box;
use std::time::Duration;

/// Rounds; the least one counts.
const ROUNDS: usize = 300;
/// Purchases of a round, and the products of each.
const PURCHASES: u64 = 400;
const PRODUCTS: u64 = 3;
/// The time of the purchases: 2026-01-15.
const NOW_MS: i64 = 1_768_478_400_000;

fn main() {
    let retail = RetailPaths::read();
    let purchases: Vec<_> = (0..PURCHASES)
        .map(|number| reference::purchase(number, PRODUCTS, NOW_MS))
        .collect();
    let purchases: Vec<_> = purchases.iter().map(String::as_str).collect();
    let journeys = include_str!("../../../fixtures/events/retail.ndjson");
    let journeys = journeys.trim_start_matches('\u{feff}').lines();
    // Some lines of the file are not JSON objects on purpose.
    let is_object = |line: &&str| serde_json::from_str::<Map<String, Value>>(line).is_ok();
    let journeys: Vec<_> = journeys.filter(is_object).collect();
    for (name, events) in [
        ("a purchase of three products", purchases),
        ("`fixtures/events/retail.ndjson`", journeys),
    ] {
        let bytes: usize = events.iter().map(|event| event.len()).sum();
        let (count, bytes) = (events.len(), bytes / events.len());
        println!("{name}: {count} events of {bytes} bytes\n");
        measure(&retail, &events);
        println!();
    }
}

/// Measures all readers with these events, and prints a table.
fn measure(retail: &RetailPaths, events: &[&str]) {
    let mut ours = Ours::new(retail);
    let mut sonic = SonicGetMany::new(retail);
    let mut jiter = JiterWalk::new(retail);
    let expected: Vec<_> = events
        .iter()
        .map(|event| found_by(&mut ours, event))
        .collect();
    let results = [
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        agreement(&expected, events, &mut sonic),
        agreement(&expected, events, &mut jiter),
    ];
    let mut rounds: [Vec<f64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(time(events, |event| {
            serde_json::from_str::<IgnoredAny>(event).is_ok()
        }));
        rounds[1].push(time(events, |event| ours.read(event)));
        rounds[2].push(time(events, |event| {
            sonic_rs::from_str::<IgnoredAny>(event).is_ok()
        }));
        rounds[3].push(time(events, |event| {
            sonic_rs::from_str::<sonic_rs::LazyValue<'_>>(event).is_ok()
        }));
        rounds[4].push(time(events, |event| sonic.read(event)));
        rounds[5].push(time(events, |event| jiter.read(event)));
    }
    let costs = rounds.map(least);
    let names = [
        "serde_json: `from_str::<IgnoredAny>`, no path (floor)",
        "json-paths: `Paths::read`",
        "sonic-rs: `from_str::<IgnoredAny>`, no path",
        "sonic-rs: `from_str::<LazyValue>`, no path",
        "sonic-rs: `get_many`",
        "jiter: a walk along the tree of paths",
    ];
    println!(
        "| reader | per event | ÷ floor | events in which it finds the same |\n| --- | ---: | ---: | ---: |"
    );
    for ((name, cost), result) in names.iter().zip(costs).zip(results) {
        println!(
            "| {name} | {cost:.0} ns | {:.2} | {result} |",
            cost / costs[0]
        );
    }
}

/// What a reader finds in a text; `None` if it cannot read it.
fn found_by<'a>(reader: &mut impl Reader<'a>, event: &'a str) -> Option<Vec<Option<String>>> {
    reader.read(event).then(|| reader.found())
}

/// In how many events a reader finds the expected values.
fn agreement<'a>(
    expected: &[Option<Vec<Option<String>>>],
    events: &[&'a str],
    reader: &mut impl Reader<'a>,
) -> String {
    let same = events.iter().zip(expected).filter(|(event, expected)| {
        let found = found_by(reader, event);
        found.is_some() && found == **expected
    });
    format!("{} of {}", same.count(), events.len())
}

/// Nanoseconds per event.
#[expect(clippy::cast_precision_loss, reason = "some hundred events")]
fn time<'a>(events: &[&'a str], mut read: impl FnMut(&'a str) -> bool) -> f64 {
    let start = thread_time();
    for event in events {
        black_box(read(event));
    }
    let time = thread_time().saturating_sub(start);
    time.as_secs_f64() * 1e9 / events.len() as f64
}

/// Processor time that this thread has had.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a time since the thread began")
}

fn least(figures: Vec<f64>) -> f64 {
    figures.into_iter().fold(f64::INFINITY, f64::min)
}
