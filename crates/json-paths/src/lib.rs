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
//! # What a path means
//!
//! * A step `key` is the value of this key of an object. Where the object lacks the key, it is the value of one that is
//!   spelled differently: in another ASCII case, or with other `_`, `-` and spaces ([`fold`], [`eq_folded`]). The exact
//!   spelling is preferred in any order of the text, and an outer key decides before an inner one: with `a.b`, a `B` inside
//!   `a` is preferred to a `b` inside `A`. Every path is resolved by itself, so `order_id` and `orderId` are two paths.
//! * A step `[0]` is an element of a list, by its position.
//! * A step `[type=email]` is the first element that is an object and has this text at this key. The key is found in any
//!   spelling, and the case of ASCII letters in the text does not matter. It works wherever an index does, also inside the
//!   elements of a list.
//! * A list ([`Paths::list`], an index, a selector) is also an object whose first key is made of digits: its values, in their
//!   order, without those of keys that are not made of digits. An empty object is an empty list, and any other object a list
//!   of this one element. So `address.city` and `address[0].city` both find the city of a single address.
//! * A list that is written as text is not read as a list. Its text, decoded, can be read with [`Paths::read_list`].
//!
//! # How it is fast
//!
//! Texts of one origin have their keys in one order, with the same white space between them. The reader therefore
//! predicts which key comes next from the texts that the thread has read before, and compares the whole separator with
//! the text instead of reading it (`prediction`). A wrong prediction costs one comparison and changes no result.
//! [`MemberReader`] does the same for those who only want to know where the outermost members of an object are.
//!
//! # Guarantees
//!
//! * Text that is not JSON (RFC 8259) is an error, and so is JSON that is not an object. A value of an unexpected kind is
//!   not an error: nothing is found at paths that lead through it.
//! * One kind of valid JSON is rejected on purpose, in objects through which a path leads: a key whose escapes are not valid
//!   Unicode. A number beyond the range of a double is a value like any other.
//! * What is found in a text does not depend on the texts that were read before it, and what is found at a path not on the
//!   other paths.
//! * Of several keys that are equal, or deviate from the path in the same steps, the last one counts. What was found inside
//!   another one remains found, where the one that counts has nothing at the same path. The elements of two lists are never
//!   mixed.
//! * A text that the walk rejects is passed to serde_json, which decides whether it is JSON. If it is, a slower parser
//!   reads it and the text is counted ([`Paths::fallback_reads`]), so that a fault of the walk never loses a text.
//! * No input makes it panic. Nesting costs one bit of memory per level; the call stack grows with the paths, not with
//!   the text.
//!
//! # Bounds
//!
//! [`Path::MAX_SEGMENTS`] steps in a path, [`MAX_ELEMENTS`] elements of a list, also those among which a selector looks,
//! [`MAX_TEXT_BYTES`] of a text. The time for a text is bounded by its length times the paths: no value is read more than a
//! few times for each path that leads through it.

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
mod members;
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
pub use found::{Filled, Found, ObjectView, SlotBits, SlotSequence};
pub use keys::Keys;
pub use members::{MemberReader, ObjectEnd};
pub use path::{Path, PathError, Segment};
pub use paths::{ElementPaths, Paths};
#[cfg(any(test, fuzzing))]
pub use readings::{Readings, Seen};
pub use rows::{MAX_ELEMENTS, MAX_TEXT_BYTES};
pub use scan::value_end;
pub use slot::{List, Slot};
