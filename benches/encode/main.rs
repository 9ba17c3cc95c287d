//! What mapping and hashing an event costs, beside the least it could cost.
//!
//!     cargo bench --bench encode            prints the tables
//!     cargo bench --bench encode -- --plot  and draws them into benches/growth.svg
//!     cargo bench --bench encode -- --write FILE  writes events, for others to be measured with
//!     cargo bench --bench encode -- --read FILE   measures with the events of a file alone
//!
//! The floor of the same run: one scan of the input by the fastest JSON parser in the tree, the SHA-256 of the values that
//! are hashed, and one copy of the output bytes. All four are measured in turn, many times over, so that a machine that
//! drifts drifts for all of them; the usual harnesses measure one thing after the other, and what is wanted here is a
//! ratio. The clock counts the processor time of this thread, and of all rounds the least one counts: what other
//! programs do to caches and to a processor's other half only ever adds.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints, and stops when its set-up is wrong"
)]

mod plot;
mod reference;
mod retail;

use pipeline_core::{Clock as _, Encoded, Event, Sink, SystemClock};
use rustix::time::{ClockId, clock_gettime};
use serde::de::IgnoredAny;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::time::Duration;

/// Products in an order.
const PRODUCTS: [u64; 8] = [1, 3, 10, 30, 100, 200, 350, 500];
/// Products of all orders of one round.
const PRODUCTS_OF_ROUND: u64 = 1_200;
/// Rounds; the least one counts.
const ROUNDS: usize = 150;
/// Different events of a long run, which takes them in turn.
const POOL: u64 = 10_000;
/// Events of a file for others.
const WRITTEN: u64 = 20_000;
/// Events of long runs.
const RUNS: [usize; 3] = [10_000, 100_000, 1_000_000];

fn main() {
    let now_ms = SystemClock.now_ms();
    let sink = retail::sink();
    let arguments: Vec<String> = std::env::args().collect();
    let path_after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)
    };
    if let Some(path) = path_after("--write") {
        let lines = (0..WRITTEN).map(|number| reference::purchase(number, 3, now_ms) + "\n");
        return std::fs::write(path, lines.collect::<String>()).expect("a writable file");
    }
    if let Some(path) = path_after("--read") {
        return read(path, sink.as_ref(), now_ms);
    }
    println!(
        "| products | bytes in | bytes out | hashes | parse | hash | write | floor | encode | encode ÷ floor | events per CPU-second | allocations |"
    );
    println!(
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    let by_products = PRODUCTS.map(|products| {
        let count = (PRODUCTS_OF_ROUND / products).clamp(10, 400);
        let costs = measured(sink.as_ref(), &purchases(count, products, now_ms));
        println!("| {products} | {costs} |");
        (products, costs.encode, costs.floor())
    });
    println!("\n| events in a row | encode |\n| ---: | ---: |");
    let pool = purchases(POOL, 3, now_ms);
    let by_events = RUNS.map(|count| {
        let start = thread_time();
        for event in pool.iter().cycle().take(count) {
            black_box(sink.encode(event));
        }
        let encode = nanos_each(thread_time().saturating_sub(start), count);
        println!("| {count} | {encode:.0} ns |");
        (count, encode)
    });
    if std::env::args().any(|argument| argument == "--plot") {
        plot::draw(&by_products, &by_events).expect("a writable file");
    }
}

/// Measures with the events of a file, in a row of the table that the peers fill.
fn read(path: &str, sink: &dyn Sink, now_ms: i64) {
    let text = std::fs::read_to_string(path).expect("a file of events");
    let events: Vec<_> = text
        .lines()
        .map(|line| Event::new(line.to_owned(), now_ms))
        .collect();
    let bytes = events.iter().map(|event| match sink.encode(event) {
        Encoded::Record(record) => record.payload.len(),
        other => panic!("the reference events are good: {other:?}"),
    });
    let bytes = mean(bytes);
    let rounds = (0..3).map(|_| {
        time(&events, |event, _| {
            black_box(sink.encode(event));
        })
    });
    let encode = least(rounds.collect());
    println!("| `encode` | {:.0} | {bytes} |", 1e9 / encode);
}

fn purchases(count: u64, products: u64, now_ms: i64) -> Vec<Event> {
    (0..count)
        .map(|number| Event::new(reference::purchase(number, products, now_ms), now_ms))
        .collect()
}

/// Nanoseconds per event, and what else there is to say of one.
struct Costs {
    bytes_in: usize,
    bytes_out: usize,
    hashes: usize,
    parse: f64,
    hash: f64,
    write: f64,
    encode: f64,
    allocations: u64,
}

impl Costs {
    fn floor(&self) -> f64 {
        self.parse + self.hash + self.write
    }
}

impl std::fmt::Display for Costs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (floor, encode) = (self.floor(), self.encode);
        write!(
            f,
            "{} | {} | {} | {:.0} ns | {:.0} ns | {:.0} ns | {floor:.0} ns | {encode:.0} ns | {:.2} | {:.0} | {}",
            self.bytes_in,
            self.bytes_out,
            self.hashes,
            self.parse,
            self.hash,
            self.write,
            encode / floor,
            1e9 / encode,
            self.allocations,
        )
    }
}

fn measured(sink: &dyn Sink, events: &[Event]) -> Costs {
    let payloads: Vec<_> = events
        .iter()
        .map(|event| match sink.encode(event) {
            Encoded::Record(record) => record.payload,
            other => panic!("the reference events are good: {other:?}"),
        })
        .collect();
    // A hashed value is about as long as an e-mail address; its length within one SHA-256 block does not matter.
    let hashes = hashes_in(&payloads[0]);
    let values: Vec<String> = (0..hashes)
        .map(|i| format!("someone{i:03}@example.com"))
        .collect();
    let mut rounds: [Vec<f64>; 4] = Default::default();
    let mut out = Vec::with_capacity(64 * 1024);
    for _ in 0..ROUNDS {
        rounds[0].push(time(events, |event, _| {
            let text = std::str::from_utf8(event.raw()).expect("UTF-8");
            black_box(serde_json::from_str::<IgnoredAny>(text).is_ok());
        }));
        rounds[1].push(time(events, |_, _| {
            for value in &values {
                black_box(Sha256::digest(value.as_bytes()));
            }
        }));
        rounds[2].push(time(events, |_, i| {
            out.clear();
            out.extend_from_slice(&payloads[i]);
            black_box(&out);
        }));
        rounds[3].push(time(events, |event, _| {
            black_box(sink.encode(event));
        }));
    }
    let [parse, hash, write, encode] = rounds.map(least);
    let allocated = allocation_counter::measure(|| {
        for event in events {
            black_box(sink.encode(event));
        }
    });
    Costs {
        bytes_in: mean(events.iter().map(|event| event.raw().len())),
        bytes_out: mean(payloads.iter().map(bytes::Bytes::len)),
        hashes,
        parse,
        hash,
        write,
        encode,
        allocations: allocated.count_total.div_ceil(events.len() as u64),
    }
}

fn hashes_in(payload: &[u8]) -> usize {
    let event: Value = serde_json::from_slice(payload).expect("JSON");
    let user_data = event["user_data"].as_object().expect("an object");
    user_data
        .values()
        .filter_map(Value::as_array)
        .map(Vec::len)
        .sum()
}

/// Nanoseconds per event.
fn time(events: &[Event], mut work: impl FnMut(&Event, usize)) -> f64 {
    let start = thread_time();
    for (i, event) in events.iter().enumerate() {
        work(event, i);
    }
    nanos_each(thread_time().saturating_sub(start), events.len())
}

/// Processor time that this thread has had.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a time since the thread began")
}

#[expect(clippy::cast_precision_loss, reason = "a million events")]
fn nanos_each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

fn least(figures: Vec<f64>) -> f64 {
    figures.into_iter().fold(f64::INFINITY, f64::min)
}

fn mean(figures: impl ExactSizeIterator<Item = usize>) -> usize {
    let count = figures.len();
    figures.sum::<usize>() / count
}
