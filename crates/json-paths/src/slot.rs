//! The numbers under which values are found.

/// The number of one path's value in [`Found`](crate::Found) and [`ObjectView`](crate::ObjectView).
///
/// It belongs to the [`Paths`](crate::Paths) that made it; with others it gives the value at another path, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) usize);

/// The number of one list in [`Found`](crate::Found). It belongs to the [`Paths`](crate::Paths) that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct List(pub(crate) usize);
