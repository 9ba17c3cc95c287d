//! Entry points for the fuzz targets of `fuzz/`. Compiled for them only (`cfg(fuzzing)`); not an interface.

pub use crate::file::checkpoint_again;
use crate::http;
use bytes::Bytes;
use pipeline_core::Reason;

/// The events of a request's body, each or why it cannot be one; `None` if the request is refused.
pub fn events(body: &Bytes) -> Option<Vec<Result<Bytes, Reason>>> {
    http::events(body).ok()
}
