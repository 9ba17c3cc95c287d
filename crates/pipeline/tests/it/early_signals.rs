//! Signals that come while a run is made ready: from the first moment at which the process catches them, one is kept until it can
//! be acted on, and none ends the process.

use crate::tally::{Bench, Recorded, eventually};
use serde_json::json;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

/// Moments after the first at which a signal is sent, in looks at the process.
const MOMENTS: usize = 8;
/// How signals are numbered.
const SIGHUP: u32 = 1;
const SIGTERM: u32 = 15;

/// Sends signals sooner than a new process could.
struct Killer(Child);

impl Killer {
    fn new() -> Self {
        let shell = Command::new("sh").stdin(Stdio::piped()).spawn();
        Self(shell.unwrap())
    }

    fn send(&mut self, signal: &str, process: &Recorded) {
        let line = format!("kill -{signal} {}\n", process.id());
        let stdin = self.0.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Whether the process has a handler for a signal.
fn catches(process: &Recorded, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
    let status = status.unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
    caught >> (signal - 1) & 1 == 1
}

#[tokio::test]
async fn a_signal_that_comes_while_a_run_is_made_ready_is_acted_on_and_does_not_end_the_process() {
    let mut bench = Bench::new(&json!({"type": "http_server", "address": "127.0.0.1:0"})).await;
    bench.sink(&json!({"buffer": {"type": "memory"}}));
    let mut killer = Killer::new();
    let mut were_early = [0, 0];
    for moment in 0..MOMENTS {
        for (kind, signal) in ["HUP", "TERM"].iter().enumerate() {
            let process = bench.start();
            let so_far = || format!("it catches no signal: {}", process.said());
            eventually(|| catches(&process, SIGHUP), so_far).await;
            assert!(catches(&process, SIGTERM), "as early as the other");
            for _ in 0..moment * moment {
                assert!(catches(&process, SIGHUP));
            }
            killer.send(signal, &process);
            were_early[kind] += usize::from(!process.said().contains("starting"));
            if *signal == "HUP" {
                process.says("the configuration was read again").await;
                process.terminate();
            }
            let (status, said) = process.end().await;
            assert_eq!(status.code(), Some(0), "{signal} at {moment}: {said}");
            assert!(said.contains("nothing is left"), "{said}");
        }
    }
    assert!(
        were_early.iter().all(|early| *early > 0),
        "signals are caught before the pipeline file is read: {were_early:?}"
    );
}
