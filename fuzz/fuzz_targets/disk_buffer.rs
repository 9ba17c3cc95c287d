//! Damage of any kind to the files of a disk buffer.
//!
//! What must hold: no panic; the check never finds more than was stored; salvaging ends with a buffer that is whole, or says why not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pipeline_host::buffer::{check, salvage};

/// A buffer with a few chunks, as a pipeline left it.
const DATABASE: &[u8] = include_bytes!("../seeds/records.db");
/// Events in it.
const EVENTS: u64 = 40;

// Four bytes a patch: three say where, one what; the rest of the input, if its first byte is odd, cuts the file.
fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = DATABASE.to_vec();
    if let [length @ 1..=127, rest @ ..] = bytes
        && length % 2 == 1
    {
        database.truncate(database.len() * usize::from(*length) / 127);
        patch(&mut database, rest);
    } else {
        patch(&mut database, bytes);
    }
    std::fs::write(folder.path().join("records.db"), &database).expect("a writable folder");
    if let Ok(found) = check(folder.path()) {
        assert!(found.events <= 2 * EVENTS, "{found:?}");
    }
    if salvage(folder.path()).is_ok()
        && let Ok(found) = check(folder.path())
    {
        assert!(found.is_whole(), "{found:?}");
    }
});

fn patch(database: &mut [u8], patches: &[u8]) {
    for patch in patches.chunks_exact(4).take(64) {
        let place = u32::from_be_bytes([0, patch[0], patch[1], patch[2]]) as usize;
        let len = database.len().max(1);
        if let Some(byte) = database.get_mut(place % len) {
            *byte = patch[3];
        }
    }
}
