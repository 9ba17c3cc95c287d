//! What every part needs: the program, a sandbox, a folder, and the events.

use crate::process::{Process, Usage};
use crate::reference;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Products of an event.
const PRODUCTS: u64 = 3;
/// How often the sandbox is asked how far it has come.
const ASK_PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Rig {
    pub(crate) program: PathBuf,
    pub(crate) folder: TempDir,
    sandbox: Process,
    address: String,
}

/// How one sink is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) buffer: &'static str,
    pub(crate) batch: u64,
    pub(crate) in_flight: u64,
}

/// What one run came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) events: u64,
    pub(crate) time: Duration,
    pub(crate) host: Usage,
    pub(crate) sandbox: Duration,
}

impl Run {
    pub(crate) fn events_per_second(&self) -> f64 {
        number(self.events) / self.time.as_secs_f64()
    }

    /// Microseconds of the host's processor time per event.
    pub(crate) fn host_micros(&self) -> f64 {
        micros_each(self.host.cpu, self.events)
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} | {:.0} | {:.1} µs | {:.1} µs | {:.0} MiB | {:.0}",
            self.events,
            self.events_per_second(),
            self.host_micros(),
            micros_each(self.sandbox, self.events),
            number(self.host.peak_bytes) / number(1 << 20),
            number(self.host.written_bytes) / number(self.events),
        )
    }
}

/// The heads of the columns that a [`Run`] fills.
pub(crate) const RUN_HEADS: &str = "events | events/s | CPU of host, per event | of sandbox | peak memory of host | bytes written, per event";

impl Rig {
    pub(crate) fn new() -> Self {
        let this = std::env::current_exe().expect("a program");
        let usual = || this.with_file_name("pipeline");
        let program = std::env::var_os("PIPELINE").map_or_else(usual, PathBuf::from);
        let mut sandbox = Process::start(&program, &["sandbox", "--address", "127.0.0.1:0"]);
        let address = sandbox.says("listens on http://");
        Self {
            program,
            folder: TempDir::new().expect("a folder"),
            sandbox,
            address,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes that many different events of now to a file.
    #[expect(
        clippy::disallowed_methods,
        reason = "the host takes no old events, and its clock is the real one"
    )]
    pub(crate) fn write_events(&self, name: &str, events: u64) -> PathBuf {
        let path = self.path(name);
        let mut file = BufWriter::new(File::create(&path).expect("a writable folder"));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ms = now.expect("a clock").as_millis();
        let now_ms = i64::try_from(now_ms).expect("a clock");
        for number in 0..events {
            let event = reference::purchase(number, PRODUCTS, now_ms);
            writeln!(file, "{event}").expect("room on the disk");
        }
        file.flush().expect("room on the disk");
        path
    }

    /// Starts a host with this source, and a data folder of its own.
    pub(crate) fn start(&self, source: &Value, setup: Setup) -> Process {
        self.start_with(&json!({ "events": source }), setup)
    }

    /// The same with several sources.
    pub(crate) fn start_with(&self, sources: &Value, setup: Setup) -> Process {
        // Nothing is there the first time.
        let _ = std::fs::remove_dir_all(self.path("data"));
        let pipeline = self.path("pipeline.json");
        std::fs::write(&pipeline, self.pipeline(sources, setup)).expect("a writable folder");
        self.forget();
        Process::start(&self.program, &["run", text(&pipeline)])
    }

    /// Makes the sandbox forget what it has accepted.
    pub(crate) fn forget(&self) {
        self.send("DELETE", "/sandbox");
    }

    pub(crate) fn pipeline(&self, sources: &Value, setup: Setup) -> String {
        let names: Vec<_> = sources.as_object().into_iter().flatten().collect();
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        let pipeline = json!({
            "sources": sources,
            "sinks": { "meta": {
                "type": "meta_conversions", "inputs": names, "preset": "retail",
                "pixel_id": "1234567890123456", "access_token": "none", "endpoint": format!("http://{}", self.address),
                "buffer": { "type": setup.buffer },
                "batch": { "max_events": setup.batch },
                "request": { "concurrency": setup.in_flight },
            } },
        });
        pipeline.to_string()
    }

    /// Runs a host over a file from its start to its end.
    pub(crate) fn run_file(&self, file: &Path, events: u64, setup: Setup) -> Run {
        let before = self.sandbox_cpu();
        let host = self.start(&json!({ "type": "file", "path": file }), setup);
        let (time, host) = host.end();
        assert_eq!(self.accepted(), events, "every event is delivered once");
        let sandbox = self.sandbox_cpu_since(before);
        Run {
            events,
            time,
            host,
            sandbox,
        }
    }

    pub(crate) fn sandbox_cpu(&self) -> Duration {
        self.sandbox.usage().cpu
    }

    pub(crate) fn sandbox_cpu_since(&self, before: Duration) -> Duration {
        self.sandbox_cpu().saturating_sub(before)
    }

    /// Events that the sandbox has accepted since the last start.
    pub(crate) fn accepted(&self) -> u64 {
        let summary = self.send("GET", "/sandbox/summary");
        summary["accepted"].as_u64().expect("a summary")
    }

    pub(crate) fn wait_for(&self, events: u64) {
        while self.accepted() < events {
            std::thread::sleep(ASK_PAUSE);
        }
    }

    fn send(&self, method: &str, path: &str) -> Value {
        let address = &self.address;
        let mut stream = TcpStream::connect(address).expect("the sandbox");
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the sandbox");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the sandbox");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn number(number: u64) -> f64 {
    number as f64
}

pub(crate) fn micros_each(time: Duration, events: u64) -> f64 {
    time.as_secs_f64() * 1e6 / number(events)
}
