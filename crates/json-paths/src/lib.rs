//! Reads the values at many paths of one JSON text in one pass.
//!
//! All paths are compiled into one tree ([`Paths`]) before the first text comes. [`Paths::read`] walks a text once along
//! that tree: values that no path names are checked against the grammar and skipped; values that a path names are kept
//! as slices of the text ([`Found`]). Nothing is decoded, copied or built into a tree of values, and a thread that reads
//! one text after the other allocates no memory for most of them.
//!
//! ```
//! use json_paths::{Path, Paths};
//!
//! let mut paths = Paths::default();
//! let email = paths.slot(&Path::parse("user.email")?);
//! let (orders, order) = paths.list(&Path::parse("orders")?);
//! let total = order.slot(&Path::parse("total")?);
//!
//! let text = r#"{"user": {"email": "a@example.com"}, "orders": [{"total": 1.50}, {"id": 7}]}"#;
//! let found = paths.read(text)?;
//! assert_eq!(found.get(email), Some(r#""a@example.com""#));
//! let totals: Vec<_> = found.elements(orders).map(|order| order.get(total)).collect();
//! assert_eq!(totals, [Some("1.50"), None]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it is fast
//!
//! Texts of one origin have their keys in one order, with the same white space between them. The reader therefore
//! predicts which key comes next from the texts that the thread has read before, and compares the whole separator with
//! the text instead of reading it (`prediction`). A wrong prediction costs one comparison and changes no result.
//!
//! # Guarantees
//!
//! * Text that is not JSON (RFC 8259) is an error, and so is JSON that is not an object. A value of an unexpected kind is
//!   not an error: nothing is found at paths that lead through it.
//! * Two kinds of valid JSON are rejected on purpose, in objects and lists through which a path leads: a key whose escapes
//!   are not valid Unicode, and a number beyond the range of a double.
//! * What is found in a text does not depend on the texts that were read before it.
//! * Of two equal keys in one object, the last one counts. What was found inside the first one remains found, where the
//!   last one has nothing at the same path.
//! * A text that the walk rejects is passed to serde_json, which decides whether it is JSON. If it is, a slower parser
//!   reads it and the text is counted ([`Paths::fallback_reads`]), so that a fault of the walk never loses a text.
//! * No input makes it panic. Nesting costs one bit of memory per level; the call stack grows with the paths, not with
//!   the text.
//!
//! # Bounds
//!
//! [`Path::MAX_SEGMENTS`] steps in a path, [`MAX_ELEMENTS`] elements of a list, [`MAX_TEXT_BYTES`] of a text.

mod bytes;
mod cursor;
mod deviation;
mod error;
mod fallback;
#[cfg(any(test, feature = "fault-injection"))]
pub mod fault;
mod folding;
mod found;
mod items;
mod keys;
mod node;
mod path;
mod paths;
mod prediction;
mod read;
#[cfg(any(test, fuzzing))]
mod readings;
#[cfg(any(test, fuzzing))]
mod reference;
mod root;
mod rows;
mod scan;
mod scratch;
mod selector;
mod slot;
#[cfg(test)]
mod tests;

pub use error::ReadError;
pub use folding::{eq_folded, fold};
pub use found::{Found, ObjectView, SlotBits};
pub use keys::Keys;
pub use path::{Path, PathError, Segment};
pub use paths::{ElementPaths, Paths};
#[cfg(any(test, fuzzing))]
pub use readings::{Readings, Seen};
pub use rows::{MAX_ELEMENTS, MAX_TEXT_BYTES};
pub use slot::{List, Slot};
