//! What strangers can do to a process that takes events over HTTP: little, and it remembers nothing of it.

use crate::process::{Process, event, write};
use crate::tally::{Bench, Recorded, events_url, personal};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

/// Where nothing listens.
const UNREACHABLE: &str = "http://127.0.0.1:9";
const MIB: usize = 1024 * 1024;

struct Target {
    _folder: TempDir,
    process: Process,
    address: String,
}

impl Target {
    async fn start(buffer: &serde_json::Value, source: &serde_json::Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut web = json!({"type": "http_server", "address": "127.0.0.1:0"});
        let more = source.as_object().unwrap().clone();
        web.as_object_mut().unwrap().extend(more);
        let pipeline = json!({
            "data_dir": folder.path().join("data"), "shutdown": {"limit_secs": 0.1},
            "sources": {"web": web},
            "sinks": {"meta": {
                "type": "meta_conversions", "inputs": ["web"], "preset": "retail", "buffer": buffer,
                "pixel_id": "1234567890123456", "access_token": "token", "endpoint": UNREACHABLE,
            }},
        });
        let file = write(folder.path(), &pipeline);
        let mut process = Process::start(&["run", &file]);
        let address = process.address("address=").await;
        Self {
            _folder: folder,
            process,
            address,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// The most memory that the process ever had, in bytes.
    #[cfg(target_os = "linux")]
    fn peak(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() * 1024
    }

    async fn post(&self, client: &reqwest::Client, body: Vec<u8>, coding: &str) -> u16 {
        let request = client
            .post(format!("http://{}/v1/events", self.address))
            .header("content-type", "application/json")
            .header("content-encoding", coding);
        request.body(body).send().await.unwrap().status().as_u16()
    }
}

/// A head that promises so many bytes of body.
fn head(bytes: usize) -> String {
    format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_thousand_requests_of_two_hundred_clients_are_all_taken() {
    for buffer in [json!({}), json!({"type": "disk"})] {
        let target = Target::start(&buffer, &json!({})).await;
        let client = reqwest::Client::new();
        let posts = (0..200).map(|sender| {
            let (client, target) = (client.clone(), &target);
            async move {
                for request in 0..5 {
                    let body = event(&format!("{sender}-{request}"))
                        .to_string()
                        .into_bytes();
                    assert_eq!(target.post(&client, body, "identity").await, 200);
                }
            }
        });
        futures(posts).await;
        target.process.kill().await;
    }
}

/// Runs all of them at the same time.
async fn futures<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if all.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn slow_bodies_idle_connections_and_packed_arrays_take_little_memory() {
    let target = Target::start(&json!({}), &json!({})).await;
    let client = reqwest::Client::new();
    // Half a body each, and connections that say nothing: the oldest are closed for newer ones.
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut slow = target.connect().await;
        slow.write_all(head(5 * MIB).as_bytes()).await.unwrap();
        slow.write_all(&vec![b' '; 64 * 1024]).await.unwrap();
        open.push(slow);
    }
    for _ in 0..5_000 {
        open.push(target.connect().await);
    }
    let body = event("good").to_string().into_bytes();
    assert_eq!(target.post(&client, body, "identity").await, 200);
    // Millions of elements in a few kilobytes.
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(b"[").unwrap();
    packed.write_all("7,".repeat(2 * MIB).as_bytes()).unwrap();
    packed.write_all(b"7]").unwrap();
    let packed = packed.finish().unwrap();
    for _ in 0..8 {
        assert_eq!(target.post(&client, packed.clone(), "gzip").await, 413);
    }
    let peak = target.peak();
    assert!(peak < 150 * MIB, "{} MiB", peak / MIB);
    drop(open);
    target.process.kill().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_body_that_would_unpack_to_a_gigabyte_is_refused_within_a_bound_of_memory() {
    let target = Target::start(&json!({}), &json!({})).await;
    let client = reqwest::Client::new();
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..1024 {
        bomb.write_all(&vec![b' '; MIB]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let body = event("good").to_string().into_bytes();
    assert_eq!(target.post(&client, body, "identity").await, 200);
    let before = target.peak();
    assert_eq!(target.post(&client, bomb, "gzip").await, 413);
    let more = target.peak() - before;
    assert!(more < 64 * MIB, "{} MiB", more / MIB);
    target.process.kill().await;
}

#[tokio::test]
async fn five_hundred_half_bodies_hold_up_no_other_client() {
    let target = Target::start(&json!({}), &json!({})).await;
    let client = reqwest::Client::new();
    let body = event("half").to_string();
    let (first, second) = body.split_at(body.len() / 2);
    let mut half = Vec::new();
    for _ in 0..500 {
        let mut one = target.connect().await;
        one.write_all(head(body.len()).as_bytes()).await.unwrap();
        one.write_all(first.as_bytes()).await.unwrap();
        half.push(one);
    }
    let whole = event("whole").to_string().into_bytes();
    assert_eq!(target.post(&client, whole, "identity").await, 200);
    for mut one in half {
        one.write_all(second.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        one.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    target.process.kill().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn senders_into_a_full_buffer_wait_within_a_bound_of_memory() {
    let target = Target::start(&json!({"max_events": 5_500}), &json!({})).await;
    let client = reqwest::Client::new();
    let events: Vec<_> = (0..5_000)
        .map(|id| event(&id.to_string()).to_string())
        .collect();
    let body = format!("[{}]", events.join(",")).into_bytes();
    assert_eq!(target.post(&client, body.clone(), "identity").await, 200);
    let posts = (0..24).map(|_| {
        let (client, target, body) = (client.clone(), &target, body.clone());
        async move {
            assert_eq!(target.post(&client, body, "identity").await, 503);
        }
    });
    futures(posts).await;
    let peak = target.peak();
    assert!(peak < 150 * MIB, "{} MiB", peak / MIB);
    target.process.kill().await;
}

#[tokio::test]
#[cfg(unix)]
async fn where_descriptors_are_few_idle_connections_take_none_that_a_sender_or_the_delivery_needs()
{
    const DESCRIPTORS: usize = 128;
    let bench = Bench::new(&json!({"type": "http_server", "address": "127.0.0.1:0"})).await;
    let mut command = Command::new("sh");
    let script = format!(
        "ulimit -n {DESCRIPTORS}; exec '{}' run \"$0\"",
        env!("CARGO_BIN_EXE_pipeline")
    );
    command.args(["-c", &script, &bench.write()]);
    let process = Recorded::start(command);
    let address = process.says("address=").await;
    let mut idle = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        // The oldest idle ones are closed for the newest.
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    let client = reqwest::Client::new();
    for number in 0..20 {
        let request = client.post(events_url(&address));
        let request = request.header("content-type", "application/json");
        let body = personal(&format!("e-{number}")).to_string();
        assert_eq!(request.body(body).send().await.unwrap().status(), 200);
    }
    bench.settle(20).await;
    process.terminate();
    let (status, said) = process.end().await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("Too many open files"), "{said}");
    assert_eq!(bench.fates().accepted.len(), 20);
}
