//! The proxies in front of a source: whose word about a client's address is believed, and what they said.
//!
//! Invariant: a header of somebody who is not a trusted proxy changes nothing, and an address that a proxy does not know is not
//! replaced by the proxy's own.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use pipeline_core::options::Problem;
use std::net::{IpAddr, SocketAddr};

/// Networks of proxies that the options may list.
const MAX_PROXIES: usize = 1000;
/// Addresses of proxies that are looked at, from the right.
const MAX_HOPS: usize = 32;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks of proxies that are trusted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Checks the option `trusted_proxies`: networks, or single addresses.
    pub(crate) fn new(texts: &[String]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut networks = Vec::new();
        if texts.len() > MAX_PROXIES {
            let expected = format!("at most {MAX_PROXIES} networks");
            problems.push(Problem::new("trusted_proxies", "are too many", expected));
        }
        for (index, text) in texts.iter().enumerate().take(MAX_PROXIES) {
            match network(text) {
                Some(network) => networks.push(network),
                None => problems.push(Problem::new(
                    format!("trusted_proxies[{index}]"),
                    "is not a network",
                    "an address, or an address and the length of its prefix: `10.0.0.0/8`",
                )),
            }
        }
        if problems.is_empty() {
            Ok(Self(networks))
        } else {
            Err(problems)
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is a proxy's address.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// The address of the client: the first from the right that is not a trusted proxy's. `None` where a proxy does not say it.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if peer.is_unspecified() {
            return None;
        }
        if !self.trust(peer) {
            return Some(peer);
        }
        let by_usual = headers.contains_key(FORWARDED_FOR).then(|| {
            let values = headers.get_all(FORWARDED_FOR).iter();
            self.named(peer, &list(values.map(HeaderValue::as_bytes), Some))
        });
        let by_standard = headers.contains_key(header::FORWARDED).then(|| {
            let values = headers.get_all(header::FORWARDED).iter();
            self.named(
                peer,
                &list(values.map(HeaderValue::as_bytes), forwarded_for),
            )
        });
        match (by_usual, by_standard) {
            // A proxy that writes one of them passes the other on as the client wrote it.
            (Some(usual), Some(standard)) if usual != standard => None,
            (named, other) => named.or(other).unwrap_or(Some(peer)),
        }
    }

    /// The client in a list of addresses.
    fn named(&self, peer: IpAddr, list: &[String]) -> Option<IpAddr> {
        let mut client = peer;
        for text in list.iter().rev().take(MAX_HOPS) {
            client = address(text)?;
            if !self.trust(client) {
                return Some(client);
            }
        }
        Some(client)
    }
}

/// Reads the networks of proxies: CIDRs, or single addresses.
fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().ok();
    address.map(IpNet::from).or_else(|| text.parse().ok())
}

/// The elements of a list that may be spread over several headers.
fn list<'h>(
    values: impl Iterator<Item = &'h [u8]>,
    part: fn(&'h str) -> Option<&'h str>,
) -> Vec<String> {
    let texts = values.map(|value| std::str::from_utf8(value).unwrap_or("?"));
    let parts = texts.flat_map(|text| text.split(','));
    // What says nothing is an address that is not known.
    parts
        .map(|text| part(text.trim()).unwrap_or("?").to_owned())
        .collect()
}

/// The value of `for` in an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| value.trim().trim_matches('"'))
    })
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    let bare = bare.map_or(text, |(address, _)| address);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| {
        bare.parse::<SocketAddr>()
            .ok()
            .map(|with_port| with_port.ip())
    });
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_intake::headers;

    fn proxies(trusted: &[&str]) -> Proxies {
        let texts: Vec<_> = trusted.iter().map(ToString::to_string).collect();
        Proxies::new(&texts).unwrap()
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_trusted_proxy() {
        let proxies = proxies(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]);
        for (peer, lines, expected) in [
            // A stranger's headers change nothing.
            (
                "198.51.100.1",
                &[("x-forwarded-for", "203.0.113.9")][..],
                Some("198.51.100.1"),
            ),
            (
                "10.1.1.1",
                &[("x-forwarded-for", "6.6.6.6, 203.0.113.9")],
                Some("203.0.113.9"),
            ),
            (
                "::ffff:10.1.1.1",
                &[("x-forwarded-for", "203.0.113.9, 192.0.2.7")],
                Some("203.0.113.9"),
            ),
            // Several headers are one list.
            (
                "10.1.1.1",
                &[
                    ("x-forwarded-for", "6.6.6.6"),
                    ("x-forwarded-for", "203.0.113.9, 10.2.2.2"),
                ],
                Some("203.0.113.9"),
            ),
            (
                "2001:db8::1",
                &[("x-forwarded-for", "203.0.113.9:5123")],
                Some("203.0.113.9"),
            ),
            (
                "10.1.1.1",
                &[("x-forwarded-for", "[2a00::9]:443")],
                Some("2a00::9"),
            ),
            (
                "10.1.1.1",
                &[(
                    "forwarded",
                    "for=6.6.6.6, For=\"[2a00::9]:443\";proto=https",
                )],
                Some("2a00::9"),
            ),
            ("10.1.1.1", &[("forwarded", "proto=https")], None),
            (
                "10.1.1.1",
                &[("x-forwarded-for", "203.0.113.9, unknown")],
                None,
            ),
            ("10.1.1.1", &[("x-forwarded-for", "")], None),
            ("10.1.1.1", &[], Some("10.1.1.1")),
            (
                "10.1.1.1",
                &[("x-forwarded-for", "10.3.3.3")],
                Some("10.3.3.3"),
            ),
        ] {
            let found = proxies.client(peer.parse().unwrap(), &headers(lines));
            let expected = expected.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(found, expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn more_proxies_than_are_read_are_a_problem() {
        let texts = vec!["10.0.0.0/8".to_owned(); MAX_PROXIES];
        assert!(Proxies::new(&texts).is_ok());
        let more = [texts, vec!["10.0.0.1".to_owned()]].concat();
        assert_eq!(Proxies::new(&more).unwrap_err()[0].path, "trusted_proxies");
    }

    #[test]
    fn two_headers_that_name_different_clients_name_none() {
        let proxies = proxies(&["10.0.0.0/8"]);
        let client = |peer: &str, usual: &str, standard: &str| {
            let lines = [("x-forwarded-for", usual), ("forwarded", standard)];
            proxies.client(peer.parse().unwrap(), &headers(&lines))
        };
        let visitor: IpAddr = "203.0.113.9".parse().unwrap();
        let stranger: IpAddr = "198.51.100.1".parse().unwrap();
        let same = client("10.1.1.1", "203.0.113.9, 10.2.2.2", "for=203.0.113.9");
        assert_eq!(same, Some(visitor));
        assert_eq!(client("10.1.1.1", "6.6.6.6", "for=203.0.113.9"), None);
        assert_eq!(client("10.1.1.1", "203.0.113.9", "for=6.6.6.6"), None);
        assert_eq!(client("10.1.1.1", "203.0.113.9", "for=unknown"), None);
        assert_eq!(client("10.1.1.1", "203.0.113.9", "proto=https"), None);
        // Of a stranger neither counts; a balancer that does not know the client does not make another one known.
        assert_eq!(
            client("198.51.100.1", "6.6.6.6", "for=7.7.7.7"),
            Some(stranger)
        );
        assert_eq!(client("0.0.0.0", "203.0.113.9", "for=203.0.113.9"), None);
    }
}
