//! Whether an event still costs the same after millions of others.
//!
//! The host follows files as they come: each is written while those before it are read, and removed when all of its events
//! have been delivered, so that the disk holds a few at a time, however many events there are.

use crate::rig::{RUN_HEADS, Rig, Run, Setup};
use serde_json::json;
use std::time::Instant;

/// Events of one file.
const FILE_EVENTS: u64 = 10_000;
/// Files that are ahead of what has been delivered, at most.
const FILES_AHEAD: u64 = 20;
const RUNS: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// Runs of growing length, the last only where it is asked for.
pub(crate) fn measure(rig: &Rig, long: bool) -> Vec<Run> {
    println!("\n| {RUN_HEADS} |\n| ---: | ---: | ---: | ---: | ---: | ---: |");
    let first = rig.write_events("growth.ndjson", FILE_EVENTS);
    let count = if long { RUNS.len() } else { RUNS.len() - 1 };
    let runs = RUNS.into_iter().take(count).map(|events| {
        let folder = rig.path("growth");
        // Nothing is there the first time.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).expect("a writable folder");
        let file = |number: u64| folder.join(format!("{number:06}.ndjson"));
        let copy = |number: u64| {
            let coming = folder.join("coming");
            std::fs::copy(&first, &coming).expect("room on the disk");
            std::fs::rename(&coming, file(number)).expect("a writable folder");
        };
        let files = events / FILE_EVENTS;
        let mut there = files.min(FILES_AHEAD);
        (0..there).for_each(copy);
        let source = json!({ "type": "file", "path": folder.join("*.ndjson"), "follow": true });
        let setup = Setup {
            buffer: "disk",
            batch: 1000,
            in_flight: 4,
        };
        let before = rig.sandbox_cpu();
        let start = Instant::now();
        let host = rig.start(&source, setup);
        for delivered in 0..files {
            rig.wait_for((delivered + 1) * FILE_EVENTS);
            std::fs::remove_file(file(delivered)).expect("a writable folder");
            if there < files {
                copy(there);
                there += 1;
            }
        }
        let run = Run {
            events,
            time: start.elapsed(),
            host: host.usage(),
            sandbox: rig.sandbox_cpu_since(before),
        };
        host.stop();
        assert_eq!(rig.accepted(), events, "every event is delivered once");
        println!("| {run} |");
        run
    });
    runs.collect()
}
