//! A host for pipeline plugins: it connects sources, transforms and sinks, and owns everything that these should not have to
//! think about.
//!
//! ```text
//! source ──► intake ───────────────────────► buffer ──────► worker ───────────► outcome
//!            transforms, Sink::encode        one per sink,  batches, retries,   delivered, tried again, or
//!            (many threads)                  bounded        pauses, probes      in the dead letters
//! ```
//!
//! [`config`] turns a file into a [`Pipeline`], which is data, or into every problem of the file; [`Pipeline::builder`]
//! makes one without a file; [`topology::start`] runs it, and [`topology::Reloader`] changes it while it runs;
//! [`telemetry`] counts, and [`report`] shows the counts to people. The host knows no source, transform or sink by name:
//! they are found in the registry, or handed over as values.
//!
//! Invariant: every event that is read is delivered, filtered, dropped by an explicit `drop_newest`, in the dead
//! letters, or counted as held.

mod ack;
mod backoff;
mod batch;
pub mod buffer;
mod builder;
mod concurrency;
pub mod config;
pub mod dead_letter;
mod event_counts;
mod handle;
mod intake;
mod leftovers;
mod letter_log;
mod letterbox;
mod missing;
mod narrowing;
mod pulse;
pub mod replay;
pub mod report;
mod runtime;
mod sink_input;
pub mod status;
mod stop;
pub mod telemetry;
pub mod topology;
mod wording;
mod worker;

pub use builder::{InvalidPipeline, PipelineBuilder, SinkSettings};
pub use config::Pipeline;
pub use handle::{Handle, SendError};
pub use runtime::{Failure, StartOptions};
pub use stop::StopHandle;
