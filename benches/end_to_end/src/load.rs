//! Sources that listen under load: how long an acknowledgement takes while ten thousand events come every second.
//!
//! The load is open: requests are due at fixed times, whether or not earlier ones have been answered, and a request's
//! time counts from when it was due. A client that waits for its answers would measure its own patience.

use crate::rig::{RUN_HEADS, Rig, Run, Setup, number};
use crate::start::free_address;
use serde_json::json;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const EVENTS_PER_SECOND: u64 = 10_000;
const SECONDS: u64 = 10;
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
        println!("| {size} | {} |", row(rig, &case, size));
    }
}

/// The same for single events that come to the source `segment`.
pub(crate) fn measure_segment(rig: &Rig) {
    println!("\n| `segment`, buffer | {TIMES} | {RUN_HEADS} |\n| --- {BARS}");
    for buffer in ["memory", "disk"] {
        let case = Case {
            source: "segment",
            path: "/v1/track",
            buffer,
        };
        println!("| {buffer} | {} |", row(rig, &case, 1));
    }
}

fn row(rig: &Rig, case: &Case, size: usize) -> String {
    let events = rig.write_events("load.ndjson", POOL);
    let events = fs::read_to_string(events).expect("the events");
    let lines: Vec<&str> = events.lines().collect();
    let requests = lines.chunks(size);
    let requests = requests.map(|lines| request_to(case.path, &lines.join("\n")));
    let (mut times, run) = run(rig, case, size as u64, requests.collect());
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

fn run(rig: &Rig, case: &Case, size: u64, requests: Vec<Vec<u8>>) -> (Vec<Duration>, Run) {
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
    let requests = Arc::new(requests);
    let (sender, due) = channel::<Due>();
    let due = Arc::new(Mutex::new(due));
    let start = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, requests, due) =
                (address.clone(), Arc::clone(&requests), Arc::clone(&due));
            std::thread::spawn(move || client(&address, &requests, &due, start + WARM_UP))
        })
        .collect();
    let pause = Duration::from_secs(1).mul_f64(number(size) / number(EVENTS_PER_SECOND));
    let count = EVENTS_PER_SECOND * SECONDS / size;
    for number in 0..u32::try_from(count).expect("a bounded run") {
        let time = start + pause * number;
        std::thread::sleep(time.saturating_duration_since(Instant::now()));
        let place = number as usize % requests.len();
        sender.send((time, place)).expect("clients that live");
    }
    drop(sender);
    let times = clients
        .into_iter()
        .flat_map(|client| client.join().expect("requests that are taken"));
    let times: Vec<_> = times.collect();
    let events = count * size;
    rig.wait_for(events);
    let run = Run {
        events,
        time: start.elapsed(),
        host: host.usage(),
        sandbox: rig.sandbox_cpu_since(before),
    };
    host.stop();
    (times, run)
}

pub(crate) fn request_to(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends what is due, one request at a time; how long each took, from when it was due.
fn client(
    address: &str,
    requests: &[Vec<u8>],
    due: &Mutex<Receiver<Due>>,
    counts_from: Instant,
) -> Vec<Duration> {
    let stream = TcpStream::connect(address).expect("the host");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut writer = stream;
    let mut times = Vec::new();
    loop {
        let next = due.lock().expect("no client has failed").recv();
        let Ok((time, place)) = next else {
            return times;
        };
        writer.write_all(&requests[place]).expect("the host");
        read_answer(&mut reader);
        if time >= counts_from {
            times.push(time.elapsed());
        }
    }
}

/// Reads one answer, which has to be 200.
pub(crate) fn read_answer(reader: &mut BufReader<TcpStream>) {
    let mut line = String::new();
    let mut length = 0;
    let mut is_first = true;
    loop {
        line.clear();
        reader.read_line(&mut line).expect("the host");
        if is_first {
            assert!(line.starts_with("HTTP/1.1 200"), "refused: {line}");
            is_first = false;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().expect("a length");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the host");
}
