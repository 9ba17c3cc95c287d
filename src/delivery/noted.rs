//! The last exchange of each record of a batch, for a host that somebody watches.
//!
//! Invariant: without an observer, nothing is allocated; and there are never more exchanges than records.

use pipeline_core::Exchange;
use std::sync::Arc;

/// The last exchange of each record of a batch.
#[derive(Debug)]
pub(super) struct Noted {
    /// By position; `None` without an observer.
    of: Option<Vec<Option<Arc<Exchange>>>>,
    requests: u32,
}

impl Noted {
    /// Notes nothing.
    pub(super) fn nothing() -> Self {
        Self {
            of: None,
            requests: 0,
        }
    }

    /// Notes the exchanges of so many records.
    pub(super) fn of(records: usize) -> Self {
        Self {
            of: Some(vec![None; records]),
            requests: 0,
        }
    }

    /// The exchange of a request that is about to be sent, where it is wanted.
    pub(super) fn begin(&mut self, events: usize, bytes: usize) -> Option<Exchange> {
        self.of.as_ref()?;
        self.requests = self.requests.saturating_add(1);
        let mut exchange = Exchange::new(self.requests, events as u64);
        exchange.bytes = bytes as u64;
        Some(exchange)
    }

    /// Notes the exchange of these records.
    pub(super) fn end(&mut self, positions: &[usize], exchange: Option<Exchange>) {
        let (Some(of), Some(exchange)) = (&mut self.of, exchange) else {
            return;
        };
        let exchange = Arc::new(exchange);
        for &position in positions {
            of[position] = Some(Arc::clone(&exchange));
        }
    }

    /// The last exchange of each record, where they were noted.
    pub(super) fn into_exchanges(self) -> Vec<Option<Arc<Exchange>>> {
        self.of.unwrap_or_default()
    }
}
