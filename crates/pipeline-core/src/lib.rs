//! What a pipeline plugin may know.
//!
//! A host reads events with a [`Source`], edits them with [`Transform`]s, hands each to [`Sink::encode`], stores the
//! [`Record`] that comes back in a buffer, and passes batches of records to [`Sink::deliver`], which answers with one
//! [`Outcome`] per record:
//!
//! ```text
//! Source ─► Intake ─► Transform ─► Sink::encode ─► Record ─► buffer ─► batch ─► Sink::deliver ─► Outcome per record
//!    ▲                                                                                              │
//!    └────────────────────────────────────────── Receipt ◄──────────────────────────────────────────┘
//! ```
//!
//! The host owns buffering, batching, retries, acknowledgement and shutdown. A sink owns what an event means to its
//! destination, and how the destination's answers are read. Nothing in this crate knows a runtime, a file or a vendor,
//! or opens a socket, so that a plugin can be linked into any host.
//!
//! Invariant: what leaves `encode` is fit to be written to disk. Personal data in the clear exists only in [`Event`].
//!
//! # Who calls what, and where
//!
//! | Call | By | Where |
//! | --- | --- | --- |
//! | [`Component::parse`] | the reader of the configuration | any thread; opens nothing, reads no secret |
//! | [`SourceConfig::open`], [`SinkConfig::build`], [`TransformConfig::build`] | the host, at start and reload | a task of its runtime; may await |
//! | [`Source::run`] | the host, once | a task of its own; blocking work belongs on a thread |
//! | [`Intake::send`], [`Intake::offer`] | the source | any task; `send` keeps the order of the calls |
//! | [`Transform::apply`] | the host, once for each chunk | one call at a time for each partition if [`Transform::is_ordered`], else many at once |
//! | [`Sink::encode`] | the host, once for each event | many threads at once; must not block or await |
//! | [`Sink::deliver`] | the host | several batches at once, up to the configured concurrency |
//! | [`Sink::deliver_observed`] | the host, instead of `deliver`, while somebody watches | as `deliver` |
//! | [`Sink::advise`] | the host, when most events of a while were not sent | any thread; at most once a minute |
//! | [`Sink::healthcheck`] | the host, while the sink is blocked | one at a time |
//! | [`Observer`] | the host | the hot path, many threads at once |
//!
//! A panic in `encode` costs the one event; a panic in `deliver` makes the host retry the batch; a panic in a source or a
//! transform ends the run as failed, and what was in flight is sent again by its source.
//!
//! # What an outcome makes the host do
//!
//! | [`Outcome`] | The host |
//! | --- | --- |
//! | `Delivered` | deletes the record and acknowledges its event |
//! | `Retry` | puts the record back in front of the buffer and pauses the whole sink, with a backoff or as long as `after` says |
//! | `Rejected` | writes a dead letter and acknowledges the event; other records are not affected |
//! | `Blocked` | stops sending, keeps everything, and calls `healthcheck` until it passes |
//!
//! A record whose [`Record::expires_at`] has passed becomes a dead letter without an attempt;
//! [`Record::NEVER_EXPIRES`] is for destinations that take events of any age.
//!
//! # A complete sink
//!
//! ```
//! use pipeline_core::{
//!     BuildError, Component, Encoded, Event, HealthcheckError, Outcome, Reason, Record, Rejection, Sink, SinkConfig,
//!     SinkContext, async_trait, inventory, schemars::{self, JsonSchema},
//! };
//!
//! /// Options as they are in the pipeline file; the comments become the manual.
//! #[derive(Debug, serde::Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Options {
//!     /// What is printed in front of each event.
//!     prefix: String,
//! }
//!
//! #[async_trait]
//! impl SinkConfig for Options {
//!     async fn build(&self, _: SinkContext) -> Result<Box<dyn Sink>, BuildError> {
//!         Ok(Box::new(Print { prefix: self.prefix.clone() }))
//!     }
//! }
//!
//! struct Print {
//!     prefix: String,
//! }
//!
//! #[async_trait]
//! impl Sink for Print {
//!     fn encode(&self, event: &Event) -> Encoded {
//!         match serde_json::from_slice::<serde_json::Value>(event.raw()) {
//!             Ok(json) => match json["messageId"].as_str() {
//!                 // Only what the destination needs, so no personal data gets into the buffer.
//!                 Some(id) => Encoded::Record(Record::new(format!("{{\"id\":\"{id}\"}}"), id)),
//!                 None => Encoded::Rejected(Rejection::new(Reason::new("no_id", "the event has no `messageId`"))),
//!             },
//!             Err(_) => Encoded::Rejected(Rejection::new(Reason::new("malformed_json", "the event is not JSON"))),
//!         }
//!     }
//!
//!     async fn deliver(&self, batch: &[Record]) -> Vec<Outcome> {
//!         for record in batch {
//!             println!("{} {}", self.prefix, String::from_utf8_lossy(&record.payload));
//!         }
//!         vec![Outcome::Delivered; batch.len()]
//!     }
//!
//!     async fn healthcheck(&self) -> Result<(), HealthcheckError> {
//!         Ok(())
//!     }
//! }
//!
//! inventory::submit! {
//!     Component::<dyn SinkConfig>::sink::<Options>("print", "Prints events.").version(env!("CARGO_PKG_VERSION"))
//! }
//!
//! fn main() {
//!     let registry = pipeline_core::Registry::linked().expect("no name twice");
//!     assert_eq!(registry.sink("print").expect("linked").description(), "Prints events.");
//! }
//! ```
//!
//! # Compatibility
//!
//! [`API_VERSION`] grows when a plugin that compiled would no longer work; a registry refuses a component of another version
//! when it is read. Within a version, structs and enums that plugins read may grow (`#[non_exhaustive]`), traits get new
//! methods only with defaults, and reason codes of the host keep their meaning.

mod amount;
mod chunk;
mod clock;
mod cookie;
mod coverage;
mod event;
mod exchange;
mod explanation;
mod intake;
mod observe;
pub mod options;
mod origin;
mod outcome;
mod pace;
mod reason_words;
mod receipt;
mod record;
mod registry;
mod secret;
mod shown;
mod sink;
mod source;
mod source_error;
mod stop;
mod transform;

pub use amount::Amount;
pub use async_trait::async_trait;
pub use bytes;
pub use chunk::{Chunk, Edit, Entry, Input, Item};
pub use clock::{Clock, ManualClock, SystemClock};
pub use cookie::Cookie;
pub use coverage::{Coverage, CoverageBase, CoverageGap, CoverageGroup, CoverageRow};
pub use event::{Event, Meta};
pub use exchange::{DeliveryReport, Exchange, MAX_MESSAGE_BYTES};
pub use explanation::{Explanation, Field, FieldFate, Identifiers};
pub use intake::{Accepted, Intake, Refused, Verdict};
pub use inventory;
pub use observe::{Observer, Settlement};
pub use origin::{Origin, Place};
pub use outcome::{Encoded, Filtered, Outcome, Reason, Refit, Rejection};
pub use pace::Pace;
pub use reason_words::{MAX_LABEL_CHARS, REASONS_OF_HOSTS, ReasonWords};
pub use receipt::{AckLevel, AckStatus, Receipt, Settle, receipt};
pub use record::Record;
pub use registry::{
    Component, Kind, Parse, ParseContext, PresetDescription, PresetField, PresetRow, Registry,
    RegistryError,
};
pub use schemars;
pub use secret::SensitiveString;
pub use shown::{Shown, shown};
pub use sink::{
    BatchLimits, BuildError, Explained, HealthcheckError, MissingEvents, Sink, SinkConfig,
    SinkContext,
};
pub use source::{Resource, Source, SourceConfig, SourceContext};
pub use source_error::SourceError;
pub use stop::{Stop, StopSignal};
pub use transform::{Transform, TransformConfig, TransformContext, TransformError};

/// The version of this contract. A component names the version that it was written for, and a registry refuses another.
pub const API_VERSION: u32 = 2;
