//! What is said of a panic: its place and its thread, through the log.
//!
//! The text of a panic may quote what its code was working on: an event, or a line of the configuration with a secret in it. It is
//! never shown, whoever wrote it; the place finds it in the source. With `RUST_BACKTRACE`, the names of the functions follow.
//!
//! Invariant: no part of the panic's message is written anywhere.

use crate::output;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::thread;

/// Where cargo keeps the sources of other packages; what is in front of their names is a folder of the machine that built this.
const REGISTRY: &str = "/registry/src/";

/// Lets every panic of the process be told this way.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(
        || "an unknown place".to_owned(),
        |at| format!("{}:{}:{}", shown(at.file()), at.line(), at.column()),
    );
    let thread = thread::current();
    let name = thread.name().unwrap_or("unnamed");
    tracing::error!("thread `{name}` panicked at {place}; please report it");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        output::print_line(&backtrace.to_string());
    }
    if name == "main" {
        // It ends the process.
        output::flush();
    }
}

/// The path of a source file without the folder of the machine that built it.
fn shown(file: &str) -> &str {
    let of_package = file.split_once(REGISTRY).and_then(|(_, rest)| {
        let (_, of_package) = rest.split_once('/')?;
        Some(of_package)
    });
    of_package.unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_another_package_is_named_without_the_folder_of_the_builder() {
        for (file, expected) in [
            (
                "/home/jane/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/yaml-edit-0.3.6/src/lex.rs",
                "yaml-edit-0.3.6/src/lex.rs",
            ),
            (
                "crates/pipeline-host/src/worker.rs",
                "crates/pipeline-host/src/worker.rs",
            ),
            (
                "/rustc/abc/library/core/src/str/mod.rs",
                "/rustc/abc/library/core/src/str/mod.rs",
            ),
            ("/registry/src/", "/registry/src/"),
        ] {
            assert_eq!(shown(file), expected);
        }
    }
}
