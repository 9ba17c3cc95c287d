//! The `pipeline` command.
//!
//! The plugins it comes with are named here and nowhere else: a crate that nothing names is not linked.

mod cli;

use meta_conversions as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
