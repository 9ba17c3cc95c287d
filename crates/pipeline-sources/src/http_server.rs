//! Events over HTTP: `POST` a JSON object, a JSON array, or one JSON event a line; the answer says what became of each.
//!
//! A request is taken as a whole or not at all: when a buffer stays full, the answer is 503 with `Retry-After`, and
//! nothing of the request has been kept or counted. The answer comes once the events are in a memory buffer or on disk,
//! or, where `acknowledgements` says so, once the final fate of each is known; when that takes too long it is 503 too, and
//! the events may come twice, with the same event ids.
//!
//! Invariant: every event keeps the very bytes that came in, so one odd element never costs the others.

mod config;
mod envelope;
mod source;
#[cfg(test)]
mod tests;
