//! A Segment-compatible API: clients that people already have reach this pipeline by another host name.
//!
//! ```text
//! path ─► page ─► key in a header ─► body ─► envelope ─► key in the body ─► completion ─► offer ─► answer
//!                                            (the batch   (signature,        (what the batch and the
//!                                            taken apart)  origin, rate)      connection say, spliced in)
//! ```
//!
//! The answers are those that the clients handle best: 200 also where single events were rejected, 429 with `Retry-After`
//! where there is no room, and never one that makes a client lose events or send them elsewhere.
//!
//! Invariant: every event keeps the bytes that came in but for members that were absent (or `null`) and are known from the
//! path, the batch or the connection; one odd event costs no other.

mod answer;
mod calls;
mod client;
mod completion;
mod config;
mod cookies;
mod documents;
mod envelope;
mod keys;
mod outline;
mod rate;
mod site;
mod source;
#[cfg(test)]
mod tests;
