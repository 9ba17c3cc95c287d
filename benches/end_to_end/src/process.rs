//! A child process, and what the system says about it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often the system counts processor time in a second. Linux shows all programs hundredths, whatever the kernel uses.
const TICKS_PER_SECOND: u32 = 100;
/// How often a process is looked at while it runs.
const LOOK_PAUSE: Duration = Duration::from_millis(2);
/// The longest that one process may run; then something is wrong.
const DEADLINE: Duration = Duration::from_secs(1800);

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Processor time of all its threads, in the program and in the system on its behalf.
    pub(crate) cpu: Duration,
    pub(crate) peak_bytes: u64,
    /// What is in memory now.
    pub(crate) resident_bytes: u64,
    pub(crate) written_bytes: u64,
}

/// A program that runs. It is ended when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    started: Instant,
}

impl Process {
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Self {
        let started = Instant::now();
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program `pipeline`; build it with `cargo build --release`");
        Self { child, started }
    }

    /// What follows `word` in the next line of standard error that has it. Later output is discarded.
    pub(crate) fn says(&mut self, word: &str) -> String {
        let mut lines = BufReader::new(self.child.stderr.take().expect("asked once")).lines();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, behind) = line.split_once(word)?;
            let end = behind.find([';', ' ']).unwrap_or(behind.len());
            Some(behind[..end].to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        found.expect("a program that starts")
    }

    pub(crate) fn usage(&self) -> Usage {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
        };
        let field = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_ascii_whitespace().next());
            number
                .and_then(|number| number.parse().ok())
                .unwrap_or_default()
        };
        Usage {
            cpu: cpu(&read("stat")),
            peak_bytes: field(&read("status"), "VmHWM:") * 1024,
            resident_bytes: field(&read("status"), "VmRSS:") * 1024,
            written_bytes: field(&read("io"), "write_bytes:"),
        }
    }

    /// Waits until it ends by itself: how long it ran, and what it used.
    pub(crate) fn end(mut self) -> (Duration, Usage) {
        let mut last = Usage::default();
        loop {
            // A process that has ended keeps its processor time until it is waited for, but not its memory.
            let now = self.usage();
            last.cpu = now.cpu;
            last.peak_bytes = last.peak_bytes.max(now.peak_bytes);
            last.written_bytes = last.written_bytes.max(now.written_bytes);
            let ran = self.started.elapsed();
            if self.has_ended() {
                let status = self.child.wait().expect("a child");
                assert!(status.success(), "the program failed: {status}");
                return (ran, last);
            }
            assert!(ran < DEADLINE, "the program does not end");
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// Asks it to stop, and waits for that.
    pub(crate) fn stop(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        assert!(asked.expect("a system with `kill`").success());
        self.child.wait().expect("a child");
    }

    fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let state = stat.unwrap_or_default();
        behind_name(&state).starts_with('Z')
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything behind the program's name, which may hold spaces.
fn behind_name(stat: &str) -> &str {
    stat.rsplit_once(") ").map_or("", |(_, behind)| behind)
}

fn cpu(stat: &str) -> Duration {
    /// Places of `utime` and `stime`, counted from the process's state.
    const USER_AND_SYSTEM: [usize; 2] = [11, 12];
    let fields: Vec<&str> = behind_name(stat).split(' ').collect();
    let ticks = |place: usize| -> u32 {
        let field = fields.get(place).and_then(|field| field.parse().ok());
        field.unwrap_or_default()
    };
    let ticks: u32 = USER_AND_SYSTEM.into_iter().map(ticks).sum();
    Duration::from_secs(1) * ticks / TICKS_PER_SECOND
}
