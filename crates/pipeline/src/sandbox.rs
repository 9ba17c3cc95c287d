//! `pipeline sandbox`, and the section `sandbox` of a pipeline file: a stand-in for the Graph API.

use async_trait::async_trait;
use clap::builder::{StringValueParser, TypedValueParser as _};
use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};
use graph_sandbox::{Sandbox, SandboxOptions, Summary};
use pipeline_cli::{Companion, Extension, Failure, ProgramSection, Signals, print, print_line};
use pipeline_core::options::Problem;
use pipeline_core::{Resource, SensitiveString};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::ExitCode;

const NAME: &str = "sandbox";

#[derive(Debug, clap::Args)]
struct Arguments {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:8917")]
    address: SocketAddr,
    /// The only access token to take; any when left out
    #[arg(long, value_name = "TOKEN", value_parser = StringValueParser::new().map(SensitiveString::from))]
    access_token: Option<SensitiveString>,
    /// The secret of the token's app: every call then needs the `appsecret_proof` that goes with it
    #[arg(long, value_name = "SECRET", value_parser = StringValueParser::new().map(SensitiveString::from))]
    app_secret: Option<SensitiveString>,
    /// Refuse website events without `event_source_url` and `client_user_agent`, as Meta's documentation has it
    #[arg(long)]
    require_website_fields: bool,
}

/// A stand-in for the destination's API, served by this process while the pipeline runs. Default: none. Example: `{ address: "127.0.0.1:8917", access_token: demo }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SectionOptions {
    /// The address it listens on. Default: `127.0.0.1:8917`.
    #[serde(default = "default_address")]
    address: String,
    /// The only access token it takes. Default: any. Example: `${META_ACCESS_TOKEN:-demo}`.
    #[serde(default)]
    access_token: Option<SensitiveString>,
}

fn default_address() -> String {
    "127.0.0.1:8917".to_owned()
}

/// Adds the stand-in to the command.
pub(crate) struct SandboxExtension;

#[async_trait]
impl Extension for SandboxExtension {
    fn command(&self) -> Option<Command> {
        let command = Command::new(NAME);
        let command = Arguments::augment_args(command);
        Some(command.about("Serve a stand-in for the Graph API until interrupted"))
    }

    async fn run(&self, matches: &ArgMatches) -> Result<ExitCode, Failure> {
        let arguments = Arguments::from_arg_matches(matches)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let mut signals = Signals::new()?;
        let sandbox = serve(SandboxOptions {
            require_website_fields: arguments.require_website_fields,
            app_secret: arguments
                .app_secret
                .map(|secret| secret.expose().to_owned()),
            ..options(arguments.address, arguments.access_token.as_ref())
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

    fn section(&self) -> Option<ProgramSection> {
        Some(ProgramSection {
            name: NAME,
            schema: schemars::schema_for!(SectionOptions).to_value(),
        })
    }

    fn check(&self, options: &Value) -> Vec<Problem> {
        read(options).err().into_iter().collect()
    }

    fn resources(&self, options: &Value) -> Vec<Resource> {
        let address = read(options).ok().map(|(address, _)| address);
        address.map(Resource::Listen).into_iter().collect()
    }

    async fn start(&self, options: &Value) -> Result<Option<Box<dyn Companion>>, Failure> {
        let (address, token) =
            read(options).map_err(|problem| Failure::Run(problem.to_string()))?;
        let sandbox = serve(self::options(address, token.as_ref())).await?;
        Ok(Some(Box::new(Running(sandbox))))
    }
}

struct Running(Sandbox);

#[async_trait]
impl Companion for Running {
    fn describe(&self) -> String {
        describe(&self.0.summary())
    }

    async fn stop(self: Box<Self>) {
        self.0.stop().await;
    }
}

/// The address and the token of a section.
fn read(options: &Value) -> Result<(SocketAddr, Option<SensitiveString>), Problem> {
    let options: SectionOptions = serde_json::from_value(options.clone()).map_err(|_| {
        let expected = "what `pipeline schema` describes";
        Problem::new("", "cannot be read", expected)
    })?;
    let expected = "an IP address and a port: `127.0.0.1:8080`";
    let address = options.address.parse();
    let address = address.map_err(|_| Problem::new("address", "is not an address", expected))?;
    Ok((address, options.access_token))
}

fn options(address: SocketAddr, token: Option<&SensitiveString>) -> SandboxOptions {
    let tokens = token.into_iter().filter(|token| !token.is_empty());
    SandboxOptions {
        address,
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
fn describe(summary: &Summary) -> String {
    format!(
        "Sandbox: {} events accepted in {} requests, {} duplicates, {} refused\n",
        summary.accepted, summary.requests, summary.duplicates, summary.refused
    )
}
