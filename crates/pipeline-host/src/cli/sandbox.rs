//! `pipeline sandbox`, and the stand-in that a pipeline file may ask for.

use super::Failure;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:8917")]
    address: String,
    /// The only access token to take; any when left out
    #[arg(long, value_name = "TOKEN")]
    access_token: Option<String>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let _ = (&arguments.address, &arguments.access_token);
    Err(Failure::Run("this build has no sandbox".to_owned()))
}
