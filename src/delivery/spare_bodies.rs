//! Memory of request bodies, used again.

use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The memory of sent bodies, for the next ones. Freed memory of that size goes back to the system, which clears every page of
/// it before handing it out again.
#[derive(Debug, Default)]
pub(super) struct SpareBodies(Mutex<Vec<Vec<u8>>>);

impl SpareBodies {
    /// Bodies that are kept: about as many as are in flight at a time.
    const MAX: usize = 4;
    /// Bytes of each. Larger ones are rare.
    const MAX_BYTES: usize = 4 * 1024 * 1024;

    /// An empty body.
    pub(super) fn take(&self) -> Vec<u8> {
        self.bodies().pop().unwrap_or_default()
    }

    /// Keeps the memory of a body, unless the body is still in use.
    pub(super) fn keep(&self, body: Bytes) {
        let Ok(mut body) = body.try_into_mut() else {
            return;
        };
        body.clear();
        let body = Vec::from(body);
        let mut bodies = self.bodies();
        if bodies.len() < Self::MAX && body.capacity() <= Self::MAX_BYTES {
            bodies.push(body);
        }
    }

    /// No code panics while it holds the lock, so that a poisoned lock still guards good bodies.
    pub(super) fn bodies(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
