//! Instructions per event, which no other program on the machine can disturb.
//!
//!     cargo bench --bench instructions              counts, compares with the recorded figures, fails on growth
//!     cargo bench --bench instructions -- --record  counts and records
//!     cargo bench --bench instructions -- --profile counts and lists the functions that cost most
//!
//! The program runs itself under `valgrind --tool=callgrind`, which counts inside [`encode_all`] alone. SHA-256 is counted
//! apart: valgrind does not know the processor's instructions for it, so that it takes a path there that no machine takes,
//! and would drown the rest. Without valgrind it says so, and passes.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a benchmark prints, and stops when its set-up is wrong"
)]

#[path = "../encode/reference.rs"]
mod reference;
#[path = "../encode/retail.rs"]
mod retail;

use pipeline_core::{Clock as _, Encoded, Event, Sink, SystemClock};
use std::collections::HashMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Events of one count, after the same number that only warm up.
const EVENTS: u64 = 1_000;
/// Products in each.
const PRODUCTS: u64 = 3;
/// Percent by which a figure may grow before it is a failure.
const MAX_GROWTH_PERCENT: u64 = 15;
/// Costs that a profile lists.
const PROFILED: usize = 90;
/// Set in the run that is counted.
const INSIDE: &str = "INSTRUCTIONS_INSIDE";

fn main() -> ExitCode {
    if std::env::var_os(INSIDE).is_some() {
        run();
        return ExitCode::SUCCESS;
    }
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    let Some(costs) = counted() else {
        eprintln!("instructions: valgrind is not here, so nothing was counted");
        return ExitCode::SUCCESS;
    };
    let figures = Figures::of(&costs);
    println!("{figures}");
    if asked("--profile") {
        profile(&costs);
    }
    if asked("--record") {
        std::fs::write(recorded_at(), figures.to_string()).expect("a writable file");
        return ExitCode::SUCCESS;
    }
    let recorded = std::fs::read_to_string(recorded_at()).expect("recorded figures");
    compare(&figures, &Figures::read(&recorded).expect("two figures"))
}

/// What is counted.
fn run() {
    let now_ms = SystemClock.now_ms();
    let sink = retail::sink();
    let events = |from: u64| -> Vec<Event> {
        (from..from + EVENTS)
            .map(|number| Event::new(reference::purchase(number, PRODUCTS, now_ms), now_ms))
            .collect()
    };
    for event in &events(EVENTS) {
        black_box(sink.encode(event));
    }
    encode_all(sink.as_ref(), &events(0));
}

#[inline(never)]
fn encode_all(sink: &dyn Sink, events: &[Event]) {
    for event in events {
        let encoded = black_box(sink.encode(event));
        assert!(
            matches!(encoded, Encoded::Record(_)),
            "the reference events are good"
        );
    }
}

/// Instructions by function, from a run under callgrind; empty without valgrind.
fn counted() -> Option<HashMap<String, u64>> {
    let program = std::env::current_exe().expect("this program's path");
    let out: PathBuf = std::env::temp_dir().join(format!("instructions.{}", std::process::id()));
    let status = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--quiet",
            "--toggle-collect=*encode_all*",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .env(INSIDE, "1")
        .status()
        .ok()?;
    assert!(status.success(), "the run under callgrind failed");
    let text = std::fs::read_to_string(&out).expect("callgrind's file");
    let _ = std::fs::remove_file(out);
    Some(own_costs(&text))
}

/// What each function cost without those it called. In callgrind's format a name is written in full the first time and
/// as its number afterwards; the line after `calls=` is the callee's cost.
fn own_costs(text: &str) -> HashMap<String, u64> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut costs: HashMap<String, u64> = HashMap::new();
    let (mut current, mut is_of_callee) = ("", false);
    for line in text.lines() {
        let function = line
            .strip_prefix("fn=")
            .or_else(|| line.strip_prefix("cfn="));
        if let Some((number, name)) = function.and_then(|function| function.split_once(')')) {
            let name = name.trim_start();
            if !name.is_empty() {
                names.insert(number, name);
            }
            if line.starts_with("fn=") {
                current = names.get(number).copied().unwrap_or_default();
            }
        } else if line.starts_with("calls=") {
            is_of_callee = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '*')) {
            let cost = line
                .split(' ')
                .nth(1)
                .and_then(|cost| cost.parse::<u64>().ok());
            if !std::mem::take(&mut is_of_callee) {
                *costs.entry(current.to_owned()).or_default() += cost.unwrap_or(0);
            }
        }
    }
    costs
}

/// Instructions per event.
#[derive(Debug)]
struct Figures {
    mapping: u64,
    hashing: u64,
}

impl Figures {
    fn of(costs: &HashMap<String, u64>) -> Self {
        let sum = |hashing: bool| {
            let counted = costs.iter().filter(|(name, _)| is_hashing(name) == hashing);
            counted.map(|(_, cost)| cost).sum::<u64>() / EVENTS
        };
        Self {
            mapping: sum(false),
            hashing: sum(true),
        }
    }

    /// Reads what [`Display`](std::fmt::Display) writes.
    fn read(text: &str) -> Option<Self> {
        let mut figures = text
            .lines()
            .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok());
        Some(Self {
            mapping: figures.next()?,
            hashing: figures.next()?,
        })
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "instructions per event, hashing apart: {}", self.mapping)?;
        write!(
            f,
            "instructions per event, SHA-256 in software: {}",
            self.hashing
        )
    }
}

fn is_hashing(function: &str) -> bool {
    function.contains("sha2::") || function.contains("digest::")
}

fn profile(costs: &HashMap<String, u64>) {
    let mut costs: Vec<_> = costs.iter().filter(|(name, _)| !is_hashing(name)).collect();
    costs.sort_by_key(|(name, cost)| (std::cmp::Reverse(**cost), *name));
    let all: u64 = costs.iter().map(|(_, cost)| *cost).sum();
    println!("| function | instructions per event | share |\n| --- | ---: | ---: |");
    for (name, cost) in costs.into_iter().take(PROFILED) {
        println!(
            "| `{name}` | {} | {} % |",
            cost / EVENTS,
            cost * 100 / all.max(1)
        );
    }
}

fn recorded_at() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/recorded.txt")
}

fn compare(now: &Figures, recorded: &Figures) -> ExitCode {
    let bound = |figure: u64| figure + figure * MAX_GROWTH_PERCENT / 100;
    println!("recorded:\n{recorded}");
    let mut code = ExitCode::SUCCESS;
    for (what, now, recorded) in [
        ("mapping", now.mapping, recorded.mapping),
        ("hashing", now.hashing, recorded.hashing),
    ] {
        if now > bound(recorded) {
            eprintln!(
                "INSTRUCTIONS GREW: {what} takes {now} per event, more than {MAX_GROWTH_PERCENT} % above the recorded {recorded}. \
                 If that is meant, record it: cargo bench --bench instructions -- --record"
            );
            code = ExitCode::FAILURE;
        }
    }
    code
}
