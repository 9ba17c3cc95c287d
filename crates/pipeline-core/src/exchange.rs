//! What a sink sent to its destination and what came back, for people who look at single events.
//!
//! Plain data, made only while somebody watches. Invariant: numbers, codes, and one bounded text in which the sink has masked
//! whatever could be a value of an event or a secret.

use crate::Outcome;
use std::borrow::Cow;
use std::sync::Arc;

/// The longest text of a destination that is kept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024;
/// Figures about limits that are kept of one answer.
const MAX_FIGURES: usize = 16;

/// One request to a destination, and its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// The number of the request within its delivery, from 1: a batch may take several.
    pub request: u32,
    /// Events that it carried.
    pub events: u64,
    /// Bytes of its body.
    pub bytes: u64,
    /// How long the answer took, in milliseconds.
    pub millis: u64,
    /// The HTTP status of the answer; `None` where none came.
    pub status: Option<u16>,
    /// Events that the destination says it has received.
    pub received: Option<u64>,
    /// The id under which the destination finds the request again.
    pub trace: Option<Box<str>>,
    /// The destination's code of an error.
    pub code: Option<i64>,
    /// Its further code.
    pub subcode: Option<i64>,
    /// What it said, with what could be personal or secret masked; at most [`MAX_MESSAGE_BYTES`].
    pub message: Option<Box<str>>,
    /// How much of its limits is used, in percent, by name; where a name ends with `_secs`, for how long it asks to wait.
    pub throttle: Vec<(Cow<'static, str>, u64)>,
}

impl Exchange {
    /// The request of this number, with so many events.
    pub fn new(request: u32, events: u64) -> Self {
        Self {
            request,
            events,
            ..Self::default()
        }
    }

    /// Keeps what the destination said, which the sink has masked; cut at [`MAX_MESSAGE_BYTES`].
    pub fn set_message(&mut self, masked: &str) {
        let mut end = masked.len().min(MAX_MESSAGE_BYTES);
        while !masked.is_char_boundary(end) {
            end -= 1;
        }
        self.message = (end > 0).then(|| masked[..end].into());
    }

    /// Keeps a figure about a limit.
    pub fn add_figure(&mut self, name: impl Into<Cow<'static, str>>, figure: u64) {
        if self.throttle.len() < MAX_FIGURES {
            self.throttle.push((name.into(), figure));
        }
    }

    /// How much is used of the limit that is nearest, in percent.
    pub fn used_percent(&self) -> Option<u64> {
        let percentages = self.throttle.iter();
        let percentages = percentages.filter(|(name, _)| !name.ends_with("_secs"));
        percentages.map(|(_, figure)| *figure).max()
    }

    /// Bytes that it takes in memory.
    pub fn size_bytes(&self) -> usize {
        let texts = [&self.trace, &self.message];
        let texts = texts.into_iter().flatten().map(|text| text.len());
        let figures = self.throttle.iter().map(|(name, _)| {
            let text = match name {
                Cow::Borrowed(_) => 0,
                Cow::Owned(name) => name.len(),
            };
            text + size_of::<(Cow<'static, str>, u64)>()
        });
        size_of::<Self>() + texts.sum::<usize>() + figures.sum::<usize>()
    }
}

/// What became of a batch in one attempt, and in which exchanges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// One outcome per record, in the order of the batch.
    pub outcomes: Vec<Outcome>,
    /// For each record the last exchange that carried it, where the sink says so; so there are no more of them than records.
    pub exchanges: Vec<Option<Arc<Exchange>>>,
}

impl DeliveryReport {
    /// Outcomes without exchanges.
    pub fn new(outcomes: Vec<Outcome>) -> Self {
        Self {
            outcomes,
            exchanges: Vec::new(),
        }
    }

    /// The same outcomes with the last exchange of each record.
    #[must_use]
    pub fn with_exchanges(mut self, exchanges: Vec<Option<Arc<Exchange>>>) -> Self {
        self.exchanges = exchanges;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_characters_and_figures_are_bounded() {
        let mut exchange = Exchange::new(1, 2);
        exchange.set_message("");
        assert_eq!(exchange.message, None);
        exchange.set_message(&format!("a{}", "ü".repeat(MAX_MESSAGE_BYTES)));
        let message = exchange.message.as_deref().unwrap();
        assert_eq!(message.len(), MAX_MESSAGE_BYTES - 1);
        for number in 0..100 {
            exchange.add_figure(format!("figure {number}"), number);
        }
        assert_eq!(exchange.throttle.len(), MAX_FIGURES);
        assert!(exchange.size_bytes() > MAX_MESSAGE_BYTES);
        assert!(exchange.size_bytes() < 2 * MAX_MESSAGE_BYTES);
    }
}
