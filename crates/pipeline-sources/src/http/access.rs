//! Who may send: which `Host` and `Origin` a request may name, and which secret it has to show.
//!
//! A browser sends requests for any page that somebody opens, to addresses that only its machine can reach. So a request
//! of a page is refused unless its origin is allowed, a name that could lead here by a trick of DNS is refused unless it is
//! allowed, and a media type that browsers send without asking first is refused from them.
//!
//! Invariant: no request that a browser makes for a page of a foreign origin is taken, unless the options allow it.

use super::media::Format;
use super::refusal::Refusal;
use super::secret::{Expected, LOOK_PAUSE, Secret};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use pipeline_core::BuildError;
use pipeline_core::options::Problem;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// Origins or hosts that the options may list.
const MAX_LISTED: usize = 1000;
/// How long a browser may remember an answer about CORS, in seconds: what the strictest one allows.
const PREFLIGHT_SECS: u16 = 7200;
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

/// What the options allow.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessOptions {
    origins: Vec<String>,
    any_origin: bool,
    hosts: Vec<String>,
    secret: Option<Secret>,
}

/// Who may send to a source.
#[derive(Debug)]
pub(crate) struct Access {
    listens_on: IpAddr,
    origins: Vec<String>,
    any_origin: bool,
    hosts: Vec<String>,
    secret: Option<Expected>,
}

impl AccessOptions {
    /// Checks the options.
    pub(crate) fn new(
        origins: &[String],
        hosts: &[String],
        secret: Option<Secret>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut options = Self {
            secret,
            any_origin: origins.iter().any(|origin| origin == "*"),
            ..Self::default()
        };
        for (index, text) in origins.iter().enumerate().take(MAX_LISTED) {
            match origin(text) {
                _ if text == "*" => {}
                Some(origin) => options.origins.push(origin),
                None => {
                    let expected = "a scheme, a host, and a port where it has one: `https://shop.example`; or `*`";
                    let path = format!("allowed_origins[{index}]");
                    problems.push(Problem::new(path, "is not an origin", expected));
                }
            }
        }
        for (index, text) in hosts.iter().enumerate().take(MAX_LISTED) {
            if is_host(text) {
                options.hosts.push(text.to_ascii_lowercase());
            } else {
                let expected = "a name without scheme, port or path: `events.shop.example`";
                let path = format!("allowed_hosts[{index}]");
                problems.push(Problem::new(path, "is not a host", expected));
            }
        }
        if problems.is_empty() {
            Ok(options)
        } else {
            Err(problems)
        }
    }

    /// Reads what has to be read before a source can ask for it.
    pub(crate) fn open(self, source: &str, address: SocketAddr) -> Result<Access, BuildError> {
        Ok(Access {
            listens_on: address.ip(),
            origins: self.origins,
            any_origin: self.any_origin,
            hosts: self.hosts,
            secret: self.secret.map(|secret| secret.open(source)).transpose()?,
        })
    }
}

impl Access {
    /// Refuses a request that may not send.
    pub(crate) fn check(&self, request: &Request<Body>) -> Result<(), Refusal> {
        let headers = request.headers();
        self.check_page(headers)?;
        if let Some(secret) = &self.secret {
            // Who knows the secret was not led here by a trick: pages cannot know it.
            return secret.check(headers, request.uri().query());
        }
        self.check_host(request)
    }

    /// Reads the secret of the source of this name again each time that its file has changed.
    pub(crate) async fn follow(&self, source: &str) -> Infallible {
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            if let Some(secret) = &self.secret {
                secret.look(source);
            }
        }
    }

    /// Refuses a request of a page whose origin is not allowed.
    pub(crate) fn check_page(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.is_allowed(headers) {
            return Ok(());
        }
        Self::check_origin(headers)
    }

    /// Refuses what browsers send for any page without asking first, unless the page is allowed.
    pub(crate) fn check_format(&self, format: Format, headers: &HeaderMap) -> Result<(), Refusal> {
        let asks_first = format == Format::Json && headers.contains_key(header::CONTENT_TYPE);
        if asks_first || !is_browser(headers) || self.is_allowed(headers) {
            return Ok(());
        }
        let message = "a browser may send this type of body only for a page whose origin is in `allowed_origins`";
        Err(Refusal::new(403, "foreign_origin", message))
    }

    /// The answer to a browser that asks what it may send, where a page may send at all.
    pub(crate) fn preflight(&self, request: &Request<Body>) -> Option<Response> {
        let headers = request.headers();
        let asks = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.is_allowed(headers);
        asks.then(|| {
            let mut answer = StatusCode::NO_CONTENT.into_response();
            let to = answer.headers_mut();
            let methods = HeaderValue::from_static("POST");
            to.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            // Whatever it asks for: what headers say is checked when they come.
            if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                to.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            to.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECS.into());
            if headers.contains_key(PRIVATE_NETWORK) {
                to.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
            }
            answer
        })
    }

    /// The origin whose page may read the answer.
    pub(crate) fn reader(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let allowed = self.is_allowed(headers);
        headers.get(header::ORIGIN).filter(|_| allowed).cloned()
    }

    /// Lets a page of this origin read an answer.
    pub(crate) fn let_read(answer: &mut Response, origin: Option<HeaderValue>) {
        let Some(origin) = origin else { return };
        let to = answer.headers_mut();
        to.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        to.append(header::VARY, HeaderValue::from_static("origin"));
        // Beacons send cookies whether they are asked to or not; nothing here reads them.
        let yes = HeaderValue::from_static("true");
        to.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        let retry_after = HeaderValue::from_static("retry-after");
        to.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, retry_after);
    }

    /// Whether the request is of a page whose origin is allowed.
    pub(crate) fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let named = headers
            .get(header::ORIGIN)
            .and_then(|value| value.to_str().ok());
        named.is_some_and(|named| {
            self.any_origin
                || self
                    .origins
                    .iter()
                    .any(|origin| origin.eq_ignore_ascii_case(named))
        })
    }

    fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
        let foreign = || {
            let message = "the request is of a web page whose origin is not in `allowed_origins`";
            Err(Refusal::new(403, "foreign_origin", message))
        };
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        match headers.get(header::ORIGIN).map(HeaderValue::as_bytes) {
            // Pages of the same origin: whether the host is right is asked as well.
            Some(origin) => match origin.strip_prefix(b"http://") {
                Some(of) if host.is_some_and(|host| host.eq_ignore_ascii_case(of)) => Ok(()),
                _ => foreign(),
            },
            None => match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
                Some(b"cross-site" | b"same-site") => foreign(),
                _ => Ok(()),
            },
        }
    }

    /// Refuses a request for a host that the source is not known as.
    pub(crate) fn check_host(&self, request: &Request<Body>) -> Result<(), Refusal> {
        let header = request.headers().get(header::HOST);
        let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let target = request.uri().host();
        // A client of HTTP/1.0 may name none; browsers always do.
        let named = header
            .as_deref()
            .map(without_port)
            .into_iter()
            .chain(target);
        for host in named {
            if !self.is_host_allowed(host) {
                let message = "the request is for a host that this source is not known as; expected an address that it \
                               listens on, or a name in `allowed_hosts`";
                return Err(Refusal::new(421, "foreign_host", message));
            }
        }
        Ok(())
    }

    fn is_host_allowed(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let bare = bare.strip_suffix('.').unwrap_or(bare);
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            // No trick of DNS makes a browser say an address that it was not told.
            return self.listens_on.is_unspecified()
                || address == self.listens_on.to_canonical()
                || (address.is_loopback() && self.listens_on.to_canonical().is_loopback())
                || self.hosts.iter().any(|host| host == bare);
        }
        bare.eq_ignore_ascii_case("localhost")
            || self
                .hosts
                .iter()
                .any(|host| host.eq_ignore_ascii_case(bare))
    }
}

/// Whether a browser sends the request for a page.
fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
    headers.contains_key(header::ORIGIN)
        || headers.contains_key(SEC_FETCH_SITE)
        || agent.is_some_and(|agent| agent.starts_with(b"Mozilla/"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The last part of an IPv6 address without brackets is no port, and an address must not be written so.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// An origin as browsers write it.
fn origin(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, host) = text.split_once("://")?;
    let schemes = [
        "http",
        "https",
        "chrome-extension",
        "moz-extension",
        "capacitor",
        "ionic",
        "app",
    ];
    (schemes.contains(&scheme) && is_host(without_port(host))).then_some(text)
}

fn is_host(text: &str) -> bool {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let is_name = |text: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !text.is_empty() && text.len() <= 253 && text.bytes().all(known)
    };
    bare.map_or_else(|| is_name(text), |bare| bare.parse::<IpAddr>().is_ok())
        || text.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests;
