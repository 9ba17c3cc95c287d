//! The options of the source `http_server`.
//!
//! The doc comments are the manual: the schema quotes them, and problems quote their first sentence.

use super::envelope::Envelope;
use super::source::{HEALTH_PATH, HttpServer, Settings};
use crate::http::{
    AccessOptions, DEFAULT_MAX_BODY_BYTES, SecretOptions, TlsFiles, TlsOptions, default_address,
    listen_address, memory, proxies,
};
use pipeline_core::options::Problem;
use pipeline_core::{
    AckLevel, BuildError, Component, ParseContext, Resource, Source, SourceConfig, SourceContext,
    async_trait, inventory, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Largest request body of Firehose unless told otherwise, in bytes: a buffer of 5 MiB in base64, and what is around it.
const FIREHOSE_MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

inventory::submit! {
    Component::<dyn SourceConfig>::new(
        "http_server",
        "Takes events over HTTP: a JSON object, a JSON array, or one JSON event a line (NDJSON).",
        || schemars::schema_for!(HttpServerOptions),
        parse,
    )
    .version(env!("CARGO_PKG_VERSION"))
    .reasons(crate::reason_words::words)
}

/// Takes events over HTTP: a JSON object, a JSON array, or one JSON event a line (NDJSON).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpServerOptions {
    /// The address to listen on. Default: `127.0.0.1:8080`. Example: `127.0.0.1:9000`.
    #[serde(default = "default_address")]
    address: String,
    /// Whether `address` may be reachable from other machines; that needs a `secret`. Default: `false`.
    #[serde(default)]
    allow_non_loopback: bool,
    /// What clients have to show in a header of every request. Default: nothing.
    #[serde(default)]
    secret: Option<SecretOptions>,
    /// A certificate, so that clients reach this source by `https`. Default: none, plain `http`. Example: `{cert_file: /etc/ssl/events.pem, key_file: /etc/ssl/private/events.key}`.
    #[serde(default)]
    tls: Option<TlsOptions>,
    /// The origins of web pages that may send events, `*` for every one. Default: none. Example: `["https://shop.example"]`.
    #[serde(default)]
    allowed_origins: Vec<String>,
    /// Further names by which clients may call this source, for instance behind a proxy that keeps the name. Addresses that it listens on, `localhost`, and clients that show the `secret` are allowed anyway. Default: none. Example: `[events.shop.example]`.
    #[serde(default)]
    allowed_hosts: Vec<String>,
    /// The networks of proxies whose `X-Forwarded-For` or `Forwarded` is believed, read from the right. Default: none. Example: `[10.0.0.0/8]`.
    #[serde(default)]
    trusted_proxies: Vec<String>,
    /// Whether connections of `trusted_proxies` begin with the PROXY protocol (version 1 or 2), which says for whom they are; one that does not is closed. Connections of others must not, and say it themselves. Default: `false`.
    #[serde(default)]
    proxy_protocol: bool,
    /// The path that takes events. Default: `/v1/events`.
    #[serde(default = "default_path")]
    path: String,
    /// What events come wrapped in: `cloudevents`, `pubsub` (pushes of Google Cloud Pub/Sub) or `firehose` (Amazon Data Firehose, HTTP endpoint). An element that cannot be unpacked is rejected alone; a body that is no such envelope gets 422. Default: `none`.
    #[serde(default)]
    envelope: Envelope,
    /// The largest request body, in bytes, as it comes and unpacked. Default: 5242880 (5 MiB); with `envelope: firehose` 16777216 (16 MiB), because base64 makes its buffer of 5 MiB larger.
    #[serde(default)]
    #[schemars(range(min = 1, max = 104_857_600))]
    max_body_bytes: Option<usize>,
    /// Memory that requests may take until their events are in the buffers, in bytes; what comes beyond that waits, then gets 503. Default: 67108864 (64 MiB), or what `max_body_bytes` needs if that is more.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    max_bytes_in_flight: Option<usize>,
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
    /// When the final fate of every event is known.
    EndToEnd,
}

fn default_path() -> String {
    "/v1/events".to_owned()
}

fn parse(options: &Value, cx: &ParseContext) -> Result<Box<dyn SourceConfig>, Vec<Problem>> {
    let options = HttpServerOptions::deserialize(options).map_err(|_| {
        let problem = "cannot be read as the options of this source";
        vec![Problem::new("", problem, "what its schema describes")]
    })?;
    let mut problems = Vec::new();
    let mut found = |problem| problems.push(problem);
    let address = listen_address(&options.address, options.allow_non_loopback, "a `secret`");
    let address = address.map_err(&mut found);
    if options.allow_non_loopback && options.secret.is_none() {
        let problem = "is missing, so that whoever reaches the address could send events";
        let expected =
            "a `secret` beside `allow_non_loopback: true`: `{ value: \"${PIPELINE_SECRET}\" }`";
        found(Problem::new("secret", problem, expected));
    }
    let path = http_path(&options.path).map_err(&mut found);
    let max_body_bytes = options.max_body_bytes.unwrap_or(match options.envelope {
        Envelope::Firehose => FIREHOSE_MAX_BODY_BYTES,
        _ => DEFAULT_MAX_BODY_BYTES,
    });
    let memory = memory(options.max_bytes_in_flight, max_body_bytes).map_err(&mut found);
    let secret = options
        .secret
        .map(|secret| secret.check(&cx.base_dir, options.envelope.shown()))
        .transpose();
    let secret = secret.map_err(&mut found).unwrap_or_default();
    let access = AccessOptions::new(&options.allowed_origins, &options.allowed_hosts, secret);
    let access = access.map_err(|more| problems.extend(more));
    let proxies = proxies(options.proxy_protocol, &options.trusted_proxies);
    let proxies = proxies.map_err(|more| problems.extend(more));
    match (address, path, memory, access, proxies) {
        (
            Ok(address),
            Ok(path),
            Ok(max_bytes_in_flight),
            Ok(access),
            Ok((trusted, proxy_protocol)),
        ) if problems.is_empty() => Ok(Box::new(HttpServerConfig(Settings {
            address,
            path,
            envelope: options.envelope,
            max_body_bytes,
            max_bytes_in_flight,
            access,
            trusted,
            proxy_protocol,
            tls: options.tls.map(|tls| tls.files(&cx.base_dir)),
            ack: match options.acknowledgements {
                Acknowledgements::Buffered => AckLevel::Buffered,
                Acknowledgements::EndToEnd => AckLevel::Final,
            },
        }))),
        _ => Err(problems),
    }
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

    fn check(&self) -> Vec<Problem> {
        let problem = self.0.tls.as_ref().and_then(TlsFiles::check);
        problem.into_iter().collect()
    }
}
