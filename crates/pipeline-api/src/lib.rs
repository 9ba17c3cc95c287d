//! What a running pipeline does, over HTTP, and the commands that ask for it.
//!
//! ```text
//! Telemetry ──► snapshot ──┬─► /health, /ready      for load balancers and probes
//! (of the host)            ├─► /metrics             Prometheus and OpenMetrics
//! Observer ──┬► attempts ──┴─► /api/v1/status …     JSON, which `pipeline status` and `top` show
//!            └► feed ────────► /api/v1/events …     single events, which `pipeline tap` shows
//! assets/ ────► pages ───────► /, /events …         pages for a browser, which show all of this
//! ```
//!
//! A program adds [`EXTENSIONS`] to its command. The section `api` of the pipeline file starts the server; without it nothing
//! listens, and no observer is registered.
//!
//! Invariant: whatever is shown consists of counts, codes, and names of the configuration and of the destination; of an event
//! its name and its id, where they cannot be personal, and for who asks for a single one its payload as the buffer holds it. What other machines or web pages can reach is decided in one place, `guard`.

mod answer;
mod attempts;
mod attention;
mod body;
mod charts;
mod client;
mod command;
mod console;
mod events;
mod explained;
mod extension;
mod feed;
mod guard;
mod letter_jobs;
mod letters;
mod metrics;
mod options;
mod pages;
mod pause;
mod quality;
mod routes;
mod row;
mod sent_fields;
mod series;
mod server;
mod setup;
mod shared;
mod status;
mod table;
mod tap;
mod withheld;

pub use command::{StatusExtension, TopExtension};
pub use console::ConsoleExtension;
pub use extension::ApiExtension;
pub use pause::{PauseExtension, ResumeExtension};
use pipeline_cli::Extension;
pub use tap::TapExtension;

/// Everything that this crate adds to the command of a program.
pub const EXTENSIONS: [&dyn Extension; 7] = [
    &ApiExtension,
    &ConsoleExtension,
    &StatusExtension,
    &TopExtension,
    &TapExtension,
    &PauseExtension,
    &ResumeExtension,
];
