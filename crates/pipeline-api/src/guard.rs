//! Which requests are answered at all.
//!
//! Three things can reach an address of this machine: programs, the browser of a person, and pages in that browser that a
//! stranger wrote. The last are kept out in two ways: a page that calls the interface by a name of its own (DNS rebinding)
//! names a foreign host, and one that calls it across sites is announced by the browser. Where a token is configured,
//! programs have to bring it too.
//!
//! Invariant: a refusal says nothing about the token, and a comparison takes the same time whatever was guessed.

use crate::pages::is_page;
use crate::setup;
use axum::http::{HeaderMap, Method, StatusCode, header};
use pipeline_core::SensitiveString;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

/// Wrong tokens within [`FAILURE_TIME`] after which none is looked at.
const MAX_FAILURES: usize = 10;
/// How long a wrong token is remembered.
const FAILURE_TIME: Duration = Duration::from_secs(60);

/// Paths that tell only whether the process is well: for load balancers and probes, which bring no token.
const PROBES: [&str; 2] = ["/health", "/ready"];
/// Paths that take a body and change nothing.
const READS: [&str; 2] = [setup::VALIDATE, setup::MAP];
/// The path of the metrics, which a scraper asks for.
pub(crate) const METRICS: &str = "/metrics";

/// Decides which requests are answered.
#[derive(Debug)]
pub(crate) struct Guard {
    ip: IpAddr,
    is_local: bool,
    hosts: Vec<String>,
    token: Option<SensitiveString>,
    /// Whether nothing can be changed.
    read_only: bool,
    failures: Mutex<VecDeque<Instant>>,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
}

impl Refused {
    const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
        }
    }
}

impl Guard {
    pub(crate) fn new(
        address: SocketAddr,
        hosts: Vec<String>,
        token: Option<SensitiveString>,
        read_only: bool,
    ) -> Self {
        let ip = address.ip().to_canonical();
        Self {
            ip,
            is_local: ip.is_loopback(),
            hosts,
            token,
            read_only,
            failures: Mutex::default(),
        }
    }

    /// Whether a request is answered. `authority` is the host of its target, where it is an absolute one. What changes
    /// something always needs a token.
    pub(crate) fn check(
        &self,
        method: &Method,
        path: &str,
        authority: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<(), Refused> {
        let named = value(headers, &header::HOST);
        let is_allowed = |host: Option<&str>| host.is_some_and(|host| self.is_our_name(host));
        if !is_allowed(named) || (authority.is_some() && !is_allowed(authority)) {
            return Err(Refused::new(
                StatusCode::MISDIRECTED_REQUEST,
                "foreign_host",
                "the request names another host; allowed names are in `api.hosts`",
            ));
        }
        let is_probe = PROBES.contains(&path);
        if !is_probe && path != METRICS && is_foreign(headers, named.unwrap_or_default()) {
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "cross_site",
                "the request comes from a page of another site",
            ));
        }
        let changes = !method.is_safe() && !READS.contains(&path);
        if changes && self.read_only {
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "read_only",
                "nothing can be changed here: `api.read_only` is set",
            ));
        }
        let is_free = is_probe || is_page(path) || (self.is_local && path == METRICS);
        match &self.token {
            Some(token) if changes || !is_free => self.check_token(token, headers),
            None if changes => Err(Refused::new(
                StatusCode::FORBIDDEN,
                "no_token",
                "what changes something needs a token; configure `api.token` or `api.token_file`",
            )),
            _ => Ok(()),
        }
    }

    /// Whether a host, with or without a port, is this machine. An address is never the name of a stranger's page.
    fn is_our_name(&self, host: &str) -> bool {
        let name = without_port(host);
        let ip: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
        if let Some(ip) = ip.map(|ip| ip.to_canonical()) {
            return ip.is_loopback() || ip == self.ip || !self.is_local;
        }
        name.eq_ignore_ascii_case("localhost")
            || self
                .hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
    }

    fn check_token(&self, token: &SensitiveString, headers: &HeaderMap) -> Result<(), Refused> {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        while failures.front().is_some_and(|at| now - *at >= FAILURE_TIME) {
            failures.pop_front();
        }
        if failures.len() >= MAX_FAILURES {
            return Err(Refused::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_failures",
                "too many wrong tokens; try again in a minute",
            ));
        }
        let refused = |message| Refused::new(StatusCode::UNAUTHORIZED, "token_needed", message);
        let given = value(headers, &header::AUTHORIZATION).and_then(bearer);
        let Some(given) = given else {
            return Err(refused("send the token as `Authorization: Bearer …`"));
        };
        if bool::from(given.as_bytes().ct_eq(token.expose().as_bytes())) {
            return Ok(());
        }
        failures.push_back(now);
        Err(refused("the token is wrong"))
    }
}

/// Whether a browser says that a page of another site makes the request.
fn is_foreign(headers: &HeaderMap, host: &str) -> bool {
    let is_cross_site = headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let is_other_origin = headers.get_all(header::ORIGIN).iter().any(|origin| {
        let of = origin.to_str().ok();
        let of = of.and_then(|origin| {
            let plain = origin.strip_prefix("http://");
            plain.or_else(|| origin.strip_prefix("https://"))
        });
        of.is_none_or(|origin| !origin.eq_ignore_ascii_case(host))
    });
    is_cross_site || is_other_origin
}

/// The only value of a header; a header that comes twice has none.
fn value<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn without_port(host: &str) -> &str {
    let port = host.rsplit_once(':');
    let port = port.filter(|(name, port)| {
        !name.is_empty()
            && (!name.contains(':') || name.ends_with(']'))
            && port.bytes().all(|b| b.is_ascii_digit())
    });
    port.map_or(host, |(name, _)| name)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";
    const STATUS: &str = "/api/v1/status";

    fn guard(address: &str, token: Option<&str>) -> Guard {
        let hosts = vec!["Pipeline.internal".to_owned()];
        let token = token.map(|token| SensitiveString::from(token.to_owned()));
        Guard::new(address.parse().unwrap(), hosts, token, false)
    }

    fn status(guard: &Guard, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let checked = guard.check(&Method::GET, path, None, &map);
        checked.map_or_else(|refused| refused.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let local = guard("127.0.0.1:8686", None);
        for (host, expected) in [
            ("127.0.0.1:8686", 200),
            ("127.0.0.1", 200),
            ("localhost:1", 200),
            ("LOCALHOST", 200),
            ("[::1]:8686", 200),
            ("[::1]", 200),
            ("pipeline.INTERNAL:8686", 200),
            ("pipeline.internal.evil.example", 421),
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example:8686", 421),
            ("localhost:8686:1", 421),
            ("10.0.0.1", 421),
            ("", 421),
            (":80", 421),
        ] {
            for path in ["/health", "/metrics", STATUS] {
                assert_eq!(status(&local, path, &[("host", host)]), expected, "{host}");
            }
        }
        assert_eq!(status(&local, STATUS, &[]), 421);
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(status(&local, STATUS, &twice), 421);
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        assert!(
            local
                .check(&Method::GET, STATUS, Some("evil.example"), &headers)
                .is_err()
        );
        assert!(
            local
                .check(&Method::GET, STATUS, Some("localhost:8686"), &headers)
                .is_ok()
        );
        let open = guard("0.0.0.0:8686", Some(TOKEN));
        assert_eq!(status(&open, "/ready", &[("host", "10.1.2.3:8686")]), 200);
        assert_eq!(status(&open, "/ready", &[("host", "evil.example")]), 421);
    }

    #[test]
    fn pages_of_other_sites_get_nothing_but_health_and_metrics() {
        let local = guard("127.0.0.1:8686", None);
        let host = ("host", "127.0.0.1:8686");
        for (header, expected) in [
            (("sec-fetch-site", "same-origin"), 200),
            (("sec-fetch-site", "none"), 200),
            (("sec-fetch-site", "cross-site"), 403),
            (("sec-fetch-site", "same-site"), 403),
            (("sec-fetch-site", ""), 403),
            (("origin", "http://127.0.0.1:8686"), 200),
            (("origin", "http://127.0.0.1:9999"), 403),
            (("origin", "http://evil.example"), 403),
            (("origin", "null"), 403),
        ] {
            assert_eq!(
                status(&local, STATUS, &[host, header]),
                expected,
                "{header:?}"
            );
            for path in ["/health", "/ready", METRICS] {
                assert_eq!(status(&local, path, &[host, header]), 200, "{header:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_needed_where_one_is_configured_and_guessing_ends() {
        let local = guard("127.0.0.1:8686", Some(TOKEN));
        let open = guard("10.0.0.1:8686", Some(TOKEN));
        let host = ("host", "10.0.0.1");
        let right = format!("Bearer {TOKEN}");
        assert_eq!(status(&local, METRICS, &[("host", "localhost")]), 200);
        assert_eq!(status(&local, STATUS, &[("host", "localhost")]), 401);
        assert_eq!(status(&open, "/health", &[host]), 200);
        assert_eq!(status(&open, METRICS, &[host]), 401);
        assert_eq!(
            status(&open, STATUS, &[host, ("authorization", &right)]),
            200
        );
        // Without a token nothing was guessed.
        for _ in 0..20 {
            assert_eq!(status(&open, STATUS, &[host]), 401);
        }
        for wrong in ["Bearer x", "bearer 0123456789abcdeg", "Bearer "]
            .iter()
            .cycle()
            .take(10)
        {
            assert_eq!(
                status(&open, STATUS, &[host, ("authorization", wrong)]),
                401
            );
        }
        assert_eq!(
            status(&open, STATUS, &[host, ("authorization", &right)]),
            429
        );
        assert_eq!(status(&open, "/ready", &[host]), 200);
        tokio::time::advance(FAILURE_TIME).await;
        assert_eq!(
            status(&open, STATUS, &[host, ("authorization", &right)]),
            200
        );
    }

    #[tokio::test]
    async fn the_pages_come_without_the_token_and_only_to_this_site() {
        let local = guard("127.0.0.1:8686", Some(TOKEN));
        let host = ("host", "127.0.0.1:8686");
        for path in ["/", "/events", "/setup", "/assets/console.js"] {
            assert_eq!(status(&local, path, &[host]), 200, "{path}");
            let foreign = [("host", "evil.example")];
            assert_eq!(status(&local, path, &foreign), 421, "{path}");
            let cross_site = [host, ("sec-fetch-site", "cross-site")];
            assert_eq!(status(&local, path, &cross_site), 403, "{path}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        assert!(
            local
                .check(&Method::POST, "/events", None, &headers)
                .is_err()
        );
    }

    #[tokio::test]
    async fn what_changes_something_always_needs_a_token() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        let path = "/api/v1/sinks/meta/pause";
        let post = |guard: &Guard, headers: &HeaderMap| {
            let checked = guard.check(&Method::POST, path, None, headers);
            checked.map_or_else(|refused| refused.status.as_u16(), |()| 200)
        };
        assert_eq!(post(&guard("127.0.0.1:1", None), &headers), 403);
        let with_token = guard("127.0.0.1:1", Some(TOKEN));
        assert_eq!(post(&with_token, &headers), 401);
        let right = format!("Bearer {TOKEN}");
        headers.insert("authorization", right.parse().unwrap());
        assert_eq!(post(&with_token, &headers), 200);
        headers.insert("origin", "http://evil.example".parse().unwrap());
        assert_eq!(post(&with_token, &headers), 403);
    }
}
