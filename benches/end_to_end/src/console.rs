//! What the section `api` costs an event, in instructions, which no other program can disturb: without it, with it, and with two
//! streams of events open.
//!
//! The host runs under `valgrind --tool=cachegrind`, which counts every instruction of the program. Two files of different length
//! tell the start apart from the events. What streams cost is a matter of time, not of events: four messages and twenty explanations
//! a second. So it is told for a second, and compared with a second of events at the rate that is promised.

use crate::process::Process;
use crate::rig::{Rig, Setup, number, text};
use crate::start::free_address;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// Events of the short and of the long file.
const EVENTS: [u64; 2] = [1_000, 11_000];
/// Streams that are open in the last run.
const STREAMS: usize = 2;
/// Events in a second, as promised.
const RATE: u64 = 20_000;
const SETUP: Setup = Setup {
    buffer: "memory",
    batch: 1000,
    in_flight: 4,
};
/// How often a server that starts is asked.
const ASK_PAUSE: Duration = Duration::from_millis(20);

/// Instructions of one run, and how long it took.
#[derive(Debug, Clone, Copy)]
struct Counted {
    instructions: u64,
    secs: f64,
}

pub(crate) fn measure(rig: &Rig) {
    let found = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if found.is_err() {
        println!("\nconsole: valgrind is not here, so nothing was counted");
        return;
    }
    let each = |api: bool, streams: usize| {
        let [short, long] = EVENTS.map(|events| counted(rig, events, api, streams));
        let instructions = long.instructions.saturating_sub(short.instructions);
        let per_event = number(instructions) / number(EVENTS[1] - EVENTS[0]);
        (per_event, long)
    };
    let (without, _) = each(false, 0);
    let (with, alone) = each(true, 0);
    let followed = counted(rig, EVENTS[1], true, STREAMS);
    let rate = number(EVENTS[1]) / alone.secs;
    let more = followed.instructions.saturating_sub(alone.instructions);
    let per_second = number(more) / followed.secs;
    let of_a_second = number(RATE) * with;
    println!("\n| | instructions per event | ÷ without |");
    println!("| --- | ---: | ---: |");
    println!("| without `api` | {without:.0} | 1.000 |");
    println!(
        "| with it, under valgrind at {rate:.0} events/s | {with:.0} | {:.3} |",
        with / without
    );
    println!(
        "| {STREAMS} streams: {per_second:.0} a second, at {RATE} events/s | {:.0} | {:.3} |",
        with + per_second / number(RATE),
        (of_a_second + per_second) / (number(RATE) * without),
    );
}

/// Runs a host over a file to its end.
fn counted(rig: &Rig, events: u64, api: bool, streams: usize) -> Counted {
    let file = rig.write_events("console.ndjson", events);
    let sources = json!({ "events": { "type": "file", "path": file } });
    let mut pipeline: Value =
        serde_json::from_str(&rig.pipeline(&sources, SETUP)).expect("a pipeline");
    let address = free_address();
    if api {
        pipeline["api"] = json!({ "address": address });
    }
    // Nothing is there the first time.
    let _ = std::fs::remove_dir_all(rig.path("data"));
    let path = rig.path("pipeline.json");
    std::fs::write(&path, pipeline.to_string()).expect("a writable folder");
    rig.forget();
    let log = rig.path("valgrind.log");
    let log_file = format!("--log-file={}", text(&log));
    let arguments = [
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
        &log_file,
        text(&rig.program),
        "run",
        text(&path),
    ];
    let host = Process::start(Path::new("valgrind"), &arguments);
    let followers: Vec<_> = (0..streams).map(|_| follow(address.clone())).collect();
    let (time, _) = host.end();
    for follower in followers {
        let bytes = follower.join().expect("a stream that ends");
        assert!(bytes > 0, "a stream had messages");
    }
    assert_eq!(rig.accepted(), events, "every event is delivered once");
    let told = std::fs::read_to_string(&log).expect("a log of valgrind's");
    Counted {
        instructions: instructions(&told).expect("valgrind's count"),
        secs: time.as_secs_f64(),
    }
}

/// Reads the stream of events until the server ends, once it listens: how many bytes came.
fn follow(address: String) -> JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut stream = loop {
            match TcpStream::connect(&address) {
                Ok(stream) => break stream,
                Err(_) => std::thread::sleep(ASK_PAUSE),
            }
        };
        let request = format!(
            "GET /api/v1/events/stream HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a server");
        let (mut bytes, mut room) = (0, [0; 16 * 1024]);
        loop {
            match stream.read(&mut room) {
                Ok(0) | Err(_) => return bytes,
                Ok(more) => bytes += more,
            }
        }
    })
}

/// The figure of the line `I refs: 1,234`.
fn instructions(log: &str) -> Option<u64> {
    let line = log.lines().find(|line| line.contains("refs:"))?;
    let digits: String = line
        .rsplit_once(':')?
        .1
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}
