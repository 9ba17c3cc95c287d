//! Any bytes as a checkpoint of a `file` source.
//!
//! What must hold: no panic; what was read from it is read again once it has been written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    let (first, again) = pipeline_sources::fuzzing::checkpoint_again(FOLDER.path(), "in", bytes);
    assert_eq!(first, again);
});
