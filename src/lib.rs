//! A pipeline sink that delivers analytics events to Meta's Conversions API.
//!
//! One event's journey, step by step:
//!
//! 1. [`json_paths`] reads the event's bytes once, along the paths that the preset names;
//! 2. `consent` and `integrations` decide whether it may be sent;
//! 3. `mapping` turns it into a server event, as `preset` and the options in `config` say;
//! 4. `identity`, the only way for personal data to get there, normalizes and hashes it;
//! 5. `validate` rejects what Meta would refuse, and the host buffers the record;
//! 6. `request` and `delivery` send a batch of records and split a refused one;
//! 7. `response` reads from Meta's answer what becomes of each event.
//!
//! The crate registers itself: a host that links it (`use meta_conversions as _;`) finds the sink under the name
//! `meta_conversions` in [`pipeline_core::Registry`], and needs nothing else from it.

mod advice;
mod alike;
mod amount;
mod answer;
mod api_versions;
mod byte_search;
mod config;
mod consent;
mod delivery;
mod field_mapping;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod integrations;
mod json_text;
mod mapping;
mod match_coverage;
mod omitted;
mod payload;
mod placeholder;
mod preset;
mod private_text;
mod reason;
mod reason_words;
mod reference;
mod request;
mod response;
mod sink;
mod small_file;
mod token;
mod validate;
mod way;
mod whole_number;

pub use reference::{ParameterReference, SourceReference, reference};
pub use sink::COMPONENT;

#[doc = include_str!("../MAPPING.md")]
pub mod mapping_page {}

/// The JSON Schema of a preset file.
pub fn preset_schema() -> schemars::Schema {
    schemars::schema_for!(preset::Preset)
}

pipeline_core::inventory::submit! { COMPONENT }
