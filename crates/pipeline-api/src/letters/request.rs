//! What requests about letters bring, and the threads on which they are answered.
//!
//! Invariant: few requests use the disk at a time.

use crate::answer::refuse;
use crate::shared::Shared;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Which letters are sent again.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Replay {
    /// Those of this reason.
    pub(super) reason: Option<String>,
    /// Those of these ids, of letters or of events.
    pub(super) ids: Vec<String>,
    /// No more than this many.
    pub(super) limit: Option<u64>,
    /// Only say what would be sent.
    pub(super) dry_run: bool,
}

/// Which letters are deleted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {
    pub(super) reason: String,
    /// The name of the sink once more.
    pub(super) confirm: String,
}

/// Does something with letters on a thread that may block.
pub(super) async fn on_thread<R: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Response> {
    let failed = || {
        let message = "the program failed on this request; please report it";
        refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    };
    // It is never closed.
    let permit = Arc::clone(&shared.letters.readers).acquire_owned().await;
    let permit = permit.map_err(|_| failed())?;
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    done.await.map_err(|_| failed())
}
