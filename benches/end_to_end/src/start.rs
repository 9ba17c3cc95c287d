//! How long it takes until the program is there, and how large it is.

use crate::process::Process;
use crate::rig::{Rig, Setup, number};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Starts; the median counts.
const ROUNDS: usize = 15;

pub(crate) fn measure(rig: &Rig) {
    let size = std::fs::metadata(&rig.program).map_or(0, |file| file.len());
    println!("\n| what | |\n| --- | ---: |");
    println!(
        "| size of the program | {:.1} MiB |",
        number(size) / number(1 << 20)
    );
    println!("| `pipeline list` | {:.1} ms |", millis(list(rig)));
    println!(
        "| start until `/health` answers, with a disk buffer | {:.1} ms |",
        millis(health(rig))
    );
}

fn list(rig: &Rig) -> Duration {
    median(|| {
        let (time, _) = Process::start(&rig.program, &["list"]).end();
        time
    })
}

fn health(rig: &Rig) -> Duration {
    median(|| {
        let setup = Setup {
            buffer: "disk",
            batch: 1000,
            in_flight: 4,
        };
        let address = free_address();
        let started = Instant::now();
        let source = json!({ "type": "http_server", "address": address });
        let host = rig.start(&source, setup);
        while !is_healthy(&address) {
            std::thread::sleep(Duration::from_micros(500));
        }
        let time = started.elapsed();
        host.stop();
        time
    })
}

fn is_healthy(address: &str) -> bool {
    let asked = || {
        let mut stream = TcpStream::connect(address)?;
        stream
            .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    asked().unwrap_or(false)
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

fn median(mut once: impl FnMut() -> Duration) -> Duration {
    let mut times = [(); ROUNDS].map(|()| once());
    times.sort();
    times[ROUNDS / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
