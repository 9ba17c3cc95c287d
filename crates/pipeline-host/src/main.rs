//! The `pipeline` command.

use meta_conversions as _;

fn main() {}
