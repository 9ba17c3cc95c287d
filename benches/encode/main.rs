//! What mapping and hashing an event costs, beside the least it could cost.
//!
//!     cargo bench --bench encode
//!
//! The floor of the same run: one scan of the input by the JSON parser in use, the SHA-256 of the values that are
//! hashed, and one copy of the output bytes. All four are measured in turn, many times over, and the medians compared,
//! so that a machine that drifts drifts for all of them.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints, and stops when its set-up is wrong"
)]

mod reference;

use meta_conversions as _;
use pipeline_core::{
    Clock, Encoded, Event, ParseContext, Registry, Sink, SinkContext, SystemClock,
};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::time::Instant;

/// Events of one round.
const EVENTS: u64 = 2_000;
/// Rounds; the median counts.
const ROUNDS: usize = 41;

fn main() {
    let now_ms = SystemClock.now_ms();
    let sink = sink();
    println!(
        "| products | bytes in | bytes out | hashes | parse | hash | write | floor | encode | encode ÷ floor | events per CPU-second |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for products in [1, 3, 10, 100, 500] {
        let count = (EVENTS * 3 / products.max(3)).max(20);
        let events: Vec<Event> = (0..count)
            .map(|number| Event::new(reference::purchase(number, products, now_ms), now_ms))
            .collect();
        row(sink.as_ref(), &events, products);
    }
}

fn sink() -> Box<dyn Sink> {
    let options =
        json!({ "preset": "retail", "pixel_id": "1234567890123456", "access_token": "none" });
    let registry = Registry::linked().expect("no name twice");
    let description = registry.find("meta_conversions").expect("linked");
    let config = (description.parse)(&options, &ParseContext::default()).expect("good options");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime
        .block_on(config.build(SinkContext::new("bench")))
        .expect("a sink")
}

fn row(sink: &dyn Sink, events: &[Event], products: u64) {
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
    let [parse, hash, write, encode] = rounds.map(median);
    let floor = parse + hash + write;
    println!(
        "| {products} | {} | {} | {hashes} | {parse:.0} ns | {hash:.0} ns | {write:.0} ns | {floor:.0} ns | {encode:.0} ns | {:.2} | {:.0} |",
        mean(events.iter().map(|event| event.raw().len())),
        mean(payloads.iter().map(bytes::Bytes::len)),
        encode / floor,
        1e9 / encode,
    );
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
#[expect(clippy::cast_precision_loss, reason = "a few thousand events")]
fn time(events: &[Event], mut work: impl FnMut(&Event, usize)) -> f64 {
    let start = Instant::now();
    for (i, event) in events.iter().enumerate() {
        work(event, i);
    }
    start.elapsed().as_secs_f64() * 1e9 / events.len() as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn mean(figures: impl ExactSizeIterator<Item = usize>) -> usize {
    let count = figures.len();
    figures.sum::<usize>() / count
}
