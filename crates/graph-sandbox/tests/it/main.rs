//! The sandbox over real HTTP: its rules, the edge around them, and its faults.

#![expect(
    clippy::unwrap_used,
    reason = "the harness is test code outside of test functions"
)]

mod edge;
mod fault;
mod harness;
mod rule;
