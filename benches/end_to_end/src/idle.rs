//! What connections cost that are kept open and do nothing. A source keeps 4,096, so two share them.

use crate::load::read_answer;
use crate::rig::{Rig, Setup, number};
use crate::start::free_address;
use serde_json::json;
use std::io::{BufReader, ErrorKind, Write as _};
use std::net::TcpStream;

const CONNECTIONS: usize = 5_000;
/// Descriptors that this program and the host need: as many for each, and some more.
const DESCRIPTORS: u64 = 8_192;

pub(crate) fn measure(rig: &Rig) {
    println!(
        "\n| idle connections | memory before | memory with them | each |\n| ---: | ---: | ---: | ---: |"
    );
    if !may_open_enough() {
        println!("| not measured: `ulimit -Hn` is below {DESCRIPTORS} | | | |");
        return;
    }
    let setup = Setup {
        buffer: "memory",
        batch: 1000,
        in_flight: 4,
    };
    let addresses = [free_address(), free_address()];
    let sources = json!({
        "clients": { "type": "segment", "address": addresses[0] },
        "events": { "type": "http_server", "address": addresses[1] },
    });
    let mut host = rig.start_with(&sources, setup);
    host.says("listening");
    for address in &addresses {
        while TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
    }
    let before = host.usage().resident_bytes;
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|number| used_once(&addresses[number % addresses.len()]))
        .collect();
    let with = host.usage().resident_bytes;
    let open = connections.iter().filter(|stream| is_open(stream)).count();
    println!(
        "| {open} | {:.1} MiB | {:.1} MiB | {:.1} KiB |",
        number(before) / number(1 << 20),
        number(with) / number(1 << 20),
        number(with.saturating_sub(before)) / number(open as u64) / number(1 << 10),
    );
    drop(connections);
    host.stop();
}

/// A connection with one request behind it, as clients keep them.
fn used_once(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the host");
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).expect("the host");
    read_answer(&mut BufReader::new(stream.try_clone().expect("a socket")));
    stream
}

/// Whether the host has not closed it.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Raises the limit of descriptors, which the host inherits, as far as it has to be.
#[cfg(unix)]
fn may_open_enough() -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= DESCRIPTORS);
    if is_enough(limit.current) {
        return true;
    }
    let raised = Rlimit {
        current: Some(DESCRIPTORS),
        maximum: limit.maximum,
    };
    is_enough(limit.maximum) && setrlimit(Resource::Nofile, raised).is_ok()
}

/// Nothing is known of a limit.
#[cfg(not(unix))]
fn may_open_enough() -> bool {
    true
}
