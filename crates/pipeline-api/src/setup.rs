//! Set-up over HTTP: what is linked, what the pipeline file says, whether a changed one would be good, and what it would send.
//!
//! ```text
//! /api/v1/catalog, schema/{type}, presets/{name}    what there is                      read
//! /api/v1/config                                    the file, without its secrets      read
//! /api/v1/validate, map                             a text, options, an event          read: they change nothing
//! /api/v1/sinks/{sink}/check, test-event            the destination, asked             needs the token
//! /api/v1/config (PUT)                              the file edited, and reloaded      needs the token
//! ```
//!
//! Invariant: neither a secret of the file nor anything of an event that a request brings is logged, kept, or answered, but for
//! what the sink itself would send of that event. Of a test event this is a row of the feed, in memory, as of any other event.

mod body;
mod catalog;
pub(crate) mod config;
mod masked;
mod probe;
mod secrets;
mod trial;
mod write;

use crate::shared::Shared;
use axum::Router;
use axum::routing::{get, post};
use std::sync::Arc;

/// Whether a text or options are good.
pub(crate) const VALIDATE: &str = "/api/v1/validate";
/// What a sink would make of an event.
pub(crate) const MAP: &str = "/api/v1/map";

/// The paths of this module.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/catalog", get(catalog::catalog))
        .route("/api/v1/schema/{type}", get(catalog::schema_of))
        .route("/api/v1/presets/{name}", get(catalog::preset))
        .route("/api/v1/config", get(config::config).put(write::put))
        .route(VALIDATE, post(trial::validate))
        .route(MAP, post(trial::map))
        .route("/api/v1/sinks/{sink}/check", post(probe::check))
        .route("/api/v1/sinks/{sink}/test-event", post(probe::test_event))
}
