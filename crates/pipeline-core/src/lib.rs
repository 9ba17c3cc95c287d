//! What a pipeline plugin may know.
//!
//! A host reads events from somewhere, hands each to [`Sink::encode`], stores the [`Record`] that comes back in a
//! buffer, and passes batches of records to [`Sink::deliver`], which answers with one [`Outcome`] per record:
//!
//! ```text
//! source ─► Event ─► Sink::encode ─► Record ─► buffer ─► batch ─► Sink::deliver ─► Outcome per record
//! ```
//!
//! The host owns buffering, batching, retries, acknowledgement and shutdown. A sink owns what an event means to its
//! destination, and how the destination's answers are read. Nothing in this crate knows a runtime, a socket, a file
//! or a vendor, so that a plugin can be linked into any host.
//!
//! Invariant: what leaves `encode` is fit to be written to disk. Personal data in the clear exists only in [`Event`].

mod clock;
mod coverage;
mod event;
pub mod options;
mod outcome;
mod record;
mod registry;
mod secret;
mod sink;

pub use clock::{Clock, ManualClock, SystemClock};
pub use coverage::{Coverage, CoverageRow};
pub use event::Event;
pub use inventory;
pub use outcome::{DestinationCode, Encoded, Outcome, Reason, Rejection};
pub use record::Record;
pub use registry::{
    ParseContext, ParseSink, PresetDescription, PresetRow, Registry, RegistryError, SinkDescription,
};
pub use secret::SensitiveString;
pub use sink::{
    BatchLimits, BuildError, Explained, HealthcheckError, Sink, SinkConfig, SinkContext,
};

/// The version of this contract. A plugin manifest names the version it was written for.
pub const API_VERSION: u32 = 1;
