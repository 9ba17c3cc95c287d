//! The `pipeline` command with the plugins that come with it.
//!
//! The plugins are named here and nowhere else: a crate that nothing names is not linked.

mod sandbox;

use meta_conversions as _;
use pipeline_sources as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let [api, console, status, top, tap, pause, resume] = pipeline_api::EXTENSIONS;
    let sandbox = &sandbox::SandboxExtension;
    pipeline_cli::main(&[sandbox, api, console, status, top, tap, pause, resume])
}
