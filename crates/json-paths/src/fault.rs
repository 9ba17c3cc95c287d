//! Fault injection: makes the walk fail, for tests of the fallback parser here and in crates that use this one.
//!
//! Compiled for tests and with the feature `fault-injection` only. The switch is per thread.

use crate::prediction::Memory;
use crate::scan::Broken;
use std::cell::Cell;

/// Which walks of this thread fail, after they have read the whole text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// No walk fails.
    None,
    /// The first walk of a text fails, and the walk without predictions, which the fallback parser tries next, does not.
    WithMemory,
    /// Both walks fail, so that serde_json reads the text.
    All,
}

thread_local! {
    static FAILING: Cell<Failing> = const { Cell::new(Failing::None) };
}

/// Runs `action` while these walks of this thread fail.
pub fn with<T>(failing: Failing, action: impl FnOnce() -> T) -> T {
    let before = FAILING.replace(failing);
    let result = action();
    FAILING.set(before);
    result
}

pub(crate) fn fail_if_told(memory: Memory) -> Result<(), Broken> {
    let fails = match FAILING.get() {
        Failing::None => false,
        Failing::WithMemory => memory == Memory::Kept,
        Failing::All => true,
    };
    if fails { Err(Broken) } else { Ok(()) }
}
