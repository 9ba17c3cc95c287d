//! Who sent a request: the address behind proxies that are trusted, and what the connection of a browser says about its
//! events.
//!
//! Invariant: an address that is not a public one is not passed on as a visitor's.

use crate::http::Proxies;
use axum::http::{HeaderMap, HeaderValue, header};
use pipeline_core::Meta;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A longer `User-Agent` is not passed on.
const MAX_USER_AGENT_BYTES: usize = 1024;
/// A longer cookie is not one of Meta's.
const MAX_COOKIE_BYTES: usize = 500;

/// Cookies of Meta's, and the members of `context` for them.
const COOKIES: [(&str, &str); 2] = [("_fbp", "fbp"), (CLICK, "fbc")];
/// The one that holds a click.
const CLICK: &str = "_fbc";
/// Digits of the time in a well-formed cookie: milliseconds.
const TIME_DIGITS: usize = 13;

/// A cookie of Meta's that came with a request.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CookieOfMeta {
    pub(super) name: &'static str,
    /// The member of `context` for it.
    pub(super) member: &'static str,
    pub(super) value: String,
}

/// For which requests the connection says something about the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fill {
    /// For those that browsers send for a page: with an `Origin`, and an agent that begins with `Mozilla/`.
    #[default]
    Browsers,
    /// For all of them.
    Always,
    /// For none.
    Never,
}

/// How the client of a request is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients {
    pub(super) trusted: Proxies,
    pub(super) fill: Fill,
    /// Whether cookies of Meta's are read.
    pub(super) cookies: bool,
}

impl Clients {
    /// What the transport says about the events of a request.
    pub(super) fn meta(&self, peer: SocketAddr, headers: &HeaderMap) -> Meta {
        let mut meta = Meta::default();
        meta.peer = self.trusted.client(peer.ip(), headers);
        meta.user_agent = agent(headers).map(Box::from);
        meta
    }

    /// Members of `context` for the events of a request: names and JSON.
    pub(super) fn context(&self, meta: &Meta, headers: &HeaderMap) -> Vec<(&'static str, String)> {
        let mut members = Vec::new();
        let mut add = |name, value: &str| {
            members.push((name, serde_json::Value::from(value).to_string()));
        };
        if self.fills(headers) {
            if let Some(address) = meta.peer.filter(|address| is_public(*address)) {
                add("ip", &address.to_string());
            }
            if let Some(agent) = &meta.user_agent {
                add("userAgent", agent);
            }
        }
        members
    }

    /// Cookies of Meta's in a request, where they are read.
    pub(super) fn cookies(&self, headers: &HeaderMap) -> Vec<CookieOfMeta> {
        if !self.cookies || !headers.contains_key(header::ORIGIN) {
            return Vec::new();
        }
        let found = COOKIES.iter().filter_map(|(name, member)| {
            let value = cookie_of_meta(headers, name)?.to_owned();
            Some(CookieOfMeta {
                name,
                member,
                value,
            })
        });
        found.collect()
    }

    fn fills(&self, headers: &HeaderMap) -> bool {
        match self.fill {
            Fill::Always => true,
            Fill::Never => false,
            Fill::Browsers => {
                let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
                headers.contains_key(header::ORIGIN)
                    && agent.is_some_and(|agent| agent.starts_with(b"Mozilla/"))
            }
        }
    }
}

/// Whether an address can be a visitor's on the internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || is_shared)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local())
}

fn agent(headers: &HeaderMap) -> Option<&str> {
    let agent = headers.get(header::USER_AGENT)?.as_bytes();
    let agent = std::str::from_utf8(agent).ok()?.trim();
    (!agent.is_empty() && agent.len() <= MAX_USER_AGENT_BYTES).then_some(agent)
}

/// Whether a cookie holds a click, so that another click replaces it.
pub(super) fn is_click(name: &str) -> bool {
    name == CLICK
}

/// Whether a cookie is one that Meta takes: the rule that its own builder has for cookies that it keeps.
pub(super) fn is_well_formed(value: &str) -> bool {
    let mut parts = value.split('.');
    let mut next = || parts.next().unwrap_or_default();
    let (fb, index, time, payload) = (next(), next(), next(), next());
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let rest: Vec<_> = parts.collect();
    fb == "fb"
        && matches!(index.len(), 1..=2)
        && digits(index)
        && time.len() == TIME_DIGITS
        && digits(time)
        && !payload.is_empty()
        && payload.bytes().all(known)
        && match rest.as_slice() {
            [] => true,
            [appendix] => matches!(appendix.len(), 2 | 8) && appendix.bytes().all(known),
            _ => false,
        }
}

/// A cookie of Meta's, if it looks like one: `fb.1.1700000000000.1234567890`.
fn cookie_of_meta<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let mut values = pairs.filter_map(|pair| {
        let (cookie, value) = pair.trim().split_once('=')?;
        (cookie == name).then_some(value.trim().trim_matches('"'))
    });
    values.find(|value| {
        let mut parts = value.splitn(4, '.');
        let digits = |part: Option<&str>| {
            part.is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        };
        value.len() <= MAX_COOKIE_BYTES
            && parts.next() == Some("fb")
            && digits(parts.next())
            && digits(parts.next())
            && parts.next().is_some_and(|rest| {
                let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~%".contains(&byte);
                !rest.is_empty() && rest.bytes().all(known)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_intake::headers;

    #[test]
    fn only_a_browser_of_a_page_says_something_about_its_events_unless_the_options_say_otherwise() {
        let peer = SocketAddr::from(([203, 0, 113, 9], 1));
        let names = |fill, lines: &[(&'static str, &str)]| {
            let clients = Clients {
                fill,
                ..Clients::default()
            };
            let headers = headers(lines);
            let members = clients.context(&clients.meta(peer, &headers), &headers);
            members
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        let page = [
            ("origin", "https://shop.example"),
            ("user-agent", "Mozilla/5.0 \"x\""),
        ];
        let server = [("user-agent", "analytics-node-next/latest")];
        let app = [("user-agent", "Mozilla/5.0")];
        assert_eq!(names(Fill::Browsers, &page), ["ip", "userAgent"]);
        assert_eq!(names(Fill::Browsers, &server), [""; 0]);
        assert_eq!(names(Fill::Browsers, &app), [""; 0]);
        assert_eq!(names(Fill::Always, &server), ["ip", "userAgent"]);
        assert_eq!(names(Fill::Never, &page), [""; 0]);
    }

    #[test]
    fn an_address_inside_of_a_network_is_no_visitors() {
        for private in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.1.1",
            "0.0.0.0",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["203.0.113.9", "100.128.0.1", "2a00::9"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn cookies_of_meta_are_read_where_the_options_say_so_and_they_look_like_it() {
        let read = |cookies, lines: &[(&'static str, &str)]| {
            let clients = Clients {
                cookies,
                fill: Fill::Never,
                ..Clients::default()
            };
            let cookies = clients.cookies(&headers(lines)).into_iter();
            let cookies = cookies.map(|cookie| (cookie.member, cookie.value));
            cookies.collect::<Vec<_>>()
        };
        let origin = ("origin", "https://shop.example");
        let good = (
            "cookie",
            "a=b; _fbp=fb.1.1700000000000.123; _fbc=fb.1.1700000000000.IwAR_x-1",
        );
        assert_eq!(
            read(true, &[origin, good]),
            [
                ("fbp", "fb.1.1700000000000.123".to_owned()),
                ("fbc", "fb.1.1700000000000.IwAR_x-1".to_owned()),
            ]
        );
        assert_eq!(read(false, &[origin, good]), []);
        assert_eq!(read(true, &[good]), []);
        let long = format!("_fbp=fb.1.1700000000000.{}", "1".repeat(500));
        for bad in [
            "_fbp=",
            "_fbp=x",
            "_fbp=fb.1.2",
            "_fbp=fb.a.1.2",
            "_fbp=fb.1.1.<a>",
            "x_fbp=fb.1.1.1",
            &long,
        ] {
            assert_eq!(read(true, &[origin, ("cookie", bad)]), [], "{bad}");
        }
    }
}
