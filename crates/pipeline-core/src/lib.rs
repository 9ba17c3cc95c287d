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

mod chunk;
mod clock;
mod coverage;
mod event;
mod explanation;
mod intake;
mod observe;
pub mod options;
mod origin;
mod outcome;
mod receipt;
mod record;
mod registry;
mod secret;
mod sink;
mod source;
mod source_error;
mod stop;
mod transform;

pub use async_trait::async_trait;
pub use bytes;
pub use chunk::{Chunk, Edit, Entry, Input, Item};
pub use clock::{Clock, ManualClock, SystemClock};
pub use coverage::{Coverage, CoverageRow};
pub use event::{Event, Meta};
pub use explanation::{Explanation, Field, FieldFate, Identifiers};
pub use intake::{Accepted, Intake, Refused, Verdict};
pub use inventory;
pub use observe::{Observer, Settlement};
pub use origin::{Origin, Place};
pub use outcome::{Encoded, Outcome, Reason, Rejection};
pub use receipt::{AckLevel, AckStatus, Receipt, Settle, receipt};
pub use record::Record;
pub use registry::{
    Component, Kind, Parse, ParseContext, PresetDescription, PresetRow, Registry, RegistryError,
};
pub use schemars;
pub use secret::SensitiveString;
pub use sink::{
    BatchLimits, BuildError, Explained, HealthcheckError, Sink, SinkConfig, SinkContext,
};
pub use source::{Resource, Source, SourceConfig, SourceContext};
pub use source_error::SourceError;
pub use stop::{Stop, StopSignal};
pub use transform::{Transform, TransformConfig, TransformContext, TransformError};

/// The version of this contract. A component names the version that it was written for, and a registry refuses another.
pub const API_VERSION: u32 = 2;
