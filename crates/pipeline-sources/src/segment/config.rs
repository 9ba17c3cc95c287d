//! The options of the source `segment`.
//!
//! The doc comments are the manual: the schema quotes them, and problems quote their first sentence.

use super::client::{Clients, Fill};
use super::keys::{self, KeyOptions};
use super::site;
use super::source::{SegmentServer, SetCookies, Settings};
use crate::http::{
    AccessOptions, TlsFiles, TlsOptions, default_address, default_max_body_bytes, listen_address,
    memory, proxies,
};
use pipeline_core::options::Problem;
use pipeline_core::{
    BuildError, Component, ParseContext, Resource, Source, SourceConfig, SourceContext,
    async_trait, inventory, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

inventory::submit! {
    Component::<dyn SourceConfig>::new(
        "segment",
        "Takes events from the clients of Segment, RudderStack and Jitsu, which only change their host name.",
        || schemars::schema_for!(SegmentOptions),
        parse,
    )
    .version(env!("CARGO_PKG_VERSION"))
    .reasons(crate::reason_words::words)
}

/// Takes events from the clients of Segment, RudderStack and Jitsu, which only change their host name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SegmentOptions {
    /// The address to listen on. Default: `127.0.0.1:8080`. Example: `127.0.0.1:9000`.
    #[serde(default = "default_address")]
    address: String,
    /// Whether `address` may be reachable from other machines; that needs `keys`. Default: `false`.
    #[serde(default)]
    allow_non_loopback: bool,
    /// The write keys that clients may send with, each with a name for the log and for dead letters. Default: none, so that every client of this machine may send. Example: `{web: "${WEB_KEY}", backend: {file: /run/secrets/key}}`.
    #[serde(default)]
    keys: BTreeMap<String, KeyOptions>,
    /// A certificate, so that clients reach this source by `https`. Default: none, plain `http`. Example: `{cert_file: /etc/ssl/events.pem, key_file: /etc/ssl/private/events.key}`.
    #[serde(default)]
    tls: Option<TlsOptions>,
    /// The origins of web pages that may send events, `*` for every one. A key can have its own. Default: none. Example: `["https://shop.example"]`.
    #[serde(default)]
    allowed_origins: Vec<String>,
    /// Further names by which clients without a write key may call this source. Default: none. Example: `[events.shop.example]`.
    #[serde(default)]
    allowed_hosts: Vec<String>,
    /// The networks of proxies whose `X-Forwarded-For` or `Forwarded` is believed, read from the right. Default: none. Example: `[10.0.0.0/8]`.
    #[serde(default)]
    trusted_proxies: Vec<String>,
    /// Whether connections of `trusted_proxies` begin with the PROXY protocol (version 1 or 2), which says for whom they are; one that does not is closed. Connections of others must not, and say it themselves. Default: `false`.
    #[serde(default)]
    proxy_protocol: bool,
    /// For which requests the connection fills `context.ip` and `context.userAgent` where an event has none: `browsers` (those with an `Origin` and an agent that begins with `Mozilla/`), `always`, or `never`. Addresses inside of a network are not filled in. Default: `browsers`.
    #[serde(default)]
    client_context: ClientContext,
    /// What is done with cookies of a first-party request. Default: nothing.
    #[serde(default)]
    cookies: CookieOptions,
    /// Where browsers reach this source: what the settings for Segment's browser client name. Default: the host of the request. Example: `https://events.shop.example`.
    #[serde(default)]
    public_url: Option<String>,
    /// The folder with the scripts of browser clients: `analytics.min.js` and others under `/analytics.js/v1/KEY/`, the parts of Segment's client under `/analytics-next/bundles/`, and `/p.js`. Default: none are served. Example: `scripts`.
    #[serde(default)]
    script_dir: Option<PathBuf>,
    /// The largest request body, in bytes, as it comes and unpacked. Default: 5242880 (5 MiB).
    #[serde(default = "default_max_body_bytes")]
    #[schemars(range(min = 1, max = 104_857_600))]
    max_body_bytes: usize,
    /// Memory that requests may take until their events are in the buffers, in bytes; what comes beyond that waits, then gets 429. Default: 67108864 (64 MiB), or what `max_body_bytes` needs if that is more.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    max_bytes_in_flight: Option<usize>,
}

/// For which requests the connection says something about the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ClientContext {
    /// For requests of browsers for a page.
    #[default]
    Browsers,
    /// For every request.
    Always,
    /// For no request.
    Never,
}

/// What is done with cookies of a first-party request.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CookieOptions {
    /// Whether Meta's cookies `_fbp` and `_fbc` fill `context.fbp` and `context.fbc` where an event has none. Browsers send them only to a host of the page's own domain. Default: `false`.
    #[serde(default)]
    read: bool,
    /// The cookies that the answer sets, for 90 days, in browsers that lack them: `fbp`, the id of a browser; `fbc`, the click of a page whose URL has an `fbclid`, also where an older click is known. Only for events that are sent and that say themselves that the visitor agreed to marketing, and with the values that they are sent with. Needs `read`. Default: none. Example: `[fbp, fbc]`.
    #[serde(default)]
    set: Vec<CookieName>,
    /// The domain for which cookies are set. Default: what was registered of the host's name, so that all hosts of the site share them (`shop.example` for `events.shop.example`). Example: `eu.shop.example`.
    #[serde(default)]
    domain: Option<String>,
}

/// A cookie of Meta's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CookieName {
    /// The id of a browser.
    Fbp,
    /// A click on an advertisement.
    Fbc,
}

impl CookieOptions {
    /// Which cookies are set, and for what.
    fn set(&self) -> Result<SetCookies, Problem> {
        if !self.set.is_empty() && !self.read {
            let problem =
                "is missing beside `set`: cookies that are not read would be set again and again";
            return Err(Problem::new("cookies.read", problem, "`true`"));
        }
        let domain = self.domain.as_deref().map(|text| {
            let expected = "a domain that somebody registered, or a name below it, without scheme and port: `shop.example`";
            let problem = "is no domain that a cookie can be for";
            site::domain(text).ok_or_else(|| Problem::new("cookies.domain", problem, expected))
        });
        let is_set = |name: &CookieName| self.set.contains(name);
        let names = [(CookieName::Fbp, "_fbp"), (CookieName::Fbc, "_fbc")];
        let names = names.into_iter().filter(|(name, _)| is_set(name));
        Ok(SetCookies {
            names: names.map(|(_, cookie)| cookie).collect(),
            domain: domain.transpose()?,
        })
    }
}

fn parse(options: &Value, cx: &ParseContext) -> Result<Box<dyn SourceConfig>, Vec<Problem>> {
    let options = SegmentOptions::deserialize(options).map_err(|_| {
        let problem = "cannot be read as the options of this source";
        vec![Problem::new("", problem, "what its schema describes")]
    })?;
    let mut problems = Vec::new();
    let has_keys = !options.keys.is_empty();
    let address = address(&options, has_keys).map_err(|problem| problems.push(problem));
    let memory = memory(options.max_bytes_in_flight, options.max_body_bytes);
    let memory = memory.map_err(|problem| problems.push(problem));
    let trusted = proxies(options.proxy_protocol, &options.trusted_proxies);
    let trusted = trusted.map_err(|more| problems.extend(more));
    let public_url = options
        .public_url
        .as_deref()
        .map(|url| scheme_and_host(url).ok_or(()))
        .transpose()
        .map_err(|()| {
            let expected = "a scheme and a host, without a path: `https://events.shop.example`";
            problems.push(Problem::new(
                "public_url",
                "is not an address of the web",
                expected,
            ));
        });
    let set_cookies = options.cookies.set();
    let set_cookies = set_cookies.map_err(|problem| problems.push(problem));
    let own = AccessOptions::new(&options.allowed_origins, &options.allowed_hosts, None);
    let own = own.map_err(|more| problems.extend(more));
    let keys = keys::plans(options.keys, &cx.base_dir).map_err(|more| problems.extend(more));
    let (Ok(address), Ok(max_bytes_in_flight), Ok((trusted, proxy_protocol))) =
        (address, memory, trusted)
    else {
        return Err(problems);
    };
    let (Ok(public_url), Ok(own), Ok(keys), Ok(set_cookies)) = (public_url, own, keys, set_cookies)
    else {
        return Err(problems);
    };
    let of_keys = keys.iter().flat_map(|key| &key.origins);
    let origins: Vec<_> = options
        .allowed_origins
        .iter()
        .chain(of_keys)
        .cloned()
        .collect();
    let pages = AccessOptions::new(&origins, &options.allowed_hosts, None)?;
    Ok(Box::new(SegmentConfig(Settings {
        address,
        own,
        pages,
        keys,
        clients: Clients {
            trusted,
            fill: match options.client_context {
                ClientContext::Browsers => Fill::Browsers,
                ClientContext::Always => Fill::Always,
                ClientContext::Never => Fill::Never,
            },
            cookies: options.cookies.read,
        },
        set_cookies,
        public_url,
        proxy_protocol,
        tls: options.tls.map(|tls| tls.files(&cx.base_dir)),
        script_dir: options.script_dir.map(|folder| cx.base_dir.join(folder)),
        max_body_bytes: options.max_body_bytes,
        max_bytes_in_flight,
    })))
}

fn address(options: &SegmentOptions, has_keys: bool) -> Result<SocketAddr, Problem> {
    let address = listen_address(&options.address, options.allow_non_loopback, "`keys`")?;
    if options.allow_non_loopback && !has_keys {
        let problem = "are missing, so that whoever reaches the address could send events";
        let expected = "`keys` beside `allow_non_loopback: true`: `{ web: \"${WEB_KEY}\" }`";
        return Err(Problem::new("keys", problem, expected));
    }
    Ok(address)
}

/// The two parts of an address of the web without a path.
fn scheme_and_host(url: &str) -> Option<(String, String)> {
    let (scheme, host) = url.trim_end_matches('/').split_once("://")?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
    let is_good = matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(known);
    is_good.then(|| (scheme.to_owned(), host.to_owned()))
}

/// Options that have been found good.
#[derive(Debug)]
struct SegmentConfig(Settings);

#[async_trait]
impl SourceConfig for SegmentConfig {
    async fn open(&self, cx: SourceContext) -> Result<Box<dyn Source>, BuildError> {
        Ok(Box::new(SegmentServer::bind(self.0.clone(), cx).await?))
    }

    fn resources(&self) -> Vec<Resource> {
        vec![Resource::Listen(self.0.address)]
    }

    fn check(&self) -> Vec<Problem> {
        let problem = self.0.tls.as_ref().and_then(TlsFiles::check);
        problem.into_iter().collect()
    }

    fn clients_forget(&self) -> bool {
        true
    }
}
