//! The source `segment` under as much load as it takes, beside the least that a server could do, in one run: every connection
//! sends its next request, a batch or one event, when the one before has been answered.
//!
//! The servers run in turn, several times, because a machine that others share is faster at one time than at another. The
//! floor maps and answers; the host also finds who sends, completes events, buffers, and delivers to the sandbox. The
//! clients and the sandbox share the processors with them, so only ratios of one run mean something.

use crate::client::{self, Client};
use crate::floor;
use crate::load::request_to;
use crate::process::Process;
use crate::rig::{Rig, Setup, micros_each, number};
use serde_json::json;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that are kept.
const CONNECTIONS: usize = 64;
/// Events of one request, and the path that takes so many.
const REQUESTS: [(usize, &str); 2] = [(1, "/v1/track"), (100, "/v1/batch")];
/// Buffers of the host.
const BUFFERS: [&str; 2] = ["memory", "disk"];
/// Rounds in which each server has its turn.
const ROUNDS: usize = 4;
/// Of a turn, without its warm-up.
const SECONDS: u64 = 3;
/// At the start of a turn, what is not counted.
const WARM_UP: Duration = Duration::from_secs(1);
/// Different events.
const POOL: u64 = 10_000;

/// What one server did in all of its turns.
#[derive(Default)]
struct Result {
    events: u64,
    cpu: Duration,
    /// Of requests, in order.
    times: Vec<Duration>,
}

impl Result {
    fn add(&mut self, turn: Self) {
        self.events += turn.events;
        self.cpu += turn.cpu;
        self.times.extend(turn.times);
        self.times.sort();
    }

    fn events_per_second(&self) -> f64 {
        number(self.events) / number(SECONDS * ROUNDS as u64)
    }

    fn cpu_micros(&self) -> f64 {
        micros_each(self.cpu, self.events)
    }

    fn millis_at(&self, permille: usize) -> f64 {
        self.times[(self.times.len() - 1) * permille / 1000].as_secs_f64() * 1e3
    }
}

pub(crate) fn measure(rig: &Rig) {
    let events = rig.write_events("closed_loop.ndjson", POOL);
    let events = fs::read_to_string(events).expect("the events");
    let lines: Vec<&str> = events.lines().collect();
    for (size, path) in REQUESTS {
        let bodies = lines.chunks(size).map(|lines| match lines {
            [event] => request_to(path, event),
            batch => request_to(path, &format!("{{\"batch\":[{}]}}", batch.join(","))),
        });
        measure_with(rig, size, &Arc::new(bodies.collect()));
    }
}

fn measure_with(rig: &Rig, size: usize, requests: &Arc<Vec<Vec<u8>>>) {
    println!(
        "\n| server, requests of {size} | events/s | ÷ floor | p50 | p99 | CPU of server, per event | ÷ floor | − floor |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    let mut floor = Result::default();
    let mut of_buffers = BUFFERS.map(|buffer| (buffer, Result::default()));
    for _ in 0..ROUNDS {
        floor.add(run(floor::start(), size, requests));
        for (buffer, result) in &mut of_buffers {
            let setup = Setup {
                buffer,
                batch: 1000,
                in_flight: 4,
            };
            let source = json!({ "type": "segment", "address": "127.0.0.1:0" });
            result.add(run(rig.start(&source, setup), size, requests));
        }
    }
    tell("body read, `encode`, 200", &floor, &floor);
    for (buffer, result) in of_buffers {
        tell(&format!("`segment`, {buffer} buffer"), &result, &floor);
    }
}

fn tell(name: &str, result: &Result, floor: &Result) {
    println!(
        "| {name} | {:.0} | {:.2} | {:.1} ms | {:.1} ms | {:.1} µs | {:.2} | {:.1} µs |",
        result.events_per_second(),
        result.events_per_second() / floor.events_per_second(),
        result.millis_at(500),
        result.millis_at(990),
        result.cpu_micros(),
        result.cpu_micros() / floor.cpu_micros(),
        result.cpu_micros() - floor.cpu_micros(),
    );
}

fn run(mut server: Process, size: usize, requests: &Arc<Vec<Vec<u8>>>) -> Result {
    let address = server.says("address=");
    let (cpu, times) = client::runtime().block_on(async {
        let counts_from = Instant::now() + WARM_UP;
        let ends = counts_from + Duration::from_secs(SECONDS);
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                let (address, requests) = (address.clone(), Arc::clone(requests));
                tokio::spawn(async move {
                    keep_asking(&address, &requests, first, (counts_from, ends)).await
                })
            })
            .collect();
        tokio::time::sleep(WARM_UP).await;
        let before = server.usage().cpu;
        tokio::time::sleep(Duration::from_secs(SECONDS)).await;
        let cpu = server.usage().cpu.saturating_sub(before);
        (cpu, client::times_of(clients).await)
    });
    server.stop();
    Result {
        events: (times.len() * size) as u64,
        cpu,
        times,
    }
}

/// Sends one request after the other on one connection; how long those took that were answered in the time that counts.
async fn keep_asking(
    address: &str,
    requests: &[Vec<u8>],
    first: usize,
    (counts_from, ends): (Instant, Instant),
) -> Vec<Duration> {
    let mut client = Client::connect(address).await;
    let mut times = Vec::new();
    for request in requests.iter().cycle().skip(first) {
        let sent = Instant::now();
        client.send(request).await;
        let answered = Instant::now();
        if answered >= ends {
            break;
        }
        if answered >= counts_from {
            times.push(answered - sent);
        }
    }
    times
}
