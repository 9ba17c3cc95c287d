//! The host, driven through a sink whose answers are scripted, and the `pipeline` command.

mod command;
mod delivery;
mod destination;
mod http;
