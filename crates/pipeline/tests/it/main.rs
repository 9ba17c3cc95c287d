//! The host, driven through a sink whose answers are scripted, and the `pipeline` command.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::format_collect, reason = "short inputs, built once")]

use pipeline_sources as _;

mod api;
mod browser;
mod checkpoint;
mod clients;
mod command;
mod console;
mod crash;
#[cfg(target_os = "linux")]
mod damage;
mod dead_letters;
mod delivery;
mod destination;
#[cfg(target_os = "linux")]
mod disk_full;
#[cfg(target_os = "linux")]
mod early_signals;
mod end_to_end;
mod envelopes;
#[cfg(target_os = "linux")]
mod everything;
mod http;
mod letters;
mod log_pipelines;
mod map;
mod missing;
mod odd_answers;
mod odd_files;
mod operation;
mod outage;
mod process;
mod proxies;
mod reasons;
mod reload;
mod schema;
mod sealed;
mod setup;
mod silence;
mod soak;
mod stopping;
mod strangers;
mod tally;
mod upgrade;
mod validate;
mod validate_mistakes;
