//! The options of the source `http_server`.
//!
//! The doc comments are the manual: the schema quotes them, and problems quote their first sentence.

use super::source::{HEALTH_PATH, HttpServer, Settings};
use pipeline_core::options::Problem;
use pipeline_core::{
    AckLevel, BuildError, Component, ParseContext, Resource, Source, SourceConfig, SourceContext,
    async_trait, inventory, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::net::SocketAddr;

/// Largest request body an `http_server` takes unless told otherwise, in bytes.
pub const DEFAULT_MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

inventory::submit! {
    Component::<dyn SourceConfig>::new(
        "http_server",
        "Takes events over HTTP: a JSON object, a JSON array, or one JSON event a line (NDJSON).",
        || schemars::schema_for!(HttpServerOptions),
        parse,
    )
    .version(env!("CARGO_PKG_VERSION"))
}

/// Takes events over HTTP: a JSON object, a JSON array, or one JSON event a line (NDJSON).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpServerOptions {
    /// The address to listen on. Default: `127.0.0.1:8080`. Example: `127.0.0.1:9000`.
    #[serde(default = "default_address")]
    address: String,
    /// Whether `address` may be reachable from other machines; nothing here asks who is calling. Default: `false`.
    #[serde(default)]
    allow_non_loopback: bool,
    /// The path that takes events. Default: `/v1/events`.
    #[serde(default = "default_path")]
    path: String,
    /// The largest request body, in bytes. Default: 5242880 (5 MiB).
    #[serde(default = "default_max_body_bytes")]
    #[schemars(range(min = 1, max = 104_857_600))]
    max_body_bytes: usize,
    /// When a request is answered: `buffered` once its events are in the buffers (synced, where they are on disk), `end_to_end` once each is delivered, filtered or a dead letter. An answer that takes more than 60 seconds is 503 with `Retry-After`; the events are held all the same, and sending them again repeats their event ids. Default: `buffered`.
    #[serde(default)]
    acknowledgements: Acknowledgements,
}

/// When a request is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Acknowledgements {
    /// When its events are in the buffers.
    #[default]
    Buffered,
    /// When every event has met its final fate.
    EndToEnd,
}

fn default_address() -> String {
    "127.0.0.1:8080".to_owned()
}

fn default_path() -> String {
    "/v1/events".to_owned()
}

fn default_max_body_bytes() -> usize {
    DEFAULT_MAX_BODY_BYTES
}

fn parse(options: &Value, _: &ParseContext) -> Result<Box<dyn SourceConfig>, Vec<Problem>> {
    let options = HttpServerOptions::deserialize(options).map_err(|_| {
        let problem = "cannot be read as the options of this source";
        vec![Problem::new("", problem, "what its schema describes")]
    })?;
    let address = listen_address(&options.address, options.allow_non_loopback);
    let path = http_path(&options.path);
    match (address, path) {
        (Ok(address), Ok(path)) => Ok(Box::new(HttpServerConfig(Settings {
            address,
            path,
            max_body_bytes: options.max_body_bytes,
            ack: match options.acknowledgements {
                Acknowledgements::Buffered => AckLevel::Buffered,
                Acknowledgements::EndToEnd => AckLevel::Final,
            },
        }))),
        (address, path) => Err([address.err(), path.err()].into_iter().flatten().collect()),
    }
}

fn listen_address(address: &str, allow_non_loopback: bool) -> Result<SocketAddr, Problem> {
    let parsed: SocketAddr = address.parse().map_err(|_| {
        let expected = "an IP address and a port: `127.0.0.1:8080`";
        Problem::new("address", "is not an address", expected)
    })?;
    if !parsed.ip().is_loopback() && !allow_non_loopback {
        let problem = "can be reached from other machines, and nothing here asks who is calling";
        let expected = "a loopback address, or `allow_non_loopback: true`";
        return Err(Problem::new("address", problem, expected));
    }
    Ok(parsed)
}

fn http_path(path: &str) -> Result<String, Problem> {
    let plain = path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
    if path.starts_with('/') && plain && path.len() > 1 && path != HEALTH_PATH {
        return Ok(path.to_owned());
    }
    let expected = "letters, digits, `-`, `_`, `.` after a `/`, and not `/health`: `/v1/events`";
    Err(Problem::new("path", "is not a path to listen on", expected))
}

/// Options that have been found good.
#[derive(Debug)]
struct HttpServerConfig(Settings);

#[async_trait]
impl SourceConfig for HttpServerConfig {
    async fn open(&self, cx: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        Ok(Box::new(HttpServer::bind(self.0.clone(), cx).await?))
    }

    fn resources(&self) -> Vec<Resource> {
        vec![Resource::Listen(self.0.address)]
    }
}
