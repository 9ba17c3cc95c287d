//! Files of JSON events, plain or packed, and how far they have been read.
//!
//! A thread reads the files one after the other, or follows them as they grow (`reader`). Receipts say when what it read is
//! safe; in the order of reading, they move the checkpoint (`committer`), from which the next run resumes.
//!
//! Invariant: an event is skipped only when the checkpoint says that it is safe.

mod checkpoint;
mod committer;
mod config;
mod cookie_time;
mod opened;
mod paced;
mod packing;
mod pattern;
mod reader;
mod recall;
mod source;
mod time_shift;
mod tracked;

#[cfg(fuzzing)]
pub use checkpoint::again as checkpoint_again;
