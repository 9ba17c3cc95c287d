//! Sources that listen under load: how long an acknowledgement takes while ten thousand events come every second.
//!
//! The load is open: requests are due at fixed times, whether or not earlier ones have been answered, and a request's
//! time counts from when it was due. A client that waits for its answers would measure its own patience. Timers have
//! milliseconds, so that a request waits for up to one of them before it is sent; that counts, too.

use crate::client::{self, Client};
use crate::floor;
use crate::rig::{RUN_HEADS, Rig, Run, Setup, number};
use crate::start::free_address;
use serde_json::json;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep_until;

const EVENTS_PER_SECOND: u64 = 10_000;
const SECONDS: u64 = 10;
/// Events of a run.
const EVENTS: u64 = EVENTS_PER_SECOND * SECONDS;
/// Seconds at the start that are not counted.
const WARM_UP: Duration = Duration::from_secs(1);
/// Connections; as many requests can be on their way. The server turns away more than 64.
const CONNECTIONS: usize = 60;
/// Different events.
const POOL: u64 = 10_000;

/// The heads of the columns of a row, but for the first and those of [`RUN_HEADS`]; and the line below all but the first.
const TIMES: &str = "p50 | p99 | p99.9 | longest";
const BARS: &str = "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

/// A request that is due, by its number.
type Due = (Instant, usize);

/// What is measured: a source, its path, and its buffer.
struct Case {
    source: &'static str,
    path: &'static str,
    buffer: &'static str,
}

pub(crate) fn measure(rig: &Rig) {
    println!("\n| events in a request | {TIMES} | {RUN_HEADS} |\n| ---: {BARS}");
    let case = Case {
        source: "http_server",
        path: "/v1/events",
        buffer: "disk",
    };
    for size in [1, 100] {
        let requests = requests(rig, case.path, size);
        println!(
            "| {size} | {} |",
            of_host(rig, &case, size as u64, requests)
        );
    }
}

/// The same for single events that come to the source `segment`, beside the least that a server could do.
pub(crate) fn measure_segment(rig: &Rig) {
    let path = "/v1/track";
    println!("\n| server | {TIMES} | {RUN_HEADS} |\n| --- {BARS}");
    println!(
        "| body read, `encode`, 200 | {} |",
        of_floor(requests(rig, path, 1))
    );
    for buffer in ["memory", "disk"] {
        let case = Case {
            source: "segment",
            path,
            buffer,
        };
        let times = of_host(rig, &case, 1, requests(rig, path, 1));
        println!("| `segment`, {buffer} buffer | {times} |");
    }
}

/// Requests of so many different events each.
fn requests(rig: &Rig, path: &str, size: usize) -> Vec<Vec<u8>> {
    let events = rig.write_events("load.ndjson", POOL);
    let events = fs::read_to_string(events).expect("the events");
    let lines: Vec<&str> = events.lines().collect();
    let requests = lines.chunks(size);
    requests
        .map(|lines| request_to(path, &lines.join("\n")))
        .collect()
}

/// The cells of a row.
fn row(mut times: Vec<Duration>, run: Run) -> String {
    times.sort();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000].as_secs_f64() * 1e3;
    format!(
        "{:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms | {run}",
        at(500),
        at(990),
        at(999),
        at(1000)
    )
}

fn of_host(rig: &Rig, case: &Case, size: u64, requests: Vec<Vec<u8>>) -> String {
    let address = free_address();
    let source = json!({ "type": case.source, "address": address });
    let setup = Setup {
        buffer: case.buffer,
        batch: 1000,
        in_flight: 4,
    };
    let before = rig.sandbox_cpu();
    let mut host = rig.start(&source, setup);
    host.says("listening");
    let start = Instant::now();
    let times = client::runtime().block_on(send_at_due_times(&address, size, requests));
    rig.wait_for(EVENTS);
    let run = Run {
        events: EVENTS,
        time: start.elapsed(),
        host: host.usage(),
        sandbox: rig.sandbox_cpu_since(before),
    };
    host.stop();
    row(times, run)
}

fn of_floor(requests: Vec<Vec<u8>>) -> String {
    let mut server = floor::start();
    let address = server.says("address=");
    let start = Instant::now();
    let times = client::runtime().block_on(send_at_due_times(&address, 1, requests));
    let run = Run {
        events: EVENTS,
        time: start.elapsed(),
        host: server.usage(),
        sandbox: Duration::ZERO,
    };
    server.stop();
    row(times, run)
}

/// Sends the requests of `size` events when they are due, each on a connection that is free; how long they took.
async fn send_at_due_times(address: &str, size: u64, requests: Vec<Vec<u8>>) -> Vec<Duration> {
    let requests = Arc::new(requests);
    let (sender, due) = unbounded_channel::<Due>();
    let due = Arc::new(Mutex::new(due));
    let start = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, requests, due) =
                (address.to_owned(), Arc::clone(&requests), Arc::clone(&due));
            tokio::spawn(async move {
                send_what_is_due(&address, &requests, &due, start + WARM_UP).await
            })
        })
        .collect();
    let pause = Duration::from_secs(1).mul_f64(number(size) / number(EVENTS_PER_SECOND));
    let count = EVENTS / size;
    for number in 0..u32::try_from(count).expect("a bounded run") {
        let time = start + pause * number;
        if time > Instant::now() {
            sleep_until(time.into()).await;
        }
        let place = number as usize % requests.len();
        sender.send((time, place)).expect("clients that live");
    }
    drop(sender);
    client::times_of(clients).await
}

pub(crate) fn request_to(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends what is due, one request at a time; how long each took, from when it was due.
async fn send_what_is_due(
    address: &str,
    requests: &[Vec<u8>],
    due: &Mutex<UnboundedReceiver<Due>>,
    counts_from: Instant,
) -> Vec<Duration> {
    let mut client = Client::connect(address).await;
    let mut times = Vec::new();
    loop {
        let next = due.lock().await.recv().await;
        let Some((time, place)) = next else {
            return times;
        };
        client.send(&requests[place]).await;
        if time >= counts_from {
            times.push(time.elapsed());
        }
    }
}
