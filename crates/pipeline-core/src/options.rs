//! Options as a person wrote them, checked against the schema of the options, with every problem reported at once.
//!
//! A reader of configuration that stops at the first mistake costs its user one run per mistake. [`check()`] walks the
//! whole value instead, and returns what is left when everything wrong has been taken out, so that the caller can
//! look for problems of meaning in the rest.
//!
//! It understands the part of JSON Schema that `schemars` generates for configuration types (see [`KEYWORDS`]); a test
//! checks that every shipped schema uses only that part. Problems name keys and expectations, never values: a value may be
//! a secret in the wrong place.

mod check;
mod describe;
mod json;
mod problem;

pub use check::{Checked, check};
pub use json::{DUPLICATE_KEY, from_json};
pub use problem::{
    Level, MAX_SHOWN_KEY_CHARS, Problem, is_placeholder, join, near_miss, nearest, nearest_within,
    shown_name,
};

/// The assertions of JSON Schema that [`check()`] enforces.
pub const KEYWORDS: &[&str] = &[
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "properties",
    "required",
    "type",
];
