//! A host for pipeline sinks: it reads a pipeline file, connects sources with sinks, and owns everything that a sink
//! should not have to think about.
//!
//! ```text
//! source ──► outlet ─────────► buffer ──────► worker ───────────► outcome
//! lines,     Sink::encode      one per sink,  batches, retries,   delivered, tried again, or
//! HTTP       (many threads)    bounded        pauses, probes      in the dead letters
//! ```
//!
//! [`config`] turns a file into a [`config::Pipeline`] or into every problem of the file; [`topology::start`] runs it;
//! [`telemetry`] counts, and [`report`] shows the counts to people. The host knows no destination: sinks are found by
//! the name under which they are registered.
//!
//! Invariant: every event that is read is delivered, filtered, dropped by an explicit `drop_newest`, in the dead
//! letters, or counted as held.

mod ack;
mod backoff;
mod batch;
pub mod buffer;
mod concurrency;
pub mod config;
pub mod dead_letter;
mod event;
mod outlet;
pub mod reload;
pub mod replay;
pub mod report;
pub mod source;
mod stop;
pub mod telemetry;
pub mod topology;
mod worker;

pub use stop::StopHandle;
