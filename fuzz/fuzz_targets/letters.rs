//! Any bytes as a file of dead letters.
//!
//! What must hold: no panic; no line costs another: there are as many letters and faults as lines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeline_host::dead_letter::{DeadLetters, Summary};
use std::sync::LazyLock;

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    let letters = DeadLetters::new(FOLDER.path(), "meta", u64::MAX);
    std::fs::create_dir_all(letters.path()).expect("a folder");
    std::fs::write(letters.path().join("00000001.ndjson"), bytes).expect("a writable folder");
    let read = letters.letters().expect("a readable folder").count();
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .count();
    assert!(read <= lines, "{read} letters of {lines} lines");
    let _ = Summary::of(letters.letters().expect("a readable folder"));
});
