//! `pipeline sandbox`, and the stand-in that a pipeline file may ask for.

use super::progress::print_line;
use super::run::Signals;
use super::{Failure, print};
use clap::builder::{StringValueParser, TypedValueParser as _};
use graph_sandbox::{Sandbox, SandboxOptions, Summary};
use pipeline_core::SensitiveString;
use pipeline_host::config::SandboxPlan;
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:8917")]
    address: SocketAddr,
    /// The only access token to take; any when left out
    #[arg(long, value_name = "TOKEN", value_parser = StringValueParser::new().map(SensitiveString::from))]
    access_token: Option<SensitiveString>,
    /// Refuse website events without `event_source_url` and `client_user_agent`, as Meta's documentation has it
    #[arg(long)]
    require_website_fields: bool,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    let plan = SandboxPlan {
        address: arguments.address,
        access_token: arguments.access_token.clone(),
    };
    let sandbox = serve(SandboxOptions {
        require_website_fields: arguments.require_website_fields,
        ..options(&plan)
    })
    .await?;
    print_line(&format!(
        "the sandbox listens on {}; stop it with Ctrl-C",
        sandbox.url()
    ));
    signals.next().await;
    let text = describe(&sandbox.summary());
    sandbox.stop().await;
    print(&text)
}

/// Starts the stand-in that a pipeline file asks for.
pub(super) async fn start(plan: &SandboxPlan) -> Result<Sandbox, Failure> {
    serve(options(plan)).await
}

fn options(plan: &SandboxPlan) -> SandboxOptions {
    let tokens = plan.access_token.iter().filter(|token| !token.is_empty());
    SandboxOptions {
        address: plan.address,
        access_tokens: tokens.map(|token| token.expose().to_owned()).collect(),
        ..SandboxOptions::default()
    }
}

async fn serve(options: SandboxOptions) -> Result<Sandbox, Failure> {
    Sandbox::start(options).await.map_err(|error| {
        let graph_sandbox::StartError::Listen { source, .. } = &error else {
            return Failure::Run(error.to_string());
        };
        Failure::Run(format!("{error}: {source}"))
    })
}

/// What the stand-in has taken.
pub(super) fn describe(summary: &Summary) -> String {
    format!(
        "Sandbox: {} events accepted in {} requests, {} duplicates, {} refused\n",
        summary.accepted, summary.requests, summary.duplicates, summary.refused
    )
}
