//! What a reader has to do here, and the readers.

mod jiter_walk;
mod ours;
mod sonic;

pub(crate) use jiter_walk::JiterWalk;
pub(crate) use ours::Ours;
pub(crate) use sonic::SonicGetMany;

/// Reads the values at all paths of a text, as slices of it.
pub(crate) trait Reader<'a> {
    /// Reads one text, and keeps what it finds until the next. False where it cannot.
    fn read(&mut self, text: &'a str) -> bool;

    /// What the last text held at each path: those of the object, then those of each list, element by element.
    fn found(&self) -> Vec<Option<String>>;
}
