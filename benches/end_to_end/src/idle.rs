//! What connections cost that are kept open and do nothing. A source keeps 4,096, so two share them.

use crate::client::{self, Client};
use crate::rig::{Rig, Setup, number};
use crate::start::free_address;
use serde_json::json;
use std::net::TcpStream;
use std::time::Duration;

const CONNECTIONS: usize = 5_000;
/// Descriptors that this program and the host need: as many for each, and some more.
const DESCRIPTORS: u64 = 8_192;
/// In this time, the system tells of connections that the host has closed.
const TO_BE_CLOSED: Duration = Duration::from_millis(100);

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
    let (with, open) = client::runtime().block_on(async {
        let mut connections = Vec::new();
        for number in 0..CONNECTIONS {
            let address = &addresses[number % addresses.len()];
            connections.push(used_once(address).await);
        }
        let with = host.usage().resident_bytes;
        tokio::time::sleep(TO_BE_CLOSED).await;
        let open = connections.iter().filter(|client| client.is_open());
        (with, open.count())
    });
    println!(
        "| {open} | {:.1} MiB | {:.1} MiB | {:.1} KiB |",
        number(before) / number(1 << 20),
        number(with) / number(1 << 20),
        number(with.saturating_sub(before)) / number(open as u64) / number(1 << 10),
    );
    host.stop();
}

/// A connection with one request behind it, as clients keep them.
async fn used_once(address: &str) -> Client {
    let mut client = Client::connect(address).await;
    client
        .send(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    client
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
