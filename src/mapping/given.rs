//! What an event gives for a parameter, and where it was found.

use json_paths::Slot;

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Slot(Slot),
    /// An element of the list at a slot.
    Element(Slot, usize),
    Constant,
    Default,
    Derived(&'static str),
}

/// What an event gives for a parameter. What was given and not understood is told from what is absent, because defaults and
/// derived values fill only what is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given<R> {
    /// No path holds a value.
    Absent,
    /// Some path holds a value, and none of the values can be used. Each has been reported.
    Unreadable,
    /// The first usable value, and where it was found.
    Read(R, Origin),
}

impl<R> Given<R> {
    /// The value, if it could be read.
    pub(super) fn read(self) -> Option<(R, Origin)> {
        match self {
            Self::Read(value, origin) => Some((value, origin)),
            Self::Absent | Self::Unreadable => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}
