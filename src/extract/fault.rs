//! Fault injection: makes the walk fail, for tests of the fallback parser.

use super::{Broken, Memory};
use std::cell::Cell;

/// Which walks of this thread fail, after they have read the whole text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    None,
    /// Walks with [`Memory::Kept`].
    WithMemory,
    All,
}

thread_local! {
    static FAILING: Cell<Failing> = const { Cell::new(Failing::None) };
}

/// Runs `action` while these walks fail.
pub(crate) fn with<T>(failing: Failing, action: impl FnOnce() -> T) -> T {
    let before = FAILING.replace(failing);
    let result = action();
    FAILING.set(before);
    result
}

pub(super) fn fail_if_told(memory: Memory) -> Result<(), Broken> {
    let fails = match FAILING.get() {
        Failing::None => false,
        Failing::WithMemory => memory == Memory::Kept,
        Failing::All => true,
    };
    if fails { Err(Broken) } else { Ok(()) }
}
