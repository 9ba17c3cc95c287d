//! What a running pipeline does, over HTTP, and the commands that ask for it.
//!
//! ```text
//! Telemetry ──► snapshot ──┬─► /health, /ready      for load balancers and probes
//! (of the host)            ├─► /metrics             Prometheus and OpenMetrics
//! Observer ──► attempts ───┴─► /api/v1/status …     JSON, which `pipeline status` and `top` show
//! ```
//!
//! A program adds [`EXTENSIONS`] to its command. The section `api` of the pipeline file starts the server; without it nothing
//! listens, and no observer is registered.
//!
//! Invariant: whatever is shown consists of counts, codes, and names of the configuration and of the destination; nothing
//! of an event. What other machines or web pages can reach is decided in one place, `guard`.

mod attempts;
mod attention;
mod client;
mod command;
mod extension;
mod guard;
mod metrics;
mod options;
mod routes;
mod server;
mod shared;
mod status;
mod table;

pub use command::{StatusExtension, TopExtension};
pub use extension::ApiExtension;
use pipeline_cli::Extension;

/// Everything that this crate adds to the command of a program.
pub const EXTENSIONS: [&dyn Extension; 3] = [&ApiExtension, &StatusExtension, &TopExtension];
