//! The host as a library: pipelines made with `Pipeline::builder`, with components that a test can look into.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod builder;
mod cookies;
mod failure;
mod full_letters;
mod handle;
mod intake;
mod missing;
mod model;
mod observer;
mod part;
mod partition;
mod poison;
mod reload;
mod replay;
